"""Optimisers against those of optax, step by step."""

import numpy as np
import optax
import pytest

from sparse_fourier import runtime
from sparse_fourier.optimizers import SGD, Adam, RMSProp, Transformed


@pytest.mark.parametrize(
    ("optimizer", "reference"),
    [
        (SGD(), optax.sgd(1.0)),
        (RMSProp(), optax.rmsprop(1.0, decay=0.9, eps=1e-10)),
        (Adam(), optax.adam(1.0)),
        (Transformed(optax.adamw(1.0, weight_decay=0.1)), optax.adamw(1.0, weight_decay=0.1)),
    ],
    ids=["sgd", "rmsprop", "adam", "transformed"],
)
def test_directions_are_those_of_optax(optimizer, reference):
    import jax

    runtime.start()
    rng = np.random.default_rng(0)
    parameters = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    with runtime.settings():
        moments = optimizer.init(jax.tree_util.tree_map(lambda part: part[None], parameters))
        moments = jax.tree_util.tree_map(lambda part: part[0], moments)
        state = reference.init(parameters)
        for count in range(3):
            gradients = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
            directions, moments = optimizer.direction(gradients, moments, parameters, np.int32(count))
            updates, state = reference.update(gradients, state, parameters)
            for name in parameters:
                np.testing.assert_allclose(directions[name], -np.asarray(updates[name]), rtol=1e-6)
