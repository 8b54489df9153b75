"""Densities of the codes learned in turn with the basis, in NumPy.

Given the densities, a damped Newton step improves the basis; given the basis, each density is fitted
anew. What is known of the one says nothing of the other where codes are independent, so that few rounds
are enough. The start is by Jacobi rotations, which look at all angles of a pair of codes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier import densities as density
from sparse_fourier.densities import Density
from sparse_fourier.namespace import solve_positive
from sparse_fourier.objective import Point, move

_ANGLES = 36
_ROWS_PER_SCAN = 1000
_SWEEPS = 4
_LOOKS = 4
_VALLEYS = 3
_WORTH_A_TURN = 0.5
_ROUNDS = 60
_ROUNDS_IN_PASSING = 15
_ROUNDS_TO_SMOOTH = 4
_ROUNDS_TO_SMOOTH_AGAIN = 2
_TOLERANCE = 1e-9
_ROUGH_TOLERANCE = 1e-7
_PASSING_TOLERANCE = 1e-5
_NARROWING = 4.0
_FIRST_DAMPING = 1e-3
_NO_DAMPING = 1e-6
_SMALLEST_STEP = 1e-6
_SUFFICIENT = 1e-4


@dataclass(frozen=True)
class Signals:
    """The signals in whitened coordinates.

    Attributes
    ----------
    whitened : array of shape (n, k)
        Zero mean and unit covariance.
    weights : array of shape (n,)
        Sum one.
    n_samples : float
        How many rows the weights stand for.
    """

    whitened: np.ndarray
    weights: np.ndarray
    n_samples: float


class Solution(NamedTuple):
    """A basis with densities, and what is known of the objective there.

    Attributes
    ----------
    point : Point
    densities : tuple of Density
    codes : array of shape (n, k)
    slopes, curvatures : arrays of shape (n, k)
        Two derivatives of the log-density of each code.
    value : float
        The mean negative log-likelihood, but for terms that do not depend on any of this.
    """

    point: Point
    densities: tuple[Density, ...]
    codes: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray
    value: float

    @classmethod
    def at(cls, signals: Signals, point: Point, densities: Sequence[Density]) -> Solution:
        """Evaluate."""
        codes = point.encode(signals.whitened)
        parts = [density.derivatives(h) for density, h in zip(densities, codes.T, strict=True)]
        values, slopes, curvatures = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
        value = -np.linalg.slogdet(point.unmixing)[1] - (signals.weights @ values).sum()
        return cls(point, tuple(densities), codes, slopes, curvatures, float(value))

    def penalised(self, n_samples: float) -> float:
        """Return the value plus what the roughness of the densities costs."""
        return self.value + sum(each.roughness for each in self.densities) / n_samples


class Outcome(NamedTuple):
    """What was learned, and how.

    Attributes
    ----------
    point : Point
    densities : tuple of Density
    curve : array of shape (n_rounds,)
        Penalised objective after every round.
    converged : bool
    decrement : float
        By how much the last round changed the objective.
    stopped : bool
        Whether the caller asked for the end.
    """

    point: Point
    densities: tuple[Density, ...]
    curve: np.ndarray
    converged: bool
    decrement: float
    stopped: bool


def learn(
    signals: Signals,
    start: Point | None,
    rng: np.random.RandomState,
    *,
    max_iter: int,
    tell: Callable[[int, float], Any],
) -> Outcome:
    """Learn basis and densities.

    Parameters
    ----------
    signals : Signals
    start : Point or None
        None: by Jacobi rotations.
    rng : RandomState
        Chooses the rows that are looked at for them.
    max_iter : int
        Most rounds.
    tell : callable
        Called with the number of rounds and the objective after every round; True ends it all.
    """
    course = _Course(signals, max_iter, tell)
    rotation = sweep(signals, rng) if start is None else start.unmixing
    solution = _smooth(course, rotation, rng, looks=_LOOKS if start is None else 0)
    solution = _sharpen(course, solution)
    return Outcome(
        solution.point,
        solution.densities,
        np.array(course.curve),
        course.settled,
        course.change,
        course.stopped,
    )


def _smooth(course: _Course, unmixing: np.ndarray, rng: np.random.RandomState, looks: int) -> Solution:
    """Learn densities without edges, turning pairs of codes as long as another angle is better."""
    signals = course.signals
    rotation = turned_pairs(signals.whitened @ unmixing.T, signals, rng) if looks else None
    solution = _smooth_from(course, unmixing if rotation is None else rotation @ unmixing)
    for _ in range(looks - 1):
        rotation = turned_pairs(solution.codes, signals, rng)
        if rotation is None or course.over:
            break
        solution = _smooth_from(course, rotation @ solution.point.unmixing)
    return solution


def _smooth_from(course: _Course, unmixing: np.ndarray) -> Solution:
    signals = course.signals
    codes = signals.whitened @ unmixing.T
    fitted = [density.fit_smooth(h, signals.weights, signals.n_samples) for h in codes.T]
    start = Solution.at(signals, Point(unmixing, np.zeros(len(unmixing))), fitted)
    return course.alternate(start, _ROUNDS, _ROUGH_TOLERANCE, _ROUNDS_TO_SMOOTH)


def _sharpen(course: _Course, solution: Solution) -> Solution:
    """Give codes the edges that they are found to have, blurred widely at first."""
    weights, n = course.signals.weights, course.signals.n_samples
    blur = n**-0.5
    chosen = [
        density.choose(h, weights, n, blur, each)
        for h, each in zip(solution.codes.T, solution.densities, strict=True)
    ]
    while True:
        last = blur <= 1 / n or not any(each.edges for each in chosen)
        narrowed = [each.narrowed(blur) for each in chosen]
        fitted = course.refitted(solution.codes, narrowed, frozen=False)
        solution = course.alternate(
            Solution.at(course.signals, solution.point, fitted),
            _ROUNDS if last else _ROUNDS_IN_PASSING,
            _TOLERANCE if last else _PASSING_TOLERANCE,
            _ROUNDS_TO_SMOOTH_AGAIN,
        )
        chosen = [
            density.keep(h, weights, n, each, blur)
            for h, each in zip(solution.codes.T, solution.densities, strict=True)
        ]
        unchanged = all(new is old for new, old in zip(chosen, solution.densities, strict=True))
        if course.over or (last and unchanged):
            return solution
        blur = max(blur / _NARROWING, 1 / n)


class _Course:
    """The rounds of one fit: their count, their curve, and the caller's wish to end."""

    def __init__(self, signals: Signals, max_iter: int, tell: Callable[[int, float], Any]) -> None:
        self.signals = signals
        self.curve: list[float] = []
        self.settled, self.stopped, self.change = False, False, np.inf
        self._max_iter, self._tell = max_iter, tell

    @property
    def over(self) -> bool:
        """Whether there must be no further round."""
        return self.stopped or len(self.curve) >= self._max_iter

    def alternate(self, solution: Solution, rounds: int, tolerance: float, n_learning: int) -> Solution:
        """Take rounds until they change nothing; the strengths of smoothing are learned in the first few."""
        damping, before = 0.0, np.inf
        for count in range(rounds):
            if self.over:
                break
            solution, decrement, damping = improve(self.signals, solution, damping)
            fitted = self.refitted(solution.codes, solution.densities, frozen=count >= n_learning)
            solution = Solution.at(self.signals, solution.point, fitted)
            total = solution.penalised(self.signals.n_samples)
            self.change = max(abs(before - total), decrement)
            self.settled = count >= n_learning and self.change < tolerance
            before = total
            self.curve.append(total)
            self.stopped = bool(self._tell(len(self.curve), total))
            if self.settled:
                break
        return solution

    def refitted(self, codes: np.ndarray, densities: Sequence[Density], *, frozen: bool) -> list[Density]:
        """Return densities fitted anew; frozen ones are as smooth as they were."""
        weights, n = self.signals.weights, self.signals.n_samples
        pairs = zip(codes.T, densities, strict=True)
        return [density.refit(h, weights, n, each, frozen) for h, each in pairs]


def improve(signals: Signals, solution: Solution, damping: float) -> tuple[Solution, float, float]:
    """Return the solution after a damped Newton step that lowers the objective, or as it was.

    Returns
    -------
    solution : Solution
    decrement : float
        Twice the decrease that the step promised.
    damping : float
        For the next step.
    """
    step, decrement, damping = newton_step(signals.weights, solution, damping)
    length = 1.0
    while length > _SMALLEST_STEP:
        trial = Solution.at(signals, _moved(solution.point, length * step), solution.densities)
        if trial.value <= solution.value - _SUFFICIENT * length * decrement + 1e-15:
            eased = damping / 4 if length == 1 else 4 * damping
            return trial, decrement, eased if eased > _NO_DAMPING else 0.0
        length /= 4 if length == 1 else 3
    return solution, 0.0, damping


def _moved(point: Point, step: np.ndarray) -> Point:
    """Return the point after codes h have become h + step @ [h, 1]."""
    k = len(step)
    moved = move(point, step)
    return moved._replace(offset=moved.offset + step[:, :k] @ point.offset)


def newton_step(weights: np.ndarray, solution: Solution, damping: float) -> tuple[np.ndarray, float, float]:
    """Return a step of shape (k, k + 1), the decrement, and the damping that it took.

    A code without edges keeps its scale and location, which its density has already, and its curvature is
    the expected one; a code with edges has the curvature of its samples.
    """
    n, k = solution.codes.shape
    extended = np.column_stack([solution.codes, np.ones(n)])
    gradient = -(solution.slopes * weights[:, None]).T @ extended - np.eye(k, k + 1)
    hessian = np.zeros((k, k + 1, k, k + 1))
    free = np.ones((k, k + 1), dtype=bool)
    second = weights @ extended**2
    for i, each in enumerate(solution.densities):
        curvature = -weights * solution.curvatures[:, i]
        if each.edges:
            hessian[i, :, i] = (extended * curvature[:, None]).T @ extended
        else:
            hessian[i, :, i] = np.diag(max(curvature.sum(), 0.0) * second)
        free[i, i], free[i, k] = each.edges == 2, each.edges > 0
    rows, columns = np.indices((k, k))
    hessian[rows, columns, columns, rows] += 1.0
    chosen = np.flatnonzero(free.ravel())
    matrix = hessian.reshape(free.size, free.size)[np.ix_(chosen, chosen)]
    slope = gradient.ravel()[chosen]
    solved, damping = _solve_damped(matrix, slope, damping)
    step = np.zeros(free.size)
    step[chosen] = -solved
    return step.reshape(k, k + 1), float(slope @ solved), damping


def _solve_damped(matrix: np.ndarray, vector: np.ndarray, damping: float) -> tuple[np.ndarray, float]:
    """Solve with as much damping as makes the matrix positive definite."""
    scale = np.maximum(np.abs(np.diagonal(matrix)), 1.0)
    if not vector.size:
        return vector, damping
    while True:
        solved = solve_positive(matrix + np.diag(damping * scale), vector)
        if np.isfinite(solved).all():
            return solved, damping
        damping = max(4 * damping, _FIRST_DAMPING)


def sweep(signals: Signals, rng: np.random.RandomState) -> np.ndarray:
    """Return a rotation of the whitened coordinates, by Jacobi sweeps on some of the rows.

    Every pair of codes in turn takes the angle at which its entropies, estimated from spacings [1]_,
    are least.

    References
    ----------
    .. [1] E. G. Learned-Miller and J. W. Fisher, "ICA using spacings estimates of entropy", Journal of
       Machine Learning Research 4, 1271-1295, 2003.
    """
    k = signals.whitened.shape[1]
    rotation = np.eye(k)
    codes = signals.whitened[_some_rows(signals, _ROWS_PER_SCAN, rng)].T.copy()
    for _ in range(_SWEEPS if k > 2 else 1):
        moved = False
        for pair in _pairs(k):
            totals = spacing_entropies(codes[pair])
            best = int(np.argmin(totals))
            if totals[0] - totals[best] > 1 / codes.shape[1]:
                turn, moved = _turn(best), True
                codes[pair], rotation[pair] = turn @ codes[pair], turn @ rotation[pair]
        if not moved:
            break
    return rotation


def turned_pairs(codes: np.ndarray, signals: Signals, rng: np.random.RandomState) -> np.ndarray | None:
    """Return the rotation of those pairs of codes that have more evidence at another angle, or None."""
    k = codes.shape[1]
    rows = _some_rows(signals, 2 * _ROWS_PER_SCAN, rng)
    rotation, codes = np.eye(k), codes.T.copy()
    for pair in _pairs(k):
        angles = _valleys(spacing_entropies(codes[pair][:, rows]), len(rows))
        if not angles:
            continue
        worth = [_evidence(_turn(angle) @ codes[pair], signals) for angle in [0, *angles]]
        best = int(np.argmax(worth))
        if worth[best] > worth[0] + _WORTH_A_TURN:
            turn = _turn([0, *angles][best])
            codes[pair], rotation[pair] = turn @ codes[pair], turn @ rotation[pair]
    return None if (rotation == np.eye(k)).all() else rotation


def _valleys(totals: np.ndarray, n_rows: int) -> list[int]:
    """Return the angles of other minima that spacings do not exclude, deepest first."""
    lowest = (totals <= np.roll(totals, 1)) & (totals < np.roll(totals, -1))
    lowest &= totals < min(totals[0], totals.min() + 0.5 / np.sqrt(n_rows))
    angles = np.flatnonzero(lowest)
    angles = angles[(angles > 1) & (angles < _ANGLES - 1)]
    return [int(angle) for angle in angles[np.argsort(totals[angles])][:_VALLEYS]]


def _evidence(pair: np.ndarray, signals: Signals) -> float:
    return sum(density.fit_smooth(h, signals.weights, signals.n_samples).evidence for h in pair)


def spacing_entropies(pair: np.ndarray) -> np.ndarray:
    """Return the sum of the entropies of two codes, up to a constant, at every angle of a quarter turn.

    Parameters
    ----------
    pair : array of shape (2, n)
    """
    angles = np.arange(2 * _ANGLES) * (np.pi / (2 * _ANGLES))
    ordered = np.sort(np.stack([np.cos(angles), np.sin(angles)], axis=1) @ pair, axis=1)
    m = max(int(np.sqrt(pair.shape[1])), 1)
    entropies = np.log(ordered[:, m:] - ordered[:, :-m] + 1e-9).mean(axis=1)
    return entropies[:_ANGLES] + entropies[_ANGLES:]


def _turn(angle: int) -> np.ndarray:
    radians = angle * np.pi / (2 * _ANGLES)
    cosine, sine = np.cos(radians), np.sin(radians)
    return np.array([[cosine, sine], [-sine, cosine]])


def _pairs(k: int) -> list[list[int]]:
    return [list(pair) for pair in itertools.combinations(range(k), 2)]


def _some_rows(signals: Signals, most: int, rng: np.random.RandomState) -> np.ndarray:
    """Return rows drawn by their weights, one from each of equal shares; all of them where they are few."""
    size = min(most, max(round(signals.n_samples), 1))
    shares = (np.arange(size) + rng.uniform(size=size)) / size
    rows = np.searchsorted(np.cumsum(signals.weights), shares)
    return np.minimum(rows, len(signals.weights) - 1)
