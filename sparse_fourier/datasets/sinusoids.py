"""Mixtures of sinusoids."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike
from scipy.special import ndtr
from sklearn.utils import check_random_state

from sparse_fourier.datasets.checks import check_counts, check_noise
from sparse_fourier.datasets.draws import Array, with_noise
from sparse_fourier.exceptions import invalid

CodeSampler = Callable[[RandomState, tuple[int, int]], ArrayLike]


def _dependent(rng: RandomState, shape: tuple[int, int]) -> Array:
    """Draw codes uniform on (0, 1), every two of correlation 1/2, by a Gaussian copula."""
    latent = 2 * np.sin(np.pi / 12)
    shared, own = rng.standard_normal((shape[0], 1)), rng.standard_normal(shape)
    return ndtr(np.sqrt(latent) * shared + np.sqrt(1 - latent) * own)


def _bimodal(rng: RandomState, shape: tuple[int, int]) -> Array:
    """Draw from two Gaussians of equal weight whose peaks overlap."""
    return rng.choice([-0.5, 0.5], shape) + 0.3 * rng.standard_normal(shape)


_CODES: dict[str, CodeSampler] = {
    "uniform": lambda rng, shape: rng.uniform(size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "gaussian": lambda rng, shape: rng.standard_normal(size=shape),
    "beta": lambda rng, shape: rng.beta(0.5, 0.5, size=shape),
    "simplex": lambda rng, shape: rng.dirichlet(np.ones(shape[1]), size=shape[0]),
    "unequal": lambda rng, shape: rng.standard_normal(size=shape) * np.linspace(1.0, 0.4, shape[1]),
    "skewed": lambda rng, shape: rng.gamma(2.0, size=shape),
    "bimodal": _bimodal,
    "heavy-tailed": lambda rng, shape: rng.standard_t(3.0, size=shape),
    "dependent": _dependent,
}


def make_sinusoid_mixtures(
    n_samples: int = 300,
    n_features: int = 30,
    *,
    interval: tuple[float, float] = (0.0, np.pi),
    frequencies: Sequence[float] = (1.0, 2.0),
    codes: str | CodeSampler = "uniform",
    noise: float = 0.0,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw signals that are random mixtures of a few sinusoids, and return the truth with them.

    Every signal is

    .. math:: x_i = \sum_j h_{ij} \sin(\omega_j t) + \sigma \varepsilon_i ,

    sampled at `n_features` equally spaced points t of the interval, both ends included. With the default
    parameters these are the signals a sin(t) + b sin(2t) with a and b uniform on (0, 1).

    Parameters
    ----------
    n_samples : int, default=300
        Number of signals.
    n_features : int, default=30
        Number of points per signal.
    interval : tuple of two floats, default=(0, pi)
        First and last point t.
    frequencies : sequence of k floats, default=(1, 2)
        Angular frequencies, in radians per unit of t.
    codes : str or callable, default='uniform'
        Distribution of the weights h, independent of each other but for two. 'uniform': on (0, 1). 'laplace':
        with mean 0 and scale 1. 'exponential': with mean 1. 'gaussian': standard normal. 'unequal': Gaussian,
        of standard deviations from 1 down to 0.4. 'beta': Beta(1/2, 1/2), on [0, 1] with most mass at the
        ends. 'skewed': gamma of shape 2. 'bimodal': two Gaussians of standard deviation 0.3 at -0.5 and 0.5.
        'heavy-tailed': Student's t with 3 degrees of freedom. 'simplex': uniform on the shares that sum to
        one. 'dependent': uniform on (0, 1), every two of correlation 1/2, by a Gaussian copula. A callable is
        called once, as ``codes(rng, (n_samples, k))`` with `rng` a :class:`numpy.random.RandomState`, and
        returns an array of that shape.
    noise : float, default=0
        Standard deviation of the white Gaussian noise added to every entry.
    random_state : int, RandomState instance or None, default=None
        Seed of codes and noise; codes are drawn first, so that the noise level leaves them unchanged.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row.
    codes : ndarray of shape (n_samples, k)
        The weights h.
    components : ndarray of shape (k, n_features)
        The sinusoids, of amplitude 1, in the order of `frequencies`. Without noise,
        ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range, or the callable's result is not a finite array of the right shape.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> X, codes, components = make_sinusoid_mixtures(n_samples=5, random_state=0)
    >>> X.shape, codes.shape, components.shape
    ((5, 30), (5, 2), (2, 30))
    >>> bool((X == codes @ components).all())
    True
    """
    check_counts("make_sinusoid_mixtures", n_samples=n_samples, n_features=n_features)
    check_noise("make_sinusoid_mixtures", noise)
    points = np.linspace(*_interval(interval), int(n_features))
    components = np.sin(np.outer(_frequencies(frequencies), points))
    rng = check_random_state(random_state)
    drawn = _draw_codes(codes, rng, (int(n_samples), len(components)))
    return with_noise(drawn @ components, noise, rng), drawn, components


def _draw_codes(codes: str | CodeSampler, rng: RandomState, shape: tuple[int, int]) -> Array:
    sampler = codes if callable(codes) else _named_codes(codes)
    drawn = np.array(sampler(rng, shape), dtype=np.float64)
    if drawn.shape != shape or not np.isfinite(drawn).all():
        constraint = f"a callable that returns an array of finite numbers of shape {shape}"
        got = (
            f"an array of shape {drawn.shape} with {np.count_nonzero(~np.isfinite(drawn))} non-finite entries"
        )
        raise invalid("make_sinusoid_mixtures", "codes", constraint, got)
    return drawn


def _named_codes(name: str) -> CodeSampler:
    if not isinstance(name, str) or name not in _CODES:
        constraint = f"a str among {sorted(_CODES)} or a callable"
        raise invalid("make_sinusoid_mixtures", "codes", constraint, repr(name))
    return _CODES[name]


def _interval(interval: tuple[float, float]) -> tuple[float, float]:
    ends = _finite_numbers(interval)
    if len(ends) != 2 or not ends[0] < ends[1]:
        constraint = "two finite numbers (start, stop) with start < stop"
        raise invalid("make_sinusoid_mixtures", "interval", constraint, repr(interval))
    return float(ends[0]), float(ends[1])


def _frequencies(frequencies: Sequence[float]) -> Array:
    numbers = _finite_numbers(frequencies)
    if len(numbers) == 0:
        constraint = "a non-empty sequence of finite numbers"
        raise invalid("make_sinusoid_mixtures", "frequencies", constraint, repr(frequencies))
    return numbers


def _finite_numbers(values: ArrayLike) -> Array:
    """Return the values as a vector of float64; an empty one if they are anything but finite real numbers."""
    try:
        array = np.asarray(values)
    except ValueError:
        return np.empty(0)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        return np.empty(0)
    return array.astype(np.float64)
