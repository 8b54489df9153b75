"""Fits with penalties: against optima found otherwise, the fit without, and what weights and units demand."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_independent_mixtures, make_proportions, make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.penalties import L1, L2, Contractive, Denoising, Penalty, SamplePenalty, Smoothness


def decomposer(k=2, **parameters):
    return AutoencoderDecomposer(k, random_state=0, **{"prior": "laplace", **parameters})


@pytest.fixture(scope="module")
def waves():
    """Smooth components, Laplace codes, strong noise."""
    X, _, components = make_sinusoid_mixtures(60, noise=1.0, codes="laplace", random_state=5)
    return X, components


def seen(model):
    """Return what a penalty is shown of a fitted estimator."""
    encode, components, intercept = model.transform, model.components_, model.intercept_
    return SimpleNamespace(encode=encode, components=components, intercept=intercept)


def cosines(first, second):
    first, second = (W / np.linalg.norm(W, axis=1, keepdims=True) for W in (first, second))
    return np.abs(np.sum(first * second, axis=1))


SIGNALS = {
    "uniform": make_sinusoid_mixtures(250, noise=0.1, random_state=5)[0],
    "laplace": make_sinusoid_mixtures(250, noise=0.1, codes="laplace", random_state=5)[0],
    "exponential": make_independent_mixtures(250, 2, "exponential", n_features=30, noise=0.1, random_state=5)[
        0
    ],
    "gaussian": make_sinusoid_mixtures(250, noise=0.1, random_state=5)[0] @ np.diag(np.linspace(1, 3, 30)),
    "simplex": make_proportions(250, 3, 30, snr_db=30, random_state=5)[0],
}


@pytest.mark.parametrize(
    "prior",
    [
        "uniform",
        *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(SIGNALS) if name != "uniform"),
    ],
)
def test_no_strength_gives_the_fit_without_penalty(prior):
    X, k = SIGNALS[prior], 3 if prior == "simplex" else 2
    without = decomposer(k, prior=prior).fit(X)
    fitted = decomposer(k, prior=prior, penalty=Smoothness(0.0)).fit(X)
    assert cosines(fitted.components_, without.components_).min() > 1 - 1e-4
    np.testing.assert_allclose(fitted.components_, without.components_, atol=0.03 * np.abs(X).max())
    assert fitted.noise_variance_ == pytest.approx(without.noise_variance_, rel=1e-3)
    assert fitted.score(X) == pytest.approx(without.score(X), abs=0.02)


def test_loss_is_likelihood_and_penalty(waves):
    X, _ = waves
    penalty = Smoothness(3.0)
    model = decomposer(penalty=penalty).fit(X)
    assert model.loss_ == pytest.approx(-model.score(X) + float(penalty(seen(model), X, None)), rel=1e-9)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.n_iter_ == len(model.loss_curve_) - 1


def test_no_other_components_are_better(waves):
    X, _ = waves
    penalty = Smoothness(3.0)
    model = decomposer(penalty=penalty).fit(X)
    rng = np.random.default_rng(0)

    def objective(change):
        moved = replace(model._state, components=model._state.components + change)
        rows = moved.components / np.linalg.norm(moved.components, axis=1, keepdims=True)
        codes = moved.least_squares_codes(X)
        squares = ((np.ldexp(X, -moved.exponent) - moved.intercept - codes @ moved.components) ** 2).sum()
        moved = replace(moved, noise_variance=squares / len(X) / (X.shape[1] - 2))
        return moved.terms(X).total.mean() + float(penalty(SimpleNamespace(components=rows), X, None))

    still = objective(0.0)
    assert still == pytest.approx(model.loss_, rel=1e-9)
    for size in (1e-4, 1e-3, 1e-2, 0.1):
        for _ in range(10):
            direction = rng.standard_normal((2, X.shape[1]))
            assert objective(size * direction) > still


def test_one_gaussian_component_is_that_of_smoothed_pca():
    X = make_sinusoid_mixtures(60, frequencies=(1.0,), noise=1.0, codes="laplace", random_state=1)[0]
    d, strength = X.shape[1], 10.0
    C = np.cov(X.T, ddof=0)

    def objective(w):
        w = w / np.linalg.norm(w)
        explained = w @ C @ w
        roughness = (np.diff(w, n=2) ** 2).sum()
        left = (d - 1) / 2 * np.log(np.trace(C) - explained)
        return left + 0.5 * np.log(explained) + strength * roughness

    model = decomposer(1, prior="gaussian", penalty=Smoothness(strength)).fit(X)
    plain = decomposer(1, prior="gaussian").fit(X).components_[0]
    best = scipy.optimize.minimize(objective, plain, method="BFGS", options={"gtol": 1e-9})
    found = model.components_[0]
    assert objective(found) == pytest.approx(objective(best.x), abs=1e-6)
    assert cosines(found[None], best.x[None])[0] > 1 - 1e-5
    assert cosines(found[None], plain[None])[0] < 1 - 1e-3


def test_smooth_components_are_found_better_with_smoothness(waves):
    X, components = waves
    without, fitted = decomposer().fit(X), decomposer(penalty=Smoothness(10.0)).fit(X)
    before, after = (worst_relative_error(components, m.components_) for m in (without, fitted))
    assert after < 0.8 * before


@pytest.mark.slow
def test_sparse_components_are_found_better_with_l1():
    rng = np.random.default_rng(3)
    components = np.zeros((2, 30))
    components[0, 3:7], components[1, 15:20] = 1.0, 1.0
    X = rng.laplace(size=(150, 2)) @ components + 0.7 * rng.standard_normal((150, 30))
    without, fitted = decomposer().fit(X), decomposer(penalty=L1(0.2)).fit(X)
    before, after = (worst_relative_error(components, m.components_) for m in (without, fitted))
    assert after < 0.7 * before
    assert np.median(np.abs(fitted.components_[:, 22:])) < 1e-3


@pytest.mark.slow
def test_what_has_unit_norm_is_not_changed_by_l2(waves):
    X, _ = waves
    without, fitted = decomposer().fit(X), decomposer(penalty=L2(10.0)).fit(X)
    np.testing.assert_allclose(fitted.components_, without.components_, atol=0.02)


@pytest.mark.slow
def test_l2_makes_boxes_smaller():
    X = SIGNALS["uniform"]
    sizes = [
        np.linalg.norm(decomposer(prior="uniform", penalty=L2(strength)).fit(X).components_)
        for strength in (0.0, 0.01, 0.1)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [Contractive(0.1), Denoising(0.1, masking=0.0, noise=0.5)], ids=str)
def test_codes_that_change_little_have_orthogonal_components(waves, penalty):
    """Both charge the squared norm of the pseudo-inverse, alone or between encoder and decoder."""
    X = make_sinusoid_mixtures(250, noise=0.1, interval=(0, np.pi / 2), codes="laplace", random_state=5)[0]
    without, fitted = decomposer().fit(X), decomposer(penalty=penalty).fit(X)
    before, after = (np.linalg.norm(np.linalg.pinv(m.components_)) for m in (without, fitted))
    assert after <= before * (1 + 1e-4)
    assert fitted.score(X) <= without.score(X) + 0.01


@dataclass
class Decorrelating(Penalty):
    """A penalty that someone wrote: squared covariances of different codes."""

    strength: float = 1.0

    def __call__(self, model, X, codes):
        centred = codes - codes.mean(axis=0)
        covariance = centred.T @ centred / len(codes)
        return self.strength * ((covariance - np.diag(np.ones(2)) * covariance) ** 2).sum()


@dataclass
class Small(SamplePenalty):
    """Another, which heeds weights."""

    strength: float = 1.0

    def of_samples(self, model, X, codes):
        return self.strength * (codes**2).sum(axis=1)


@pytest.mark.slow
def test_penalty_of_ones_own_does_what_it_says(waves):
    X, _ = waves
    X = X * np.linspace(1.0, 2.0, X.shape[1])
    covariances = [
        np.cov(decomposer(penalty=Decorrelating(strength)).fit_transform(X).T)[0, 1]
        for strength in (0.0, 100.0)
    ]
    assert abs(covariances[1]) < 0.05 * abs(covariances[0])


def test_function_is_a_penalty(waves):
    X, _ = waves

    def rough(model, X, codes):
        W = model.components
        return 3.0 * ((W[:, 2:] - 2 * W[:, 1:-1] + W[:, :-2]) ** 2).sum()

    with_function = decomposer(penalty=[rough]).fit(X)
    with_class = decomposer(penalty=Smoothness(3.0)).fit(X)
    np.testing.assert_allclose(with_function.components_, with_class.components_, atol=1e-5)


def test_weights_are_repetitions():
    X = SIGNALS["laplace"][:60]
    counts = np.arange(60) % 3
    model = decomposer(penalty=[Smoothness(1.0), Small(0.1)])
    weighted, repeated = (
        clone(model).fit(X, sample_weight=counts),
        clone(model).fit(np.repeat(X, counts, axis=0)),
    )
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-5)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-9)


@pytest.mark.slow
def test_weights_need_a_penalty_that_heeds_them(waves):
    X, _ = waves
    weights = np.linspace(1, 2, len(X))
    with pytest.raises(ValueError, match="sample_weight cannot be used with the penalty Decorrelating"):
        decomposer(penalty=Decorrelating()).fit(X, sample_weight=weights)
    decomposer(penalty=Decorrelating()).fit(X, sample_weight=np.full(len(X), 2.0))


def test_missing_entries_are_filled_by_the_fit_without(waves):
    X, components = waves
    gaps = np.where(np.random.default_rng(0).uniform(size=X.shape) < 0.1, np.nan, X)
    complete, incomplete = (decomposer(penalty=Smoothness(10.0)).fit(rows) for rows in (X, gaps))
    errors = [worst_relative_error(components, model.components_) for model in (complete, incomplete)]
    assert errors[1] < 1.5 * errors[0]


def test_penalties_see_the_unit_of_the_signals():
    X, factor = SIGNALS["uniform"], 3.0
    plain = decomposer(prior="uniform", penalty=L2(0.1)).fit(X)
    scaled = decomposer(prior="uniform", penalty=L2(0.1 / factor**2)).fit(factor * X)
    np.testing.assert_allclose(scaled.components_, factor * plain.components_, rtol=1e-3, atol=1e-3)


def test_another_strength_compiles_nothing(compiled, waves):
    X, _ = waves
    decomposer(penalty=Smoothness(1.0)).fit(X)
    compiled.clear()
    decomposer(penalty=Smoothness(2.0)).fit(X[:50])
    assert not compiled


def test_strength_can_be_searched_for(waves):
    X, components = waves
    search = GridSearchCV(decomposer(penalty=Smoothness()), {"penalty__strength": [0.0, 1.0, 10.0]}, cv=3)
    best = search.fit(X).best_estimator_
    assert best.penalty.strength > 0
    assert worst_relative_error(components, best.components_) < worst_relative_error(
        components, decomposer().fit(X).components_
    )


def constant_vector(model, X, codes):
    return codes.mean(axis=0)


def infinite(model, X, codes):
    return 1.0 / (0.0 * codes.sum())


def misspelt(model, X, codes):
    return model.component.sum()


@pytest.mark.parametrize(
    ("penalty", "words"),
    [
        (constant_vector, r"constant_vector cannot be used: it must return a scalar. Got shape \(2,\)"),
        (infinite, "infinite cannot be used: its value must be finite"),
        (misspelt, "misspelt cannot be used: it failed when called"),
        (3.0, "The 'penalty' parameter of AutoencoderDecomposer must be None, .* Got 3.0"),
        ([L1(), "l2"], "must be None, a Penalty, a callable or a list of these. Got 'l2'"),
        (L1(-1.0), "The 'strength' parameter of L1 must be a float in the range .* Got -1.0"),
        (L1("much"), "The 'strength' parameter of L1 must be a float in the range .* Got 'much'"),
        (Denoising(masking=1.0), "The 'masking' parameter of Denoising must be"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named_and_the_old_fit_stays(waves, penalty, words):
    X, _ = waves
    model = decomposer().fit(X)
    before = model.components_.copy()
    with pytest.raises(ValueError, match=words):
        model.set_params(penalty=penalty).fit(X)
    np.testing.assert_array_equal(model.components_, before)


def test_waveforms_with_an_own_fit_leave_no_place_for_penalties(waves):
    X, _ = waves
    with pytest.raises(ValueError, match=r"cannot be used with Fourier.*Use basis='free' or 'nonnegative'"):
        decomposer(penalty=L1(), basis="fourier").fit(X)


@pytest.mark.slow
def test_densities_are_learned_once_more_for_smooth_components():
    X, _, components = make_sinusoid_mixtures(150, noise=0.3, random_state=5)
    plain, none, smooth = (
        decomposer(prior="learned", penalty=penalty).fit(X)
        for penalty in (None, Smoothness(0.0), Smoothness(10.0))
    )
    assert none.score(X) == pytest.approx(plain.score(X), abs=0.02)
    before, still, after = (worst_relative_error(components, m.components_) for m in (plain, none, smooth))
    assert still == pytest.approx(before, rel=0.1)
    assert after < 0.75 * before
    assert smooth.loss_ == pytest.approx(
        -smooth.score(X) + float(Smoothness(10.0)(seen(smooth), X, None)), rel=1e-9
    )
    grid = np.linspace(-30, 30, 60001)[:, None] * np.ones(2)
    levels = np.exp(smooth.prior_.log_marginals(grid, np.zeros(2)))
    np.testing.assert_allclose(levels.sum(axis=0) / 1000, 1.0, rtol=1e-2)


@pytest.mark.parametrize(("prior", "strength"), [("exponential", 30.0), ("uniform", 3.0)])
def test_smooth_components_stay_above_zero(prior, strength):
    rng, x = np.random.default_rng(5), np.linspace(0, 1, 40)
    components = np.exp(-0.5 * ((x - np.array([[0.35], [0.6]])) / np.array([[0.12], [0.15]])) ** 2)
    codes = rng.random((150, 2)) if prior == "uniform" else rng.exponential(size=(150, 2))
    X = codes * (rng.random((150, 2)) < 0.7) @ components + 0.15 * rng.standard_normal((150, 40))
    given = {"prior": prior, "basis": "nonnegative", "fit_intercept": False}
    plain, none, smooth = (
        decomposer(**given, penalty=penalty).fit(X)
        for penalty in (None, Smoothness(0.0), Smoothness(strength))
    )
    before, still, after = (worst_relative_error(components, m.components_) for m in (plain, none, smooth))
    assert still < 1.1 * before
    assert after < 0.85 * before
    assert smooth.components_.min() >= 0
    np.testing.assert_allclose(smooth.intercept_, 0.0, atol=1e-12)


def test_callback_is_told_and_can_end_training(waves, monkeypatch):
    X, _ = waves
    monkeypatch.setattr("sparse_fourier.training._CHUNK_SECONDS", 0.0)
    monkeypatch.setattr("sparse_fourier.descent._SECONDS_BETWEEN_REPORTS", 0.0)
    told = []

    def stop(info):
        told.append(info)
        return len(told) > 5 and info.iteration > told[0].iteration + 4

    model = decomposer(penalty=Smoothness(3.0), callback=stop).fit(X)
    assert not model.converged_
    assert [info.iteration for info in told] == sorted(info.iteration for info in told)
