"""Signals with missing entries through the estimator: NaN means not observed."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error

PRIORS = ["uniform", "laplace", "exponential", "simplex", "learned", "gaussian"]
pytestmark = pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")


def punched(X, share, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(X.shape) < share, np.nan, X)


def mixtures(prior, n=600, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    draw = {
        "uniform": lambda: rng.uniform(size=(n, 3)),
        "laplace": lambda: rng.laplace(size=(n, 3)),
        "exponential": lambda: rng.exponential(size=(n, 3)),
        "simplex": lambda: rng.dirichlet(np.ones(3), n),
        "learned": lambda: rng.exponential(size=(n, 3)),
        "gaussian": lambda: rng.standard_normal((n, 3)) * [4, 2, 1],
    }
    components = rng.uniform(0.1, 1.0, size=(3, 15))
    return draw[prior]() @ components + noise * rng.standard_normal((n, 15)), components


@pytest.mark.parametrize(("share", "most"), [(0.1, 1.25), (0.3, 2.0)])
@pytest.mark.parametrize("n", [300, 3000])
def test_the_seed_is_learned_from_what_is_seen(n, share, most):
    errors = []
    for seed in range(20, 23):
        X, codes, components = make_sinusoid_mixtures(n, random_state=seed)
        holed = punched(X, share, seed)
        whole = AutoencoderDecomposer(random_state=0).fit(X)
        model = AutoencoderDecomposer(random_state=0).fit(holed)
        filled = model.inverse_transform(model.transform(holed))
        lost = np.isnan(holed)
        assert np.linalg.norm((filled - X)[lost]) < 1e-3 * np.linalg.norm(X[lost])
        errors.append([worst_relative_error(components, each.components_) for each in (whole, model)])
    complete, incomplete = np.mean(errors, axis=0)
    assert incomplete <= most * complete


@pytest.mark.parametrize("prior", PRIORS)
def test_every_prior_finds_what_it_finds_in_complete_data(prior):
    X, _ = mixtures(prior)
    holed = punched(X, 0.25)
    whole = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(X)
    model = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(holed)
    tolerance = 0.2 if prior in ("gaussian", "learned") else 0.02  # rows that are left out move their optimum
    assert worst_relative_error(whole.components_, model.components_) < tolerance
    filled = model.inverse_transform(model.transform(holed))
    assert np.linalg.norm(filled - X) < 0.02 * np.linalg.norm(X)
    assert np.isfinite(model.score_samples(holed)).all()
    assert model.loss_ == pytest.approx(-model.score(holed), rel=1e-6)


@pytest.mark.parametrize("prior", PRIORS)
def test_likelihood_of_complete_signals_is_the_same_either_way(prior):
    X, _ = mixtures(prior, noise=0.05)
    model = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(X)._state
    by_entries = model._losses_of_entries(model.read(X))
    np.testing.assert_allclose(by_entries, model.terms(X).total, rtol=1e-8)
    np.testing.assert_allclose(
        model.read(X).codes,
        model.least_squares_codes(X) * 2.0**model.code_exponent / 2.0**model.code_exponent,
        rtol=1e-7,
        atol=1e-9,
    )


def test_incomplete_rows_do_not_touch_the_others():
    X, _ = mixtures("uniform", noise=0.05)
    model = AutoencoderDecomposer(3, prior="uniform", random_state=0).fit(X)
    mixed = X.copy()
    mixed[::3, 2] = np.nan
    mixed[0] = np.nan
    with pytest.warns(UserWarning, match=r"no observed entry in 1 of 600 rows \(0\): .* the prior's mean"):
        codes = model.transform(mixed)
    np.testing.assert_array_equal(codes[1::3], model.transform(X)[1::3])
    np.testing.assert_array_equal(codes[0], 0.5)
    scores = model.score_samples(mixed)
    np.testing.assert_allclose(scores[1::3], model.score_samples(X)[1::3], rtol=1e-12)
    assert scores[0] == 0
    rows = np.concatenate([model.transform(row[None]) for row in mixed[1:9]])
    np.testing.assert_allclose(rows, codes[1:9], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("prior", ["uniform", "exponential", "simplex"])
def test_codes_of_incomplete_signals_stay_in_their_support(prior):
    X, _ = mixtures(prior, noise=0.3)
    model = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(X)
    codes = model.transform(punched(X, 0.5, 4)[:200])
    assert codes.min() >= 0
    if prior == "uniform":
        assert codes.max() <= 1
    if prior == "simplex":
        np.testing.assert_allclose(codes.sum(axis=1), 1.0)


@pytest.mark.parametrize("options", [{"fit_intercept": False}, {"basis": "nonnegative"}])
def test_without_intercept_and_with_non_negative_components(options):
    X, components = mixtures("exponential")
    model = AutoencoderDecomposer(3, prior="exponential", random_state=0, **options).fit(punched(X, 0.25))
    assert worst_relative_error(components, model.components_) < 0.05
    assert model.reconstruction_err_ < 0.01 * np.linalg.norm(X)


def test_values_missing_because_they_are_large():
    X, _, components = make_sinusoid_mixtures(1000, random_state=3)
    model = AutoencoderDecomposer(random_state=0).fit(np.where(X > 1.2, np.nan, X))
    assert worst_relative_error(components, model.components_) < 0.01, "the mean is not that of what is seen"


def test_more_components_than_the_data_have():
    X, _, _ = make_sinusoid_mixtures(random_state=1)
    with pytest.warns(
        UserWarning, match="larger than the numerical rank 2 of X; the last 3 components are zero"
    ):
        model = AutoencoderDecomposer(5).fit(punched(X, 0.2))
    assert not model.components_[2:].any()


def test_too_few_entries_for_so_many_components():
    X, _ = mixtures("uniform")
    sparse = np.where(np.arange(15) == np.arange(600)[:, None] % 15, X, np.nan)
    with pytest.raises(
        ValueError, match="Only 0 rows of X have as many as 3 observed entries.*Lower n_components"
    ):
        AutoencoderDecomposer(3).fit(sparse)


def test_nullable_tables_and_single_precision():
    X, _, components = make_sinusoid_mixtures(random_state=1)
    holed = punched(X, 0.2)
    table = pd.DataFrame(holed).astype("Float64")
    table.columns = [f"t{j}" for j in range(30)]
    model = AutoencoderDecomposer(random_state=0).fit(holed)
    np.testing.assert_array_equal(
        AutoencoderDecomposer(random_state=0).fit(table).components_, model.components_
    )
    single = AutoencoderDecomposer(random_state=0).fit(holed.astype(np.float32))
    assert single.components_.dtype == single.transform(holed.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.components_, model.components_, atol=1e-4)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_units_do_not_matter(factor):
    X, _, _ = make_sinusoid_mixtures(random_state=1)
    holed = punched(X, 0.2)
    model = AutoencoderDecomposer(random_state=0).fit(holed)
    scaled = AutoencoderDecomposer(random_state=0).fit(holed * factor)
    np.testing.assert_allclose(scaled.components_ / factor, model.components_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaled.transform(holed * factor), model.transform(holed), atol=1e-6)


def test_integer_weights_are_repetitions():
    X, _ = mixtures("uniform", noise=0.05)
    holed = punched(X, 0.2)
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    one = AutoencoderDecomposer(3, random_state=0).fit(holed, sample_weight=weights)
    other = AutoencoderDecomposer(3, random_state=0).fit(np.repeat(holed, weights, axis=0))
    np.testing.assert_allclose(one.components_, other.components_, rtol=1e-7, atol=1e-7)
    assert one.loss_ == pytest.approx(other.loss_, rel=1e-7)


def test_a_saved_model_serves_incomplete_signals():
    X, _ = mixtures("laplace", noise=0.05)
    holed = punched(X, 0.3)
    model = AutoencoderDecomposer(3, prior="laplace", random_state=0).fit(holed)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.transform(holed), model.transform(holed))
    assert loaded.score(holed) == model.score(holed)


def test_weights_are_routed_through_pipeline_and_search():
    X, _ = mixtures("gaussian", n=90, noise=0.3)
    weights = np.random.default_rng(0).integers(1, 3, len(X)).astype(float)
    with config_context(enable_metadata_routing=True):
        model = AutoencoderDecomposer(3, prior="gaussian")
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model)
        pipeline.fit(X, sample_weight=weights)
        search = GridSearchCV(model, {"n_components": [2, 3]}, cv=3).fit(
            punched(X, 0.1), sample_weight=weights
        )
    alone = AutoencoderDecomposer(3, prior="gaussian").fit(
        StandardScaler().fit_transform(X), sample_weight=weights
    )
    np.testing.assert_allclose(pipeline[-1].components_, alone.components_)
    assert search.best_params_ == {"n_components": 3}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
