"""What one pass over signals and their codes tells: against NumPy on all of them at once."""

import numpy as np
import pytest

from sparse_fourier.measuring import WeightedSignals

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6)) + 1e4
WEIGHTS = RNG.integers(1, 4, 70).astype(float)
UNMIXING = RNG.normal(size=(6, 2))
EXPONENT = 3


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr("sparse_fourier.measuring._ENTRIES_OF_A_BLOCK", 6 * 16)


def encode(x):
    return np.maximum((x - x.mean(axis=1, keepdims=True)) @ UNMIXING, 0)


@pytest.fixture(name="parts")
def measured():
    signals = WeightedSignals.of(X, WEIGHTS, EXPONENT)
    return signals, signals.coded(encode)


def repeated(array):
    return np.repeat(array, WEIGHTS.astype(int), axis=0)


@pytest.mark.parametrize("centred", [0.0, 1.0])
def test_best_decoder_is_that_of_least_squares(parts, centred):
    coded, moments = parts[1], parts[1].moments
    unit = repeated(X / 2**EXPONENT)
    h = encode(unit)
    design = np.column_stack([h, np.ones(len(h))]) if centred else h
    expected = np.linalg.lstsq(design, unit, rcond=None)[0]
    components, intercept = moments.best_decoder(centred)
    np.testing.assert_allclose(components, expected[:2], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(intercept, expected[2] if centred else 0.0, rtol=1e-9)
    left = ((unit - design @ expected) ** 2).sum(axis=1).mean()
    assert coded.error(components, intercept) == pytest.approx(left, rel=1e-6)
    np.testing.assert_allclose(coded.deviations, h.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(coded.mean, h.mean(axis=0), rtol=1e-9)
    assert moments.spread == pytest.approx(unit.var(axis=0).sum(), rel=1e-9)
    np.testing.assert_allclose(moments.average, unit.mean(axis=0), rtol=1e-12)


def test_an_error_that_cancels_is_taken_signal_by_signal():
    components = RNG.normal(size=(2, 6))
    exact = RNG.normal(size=(70, 2)) @ components + 1e-9
    signals = WeightedSignals.of(exact, WEIGHTS, 0)
    coded = signals.coded(lambda x: x @ np.linalg.pinv(components))
    left = repeated(exact - exact @ np.linalg.pinv(components) @ components) ** 2
    left = left.sum(axis=1).mean()
    assert 1e-19 < left < 1e-17
    assert coded.error(components, np.zeros(6)) == pytest.approx(left, rel=1e-5)


def test_covariance_along_axes(parts):
    signals = parts[0]
    axes = np.linalg.qr(RNG.normal(size=(6, 3)))[0].T
    unit = repeated(X / 2**EXPONENT)
    origin = unit[0]
    middle, covariance = signals.along(origin, axes)
    places = (unit - origin) @ axes.T
    np.testing.assert_allclose(middle, places.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(covariance, np.cov(places.T, ddof=0), rtol=1e-8)
    left = ((unit - origin - places @ axes) ** 2).sum(axis=1).mean()
    assert signals.off(origin, axes) == pytest.approx(left, rel=1e-8)
    np.testing.assert_allclose(signals.average, unit.mean(axis=0), rtol=1e-12)
