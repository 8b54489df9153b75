"""Stochastic steps: how models are packed, and the learning rates that they are given."""

import numpy as np
import optax
import pytest

from sparse_fourier import runtime
from sparse_fourier.activations import Identity
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.stacks import stack
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
    first = jax.tree_util.tree_map(lambda part: part[1], packed)
    for one, expected in ((packed, stacked), (first, models[1])):
        again = jax.tree_util.tree_leaves(packing.unpacked(one))
        for part, other in zip(again, jax.tree_util.tree_leaves(expected), strict=True):
            np.testing.assert_array_equal(part, other)
