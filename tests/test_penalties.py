"""Penalties by themselves: against closed forms, `jax.jacobian`, and expectations over the corruption."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone

from sparse_fourier import runtime
from sparse_fourier.penalties import L1, L2, Contractive, Denoising, Penalty, SamplePenalty, Smoothness
from sparse_fourier.penalties.base import FunctionPenalty, total_penalty
from sparse_fourier.penalties.checks import check_penalty
from sparse_fourier.penalties.of_encoders import squared_jacobians

ALL = [L1(0.3), L2(0.3), Smoothness(0.3), Contractive(0.3), Denoising(0.3, masking=0.2, noise=0.1)]
each = pytest.mark.parametrize("penalty", ALL, ids=str)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def linear(rng):
    """An affine encoder and a decoder, of three codes and seven features."""
    A, W = rng.standard_normal((7, 3)), rng.standard_normal((3, 7))
    return SimpleNamespace(encode=lambda X: X @ A + 1.0, components=W, intercept=rng.standard_normal(7), A=A)


@pytest.fixture(name="X")
def signals(rng):
    return rng.standard_normal((20, 7))


def value_of(penalty, model, X):
    """Return the penalty in double precision."""
    with runtime.settings():
        return float(penalty(model, X, model.encode(X)))


@each
def test_is_proportional_to_strength(penalty, linear, X):
    drawn = penalty.drawn(X.shape, np.random.RandomState(0))
    once = value_of(drawn, linear, X)
    assert once > 0
    assert value_of(drawn.set_params(strength=0.6), linear, X) == pytest.approx(2 * once)


@each
def test_is_cloned_by_its_parameters(penalty):
    copy = clone(penalty)
    assert copy is not penalty
    assert copy == penalty
    assert copy.set_params(strength=7.0).get_params()["strength"] == 7.0
    with pytest.raises(ValueError, match=f"Invalid parameter 'strenght' for penalty {penalty}"):
        copy.set_params(strenght=1.0)


@each
def test_heeds_weights_as_repeated_rows(penalty, linear, X):
    assert penalty.averages
    counts = np.arange(len(X)) % 3
    drawn = penalty.drawn(X.shape, np.random.RandomState(0))
    repeated = penalty.drawn(X.shape, np.random.RandomState(0))
    if penalty.sees_samples and hasattr(drawn, "uniform"):
        repeated.uniform, repeated.normal = (
            np.repeat(a, counts, axis=0) for a in (drawn.uniform, drawn.normal)
        )
    rows = np.repeat(X, counts, axis=0)
    with runtime.settings():
        weighted = drawn.averaged(linear, X, linear.encode(X), counts / counts.sum())
    assert float(weighted) == pytest.approx(value_of(repeated, linear, rows))


def test_penalties_of_components_are_sums_of_entries(linear, X):
    W = linear.components
    second = np.diff(W, n=2, axis=1)
    assert value_of(L1(2.0), linear, X) == pytest.approx(2 * np.abs(W).sum(), rel=1e-6)
    assert value_of(L2(2.0), linear, X) == pytest.approx(2 * (W**2).sum())
    assert value_of(Smoothness(2.0), linear, X) == pytest.approx(2 * (second**2).sum())


@pytest.mark.parametrize("d", [1, 2])
def test_short_waveforms_are_smooth(d):
    model = SimpleNamespace(components=np.ones((2, d)))
    assert Smoothness()(model, None, None) == 0.0


def test_contractive_of_an_affine_encoder_is_its_squared_weights(linear, X):
    assert value_of(Contractive(2.0), linear, X) == pytest.approx(2 * (linear.A**2).sum())


def test_contractive_equals_the_jacobian_of_a_network(rng):
    import jax
    import jax.numpy as jnp

    first, second, X = rng.standard_normal((5, 8)), rng.standard_normal((8, 3)), rng.standard_normal((6, 5))

    def encode(x):
        return jax.nn.softmax(jnp.tanh(x @ first) @ second, axis=-1)

    with runtime.settings():
        jacobians = jax.vmap(jax.jacobian(encode))(X)
        found = np.asarray(squared_jacobians(encode, X))
        slope = float(jax.grad(lambda s: Contractive(s)(SimpleNamespace(encode=encode), X, None))(1.0))
    np.testing.assert_allclose(found, (np.asarray(jacobians) ** 2).sum(axis=(1, 2)), rtol=1e-12)
    assert slope == pytest.approx(found.mean())


def test_denoising_has_the_expectation_of_its_corruption(linear, rng):
    p, s = 0.25, 0.5
    X = np.repeat(rng.standard_normal((2, 7)), 20_000, axis=0)
    M = linear.A @ linear.components
    offset = np.ones(3) @ linear.components + linear.intercept
    bias = X - (1 - p) * X @ M - offset
    variances = p * (1 - p) * X**2 + (1 - p) * s**2
    expected = (bias**2).sum(axis=1) + variances @ (M**2).sum(axis=1)
    drawn = Denoising(1.0, masking=p, noise=s).drawn(X.shape, np.random.RandomState(0))
    assert value_of(drawn, linear, X) == pytest.approx(expected.mean(), rel=0.01)


def test_denoising_without_corruption_is_the_squared_error(linear, X):
    drawn = Denoising(1.0, masking=0.0).drawn(X.shape, np.random.RandomState(0))
    error = X - linear.encode(X) @ linear.components - linear.intercept
    assert value_of(drawn, linear, X) == pytest.approx((error**2).sum(axis=1).mean())


def test_denoising_asks_for_random_numbers(linear, X):
    with pytest.raises(ValueError, match=r"call penalty.drawn\(X.shape, rng\) first"):
        Denoising()(linear, X, None)


def test_penalties_add_up(linear, X):
    weights = np.full(len(X), 1 / len(X))
    with runtime.settings():
        total = total_penalty((L2(0.1), Contractive(0.2)), linear, X, linear.encode(X), weights)
    assert float(total) == pytest.approx(0.1 * (linear.components**2).sum() + 0.2 * (linear.A**2).sum())
    assert total_penalty((), linear, X, None, weights) == 0.0


def test_function_has_its_own_name():
    def flat(model, X, codes):
        return 1.0

    assert str(FunctionPenalty(flat)) == "flat"
    assert not FunctionPenalty(flat).averages


@dataclass
class Decorrelating(Penalty):
    """A penalty that someone wrote: squared covariances of different codes."""

    strength: float = 1.0

    def __call__(self, model, X, codes):
        centred = codes - codes.mean(axis=0)
        covariance = centred.T @ centred / len(codes)
        return self.strength * ((covariance - np.diag(np.diagonal(covariance))) ** 2).sum()


@dataclass
class Sparse(SamplePenalty):
    """Another, which heeds weights."""

    def of_samples(self, model, X, codes):
        return abs(codes).sum(axis=1)


def test_one_of_ones_own_knows_what_it_is():
    assert not Decorrelating().averages
    assert Sparse().averages
    assert str(Decorrelating(2.0)) == "Decorrelating"
    assert clone(Decorrelating(2.0)).get_params() == {"strength": 2.0}


@pytest.mark.parametrize(
    ("value", "gradient", "words"),
    [
        (np.ones(3), np.zeros(2), r"it must return a scalar. Got shape \(3,\)"),
        (np.nan, np.zeros(2), "its value must be finite. Got nan"),
        (1.0, np.array([0.0, np.inf]), "its gradient must be finite"),
    ],
)
def test_check_names_what_fails(value, gradient, words):
    with pytest.raises(ValueError, match=f"The penalty Decorrelating cannot be used: {words}"):
        check_penalty(Decorrelating(), lambda penalty: (value, gradient))


def test_check_names_a_penalty_that_raises():
    def fail(penalty):
        raise AttributeError("no attribute 'encoder'")

    with pytest.raises(ValueError, match=r"it failed when called .* \(no attribute 'encoder'\)"):
        check_penalty(Decorrelating(), fail)
