"""The course of proportions: the smallest simplex."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier.course import Course, Plan, Problem, Stages, first_of, first_rows, stack
from sparse_fourier.objective import Point
from sparse_fourier.training import Trained

_FIRST_WIDTHS_OF_SIMPLEX = 1.0
_REBLURRINGS = 12
_BLUR_SETTLED = 1e-3


def unmix(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return the smallest simplex, the blur of its faces held while it moves and set anew afterwards."""
    n, k = problem.whitened.shape
    if plan.init is None:
        starts = start.regular_simplices(k, plan.n_starts or problem.prior.n_starts, rng)
    else:
        starts = stack(Point(np.linalg.inv(plan.init).T, np.zeros(k)))
    spread = float(np.sqrt((k - 1) / (k * k * (k + 1))))
    seen = first_rows(problem)
    rows, width = rng.permutation(n)[:seen], _FIRST_WIDTHS_OF_SIMPLEX * spread
    course = Course(held(problem), plan).with_floor(_blurred(problem, first_of(starts)))
    trained = course.stage(starts, width, rows)
    return settle_blur(problem, course, trained, seen_all=seen == n)


def held(problem: Problem) -> Problem:
    """Return the problem with a blur of the faces that does not follow the simplex."""
    k = len(problem.noise)
    return replace(problem, noise=np.zeros((k, k)), floor=np.full(k, np.max(problem.floor)), inflation=None)


def settle_blur(problem: Problem, course: Stages, trained: Trained, *, seen_all: bool) -> Trained:
    """Train on all signals, and set the blur anew, in turns until it stays.

    Parameters
    ----------
    problem : Problem
        With the noise that the blur comes from.
    course : Stages
        Of the problem as it is `held`.
    trained : Trained
    seen_all : bool
        Whether it was trained on all signals.
    """
    rows = np.arange(len(problem.whitened))
    for _ in range(_REBLURRINGS):
        if course.over(trained):
            break
        blurred = _blurred(problem, trained.point)
        if seen_all and np.allclose(blurred, course.floor, rtol=_BLUR_SETTLED):
            break
        seen_all = True
        trained = course.with_floor(blurred).stage(stack(trained.point), 0.0, rows)
    return trained._replace(floor=problem.floor)


def _blurred(problem: Problem, point: Point) -> np.ndarray:
    """Return the variance of each share's noise at a point."""
    return problem.mean_inflation * point.noise_variances(problem.noise) + problem.floor
