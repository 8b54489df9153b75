"""Where codes may lie: the supports of priors, and the projection of codes onto them."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from sparse_fourier.namespace import Array, array_namespace, log_ndtr

_COARSEST_RESOLUTION = 0.1
_N_NODES = 2000
_PATIENCE = 3
_FEW_ROWS = 8
_MAX_SWEEPS = 10_000
_MAX_EXCHANGES = 1000
_BLOCK_ENTRIES = 1 << 17
_CACHED_ENTRIES = 1 << 16
_DEPENDENT = 1e-12
_TOLERANCE = 1e-12


class Support(ABC):
    """A convex set of codes.

    Attributes
    ----------
    surplus : int
        By how much the number of codes exceeds the dimension of the set.
    """

    surplus: ClassVar[int] = 0

    @property
    def is_bounded(self) -> bool:
        """Whether codes have a largest value."""
        return False

    def edges(self, components: np.ndarray) -> np.ndarray:
        """Return the vectors that span the set of signals, of shape (k - surplus, d)."""
        return components

    def middle(self, components: np.ndarray) -> tuple[np.ndarray, float]:
        """Return a signal, less the intercept, and what all of its codes are."""
        return np.zeros(components.shape[1]), 0.0

    def project(self, codes: np.ndarray, gram: np.ndarray) -> np.ndarray:
        """Return the points u of the set that minimise (u - h) gram (u - h)' for each row h.

        With `gram = components @ components.T` and least-squares codes h, u reconstructs the
        signals as well as the set allows. Rows inside are returned as they are.
        """
        projected = codes.copy()
        self.confine(projected, gram)
        return projected

    @abstractmethod
    def confine(self, codes: np.ndarray, gram: np.ndarray) -> None:
        """Put in place of codes, an array in C order, what `project` returns."""

    @abstractmethod
    def relax(self, codes: np.ndarray, pull: np.ndarray, gram: np.ndarray, prices: np.ndarray) -> None:
        """Sweep once over the codes, each moved in place to where u gram u' / 2 - (pull - prices) u is least.

        Parameters
        ----------
        codes : array of shape (n, k)
            Within the set.
        pull : array of shape (n, k)
            Products of signals and components.
        gram : array of shape (k, k)
            Gram matrix of the components; codes whose diagonal is zero stay.
        prices : array of shape (k,)
            What one unit of each code costs.
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

    def confine(self, codes: np.ndarray, gram: np.ndarray) -> None:
        """Leave the codes as they are."""

    def relax(self, codes: np.ndarray, pull: np.ndarray, gram: np.ndarray, prices: np.ndarray) -> None:
        """Sweep once over the codes in place, without bounds."""
        _relax_between(codes, pull - prices, gram, -np.inf, np.inf)


@dataclass(frozen=True)
class Interval(Support):
    """The same interval for every code."""

    lower: float
    upper: float

    def confine(self, codes: np.ndarray, gram: np.ndarray) -> None:
        """Put the constrained least-squares codes in place of rows that have codes out of bounds."""
        places = self._places_outside(codes)
        if not len(places):
            return
        rows, which = np.divmod(places, codes.shape[1])
        first, response = _first_of_each(rows), _response_to(gram)
        left = rows[first] if response is None else self._move_to_bound(codes, rows, which, first, response)
        if len(left):
            found = codes.take(left, axis=0).astype(float, copy=False)
            codes[left] = bounded_least_squares(found, gram, self.lower, self.upper)

    def _places_outside(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of codes out of bounds in the flat array, in order."""
        flat, places = codes.reshape(-1), []
        for first in range(0, max(len(flat), 1), _CACHED_ENTRIES):
            part = flat[first : first + _CACHED_ENTRIES]
            places.append(((part < self.lower) | (part > self.upper)).nonzero()[0] + first)
        return np.concatenate(places) if len(places) > 1 else places[0]

    def _move_to_bound(
        self, codes: np.ndarray, rows: np.ndarray, which: np.ndarray, first: np.ndarray, response: np.ndarray
    ) -> np.ndarray:
        """Solve rows in place of which one code is out of bounds, if no other leaves them; return the rest.

        Rows that come more than once, the `first` time marked, have several such codes.
        """
        alone = first.copy()
        alone[:-1] &= first[1:]
        row, code = (rows, which) if alone.all() else (rows[alone], which[alone])
        moved = codes.take(row, axis=0).astype(float, copy=False)
        own = np.arange(len(row)), code
        before = moved[own]
        bound = np.where(before < self.lower, self.lower, self.upper)
        moved += (bound - before)[:, None] * response.take(code, axis=0)
        moved[own] = bound
        others = self._places_outside(moved) // codes.shape[1]
        if len(others):
            moved[others] = codes[row[others]]
        codes[row] = moved
        return np.concatenate([rows[first & ~alone], row[others[_first_of_each(others)]]])

    def relax(self, codes: np.ndarray, pull: np.ndarray, gram: np.ndarray, prices: np.ndarray) -> None:
        """Sweep once over the codes in place, each between the bounds."""
        _relax_between(codes, pull - prices, gram, self.lower, self.upper)

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
    def is_bounded(self) -> bool:
        """Whether both bounds are finite."""
        return bool(np.isfinite([self.lower, self.upper]).all())

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


class Proportions(Support):
    """Codes at zero and above with sum one."""

    surplus: ClassVar[int] = 1

    def edges(self, components: np.ndarray) -> np.ndarray:
        """Return the differences to the last component."""
        return components[:-1] - components[-1:]

    def middle(self, components: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the mean of the components, in equal proportions."""
        return components.mean(axis=0), 1.0 / len(components)

    @property
    def is_bounded(self) -> bool:
        """True: no share exceeds one."""
        return True

    @property
    def faces(self) -> tuple[float, ...]:
        """Zero."""
        return (0.0,)

    def confine(self, codes: np.ndarray, gram: np.ndarray) -> None:
        """Put the constrained least-squares proportions in place of rows that have codes below zero."""
        outside = (codes < 0).any(axis=1)
        if outside.any():
            codes[outside] = proportional_least_squares(codes[outside].astype(float, copy=False), gram)

    def relax(self, codes: np.ndarray, pull: np.ndarray, gram: np.ndarray, prices: np.ndarray) -> None:
        """Sweep once over pairs of codes in place, of which one gives to the other."""
        pull = pull - prices
        for i, j in combinations(range(len(gram)), 2):
            difference = gram[i] - gram[j]
            curvature = difference[i] - difference[j]
            if curvature > 0:
                gift = (pull[:, i] - pull[:, j] - codes @ difference) / curvature
                gift = np.clip(gift, -codes[:, i], codes[:, j])
                codes[:, i] += gift
                codes[:, j] -= gift

    def soften(self, codes: Array, variances: Array) -> tuple[Array, Array]:
        """Return the codes, and the log-probability that each is positive without its noise."""
        return codes, log_ndtr(codes / array_namespace(codes, variances).sqrt(variances))

    def quadrature(self, n_nodes: int = _N_NODES) -> tuple[np.ndarray, np.ndarray]:
        """Return the one proportion that a single code can be."""
        return np.ones(1), np.ones(1)


SUPPORTS: dict[str, Support] = {
    "real": Real(),
    "unit": Interval(0.0, 1.0),
    "nonnegative": Interval(0.0, np.inf),
    "simplex": Proportions(),
}


def _relax_between(codes: np.ndarray, pull: np.ndarray, gram: np.ndarray, lower: float, upper: float) -> None:
    for j in np.flatnonzero(np.diagonal(gram)):
        step = (pull[:, j] - codes @ gram[j]) / gram[j, j]
        codes[:, j] = np.clip(codes[:, j] + step, lower, upper)


def proportional_least_squares(codes: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Minimise (u - h) gram (u - h)' over proportions u, for each row h of `codes` with sum one.

    Active sets: shares that come out negative are set to zero, those whose multiplier is negative are
    released, all at once as long as that makes fewer wrong, else one at a time, the last of them [1]_.

    Parameters
    ----------
    codes : array of shape (n, k)
        Unconstrained least-squares codes, of sum one.
    gram : array of shape (k, k)
        Gram matrix of the components.

    Returns
    -------
    array of shape (n, k)

    References
    ----------
    .. [1] J. Kim and H. Park, "Fast nonnegative matrix factorization: an active-set-like method and
       comparisons", SIAM Journal on Scientific Computing 33(6), 3261-3281, 2011.
    """
    passive = codes > 0
    turns = _Turns(*codes.shape)
    solution = codes.copy()
    active = np.arange(len(codes))
    for _ in range(_MAX_SWEEPS):
        solution[active], multipliers = _solve_passive(codes[active], gram, passive[active])
        tolerance = _TOLERANCE * np.abs(gram).max()
        wrong = np.where(passive[active], solution[active] < 0, multipliers < -tolerance)
        unsolved = wrong.any(axis=1)
        active, wrong = active[unsolved], wrong[unsolved]
        if not active.size:
            break
        passive[active] ^= turns.exchanged(active, wrong)
    return np.maximum(solution, 0.0)


def _solve_passive(codes: np.ndarray, gram: np.ndarray, passive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least-squares codes of sum one whose others are zero, and the multipliers of those."""
    solution, multipliers = np.zeros_like(codes), np.zeros_like(codes)
    patterns, which = np.unique(passive, axis=0, return_inverse=True)
    pull = codes @ gram
    for index, pattern in enumerate(patterns):
        rows, chosen = np.flatnonzero(which.ravel() == index), np.flatnonzero(pattern)
        m = len(chosen)
        system = np.ones((m + 1, m + 1))
        system[:m, :m], system[m, m] = gram[np.ix_(chosen, chosen)], 0.0
        target = np.concatenate([pull[rows][:, chosen], np.ones((len(rows), 1))], axis=1)
        solved = np.linalg.lstsq(system, target.T, rcond=None)[0].T
        solution[np.ix_(rows, chosen)] = solved[:, :m]
        multipliers[rows] = solution[rows] @ gram - pull[rows] + solved[:, m:]
    return solution, multipliers


def bounded_least_squares(codes: np.ndarray, gram: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """Minimise (u - h) gram (u - h)' over lower <= u <= upper, for each row h of `codes`.

    Active sets, exchanged all at once as long as that makes fewer codes wrong [1]_; coordinate descent where
    components are dependent, and where each row has its own. The answer for a row does not depend on its
    neighbours. Codes whose diagonal of `gram` is zero do not matter and are clipped.

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

    References
    ----------
    .. [1] J. J. Júdice and F. M. Pires, "A block principal pivoting algorithm for large-scale strictly
       monotone linear complementarity problems", Computers & Operations Research 21(5), 587-596, 1994.
    """
    solution = np.clip(codes, lower, upper)
    active = np.arange(len(codes))
    if _response_to(gram) is not None:
        active = _exchange(solution, codes, gram, lower, upper)
    if active.size:
        _descend(solution, codes, active, gram, lower, upper)
    return solution


def _first_of_each(numbers: np.ndarray) -> np.ndarray:
    """Return which of some numbers in order come for the first time."""
    first = np.ones(len(numbers), dtype=bool)
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    return first


def _response_to(gram: np.ndarray) -> np.ndarray | None:
    return _response(np.asarray(gram, dtype=float).tobytes(), len(gram))


@functools.lru_cache(maxsize=32)
def _response(gram: bytes, k: int) -> np.ndarray | None:
    """Return how all codes follow each one that is moved, one a row; None where components are dependent."""
    matrix = np.frombuffer(gram).reshape(k, k)
    live = np.diagonal(matrix) > 0
    if not _independent(matrix):
        return None
    response = np.eye(k)
    inverse = np.linalg.inv(matrix[np.ix_(live, live)])
    response[np.ix_(live, live)] = inverse / np.diagonal(inverse)[:, None]
    return response


def _independent(gram: np.ndarray) -> bool:
    """Return whether the components that are not zero are linearly independent, well above rounding."""
    lengths = np.sqrt(np.diagonal(gram))
    live = lengths > 0
    if not live.any():
        return True
    cosines = gram[np.ix_(live, live)] / np.outer(lengths[live], lengths[live])
    return bool(np.linalg.eigvalsh(cosines)[0] > _DEPENDENT)


def _exchange(
    solution: np.ndarray, codes: np.ndarray, gram: np.ndarray, lower: float, upper: float
) -> np.ndarray:
    """Solve in place by active sets; return the rows that are not solved in the end, as a rule none.

    The `side` of a code is -1 at its lower bound, 1 at its upper, 0 between them.
    """
    active, target = np.arange(len(codes)), codes
    side = (codes >= upper).astype(np.int8) - (codes <= lower)
    turns = _Turns(*codes.shape)
    for _ in range(_MAX_EXCHANGES):
        bound = np.where(side < 0, lower, np.where(side > 0, upper, target))
        change = _with_free_codes(side == 0, bound - target, gram)
        solution[active] = np.where(side == 0, np.clip(target + change, lower, upper), bound)
        better = _better_side(side, target, change, gram, lower, upper)
        unsolved = (better != side).any(axis=1)
        active, target, side, better = active[unsolved], target[unsolved], side[unsolved], better[unsolved]
        if not active.size:
            break
        side = np.where(turns.exchanged(active, better != side), better, side)
    return active


def _better_side(
    side: np.ndarray, target: np.ndarray, change: np.ndarray, gram: np.ndarray, lower: float, upper: float
) -> np.ndarray:
    """Return the bounds that free codes exceed, and zero for codes that their gradient draws off a bound."""
    found = target + change
    slack = _TOLERANCE * np.abs(target).max(axis=1, keepdims=True)
    gradient = np.einsum("ij,jk->ik", change, gram)
    held = np.where(side * gradient > slack * np.abs(gram).max(), 0, side)
    outside = (found > upper + slack).astype(np.int8) - (found < lower - slack)
    return np.where(side == 0, outside, held).astype(np.int8)


class _Turns:
    """Which codes that are on the wrong side change it: all, or the last one where that did not help."""

    def __init__(self, n: int, k: int) -> None:
        self._best, self._patience = np.full(n, k + 1), np.full(n, _PATIENCE)

    def exchanged(self, rows: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        """Return which of the wrong codes of some rows are to be exchanged now."""
        count = wrong.sum(axis=1)
        better = count < self._best[rows]
        self._best[rows] = np.where(better, count, self._best[rows])
        self._patience[rows] = np.where(better, _PATIENCE, self._patience[rows] - 1)
        k = wrong.shape[1]
        last = k - 1 - np.argmax(wrong[:, ::-1], axis=1)
        single = np.arange(k) == last[:, None]
        return np.where((self._patience[rows] >= 0)[:, None], wrong, single)


def _with_free_codes(free: np.ndarray, change: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Return changes of codes where those that are free have followed the others, to the least squares.

    Rows with the same free codes share one linear map, from the changes of the others to those of the free.
    """
    n, k = free.shape
    if n <= _FEW_ROWS:
        change[:] = np.matmul(_maps_to_free_codes(free, gram), change[:, :, None])[:, :, 0]
        return change
    packed = np.ascontiguousarray(np.packbits(free, axis=1))
    _, first, which = np.unique(
        packed.view(f"S{packed.shape[1]}")[:, 0], return_index=True, return_inverse=True
    )
    order = np.argsort(which, kind="stable")
    size = max(1, _BLOCK_ENTRIES // k**2)
    for rows in (order[start : start + size] for start in range(0, n, size)):
        patterns = slice(which[rows[0]], which[rows[-1]] + 1)
        maps = _maps_to_free_codes(free[first[patterns]], gram)
        change[rows] = np.matmul(maps[which[rows] - patterns.start], change[rows][:, :, None])[:, :, 0]
    return change


def _maps_to_free_codes(free: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Return the linear maps for several sets of free codes, of shape (n_sets, k, k)."""
    own = np.arange(gram.shape[0])
    among_free = np.where(free[:, :, None] & free[:, None, :], gram, 0.0)
    among_free[:, own, own] = np.where(free & (np.diagonal(gram) > 0), np.diagonal(gram), 1.0)
    maps = np.linalg.solve(among_free, np.where(free[:, :, None] & ~free[:, None, :], -gram, 0.0))
    maps[:, own, own] = np.where(free, 0.0, 1.0)
    return maps


def _descend(
    solution: np.ndarray,
    codes: np.ndarray,
    active: np.ndarray,
    gram: np.ndarray,
    lower: float,
    upper: float,
) -> None:
    """Solve some rows in place by cyclic coordinate descent, each until it has settled."""
    diagonal = np.diagonal(gram)
    scale = np.where(diagonal > 0, diagonal, 1.0)
    coupling = gram / scale[:, None] * (1.0 - np.eye(len(gram)))
    for _ in range(_MAX_SWEEPS):
        change = _sweep(solution, codes, active, coupling, lower, upper)
        active = active[change > _TOLERANCE]
        if not active.size:
            break


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
