"""Bases: what components may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from sparse_fourier.namespace import Array

__all__ = ["Basis", "Free"]


class Basis(ABC):
    """Base of all bases: a map from parameters to waveforms, and a start from a subspace."""

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
