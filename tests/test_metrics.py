"""Metrics: hand-computed values, independent formulas, and what each must not depend on."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from sparse_fourier import metrics

TRUE = np.array([[3.0, 0.0], [0.0, 2.0]])
ESTIMATED = np.array([[0.0, -1.0], [4.0, 3.0]])
PAIRWISE = [
    metrics.match_components,
    metrics.component_errors,
    metrics.worst_relative_error,
    metrics.mean_relative_error,
    metrics.matched_cosine,
    metrics.atom_hit_rate,
    metrics.mean_max_cosine,
    metrics.amari_distance,
    metrics.subspace_angles,
]
INVARIANT = [
    lambda true, estimated: np.sort(metrics.component_errors(true, estimated)),
    lambda true, estimated: np.sort(metrics.matched_cosine(true, estimated)),
    metrics.worst_relative_error,
    metrics.mean_relative_error,
    lambda true, estimated: metrics.atom_hit_rate(true, estimated, threshold=0.7),
    metrics.mean_max_cosine,
    metrics.amari_distance,
    metrics.subspace_angles,
]


def disguise(rows, rng):
    """Permute rows and change their signs and scales."""
    factors = rng.choice([-1.0, 1.0], size=len(rows)) * np.exp(rng.uniform(-3, 3, size=len(rows)))
    return (factors[:, None] * rows)[rng.permutation(len(rows))]


def amari_of_gain(P):
    """The formula of Amari et al., entry by entry."""
    P = np.abs(P)
    m = len(P)
    total = sum(P[i, j] / P[i].max() for i in range(m) for j in range(m)) - m
    total += sum(P[i, j] / P[:, j].max() for i in range(m) for j in range(m)) - m
    return total / (2 * m * (m - 1))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("metric", INVARIANT)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
@settings(max_examples=25)
def test_order_sign_and_scale_do_not_matter(metric, seed, k):
    rng = np.random.default_rng(seed)
    true, estimated = rng.normal(size=(k, 7)), rng.normal(size=(k, 7))
    expected = metric(true, estimated)
    np.testing.assert_allclose(metric(true, disguise(estimated, rng)), expected, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(metric(disguise(true, rng), estimated), expected, rtol=1e-7, atol=1e-12)


@given(seed=st.integers(0, 10**6), k=st.integers(1, 6))
@settings(max_examples=25)
def test_a_perfect_estimate_is_perfect_everywhere(seed, k):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(k, 9))
    estimated = disguise(true, rng)
    assert metrics.worst_relative_error(true, estimated) < 1e-14
    assert metrics.mean_relative_error(true, estimated) < 1e-14
    assert metrics.matched_cosine(true, estimated).min() > 1 - 1e-14
    assert metrics.atom_hit_rate(true, estimated) == 1.0
    assert metrics.amari_distance(true, estimated) < 1e-11
    assert metrics.subspace_angles(true, estimated).max() < 1e-11
    assert metrics.worst_relative_error(true, rng.permutation(true), matched=False) == 0.0


def test_match_components_by_hand():
    aligned, permutation, scales = metrics.match_components(TRUE, ESTIMATED)
    assert permutation.tolist() == [1, 0]
    np.testing.assert_allclose(scales, [0.48, -2.0], rtol=1e-15)
    np.testing.assert_allclose(aligned, [[1.92, 1.44], [0.0, 2.0]], rtol=1e-14)
    np.testing.assert_allclose(aligned, scales[:, None] * ESTIMATED[permutation], rtol=1e-15)


def test_errors_by_hand():
    np.testing.assert_allclose(metrics.component_errors(TRUE, ESTIMATED), [0.6, 0.0], atol=1e-15)
    assert metrics.worst_relative_error(TRUE, ESTIMATED) == pytest.approx(0.6)
    assert metrics.mean_relative_error(TRUE, ESTIMATED) == pytest.approx(0.3)
    np.testing.assert_allclose(metrics.matched_cosine(TRUE, ESTIMATED), [0.8, 1.0], rtol=1e-15)


def test_direct_errors_by_hand():
    estimated = [[0.0, 1.0], [3.0, 3.0]]
    assert metrics.component_errors(TRUE, estimated, matched=False) == pytest.approx([1.0, 0.5])
    assert metrics.worst_relative_error(TRUE, estimated, matched=False) == pytest.approx(1.0)
    assert metrics.mean_relative_error(TRUE, estimated, matched=False) == pytest.approx(0.75)


def test_direct_pairing_differs_from_the_matched_one_when_scales_do():
    true = np.array([[1.0, 0.0], [1.0, 1.0]])
    estimated = np.array([[10.0, 9.0], [1.0, 0.2]])
    swapped = np.array([[-1.0, -1.0], [-1.1, 0.0]])
    assert metrics.component_errors(true, estimated, matched=False)[0] == pytest.approx(0.2)
    assert metrics.component_errors(true, swapped) == pytest.approx([0.0, 0.0], abs=1e-15)
    direct = metrics.component_errors(true, swapped, matched=False)
    by_hand = [np.sqrt(5.0) + np.sqrt((2.1**2 + 1) / 2), 2.1 + 2.0]
    assert direct.sum() == pytest.approx(min(by_hand))


def test_matched_error_is_the_sine_of_the_angle():
    angle = 0.3
    estimate = [[-2 * np.cos(angle), -2 * np.sin(angle)]]
    assert metrics.component_errors([[5.0, 0.0]], estimate) == pytest.approx([np.sin(angle)])
    assert metrics.matched_cosine([[5.0, 0.0]], estimate) == pytest.approx([np.cos(angle)])


def test_missing_components_count_as_lost():
    true, estimated = np.eye(3), [[0.0, 2.0, 0.0]]
    for matched, found in [(True, 0.0), (False, 1.0)]:
        assert metrics.component_errors(true, estimated, matched=matched).tolist() == [1.0, found, 1.0]
    assert metrics.matched_cosine(true, estimated).tolist() == [0.0, 1.0, 0.0]
    assert metrics.worst_relative_error(true, estimated) == 1.0
    assert metrics.mean_relative_error(true, estimated) == pytest.approx(2 / 3)
    assert metrics.atom_hit_rate(true, estimated) == pytest.approx(1 / 3)
    aligned, permutation, _ = metrics.match_components(true, estimated)
    assert permutation.tolist() == [-1, 0, -1]
    assert aligned.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_superfluous_components_cost_nothing():
    assert metrics.worst_relative_error(TRUE, np.vstack([np.ones((3, 2)), TRUE]), matched=False) == 0.0


def test_cosines_never_exceed_one():
    rows = np.random.default_rng(0).normal(size=(200, 11))
    assert metrics.matched_cosine(rows, rows).max() <= 1.0


def test_integers_and_single_precision_are_computed_in_double():
    assert metrics.component_errors([[1, 0]], np.array([[4, 3]], dtype=np.int8)) == pytest.approx([0.6])
    true = np.array([[1.0, 1e-3]], dtype=np.float32)
    assert metrics.component_errors(true, true).dtype == np.float64


def test_hit_rate_is_not_one_to_one_and_strict():
    true = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]])
    assert metrics.atom_hit_rate(true, [[-1.0, 0.0], [1.0, 1.0]]) == pytest.approx(2 / 3)
    assert metrics.atom_hit_rate([[5.0, 0.0]], [[3.0, 4.0]], threshold=0.6 - 1e-12) == 1.0
    assert metrics.atom_hit_rate([[1.0, 0.0]], [[0.0, 1.0]], threshold=0) == 0.0


def test_amari_distance_by_hand():
    true = np.eye(2)
    estimated = np.array([[1.0, 0.0], [0.6, 0.8]])
    # inverse of the estimate: [[1, 0], [-0.75, 1.25]]; rows (0, 0.6), columns (0.75, 0) above their maxima
    assert metrics.amari_distance(true, estimated) == pytest.approx((0.6 + 0.75) / 4)


@given(st.integers(2, 6), st.integers(0, 10**6))
@settings(max_examples=40)
def test_amari_distance_is_that_of_unmixing_times_mixing(k, seed):
    """Square case in the column convention of ICA: x = A s, estimate s = W x, gain W A."""
    rng = np.random.default_rng(seed)
    mixing, estimated_mixing = rng.normal(size=(k, k)), rng.normal(size=(k, k))
    W = np.linalg.inv(unit(estimated_mixing.T).T)
    expected = amari_of_gain(W @ unit(mixing.T).T)
    assert metrics.amari_distance(mixing.T, estimated_mixing.T) == pytest.approx(expected, rel=1e-6)
    assert 0 <= expected <= 1


def test_amari_distance_in_more_features_than_components_sees_only_the_mixing():
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.normal(size=(20, 3)))[0].T
    true, estimated = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    small = metrics.amari_distance(true, estimated)
    assert metrics.amari_distance(true @ basis, estimated @ basis) == pytest.approx(small, rel=1e-9)
    outside = rng.normal(size=(3, 20))
    outside -= outside @ basis.T @ basis
    assert metrics.amari_distance(true @ basis, true @ basis + 0.1 * outside) > 0


def test_amari_distance_at_its_limits():
    assert metrics.amari_distance(np.eye(4), scipy.linalg.hadamard(4)) == pytest.approx(1.0)
    assert metrics.amari_distance([[1.0, 2.0]], [[3.0, -1.0]]) == 0.0


def test_amari_distance_counts_a_lost_component_as_fully_mixed():
    assert metrics.amari_distance(np.eye(3), np.zeros((3, 3))) == 1.0
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(7, 3)))[0].T
    for lost in range(3):
        estimated = np.where(np.arange(3) == lost, 0.0, 2.0)[:, None] * basis
        assert metrics.amari_distance(basis, estimated) == pytest.approx((2 + 2) / 12)


def test_subspace_angles_agree_with_scipy():
    rng = np.random.default_rng(1)
    true, estimated = rng.normal(size=(3, 8)), rng.normal(size=(2, 8))
    angles = metrics.subspace_angles(true, estimated)
    np.testing.assert_allclose(angles, scipy.linalg.subspace_angles(true.T, estimated.T), rtol=1e-12)
    assert angles.shape == (2,)
    assert angles[0] > angles[1]


def test_subspace_angles_by_hand():
    """Two axes tilted out of their plane, a little and a lot, in another basis of very uneven scale."""
    little, much = 1e-9, 1.5
    plane = np.array([[np.cos(little), 0, np.sin(little), 0], [0, np.cos(much), 0, np.sin(much)]])
    estimated = np.array([[1e-20], [1.0]]) * (np.array([[1.0, 2.0], [3.0, -1.0]]) @ plane)
    np.testing.assert_allclose(metrics.subspace_angles(np.eye(4)[:2], estimated), [much, little], rtol=1e-6)


def test_subspace_angles_of_a_span_of_fewer_dimensions():
    assert metrics.subspace_angles(np.eye(3)[:2], [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]) == pytest.approx(
        [np.pi / 2]
    )
    assert metrics.subspace_angles(np.eye(3)[:2], np.zeros((2, 3))).shape == (0,)


@pytest.mark.parametrize("metric", PAIRWISE)
@pytest.mark.parametrize(
    ("true", "estimated", "message"),
    [
        (
            [1.0, 2.0],
            TRUE,
            r"'true' parameter of {} must be .* \(n_components, n_features\)\. Got .* \(2,\) instead",
        ),
        (
            TRUE,
            [[1.0, np.nan]],
            r"'estimated' parameter of {} must be .* finite numbers\. Got .* NaN or infinity",
        ),
        ([[np.inf, 0.0]], TRUE, r"'true' parameter of {} must be .* finite numbers"),
        (
            TRUE,
            np.ones((2, 3)),
            r"'estimated' parameter of {} must be .* as 'true', 2\. Got .* \(2, 3\) instead",
        ),
        (np.ones((0, 2)), TRUE, r"'true' parameter of {} must be a non-empty array"),
        (TRUE, TRUE * 1j, r"'estimated' parameter of {} must be .* real numbers .* complex128 instead"),
        (TRUE, [[1.0, 0.0], [1.0]], r"'estimated' parameter of {} must be .* unequal length instead"),
        (TRUE, [["a", "b"]], r"'estimated' parameter of {} must be .* Got an array of dtype <U1 instead"),
    ],
)
def test_bad_arrays_are_named(metric, true, estimated, message):
    with pytest.raises(ValueError, match=message.format(metric.__name__)):
        metric(true, estimated)


def test_mean_max_cosine_looks_at_signs_where_asked():
    true, estimated = [[1.0, 0.0], [0.0, 2.0]], [[-1.0, 0.0], [3.0, 4.0]]
    assert metrics.mean_max_cosine(true, estimated) == pytest.approx((1 + 0.8) / 2)
    assert metrics.mean_max_cosine(true, estimated, signed=True) == pytest.approx((0.6 + 0.8) / 2)
    assert metrics.mean_max_cosine(true, [[0.0, 0.0]]) == 0.0


def test_sparsity_of_codes_by_hand():
    codes = np.array([[0.0, 1.0, 0.0], [0.0, -2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 1e-300]])
    assert metrics.alive_fraction(codes) == 2 / 3
    assert metrics.active_codes(codes) == 1.0


def test_explained_variance_is_that_of_scikit_learn_weighted_by_variance():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4)) * [1, 2, 3, 0.1] + 5
    guess = X + rng.normal(size=X.shape)
    expected = r2_score(X, guess, multioutput="variance_weighted")
    assert metrics.explained_variance(X, guess) == pytest.approx(expected, rel=1e-12)


def test_explained_variance_of_constant_signals():
    X = np.ones((3, 2))
    assert metrics.explained_variance(X, X) == 1.0
    assert metrics.explained_variance(X, X + 1) == 0.0


@pytest.mark.parametrize("metric", [metrics.alive_fraction, metrics.active_codes])
def test_bad_codes_are_named(metric):
    with pytest.raises(ValueError, match=r"'codes' parameter of \w+ must be .* \(n_samples, n_components\)"):
        metric([1.0, 2.0])


def test_reconstructions_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r"'reconstructed' .* shape of 'X', \(2, 2\)\. Got .* \(1, 2\)"):
        metrics.explained_variance(TRUE, TRUE[:1])


@pytest.mark.parametrize("threshold", [-0.1, 1.0, np.nan, "0.9", None])
def test_bad_thresholds_are_named(threshold):
    message = (
        r"'threshold' parameter of atom_hit_rate must be a float in the range \[0.0, 1.0\)\. Got .* instead"
    )
    with pytest.raises(ValueError, match=message):
        metrics.atom_hit_rate(TRUE, TRUE, threshold)


def test_amari_distance_needs_as_many_independent_components():
    with pytest.raises(ValueError, match=r"as many components as 'true', 2\. Got an array of shape \(1, 2\)"):
        metrics.amari_distance(TRUE, TRUE[:1])
    with pytest.raises(ValueError, match=r"'true' .* linearly independent rows\. Got .* \(3, 2\) and rank 2"):
        metrics.amari_distance(np.ones((3, 2)) + np.eye(3, 2), np.ones((3, 2)))
