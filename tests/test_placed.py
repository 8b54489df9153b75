import pickle

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.penalties import L1
from sparse_fourier.priors import Laplace, Uniform
from sparse_fourier.priors.placed import Placed, from_zero, placed

RNG = np.random.RandomState(0)
PLACE = np.array([-0.5, 2.0, 0.0])
CODES = RNG.uniform(-0.3, 1.3, size=(50, 3))
VARIANCES = np.array([0.01, 0.02, 0.04])


def signals(low, *, n=500, noise=0.0, seed=0):
    rng = np.random.RandomState(seed)
    components = rng.normal(size=(3, 20))
    codes = rng.uniform(low, 1.0, size=(n, 3))
    return codes @ components + noise * rng.normal(size=(n, 20)), components


def without_intercept(**settings):
    return AutoencoderDecomposer(3, fit_intercept=False, random_state=0, **settings)


@pytest.mark.parametrize("low", [-1.0, -0.3, 0.4])
def test_signals_whose_box_begins_elsewhere_are_reconstructed_without_an_intercept(low):
    X, components = signals(low)
    model = without_intercept(prior="uniform").fit(X)
    codes = model.transform(X)
    assert not model.intercept_.any()
    np.testing.assert_allclose(model.inverse_transform(codes), X, atol=1e-9)
    assert worst_relative_error(components, model.components_) < 0.02
    # The box is as long as one, and of the codes within it none is farther from its ends than 1/50.
    assert np.abs(np.ptp(codes, axis=0) - 1).max() < 0.02
    assert ((codes > model.prior_.place) & (codes < model.prior_.place + 1)).all()


@pytest.mark.parametrize("low", [-1.0, 0.4])
def test_the_model_is_the_one_with_an_intercept_where_signals_have_noise(low):
    X, _ = signals(low, noise=0.05, n=1000)
    model, free = without_intercept(prior="uniform").fit(X), AutoencoderDecomposer(3, random_state=0).fit(X)
    assert abs(model.score(X) - free.score(X)) < 0.05
    drawn = model.sample(50_000, random_state=1)
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), model.get_covariance(), atol=0.1)
    ours, theirs = (each.diagnose(X, random_state=0).standard_errors for each in (model, free))
    assert 0.5 < np.median(ours) / np.median(theirs) < 2


def test_missing_entries_a_stored_model_and_parts_of_the_data_are_served():
    X, components = signals(-1.0, noise=0.02)
    X[np.random.RandomState(1).uniform(size=X.shape) < 0.1] = np.nan
    model = without_intercept(prior="uniform").fit(X)
    assert worst_relative_error(components, model.components_) < 0.05
    assert model.transform(X).min() < -0.4
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_allclose(again.transform(X[:7]), model.transform(X)[:7], rtol=1e-11)


@pytest.mark.slow
def test_penalised_components_have_no_intercept_either():
    rng = np.random.RandomState(4)
    components, noise = rng.normal(size=(3, 20)), 0.05 * rng.normal(size=(500, 20))
    draws = {"uniform": rng.uniform(-1, 1, size=(500, 3)), "laplace": 1 + rng.laplace(size=(500, 3))}
    for prior, codes in draws.items():
        X = codes @ components + noise
        model = without_intercept(prior=prior, penalty=L1(1e-4)).fit(X)
        assert not model.intercept_.any()
        assert np.abs(model.inverse_transform(model.transform(X)) - X).max() < 0.5
        assert worst_relative_error(components, model.components_) < 0.15


def test_networks_begin_at_codes_between_zero_and_one():
    X, _ = signals(0.4, noise=0.05)
    model = without_intercept(
        prior="uniform", encoder="mlp", hidden_layer_sizes=(8,), solver="lbfgs", max_iter=5
    )
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        codes = model.fit(X).transform(X)
    assert codes.min() >= 0
    assert codes.max() <= 1
    assert np.abs(model.inverse_transform(codes) - X).std() < 0.5 * X.std()


def test_non_negative_components_keep_theirs_where_codes_begin_above_zero():
    rng = np.random.RandomState(3)
    components = np.maximum(rng.normal(size=(2, 30)), 0)
    X = rng.uniform(0.4, 1.0, size=(600, 2)) @ components
    model = AutoencoderDecomposer(2, prior="uniform", basis="nonnegative", fit_intercept=False).fit(X)
    codes = model.transform(X)
    assert worst_relative_error(components, model.components_) < 0.05
    np.testing.assert_allclose(model.inverse_transform(codes), X, atol=1e-6)
    assert codes.min() >= 0
    assert codes.max() <= 1


def test_non_negative_components_of_a_box_far_from_zero_by_accident_are_found():
    # One of the smallest codes is as far from zero as in one of three thousand data sets.
    X, _, components = make_sinusoid_mixtures(300, 30, interval=(0, np.pi / 2), random_state=410003)
    model = AutoencoderDecomposer(2, prior="uniform", basis="nonnegative", fit_intercept=False)
    assert worst_relative_error(components, model.fit(X).components_) < 0.03


def test_densities_are_those_of_codes_less_their_place():
    prior, moved = Placed(PLACE), CODES + PLACE
    np.testing.assert_allclose(prior.log_density(moved), Uniform().log_density(CODES))
    ours, theirs = prior.jet(moved, VARIANCES), Uniform().jet(CODES, VARIANCES)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(prior.log_marginals(moved, VARIANCES), theirs.value, rtol=1e-9)
    share = np.full(50, 0.02)
    expected = share @ theirs.value.sum(axis=1)
    assert prior.mean_log_likelihood(moved, share, VARIANCES) == pytest.approx(expected)
    near = np.full(3, 0.1)
    np.testing.assert_array_equal(prior.matters(moved, near), Uniform().matters(CODES, near))
    assert prior.doubts(moved, share, 50.0) == Uniform().doubts(CODES, share, 50.0)
    np.testing.assert_array_equal(prior.moments[0], PLACE + 0.5)
    np.testing.assert_allclose(prior.code_covariance(3), np.eye(3) / 12)
    drawn = prior.draw(1000, 3, np.random.RandomState(0)) - PLACE
    assert drawn.min() > 0
    assert drawn.max() < 1
    assert str(prior) == "uniform"


def test_codes_are_projected_onto_the_box_in_the_metric_of_signals():
    components = RNG.normal(size=(3, 6))
    domain = Placed(PLACE).domain
    codes = CODES + PLACE
    found = domain.project(codes, components @ components.T)
    bounds = PLACE, PLACE + 1
    expected = [lsq_linear(components.T, h @ components, bounds, tol=1e-14).x for h in codes]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert domain.is_bounded
    np.testing.assert_array_equal(domain.faces, bounds)
    swept, pull = np.clip(codes, *bounds), codes @ components @ components.T
    for _ in range(2000):
        domain.relax(swept, pull, components @ components.T, np.zeros(3))
    np.testing.assert_allclose(swept, expected, atol=1e-6)
    inside, faces = domain.soften(codes, VARIANCES)
    unmoved, same = Uniform().domain.soften(CODES, VARIANCES)
    np.testing.assert_allclose(inside - PLACE, unmoved)
    np.testing.assert_allclose(faces, same, rtol=1e-9, atol=1e-12)


def test_a_place_follows_its_codes():
    factors, shifts = np.array([1.0, -1.0, 1.0]), np.array([0.2, 0.0, -1.0])
    prior = Placed(PLACE).mapped(factors, shifts)
    ends = np.sort(np.stack([factors * PLACE + shifts, factors * (PLACE + 1) + shifts]), axis=0)
    np.testing.assert_allclose([prior.place, prior.place + 1], ends)
    np.testing.assert_allclose([[end[0] for end in own] for own in prior.ends(3)], ends.T)
    assert [[end[1] for end in own] for own in prior.ends(3)] == [[1.0, -1.0]] * 3
    np.testing.assert_array_equal(prior.taken([2, 0]).place, prior.place[[2, 0]])
    np.testing.assert_array_equal(prior.padded(1).place, [*prior.place, 0.0])
    standard, ones, back = prior.standard_form(3)
    assert standard == Uniform()
    np.testing.assert_allclose(ones * prior.place + back, 0.0)


def test_only_boxes_that_have_moved_are_placed():
    ones, zeros = np.ones(2), np.zeros(2)
    assert placed(Uniform(), ones, zeros) == Uniform()
    assert placed(Uniform(), -ones, ones) == Uniform()
    np.testing.assert_array_equal(placed(Uniform(), -ones, zeros).place, -ones)
    moved = placed(Placed(np.array([0.5, -1.0])), np.array([1.0, -1.0]), np.array([-0.5, 0.0]))
    assert moved == Uniform()
    np.testing.assert_array_equal(placed(Laplace(), ones, 2 * ones).location, 2 * ones)


def test_boxes_above_zero_are_stretched_down_to_it():
    prior, factors, shifts = from_zero(Placed(np.array([0.5, 1.0])), np.ones(2), np.array([0.5, 1.0]))
    assert prior == Uniform()
    codes = np.array([[0.0, 0.0], [1.0, 1.0]]) * factors + shifts
    np.testing.assert_allclose(codes, [[1 / 3, 1 / 2], [1, 1]])
    assert from_zero(prior, factors, shifts) == (prior, factors, shifts)
