r"""The one likelihood, as named terms, and its form in code space that training minimises.

With least-squares codes and small noise the negative log-likelihood of a signal is

.. math:: \frac{\|x - b - \hat h W\|^2}{2\sigma^2} + \frac{d - k}{2} \log 2\pi\sigma^2
          + \tfrac12 \log\det W W^\top - \log p(\hat h)

(reconstruction, volume of the components, prior on the codes). `likelihood_terms` is that formula;
`CodeObjective` is what remains of it to be minimised once the span of W is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.namespace import Array, array_namespace
from sparse_fourier.priors import Jet


class Terms(NamedTuple):
    """The negative log-likelihood of each sample by terms, each of shape (n,) or scalar, in nats."""

    reconstruction: Array
    volume: Array
    prior: Array

    @property
    def total(self) -> Array:
        """The sum of the terms."""
        return self.reconstruction + self.volume + self.prior


def reconstruction_term(squared_residuals: Array, noise_variance: float, n_left: int) -> Array:
    """Return -log density of the residual in the `n_left` directions that the span leaves."""
    if n_left == 0:
        return squared_residuals * 0.0
    normaliser = n_left * np.log(2 * np.pi * noise_variance)
    return 0.5 * (squared_residuals / noise_variance + normaliser)


def likelihood_terms(
    squared_residuals: Array,
    log_marginals: Array,
    gram: np.ndarray,
    noise_variance: float,
    n_features: int,
) -> Terms:
    """Return the likelihood by terms.

    Parameters
    ----------
    squared_residuals : array of shape (n,)
        Squared distance of each signal from its least-squares reconstruction.
    log_marginals : array of shape (n, k)
        Log-density of each code under the prior.
    gram : array of shape (k, k)
        Gram matrix of the components.
    noise_variance : float
        Variance of the noise per feature, positive.
    n_features : int
        Length d of the signals.
    """
    k = gram.shape[0]
    return Terms(
        reconstruction_term(squared_residuals, noise_variance, n_features - k),
        0.5 * np.linalg.slogdet(gram)[1],
        -log_marginals.sum(axis=1),
    )


class Point(NamedTuple):
    """Codes as an affine function of the whitened coordinates: h = z @ unmixing.T + offset."""

    unmixing: Array
    offset: Array

    def encode(self, whitened: Array) -> Array:
        """Return the codes of whitened coordinates."""
        return whitened @ self.unmixing.T + self.offset


class Expansion(NamedTuple):
    """Value, gradient and Hessian of the objective in the relative coordinates of a step.

    A step is an array of shape (k, k + 1): each row is added to the row of the codes as that
    linear combination of [codes - their mean, 1].

    Attributes
    ----------
    value : scalar
        The mean objective in nats per sample.
    gradient : array of shape (k, k + 1)
    blocks : array of shape (k, k + 1, k + 1)
        Hessian of the prior term: independent codes give one block for each row of the step.
    centre : array of shape (k,)
        Mean of the codes.
    """

    value: Array
    gradient: Array
    blocks: Array
    centre: Array

    def hessian(self) -> Array:
        """Return the Hessian as a matrix, for steps taken row by row."""
        import jax.numpy as jnp

        k, width = self.gradient.shape
        apart = jnp.eye(k)[:, None, :, None] * self.blocks[:, :, None, :]
        slots = jnp.eye(k, width)
        swapped = slots.T[None, :, :, None] * slots[:, None, None, :]
        return (apart + swapped).reshape(k * width, k * width)

    def curvature(self, step: Array) -> Array:
        """Return the Hessian times a step: the blocks, and the volume, which swaps i and j."""
        import jax.numpy as jnp

        k = step.shape[0]
        swapped = jnp.pad(step[:, :k].T, ((0, 0), (0, 1)))
        return jnp.einsum("jab,jb->ja", self.blocks, step) + swapped


@dataclass
class CodeObjective:
    """The negative log-likelihood as a function of the basis inside a fixed span.

    Attributes
    ----------
    prior : IndependentPrior
    whitened : array of shape (n, k)
        Coordinates of the signals in the span, with zero mean and unit covariance.
    weights : array of shape (n,)
        Weights of the samples, with sum one; padding has weight zero.
    noise : array of shape (k, k)
        Covariance of the noise of the whitened coordinates.
    floor : float
        Smallest variance of a code's noise.
    constant : float
        The terms that do not depend on the basis, in nats per sample.
    """

    prior: Any
    whitened: Array
    weights: Array
    noise: Array
    floor: Array
    constant: Array

    def variances(self, unmixing: Array, width: Array) -> Array:
        """Return the variance of each code's noise, widened for continuation."""
        noise = ((unmixing @ self.noise) * unmixing).sum(axis=1)
        return noise + self.floor + width * width

    def expand(self, point: Point, width: Array) -> Expansion:
        """Return value, gradient and Hessian with faces blurred by `width` (JAX only)."""
        import jax
        import jax.numpy as jnp

        codes = point.encode(self.whitened)
        centre = self.weights @ codes
        design = jnp.concatenate([codes - centre, jnp.ones_like(codes[:, :1])], axis=1)
        variances = jnp.broadcast_to(self.variances(point.unmixing, width), codes.shape)
        # Without the barrier the compiler would evaluate the marginals anew inside every sum.
        jet = jax.lax.optimization_barrier(self.prior.jet(codes, variances))
        weighted = Jet(*(-self.weights[:, None] * part for part in jet))
        moments = [part.T @ design for part in (weighted.by_code, weighted.by_code_and_variance)]
        sums = [part.sum(axis=0) for part in (weighted.by_variance, weighted.by_variances)]
        squares = jax.lax.map(
            lambda column: (design * column[:, None]).T @ design, weighted.by_codes.T
        )
        spread = point.unmixing @ self.noise @ point.unmixing.T
        gradient, blocks = _collect(moments, sums, squares, spread)
        volume = self.constant - jnp.linalg.slogdet(point.unmixing)[1]
        return Expansion(volume + weighted.value.sum(), gradient, blocks, centre)


def move(point: Point, step: Array, centre: Array) -> Point:
    """Return the point after a step in relative coordinates."""
    k = point.unmixing.shape[0]
    mixing, shift = step[:, :k], step[:, k]
    return Point(
        point.unmixing + mixing @ point.unmixing,
        point.offset + mixing @ (point.offset - centre) + shift,
    )


def _collect(
    moments: list[Array], sums: list[Array], squares: Array, spread: Array
) -> tuple[Array, Array]:
    """Return gradient and diagonal blocks of the Hessian from sums over samples.

    A step changes each code by its row times [codes - mean, 1], and the variance of the code's
    noise by twice its row times the row of `spread`; the offset changes no variance.

    Parameters
    ----------
    moments : two arrays of shape (k, k + 1)
        Derivative by the code, and by code and variance, against [codes - mean, 1].
    sums : two arrays of shape (k,)
        First and second derivative by the variance.
    squares : array of shape (k, k + 1, k + 1)
        Second derivative by the code against products of two of [codes - mean, 1].
    spread : array of shape (k, k)
        Covariance of the noise of the codes.
    """
    import jax.numpy as jnp

    k = spread.shape[0]
    slopes = jnp.pad(2 * spread, ((0, 0), (0, 1)))
    curved = jnp.pad(2 * spread, ((0, 1), (0, 1)))
    gradient = moments[0] + sums[0][:, None] * slopes - jnp.eye(k, k + 1, dtype=spread.dtype)
    mixed = moments[1] + 0.5 * sums[1][:, None] * slopes
    cross = mixed[:, :, None] * slopes[:, None, :]
    blocks = squares + cross + cross.transpose(0, 2, 1) + sums[0][:, None, None] * curved
    return gradient, blocks
