"""The fitted model: codes against SciPy, likelihood against its formula, samples against moments."""

import pickle

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.special import ndtr

from sparse_fourier.model import Model
from sparse_fourier.priors import Uniform

K, D = 3, 7
NOISE, FLOOR = 0.02, 1e-4
FIELDS = {
    "components",
    "intercept",
    "noise_variance",
    "resolution",
    "code_floor",
    "prior",
    "exponent",
    "encoder",
    "likelihood",
    "rooted",
}


def model_of(exponent=0, noise=NOISE, resolution=1e-12, dead=0, seed=0):
    rng = np.random.default_rng(seed)
    components = np.zeros((K + dead, D))
    components[:K] = rng.normal(size=(K, D))
    return Model(components, rng.normal(size=D), noise, resolution, FLOOR, Uniform(), exponent)


def signals(model, n=50, seed=1):
    """Signals in the user's unit, many of them with codes outside the box."""
    rng = np.random.default_rng(seed)
    codes = rng.uniform(-0.5, 1.5, size=(n, len(model.components)))
    X = codes @ model.components + model.intercept + 0.1 * rng.normal(size=(n, D))
    return np.ldexp(X, model.exponent)


def formula(X, components, intercept, noise_variance):
    """-log p(x) in the user's unit, term by term as it is written."""
    k, d = components.shape
    gram = components @ components.T
    spread = np.sqrt(noise_variance * np.diagonal(np.linalg.inv(gram)) + FLOOR)
    totals = []
    for x in X:
        code = np.linalg.lstsq(components.T, x - intercept, rcond=None)[0]
        distance = ((x - intercept - code @ components) ** 2).sum()
        total = distance / (2 * noise_variance) + (d - k) / 2 * np.log(2 * np.pi * noise_variance)
        total += 0.5 * np.linalg.slogdet(gram)[1]
        nearer = np.minimum(code, 1 - code)  # the box is symmetric, and the lower tail keeps its digits
        totals.append(total - np.log(ndtr(nearer / spread) - ndtr((nearer - 1) / spread)).sum())
    return np.array(totals)


@pytest.mark.parametrize("exponent", [0, 5, -7])
def test_codes_are_constrained_least_squares(exponent):
    model = model_of(exponent)
    X = signals(model)
    codes = model.encode(X)
    for x, code in zip(np.ldexp(X, -exponent), codes, strict=True):
        best = lsq_linear(model.components.T, x - model.intercept, bounds=(0, 1), method="bvls", tol=1e-15)
        np.testing.assert_allclose(code, best.x, atol=1e-9)


def test_least_squares_codes_are_unconstrained():
    model = model_of(exponent=3)
    X = signals(model)
    expected = np.linalg.lstsq(model.components.T, (np.ldexp(X, -3) - model.intercept).T, rcond=None)[0].T
    codes = model.least_squares_codes(X)
    np.testing.assert_allclose(codes, expected, rtol=1e-11, atol=1e-12)
    assert codes.min() < 0
    assert codes.max() > 1


@pytest.mark.parametrize("exponent", [-140, -60, 0, 60, 120])
def test_codes_of_single_precision_signals_at_any_scale(exponent):
    model = model_of(exponent)
    X = signals(model).astype(np.float32)
    codes = model.least_squares_codes(X)
    assert codes.dtype == np.float64
    precise = model.least_squares_codes(X.astype(float))
    np.testing.assert_allclose(codes, precise, atol=2e-5 if exponent > -100 else 1e-3)


@pytest.mark.parametrize("exponent", [-1000, 1000])
def test_codes_of_double_precision_signals_at_any_scale(exponent):
    scaled, plain = model_of(exponent), model_of()
    X = signals(plain)
    np.testing.assert_allclose(scaled.encode(np.ldexp(X, exponent)), plain.encode(X), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_of_many_signals_are_those_of_few(dtype):
    """A length at which neither blocks of rows nor what is subtracted at once come out even."""
    model, n = model_of(exponent=2), 140_001
    X = np.resize(signals(model, n=771), (n, D)).astype(dtype)
    codes = model.encode(X)
    assert codes.dtype == dtype
    few = np.concatenate([model.encode(X[first : first + 7]) for first in range(0, 771, 7)])[:771]
    scale = np.finfo(dtype).eps * 100
    np.testing.assert_allclose(codes, np.resize(few, codes.shape), atol=scale)


@pytest.mark.parametrize("exponent", [0, 6, -9])
def test_likelihood_is_the_formula_in_the_users_unit(exponent):
    model = model_of(exponent)
    X = signals(model)
    components, intercept = (np.ldexp(a, exponent) for a in (model.components, model.intercept))
    expected = formula(X, components, intercept, np.ldexp(NOISE, 2 * exponent))
    np.testing.assert_allclose(model.terms(X).total, expected, rtol=1e-9, atol=1e-9)


def test_likelihood_in_another_unit_differs_by_the_unit():
    """A density per microvolt is one per volt divided by a million, in each of d dimensions."""
    X = signals(model_of())
    near, far = model_of().terms(X), model_of(exponent=10).terms(np.ldexp(X, 10))
    np.testing.assert_allclose(far.total - near.total, D * 10 * np.log(2), rtol=1e-10)
    np.testing.assert_array_equal(far.reconstruction, near.reconstruction)
    np.testing.assert_array_equal(far.prior, near.prior)


def test_likelihood_believes_in_no_less_noise_than_rounding():
    X = signals(model_of())
    silent, rounded = model_of(noise=0.0, resolution=0.01), model_of(noise=0.01, resolution=0.0)
    np.testing.assert_array_equal(silent.terms(X).total, rounded.terms(X).total)
    expected = formula(X, silent.components, silent.intercept, 0.01)
    np.testing.assert_allclose(silent.terms(X).total, expected, rtol=1e-9)


def test_likelihood_is_finite_for_signals_far_away():
    model = model_of()
    total = model.terms(np.array([np.full(D, 1e6), np.full(D, -1e9), np.zeros(D)])).total
    assert np.isfinite(total).all()
    assert (total[:2] > 1e10).all()


def test_likelihood_of_single_precision_is_that_of_double():
    model = model_of()
    X = signals(model).astype(np.float32)
    np.testing.assert_array_equal(model.terms(X).total, model.terms(X.astype(float)).total)


def test_terms_of_codes_are_the_terms_of_signals():
    model = model_of()
    X = signals(model)
    codes = model.least_squares_codes(X)
    squares = ((X - model.intercept - codes @ model.components) ** 2).sum(axis=1)
    np.testing.assert_allclose(model.terms_of_codes(codes, squares).total, model.terms(X).total, rtol=1e-10)


def test_components_beyond_the_rank_are_silent():
    """Zero rows: codes of zero, and the likelihood of the model without them."""
    full, dead = model_of(), model_of(dead=2)
    X = signals(full)
    codes = dead.encode(X)
    np.testing.assert_allclose(codes[:, :K], full.encode(X), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(codes[:, K:], 0.0)
    np.testing.assert_allclose(dead.terms(X).total, full.terms(X).total, rtol=1e-12)
    np.testing.assert_array_equal(dead.live, [True] * K + [False] * 2)
    np.testing.assert_allclose(dead.covariance(), full.covariance(), rtol=1e-12)


def test_constant_data_have_a_model_too():
    intercept = np.linspace(1, 2, D)
    model = Model(np.zeros((1, D)), intercept, 0.0, 0.01, FLOOR, Uniform(), 0)
    X = intercept + np.array([[0.0], [0.1]])
    np.testing.assert_array_equal(model.encode(X), 0.0)
    expected = D / 2 * np.log(2 * np.pi * 0.01) + D * np.array([0.0, 0.01]) / (2 * 0.01)
    np.testing.assert_allclose(model.terms(X).total, expected, rtol=1e-10)


def test_code_variances_are_those_of_noise_through_least_squares():
    """Simulated: noise of the model's variance, seen by the codes."""
    model, rng = model_of(), np.random.default_rng(0)
    X = 0.5 * model.components.sum(axis=0) + model.intercept + np.sqrt(NOISE) * rng.normal(size=(200_000, D))
    observed = model.least_squares_codes(X).var(axis=0)
    np.testing.assert_allclose(observed + FLOOR, model.code_variances, rtol=0.02)


def test_samples_have_the_models_mean_and_covariance():
    model = model_of()
    samples = model.sample(200_000, np.random.RandomState(0))
    np.testing.assert_allclose(
        samples.mean(axis=0), model.intercept + 0.5 * model.components.sum(axis=0), atol=0.01
    )
    np.testing.assert_allclose(np.cov(samples.T), model.covariance(), atol=0.02)


def test_samples_are_likelier_than_other_signals():
    """The mean of -log p over draws from p is the least possible: any other model codes them worse."""
    model, other = model_of(), model_of(seed=0)
    samples = model.sample(5000, np.random.RandomState(0))
    own = model.terms(samples).total.mean()
    for factor in (0.9, 1.1):
        rival = Model(factor * model.components, model.intercept, NOISE, 0.0, FLOOR, Uniform(), 0)
        assert rival.terms(samples).total.mean() > own + 0.01
        rival = Model(other.components, model.intercept, factor * NOISE, 0.0, FLOOR, Uniform(), 0)
        assert rival.terms(samples).total.mean() > own


def test_codes_of_noise_free_samples_fill_the_box():
    model = model_of(noise=0.0)
    codes = model.least_squares_codes(model.sample(20_000, np.random.RandomState(0)))
    assert codes.min() >= -1e-12
    assert codes.max() <= 1 + 1e-12
    np.testing.assert_allclose(
        np.quantile(codes, [0.25, 0.5, 0.75], axis=0).T, [[0.25, 0.5, 0.75]] * K, atol=0.02
    )


def test_samples_repeat_with_their_seed_and_only_with_it():
    model = model_of()
    first, again, other = (model.sample(5, np.random.RandomState(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_pickles_hold_the_fields_and_nothing_derived():
    model = model_of()
    X = signals(model)
    fresh = len(pickle.dumps(model))
    before = model.encode(X), model.terms(X).total
    assert len(pickle.dumps(model)) == fresh
    assert set(model.__getstate__()) == FIELDS
    loaded = pickle.loads(pickle.dumps(model))
    assert set(vars(loaded)) == FIELDS
    np.testing.assert_array_equal(loaded.encode(X), before[0])
    np.testing.assert_array_equal(loaded.terms(X).total, before[1])


def test_models_cannot_be_changed():
    with pytest.raises(AttributeError):
        model_of().exponent = 3


def test_input_is_left_alone():
    model = model_of(exponent=4)
    X = signals(model)
    before = X.copy()
    X.flags.writeable = False
    model.encode(X)
    model.terms(X)
    np.testing.assert_array_equal(X, before)
