"""Rows that stray: signals too far from all others to have come from the same codes.

A likelihood of which a small share is something broad, (1 - e) p + e q, gives next to no weight to signals
that are far likelier under q than under p. Here they are told before training, without any prior on the
codes, by a gap that the tail of the other signals does not explain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sparse_fourier.initialization import estimate_rank
from sparse_fourier.reduction import Reduced
from sparse_fourier.signals import Rows, rows_where

_FEWEST_SAMPLES = 50.0
_ROUNDS = 5
_TAIL = 30
_LEVEL = 1e-4
_SMALLEST_GAP = 1.5
_LEAST_SPREAD = 0.05
_SAME, _SAME_LEVERAGE = 1e-9, 1e-6
_NEAR_PER_COMPONENT, _NEAR = 5.0, 10.0
_RESIDUALS_OF_NOISE = 12.0
_ROWS_PER_COMPONENT = 10.0

Reduce = Callable[[Rows, np.ndarray], Reduced]
"""Turns signals and their weights into what they are in their span."""


class Settled(NamedTuple):
    """Signals without those that stray.

    Attributes
    ----------
    data : Reduced
        What is kept, in the coordinates of its span.
    X : array or Signals of shape (n_kept, d)
    weights : array of shape (n_kept,)
    strays : int array
        Places of the others among the rows that were given, ascending.
    """

    data: Reduced
    X: Rows
    weights: np.ndarray
    strays: np.ndarray


def without_strays(X: Rows, weights: np.ndarray, contamination: float, reduce: Reduce) -> Settled:
    """Return signals without those that stray, as long as that takes no more than a share of them.

    Few rows that are far out turn the span towards themselves and hide others, so that what is left is
    looked at again. Where their loss takes components away that are asked for, each of which many of them
    shared, they are no strays but what these components consist of, and all rows are kept.

    Parameters
    ----------
    X : array or Signals of shape (n, d)
    weights : array of shape (n,)
        Positive.
    contamination : float
        The largest share of the weights that may be left out.
    reduce : callable
    """
    left = whole = Settled(reduce(X, weights), X, weights, np.zeros(0, dtype=int))
    for _ in range(_ROUNDS):
        lost = weights.sum() - left.weights.sum()
        beyond = strays(left.data, contamination * weights.sum() - lost)
        if not beyond.any():
            break
        left = fewer(left, ~beyond, reduce)
    return left if left is whole or not _are_components(whole.data, left.data) else whole


def fewer(settled: Settled, kept: np.ndarray, reduce: Reduce) -> Settled:
    """Return signals without some more of their rows.

    Parameters
    ----------
    settled : Settled
    kept : bool array of shape (n_kept,)
        Those of its rows that remain.
    reduce : callable
    """
    rows, weights = rows_where(settled.X, kept), settled.weights[kept]
    places = np.delete(np.arange(len(settled.X) + len(settled.strays)), settled.strays)
    strays = np.union1d(settled.strays, places[~kept])
    return Settled(reduce(rows, weights), rows, weights, strays)


def strays(data: Reduced, most: float) -> np.ndarray:
    """Return which rows lie beyond a gap, in the span or off it; none if they are many.

    Parameters
    ----------
    data : Reduced
        Of complete signals.
    most : float
        The largest sum of their weights.
    """
    found = np.zeros(len(data.squares), dtype=bool)
    if data.n < _FEWEST_SAMPLES or data.gaps or data.whole or most <= 0:
        return found
    if data.farthest > _NEAR_PER_COMPONENT * data.rank + _NEAR:
        inside = np.einsum("ij,ij->i", data.whitened, data.whitened)
        found = found | beyond_gap(np.sqrt(inside), data.weights, most, _alone(data, inside))
    noise = data.residual / data.n
    if data.n_left and data.squares.max() > _RESIDUALS_OF_NOISE * max(noise, data.n_left * data.resolution):
        found = found | beyond_gap(np.sqrt(data.squares), data.weights, most)
    return found if data.weights[found].sum() <= most else np.zeros_like(found)


def _alone(data: Reduced, squares: np.ndarray) -> np.ndarray:
    """Return which rows have a direction of the span to themselves: their leverage is one."""
    return data.weights * (squares + (not data.anchored)) > (1 - _SAME_LEVERAGE) * data.n


def beyond_gap(
    distances: np.ndarray, weights: np.ndarray, most: float, alone: np.ndarray | None = None
) -> np.ndarray:
    """Return which distances lie beyond a gap that the tail of the others does not explain.

    Where the tail of a density falls like a power, logarithms of the j largest distances exceed that of the
    next by an exponential variable of mean s / j [1]_; tails that fall faster end in gaps that are smaller
    still. The spread s is that of the following distances, so that the quotient of the two has an F
    distribution. Distances that occur more than once, as those of repeated rows do, are one, and so are those
    that rounding does not tell apart, unless their rows are known to be others.

    Parameters
    ----------
    distances : array of shape (n,)
        Not negative.
    weights : array of shape (n,)
        Positive.
    most : float
        The largest sum of the weights beyond the gap.
    alone : bool array of shape (n,), optional
        Rows that are repeated nowhere, at whatever distance others are. Whitened, rows that each have a
        direction to themselves are equally far.

    References
    ----------
    .. [1] B. M. Hill, "A simple general approach to inference about the tail of a distribution", Annals of
       Statistics 3(5), 1163-1174, 1975.
    """
    order = np.argsort(-distances, kind="stable")
    logs = np.log(np.maximum(distances[order], np.finfo(float).tiny))
    begins = np.diff(logs, prepend=np.inf) < -_SAME
    first = np.flatnonzero(begins if alone is None else begins | alone[order])
    lost = np.add.reduceat(weights[order], first).cumsum()
    n_tried = int(np.searchsorted(lost, most, side="right"))
    logs = np.pad(logs[first], (0, _TAIL + 1), mode="edge")
    chances = _chances(logs, n_tried)
    if n_tried * chances.min(initial=1.0) >= _LEVEL or not n_tried:
        return np.zeros(len(distances), dtype=bool)
    widest = int(np.argmin(chances))
    return distances > np.exp(0.5 * (logs[widest] + logs[widest + 1]))


def _chances(logs: np.ndarray, n_tried: int) -> np.ndarray:
    """Return how probable the gaps after the first of descending values are, 1 where they are small."""
    tried = np.arange(n_tried)
    gaps = logs[tried] - logs[tried + 1]
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    tails = (sums[tried + 1 + _TAIL] - sums[tried + 1]) / _TAIL - logs[tried + 1 + _TAIL]
    surprises = (tried + 1) * gaps / np.maximum(tails, _LEAST_SPREAD)
    return np.where(gaps > np.log(_SMALLEST_GAP), (1.0 + surprises / _TAIL) ** -_TAIL, 1.0)


def _are_components(whole: Reduced, left: Reduced) -> bool:
    """Return whether rows that were left out make up components that are needed, many to each."""
    d = len(whole.span.mean)
    before, after = estimate_rank(whole.span, d), estimate_rank(left.span, d)
    needed = after < min(before, whole.n_components - whole.surplus)
    return after == 0 or needed and before - after <= (whole.n - left.n) / _ROWS_PER_COMPONENT
