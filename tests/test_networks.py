"""Networks: the forward pass, and the changes of coordinates that must not change it."""

import numpy as np

from sparse_fourier.activations import ReLU, Sigmoid, Tanh
from sparse_fourier.networks import Encoder, Layer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 5))


def layer(m, n):
    return Layer(RNG.normal(size=(m, n)), RNG.normal(size=n))


def encoder(activation):
    return Encoder(layer(5, 3), (layer(5, 4), layer(4, 6), layer(6, 3)), ReLU(), activation)


def test_forward_pass_is_that_of_two_paths():
    network = encoder(Tanh())
    one, two, three = network.hidden
    units = np.maximum(np.maximum(X @ one.weights + one.bias, 0) @ two.weights + two.bias, 0)
    inputs = X @ network.skip.weights + network.skip.bias + units @ three.weights + three.bias
    np.testing.assert_allclose(network(X), np.tanh(inputs), rtol=1e-14)
    np.testing.assert_array_equal(network.in_blocks(X), network(X))


def test_an_affine_encoder_has_no_hidden_layers():
    affine = Encoder(layer(5, 3), (), ReLU(), Sigmoid())
    inputs = X @ affine.skip.weights + affine.skip.bias
    np.testing.assert_allclose(affine(X), 1 / (1 + np.exp(-inputs)), rtol=1e-13)


def test_inputs_may_be_moved_and_scaled():
    network, offset = encoder(Tanh()), RNG.normal(size=5)
    np.testing.assert_allclose(network.of_inputs(offset, 3.0)(X), network((X - offset) / 3.0), rtol=1e-10)


def test_codes_may_be_turned_and_reordered():
    network, order = encoder(Sigmoid()), np.array([2, 0, 1])
    signs = np.array([1.0, -1.0, 1.0])
    codes = network(X)
    turned = np.where(signs < 0, 1 - codes, codes)[:, order]
    np.testing.assert_allclose(network.recoded(order, signs, None)(X), turned, rtol=1e-10)
