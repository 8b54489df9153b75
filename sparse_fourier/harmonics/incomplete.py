"""Variable projection of signals with missing entries: each signal has codes by what is observed of it.

The intercept cannot be subtracted beforehand, since every signal lacks other entries: it is found together
with the parameters of the sinusoids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sparse_fourier.harmonics.projection import (
    Chart,
    derivatives_of,
    evaluate,
    held_at_bounds,
    moved,
    tangents,
)
from sparse_fourier.harmonics.record import Record, Terms

_BLOCK_ENTRIES = 1 << 20
_FIRST_DAMPING = 1e-8
_LARGEST_DAMPING = 1e8
_RELATIVE_PROMISE = 1e-15
_ROUNDING = (8 * float(np.finfo(float).eps)) ** 2
_FLAT = 1e-13


@dataclass(frozen=True)
class Observed:
    """Signals of which entries are missing.

    Attributes
    ----------
    X : array of shape (n, d)
        NaN where nothing was observed.
    weights : array of shape (n,)
    record : Record
    centred : bool
        Whether there is an intercept.
    """

    X: np.ndarray
    weights: np.ndarray
    record: Record
    centred: bool

    @cached_property
    def mask(self) -> np.ndarray:
        """One where an entry was observed, else zero."""
        return np.isfinite(self.X).astype(float)

    @cached_property
    def known(self) -> np.ndarray:
        """The signals, zero where nothing was observed."""
        return np.where(self.mask > 0, self.X, 0.0)

    @cached_property
    def energy(self) -> float:
        """Weighted sum of squares of what was observed."""
        return float(self.weights @ (self.known**2).sum(axis=1))

    def blocks(self, n_columns: int) -> list[slice]:
        """Return blocks of rows, for which so many arrays of entries fit into memory."""
        size = max(1, _BLOCK_ENTRIES // (self.X.shape[1] * n_columns))
        return [slice(first, first + size) for first in range(0, len(self.X), size)]


class RefinedIncomplete(NamedTuple):
    """Sinusoids of signals with missing entries.

    Attributes
    ----------
    terms : Terms
    intercept : array of shape (d,)
        With which the codes have zero mean; zero where there is none.
    codes : array of shape (n, k)
        Of waveforms as `evaluate` gives them.
    loss : float
        Weighted sum of the squared residuals of what was observed.
    n_iter : int
    converged : bool
    promise : float
        By how much the last step promised to lower the loss.
    """

    terms: Terms
    intercept: np.ndarray
    codes: np.ndarray
    loss: float
    n_iter: int
    converged: bool
    promise: float


class _Normal(NamedTuple):
    """Normal equations of a Gauss-Newton step in the free parameters and the intercept, and where."""

    loss: float
    gradient: np.ndarray
    matrix: np.ndarray
    codes: np.ndarray
    directions: np.ndarray


def refine_incomplete(
    observed: Observed, terms: Terms, chart: Chart, intercept: np.ndarray, max_iter: int
) -> RefinedIncomplete:
    """Return the minimum that damped Gauss-Newton steps reach from given terms and intercept."""
    damping, iteration, converged, promise = _FIRST_DAMPING, 0, False, np.inf
    floor = _ROUNDING * observed.energy * observed.X.shape[1]
    normal = _normal_equations(observed, terms, chart, intercept)
    while iteration < max_iter and not converged and damping < _LARGEST_DAMPING:
        iteration += 1
        step, promise = _damped_step(observed, terms, chart, normal, damping)
        p = chart.columns.shape[1]
        tried = moved(terms, normal.directions, chart.columns @ step[:p], observed.record)
        tried_intercept = intercept + step[p:] if observed.centred else intercept
        after = _normal_equations(observed, tried, chart, tried_intercept)
        lower = after.loss < normal.loss
        converged = promise <= _RELATIVE_PROMISE * normal.loss or max(after.loss, promise) <= floor
        if lower:
            terms, intercept, normal = tried, tried_intercept, after
        damping = damping * 0.1 if lower else max(damping, _FIRST_DAMPING) * 10.0
    shift = observed.weights @ normal.codes / observed.weights.sum() * observed.centred
    waveforms = evaluate(terms, np.zeros((1, observed.X.shape[1])), observed.record.times).waveforms
    return RefinedIncomplete(
        terms, intercept + shift @ waveforms, normal.codes - shift, normal.loss, iteration, converged, promise
    )


def _damped_step(
    observed: Observed, terms: Terms, chart: Chart, normal: _Normal, damping: float
) -> tuple[np.ndarray, float]:
    """Return the damped step, with nothing along directions that change nothing, and what it promises."""
    p = chart.columns.shape[1]
    held = np.zeros(len(normal.gradient), dtype=bool)
    held[:p] = held_at_bounds(terms, normal.gradient[:p], chart, observed.record)
    gradient = np.where(held, 0.0, normal.gradient)
    matrix = np.where(held[:, None] | held, 0.0, normal.matrix)
    scales = np.sqrt(np.maximum(np.diagonal(normal.matrix), np.finfo(float).tiny))
    curvatures, axes = np.linalg.eigh(matrix / scales[:, None] / scales)
    slopes = axes.T @ (gradient / scales)
    inverse = np.where(curvatures > _FLAT, 1.0 / (np.maximum(curvatures, _FLAT) + damping), 0.0)
    return -(axes @ (slopes * inverse)) / scales, float(slopes**2 @ inverse)


def _normal_equations(observed: Observed, terms: Terms, chart: Chart, intercept: np.ndarray) -> _Normal:
    """Return the sums over signals of what a Gauss-Newton step needs."""
    record, d = observed.record, observed.X.shape[1]
    state = evaluate(terms, np.zeros((1, d)), record.times)
    directions = tangents(terms.coefficients)
    slopes = derivatives_of(state, directions, record.times, record.damped)
    k, q = slopes.shape[:2]
    owner, flat = np.repeat(np.arange(k), q), slopes.reshape(k * q, d)
    size = k * q + d * observed.centred
    gradient, matrix, loss, codes = (
        np.zeros(size),
        np.zeros((size, size)),
        0.0,
        np.zeros((len(observed.X), k)),
    )
    for rows in observed.blocks(k * q + k):
        mask, weights = observed.mask[rows], observed.weights[rows]
        bases, triangles = np.linalg.qr(mask[:, :, None] * state.waveforms.T)
        signals = observed.known[rows] - mask * intercept
        inside = np.einsum("nd,ndk->nk", signals, bases)
        codes[rows] = np.linalg.solve(triangles, inside[:, :, None])[:, :, 0]
        outside = signals - np.einsum("nk,ndk->nd", inside, bases)
        moves = codes[rows][:, owner, None] * (mask[:, None, :] * flat)
        moves -= (moves @ bases) @ bases.swapaxes(1, 2)
        weighted = outside * weights[:, None]
        loss += float(np.vdot(outside, weighted))
        gradient[: k * q] -= np.einsum("npd,nd->p", moves, weighted)
        matrix[: k * q, : k * q] += np.tensordot(moves * weights[:, None, None], moves, ((0, 2), (0, 2)))
        if observed.centred:
            across = np.tensordot(weights, moves, 1)
            gradient[k * q :] -= weighted.sum(axis=0)
            matrix[: k * q, k * q :] += across
            matrix[k * q :, : k * q] += across.T
            matrix[k * q :, k * q :] += np.diag(weights @ mask)
            matrix[k * q :, k * q :] -= np.tensordot(bases * weights[:, None, None], bases, ((0, 2), (0, 2)))
    p = chart.columns.shape[1]
    free = np.zeros((size, size - k * q + p))
    free[: k * q, :p] = chart.columns
    free[k * q :, p:] = np.eye(size - k * q)
    return _Normal(loss, free.T @ gradient, free.T @ matrix @ free, codes, directions)
