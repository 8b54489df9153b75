"""Codes as an affine function of coordinates: their moments and likelihood, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparse_fourier.objective import Point
from sparse_fourier.priors import Prior
from sparse_fourier.scaled import sum_of_rows

_BLOCK_ENTRIES = 1 << 16
_FAR = 4.0


@dataclass(frozen=True)
class Coded:
    """Codes of signals, which are looked at a block of rows at a time.

    Attributes
    ----------
    coordinates : array of shape (n, r)
    share : array of shape (n,)
        Weights of sum one.
    point : Point
        Gives the codes of coordinates.
    """

    coordinates: np.ndarray
    share: np.ndarray
    point: Point

    @classmethod
    def of(cls, codes: np.ndarray, share: np.ndarray) -> Coded:
        """Return codes that are known themselves."""
        k = codes.shape[1]
        return cls(codes, share, Point(np.eye(k), np.zeros(k)))

    def at(self, point: Point) -> Coded:
        """Return other codes of the same signals."""
        return Coded(self.coordinates, self.share, point).knowing(*self._moments)

    def knowing(self, mean: np.ndarray, covariance: np.ndarray) -> Coded:
        """Return the same where mean and covariance of the coordinates are known."""
        self.__dict__["_moments"] = mean, covariance
        return self

    def mapped(self, factors: np.ndarray, shifts: np.ndarray, order: np.ndarray) -> Coded:
        """Return factors * codes + shifts in another order."""
        unmixing, offset = factors[:, None] * self.point.unmixing, factors * self.point.offset + shifts
        return self.at(Point(unmixing[order], offset[order]))

    def array(self, rows: slice = slice(None)) -> np.ndarray:
        """Return the codes of some signals, in double precision."""
        return self._in_own_precision(rows).astype(float, copy=False)

    def _in_own_precision(self, rows: slice) -> np.ndarray:
        unmixing, offset = (part.astype(self.coordinates.dtype) for part in self.point)
        codes = unmixing @ self.coordinates[rows].T
        codes += offset[:, None]
        return codes.T

    @property
    def mean(self) -> np.ndarray:
        """Mean of each code."""
        return self.point.encode(self._moments[0])

    @property
    def deviations(self) -> np.ndarray:
        """Standard deviation of each code, where weights are divided by their sum."""
        unmixing = self.point.unmixing
        return np.sqrt(np.maximum(((unmixing @ self._moments[1]) * unmixing).sum(axis=1), 0.0))

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the coordinates."""
        mean = np.zeros(self.coordinates.shape[1])
        for rows in self._blocks():
            mean += sum_of_rows(self.coordinates[rows], self.share[rows])
        second = self._second(np.zeros_like(mean))
        if (mean * mean <= _FAR * (np.diagonal(second) - mean * mean)).all():
            return mean, second - np.outer(mean, mean)
        return mean, self._second(mean)

    def _second(self, centre: np.ndarray) -> np.ndarray:
        """Return the second moments of the coordinates about a point."""
        even, second = bool((self.share == self.share[0]).all()), np.zeros((len(centre), len(centre)))
        for rows in self._blocks():
            block = (
                self.coordinates[rows] - centre.astype(self.coordinates.dtype)
                if centre.any()
                else self.coordinates[rows]
            )
            weighted = block if even else block * self.share[rows, None].astype(block.dtype)
            second += weighted.T @ block
        return second * (self.share[0] if even else 1.0)

    def mean_log_likelihood(self, prior: Prior, chosen: np.ndarray, variances: np.ndarray) -> float:
        """Return the mean log-density of some codes under a prior of as many.

        Parameters
        ----------
        prior : Prior
        chosen : int array of shape (r,)
        variances : array of shape (r,)
            Of their noise.
        """
        some = self.at(Point(self.point.unmixing[chosen], self.point.offset[chosen]))
        blocks = [slice(None)] if prior.needs_jax else self._blocks()
        return sum(
            prior.mean_log_likelihood(some._in_own_precision(rows), self.share[rows], variances)
            for rows in blocks
        )

    def _blocks(self) -> Iterator[slice]:
        """Yield slices of rows that stay in a cache."""
        n, r = self.coordinates.shape
        size = max(_BLOCK_ENTRIES // max(r, 1), 1)
        return (slice(first, first + size) for first in range(0, n, size))

    def thinned(self, most: int) -> Coded:
        """Return the codes of every so-manieth signal, which stand for the others, where signals are many."""
        step = -(-len(self.share) // most)
        share = self.share[::step]
        return Coded(self.coordinates[::step], share / share.sum(), self.point) if step > 1 else self
