"""Codes that are proportions: non-negative, with sum one."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma
from typing import ClassVar

import numpy as np

from sparse_fourier.namespace import Array, array_namespace, log_ndtr
from sparse_fourier.priors.base import Prior
from sparse_fourier.priors.independent import Jet, jet_of_heat, log_ndtr_with_slope


@dataclass
class Simplex(Prior):
    r"""Proportions, all mixtures alike: the smallest simplex that holds the signals.

    Components are its vertices, as the pure spectra of spectral unmixing, and the intercept is zero. Each
    share seen with noise of standard deviation s contributes :math:`\log\Phi(h/s)` to the log-density
    :math:`\log (k - 1)!` inside. Since that is a density only as long as s does not follow the
    components, s is held while they move, and set anew afterwards.

    References
    ----------
    .. [1] M. D. Craig, "Minimum-volume transforms for remotely sensed data", IEEE Transactions on
       Geoscience and Remote Sensing 32(3), 542-552, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.priors import Simplex
    >>> Simplex().log_density(np.array([[0.2, 0.3, 0.5], [0.2, -0.3, 1.1]])).round(3)
    array([0.693,  -inf])
    """

    support: ClassVar[str] = "simplex"
    needs_jax: ClassVar[bool] = False
    factorises: ClassVar[bool] = True

    def log_density(self, codes: Array) -> Array:
        """Return log (k - 1)! for rows of proportions and minus infinity for others."""
        xp = array_namespace(codes)
        inside = xp.all(codes >= 0, axis=1) & (xp.abs(codes.sum(axis=1) - 1) < 1e-6)
        return xp.where(inside, _log_density(codes), -xp.inf)

    def log_observed(self, codes: Array, variances: Array) -> Array:
        """Return the log-density of rows of shares that carry noise."""
        return _log_density(codes) + self.log_marginals(codes, variances).sum(axis=1)

    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return the log-probability that each share, without its noise, is positive.

        Parameters
        ----------
        codes : array of shape (n, k)
            Shares, one row for each signal.
        variances : array broadcastable to (n, k)
            Variance of the noise of each share, positive.

        Returns
        -------
        array of shape (n, k)
            In nats.
        """
        return log_ndtr(codes / array_namespace(codes, variances).sqrt(variances))

    def jet(self, codes: Array, variances: Array) -> Jet:
        """Return `log_marginals` and derivatives in closed form.

        Parameters
        ----------
        codes : array of shape (n, k)
            Shares, one row for each signal.
        variances : array of shape (n, k)
            Variance of the noise of each share.

        Returns
        -------
        Jet
            The log-marginals and five derivatives, each of shape (n, k).
        """
        precisions = 1 / variances
        slope, sharpness = -codes * precisions, array_namespace(codes, variances).sqrt(precisions)
        value, hazard = log_ndtr_with_slope(codes * sharpness)
        first = sharpness * hazard
        second = slope * first
        third = slope * second - precisions * first
        return jet_of_heat(value, first, second, third, slope * third - 2 * precisions * second)

    def matters(self, codes: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return which shares lie within `depth` of zero, or below."""
        return codes < depth

    def free_steps(self, n_components: int) -> np.ndarray:
        """Return the projection onto changes of sum zero, which move no offset."""
        k = n_components
        moving = np.eye(k + 1)
        moving[k, k] = 0.0
        return np.kron(np.eye(k) - 1.0 / k, moving)

    @property
    def moments(self) -> tuple[float, float]:
        """Zero and one: the shares of one component alone have no others to be compared with."""
        return 0.0, 1.0

    def code_mean(self, n_components: int) -> np.ndarray:
        """Return equal proportions."""
        return np.full(n_components, 1 / n_components)

    def code_covariance(self, n_components: int) -> np.ndarray:
        """Return the covariance of proportions, all mixtures alike."""
        k = n_components
        return (np.eye(k) - 1 / k) / (k * (k + 1))

    def draw(self, n_samples: int, n_components: int, rng: np.random.RandomState) -> np.ndarray:
        """Return proportions, all mixtures alike."""
        return rng.dirichlet(np.ones(n_components), size=n_samples)


def _log_density(codes: Array) -> float:
    """Return the logarithm of one over the volume of all proportions of so many codes."""
    return lgamma(max(codes.shape[1], 1))
