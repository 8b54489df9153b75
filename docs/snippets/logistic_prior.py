"""A prior of one's own: codes with a logistic density, of a tail between Gaussian and Laplace."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.metrics import amari_distance
from sparse_fourier.priors import Prior


@dataclass
class Logistic(Prior):
    """Independent codes with a logistic density, narrower the larger `sharpness` is."""

    support: ClassVar[str] = "real"

    sharpness: float = 1.0

    def log_density(self, codes):
        """Return the sum over codes of log s - s h - 2 log(1 + exp(-s h))."""
        scaled = self.sharpness * codes
        return jnp.sum(jnp.log(self.sharpness) - scaled - 2 * jnp.logaddexp(0, -scaled), axis=1)


rng = np.random.default_rng(0)
mixing = rng.standard_normal((3, 12))
signals = rng.logistic(size=(2000, 3)) @ mixing + 0.01 * rng.standard_normal((2000, 12))

model = AutoencoderDecomposer(3, prior=Logistic(), random_state=0).fit(signals)
error = amari_distance(mixing, model.components_)
