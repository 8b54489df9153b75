"""Codes whose densities are learned together with the components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from sparse_fourier.densities import Density, fit_smooth, gain_by_following, refit
from sparse_fourier.priors.frozen import Frozen
from sparse_fourier.priors.independent import FreeScale, Jet, gaussian_looking

_NATS_OF_A_LEARNED_CODE = 7.0


@dataclass
class Learned(FreeScale):
    """Independent codes, each with a density of its own that the fit learns: independent component analysis.

    The logarithm of a density is a cubic spline whose third derivative is penalised, as strongly as the
    data ask, so that a Gaussian costs nothing [1]_; where the data end abruptly it has a hard edge.
    It is the density of codes as they are seen, noise included. Before a fit, and with fewer than five
    samples to a code, it is the normal one.

    References
    ----------
    .. [1] T. Hastie and R. Tibshirani, "Independent components analysis through product density
       estimation", Advances in Neural Information Processing Systems 15, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> codes = np.random.default_rng(0).exponential(size=(500, 2))
    >>> signals = codes @ np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    >>> prior = AutoencoderDecomposer(2, prior="learned", random_state=0).fit(signals).prior_
    >>> [len(prior.densities), str(prior)]
    [2, 'learned']
    """

    needs_jax: ClassVar[bool] = False
    includes_noise: ClassVar[bool] = True
    learns: ClassVar[bool] = True

    densities: tuple[Density, ...] = field(default=(), init=False, repr=False)

    @property
    def n_learned_edges(self) -> int:
        """Number of hard ends of all densities."""
        return sum(density.edges for density in self.densities)

    def learned(self, densities: Sequence[Density]) -> Self:
        """Return the prior with one density for each code."""
        prior = replace(self)
        prior.densities = tuple(densities)
        return prior

    def joined(self, parts: Sequence[Self]) -> Self:
        """Return the prior with the densities of all parts, in their order."""
        return self.learned([density for part in parts for density in part.densities])

    def log_density(self, codes: np.ndarray) -> np.ndarray:
        """Return the sum over codes."""
        return self.log_marginals(codes, np.zeros(codes.shape[1])).sum(axis=1)

    def log_marginals(self, codes: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """Return the log-density of each code, of which the noise is a part."""
        marginals = np.zeros(codes.shape)
        for j, density in enumerate(self._each(codes)):
            marginals[:, j] = density.log_density(codes[:, j])
        return marginals

    def jet(self, codes: np.ndarray, variances: np.ndarray) -> Jet:
        """Return `log_marginals` and derivatives; those by variances are zero, since noise is included.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        variances : array broadcastable to (n, k)
            Not used.

        Returns
        -------
        Jet
            The log-marginals and five derivatives, each of shape (n, k).
        """
        columns = zip(self._each(codes), codes.T, strict=True)
        parts = zip(*(density.derivatives(h) for density, h in columns), strict=True)
        value, first, second = (np.stack(part, axis=1) for part in parts)
        nothing = np.zeros_like(value)
        return Jet(value, first, nothing, second, nothing, nothing)

    def free_steps(self, n_components: int) -> np.ndarray:
        """Return the projection that leaves location and scale to densities without edges."""
        k = n_components
        free = np.ones((k, k + 1))
        for j, density in enumerate(self._each(free)):
            free[j, j], free[j, k] = density.edges == 2, density.edges > 0
        return np.diag(free.ravel())

    def traced(self, n_components: int) -> Frozen:
        """Return the densities as they are, in tables."""
        return Frozen.of(self._each(np.empty((0, n_components))))

    def refitted(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> Self:
        """Return the prior with densities fitted to codes that have moved a little."""
        columns = zip(np.ascontiguousarray(codes.T), self._each(codes), strict=True)
        share = weights / n_samples
        return self.learned([refit(h, share, n_samples, density, frozen=False) for h, density in columns])

    def smoothed(self, codes: np.ndarray, share: np.ndarray, n_samples: float) -> Self:
        """Return the prior with smooth densities in place of those that have edges."""
        columns = zip(self._each(codes), codes.T, strict=True)
        return self.learned(
            [
                fit_smooth(np.ascontiguousarray(h), share, n_samples) if density.edges else density
                for density, h in columns
            ]
        )

    def gains_by_following(self, codes: np.ndarray, share: np.ndarray, design: np.ndarray) -> np.ndarray:
        """Return what each density gains as it is fitted anew to codes that move."""
        columns = zip(self._each(codes), codes.T, strict=True)
        return np.stack(
            [gain_by_following(density, np.ascontiguousarray(h), share, design) for density, h in columns]
        )

    def ends(self, n_components: int) -> list[list[tuple[float, float]]]:
        """Return the edges that were found."""
        return [density.ends for density in self._each(np.empty((0, n_components)))]

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the quantiles of each code."""
        columns = zip(self._each(probabilities), probabilities.T, strict=True)
        return np.stack([density.quantiles(p) for density, p in columns], axis=1)

    @property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of each code."""
        each = np.array([density.moments for density in self.densities or (Density.normal(),)])
        return each[:, 0], each[:, 1]

    def mapped(self, factors: np.ndarray, shifts: np.ndarray) -> Self:
        """Return the prior of factors * h + shifts."""
        mapped = zip(self._each(factors[None]), factors, shifts, strict=True)
        return self.learned([density.mapped(factor, shift) for density, factor, shift in mapped])

    def taken(self, chosen: Sequence[int] | np.ndarray) -> Self:
        """Return the prior of some of the codes."""
        return self.learned([self.densities[j] for j in chosen]) if self.densities else self

    def padded(self, n_more: int) -> Self:
        """Return the prior with standard normal codes at the end."""
        return self.learned([*self.densities, *[Density.normal()] * n_more])

    def doubts(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[str]:
        """Return which codes look Gaussian, if there are two."""
        marginals = self.log_marginals(codes, np.zeros(codes.shape[1]))
        return gaussian_looking(marginals, codes, weights * n_samples, _NATS_OF_A_LEARNED_CODE)

    def _each(self, codes: np.ndarray) -> tuple[Density, ...]:
        return self.densities or (Density.normal(),) * codes.shape[1]
