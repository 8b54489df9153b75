"""Codes as an affine function of coordinates: their moments and likelihood, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sparse_fourier.objective import Point
from sparse_fourier.priors import Prior
from sparse_fourier.scaled import sum_of_rows

_BLOCK_ENTRIES = 1 << 16
_FAR = 4.0


class Near(NamedTuple):
    """The signals, for each code, in which it is near a face of a support inside of which densities are flat.

    Attributes
    ----------
    coordinates : sequence of k arrays of shape (m, r)
    share : sequence of k arrays of shape (m,)
        Weights, those of all signals of sum one.
    point : Point
        For whose codes these were found.
    """

    coordinates: Sequence[np.ndarray]
    share: Sequence[np.ndarray]
    point: Point

    def taken(self, chosen: np.ndarray) -> Near:
        """Return those of some codes, in another order."""
        coordinates, share = [self.coordinates[j] for j in chosen], [self.share[j] for j in chosen]
        return self._replace(coordinates=coordinates, share=share)

    def mean_log_likelihood(self, prior: Prior, point: Point, variances: np.ndarray) -> float:
        """Return the mean log-density of the codes, which a point next to their own gives."""
        return sum(
            prior.taken([j]).mean_log_likelihood(_encoded(rows, point, [j]), share, variances[[j]])
            for j, (rows, share) in enumerate(zip(self.coordinates, self.share, strict=True))
        )


def _encoded(coordinates: np.ndarray, point: Point, chosen: slice | list[int] = slice(None)) -> np.ndarray:
    """Return some codes of signals, in the precision of their coordinates."""
    unmixing, offset = (part[chosen].astype(coordinates.dtype) for part in point)
    codes = unmixing @ coordinates.T
    codes += offset[:, None]
    return codes.T


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
    near : Near or None
        The signals in which these codes are near a face, where that is known.
    moments : pair of arrays or None
        Mean and covariance of the coordinates, where these are known.
    """

    coordinates: np.ndarray
    share: np.ndarray
    point: Point
    near: Near | None = None
    moments: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def of(cls, codes: np.ndarray, share: np.ndarray) -> Coded:
        """Return codes that are known themselves."""
        k = codes.shape[1]
        return cls(codes, share, Point(np.eye(k), np.zeros(k)))

    def mapped(self, factors: np.ndarray, shifts: np.ndarray, order: np.ndarray) -> Coded:
        """Return factors * codes + shifts in another order."""
        unmixing, offset = factors[:, None] * self.point.unmixing, factors * self.point.offset + shifts
        point, near = Point(unmixing[order], offset[order]), self.near and self.near.taken(order)
        return replace(self, point=point, near=near, moments=self._moments)

    def array(self, rows: slice = slice(None)) -> np.ndarray:
        """Return the codes of some signals, in double precision."""
        return _encoded(self.coordinates[rows], self.point).astype(float, copy=False)

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
        if self.moments is not None:
            return self.moments
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
        point = Point(self.point.unmixing[chosen], self.point.offset[chosen])
        if self.near:
            return self.near.taken(chosen).mean_log_likelihood(prior, point, variances)
        blocks = [slice(None)] if prior.needs_jax else self._blocks()
        return sum(
            prior.mean_log_likelihood(_encoded(self.coordinates[rows], point), self.share[rows], variances)
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
