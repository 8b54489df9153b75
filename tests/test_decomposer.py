"""The estimator: conventions, the likelihood it reports, equivariances, parameters; then any input at all."""

import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_nonnegative_mixtures, make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.priors import Uniform

CLEAN, CODES, SINES = make_sinusoid_mixtures(random_state=0)
NOISY, _, _ = make_sinusoid_mixtures(noise=0.05, random_state=0)


def fitted(X=NOISY, **parameters):
    return AutoencoderDecomposer(**{"n_components": 2, "random_state": 0, **parameters}).fit(X)


@pytest.fixture(scope="module")
def model():
    """A fit of noisy signals that no test may change."""
    return fitted()


@pytest.fixture(scope="module")
def exact():
    """A fit of signals without noise that no test may change."""
    return fitted(CLEAN)


def least_squares_codes(model, X):
    return (X - model.intercept_) @ np.linalg.pinv(model.components_)


def reflected(model, components):
    """Return components and intercept with codes reflected to agree in sign with other components."""
    signs = np.sign((model.components_ * components).sum(axis=1))
    turned = model.components_[signs < 0].sum(axis=0)
    return signs[:, None] * model.components_, model.intercept_ + turned


def assert_same_model(model, components, intercept, rtol=1e-7):
    """Compare up to reflection of codes, relative to the size of the signals."""
    turned, corner = reflected(model, components)
    scale = np.abs(components).max()
    np.testing.assert_allclose(turned, components, rtol=0, atol=rtol * scale)
    np.testing.assert_allclose(corner, intercept, rtol=0, atol=rtol * max(scale, np.abs(intercept).max()))


# Conventions


@pytest.mark.parametrize("interval", [(0, np.pi), (0, np.pi / 2)])
@pytest.mark.parametrize("random_state", range(3))
def test_seed_comes_out_as_it_was_made(interval, random_state):
    X, codes, sines = make_sinusoid_mixtures(interval=interval, random_state=random_state)
    found = AutoencoderDecomposer(random_state=0).fit(X)
    order = np.argsort(-np.linalg.norm(sines, axis=1) * codes.std(axis=0))
    assert worst_relative_error(sines[order], found.components_, matched=False) < 0.06
    np.testing.assert_allclose(found.transform(X), codes[:, order], atol=0.06)
    assert np.abs(found.intercept_).max() < 0.06


def test_seed_is_beyond_pca():
    ours = worst_relative_error(SINES, fitted(CLEAN).components_)
    assert ours < 0.03
    assert worst_relative_error(SINES, PCA(2).fit(CLEAN).components_) > 5 * ours


def test_components_are_sorted_by_explained_variance():
    X, _, sines = make_sinusoid_mixtures(random_state=1)
    scaled = np.linalg.pinv(sines).T * [[0.3], [1.0]]
    found = fitted(X @ scaled.T @ (sines * [[1.0], [5.0]]))
    assert found.explained_variance_[0] > 5 * found.explained_variance_[1]
    assert np.all(np.diff(found.explained_variance_ratio_) < 0)


def test_smallest_parallelogram_is_found(exact):
    span = np.linalg.svd(CLEAN - CLEAN.mean(axis=0), full_matrices=False)[2][:2]
    plane = (CLEAN - CLEAN.mean(axis=0)) @ span.T
    corners = plane[ConvexHull(plane).vertices]
    normals = np.diff(corners, axis=0, append=corners[:1]) @ [[0.0, 1.0], [-1.0, 0.0]]
    widths = np.ptp(corners @ normals.T, axis=0)
    areas = [
        widths[i] * widths[j] / abs(np.linalg.det(normals[[i, j]]))
        for i in range(len(normals))
        for j in range(i)
        if abs(np.linalg.det(normals[[i, j]])) > 1e-9
    ]
    area = abs(np.linalg.det(exact.components_ @ span.T))
    assert min(areas) < area < min(areas) * (1 + 8 / len(CLEAN))


def test_one_component_spans_the_range_of_the_data():
    codes = np.random.RandomState(0).uniform(2.0, 5.0, size=(300, 1))
    found = AutoencoderDecomposer().fit(codes)
    assert found.n_components_ == 1
    assert abs(found.components_[0, 0]) == pytest.approx(3.0, rel=0.01)
    assert found.intercept_[0] == pytest.approx(2.0, abs=0.02)
    assert found.components_[0, 0] > 0
    turned = AutoencoderDecomposer().fit(-codes)
    assert turned.components_[0, 0] < 0
    assert turned.intercept_[0] == pytest.approx(-2.0, abs=0.02)


def test_inverse_transform_is_the_linear_decoder(model):
    codes = np.random.RandomState(0).uniform(size=(7, 2))
    expected = codes @ model.components_ + model.intercept_
    np.testing.assert_array_equal(model.inverse_transform(codes), expected)


def test_codes_are_least_squares_within_the_box(model):
    codes, free = model.transform(NOISY), least_squares_codes(model, NOISY)
    inside = ((free >= 0) & (free <= 1)).all(axis=1)
    assert 0.5 < inside.mean() < 1
    np.testing.assert_allclose(codes[inside], free[inside], atol=1e-12)
    assert codes.min() >= 0
    assert codes.max() <= 1
    # Outside, the residual may only be shortened by leaving the box (Karush, Kuhn and Tucker).
    slopes = (model.inverse_transform(codes) - NOISY) @ model.components_.T
    assert np.all(slopes[codes == 0] > -1e-9)
    assert np.all(slopes[codes == 1] < 1e-9)
    assert np.abs(slopes[(codes > 0) & (codes < 1)]).max() < 1e-9


def test_codes_far_outside_are_projected_in_the_reconstruction_metric():
    # Components 45 degrees apart: clipping coordinate by coordinate would be wrong.
    rng = np.random.RandomState(0)
    components = np.array([[1.0, 0.0, 0.5], [1.0, 1.0, 0.5]])
    found = fitted(rng.uniform(size=(300, 2)) @ components)
    far = 4 * rng.standard_normal((40, 3))
    grid = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 201)]), axis=-1).reshape(-1, 2)
    best = np.min(((far[:, None] - found.inverse_transform(grid)) ** 2).sum(axis=2), axis=1)
    reached = ((far - found.inverse_transform(found.transform(far))) ** 2).sum(axis=1)
    assert np.all(reached < best + 1e-9)
    assert np.all(reached > best - 0.2)


def test_explained_variance_is_that_of_codes_times_squared_norm(model):
    variances = least_squares_codes(model, NOISY).var(axis=0, ddof=1)
    expected = variances * (model.components_**2).sum(axis=1)
    np.testing.assert_allclose(model.explained_variance_, expected, rtol=1e-9)
    share = expected / NOISY.var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(model.explained_variance_ratio_, share, rtol=1e-9)


def test_noise_variance_is_the_residual_over_what_it_was_free_to_fill(model):
    residuals = NOISY - model.inverse_transform(least_squares_codes(model, NOISY))
    n, d = NOISY.shape
    assert model.noise_variance_ == pytest.approx((residuals**2).sum() / (n * (d - 2)), rel=1e-9)
    assert model.noise_variance_ == pytest.approx(0.05**2, rel=0.05)
    assert model.reconstruction_err_ == pytest.approx(np.linalg.norm(residuals), rel=1e-9)


def test_fitted_attributes_are_plain(model):
    assert (model.n_components_, model.n_features_in_) == (2, 30)
    assert isinstance(model.n_components_, int)
    assert isinstance(model.noise_variance_, float)
    assert isinstance(model.prior_, Uniform)
    assert str(model.prior_) == "uniform"
    assert model.converged_ is True
    for array in (model.components_, model.intercept_):
        assert type(array) is np.ndarray
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert array.flags.writeable


# Likelihood


def test_loss_is_the_last_of_its_curve_and_minus_the_score(model):
    assert model.loss_ == model.loss_curve_[-1]
    assert model.loss_curve_.shape == (model.n_iter_ + 1,)
    assert model.loss_ == pytest.approx(-model.score(NOISY), rel=1e-9)


def test_score_is_the_weighted_mean_of_score_samples(model):
    each = model.score_samples(NOISY)
    assert each.dtype == np.float64
    assert each.shape == (300,)
    assert model.score(NOISY) == pytest.approx(each.mean(), rel=1e-12)
    weights = np.arange(300.0)
    assert model.score(NOISY, sample_weight=weights) == pytest.approx(
        np.average(each, weights=weights), rel=1e-12
    )
    assert fitted(NOISY.astype(np.float32)).score_samples(NOISY.astype(np.float32)).dtype == np.float64


def test_likelihood_is_the_formula_where_codes_are_well_inside(model):
    codes = np.full((5, 2), 0.5)
    X = model.inverse_transform(codes) + 0.05 * np.random.RandomState(0).standard_normal((5, 30))
    residuals = X - model.inverse_transform(least_squares_codes(model, X))
    variance = model.noise_variance_
    log_density = (
        -0.5 * (residuals**2).sum(axis=1) / variance
        - 0.5 * 28 * np.log(2 * np.pi * variance)
        - 0.5 * np.linalg.slogdet(model.components_ @ model.components_.T)[1]
    )
    np.testing.assert_allclose(model.score_samples(X), log_density, rtol=1e-9)


@pytest.mark.parametrize(
    "components", [np.array([[1.0, 0.5]]), np.array([[1.0, 0.3], [0.2, 0.8]])], ids=["k=1", "k=d=2"]
)
def test_density_integrates_to_one(components):
    rng = np.random.RandomState(0)
    k = len(components)
    X = rng.uniform(size=(300, k)) @ components + 0.05 * rng.standard_normal((300, 2))
    found = fitted(X, n_components=k)
    # Importance sampling from a broader normal distribution.
    factor = np.linalg.cholesky(2.5 * np.cov(X.T))
    normal = rng.standard_normal((400_000, 2))
    log_proposal = -0.5 * (normal**2).sum(axis=1) - np.log(2 * np.pi) - np.log(np.diagonal(factor)).sum()
    ratios = np.exp(found.score_samples(X.mean(axis=0) + normal @ factor.T) - log_proposal)
    error = ratios.std() / np.sqrt(len(ratios))
    assert error < 0.01
    assert ratios.mean() == pytest.approx(1.0, abs=4 * error)


def test_score_is_finite_and_low_far_away(exact, model):
    far = np.concatenate([NOISY * 1e6, -NOISY * 1e200, NOISY * 1e300])
    for one in (exact, model):
        each = one.score_samples(far)
        assert np.isfinite(each).all()
        assert each.max() < one.score_samples(CLEAN).min()


@pytest.mark.filterwarnings("ignore:n_components=3 is larger than the numerical rank:UserWarning")
@pytest.mark.parametrize("X", [CLEAN, NOISY], ids=["clean", "noisy"])
def test_cross_validated_score_picks_the_rank(X):
    search = GridSearchCV(AutoencoderDecomposer(random_state=0), {"n_components": [1, 2, 3]}, cv=3).fit(X)
    assert search.best_params_ == {"n_components": 2}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_score_on_held_out_signals_is_near_that_on_training_signals(model):
    held_out, _, _ = make_sinusoid_mixtures(2000, noise=0.05, random_state=7)
    assert model.score(held_out) == pytest.approx(model.score(NOISY), abs=1.5)
    assert model.score(held_out) > fitted(NOISY, n_components=1).score(held_out) + 10


def test_samples_have_the_moments_of_the_model(model):
    drawn = model.sample(100_000, random_state=0)
    assert drawn.shape == (100_000, 30)
    covariance = model.get_covariance()
    error = np.sqrt(covariance.max() / len(drawn))
    mean = model.intercept_ + 0.5 * model.components_.sum(axis=0)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=5 * error)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=6 * np.sqrt(covariance.max()) * error)
    expected = model.components_.T @ model.components_ / 12 + model.noise_variance_ * np.eye(30)
    np.testing.assert_allclose(covariance, expected, rtol=1e-12)


def test_samples_follow_the_random_state(model):
    one, same, other = (model.sample(3, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    assert model.sample(random_state=0).shape == (1, 30)


def test_refit_to_own_samples_finds_the_same_model(model):
    drawn = model.sample(3000, random_state=0)
    again = fitted(drawn)
    assert worst_relative_error(model.components_, again.components_, matched=False) < 0.03
    assert again.noise_variance_ == pytest.approx(model.noise_variance_, rel=0.03)


# Types


def test_float32_stays_float32_and_agrees_with_float64(model):
    single = NOISY.astype(np.float32)
    found = fitted(single)
    codes = found.transform(single)
    for array in (found.components_, found.intercept_, codes, found.inverse_transform(codes)):
        assert array.dtype == np.float32
    assert found.sample(2, random_state=0).dtype == np.float32
    np.testing.assert_allclose(found.components_, model.components_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.intercept_, model.intercept_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(codes, model.transform(NOISY), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.score_samples(single), model.score_samples(NOISY), rtol=1e-4, atol=1e-3)


def test_float64_gives_float64_accuracy(exact):
    rebuilt = exact.inverse_transform(exact.transform(CLEAN))
    np.testing.assert_allclose(rebuilt, CLEAN, rtol=0, atol=1e-13)


# Equivariance


@pytest.mark.parametrize("power", [-40, -1, 17])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two_pass_through_without_rounding(dtype, power):
    X = NOISY.astype(dtype)
    one, other = fitted(X), fitted(np.ldexp(X, power))
    np.testing.assert_array_equal(other.components_, np.ldexp(one.components_, power))
    np.testing.assert_array_equal(other.intercept_, np.ldexp(one.intercept_, power))
    np.testing.assert_array_equal(other.explained_variance_, np.ldexp(one.explained_variance_, 2 * power))
    assert other.noise_variance_ == np.ldexp(one.noise_variance_, 2 * power)
    np.testing.assert_array_equal(other.transform(np.ldexp(X, power)), one.transform(X))
    assert other.loss_ == pytest.approx(one.loss_ + 30 * power * np.log(2), rel=1e-12)


@pytest.mark.parametrize("factor", [1e-7, 3.3, -2.7, 1e12])
def test_scale_of_the_data_is_that_of_the_components(model, factor):
    found = fitted(factor * NOISY)
    assert_same_model(found, factor * model.components_, factor * model.intercept_)
    assert found.loss_ == pytest.approx(model.loss_ + 30 * np.log(abs(factor)), rel=1e-7)
    assert found.noise_variance_ == pytest.approx(factor**2 * model.noise_variance_, rel=1e-7)


def test_rotating_features_rotates_components(model):
    rotation = np.linalg.qr(np.random.RandomState(0).standard_normal((30, 30)))[0]
    found = fitted(NOISY @ rotation)
    assert_same_model(found, model.components_ @ rotation, model.intercept_ @ rotation)
    assert found.loss_ == pytest.approx(model.loss_, rel=1e-9)


def test_moving_the_data_moves_only_the_intercept(model):
    shift = 10 * np.random.RandomState(0).standard_normal(30)
    found = fitted(NOISY + shift)
    assert_same_model(found, model.components_, model.intercept_ + shift)
    assert found.loss_ == pytest.approx(model.loss_, rel=1e-9)


def test_order_of_rows_does_not_matter(model):
    found = fitted(NOISY[np.random.RandomState(0).permutation(300)])
    np.testing.assert_allclose(found.components_, model.components_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.intercept_, model.intercept_, rtol=1e-7, atol=1e-9)


def test_corner_is_the_one_nearest_to_zero(model):
    corners = [model.intercept_ + signs @ model.components_ for signs in np.ndindex(2, 2)]
    assert np.argmin(np.linalg.norm(corners, axis=1)) == 0


def test_integer_weights_are_repeated_rows():
    weights = np.random.RandomState(0).randint(0, 4, size=300)
    repeated = np.repeat(NOISY, weights, axis=0)
    weighted = AutoencoderDecomposer(2, random_state=0).fit(NOISY, sample_weight=weights)
    plain = AutoencoderDecomposer(2, random_state=0).fit(repeated)
    np.testing.assert_allclose(weighted.components_, plain.components_, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(weighted.intercept_, plain.intercept_, rtol=1e-7, atol=1e-7)
    for name in ("explained_variance_", "explained_variance_ratio_", "noise_variance_", "loss_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(plain, name), rtol=1e-7)
    assert weighted.score(NOISY, sample_weight=weights) == pytest.approx(plain.score(repeated), rel=1e-9)
    assert not np.allclose(weighted.components_, fitted().components_, rtol=1e-4)


def test_weights_of_one_change_nothing(model):
    found = AutoencoderDecomposer(2, random_state=0).fit(NOISY, sample_weight=np.ones(300))
    np.testing.assert_array_equal(found.components_, model.components_)


def test_the_starts_do_not_decide(model):
    for random_state in (1, 2):
        found = fitted(random_state=random_state)
        assert_same_model(found, model.components_, model.intercept_, rtol=1e-6)


# Names and containers


def test_feature_names_out(model):
    names = ["autoencoderdecomposer0", "autoencoderdecomposer1"]
    assert list(model.get_feature_names_out()) == names


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_data_frames_go_in_and_come_out(library, model):
    names = [f"t{i}" for i in range(30)]
    table = library.DataFrame(dict(zip(names, NOISY.T, strict=True)))
    found = AutoencoderDecomposer(2, random_state=0).set_output(transform=library.__name__)
    codes = found.fit_transform(table)
    assert isinstance(codes, library.DataFrame)
    assert list(codes.columns) == list(found.get_feature_names_out())
    assert list(found.feature_names_in_) == names
    np.testing.assert_allclose(codes.to_numpy(), model.transform(NOISY), rtol=0, atol=1e-12)
    rebuilt = found.inverse_transform(codes)
    assert type(rebuilt) is np.ndarray
    np.testing.assert_allclose(rebuilt, model.inverse_transform(model.transform(NOISY)), rtol=0, atol=1e-12)


def test_pandas_index_is_kept():
    table = pd.DataFrame(NOISY, index=np.arange(300) + 1000).add_prefix("t")
    codes = AutoencoderDecomposer(2).set_output(transform="pandas").fit(table).transform(table[::7])
    assert list(codes.index) == list(table.index[::7])


def test_pipeline_scores_and_transforms():
    pipeline = make_pipeline(StandardScaler(with_std=False), AutoencoderDecomposer(2, random_state=0))
    codes = pipeline.fit_transform(NOISY)
    np.testing.assert_allclose(pipeline.transform(NOISY), codes, rtol=1e-7)
    np.testing.assert_allclose(pipeline.inverse_transform(codes), NOISY, atol=0.3)
    assert np.isfinite(pipeline.score(NOISY))


# Parameters


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("random_state", range(3))
def test_automatic_rank_of_the_seed_is_two(noise, random_state):
    X, _, _ = make_sinusoid_mixtures(noise=noise, random_state=random_state)
    assert AutoencoderDecomposer().fit(X).n_components_ == 2


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_share_of_variance_counts_as_pca_does(share):
    assert AutoencoderDecomposer(share).fit(CLEAN).n_components_ == PCA(share).fit(CLEAN).n_components_


@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8])
def test_numpy_integers_are_integers(integer, model):
    found = fitted(n_components=integer(2), max_iter=integer(200), verbose=integer(0))
    np.testing.assert_array_equal(found.components_, model.components_)
    assert isinstance(found.n_components_, int)
    generators = [np.random.RandomState(0) for _ in range(2)]
    fitted(n_components=3, n_init=4, random_state=generators[0])
    fitted(n_components=3, n_init=integer(4), random_state=generators[1])
    assert generators[0].uniform() == generators[1].uniform()


@pytest.mark.filterwarnings("ignore:Training stopped:sklearn.exceptions.ConvergenceWarning")
def test_init_is_where_training_starts():
    X, _, sines = make_sinusoid_mixtures(frequencies=(1, 2, 3), noise=0.05, random_state=0)
    order = [np.abs(fitted(X, n_components=3).components_ @ sine).argmax() for sine in sines]
    assert sorted(order) == [0, 1, 2]
    without, near = (fitted(X, n_components=3, max_iter=1, init=init) for init in (None, sines))
    errors = [worst_relative_error(sines, model.components_) for model in (near, without)]
    assert errors[0] < 0.04 < errors[1]


@pytest.mark.parametrize("n_components", [2, "auto", 0.9])
def test_init_leads_to_the_same_optimum(n_components, model):
    init = SINES + 0.05
    before = init.copy()
    found = fitted(init=init, n_components=n_components)
    np.testing.assert_array_equal(init, before)
    assert_same_model(found, model.components_, model.intercept_, rtol=1e-6)


def test_prior_is_a_name_or_an_object(model):
    for prior in ("auto", "uniform", Uniform()):
        np.testing.assert_array_equal(fitted(prior=prior).components_, model.components_)


def test_clone_is_unfitted_and_keeps_parameters():
    estimator = AutoencoderDecomposer(2, tol=1e-9, prior=Uniform(), init=SINES).fit(NOISY)
    copy = clone(estimator)
    assert not hasattr(copy, "components_")
    assert copy.tol == 1e-9
    np.testing.assert_array_equal(copy.init, SINES)


def test_verbose_prints_progress(capsys, model):
    fitted(verbose=0)
    assert capsys.readouterr().out == ""
    found = fitted(verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("iteration ")
    assert all("loss" in line and line.endswith(" s") for line in lines)
    np.testing.assert_array_equal(found.components_, model.components_)


def test_verbose_draws_a_bar_where_that_is_installed(capsys, monkeypatch):
    fitted(verbose=1, max_iter=200)
    written = capsys.readouterr()
    assert written.out == ""
    assert "/200" in written.err
    assert "loss" in written.err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fitted(verbose=1)
    written = capsys.readouterr()
    assert written.out.startswith("iteration ")
    assert written.err == ""


def test_verbose_still_asks_the_callback(capsys):
    seen = []
    fitted(verbose=2, callback=seen.append)
    assert len(seen) == len(capsys.readouterr().out.splitlines()) > 0


def test_too_few_iterations_warn_with_the_parameter_to_change():
    with pytest.warns(ConvergenceWarning, match=r"after 1 iterations at loss .*tol=1e-12.*Increase max_iter"):
        found = fitted(max_iter=1)
    assert found.n_iter_ == 1
    assert found.converged_ is False
    assert np.isfinite(found.components_).all()
    assert np.isfinite(found.score(NOISY))


# Callback


def test_callback_is_told_of_progress():
    seen = []
    found = fitted(callback=seen.append)
    assert seen
    assert [info.iteration for info in seen] == sorted(info.iteration for info in seen)
    assert seen[-1].iteration >= found.n_iter_ > 0
    assert all(np.isfinite(info.loss) and isinstance(info.loss, float) for info in seen)
    assert all(info.elapsed > 0 for info in seen)
    with pytest.raises(AttributeError):
        seen[0].loss = 0.0


def test_callback_that_returns_true_ends_training_and_keeps_the_result():
    calls = []

    def stop(info):
        calls.append(info)
        return True

    found = fitted(callback=stop)  # warnings are errors here: none is given
    assert len(calls) == 1
    assert np.isfinite(found.score(NOISY))
    assert worst_relative_error(SINES, found.components_) < 0.5


def test_callback_decides_nothing_else(model):
    found = fitted(callback=lambda info: None)
    np.testing.assert_array_equal(found.components_, model.components_)


def test_exception_in_a_callback_passes_and_the_old_fit_stays():
    def fail(info):
        raise RuntimeError("from the callback")

    estimator = fitted()
    codes, components = estimator.transform(NOISY), estimator.components_
    estimator.set_params(callback=fail)
    with pytest.raises(RuntimeError, match="^from the callback$"):
        estimator.fit(CLEAN[:, :20])
    assert estimator.components_ is components
    np.testing.assert_array_equal(estimator.transform(NOISY), codes)


# Any input at all


def edge_values(dtype):
    limits = np.finfo(dtype)
    numbers = [0, 1, -1, limits.max, -limits.max, 1e19, -1e19, 1e30, limits.tiny, -limits.tiny]
    return [dtype(number) for number in numbers] + [limits.smallest_subnormal, -limits.smallest_subnormal]


@st.composite
def edge_arrays(draw):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    values = draw(st.lists(st.sampled_from(edge_values(dtype)), min_size=1, max_size=4))
    shape = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    rows = draw(st.lists(st.sampled_from(values), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    return np.array(rows, dtype=dtype).reshape(shape)


def clear_error(act):
    """Return the value, or None where a ValueError names the scale of the data."""
    try:
        return act()
    except ValueError as error:
        assert "range of float" in str(error) or "Rescale X" in str(error)  # noqa: PT017
        return None


def fit_or_clear_error(X, **parameters):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X has no variance|n_components=", UserWarning)
        return clear_error(lambda: AutoencoderDecomposer(random_state=0, **parameters).fit(X))


@pytest.mark.usefixtures("both_ways")
@settings(max_examples=60)
@given(edge_arrays(), st.sampled_from(["auto", 1, 0.9]))
def test_any_finite_input_gives_a_finite_model_or_a_clear_error(X, n_components):
    before = X.tobytes()
    found = fit_or_clear_error(X, n_components=n_components)
    if found is not None:
        for name, value in vars(found).items():
            if name.endswith("_") and isinstance(value, float | np.ndarray):
                assert np.isfinite(value).all(), name
        codes = found.transform(X)
        assert codes.dtype == X.dtype
        assert np.isfinite(codes).all()
        assert np.isfinite(found.inverse_transform(codes)).all()
        assert np.isfinite(found.score_samples(X)).all()
    assert X.tobytes() == before


@settings(max_examples=25)
@given(edge_arrays())
def test_what_the_type_can_hold_is_drawn_or_refused(X):
    found = fit_or_clear_error(X)
    if found is not None:
        drawn = clear_error(lambda: found.sample(5, random_state=0))
        assert drawn is None or np.isfinite(drawn).all()
        covariance = clear_error(found.get_covariance)
        assert covariance is None or np.isfinite(covariance).all()


@pytest.mark.usefixtures("both_ways")
@settings(max_examples=25)
@given(
    st.integers(5, 12),
    st.integers(1, 4),
    st.integers(0, 1000),
    st.sampled_from([np.float32, np.float64]),
    st.integers(-60, 60),
)
def test_powers_of_two_pass_through_any_data(n, d, seed, dtype, power):
    X = np.random.RandomState(seed).standard_normal((n, d)).astype(dtype)
    one, other = fit_or_clear_error(X), fit_or_clear_error(np.ldexp(X, power))
    np.testing.assert_array_equal(other.components_, np.ldexp(one.components_, power))
    np.testing.assert_array_equal(other.transform(np.ldexp(X, power)), one.transform(X))


@pytest.mark.usefixtures("both_ways")
@settings(max_examples=25)
@given(st.integers(6, 12), st.integers(1, 4), st.integers(0, 1000))
def test_repeated_rows_and_weights_agree_on_any_data(n, d, seed):
    rng = np.random.RandomState(seed)
    X, weights = rng.standard_normal((n, d)), rng.randint(1, 3, size=n)
    weighted = AutoencoderDecomposer(1, random_state=0).fit(X, sample_weight=weights)
    plain = AutoencoderDecomposer(1, random_state=0).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.components_, plain.components_, rtol=1e-6, atol=1e-7)
    assert weighted.loss_ == pytest.approx(plain.loss_, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize(("snr_db", "most"), [(None, 60), (40, 32), (25, 25)])
@pytest.mark.parametrize("seed", range(2))
def test_cones_are_found_within_few_steps(seed, snr_db, most):
    """Codes that pile up at faces follow these as they narrow: it took twice as many steps without."""
    X, _, components = make_nonnegative_mixtures(1000, 4, snr_db=snr_db, random_state=seed)
    model = AutoencoderDecomposer(4, prior="exponential", fit_intercept=False, random_state=0).fit(X)
    assert model.converged_
    assert model.n_iter_ <= most
    assert worst_relative_error(components, model.components_) < 0.015
    again = AutoencoderDecomposer(4, prior="exponential", fit_intercept=False, n_init=3, random_state=1).fit(
        X
    )
    assert again.loss_ == pytest.approx(model.loss_, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [12001, 12003])
def test_twenty_components_converge_within_few_steps(seed):
    """Faces that narrow too fast are followed in many small steps, or not to the end."""
    X, _, components = make_sinusoid_mixtures(20_000, 100, frequencies=range(1, 21), random_state=seed)
    model = AutoencoderDecomposer(prior="uniform", random_state=0).fit(X)
    assert model.converged_
    assert model.n_iter_ < 400
    assert worst_relative_error(components, model.components_) < 0.004


@pytest.mark.parametrize(
    ("prior", "n", "intercept"), [("uniform", 9000, True), ("uniform", 9000, False), ("simplex", 300, True)]
)
def test_the_last_loss_is_that_of_all_signals_wherever_training_looked(prior, n, intercept):
    """Training ends with the signals near faces alone; a density of all codes together has terms beside."""
    rng = np.random.default_rng(0)
    codes = rng.dirichlet(np.ones(5), n) if prior == "simplex" else rng.random((n, 5))
    X = codes @ rng.normal(size=(5, 12)) + 0.02 * rng.normal(size=(n, 12))
    model = AutoencoderDecomposer(5, prior=prior, fit_intercept=intercept, random_state=0).fit(X)
    assert model.loss_ == pytest.approx(-model.score(X), abs=1e-6)
