"""The automatic choice: the prior that made the codes, whatever the order or the number of rows."""

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer, selection, staging
from sparse_fourier.datasets import (
    make_independent_mixtures,
    make_nonnegative_mixtures,
    make_proportions,
    make_sinusoid_mixtures,
)
from sparse_fourier.learning import learn
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.priors import Exponential, Gaussian, Laplace, Learned, Simplex, Uniform
from sparse_fourier.reduction import reduce_signals

RIGHT = {
    "uniform": "uniform",
    "laplace": "laplace",
    "exponential": "exponential",
    "unequal": "gaussian",
    "skewed": "learned",
    "bimodal": "learned",
    "heavy-tailed": "learned",
    "dependent": "uniform",
    "beta": "uniform",
}


def signals(codes, k=2, n=1000, seed=0, noise=0.0):
    return make_sinusoid_mixtures(
        n, 30, frequencies=range(1, k + 1), codes=codes, noise=noise, random_state=seed
    )


def chosen(X, n_components="auto", **parameters):
    return AutoencoderDecomposer(n_components, random_state=0, **parameters).fit(X)


def reduced(X, k=None):
    return reduce_signals(X, np.ones(len(X)), Uniform(), k, centred=True)


@pytest.mark.parametrize("codes", RIGHT)
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_the_right_prior_is_chosen(codes, noise):
    model = chosen(signals(codes, noise=noise)[0], 2)
    assert str(model.prior_) == RIGHT[codes]


@pytest.mark.parametrize("codes", ["laplace", "skewed", "dependent"])
def test_four_codes(codes):
    X, _, components = signals(codes, k=4, n=1000, seed=1)
    model = chosen(X, 4)
    assert str(model.prior_) == RIGHT[codes]
    by_hand = AutoencoderDecomposer(4, prior=RIGHT[codes], random_state=0).fit(X)
    errors = [worst_relative_error(components, fitted.components_) for fitted in (model, by_hand)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-6)


@pytest.mark.parametrize("seed", [101, 105])
def test_dependent_codes_in_noise_that_hides_single_faces(seed):
    """The codes of another basis are likelier by tens of nats, dependent though they are."""
    sample = make_sinusoid_mixtures(1000, 30, frequencies=range(1, 5), codes="dependent", random_state=seed)
    X = sample[0] + 0.1 * sample[0].std() * np.random.RandomState(seed).standard_normal(sample[0].shape)
    model = chosen(X, 4)
    assert str(model.prior_) == "uniform"
    assert model.prior_scores_["learned"] > model.prior_scores_["uniform"] + 0.03
    learned = AutoencoderDecomposer(4, prior="learned", random_state=0).fit(X)
    errors = [worst_relative_error(sample[2], fitted.components_) for fitted in (model, learned)]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("snr_db", [None, 20])
def test_proportions_are_recognised(k, snr_db):
    X = make_proportions(600, k, snr_db=snr_db, random_state=3)[0]
    assert str(chosen(X, k).prior_) == "simplex"


@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@pytest.mark.slow
@pytest.mark.parametrize(("density", "least", "most"), [("gaussian", 0, 1), ("l", 9, 12)])
def test_angles_cost_what_accidents_gain(density, least, most):
    """Gaussian codes of few samples are told from weakly skewed ones, of two Gaussians that overlap."""
    samples = [make_independent_mixtures(250, 2, density, random_state=seed)[0] for seed in range(12)]
    found = [str(chosen(X, 2).prior_) for X in samples]
    assert least <= sum(name != "gaussian" for name in found) <= most


def test_two_peaks_are_not_taken_for_a_box():
    """The codes of few samples fill the box of another basis about evenly."""
    found = [
        chosen(make_independent_mixtures(250, 2, "g", random_state=seed)[0], 2)
        for seed in (7101, 7103, 7105, 7112)
    ]
    assert {str(model.prior_) for model in found} == {"learned"}


def test_proportions_take_a_component_more_than_dimensions():
    model = chosen(make_proportions(600, 4, random_state=0)[0])
    assert (str(model.prior_), model.n_components_) == ("simplex", 4)


def test_scores_are_of_the_candidates_and_the_choice_is_the_best():
    model = chosen(signals("laplace")[0], 2)
    assert set(model.prior_scores_) == {"uniform", "laplace", "exponential", "gaussian", "learned"}
    assert max(model.prior_scores_, key=model.prior_scores_.get) == "laplace"
    by_hand = AutoencoderDecomposer(2, prior="laplace").fit(signals("laplace")[0])
    price = selection.price(Laplace(), 2, 1000)
    assert model.prior_scores_["laplace"] == pytest.approx(-by_hand.loss_ - price, abs=1e-5)


def test_codes_that_fill_a_box_need_no_comparison():
    X = signals("uniform", n=300)[0]
    model = chosen(X)
    assert set(model.prior_scores_) == {"uniform"}
    by_hand = AutoencoderDecomposer(prior="uniform", random_state=0).fit(X)
    np.testing.assert_array_equal(model.components_, by_hand.components_)


def test_densities_learned_for_the_comparison_are_not_learned_again(monkeypatch):
    X, calls = signals("skewed")[0], []
    by_hand = AutoencoderDecomposer(2, prior="learned", random_state=0).fit(X)
    monkeypatch.setattr(staging, "learn", lambda *args, **kwargs: calls.append(1) or learn(*args, **kwargs))
    model = chosen(X, 2)
    assert not calls
    assert (str(model.prior_), model.n_iter_) == ("learned", by_hand.n_iter_)
    np.testing.assert_allclose(model.components_, by_hand.components_, rtol=1e-6)
    assert model.loss_ == pytest.approx(by_hand.loss_, rel=1e-9)
    told = []
    again = chosen(X, 2, callback=told.append)
    assert calls
    assert told
    np.testing.assert_allclose(again.components_, model.components_, rtol=1e-6)


def test_codes_that_lean_fill_no_box():
    """Two values of unequal chance have the fourth moment of a uniform code, 1.8, but lean to one side."""
    rng, chance = np.random.default_rng(0), 0.5 - np.sqrt(0.25 - 1 / 4.8)
    for k, stray in ((2, 1.0), (2, 3.0), (6, 1.0)):
        box = rng.uniform(size=(300, k)) @ rng.standard_normal((k, 20))
        box[:3] *= stray
        leaning = (rng.uniform(size=(300, k)) < chance) @ rng.standard_normal((k, 20))
        assert selection.may_fill_box(reduced(box, k))
        assert not selection.may_fill_box(reduced(leaning, k))


@pytest.mark.parametrize("k", [1, 2, 6])
@pytest.mark.parametrize("noise", [0.0, 0.3, 2.0])
def test_a_box_is_never_ruled_out_and_tails_are(k, noise):
    """Neither by noise nor by strays; with 3000 signals no other codes with tails pass for a box."""
    rng = np.random.default_rng(k)
    S = rng.standard_normal((k, 30))
    for n in (100, 3000):
        added = noise * rng.standard_normal((n, 30))
        box = rng.uniform(size=(n, k)) / np.sqrt(1 / 12)
        astray = box * np.where(np.arange(n) < n // 100, 2.0, 1.0)[:, None]
        for codes in (box, astray):
            assert selection.may_fill_box(reduced(codes @ S + added, k), 0.01)
        tails = rng.laplace(size=(n, k)) / np.sqrt(2)
        assert n < 3000 or not selection.may_fill_box(reduced(tails @ S + added, k), 0.01)


def test_a_given_prior_is_not_compared():
    assert AutoencoderDecomposer(2, prior="uniform").fit(signals("laplace")[0]).prior_scores_ == {}


def test_too_few_signals_mean_a_box():
    model = chosen(np.random.default_rng(0).normal(size=(49, 5)), 2)
    assert (str(model.prior_), model.prior_scores_) == ("uniform", {})


def test_no_warning_of_doubt_on_data_that_determine_the_basis(recwarn):
    for codes in ("laplace", "unequal"):
        chosen(signals(codes, seed=4)[0], 2)
    assert not recwarn.list


def test_choice_depends_on_neither_random_state_nor_order_nor_repetition():
    X = signals("skewed", n=600, seed=2, noise=0.03)[0]  # without noise, its size is rounding
    order = np.random.default_rng(0).permutation(len(X))
    scores = [chosen(X, 2).prior_scores_, chosen(X[order], 2).prior_scores_]
    scores.append(AutoencoderDecomposer(2, random_state=7).fit(X).prior_scores_)
    twice = AutoencoderDecomposer(2).fit(X[:400], sample_weight=np.full(400, 2.0)).prior_scores_
    repeated = AutoencoderDecomposer(2).fit(np.repeat(X[:400], 2, axis=0)).prior_scores_
    for other in scores[1:]:
        assert other == pytest.approx(scores[0], abs=5e-3)
    assert twice == pytest.approx(repeated, abs=5e-3)


def test_scores_shift_with_the_unit_alone():
    X = signals("laplace", noise=0.03)[0]
    scores, scaled = chosen(X, 2).prior_scores_, chosen(X * 2.0**10, 2).prior_scores_
    for name, score in scores.items():
        assert scaled[name] == pytest.approx(score - 30 * 10 * np.log(2.0), abs=1e-6)


def test_many_signals_are_judged_by_some_of_them():
    data = reduced(signals("laplace", n=8000, noise=0.03)[0], 2)
    problem = data.problem(Laplace())
    some = selection.some_rows(problem)
    assert len(some.whitened) == 3000
    np.testing.assert_allclose(some.weights @ some.whitened, 0.0, atol=1e-12)
    covariance = (some.whitened * some.weights[:, None]).T @ some.whitened
    np.testing.assert_allclose(covariance, np.eye(2), atol=1e-10)
    whole, part = selection.trained(problem), selection.trained(some)
    assert part.log_likelihood == pytest.approx(whole.log_likelihood, abs=0.1)


@pytest.mark.parametrize("basis", ["free", "nonnegative"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_constraints_narrow_the_choice(basis, fit_intercept):
    X = make_nonnegative_mixtures(500, 2, 20, sparsity=0.0, snr_db=30, random_state=0)[0]
    model = chosen(X, 2, basis=basis, fit_intercept=fit_intercept)
    assert str(model.prior_) in {"exponential", "learned"}
    assert ("learned" in model.prior_scores_) == (basis == "free" and fit_intercept)
    assert ("laplace" in model.prior_scores_) == (basis == "free")


def test_one_code():
    X = np.outer(np.random.default_rng(0).laplace(size=400), np.ones(3))
    assert str(chosen(X).prior_) == "laplace"


def test_price_is_twice_what_freedom_gains_on_gaussian_codes():
    """The median gain of learned densities, over draws of Gaussian codes, is about half of their price."""
    gains = []
    for seed in range(9):
        data = reduced(np.random.RandomState(seed).standard_normal((400, 2)), 2)
        learned = selection.learn_densities(data.problem(Learned()))[0]
        gaussian = selection.trained(data.problem(Gaussian()))
        gains.append(400 * (learned.log_likelihood - gaussian.log_likelihood))
    assert np.median(gains) == pytest.approx(400 * selection.price(Learned(), 2, 400) / 2, rel=0.35)
    assert selection.price(Gaussian(), 2, 400) == 0 < selection.price(Uniform(), 2, 400)


def test_edges_that_are_learned_have_their_price():
    codes = np.random.RandomState(0).exponential(size=(500, 2))
    learned = selection.learn_densities(reduced(codes, 2).problem(Learned()))[0]
    assert learned.prior.n_learned_edges == 2
    assert selection.price(learned.prior, 2, 500) == pytest.approx(
        selection.price(Learned(), 2, 500) + 4 / 500
    )


@pytest.mark.parametrize(
    ("draw", "filled"),
    [
        (lambda rng: rng.uniform(size=(1000, 2)), True),
        (lambda rng: rng.beta(0.5, 0.5, size=(1000, 2)), True),
        (lambda rng: rng.normal(size=(1000, 2)), False),
        (lambda rng: rng.exponential(size=(1000, 2)), False),
        (lambda rng: rng.dirichlet(np.ones(3), size=1000)[:, :2], False),
    ],
)
def test_a_box_is_filled_up_to_faces_and_corners(draw, filled):
    data = reduced(draw(np.random.default_rng(0)), 2)
    assert selection.fills_box(selection.trained(data.problem(Uniform()))) == filled


def test_every_code_for_itself_is_a_lower_bound():
    data = reduced(signals("exponential", seed=5, noise=0.03)[0], 2)
    problem = data.problem(Exponential())
    basis = selection.learn_densities(data.problem(Learned()))[0]
    alone, together = selection.one_by_one(problem, basis), selection.trained(problem)
    assert together.log_likelihood - 0.3 < alone.log_likelihood <= together.log_likelihood + 1e-6


def test_simplex_is_left_out_where_its_number_of_components_does_not_fit():
    model = chosen(signals("skewed", k=3)[0], 3)
    assert str(Simplex()) not in model.prior_scores_
