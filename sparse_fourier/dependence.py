"""What codes tell of each other, two by two: do they depend, fill a box evenly, visit its corners."""

from __future__ import annotations

import itertools

import numpy as np

_POWERS, _POWERS_ALONE = 3, 4
_STANDARD_ERRORS = 5.0
_STANDARD_ERRORS_OF_EVEN = 3.0
_STANDARD_ERRORS_OF_FACES = 2.5
_CORNER = 0.25
_VISITED = 0.05
_FOURFOLD_OF_A_SQUARE = 2.4
_SHOWN_BY_A_SQUARE, _SHOWN_BY_CHANCE = 4.5, 2.2  # standard errors
_ROWS_TO_TURN = 2000


def is_even(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> bool:
    """Return whether codes fill the unit box evenly, as far as polynomials of two at a time can tell."""
    total = _unevenness(_legendre(2 * codes.T - 1, _POWERS_ALONE), weights, n_samples)
    return _is_chi_squared(total, codes.shape[1], _POWERS_ALONE, _STANDARD_ERRORS_OF_EVEN)


def reaches_faces(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> bool:
    """Return whether codes that fill the unit box about evenly are as frequent near its faces as elsewhere.

    Where a density falls towards both ends, the mean of the second Legendre polynomial is negative; it is
    normal where codes are even, and so is the sum over codes.
    """
    powers = _legendre(2 * codes.T - 1, _POWERS_ALONE)
    k = codes.shape[1]
    centred = -np.sqrt(n_samples / k) * float((powers[:, 1] @ weights).sum())
    about = _is_chi_squared(_unevenness(powers, weights, n_samples), k, _POWERS_ALONE)
    return about and centred <= _STANDARD_ERRORS_OF_FACES


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


def turning_pairs(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[tuple[int, int]]:
    """Return the pairs of codes that look the same from every side, where a square would have shown.

    With codes x and y, whitened, the mean of (x + iy)^4 is zero where a turn changes nothing, and 2.4 in size
    where a square is filled evenly. Many rows are judged by some of them.
    """
    step = -(-len(codes) // _ROWS_TO_TURN)
    codes, weights = codes[::step], weights[::step]
    seen, share = n_samples * float(weights.sum()), weights / weights.sum()
    pairs = itertools.combinations(range(codes.shape[1]), 2)
    return [pair for pair in pairs if _turns(codes[:, pair], share, seen)]


def _turns(pair: np.ndarray, share: np.ndarray, n_samples: float) -> bool:
    pair = pair - share @ pair
    (a, b), (_, c) = (pair * share[:, None]).T @ pair
    left = np.sqrt(max(a * c - b * b, np.finfo(float).tiny))
    z = (pair[:, 0] + 1j * (a * pair[:, 1] - b * pair[:, 0]) / left) / np.sqrt(a)
    fourth = z * z * z * z
    error = np.sqrt(share @ (fourth.real**2 + fourth.imag**2) / n_samples)
    shown = abs(share @ fourth)
    return bool(_SHOWN_BY_A_SQUARE * error < _FOURFOLD_OF_A_SQUARE and shown < _SHOWN_BY_CHANCE * error)


def _unevenness(powers: np.ndarray, weights: np.ndarray, n_samples: float) -> float:
    """Return the squared means of all powers of each code and of products of two, times n."""
    singles = n_samples * float(((powers @ weights) ** 2).sum())
    return singles + _dependence(powers[:, :_POWERS], weights, n_samples)


def _dependence(powers: np.ndarray, weights: np.ndarray, n_samples: float) -> float:
    """Return the squared correlations of all powers of every two codes, times the number of samples."""
    pairs = itertools.combinations(powers, 2)
    return n_samples * sum(float((((one * weights) @ other.T) ** 2).sum()) for one, other in pairs)


def _is_chi_squared(total: float, k: int, n_singles: int, standard_errors: float = _STANDARD_ERRORS) -> bool:
    """Return whether a sum of squares over pairs of k codes, and some of each, is as small as by chance."""
    expected = _POWERS**2 * k * (k - 1) / 2 + n_singles * k
    return total <= expected + standard_errors * np.sqrt(2 * expected)


def _ranks(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of weight below each code."""
    order = np.argsort(codes, axis=0, kind="stable")
    below = np.cumsum(weights[order], axis=0) - 0.5 * weights[order]
    ranks = np.empty_like(codes)
    np.put_along_axis(ranks, order, below, axis=0)
    return ranks


def _legendre(x: np.ndarray, n_powers: int = _POWERS) -> np.ndarray:
    """Return the first polynomials, of variance one over [-1, 1], of shape (k, n_powers, n)."""
    polynomials = [np.ones_like(x), x]
    for p in range(1, n_powers):
        polynomials.append(((2 * p + 1) * x * polynomials[p] - p * polynomials[p - 1]) / (p + 1))
    return np.stack([np.sqrt(2 * p + 1) * values for p, values in enumerate(polynomials) if p], axis=1)
