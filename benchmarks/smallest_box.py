"""The exact smallest box for two components: the yardstick of the noise-free rows.

In the plane spanned by two components, signals with codes in the unit square fill a parallelogram whose
edges are the components. The smallest parallelogram that holds the signals therefore estimates them.
It has sides flush with two edges of the convex hull (for one direction held fixed, the area is a
monotonic function of the other between two hull edges), so trying all pairs of hull edges is exact.

This module shares no code with the library, on purpose.

References
----------
Schwarz, Teich, Vainshtein, Welzl, Evans: Minimal enclosing parallelogram with application. Symposium on
Computational Geometry, 1995.
"""

from itertools import product

import numpy as np
from scipy.spatial import ConvexHull


def exact_box(X, k, seed=None):
    """Components and codes of the smallest box; a method in the sense of `benchmarks.rivals`.

    Codes fill [0, 1], and each is reflected so that the intercept is as small as can be.
    """
    if k != 2:
        raise ValueError(f"The exact smallest box is worked out for 2 components. Got {k} instead.")
    plane, basis, mean = project(X, k)
    faces, offset = smallest_parallelogram(plane)
    components = np.linalg.inv(faces) @ basis
    codes = plane @ faces - offset
    return reflect(components, codes, mean + offset @ components)


def project(X, k):
    """Scores in the span of the k leading directions, these directions, and the mean."""
    mean = X.mean(axis=0)
    left, singular, right = np.linalg.svd(X - mean, full_matrices=False)
    return left[:, :k] * singular[:k], right[:k], mean


def smallest_parallelogram(points):
    """The parallelogram of least area that holds points of the plane.

    Returns
    -------
    faces : ndarray of shape (2, 2)
    offset : ndarray of shape (2,)
        ``points @ faces - offset`` lies in the unit square, and touches its four sides.
    """
    corners = points[ConvexHull(points).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    edges /= np.linalg.norm(edges, axis=1, keepdims=True)
    normals = np.stack([-edges[:, 1], edges[:, 0]])
    heights = corners @ normals
    widths = np.ptp(heights, axis=0)
    chosen = list(least_area(edges, widths))
    return normals[:, chosen] / widths[chosen], heights[:, chosen].min(axis=0) / widths[chosen]


def least_area(edges, widths):
    """The pair (i, j) of edge directions whose two strips cross in the smallest parallelogram."""
    sines = np.abs(np.outer(edges[:, 0], edges[:, 1]) - np.outer(edges[:, 1], edges[:, 0]))
    with np.errstate(divide="ignore"):
        areas = np.outer(widths, widths) / sines
    np.fill_diagonal(areas, np.inf)
    return np.unravel_index(np.argmin(areas), areas.shape)


def reflect(components, codes, intercept):
    """Replace codes by one minus themselves where that makes the intercept smallest."""
    flips = np.array(list(product([False, True], repeat=len(components))))
    flip = min(flips, key=lambda flip: np.linalg.norm(intercept + flip @ components))
    return np.where(flip[:, None], -components, components), np.where(flip, 1 - codes, codes)
