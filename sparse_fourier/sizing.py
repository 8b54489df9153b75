"""Size and place of codes whose directions are known: Newton steps of each for itself, all side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.course import Problem, resolution

_BLOCK_ENTRIES = 1 << 15
_REACH, _REACH_IN_THE_END = 8.0, 6.5  # standard deviations of a code's noise
_LEAST_SHARE = 0.05  # of the promised decrease
_SHORTER, _SMALLEST = 0.25, 0.1
_LEAST_VARIANCE = 0.05  # of a coordinate, if noise explains all of it
_UNSEEN = 1e-11
_MOST_STEPS = 60
_ROUNDING = 1e-13


class Sized(NamedTuple):
    """Codes h = size * x + offset of coordinates x, and how they were found.

    Attributes
    ----------
    size, offset : arrays of shape (k,)
    curve : array of shape (n_iter, k)
        The negative log-likelihood of each code on the way, in nats per sample.
    decrement : array of shape (k,)
        Twice what the last step promised.
    converged : bool array of shape (k,)
    """

    size: np.ndarray
    offset: np.ndarray
    curve: np.ndarray
    decrement: np.ndarray
    converged: np.ndarray


class _Step(NamedTuple):
    """A Newton step of each code, twice the decrease that it promises, and which share of it is possible."""

    size: np.ndarray
    offset: np.ndarray
    decrement: np.ndarray
    possible: np.ndarray


@dataclass(frozen=True)
class _Rows:
    """What the codes are seen in.

    Attributes
    ----------
    prior : Prior
    coordinates : array of shape (k, m)
    weights : array of shape (1, m) or (k, m)
    noise, floor : arrays of shape (k,)
        Variance of the noise of each coordinate, and the smallest of a code.
    inflation : array of shape (1, m) or (k, m), or None
        How much more noise some rows have.
    """

    prior: Any
    coordinates: np.ndarray
    weights: np.ndarray
    noise: np.ndarray
    floor: np.ndarray
    inflation: np.ndarray | None

    @classmethod
    def of(cls, problem: Problem) -> _Rows:
        """Return all rows of a problem."""
        noise = np.diagonal(problem.noise)
        floor = np.broadcast_to(np.asarray(problem.floor, dtype=float), len(noise))
        inflation = None if problem.inflation is None else problem.inflation[None]
        coordinates = np.ascontiguousarray(problem.whitened.T)
        return cls(problem.prior, coordinates, problem.weights[None], noise, floor, inflation)

    def of_each(self, near: np.ndarray) -> _Rows:
        """Return those of the rows that are near for each code, of which there may be fewer for one."""
        found = [np.flatnonzero(row) for row in near]
        shape = len(found), max(map(len, found))
        places, own = np.zeros(shape, dtype=int), np.zeros(shape)
        for j, chosen in enumerate(found):
            places[j, : len(chosen)], own[j, : len(chosen)] = chosen, 1.0
        code = np.arange(len(found))[:, None]

        def at(values: np.ndarray) -> np.ndarray:
            return values[code % len(values), places]

        inflation = None if self.inflation is None else at(self.inflation)
        rows = at(self.coordinates), at(self.weights) * own
        return _Rows(self.prior, *rows, self.noise, self.floor, inflation)

    def mirrored(self, signs: np.ndarray) -> _Rows:
        """Return the rows with some coordinates of the other sign."""
        return replace(self, coordinates=self.coordinates * signs[:, None])

    def mean_of(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted sum of values of shape (k, m) over rows."""
        return (values * self.weights).sum(axis=1)

    def codes(self, size: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return the codes, of shape (k, m)."""
        return size[:, None] * self.coordinates + offset[:, None]

    def variances(self, size: np.ndarray) -> np.ndarray:
        """Return the variance of the noise of codes, of shape (k, 1) or (k, m)."""
        own = (size * size * self.noise)[:, None]
        return (own if self.inflation is None else own * self.inflation) + self.floor[:, None]

    def near(self, size: np.ndarray, offset: np.ndarray, reach: float, margin: float = 0.0) -> np.ndarray:
        """Return which rows matter to the density of each code, of shape (k, m)."""
        depth = reach * np.sqrt(self.variances(size)) + margin
        return self.prior.matters(self.codes(size, offset).T, depth.T).T

    def values(self, size: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of each code."""
        return -np.log(size) - self._summed(lambda rows: rows._log_likelihoods(size, offset))

    def expand(self, size: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of each code with its derivatives, of shape (6, k).

        These are by size, by offset, twice by size, by size and offset, and twice by offset.
        """
        return _collected(self._summed(lambda rows: rows._sums(size, offset)), size, self.noise)

    def _summed(self, function: Callable[[_Rows], np.ndarray]) -> np.ndarray:
        """Return the sum of a function of blocks of rows that stay in a cache."""
        k, m = self.coordinates.shape
        width = max(_BLOCK_ENTRIES // k, 1)
        if m <= width:
            return function(self)
        parts = (function(self._block(slice(first, first + width))) for first in range(0, m, width))
        return np.sum(list(parts), axis=0)

    def _block(self, chosen: slice) -> _Rows:
        inflation = None if self.inflation is None else self.inflation[:, chosen]
        rows = self.coordinates[:, chosen], self.weights[:, chosen]
        return _Rows(self.prior, *rows, self.noise, self.floor, inflation)

    def _log_likelihoods(self, size: np.ndarray, offset: np.ndarray) -> np.ndarray:
        return self.mean_of(self.prior.log_marginals(self.codes(size, offset).T, self.variances(size).T).T)

    def _sums(self, size: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return sums over rows, of shape (10, k): of the jet, and of parts of it times coordinates."""
        x, inflation = self.coordinates, self.inflation
        jet = self.prior.jet(self.codes(size, offset).T, self.variances(size).T)
        parts = np.stack([part.T for part in jet])
        if inflation is not None:
            parts[[2, 4]] *= inflation
            parts[5] *= inflation * inflation
        parts *= self.weights
        moved = parts[[1, 3, 4]] * x
        return np.concatenate([parts.sum(axis=2), moved.sum(axis=2), (moved[1] * x).sum(axis=1)[None]])


def _collected(sums: np.ndarray, size: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the expansion from sums over rows; the variance of a code grows with its size."""
    value, code, variance, codes, mixed, variances, code_x, codes_x, mixed_x, codes_xx = sums
    slope, inverse = 2 * size * noise, 1 / size
    by_size = code_x + slope * variance + inverse
    by_sizes = codes_xx + slope * (2 * mixed_x + slope * variances) + 2 * noise * variance - inverse * inverse
    return -np.array([value + np.log(size), by_size, code, by_sizes, codes_x + slope * mixed, codes])


def sized(problem: Problem, tol: float, max_iter: int) -> Sized:
    """Return the likeliest size and place of each code, under priors whose log-density is concave.

    Parameters
    ----------
    problem : Problem
        Coordinates in the directions of the codes.
    tol : float
        Steps end where they promise a smaller decrease, in nats per sample.
    max_iter : int
        Most evaluations.

    Notes
    -----
    The density of a code that is seen with noise is an integral over the noise, of a function whose logarithm
    is concave in size, offset and noise together where that of the prior is. So the likelihood is
    log-concave in size and offset [1]_: there is one optimum, and damped Newton steps find it from anywhere.
    A code that cannot be mirrored has its long tail upwards.

    References
    ----------
    .. [1] A. Prékopa, "On logarithmic concave measures and functions", Acta Scientiarum Mathematicarum 34,
       335-343, 1973.
    """
    rows, signs = _Rows.of(problem), np.ones(len(problem.noise))
    if problem.prior.reflection is None:
        centred = rows.coordinates - rows.mean_of(rows.coordinates)[:, None]
        signs = np.where(rows.mean_of(centred**3) < 0, -1.0, 1.0)
        rows = rows.mirrored(signs)
    margin = resolution(problem, len(problem.weights), 0.0)
    with np.errstate(all="ignore"):
        found = _found(rows, _start(rows), margin, tol, min(max_iter, _MOST_STEPS))
    return found._replace(size=found.size * signs)


def _found(
    rows: _Rows, start: tuple[np.ndarray, np.ndarray], margin: float, tol: float, max_iter: int
) -> Sized:
    """Return where steps end that look at rows near faces, or at all rows if others come near."""
    near = rows.near(*start, _REACH, margin)
    if near.all():
        return _descended(rows, *start, tol, max_iter)
    found = _descended(rows.of_each(near), *start, tol, max_iter)
    if not (rows.near(found.size, found.offset, _REACH_IN_THE_END) & ~near).any():
        return found
    return _descended(rows, *start, tol, max_iter)


def _start(rows: _Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return codes between the faces of the support, or with the prior's moments where noise asks for it."""
    between = _between_faces(rows) if rows.prior.domain.faces else None
    if between is not None and (between[0] * np.sqrt(rows.noise) * rows.coordinates.shape[1] < 1).all():
        return between
    moments = _with_moments(rows)
    if between is None:
        return moments
    likelier = rows.values(*between) < rows.values(*moments)
    return np.where(likelier, between[0], moments[0]), np.where(likelier, between[1], moments[1])


def _with_moments(rows: _Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return codes with the prior's mean and variance."""
    centre, variance = rows.prior.moments
    middle = rows.mean_of(rows.coordinates)
    own = rows.mean_of((rows.coordinates - middle[:, None]) ** 2)
    size = np.sqrt(variance / np.maximum(own - rows.noise, _LEAST_VARIANCE * own))
    return size, centre - size * middle


def _between_faces(rows: _Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return codes from face to face; from a single one, with the prior's mean."""
    faces, low = rows.prior.domain.faces, rows.coordinates.min(axis=1)
    bounded = len(faces) > 1
    high = rows.coordinates.max(axis=1) if bounded else rows.mean_of(rows.coordinates)
    size = ((faces[1] if bounded else rows.prior.moments[0]) - faces[0]) / (high - low)
    return size, faces[0] - size * low


def _descended(rows: _Rows, size: np.ndarray, offset: np.ndarray, tol: float, max_iter: int) -> Sized:
    """Return where damped Newton steps end; nothing is evaluated after those that promise but rounding."""
    state, going = rows.expand(size, offset), np.ones(len(size), dtype=bool)
    share, previous, curve = np.ones(len(size)), np.zeros(len(size)), [state[0]]
    while True:
        step = _step(state, size)
        negligible = (step.decrement < tol) | (step.decrement**2 < tol * previous)
        if (~going | (negligible & (step.decrement < _UNSEEN))).all():
            ended = size + going * step.size, offset + going * step.offset
            return Sized(*ended, np.array(curve), step.decrement, np.ones_like(going))
        if len(curve) >= max_iter or not np.isfinite(step.decrement[going]).all():
            return Sized(size, offset, np.array(curve), step.decrement, ~going)
        share = np.where(going, np.minimum(share, step.possible), 0.0)
        tried = size + share * step.size, offset + share * step.offset
        found = rows.expand(*tried)
        least = state[0] - _LEAST_SHARE * share * step.decrement + _ROUNDING * np.abs(state[0])
        taken = going & (found[0] <= least)
        state = np.where(taken, found, state)
        size, offset = np.where(taken, tried[0], size), np.where(taken, tried[1], offset)
        curve.append(state[0])
        going = going & ~(taken & negligible)
        previous = np.where(taken, (share == 1) * np.minimum(step.decrement, 1.0), previous)
        share = np.where(taken, 1.0, share * _SHORTER)


def _step(state: np.ndarray, size: np.ndarray) -> _Step:
    """Return the Newton step of each code, NaN where the curvature is not positive."""
    _, by_size, by_offset, aa, ab, bb = state
    determinant = aa * bb - ab * ab
    inverse = np.where((aa > 0) & (determinant > 0), 1.0 / determinant, np.nan)
    along_size = (ab * by_offset - bb * by_size) * inverse
    along_offset = (ab * by_size - aa * by_offset) * inverse
    decrement = -(along_size * by_size + along_offset * by_offset)
    possible = np.minimum(1.0, (1 - _SMALLEST) * size / np.maximum(-along_size, np.finfo(float).tiny))
    return _Step(along_size, along_offset, decrement, possible)
