r"""Variable projection: sums of sinusoids whose span leaves least of the signals.

With codes of its own for every signal, all that waveforms :math:`W(\theta)` leave of the signals is what lies
outside their span, and that is minimised over frequencies, phases, ratios of amplitudes and dampings [1]_:

.. math:: \| R \, (I - P_{W(\theta)}) \|^2, \qquad R^\top R = \sum_i x_i x_i^\top.

With white noise this is maximum likelihood. R is a root, from orthogonal transformations alone: moments would
halve the number of digits.

References
----------
.. [1] G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
   problems whose variables separate", SIAM Journal on Numerical Analysis 10(2), 413-432, 1973.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from sparse_fourier.harmonics.record import Record, Terms
from sparse_fourier.harmonics.waves import DEPENDENT, TAU

_SLOWEST = 1e-3
_FASTEST_DECAY = 300.0
_FLAT = 1e-14
_FARTHEST = 0.5
_FIRST_DAMPING = 1e-6
_LARGEST_DAMPING = 1e10
_RELATIVE_PROMISE = 1e-15
_SOUND = 1e3
_ROUNDING_ERRORS = 8.0
_EPSILON = float(np.finfo(float).eps)
_TINY = float(np.finfo(float).tiny)
_BLOCK = 32


class State(NamedTuple):
    """What is known at a choice of terms.

    Attributes
    ----------
    terms : Terms
    waves : complex array of shape (k, m, d)
    waveforms : array of shape (k, d)
    basis, triangle : arrays of shape (d, k) and (k, k)
        QR decomposition of the waveforms.
    inside, outside : arrays of shape (r, k) and (r, d)
        What of the root lies in their span, in coordinates, and what does not.
    loss : float
    """

    terms: Terms
    waves: np.ndarray
    waveforms: np.ndarray
    basis: np.ndarray
    triangle: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    loss: float

    @property
    def is_sound(self) -> bool:
        """Whether no waveforms have merged into one and its derivative, as where signals are no sinusoids."""
        return bool(np.linalg.cond(self.triangle) < _SOUND)


def evaluate(terms: Terms, root: np.ndarray, times: np.ndarray) -> State:
    """Return what is known at a choice of terms."""
    waves = np.exp(terms.exponents[..., None] * times)
    waveforms = np.real(terms.coefficients[..., None] * waves).sum(axis=1)
    basis, triangle = orthonormal(waveforms.T)
    inside = root @ basis
    outside = root - inside @ basis.T
    loss = float(np.vdot(outside, outside)) if _independent(waveforms, triangle) else np.inf
    return State(terms, waves, waveforms, basis, triangle, inside, outside, loss)


def orthonormal(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the QR decomposition of no more columns than rows: an orthonormal basis, and the triangle."""
    k = columns.shape[1]
    factored, scales, _, _ = lapack.dgeqrf(columns, lwork=_BLOCK * k)
    return lapack.dorgqr(factored, scales, lwork=_BLOCK * k)[0], factored[:k] * _upper(k)


@functools.lru_cache(maxsize=16)
def _upper(k: int) -> np.ndarray:
    """Return ones on and above the diagonal, not to be written to."""
    return np.triu(np.ones((k, k)))


def _independent(waveforms: np.ndarray, triangle: np.ndarray) -> bool:
    """Return whether every waveform stands out of the span of those before it."""
    longest = np.einsum("ij,ij->i", waveforms, waveforms).max()
    return bool(np.abs(triangle.diagonal()).min() > DEPENDENT * np.sqrt(longest))


def tangents(coefficients: np.ndarray) -> np.ndarray:
    """Return directions in which coefficients turn without changing length, of shape (k, 2 m - 1, m)."""
    if coefficients.shape[1] == 1:
        return 1j * coefficients[:, None]
    flat = np.concatenate([np.real(coefficients), np.imag(coefficients)], axis=1)
    size = flat.shape[1]
    mirror = flat.copy()
    mirror[:, 0] += np.where(flat[:, 0] < 0, -1.0, 1.0)
    mirror /= np.linalg.norm(mirror, axis=1, keepdims=True)
    turned = np.eye(size) - 2 * mirror[:, :, None] * mirror[:, None, :]
    turned = turned[:, 1:]
    return turned[..., : size // 2] + 1j * turned[..., size // 2 :]


def derivatives_of(state: State, directions: np.ndarray, times: np.ndarray, damped: bool) -> np.ndarray:
    """Return derivatives of the waveforms by cycles, decays and directions, of shape (k, q, d)."""
    moved = times * state.terms.coefficients[..., None] * state.waves
    turned = np.real(directions[..., None] * state.waves[:, None]).sum(axis=2)
    parts = [-TAU * np.imag(moved), -np.real(moved)] if damped else [-TAU * np.imag(moved)]
    return np.concatenate([*parts, turned], axis=1)


def _curvatures(
    state: State, pull: np.ndarray, directions: np.ndarray, times: np.ndarray, damped: bool
) -> np.ndarray:
    """Return second derivatives of each waveform's product with its pull, of shape (k, q, q)."""
    k, m = state.terms.cycles.shape
    weighted = pull[:, None] * times * state.waves
    first, second = weighted.sum(axis=-1), (weighted * times).sum(axis=-1) * state.terms.coefficients
    rates = [TAU * 1j, -1.0] if damped else [TAU * 1j]
    n_rates, n_directions = len(rates) * m, directions.shape[1]
    result = np.zeros((k, n_rates + n_directions, n_rates + n_directions))
    each = np.arange(m)
    for a, one in enumerate(rates):
        mixed = (one * first[:, None] * directions).real
        result[:, n_rates:, a * m : (a + 1) * m] = mixed
        result[:, a * m : (a + 1) * m, n_rates:] = mixed.swapaxes(1, 2)
        for b, other in enumerate(rates):
            result[:, a * m + each, b * m + each] = (one * other * second).real
    return result


@dataclass(frozen=True)
class Problem:
    """What is minimised.

    Attributes
    ----------
    root : array of shape (r, d)
    record : Record
    """

    root: np.ndarray
    record: Record

    @cached_property
    def energy(self) -> float:
        """Squared norm of the root."""
        return float(np.vdot(self.root, self.root))

    @property
    def floor(self) -> float:
        """Loss that rounding alone leaves."""
        return (_ROUNDING_ERRORS * _EPSILON) ** 2 * self.energy * self.root.shape[1]

    def at(self, terms: Terms) -> State:
        """Return what is known at a choice of terms."""
        return evaluate(terms, self.root, self.record.times)


@dataclass(frozen=True)
class Chart:
    """Which combinations of the parameters of all components may change: the columns of a matrix.

    Attributes
    ----------
    columns : array of shape (k q, p)
    """

    columns: np.ndarray

    @classmethod
    def free(cls, record: Record, terms: Terms) -> Chart:
        """Return the chart in which all parameters are free."""
        k, m = terms.cycles.shape
        return cls(np.eye(k * ((2 if record.damped else 1) * m + 2 * m - 1)))


class Expansion(NamedTuple):
    """Gradient and Hessian of half the loss in free parameters, their scales, and directions of turns."""

    gradient: np.ndarray
    hessian: np.ndarray
    scales: np.ndarray
    directions: np.ndarray


def expand(state: State, problem: Problem, chart: Chart) -> Expansion:
    """Return the exact second-order expansion of half the loss in the parameters.

    The codes are eliminated: what is returned is the Schur complement of their block of the Hessian.
    """
    record, k = problem.record, state.triangle.shape[0]
    directions = tangents(state.terms.coefficients)
    derivatives = derivatives_of(state, directions, record.times, record.damped)
    q = derivatives.shape[1]
    flat, each = derivatives.reshape(k * q, -1), np.arange(k)
    back = np.linalg.inv(state.triangle)
    codes = state.inside @ back.T
    pull = codes.T @ state.outside
    coordinates = flat @ state.basis
    across = flat - coordinates @ state.basis.T
    along = (coordinates @ back.T).reshape(k, q, k, 1)
    pulled = (pull @ flat.T).reshape(k, 1, k, q)
    gauss = (codes.T @ codes)[:, None, :, None] * (across @ across.T).reshape(k, q, k, q)
    lost = state.outside @ flat.T
    hessian = gauss - (back @ back.T)[:, None, :, None] * (lost.T @ lost).reshape(k, q, k, q)
    cross = (pulled * along).reshape(k * q, k * q)
    hessian[each, :, each] -= _curvatures(state, pull, directions, record.times, record.damped)
    hessian = hessian.reshape(k * q, k * q) + cross + cross.T
    columns, gradient = chart.columns, -pulled[each, 0, each].ravel()
    spread = columns.T @ gauss.reshape(k * q, k * q) @ columns
    scales = np.sqrt(np.maximum(spread.diagonal(), _TINY))
    return Expansion(columns.T @ gradient, columns.T @ hessian @ columns, scales, directions)


def newton_step(
    expansion: Expansion, chart: Chart, held: np.ndarray, damping: float
) -> tuple[np.ndarray, float]:
    """Return the damped step that leaves held parameters alone, and what it promises.

    Directions of negative curvature are gone down as if it were positive; flat ones are left alone.
    """
    free, scales = ~held, expansion.scales
    gradient, hessian = free * expansion.gradient, (free[:, None] & free) * expansion.hessian
    curvatures, axes = np.linalg.eigh(hessian / scales[:, None] / scales)
    slopes = axes.T @ (gradient / scales)
    bent = np.abs(curvatures)
    inverse = (bent > _FLAT) / (np.maximum(bent, _FLAT) + damping)
    steps = slopes * inverse
    change = chart.columns @ (axes @ steps / -scales)
    farthest = float(np.abs(change).max())
    change = change if farthest <= _FARTHEST else change * (_FARTHEST / farthest)
    return change, 0.5 * float(slopes @ steps)


def moved(terms: Terms, directions: np.ndarray, change: np.ndarray, record: Record) -> Terms:
    """Return terms after a change of their parameters, within their bounds."""
    k, m = terms.cycles.shape
    change = change.reshape(k, -1)
    slowest = np.minimum((terms.cycles > 0) * _SLOWEST, record.most_cycles)
    cycles = np.minimum(np.maximum(terms.cycles + change[:, :m], slowest), record.most_cycles)
    decays = terms.decays
    if record.damped:
        decays = np.minimum(np.maximum(decays + change[:, m : 2 * m], 0.0), _FASTEST_DECAY)
    turns = change[:, -directions.shape[1] :]
    coefficients = terms.coefficients + (turns[..., None] * directions).sum(axis=1)
    sizes = np.sqrt((np.real(coefficients) ** 2 + np.imag(coefficients) ** 2).sum(axis=1, keepdims=True))
    return Terms(cycles, decays, coefficients / sizes)


def held_at_bounds(terms: Terms, gradient: np.ndarray, chart: Chart, record: Record) -> np.ndarray:
    """Return which free parameters are at a bound that they would cross."""
    k, m = terms.cycles.shape
    if _inside_bounds(terms, record):
        return np.zeros(len(gradient), dtype=bool)
    outward = np.zeros((k, chart.columns.shape[0] // k))
    outward[:, :m] = np.where(terms.cycles >= record.most_cycles, 1.0, 0.0)
    outward[:, :m] = np.where(terms.cycles <= _SLOWEST, -1.0, outward[:, :m])
    still = np.zeros_like(outward)
    still[:, :m] = terms.cycles == 0
    if m == 1:
        still[:, -1] = terms.cycles[:, 0] == 0
    if record.damped:
        outward[:, m : 2 * m] = np.where(terms.decays <= 0, -1.0, 0.0)
    sides = outward.ravel() @ chart.columns
    return (sides * gradient < 0) | (still.ravel() @ chart.columns > 0)


def _inside_bounds(terms: Terms, record: Record) -> bool:
    cycles = terms.cycles
    inside = cycles.min() > _SLOWEST and cycles.max() < record.most_cycles
    return bool(inside and not (record.damped and terms.decays.min() <= 0))


class Refined(NamedTuple):
    """Where variable projection ended.

    Attributes
    ----------
    state : State
    n_iter : int
    converged : bool
    promise : float
        By how much the last step promised to lower half the loss.
    chart : Chart
        Of the parameters that were free.
    """

    state: State
    n_iter: int
    converged: bool
    promise: float
    chart: Chart


def refine(problem: Problem, terms: Terms, chart: Chart, max_iter: int) -> Refined:
    """Return the minimum that Newton steps reach from given terms.

    Damped Newton steps with the exact Hessian end quadratically, whether signals are noisy or not.
    """
    state, damping, promise, iteration = problem.at(terms), _FIRST_DAMPING, np.inf, 0
    while iteration < max_iter:
        expansion = expand(state, problem, chart)
        held = held_at_bounds(state.terms, expansion.gradient, chart, problem.record)
        enough = _RELATIVE_PROMISE * state.loss
        lower = None
        while lower is None and damping < _LARGEST_DAMPING:
            iteration += 1
            change, promise = newton_step(expansion, chart, held, damping)
            tried = problem.at(moved(state.terms, expansion.directions, change, problem.record))
            lower = tried if tried.loss < state.loss else None
            if promise <= enough or state.loss <= problem.floor:
                last = tried if tried.loss <= state.loss + enough else state
                return Refined(last, iteration, True, promise, chart)
            damping = damping * 0.1 if lower else max(damping, _FIRST_DAMPING) * 10.0
        if lower is None:
            return Refined(state, iteration, promise <= 1e6 * enough, promise, chart)
        state = lower
    return Refined(state, iteration, False, promise, chart)
