"""Smallest polytopes that hold given points."""

from __future__ import annotations

import numpy as np

_SAME_DIRECTIONS = 0.95
_FEW_POINTS = 500
_N_DIRECTIONS = 8


def smallest_parallelograms(points: np.ndarray, ratio: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the affine maps that turn the smallest parallelograms about points into the unit square.

    One side of each pair of parallel sides lies along an edge of the convex hull, so that trying
    all pairs of edges is exact. A second parallelogram is returned if its sides point elsewhere and its
    area is at most `ratio` times the smallest.

    Parameters
    ----------
    points : array of shape (n, 2)
    ratio : float
        Of areas.

    Returns
    -------
    matrices : array of shape (1 or 2, 2, 2)
    offsets : array of shape (1 or 2, 2)
        A point z becomes matrix @ z + offset.

    Raises
    ------
    ValueError
        If the points lie on a line, as only those of signals without an intercept may.
    """
    corners = _hull(_outermost(points) if len(points) > _FEW_POINTS else points)
    edges = np.concatenate([corners[1:], corners[:1]]) - corners
    normals = edges[:, ::-1] * (-1.0, 1.0)
    normals /= np.sqrt((normals * normals).sum(axis=1, keepdims=True))
    heights = corners @ normals.T
    lowest = heights.min(axis=0)
    widths = heights.max(axis=0) - lowest
    sines = np.abs(normals @ (normals[:, ::-1] * (1.0, -1.0)).T)
    densities = sines / (widths[:, None] * widths)
    pairs = [_largest(densities)]
    elsewhere = np.where(_likeness(normals, pairs[0]) < _SAME_DIRECTIONS, densities, 0.0)
    if elsewhere.max() * ratio >= densities.max():
        pairs.append(_largest(elsewhere))
    sides = np.array(pairs)
    return normals[sides] / widths[sides, None], -lowest[sides] / widths[sides]


def _hull(points: np.ndarray) -> np.ndarray:
    """Return the corners of the convex hull, in turn."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        return points[ConvexHull(points).vertices]
    except QhullError as error:
        raise ValueError(
            "fit_intercept=False cannot be used under the prior uniform where the rows of X lie on a line "
            "that does not pass through zero: no box that holds them has an area. Use fit_intercept=True or "
            "another prior."
        ) from error


def _outermost(points: np.ndarray) -> np.ndarray:
    """Return the points without most of those inside the convex hull [1]_.

    Left out are those inside the polygon of the farthest points in some directions.

    References
    ----------
    .. [1] S. G. Akl and G. T. Toussaint, "A fast convex hull algorithm", Information Processing Letters
       7(5), 219-222, 1978.
    """
    angles = np.arange(_N_DIRECTIONS) * (2 * np.pi / _N_DIRECTIONS)
    farthest = (points @ np.array([np.cos(angles), np.sin(angles)])).argmax(axis=0)
    polygon = points[farthest[farthest != np.roll(farthest, 1)]]
    edges = np.roll(polygon, -1, axis=0) - polygon
    normals = edges[:, ::-1] * (1.0, -1.0)
    outside = points @ normals.T > (polygon * normals).sum(axis=1)
    return np.concatenate([polygon, points[outside.any(axis=1)]])


def _largest(matrix: np.ndarray) -> tuple[int, int]:
    first, second = np.unravel_index(np.argmax(matrix), matrix.shape)
    return int(first), int(second)


def _likeness(normals: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """Return for every pair of edges the cosine to the sides of one pair that are less alike."""
    one, two = np.abs(normals @ normals[list(pair)].T).T
    return np.maximum(np.minimum.outer(one, two), np.minimum.outer(two, one))
