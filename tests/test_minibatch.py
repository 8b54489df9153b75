"""The loop of stochastic optimisers: against the same steps in plain NumPy, and its rule."""

import numpy as np
import pytest

from sparse_fourier.activations import Identity, Sigmoid
from sparse_fourier.losses import Batch, SquaredError, padded
from sparse_fourier.minibatch import Regime, train_in_batches
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.optimizers import SGD, RMSProp
from sparse_fourier.stacks import first_state, stack

X = np.random.default_rng(0).normal(size=(50, 4))
LOSS = SquaredError((), 1.0)


def start(seed=0, activation=None):
    rng = np.random.default_rng(seed)
    skip = Layer(rng.normal(size=(4, 2)), np.zeros(2))
    encoder = Encoder(skip, (), Identity(), activation or Sigmoid())
    return Autoencoder(encoder, rng.normal(size=(2, 4)), np.zeros(4))


def trained(optimizer, seeds=(0,), *, X=X, dtype=float, rng=0, **changes):
    regime = {"batch_size": 7, "max_epochs": 3, "tol": 1e-12, "patience": 10, "rate": 0.05, **changes}
    data = padded(X.astype(dtype), np.ones(len(X), dtype))
    state = first_state(stack([start(seed) for seed in seeds], dtype), optimizer, np.ones(len(seeds), dtype))
    return train_in_batches(LOSS, optimizer, state, data, Regime(**regime), np.random.RandomState(rng))


def steps_in_numpy(n_epochs, batch_size=7, rate=0.05, decay=0.9):
    """RMSProp on the sigmoid network, derived by hand."""
    model, rng = start(), np.random.RandomState(0)
    V, c, W, b = [np.array(part) for part in (*model.encoder.skip, model.components, model.intercept)]
    squares = [np.zeros_like(part) for part in (V, c, W, b)]
    curve = []
    for _ in range(n_epochs):
        order, losses = rng.permutation(len(X)), []
        for first in range(0, len(X), batch_size):
            x = X[order[first : first + batch_size]]
            h = 1 / (1 + np.exp(-(x @ V + c)))
            r = h @ W + b - x
            losses.append(((r**2).mean(), len(x)))
            slope = 2 * r / r.size
            inner = slope @ W.T * h * (1 - h)
            gradients = [x.T @ inner, inner.sum(axis=0), h.T @ slope, slope.sum(axis=0)]
            for part, square, gradient in zip((V, c, W, b), squares, gradients, strict=True):
                square *= decay
                square += (1 - decay) * gradient**2
                part -= rate * gradient / np.sqrt(square + 1e-10)
        curve.append(np.average([value for value, _ in losses], weights=[n for _, n in losses]))
    return V, W, np.array(curve)


def test_steps_are_those_derived_by_hand():
    outcome = trained(RMSProp())
    V, W, curve = steps_in_numpy(3)
    np.testing.assert_allclose(outcome.state.model.encoder.skip.weights[0], V, rtol=1e-9)
    np.testing.assert_allclose(outcome.state.model.components[0], W, rtol=1e-9)
    np.testing.assert_allclose(outcome.curve, curve, rtol=1e-9)
    assert outcome.state.count == 3 * 8


def test_single_precision_agrees_with_double():
    one, other = trained(RMSProp(), dtype=np.float32), trained(RMSProp())
    assert one.state.model.components.dtype == np.float32
    np.testing.assert_allclose(one.state.model.components, other.state.model.components, rtol=1e-3, atol=1e-4)


def test_the_length_of_chunks_does_not_matter(monkeypatch):
    """Nor where training stops."""
    whole = trained(RMSProp(), max_epochs=200, patience=3)
    monkeypatch.setattr("sparse_fourier.minibatch._CHUNK_SECONDS", 1e-9)
    pieces = trained(RMSProp(), max_epochs=200, patience=3)
    assert whole.converged
    np.testing.assert_array_equal(whole.curve, pieces.curve)
    np.testing.assert_array_equal(whole.state.model.components, pieces.state.model.components)


def test_starts_side_by_side_are_those_one_by_one():
    both = trained(RMSProp(), seeds=(0, 1))
    alone = trained(RMSProp(), seeds=(1,))
    np.testing.assert_allclose(both.state.model.components[1], alone.state.model.components[0], rtol=1e-9)
    assert both.best == np.argmin([trained(RMSProp(), seeds=(s,)).curve[-1] for s in (0, 1)])


def test_other_rates_and_lengths_compile_nothing(compiled):
    trained(RMSProp())
    compiled.clear()
    trained(RMSProp(), X=X[:43], rate=0.01, max_epochs=5)
    trained(RMSProp(decay=0.5), X=np.tile(X, (3, 1)), tol=1e-3)
    assert not compiled


def test_one_batch_of_fewer_rows_than_it_has_room_for_counts_each_once(compiled):
    whole = trained(RMSProp(), batch_size=50)
    compiled.clear()
    roomy = trained(RMSProp(), batch_size=200)
    np.testing.assert_allclose(roomy.curve, whole.curve, rtol=1e-9)
    np.testing.assert_allclose(roomy.state.model.components, whole.state.model.components, rtol=1e-9)
    assert len(compiled) == 1
    for n in (1, 8, 31, 49):
        trained(RMSProp(), X=X[:n], batch_size=200)
    assert len(compiled) == 1


def test_training_goes_on_with_smaller_steps_where_it_diverged():
    """Twice the error, twice the step: plain gradient descent explodes, and is brought back."""
    outcome = trained(SGD(), rate=3e2, max_epochs=60, patience=60)
    assert outcome.lowered < 1
    assert np.isfinite(outcome.curve).all()
    with pytest.raises(
        ValueError, match=r"became non-finite at iteration 1 of 3 \(learning_rate=1e\+30\).*Low"
    ):
        trained(SGD(), rate=1e30)


def test_early_stopping_keeps_what_was_best_on_held_out_signals():
    rng = np.random.default_rng(1)
    few, other = X[:10], rng.normal(size=(200, 4))
    held_out = padded(other, np.ones(200))
    outcome = trained(RMSProp(), X=few, max_epochs=300, patience=5, held_out=held_out)
    assert len(outcome.curve) < 300
    kept = SquaredError((), 1.0)(_first(outcome), Batch(other, np.ones(200), 200.0), 1.0, 1.0)[0]
    longer = trained(RMSProp(), X=few, max_epochs=len(outcome.curve))
    last = SquaredError((), 1.0)(_first(longer), Batch(other, np.ones(200), 200.0), 1.0, 1.0)[0]
    assert kept < last


def _first(outcome):
    from sparse_fourier.stacks import taken

    return taken(outcome.state.model, 0)
