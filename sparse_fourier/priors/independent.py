"""Priors under which codes are independent, and what families of them have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import ndtr

from sparse_fourier.canonical import mean_signs
from sparse_fourier.namespace import LOG_SQRT_2PI, Array, array_namespace, log, log_ndtr
from sparse_fourier.priors.base import CodesAsTrained, Prior

_UNDERFLOW = -14.0  # below it the normal density is less than next to nothing
_NEXT_TO_NOTHING = -100.0


class Jet(NamedTuple):
    """Log-marginals and their derivatives by code and by variance, each of shape (n, k)."""

    value: Array
    by_code: Array
    by_variance: Array
    by_codes: Array
    by_code_and_variance: Array
    by_variances: Array


class IndependentPrior(Prior):
    """Base of priors under which codes are independent: the joint density is a product."""

    factorises: ClassVar[bool] = True

    def log_observed(self, codes: Array, variances: Array) -> Array:
        """Return the sum of `log_marginals` over codes."""
        return self.log_marginals(codes, variances).sum(axis=1)

    def draw(self, n_samples: int, n_components: int, rng: np.random.RandomState) -> np.ndarray:
        """Return the quantiles of uniform draws."""
        return self.quantiles(rng.uniform(size=(n_samples, n_components)))

    @abstractmethod
    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return the log-density of each code after blurring with Gaussian noise.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        variances : array broadcastable to (n, k)
            Variance of the noise of each code, positive.

        Returns
        -------
        array of shape (n, k)
            In nats.
        """

    def jet(self, codes: Array, variances: Array) -> Jet:
        """Return `log_marginals` with all first and second derivatives (JAX only).

        By automatic differentiation; a prior that knows a shorter way may say so.

        Parameters
        ----------
        codes : JAX array of shape (n, k)
            Codes, one row for each signal.
        variances : JAX array broadcastable to (n, k)
            Variance of the noise of each code.

        Returns
        -------
        Jet
            The log-marginals and five derivatives, each of shape (n, k).
        """
        return automatic_jet(self.log_marginals, codes, variances)

    @abstractmethod
    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the quantiles of one code: uniform draws become draws from the prior.

        Parameters
        ----------
        probabilities : array
            Between zero and one, of any shape.

        Returns
        -------
        array
            Of the same shape.
        """


class FreeScale(IndependentPrior):
    """Base of priors on the real line whose codes have any location and scale.

    In training the components carry the scale. Afterwards their rows have unit norm, and codes have
    mean zero and the unit of the signals.
    """

    support: ClassVar[str] = "real"
    needs_jax: ClassVar[bool] = False
    has_free_scale: ClassVar[bool] = True
    reflection: ClassVar[float | None] = 0.0

    def normal_form(self, codes: CodesAsTrained) -> tuple[np.ndarray, np.ndarray]:
        """Return what makes components of unit norm, codes of mean zero, and signs those of the mean."""
        tolerance = 3 * codes.deviations / np.sqrt(codes.n_samples)
        signs = mean_signs(codes.components, codes.mean, tolerance)
        factors = signs * np.linalg.norm(codes.components, axis=1)
        return factors, -factors * codes.mean_codes


@dataclass
class LocationScale(FreeScale):
    """Base of priors with one symmetric density, moved and stretched for each code.

    In training location and scale are those of the standard form; afterwards they are arrays of
    shape (k,).

    Parameters
    ----------
    location : float or array of shape (k,), default=0.0
        Centre of each code's density.
    scale : float or array of shape (k,), default=1.0
        Width of each code's density, in units of the standard form.
    """

    location: Any = 0.0
    scale: Any = 1.0

    def mapped(self, factors: np.ndarray, shifts: np.ndarray) -> Self:
        """Return the prior of factors * h + shifts, for densities that are symmetric."""
        return replace(self, location=factors * self.location + shifts, scale=np.abs(factors) * self.scale)

    def standard_form(self, n_components: int) -> tuple[Self, np.ndarray, np.ndarray]:
        """Return the standard density, and what gives codes its location and scale."""
        factors = np.broadcast_to(1.0 / np.asarray(self.scale), n_components)
        return replace(self, location=0.0, scale=1.0), factors, -factors * self.location

    def taken(self, chosen: Sequence[int] | np.ndarray) -> Self:
        """Return the prior of some of the codes."""
        if np.ndim(self.scale) == 0:
            return self
        return replace(self, location=self.location[chosen], scale=self.scale[chosen])

    def padded(self, n_more: int) -> Self:
        """Return the prior with codes of the standard form at the end."""
        location, scale = np.atleast_1d(self.location), np.atleast_1d(self.scale)
        zeros, ones = np.zeros(n_more), np.ones(n_more)
        return replace(self, location=np.append(location, zeros), scale=np.append(scale, ones))

    def standardised(self, codes: Array) -> Array:
        """Return codes in units of the standard form.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.

        Returns
        -------
        array of shape (n, k)
            Less their location, over their scale.
        """
        return (codes - self.location) / self.scale

    def log_density(self, codes: Array) -> Array:
        """Return the sum over codes of the density without noise."""
        xp = array_namespace(codes)
        marginals = self.standard_log_density(self.standardised(codes)) - log(self.scale)
        return xp.sum(marginals, axis=1)

    @abstractmethod
    def standard_log_density(self, codes: Array) -> Array:
        """Return the log-density of codes of the standard form.

        Parameters
        ----------
        codes : array
            Of any shape.

        Returns
        -------
        array
            Of the same shape.
        """


def gaussian_looking(
    log_marginals: np.ndarray, codes: np.ndarray, weights: np.ndarray, nats: float
) -> list[str]:
    """Return a sentence that names the codes that a Gaussian density explains as well, if there are two.

    Parameters
    ----------
    log_marginals : array of shape (n, k)
        Log-density of each code under the prior.
    codes : array of shape (n, k)
    weights : array of shape (n,)
        Of sum n_samples.
    nats : float
        By how much the prior has to be better.
    """
    total = weights.sum()
    variances = weights @ (codes - weights @ codes / total) ** 2 / total
    gaussian = -0.5 * total * (np.log(2 * np.pi * np.maximum(variances, np.finfo(float).tiny)) + 1)
    alike = np.flatnonzero((weights @ log_marginals - gaussian < nats) & (variances > 0))
    if len(alike) < 2:
        return []
    names = ", ".join(map(str, alike[:-1])) + f" and {alike[-1]}"
    return [f"the codes of components {names} look Gaussian; any rotation of these is as likely"]


def log_ndtr_with_slope(x: Array) -> tuple[Array, Array]:
    """Return the logarithm of the normal distribution function, and its derivative.

    The function itself costs half as much as its logarithm, where it does not underflow. Far inside the slope
    is next to nothing, but kept from numbers so small that processors are slow with them.
    """
    xp = array_namespace(x)
    density = -0.5 * x * x - LOG_SQRT_2PI
    if xp is np and x.min(initial=0.0) > _UNDERFLOW:
        inside = ndtr(x)
        return np.log(inside), np.exp(np.maximum(density, _NEXT_TO_NOTHING)) / inside
    logarithm = log_ndtr(x)
    return logarithm, xp.exp(xp.maximum(density - logarithm, _NEXT_TO_NOTHING))


def normal_over(codes: Array, variances: Array, log_density: Array) -> Array:
    """Return the normal density of codes about zero, over a density given by its logarithm."""
    return array_namespace(codes, variances).exp(
        -0.5 * codes**2 / variances - 0.5 * log(variances) - LOG_SQRT_2PI - log_density
    )


def jet_of_heat(value: Array, first: Array, second: Array, third: Array, fourth: Array) -> Jet:
    """Return the jet of log p from the derivatives of p by the code, each divided by p.

    A density blurred by noise of variance v solves the heat equation, dp/dv = p''/2.
    """
    return Jet(
        value,
        first,
        0.5 * second,
        second - first**2,
        0.5 * (third - first * second),
        0.25 * (fourth - second**2),
    )


def automatic_jet(log_marginals: Any, codes: Array, variances: Array) -> Jet:
    """Return a function of codes and variances with its derivatives, element by element."""
    import jax
    import jax.numpy as jnp

    def slopes(codes: Array, variances: Array) -> tuple[Array, Array]:
        return jax.grad(lambda h, v: log_marginals(h, v).sum(), argnums=(0, 1))(codes, variances)

    variances = jnp.broadcast_to(variances, codes.shape)
    one, zero = jnp.ones_like(codes), jnp.zeros_like(codes)
    first, (by_codes, mixed) = jax.jvp(slopes, (codes, variances), (one, zero))
    _, by_variances = jax.jvp(lambda v: slopes(codes, v)[1], (variances,), (one,))
    by_code, by_variance = first
    value = log_marginals(codes, variances)
    return Jet(value, by_code, by_variance, by_codes, mixed, by_variances)
