"""Components that touch zero, where non-negative ones come as near to it as codes can tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincinv

from sparse_fourier.corners import REACH, opened
from sparse_fourier.course import Problem, Stages, resolution, stack
from sparse_fourier.objective import Point
from sparse_fourier.training import Trained

_CONFIDENCE = 0.95
_SEEN = 1e-3
_INDEPENDENT = 0.1
_ROUNDS = 2
_MOST_STEPS = 50
_TRIALS = 3


@dataclass(frozen=True)
class _Contacts:
    """Where components touch zero.

    Attributes
    ----------
    features : list of lists of int
        For each component.
    shifts : array of shape (k, k)
        What of the others each component has to lose to be zero there.
    """

    features: list[list[int]]
    shifts: np.ndarray

    @property
    def count(self) -> int:
        """Their number."""
        return sum(map(len, self.features))

    def without_farthest(self) -> _Contacts:
        """Return the same without those of the component that has to lose most."""
        j = int(np.argmax(np.abs(self.shifts).max(axis=1)))
        features = [[] if i == j else own for i, own in enumerate(self.features)]
        return _Contacts(features, np.where(np.arange(len(features)) == j, 0.0, self.shifts.T).T)


def touching(problem: Problem, course: Stages, trained: Trained, axes: np.ndarray) -> Trained:
    """Return the basis with components that touch zero where they come near it, if that is as likely.

    A component that is zero where others are not can hold no part of those [1]_. Codes place it no better
    than up to about 1/n; where it comes as near to zero as that, it is taken to touch it, unless the
    likelihood falls by more than it does in 95 of a hundred cases in which it does: what single codes hold of
    a face costs an exponential variable. Where there is noise, components are as uncertain as that, and stay.

    Parameters
    ----------
    problem : Problem
    course : Stages
    trained : Trained
    axes : array of shape (k, d)
        Components are inv(unmixing).T @ axes.

    References
    ----------
    .. [1] D. Donoho and V. Stodden, "When does non-negative matrix factorization give a correct decomposition
       into parts?", Advances in Neural Information Processing Systems 16, 1141-1148, 2004.
    """
    if not _may_touch(problem, trained) or course.over(trained):
        return trained
    problem = replace(problem, rooted=trained.rooted)
    reach = REACH * resolution(problem, len(problem.whitened), float(problem.blur(trained.point).max()))
    contacts = _near(trained.point, axes, reach)
    for _ in range(_TRIALS):
        if not contacts.count:
            break
        found = _held(problem, course, trained, axes, contacts)
        lost = problem.n_samples * (found.curve[-1] - trained.curve[-1])
        if lost < gammaincinv(contacts.count, _CONFIDENCE):
            return _opened(problem, course, found, axes, contacts)
        trained = trained._replace(curve=np.append(found.curve[:-1], trained.curve[-1]))
        contacts = contacts.without_farthest()
    return trained


def _may_touch(problem: Problem, trained: Trained) -> bool:
    """Return whether components have the signs that they will have, and faces are held by single codes.

    Codes that lie on faces, and those whose noise can be told, determine components better than that.
    """
    settled = trained.rooted or problem.prior.reflection is None
    if not settled or not problem.prior.factorises or trained.floor is not problem.floor:
        return False
    return bool((trained.point.noise_variances(problem.noise) < problem.floor).all())


def _near(point: Point, axes: np.ndarray, reach: float) -> _Contacts:
    """Return where components come as near to zero as a loss of other components within reach."""
    components = np.linalg.solve(point.unmixing.T, axes)
    found = [_near_of(components, j, reach) for j in range(len(components))]
    return _Contacts([features for features, _ in found], np.array([shift for _, shift in found]))


def _near_of(components: np.ndarray, j: int, reach: float) -> tuple[list[int], np.ndarray]:
    """Return where one component touches zero, nearest first, and what of the others it has to lose."""
    k = len(components)
    others = np.where(np.arange(k)[:, None] == j, 0.0, components)
    sizes = np.linalg.norm(others, axis=0)
    seen = sizes > _SEEN * sizes.max()
    features: list[int] = []
    shift = np.zeros(k)
    while len(features) < k - 1:
        free = others - _onto(others[:, features]) @ others
        own = np.linalg.norm(free, axis=0)
        usable = seen & (own > _INDEPENDENT * sizes)
        depths = np.where(usable, components[j] - shift @ others, np.inf) / np.where(usable, own, 1.0)
        nearest = int(np.argmin(depths))
        if abs(depths[nearest]) > reach:
            break
        features.append(nearest)
        shift = np.linalg.lstsq(others[:, features].T, components[j, features], rcond=None)[0]
    return features, shift


def _onto(vectors: np.ndarray) -> np.ndarray:
    """Return the projection onto the span of columns."""
    return vectors @ np.linalg.pinv(vectors)


def _held(
    problem: Problem, course: Stages, trained: Trained, axes: np.ndarray, contacts: _Contacts
) -> Trained:
    """Return the likeliest codes whose components are zero at their contacts."""
    found, rows = trained, np.arange(len(problem.whitened))
    for _ in range(_ROUNDS):
        point = _landed(found.point, axes, contacts)
        components = np.linalg.solve(point.unmixing.T, axes)
        allowed = _allowed(components, contacts, rooted=problem.rooted)
        found = course.on(replace(problem, allowed=allowed)).stage(stack(point), 0.0, rows, _MOST_STEPS)
    course.on(problem)
    return found._replace(
        point=_landed(found.point, axes, contacts),
        converged=trained.converged and found.converged,
        floor=trained.floor,
        rooted=trained.rooted,
    )


def _landed(point: Point, axes: np.ndarray, contacts: _Contacts) -> Point:
    """Return the nearest codes whose components are zero at their contacts."""
    components = np.linalg.solve(point.unmixing.T, axes)
    k = len(components)
    shifts = np.zeros((k, k))
    for j, features in enumerate(contacts.features):
        if features:
            others = np.where(np.arange(k)[:, None] == j, 0.0, components[:, features])
            shifts[j] = np.linalg.lstsq(others.T, components[j, features], rcond=None)[0]
    turn = np.linalg.inv(np.eye(k) - shifts).T
    return Point(turn @ point.unmixing, turn @ point.offset)


def _allowed(components: np.ndarray, contacts: _Contacts, *, rooted: bool) -> np.ndarray:
    """Return the projection of steps onto those that leave components zero at their contacts.

    A step (S, s) takes the j-th column of S times the components from the j-th of these.
    """
    k = len(components)
    allowed = np.eye(k * (k + 1))
    for j, features in enumerate(contacts.features):
        own = np.arange(k) * (k + 1) + j
        others = np.where(np.arange(k)[:, None] == j, 0.0, components[:, features])
        allowed[np.ix_(own, own)] -= _onto(others)
    if rooted:
        offsets = np.arange(k) * (k + 1) + k
        allowed[offsets, offsets] = 0.0
    return allowed


def _opened(
    problem: Problem, course: Stages, found: Trained, axes: np.ndarray, contacts: _Contacts
) -> Trained:
    """Return the outcome with faces that are not held turned outwards, where a corner is known."""
    if not problem.rooted:
        return found
    point = Point(opened(found.point.unmixing, problem, course), found.point.offset)
    return found._replace(point=_landed(point, axes, contacts))
