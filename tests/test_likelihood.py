"""The likelihood of the estimator under every prior: against PCA, quadrature and simulation; conventions."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, qmc, t
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks as checks

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.exceptions import IdentifiabilityWarning
from sparse_fourier.metrics import amari_distance, worst_relative_error
from sparse_fourier.priors import Prior

PRIORS = ["uniform", "laplace", "exponential", "gaussian", "learned"]
CENTRED = ["laplace", "gaussian", "learned"]
every_prior = pytest.mark.parametrize("prior", PRIORS)
every_centred_prior = pytest.mark.parametrize("prior", CENTRED)
free_scale = pytest.mark.parametrize("prior", [*CENTRED, "exponential"])


class SechSquared(Prior):
    """A user's prior: a logistic density of scale one half."""

    support = "real"

    def log_density(self, codes):
        return jnp.sum(np.log(0.5) - 2 * jnp.log(jnp.cosh(codes)), axis=1)

    def __str__(self):
        return "a user's"


def draw(prior, shape, rng):
    """Codes for which a prior is meant; those of "gaussian" and "learned" differ from code to code."""
    if prior == "uniform":
        return rng.uniform(size=shape)
    if prior == "laplace":
        return rng.laplace(size=shape)
    if prior == "exponential":
        return rng.exponential(size=shape)
    if prior == "gaussian":
        return rng.normal(size=shape) * 2.0 ** np.arange(shape[1], 0, -1)
    if prior == "learned":
        kinds = [rng.exponential(size=shape[0]), rng.laplace(size=shape[0]), rng.uniform(size=shape[0])]
        return np.stack(kinds[: shape[1]], axis=1)
    return rng.logistic(scale=0.5, size=shape)


def signals(prior, n=300, k=2, d=5, noise=0.02, seed=0, offset=3.0):
    """Signals and the components that they are made of, orthogonal ones for "gaussian".

    All codes are moved by `offset`, which leaves no doubt of the signs that the mean gives.
    """
    rng = np.random.default_rng(seed)
    components = rng.normal(size=(k, d))
    components = np.linalg.qr(components.T)[0].T if prior == "gaussian" else components
    X = (draw(prior, (n, k), rng) + offset) @ components + noise * rng.normal(size=(n, d))
    return X, components


def fitted(prior, X, n_components=2, **parameters):
    return AutoencoderDecomposer(n_components, prior=prior, random_state=0, **parameters).fit(X)


@pytest.fixture(scope="module")
def models():
    """Fits of noisy signals, with the signals and the true components, that no test may change."""
    collected = {}
    for prior in PRIORS:
        X, components = signals(prior)
        collected[prior] = fitted(prior, X), X, components
    return collected


# The Gaussian prior is principal component analysis.


def cancer():
    return StandardScaler().fit_transform(load_breast_cancer().data)


def ordered(n=400, d=8):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) * 1.5 ** np.arange(d) @ np.linalg.qr(rng.normal(size=(d, d)))[0] + 3


TABLES = {"ordered": ordered(), "digits": load_digits().data, "cancer": cancer()}


@pytest.mark.parametrize(
    ("name", "k"),
    [("ordered", 1), ("ordered", 3), ("ordered", 7), ("ordered", 8), ("digits", 10), ("cancer", 5)],
)
def test_gaussian_is_pca(name, k):
    X = TABLES[name]
    pca = PCA(k, svd_solver="full").fit(X)
    with warnings.catch_warnings():  # neighbours of nearly equal variance have axes of their own all the same
        warnings.simplefilter("ignore", IdentifiabilityWarning)
        model = fitted("gaussian", X, k)
    signs = np.sign((model.components_ * pca.components_).sum(axis=1))
    np.testing.assert_allclose(signs[:, None] * model.components_, pca.components_, atol=1e-8)
    np.testing.assert_allclose(model.explained_variance_, pca.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(model.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_, pca.mean_, atol=1e-12 * np.abs(X).max())
    np.testing.assert_allclose(model.transform(X), pca.transform(X) * signs, atol=1e-8 * np.abs(X).max())
    np.testing.assert_allclose(model.get_covariance(), pca.get_covariance(), atol=1e-9 * X.var(axis=0).sum())
    assert model.noise_variance_ == pytest.approx(pca.noise_variance_, rel=1e-8, abs=1e-14)
    assert model.score(X) == pytest.approx(pca.score(X), rel=1e-6)
    np.testing.assert_allclose(model.score_samples(X), pca.score_samples(X), rtol=1e-6, atol=1e-6)
    assert model.n_iter_ == 1
    assert model.converged_


@pytest.mark.parametrize("k", [1, 5, 18])
def test_gaussian_with_fewer_samples_than_features_has_the_axes_of_pca(k):
    X = ordered(20, 50)
    pca, model = PCA(k).fit(X), fitted("gaussian", X, k)
    cosines = (model.components_ * pca.components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1.0, atol=1e-9)
    np.testing.assert_allclose(model.explained_variance_, pca.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(model.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-9)


def test_gaussian_without_intercept_is_the_truncated_svd():
    X = TABLES["ordered"]
    _, singular, axes = np.linalg.svd(X, full_matrices=False)
    model = fitted("gaussian", X, 4, fit_intercept=False)
    assert not model.intercept_.any()
    cosines = (model.components_ * axes[:4]).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1.0, atol=1e-9)
    left = model.transform(X) @ model.components_ - X
    np.testing.assert_allclose(np.linalg.norm(left), np.linalg.norm(singular[4:]), rtol=1e-9)


def test_gaussian_is_pca_whatever_it_is_told_to_start_from():
    X = TABLES["ordered"]
    init = np.random.default_rng(0).normal(size=(3, 8))
    model = fitted("gaussian", X, 3, init=init)
    cosines = (model.components_ * PCA(3).fit(X).components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1.0, atol=1e-6)


# The score is the density of a signal.


@every_prior
def test_loss_is_minus_the_score(models, prior):
    model, X, _ = models[prior]
    assert model.loss_ == pytest.approx(-model.score(X), rel=1e-9)
    assert model.loss_ == model.loss_curve_[-1]


@pytest.mark.parametrize(
    ("prior", "k", "d"),
    [
        pytest.param(prior, k, d, id=f"{prior}-{k}-{d}")
        for prior in (*PRIORS, SechSquared())
        for k, d in ((1, 2), (2, 2), (2, 3))
    ],
)
def test_density_integrates_to_one(prior, k, d):
    """By importance sampling with points of a Sobol sequence, from densities with tails like a power.

    Codes are an affine map of the signal, and the blurred density of each integrates to one, so that
    the approximation of independent blur has no part in the total: the tolerance is that of sampling.
    """
    X, _ = signals(str(prior), n=400, k=k, d=d, noise=0.1)
    model = fitted(prior, X, k)
    codes, components = (X - model.intercept_) @ np.linalg.pinv(model.components_), model.components_
    beside = np.linalg.svd(components)[2][k:] * np.sqrt(model.noise_variance_)
    directions = 1.5 * np.concatenate([codes.std(axis=0)[:, None] * components, beside])
    points = t.ppf(qmc.Sobol(d, rng=0).random_base2(14), 4)
    log_proposal = t.logpdf(points, 4).sum(axis=1) - np.linalg.slogdet(directions)[1]
    weights = np.exp(model.score_samples(X.mean(axis=0) + points @ directions) - log_proposal)
    assert weights.mean() == pytest.approx(1.0, abs=3e-3)


@pytest.mark.parametrize("prior", ["uniform", "laplace", "exponential"])
def test_one_component_has_the_density_of_a_noisy_segment(prior):
    """With one code nothing is approximated but the floor of its variance, 1/n or 1/n²."""
    X, _ = signals(prior, n=2000, k=1, d=3, noise=0.3)
    model = fitted(prior, X, 1)
    component, intercept, deviation = model.components_[0], model.intercept_, model.noise_variance_**0.5
    (low, high), top = model.prior_.quantiles(np.array([[1e-9], [1 - 1e-9]])).ravel(), model.prior_

    def density(x):
        def along(h):
            noise = norm.logpdf(x - intercept - h * component, scale=deviation).sum()
            return np.exp(top.log_density(np.array([[h]]))[0] + noise)

        centre = float((x - intercept) @ component / (component @ component))
        reach = 8 * deviation / np.linalg.norm(component)
        kinks = [low, high, *np.atleast_1d(getattr(top, "location", low))]
        edges = np.unique(np.clip([centre - reach, *kinks, centre + reach], low, high))
        edges = edges[(edges >= centre - reach - 1e-9) & (edges <= centre + reach + 1e-9)]
        return sum(quad(along, a, b)[0] for a, b in zip(edges, edges[1:], strict=False))

    expected = np.log([density(x) for x in X[:30]])
    np.testing.assert_allclose(model.score_samples(X[:30]), expected, atol=2e-3)


@every_prior
def test_score_is_a_number_for_every_finite_signal(models, prior):
    model, X, components = models[prior]
    directions = np.concatenate([components, np.eye(5), np.ones((1, 5))])
    for size in (1e2, 1e10, 1e150, 1e300, 1e307):
        for sign in (1.0, -1.0):
            scores = model.score_samples(sign * size * directions / np.abs(directions).max())
            assert np.isfinite(scores).all()
            assert (scores < model.score_samples(X).min()).all()


@every_prior
def test_samples_have_the_moments_of_the_model(models, prior):
    model, X, _ = models[prior]
    sampled = model.sample(20_000, random_state=0)
    covariance = model.get_covariance()
    atol = 0.05 * covariance.max()
    np.testing.assert_allclose(np.cov(sampled.T), covariance, atol=atol)
    np.testing.assert_allclose(
        sampled.mean(axis=0), X.mean(axis=0), atol=5 * X.std(axis=0).max() / np.sqrt(300)
    )


# Model selection by held-out likelihood.


def chosen(X, grid):
    search = GridSearchCV(
        AutoencoderDecomposer(2, random_state=0),
        grid,
        cv=KFold(3, shuffle=True, random_state=0),
        error_score="raise",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdentifiabilityWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return search.fit(X).best_params_


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_search_finds_prior_and_number_of_the_seed(noise):
    X, _, _ = make_sinusoid_mixtures(noise=noise, random_state=0)
    several = {"prior": PRIORS, "n_components": [2, 3] if noise else [2]}
    one = {"prior": PRIORS[:-1], "n_components": [1]}
    assert chosen(X, [several, one]) == {"prior": "uniform", "n_components": 2}


def test_one_learned_component_has_the_density_of_its_codes():
    rng = np.random.default_rng(0)
    codes = rng.exponential(size=2000)
    model = fitted("learned", codes[:, None], 1)
    inside = np.linspace(0.2, 2.0, 10)
    np.testing.assert_allclose(model.score_samples(inside[:, None]), -inside, atol=0.2)


@pytest.mark.parametrize(
    ("codes", "answers"),
    [
        ("laplace", {"laplace"}),
        ("exponential", {"exponential"}),
        ("gaussian", {"gaussian", "learned"}),
    ],
)
def test_search_finds_the_prior_of_the_codes(codes, answers):
    X, _, _ = make_sinusoid_mixtures(600, codes=codes, noise=0.05, random_state=0)
    assert chosen(X, {"prior": PRIORS})["prior"] in answers


# Conventions.


def norms(components):
    return np.linalg.norm(components, axis=1)


@every_centred_prior
def test_codes_are_centred_and_components_of_unit_norm(models, prior):
    model, X, _ = models[prior]
    np.testing.assert_allclose(norms(model.components_), 1.0, rtol=1e-12)
    np.testing.assert_allclose(model.transform(X).mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(model.intercept_, X.mean(axis=0), rtol=1e-12)


@every_centred_prior
def test_signs_are_those_of_the_mean(prior):
    """Signals, not centred ones: each component has a part in the mean that is positive."""
    X, components = signals(prior, n=600)
    for change in (np.zeros(2), [-6.0, 0.0], [-6.0, -7.0]):
        moved = X + change @ components
        model = fitted(prior, moved)
        coefficients = np.linalg.lstsq(model.components_.T, moved.mean(axis=0), rcond=None)[0]
        assert (coefficients > 0).all()


def test_exponential_codes_count_from_the_apex(models):
    model, X, components = models["exponential"]
    np.testing.assert_allclose(norms(model.components_), 1.0, rtol=1e-12)
    assert model.transform(X).min() >= 0
    true = components / norms(components)[:, None]
    assert worst_relative_error(true, model.components_, matched=False) < 0.05
    np.testing.assert_allclose(model.intercept_, 3 * components.sum(axis=0), atol=0.2)
    # The scale of the fitted prior is the mean of the codes.
    np.testing.assert_allclose(model.prior_.scale, model.transform(X).mean(axis=0), rtol=0.05)


@every_prior
@pytest.mark.parametrize("exponent", [-60, -3, 7, 200])
def test_a_power_of_two_scales_codes_and_nothing_else(models, prior, exponent):
    """The uniform prior has its scale in the components instead. Without training all is so bit for bit."""
    model, X, _ = models[prior]
    scaled = fitted(prior, np.ldexp(X, exponent))
    components, codes = (exponent, 0) if prior == "uniform" else (0, exponent)
    # The objective counts the unit, so that rounding may end a training elsewhere within its tolerance.
    rtol = 0.0 if prior == "gaussian" else 1e-7

    def same(actual, expected):
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max())

    same(scaled.components_, np.ldexp(model.components_, components))
    same(scaled.intercept_, np.ldexp(model.intercept_, exponent))
    same(scaled.transform(np.ldexp(X, exponent)), np.ldexp(model.transform(X), codes))
    same(scaled.explained_variance_, np.ldexp(model.explained_variance_, 2 * exponent))
    same(scaled.explained_variance_ratio_, model.explained_variance_ratio_)
    if prior in CENTRED:
        np.testing.assert_allclose(scaled.intercept_, np.ldexp(model.intercept_, exponent), rtol=1e-14)
    assert scaled.score(np.ldexp(X, exponent)) == pytest.approx(
        model.score(X) - 5 * exponent * np.log(2), rel=1e-12
    )


@every_prior
def test_fitted_prior_is_in_the_unit_of_the_codes(models, prior):
    """Quantiles of the fitted prior are about those of the codes, whatever the unit of the signals."""
    _, X, _ = models[prior]
    model = fitted(prior, 1000 * X)
    codes = model.transform(1000 * X)
    p = np.array([[0.25, 0.25], [0.75, 0.75]])
    expected = np.quantile(codes, [0.25, 0.75], axis=0)
    np.testing.assert_allclose(model.prior_.quantiles(p), expected, atol=0.25 * codes.std(axis=0).max())


@pytest.mark.parametrize(
    ("prior", "kind"),
    [(prior, kind) for prior in PRIORS for kind in ("permuted", "rotated")],
)
def test_turned_features_turn_components(models, prior, kind):
    model, X, _ = models[prior]
    rng = np.random.default_rng(1)
    turn = np.eye(5)[rng.permutation(5)] if kind == "permuted" else np.linalg.qr(rng.normal(size=(5, 5)))[0]
    turned = fitted(prior, X @ turn)
    np.testing.assert_allclose(turned.components_, model.components_ @ turn, atol=1e-4)
    np.testing.assert_allclose(turned.intercept_, model.intercept_ @ turn, atol=1e-4)
    assert turned.score(X @ turn) == pytest.approx(model.score(X), abs=1e-6)


@free_scale
def test_a_constant_signal_moves_the_intercept_alone(models, prior):
    """Along the components, in the direction of the mean, so that no sign turns, and beside them."""
    model, X, components = models[prior]
    constant = np.array([1.0, 2.0]) @ components + 0.1 * np.linalg.svd(components)[2][2]
    moved = fitted(prior, X + constant)
    np.testing.assert_allclose(moved.components_, model.components_, atol=1e-5)
    np.testing.assert_allclose(moved.intercept_, model.intercept_ + constant, atol=1e-5)
    np.testing.assert_allclose(moved.transform(X + constant), model.transform(X), atol=1e-4)


@every_prior
def test_components_are_sorted_by_explained_variance(prior):
    X, _ = signals(prior, k=3, n=600)
    model = fitted(prior, X, 3)
    assert (np.diff(model.explained_variance_) < 0).all()
    codes = (X - model.intercept_) @ np.linalg.pinv(model.components_)
    expected = codes.var(axis=0, ddof=1) * norms(model.components_) ** 2
    np.testing.assert_allclose(model.explained_variance_, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "prior",
    ["uniform", "laplace", "exponential", "gaussian"],
)
def test_without_an_intercept_it_is_exactly_zero(prior):
    X, components = signals(prior, n=600, offset=0.0)
    model = fitted(prior, X, fit_intercept=False)
    np.testing.assert_array_equal(model.intercept_, 0.0)
    assert amari_distance(components, model.components_) < 0.1
    assert model.loss_ == pytest.approx(-model.score(X), rel=1e-9)


def test_learned_densities_need_an_intercept():
    X, _ = signals("learned")
    with pytest.raises(ValueError, match="fit_intercept=False cannot be used under the prior learned"):
        fitted("learned", X, fit_intercept=False)


# What the data leave open is said, and only that.


@pytest.mark.parametrize(
    ("prior", "words"), [("laplace", "Gaussian"), ("learned", "Gaussian"), ("gaussian", "tell apart")]
)
@pytest.mark.parametrize("n", [300, 2000])
def test_ambiguous_components_are_announced(prior, words, n):
    X = np.random.default_rng(0).normal(size=(n, 2)) @ np.linalg.qr(np.ones((5, 5)) + np.eye(5))[0][:2]
    X += 0.02 * np.random.default_rng(1).normal(size=(n, 5))
    with pytest.warns(IdentifiabilityWarning, match=words):
        fitted(prior, X)


def in_a_disc(rng, n):
    """Codes that look the same from every side, (n, 2)."""
    directions = rng.normal(size=(n, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.sqrt(rng.uniform(size=(n, 1))) * directions


@pytest.mark.parametrize(("n", "noise"), [(300, 0.0), (1000, 0.02)])
def test_codes_in_a_disc_have_no_smallest_box(n, noise):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        codes = np.column_stack([in_a_disc(rng, n), rng.uniform(size=n)])[:, : 2 + seed % 2]
        X = codes @ rng.normal(size=(codes.shape[1], 6)) + noise * rng.normal(size=(n, 6))
        with pytest.warns(IdentifiabilityWarning, match="same from every side|another basis"):
            fitted("uniform", X, n_components=codes.shape[1])


def test_bounded_codes_that_depend_or_crowd_still_have_a_smallest_box():
    """A warning would be an error."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        even, crowded = rng.uniform(size=(300, 2)), rng.beta(0.5, 0.5, size=(300, 2))
        dependent = np.where(rng.uniform(size=(300, 1)) < 0.5, even[:, :1], even)
        for codes in (crowded, dependent):
            fitted("uniform", codes @ rng.normal(size=(2, 6)))


@every_prior
@pytest.mark.parametrize("n", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_well_posed_signals_are_not_doubted_and_components_are_found(prior, n):
    """Twenty data sets; a warning would be an error."""
    errors = []
    for seed in range(20):
        X, components = signals(prior, n=n, seed=seed)
        errors.append(amari_distance(components, fitted(prior, X).components_))
    # One in four of the fits may be worse: components that are nearly parallel.
    assert np.quantile(errors, 0.75) < 2.5 / np.sqrt(n)


def test_exponential_fit_ends_where_it_ends_from_the_truth():
    worse = []
    for seed in range(10):
        X, components = signals("exponential", seed=seed)
        worse.append(fitted("exponential", X).loss_ - fitted("exponential", X, init=components).loss_)
    assert max(worse) < 1e-3


# scikit-learn's own checks.

VARIANTS = [
    AutoencoderDecomposer(prior="laplace", random_state=0),
    AutoencoderDecomposer(prior="gaussian", random_state=0),
    AutoencoderDecomposer(prior="simplex", random_state=0),
    AutoencoderDecomposer(prior="exponential", random_state=0),
]
MORE_VARIANTS = [
    AutoencoderDecomposer(prior="gaussian", random_state=0, fit_intercept=False),
    AutoencoderDecomposer(2, prior="learned", random_state=0),
    AutoencoderDecomposer(prior="laplace", random_state=0, fit_intercept=False),
    AutoencoderDecomposer(prior="exponential", random_state=0, fit_intercept=False),
]


def unfinished(estimator):
    """Return the checks that fail for want of convergence."""
    reason = "ConvergenceWarning"
    if estimator.fit_intercept or estimator.prior == "gaussian":
        return {}
    kinds = "dense", "sparse"
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in kinds}


# Some of the checks fit noise, which has no components to find.
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@checks.parametrize_with_checks(VARIANTS, expected_failed_checks=unfinished)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@checks.parametrize_with_checks(MORE_VARIANTS, expected_failed_checks=unfinished)
def test_scikit_learn_check_of_more_variants(estimator, check):
    check(estimator)
