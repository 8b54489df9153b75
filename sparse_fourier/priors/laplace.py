"""Codes that are mostly small, and now and then large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparse_fourier.namespace import Array, array_namespace, log, log_ndtr
from sparse_fourier.priors.independent import Jet, LocationScale, gaussian_looking, jet_of_heat, normal_over

_NATS_OF_A_LAPLACE_CODE = 2.0
_LOG_2 = float(np.log(2.0))


@dataclass
class Laplace(LocationScale):
    r"""Sparse codes: independent, each with a Laplace density.

    With scale one and location zero a code seen with noise of variance :math:`v = s^2` has the density

    .. math:: p(h) = \tfrac12 e^{v/2} \left[ e^{-h} \Phi\left(\frac{h - v}{s}\right)
              + e^{h} \Phi\left(-\frac{h + v}{s}\right) \right].

    Parameters
    ----------
    location : float or array of shape (k,), default=0.0
        Centre of each code's density; set by the fit, which makes the codes' means zero.
    scale : float or array of shape (k,), default=1.0
        Mean distance of each code from its centre; set by the fit, which gives components unit norm.

    References
    ----------
    .. [1] M. S. Lewicki and T. J. Sejnowski, "Learning overcomplete representations", Neural
       Computation 12(2), 337-365, 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.priors import Laplace
    >>> Laplace().log_density(np.array([[0.0, 0.0], [0.0, 1.0]])).round(3)
    array([-1.386, -2.386])
    """

    allows_overcomplete: ClassVar[bool] = True
    is_log_concave: ClassVar[bool] = True

    def standard_log_density(self, codes: Array) -> Array:
        """Return -log 2 - abs(h)."""
        return -_LOG_2 - array_namespace(codes).abs(codes)

    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return the log-density of each code seen through noise."""
        right, left = self._halves(self.standardised(codes), variances / self.scale**2)
        return array_namespace(right).logaddexp(right, left) - log(self.scale)

    @staticmethod
    def _halves(codes: Array, variances: Array) -> tuple[Array, Array]:
        """Return the logarithms of the parts that come from codes above and below the centre."""
        deviations = array_namespace(codes, variances).sqrt(variances)
        right = log_ndtr((codes - variances) / deviations) - codes
        left = log_ndtr(-(codes + variances) / deviations) + codes
        shared = 0.5 * variances - _LOG_2
        return right + shared, left + shared

    def jet(self, codes: Array, variances: Array) -> Jet:
        """Return `log_marginals` and derivatives in closed form, in standard form only.

        Apart from the normal density at its centre the blurred density is its own second derivative.
        """
        xp = array_namespace(codes, variances)
        right, left = self._halves(codes, variances)
        value = xp.logaddexp(right, left)
        kink = normal_over(codes, variances, value)
        first = xp.exp(left - value) - xp.exp(right - value)
        second = 1.0 - kink
        third = first + codes / variances * kink
        fourth = second - (codes**2 / variances - 1.0) / variances * kink
        return jet_of_heat(value, first, second, third, fourth)

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the quantiles of each code."""
        tail = np.minimum(probabilities, 1 - probabilities)
        distance = -np.log(np.maximum(2 * tail, np.finfo(float).tiny))
        return self.location + self.scale * np.sign(probabilities - 0.5) * distance

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of each code."""
        return self.location, 2 * self.scale**2

    def resolution(self, n_samples: float) -> float:
        """Return one over the root of n: a kink is not seen more sharply than that."""
        return 1.0 / np.sqrt(n_samples)

    def doubts(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[str]:
        """Return which codes look Gaussian, if there are two."""
        marginals = self.standard_log_density(self.standardised(codes)) - log(self.scale)
        return gaussian_looking(marginals, codes, weights * n_samples, _NATS_OF_A_LAPLACE_CODE)
