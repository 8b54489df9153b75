"""Where training begins and which signals it looks at: from few signals and wide faces to all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier import runtime
from sparse_fourier.learning import Signals, learn, sweep
from sparse_fourier.objective import CodeObjective, JointObjective, Objective, Point, SimplexObjective
from sparse_fourier.priors import Prior
from sparse_fourier.training import Progress, Trained, compiles, train

_FIRST_WIDTH = 0.3
_WIDTH_AT_INIT = 0.05
_FIRST_ROWS = 2000
_FIRST_ROWS_PER_COMPONENT = 100
_GROWTH = 4
_COARSE_TOL = 1e-5
_REACH_OF_NOISE = 6.5
_REACH_IN_THE_END = 6.0
_NOISE_AT_EXTREMES = 4.0
_FIRST_WIDTHS_OF_SIMPLEX = 1.0
_REBLURRINGS = 12
_BLUR_SETTLED = 1e-3
_SAMPLES_PER_DENSITY = 5
_SAMPLES_PER_ENTROPY = 10
_SMALLEST_SPREAD = 1e-12
_CLOSE = 5.0
_CROWD = 40.0
_EXACT = 1e-3
_SHARPEST = 1e-16
_TRIMMINGS = 12
_DETERMINED = 1e-6
_ITERATIONS_TO_SHARPEN = 200


@dataclass(frozen=True)
class Problem:
    """The signals in whitened coordinates, and what is assumed of them.

    Attributes
    ----------
    prior : Prior
    whitened : array of shape (n, k)
        Zero mean and unit covariance.
    weights : array of shape (n,)
        Sum one.
    n_samples : float
        How many rows the weights stand for.
    noise : array of shape (k, k)
        Covariance of the noise of the whitened coordinates.
    floor : float or array of shape (k,)
        Smallest variance of a code's noise.
    constant : float
        Terms of the objective that do not depend on the basis.
    average : array of shape (k,) or None
        Of the whitened coordinates, where that is not zero.
    """

    prior: Prior
    whitened: np.ndarray
    weights: np.ndarray
    n_samples: float
    noise: np.ndarray
    floor: Any
    constant: float
    average: np.ndarray | None = None

    def objective(self, rows: np.ndarray, matters: np.ndarray) -> Objective:
        """Return the objective of some rows, each code with those of them that matter to it.

        Parameters
        ----------
        rows : int array of shape (n_rows,)
        matters : bool array of shape (n_rows, k)
        """
        k = self.whitened.shape[1]
        sets = 1 if matters.all() else k
        size = self._padded(int(matters.sum(axis=0).max()))
        own, weights = np.zeros((sets, size, k)), np.zeros((sets, size))
        share = self.weights[rows].sum()
        for j in range(sets):
            chosen = rows[matters[:, j]]
            own[j, : len(chosen)] = self.whitened[chosen]
            weights[j, : len(chosen)] = self.weights[chosen] / share
        kind = SimplexObjective if self.prior.domain.surplus else CodeObjective
        kind = kind if self.prior.factorises else JointObjective
        numbers = np.broadcast_to(np.asarray(self.floor, dtype=float), k), np.float64(self.constant)
        return kind(self.prior, own, weights, self.noise, *numbers)

    def _padded(self, n: int) -> int:
        """Return the number of rows that n rows are padded to: one of few, where that saves compilations."""
        return runtime.bucket(n) if compiles(self.prior, self.whitened.shape[1], n) else n

    def blur(self, point: Point) -> np.ndarray:
        """Return the standard deviation of each code's noise, of shape (..., k)."""
        return np.sqrt(point.noise_variances(self.noise) + self.floor)


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes
    ----------
    n_starts : int
    tol : float
    max_iter : int
    init : array of shape (k, k) or None
        Directions of the components to start from, in whitened coordinates.
    callback : callable or None
    """

    n_starts: int
    tol: float
    max_iter: int
    init: np.ndarray | None
    callback: Callable[[Progress], Any] | None


def optimise(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return the best basis: from known starts on all signals, else by way of subsamples.

    Where the prior knows a start, that is taken, and given components start from themselves. Any
    others start from rotations, on few signals with wide faces; what they find is then carried over
    to more and more signals, of which each code sees those that matter to its density.
    """
    if problem.prior.learns:
        return _learn(problem, plan, rng)
    if problem.prior.domain.surplus:
        return _unmix(problem, plan, rng)
    course = _Course(problem, plan)
    trained = _search(problem, plan, course, rng)._replace(floor=problem.floor)
    return trained if course.over(trained) else course.sharpened(trained)


def _onto_faces(problem: Problem, point: Point) -> tuple[Point, np.ndarray]:
    """Return the point with faces laid through the codes that lie exactly on them, and which codes do.

    A face that a density without atoms leaves is close to few samples, whose codes are scattered; where many
    lie in one hyperplane they determine it up to rounding.
    """
    found = [_row_onto_faces(problem, point, j) for j in range(len(point.offset))]
    rows = [row if row is not None else np.append(u, o) for row, u, o in zip(found, *point, strict=True)]
    exact = np.array([row is not None for row in found])
    return Point(np.array(rows)[:, :-1], np.array(rows)[:, -1]), exact


def _row_onto_faces(problem: Problem, point: Point, j: int) -> np.ndarray | None:
    """Return unmixing and offset of a code all of whose faces hold many codes exactly, or None."""
    faces, blur = problem.prior.domain.faces, problem.blur(point)[j]
    codes = problem.whitened @ point.unmixing[j] + point.offset[j]
    near = [np.flatnonzero(np.abs(codes - face) < _CLOSE * blur) for face in faces]
    crowded = [problem.weights[rows].sum() * problem.n_samples > _CROWD for rows in near]
    if not faces or not all(crowded) or point.noise_variances(problem.noise)[j] > (_EXACT * blur) ** 2:
        return None
    rows = np.concatenate(near)
    missing = np.repeat(faces, [len(part) for part in near]) - codes[rows]
    design = np.concatenate([problem.whitened[rows], np.ones((len(rows), 1))], axis=1)
    change = _robust_least_squares(design, missing)
    exact = np.abs(design @ change - missing) < _EXACT * blur
    return np.append(point.unmixing[j], point.offset[j]) + change if exact.mean() > 0.5 else None


def _robust_least_squares(design: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the smallest solution for rows that agree; those with large residuals are left out.

    The first guess moves the offset alone, by which rows that lie on a face agree already: a solution for
    all rows could be the one that makes every code zero.
    """
    left = np.abs(np.median(targets) - targets)
    solution = np.zeros(design.shape[1])
    for _ in range(_TRIMMINGS):
        kept = left <= 3 * np.median(left) + np.finfo(float).eps
        solution = np.linalg.lstsq(design[kept], targets[kept], rcond=_DETERMINED)[0]
        left = np.abs(design @ solution - targets)
    return solution


def _search(problem: Problem, plan: Plan, course: _Course, rng: np.random.RandomState) -> Trained:
    n, k = problem.whitened.shape
    known = problem.prior.start(problem.whitened, problem.n_samples)
    if known is not None and not problem.prior.identifies_basis:
        return Trained(Point(known[0][0], known[1][0]), np.zeros(0), True, 0.0, False)
    if plan.init is not None:
        return course.stage(_from_components(problem, plan.init), _WIDTH_AT_INIT, np.arange(n))
    if known is not None and problem.average is None:
        points = Point(*known)
        blur = float(problem.blur(Point(points.unmixing[0], points.offset[0])).max())
        width = min(_NOISE_AT_EXTREMES * (blur - np.sqrt(np.max(problem.floor))), _FIRST_WIDTH)
        return course.stage(points, width, np.arange(n))
    seen = min(n, max(_FIRST_ROWS, _FIRST_ROWS_PER_COMPONENT * k))
    seen = n if seen * 2 > n else seen
    starts = _rotations(problem, plan.n_starts, rng)
    order = rng.permutation(n)
    trained = course.stage(starts, _FIRST_WIDTH, order[:seen])
    while seen < n and not course.over(trained):
        width = _resolution(problem, seen, float(problem.blur(trained.point).max()))
        seen = n if seen * _GROWTH * 2 > n else seen * _GROWTH
        trained = course.stage(_stack(trained.point), width, order[:seen])
    return trained if seen == n else trained._replace(converged=False)


def _learn(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return the best basis together with the densities of its codes.

    Too few samples have no densities to learn: codes are taken for Gaussian, along the principal axes.
    """
    k = problem.whitened.shape[1]
    if problem.n_samples < _SAMPLES_PER_DENSITY * k:
        return Trained(Point(np.eye(k), np.zeros(k)), np.zeros(0), True, 0.0, False)
    signals = Signals(problem.whitened, problem.weights, problem.n_samples)
    began = time.perf_counter()

    def tell(iteration: int, loss: float) -> Any:
        elapsed = time.perf_counter() - began
        return plan.callback and plan.callback(Progress(iteration, loss + problem.constant, elapsed))

    start = None if plan.init is None else Point(np.linalg.inv(plan.init).T, np.zeros(len(plan.init)))
    learned = learn(signals, start, rng, max_iter=plan.max_iter, tell=tell)
    return Trained(
        learned.point,
        learned.curve + problem.constant,
        learned.converged,
        learned.decrement,
        learned.stopped,
        prior=problem.prior.learned(learned.densities),
    )


def _unmix(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return the smallest simplex, the blur of its faces held while it moves and set anew afterwards."""
    n, k = problem.whitened.shape
    floor = np.full(k, np.max(problem.floor))
    course = _Course(replace(problem, noise=np.zeros((k, k)), floor=floor), plan)
    if plan.init is None:
        starts = start.regular_simplices(k, plan.n_starts, rng)
    else:
        starts = _stack(Point(np.linalg.inv(plan.init).T, np.zeros(k)))
    spread = float(np.sqrt((k - 1) / (k * k * (k + 1))))
    seen = min(n, max(_FIRST_ROWS, _FIRST_ROWS_PER_COMPONENT * k))
    rows, width = rng.permutation(n)[:seen], _FIRST_WIDTHS_OF_SIMPLEX * spread
    trained = course.stage(starts, width, rows)
    for _ in range(_REBLURRINGS):
        if course.over(trained):
            break
        blurred = trained.point.noise_variances(problem.noise) + problem.floor
        settled = np.allclose(blurred, course.floor, rtol=_BLUR_SETTLED) and len(rows) == n
        if settled:
            break
        rows = np.arange(n)
        trained = course.with_floor(blurred).stage(_stack(trained.point), 0.0, rows)
    return trained._replace(floor=problem.floor)


class _Course:
    """The stages of one fit: what they share is the count of iterations, the clock and the callback."""

    def __init__(self, problem: Problem, plan: Plan) -> None:
        self._problem, self._plan = problem, plan
        self._began = time.perf_counter()
        self._curve = np.zeros(0)
        self._rival = np.inf
        self._most = plan.max_iter

    def over(self, trained: Trained) -> bool:
        """Return whether there must be no further stage."""
        return trained.stopped or len(self._curve) >= self._plan.max_iter

    @property
    def floor(self) -> Any:
        """Smallest variances of the codes' noise at present."""
        return self._problem.floor

    def with_floor(self, floor: Any) -> _Course:
        """Return the same course with other smallest variances of the codes' noise from here on."""
        self._problem = replace(self._problem, floor=floor)
        return self

    def stage(self, starts: Point, width: float, rows: np.ndarray) -> Trained:
        """Train on some rows, each code on those that matter to it; on all of them if that was wrong."""
        matters = _matters(self._problem, starts, width, rows)
        trained = self._train(starts, width, rows, matters)
        if not self.over(trained) and (_matters_in_the_end(self._problem, trained, rows) & ~matters).any():
            trained = self._train(starts, width, rows, np.ones_like(matters))
        return trained

    def sharpened(self, trained: Trained) -> Trained:
        """Train once more with exact faces where codes lie exactly on them, if that is likelier."""
        if not np.any(self._problem.floor):
            return trained
        point, exact = _onto_faces(self._problem, trained.point)
        if not exact.any():
            return trained
        self._problem = replace(self._problem, floor=np.where(exact, _SHARPEST, self._problem.floor))
        self._most = _ITERATIONS_TO_SHARPEN
        rows = np.arange(len(self._problem.whitened))
        sharper = self.stage(_stack(point), 0.0, rows)._replace(floor=self._problem.floor)
        better = sharper.decrement < _COARSE_TOL and sharper.curve[-1] < trained.curve[-1]
        kept = sharper._replace(converged=trained.converged) if better else trained
        return kept._replace(curve=np.append(sharper.curve[:-1], kept.curve[-1]))

    def _train(self, starts: Point, width: float, rows: np.ndarray, matters: np.ndarray) -> Trained:
        plan = self._plan
        preliminary = len(rows) < len(self._problem.whitened)
        trained = train(
            self._problem.objective(rows, matters),
            starts,
            np.full(len(starts.offset), width),
            tol=max(plan.tol, _COARSE_TOL) if preliminary else plan.tol,
            max_iter=min(plan.max_iter - len(self._curve), self._most),
            callback=self._tell if plan.callback else None,
        )
        self._curve = np.concatenate([self._curve, trained.curve])
        share = self._problem.weights[rows].sum()
        self._rival = min(self._rival, trained.rival * share * self._problem.n_samples)
        return trained._replace(curve=self._curve, rival=self._rival)

    def _tell(self, progress: Progress) -> Any:
        callback = self._plan.callback
        iteration = len(self._curve) + progress.iteration
        elapsed = time.perf_counter() - self._began
        return callback and callback(Progress(iteration, progress.loss, elapsed))


def _rotations(problem: Problem, n_starts: int, rng: np.random.RandomState) -> Point:
    """Return starts, stacked: rotations of the codes, the first of them by Jacobi sweeps.

    Codes that cannot be negative are long-tailed upwards.
    """
    mean, whiten = _whitening(problem)
    white = (problem.whitened - mean) @ whiten.T
    k = white.shape[1]
    points = start.starting_points(k, n_starts, problem.prior.moments, rng)
    if not problem.prior.domain.is_bounded and problem.n_samples >= _SAMPLES_PER_ENTROPY * k:
        size = np.linalg.norm(points.unmixing[0, 0])
        points.unmixing[0] = size * sweep(Signals(white, problem.weights, problem.n_samples), rng)
    if problem.prior.domain.faces and not problem.prior.domain.is_bounded:
        skewness = np.einsum("n,rnj->rj", problem.weights, (white @ points.unmixing.swapaxes(1, 2)) ** 3)
        points.unmixing[:] *= np.where(skewness < 0, -1.0, 1.0)[:, :, None]
    unmixing = points.unmixing @ whiten
    return Point(unmixing, points.offset - unmixing @ mean)


def _whitening(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the coordinates, and what gives them unit covariance."""
    k = problem.whitened.shape[1]
    if problem.average is None:
        return np.zeros(k), np.eye(k)
    centred = problem.whitened - problem.average
    covariance = (centred * problem.weights[:, None]).T @ centred
    values, vectors = np.linalg.eigh(covariance)
    return problem.average, (vectors / np.sqrt(np.maximum(values, _SMALLEST_SPREAD * values[-1]))).T


def _stack(point: Point) -> Point:
    return Point(point.unmixing[None], point.offset[None])


def _from_components(problem: Problem, components: np.ndarray) -> Point:
    centre, variance = problem.prior.moments
    unmixing = np.linalg.inv(components).T
    unmixing *= np.sqrt(variance) / np.linalg.norm(unmixing, axis=1, keepdims=True)
    return _stack(Point(unmixing, np.full(len(components), centre)))


def _resolution(problem: Problem, n_rows: int, blur: float) -> float:
    """Return the distance by which a fit to so many rows may miss the faces."""
    n = n_rows * problem.n_samples / len(problem.whitened)
    k = problem.whitened.shape[1]
    return min(3 * (k + 1) / n + 4 * np.sqrt(blur / n), _FIRST_WIDTH)


def _matters(problem: Problem, starts: Point, width: float, rows: np.ndarray) -> np.ndarray:
    """Return which codes of which rows can come near a face on the way from one start."""
    if len(starts.offset) > 1 or width >= _FIRST_WIDTH:
        return np.ones((len(rows), starts.offset.shape[1]), dtype=bool)
    point = Point(starts.unmixing[0], starts.offset[0])
    margin = 4 * width + _resolution(problem, len(rows), 0.0)
    depth = _REACH_OF_NOISE * problem.blur(point) + margin
    return problem.prior.matters(point.encode(problem.whitened[rows]), depth)


def _matters_in_the_end(problem: Problem, trained: Trained, rows: np.ndarray) -> np.ndarray:
    codes = trained.point.encode(problem.whitened[rows])
    return problem.prior.matters(codes, _REACH_IN_THE_END * problem.blur(trained.point))
