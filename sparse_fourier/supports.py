"""Where codes may lie: the supports of priors, and the projection of codes onto them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from sparse_fourier.namespace import Array, array_namespace, log_ndtr

_COARSEST_RESOLUTION = 0.1
_N_NODES = 2000
_MAX_SWEEPS = 10_000
_TOLERANCE = 1e-12


class Support(ABC):
    """A convex set of codes."""

    @abstractmethod
    def project(self, codes: np.ndarray, gram: np.ndarray) -> np.ndarray:
        """Return the points u of the set that minimise (u - h) gram (u - h)' for each row h.

        With `gram = components @ components.T` and least-squares codes h, u reconstructs the
        signals as well as the set allows.
        """

    @abstractmethod
    def soften(self, codes: Array, variances: Array) -> tuple[Array, Array]:
        """Return codes moved inside the set, and the log-probability that noise took them where they are.

        Parameters
        ----------
        codes : array of shape (n, k)
        variances : array broadcastable to (n, k)
            Variance of the noise of each code.

        Returns
        -------
        inside : array of shape (n, k)
            Half a standard deviation from a face, or farther.
        faces : array of shape (n, k)
            Zero far inside.
        """

    @abstractmethod
    def quadrature(self, n_nodes: int = _N_NODES) -> tuple[np.ndarray, np.ndarray]:
        """Return nodes and weights that integrate functions of one code over the set."""

    @property
    def faces(self) -> tuple[float, ...]:
        """The values at which a code ends."""
        return ()

    def resolution(self, n_samples: float) -> float:
        """Return how far held-out codes may lie outside a set fitted to n samples, in units of a code."""
        return min(1.0 / n_samples, _COARSEST_RESOLUTION)


class Real(Support):
    """All of the code space."""

    def soften(self, codes: Array, variances: Array) -> tuple[Array, Array]:
        """Return the codes, and zero: there are no faces."""
        return codes, 0.0 * codes

    def quadrature(self, n_nodes: int = _N_NODES) -> tuple[np.ndarray, np.ndarray]:
        """Return the midpoint rule after h = t / (1 - t^2)."""
        t = (np.arange(n_nodes) + 0.5) / n_nodes * 2 - 1
        return t / (1 - t**2), (1 + t**2) / (1 - t**2) ** 2 * 2 / n_nodes

    def resolution(self, n_samples: float) -> float:
        """Return zero."""
        return 0.0

    def project(self, codes: np.ndarray, gram: np.ndarray) -> np.ndarray:
        """Return the codes as they are."""
        return codes


@dataclass(frozen=True)
class Interval(Support):
    """The same interval for every code."""

    lower: float
    upper: float

    def project(self, codes: np.ndarray, gram: np.ndarray) -> np.ndarray:
        """Return the constrained least-squares codes; rows inside are returned as they are."""
        outside = ((codes < self.lower) | (codes > self.upper)).any(axis=1)
        if not outside.any():
            return codes
        projected = codes.copy()
        projected[outside] = bounded_least_squares(codes[outside], gram, self.lower, self.upper)
        return projected

    def soften(self, codes: Array, variances: Array) -> tuple[Array, Array]:
        """Return the codes moved away from the faces, and the probability of the interval around them."""
        xp = array_namespace(codes, variances)
        deviations = xp.sqrt(variances)
        margin = xp.minimum(0.5 * deviations, 0.5 * (self.upper - self.lower))
        inside = xp.minimum(xp.maximum(codes, self.lower + margin), self.upper - margin)
        faces = log_ndtr((codes - self.lower) / deviations)
        if np.isfinite(self.upper):
            faces = faces + log_ndtr((self.upper - codes) / deviations)
        return inside, faces

    @property
    def faces(self) -> tuple[float, ...]:
        """The bounds that are finite."""
        return tuple(bound for bound in (self.lower, self.upper) if np.isfinite(bound))

    def quadrature(self, n_nodes: int = _N_NODES) -> tuple[np.ndarray, np.ndarray]:
        """Return the midpoint rule, after h = t / (1 - t) where there is no upper end."""
        t = (np.arange(n_nodes) + 0.5) / n_nodes
        if np.isinf(self.upper):
            return self.lower + t / (1 - t), 1 / (1 - t) ** 2 / n_nodes
        length = self.upper - self.lower
        return self.lower + length * t, np.full(n_nodes, length / n_nodes)


SUPPORTS: dict[str, Support] = {
    "real": Real(),
    "unit": Interval(0.0, 1.0),
    "nonnegative": Interval(0.0, np.inf),
}


def bounded_least_squares(codes: np.ndarray, gram: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """Minimise (u - h) gram (u - h)' over lower <= u <= upper, for each row h of `codes`.

    Cyclic coordinate descent; every row stops on its own, so that its answer does not depend on
    its neighbours. Codes whose diagonal of `gram` is zero do not matter and are clipped.

    Parameters
    ----------
    codes : array of shape (n, k)
        Unconstrained least-squares codes.
    gram : array of shape (k, k)
        Gram matrix of the components.
    lower, upper : float
        Bounds of every code.

    Returns
    -------
    array of shape (n, k)
    """
    diagonal = np.diagonal(gram)
    scale = np.where(diagonal > 0, diagonal, 1.0)
    coupling = gram / scale[:, None]
    np.fill_diagonal(coupling, 0.0)
    solution = np.clip(codes, lower, upper)
    active = np.arange(len(codes))
    for _ in range(_MAX_SWEEPS):
        change = _sweep(solution, codes, active, coupling, lower, upper)
        active = active[change > _TOLERANCE]
        if not active.size:
            break
    return solution


def _sweep(
    solution: np.ndarray,
    codes: np.ndarray,
    active: np.ndarray,
    coupling: np.ndarray,
    lower: float,
    upper: float,
) -> np.ndarray:
    target, current = codes[active], solution[active]
    before = current.copy()
    for j, row in enumerate(coupling):
        pull = ((target - current) * row).sum(axis=1)
        current[:, j] = np.clip(target[:, j] + pull, lower, upper)
    solution[active] = current
    return np.abs(current - before).max(axis=1)
