"""Models that are trained side by side: stacked into one, judged, taken apart again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.optimizers import Optimizer

_BLOCK, _ENTRIES_OF_A_BLOCK = 8192, 2**18


class TrainingState(NamedTuple):
    """All that a next step depends on, in NumPy arrays with a leading axis for the starts.

    Attributes
    ----------
    model : Autoencoder
    moments : tuple
        Of the optimiser.
    noise : array of shape (n_starts,)
        Running noise variance.
    count : int array
        Steps taken.
    """

    model: Any
    moments: tuple[Any, ...]
    noise: np.ndarray
    count: Any


def first_state(model: Any, optimizer: Optimizer, noise: np.ndarray) -> TrainingState:
    """Return the state before the first step, of stacked models."""
    return TrainingState(model, optimizer.init(model), noise, np.int32(0))


def unmoved(model: Any, noise: np.ndarray) -> TrainingState:
    """Return the state of stacked models that no stochastic optimiser has moved."""
    return TrainingState(model, (), noise, np.int32(0))


def stack(models: Sequence[Any], dtype: Any) -> Any:
    """Return models as one, with a leading axis, in a precision."""
    import jax

    runtime.register(list(models))
    return jax.tree_util.tree_map(lambda *parts: np.stack(parts).astype(dtype), *models)


def taken(model: Any, index: int, dtype: Any = None) -> Any:
    """Return one of stacked models."""
    import jax

    runtime.register(model)
    return jax.tree_util.tree_map(lambda part: np.array(part[index], dtype=dtype, order="C"), model)


def chosen(state: TrainingState, index: int) -> TrainingState:
    """Return the state of one of the starts, still stacked."""
    import jax

    parts = state.model, state.moments, state.noise
    model, moments, noise = jax.tree_util.tree_map(
        lambda part: np.array(part[index : index + 1], order="C"), parts
    )
    return TrainingState(model, moments, noise, state.count)


def evaluate(model: Any, loss: Loss, batch: Batch, noise: np.ndarray) -> np.ndarray:
    """Return the losses of stacked models on signals, each at the noise variance that fits these best.

    Block by block: the first pass settles the noise variance, which is a mean over signals.
    """
    judge, batch = _judge(model, loss, len(noise)), batch._replace(signals=np.asarray(batch.signals))
    size = _BLOCK if loss.needs_jax else max(_ENTRIES_OF_A_BLOCK // batch.signals.shape[1], 1)
    if loss.needs_noise:
        noise = _mean_over_blocks(judge, batch, noise, 1.0, size)[1]
    return _mean_over_blocks(judge, batch, noise, 0.0, size)[0]


def _mean_over_blocks(
    judge: Callable[..., np.ndarray], batch: Batch, noise: np.ndarray, share: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    totals = np.zeros((2, len(noise)))
    dtype, n = batch.weights.dtype, len(batch.weights)
    for rows in (slice(first, first + size) for first in range(0, n, size)):
        weight = batch.weights[rows].sum()
        if weight > 0:
            block = Batch(batch.signals[rows], batch.weights[rows], weight)
            totals += weight * judge(block, noise.astype(dtype), dtype.type(share))
    return totals[0] / float(batch.total), totals[1] / float(batch.total)


def _judge(model: Any, loss: Loss, n_models: int) -> Callable[..., np.ndarray]:
    """Return what gives losses and noise variances of all models, compiled only where the loss needs that."""
    if loss.needs_jax:

        def compiled(block: Batch, noise: np.ndarray, share: Any) -> np.ndarray:
            arguments = model, loss, block, noise, share
            return np.array(_evaluation(runtime.signature(*arguments), *arguments), dtype=float)

        return compiled
    models = [taken(model, index) for index in range(n_models)]
    models = [replace(one, encoder=one.encoder.lean) for one in models]

    def plain(block: Batch, noise: np.ndarray, share: Any) -> np.ndarray:
        pairs = [loss(one, block, s, share) for one, s in zip(models, noise, strict=True)]
        return np.array(pairs, dtype=float).T

    return plain


def _losses(model: Any, loss: Loss, batch: Batch, noise: Any, share: Any) -> Any:
    """Return the losses, and the noise variances, of several models on the same signals."""
    import jax

    return jax.vmap(lambda m, s: loss(m, batch, s, share))(model, noise)


_evaluation = runtime.Program(_losses)
