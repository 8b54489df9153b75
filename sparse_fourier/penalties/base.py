"""What every penalty can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from sparse_fourier.configurable import Configurable
from sparse_fourier.namespace import Array

NOT_NEGATIVE: Mapping[str, tuple[float, float]] = {"strength": (0.0, np.inf)}


class Penalty(Configurable, ABC):
    """Base of all penalties: best a dataclass, whose fields are its parameters.

    Numbers and arrays among the attributes may change from fit to fit without compiling anew, so that a
    search over `penalty__strength` compiles once.

    Attributes
    ----------
    sees_samples : bool
        Whether the value depends on the signals, and not on components and intercept alone.
    ranges : mapping
        Of parameters that are numbers: the smallest value, and one that is too large.
    """

    kind: ClassVar[str] = "penalty"
    sees_samples: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    @abstractmethod
    def __call__(self, model: Any, X: Array, codes: Array) -> Array:
        """Return the penalty, a scalar.

        Parameters
        ----------
        model : object
            With attributes `components`, of shape (k, d), and `intercept`, of shape (d,), and a method
            `encode`, which turns signals into codes, row by row.
        X : array of shape (n, d)
            Signals.
        codes : array of shape (n, k)
            Their codes, `model.encode(X)`.

        Returns
        -------
        scalar
            A mean over samples, where it depends on them; written with `jax.numpy`.
        """

    @property
    def averages(self) -> bool:
        """Whether `averaged` heeds weights, or has no need to."""
        return not self.sees_samples

    def averaged(self, model: Any, X: Array, codes: Array, weights: Array) -> Array:
        """Return the penalty of weighted samples.

        Parameters
        ----------
        model : object
            With `components`, `intercept` and `encode`.
        X : array of shape (n, d)
            Signals.
        codes : array of shape (n, k)
            Their codes.
        weights : array of shape (n,)
            Of sum one.

        Returns
        -------
        scalar
            The penalty itself, of samples of equal weight, unless `averages` is true.
        """
        return self(model, X, codes)

    def drawn(self, shape: tuple[int, int], rng: np.random.RandomState) -> Penalty:
        """Return the penalty with the random numbers that it needs.

        Parameters
        ----------
        shape : tuple of two ints
            Of the signals that it will be called with, (n, d).
        rng : RandomState
            Source of randomness.

        Returns
        -------
        Penalty
            This one, where it needs none.
        """
        return self

    def __str__(self) -> str:
        """Return the name of the class, or of the function."""
        return type(self).__name__


class SamplePenalty(Penalty):
    """Base of penalties that are a mean over samples: a subclass gives the value of each.

    Weights of samples are then heeded for it.
    """

    @abstractmethod
    def of_samples(self, model: Any, X: Array, codes: Array) -> Array:
        """Return the penalty of each signal.

        Parameters
        ----------
        model : object
            With `components`, `intercept` and `encode`.
        X : array of shape (n, d)
            Signals.
        codes : array of shape (n, k)
            Their codes.

        Returns
        -------
        array of shape (n,)
            Written with `jax.numpy`.
        """

    def __call__(self, model: Any, X: Array, codes: Array) -> Array:
        """Return the mean over samples."""
        return self.of_samples(model, X, codes).mean()

    @property
    def averages(self) -> bool:
        """True."""
        return True

    def averaged(self, model: Any, X: Array, codes: Array, weights: Array) -> Array:
        """Return the weighted mean over samples."""
        return weights @ self.of_samples(model, X, codes)


class FunctionPenalty(Penalty):
    """A function as a penalty; JAX compiles anew for each function, never for the same one."""

    untraced: ClassVar[tuple[str, ...]] = ("function",)

    def __init__(self, function: Callable[[Any, Array, Array], Array]) -> None:
        self.function = function

    def __call__(self, model: Any, X: Array, codes: Array) -> Array:
        """Return the function's value."""
        return self.function(model, X, codes)

    def __str__(self) -> str:
        """Return the name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)


def total_penalty(
    penalties: tuple[Penalty, ...], model: Any, X: Array, codes: Array, weights: Array
) -> Array:
    """Return the sum of penalties, each averaged over weighted samples; zero where there are none.

    Parameters
    ----------
    penalties : tuple of Penalty
    model : object
        With `components`, `intercept` and `encode`.
    X : array of shape (n, d)
    codes : array of shape (n, k)
    weights : array of shape (n,)
        Of sum one.
    """
    return sum((penalty.averaged(model, X, codes, weights) for penalty in penalties), 0.0)
