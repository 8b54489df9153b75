"""Bases: what components may be.

A basis turns parameters into components (`evaluate`), and finds parameters to start from in the span of the
signals (`initialize`).
"""

from sparse_fourier.bases.base import Basis
from sparse_fourier.bases.fourier import Fourier
from sparse_fourier.bases.free import Free
from sparse_fourier.bases.nonnegative import Nonnegative
from sparse_fourier.bases.parametric import ParametricBasis

__all__ = ["Basis", "Fourier", "Free", "Nonnegative", "ParametricBasis"]
