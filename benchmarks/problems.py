"""The signals of the acceptance table, each with its truth."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from sparse_fourier.datasets import (
    make_bars,
    make_independent_mixtures,
    make_nonnegative_mixtures,
    make_proportions,
    make_sinusoid_mixtures,
)

HALF = (0.0, np.pi / 2)
FULL = (0.0, np.pi)


class Sample(NamedTuple):
    """Signals (n, d) with the codes (n, k) and components (k, d) that they were made of."""

    X: np.ndarray
    codes: np.ndarray
    components: np.ndarray


def seed_signals(seed, n, interval=FULL, noise=0.0):
    """Signals a sin(x) + b sin(2x) of 30 points, a and b uniform on (0, 1)."""
    return Sample(*make_sinusoid_mixtures(n, 30, interval=interval, noise=noise, random_state=seed))


def harmonics(seed, n, k, *, n_features=100, codes="uniform", noise=0.0):
    """Mixtures of sin(x) to sin(kx) on [0, pi]."""
    return Sample(
        *make_sinusoid_mixtures(
            n, n_features, frequencies=range(1, k + 1), codes=codes, noise=noise, random_state=seed
        )
    )


def regime(seed, n, k, codes, snr_db=None):
    """Mixtures of sin(x) to sin(kx) of 30 points, or of spectra where codes are proportions; noise in dB.

    The noise is measured against the signals less their mean.
    """
    if codes == "simplex":
        sample = proportions(seed, n, k, None)
    else:
        sample = harmonics(seed, n, k, n_features=30, codes=codes)
    if snr_db is None:
        return sample
    X, rng = sample.X, np.random.RandomState([seed, 20])
    level = (X - X.mean(axis=0)).std() * 10 ** (-snr_db / 20)
    return sample._replace(X=X + level * rng.standard_normal(X.shape))


def copula_codes(rng, shape, correlation=0.5):
    """Codes uniform on (0, 1) joined by a Gaussian copula: every two correlate by `correlation`.

    The density is positive everywhere, so all corners are visited, those off the diagonal rarely.
    """
    latent = 2 * np.sin(np.pi / 6 * correlation)
    covariance = np.full((shape[1], shape[1]), latent)
    np.fill_diagonal(covariance, 1.0)
    return norm.cdf(rng.multivariate_normal(np.zeros(shape[1]), covariance, size=shape[0]))


def comonotone_codes(rng, shape, correlation=0.5):
    """Codes uniform on (0, 1), all equal with probability `correlation`, otherwise independent."""
    codes = rng.uniform(size=shape)
    same = rng.uniform(size=shape[0]) < correlation
    codes[same] = codes[same, :1]
    return codes


def independent(seed, n, density, k=2):
    """Square mixtures of independent codes of unit variance."""
    return Sample(*make_independent_mixtures(n, k, density, random_state=seed))


def spectra(seed, n=1000, k=4, sparsity=0.5, snr_db=None):
    """Non-negative mixtures of smooth non-negative spectra of 100 points."""
    return Sample(*make_nonnegative_mixtures(n, k, sparsity=sparsity, snr_db=snr_db, random_state=seed))


def proportions(seed, n, k, snr_db, max_share=1.0):
    """Proportions of smooth positive spectra of 100 bands."""
    return Sample(*make_proportions(n, k, max_share=max_share, snr_db=snr_db, random_state=seed))


def hidden_bars(seed, n=400):
    """Images of 8 x 8 pixels of bars that hide each other, each lit with probability 1/8."""
    return Sample(*make_bars(n, 8, combine="max", random_state=seed))
