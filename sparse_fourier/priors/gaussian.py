"""Codes with a Gaussian density: principal component analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtri

from sparse_fourier.namespace import LOG_SQRT_2PI, Array, log
from sparse_fourier.priors.independent import LocationScale

_STANDARD_ERRORS = 3.0


@dataclass
class Gaussian(LocationScale):
    """Independent Gaussian codes of unequal variance: principal component analysis.

    The likelihood is that of probabilistic principal component analysis [1]_. It does not tell rotations
    of the codes apart; taken are the principal axes, and variances are divided by n - 1.

    Parameters
    ----------
    location : float or array of shape (k,), default=0.0
        Mean of each code; set by the fit, which makes it zero.
    scale : float or array of shape (k,), default=1.0
        Standard deviation of each code as it is seen, noise included; set by the fit.

    References
    ----------
    .. [1] M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis", Journal of the
       Royal Statistical Society B 61(3), 611-622, 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.priors import Gaussian
    >>> Gaussian().log_density(np.array([[0.0], [1.0]])).round(3)
    array([-0.919, -1.419])
    """

    includes_noise: ClassVar[bool] = True
    identifies_basis: ClassVar[bool] = False
    is_log_concave: ClassVar[bool] = True

    def standard_log_density(self, codes: Array) -> Array:
        """Return the standard normal log-density."""
        return -0.5 * codes**2 - LOG_SQRT_2PI

    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return the log-density of each code, of which the noise is a part."""
        return self.standard_log_density(self.standardised(codes)) - log(self.scale)

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the quantiles of each code."""
        return self.location + self.scale * ndtri(probabilities)

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of each code."""
        return self.location, self.scale**2

    def start(self, whitened: np.ndarray, n_samples: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the principal axes, with codes whose variance, divided by n - 1, is one."""
        k = whitened.shape[1]
        unit = np.sqrt(self.degrees_of_freedom(n_samples) / n_samples)
        return unit * np.eye(k)[None], np.zeros((1, k))

    def doubts(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[str]:
        """Return which neighbours have variances within three standard errors of each other."""
        variances = np.sort(weights @ codes**2)[::-1]
        ratios = np.log(variances[:-1] / variances[1:]) if variances.all() else np.zeros(0)
        close = np.flatnonzero(ratios < _STANDARD_ERRORS * 2 / np.sqrt(n_samples))
        pairs = ", ".join(f"{i} and {i + 1}" for i in close)
        doubt = (
            f"components {pairs} have variances that the samples cannot tell apart; any rotation of the two"
        )
        return [f"{doubt} is as likely"] * bool(pairs)

    def degrees_of_freedom(self, n_samples: float) -> float:
        """Return n - 1: the mean was estimated."""
        return n_samples - 1
