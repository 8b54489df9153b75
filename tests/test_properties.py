"""What must hold for any input: shown on arrays of edge values, over priors, bases and types."""

import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis.extra import numpy as arrays

from sparse_fourier import AutoencoderDecomposer

PRIORS = ["uniform", "laplace", "exponential", "simplex", "gaussian", "learned", None]
KINDS = [*((prior, "free") for prior in PRIORS), ("exponential", "nonnegative"), ("uniform", "fourier")]
DTYPES = [np.float32, np.float64]
EDGES = [0.0, 1.0, -1.0, 1e19, -1e19, 1e30, 1e-30, 0.5, 3.0]
few = hypothesis.settings(max_examples=5)
kinds = pytest.mark.parametrize(("prior", "basis"), KINDS, ids=lambda part: str(part))
types = pytest.mark.parametrize("dtype", DTYPES)


def values(dtype):
    """Return the numbers at which arithmetic changes its ways."""
    limits = np.finfo(dtype)
    own = [float(limits.max), float(limits.min), float(limits.tiny), float(limits.smallest_subnormal)]
    return st.sampled_from(EDGES + own)


@st.composite
def edgy(draw, dtype):
    shape = draw(st.tuples(st.integers(2, 12), st.integers(1, 4)))
    return draw(arrays.arrays(dtype, shape, elements=values(dtype)))


def signals(prior, dtype, n=80):
    """Return ordinary signals, which an assumption explains."""
    rng = np.random.RandomState(0)
    if prior == "simplex":
        codes = rng.dirichlet(np.ones(2), size=n)
    elif prior == "exponential":
        codes = rng.exponential(size=(n, 2))
    elif prior in ("laplace", "learned", "gaussian", None):
        codes = rng.laplace(size=(n, 2)) * [3.0, 1.0]
    else:
        codes = rng.uniform(size=(n, 2))
    t = np.arange(6)
    components = np.abs(np.stack([np.sin(0.3 + t / 4), np.cos(t / 3)]))
    return (codes @ components + 0.02 * rng.standard_normal((n, 6))).astype(dtype)


def quietly(action):
    """Do something that may well warn of what it meets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return action()


def fitted(X, prior, basis="free", k=2, **options):
    estimator = AutoencoderDecomposer(k, prior=prior, basis=basis, random_state=0, **options)
    return quietly(lambda: estimator.fit(X))


def same_components(one, other, tolerance):
    """Check equality up to the order and sign of components."""
    size = np.abs(other).max()
    for row in one:
        distances = [min(np.abs(row - s * each).max() for s in (1, -1)) for each in other]
        assert min(distances) <= tolerance * size


@types
@kinds
@few
@hypothesis.given(data=st.data())
def test_finite_and_plain_or_a_clear_error(prior, basis, dtype, data):
    X = data.draw(edgy(dtype))
    before = X.tobytes()
    estimator = AutoencoderDecomposer(1, prior=prior, basis=basis, max_iter=20, random_state=0)
    try:
        model = quietly(lambda: estimator.fit(X))
    except ValueError as error:
        words = ("X", "basis", "n_components", "features", "samples", "prior")
        assert any(word in str(error) for word in words), error  # noqa: PT017
        assert not vars(estimator).keys() & {"components_", "_state"}
        return
    finally:
        assert X.tobytes() == before
    for name in ("components_", "intercept_", "explained_variance_", "noise_variance_", "loss_"):
        assert np.isfinite(getattr(model, name)).all(), name
    assert model.components_.dtype == dtype
    assert np.isfinite(quietly(lambda: model.score(X)))
    try:
        codes = quietly(lambda: model.transform(X))
    except ValueError as error:
        assert "codes of X exceed the range" in str(error)  # noqa: PT017
    else:
        assert codes.dtype == dtype
        assert np.isfinite(codes).all()


@types
@kinds
@pytest.mark.parametrize("exponent", [-60, -1, 17, 60])
def test_powers_of_two_scale_components_or_codes(prior, basis, dtype, exponent):
    X = signals(prior, dtype)
    model, scaled = (fitted(each, prior, basis) for each in (X, np.ldexp(X, exponent)))
    free = prior is None or model.prior_.has_free_scale
    tolerance = {"rtol": 1e-6, "atol": 1e-7 * np.abs(model.components_).max()}
    sizes = np.ldexp(scaled.components_.astype(float), 0 if free else -exponent)
    np.testing.assert_allclose(sizes, model.components_, **tolerance)
    codes = np.ldexp(scaled.transform(np.ldexp(X, exponent)).astype(float), -exponent if free else 0)
    np.testing.assert_allclose(codes, model.transform(X), rtol=1e-5, atol=1e-5)


@types
@kinds
def test_order_of_features_is_that_of_components(prior, basis, dtype):
    X, order = signals(prior, dtype), np.array([3, 0, 5, 1, 4, 2])
    if basis == "fourier":
        pytest.skip("sinusoids depend on the order of positions")
    model, other = fitted(X, prior, basis), fitted(X[:, order], prior, basis)
    tolerance = 1e-4 if dtype == np.float32 else 1e-6
    same_components(other.components_, model.components_[:, order], tolerance)
    assert other.score(X[:, order]) == pytest.approx(model.score(X), rel=1e-4, abs=1e-3)


@types
@pytest.mark.parametrize("prior", PRIORS)
def test_rotated_features_have_rotated_components(prior, dtype):
    X = signals(prior, dtype)
    turn = np.linalg.qr(np.random.RandomState(1).standard_normal((6, 6)))[0].astype(dtype)
    model, turned = fitted(X, prior), fitted(X @ turn, prior)
    tolerance = 1e-3 if dtype == np.float32 else 1e-6
    same_components(turned.components_, model.components_ @ turn, tolerance)


@pytest.mark.parametrize("prior", ["uniform", "laplace"])
def test_few_signals_end_at_one_of_many_optima_however_features_are_rotated(prior):
    """Which one is reached depends on where training starts: there on the signals, not on the axes."""
    for seed in range(12):
        rng = np.random.RandomState(seed)
        codes = rng.laplace(size=(40, 4))
        if prior == "uniform":
            codes = np.maximum(rng.uniform(size=(40, 4)), rng.uniform(size=(40, 1)))
        X = codes @ rng.standard_normal((4, 7))
        turn = np.linalg.qr(rng.standard_normal((7, 7)))[0]
        model, turned = fitted(X, prior, k=4), fitted(X @ turn, prior, k=4)
        same_components(turned.components_, model.components_ @ turn, 1e-6)


@pytest.mark.parametrize(("seed", "n", "k"), [(15, 30, 4), (18, 30, 5), (51, 30, 4), (70, 40, 5)])
def test_few_signals_without_noise_are_within_a_cone(seed, n, k):
    """There is one, that of the truth: codes far below zero are never the likeliest."""
    rng = np.random.RandomState(seed)
    X = rng.exponential(size=(n, k)) @ rng.standard_normal((k, k + 2)) + rng.standard_normal(k + 2)
    model = fitted(X, "exponential", k=k)
    codes = (X - model.intercept_) @ np.linalg.pinv(model.components_)
    assert codes.min() > -1e-3
    assert model.loss_ < 0


@types
@pytest.mark.parametrize("prior", [prior for prior in PRIORS if prior != "simplex"])
def test_a_constant_signal_moves_the_intercept_alone(prior, dtype):
    X, shift = signals(prior, dtype), np.linspace(-2, 3, 6).astype(dtype)
    model, moved = fitted(X, prior), fitted(X + shift, prior)
    tolerance = 1e-3 if dtype == np.float32 else 1e-6
    same_components(moved.components_, model.components_, tolerance)
    means = [
        each.inverse_transform(each.transform(Y)).mean(axis=0) for each, Y in ((model, X), (moved, X + shift))
    ]
    np.testing.assert_allclose(means[1] - means[0], shift, atol=10 * tolerance)


@kinds
def test_order_and_weights_of_rows_do_not_matter(prior, basis):
    X = signals(prior, np.float64)
    order = np.random.RandomState(2).permutation(len(X))
    model, other = fitted(X, prior, basis), fitted(X[order], prior, basis)
    tolerance = 1e-4 if prior == "learned" else 1e-6
    same_components(other.components_, model.components_, tolerance)
    rows, weights = np.concatenate([X, X[:30]]), np.ones(110)
    weights[:30] = weights[80:] = 0.5
    split = quietly(
        lambda: AutoencoderDecomposer(2, prior=prior, basis=basis, random_state=0).fit(
            rows, sample_weight=weights
        )
    )
    same_components(split.components_, model.components_, tolerance)
    absent = np.concatenate([X, 100 + X[:5]])
    padded = quietly(
        lambda: AutoencoderDecomposer(2, prior=prior, basis=basis, random_state=0).fit(
            absent, sample_weight=np.r_[np.ones(80), np.zeros(5)]
        )
    )
    same_components(padded.components_, model.components_, 1e-9)


@kinds
def test_single_and_double_precision_agree(prior, basis):
    X = signals(prior, np.float32)
    single, double = fitted(X, prior, basis), fitted(X.astype(float), prior, basis)
    same_components(single.components_, double.components_, 1e-4)


@kinds
def test_one_batch_is_a_fit(prior, basis):
    X = signals(prior, np.float64, n=120)
    model = fitted(X, prior, basis)
    stream = quietly(
        lambda: AutoencoderDecomposer(2, prior=prior, basis=basis, random_state=0).partial_fit(X)
    )
    same_components(stream.components_, model.components_, 1e-9)
