"""Signals to learn from: mixtures of sinusoids with known truth, and frames of one long recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

__all__ = ["frames", "make_sinusoid_mixtures"]

Array = NDArray[np.float64]
CodeSampler = Callable[[RandomState, tuple[int, int]], ArrayLike]

_CODES: dict[str, CodeSampler] = {
    "uniform": lambda rng, shape: rng.uniform(size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "gaussian": lambda rng, shape: rng.standard_normal(size=shape),
    "beta": lambda rng, shape: rng.beta(0.5, 0.5, size=shape),
    "simplex": lambda rng, shape: rng.dirichlet(np.ones(shape[1]), size=shape[0]),
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
    codes : {'uniform', 'laplace', 'exponential', 'gaussian', 'beta', 'simplex'} or callable
        Distribution of the weights h, independent of each other but for 'simplex': uniform on (0, 1); Laplace
        with mean 0 and scale 1; exponential with mean 1; standard normal; Beta(1/2, 1/2), on [0, 1] with most
        mass at the ends; uniform on the shares that sum to one. A callable is called once,
        as ``codes(rng, (n_samples, k))`` with `rng` a :class:`numpy.random.RandomState`, and returns an array
        of that shape.
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
    _check_counts("make_sinusoid_mixtures", n_samples=n_samples, n_features=n_features)
    _check_noise(noise)
    points = np.linspace(*_interval(interval), int(n_features))
    components = np.sin(np.outer(_frequencies(frequencies), points))
    rng = check_random_state(random_state)
    drawn = _draw_codes(codes, rng, (int(n_samples), len(components)))
    X = drawn @ components
    if noise > 0:
        X += noise * rng.standard_normal(X.shape)
    return X, drawn, components


def frames(signal: ArrayLike, length: int, hop: int | None = None) -> NDArray[np.floating[Any]]:
    """Cut one long recording into rows of equal length.

    Row i holds the samples from ``i * hop`` to ``i * hop + length``, the last one excluded. Samples at the
    end that do not fill a frame are left out.

    Parameters
    ----------
    signal : array-like of shape (n_times,)
        The recording. A :class:`numpy.memmap` is read frame by frame.
    length : int
        Samples per frame, at most n_times.
    hop : int, default=None
        Samples from the start of one frame to the start of the next: smaller than `length` for frames that
        overlap, larger to leave samples out. None is `length`: frames side by side.

    Returns
    -------
    ndarray of shape (1 + (n_times - length) // hop, length)
        The frames: a copy, C-contiguous and writable, in the signal's floating dtype; integers become
        float64.

    Raises
    ------
    ValueError
        If the signal is not a one-dimensional array of real numbers, is shorter than one frame, or a
        parameter is out of range.

    Examples
    --------
    >>> from sparse_fourier.datasets import frames
    >>> frames([0.0, 1.0, 2.0, 3.0, 4.0], length=3, hop=2)
    array([[0., 1., 2.],
           [2., 3., 4.]])
    """
    step = length if hop is None else hop
    _check_counts("frames", length=length, hop=step)
    samples = _recording(signal)
    if len(samples) < length:
        constraint = f"an int in the range [1, {len(samples)}], the number of samples of 'signal'"
        raise _invalid("frames", "length", constraint, repr(length))
    windows = np.lib.stride_tricks.sliding_window_view(samples, length)[::step]
    dtype = samples.dtype if samples.dtype.kind == "f" else np.float64
    return np.array(windows, dtype=dtype, order="C")


def _draw_codes(codes: str | CodeSampler, rng: RandomState, shape: tuple[int, int]) -> Array:
    sampler = codes if callable(codes) else _named_codes(codes)
    drawn = np.array(sampler(rng, shape), dtype=np.float64)
    if drawn.shape != shape or not np.isfinite(drawn).all():
        constraint = f"a callable that returns an array of finite numbers of shape {shape}"
        got = (
            f"an array of shape {drawn.shape} with {np.count_nonzero(~np.isfinite(drawn))} non-finite entries"
        )
        raise _invalid("make_sinusoid_mixtures", "codes", constraint, got)
    return drawn


def _named_codes(name: str) -> CodeSampler:
    if not isinstance(name, str) or name not in _CODES:
        constraint = f"a str among {sorted(_CODES)} or a callable"
        raise _invalid("make_sinusoid_mixtures", "codes", constraint, repr(name))
    return _CODES[name]


def _interval(interval: tuple[float, float]) -> tuple[float, float]:
    ends = _finite_numbers(interval)
    if len(ends) != 2 or not ends[0] < ends[1]:
        constraint = "two finite numbers (start, stop) with start < stop"
        raise _invalid("make_sinusoid_mixtures", "interval", constraint, repr(interval))
    return float(ends[0]), float(ends[1])


def _frequencies(frequencies: Sequence[float]) -> Array:
    numbers = _finite_numbers(frequencies)
    if len(numbers) == 0:
        constraint = "a non-empty sequence of finite numbers"
        raise _invalid("make_sinusoid_mixtures", "frequencies", constraint, repr(frequencies))
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


def _check_noise(noise: float) -> None:
    if not (isinstance(noise, Real) and 0 <= noise < np.inf):
        raise _invalid("make_sinusoid_mixtures", "noise", "a float in the range [0.0, inf)", repr(noise))


def _check_counts(function: str, **counts: int) -> None:
    for name, count in counts.items():
        if not (isinstance(count, Integral) and count >= 1):
            raise _invalid(function, name, "an int in the range [1, inf)", repr(count))


def _recording(signal: ArrayLike) -> NDArray[Any]:
    """Return the signal as an array of one dimension; neither copied nor read."""
    samples = np.asarray(signal)
    if samples.ndim != 1 or samples.size == 0 or samples.dtype.kind not in "biuf":
        constraint = "a non-empty 1-D array of real numbers (cut channels one by one and stack the frames)"
        got = f"an array of shape {samples.shape} and dtype {samples.dtype}"
        raise _invalid("frames", "signal", constraint, got)
    return samples


def _invalid(function: str, name: str, constraint: str, got: str) -> ValueError:
    return ValueError(f"The {name!r} parameter of {function} must be {constraint}. Got {got} instead.")
