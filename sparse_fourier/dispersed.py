"""Signals that a network is trained on, spread over devices: batches are picked and summed where rows lie."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.collectives import Programs, call, in_unit, programs_of
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.networks import Unit
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.sharding import ShardedSignals
from sparse_fourier.sources import Source, expand
from sparse_fourier.stacks import TrainingState
from sparse_fourier.steps import Packing, Steps, advance, take_steps

_WIDTHS = 8  # from none to an even share of a batch


@dataclass(frozen=True, eq=False)
class SpreadBatch:
    """Signals as they are, spread over devices; batches of them are in the unit of training.

    Attributes
    ----------
    signals : array of shape (n, d)
    weights : array of shape (n,)
    factor : float
        Brings signals into the model's unit.
    unit : Unit
    programs : Programs
        For their layout.
    width : int
        The most rows of a batch that a device may hold.
    """

    signals: Any
    weights: Any
    factor: Any
    unit: Unit
    programs: Programs
    width: int

    untraced: ClassVar[tuple[str, ...]] = ("programs", "width")

    def taken(self, rows: Any, seen: Any) -> Batch:
        """Return some of the signals, of which the first `seen` count: each on its device, in any order."""
        import jax.numpy as jnp

        arrays = self.signals, self.weights
        (signals, weights), present = self.programs.picked(arrays, rows, seen, self.width)
        weights = jnp.where(present, weights, 0.0)
        return Batch(_prepared(signals, self.factor, self.unit), weights, seen.astype(weights.dtype))


class SpreadSource(Source):
    """Signals whose rows are spread over devices or processes.

    A batch is the rows that it would be in one array. Each device works on those of them that it holds, in
    as many places as the fullest device needs; gradients are summed over devices.

    Parameters
    ----------
    signals : ShardedSignals
    weights : array of shape (n,)
        Rows of weight zero are none.
    exponent : int
        Binary exponent of the model's unit.
    unit : Unit
        Of training.
    """

    in_step: ClassVar[bool] = True

    def __init__(self, signals: ShardedSignals, weights: np.ndarray, exponent: int, unit: Unit) -> None:
        self._programs = programs_of(signals.array.sharding)
        self._present = np.flatnonzero(weights)
        self.n, self.n_features, self.dtype = len(self._present), signals.shape[1], unit.dtype
        self._rows_of_part = len(signals) // self._programs.n_parts
        even = (weights / weights[self._present].mean()).astype(self.dtype)
        placed = signals.array, self._programs.placed(even)
        self._data = SpreadBatch(*placed, np.ldexp(1.0, -exponent), unit, self._programs, 0)

    def advance(
        self, state: TrainingState, parts: tuple[Loss, Optimizer], steps: Steps, n_steps: int
    ) -> tuple[TrainingState, np.ndarray]:
        """Take the steps of a chunk."""
        rows = self._present[steps.rows].astype(np.int32)
        self._data = replace(self._data, width=max(self._data.width, self._width(rows, steps.seen)))
        steps, program = steps._replace(rows=rows), self._programs.of(advance)
        return take_steps(state, parts, self._data, steps, n_steps, program)

    def _width(self, rows: np.ndarray, seen: np.ndarray) -> int:
        """Return how many places batches take on the fullest device: one of few numbers."""
        n_steps, size = rows.shape
        counts = np.zeros((n_steps, self._programs.n_parts + 1), dtype=np.int64)
        parts = np.where(np.arange(size) < seen[:, None], rows // self._rows_of_part, self._programs.n_parts)
        np.add.at(counts, (np.arange(n_steps)[:, None], parts), 1)
        step = -(-size // (_WIDTHS * self._programs.n_parts))
        return min(-(-int(counts[:, :-1].max()) // step) * step, size)

    def losses(self, model: Any, loss: Loss, noise: np.ndarray) -> np.ndarray:
        """Return the losses of stacked models."""
        arrays = self._data.signals, self._data.weights
        parts = self._data.factor, self._data.unit, model, runtime.in_dtype(loss, self.dtype)
        judge = functools.partial(call, self._programs.sum_of(_losses_of_block), arrays, *parts)
        if loss.needs_noise:
            noise = judge(noise.astype(self.dtype), self.dtype.type(1.0))[1] / self.n
        return judge(noise.astype(self.dtype), self.dtype.type(0.0))[0] / self.n

    def expansion(self, loss: Loss, packing: Packing) -> Callable[[Any], tuple[Any, Any]]:
        """Return what gives the loss and its gradient."""
        data = self._data
        ready = call(self._programs.staying(_prepared), data.signals, data.factor, data.unit)
        batch = Batch(ready, data.weights, np.float64(self.n))
        loss, program = runtime.in_dtype(loss, np.float64), self._programs.of(expand)
        return lambda row: call(program, row, packing, loss, batch)


def _prepared(signals: Any, factor: Any, unit: Unit) -> Any:
    return unit(in_unit(signals, factor))


def _losses_of_block(
    X: Any,
    weights: Any,
    factor: Any,
    unit: Unit,
    model: Any,
    loss: Loss,
    noise: Any,
    share: Any,
) -> Any:
    """Return the losses of models, and their noise variances, times the weight of a block."""
    import jax
    import jax.numpy as jnp

    weight = weights.sum()
    batch = Batch(_prepared(X, factor, unit), weights, jnp.where(weight > 0, weight, 1.0))
    found = jax.vmap(lambda m, s: jnp.stack(loss(m, batch, s, share)))(model, noise)
    return jnp.where(weight > 0, weight * found.T, 0.0).astype(float)
