"""Match estimated rows with true ones: one Hungarian assignment for every permutation in the library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Matching", "cosines", "directions", "match_rows"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matching:
    """Which estimated row stands for each true row, and how well.

    Parameters
    ----------
    permutation : ndarray of shape (k,), dtype int
        Index of the estimated row matched with each true row; -1 where no estimated row was left.
    scales : ndarray of shape (k,)
        Factor that multiplies the matched estimate; 0 where there is none.
    cosines : ndarray of shape (k,)
        Cosine of the angle between each true row and its match, with sign; 0 where there is none.
    errors : ndarray of shape (k,)
        Relative L2 error of each true row, ``norm(scale * estimate - true) / norm(true)``; 1 where there is
        no match, and for a true row of zeros, which has no relative error.
    """

    permutation: NDArray[np.intp]
    scales: Array
    cosines: Array
    errors: Array

    def align(self, estimated: Array) -> Array:
        """Return the estimated rows in the order, sign and scale of the true ones, zeros where missing."""
        found = self.permutation >= 0
        aligned = np.zeros((len(found), estimated.shape[1]))
        aligned[found] = self.scales[found, None] * estimated[self.permutation[found]]
        return aligned


def directions(rows: Array) -> tuple[Array, Array]:
    """Split rows into unit vectors and lengths; a row of zeros keeps the direction zero.

    Parameters
    ----------
    rows : ndarray of shape (k, d)
        Any rows; their squares may overflow or underflow.

    Returns
    -------
    units : ndarray of shape (k, d)
        Rows of unit Euclidean norm, or zero.
    lengths : ndarray of shape (k,)
        Euclidean norm of each row.
    """
    peaks = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scaled = _ratio(rows, peaks)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return _ratio(scaled, norms), (peaks * norms)[:, 0]


def cosines(true: Array, estimated: Array) -> Array:
    """Return the cosines between all true and all estimated rows.

    Parameters
    ----------
    true : ndarray of shape (k, d)
        Rows of any scale.
    estimated : ndarray of shape (m, d)
        Rows of any scale.

    Returns
    -------
    ndarray of shape (k, m)
        Cosine of the angle between each pair, with sign; 0 for a row of zeros.
    """
    return directions(true)[0] @ directions(estimated)[0].T


def match_rows(true: Array, estimated: Array, *, rescale: bool = True) -> Matching:
    r"""Match rows one to one so that the sum of their relative errors is least.

    With t a true row and e an estimated one, the cost of the pair is ``norm(a * e - t) / norm(t)``, where a
    is 1, or with `rescale` the best factor, :math:`a = e \cdot t / \|e\|^2`; the cost is then the sine of the
    angle between the two. Costs are computed from residuals, so they are accurate down to rounding.

    Parameters
    ----------
    true : ndarray of shape (k, d)
        Rows to be explained, finite.
    estimated : ndarray of shape (m, d)
        Rows to choose from, finite; m may be larger or smaller than k.
    rescale : bool, default=True
        Whether sign and scale of the estimate are free.

    Returns
    -------
    Matching
        Permutation, scales, cosines and errors, one of each per true row.

    References
    ----------
    H. W. Kuhn. The Hungarian method for the assignment problem. Naval Research Logistics Quarterly 2, 83-97,
    1955.
    """
    units, lengths = directions(true)
    candidates, sizes = directions(estimated)
    angles = units @ candidates.T
    factors = angles if rescale else _ratio(sizes[None, :], lengths[:, None])
    errors = _relative_errors(units, candidates, factors)
    scales = angles * _ratio(lengths[:, None], sizes[None, :]) if rescale else np.ones_like(angles)
    return _assign(errors, scales, angles)


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide, with 0 where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator != 0)


def _relative_errors(units: Array, candidates: Array, factors: Array) -> Array:
    """Return norm(factor * candidate - unit) for every pair; 1 where the true row is zero."""
    errors = np.ones_like(factors)
    for i in np.flatnonzero(units.any(axis=1)):
        errors[i] = np.linalg.norm(factors[i][:, None] * candidates - units[i], axis=1)
    return errors


def _assign(errors: Array, scales: Array, angles: Array) -> Matching:
    """Solve the assignment and pick what belongs to each pair; true rows left over are missing."""
    from scipy.optimize import linear_sum_assignment

    k = len(errors)
    rows, columns = linear_sum_assignment(errors)
    result = Matching(np.full(k, -1, dtype=np.intp), np.zeros(k), np.zeros(k), np.ones(k))
    result.permutation[rows] = columns
    result.scales[rows] = scales[rows, columns]
    result.cosines[rows] = angles[rows, columns]
    result.errors[rows] = errors[rows, columns]
    return result
