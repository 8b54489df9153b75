"""Bases: what components may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from sparse_fourier.namespace import Array, array_namespace

__all__ = ["Basis", "Free", "Nonnegative"]


class Basis(ABC):
    """Base of all bases: a map from parameters to waveforms, and a start from a subspace."""

    needs_support: ClassVar[tuple[str, ...]] = ()
    """Supports of the codes for which the basis makes sense; all of them where empty."""
    leaves_span: ClassVar[bool] = False
    """Whether components are fitted to the signals once more, outside their principal subspace."""

    @abstractmethod
    def evaluate(self, parameters: Any) -> Array:
        """Return the components that the parameters stand for.

        Parameters
        ----------
        parameters : arrays
            In whatever structure `initialize` returns them.

        Returns
        -------
        array of shape (k, d)
            One component a row.
        """

    @abstractmethod
    def initialize(self, span: Array, k: int) -> Any:
        """Return parameters to start from.

        Parameters
        ----------
        span : array of shape (r, d)
            Orthonormal rows that span the signals, strongest first.
        k : int
            Number of components.

        Returns
        -------
        arrays
            Parameters, in any structure.
        """


@dataclass
class Free(Basis):
    """Any waveform: the parameters are the components themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.bases import Free
    >>> Free().evaluate(np.eye(2))
    array([[1., 0.],
           [0., 1.]])
    """

    def evaluate(self, parameters: Array) -> Array:
        """Return the parameters."""
        return parameters

    def initialize(self, span: Array, k: int) -> Array:
        """Return the first k rows of the span."""
        return span[:k]


@dataclass
class Nonnegative(Free):
    """Waveforms, and an intercept, without negative entries, for codes that cannot be negative either.

    Under a prior that finds the basis anyway, what an estimate has below zero is error, and is set to zero;
    two alternating steps of non-negative least squares follow [1]_.

    References
    ----------
    .. [1] P. Paatero and U. Tapper, "Positive matrix factorization: a non-negative factor model with
       optimal utilization of error estimates of data values", Environmetrics 5(2), 111-126, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.bases import Nonnegative
    >>> Nonnegative().evaluate(np.array([[1.0, -0.1]]))
    array([[1., 0.]])
    """

    needs_support: ClassVar[tuple[str, ...]] = ("nonnegative", "unit", "simplex")
    leaves_span: ClassVar[bool] = True

    def evaluate(self, parameters: Array) -> Array:
        """Return the parameters without their negative entries."""
        return array_namespace(parameters).maximum(parameters, 0.0)
