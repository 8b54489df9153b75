"""Full-batch training by a quasi-Newton method, on compiled values and gradients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from sparse_fourier import checkpoints, runtime
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.training import Progress

_MEMORY = 20
_SECONDS_BETWEEN_REPORTS = 0.1
_SMALLEST_GRADIENT = 1e-10
_OUT_OF_ITERATIONS = 1


class Minimum(NamedTuple):
    """Where a start ended.

    Attributes
    ----------
    model : Autoencoder
    curve : array of shape (n_iter,)
    converged : bool
    gain : float
        What the last iteration gained.
    stopped : bool
        Whether the callback asked for the end.
    """

    model: Any
    curve: np.ndarray
    converged: bool
    gain: float
    stopped: bool


def _expand(model: Any, loss: Loss, batch: Batch) -> tuple[Any, Any]:
    """Return the loss at the noise variance that fits best, and its gradient."""
    import jax
    import jax.numpy as jnp

    one = jnp.ones((), dtype=batch.weights.dtype)
    (value, _), gradient = jax.value_and_grad(loss, has_aux=True)(model, batch, one, one)
    return value, gradient


_expansion = runtime.Program(_expand)


def minimise(
    loss: Loss,
    model: Any,
    data: Batch,
    *,
    max_iter: int,
    tol: float,
    callback: Callable[[Progress], Any] | None = None,
) -> Minimum:
    """Minimise a loss from one start, by limited-memory BFGS [1]_.

    Parameters
    ----------
    loss : Loss
    model : Autoencoder
    data : Batch
        In double precision.
    max_iter : int
    tol : float
        The search ends when an iteration gains less, times the loss where that exceeds one.
    callback : callable, optional
        Called about every tenth of a second, and at least once.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
       optimization", SIAM Journal on Scientific Computing 16(5), 1190-1208, 1995.
    """
    search = _Search(loss, model, data, callback)
    while not search.over and search.n_iter < max_iter:
        search.go_on(search.segment(max_iter - search.n_iter), tol)
    return search.minimum(max_iter)


class _Search:
    """The model as one vector, and what has been seen of its loss."""

    def __init__(
        self, loss: Loss, model: Any, data: Batch, callback: Callable[[Progress], Any] | None
    ) -> None:
        import jax

        runtime.register(model)
        self._leaves, self._structure = jax.tree_util.tree_flatten(model)
        self._loss, self._data, self._callback = runtime.in_dtype(loss, np.float64), data, callback
        self.vector = np.concatenate([np.ravel(leaf) for leaf in self._leaves])
        self._best = (np.inf, self.vector)
        self._curve: list[float] = []
        self._stopped = False
        self._began = self._told = time.perf_counter()
        self._ended, self._place = False, checkpoints.loop()
        if self._place.saved is not None:
            self._resume(self._place.saved)

    @property
    def over(self) -> bool:
        """Whether the search is at its end, but for the number of iterations."""
        return self._ended or self._stopped

    @property
    def n_iter(self) -> int:
        """Number of iterations."""
        return len(self._curve)

    def segment(self, left: int) -> int:
        """Return after how many iterations the search begins anew, so that it can be kept."""
        return min(left, checkpoints.SEGMENT) if self._place.is_kept else left

    def go_on(self, max_iter: int, tol: float) -> None:
        """Search from where the last search ended."""
        result = minimize(
            self.value_and_gradient,
            self.vector,
            jac=True,
            method="L-BFGS-B",
            callback=self.tell,
            options={
                "maxiter": max_iter,
                "maxfun": 100 * max_iter,
                "maxcor": _MEMORY,
                "ftol": tol,
                "gtol": _SMALLEST_GRADIENT,
            },
        )
        self.vector, self._ended = result.x, bool(result.status != _OUT_OF_ITERATIONS or not result.nit)
        state = {"vector": self.vector, "loss": self._best[0], "best": self._best[1]}
        flags = {"ended": self._ended, "stopped": self._stopped}
        self._place.keep({**state, **flags, "curve": np.array(self._curve)})

    def _resume(self, saved: dict[str, Any]) -> None:
        self.vector, self._best = saved["vector"], (saved["loss"], saved["best"])
        self._ended, self._stopped = saved["ended"], saved["stopped"]
        self._curve = list(saved["curve"])

    def _model(self, vector: np.ndarray) -> Any:
        import jax

        ends = np.cumsum([leaf.size for leaf in self._leaves])[:-1]
        parts = zip(np.split(vector, ends), self._leaves, strict=True)
        leaves = [part.reshape(leaf.shape) for part, leaf in parts]
        return jax.tree_util.tree_unflatten(self._structure, leaves)

    def value_and_gradient(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both; a non-finite value is one that no search would accept."""
        import jax

        arguments = self._model(vector), self._loss, self._data
        value, gradient = _expansion(runtime.signature(*arguments), *arguments)
        flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree_util.tree_leaves(gradient)])
        if not (np.isfinite(value) and np.isfinite(flat).all()):
            return np.finfo(float).max, np.zeros_like(vector)
        if value < self._best[0]:
            self._best = (float(value), vector.copy())
        return float(value), flat

    def tell(self, intermediate_result: Any) -> None:
        """Note an iteration, and tell the caller of it now and then."""
        self._curve.append(float(intermediate_result.fun))
        now = time.perf_counter()
        if self._callback and now - self._told > _SECONDS_BETWEEN_REPORTS:
            self._report(now)
            if self._stopped:
                raise StopIteration

    def _report(self, now: float) -> None:
        if self._callback:
            loss = self._curve[-1] if self._curve else self._best[0]
            self._told = now
            self._stopped = bool(self._callback(Progress(len(self._curve), loss, now - self._began)))

    def minimum(self, max_iter: int) -> Minimum:
        """Return the best that was seen."""
        if self._callback and self._told == self._began:
            self._report(time.perf_counter())
        curve = np.array(self._curve or [self._best[0]])
        gain = float(curve[-2] - curve[-1]) if len(curve) > 1 else 0.0
        converged = not self._stopped and len(self._curve) < max_iter
        return Minimum(self._model(self._best[1]), curve, converged, gain, self._stopped)
