"""Codes as a function of coordinates, against the array of them."""

import numpy as np
import pytest

from sparse_fourier import initialization, reduction, scaled
from sparse_fourier.coded import Coded
from sparse_fourier.objective import Point
from sparse_fourier.priors import Exponential, Laplace, Uniform

N, R = 20_000, 3


def coded(middle=0.0, *, even=True, seed=0):
    rng = np.random.default_rng(seed)
    weights = np.ones(N) if even else rng.uniform(0.5, 2, size=N)
    point = Point(0.3 * rng.normal(size=(R, R)), np.full(R, 0.5))
    return Coded(middle + rng.normal(size=(N, R)), weights / weights.sum(), point)


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("middle", [0.0, 1.0, 1e4])
def test_moments_are_those_of_the_array(middle, even):
    codes = coded(middle, even=even)
    array, share = codes.array(), codes.share
    mean = share @ array
    np.testing.assert_allclose(codes.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(codes.deviations, np.sqrt(share @ (array - mean) ** 2), rtol=1e-10)


def test_mapped_codes_are_the_codes_mapped():
    codes, order = coded(1.0), np.array([2, 0, 1])
    factors, shifts = np.array([-1.0, 2.0, 0.5]), np.array([1.0, 0.0, -3.0])
    mapped = codes.mapped(factors, shifts, order)
    expected = (factors * codes.array() + shifts)[:, order]
    np.testing.assert_allclose(mapped.array(), expected, atol=1e-13)
    np.testing.assert_allclose(mapped.mean, codes.share @ expected, atol=1e-12)
    np.testing.assert_allclose(mapped.deviations, expected.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("prior", [Uniform(), Laplace(), Exponential()], ids=str)
@pytest.mark.parametrize("deviation", [1e-3, 0.3])
@pytest.mark.parametrize("even", [True, False])
def test_the_mean_log_likelihood_is_that_of_all_rows(prior, deviation, even):
    codes, chosen = coded(even=even), np.array([2, 0])
    variances = deviation**2 * np.array([1.0, 2.0])
    expected = codes.share @ prior.log_likelihoods(codes.array()[:, chosen], variances)
    assert codes.mean_log_likelihood(prior, chosen, variances) == pytest.approx(expected, rel=1e-11)


def test_thinned_codes_stand_for_all():
    codes = coded(even=False)
    thinned = codes.thinned(N // 10)
    assert len(thinned.share) == N // 10
    assert thinned.share.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(thinned.array(), codes.array()[::10])
    assert codes.thinned(N) is codes


def noisy(noise, mean=1.0, exponent=0):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(N, R)) @ rng.normal(size=(R, 40)) + mean
    X = np.ldexp((X + noise * rng.normal(size=X.shape)).astype(np.float32), exponent)
    return scaled.Scaled.of(X, rng.uniform(1, 2, size=N), -exponent)


@pytest.mark.parametrize("exponent", [0, 7, -60])
@pytest.mark.parametrize("mean", [0.0, 1.0, 10.0])
def test_products_in_single_precision_do_where_noise_drowns_their_rounding(mean, exponent):
    data = noisy(0.3, mean, exponent)
    eps = float(np.finfo(np.float32).eps)
    span = initialization.span_of_scaled(data, eps, centred=True, n_components=R)
    axes, deviations = span.axes[:R], span.deviations[:R]
    expected, squares, cross = data.projected(span.mean, axes, float, deviations)
    found = initialization.whitened(data, span, R)
    np.testing.assert_allclose(found[0], expected, atol=2e-4)
    np.testing.assert_allclose(found[1], squares, rtol=5e-3)
    assert data.share @ found[1] == pytest.approx(data.share @ squares, rel=1e-5)
    np.testing.assert_allclose(found[2], cross / deviations[:, None], atol=1e-5 * np.abs(cross).max())


def test_coordinates_of_noisy_signals_in_single_precision_remain_in_it():
    data = noisy(0.3)
    span = initialization.span_of_scaled(data, 1e-7, centred=True, n_components=R)
    assert initialization.whitened(data, span, R)[0].dtype == np.float32


@pytest.mark.parametrize("n", [1000, 100_000])
def test_sums_of_rows_in_single_precision_keep_the_mean(n):
    rng = np.random.default_rng(0)
    block = (3 + rng.normal(size=(n, 7))).astype(np.float32)
    weights = rng.uniform(size=n).astype(np.float32).astype(float)
    expected = weights @ block.astype(float)
    np.testing.assert_allclose(scaled.sum_of_rows(block, weights), expected, rtol=2e-7)
    np.testing.assert_allclose(scaled.sum_of_rows(block.astype(float), weights), expected, rtol=1e-13)


def test_little_noise_takes_more_than_single_precision():
    data = noisy(1e-3)
    span = initialization.span_of_scaled(data, 1e-7, centred=True, n_components=R)
    left = span.total_variance - float((span.deviations[:R] ** 2).sum())
    assert data.drowned(span.mean, span.axes[:R], span.deviations[:R], left) is None


@pytest.mark.parametrize(
    "shape", [(1, 7, 8), (700, 100, 16), (1250, 100, 16), (90, 1000, 40), (5, 30_000, 40)]
)
def test_products_with_few_columns_are_products(shape):
    n, d, m = shape
    rng = np.random.default_rng(0)
    block, narrow = rng.normal(size=(n, d)), rng.normal(size=(d, m))
    out = np.full((n, m), np.nan)
    assert scaled.times_narrow(block, narrow, out) is out
    np.testing.assert_allclose(out, np.einsum("ij,jk->ik", block, narrow), atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weak", [1.0, 1e-3])
def test_moments_that_are_known_are_those_of_the_coordinates(dtype, weak):
    """Along axes of about one size; those of weak ones are measured, for rounding turns the axes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, R)) * [1.0, 1.0, weak] @ rng.normal(size=(R, 8)) + 0.1 * weak * rng.normal(
        size=(N, 8)
    )
    weights = rng.uniform(1, 2, size=N)
    data = reduction.reduce_signals(X.astype(dtype), weights, Uniform(), R, centred=True)
    codes, share = data.coded(Point(np.eye(R), np.zeros(R))), weights / weights.sum()
    mean = share @ data.whitened.astype(float)
    deviations = np.sqrt(share @ (data.whitened - mean) ** 2)
    assert data.white == (weak == 1.0)
    np.testing.assert_allclose(codes.mean, mean, atol=30 * np.finfo(dtype).eps)
    np.testing.assert_allclose(codes.deviations, deviations, rtol=30 * np.finfo(dtype).eps)


@pytest.mark.parametrize("change", ["components", "shares", "anchored"])
def test_coordinates_that_are_not_white_are_measured(change):
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 8)) + 1.0, np.ones(400)
    data = reduction.reduce_signals(X, weights, Uniform(), 2, centred=change != "anchored")
    if change == "components":
        data = reduction.onto_components(data, X, rng.normal(size=(2, 8)))
    data = data.with_shares() if change == "shares" else data
    point = Point(rng.normal(size=(data.rank, data.rank)), rng.normal(size=data.rank))
    codes, array = data.coded(point), point.encode(data.whitened)
    np.testing.assert_allclose(codes.mean, array.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(codes.deviations, array.std(axis=0), rtol=1e-12)
