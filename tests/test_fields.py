"""Non-negative codes, non-negative components and proportions, from the estimator's side."""

import numpy as np
import pytest
from scipy.optimize import minimize

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Nonnegative
from sparse_fourier.datasets import make_nonnegative_mixtures, make_proportions, make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.supports import proportional_least_squares


def fitted(X, k, prior, **parameters):
    return AutoencoderDecomposer(k, prior=prior, random_state=0, **parameters).fit(X)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_proportions_are_the_constrained_least_squares(k):
    rng = np.random.default_rng(k)
    components = rng.normal(size=(k, 8))
    gram = components @ components.T
    codes = rng.normal(size=(40, k))
    codes += (1 - codes.sum(axis=1, keepdims=True)) / k
    found = proportional_least_squares(codes, gram)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-10)
    assert (found >= 0).all()
    for h, u in zip(codes, found, strict=True):
        best = minimize(
            lambda v, h=h: (v - h) @ gram @ (v - h),
            np.full(k, 1 / k),
            bounds=[(0, None)] * k,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert (u - h) @ gram @ (u - h) <= best.fun + 1e-8


@pytest.mark.parametrize("k", [2, 3, 5])
def test_simplex_without_noise_is_found(k):
    X, shares, pure = make_proportions(2000, k, random_state=k)
    model = fitted(X, k, "simplex")
    assert worst_relative_error(pure, model.components_, matched=False) < 0.02
    assert not model.intercept_.any()
    codes = model.transform(X)
    np.testing.assert_allclose(codes.sum(axis=1), 1.0, atol=1e-9)
    assert codes.min() >= 0
    np.testing.assert_allclose(model.inverse_transform(np.eye(k)), model.components_)
    assert np.abs(np.sort(codes, axis=1) - np.sort(shares, axis=1)).mean() < 0.02


def test_simplex_is_aware_of_noise():
    """Plain extremes would put the corners of five spectra several degrees away."""
    X, _, pure = make_proportions(2000, 5, max_share=0.8, snr_db=30, random_state=0)
    found = fitted(X, 5, "simplex").components_
    cosines = (pure / np.linalg.norm(pure, axis=1, keepdims=True)) @ (
        found / np.linalg.norm(found, axis=1, keepdims=True)
    ).T
    assert np.degrees(np.arccos(cosines.max(axis=1))).mean() < 1.0


def test_simplex_starts_from_given_spectra():
    X, _, pure = make_proportions(800, 3, snr_db=40, random_state=0)
    one, other = fitted(X, 3, "simplex"), fitted(X, 3, "simplex", init=pure)
    np.testing.assert_allclose(other.components_, one.components_, rtol=1e-4, atol=1e-6)


def test_samples_of_a_simplex_have_its_covariance():
    X, _, _ = make_proportions(2000, 3, snr_db=25, random_state=0)
    model = fitted(X, 3, "simplex")
    sampled = np.cov(model.sample(40_000, random_state=0).T)
    np.testing.assert_allclose(model.get_covariance(), sampled, atol=0.02 * np.abs(sampled).max())


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_faces_that_hold_codes_exactly_are_found_exactly(fit_intercept):
    X, codes, bands = make_nonnegative_mixtures(600, 3, random_state=2)
    model = fitted(X, 3, "exponential", fit_intercept=fit_intercept)
    assert worst_relative_error(bands, model.components_) < 1e-7
    assert np.abs(model.intercept_).max() < 1e-6 * np.abs(X).max()


def test_cone_is_as_good_as_its_extremes_allow_where_no_code_is_zero():
    X, _, bands = make_nonnegative_mixtures(1000, 3, sparsity=0.0, random_state=0)
    assert worst_relative_error(bands, fitted(X, 3, "exponential", fit_intercept=False).components_) < 0.03


@pytest.mark.parametrize("prior", ["uniform", "exponential", "simplex"])
def test_nonnegative_components_are(prior):
    X, _, _ = make_sinusoid_mixtures(400, interval=(0, np.pi / 2), noise=0.02, random_state=0)
    model = fitted(X, 2, prior, basis="nonnegative")
    assert model.components_.min() >= 0
    assert model.intercept_.min() >= 0
    free = fitted(X, 2, prior)
    assert free.components_.min() < 0 or free.intercept_.min() < 0


def test_nonnegative_basis_helps_the_seed_where_all_is_positive():
    errors = []
    for seed in range(6):
        X, _, true = make_sinusoid_mixtures(600, interval=(0, np.pi / 2), noise=0.02, random_state=seed)
        models = fitted(X, 2, "uniform"), fitted(X, 2, "uniform", basis=Nonnegative())
        errors.append([worst_relative_error(true, model.components_) for model in models])
    free, nonnegative = np.mean(errors, axis=0)
    assert nonnegative < free


@pytest.mark.parametrize("seed", range(4))
def test_codes_of_a_box_without_an_intercept_lie_in_it(seed):
    X, codes, true = make_sinusoid_mixtures(400, noise=0.01, random_state=seed)
    model = fitted(X, 2, "uniform", fit_intercept=False)
    assert worst_relative_error(true, model.components_, matched=False) < 0.1
    assert not model.intercept_.any()
    assert np.linalg.norm(X - model.inverse_transform(model.transform(X))) < 0.02 * np.linalg.norm(X)


@pytest.mark.parametrize("prior", ["laplace", "gaussian", "learned"])
def test_nonnegative_basis_is_refused_where_codes_may_be_negative(prior):
    X = np.random.default_rng(0).normal(size=(50, 4))
    with pytest.raises(ValueError, match=rf"basis='nonnegative' cannot be used under the prior {prior}"):
        fitted(X, 2, prior, basis="nonnegative")
