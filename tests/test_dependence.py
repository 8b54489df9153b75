"""Tests of dependence: of their level, against mixtures and against even draws."""

import numpy as np
import pytest
from scipy import stats

from sparse_fourier import dependence


@pytest.mark.parametrize("k", [2, 5])
def test_dependence_is_a_test_of_its_level(k):
    rng = np.random.default_rng(0)
    found = [
        dependence.are_dependent(rng.laplace(size=(400, k)), np.full(400, 1 / 400), 400) for _ in range(100)
    ]
    assert np.mean(found) <= 0.03
    mixed = rng.laplace(size=(2000, k)) @ stats.ortho_group.rvs(k, random_state=0)
    assert dependence.are_dependent(mixed, np.full(2000, 1 / 2000), 2000)


def test_corners_must_be_visited():
    square = np.random.default_rng(0).uniform(size=(1000, 2))
    weights = np.full(1000, 1e-3)
    assert dependence.visits_corners(square, weights)
    assert not dependence.visits_corners(np.sort(square, axis=1), weights)


def test_evenness_is_a_test_of_its_level():
    rng, weights = np.random.default_rng(0), np.full(500, 1 / 500)
    found = [dependence.is_even(rng.uniform(size=(500, 3)), weights, 500) for _ in range(100)]
    assert np.mean(found) >= 0.97
    assert not dependence.is_even(rng.beta(1.5, 1.5, size=(500, 3)), weights, 500)
    shared = rng.uniform(size=(500, 1))
    assert not dependence.is_even(np.where(rng.uniform(size=(500, 3)) < 0.6, shared, 0.5), weights, 500)


@pytest.mark.parametrize(("n", "k"), [(500, 1), (500, 3), (100, 2)])
def test_faces_are_reached_by_codes_that_are_even_and_not_by_those_that_thin_out(n, k):
    """Less than one of a hundred that are even fails by chance: 2.5 deviations of a normal variable."""
    rng, weights = np.random.default_rng(1), np.full(n, 1 / n)

    def share(draw):
        return np.mean([dependence.reaches_faces(draw(size=(n, k)), weights, n) for _ in range(400)])

    assert 0.98 <= share(rng.uniform) < 1
    assert share(lambda size: rng.beta(2, 2, size=size)) < 0.02
    assert share(lambda size: rng.triangular(0, 0.5, 1, size=size)) < 0.02
    assert n < 500 or share(lambda size: np.sqrt(rng.uniform(size=size))) < 0.02
    assert n < 500 or share(lambda size: 0.5 + 0.5 * np.cos(np.pi * rng.uniform(size=size))) < 0.02


def test_less_even_codes_may_reach_faces():
    """Those of a little more than three standard errors, most of which lie near faces."""
    n, weights = 300, np.full(300, 1 / 300)
    grid = (np.arange(n) + 0.5) / n
    even = np.stack([grid, np.random.default_rng(0).permutation(grid)], axis=1)
    outwards = even + 0.45 * even * (1 - even) * (2 * even - 1)
    assert not dependence.is_even(outwards, weights, n)
    assert dependence.reaches_faces(outwards, weights, n)
    assert not dependence.reaches_faces(1 - np.sqrt(1 - even**2), weights, n)


def test_dependence_is_twice_what_one_code_tells_of_another():
    """Of two normal codes of correlation r that is -log(1 - r²) / 2 nats a sample, all but a little of it."""
    r, n = 0.3, 20_000
    codes = np.random.default_rng(0).multivariate_normal([0, 0], [[1, r], [r, 1]], size=n)
    told = 0.5 * dependence.dependence(codes, np.full(n, 1 / n), n) / n
    assert told == pytest.approx(-0.5 * np.log(1 - r**2), rel=0.15)


@pytest.mark.parametrize("n", [1500, 7500])
def test_a_turning_pair_is_told_from_squares_however_it_is_stretched(n):
    weights, rng = np.full(n, 1 / n), np.random.default_rng(0)
    angles, square = rng.uniform(0, 2 * np.pi, n), rng.uniform(size=(n, 2))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    stretched = np.column_stack([square[:, 0], circle @ [[1.0, 0.8], [0.0, 0.3]], square[:, 1]])
    assert dependence.turning_pairs(stretched, weights, n) == [(1, 2)]
    assert dependence.turning_pairs(square - 7.0, weights, n) == []


def test_few_samples_show_no_turning_pair():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert dependence.turning_pairs(circle, np.full(60, 1 / 60), 60) == []
