"""Rows that stray from a box which all others fill: few signals that would hold its faces far out.

They may lie in the span, and no farther from the middle than a corner, so that no gap among distances tells
them. What tells them is that codes which fill a box come as near to its faces as there are many of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sparse_fourier.contamination import Reduce, Settled, fewer
from sparse_fourier.course import Problem
from sparse_fourier.dependence import reaches_faces
from sparse_fourier.objective import Point
from sparse_fourier.reduction import Reduced
from sparse_fourier.training import Trained

_FEWEST_SAMPLES, _SAMPLES_PER_COMPONENT = 100.0, 25.0
_MOST_ROWS = 1000
_ROUNDS = 8
_SPACINGS = 30
_LEVEL = 1e-4
_NATS_OF_A_STRAY = 12.0
_SAME = 1e-9
_STANDARD_ERRORS, _FAR, _FARTHER = 2.0, 4.0, 0.6
_SQUARE_OF_A_CORNER, _VARIANCE_OF_SQUARES = 3.0, 0.8
_FLATTENED = 1e3
_HOLD = 2
_OUTERMOST, _NEXT, _SHARE_OF_A_TILT = 10, 40, 0.45
_PLACES = [0, _OUTERMOST, _NEXT]

Box = Callable[[Problem, np.ndarray], Point | None]
"""Finds the box that holds signals, given what whitened their coordinates; None where it cannot."""


def within_box(
    settled: Settled,
    most: float,
    problem: Problem,
    reduce: Reduce,
    boxes_in: Callable[[Reduced], Box],
    box_of_all: Callable[[], Trained] | None = None,
) -> Settled:
    """Return signals without those that stray from the box that the others fill.

    Strays tilt the box that holds them, so that the search begins with the box of all signals but the
    outermost; boxes are then found, and rows judged, in turn. Where some stray, more are looked for from
    the box of all but the rows at its faces. If what is left in the end does not fill its box up to the
    faces, the outermost rows are the tail of a density, and all are kept.

    Parameters
    ----------
    settled : Settled
    most : float
        The largest sum of the weights of rows that may be left out.
    problem : Problem
        Of these signals.
    reduce : callable
    boxes_in : callable
        Returns how boxes are found in the coordinates of reduced signals.
    box_of_all : callable, optional
        The box that training ends at with all rows, asked for where none is far out and none has been left
        out before: the search is then spared unless one of its faces stands off.
    """
    if most <= 0 or not _are_enough(problem):
        return settled
    alone = not len(settled.strays)
    if alone and _is_tight(problem) and not (box_of_all and _stands_off(box_of_all(), problem)):
        return settled
    search = _Search(problem, settled.weights, most, boxes_in(settled.data))
    beyond = search.rows()
    if not beyond.any():
        return settled
    left = fewer(settled, ~beyond, reduce)
    fills = _fills_a_box(left.data.problem(problem.prior), boxes_in(left.data))
    return left if fills else settled


class _Search(NamedTuple):
    """For rows of these weights that lie outside of the box of all others."""

    problem: Problem
    weights: np.ndarray
    most: float
    box_of: Box

    def rows(self) -> np.ndarray:
        """Return those that are worth their loss."""
        first = self.followed(_outermost(self.problem, self.weights, self.most))
        if not first.any():
            return first
        nothing = np.zeros_like(first)
        if not self._are_worth_it(first, nothing):
            return nothing
        more = first | self.followed(first | self.at_faces(first))
        allowed = (more != first).any() and self.weights[more].sum() <= self.most
        return more if allowed and self._are_worth_it(more, first) else first

    def followed(self, beyond: np.ndarray) -> np.ndarray:
        """Return which rows lie outside, found in turn from a first guess; none if that does not settle."""
        before, nothing = np.zeros_like(beyond), np.zeros_like(beyond)
        for _ in range(_ROUNDS):
            if not beyond.any() or (beyond == before).all():
                return beyond
            box = _box(self.problem, _some(~beyond), self.box_of)
            if box is None:
                return nothing
            codes = box.encode(self.problem.whitened)
            before, beyond = beyond, outside(codes, self.weights, self.most)
        return beyond if (beyond == before).all() else nothing

    def at_faces(self, beyond: np.ndarray) -> np.ndarray:
        """Return which of the other rows come nearest to the faces of their box, and so may hold them."""
        found, box = np.zeros_like(beyond), _box(self.problem, _some(~beyond), self.box_of)
        if box is not None:
            rows = np.flatnonzero(~beyond)
            order = np.argsort(box.encode(self.problem.whitened[rows]), axis=0)
            found[rows[np.concatenate([order[:_HOLD], order[-_HOLD:]])]] = True
        return found

    def _are_worth_it(self, beyond: np.ndarray, before: np.ndarray) -> bool:
        """Return whether all others are likelier without these rows by more than what is broad costs these.

        That is the comparison of likelihoods of which a small share is broad, and of which it is nothing.
        Some of these rows may have been left out before.
        """
        rows, more = _some(~beyond), beyond & ~before
        sets = (rows, np.append(rows, np.flatnonzero(more)))
        boxes = [_box(self.problem, own, self.box_of) for own in sets]
        volumes = [np.inf if box is None else -np.linalg.slogdet(box.unmixing)[1] for box in boxes]
        price = _NATS_OF_A_STRAY * self.problem.weights[more].sum()
        return bool(volumes[1] - volumes[0] > price)


def _are_enough(problem: Problem) -> bool:
    return problem.n_samples >= max(_FEWEST_SAMPLES, _SAMPLES_PER_COMPONENT * problem.whitened.shape[1])


def _is_tight(problem: Problem) -> bool:
    """Return whether no signal is farther out than those in a box that all fill evenly, with their noise."""
    k, noise = problem.whitened.shape[1], np.diagonal(problem.noise)
    farthest = problem.radius**2
    reach = np.sqrt(_SQUARE_OF_A_CORNER * np.maximum(1 - noise, 0)) + _STANDARD_ERRORS * np.sqrt(noise)
    corner = float(reach @ reach)
    most_deviations = max(_FAR, _FARTHER + np.sqrt(2 * np.log(problem.n_samples)))
    usual = k + most_deviations * np.sqrt(_VARIANCE_OF_SQUARES * k)
    return bool(farthest <= min(usual, corner))


def _stands_off(trained: Trained, problem: Problem) -> bool:
    """Return whether a face that noise leaves sharp is held away from the codes, or tilted, by few of them.

    Of the distance from the outermost code to the forty-first, that to the eleventh is a quarter where codes
    are even up to the face, and half where a face turns about one end, so that codes thin out before it.
    """
    point, k = trained.point, problem.whitened.shape[1]
    noise = np.sqrt(point.noise_variances(problem.noise))
    sharp = np.flatnonzero(np.broadcast_to(noise, (k,)) * problem.n_samples < _OUTERMOST)
    if trained.stopped or len(problem.whitened) <= _NEXT or not len(sharp):
        return False
    codes = Point(point.unmixing[sharp], point.offset[sharp]).encode(problem.whitened).T
    depths = np.concatenate([codes, -codes])
    first, eleventh, last = np.partition(depths, _PLACES, axis=1)[:, _PLACES].T
    return bool((eleventh - first > _SHARE_OF_A_TILT * (last - first)).any())


def _outermost(problem: Problem, weights: np.ndarray, most: float) -> np.ndarray:
    """Return the rows farthest from the middle, as many as may be left out."""
    distances = np.einsum("ij,ij->i", problem.whitened, problem.whitened)
    order = _order_of_largest(distances, int(min(most / weights.min(), len(weights))) + 1)
    found = np.zeros(len(distances), dtype=bool)
    found[order[np.cumsum(weights[order]) <= most]] = True
    return found


def _some(kept: np.ndarray) -> np.ndarray:
    """Return few enough of the rows that are kept for a quick search."""
    rows = np.flatnonzero(kept)
    return rows if len(rows) <= _MOST_ROWS else np.random.RandomState(0).permutation(rows)[:_MOST_ROWS]


def _box(problem: Problem, rows: np.ndarray, box_of: Box) -> Point | None:
    """Return the box of some rows, as a map of the coordinates of all; none if they leave a direction out."""
    own, mean, whitening = problem.among(rows)
    if np.linalg.norm(whitening, 2) > _FLATTENED:
        return None
    found = box_of(own, whitening)
    if found is None:
        return None
    unmixing = found.unmixing @ whitening
    return Point(unmixing, found.offset - unmixing @ mean)


def outside(codes: np.ndarray, weights: np.ndarray, most: float) -> np.ndarray:
    """Return which codes lie beyond a gap before a face that the spacings of the next ones do not explain.

    Near a face of positive density the distances between one code and the next are exponential variables of
    one mean, that of the next thirty, so that the quotient of the two has an F distribution; where
    the density falls towards the face, gaps are wider, and `within_box` asks what is left.

    Parameters
    ----------
    codes : array of shape (n, k)
    weights : array of shape (n,)
        Positive.
    most : float
        The largest sum of the weights of rows beyond gaps.

    Returns
    -------
    bool array of shape (n,)
        None where they would be more.
    """
    ends = [side * code for code in codes.T for side in (1.0, -1.0)]
    found = np.any([_beyond_spacings(end, weights, most, _LEVEL / len(ends)) for end in ends], axis=0)
    return found if weights[found].sum() <= most else np.zeros_like(found)


def _beyond_spacings(values: np.ndarray, weights: np.ndarray, most: float, level: float) -> np.ndarray:
    """Return which values lie above a gap."""
    order = _order_of_largest(values, int(min(most / weights.min(), len(values))) + 2 * _SPACINGS)
    falling = values[order]
    first = np.flatnonzero(np.diff(falling, prepend=np.inf) < -_SAME * np.ptp(values))
    lost = np.add.reduceat(weights[order], first).cumsum()
    levels = falling[first]
    n_tried = min(int(np.searchsorted(lost, most, side="right")), len(levels) - _SPACINGS - 1)
    if n_tried <= 0:
        return np.zeros(len(values), dtype=bool)
    tried = np.arange(n_tried)
    gaps = levels[tried] - levels[tried + 1]
    means = (levels[tried + 1] - levels[tried + 1 + _SPACINGS]) / _SPACINGS
    chances = (1.0 + gaps / means / _SPACINGS) ** -_SPACINGS
    beyond = np.flatnonzero(n_tried * chances < level)
    last = beyond[-1] if len(beyond) else -1
    return values > 0.5 * (levels[last] + levels[last + 1]) if len(beyond) else np.zeros(len(values), bool)


def _order_of_largest(values: np.ndarray, n: int) -> np.ndarray:
    """Return the places of the n largest values, descending."""
    places = np.arange(len(values)) if n >= len(values) else np.argpartition(values, -n)[-n:]
    return places[np.argsort(-values[places], kind="stable")]


def _fills_a_box(problem: Problem, box_of: Box) -> bool:
    """Return whether the codes of signals fill their box up to its faces."""
    box = _box(problem, _some(problem.weights > 0), box_of)
    return box is not None and reaches_faces(box.encode(problem.whitened), problem.weights, problem.n_samples)
