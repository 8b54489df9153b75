"""Encoders as networks, and the autoencoders that they are part of; for NumPy and JAX alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from sparse_fourier.activations import Activation
from sparse_fourier.namespace import Array, array_namespace

_BLOCK = 8192


class Layer(NamedTuple):
    """An affine map of rows: x @ weights + bias."""

    weights: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        """Return the map of rows."""
        return x @ self.weights + self.bias

    def of_inputs(self, offset: np.ndarray, scale: float) -> Layer:
        """Return the map that gives of rows x what this one gives of (x - offset) / scale."""
        weights = self.weights / scale
        return Layer(weights, self.bias - offset @ weights)


@dataclass(frozen=True, eq=False)
class Encoder:
    """An affine map to codes, with hidden layers beside it where there are any.

    Attributes
    ----------
    skip : Layer
        From signals, of shape (d, k), straight to the inputs of the activation.
    hidden : tuple of Layer
        From signals through hidden units; the last, of shape (m, k), adds to what `skip` gives. Empty for
        an affine encoder.
    hidden_activation : Activation
    activation : Activation
        Of the codes.
    """

    skip: Layer
    hidden: tuple[Layer, ...]
    hidden_activation: Activation
    activation: Activation

    untraced: ClassVar[tuple[str, ...]] = ("hidden_activation", "activation")

    def __call__(self, X: Array) -> Array:
        """Return the codes of signals."""
        return self.activation(self.inputs(X))

    def inputs(self, X: Array) -> Array:
        """Return the inputs of the activation of the codes."""
        inputs = self.skip(X)
        if not self.hidden:
            return inputs
        units = X
        for layer in self.hidden[:-1]:
            units = self.hidden_activation(layer(units))
        return inputs + self.hidden[-1](units)

    @property
    def lean(self) -> Self:
        """The encoder without hidden layers that add nothing, as at the start of training."""
        idle = bool(self.hidden) and not any(part.any() for part in self.hidden[-1])
        return replace(self, hidden=()) if idle else self

    def of_inputs(self, offset: np.ndarray, scale: float) -> Self:
        """Return the encoder of signals x that gives what this one gives for (x - offset) / scale."""
        hidden = (self.hidden[0].of_inputs(offset, scale), *self.hidden[1:]) if self.hidden else ()
        return replace(self, skip=self.skip.of_inputs(offset, scale), hidden=hidden)

    def recoded(self, order: np.ndarray, factors: np.ndarray, shifts: np.ndarray | None) -> Self:
        """Return the encoder with inputs of the activation times factors, plus shifts, in another order."""
        hidden = (*self.hidden[:-1], _after(self.hidden[-1], order, factors)) if self.hidden else ()
        skip = _after(self.skip, order, factors)
        if shifts is not None:
            skip = Layer(skip.weights, skip.bias + shifts[order])
        return replace(self, skip=skip, hidden=hidden)

    def in_blocks(self, X: np.ndarray) -> np.ndarray:
        """Return the codes of signals, block by block, so that hidden units need little memory."""
        blocks = [self(X[start : start + _BLOCK]) for start in range(0, len(X), _BLOCK)]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """An encoder and a linear decoder: what is trained, and what a penalty is shown.

    Attributes
    ----------
    encoder : Encoder
    components : array of shape (k, d)
    intercept : array of shape (d,)
    """

    encoder: Encoder
    components: Array
    intercept: Array

    def encode(self, X: Array) -> Array:
        """Return the codes of signals."""
        return self.encoder(X)

    @property
    def has_free_scale(self) -> bool:
        """Whether codes may be multiplied by numbers, and components divided by them."""
        return self.encoder.activation.homogeneous

    def decode(self, codes: Array) -> Array:
        """Return the signals of codes."""
        return codes @ self.components + self.intercept


@dataclass(frozen=True, eq=False)
class Unit:
    """The unit of training: signals less a centre, over a scale, in a precision.

    Attributes
    ----------
    centre : array of shape (d,)
    scale : float
    dtype : dtype
    """

    centre: Array
    scale: Array
    dtype: Any

    untraced: ClassVar[tuple[str, ...]] = ("dtype",)

    def __call__(self, x: Array) -> Array:
        """Return signals in double precision as they are trained on."""
        return ((x - self.centre) / self.scale).astype(self.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class Coder:
    """What gives the codes of signals as they are before training.

    Attributes
    ----------
    unit : Unit
    encoder : callable
        Of signals in that unit: an encoder or a layer.
    """

    unit: Unit
    encoder: Any

    def __call__(self, x: Array) -> Array:
        """Return the codes of signals in double precision."""
        return self.encoder(self.unit(x))


def _after(layer: Layer, order: np.ndarray, factors: np.ndarray) -> Layer:
    return Layer((layer.weights * factors)[:, order], (layer.bias * factors)[order])


@dataclass(frozen=True, eq=False)
class SeenAutoencoder:
    """What a penalty is shown: an autoencoder in the user's unit, components of unit norm where that is free.

    Attributes
    ----------
    model : Autoencoder
        Of signals (x - origin) / unit.
    origin : array of shape (d,) or number
    unit : float
    """

    model: Autoencoder
    origin: Array
    unit: Array

    @property
    def sizes(self) -> Array:
        """What codes are multiplied by, of shape (k,)."""
        xp = array_namespace(self.model.components)
        squares = (self.model.components**2).sum(axis=1)
        if not self.model.has_free_scale:
            return xp.ones_like(squares)
        return self.unit * xp.sqrt(xp.where(squares > 0, squares, 1.0))

    @property
    def components(self) -> Array:
        """The components."""
        return self.unit * self.model.components / self.sizes[:, None]

    @property
    def intercept(self) -> Array:
        """The intercept."""
        return self.unit * self.model.intercept + self.origin

    def encode(self, X: Array) -> Array:
        """Return the codes of signals."""
        return self.model.encode((X - self.origin) / self.unit) * self.sizes
