"""Matching: against hand-computed cases and a search through all permutations."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_fourier.matching import cosines, directions, match_rows


def pair_error(true, estimated, rescale):
    """Relative error of one pair, written down independently: the factor by least squares."""
    factor = np.linalg.lstsq(estimated[:, None], true, rcond=None)[0][0] if rescale else 1.0
    return np.linalg.norm(factor * estimated - true) / np.linalg.norm(true)


def least_total_error(true, estimated, rescale):
    """Least sum of errors over all one-to-one pairings, by trying them; a missing estimate costs 1."""
    k, m = len(true), len(estimated)
    costs = np.array([[pair_error(t, e, rescale) for e in estimated] for t in true])
    if m >= k:
        return min(sum(costs[i, j] for i, j in enumerate(p)) for p in permutations(range(m), k))
    return k - m + min(sum(costs[i, j] for j, i in enumerate(p)) for p in permutations(range(k), m))


@given(st.integers(1, 4), st.integers(1, 5), st.booleans(), st.integers(0, 10**6))
@settings(max_examples=60)
def test_total_error_is_the_least_of_all_permutations(k, m, rescale, seed):
    rng = np.random.default_rng(seed)
    true, estimated = rng.normal(size=(k, 3)), rng.normal(size=(m, 3))
    matching = match_rows(true, estimated, rescale=rescale)
    assert matching.errors.sum() == pytest.approx(least_total_error(true, estimated, rescale), rel=1e-12)


@given(st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=40)
def test_permutation_sign_and_scale_are_undone(k, seed):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(k, 8))
    order = rng.permutation(k)
    factors = rng.choice([-1.0, 1.0], size=k) * np.exp(rng.uniform(-5, 5, size=k))
    estimated = (true * factors[:, None])[order]
    matching = match_rows(true, estimated)
    np.testing.assert_array_equal(order[matching.permutation], np.arange(k))
    np.testing.assert_allclose(matching.scales, 1 / factors, rtol=1e-13)
    np.testing.assert_allclose(matching.cosines, np.sign(factors), rtol=1e-14)
    np.testing.assert_allclose(matching.align(estimated), true, rtol=1e-13, atol=1e-14)
    assert matching.errors.max() < 1e-15


def test_hand_computed_matching():
    true = np.array([[3.0, 0.0], [0.0, 2.0]])
    estimated = np.array([[0.0, -1.0], [4.0, 3.0]])
    matching = match_rows(true, estimated)
    assert matching.permutation.tolist() == [1, 0]
    np.testing.assert_allclose(matching.scales, [12 / 25, -2.0], rtol=1e-15)
    np.testing.assert_allclose(matching.cosines, [0.8, -1.0], rtol=1e-15)
    np.testing.assert_allclose(matching.errors, [0.6, 0.0], atol=1e-15)


def test_without_rescaling_the_permutation_minimises_the_direct_error():
    true = np.array([[1.0, 0.0], [0.0, 1.0]])
    estimated = np.array([[0.1, 5.0], [0.5, 0.6]])
    assert match_rows(true, estimated).permutation.tolist() == [1, 0]
    direct = match_rows(true, 0.1 * np.array([[9.0, 8.0], [9.0, 2.0]]), rescale=False)
    assert direct.permutation.tolist() == [1, 0]
    np.testing.assert_allclose(direct.errors, np.sqrt([0.01 + 0.04, 0.81 + 0.04]), rtol=1e-14)
    np.testing.assert_array_equal(direct.scales, [1.0, 1.0])


def test_a_sign_flip_is_an_error_of_two_without_rescaling():
    matching = match_rows(np.array([[2.0, 1.0]]), np.array([[-2.0, -1.0]]), rescale=False)
    np.testing.assert_allclose(matching.errors, [2.0], rtol=1e-15)
    np.testing.assert_allclose(matching.cosines, [-1.0], rtol=1e-15)


def test_greedy_pairing_would_be_worse():
    def at(*degrees):
        return np.column_stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])

    matching = match_rows(at(0, 20), at(30, 15))
    assert matching.permutation.tolist() == [1, 0]
    np.testing.assert_allclose(matching.errors, np.sin(np.radians([15, 10])), rtol=1e-14)


def test_fewer_estimated_rows_leave_true_rows_unmatched():
    matching = match_rows(np.eye(3), np.array([[0.0, 0.0, -2.0]]))
    assert matching.permutation.tolist() == [-1, -1, 0]
    assert matching.scales.tolist() == [0.0, 0.0, -0.5]
    assert matching.cosines.tolist() == [0.0, 0.0, -1.0]
    assert matching.errors.tolist() == [1.0, 1.0, 0.0]
    assert matching.align(np.array([[0.0, 0.0, -2.0]])).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_more_estimated_rows_offer_a_choice():
    estimated = np.array([[1.0, 1.0], [0.0, -1.0], [1.0, 0.1], [0.0, 0.0]])
    matching = match_rows(np.array([[0.0, 5.0], [7.0, 0.0]]), estimated)
    assert matching.permutation.tolist() == [1, 2]


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (1, 3)])
def test_no_estimate_to_speak_of(shape, rescale):
    matching = match_rows(np.eye(3)[:2], np.zeros(shape), rescale=rescale)
    assert matching.errors.tolist() == [1.0, 1.0]
    assert matching.cosines.tolist() == [0.0, 0.0]
    assert not matching.align(np.zeros(shape)).any()


@pytest.mark.parametrize("rescale", [True, False])
def test_zero_rows_are_finite_and_take_what_is_left(rescale):
    true = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    estimated = np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    matching = match_rows(true, estimated, rescale=rescale)
    assert matching.permutation.tolist() == [1, 2, 0]
    assert matching.errors.tolist() == [1.0, 0.0, 0.0]
    assert np.isfinite(matching.scales).all()


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_extreme_scales_neither_overflow_nor_vanish(scale):
    true = np.array([[3.0, 0.0], [0.0, 2.0]]) * scale
    np.testing.assert_allclose(
        match_rows(true, np.array([[0.0, -1.0], [4.0, 3.0]])).errors, [0.6, 0.0], atol=1e-15
    )
    direct = match_rows(true, scale * np.array([[0.0, 1.0], [3.0, 3.0]]), rescale=False)
    np.testing.assert_allclose(direct.errors, [1.0, 0.5], rtol=1e-15)


def test_small_errors_are_resolved_below_the_rounding_of_cosines():
    matching = match_rows(np.array([[1.0, 0.0]]), np.array([[5.0, 5e-12]]))
    assert matching.cosines.tolist() == [1.0]
    np.testing.assert_allclose(matching.errors, [1e-12], rtol=1e-3)


def test_directions_and_lengths():
    units, lengths = directions(np.array([[3.0, -4.0], [0.0, 0.0], [0.0, 1e-310]]))
    np.testing.assert_allclose(units, [[0.6, -0.8], [0.0, 0.0], [0.0, 1.0]], rtol=1e-15)
    np.testing.assert_allclose(lengths, [5.0, 0.0, 1e-310], rtol=1e-15)


def test_cosines_of_every_pair():
    values = cosines(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[-2.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    np.testing.assert_allclose(values, [[-1.0, 0.6, 0.0], [0.0, 0.0, 0.0]], atol=1e-15)
