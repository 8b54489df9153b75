"""Boxes and cones of signals without an intercept."""

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_nonnegative_mixtures, make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.objective import Point, RootedObjective, move
from sparse_fourier.priors import Exponential, Uniform

DRAWS = 30


def mixtures(seed, codes, k=2, n=300, noise=0.0):
    """Signals without an intercept, and their orthonormal components."""
    rng = np.random.RandomState(seed)
    components = np.linalg.qr(rng.standard_normal((k + 4, k + 4)))[0][:k]
    drawn = rng.uniform(size=(n, k)) if codes == "uniform" else rng.exponential(size=(n, k))
    return drawn @ components + noise * rng.standard_normal((n, k + 4)), components


def fitted(X, k, prior, **parameters):
    return AutoencoderDecomposer(k, prior=prior, fit_intercept=False, random_state=0, **parameters).fit(X)


def maps(codes):
    """What true codes become, less the identity, in many data sets."""
    found = []
    for seed in range(DRAWS):
        X, components = mixtures(seed, codes)
        model = fitted(X, 2, codes)
        unmixed = np.linalg.inv(model.components_ @ components.T)
        order = np.abs(unmixed).argmax(axis=0)
        assert sorted(order) == [0, 1]
        unmixed = unmixed[:, np.argsort(order)]
        if codes == "exponential":
            unmixed = unmixed / np.diagonal(unmixed)
        found.append(unmixed - np.eye(2))
    return np.array(found)


@pytest.mark.parametrize("codes", ["uniform", "exponential"])
def test_faces_about_a_known_corner_do_not_tilt_on_average(codes):
    found = maps(codes)
    apart = np.append(found[:, 0, 1], found[:, 1, 0])
    assert abs(apart.mean()) < 3 * apart.std() / np.sqrt(DRAWS)
    if codes == "uniform":
        own = np.append(found[:, 0, 0], found[:, 1, 1])
        assert abs(own.mean()) < 3 * own.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize(("codes", "noise"), [("uniform", 0.0), ("uniform", 0.1), ("exponential", 0.0)])
def test_a_known_corner_makes_components_more_precise(codes, noise):
    known, unknown = [], []
    for seed in range(12):
        X, components = mixtures(100 + seed, codes, noise=noise)
        free = AutoencoderDecomposer(2, prior=codes, random_state=0).fit(X)
        known.append(worst_relative_error(components, fitted(X, 2, codes).components_))
        unknown.append(worst_relative_error(components, free.components_))
    assert np.mean(np.square(known)) < 0.7 * np.mean(np.square(unknown))


@pytest.mark.parametrize("prior", ["uniform", "exponential"])
def test_signals_without_noise_are_rebuilt_from_codes_in_their_support(prior):
    X, _, components = make_sinusoid_mixtures(300, interval=(0, np.pi / 2), random_state=3)
    model = fitted(X, 2, prior)
    codes = model.transform(X)
    np.testing.assert_allclose(model.inverse_transform(codes), X, atol=1e-9)
    assert codes.min() >= 0
    assert not model.intercept_.any()
    assert worst_relative_error(components, model.components_) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_a_cone_has_its_apex_at_zero_also_where_another_would_be_likelier(seed):
    X, components = mixtures(seed, "uniform", noise=0.02)
    model = fitted(X, 2, "exponential")
    left = X - model.inverse_transform(model.transform(X))
    assert left.std() < 0.03
    assert worst_relative_error(components, model.components_) < 0.1


@pytest.mark.parametrize("shift", ["centred", "aside"])
def test_codes_that_do_not_begin_at_zero_keep_their_box(shift):
    X, components = mixtures(5, "uniform")
    X = X - X.mean(axis=0) if shift == "centred" else X + np.array([0.3, -0.2]) @ components
    free = AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(X)
    matched = worst_relative_error(free.components_, fitted(X, 2, "uniform").components_)
    assert matched < 1e-6


def test_many_codes_on_faces_determine_them_without_a_known_corner():
    X, _, components = make_nonnegative_mixtures(300, random_state=2)
    assert worst_relative_error(components, fitted(X, len(components), "exponential").components_) < 1e-6


@pytest.mark.parametrize("prior", [Uniform(), Exponential()])
def test_derivatives_are_those_of_codes_without_offset(prior):
    rng = np.random.RandomState(0)
    rows = rng.exponential(size=(1, 50, 2))
    objective = RootedObjective(prior, rows, np.full((1, 50), 0.02), 0.01 * np.eye(2), np.full(2, 1e-4), 0.0)
    point = Point(np.array([[0.4, 0.05], [-0.02, 0.3]]), np.zeros(2))
    model = objective.local_model(point, objective.expand(point, 0.1))
    direction = rng.standard_normal((2, 3)) * [1, 1, 0]

    def value(t):
        return objective.expand(move(point, t * direction), 0.1).value

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    assert (model.gradient * direction).sum() == pytest.approx(slope, rel=1e-6)
    curvature = (value(1e-3) - 2 * value(0) + value(-1e-3)) / 1e-6
    bend = direction.ravel() @ model.hessian() @ direction.ravel()
    assert bend == pytest.approx(curvature, rel=1e-3)
    assert not model.gradient[:, 2].any()
