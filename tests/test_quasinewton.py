"""Full-batch training of networks: a convex case against its closed form, and what ends it."""

import numpy as np
import pytest

from sparse_fourier import runtime
from sparse_fourier.activations import Identity
from sparse_fourier.losses import Batch, SquaredError
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.quasinewton import minimise

X = np.random.default_rng(0).normal(size=(60, 5)) * np.arange(1.0, 6.0)


def start():
    rng = np.random.default_rng(1)
    skip = Layer(0.1 * rng.normal(size=(5, 2)), np.zeros(2))
    return Autoencoder(
        Encoder(skip, (), Identity(), Identity()), 0.1 * rng.normal(size=(2, 5)), X.mean(axis=0)
    )


def minimum(**changes):
    runtime.start()
    options = {"max_iter": 500, "tol": 1e-14, **changes}
    return minimise(SquaredError((), 1.0), start(), Batch(X, np.ones(60), np.float64(60)), **options)[1]


def test_affine_autoencoder_ends_at_principal_components():
    found = minimum()
    singular = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    assert found.curve[-1] == pytest.approx((singular[2:] ** 2).sum() / X.size, rel=1e-8)
    assert found.converged
    assert np.all(np.diff(found.curve) <= 1e-12)


def test_iterations_and_callback_end_it():
    few = minimum(max_iter=3)
    assert not few.converged
    assert len(few.curve) == 3
    seen = []
    asked = minimum(max_iter=3, callback=seen.append)
    assert len(seen) == 1
    assert seen[0].iteration == 3
    assert not asked.stopped
    assert minimum(max_iter=3, callback=lambda info: True).stopped
