"""Stochastic steps, a chunk of them in one compiled program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.stacks import TrainingState


class Steps(NamedTuple):
    """What the steps of a chunk are told, each of length `chunk`: rows, how many count, rates."""

    rows: np.ndarray
    seen: np.ndarray
    rates: np.ndarray
    shares: np.ndarray


def take_steps(
    state: TrainingState, parts: tuple[Loss, Optimizer], data: Batch, steps: Steps, n_steps: int
) -> tuple[TrainingState, np.ndarray]:
    """Take steps with a loss and an optimiser; return the state, and the losses before every step."""
    arguments = state, *parts, data, steps, np.int32(n_steps)
    state, values = _program(runtime.signature(*arguments), *arguments)
    return state, values[:n_steps].astype(float)


def _advance(
    state: TrainingState, loss: Loss, optimizer: Optimizer, data: Batch, steps: Steps, n_steps: Any
) -> tuple[TrainingState, Any]:
    """Take `n_steps` steps from all starts; return the state, and losses of shape (chunk, n_starts)."""
    import jax
    import jax.numpy as jnp

    step = _side_by_side(loss, optimizer, len(state.noise))
    width = steps.rows.shape[1]

    def take(i: Any, carry: tuple[TrainingState, Any]) -> tuple[TrainingState, Any]:
        state, values = carry
        rows = steps.rows[i]
        weights = jnp.where(jnp.arange(width) < steps.seen[i], data.weights[rows], 0.0)
        batch = Batch(data.signals[rows], weights, steps.seen[i].astype(weights.dtype))
        model, moments, noise, losses = step(
            state.model, state.moments, state.noise, state.count, batch, steps.rates[i], steps.shares[i]
        )
        return TrainingState(model, moments, noise, state.count + 1), values.at[i].set(losses)

    values = jnp.zeros((len(steps.rows), len(state.noise)), dtype=data.weights.dtype)
    return jax.lax.fori_loop(0, n_steps, take, (state, values))


def _side_by_side(loss: Loss, optimizer: Optimizer, n_starts: int) -> Callable[..., Any]:
    """Return one step of all starts at once; a single one is spared the cost of batching."""
    import jax

    def step(
        model: Any, moments: Any, noise: Any, count: Any, batch: Batch, rate: Any, share: Any
    ) -> tuple[Any, ...]:
        (value, noise), gradients = jax.value_and_grad(loss, has_aux=True)(model, batch, noise, share)
        directions, moments = optimizer.direction(gradients, moments, model, count)
        model = jax.tree_util.tree_map(lambda part, change: part - rate * change, model, directions)
        return model, moments, noise, value

    if n_starts > 1:
        return jax.vmap(step, in_axes=(0, 0, 0, None, None, None, None))

    def alone(model: Any, moments: Any, noise: Any, *rest: Any) -> Any:
        first = jax.tree_util.tree_map(lambda part: part[0], (model, moments, noise))
        return jax.tree_util.tree_map(lambda part: part[None], step(*first, *rest))

    return alone


_program = runtime.Program(_advance)


def learning_rates(rate: float | Callable[[Any], Any], count: int, n_steps: int) -> np.ndarray:
    """Return the learning rates of the next steps, given how many have been taken."""
    if not callable(rate):
        return np.full(n_steps, rate, dtype=float)
    import jax

    with runtime.settings():
        rates = np.array(jax.vmap(rate)(count + np.arange(n_steps)), dtype=float)
    if rates.shape != (n_steps,) or not (np.isfinite(rates) & (rates >= 0)).all():
        raise ValueError(
            "The 'learning_rate' schedule must give a finite number of at least zero for every step. Got "
            f"{rates.ravel()[:3]} instead."
        )
    return rates


def is_finite(state: TrainingState, values: np.ndarray) -> bool:
    """Return whether any start has finite losses and parameters."""
    import jax

    finite = np.asarray(np.isfinite(values).all(axis=0))
    for leaf in jax.tree_util.tree_leaves(state.model):
        finite &= np.isfinite(leaf).reshape(len(finite), -1).all(axis=1)
    return bool(finite.any())
