"""Rotations to start from: against known rotations, and which pairs of codes are looked at."""

import numpy as np
import pytest

from sparse_fourier.metrics import amari_distance
from sparse_fourier.rotations import (
    Signals,
    cumulant_rotation,
    dependent_pairs,
    first_rotation,
    spacing_entropies,
    turned_pairs,
)

QUARTER_TURN = 36  # angles


def turn(angle):
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def uniform(seed, shape):
    return np.random.default_rng(seed).uniform(-(3**0.5), 3**0.5, size=shape)


def white(codes):
    """Whitened signals of codes (n, k), and the true mixing of the whitened coordinates."""
    centred = codes - codes.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(codes))
    whiten = vectors / np.sqrt(values)
    n = len(codes)
    return Signals(centred @ whiten, np.full(n, 1 / n), float(n)), whiten


DRAWS = {
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "uniform": lambda rng, shape: rng.uniform(size=shape),
}


@pytest.mark.parametrize("angle", [0, 7, 20, 33])
def test_entropies_are_least_where_independent_codes_are_turned_back(angle):
    pair = turn(-angle * np.pi / (2 * QUARTER_TURN)) @ uniform(0, (2, 4000))
    assert abs(int(np.argmin(spacing_entropies(pair))) - angle) <= 1


@pytest.mark.parametrize("find", [cumulant_rotation, lambda s: first_rotation(s, np.random.RandomState(0))])
@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("k", [2, 5])
def test_first_rotations_come_close(find, kind, k):
    signals, mixing = white(DRAWS[kind](np.random.default_rng(0), (3000, k)))
    rotation = find(signals)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(k), atol=1e-12)
    assert amari_distance(mixing, rotation) < 0.06


def test_sweeps_find_what_cumulants_cannot():
    """Two humps of such a distance and width have no cumulants of third and fourth order."""
    rng = np.random.default_rng(3)
    heavy = rng.random((4000, 2)) < 0.5
    narrow, wide = 0.9 * rng.choice([-1.0, 1.0], heavy.shape), 1.6 * rng.standard_normal(heavy.shape)
    codes = np.where(heavy, narrow + 0.2 * rng.standard_normal(heavy.shape), wide)
    codes /= codes.std(axis=0)
    signals, mixing = white(codes)
    signals = Signals(signals.whitened @ turn(0.6), signals.weights, signals.n_samples)
    mixing = turn(0.6).T @ mixing.T
    found = first_rotation(signals, np.random.RandomState(0))
    assert amari_distance(mixing.T, found) < 0.06


@pytest.mark.parametrize("n", [500, 5000])
def test_independent_codes_are_left_alone(n):
    """About one pair of many independent codes is taken for dependent."""
    counts = [len(dependent_pairs(uniform(seed, (8, n)), np.full(n, 1 / n), n)) for seed in range(20)]
    assert 0.3 < np.mean(counts) < 2.5


def test_turned_codes_are_dependent():
    codes = uniform(0, (8, 5000))
    codes[[1, 4]] = turn(0.5) @ codes[[1, 4]]
    pairs = dependent_pairs(codes, np.full(5000, 1 / 5000), 5000)
    assert [1, 4] in pairs
    assert len(pairs) < 4


def test_a_pair_is_turned_to_the_angle_of_more_evidence():
    codes = uniform(0, (4, 2000))
    codes /= codes.std(axis=1, keepdims=True)
    turned = codes.copy()
    turned[[0, 2]] = turn(np.pi / 4) @ codes[[0, 2]]
    signals = Signals(turned.T, np.full(2000, 1 / 2000), 2000.0)
    rotation = turned_pairs(turned, signals, np.random.RandomState(0))
    assert rotation is not None
    match = np.abs(np.corrcoef(rotation @ turned, codes)[:4, 4:])
    np.testing.assert_allclose(match.max(axis=1), 1.0, atol=5e-3)
    assert turned_pairs(codes, signals, np.random.RandomState(0)) is None


def test_weights_are_repetitions():
    rng = np.random.default_rng(5)
    signals, _ = white(rng.exponential(size=(400, 3)))
    counts = rng.integers(1, 4, size=400)
    weighted = Signals(signals.whitened, counts / counts.sum(), float(counts.sum()))
    repeated = np.repeat(signals.whitened, counts, axis=0)
    equal = Signals(repeated, np.full(len(repeated), 1 / len(repeated)), float(len(repeated)))
    np.testing.assert_allclose(cumulant_rotation(weighted), cumulant_rotation(equal), atol=1e-9)
