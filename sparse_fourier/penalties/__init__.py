"""Penalties: what is held against components, codes and the encoder, beside the likelihood.

A penalty is called as `penalty(model, X, codes)` and returns a scalar, which is added to the objective: to
nats per sample under a prior, to the mean squared error under `prior=None`. It sees the model as the user
does: in the unit of the signals, with components of unit norm where the scale of a code is free.
"""

from sparse_fourier.penalties.base import Penalty, SamplePenalty
from sparse_fourier.penalties.of_components import L1, L2, Smoothness
from sparse_fourier.penalties.of_encoders import Contractive, Denoising

__all__ = ["L1", "L2", "Contractive", "Denoising", "Penalty", "SamplePenalty", "Smoothness"]
