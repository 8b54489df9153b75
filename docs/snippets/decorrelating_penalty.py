"""A penalty of one's own: codes that are uncorrelated."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.penalties import Penalty, Smoothness


@dataclass
class Decorrelating(Penalty):
    """Sum of the squared correlations of different codes, times `strength`."""

    strength: float = 1.0

    def __call__(self, model, X, codes):
        """Return the penalty."""
        correlations = jnp.corrcoef(codes, rowvar=False)
        return self.strength * jnp.sum(jnp.triu(correlations, 1) ** 2)


signals, _, _ = make_sinusoid_mixtures(300, noise=0.3, codes="laplace", random_state=0)
penalties = [Decorrelating(100.0), Smoothness(1.0)]

model = AutoencoderDecomposer(2, prior="laplace", penalty=penalties, random_state=0).fit(signals)
correlation = np.corrcoef(model.transform(signals).T)[0, 1]
