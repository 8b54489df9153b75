"""The signals of the acceptance table, each with its truth."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from sparse_fourier.datasets import make_sinusoid_mixtures

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
