"""Faults and bad input: what the user sees, and that nothing which was there before is lost.

Every refused fit below runs on an estimator that has been fitted before; its model, its parameters
and the data passed must be as they were.
"""

import copy
import io
import pickle
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.solvers import Newton

X, _, SINES = make_sinusoid_mixtures(60, 8, noise=0.02, random_state=0)
NAMES = [f"t{i}" for i in range(8)]
TABLE = pd.DataFrame(X, columns=NAMES)
NARROW = X[:, :5]
EPSILON = np.finfo(float).eps


def fitted(data=X, **parameters):
    return AutoencoderDecomposer(**{"n_components": 2, "random_state": 0, **parameters}).fit(data)


@pytest.fixture(scope="module")
def model():
    """A fit that no test may change."""
    return fitted()


@pytest.fixture
def old():
    """A fit of a table, and the means to see whether anything of it is lost."""
    return fitted(TABLE)


def state_of(estimator):
    """Return all that an estimator holds, as bytes where it is an array."""
    parts = {name: value for name, value in vars(estimator).items() if name != "_state"}
    parts |= {f"_state.{name}": value for name, value in estimator._state.__getstate__().items()}
    return {
        name: (part.dtype, part.shape, part.tobytes()) if isinstance(part, np.ndarray) else repr(part)
        for name, part in parts.items()
    }


def assert_refused(estimator, bad, error, match, **fit_parameters):
    """Check that a refit raises and changes nothing."""
    codes, before = estimator.transform(TABLE), state_of(estimator)
    with pytest.raises(error, match=match):
        estimator.fit(bad, **fit_parameters)
    assert state_of(estimator) == before
    np.testing.assert_array_equal(estimator.transform(TABLE), codes)


def assert_equal_models(one, other):
    for name in ("components_", "intercept_", "explained_variance_", "loss_curve_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# A. X at fit

HOLED, ENDLESS = X.copy(), X.copy()
HOLED[:, 2], ENDLESS[3, 2] = np.nan, -np.inf
MASKED = np.ma.masked_array(X, mask=np.eye(60, 8))
REFUSED = {
    "one dimension": (X[0], ValueError, r"Expected 2D array, got 1D array instead[\s\S]*Reshape your data"),
    "three dimensions": (X[None], ValueError, "Found array with dim 3, while dim <= 2 is required by Auto"),
    "scalar": (3.0, ValueError, "Expected 2D array, got scalar array instead"),
    "none": (None, ValueError, "Expected 2D array, got scalar array instead"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "inhomogeneous"),
    "no samples": (np.zeros((0, 8)), ValueError, r"0 sample\(s\) \(shape=\(0, 8\)\) while a minimum of 2 is"),
    "no features": (
        np.zeros((9, 0)),
        ValueError,
        r"0 feature\(s\) \(shape=\(9, 0\)\) while a minimum of 1 is",
    ),
    "one sample": (X[:1], ValueError, "1 sample"),
    "unobserved": (HOLED, ValueError, r"Input X has no observed entry in the columns \[2\]"),
    "infinity": (ENDLESS, ValueError, "Input X contains infinity or a value too large for dtype"),
    "unobserved in a table": (TABLE.assign(t2=np.nan), ValueError, r"in the columns \['t2'\]"),
    "unobserved integer": (
        pd.DataFrame({"t0": [None, None, None], "t1": [1, 2, 4]}, dtype="Int64"),
        ValueError,
        r"in the columns \['t0'\]",
    ),
    "nothing observed": (np.full((9, 2), np.nan), ValueError, r"in the columns \[0, 1\]"),
    "complex": (X + 1j, ValueError, "Complex data not supported"),
    "dict inside": (
        np.array([[{}, 1], [2, 3]], dtype=object),
        TypeError,
        "must be a string or a real number",
    ),
    "words": (np.array([["a", "b"], ["c", "d"]]), ValueError, "could not convert string to float"),
    "dates": (np.zeros((5, 8), "datetime64[s]"), TypeError, r"datetime64.* is not numeric data"),
    "durations": (np.zeros((5, 8), "timedelta64[s]"), TypeError, r"timedelta64.* is not numeric data"),
    "masked": (
        MASKED,
        ValueError,
        r"masked values are not supported; fill them \(X.filled\(...\)\) or impute",
    ),
    "matrix": (np.asmatrix(X), TypeError, "np.matrix is not supported"),
    "structured": (np.zeros(5, dtype=[("a", float), ("b", float)]), TypeError, "Cannot cast array data"),
    "mixed column names": (
        TABLE.rename(columns={"t0": 0}),
        TypeError,
        "only supported if all input features",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_data_lose_nothing(case, old):
    assert_refused(old, *REFUSED[case])


@pytest.mark.parametrize("case", ["unobserved", "infinity", "dates", "masked"])
def test_refused_data_are_not_touched(case, old):
    bad, error, match = REFUSED[case]
    data = np.ma.getdata(bad)
    before = data.tobytes()
    assert_refused(old, bad, error, match)
    assert data.tobytes() == before


@pytest.mark.parametrize("case", ["dates", "masked", "matrix"])
@pytest.mark.parametrize("method", ["transform", "score", "score_samples"])
def test_what_fit_refuses_to_misread_other_methods_refuse_too(case, method, model):
    bad, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        getattr(model, method)(bad)


def test_other_columns_with_a_hole_lose_nothing(old):
    renamed = pd.DataFrame(HOLED[:, :6], columns=list("abcdef"))
    assert_refused(old, renamed, ValueError, "no observed entry")
    assert list(old.feature_names_in_) == NAMES


def test_dates_in_a_table_are_refused(old):
    table = pd.DataFrame({"t0": pd.date_range("2020", periods=5), "t1": pd.date_range("2021", periods=5)})
    assert_refused(old, table, TypeError, "not numeric data|not supported")


def test_one_feature():
    found = AutoencoderDecomposer().fit(X[:, :1])
    assert found.components_.shape == (1, 1)
    with pytest.raises(ValueError, match="n_components=2 must not be larger than n_features = 1"):
        AutoencoderDecomposer(2, prior="uniform").fit(X[:, :1])


def test_more_components_than_features_lose_nothing(old):
    old.set_params(n_components=9, prior="uniform")
    assert_refused(old, X, ValueError, r"n_components=9 .* n_features = 8 .* \['exponential', 'laplace'\]")


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype(object),
        lambda X: X.astype(str).astype(object),
        lambda X: X.astype(str),
        lambda X: X.tolist(),
        lambda X: np.ma.masked_array(X),
        lambda X: X.astype(X.dtype.newbyteorder()),
        lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
        lambda X: np.asfortranarray(X),
        lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda X: np.frombuffer(b"x" + X.tobytes(), dtype=X.dtype, offset=1).reshape(X.shape),
        lambda X: np.broadcast_to(X, X.shape),
        lambda X: X.astype(np.longdouble),
        lambda X: pd.DataFrame(X).to_numpy(),
        lambda X: pl.DataFrame(X).to_numpy(),
    ],
    ids=[
        "object",
        "object strings",
        "strings",
        "list",
        "masked, no mask",
        "big-endian",
        "negative strides",
        "Fortran",
        "strided",
        "unaligned",
        "read-only",
        "long double",
        "pandas memory",
        "polars memory",
    ],
)
def test_the_way_numbers_are_stored_does_not_matter(convert, model):
    stored = convert(X)
    before = pickle.dumps(stored)
    found = fitted(stored)
    assert_equal_models(found, model)
    codes = found.transform(stored)
    assert codes.dtype == np.float64
    np.testing.assert_array_equal(codes, model.transform(X))
    assert pickle.dumps(stored) == before


def test_read_only_memory_map(tmp_path, model):
    joblib.dump(X, tmp_path / "X")
    mapped = joblib.load(tmp_path / "X", mmap_mode="r")
    assert_equal_models(fitted(mapped), model)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "bool", "float16"])
def test_small_types_are_computed_in_double_precision(dtype):
    data = np.clip(np.rint(60 * X + 120), 0, 127).astype(dtype)
    if dtype == "bool":
        data = X > 0.5
    found, expected = (fitted(each, prior="uniform") for each in (data, data.astype(float)))
    assert_equal_models(found, expected)
    assert found.components_.dtype == found.transform(data).dtype == np.float64


def test_nullable_integers_of_a_table():
    table = pd.DataFrame(np.rint(100 * X).astype(int), columns=NAMES)
    assert_equal_models(fitted(table.astype("Int64")), fitted(table))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_data_may_be_reused_after_the_fit(order, dtype):
    data = np.array(X, dtype=dtype, order=order)
    found = fitted(data)
    before, codes = state_of(found), found.transform(X[:5].astype(dtype))
    codes_before = codes.tobytes()
    data[:] = np.nan
    assert state_of(found) == before
    assert found.transform(X[:5].astype(dtype)).tobytes() == codes_before


def test_results_share_no_memory_with_arguments_or_the_model(model):
    before = state_of(model)
    codes = model.transform(X)
    rebuilt = model.inverse_transform(codes)
    codes[:], rebuilt[:] = np.nan, np.nan
    covariance = model.get_covariance()
    covariance[:] = np.nan
    assert state_of(model) == before


@pytest.mark.parametrize("column", [0, 4])
@pytest.mark.parametrize("value", [0.0, 3.3])
def test_constant_columns_belong_to_the_intercept(column, value, model):
    data = np.insert(X, column, value, axis=1)
    found = fitted(data)
    assert np.all(found.components_[:, column] == 0)
    assert found.intercept_[column] == value
    np.testing.assert_allclose(np.delete(found.components_, column, axis=1), model.components_, atol=0.02)


def test_zero_first_column_with_few_samples():
    data, _, sines = make_sinusoid_mixtures(50, 30, random_state=0)
    assert np.all(data[:, 0] == 0)
    found = fitted(data)
    assert np.all(found.components_[:, 0] == 0)
    assert worst_relative_error(sines, found.components_) < 0.15


def test_digits_with_their_empty_columns():
    digits = load_digits().data[:100]
    found = AutoencoderDecomposer(10, random_state=0).fit(digits)
    assert np.isfinite(found.components_).all()
    assert np.all(found.components_[:, digits.std(axis=0) == 0] == 0)
    assert found.explained_variance_.min() > 0
    pca = PCA(10).fit(digits)
    explained = ((digits - digits.mean(axis=0)) ** 2).sum() - found.reconstruction_err_**2
    assert explained == pytest.approx((len(digits) - 1) * pca.explained_variance_.sum(), rel=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 1.0, -3.3e7, 1e-300])
@pytest.mark.parametrize("n_components", ["auto", 2])
def test_data_without_variance(value, n_components, dtype):
    data = np.full((20, 3), value, dtype=dtype)
    with pytest.warns(UserWarning, match="X has no variance"):
        found = AutoencoderDecomposer(n_components).fit(data)
    assert np.all(found.components_ == 0)
    np.testing.assert_array_equal(found.intercept_, data[0])
    np.testing.assert_array_equal(found.transform(data), np.zeros((20, found.n_components_)))
    np.testing.assert_array_equal(found.inverse_transform(found.transform(data)), data)
    assert np.all(found.explained_variance_ == 0)
    assert np.all(found.explained_variance_ratio_ == 0)
    assert found.loss_ == pytest.approx(-found.score(data), rel=1e-9)
    assert np.isfinite(found.score(data))
    assert np.isfinite(found.score_samples(data + 1)).all()
    np.testing.assert_array_equal(found.transform(data + 1), 0)


def test_rank_below_n_components():
    data, _, _ = make_sinusoid_mixtures(60, 8, random_state=0)
    with pytest.warns(
        UserWarning,
        match="n_components=5 is larger than the numerical rank 2 of X; the last 3 components are zero",
    ):
        found = fitted(data, n_components=5)
    two = fitted(data)
    assert np.all(found.components_[2:] == 0)
    np.testing.assert_array_equal(found.components_[:2], two.components_)
    np.testing.assert_array_equal(found.explained_variance_[2:], 0)
    codes = found.transform(data)
    assert codes.shape == (60, 5)
    # Products with the zeros may be rounded otherwise, by some units in the last place. Those are all
    # that is left of data without noise, and what their score measures in units of 16 such roundings.
    rebuilt = two.inverse_transform(two.transform(data))
    np.testing.assert_allclose(found.inverse_transform(codes), rebuilt, rtol=0, atol=4 * EPSILON)
    assert found.score(data) == pytest.approx(two.score(data), abs=8 / 16**2)
    assert found.score(data + 1) == pytest.approx(two.score(data + 1), rel=1e-9)
    assert found.loss_ == pytest.approx(two.loss_, rel=1e-9)
    assert np.isfinite(found.sample(5, random_state=0)).all()


def test_more_components_than_samples():
    with pytest.warns(UserWarning, match="n_components=8 is larger than the numerical rank 2 of X"):
        found = fitted(X[:3], n_components=8)
    np.testing.assert_allclose(found.inverse_transform(found.transform(X[:3])), X[:3], atol=1e-12)


def test_two_samples():
    found = AutoencoderDecomposer().fit(X[:2])
    assert found.n_components_ == 1
    np.testing.assert_allclose(found.inverse_transform(found.transform(X[:2])), X[:2], atol=1e-12)
    assert np.isfinite(found.score(X))


def test_duplicate_rows_are_weights():
    rows = X[:20]
    twice = fitted(np.tile(rows, (3, 1)))
    weighted = AutoencoderDecomposer(2, random_state=0).fit(rows, sample_weight=np.full(20, 3))
    np.testing.assert_allclose(twice.components_, weighted.components_, rtol=1e-7, atol=1e-9)


def test_columns_of_very_different_scales():
    rng = np.random.RandomState(0)
    data = (rng.uniform(size=(60, 2)) @ rng.standard_normal((2, 8))) * np.logspace(-8, 8, 8)
    found, pca = fitted(data), PCA(2).fit(data)

    def column_errors(model):
        residuals = data - model.inverse_transform(model.transform(data))
        return np.linalg.norm(residuals, axis=0) / np.linalg.norm(data - data.mean(axis=0), axis=0)

    assert np.all(column_errors(found) <= column_errors(pca) + 1e-3)


def test_large_offset_in_double_precision(model):
    # Relative to the offset 1e8 the signal has about 8 digits left, its noise of 0.02 about 6.
    shifted = fitted(X + 1e8)
    turned = np.sign((shifted.components_ * model.components_).sum(axis=1))[:, None] * shifted.components_
    np.testing.assert_allclose(turned, model.components_, atol=1e-4)
    rebuilt = shifted.inverse_transform(shifted.transform(X + 1e8)) - 1e8
    assert (
        np.abs(rebuilt - X).max()
        < 1.05 * np.abs(model.inverse_transform(model.transform(X)) - X).max() + 1e-6
    )


@pytest.mark.parametrize(
    ("dtype", "power"), [(np.float32, -90), (np.float32, 120), (np.float64, -1000), (np.float64, 1015)]
)
def test_extreme_scales_are_powers_of_two_away(dtype, power):
    data = X.astype(dtype)
    found, scaled = fitted(data), fitted(np.ldexp(data, power))
    np.testing.assert_array_equal(scaled.components_, np.ldexp(found.components_, power))
    np.testing.assert_array_equal(scaled.intercept_, np.ldexp(found.intercept_, power))
    np.testing.assert_array_equal(scaled.explained_variance_ratio_, found.explained_variance_ratio_)
    np.testing.assert_array_equal(scaled.transform(np.ldexp(data, power)), found.transform(data))
    for name in ("explained_variance_", "noise_variance_", "reconstruction_err_", "loss_curve_"):
        assert np.isfinite(getattr(scaled, name)).all()
    assert np.isfinite(scaled.score(np.ldexp(data, power)))


@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@pytest.mark.parametrize("prior", ["uniform", "laplace", "exponential", "gaussian", "learned", "auto"])
def test_units_that_are_powers_of_two_change_no_bit(prior):
    rng = np.random.default_rng(1)
    data = rng.random((200, 3)) @ rng.standard_normal((3, 12)) + 0.1 * rng.standard_normal((200, 12))
    found = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(data)
    for power in (1, -7, 40):
        scaled = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(np.ldexp(data, power))
        unit = 0 if found.prior_.has_free_scale else power
        np.testing.assert_array_equal(scaled.components_, np.ldexp(found.components_, unit))
        shift = 12 * power * np.log(2)
        np.testing.assert_allclose(scaled.loss_curve_, found.loss_curve_ + shift, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("dtype", "unit"), [(np.float32, 1e-43), (np.float64, 1e-320)])
def test_denormal_data(dtype, unit):
    data = (X / np.abs(X).max() * unit).astype(dtype)
    found = fitted(data)
    rebuilt = found.inverse_transform(found.transform(data))
    assert np.any(found.components_ != 0)
    assert np.abs(rebuilt / unit - data / unit).max() < 0.1
    assert np.isfinite(found.score(data))


def test_range_beyond_the_type():
    # max - min overflows, yet each component is within the range of the type.
    codes = np.random.RandomState(0).uniform(-0.5, 0.5, size=(60, 2))
    codes[0], codes[1] = 0.5, -0.5
    small = codes @ [[1.6, -0.8, 0.4], [1.6, 0.8, -0.5]]
    large = np.ldexp(small, 1023)
    assert np.isfinite(large).all()
    assert large[:, 0].max() / 2 - large[:, 0].min() / 2 > 2.0**1023
    expected, found = fitted(small), fitted(large)
    np.testing.assert_array_equal(found.components_, np.ldexp(expected.components_, 1023))
    np.testing.assert_array_equal(found.transform(large), expected.transform(small))
    assert np.isfinite(found.score(large))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_largest_numbers_of_both_signs(dtype, old):
    # The only component that could hold these data is twice as large as the largest number.
    largest = np.finfo(dtype).max
    data = np.array([[largest, 0], [-largest, 0], [0, 0], [largest, 0]], dtype=dtype)
    assert_refused(old.set_params(n_components=1), data, ValueError, rf"range of {dtype.__name__}.*Rescale X")


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("n", [63, 64, 65, 96, 97])
def test_padding_of_rows_is_invisible(n):
    data, _, _ = make_sinusoid_mixtures(97, 8, noise=0.02, random_state=3)
    weights = (np.arange(97) < n).astype(float)
    absent = AutoencoderDecomposer(2, random_state=0).fit(data, sample_weight=weights)
    np.testing.assert_allclose(fitted(data[:n]).components_, absent.components_, rtol=1e-7, atol=1e-9)


# B. Parameters

WRONG = [
    ("n_components", [0, -1, 2.5, "x", True, None, np.nan, 1.0, 0.0]),
    ("prior", ["x", 3, dict]),
    ("basis", ["x", None, 3]),
    ("noise", ["x", None]),
    ("encoder", ["x", None]),
    ("activation", ["x", 3]),
    ("hidden_layer_sizes", [(0,), (2.5,), ("x",), 3]),
    ("hidden_activation", ["x", None]),
    ("fit_intercept", ["yes", 2]),
    ("contamination", [-0.1, 0.5, 1, True, np.nan, "x", None]),
    ("penalty", ["l1", 3.0, ["l1"]]),
    ("init", ["random", 3]),
    ("solver", ["x", 3, None]),
    ("learning_rate", [0, True, -1.0, np.nan, np.inf, "x"]),
    ("batch_size", [0, True, -1, "x"]),
    ("max_iter", [0, -1, 2.5, True, "auto"]),
    ("tol", [0, -1e-3, np.nan, np.inf, "x"]),
    ("n_init", [0, -1, 1.5, True, "x"]),
    ("early_stopping", ["x"]),
    ("validation_fraction", [0, 1, 2.0, "x"]),
    ("n_iter_no_change", [0, 0.5]),
    ("warm_start", ["x"]),
    ("checkpoint", [3, True]),
    ("random_state", ["a", -1, 2**32, 0.5]),
    ("verbose", [-1, "x"]),
    ("callback", ["print", 3]),
]


@pytest.mark.parametrize(("name", "values"), WRONG, ids=[name for name, _ in WRONG])
def test_wrong_parameters_are_named_at_fit_and_lose_nothing(name, values, old):
    right = old.get_params()[name]
    for value in values:
        old.set_params(**{name: value})
        np.testing.assert_array_equal(old.transform(TABLE), fitted(TABLE).transform(TABLE))
        match = f"The '{name}' parameter of AutoencoderDecomposer must be .* Got .* instead"
        assert_refused(old, TABLE, InvalidParameterError, match)
        assert old.get_params()[name] is value
        old.set_params(**{name: right})


def test_every_parameter_has_a_wrong_value_above():
    assert {name for name, _ in WRONG} == set(AutoencoderDecomposer().get_params())


def test_allowed_names_are_listed():
    with pytest.raises(InvalidParameterError, match="'uniform'"):
        fitted(prior="triangular")
    with pytest.raises(InvalidParameterError, match="'free'"):
        fitted(basis="bound")


@pytest.mark.parametrize(
    "init",
    [
        SINES[:, :3],
        SINES[:1],
        SINES[0],
        np.full((2, 8), np.nan),
        np.full((2, 8), np.inf),
        SINES + 1j,
        [["a"] * 8] * 2,
        [[1.0], [1.0, 2.0]],
    ],
    ids=["narrow", "one row", "one dimension", "nan", "inf", "complex", "words", "ragged"],
)
@pytest.mark.parametrize("n_components", [2, np.int64(2)])
def test_wrong_init_names_the_shape_it_should_have(init, n_components, old):
    old.set_params(init=init, n_components=n_components)
    assert_refused(old, X, ValueError, r"'init' parameter must be .*\(2, 8\)")


@pytest.mark.parametrize("init", [np.zeros((2, 8)), SINES[[0, 0]]], ids=["zeros", "twins"])
def test_dependent_init_says_so(init, old):
    assert_refused(old.set_params(init=init), X, ValueError, "'init' components must span")


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e300])
def test_scale_of_init_leads_to_a_model_or_a_clear_error(factor):
    estimator = fitted().set_params(init=SINES * factor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            estimator.fit(X)
        except ValueError as error:
            assert "init" in str(error)  # noqa: PT017
    assert np.isfinite(estimator.components_).all()
    assert np.isfinite(estimator.loss_)
    assert np.isfinite(estimator.score(X))


BAD_WEIGHTS = {
    "short": (np.ones(59), r"sample_weight.shape == \(59,\), expected \(60,\)"),
    "two dimensions": (np.ones((60, 1)), "1D array"),
    "negative": (np.r_[-1.0, np.ones(59)], "[Nn]egative"),
    "nan": (np.r_[np.nan, np.ones(59)], "contains NaN"),
    "infinite": (np.r_[np.inf, np.ones(59)], "contains infinity"),
    "all zero": (np.zeros(60), "at least one non-zero"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_wrong_weights_lose_nothing(case, old):
    weights, match = BAD_WEIGHTS[case]
    assert_refused(old, TABLE, ValueError, match, sample_weight=weights)


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_wrong_weights_of_a_score(case, model):
    weights, match = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=match):
        model.score(X, sample_weight=weights)


@pytest.mark.parametrize("weight", [1e-300, 1e-30, 1e30, 1e300])
def test_scale_of_weights_leads_to_a_finite_model_or_a_clear_error(weight):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            found = AutoencoderDecomposer(2, random_state=0).fit(X, sample_weight=np.full(60, weight))
        except ValueError as error:
            assert "sample_weight" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(found.components_).all()
            assert np.isfinite(found.loss_)
            assert np.isfinite(found.noise_variance_)


def test_one_row_left_by_weights_is_all_there_is():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X has no variance|n_components", UserWarning)
        found = AutoencoderDecomposer(2).fit(X, sample_weight=np.eye(60)[3])
    np.testing.assert_array_equal(found.intercept_, X[3])
    assert np.all(found.components_ == 0)


def test_random_state_none_is_the_global_generator_and_an_int_leaves_it_alone():
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    fitted(n_components=3, random_state=3)
    fitted(n_components=3, random_state=np.random.RandomState(3))
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002
    fitted(n_components=3, random_state=None)
    assert pickle.dumps(np.random.get_state()) != before  # noqa: NPY002


def test_unknown_keyword():
    with pytest.raises(TypeError, match="n_component"):
        AutoencoderDecomposer(n_component=2)
    with pytest.raises(ValueError, match="Invalid parameter"):
        AutoencoderDecomposer().set_params(n_component=2)


# C. Calls and their order


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.transform(X),
        lambda model: model.inverse_transform(X[:, :2]),
        lambda model: model.score(X),
        lambda model: model.score_samples(X),
        lambda model: model.sample(),
        lambda model: model.get_covariance(),
        lambda model: model.get_feature_names_out(),
        check_is_fitted,
    ],
)
def test_not_fitted(call):
    with pytest.raises(NotFittedError, match="This AutoencoderDecomposer instance is not fitted yet"):
        call(AutoencoderDecomposer())


@pytest.mark.parametrize("method", ["transform", "score", "score_samples"])
def test_data_unlike_those_of_the_fit(method, old, model):
    act = getattr(old, method)
    with pytest.raises(
        ValueError, match="X has 5 features, but AutoencoderDecomposer is expecting 8 features"
    ):
        getattr(model, method)(NARROW)
    for table in (TABLE.rename(columns={"t0": "u"}), TABLE[NAMES[::-1]]):
        with pytest.raises(
            ValueError, match="The feature names should match those that were passed during fit"
        ):
            act(table)
    with pytest.raises(
        ValueError, match=r"0 sample\(s\) \(shape=\(0, 8\)\) while a minimum of 1 is required"
    ):
        act(TABLE[:0])
    with pytest.raises(ValueError, match="contains infinity"):
        act(pd.DataFrame(ENDLESS, columns=NAMES))


@pytest.mark.parametrize("method", ["transform", "score", "score_samples"])
def test_array_after_table_warns_as_scikit_learn_does(method, old, model):
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        getattr(old, method)(X)
    with pytest.warns(UserWarning, match="X has feature names"):
        getattr(model, method)(TABLE)


def test_tables_throughout_give_no_warning():
    found = AutoencoderDecomposer(2)  # warnings are errors here
    found.fit_transform(TABLE)
    found.score(TABLE)
    found.score_samples(TABLE)


def test_rows_do_not_depend_on_their_neighbours(model):
    far = np.concatenate([X, 3 * X, -X])
    one_by_one = np.concatenate([model.transform(row[None]) for row in far])
    np.testing.assert_allclose(one_by_one, model.transform(far), rtol=1e-7, atol=1e-12)
    scores = np.concatenate([model.score_samples(row[None]) for row in far])
    np.testing.assert_allclose(scores, model.score_samples(far), rtol=1e-7)


def test_codes_of_another_width(model):
    with pytest.raises(ValueError, match=r"expected 2 columns \(n_components_\), got 3"):
        model.inverse_transform(np.ones((4, 3)))
    with pytest.raises(ValueError, match="contains NaN"):
        model.inverse_transform(np.full((4, 2), np.nan))
    with pytest.raises(ValueError, match="Expected 2D array"):
        model.inverse_transform(np.ones(2))


def test_names_of_other_features(old):
    with pytest.raises(ValueError, match="input_features"):
        old.get_feature_names_out(["a"])


@pytest.mark.parametrize("y", [None, np.zeros(60), np.zeros(3), "anything"])
def test_y_is_ignored(y, model):
    assert_equal_models(AutoencoderDecomposer(2, random_state=0).fit(X, y), model)
    assert model.score(X, y) == model.score(X)


@pytest.mark.usefixtures("both_ways")
def test_same_seed_same_bits():
    model, again = fitted(), fitted()
    assert_equal_models(again, model)
    assert_equal_models(again.fit(X), model)
    assert_equal_models(clone(again).fit(X), model)
    np.testing.assert_array_equal(clone(again).fit_transform(X), model.transform(X))
    other = fitted(X[::-1] + 1).fit(X)
    assert state_of(other) == state_of(model)


def test_refit_without_names_forgets_them(old):
    old.fit(X)
    assert not hasattr(old, "feature_names_in_")


def test_nothing_but_fit_changes_the_estimator(old):
    before, keys = state_of(old), set(vars(old))
    old.score(TABLE)
    old.score_samples(TABLE)
    old.inverse_transform(old.transform(TABLE))
    old.sample(3)
    old.get_covariance()
    assert state_of(old) == before
    assert set(vars(old)) == keys


# D. Training faults


def test_converged_warning_as_an_error_loses_nothing(old):
    # Warnings are errors here, and whatever fit raises, the estimator is as it was.
    assert_refused(old.set_params(max_iter=1), X, ConvergenceWarning, "Increase max_iter")


@pytest.mark.usefixtures("always_compiled")
@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (
            "RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes",
            MemoryError,
            r"could not allocate 8 bytes on [a-z]+:0; lower batch_size or use partial_fit",
        ),
        (
            "INTERNAL: something broke",
            RuntimeError,
            r"JAX [\d.]+ failed while training on [a-z]+:0; please report this",
        ),
    ],
)
def test_failures_inside_jax_are_explained_and_lose_nothing(text, error, match, old, monkeypatch):
    import jax

    def broken(*arguments):
        raise jax.errors.JaxRuntimeError(text)

    codes, before = old.transform(TABLE), state_of(old)
    with monkeypatch.context() as patch:
        patch.setattr(jax, "block_until_ready", broken)
        with pytest.raises(error, match=match) as caught:
            old.fit(X)
    assert isinstance(caught.value.__cause__, jax.errors.JaxRuntimeError)
    assert text in str(caught.value)
    assert state_of(old) == before
    np.testing.assert_array_equal(old.fit(TABLE).transform(TABLE), codes)


@pytest.mark.usefixtures("both_ways")
def test_memory_error_loses_nothing(old, monkeypatch):
    """In the compiled program, or where NumPy would take the next step."""
    import jax

    def exhausted(*arguments):
        raise MemoryError("no room")

    monkeypatch.setattr(jax, "block_until_ready", exhausted)
    monkeypatch.setattr(Newton, "step", exhausted)
    assert_refused(old, TABLE, MemoryError, "no room")


# E. Interruption: see test_processes.py for signals


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, GeneratorExit, ZeroDivisionError])
def test_any_exception_from_inside_training_passes_and_loses_nothing(exception, old):
    def interrupt(info):
        raise exception("from training")

    assert_refused(old.set_params(callback=interrupt), NARROW, exception, "^from training$")
    old.set_params(callback=None)
    assert_equal_models(old.fit(X), fitted())


@pytest.mark.usefixtures("both_ways")
def test_model_in_the_middle_of_a_refit_is_the_old_one_or_refuses():
    """Whoever asks while a refit with another width runs is answered by one model, never by a mixture."""
    estimator = fitted()
    codes, answers = estimator.transform(X), []

    def ask(info):
        for data in (X, NARROW):
            try:
                answers.append((data is X, estimator.transform(data)))
            except ValueError as error:
                assert "features, but AutoencoderDecomposer is expecting" in str(error)  # noqa: PT017

    estimator.set_params(callback=ask).fit(NARROW)
    for is_old, answer in answers:
        assert is_old
        np.testing.assert_array_equal(answer, codes)
    assert estimator.transform(NARROW).shape == (60, 2)


# F. Threads; for processes see test_processes.py


def in_threads(*actions):
    """Run actions at once, and return what they return."""
    results = [None] * len(actions)

    def work(i):
        results[i] = actions[i]()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.usefixtures("both_ways")
def test_fits_in_threads_equal_fits_in_turn():
    data = [X[: 40 + 5 * i].astype(dtype) for i in range(3) for dtype in (np.float32, np.float64)]
    at_once = in_threads(*(lambda X=X: fitted(X) for X in data))
    for one, X_one in zip(at_once, data, strict=True):
        assert_equal_models(one, fitted(X_one))


@pytest.mark.usefixtures("both_ways")
def test_transform_while_another_thread_refits_answers_by_one_model():
    other = X[::-1] * [2.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    estimator = fitted()
    expected = [estimator.transform(X), fitted(other).transform(X)]
    stop = threading.Event()

    def refit():
        for _ in range(20):
            estimator.fit(other)
            estimator.fit(X)
        stop.set()

    def ask():
        answers = []
        while not stop.is_set():
            answers.append(estimator.transform(X))
        return answers

    _, answers = in_threads(refit, ask)
    assert answers
    assert all(any(np.array_equal(answer, codes) for codes in expected) for answer in answers)


@pytest.mark.usefixtures("both_ways")
def test_users_jax_settings_are_left_alone():
    import jax

    def current():
        return {name: getattr(jax.config, name) for name in jax.config.values if hasattr(jax.config, name)}

    before = current()
    fitted()
    with pytest.raises(ZeroDivisionError):
        fitted(callback=lambda info: 1 / 0)
    assert current() == before
    assert jax.numpy.ones(2).dtype == np.float32


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("x64", [False, True])
def test_precision_does_not_depend_on_the_users_context(x64):
    import jax

    model = fitted()
    with jax.enable_x64(x64):
        found = fitted()
        assert jax.numpy.ones(2).dtype == (np.float64 if x64 else np.float32)
    assert_equal_models(found, model)


# G. Saving

PLAIN = {"builtins", "__builtin__", "numpy", "sparse_fourier", "copyreg", "copy_reg", "_codecs"}


class Recorder(pickle.Unpickler):
    """An unpickler that remembers which modules the pickle names."""

    modules: set[str]

    def find_class(self, module, name):
        self.modules.add(module.partition(".")[0])
        return super().find_class(module, name)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pickles_are_exact_and_plain(protocol, dtype):
    found = fitted(X.astype(dtype))
    recorder = Recorder(io.BytesIO(pickle.dumps(found, protocol=protocol)))
    recorder.modules = set()
    loaded = recorder.load()
    assert state_of(loaded) == state_of(found)
    np.testing.assert_array_equal(loaded.transform(X), found.transform(X))
    assert recorder.modules <= PLAIN
    assert_equal_models(loaded.fit(X.astype(dtype)), found)


def test_pickle_after_use_is_as_small_as_before():
    found = fitted()
    before = len(pickle.dumps(found))
    found.score(X)
    found.transform(X)
    assert len(pickle.dumps(found)) == before


def test_joblib_memory_map(tmp_path, model):
    joblib.dump(model, tmp_path / "model")
    loaded = joblib.load(tmp_path / "model", mmap_mode="r")
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert loaded.score(X) == model.score(X)
    assert_equal_models(loaded.fit(X), model)


def test_newer_format_is_refused_and_says_what_to_do(model):
    state = model.__getstate__()
    state |= {"_state_format": 10**6, "_sparse_fourier_version": "9.9"}
    with pytest.raises(ValueError, match=r"saved by sparse_fourier 9\.9, this is .*Upgrade sparse_fourier"):
        AutoencoderDecomposer().__setstate__(state)


def test_truncated_pickle(model):
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        pickle.loads(pickle.dumps(model)[:-20])


def test_copies_are_independent(model):
    found = fitted().set_output(transform="pandas")
    copied = copy.deepcopy(found)
    copied.components_[:] = np.nan
    copied._state.components[:] = np.nan
    assert state_of(found) == {
        **state_of(model),
        "_sklearn_output_config": state_of(found)["_sklearn_output_config"],
    }
    unfitted = clone(found)
    with pytest.raises(NotFittedError):
        unfitted.transform(X)
    assert isinstance(unfitted.fit_transform(X), pd.DataFrame)


def test_unfitted_estimator_pickles():
    loaded = pickle.loads(pickle.dumps(AutoencoderDecomposer(2, random_state=0)))
    assert_equal_models(loaded.fit(X), fitted())
