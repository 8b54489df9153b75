"""Where codes may lie: the supports of priors, and the projection of codes onto them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

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


class Real(Support):
    """All of the code space."""

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
