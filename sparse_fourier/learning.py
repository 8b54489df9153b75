"""Densities of the codes learned in turn with the basis, in NumPy.

Given the densities, a damped Newton step improves the basis; given the basis, each density is fitted
anew. What is known of the one says nothing of the other where codes are independent, so that few rounds
are enough. Where codes depend on each other densities follow the basis, and steps learn from the last
ones how that flattens the objective.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import lapack

from sparse_fourier import checkpoints
from sparse_fourier import densities as density
from sparse_fourier.densities import Density
from sparse_fourier.memory import Memory, Solve
from sparse_fourier.objective import Point, move
from sparse_fourier.rotations import Signals, first_rotation, turned_pairs

_LOOKS = 4
_ROUNDS = 60
_ROUNDS_IN_PASSING = 15
_ROUNDS_TO_SMOOTH = 4
_ROUNDS_TO_SMOOTH_AGAIN = 1
_REMEMBERED = 10  # steps; none in passing
_TOLERANCE, _NATS = 1e-9, 1e-4  # whichever is more: in nats per sample, and of all samples
_ROUGH_TOLERANCE, _ROUGH_NATS = 1e-7, 0.5
_PASSING_TOLERANCE = 1e-5
_NARROWING = 4.0
_SAMPLES_AT_AN_EDGE = 0.5
_FIRST_DAMPING = 1e-3
_NO_DAMPING = 1e-6
_SMALLEST_STEP, _LARGEST_STEP = 1e-6, 0.5
_ROUNDING = 1e-13
_SUFFICIENT = 1e-4
_SAME_STRENGTH = 0.2


class Solution(NamedTuple):
    """A basis with densities fitted to its codes.

    Attributes
    ----------
    point : Point
    densities : tuple of Density
    codes : array of shape (k, n)
    value : float
        The mean negative log-likelihood, but for terms that do not depend on any of this, and what the
        roughness of the densities costs.
    """

    point: Point
    densities: tuple[Density, ...]
    codes: np.ndarray
    value: float

    @classmethod
    def of(cls, point: Point, densities: Sequence[Density], codes: np.ndarray) -> Solution:
        """Evaluate: the densities know how likely the codes are."""
        value = -float(np.linalg.slogdet(point.unmixing)[1])
        value += sum(each.roughness / each.n_samples - each.log_likelihood for each in densities)
        return cls(point, tuple(densities), codes, value)


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
        None: by `first_rotation`.
    rng : RandomState
        Chooses the rows that are looked at for them.
    max_iter : int
        Most rounds.
    tell : callable
        Called with the number of rounds and the objective after every round; True ends it all.
    """
    course = _Course(signals, max_iter, tell)
    rotation = first_rotation(signals, rng) if start is None else start.unmixing
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
    solution = _smooth_from(course, unmixing)
    for _ in range(looks):
        rotation = turned_pairs(solution.codes, course.signals, rng)
        if rotation is None or course.over:
            break
        solution = _smooth_from(course, rotation @ solution.point.unmixing)
    return solution


def _smooth_from(course: _Course, unmixing: np.ndarray) -> Solution:
    signals, codes = course.signals, unmixing @ course.coordinates
    fitted = [density.fit_smooth(h, signals.weights, signals.n_samples) for h in codes]
    start = Solution.of(Point(unmixing, np.zeros(len(unmixing))), fitted, codes)
    tolerance = max(_ROUGH_TOLERANCE, _ROUGH_NATS / signals.n_samples)
    return course.alternate(start, _ROUNDS, tolerance, _ROUNDS_TO_SMOOTH, Memory(_REMEMBERED))


def _sharpen(course: _Course, solution: Solution) -> Solution:
    """Give codes the edges that they are found to have, blurred widely at first."""
    weights, n = course.signals.weights, course.signals.n_samples
    chosen = [
        density.choose(h, weights, n, n**-0.5, each)
        for h, each in zip(solution.codes, solution.densities, strict=True)
    ]
    while True:
        last = all(_next_blur(each, n) == each.blur for each in chosen)
        solution = course.alternate(
            course.fitted(solution.point, solution.codes, chosen, frozen=False),
            _ROUNDS if last else _ROUNDS_IN_PASSING,
            max(_TOLERANCE, _NATS / n) if last else _PASSING_TOLERANCE,
            _ROUNDS_TO_SMOOTH_AGAIN,
            Memory(_REMEMBERED if last else 0),
        )
        chosen = [
            density.keep(h, weights, n, each, each.blur)
            for h, each in zip(solution.codes, solution.densities, strict=True)
        ]
        unchanged = all(new is old for new, old in zip(chosen, solution.densities, strict=True))
        if course.over or (last and unchanged):
            return solution
        chosen = [each.narrowed(_next_blur(each, n)) for each in chosen]


def _next_blur(each: Density, n_samples: float) -> float:
    """Return the width that edges have next: less, until there are hardly any samples within it.

    Where the density begins at an edge with a step, that is about one over the number of samples; where it
    begins at zero, samples are too far apart to tell edges so sharp from wider ones.
    """
    crowded = n_samples * each.mass_at_ends > _SAMPLES_AT_AN_EDGE
    return max(each.blur / _NARROWING, 1 / n_samples) if crowded else each.blur


class _Course:
    """The rounds of one fit: their count, their curve, and the caller's wish to end."""

    def __init__(self, signals: Signals, max_iter: int, tell: Callable[[int, float], Any]) -> None:
        self.signals, self.coordinates = signals, np.ascontiguousarray(signals.whitened.T)
        self.curve: list[float] = []
        self.settled, self.stopped, self.change = False, False, np.inf
        self._max_iter, self._tell = max_iter, tell

    @property
    def over(self) -> bool:
        """Whether there must be no further round."""
        return self.stopped or len(self.curve) >= self._max_iter

    def alternate(
        self, solution: Solution, rounds: int, tolerance: float, n_learning: int, memory: Memory
    ) -> Solution:
        """Take rounds until they change nothing.

        How smooth densities are is learned in the first few, until it changes little.
        """
        place = checkpoints.loop()
        damping, learning, count, self.settled = 0.0, True, 0, False
        if place.saved is not None:
            solution, damping, learning, count = self._resumed(place.saved)
            memory.restore(place.saved["memory"])
        while count < rounds and not (self.over or self.settled):
            before = solution.value
            solution, decrement, damping = self._improved(solution, memory, damping)
            count += 1
            if learning:
                memory.forget()
                last = solution.densities
                solution = self.fitted(solution.point, solution.codes, last, frozen=False)
                learning = count < n_learning and not _about_as_smooth(last, solution.densities)
            self._note(solution, max(abs(before - solution.value), decrement))
            self.settled = not learning and self.change < tolerance
            if place.is_kept:
                place.keep(self._state(solution, damping, learning, count) | {"memory": memory.state})
        return solution

    def _state(self, solution: Solution, damping: float, learning: bool, count: int) -> dict[str, Any]:
        """Return all that further rounds depend on."""
        return {
            "unmixing": solution.point.unmixing,
            "offset": solution.point.offset,
            "densities": [each.state for each in solution.densities],
            "loop": [float(solution.value), float(damping), bool(learning), count],
            "course": [float(self.change), bool(self.settled), bool(self.stopped)],
            "curve": np.array(self.curve),
        }

    def _resumed(self, saved: dict[str, Any]) -> tuple[Solution, float, bool, int]:
        point = Point(saved["unmixing"], saved["offset"])
        value, damping, learning, count = saved["loop"]
        self.change, self.settled, self.stopped = saved["course"]
        self.curve = list(saved["curve"])
        densities = tuple(Density.of_state(state) for state in saved["densities"])
        return Solution(point, densities, self._codes(point), value), damping, learning, count

    def _codes(self, point: Point) -> np.ndarray:
        return point.unmixing @ self.coordinates + point.offset[:, None]

    def _note(self, solution: Solution, change: float) -> None:
        self.change = change
        self.curve.append(solution.value)
        self.stopped = bool(self._tell(len(self.curve), solution.value))

    def _improved(self, solution: Solution, memory: Memory, damping: float) -> tuple[Solution, float, float]:
        """Return the solution after a damped step that lowers the objective, or as it was.

        Returns
        -------
        solution : Solution
        decrement : float
            Twice the decrease that the step promised.
        damping : float
            For the next step.
        """
        model = local_model(self.signals.weights, solution)
        memory.arrived(model.gradient)
        solve, damping = model.solver(damping)
        for step in memory.directions(model.gradient, solve):
            step *= _LARGEST_STEP / max(np.linalg.norm(step), _LARGEST_STEP)
            decrement = -float(model.gradient @ step)
            trial, length = self._lower(solution, model, step, decrement)
            if length:
                memory.left(model.gradient, length * step)
                eased = damping / 4 if length == 1 else 4 * damping
                return trial, decrement, eased if eased > _NO_DAMPING else 0.0
        return solution, 0.0, damping

    def _lower(
        self, solution: Solution, model: LocalModel, step: np.ndarray, decrement: float
    ) -> tuple[Solution, float]:
        """Return the first lower solution along a step and the share of it; zero where there is none."""
        length = 1.0
        while length > _SMALLEST_STEP and length * decrement > _ROUNDING:
            point = _moved(solution.point, model.whole(length * step))
            trial = self.fitted(point, self._codes(point), solution.densities, frozen=True)
            if trial.value <= solution.value - _SUFFICIENT * length * decrement:
                return trial, length
            length /= 4 if length == 1 else 3
        return solution, 0.0

    def fitted(
        self, point: Point, codes: np.ndarray, densities: Sequence[Density], *, frozen: bool
    ) -> Solution:
        """Return the solution with densities fitted anew; frozen ones are as smooth as they were."""
        weights, n = self.signals.weights, self.signals.n_samples
        pairs = zip(codes, densities, strict=True)
        return Solution.of(point, [density.refit(h, weights, n, each, frozen) for h, each in pairs], codes)


def _about_as_smooth(densities: Sequence[Density], others: Sequence[Density]) -> bool:
    pairs = zip(densities, others, strict=True)
    return all(abs(np.log(one.strength / other.strength)) < _SAME_STRENGTH for one, other in pairs)


def _moved(point: Point, step: np.ndarray) -> Point:
    """Return the point after codes h have become h + step @ [h, 1]."""
    k = len(step)
    moved = move(point, step)
    return moved._replace(offset=moved.offset + step[:, :k] @ point.offset)


class LocalModel(NamedTuple):
    """The objective around a solution, with its densities as they are: of a step with m free entries.

    Attributes
    ----------
    gradient : array of shape (m,)
    curvature : array of shape (m, m)
    free : bool array of shape (k, k + 1)
    """

    gradient: np.ndarray
    curvature: np.ndarray
    free: np.ndarray

    def whole(self, step: np.ndarray) -> np.ndarray:
        """Return a step of the free entries as one of all."""
        found = np.zeros(self.free.shape)
        found[self.free] = step
        return found

    def solver(self, damping: float) -> tuple[Solve, float]:
        """Return what solves with as much damping as makes the curvature positive, and the damping."""
        if not self.gradient.size:
            return np.copy, damping
        scale = np.maximum(np.abs(np.diagonal(self.curvature)), 1.0)
        while True:
            factor, failed = lapack.dpotrf(self.curvature + np.diag(damping * scale), lower=1)
            if not failed:
                return functools.partial(_solved, factor), damping
            damping = max(4 * damping, _FIRST_DAMPING)


def _solved(factor: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return lapack.dpotrs(factor, gradient, lower=1)[0]


def local_model(weights: np.ndarray, solution: Solution) -> LocalModel:
    """Return the model around a solution.

    A code without edges keeps its scale and location, which its density has already, and its curvature is
    the expected one; a code with edges has the curvature of its samples.
    """
    k, n = solution.codes.shape
    extended = np.concatenate([solution.codes, np.ones((1, n))])
    gradient, hessian = -np.eye(k, k + 1), np.zeros((k, k + 1, k, k + 1))
    free = np.ones((k, k + 1), dtype=bool)
    second = extended**2 @ weights
    for i, each in enumerate(solution.densities):
        _, slopes, curvatures = each.derivatives(solution.codes[i])
        gradient[i] -= extended @ (weights * slopes)
        if each.edges:
            hessian[i, :, i] = extended * (-weights * curvatures) @ extended.T
        else:
            hessian[i, :, i] = np.diag(max(float(-weights @ curvatures), 0.0) * second)
        free[i, i], free[i, k] = each.edges == 2, each.edges > 0
    rows, columns = np.indices((k, k))
    hessian[rows, columns, columns, rows] += 1.0
    chosen = np.flatnonzero(free)
    curvature = hessian.reshape(free.size, free.size)[np.ix_(chosen, chosen)]
    return LocalModel(gradient[free], curvature, free)
