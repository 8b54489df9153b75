"""Alternation: against NMF, against least squares by NumPy, and against what the likelihood says."""

import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.alternating import fit_to_signals
from sparse_fourier.datasets import make_bars, make_nonnegative_mixtures, make_sinusoid_mixtures
from sparse_fourier.metrics import atom_hit_rate, worst_relative_error
from sparse_fourier.model import Model
from sparse_fourier.priors import Exponential, Simplex, Uniform


def fitted(X, k, prior="exponential", **parameters):
    parameters = {"basis": "nonnegative", "fit_intercept": False, "random_state": 0} | parameters
    return AutoencoderDecomposer(k, prior=prior, **parameters).fit(X)


def model_of(components, noise=1e-4, prior=None):
    k, d = components.shape
    prior = prior or Exponential(np.ones(k))
    return Model(components, np.zeros(d), noise, 1e-20, np.full(k, 1e-8), prior, 0)


def alternated(model, X, anchored=True):
    return fit_to_signals(model, X, np.ones(len(X)), anchored=anchored, degrees_of_freedom=len(X))


@pytest.mark.parametrize("n_components", [10, 16])
def test_hidden_bars_are_found_also_with_components_to_spare(n_components):
    for seed in range(2):
        X, _, bars = make_bars(400, 5, random_state=seed)
        assert atom_hit_rate(bars, fitted(X, n_components).components_, 0.9) == 1.0


def test_reconstruction_is_as_good_as_that_of_nmf():
    X = load_digits().data[:500] / 16
    theirs = NMF(6, init="nndsvda", max_iter=2000, tol=1e-5).fit(X)
    ours = fitted(X, 6)
    assert ours.reconstruction_err_ < 1.01 * theirs.reconstruction_err_
    rebuilt = ours.inverse_transform(ours.transform(X))
    assert np.linalg.norm(X - rebuilt) == pytest.approx(ours.reconstruction_err_, rel=1e-9)


@pytest.mark.parametrize("snr_db", [40, 25])
def test_noise_is_not_fitted(snr_db):
    """Non-negative matrix factorization, run to its end, is several times worse here."""
    for seed in range(2):
        X, _, bands = make_nonnegative_mixtures(1000, 4, snr_db=snr_db, random_state=seed)
        free = fitted(X, 4, basis="free").components_
        assert worst_relative_error(bands, fitted(X, 4).components_) < 1.05 * worst_relative_error(
            bands, free
        )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("prior", ["uniform", "exponential"])
def test_attributes_are_those_of_the_model_that_is_returned(prior, fit_intercept):
    X, _, _ = make_sinusoid_mixtures(300, interval=(0, np.pi / 2), noise=0.05, random_state=0)
    model = fitted(X, 2, prior, fit_intercept=fit_intercept)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.loss_ == pytest.approx(-model.score(X), rel=1e-10)
    plain = np.linalg.lstsq(model.components_.T, (X - model.intercept_).T, rcond=None)[0].T
    squares = ((X - model.intercept_ - plain @ model.components_) ** 2).sum()
    assert model.noise_variance_ == pytest.approx(squares / (300 * 28), rel=1e-9)
    codes = model.transform(X)
    explained = codes.var(axis=0, ddof=1) * (model.components_**2).sum(axis=1)
    np.testing.assert_allclose(model.explained_variance_, explained, rtol=1e-9)
    assert (np.diff(model.explained_variance_) <= 0).all()


@pytest.mark.parametrize("start", range(3))
def test_a_component_that_is_lost_is_found_again(start):
    X, _, bands = make_nonnegative_mixtures(500, 3, snr_db=50, random_state=3)
    bands = bands / np.linalg.norm(bands, axis=1, keepdims=True)
    noise = np.mean((X - X @ np.linalg.pinv(bands) @ bands) ** 2) * 100 / 97
    lost = np.delete(bands, start, axis=0)
    twin = np.maximum(lost[0] + 0.05 * np.random.default_rng(0).normal(size=100) * lost[0], 0)
    found = alternated(model_of(np.vstack([lost, twin / np.linalg.norm(twin)]), noise), X)
    assert worst_relative_error(bands, found.model.components) < 0.1
    assert found.residual < 1.1 * noise * X.size


def test_the_price_of_codes_switches_off_what_is_not_needed():
    """Bars that add up, and four components more than there are bars: these explain next to nothing."""
    X, _, bars = make_bars(400, 5, combine="sum", random_state=5)
    model = fitted(X + np.random.default_rng(5).normal(scale=0.05, size=X.shape), 14)
    assert model.explained_variance_[10:].sum() < 0.05 * model.explained_variance_.sum()
    assert atom_hit_rate(bars, model.components_[:10], 0.9) >= 0.9


def test_integer_weights_are_repetitions():
    X, _, _ = make_nonnegative_mixtures(200, 3, sparsity=0.2, snr_db=20, random_state=1)
    counts = np.random.default_rng(0).integers(1, 4, size=len(X)).astype(float)
    model = model_of(np.maximum(X[:3], 0) / np.linalg.norm(X[:3], axis=1, keepdims=True), 1e-3)
    weighted = fit_to_signals(model, X, counts, anchored=False, degrees_of_freedom=counts.sum())
    repeated = alternated(model, np.repeat(X, counts.astype(int), axis=0), anchored=False)
    np.testing.assert_allclose(weighted.model.components, repeated.model.components, atol=1e-9)
    assert weighted.loss == pytest.approx(repeated.loss, rel=1e-9)


@pytest.mark.parametrize("exponent", [-300, 40])
def test_the_unit_of_the_signals_changes_nothing(exponent):
    X, _, _ = make_bars(300, 4, random_state=0)
    one, other = fitted(X, 8), fitted(np.ldexp(X, exponent), 8)
    np.testing.assert_allclose(other.components_, one.components_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other.transform(np.ldexp(X, exponent)), np.ldexp(one.transform(X), exponent))


def test_signals_in_single_precision_are_not_copied():
    rng = np.random.default_rng(0)
    components = rng.exponential(size=(2, 200))
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    X = rng.exponential(size=(10_000, 2)) @ components + 0.01 * rng.normal(size=(10_000, 200))
    X, model = X.astype(np.float32), model_of(components[:, ::-1], 1e-4)
    tracemalloc.start()
    try:
        alternated(model, X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes


def test_signals_below_zero_are_refused():
    rng = np.random.RandomState(0)
    X = rng.exponential(size=(200, 3)) @ rng.exponential(size=(3, 6))
    with pytest.raises(ValueError, match="basis='nonnegative' explains nothing of X"):
        fitted(-X, 3)


@pytest.mark.parametrize("prior", ["exponential", "uniform", "simplex"])
def test_signals_on_both_sides_of_zero_are_explained_as_far_as_that_goes(prior):
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(200, 3)) @ rng.exponential(size=(3, 6))
    X -= X.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some components end as zero, some priors doubt what is left
        model = fitted(X, 3, prior)
    assert model.components_.min() >= 0
    assert model.loss_ == pytest.approx(-model.score(X), rel=1e-9)


@pytest.mark.parametrize("prior", [Uniform(), Simplex(), Exponential(np.ones(3))])
def test_alternation_does_not_leave_more_than_it_was_given(prior):
    rng = np.random.default_rng(0)
    components = rng.exponential(size=(3, 12))
    X = rng.dirichlet(np.ones(3), size=200) @ components
    start = model_of(np.maximum(components + 0.1 * rng.normal(size=(3, 12)), 0), 1e-12, prior)
    if prior.has_free_scale:
        norms = np.linalg.norm(start.components, axis=1, keepdims=True)
        start = replace(start, components=start.components / norms)
    before = ((X - start.constrained_codes(X) @ start.components) ** 2).sum()
    found = alternated(start, X)
    assert found.residual < 0.1 * before
    assert found.model.components.min() >= 0
    np.testing.assert_allclose(found.model.constrained_codes(X), found.codes, atol=1e-9)


def test_the_default_prior_is_the_likeliest_once_components_are_nonnegative():
    X = load_digits().data[:250]
    model = AutoencoderDecomposer(4, basis="nonnegative", random_state=0).fit(X)
    by_hand = {
        prior: AutoencoderDecomposer(4, prior=prior, basis="nonnegative", random_state=0).fit(X).score(X)
        for prior in ("uniform", "exponential")
    }
    assert by_hand["exponential"] > by_hand["uniform"] + 1
    assert str(model.prior_) == "exponential"
    assert model.prior_scores_ == pytest.approx(by_hand, rel=1e-9)
