"""Activations: formulas, what they promise of themselves, and the examination of a user's own."""

import pickle

import numpy as np
import pytest

from sparse_fourier import activations, runtime
from sparse_fourier.activations import (
    BatchTopK,
    HardSigmoid,
    Identity,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
    TopK,
    examined,
)

ALL = [Identity(), HardSigmoid(), Sigmoid(), Tanh(), ReLU(), Softplus(), Softmax(), TopK(2)]
INPUTS = np.random.default_rng(0).normal(scale=3.0, size=(50, 4))
every_activation = pytest.mark.parametrize("activation", ALL, ids=str)
_outputs = runtime.Program(lambda activation, x: activation(x))


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        (Identity(), lambda x: x),
        (HardSigmoid(), lambda x: np.minimum(np.maximum(x + 3, 0), 6) / 6),
        (Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (Tanh(), lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
        (ReLU(), lambda x: np.where(x > 0, x, 0)),
        (Softplus(), lambda x: np.log(1 + np.exp(x))),
        (Softmax(), lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)),
        (TopK(2), lambda x: np.where(np.argsort(np.argsort(-abs(x), axis=1), axis=1) < 2, x, 0)),
    ],
    ids=str,
)
def test_formula(activation, formula):
    np.testing.assert_allclose(activation(INPUTS), formula(INPUTS), rtol=1e-12, atol=1e-14)


@every_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_and_jax_agree_and_keep_the_type(activation, dtype):
    x = INPUTS.astype(dtype)
    served = activation(x)
    assert served.dtype == dtype
    trained = _outputs((activation, dtype), activation, x)
    assert trained.dtype == dtype
    np.testing.assert_allclose(trained, served, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)


@every_activation
def test_promises_are_kept(activation):
    outputs = activation(INPUTS)
    lowest, highest = {"real": (-np.inf, np.inf), "nonnegative": (0, np.inf)}.get(activation.values, (0, 1))
    assert outputs.min() >= lowest
    assert outputs.max() <= highest
    if activation.values == "simplex":
        np.testing.assert_allclose(outputs.sum(axis=1), 1.0)
    if activation.mirror is not None:
        np.testing.assert_allclose(activation(-INPUTS), activation.mirror - outputs, atol=1e-14)
    if activation.homogeneous:
        factors = np.array([2.5, 1.0, 0.1, 7.0])
        np.testing.assert_allclose(activation(factors * INPUTS), factors * outputs)
    turned = activation(INPUTS[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(turned, outputs, rtol=1e-12)
    point, value, slope = activation.tangent
    if activation.elementwise:
        near = activation(np.array([[point - 1e-6, point, point + 1e-6]]))[0]
        np.testing.assert_allclose([near[1], (near[2] - near[0]) / 2e-6], [value, slope], atol=1e-7)


@every_activation
def test_extreme_inputs_stay_finite(activation):
    with np.errstate(over="raise"):
        assert np.isfinite(activation(np.array([[1e30, -1e30, 800.0, -800.0]]))).all()


def test_top_k_of_codes_that_are_not_negative_goes_by_value():
    by_value = TopK(2).within("nonnegative")
    np.testing.assert_array_equal(by_value(np.array([[3.0, -5.0, 1.0, 2.0]])), [[3.0, 0.0, 0.0, 2.0]])
    np.testing.assert_array_equal(by_value(np.array([[3.0, -5.0, -1.0, -2.0]])), [[3.0, 0.0, 0.0, 0.0]])
    assert by_value.stays_within("nonnegative")
    assert str(by_value) == "top_k"
    assert TopK(2).within("real") == TopK(2)


def test_top_k_of_a_batch_shares_the_number():
    rows = np.array([[3.0, -5.0, 1.0], [0.5, 0.1, 0.2]])
    np.testing.assert_array_equal(BatchTopK(1)(rows), [[3.0, -5.0, 0.0], [0.0, 0.0, 0.0]])


def test_top_k_of_few_codes_keeps_them_all():
    np.testing.assert_array_equal(TopK()(INPUTS), INPUTS)


def test_a_function_of_the_users_own_is_served_in_its_precision():
    import jax.numpy as jnp

    own = examined(jnp.arctan)
    np.testing.assert_allclose(own(INPUTS), np.arctan(INPUTS), rtol=1e-14)
    assert own(INPUTS.astype(np.float32)).dtype == np.float32
    assert str(own) == "arctan"
    assert not own.stays_within("nonnegative")
    assert examined(jnp.square).stays_within("nonnegative")
    assert not examined(jnp.square).stays_within("unit")


def _rows(x):
    return x.sum(axis=1)


def _half(x):
    return x.astype("float16")


def _root(x):
    import jax.numpy as jnp

    return jnp.sqrt(jnp.abs(x))


def _broken(x):
    return x.nothing


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (_rows, "must keep the shape"),
        (_half, "must keep the dtype float32, but returned float16"),
        (lambda x: x / x, "its values must be finite"),
        (_root, "its gradient must be finite"),
        (lambda x: x - x.mean(axis=0) + x[0], "it must be elementwise"),
        (_broken, "it failed on an array; write it with jax.numpy"),
    ],
)
def test_an_activation_that_fails_is_named_with_the_check(function, match):
    with pytest.raises(ValueError, match=f"The activation .* cannot be used: .*{match}"):
        examined(function)


@every_activation
def test_activations_compare_and_pickle(activation):
    assert pickle.loads(pickle.dumps(activation)) == activation
    assert activations.TopK(2) != activations.TopK(3)
