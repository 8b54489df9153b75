"""Components without negative entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sparse_fourier.bases.free import Free
from sparse_fourier.namespace import Array, array_namespace


@dataclass
class Nonnegative(Free):
    """Waveforms, and an intercept, without negative entries, for codes that cannot be negative either.

    Under a prior that finds the basis anyway, what an estimate has below zero is error, and is set to zero.
    Where signals may begin at zero, and components without noise come near it, they are taken to do so, as
    far as the likelihood agrees. Codes and components are then fitted in turn [1]_, as far as codes within
    their support do not reach the signals yet; not farther, because to reach them closer than the noise is to
    fit the noise.

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
