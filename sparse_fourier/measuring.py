"""Signals beside codes of theirs: what one pass over them, a block at a time, tells of any decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

_ENTRIES_OF_A_BLOCK = 2**18
_LEAST_SHARE = 1e-9


class Moments(NamedTuple):
    """Means over signals, counted from a pivot, and over their codes.

    Attributes
    ----------
    pivot : array of shape (d,)
    mean : array of shape (d,)
        Of signals minus the pivot.
    square : float
        Of the length of these.
    code : array of shape (k,)
        Of the codes.
    gram : array of shape (k, k)
        Of products of two codes.
    cross : array of shape (k, d)
        Of products of a code and an entry.
    """

    pivot: np.ndarray
    mean: np.ndarray
    square: float
    code: np.ndarray
    gram: np.ndarray
    cross: np.ndarray

    @property
    def average(self) -> np.ndarray:
        """Mean signal, of shape (d,)."""
        return self.pivot + self.mean

    @property
    def spread(self) -> float:
        """Sum over features of their variances."""
        return max(self.square - float(self.mean @ self.mean), 0.0)

    def error(self, components: np.ndarray, intercept: np.ndarray) -> float:
        """Return the mean squared length of what a decoder leaves of signals, up to rounding of `square`."""
        offset = intercept - self.pivot
        explained = self.gram @ components - 2 * self.cross + 2 * np.outer(self.code, offset)
        beside = offset @ (offset - 2 * self.mean)
        return float(self.square + (explained * components).sum() + beside)

    def best_decoder(self, centred: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the components and the intercept of least error; the intercept is zero times `centred`."""
        middle, average = centred * self.code, centred * self.average
        gram = self.gram - np.outer(middle, 2 * self.code - middle)
        beside = self.pivot - average
        cross = self.cross + np.outer(self.code, beside) - np.outer(middle, self.mean + beside)
        components = np.linalg.lstsq(gram, cross, rcond=None)[0]
        return components, average - middle @ components


class WeightedSignals:
    """Signals in the model's unit and double precision, block by block.

    Parameters
    ----------
    X : array of shape (n, d)
    weights : array of shape (n,)
    exponent : int
        Binary exponent of the model's unit.
    """

    def __init__(self, X: np.ndarray, weights: np.ndarray, exponent: int) -> None:
        self._X, self._exponent = X, exponent
        self.weights, self.n = weights, float(weights.sum())
        self.share = weights / self.n

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and signals."""
        for rows in blocks_of(self._X):
            yield rows, np.ldexp(self._X[rows], -self._exponent, dtype=float)

    def coded(self, encode: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, Moments]:
        """Return the codes of all signals, in double precision, and the moments of both."""
        pivot, codes = np.zeros(0), []
        totals: list[Any] = [0.0] * 5
        for rows, x in self.blocks():
            share = self.share[rows]
            pivot = pivot if len(pivot) else x.mean(axis=0)
            codes.append(np.asarray(encode(x), dtype=float))
            beside, h = x - pivot, codes[-1]
            weighted = h * share[:, None]
            square = share @ np.einsum("ij,ij->i", beside, beside)
            parts = share @ beside, square, share @ h, weighted.T @ h, weighted.T @ beside
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
        return np.concatenate(codes), Moments(pivot, *totals)

    def error(
        self, codes: np.ndarray, moments: Moments, components: np.ndarray, intercept: np.ndarray
    ) -> float:
        """Return the mean squared length of what a decoder leaves: from moments, unless they cancel."""
        error = moments.error(components, intercept)
        if error > _LEAST_SHARE * moments.square:
            return error
        return self.mean_square(lambda rows, x: x - codes[rows] @ components - intercept)

    def mean_square(self, rest: Callable[[slice, np.ndarray], np.ndarray]) -> float:
        """Return the mean squared length of what a function gives of rows and their signals."""
        rests = ((rows, rest(rows, x)) for rows, x in self.blocks())
        return float(sum(self.share[rows] @ np.einsum("ij,ij->i", r, r) for rows, r in rests))

    def within(self, origin: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return mean and covariance of coordinates along orthonormal axes, and the mean square off them."""
        places, squares = [], 0.0
        for rows, x in self.blocks():
            beside = x - origin
            places.append(beside @ axes.T)
            squares += float(self.share[rows] @ np.einsum("ij,ij->i", beside, beside))
        found = np.concatenate(places)
        middle = self.share @ found
        moved = found - middle
        left = squares - float(self.share @ np.einsum("ij,ij->i", found, found))
        if left <= _LEAST_SHARE * squares:
            left = self.mean_square(lambda rows, x: x - origin - found[rows] @ axes)
        return middle, (moved * self.share[:, None]).T @ moved, left


def blocks_of(X: np.ndarray) -> Iterator[slice]:
    """Yield the rows of blocks that stay in a cache."""
    n, size = len(X), max(_ENTRIES_OF_A_BLOCK // max(X.shape[1], 1), 1)
    for first in range(0, n, size):
        yield slice(first, min(first + size, n))
