"""Mixtures of independent codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from sklearn.utils import check_random_state

from sparse_fourier.datasets.checks import check_counts, check_noise
from sparse_fourier.datasets.draws import Array, with_noise
from sparse_fourier.exceptions import invalid


class _Mixture(NamedTuple):
    """Weights, which need not add up to one, means and standard deviations of a mixture of Gaussians."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    widths: tuple[float, ...]


_MIXTURES = {
    "g": _Mixture((1, 1), (-0.5, 0.5), (0.15, 0.15)),
    "h": _Mixture((1, 1), (-0.5, 0.5), (0.4, 0.4)),
    "i": _Mixture((1, 1), (-0.5, 0.5), (0.5, 0.5)),
    "j": _Mixture((1, 3), (-0.5, 0.5), (0.15, 0.15)),
    "k": _Mixture((1, 2), (-0.7, 0.5), (0.4, 0.4)),
    "l": _Mixture((1, 2), (-0.7, 0.5), (0.5, 0.5)),
    "m": _Mixture((1, 2, 2, 1), (-1, -0.33, 0.33, 1), (0.16, 0.16, 0.16, 0.16)),
    "n": _Mixture((1, 2, 2, 1), (-1, -0.2, 0.2, 1), (0.2, 0.3, 0.3, 0.2)),
    "o": _Mixture((1, 2, 2, 1), (-0.7, -0.2, 0.2, 0.7), (0.2, 0.3, 0.3, 0.2)),
    "p": _Mixture((1, 1, 2, 1), (-1, 0.3, -0.3, 1.1), (0.2, 0.2, 0.2, 0.2)),
    "q": _Mixture((1, 3, 2, 0.5), (-1, -0.2, 0.3, 1), (0.2, 0.3, 0.2, 0.2)),
    "r": _Mixture((1, 2, 2, 1), (-0.8, -0.2, 0.2, 0.5), (0.22, 0.3, 0.3, 0.2)),
}

#: Draws of mean 0 and variance 1; those of ``_MIXTURES`` besides.
_STANDARD: dict[str, Callable[[RandomState, int], Array]] = {
    "a": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "b": lambda rng, n: rng.laplace(size=n) / np.sqrt(2),
    "c": lambda rng, n: rng.uniform(-1, 1, n) * np.sqrt(3),
    "d": lambda rng, n: rng.standard_t(5, n) / np.sqrt(5 / 3),
    "e": lambda rng, n: rng.exponential(size=n) - 1,
    "f": lambda rng, n: (rng.choice([-1, 1], n) + rng.laplace(size=n) / np.sqrt(8)) / np.sqrt(1.25),
    "gaussian": lambda rng, n: rng.standard_normal(n),
    "sech": lambda rng, n: np.arcsinh(np.tan(np.pi * (rng.uniform(size=n) - 0.5))) * 2 / np.pi,
}

_SYNONYMS = {"laplace": "b", "uniform": "c", "exponential": "e"}

_DENSITIES = sorted({*_MIXTURES, *_STANDARD, *_SYNONYMS})


def make_independent_mixtures(
    n_samples: int = 1000,
    n_components: int = 2,
    density: str | Sequence[str] = "laplace",
    *,
    n_features: int | None = None,
    noise: float = 0.0,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw random mixtures of independent codes, the data of independent component analysis.

    Every signal is

    .. math:: x_i = \sum_j h_{ij} w_j + \sigma \varepsilon_i ,

    the codes independent, each of mean 0 and variance 1.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of signals.
    n_components : int, default=2
        Number of codes k.
    density : str or sequence of k str, default="laplace"
        Density of the codes: one for all, or one for each. "a" to "r" are the eighteen of [1]_: Student's t
        with 3 degrees of freedom (a), Laplace (b), uniform (c), Student's t with 5 degrees of freedom (d),
        exponential less its mean (e), two Laplace (f), two Gaussians of equal weight with two peaks, on the
        verge, and one peak (g, h, i), the same of unequal weights (j, k, l), four Gaussians, symmetric (m, n,
        o) and not (p, q, r). "laplace", "uniform" and "exponential" are other names of b, c and e; "sech" is
        the hyperbolic secant, and "gaussian" what no such analysis can separate.
    n_features : int, default=None
        Number of features d; None is k.
    noise : float, default=0
        Standard deviation of the white Gaussian noise added to every entry.
    random_state : int, RandomState instance or None, default=None
        Seed of codes, components and noise, drawn in this order.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row.
    codes : ndarray of shape (n_samples, n_components)
        The weights h.
    components : ndarray of shape (n_components, n_features)
        The rows w: with d = k a random matrix of condition number between 1 and 2, as in [1]_; else standard
        normal entries. Without noise, ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] F. R. Bach and M. I. Jordan. Kernel independent component analysis. Journal of Machine Learning
       Research 3, 1-48, 2002.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_independent_mixtures
    >>> X, codes, components = make_independent_mixtures(
    ...     5000, 3, density=["laplace", "uniform", "m"], random_state=0
    ... )
    >>> X.shape, codes.shape, components.shape
    ((5000, 3), (5000, 3), (3, 3))
    >>> [float(variance) for variance in codes.var(axis=0).round(1)]
    [1.0, 1.0, 1.0]
    """
    check_counts("make_independent_mixtures", n_samples=n_samples, n_components=n_components)
    n_features = n_components if n_features is None else n_features
    check_counts("make_independent_mixtures", n_features=n_features)
    check_noise("make_independent_mixtures", noise)
    names = _densities(density, n_components)
    rng = check_random_state(random_state)
    codes = np.stack([_standard_draws(name, rng, int(n_samples)) for name in names], axis=1)
    components = _mixing(rng, int(n_components), int(n_features))
    return with_noise(codes @ components, noise, rng), codes, components


def _densities(density: str | Sequence[str], k: int) -> list[str]:
    """Return one name of a density for each of k codes."""
    names = [density] * k if isinstance(density, str) else density
    if not isinstance(names, Sequence) or any(name not in _DENSITIES for name in names):
        constraint = f"a str among {_DENSITIES} or a sequence of them"
        raise invalid("make_independent_mixtures", "density", constraint, repr(density))
    if len(names) != k:
        constraint = f"a str or as many of them as 'n_components', {k}"
        raise invalid("make_independent_mixtures", "density", constraint, f"{len(names)} names")
    return [_SYNONYMS.get(name, name) for name in names]


def _standard_draws(name: str, rng: RandomState, n: int) -> Array:
    """Draw from a density of mean 0 and variance 1."""
    if name in _STANDARD:
        return _STANDARD[name](rng, n)
    weights, means, widths = map(np.array, _MIXTURES[name])
    weights = weights / weights.sum()
    mean = weights @ means
    chosen = rng.choice(len(weights), n, p=weights)
    draws = means[chosen] + widths[chosen] * rng.standard_normal(n)
    return (draws - mean) / np.sqrt(weights @ (means**2 + widths**2) - mean**2)


def _mixing(rng: RandomState, k: int, n_features: int) -> Array:
    """Draw mixing rows: a square matrix of condition number between 1 and 2, else a Gaussian one."""
    if n_features != k:
        return rng.standard_normal((k, n_features))
    left, right = (np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(2))
    return left * np.append(1.0, rng.uniform(1, 2, k - 1)) @ right
