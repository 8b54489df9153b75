"""Closed-form starts: spans against NumPy's decompositions, ranks by simulation, boxes by brute force."""

from itertools import combinations

import numpy as np
import pytest

from sparse_fourier import initialization, scaled
from sparse_fourier.initialization import (
    binary_exponent,
    estimate_rank,
    principal_span,
    project,
    rank_of_share,
    sensible_rank,
    starting_points,
)
from sparse_fourier.scaled import scaled_by_power_of_two

EPS = np.finfo(float).eps
# Tall data go through moments, others through singular values.
SHAPES = [(200, 12), (30, 12), (15, 30)]
every_shape = pytest.mark.parametrize(("n", "d"), SHAPES)


def noisy_signals(n, d, k=3, noise=0.1, seed=0):
    """Entries below one, as the fit hands them over."""
    rng = np.random.default_rng(seed)
    X = (
        rng.uniform(size=(n, k)) @ rng.normal(size=(k, d))
        + noise * rng.normal(size=(n, d))
        + rng.normal(size=d)
    )
    return X / (1.1 * np.abs(X).max())


def span_of(X, weights=None, resolution=EPS):
    return principal_span(X, np.ones(len(X)) if weights is None else weights, resolution)


def projector(rows):
    return rows.T @ rows


@every_shape
def test_span_is_that_of_numpy(n, d):
    X = noisy_signals(n, d)
    span = span_of(X)
    _, singular, axes = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    rank = min(n - 1, d)
    assert span.rank == rank
    np.testing.assert_allclose(span.mean, X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(span.deviations, singular[:rank] / np.sqrt(n), rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(span.axes * axes[:rank], axis=1)), 1.0, rtol=1e-10)
    np.testing.assert_allclose(span.axes @ span.axes.T, np.eye(rank), atol=1e-13)
    assert span.total_variance == pytest.approx(X.var(axis=0).sum(), rel=1e-12)
    assert span.mean_square == pytest.approx((X**2).mean(), rel=1e-12)
    assert span.n_samples == n
    assert span.n_varying == d


@every_shape
def test_weighted_span_has_the_weighted_covariance(n, d):
    X, weights = noisy_signals(n, d), np.random.default_rng(1).uniform(0.1, 3.0, size=n)
    span = span_of(X, weights)
    mean = np.average(X, axis=0, weights=weights)
    covariance = np.cov(X.T, aweights=weights, ddof=0)
    np.testing.assert_allclose(span.mean, mean, rtol=1e-12)
    rebuilt = (span.axes.T * span.deviations**2) @ span.axes
    np.testing.assert_allclose(rebuilt, covariance, atol=1e-14)
    assert span.n_samples == pytest.approx(weights.sum())


@every_shape
def test_a_weight_of_two_is_a_row_twice(n, d):
    X, counts = noisy_signals(n, d), np.random.default_rng(2).integers(1, 4, size=n)
    weighted, repeated = span_of(X, counts.astype(float)), span_of(np.repeat(X, counts, axis=0))
    assert weighted.n_samples == repeated.n_samples
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-12)
    rank = min(weighted.rank, repeated.rank)
    np.testing.assert_allclose(weighted.deviations[:rank], repeated.deviations[:rank], rtol=1e-10)
    np.testing.assert_allclose(projector(weighted.axes[:3]), projector(repeated.axes[:3]), atol=1e-12)
    assert weighted.total_variance == pytest.approx(repeated.total_variance, rel=1e-12)


@pytest.mark.parametrize("strength", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize(("n", "d"), [(300, 30), (50, 10), (40, 30)])
def test_rank_of_data_with_one_weak_component(n, d, strength):
    """Exact rank three, of which the weakest is far below the others: nothing is seen twice."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        components = rng.normal(size=(3, d)) * np.array([[1.0], [1.0], [strength]])
        X = 0.1 * rng.uniform(size=(n, 3)) @ components
        span = span_of(X)
        assert span.rank == 3
        deviations = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[:3] / np.sqrt(n)
        np.testing.assert_allclose(span.deviations, deviations, rtol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(201, 100), (199, 100)])
def test_both_ways_to_decompose_agree(n, d):
    """One row fewer than twice the columns, or one more, is another algorithm and the same answer."""
    X = noisy_signals(n, d)
    span = span_of(X)
    deviations = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) / np.sqrt(n)
    np.testing.assert_allclose(span.deviations, deviations[: span.rank], rtol=1e-9)


@every_shape
def test_weak_directions_are_found_beside_strong_ones(n, d):
    """Over ten orders of magnitude, where a covariance alone would see eight."""
    rng = np.random.default_rng(3)
    strength = np.logspace(0, -10, 6)
    left, right = (np.linalg.qr(rng.normal(size=(m, 6)))[0] for m in (n, d))
    left -= left.mean(axis=0)
    X = 0.5 * (left * strength) @ right.T
    span = span_of(X)
    _, singular, axes = np.linalg.svd(X, full_matrices=False)
    assert span.rank == 6
    np.testing.assert_allclose(span.deviations, singular[:6] / np.sqrt(n), rtol=1e-3)
    np.testing.assert_allclose(span.deviations[:3], singular[:3] / np.sqrt(n), rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(span.axes * axes[:6], axis=1)), 1.0, atol=1e-5)


@every_shape
def test_constant_columns_stay_out_of_the_axes(n, d):
    X = noisy_signals(n, d)
    X[:, 0], X[:, 4] = 0.0, 0.7
    span = span_of(X)
    np.testing.assert_array_equal(span.axes[:, [0, 4]], 0.0)
    np.testing.assert_array_equal(span.mean[[0, 4]], [0.0, 0.7])
    assert span.n_varying == d - 2
    assert span.rank == min(n - 1, d - 2)


def test_single_precision_noise_is_not_taken_for_signal():
    """Signals of rank two, rounded to single precision, have rank two at that resolution."""
    rng = np.random.default_rng(0)
    for n in (300, 40):
        exact = 0.2 * rng.uniform(size=(n, 2)) @ rng.normal(size=(2, 30))
        rounded = exact.astype(np.float32)
        assert span_of(rounded.astype(float), resolution=np.finfo(np.float32).eps).rank == 2
        assert span_of(rounded.astype(float)).rank > 2


def test_span_of_single_precision_data_agrees_with_double():
    X = noisy_signals(400, 20)
    narrow = X.astype(np.float32)
    span = span_of(narrow, resolution=np.finfo(np.float32).eps)
    wide = span_of(narrow.astype(float), resolution=np.finfo(np.float32).eps)
    assert span.mean.dtype == span.axes.dtype == span.deviations.dtype == float
    np.testing.assert_allclose(span.mean, wide.mean, atol=1e-7)
    # products in single precision err by its epsilon times the largest variance, whatever adds them up
    rounding = 4 * np.finfo(np.float32).eps * wide.deviations[0] ** 2
    np.testing.assert_allclose(span.deviations**2, wide.deviations**2, rtol=0, atol=rounding)
    np.testing.assert_allclose(projector(span.axes[:3]), projector(wide.axes[:3]), atol=1e-5)


def test_data_far_from_the_origin_keep_their_shape():
    X = noisy_signals(200, 12)
    near, far = span_of(X / 1024), span_of(X / 1024 + 0.9)
    np.testing.assert_allclose(far.deviations, near.deviations, rtol=1e-9)
    np.testing.assert_allclose(projector(far.axes[:3]), projector(near.axes[:3]), atol=1e-9)


def test_signs_of_axes_do_not_depend_on_the_signs_of_decompositions():
    X = noisy_signals(200, 12)
    flipped = span_of(2 * X.mean(axis=0) - X)
    np.testing.assert_allclose(flipped.axes[:3], span_of(X).axes[:3], atol=1e-10)


def test_no_variance_no_axes():
    span = span_of(np.full((50, 4), 0.3))
    assert (span.rank, span.n_varying, span.total_variance) == (0, 0, 0.0)
    np.testing.assert_array_equal(span.mean, 0.3)


def test_mean_of_a_constant_column_is_exact():
    share = np.random.default_rng(0).dirichlet(np.ones(1000))
    X = np.column_stack([np.full(1000, 0.1), np.linspace(0, 1, 1000)]).astype(np.float32)
    mean = principal_span(X, share, EPS).mean
    assert mean[0] == float(np.float32(0.1))
    assert mean[1] == pytest.approx(share @ X[:, 1].astype(float), rel=1e-12)


def test_residuals_are_distances_from_the_span():
    X = noisy_signals(200, 12)
    span = span_of(X)
    coordinates, squares, cross = project(X, np.ones(len(X)), span, 3)
    explained = coordinates @ span.axes[:3]
    np.testing.assert_allclose(squares, ((X - span.mean - explained) ** 2).sum(axis=1), rtol=1e-9)
    # Pythagoras, over all rows.
    assert squares.mean() == pytest.approx((span.deviations[3:] ** 2).sum(), rel=1e-9)
    np.testing.assert_allclose((coordinates**2).mean(axis=0), span.deviations[:3] ** 2, rtol=1e-9)
    np.testing.assert_allclose(coordinates.mean(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(cross, (span.deviations[:3] ** 2)[:, None] * span.axes[:3], atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_exponent_brings_the_largest_entry_below_one(dtype):
    info = np.finfo(dtype)
    for largest in (1.0, 0.75, 3.7, 1e-30, 1e30, info.max, info.tiny, info.smallest_subnormal):
        for sign in (1, -1):
            X = np.array([[sign * largest, 0.1 * largest]], dtype=dtype)
            scaled = scaled_by_power_of_two(X, -binary_exponent(X))
            assert 0.5 <= np.abs(scaled).max() < 1.0
            np.testing.assert_array_equal(np.ldexp(scaled, binary_exponent(X)), X)
    assert binary_exponent(np.zeros((2, 2), dtype=dtype)) == 0


@pytest.mark.parametrize("exponent", [-1000, -149, -126, -3, 0, 5, 127, 900])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaling_by_a_power_of_two_is_ldexp_of_the_same_type(dtype, exponent):
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        scaled = scaled_by_power_of_two(X, exponent)
        np.testing.assert_array_equal(scaled, np.ldexp(X, exponent))
    assert scaled.dtype == dtype


@every_shape
def test_span_scales_bit_for_bit_with_powers_of_two(n, d):
    X = noisy_signals(n, d)
    one, other = span_of(X), span_of(np.ldexp(X, -9))
    np.testing.assert_array_equal(np.ldexp(one.mean, -9), other.mean)
    np.testing.assert_array_equal(np.ldexp(one.deviations, -9), other.deviations)
    np.testing.assert_array_equal(one.axes, other.axes)


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize(("n", "d"), [(300, 30), (40, 30), (20, 50)])
def test_rank_of_exactly_low_rank_data(rank, n, d):
    for seed in range(10):
        X = noisy_signals(n, d, k=rank, noise=0.0, seed=seed)
        assert estimate_rank(span_of(X), d) == rank


@pytest.mark.parametrize(("n", "d"), [(300, 30), (60, 30), (40, 100)])
@pytest.mark.parametrize("strength", [5.0, 20.0, 1000.0])
def test_rank_under_white_noise(n, d, strength):
    """Signals `strength` times as strong as what white noise would swallow.

    That is √(d/n) of its variance: J. Baik, G. Ben Arous and S. Péché, Annals of Probability 33(5), 2005.
    """
    right, k = 0, 3
    for seed in range(50):
        rng = np.random.default_rng(seed)
        spikes = strength * np.sqrt(d / n) * np.array([4.0, 2.0, 1.0])
        axes = np.linalg.qr(rng.normal(size=(d, k)))[0].T
        X = rng.uniform(-1, 1, size=(n, k)) * np.sqrt(3 * spikes) @ axes + rng.normal(size=(n, d))
        right += estimate_rank(span_of(X / 2 ** binary_exponent(X)), d) == k
    assert right >= 49


@pytest.mark.parametrize(("n", "d"), [(300, 30), (60, 30), (40, 100), (3000, 4)])
def test_pure_noise_has_no_components(n, d):
    ranks = []
    for seed in range(50):
        X = np.random.default_rng(seed).normal(size=(n, d))
        ranks.append(estimate_rank(span_of(X / 2 ** binary_exponent(X)), d))
    assert sum(rank > 0 for rank in ranks) <= 1


def test_rank_counts_weights_as_rows():
    rng = np.random.default_rng(0)
    X = noisy_signals(200, 20, noise=0.3)
    counts = rng.integers(1, 4, size=200)
    weighted = estimate_rank(span_of(X, counts.astype(float)), 20)
    assert weighted == estimate_rank(span_of(np.repeat(X, counts, axis=0)), 20)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_rank_is_blind_to_columns_that_are_zero(noise):
    """Both grids of the seed start at x = 0: the first feature is zero, and n < d too."""
    for n in (300, 20):
        X = noisy_signals(n, 30, k=2, noise=noise)
        padded = np.column_stack([np.zeros(n), X, np.full(n, 0.25)])
        assert estimate_rank(span_of(padded), 32) == estimate_rank(span_of(X), 30) == 2


def test_rank_of_repeated_rows_is_no_larger():
    X = noisy_signals(40, 30, k=2, noise=0.0)
    assert estimate_rank(span_of(np.concatenate([X] * 5)), 30) == 2
    few = np.repeat(noisy_signals(4, 30, k=3, noise=0.1), 50, axis=0)
    assert estimate_rank(span_of(few), 30) == 3


def test_rank_of_a_share_of_variance():
    X = noisy_signals(200, 12)
    span = span_of(X)
    explained = np.cumsum(np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2)
    explained /= explained[-1]
    for share in (0.01, 0.5, 0.9, 0.99, 0.9999):
        assert rank_of_share(span, share) == int((explained < share).sum()) + 1
    assert rank_of_share(span, 1 - 1e-16) == span.rank


def test_starts_have_the_moments_of_the_prior():
    rng = np.random.default_rng(0)
    whitened = rng.normal(size=(500, 3))
    whitened = np.linalg.qr(whitened - whitened.mean(axis=0))[0] * np.sqrt(500)
    starts = starting_points(3, 4, (0.5, 1 / 12), np.random.RandomState(0))
    assert starts.unmixing.shape == (4, 3, 3)
    for unmixing, offset in zip(starts.unmixing, starts.offset, strict=True):
        codes = whitened @ unmixing.T + offset
        np.testing.assert_allclose(codes.mean(axis=0), 0.5, atol=1e-13)
        np.testing.assert_allclose(np.cov(codes.T, ddof=0), np.eye(3) / 12, atol=1e-13)
    np.testing.assert_allclose(starts.unmixing[0], np.eye(3) / np.sqrt(12), rtol=1e-15)
    apart = [np.abs(a - b).max() for a, b in combinations(starts.unmixing, 2)]
    assert min(apart) > 0.05


def test_starts_depend_on_nothing_but_the_draw():
    one, other = (starting_points(2, 3, (0.5, 1 / 12), np.random.RandomState(7)) for _ in range(2))
    np.testing.assert_array_equal(one.unmixing, other.unmixing)
    more = starting_points(2, 5, (0.5, 1 / 12), np.random.RandomState(7))
    np.testing.assert_array_equal(more.unmixing[:3], one.unmixing)


def test_rank_of_signals_brought_to_mean_zero_and_norm_one():
    """They lack a dimension, and are full of noise all the same."""
    X = noisy_signals(300, 30, k=3, noise=0.1)
    X = X - X.mean(axis=1, keepdims=True)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    span = span_of(X)
    assert span.rank == 29
    assert sensible_rank(span, 30) == (estimate_rank(span, 30), True)
    assert sensible_rank(span, 30)[0] <= 6


def test_rank_on_coloured_noise_is_a_guess_within_bounds():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 40)) * np.exp(-0.3 * np.arange(40))
    X /= np.abs(X).max()
    span = span_of(X)
    assert estimate_rank(span, 40) > 30
    k, trusted = sensible_rank(span, 40)
    assert not trusted
    assert k == rank_of_share(span, 0.99)
    few = span_of(X[:50])
    assert sensible_rank(few, 40)[0] <= 5


@pytest.mark.parametrize("correlation", [0.3, 0.9])
@pytest.mark.parametrize(("n", "d"), [(300, 30), (80, 200)])
def test_rank_on_noise_whose_neighbours_correlate_is_a_guess(n, d, correlation):
    rng = np.random.default_rng(0)
    colour = np.linalg.cholesky(correlation ** np.abs(np.subtract.outer(np.arange(d), np.arange(d))))
    X = noisy_signals(n, d, k=3, noise=0.0) + 0.3 * rng.normal(size=(n, d)) @ colour.T
    span = span_of(X / np.abs(X).max())
    k, trusted = sensible_rank(span, d)
    assert not trusted
    assert k <= np.sqrt(n / 2)


@pytest.mark.parametrize(("n", "d", "k"), [(300, 30, 2), (2000, 60, 8), (80, 200, 3), (60, 200, 15)])
def test_rank_on_white_noise_is_trusted(n, d, k):
    span = span_of(noisy_signals(n, d, k=k, noise=0.02))
    assert sensible_rank(span, d) == (k, True)


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
@pytest.mark.parametrize("weighted", [False, True])
def test_products_in_single_precision_are_enough_for_noisy_data_of_that_type(scale, weighted):
    """Span, rank, coordinates and residuals are those of the same numbers in double precision."""
    n, d = 4000, 40
    X = ((10 + 5 * noisy_signals(n, d, noise=0.05)) * scale).astype(np.float32)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, n) if weighted else np.ones(n)
    exponent = -binary_exponent(X)
    resolution = float(np.finfo(np.float32).eps)
    narrow, wide = (
        principal_span(each, weights, resolution, exponent=exponent) for each in (X, X.astype(float))
    )
    assert narrow.single
    assert not wide.single
    assert estimate_rank(narrow, d) == estimate_rank(wide, d) == 3
    np.testing.assert_allclose(narrow.mean, wide.mean, rtol=1e-6)
    np.testing.assert_allclose(narrow.deviations, wide.deviations, rtol=1e-4)
    np.testing.assert_allclose(projector(narrow.axes[:3]), projector(wide.axes[:3]), atol=1e-6)
    (z, squares, cross), (others, distances, products) = (
        project(each, weights, span, 3, exponent) for each, span in ((X, narrow), (X.astype(float), wide))
    )
    np.testing.assert_allclose(z, others, atol=1e-4 * wide.deviations[2])
    np.testing.assert_allclose(squares, distances, rtol=1e-2)
    assert weights @ squares == pytest.approx(weights @ distances, rel=1e-5)
    np.testing.assert_allclose(cross, products, atol=1e-5 * wide.deviations[2] ** 2)


@pytest.mark.parametrize("middle", [0.0, 1.5])
def test_rounding_is_trusted_only_as_far_as_noise_drowns_it(middle):
    """Eigenvalues of noise stay within a few thousandths, far below what sampling does to them."""
    n, d, k, rng = 6000, 300, 10, np.random.default_rng(0)
    codes = middle + rng.normal(size=(n, k))
    trusted = []
    for noise in np.geomspace(0.3, 1e-3, 12):
        X = (codes @ rng.normal(size=(k, d)) + noise * rng.normal(size=(n, d))).astype(np.float32)
        data = scaled.Scaled.of(X, np.ones(n))
        found = initialization._in_single_precision(data, True)
        trusted.append(found is not None)
        if found is not None:
            variances = np.linalg.eigvalsh(np.cov(X.T.astype(float), bias=True))[::-1]
            np.testing.assert_allclose(found.deviations[k:] ** 2, variances[k:], rtol=3e-3)
    assert trusted[0]
    assert not trusted[-1]


def test_little_noise_demands_double_precision():
    X = noisy_signals(4000, 40, noise=1e-3).astype(np.float32)
    span = span_of(X, resolution=float(np.finfo(np.float32).eps))
    assert not span.single
    expected = np.linalg.svd(X.astype(float) - X.mean(axis=0, dtype=float), compute_uv=False) / np.sqrt(
        len(X)
    )
    np.testing.assert_allclose(span.deviations, expected, rtol=1e-9)
