"""Stochastic optimisers: from the gradients of a batch to a change of the parameters.

Each is `init` and `direction` on trees of arrays; the learning rate is the loop's. Moments are tuples of
arrays, so that they can be kept without the classes of another library.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from sparse_fourier import runtime


class Optimizer(ABC):
    """What a stochastic optimiser has to be.

    Attributes
    ----------
    rate : float
        Learning rate where none is given.
    elementwise : bool
        Whether the change of a parameter depends on nothing but its own gradients, wherever it stands.
    """

    rate: ClassVar[float]
    elementwise: ClassVar[bool] = True

    @abstractmethod
    def init(self, parameters: Any) -> tuple[Any, ...]:
        """Return the moments before the first step."""

    @abstractmethod
    def direction(
        self, gradients: Any, moments: tuple[Any, ...], parameters: Any, count: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return what is subtracted from the parameters, per unit of learning rate, and new moments.

        `count` is the number of steps taken so far.
        """


@dataclass(frozen=True)
class SGD(Optimizer):
    """Steps against the gradient."""

    rate: ClassVar[float] = 0.01

    def init(self, parameters: Any) -> tuple[Any, ...]:
        """Return nothing."""
        return ()

    def direction(
        self, gradients: Any, moments: tuple[Any, ...], parameters: Any, count: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the gradients."""
        return gradients, moments


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Steps in units of a running root mean square of each gradient [1]_.

    References
    ----------
    .. [1] T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Coursera: Neural Networks for Machine
       Learning, 2012.
    """

    decay: float = 0.9
    epsilon: float = 1e-10

    rate: ClassVar[float] = 1e-3

    def init(self, parameters: Any) -> tuple[Any, ...]:
        """Return zeros."""
        return (_map(_zeros, parameters),)

    def direction(
        self, gradients: Any, moments: tuple[Any, ...], parameters: Any, count: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return gradients over the root of their mean squares."""
        squares = _map(lambda s, g: self.decay * s + (1 - self.decay) * g * g, moments[0], gradients)
        return _map(lambda g, s: g / (s + self.epsilon) ** 0.5, gradients, squares), (squares,)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Running means of gradients over running roots of their mean squares, both without bias [1]_.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", International Conference
       on Learning Representations, 2015.
    """

    decay: float = 0.9
    decay_of_squares: float = 0.999
    epsilon: float = 1e-8

    rate: ClassVar[float] = 1e-3

    def init(self, parameters: Any) -> tuple[Any, ...]:
        """Return zeros."""
        return _map(_zeros, parameters), _map(_zeros, parameters)

    def direction(
        self, gradients: Any, moments: tuple[Any, ...], parameters: Any, count: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the means over the roots of the mean squares."""
        means = _map(lambda m, g: self.decay * m + (1 - self.decay) * g, moments[0], gradients)
        squares = _map(
            lambda s, g: self.decay_of_squares * s + (1 - self.decay_of_squares) * g * g,
            moments[1],
            gradients,
        )
        of_means = 1 / (1 - self.decay ** (count + 1))
        of_squares = 1 / (1 - self.decay_of_squares ** (count + 1))
        directions = _map(
            lambda m, s: of_means * m / ((of_squares * s) ** 0.5 + self.epsilon), means, squares
        )
        return directions, (means, squares)


@dataclass(frozen=True)
class Transformed(Optimizer):
    """Any gradient transformation of optax, which has a learning rate of its own."""

    transformation: Any

    rate: ClassVar[float] = 1.0
    elementwise: ClassVar[bool] = False
    untraced: ClassVar[tuple[str, ...]] = ("transformation",)

    def init(self, parameters: Any) -> tuple[Any, ...]:
        """Return the arrays of its state."""
        return _initial(runtime.signature(self, parameters), self, parameters)

    def direction(
        self, gradients: Any, moments: tuple[Any, ...], parameters: Any, count: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return its updates with their sign changed."""
        import jax

        structure = jax.tree_util.tree_structure(jax.eval_shape(self.transformation.init, parameters))
        state = jax.tree_util.tree_unflatten(structure, moments)
        updates, state = self.transformation.update(gradients, state, parameters)
        return _map(lambda update: -update, updates), tuple(jax.tree_util.tree_leaves(state))


def _state_arrays(optimizer: Transformed, parameters: Any) -> tuple[Any, ...]:
    """Return the arrays of the state of each of the starts, which are stacked."""
    import jax

    return tuple(jax.tree_util.tree_leaves(jax.vmap(optimizer.transformation.init)(parameters)))


_initial = runtime.Program(_state_arrays)


def _map(function: Any, tree: Any, *others: Any) -> Any:
    import jax

    return jax.tree_util.tree_map(function, tree, *others)


def _zeros(array: Any) -> Any:
    return 0.0 * array
