"""Signals that networks are trained on, and how programs reach them where they lie."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.signals import Signals
from sparse_fourier.stacks import TrainingState, evaluate
from sparse_fourier.steps import Packing, Steps, take_steps

_MOST_ENTRIES = 1 << 22
_ANY = 1 << 30


class Source(ABC):
    """Signals in the unit and the precision of training, with weights of mean one.

    Attributes
    ----------
    n : int
        Number of rows that batches are drawn from.
    n_features : int
    dtype : dtype
    """

    n: int
    n_features: int
    dtype: np.dtype

    in_step: ClassVar[bool] = False
    """Whether several processes train together, so that none may take more steps at a time than others."""

    def most_steps(self, batch_size: int) -> int:
        """Return how many steps a chunk may have."""
        return _ANY

    @abstractmethod
    def advance(
        self, state: TrainingState, parts: tuple[Loss, Optimizer], steps: Steps, n_steps: int
    ) -> tuple[TrainingState, np.ndarray]:
        """Take the steps of a chunk, as `take_steps` does."""

    @abstractmethod
    def losses(self, model: Any, loss: Loss, noise: np.ndarray) -> np.ndarray:
        """Return the losses of stacked models on all signals, as `evaluate` does."""

    @abstractmethod
    def expansion(self, loss: Loss, packing: Packing) -> Callable[[Any], tuple[Any, Any]]:
        """Return what gives the loss of all signals, in double precision, and its gradient.

        Of models whose arrays are one row, as is the gradient, at the noise variance that fits best.
        """


class Held(Source):
    """Signals in one array, which is put where programs run once one needs it there.

    Parameters
    ----------
    data : Batch
        The weights add up to the number of rows, which is `total`; rows beyond have weight zero.
    """

    def __init__(self, data: Batch) -> None:
        self._data = data
        self.n, self.n_features, self.dtype = int(data.total), data.signals.shape[1], data.weights.dtype

    @functools.cached_property
    def _placed(self) -> Batch:
        self._data = self._data._replace(signals=runtime.on_device(self._data.signals))
        return self._data

    def advance(
        self, state: TrainingState, parts: tuple[Loss, Optimizer], steps: Steps, n_steps: int
    ) -> tuple[TrainingState, np.ndarray]:
        """Take the steps of a chunk."""
        return take_steps(state, parts, self._placed, steps, n_steps)

    def losses(self, model: Any, loss: Loss, noise: np.ndarray) -> np.ndarray:
        """Return the losses of stacked models."""
        return evaluate(model, loss, self._data, noise)

    def expansion(self, loss: Loss, packing: Packing) -> Callable[[Any], tuple[Any, Any]]:
        """Return what gives the loss and its gradient."""
        placed = runtime.on_device((runtime.in_dtype(loss, np.float64), self._placed))
        signature = runtime.signature(packing, *placed)
        return lambda row: _expansion(signature, row, packing, *placed)


class Fetched(Held):
    """Signals that are read for each chunk of steps.

    Parameters
    ----------
    data : Batch
        Of `Signals`.
    """

    def most_steps(self, batch_size: int) -> int:
        """Return how many steps a chunk may have, so that little is read at once."""
        return max(_MOST_ENTRIES // (batch_size * self.n_features), 1)

    def advance(
        self, state: TrainingState, parts: tuple[Loss, Optimizer], steps: Steps, n_steps: int
    ) -> tuple[TrainingState, np.ndarray]:
        """Take the steps of a chunk, on the signals that it needs."""
        rows = steps.rows.ravel()
        data = self._data._replace(signals=self._data.signals[rows], weights=self._data.weights[rows])
        own = np.arange(len(rows), dtype=np.int32).reshape(steps.rows.shape)
        return take_steps(state, parts, data, steps._replace(rows=own), n_steps)


def source_of(data: Batch | Source) -> Source:
    """Return signals as a source.

    Parameters
    ----------
    data : Batch or Source
        Of a batch, the weights add up to the number of rows, which is `total`; rows beyond have weight zero.
        The signals are an array, or `Signals`, which are read for each chunk of steps. All of one precision.
    """
    if isinstance(data, Source):
        return data
    return (Fetched if isinstance(data.signals, Signals) else Held)(data)


def expand(row: Any, packing: Packing, loss: Loss, batch: Batch) -> tuple[Any, Any]:
    """Return the loss at the noise variance that fits best, and its gradient, where that is traced.

    Both of a model whose arrays are one row.
    """
    import jax
    import jax.numpy as jnp

    one = jnp.ones((), dtype=batch.weights.dtype)

    def valued(row: Any) -> Any:
        return loss(packing.unpacked((row,)), batch, one, one)

    (value, _), gradient = jax.value_and_grad(valued, has_aux=True)(row)
    return value, gradient


_expansion = runtime.Program(expand)
