"""The loop of a quasi-Newton search: SciPy's steps, our stopping rule, a turn for the caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

from sparse_fourier import checkpoints
from sparse_fourier.training import Progress

_SECONDS_BETWEEN_REPORTS = 0.1
_SCIPY_OUT_OF_ITERATIONS = 1
_SCIPY_FAILED_SEARCH = 2
_STALLED = 1e-9
_EVALUATIONS_PER_ITERATION = 100

ValueAndGradient = Callable[[np.ndarray], tuple[Any, np.ndarray]]


class Descent(NamedTuple):
    """Outcome of `descend`.

    Attributes
    ----------
    place : array
        Where the smallest value was found, in the shape of the start.
    value : float
    curve : array of shape (n_iterations,)
        The value after each iteration.
    converged : bool
    decrement : float
        By how much the last iteration lowered the value.
    stopped : bool
        Whether the callback asked for the end.
    """

    place: np.ndarray
    value: float
    curve: np.ndarray
    converged: bool
    decrement: float
    stopped: bool


def descend(
    value_and_gradient: ValueAndGradient,
    start: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    memory: int,
    lowest: np.ndarray | None = None,
    done: int = 0,
    callback: Callable[[Progress], Any] | None = None,
) -> Descent:
    """Minimise a smooth function by limited-memory BFGS [1]_, in double precision.

    Where a search along a direction fails, as rounding and jumps of the function make it, it begins anew,
    down the gradient, until that too leads nowhere. No search accepts a value that is not finite.

    Parameters
    ----------
    value_and_gradient : callable
        Of an array of the shape of `start`.
    start : array
    tol : float
        An iteration that lowers the value by less, times the value where that exceeds one, is the last.
    max_iter : int
    memory : int
        Number of steps from which curvature is estimated.
    lowest : array of the shape of `start`, optional
        Bounds from below.
    done : int
        Iterations done before, to be counted in what the callback is told.
    callback : callable, optional
        Called with `Progress` every tenth of a second, and at the end; returning True ends training.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
       optimization", SIAM Journal on Scientific Computing 16(5), 1190-1208, 1995.
    """
    bounds = None if lowest is None else Bounds(np.ravel(lowest))
    search = _Search(value_and_gradient, start, _Told(callback, done), bounds)
    while not search.over(max_iter):
        search.go_on(max_iter, tol, memory)
    return search.outcome()


class _Told:
    """The caller, who is told of iterations now and then and may ask for the end."""

    def __init__(self, callback: Callable[[Progress], Any] | None, done: int) -> None:
        self._callback, self._done, self.stopped = callback, done, False
        self._began = self._last = time.perf_counter()

    def of(self, count: int, value: float) -> None:
        """Tell of an iteration, unless that was done just now."""
        if time.perf_counter() - self._last > _SECONDS_BETWEEN_REPORTS:
            self.now(count, value)

    def now(self, count: int, value: float) -> None:
        """Tell of an iteration."""
        self._last = time.perf_counter()
        progress = Progress(self._done + count, value, self._last - self._began)
        self.stopped = bool(self._callback and self._callback(progress))


class _Search:
    """Where a search is, and the values that it has come through."""

    def __init__(
        self, value_and_gradient: ValueAndGradient, start: np.ndarray, told: _Told, bounds: Bounds | None
    ) -> None:
        self._function, self._shape, self._told = value_and_gradient, start.shape, told
        self._bounds = bounds
        self._place, self._gain, self._status = start.ravel(), np.inf, _SCIPY_OUT_OF_ITERATIONS
        self._kept = checkpoints.loop()
        if self._kept.saved is None:
            self._values = [self._evaluate(self._place)[0]]
        else:
            self._resume(self._kept.saved)

    def over(self, max_iter: int) -> bool:
        """Return whether it ends; a failed search, or the end of a segment, ends no more than a part."""
        ended = self._status not in (_SCIPY_FAILED_SEARCH, _SCIPY_OUT_OF_ITERATIONS)
        return self._told.stopped or self._count >= max_iter or ended or self._gain <= _STALLED

    def go_on(self, max_iter: int, tol: float, memory: int) -> None:
        """Search from where the last part ended."""
        before, left = self._values[-1], max(max_iter - self._count, 1)
        steps = min(left, checkpoints.SEGMENT) if self._kept.is_kept else left
        options = {"maxiter": steps, "maxfun": _EVALUATIONS_PER_ITERATION * steps, "maxcor": memory}
        result = minimize(
            self._evaluate,
            self._place,
            jac=True,
            method="L-BFGS-B",
            bounds=self._bounds,
            callback=self._note,
            options={**options, "ftol": tol, "gtol": 0.0},
        )
        self._place, self._status = result.x, int(result.status)
        self._gain = float(before - result.fun) / max(abs(before), 1.0) if result.nit else 0.0
        self._kept.keep(self._state())

    def outcome(self) -> Descent:
        """Return how it ended, and tell of it."""
        if not self._told.stopped:
            self._told.now(self._count, self._values[-1])
        settled = self._status != _SCIPY_OUT_OF_ITERATIONS or self._gain <= _STALLED
        return Descent(
            self._place.reshape(self._shape),
            self._values[-1],
            np.array(self._values[1:]),
            settled and not self._told.stopped,
            float(-np.diff(self._values[-2:]).sum()),
            self._told.stopped,
        )

    @property
    def _count(self) -> int:
        return len(self._values) - 1

    def _evaluate(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self._function(flat.reshape(self._shape))
        slope = np.ravel(gradient)
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return np.finfo(float).max, np.zeros_like(flat)
        return float(value), slope

    def _note(self, intermediate_result: OptimizeResult) -> None:
        self._values.append(float(intermediate_result.fun))
        self._told.of(self._count, self._values[-1])
        if self._told.stopped:
            raise StopIteration

    def _state(self) -> dict[str, Any]:
        state = {"place": self._place, "values": np.array(self._values), "gain": self._gain}
        return {**state, "status": self._status, "stopped": self._told.stopped}

    def _resume(self, saved: dict[str, Any]) -> None:
        self._place, self._values = saved["place"], list(saved["values"])
        self._gain, self._status = saved["gain"], saved["status"]
        self._told.stopped = saved["stopped"]
