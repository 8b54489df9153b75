"""Codes that fill a box which begins elsewhere than at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from sparse_fourier.namespace import Array
from sparse_fourier.priors.base import Prior
from sparse_fourier.priors.independent import Jet
from sparse_fourier.priors.uniform import Uniform
from sparse_fourier.supports import Support


@dataclass(frozen=True)
class _Moved(Support):
    """A support whose codes are larger by `place`, of shape (k,)."""

    support: Support
    place: np.ndarray

    def confine(self, codes: np.ndarray, gram: np.ndarray) -> None:
        """Put the constrained least-squares codes in place of codes."""
        moved = codes - self.place
        self.support.confine(moved, gram)
        codes[:] = moved + self.place

    def relax(self, codes: np.ndarray, pull: np.ndarray, gram: np.ndarray, prices: np.ndarray) -> None:
        """Sweep once over the codes in place, each between its bounds."""
        codes -= self.place
        self.support.relax(codes, pull - self.place @ gram, gram, prices)
        codes += self.place

    def soften(self, codes: Array, variances: Array) -> tuple[Array, Array]:
        """Return the codes moved away from the faces, and the probability of the intervals around them."""
        inside, faces = self.support.soften(codes - self.place, variances)
        return inside + self.place, faces

    def quadrature(self, n_nodes: int = 2000) -> tuple[np.ndarray, np.ndarray]:
        """Return nodes and weights for one code less its place."""
        return self.support.quadrature(n_nodes)

    @property
    def is_bounded(self) -> bool:
        """Whether both bounds are finite."""
        return self.support.is_bounded

    @property
    def faces(self) -> tuple[Any, ...]:
        """The finite bounds, each of shape (k,)."""
        return tuple(face + self.place for face in self.support.faces)


@dataclass
class Placed(Uniform):
    """Codes anywhere in a unit box that begins where signals without an intercept put it.

    Parameters
    ----------
    place : array of shape (k,), default=0.0
        The smallest value of each code; the largest is one more.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.priors.placed import Placed
    >>> Placed(np.array([-0.5, 2.0])).log_density(np.array([[0.2, 2.9], [0.2, 1.9]]))
    array([  0., -inf])
    """

    place: Any = 0.0

    def __str__(self) -> str:
        """Return the name by which the estimator knows the prior."""
        return str(Uniform())

    @property
    def domain(self) -> Support:
        """The box."""
        return _Moved(super().domain, self.place)

    def log_density(self, codes: Array) -> Array:
        """Return 0 for rows inside the box and minus infinity for others."""
        return super().log_density(codes - self.place)

    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return log of the normal probability between the two faces as seen from the code."""
        return super().log_marginals(codes - self.place, variances)

    def mean_log_likelihood(self, codes: np.ndarray, share: np.ndarray, variances: np.ndarray) -> float:
        """Return the weighted sum of `log_likelihoods`."""
        return super().mean_log_likelihood(codes - self.place, share, variances)

    def jet(self, codes: Array, variances: Array) -> Jet:
        """Return `log_marginals` and derivatives in closed form."""
        return super().jet(codes - self.place, variances)

    def matters(self, codes: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return which codes lie within `depth` of a face, or outside."""
        return super().matters(codes - self.place, depth)

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the probabilities, moved into the box."""
        return super().quantiles(probabilities) + self.place

    @property
    def moments(self) -> tuple[Any, float]:
        """Mean of each code, and the variance of any."""
        mean, variance = super().moments
        return mean + self.place, variance

    def doubts(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[str]:
        """Return which two codes look the same from every side, and have a second box almost as small."""
        return super().doubts(codes - self.place, weights, n_samples)

    def ends(self, n_components: int) -> list[list[tuple[float, float]]]:
        """Return both faces of each code, and the direction in which the box lies."""
        places = np.broadcast_to(self.place, n_components)
        ends = super().domain.faces
        return [[(ends[0] + place, 1.0), (ends[1] + place, -1.0)] for place in map(float, places)]

    def mapped(self, factors: np.ndarray, shifts: np.ndarray) -> Self:
        """Return the prior of factors * h + shifts, where factors are 1, or -1."""
        return type(self)(factors * self.place + np.minimum(factors, 0.0) + shifts)

    def standard_form(self, n_components: int) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return the box that begins at zero, and what brings codes there."""
        return Uniform(), np.ones(n_components), -np.broadcast_to(self.place, n_components)

    def taken(self, chosen: Sequence[int] | np.ndarray) -> Self:
        """Return the prior of some of the codes."""
        return type(self)(np.asarray(self.place)[np.asarray(chosen, dtype=int)])

    def padded(self, n_more: int) -> Self:
        """Return the prior with codes between zero and one at the end."""
        return type(self)(np.append(self.place, np.zeros(n_more)))


def placed(prior: Prior, factors: np.ndarray, shifts: np.ndarray) -> Prior:
    """Return the prior of factors * h + shifts, of codes that may have left the box between zero and one.

    Parameters
    ----------
    prior : Prior
    factors, shifts : arrays of shape (k,)
        Factors are 1, or -1, where the prior is a box.
    """
    if not isinstance(prior, Uniform):
        return prior.mapped(factors, shifts)
    before = prior if isinstance(prior, Placed) else Placed(np.zeros(len(factors)))
    after = before.mapped(factors, shifts)
    return after if after.place.any() else Uniform()


def from_zero(prior: Prior, factors: np.ndarray, shifts: np.ndarray) -> tuple[Prior, np.ndarray, np.ndarray]:
    """Return prior, factors and shifts of codes that begin at zero, whose box ends where it did.

    Parameters
    ----------
    prior : Prior
        Of factors * h + shifts.
    factors, shifts : arrays of shape (k,)
    """
    if not isinstance(prior, Placed):
        return prior, factors, shifts
    return Uniform(), factors / (prior.place + 1.0), shifts / (prior.place + 1.0)
