"""Losses against the formulas of the field, written out."""

import numpy as np
import pytest

from sparse_fourier.activations import Identity, ReLU
from sparse_fourier.losses import Batch, NegativeLogLikelihood, SquaredError, Tabulated
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.penalties.base import FunctionPenalty
from sparse_fourier.priors import Laplace, Learned, Uniform
from sparse_fourier.stacks import evaluate, stack

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
WEIGHTS = RNG.integers(1, 4, size=40).astype(float)


def autoencoder():
    skip = Layer(0.2 * RNG.normal(size=(6, 2)), np.full(2, 0.5))
    return Autoencoder(Encoder(skip, (), ReLU(), Identity()), RNG.normal(size=(2, 6)), RNG.normal(size=6))


MODEL = autoencoder()
CODES = MODEL.encode(X)
SQUARES = ((X - CODES @ MODEL.components - MODEL.intercept) ** 2).sum(axis=1)
SHARE = WEIGHTS / WEIGHTS.sum()


def loss_of(loss, weights=WEIGHTS):
    batch = Batch(X, weights, weights.sum())
    return evaluate(stack([MODEL], float), loss, batch, np.ones(1))[0]


def test_squared_error_is_the_weighted_mean_over_entries():
    assert loss_of(SquaredError((), 1.0)) == pytest.approx(SHARE @ SQUARES / 6, rel=1e-12)


def test_likelihood_is_the_designs_formula_with_the_networks_codes():
    prior = Laplace(scale=0.7)
    found = loss_of(NegativeLogLikelihood((), 1.0, prior, 1e-12 * np.eye(2), 1e-12))
    noise = SHARE @ SQUARES / 4
    gram = MODEL.components @ MODEL.components.T
    expected = SHARE @ (np.abs(CODES).sum(axis=1) / 0.7) + 2 * np.log(2 * 0.7)
    expected += 4 / 2 * (1 + np.log(2 * np.pi * noise)) + 0.5 * np.log(np.linalg.det(gram))
    assert found == pytest.approx(expected, rel=1e-10)


def test_volume_has_a_lower_bound_where_a_component_vanishes():
    """Codes confined to the box do not grow when their component shrinks: it must not pay."""
    loss = NegativeLogLikelihood((), 1.0, Uniform(), 12 * np.eye(2), 1e-12)
    batch = Batch(X, WEIGHTS, WEIGHTS.sum())
    values = []
    for size in (1.0, 1e-3, 1e-6, 1e-100):
        model = Autoencoder(_box(), MODEL.components * np.array([[size], [1.0]]), MODEL.intercept)
        values.append(evaluate(stack([model], float), loss, batch, np.ones(1))[0])
    assert values[3] == pytest.approx(values[2], abs=1e-4)


def _box():
    from sparse_fourier.activations import Sigmoid

    return Encoder(MODEL.encoder.skip, (), ReLU(), Sigmoid())


def test_penalties_see_model_signals_and_codes_and_are_added():
    def penalty(model, signals, codes):
        return 0.25 * (model.components**2).sum() + (codes - model.encode(signals)).sum()

    plain = loss_of(SquaredError((), 1.0))
    n_of_unit_norm = len(MODEL.components)
    penalised = SquaredError((), 1.0)(MODEL, Batch(X, WEIGHTS, WEIGHTS.sum()), 1.0, 1.0)[0]
    assert penalised == pytest.approx(plain)
    penalised = SquaredError((FunctionPenalty(penalty),), 1.0)(
        MODEL, Batch(X, WEIGHTS, WEIGHTS.sum()), 1.0, 1.0
    )[0]
    assert penalised == pytest.approx(plain + 0.25 * n_of_unit_norm, rel=1e-12)


def test_tables_of_learned_densities_are_close_to_them():
    tables = Tabulated.of(Learned(), 2)
    codes = np.random.default_rng(1).normal(size=(200, 2))
    np.testing.assert_allclose(tables.log_density(codes), Learned().log_density(codes), atol=1e-3)
