"""What observed entries say of codes, against dense formulas for one signal at a time."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sparse_fourier.entries import Decoder, read

K, D = 3, 8
RNG = np.random.default_rng(0)
W, B, MEAN = RNG.standard_normal((K, D)), RNG.standard_normal(D), RNG.standard_normal(K)
COVARIANCE = np.diag([2.0, 1.0, 0.5]) + 0.2
X = RNG.standard_normal((40, K)) @ W + B + 0.1 * RNG.standard_normal((40, D))
X[RNG.random(X.shape) < 0.4] = np.nan
X[0], X[1, 1:], X[2, :] = np.nan, np.nan, np.arange(D)
SEEN = ~np.isnan(X)
NOISE = 0.01


def reading(noise=NOISE):
    return read(X, Decoder.of(W, B, MEAN, COVARIANCE, noise))


def test_codes_that_entries_determine_are_least_squares():
    found = reading()
    determined = ~found.open.any(axis=1)
    assert 5 < determined.sum() < len(X)
    for row in np.flatnonzero(determined):
        design, target = W[:, SEEN[row]].T, (X - B)[row, SEEN[row]]
        code, squares, _, _ = np.linalg.lstsq(design, target, rcond=None)
        np.testing.assert_allclose(found.codes[row], code, rtol=1e-9, atol=1e-9)
        variances = NOISE * np.diagonal(np.linalg.inv(design.T @ design))
        np.testing.assert_allclose(found.code_variances[row], variances, rtol=1e-9)
        assert found.residuals[row] == pytest.approx(squares.sum() if squares.size else 0.0, abs=1e-12)


def test_codes_that_entries_leave_open_are_what_the_prior_expects():
    noise = 1e-9
    codes = reading(noise).codes
    for row in range(len(X)):
        design = W[:, SEEN[row]]
        gain = (
            COVARIANCE
            @ design
            @ np.linalg.inv(design.T @ COVARIANCE @ design + noise * np.eye(SEEN[row].sum()))
        )
        expected = MEAN + gain @ ((X - B)[row, SEEN[row]] - MEAN @ design)
        np.testing.assert_allclose(codes[row], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(codes[0], MEAN)


@pytest.mark.parametrize("noise", [0.01, 1.0])
def test_gaussian_losses_are_those_of_the_dense_density(noise):
    losses = reading(noise).gaussian_losses()
    assert losses[0] == pytest.approx(0.0, abs=1e-12), "nothing seen, nothing said"
    for row in range(1, len(X)):
        design = W[:, SEEN[row]]
        spread = design.T @ COVARIANCE @ design + noise * np.eye(SEEN[row].sum())
        mean = (B + MEAN @ W)[SEEN[row]]
        dense = multivariate_normal(mean, spread).logpdf(X[row, SEEN[row]])
        assert losses[row] == pytest.approx(-dense, rel=1e-8)


def test_losses_are_finite_without_noise():
    assert np.isfinite(reading(1e-300).gaussian_losses()).all()


def test_volume_of_complete_signals_is_no_different():
    found = reading()
    assert found.volumes[2] == pytest.approx(0.0, abs=1e-12)


def test_codes_of_sum_one_keep_their_sum():
    even = np.full(K, 1 / K)
    decoder = Decoder.of(W, B, even, (np.eye(K) - 1 / K) / 12, NOISE)
    found = read(X, decoder)
    np.testing.assert_allclose(found.codes.sum(axis=1), 1.0)
    assert decoder.root.shape == (K, K - 1)


@pytest.mark.parametrize("noise", [0.01, 1.0])
def test_completed_codes_are_least_squares_once_gaps_are_filled(noise):
    codes = reading(noise).completed_codes
    for row in range(len(X)):
        seen = SEEN[row]
        spread = W.T @ COVARIANCE @ W
        gain = spread[:, seen] @ np.linalg.inv(spread[np.ix_(seen, seen)] + noise * np.eye(seen.sum()))
        mean = B + MEAN @ W
        filled = np.where(seen, X[row], mean + gain @ (X[row] - mean)[seen])
        expected = np.linalg.lstsq(W.T, filled - B, rcond=None)[0]
        np.testing.assert_allclose(codes[row], expected, rtol=1e-8, atol=1e-8)
