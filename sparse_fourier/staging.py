"""Which course a fit takes: soft faces, a simplex, or densities that are learned with the basis."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_fourier.corners import cornered, has_to_move, may_have_corner
from sparse_fourier.course import Course, Plan, Problem, stack
from sparse_fourier.faces import search, sharpened
from sparse_fourier.learning import Outcome, learn
from sparse_fourier.objective import Point
from sparse_fourier.rotations import Signals
from sparse_fourier.simplices import unmix
from sparse_fourier.touching import touching
from sparse_fourier.training import Progress, Trained

_SAMPLES_PER_DENSITY = 5


def optimise(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return the best basis: from known starts on all signals, else by way of subsamples.

    Where the prior knows a start, that is taken, and given components start from themselves. Any
    others start from rotations, on few signals with wide faces; what they find is then carried over
    to more and more signals, of which each code sees those that matter to its density.
    """
    if problem.prior.learns:
        return _learn(problem, plan, rng)
    if problem.prior.domain.surplus:
        return unmix(problem, plan, rng)
    course = Course(problem, plan)
    return _held(problem, plan, course, _free(problem, plan, course, rng))


def held(problem: Problem, plan: Plan, trained: Trained) -> Trained:
    """Return codes that were found in another way after what holds them: exact faces, and a corner at zero.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    trained : Trained
        With its floor that of the problem.
    """
    return _held(problem, plan, Course(problem, plan), trained)


def _held(problem: Problem, plan: Plan, course: Course, trained: Trained) -> Trained:
    trained = trained if course.over(trained) else sharpened(problem, course, trained)
    trained = cornered(problem, course, trained)
    return trained if plan.nonnegative is None else touching(problem, course, trained, plan.nonnegative)


def _free(problem: Problem, plan: Plan, course: Course, rng: np.random.RandomState) -> Trained:
    """Return the best basis with corners anywhere.

    Codes that are to be held at one, because they would be negative, may never come to an end before: half of
    the iterations are kept for that, and go to the search where it is not so.
    """
    kept = may_have_corner(problem) and not problem.prior.domain.is_bounded
    course.within(plan.max_iter - plan.max_iter // 2 if kept else plan.max_iter)
    trained = search(problem, plan, course, rng)._replace(floor=problem.floor)
    course.within(plan.max_iter)
    if not kept or trained.converged or course.over(trained) or has_to_move(problem, trained.point):
        return trained
    rows = np.arange(len(problem.whitened))
    return course.stage(stack(trained.point), 0.0, rows)._replace(floor=problem.floor)


def _learn(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return the best basis together with the densities of its codes.

    Too few samples have no densities to learn: codes are taken for Gaussian, along the principal axes.
    """
    k = problem.whitened.shape[1]
    if problem.n_samples < _SAMPLES_PER_DENSITY * k:
        return Trained(Point(np.eye(k), np.zeros(k)), np.zeros(0), True, 0.0, False)
    signals = Signals(np.asarray(problem.whitened, dtype=float), problem.weights, problem.n_samples)
    course = Course(problem, plan)

    def tell(iteration: int, loss: float) -> Any:
        return course.tell(Progress(iteration, loss + problem.constant, 0.0))

    start = None if plan.init is None else Point(np.linalg.inv(plan.init).T, np.zeros(len(plan.init)))
    return as_trained(problem, learn(signals, start, rng, max_iter=plan.max_iter, tell=tell))


def as_trained(problem: Problem, learned: Outcome) -> Trained:
    """Return densities that were learned from whitened coordinates, with their basis."""
    return Trained(
        learned.point,
        learned.curve + (problem.constant + problem.unit),
        learned.converged,
        learned.decrement,
        learned.stopped,
        prior=problem.prior.learned(learned.densities),
    )
