"""Components of any form."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_fourier.bases.base import Basis
from sparse_fourier.namespace import Array


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
