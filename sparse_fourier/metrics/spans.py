"""Spans, and bases within them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sparse_fourier.exceptions import invalid
from sparse_fourier.matching import directions
from sparse_fourier.metrics.checks import Array, pair


def amari_distance(true: ArrayLike, estimated: ArrayLike) -> float:
    r"""Amari distance: how much the estimated codes still mix the true ones.

    With the rows of both arguments scaled to unit norm, the true mixtures, seen through the estimated
    unmixing, have the gain matrix :math:`P = T E^+` of shape (m, m), with T the true components and
    :math:`E^+` the pseudo-inverse of the estimated ones: codes h of the model x = h T are estimated as h P.
    The distance is [1]_, normalised as in [2]_ but for the division by m - 1 that makes its maximum 1,

    .. math:: \frac{1}{2 m (m - 1)} \left[
              \sum_i \left( \frac{\sum_j |p_{ij}|}{\max_j |p_{ij}|} - 1 \right) +
              \sum_j \left( \frac{\sum_i |p_{ij}|}{\max_i |p_{ij}|} - 1 \right) \right] .

    It is 0 if and only if P is a permutation up to scale, and 1 if all entries of P are of the same size.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components, linearly independent. A square array is the transposed mixing matrix of independent
        component analysis.
    estimated : array-like of shape (n_components, n_features)
        As many estimated components. What they lack of the span of the true ones is projected away:
        see :func:`subspace_angles`.

    Returns
    -------
    float
        A value in [0, 1]; 0 for a single component, which nothing can mix. A row or column of zeros in P,
        from an estimated component of zeros, counts as fully mixed.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, the shapes differ, or the true components are
        linearly dependent.

    Notes
    -----
    Without the scaling to unit norm the value would depend on the scale of the components, which is a matter
    of convention and differs between estimators.

    References
    ----------
    .. [1] S. Amari, A. Cichocki and H. H. Yang. A new learning algorithm for blind signal separation.
       Advances in Neural Information Processing Systems 8, 757-763, 1996.
    .. [2] F. R. Bach and M. I. Jordan. Kernel independent component analysis. Journal of Machine Learning
       Research 3, 1-48, 2002.

    Examples
    --------
    >>> from sparse_fourier.metrics import amari_distance
    >>> amari_distance([[1.0, 0.0], [0.0, 1.0]], [[0.0, -3.0], [2.0, 0.0]])
    0.0
    >>> round(amari_distance([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, -1.0]]), 6)
    1.0
    """
    true, estimated = pair("amari_distance", true, estimated)
    _check_invertible(true, estimated)
    gain = np.abs(directions(true)[0] @ np.linalg.pinv(directions(estimated)[0]))
    gain[gain <= len(gain) * np.finfo(float).eps * gain.max()] = 0.0
    m = len(gain)
    return (_mixing(gain) + _mixing(gain.T)) / max(2 * m * (m - 1), 1)


def subspace_angles(true: ArrayLike, estimated: ArrayLike) -> Array:
    """Principal angles between the span of the true and that of the estimated components.

    They do not depend on the basis within each span: zeros say that the reconstruction is right, whatever the
    components look like. Each angle comes from its sine and its cosine together, so that small angles are as
    accurate as large ones [1]_.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components, of any scale.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated components; there may be more or fewer of them.

    Returns
    -------
    ndarray of shape (n_angles,)
        Angles in radians, in [0, pi/2], descending; as many as the smaller of the two spans has dimensions.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    References
    ----------
    .. [1] A. V. Knyazev and M. E. Argentati. Principal angles between subspaces in an A-based scalar product:
       algorithms and perturbation estimates. SIAM Journal on Scientific Computing 23, 2008-2040, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.metrics import subspace_angles
    >>> np.degrees(
    ...     subspace_angles([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    ... ).round(6)
    array([45.,  0.])
    """
    smaller, larger = sorted(map(_span, pair("subspace_angles", true, estimated)), key=len)
    shared = smaller @ larger.T
    sines = np.linalg.svd(smaller - shared @ larger, compute_uv=False)
    return np.arctan2(sines, np.linalg.svd(shared, compute_uv=False)[::-1])


def _mixing(gain: Array) -> float:
    """Sum over rows of (sum / max - 1); a row of zeros counts like one of equal entries."""
    peaks = gain.max(axis=1)
    sums = np.divide(gain.sum(axis=1), peaks, out=np.full(len(gain), float(len(gain))), where=peaks > 0)
    return float(np.sum(sums - 1))


def _check_invertible(true: Array, estimated: Array) -> None:
    if len(estimated) != len(true):
        constraint = f"an array with as many components as 'true', {len(true)}"
        raise invalid("amari_distance", "estimated", constraint, f"an array of shape {estimated.shape}")
    rank = np.linalg.matrix_rank(directions(true)[0])
    if rank < len(true):
        got = f"an array of shape {true.shape} and rank {rank}"
        raise invalid("amari_distance", "true", "an array of linearly independent rows", got)


def _span(rows: Array) -> Array:
    """Return orthonormal rows that span the given ones, whatever the scale of each."""
    _, singular, basis = np.linalg.svd(directions(rows)[0], full_matrices=False)
    return basis[singular > max(rows.shape) * np.finfo(float).eps * singular.max()]
