"""Smallest polytopes that hold given points."""

from __future__ import annotations

import numpy as np

_SAME_DIRECTIONS = 0.95


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
    """
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]
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


def _largest(matrix: np.ndarray) -> tuple[int, int]:
    first, second = np.unravel_index(np.argmax(matrix), matrix.shape)
    return int(first), int(second)


def _likeness(normals: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """Return for every pair of edges the cosine to the sides of one pair that are less alike."""
    one, two = np.abs(normals @ normals[list(pair)].T).T
    return np.maximum(np.minimum.outer(one, two), np.minimum.outer(two, one))
