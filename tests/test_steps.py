"""Stochastic steps: how models are packed, and the learning rates that they are given."""

import numpy as np
import optax
import pytest

from sparse_fourier import runtime
from sparse_fourier.activations import Identity
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.stacks import TrainingState, chosen, stack, taken
from sparse_fourier.steps import Packing, learning_rates


def test_schedules_are_asked_for_the_step():
    schedule = optax.exponential_decay(0.1, 10, 0.5)
    runtime.start()
    np.testing.assert_allclose(learning_rates(schedule, 5, 3), 0.1 * 0.5 ** (np.arange(5, 8) / 10), rtol=1e-6)
    with pytest.raises(ValueError, match="'learning_rate' schedule must give a finite number"):
        learning_rates(lambda step: -1.0 - step, 0, 2)


@pytest.mark.parametrize("small", [0, 7, 100])
def test_packed_models_come_back(small):
    import jax

    rng = np.random.default_rng(0)
    models = [
        Autoencoder(
            Encoder(Layer(rng.random((6, 2)), rng.random(2)), (), Identity(), Identity()),
            rng.random((2, 6)),
            rng.random(6),
        )
        for _ in range(3)
    ]
    stacked = stack(models, float)
    packing = Packing.of(stacked, small)
    packed = packing.packed(stacked) if small else stacked
    assert len(jax.tree_util.tree_leaves(packed)) == {0: 4, 7: 3, 100: 1}[small]
    if small == 7:
        assert [part.shape for part in packed] == [(3, 2, 6), (3, 2, 6), (3, 8)]
    first = jax.tree_util.tree_map(lambda part: part[1], packed)
    for one, expected in ((packed, stacked), (first, models[1])):
        again = jax.tree_util.tree_leaves(packing.unpacked(one))
        for part, other in zip(again, jax.tree_util.tree_leaves(expected), strict=True):
            np.testing.assert_array_equal(part, other)


def test_what_comes_out_of_turned_weights_lies_in_memory_as_it_did():
    models = stack([Layer(np.arange(12.0).reshape(6, 2), np.zeros(2)) for _ in range(2)], float)
    packing = Packing.of(models, 3)
    unpacked = packing.unpacked(packing.packed(models))
    state = TrainingState(unpacked, (unpacked,), np.ones(2), np.int32(0))
    assert taken(unpacked, 1).weights.flags.c_contiguous
    assert chosen(state, 1).model.weights.flags.c_contiguous
