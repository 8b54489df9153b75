"""Curvature that a search remembers of its last steps, beside a model of it: limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_LEAST_CURVATURE = 1e-3  # change of a slope along a step, relative to the slope

Solve = Callable[[np.ndarray], np.ndarray]
"""Returns, of a gradient, what the inverse of a model's positive definite curvature makes of it."""


class Memory:
    """The last steps of a search, and how the gradient changed along each.

    The model of the curvature, which is a new one at every place, takes the part of the initial matrix of
    BFGS [1]_; coordinates are relative to the place, as those of independent component analysis in [2]_.

    Parameters
    ----------
    capacity : int
        Number of steps that are remembered; with none, steps are those of the model.

    References
    ----------
    .. [1] J. Nocedal and S. Wright, Numerical Optimization, 2nd edition, algorithm 7.4, 2006.
    .. [2] P. Ablin, J.-F. Cardoso and A. Gramfort, "Faster independent component analysis by preconditioning
       with Hessian approximations", IEEE Transactions on Signal Processing 66(15), 4040-4049, 2018.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pairs: list[list[np.ndarray]] = []
        self._last: list[np.ndarray] = []

    def left(self, gradient: np.ndarray, step: np.ndarray) -> None:
        """Note that a step is taken from where the gradient is this."""
        self._last = [gradient, step]

    def arrived(self, gradient: np.ndarray) -> None:
        """Note the gradient after that step, and remember both if the function bends upwards along it."""
        if self._last and self._capacity:
            before, step = self._last
            change = gradient - before
            if step @ change > _LEAST_CURVATURE * abs(step @ before):
                self._pairs = [*self._pairs, [step, change]][-self._capacity :]
        self._last = []

    def forget(self) -> None:
        """Begin anew: the function has become another one."""
        self._pairs, self._last = [], []

    def directions(self, gradient: np.ndarray, solve: Solve) -> Iterator[np.ndarray]:
        """Yield steps downhill to try in turn: with what is remembered, and then without."""
        if self._pairs:
            step = -self._recalled(gradient, solve)
            if step @ gradient < 0:
                yield step
            self.forget()
        yield -solve(gradient)

    def _recalled(self, gradient: np.ndarray, solve: Solve) -> np.ndarray:
        left, shares = gradient, []
        for step, change in reversed(self._pairs):
            shares.append((step @ left) / (step @ change))
            left = left - shares[-1] * change
        found = solve(left)
        for (step, change), share in zip(self._pairs, reversed(shares), strict=True):
            found = found + (share - (change @ found) / (step @ change)) * step
        return found

    @property
    def state(self) -> list[Any]:
        """All that is remembered, as lists of arrays."""
        return [self._pairs, self._last]

    def restore(self, state: list[Any]) -> None:
        """Remember what another one did."""
        self._pairs, self._last = state
