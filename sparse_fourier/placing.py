"""Size and place of the codes under a prior, where components are known but for their size."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.linalg import eigh

from sparse_fourier.corners import may_have_corner
from sparse_fourier.course import Plan, Problem
from sparse_fourier.faces import are_crowded, are_exact
from sparse_fourier.objective import Point
from sparse_fourier.reduction import Reduced
from sparse_fourier.sizing import Sized, sized
from sparse_fourier.staging import held, optimise
from sparse_fourier.training import Progress, Trained

_SEARCH = Plan(1, 1e-6, 150, None, None)
_MOST_DEPENDENT = 1e6
_ON_ZERO = 1e-12


def place(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return codes of the size and at the place that are likeliest under the prior.

    With components that stay as they are but for their size, the likelihood of independent codes is a product
    over them, and each is trained alone; codes that are not independent are taken as if they were. Under
    most priors each has one optimum, which Newton steps reach for all side by side.

    Parameters
    ----------
    problem : Problem
        Signals in the coordinates of the components, each of unit variance.
    plan : Plan
    rng : RandomState
    """
    if problem.prior.domain.surplus:
        return _of_sum_one(problem)
    alone = replace(plan, n_starts=1, init=None)
    if not problem.prior.identifies_basis:
        return optimise(problem, alone, rng)
    if not problem.prior.is_log_concave:
        return _joined(problem, [optimise(part, alone, rng) for part in _parts(problem)])
    return _side_by_side(problem, alone, rng)


def _side_by_side(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return the codes of priors whose log-density is concave; some are then held at faces."""
    began, found = time.perf_counter(), sized(problem, plan.tol, plan.max_iter)
    curve = found.curve.sum(axis=1) + (problem.constant + problem.unit)
    progress = Progress(len(curve), float(curve[-1]), time.perf_counter() - began)
    stopped = bool(plan.callback and plan.callback(progress))
    if stopped or not (~found.converged | _may_be_held(problem, found)).any():
        point, floor = (
            Point(np.diag(found.size), found.offset),
            np.broadcast_to(problem.floor, found.size.shape),
        )
        ended = bool(found.converged.all()), float(found.decrement.max()), stopped
        return Trained(point, curve, *ended, floor=floor)
    return _joined(problem, [_held(part, plan, rng, found, j) for j, part in enumerate(_parts(problem))])


def _may_be_held(problem: Problem, found: Sized) -> np.ndarray:
    """Return which codes may have to be at zero where the signal is, or lie on the faces exactly."""
    if may_have_corner(problem) or not problem.prior.domain.faces:
        return np.full(len(found.size), may_have_corner(problem))
    point = Point(np.diag(found.size), found.offset)
    codes = problem.whitened * found.size + found.offset
    return are_exact(problem, point) & are_crowded(problem, codes, problem.blur(point))


def _held(part: Problem, plan: Plan, rng: np.random.RandomState, found: Sized, j: int) -> Trained:
    """Return one of the codes after what may hold it; where it was not found, after a search of its own."""
    if not found.converged[j]:
        return optimise(part, plan, rng)
    point = Point(found.size[j].reshape(1, 1), found.offset[j : j + 1])
    curve = found.curve[:, j] + (part.constant + part.unit)
    trained = Trained(point, curve, True, float(found.decrement[j]), False, floor=part.floor)
    after = held(part, plan, trained)
    return after._replace(curve=np.append(curve[:-1], after.curve))


def box_along(components: np.ndarray, data: Reduced) -> Callable[[Problem, np.ndarray], Point | None]:
    """Return how the smallest box whose edges are given components is found.

    Parameters
    ----------
    components : array of shape (rank, d)
    data : Reduced
        Signals of which the box of some is asked for.

    Returns
    -------
    callable
        Of a problem and the matrix that whitened its coordinates anew; None where components depend.
    """
    axes = data.axes
    mixing = components @ np.linalg.pinv(axes)

    def box_of(problem: Problem, whitening: np.ndarray) -> Point | None:
        if np.linalg.cond(mixing) > _MOST_DEPENDENT:
            return None
        unmixing = np.linalg.inv(mixing @ whitening).T
        unmixing /= np.linalg.norm(unmixing, axis=1, keepdims=True)
        own = replace(
            problem, whitened=problem.whitened @ unmixing.T, noise=unmixing @ problem.noise @ unmixing.T
        )
        size, offset = place(own, _SEARCH, np.random.RandomState(0)).point
        return Point(size @ unmixing, offset)

    return box_of


def _parts(problem: Problem) -> list[Problem]:
    """Return the problem of each code; their constants add up to that of the whole."""
    k = problem.whitened.shape[1]
    average = [None if problem.average is None else problem.average[j : j + 1] for j in range(k)]
    return [
        replace(
            problem,
            whitened=problem.whitened[:, j : j + 1],
            noise=problem.noise[j : j + 1, j : j + 1],
            constant=problem.constant / k,
            unit=problem.unit / k,
            average=average[j],
        )
        for j in range(k)
    ]


def _joined(problem: Problem, parts: list[Trained]) -> Trained:
    """Return the outcome for all codes from that for each."""
    priors = [part.prior for part in parts]
    return Trained(
        Point(
            np.diag([part.point.unmixing[0, 0] for part in parts]), np.ravel([p.point.offset for p in parts])
        ),
        _sum_of_curves([part.curve for part in parts]),
        all(part.converged for part in parts),
        max(part.decrement for part in parts),
        any(part.stopped for part in parts),
        prior=None if None in priors else problem.prior.joined(priors),
        floor=np.ravel([np.broadcast_to(part.floor, 1) for part in parts]),
        rooted=all(part.rooted for part in parts),
    )


def _sum_of_curves(curves: list[np.ndarray]) -> np.ndarray:
    """Return the sum of curves, each of which stays where it ends; nothing where one is empty."""
    if not all(len(curve) for curve in curves):
        return np.zeros(0)
    longest = max(map(len, curves))
    return np.sum([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves], axis=0)


def _of_sum_one(problem: Problem) -> Trained:
    """Return the sizes with which components end on the plane that is closest to the signals.

    Closest in the metric of the noise, by total least squares: it runs through the mean of the signals,
    across the direction that varies least.

    Raises
    ------
    ValueError
        If it runs through zero, which no plane of proportions of independent components does.
    """
    k = problem.whitened.shape[1]
    mean = problem.weights @ problem.whitened
    around = (problem.whitened - mean) * np.sqrt(problem.weights)[:, None]
    noise = problem.noise / np.trace(problem.noise)
    normal = eigh(around.T @ around, noise, subset_by_index=[0, 0])[1][:, 0]
    height = normal @ mean
    if abs(height) <= _ON_ZERO * np.linalg.norm(normal):
        raise ValueError(
            "Proportions of these components lie on a plane that does not hold zero, but that of the signals "
            "does. Pass signals that are not centred, or use another prior."
        )
    point = Point(np.diag(normal / height), np.zeros(k))
    return Trained(point, np.zeros(0), True, 0.0, False, floor=np.full(k, np.max(problem.floor)))
