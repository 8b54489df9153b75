r"""The variational autoencoder with a linear decoder: a lower bound of the evidence, and where it is tight.

Codes are standard normal, signals :math:`x = h W + b` and noise of variance :math:`\sigma^2`. The encoder
gives the mean :math:`\mu(x)` of a Gaussian that stands for the posterior of the codes; its variances s are k
numbers, since under a linear decoder the posterior of every signal is equally wide. The bound

.. math:: \log p(x) \ge -\frac{\|x - b - \mu W\|^2 + \sum_j s_j \|W_j\|^2}{2\sigma^2}
          - \frac d2 \log 2\pi\sigma^2 - \frac12 \sum_j (\mu_j^2 + s_j - \log s_j - 1)

needs no samples. It is tight where the encoder is affine and the rows of W are orthogonal, which it therefore
prefers [1]_: probabilistic principal component analysis [2]_.

References
----------
.. [1] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A linear VAE perspective on
   posterior collapse", Advances in Neural Information Processing Systems 32, 2019.
.. [2] M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis", Journal of the Royal
   Statistical Society B 61(3), 611-622, 1999.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from sparse_fourier.losses import Batch, Loss
from sparse_fourier.model import Model
from sparse_fourier.namespace import Array, array_namespace, constant
from sparse_fourier.networks import Autoencoder, Layer
from sparse_fourier.priors import Gaussian


@dataclass(frozen=True, eq=False)
class VariationalAutoencoder(Autoencoder):
    """An autoencoder whose codes are the means of Gaussians.

    Attributes
    ----------
    log_variances : array of shape (k,)
        Logarithms of the variances of these.
    """

    log_variances: Array

    @property
    def has_free_scale(self) -> bool:
        """False: the scale of a code is that of its standard normal prior."""
        return False

    @property
    def spread(self) -> Array:
        """Squared length, on average, by which reconstructions of draws of the codes differ."""
        xp = array_namespace(self.components)
        return (xp.exp(self.log_variances) * (self.components**2).sum(axis=1)).sum()


@dataclass(frozen=True, eq=False)
class EvidenceBound(Loss):
    """The negative lower bound of the log-evidence, in nats per sample.

    Attributes
    ----------
    floor : float
        Smallest noise variance that is believed in.
    """

    floor: Array

    needs_noise: ClassVar[bool] = True

    def of_squares(
        self, model: Any, batch: Batch, codes: Array, squares: Array, noise: Array, share: Array
    ) -> tuple[Array, Array]:
        """Return the bound at the running noise variance, of which no gradient is taken."""
        xp, d = array_namespace(codes), batch.signals.shape[1]
        errors = squares + model.spread
        noise = constant(xp.maximum((1 - share) * noise + share * errors / d, self.floor))
        reconstruction = 0.5 * errors / noise + 0.5 * d * xp.log(2 * np.pi * noise)
        lengths = batch.weights @ (codes * codes).sum(axis=1) / batch.total
        widths = (xp.exp(model.log_variances) - model.log_variances - 1).sum()
        return reconstruction + 0.5 * (lengths + widths), noise


def closed_form_posterior(model: Model, n_samples: float) -> tuple[np.ndarray, Layer, np.ndarray]:
    """Return the maximum of the evidence: components, the posterior's means, and log-variances.

    Parameters
    ----------
    model : Model
        Under the Gaussian prior, with orthogonal components.
    n_samples : float
        Its variances have the degrees of freedom that the prior says; these here are divided by n.
    """
    prior: Any = model.prior
    share = prior.degrees_of_freedom(n_samples) / n_samples
    noise = max(share * model.noise_variance, model.resolution)
    seen = np.where(model.live, np.maximum(share * np.square(prior.scale), noise), noise)
    components = np.sqrt(seen - noise)[:, None] * model.components
    weights = components.T / seen
    return components, Layer(weights, -model.intercept @ weights), np.log(noise / seen)


def with_evidence(model: Model, decoder: tuple[np.ndarray, np.ndarray], noise: float) -> Model:
    """Return the model with the evidence of a decoder of standard normal codes as its likelihood.

    Parameters
    ----------
    model : Model
    decoder : tuple of arrays of shape (k, d) and (d,)
        Components and intercept.
    noise : float
        Variance of the noise.
    """
    _, sizes, axes = np.linalg.svd(decoder[0], full_matrices=False)
    live = sizes > sizes.max(initial=0.0) * len(sizes) * np.finfo(float).eps
    axes, prior = axes[live], Gaussian(np.zeros(live.sum()), np.sqrt(sizes[live] ** 2 + noise))
    floor = np.zeros(len(axes))
    likelihood = Model(axes, decoder[1], noise, model.resolution, floor, prior, model.exponent)
    lengths = np.linalg.norm(decoder[0], axis=1)
    codes = Gaussian(np.zeros(len(lengths)), np.sqrt(lengths**2 + noise))
    return replace(model, noise_variance=noise, prior=codes, likelihood=likelihood)
