"""Smallest polytopes, against brute force."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from sparse_fourier.polytopes import smallest_parallelograms


def least_area(points):
    """Area of the smallest parallelogram with a side along each of two hull edges, trying all pairs."""
    corners = points[ConvexHull(points).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    areas = []
    for one, other in combinations(edges, 2):
        rows = np.array([[-one[1], one[0]], [-other[1], other[0]]])
        extent = np.ptp(corners @ rows.T, axis=0)
        determinant = abs(np.linalg.det(rows / extent[:, None]))
        areas.append(1 / determinant if determinant > 1e-12 else np.inf)
    return min(areas)


@pytest.mark.parametrize("shape", ["square", "skewed", "disc", "triangle", "diamond"])
@pytest.mark.parametrize("n", [4, 60, 1000])
def test_smallest_parallelogram_against_brute_force(shape, n):
    rng = np.random.default_rng(n)
    points = rng.uniform(size=(n, 2))
    if shape == "skewed":
        points = points @ np.array([[1.0, 0.2], [0.9, 1.0]])
    elif shape == "disc":
        points = rng.normal(size=(n, 2))
        points *= np.sqrt(rng.uniform(size=(n, 1))) / np.linalg.norm(points, axis=1, keepdims=True)
    elif shape == "triangle":
        points = rng.dirichlet(np.ones(3), size=n)[:, :2]
    elif shape == "diamond":
        points = points @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    matrices, offsets = smallest_parallelograms(points)  # two where they tie, as about a triangle
    matrix, offset = matrices[0], offsets[0]
    codes = points @ matrix.T + offset
    # It holds the points and touches them on all four sides.
    np.testing.assert_allclose(codes.min(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(codes.max(axis=0), 1.0, atol=1e-12)
    assert 1 / abs(np.linalg.det(matrix)) == pytest.approx(least_area(points), rel=1e-9)


def test_no_random_parallelogram_is_smaller():
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(200, 2))
    smallest = 1 / abs(np.linalg.det(smallest_parallelograms(points)[0][0]))
    angles = rng.uniform(0, np.pi, size=(20_000, 2))
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=2)
    extents = np.ptp(points @ normals.transpose(0, 2, 1), axis=1)
    areas = extents.prod(axis=1) / np.abs(np.linalg.det(normals))
    assert areas.min() >= smallest


def test_parallelogram_of_points_that_repeat():
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5]])
    matrix = smallest_parallelograms(np.repeat(corners, 7, axis=0))[0][0]
    assert 1 / abs(np.linalg.det(matrix)) == pytest.approx(1.0)


def test_a_second_parallelogram_as_small_points_elsewhere():
    """A regular hexagon has three smallest parallelograms; a square has one, whatever the ratio allowed."""
    angles = np.arange(6) * np.pi / 3
    hexagon = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    matrices, offsets = smallest_parallelograms(hexagon, ratio=1 + 1e-9)
    assert matrices.shape == (2, 2, 2)
    np.testing.assert_allclose(abs(np.linalg.det(matrices)), abs(np.linalg.det(matrices[0])))
    for matrix, offset in zip(matrices, offsets, strict=True):
        codes = hexagon @ matrix.T + offset
        np.testing.assert_allclose([codes.min(axis=0), codes.max(axis=0)], [[0, 0], [1, 1]], atol=1e-12)
    unit = matrices / np.linalg.norm(matrices, axis=2, keepdims=True)
    assert np.abs(unit[0] @ unit[1].T).max(axis=1).min() < 0.95
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert len(smallest_parallelograms(square, ratio=1.5)[0]) == 1
