"""Codes that are not negative, and mostly small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from sparse_fourier.namespace import Array, array_namespace, log, log_ndtr
from sparse_fourier.priors.base import SHORTFALL_OF_SOFT_FACES, CodesAsTrained
from sparse_fourier.priors.independent import IndependentPrior, Jet, jet_of_heat, log_ndtr_with_slope


@dataclass
class Exponential(IndependentPrior):
    r"""Non-negative codes, each with an exponential density: the smallest cone that holds the signals.

    With scale one a code seen with noise of variance :math:`v = s^2` has the density

    .. math:: p(h) = e^{v/2 - h} \Phi\left(\frac{h - v}{s}\right).

    Components have unit norm; the intercept is the apex of the cone.

    Parameters
    ----------
    scale : float or array of shape (k,), default=1.0
        Mean of each code; set by the fit.

    References
    ----------
    .. [1] M. D. Plumbley, "Algorithms for nonnegative independent component analysis", IEEE
       Transactions on Neural Networks 14(3), 534-543, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.priors import Exponential
    >>> Exponential().log_density(np.array([[0.5, 1.0], [0.5, -0.1]]))
    array([-1.5, -inf])
    """

    scale: Any = 1.0

    support: ClassVar[str] = "nonnegative"
    needs_jax: ClassVar[bool] = False
    has_free_scale: ClassVar[bool] = True
    allows_overcomplete: ClassVar[bool] = True
    n_starts: ClassVar[int] = 1
    piles_up_at_faces: ClassVar[bool] = True
    is_log_concave: ClassVar[bool] = True

    def log_density(self, codes: Array) -> Array:
        """Return the sum over codes of -h / scale - log(scale); minus infinity if one is negative."""
        xp = array_namespace(codes)
        marginals = -codes / self.scale - log(self.scale)
        return xp.where(xp.all(codes >= 0, axis=1), marginals.sum(axis=1), -xp.inf)

    def tilt(self, n_samples: float) -> float:
        """Return by what share of each other code a code falls short, where the apex is known.

        A face is held by one sample for each other code, and what is beyond it has the probability that is
        missing.
        """
        return SHORTFALL_OF_SOFT_FACES / n_samples

    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return the log-density of each code seen through noise."""
        return self._standard(codes / self.scale, variances / self.scale**2) - log(self.scale)

    @staticmethod
    def _standard(codes: Array, variances: Array) -> Array:
        deviations = array_namespace(codes, variances).sqrt(variances)
        return 0.5 * variances - codes + log_ndtr((codes - variances) / deviations)

    def jet(self, codes: Array, variances: Array) -> Jet:
        """Return `log_marginals` and derivatives in closed form, for scale one only.

        Apart from the normal density at the face the blurred density is minus its own derivative; those of
        the normal density follow the recurrence of Hermite's polynomials.
        """
        precisions = 1 / variances
        slope, sharpness = -codes * precisions, array_namespace(codes, variances).sqrt(precisions)
        log_inside, hazard = log_ndtr_with_slope((codes - variances) * sharpness)
        value, face = 0.5 * variances - codes + log_inside, sharpness * hazard
        face_1 = slope * face
        face_2 = slope * face_1 - precisions * face
        face_3 = slope * face_2 - 2 * precisions * face_1
        first = face - 1.0
        second = face_1 - first
        third = face_2 - second
        return jet_of_heat(value, first, second, third, face_3 - third)

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the quantiles of each code."""
        return -self.scale * np.log(np.maximum(1 - probabilities, np.finfo(float).tiny))

    @property
    def moments(self) -> tuple[Any, Any]:
        """Mean and variance of each code."""
        return self.scale, self.scale**2

    def normal_form(self, codes: CodesAsTrained) -> tuple[np.ndarray, np.ndarray]:
        """Return what gives components unit norm."""
        return np.linalg.norm(codes.components, axis=1), np.zeros(len(codes.components))

    def prices(self, mean_codes: np.ndarray) -> np.ndarray:
        """Return the inverse of the mean of each code, infinite where it is zero: such codes stay so."""
        with np.errstate(divide="ignore", over="ignore"):
            return 1 / mean_codes

    def mapped(self, factors: np.ndarray, shifts: np.ndarray) -> Self:
        """Return the prior of codes times positive factors."""
        return replace(self, scale=factors * self.scale)

    def standard_form(self, n_components: int) -> tuple[Self, np.ndarray, np.ndarray]:
        """Return the density of scale one, and what gives codes that scale."""
        factors = np.broadcast_to(1.0 / np.asarray(self.scale), n_components)
        return replace(self, scale=1.0), factors, np.zeros(n_components)

    def taken(self, chosen: Sequence[int] | np.ndarray) -> Self:
        """Return the prior of some of the codes."""
        return self if np.ndim(self.scale) == 0 else replace(self, scale=self.scale[chosen])

    def padded(self, n_more: int) -> Self:
        """Return the prior with codes of scale one at the end."""
        return replace(self, scale=np.append(self.scale, np.ones(n_more)))
