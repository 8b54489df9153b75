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
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    heights = corners @ normals.T
    lowest, widths = heights.min(axis=0), np.ptp(heights, axis=0)
    sines = np.abs(np.outer(normals[:, 0], normals[:, 1]) - np.outer(normals[:, 1], normals[:, 0]))
    densities = sines / np.outer(widths, widths)
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
