"""The course of independent codes: rotations on few signals with soft faces, then more with sharper ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier.course import (
    COARSE_TOL,
    FIRST_WIDTH,
    Course,
    Plan,
    Problem,
    first_of,
    first_rows,
    resolution,
    stack,
)
from sparse_fourier.objective import Point
from sparse_fourier.rotations import Signals, cumulant_rotation, first_rotation
from sparse_fourier.training import Trained

_WIDTH_AT_INIT = 0.05
_GROWTH = 4
_SHARE_OF_BLUR = 0.6
_NOISE_AT_EXTREMES = 4.0
_SAMPLES_PER_ENTROPY = 10
_SMALLEST_SPREAD = 1e-12
_CLOSE = 5.0
_CROWD = 40.5  # that forty do not count as more where rounding says so
_EXACT = 1e-3
_SHARPEST = 1e-16
_TRIMMINGS = 12
_DETERMINED = 1e-6
_ITERATIONS_TO_SHARPEN = 200


def search(problem: Problem, plan: Plan, course: Course, rng: np.random.RandomState) -> Trained:
    """Return the best basis: from known starts on all signals, else by way of subsamples."""
    n = len(problem.whitened)
    known = problem.prior.start(problem.whitened, problem.n_samples)
    if known is not None and not problem.prior.identifies_basis:
        return Trained(Point(known[0][0], known[1][0]), np.zeros(0), True, 0.0, False)
    if plan.init is not None:
        return course.stage(_from_components(problem, plan.init), _WIDTH_AT_INIT, np.arange(n))
    if known is not None:
        points = Point(*known)
        blur = float(problem.blur(first_of(points)).max())
        width = min(_NOISE_AT_EXTREMES * (blur - np.sqrt(np.max(problem.floor))), FIRST_WIDTH)
        return course.stage(points, width, np.arange(n))
    seen = first_rows(problem)
    seen = n if seen * 2 > n else seen
    places = np.random.RandomState(rng.randint(1 << 31)).random_sample(n)  # starts do not depend on n
    rows = np.flatnonzero(places < seen / n)
    starts = _rotations(problem, plan.n_starts or problem.prior.n_starts, rows, rng)
    trained = _from_rotations(problem, plan, course, starts, rows)
    while seen < n and not course.over(trained):
        width = width_for_more(problem, trained.point, seen)
        seen = n if seen * _GROWTH * 2 > n else seen * _GROWTH
        rows = np.flatnonzero(places < seen / n)
        trained = course.stage(stack(trained.point), width, rows)
    return trained if seen == n else trained._replace(converged=False)


def width_for_more(problem: Problem, point: Point, seen: int) -> float:
    """Return how wide faces have to be for more signals than a point has seen, some of which stick out."""
    blur = problem.blur(point)
    width = resolution(problem, seen, float(blur.max()))
    return width if width > _SHARE_OF_BLUR * blur.min() else 0.0


def _from_rotations(problem: Problem, plan: Plan, course: Course, starts: Point, rows: np.ndarray) -> Trained:
    """Return what the best of the starts comes to: the first, where its codes exclude a better one."""
    if plan.n_starts is not None or len(starts.offset) == 1:
        return course.stage(starts, FIRST_WIDTH, rows)
    one, others = (Point(starts.unmixing[part], starts.offset[part]) for part in (slice(1), slice(1, None)))
    first = course.stage(one, FIRST_WIDTH, rows)
    share = problem.weights[rows]
    n_samples, codes = problem.n_samples * share.sum(), first.point.encode(problem.whitened[rows])
    if course.over(first) or problem.prior.excludes_rivals(codes, share / share.sum(), n_samples):
        return first
    return course.better(first, course.stage(others, FIRST_WIDTH, rows), rows)


def _rotations(problem: Problem, n_starts: int, rows: np.ndarray, rng: np.random.RandomState) -> Point:
    """Return starts, stacked: rotations of the codes, the first of them towards independence in some rows.

    They are those of coordinates with the long tail upwards, whose signs a rotation of the features would
    leave to chance. Codes that cannot be negative are long-tailed upwards too.
    """
    mean, whiten = _whitening(problem)
    white, share = (problem.whitened[rows] - mean) @ whiten.T, problem.weights[rows]
    n_samples, share = problem.n_samples * share.sum(), share / share.sum()
    k = white.shape[1]
    points = start.starting_points(k, n_starts, problem.prior.moments, rng)
    points.unmixing[:] *= _signs(share @ (white * white * white))
    if n_samples >= _SAMPLES_PER_ENTROPY * k:
        size = np.linalg.norm(points.unmixing[0, 0])
        signals = Signals(white, share, n_samples)
        skewed = bool(problem.prior.domain.faces)
        points.unmixing[0] = size * (cumulant_rotation(signals) if skewed else first_rotation(signals, rng))
    if problem.prior.domain.faces and not problem.prior.domain.is_bounded:
        codes = white @ points.unmixing.swapaxes(1, 2)
        skewness = share @ (codes * codes * codes)
        points.unmixing[:] *= _signs(skewness)[:, :, None]
    unmixing = points.unmixing @ whiten
    return Point(unmixing, points.offset - unmixing @ mean)


def _signs(skewness: np.ndarray) -> np.ndarray:
    return np.where(skewness < 0, -1.0, 1.0)


def _whitening(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the coordinates, and what gives them unit covariance."""
    k = problem.whitened.shape[1]
    if problem.average is None:
        return np.zeros(k), np.eye(k)
    centred = problem.whitened - problem.average
    covariance = (centred * problem.weights[:, None]).T @ centred
    values, vectors = np.linalg.eigh(covariance)
    return problem.average, (vectors / np.sqrt(np.maximum(values, _SMALLEST_SPREAD * values[-1]))).T


def _from_components(problem: Problem, components: np.ndarray) -> Point:
    """Return the codes of given components, with the mean and the variance that the prior expects."""
    centre, variance = problem.prior.moments
    mean, whiten = _whitening(problem)
    unmixing = np.linalg.inv(components).T
    deviations = np.linalg.norm(unmixing @ np.linalg.inv(whiten), axis=1, keepdims=True)
    unmixing *= np.sqrt(variance) / deviations
    return stack(Point(unmixing, centre - unmixing @ mean))


def sharpened(problem: Problem, course: Course, trained: Trained) -> Trained:
    """Train once more with exact faces where codes lie exactly on them, if that is likelier."""
    if not np.any(problem.floor):
        return trained
    point, exact = _onto_faces(problem, trained.point)
    if not exact.any():
        return trained
    floor = np.where(exact, _SHARPEST, problem.floor)
    rows = np.arange(len(problem.whitened))
    sharper = course.with_floor(floor).stage(stack(point), 0.0, rows, _ITERATIONS_TO_SHARPEN)
    better = sharper.decrement < COARSE_TOL and sharper.curve[-1] < trained.curve[-1]
    kept = sharper._replace(converged=trained.converged, floor=floor) if better else trained
    return kept._replace(curve=np.append(sharper.curve[:-1], kept.curve[-1]))


def _onto_faces(problem: Problem, point: Point) -> tuple[Point, np.ndarray]:
    """Return the point with faces laid through the codes that lie exactly on them, and which codes do.

    A face that a density without atoms leaves is close to few samples, whose codes are scattered; where many
    lie in one hyperplane they determine it up to rounding.
    """
    blur, exact = problem.blur(point), are_exact(problem, point)
    found = [_row_onto_faces(problem, point, j, blur[j]) if sure else None for j, sure in enumerate(exact)]
    rows = [row if row is not None else np.append(u, o) for row, u, o in zip(found, *point, strict=True)]
    exact = np.array([row is not None for row in found])
    return Point(np.array(rows)[:, :-1], np.array(rows)[:, -1]), exact


def are_exact(problem: Problem, point: Point) -> np.ndarray:
    """Return which codes have next to no noise beside what blurs faces at least, of shape (k,)."""
    return point.noise_variances(problem.noise) <= (_EXACT * problem.blur(point)) ** 2


def are_crowded(problem: Problem, codes: np.ndarray, blur: Any) -> np.ndarray:
    """Return which codes, of shape (n, k), have many rows near each face of the support, of shape (k,)."""
    return _hold_many(problem, _near_faces(problem, codes, blur))


def _near_faces(problem: Problem, codes: np.ndarray, blur: Any) -> list[np.ndarray]:
    """Return for each face of the support which codes are near it."""
    return [np.abs(codes - face) < _CLOSE * blur for face in problem.prior.domain.faces]


def _hold_many(problem: Problem, near: list[np.ndarray]) -> np.ndarray:
    return np.all([problem.weights @ rows * problem.n_samples > _CROWD for rows in near], axis=0)


def _row_onto_faces(problem: Problem, point: Point, j: int, blur: float) -> np.ndarray | None:
    """Return unmixing and offset of a code all of whose faces hold many codes exactly, or None."""
    faces = problem.prior.domain.faces
    codes = problem.whitened @ point.unmixing[j] + point.offset[j]
    near = _near_faces(problem, codes, blur)
    if not faces or not _hold_many(problem, near):
        return None
    rows = np.concatenate([np.flatnonzero(part) for part in near])
    missing = np.repeat(faces, [np.count_nonzero(part) for part in near]) - codes[rows]
    design = np.concatenate([problem.whitened[rows], np.ones((len(rows), 1))], axis=1)
    change = _robust_least_squares(design, missing)
    exact = np.abs(design @ change - missing) < _EXACT * blur
    if exact.mean() <= 0.5:
        return None
    share = float(problem.weights[rows] @ exact) / len(faces)
    return _inside(np.append(point.unmixing[j], point.offset[j]) + change, share, len(faces))


def _inside(row: np.ndarray, share: float, n_faces: int) -> np.ndarray:
    """Return unmixing and offset of a code, those on faces as far inside as is likeliest, within their blur.

    By a step of one standard deviation s inwards, x of them from the face, the share p of codes that lie on
    it gains p exp(-x²/2) / sqrt(2 pi), and the others lose about s.
    """
    likeliest = np.sqrt(2 * np.log(share / np.sqrt(2 * np.pi * _SHARPEST)))
    depth = likeliest * np.sqrt(_SHARPEST)
    inside = row * (1 - 2 * depth * (n_faces - 1))
    inside[-1] += depth
    return inside


def _robust_least_squares(design: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the smallest solution for rows that agree; those with large residuals are left out.

    The first guess moves the offset alone, by which rows that lie on a face agree already: a solution for
    all rows could be the one that makes every code zero.
    """
    left = np.abs(_middle(targets) - targets)
    solution, before = np.zeros(design.shape[1]), np.zeros(len(targets), dtype=bool)
    for _ in range(_TRIMMINGS):
        kept = left <= 3 * _middle(left) + np.finfo(float).eps
        if (kept == before).all():
            break
        solution = np.linalg.lstsq(design[kept], targets[kept], rcond=_DETERMINED)[0]
        left, before = np.abs(design @ solution - targets), kept
    return solution


def _middle(values: np.ndarray) -> float:
    """Return the median, the upper one of two."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])
