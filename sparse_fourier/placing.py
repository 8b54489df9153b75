"""Size and place of the codes under a prior, where components are known but for their size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_fourier.course import Plan, Problem
from sparse_fourier.objective import Point
from sparse_fourier.staging import optimise
from sparse_fourier.training import Trained


def place(problem: Problem, plan: Plan, rng: np.random.RandomState) -> Trained:
    """Return codes of the size and at the place that are likeliest under the prior.

    With components that stay as they are but for their size, the likelihood of independent codes is a product
    over them, and each is trained alone; codes that are not independent are taken as if they were.

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
    return _joined(problem, [optimise(part, alone, rng) for part in _parts(problem)])


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
    """Return the sizes with which codes have a sum of one, by least squares."""
    k = problem.whitened.shape[1]
    root = np.sqrt(problem.weights)
    sizes = np.linalg.lstsq(problem.whitened * root[:, None], root, rcond=None)[0]
    point = Point(np.diag(sizes), np.zeros(k))
    return Trained(point, np.zeros(0), True, 0.0, False, floor=np.full(k, np.max(problem.floor)))
