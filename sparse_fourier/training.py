"""The training loop: compiled chunks, one stopping rule, a turn for the caller between chunks."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier import checkpoints, runtime
from sparse_fourier.coded import Near
from sparse_fourier.namespace import tree_map
from sparse_fourier.objective import Objective, Point
from sparse_fourier.priors import Prior
from sparse_fourier.solvers import Newton, NewtonState

TIE = 1e-9
"""Nats per sample; less is rounding, which depends on the unit of the signals."""

_CHUNK_SECONDS = 0.1
_MAX_CHUNK = 32
_SECONDS_PER_CODE = 2e-7
_MOST_CODES = 40_000_000
_MOST_COMPONENTS = 40
_SAME_DIRECTIONS = 0.95
_PATIENCE = 4


@dataclass(frozen=True)
class Progress:
    """What a callback is told after every chunk of training.

    Attributes
    ----------
    iteration : int
        Iterations done so far.
    loss : float
        Objective in nats per sample, of the best start.
    elapsed : float
        Seconds since training began.
    """

    iteration: int
    loss: float
    elapsed: float


class Trained(NamedTuple):
    """Outcome of training: the best start's point and how it was reached.

    Attributes
    ----------
    point : Point
    curve : array of shape (n_iterations,)
    converged : bool
    decrement : float
        What the last step promised.
    stopped : bool
        Whether the callback asked for the end.
    rival : float
        By how many nats the best other basis that a start ended in is worse; infinite if there is none.
    prior : Prior or None
        What has become of the prior, where that was learned too.
    floor : float or array of shape (k,)
        Smallest variance of a code's noise that was believed in.
    rooted : bool
        Whether a corner of the support was held where the signal is zero.
    near : Near or None
        The signals that training looked at in the end for each code, where all others add nothing.
    """

    point: Point
    curve: np.ndarray
    converged: bool
    decrement: float
    stopped: bool
    rival: float = np.inf
    prior: Prior | None = None
    floor: Any = 0.0
    rooted: bool = False
    near: Near | None = None

    @property
    def near_its_point(self) -> Near | None:
        """What is near a face at the point, if that has not been moved since."""
        return self.near if self.near and self.near.point is self.point else None


def advance(state: NewtonState, objective: Objective, tol: Any, n_steps: Any) -> tuple[Any, Any]:
    """Take up to `n_steps` steps from all starts; return states and the values on the way.

    The values have shape (_MAX_CHUNK, n_starts), of which as many rows count as steps were taken.
    """
    import jax
    import jax.numpy as jnp

    solver = Newton(tol)
    step = _side_by_side(lambda state: solver.step(state, objective), len(state.width))
    values = jnp.zeros((_MAX_CHUNK, *state.width.shape))

    def take(carry: tuple[Any, NewtonState, Any]) -> tuple[Any, NewtonState, Any]:
        count, state, values = carry
        state = step(state)
        return count + 1, state, values.at[count].set(state.value)

    def more(carry: tuple[Any, NewtonState, Any]) -> Any:
        count, state, _ = carry
        return (count < n_steps) & ~state.finished.all()

    count, state, values = jax.lax.while_loop(more, take, (0, state, values))
    return state, (values, count)


def _side_by_side(step: Callable[[NewtonState], NewtonState], n_starts: int) -> Callable[[Any], Any]:
    """Return a step of all starts at once; a single one is spared the cost of batching."""
    import jax

    if n_starts > 1:
        return jax.vmap(step)
    first, stacked = (lambda part: part[0]), (lambda part: part[None])
    return lambda state: tree_map(stacked, step(tree_map(first, state)))


_program = runtime.Program(advance)


class Engine(NamedTuple):
    """What takes the steps of all starts, and how many at a time.

    Attributes
    ----------
    advance : callable
        Of states, objective, tolerance and number of steps.
    first_chunk : int
    next_chunk : callable
        Number of steps, given that of the last chunk and the seconds that it took.
    """

    advance: Callable[..., Any]
    first_chunk: int
    next_chunk: Callable[[int, float], int]


def compiles(prior: Prior, n_components: int, n_rows: int) -> bool:
    """Return whether a problem is worth a compiled program: one so large that its steps outweigh it.

    What a user wrote in JAX is always compiled, and a platform named other than the CPU always used.
    """
    large = n_rows * n_components > _MOST_CODES or n_components > _MOST_COMPONENTS
    return large or prior.needs_jax or runtime.platform_is_named()


def _advance_without_compiling(
    state: NewtonState, objective: Objective, tol: float, n_steps: int
) -> tuple[NewtonState, tuple[np.ndarray, int]]:
    """Do what `advance` does, with the same formulas, in NumPy."""
    solver = Newton(tol)
    runs = [tree_map(lambda part, r=r: part[r], state) for r in range(len(state.width))]
    values = np.zeros((_MAX_CHUNK, len(runs)))
    count = 0
    with np.errstate(all="ignore"):
        while count < n_steps and not all(run.finished for run in runs):
            runs = [run if run.finished else solver.step(run, objective) for run in runs]
            values[count] = [run.value for run in runs]
            count += 1
    return tree_map(lambda *parts: np.stack(parts), *runs), (values, count)


def train(
    objective: Objective,
    starts: Point,
    widths: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    callback: Callable[[Progress], Any] | None = None,
    engine: Engine | None = None,
) -> Trained:
    """Minimise the objective from every start and return the best outcome.

    Parameters
    ----------
    objective : Objective
        Of NumPy arrays.
    starts : Point
        Stacked along a leading axis.
    widths : array of shape (n_starts,)
        Widths of the faces at which the paths begin.
    tol : float
        Training ends when a Newton step promises a smaller decrease, in nats per sample.
    max_iter : int
        Most iterations of each start.
    callback : callable, optional
        Called with `Progress` after every chunk; returning True ends training.
    engine : Engine, optional
        By default NumPy or a compiled program, a tenth of a second at a time.
    """
    state = Newton.init(objective, starts, widths)
    engine = engine or _engine(objective, starts)
    curves = np.empty((0, len(starts.offset)))
    place, stopped, over = checkpoints.loop(), False, False
    chunk, began = engine.first_chunk, time.perf_counter()
    if place.saved is not None:
        state, curves = _refilled(state, place.saved["state"]), place.saved["curve"]
        stopped, over = place.saved["stopped"], place.saved["over"]
    while len(curves) < max_iter and not over:
        steps = min(chunk, max_iter - len(curves))
        tick = time.perf_counter()
        state, (values, count) = engine.advance(state, objective, tol, steps)
        curves = np.concatenate([curves, values[:count]])
        chunk = engine.next_chunk(steps, time.perf_counter() - tick)
        best = _best(state)
        progress = Progress(len(curves), float(state.value[best]), time.perf_counter() - began)
        stopped = bool(callback and callback(progress))
        over = stopped or bool(state.finished.all()) or _waits_in_vain(state, best, curves)
        if place.is_kept:
            place.keep({"state": _leaves(state), "curve": curves, "stopped": stopped, "over": over})
    return _outcome(state, curves, stopped)


def _leaves(state: NewtonState) -> list[np.ndarray]:
    leaves: list[np.ndarray] = []
    tree_map(leaves.append, state)
    return leaves


def _refilled(state: NewtonState, leaves: list[np.ndarray]) -> NewtonState:
    """Return another state of the same form."""
    left = iter(leaves)
    return tree_map(lambda _: next(left), state)


def _engine(objective: Objective, starts: Point) -> Engine:
    return Engine(_advancer(objective, starts), _first_chunk(objective, len(starts.offset)), _next_chunk)


def _advancer(objective: Objective, starts: Point) -> Callable[..., Any]:
    k = starts.offset.shape[1]
    if not compiles(objective.prior, k, objective.rows.shape[1]):
        return _advance_without_compiling
    kinds = type(objective), type(objective.prior)
    signature = (starts.unmixing.shape, objective.rows.shape, kinds, objective.inflation is None)
    return functools.partial(_program, signature)


def _first_chunk(objective: Objective, n_starts: int) -> int:
    guess = _SECONDS_PER_CODE * objective.rows.shape[1] * objective.rows.shape[2] * n_starts
    return _next_chunk(1, guess)


def _next_chunk(steps: int, seconds: float) -> int:
    return int(np.clip(steps * _CHUNK_SECONDS / max(seconds, 1e-9), 1, _MAX_CHUNK))


def _best(state: NewtonState) -> int:
    """Return the start of the lowest objective among those of the sharpest faces; of equals the first."""
    values = np.where((state.width == state.width.min()) & ~np.isnan(state.value), state.value, np.inf)
    return int(np.argmax(values <= values.min() + TIE))


def _outcome(state: NewtonState, curves: np.ndarray, stopped: bool) -> Trained:
    best = _best(state)
    return Trained(
        Point(state.point.unmixing[best], state.point.offset[best]),
        curves[:, best],
        bool(state.finished[best] and np.isfinite(state.value[best] + state.decrement[best])),
        float(state.decrement[best]),
        stopped,
        _rival(state, best),
    )


def _waits_in_vain(state: NewtonState, best: int, curves: np.ndarray) -> bool:
    """Return whether the best start was at its end long ago, and others have had several times as long."""
    moved = np.flatnonzero(np.abs(curves[:, best] - curves[-1, best]) > TIE)
    needed = moved[-1] + 1 if len(moved) else 0
    return bool(state.finished[best]) and len(curves) > _MAX_CHUNK + _PATIENCE * needed


def _rival(state: NewtonState, best: int) -> float:
    """Return the distance in value to the best start that ended in other directions."""
    if len(state.value) == 1:
        return np.inf
    elsewhere = ~same_directions(state.point.unmixing, state.point.unmixing[best]) & (state.width == 0)
    return float((state.value - state.value[best])[elsewhere].min(initial=np.inf))


def same_directions(unmixing: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which of several bases, of shape (r, k, k), have codes in the directions of those of another."""
    rows, others = _unit_rows(unmixing), _unit_rows(other)
    return np.abs(rows @ others.T).max(axis=2).min(axis=1) >= _SAME_DIRECTIONS


def _unit_rows(unmixing: np.ndarray) -> np.ndarray:
    tiny = np.finfo(float).tiny
    return unmixing / (np.linalg.norm(unmixing, axis=-1, keepdims=True) + tiny)
