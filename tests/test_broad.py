"""Scores of signals of which some stray: a mixture with a broad density, against SciPy's."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_t

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.broad import Broad
from sparse_fourier.datasets import make_sinusoid_mixtures


def test_the_density_is_that_of_scipy():
    rng = np.random.default_rng(0)
    broad, X = Broad(0.02, rng.standard_normal(4), 0.7, 3), 20 * rng.standard_normal((6, 4))
    expected = multivariate_t(8 * broad.centre, (8 * 0.7) ** 2 * np.eye(4), df=1).logpdf(X)
    np.testing.assert_allclose(broad.log_density(X), expected, rtol=1e-12)
    few = multivariate_t(8 * broad.centre[[0, 2]], (8 * 0.7) ** 2 * np.eye(2), df=1).logpdf(X[:, [0, 2]])
    X[:, [1, 3]] = np.nan
    np.testing.assert_allclose(broad.log_density(X), few, rtol=1e-12)
    assert np.isfinite(broad.log_density(np.full((1, 4), 1e300))).all()
    mixed = broad.mixed(np.log([0.1] * 6), X)
    np.testing.assert_allclose(np.exp(mixed), 0.98 * 0.1 + 0.02 * np.exp(few), rtol=1e-12)


def fitted(X, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoencoderDecomposer(2, random_state=0, **parameters).fit(X)


def test_held_out_strays_leave_the_ranking_of_priors():
    X, _, _ = make_sinusoid_mixtures(600, 20, noise=0.05, random_state=0)
    clean = X[300:].copy()
    X[::100] *= 100
    differences = []
    for held_out in (clean, X[300:]):
        scores = [fitted(X[:300], prior=prior).score(held_out) for prior in ("uniform", "laplace")]
        differences.append(scores[0] - scores[1])
    assert differences[0] > 0.1
    assert abs(differences[1] - differences[0]) < 0.1
    assert fitted(X[:300], prior="uniform").score(X[300:]) > -1000
    assert fitted(X[:300], prior="uniform", contamination=0).score(X[300:]) < -100


def test_clean_fits_are_scored_as_ever():
    X, _, _ = make_sinusoid_mixtures(300, 20, noise=0.05, random_state=0)
    model, kept = fitted(X, prior="uniform"), fitted(X, prior="uniform", contamination=0)
    np.testing.assert_array_equal(model.score_samples(X), kept.score_samples(X))
    X[5] *= 100
    robust = fitted(X, prior="uniform")
    others = np.delete(X, 5, axis=0)
    plain = -robust._state.losses(others)
    np.testing.assert_allclose(robust.score_samples(others), plain + np.log1p(-1 / 300), rtol=1e-5)
    assert robust.loss_ == pytest.approx(-plain.mean(), rel=1e-9)
