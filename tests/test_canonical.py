"""Order and signs: against all 2^k choices, and the equivariances that make two fits comparable."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_fourier.canonical import box_signs, mean_signs, order_by_variance, reference_signs


def all_signs(k):
    return np.array(list(product([-1.0, 1.0], repeat=k)))


def corner_length(signs, components, centre):
    return np.linalg.norm(centre - 0.5 * signs @ components)


def random_box(k, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, d)), 2 * rng.normal(size=d)


@given(st.integers(1, 7), st.integers(0, 4), st.integers(0, 10**6))
@settings(max_examples=80)
def test_corner_at_zero_is_found_whatever_the_reflections(k, extra, seed):
    """Signals without an intercept: one of the 2^k corners is zero, and from it the codes count."""
    rng = np.random.default_rng(seed)
    components = rng.normal(size=(k, k + extra)) * np.exp(rng.uniform(-4, 4, size=(k, 1)))
    centre = 0.5 * components.sum(axis=0)
    reflections = rng.choice([-1.0, 1.0], size=k)
    signs = box_signs(reflections[:, None] * components, centre, np.full(k, 1e-6))
    np.testing.assert_array_equal(signs, reflections)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_nearest_corner_of_orthogonal_boxes(k):
    """Where the corner can be chosen code by code, it is the nearest of all 2^k."""
    for seed in range(20):
        components, centre = random_box(k, 8, seed)
        components = np.linalg.qr(components.T)[0].T * np.arange(1.0, k + 1)[:, None]
        signs = box_signs(components, centre, np.zeros(k))
        nearest = min(corner_length(choice, components, centre) for choice in all_signs(k))
        assert corner_length(signs, components, centre) == pytest.approx(nearest, rel=1e-12)


@pytest.mark.parametrize("k", [2, 4, 6])
def test_no_single_reflection_brings_the_corner_nearer(k):
    """In any box; and it is no farther than the one that least-squares coefficients point to."""
    for seed in range(30):
        components, centre = random_box(k, 8, seed)
        components[1] = components[0] + 0.5 * components[1]
        signs = box_signs(components, centre, np.zeros(k))
        length = corner_length(signs, components, centre)
        coefficients = np.linalg.lstsq(components.T, centre, rcond=None)[0]
        assert length <= corner_length(np.sign(coefficients), components, centre) + 1e-12
        for j in range(k):
            turned = np.where(np.arange(k) == j, -signs, signs)
            assert corner_length(turned, components, centre) >= length - 1e-9


def test_of_two_corners_that_no_reflection_shortens_the_coefficients_choose():
    """By hand: corners at (1, 0) and (-1, -2); the coefficients of the centre are 1/4 and 3/4."""
    components, centre = np.array([[-3.0, 1.0], [1.0, -3.0]]), np.array([0.0, -1.0])
    np.testing.assert_allclose(2 * np.linalg.solve(components.T, centre), [0.25, 0.75])
    for signs, length in (((1, 1), 1.0), ((-1, -1), 5**0.5), ((1, -1), 13**0.5), ((-1, 1), 5**0.5)):
        assert corner_length(np.array(signs), components, centre) == pytest.approx(length)
    np.testing.assert_array_equal(box_signs(components, centre, np.zeros(2)), [1.0, 1.0])


@given(st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=60)
def test_reflecting_and_permuting_components_reflects_and_permutes_signs(k, seed):
    components, centre = random_box(k, 9, seed)
    signs = box_signs(components, centre, np.full(k, 1e-9))
    rng = np.random.default_rng(seed + 1)
    reflections, order = rng.choice([-1.0, 1.0], size=k), rng.permutation(k)
    changed = box_signs((reflections[:, None] * components)[order], centre, np.full(k, 1e-9))
    np.testing.assert_array_equal(changed, (reflections * signs)[order])


@given(st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=60)
def test_rotating_the_features_changes_no_sign(k, seed):
    """No sign comes from one feature: any orthogonal change of features gives the same."""
    components, centre = random_box(k, 9, seed)
    rotation = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(9, 9)))[0]
    signs = box_signs(components, centre, np.full(k, 1e-9))
    rotated = box_signs(components @ rotation, centre @ rotation, np.full(k, 1e-9))
    np.testing.assert_array_equal(rotated, signs)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_signals_changes_no_sign(unit):
    """Also where the signs of least squares are not those of the nearest corner, and one is to be turned."""
    turned = 0
    for seed in range(40):
        components, centre = random_box(4, 5, seed)
        tolerance, coefficients = np.zeros(4), np.linalg.lstsq(components.T, centre, rcond=None)[0]
        signs = box_signs(components, centre, tolerance)
        np.testing.assert_array_equal(box_signs(unit * components, unit * centre, unit * tolerance), signs)
        turned += (signs != np.sign(coefficients)).any()
    assert turned > 5


def test_ties_take_the_reference_sign():
    """A centre that says nothing of a component leaves its sign to a fixed functional."""
    rng = np.random.default_rng(0)
    components = np.linalg.qr(rng.normal(size=(9, 3)))[0].T
    centre = 0.5 * components[0] - 0.5 * components[1] + 1e-5 * components[2]
    reference = reference_signs(components)
    for flip in (1.0, -1.0):
        turned = components * np.array([[1.0], [1.0], [flip]])
        signs = box_signs(turned, centre, np.full(3, 1e-3))
        np.testing.assert_array_equal(signs, [1.0, -1.0, flip * reference[2]])
    # Beyond the tolerance the centre decides.
    for sign in (1.0, -1.0):
        shifted = centre + sign * 1e-2 * components[2]
        assert box_signs(components, shifted, np.full(3, 1e-3))[2] == sign


def test_a_tie_is_a_coefficient_within_the_tolerance():
    """Of a box: twice that of the centre, which is the code's distance from one half."""
    component = -np.ones((1, 5)) / 5**0.5
    assert reference_signs(component)[0] == -1
    for coefficient, sign in ((0.26, 1.0), (0.24, -1.0), (0.0, -1.0)):
        assert box_signs(component, coefficient * component[0], np.array([0.5]))[0] == sign
        assert mean_signs(component, 2 * coefficient * component[0], np.array([0.5]))[0] == sign
    assert box_signs(component, np.zeros(5), np.zeros(1))[0] == -1
    assert mean_signs(component, np.zeros(5), np.zeros(1))[0] == -1


def test_centred_data_take_all_signs_from_the_reference():
    components, _ = random_box(4, 9, 0)
    signs = box_signs(components, np.zeros(9), np.full(4, 1e-12))
    np.testing.assert_array_equal(signs, reference_signs(components))


def test_reference_is_a_linear_functional():
    """Scaling leaves it, reflection turns it, and the outcome of applying it is always positive."""
    components, _ = random_box(6, 11, 3)
    signs = reference_signs(components)
    assert set(signs) <= {-1.0, 1.0}
    np.testing.assert_array_equal(reference_signs(7.5 * components), signs)
    np.testing.assert_array_equal(reference_signs(-components), -signs)
    np.testing.assert_array_equal(reference_signs(signs[:, None] * components), 1.0)
    positive = signs[:, None] * components
    np.testing.assert_array_equal(reference_signs(positive[[0]] + positive[[1]]), 1.0)


def test_reference_of_zero_is_positive_and_of_positive_waveforms_too():
    np.testing.assert_array_equal(reference_signs(np.zeros((2, 5))), 1.0)
    np.testing.assert_array_equal(reference_signs(np.random.default_rng(0).uniform(size=(5, 30))), 1.0)


@pytest.mark.parametrize("d", [20, 30, 100])
def test_reference_of_usual_waveforms_is_no_tie(d):
    """Sinusoids over a period or half of one: the functional is far from zero, so signs are stable."""
    t = np.linspace(0, 1, d)
    waves = [wave(np.pi * m * t) for wave in (np.sin, np.cos) for m in range(1, 6)]
    for wave in waves:
        wobble = 1e-9 * np.random.default_rng(0).normal(size=d)
        np.testing.assert_array_equal(reference_signs(wave[None]), reference_signs((wave + wobble)[None]))


def test_order_is_descending_and_ties_keep_their_place():
    explained = np.array([1.0, 3.0, 2.0, 3.0, 0.0, 0.0])
    np.testing.assert_array_equal(order_by_variance(explained), [1, 3, 2, 0, 4, 5])


@given(st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=60)
def test_mean_signs_make_the_coefficients_of_the_mean_positive(k, seed):
    """Whatever the coefficients, of components that need not be orthogonal, and what lies beside them."""
    rng = np.random.default_rng(seed)
    components, _ = random_box(k, 9, seed)
    coefficients = rng.choice([-1.0, 1.0], size=k) * rng.uniform(0.1, 5.0, size=k)
    beside = np.linalg.svd(components)[2][k:].sum(axis=0)
    signs = mean_signs(components, coefficients @ components + 100 * beside, np.full(k, 1e-6))
    np.testing.assert_array_equal(signs, np.sign(coefficients))
    again = mean_signs(signs[:, None] * components, coefficients @ components, np.full(k, 1e-6))
    np.testing.assert_array_equal(again, 1.0)


@given(st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=60)
def test_mean_signs_follow_reflections_permutations_and_rotations(k, seed):
    components, mean = random_box(k, 9, seed)
    rng = np.random.default_rng(seed + 1)
    tolerance = np.full(k, 1e-9)
    signs = mean_signs(components, mean, tolerance)
    reflections, order = rng.choice([-1.0, 1.0], size=k), rng.permutation(k)
    changed = mean_signs((reflections[:, None] * components)[order], mean, tolerance)
    np.testing.assert_array_equal(changed, (reflections * signs)[order])
    rotation = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    np.testing.assert_array_equal(mean_signs(components @ rotation, mean @ rotation, tolerance), signs)
    np.testing.assert_array_equal(mean_signs(components, -mean, tolerance), -signs)


def test_mean_signs_of_ties_are_the_reference_each_by_its_own_tolerance():
    rng = np.random.default_rng(0)
    components = np.linalg.qr(rng.normal(size=(9, 3)))[0].T
    reference = reference_signs(components)
    against = -reference * np.array([1.0, 0.1, 0.01])
    for tolerance, tied in [
        ([0.0] * 3, 0),
        ([0.05] * 3, 1),
        ([0.5] * 3, 2),
        ([2.0] * 3, 3),
        ([2.0, 0, 0], 1),
    ]:
        signs = mean_signs(components, against @ components, np.array(tolerance))
        assert (signs == reference).sum() == tied
    np.testing.assert_array_equal(mean_signs(components, np.zeros(9), np.zeros(3)), reference)
    turned = mean_signs(-components, np.zeros(9), np.full(3, 1e-12))
    np.testing.assert_array_equal(turned, -reference)


def test_the_functional_of_a_tie_stays_the_same_in_all_versions():
    """By hand: 1 + cos(sqrt(2) t) is 2, 1.156 and 0.049 at t = 0, 1, 2."""
    components = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0], [0.0, -1.0, 20.0], [0.0, -1.0, 30.0]])
    np.testing.assert_array_equal(reference_signs(components), [1.0, 1.0, -1.0, 1.0])
