"""Learning densities in turn with the basis: against known rotations, and identities of the outcome."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sparse_fourier.learning import Solution, learn, local_model
from sparse_fourier.metrics import amari_distance
from sparse_fourier.rotations import Signals


def turn(angle):
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def whitened(codes):
    centred = codes - codes.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(codes))
    return centred @ (vectors / np.sqrt(values)), vectors / np.sqrt(values)


def signals_of(codes, weights=None):
    """Whitened signals of unmixed codes, and the true mixing of the whitened coordinates."""
    coordinates, mixing = whitened(codes)
    n = len(codes)
    share = np.full(n, 1 / n) if weights is None else weights / weights.sum()
    return Signals(coordinates, share, float(n if weights is None else weights.sum())), mixing


def learned(signals, seed=0, **options):
    options = {"max_iter": 1000, "tell": lambda iteration, loss: False} | options
    return learn(signals, None, np.random.RandomState(seed), **options)


def draws(kind, shape, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "uniform": rng.uniform,
        "exponential": rng.exponential,
        "laplace": rng.laplace,
        "two-humped": lambda size: rng.choice([-1.0, 1.0], size) + 0.4 * rng.normal(size=size),
    }[kind](size=shape)


@pytest.mark.parametrize(
    ("kind", "edges", "error"),
    [("uniform", 2, 0.006), ("exponential", 1, 0.003), ("laplace", 0, 0.03), ("two-humped", 0, 0.015)],
)
def test_densities_and_basis_are_found_together(kind, edges, error):
    """Errors are about twice the means over a hundred draws."""
    signals, mixing = signals_of(draws(kind, (3000, 3)))
    outcome = learned(signals)
    assert outcome.converged
    assert [density.edges for density in outcome.densities] == [edges] * 3
    assert amari_distance(mixing, np.linalg.inv(outcome.point.unmixing).T) < error


def test_curve_is_told_round_by_round():
    signals, _ = signals_of(draws("two-humped", (1000, 2)))
    told = []
    outcome = learned(signals, tell=lambda iteration, loss: told.append((iteration, loss)))
    assert [loss for _, loss in told] == list(outcome.curve)
    assert [iteration for iteration, _ in told] == list(range(1, len(told) + 1))


def test_caller_can_end_it():
    signals, _ = signals_of(draws("laplace", (1000, 3)))
    outcome = learned(signals, tell=lambda iteration, loss: iteration == 2)
    assert outcome.stopped
    assert not outcome.converged
    assert len(outcome.curve) == 2
    assert np.isfinite(outcome.point.unmixing).all()


def test_rounds_are_limited():
    signals, _ = signals_of(draws("laplace", (1000, 3)))
    outcome = learned(signals, max_iter=3)
    assert len(outcome.curve) == 3
    assert not outcome.converged


def test_weights_are_repetitions():
    codes = draws("exponential", (300, 2))
    counts = np.random.default_rng(1).integers(1, 4, size=300)
    repeated, mixing = signals_of(np.repeat(codes, counts, axis=0))
    once = np.cumsum(counts) - 1
    weighted = Signals(repeated.whitened[once], counts / counts.sum(), float(counts.sum()))
    one, other = learned(repeated), learned(weighted)
    np.testing.assert_allclose(one.point.unmixing, other.point.unmixing, atol=1e-6)
    assert amari_distance(mixing, np.linalg.inv(one.point.unmixing).T) < 0.02


def test_turned_coordinates_give_the_same_codes():
    signals, _ = signals_of(draws("two-humped", (2000, 2)))
    turned = Signals(signals.whitened @ turn(0.3), signals.weights, signals.n_samples)
    one, other = (part.point.encode(s.whitened) for s in (signals, turned) for part in [learned(s)])
    matched = np.abs(np.corrcoef(one.T, other.T)[:2, 2:]).max(axis=1)
    np.testing.assert_allclose(matched, 1.0, atol=1e-6)


@pytest.mark.parametrize("k", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_dependent_codes_are_learned_to_an_optimum(k):
    """Steps that know nothing of densities that follow are twice as many, or end where a knot is added."""
    pixels = load_digits().data
    values, vectors = np.linalg.eigh(np.cov(pixels.T, bias=True))
    coordinates = (pixels - pixels.mean(axis=0)) @ (vectors[:, -k:] / np.sqrt(values[-k:]))
    n = len(pixels)
    signals = Signals(coordinates, np.full(n, 1 / n), float(n))
    outcome = learned(signals)
    assert outcome.converged
    codes = (coordinates @ outcome.point.unmixing.T + outcome.point.offset).T
    model = local_model(signals.weights, Solution.of(outcome.point, outcome.densities, codes))
    promised = n * model.gradient @ model.solver(0.0)[0](model.gradient)
    assert promised < 0.005  # nats of all samples; without a memory of steps 0.04 for eight codes
