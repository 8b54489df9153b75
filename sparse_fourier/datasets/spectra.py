"""Mixtures of smooth spectra: amounts that are not negative, and proportions."""

from __future__ import annotations

from math import comb
from numbers import Real

import numpy as np
from numpy.random import RandomState
from sklearn.utils import check_random_state

from sparse_fourier.datasets.checks import check_counts, check_decibels, check_number
from sparse_fourier.datasets.draws import Array, with_decibels
from sparse_fourier.exceptions import invalid

#: Rejection draws of proportions are not begun where fewer than this share of them would be kept.
_LEAST_KEPT = 1e-3

_BANDS = 3


def make_nonnegative_mixtures(
    n_samples: int = 1000,
    n_components: int = 4,
    n_features: int = 100,
    *,
    sparsity: float = 0.5,
    snr_db: float | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw non-negative mixtures of smooth non-negative spectra, the data of non-negative factorisation.

    Every signal is :math:`x_i = \sum_j h_{ij} w_j` and noise, with spectra w of three Gaussian bands each and
    codes h that are zero with probability `sparsity` and exponential with mean 1 otherwise.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of signals.
    n_components : int, default=4
        Number of spectra k.
    n_features : int, default=100
        Number of points per spectrum.
    sparsity : float, default=0.5
        Probability, in [0, 1), that a code is zero. With 0 codes are plain exponential.
    snr_db : float, default=None
        Signal-to-noise ratio in decibels: that of the mean square of all entries of ``codes @ components`` to
        the variance of the white Gaussian noise, whatever the sign of what comes out. None: no noise.
    random_state : int, RandomState instance or None, default=None
        Seed of spectra, codes and noise, drawn in this order, so that the noise leaves the others unchanged.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row; non-negative without noise.
    codes : ndarray of shape (n_samples, n_components)
        The weights h.
    components : ndarray of shape (n_components, n_features)
        The spectra. Without noise, ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_nonnegative_mixtures
    >>> X, codes, components = make_nonnegative_mixtures(1000, 4, sparsity=0.5, random_state=0)
    >>> X.shape, codes.shape, components.shape
    ((1000, 100), (1000, 4), (4, 100))
    >>> round(float((codes == 0).mean()), 1)
    0.5
    """
    function = "make_nonnegative_mixtures"
    check_counts(function, n_samples=n_samples, n_components=n_components, n_features=n_features)
    check_number(function, "sparsity", sparsity, lambda value: 0 <= value < 1, "[0.0, 1.0)")
    check_decibels(function, snr_db)
    rng = check_random_state(random_state)
    components = _spectra(rng, int(n_components), int(n_features), widths=(0.02, 0.08))
    codes = rng.exponential(size=(int(n_samples), int(n_components)))
    if sparsity > 0:
        codes[rng.uniform(size=codes.shape) < sparsity] = 0.0
    return with_decibels(codes @ components, snr_db, rng), codes, components


def make_proportions(
    n_samples: int = 1000,
    n_components: int = 3,
    n_features: int = 100,
    *,
    max_share: float = 1.0,
    snr_db: float | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw mixtures whose codes are proportions of smooth positive spectra, the data of spectral unmixing.

    Every signal is :math:`x_i = \sum_j h_{ij} w_j` and noise, with shares h that are not negative and sum to
    one, uniform on that simplex as far as no share exceeds `max_share`: with less than 1, no signal is pure.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of signals.
    n_components : int, default=3
        Number of spectra k.
    n_features : int, default=100
        Number of bands.
    max_share : float, default=1
        Largest share, in (1/k, 1]. Draws with a larger one are rejected, so that it must leave at least one
        in a thousand.
    snr_db : float, default=None
        Signal-to-noise ratio in decibels: that of the mean square of all entries of ``codes @ components`` to
        the variance of the white Gaussian noise. None: no noise.
    random_state : int, RandomState instance or None, default=None
        Seed of spectra, shares and noise, drawn in this order, so that the noise leaves the others unchanged.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row.
    codes : ndarray of shape (n_samples, n_components)
        The shares h.
    components : ndarray of shape (n_components, n_features)
        The spectra: three broad Gaussian bands each, on a constant of 0.2. Without noise,
        ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_proportions
    >>> X, codes, components = make_proportions(500, 3, max_share=0.8, random_state=0)
    >>> X.shape, codes.shape, components.shape
    ((500, 100), (500, 3), (3, 100))
    >>> bool(codes.max() <= 0.8), bool((abs(codes.sum(axis=1) - 1) < 1e-12).all())
    (True, True)
    """
    function = "make_proportions"
    check_counts(function, n_samples=n_samples, n_components=n_components, n_features=n_features)
    _check_share(max_share, int(n_components))
    check_decibels(function, snr_db)
    rng = check_random_state(random_state)
    components = 0.2 + _spectra(rng, int(n_components), int(n_features), widths=(0.05, 0.2))
    codes = _shares(rng, int(n_samples), int(n_components), float(max_share))
    return with_decibels(codes @ components, snr_db, rng), codes, components


def _spectra(rng: RandomState, k: int, n_features: int, widths: tuple[float, float]) -> Array:
    """Draw sums of Gaussian bands on [0, 1]; the widths are standard deviations."""
    shape = (k, _BANDS, 1)
    heights, centres = rng.uniform(0.3, 1, shape), rng.uniform(size=shape)
    offsets = (np.linspace(0, 1, n_features) - centres) / rng.uniform(*widths, shape)
    return (heights * np.exp(-(offsets**2) / 2)).sum(axis=1)


def _shares(rng: RandomState, n: int, k: int, max_share: float) -> Array:
    """Draw points of the simplex, uniform where no share exceeds the largest one."""
    kept = np.empty((0, k))
    while len(kept) < n:
        drawn = rng.dirichlet(np.ones(k), size=n)
        kept = np.vstack([kept, drawn[drawn.max(axis=1) <= max_share]])
    return kept[:n]


def _kept_share(max_share: float, k: int) -> float:
    """Return the probability that no share of a uniform point of the simplex exceeds the largest one."""
    terms = (
        (-1) ** j * comb(k, j) * (1 - j * max_share) ** (k - 1) for j in range(k + 1) if j * max_share < 1
    )
    return sum(terms)


def _check_share(max_share: float, k: int) -> None:
    if not (isinstance(max_share, Real) and 1 / k <= max_share <= 1):
        constraint = f"a float in the range (1/n_components, 1.0], here ({1 / k:.4g}, 1.0]"
        raise invalid("make_proportions", "max_share", constraint, repr(max_share))
    if _kept_share(float(max_share), k) < _LEAST_KEPT:
        constraint = f"larger: fewer than one in {1 / _LEAST_KEPT:.0f} of the points have shares so small"
        raise invalid("make_proportions", "max_share", constraint, repr(max_share))
