"""Student's t: weights, likelihood and pseudo-values of entries, against scipy and plain minimisation."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from sparse_fourier.tails import Residuals, StudentT, Tails, rough_law


def span(law, d=9, r=2, seed=0):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((d, r)))[0].T
    return Tails(rng.standard_normal(d), axes, law, 1, np.ones(d, dtype=bool), is_exact=False)


def signals(tails, n=40, seed=1):
    rng = np.random.default_rng(seed)
    r, d = tails.axes.shape
    within = tails.mean + 5 * rng.standard_normal((n, r)) @ tails.axes
    X = within + tails.law.scale * rng.standard_t(3, (n, d))
    X[::4, 2] += 40 * tails.law.scale
    return np.ldexp(X, tails.exponent)


@pytest.mark.parametrize("nu", [1.0, 3.5, 1000.0])
def test_law_is_students(nu):
    law, r = StudentT(0.3, nu), np.array([-50.0, -0.2, 0.0, 0.7, 1e6])
    np.testing.assert_allclose(law.losses(r), -stats.t.logpdf(r / 0.3, nu) + np.log(0.3), rtol=1e-12)
    step = 1e-6
    slopes = (law.losses(r[:4] + step) - law.losses(r[:4] - step)) / (2 * step)
    np.testing.assert_allclose(law.weights(r[:4]) * r[:4] / 0.3**2, slopes, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("nu", [1.5, 4.0])
def test_law_is_learned_from_draws(nu):
    draws = 0.2 * stats.t.rvs(nu, size=60_000, random_state=3)
    residuals = Residuals(draws, np.ones(len(draws)), float(len(draws)))
    law = rough_law(residuals, 1e-12)
    for _ in range(10):
        law = residuals.refitted(law, 1e-12)
    assert law.scale == pytest.approx(0.2, rel=0.02)
    assert law.degrees_of_freedom == pytest.approx(nu, rel=0.05)
    loss = law.losses(draws).mean()
    for other in (StudentT(law.scale * 1.02, law.degrees_of_freedom), StudentT(law.scale, 1.05 * nu)):
        assert loss <= other.losses(draws).mean() + 1e-6


def test_coordinates_are_the_likeliest():
    tails = span(StudentT(0.05, 2.5))
    X = signals(tails)
    reading = tails.read(X)
    found = (reading.expected - tails.mean) @ tails.axes.T
    for x, codes, residuals in zip(X / 2, found, reading.residuals, strict=True):
        best = minimize(
            lambda h, x=x: tails.law.losses(x - tails.mean - h @ tails.axes).sum(), codes, tol=1e-14
        )
        assert tails.law.losses(residuals).sum() <= best.fun + 1e-9


def test_least_squares_of_pseudo_values_give_the_same_codes():
    tails = span(StudentT(0.05, 2.5))
    X = signals(tails)
    reading = tails.read(X)
    pseudo = np.ldexp(reading.pseudo_values(X.dtype), -tails.exponent) - tails.mean
    np.testing.assert_allclose(pseudo @ tails.axes.T @ tails.axes + tails.mean, reading.expected, atol=1e-9)
    assert np.abs(pseudo - (reading.expected - tails.mean)).max() < 3 * tails.law.scale


def test_missing_entries_stay_missing_and_say_nothing():
    tails = span(StudentT(0.05, 2.5))
    X = signals(tails)
    holed = X.copy()
    holed[:, 4] = np.nan
    without = Tails(
        tails.mean[[0, 1, 2, 3, 5, 6, 7, 8]],
        tails.axes[:, [0, 1, 2, 3, 5, 6, 7, 8]],
        tails.law,
        1,
        np.ones(8, dtype=bool),
        is_exact=False,
    )
    cleaned = tails.cleaned(holed)
    assert np.isnan(cleaned[:, 4]).all()
    np.testing.assert_allclose(np.delete(cleaned, 4, 1), without.cleaned(np.delete(X, 4, 1)), atol=1e-9)


def test_a_signal_is_read_alike_alone_and_among_others():
    tails = span(StudentT(0.05, 1.0))
    X = signals(tails)
    np.testing.assert_allclose(tails.cleaned(X[:1]), tails.cleaned(X)[:1], rtol=1e-9)


def test_pseudo_values_vary_as_the_codes_do():
    tails = span(StudentT(0.05, 3.0), d=40)
    rng = np.random.default_rng(5)
    true = rng.standard_normal((1000, 2))
    X = np.ldexp(tails.mean + true @ tails.axes + 0.05 * rng.standard_t(3, (1000, 40)), 1)
    reading = tails.read(X)
    codes = (reading.expected - tails.mean) @ tails.axes.T
    assert ((codes - true) ** 2).mean() == pytest.approx(tails.law.variance, rel=0.1)
    rest = np.ldexp(reading.pseudo_values(X.dtype), -1) - reading.expected
    assert (rest**2).sum(axis=1).mean() / (40 - 2) == pytest.approx(tails.law.variance, rel=0.1)
