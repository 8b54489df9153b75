"""Stochastic steps, a chunk of them in one compiled program."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.namespace import array_namespace
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.stacks import TrainingState

_SMALL = 2**14


class Steps(NamedTuple):
    """What the steps of a chunk are told, each of length `chunk`: rows, how many count, rates."""

    rows: np.ndarray
    seen: np.ndarray
    rates: np.ndarray
    shares: np.ndarray


def take_steps(
    state: TrainingState,
    parts: tuple[Loss, Optimizer],
    data: Any,
    steps: Steps,
    n_steps: int,
    program: runtime.Program | None = None,
) -> tuple[TrainingState, np.ndarray]:
    """Take steps with a loss and an optimiser; return the state, and the losses before every step.

    `data` gives batches of itself, as `Batch.taken` does; `program` is `advance`, compiled for where it lies.
    """
    packing = Packing.of(state.model, _SMALL if parts[1].elementwise else 0)
    packed = packing.applied(state, packing.packed)
    arguments = packed, packing, *parts, data, steps, np.int32(n_steps)
    after, values = (program or _program)(runtime.signature(*arguments), *arguments)
    return packing.applied(after, packing.unpacked), values[:n_steps].astype(float)


def advance(
    state: TrainingState,
    packing: Packing,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    steps: Steps,
    n_steps: Any,
) -> tuple[TrainingState, Any]:
    """Take `n_steps` steps from all starts; return the state, and losses of shape (chunk, n_starts)."""
    import jax
    import jax.numpy as jnp

    step, alone = _step(loss, optimizer, packing), len(state.noise) == 1
    if alone:
        state = _stacked(state, lambda part: part[0])
    else:
        step = jax.vmap(step, in_axes=(0, 0, 0, None, None, None, None))

    def take(i: Any, carry: tuple[TrainingState, Any]) -> tuple[TrainingState, Any]:
        state, values = carry
        batch = data.taken(steps.rows[i], steps.seen[i])
        model, moments, noise, losses = step(
            state.model, state.moments, state.noise, state.count, batch, steps.rates[i], steps.shares[i]
        )
        return TrainingState(model, moments, noise, state.count + 1), values.at[i].set(losses)

    values = jnp.zeros((len(steps.rows), *jnp.shape(state.noise)), dtype=data.weights.dtype)
    state, values = jax.lax.fori_loop(0, n_steps, take, (state, values))
    return (_stacked(state, lambda part: part[None]), values[:, None]) if alone else (state, values)


@dataclass(frozen=True)
class Packing:
    """Arrays of models as programs hold them: the small ones of each in a row, tall ones turned.

    One loop moves all small arrays: programs with fewer loops compile faster. Large arrays stay in one place,
    since copies of them cost time; where they have more rows than columns, as weights of many features have,
    columns and rows change places, for products with them and their gradients are quicker then.

    Attributes
    ----------
    structure : object
        JAX's description of a model.
    shapes : tuple of tuple
        Of its arrays.
    small, tall : tuple of bool
        Which of them are small, and which are turned.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    small: tuple[bool, ...]
    tall: tuple[bool, ...]

    untraced: ClassVar[tuple[str, ...]] = ("structure", "shapes", "small", "tall")

    @classmethod
    def of(cls, model: Any, large: int) -> Packing:
        """Return the packing of a stacked model whose arrays are large from a number of entries on.

        If that is zero, all stay as they are.
        """
        import jax

        leaves, structure = jax.tree_util.tree_flatten(model)
        shapes = tuple(leaf.shape[1:] for leaf in leaves)
        small = tuple(math.prod(shape) < large for shape in shapes)
        tall = tuple(
            large > 0 and not few and _is_tall(shape) for shape, few in zip(shapes, small, strict=True)
        )
        return cls(structure, shapes, small, tall)

    @classmethod
    def in_rows(cls, model: Any) -> Packing:
        """Return the packing of a stacked model all of whose arrays are in a row."""
        return cls.of(model, sys.maxsize)

    def applied(self, state: TrainingState, change: Callable[[Any], Any]) -> TrainingState:
        """Return the state with its model, and moments that look like it, packed or unpacked."""
        if self._is_idle:
            return state
        return state._replace(model=change(state.model), moments=tuple(map(change, state.moments)))

    def packed(self, model: Any) -> tuple[Any, ...]:
        """Return the large arrays of stacked models, and all others in rows."""
        import jax

        leaves = jax.tree_util.tree_leaves(model)
        rows = [leaf.reshape(len(leaf), -1) for leaf in self._chosen(leaves, small=True)]
        return *self._turned(self._chosen(leaves, small=False)), np.concatenate(rows, axis=1)

    def unpacked(self, packed: Any) -> Any:
        """Return the model, or the stacked models, for NumPy and JAX alike."""
        import jax

        if self._is_idle:
            return packed
        *large, row = packed
        ends = np.cumsum(self._chosen([math.prod(shape) for shape in self.shapes], small=True))
        parts = array_namespace(row).split(row, ends[:-1], axis=-1)
        shapes = self._chosen(list(self.shapes), small=True)
        small = [part.reshape(row.shape[:-1] + shape) for part, shape in zip(parts, shapes, strict=True)]
        sources = {True: iter(small), False: iter(self._turned(large))}
        return jax.tree_util.tree_unflatten(self.structure, [next(sources[each]) for each in self.small])

    @property
    def _is_idle(self) -> bool:
        return not any(self.small)

    def _turned(self, large: list[Any]) -> list[Any]:
        """Return large arrays with the last two axes of tall ones exchanged, which undoes itself."""
        tall = self._chosen(list(self.tall), small=False)
        return [
            array.swapaxes(-1, -2) if is_tall else array for array, is_tall in zip(large, tall, strict=True)
        ]

    def _chosen(self, items: list[Any], *, small: bool) -> list[Any]:
        return [item for item, is_small in zip(items, self.small, strict=True) if is_small is small]


def _is_tall(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] > shape[1]


def _stacked(state: TrainingState, change: Callable[[Any], Any]) -> TrainingState:
    """Return the state with a change of the axis along which models are stacked.

    A single one is trained without that axis, outside of the loop: within, the arrays would be copied.
    """
    import jax

    model, moments, noise = jax.tree_util.tree_map(change, (state.model, state.moments, state.noise))
    return TrainingState(model, moments, noise, state.count)


def _step(loss: Loss, optimizer: Optimizer, packing: Packing) -> Callable[..., Any]:
    """Return one step of one start."""
    import jax

    def step(
        model: Any, moments: Any, noise: Any, count: Any, batch: Batch, rate: Any, share: Any
    ) -> tuple[Any, ...]:
        def valued(model: Any) -> Any:
            return loss(packing.unpacked(model), batch, noise, share)

        (value, after), gradients = jax.value_and_grad(valued, has_aux=True)(model)
        directions, moments = optimizer.direction(gradients, moments, model, count)
        model = jax.tree_util.tree_map(lambda part, change: part - rate * change, model, directions)
        return model, moments, after, value

    return step


_program = runtime.Program(advance)


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
