"""What codes tell of each other, two by two: do they depend, fill a box evenly, visit its corners."""

from __future__ import annotations

import itertools

import numpy as np

_POWERS = 3
_STANDARD_ERRORS = 5.0
_CORNER = 0.25
_VISITED = 0.05


def is_even(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> bool:
    """Return whether codes fill the unit box evenly, as far as polynomials of two at a time can tell."""
    powers = _legendre(2 * codes.T - 1)
    singles = n_samples * float(((powers @ weights) ** 2).sum())
    return _is_chi_squared(singles + _dependence(powers, weights, n_samples), codes.shape[1], _POWERS)


def are_dependent(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> bool:
    """Return whether codes depend on each other, two by two.

    Polynomials of their ranks are uncorrelated where codes are independent; the sum of their squared
    correlations is then a chi-squared variable.
    """
    return not _is_chi_squared(dependence(codes, weights, n_samples), codes.shape[1], 0)


def dependence(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> float:
    """Return the squared correlations of all polynomials of the ranks of every two codes, times n."""
    return _dependence(_legendre(2 * _ranks(codes, weights).T - 1), weights, n_samples)


def visits_corners(codes: np.ndarray, weights: np.ndarray) -> bool:
    """Return whether every two codes come near all four corners of their square."""
    low, high = codes < _CORNER, codes > 1 - _CORNER
    least = _VISITED * _CORNER**2
    return all(
        weights @ (one[:, i] & other[:, j]) > least
        for i, j in itertools.combinations(range(codes.shape[1]), 2)
        for one in (low, high)
        for other in (low, high)
    )


def _dependence(powers: np.ndarray, weights: np.ndarray, n_samples: float) -> float:
    """Return the squared correlations of all powers of every two codes, times the number of samples."""
    pairs = itertools.combinations(powers, 2)
    return n_samples * sum(float((((one * weights) @ other.T) ** 2).sum()) for one, other in pairs)


def _is_chi_squared(total: float, k: int, n_singles: int) -> bool:
    """Return whether a sum of squares over pairs of k codes, and some of each, is as small as by chance."""
    expected = _POWERS**2 * k * (k - 1) / 2 + n_singles * k
    return total <= expected + _STANDARD_ERRORS * np.sqrt(2 * expected)


def _ranks(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of weight below each code."""
    order = np.argsort(codes, axis=0, kind="stable")
    below = np.cumsum(weights[order], axis=0) - 0.5 * weights[order]
    ranks = np.empty_like(codes)
    np.put_along_axis(ranks, order, below, axis=0)
    return ranks


def _legendre(x: np.ndarray) -> np.ndarray:
    """Return the first polynomials, of variance one over [-1, 1], of shape (k, n_powers, n)."""
    polynomials = x, 0.5 * (3 * x**2 - 1), 0.5 * (5 * x**3 - 3 * x)
    return np.stack([np.sqrt(2 * p + 1) * values for p, values in enumerate(polynomials, 1)], axis=1)
