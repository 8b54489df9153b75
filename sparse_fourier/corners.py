"""A corner of the support where the signal is zero: boxes and cones of signals without an intercept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import gammaincinv

from sparse_fourier.course import FIRST_WIDTH, Problem, Stages, resolution, stack
from sparse_fourier.namespace import Array, array_namespace
from sparse_fourier.objective import Point
from sparse_fourier.training import Trained

_CONFIDENCE = 0.8
REACH = 1.5
"""How many times the precision of a fit a corner may be from zero to be tried there."""

_CLOSE = 5.0  # standard deviations of a code's noise
_FIRST_STEPS, _MOST_STEPS = 2, 200
_HOPELESS = 50.0


def cornered(problem: Problem, course: Stages, trained: Trained) -> Trained:
    """Return the basis with a corner of the support at the signal that is zero, if there is no intercept.

    Where a corner is known, its faces are held by fewer samples and tilt less. Codes of signals without an
    intercept need not fill the support up to its faces, though, as signals that were centred do not: the
    corner is held if the likelihood then falls no more than it does in 95 of a hundred cases in which it is
    there. If what is missing at each face were independent, it would be a sum of k exponential variables,
    of which that is the 0.8 quantile in simulations (k = 2 to 8, n = 300 to 2000); under noise it is half of
    a chi-squared one, of which 0.95 are as much.

    A cone whose apex is farther away than codes are large would have negative codes: it is moved in any case,
    if there is one that begins at zero.

    Parameters
    ----------
    problem : Problem
    course : Stages
    trained : Trained
        With the corner anywhere.
    """
    if not may_have_corner(problem) or course.over(trained):
        return trained
    has_to = has_to_move(problem, trained.point)
    exact = trained.floor is not problem.floor  # codes on faces, which determine them already
    if exact and not has_to:
        return trained
    start, distance = _moved(problem, trained.point)
    n, blur = len(problem.whitened), float(problem.blur(trained.point).max())
    if not has_to and distance > REACH * resolution(problem, n, blur):
        return trained
    course, limit = course.on(replace(problem, rooted=True)), gammaincinv(len(start.offset), _CONFIDENCE)

    def lost(found: Trained) -> float:
        return -np.inf if has_to else problem.n_samples * (found.curve[-1] - trained.curve[-1])

    follow = problem.prior.piles_up_at_faces
    width = FIRST_WIDTH * has_to or min(distance, FIRST_WIDTH) * (follow and distance > _CLOSE * blur)
    few = _FIRST_STEPS if follow and not width else None
    found = course.stage(stack(start), width, np.arange(n), few or _MOST_STEPS)
    left = 0.25 * problem.n_samples * found.decrement  # half of what the last step promised
    if few and not (found.converged or course.over(found)) and lost(found) - left < _HOPELESS * limit:
        found = course.stage(stack(found.point), 0.0, np.arange(n), _MOST_STEPS)
    if not (lost(found) < limit and (found.converged or found.stopped)):
        return trained._replace(curve=np.append(found.curve[:-1], trained.curve[-1]), stopped=found.stopped)
    point = Point(opened(found.point.unmixing, problem, course), found.point.offset)
    both = (trained.converged or has_to) and found.converged
    return found._replace(point=point, converged=both, floor=problem.floor, rooted=True)


def may_have_corner(problem: Problem) -> bool:
    """Return whether signals have no intercept, and the support of their codes has a corner at zero."""
    return problem.average is not None and problem.prior.factorises and 0.0 in problem.prior.domain.faces


def has_to_move(problem: Problem, point: Point) -> bool:
    """Return whether codes would be negative, as the apex is farther from zero than codes are large."""
    far = float(np.abs(point.offset).max()) > problem.prior.moments[0]
    return far and not problem.prior.domain.is_bounded


def _moved(problem: Problem, point: Point) -> tuple[Point, float]:
    """Return codes without an offset, with the corner there that was nearest, and how far that was."""
    prior, (unmixing, codes) = problem.prior, point
    downwards, distance = np.zeros(len(codes), dtype=bool), np.abs(codes).max()
    if prior.reflection is not None:
        downwards = codes > 0.5 * prior.reflection
        distance = np.abs(codes - prior.reflection * downwards).max()
    elif has_to_move(problem, point):
        downwards = unmixing @ problem.average < 0
    return Point(np.where(downwards[:, None], -1.0, 1.0) * unmixing, np.zeros(len(codes))), float(distance)


def opened(unmixing: np.ndarray, problem: Problem, course: Stages) -> np.ndarray:
    """Return an unmixing with faces turned outwards by what extremes fall short of them.

    Where there is no noise, that is at least so far that no signal is left outside.
    """
    k, prior = len(unmixing), problem.prior
    exact = ((unmixing @ problem.noise) * unmixing).sum(axis=1) < problem.floor
    needed = np.where(exact, course.of_all(_needed, unmixing), 0.0)
    tilts = np.maximum(prior.tilt(problem.n_samples), needed)[:, None] * (np.ones((k, k)) - np.eye(k))
    opened = unmixing + tilts @ unmixing
    if prior.domain.is_bounded:
        farthest = course.of_all(_farthest, opened) / (1 + prior.shortfall(k - 1, problem.n_samples))
        opened /= np.where(exact, np.maximum(farthest, 1.0), 1.0)[:, None]
    return opened


def _needed(whitened: Array, share: Array, unmixing: Array) -> Array:
    """Return by what share of the other codes each has to grow so that none is negative."""
    xp = array_namespace(whitened)
    codes = whitened @ unmixing.T
    others = codes.sum(axis=1, keepdims=True) - codes
    outside = (codes < 0) & (others > 0) & (share > 0)[:, None]
    return xp.where(outside, -codes / xp.where(outside, others, 1.0), 0.0).max(axis=0)


def _farthest(whitened: Array, share: Array, unmixing: Array) -> Array:
    """Return the largest value of each code, or zero."""
    codes = whitened @ unmixing.T
    return array_namespace(whitened).where((share > 0)[:, None], codes, 0.0).max(axis=0)
