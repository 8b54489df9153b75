"""Noise with heavy tails through the estimator, against Gaussian noise, quadrature and plain minimisation."""

import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from sklearn.utils._param_validation import InvalidParameterError

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error

pytestmark = pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
PRIORS = ["uniform", "laplace", "exponential", "simplex", "learned", "gaussian", None]


def corrupted(X, share, size, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(X.shape) < share, X + size * rng.standard_normal(X.shape), X)


def mixtures(prior, n=300, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    draw = {
        "uniform": lambda: rng.uniform(size=(n, 3)),
        "laplace": lambda: rng.laplace(size=(n, 3)),
        "exponential": lambda: rng.exponential(size=(n, 3)),
        "simplex": lambda: rng.dirichlet(np.ones(3), n),
        "learned": lambda: rng.exponential(size=(n, 3)),
        "gaussian": lambda: rng.standard_normal((n, 3)) * [4, 2, 1],
    }
    codes = draw[prior or "gaussian"]()
    return codes @ rng.uniform(0.1, 1.0, size=(3, 15)) + noise * rng.standard_normal((n, 15))


def robust(n_components=2, prior="uniform", **parameters):
    return AutoencoderDecomposer(n_components, prior=prior, noise="student_t", random_state=0, **parameters)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize(("share", "size"), [(0.02, 3.0), (0.05, 100.0)])
def test_the_seed_is_learned_in_spite_of_gross_outliers(noise, share, size):
    errors = []
    for seed in range(30, 34):
        X, _, components = make_sinusoid_mixtures(300, noise=noise, random_state=seed)
        spoilt = corrupted(X, share, size, seed)
        fits = [
            AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(X),
            robust().fit(spoilt),
            AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(spoilt),
        ]
        errors.append([worst_relative_error(components, each.components_) for each in fits])
    clean, ours, gaussian = np.mean(errors, axis=0)
    assert ours < 1.3 * clean
    assert gaussian > 4 * clean


@pytest.mark.parametrize(
    "prior",
    ["gaussian", *(pytest.param(prior, marks=pytest.mark.slow) for prior in PRIORS[1:3])],
)
def test_signals_without_noise_are_as_under_gaussian_noise(prior):
    """Whatever their order, however large some are, and where entries are spoilt: the others say all."""
    for seed in range(3):
        rng, X = np.random.default_rng(seed), mixtures(prior, n=100, noise=0.0, seed=seed)
        plain = AutoencoderDecomposer(3, prior=prior, random_state=0, contamination=0).fit(X)
        for values in (X[rng.permutation(100)], corrupted(X, 0.02, 30.0, seed)):
            model = robust(3, prior, contamination=0).fit(values)
            np.testing.assert_allclose(model.components_, plain.components_, rtol=1e-7, atol=1e-9)
        shuffled = robust(3, prior, contamination=0).fit(X[rng.permutation(100)])
        assert shuffled.loss_ == pytest.approx(plain.loss_, abs=0.2)
        # Residuals are rounding (1e-11 where entries are of the order 10), which a score of 340 nats sees.
        assert shuffled.score(X) == pytest.approx(plain.score(X), abs=1.0)


def test_heavy_tails_of_all_entries():
    X, _, components = make_sinusoid_mixtures(1000, random_state=4)
    noisy = X + 0.05 * np.random.default_rng(4).standard_t(2, X.shape)
    model = robust().fit(noisy)
    assert model.noise_.scale == pytest.approx(0.05, rel=0.05)
    assert model.noise_.degrees_of_freedom == pytest.approx(2, rel=0.15)
    plain = AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(noisy)
    ours, gaussian = (worst_relative_error(components, each.components_) for each in (model, plain))
    assert ours < 0.5 * gaussian
    held_out = make_sinusoid_mixtures(500, random_state=5)[0]
    held_out += 0.05 * np.random.default_rng(5).standard_t(2, held_out.shape)
    assert model.score(held_out) > plain.score(held_out) + 5


def test_span_is_that_of_plain_minimisation():
    X = corrupted(mixtures("gaussian", n=120), 0.04, 8)
    model = robust(3, "gaussian").fit(X)
    law, shape = model.noise_, (3, 15)

    def value_and_gradient(flat):
        W, b, H = flat[:45].reshape(shape), flat[45:60], flat[60:].reshape(-1, 3)
        rest = X - H @ W - b
        ratio = rest / law.scale
        nu = law.degrees_of_freedom
        slope = -(nu + 1) * ratio / (nu + ratio**2) / law.scale
        parts = [(H.T @ slope).ravel(), slope.sum(axis=0), (slope @ W.T).ravel()]
        return -stats.t.logpdf(ratio, nu).sum(), np.concatenate(parts)

    start = np.concatenate([model.components_.ravel(), model.intercept_, model.transform(X).ravel()])
    best = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 4000})
    assert value_and_gradient(start)[0] <= best.fun + 0.2
    axes = [np.linalg.qr(W.T)[0] for W in (model.components_, best.x[:45].reshape(shape))]
    assert np.linalg.svd(axes[0].T @ axes[1])[1].min() > 1 - 1e-6


def test_gaussian_noise_is_found_to_be_so():
    X, _, components = make_sinusoid_mixtures(300, noise=0.05, random_state=7)
    model, plain = robust().fit(X), AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(X)
    assert model.noise_.degrees_of_freedom > 30
    assert worst_relative_error(plain.components_, model.components_, matched=False) < 0.01
    assert model.noise_variance_ == pytest.approx(plain.noise_variance_, rel=0.05)
    assert model.loss_ == pytest.approx(plain.loss_, abs=0.5)
    assert plain.noise_ is None


@pytest.mark.parametrize(
    "prior", ["uniform", *(pytest.param(prior, marks=pytest.mark.slow) for prior in PRIORS[1:])]
)
def test_every_prior_finds_what_it_finds_without_outliers(prior):
    X = mixtures(prior)
    spoilt = corrupted(X, 0.03, 5)
    holed = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, spoilt)
    whole = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(X)
    for signals in (spoilt, holed.astype(np.float32)):
        model = robust(3, prior).fit(signals)
        assert worst_relative_error(whole.components_, model.components_) < 0.05
        assert model.components_.dtype == model.transform(signals).dtype == signals.dtype
        filled = model.inverse_transform(model.transform(signals))
        assert np.linalg.norm(np.where(np.isnan(signals), 0.0, filled - X)) < 0.1 * np.linalg.norm(X)
        scores = model.score_samples(signals)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        if prior is not None:
            assert model.loss_ == pytest.approx(-scores.mean(), rel=1e-5)


@pytest.mark.parametrize(("prior", "nu"), [("laplace", 2), ("gaussian", 5), ("uniform", 2)])
def test_score_is_the_density_with_codes_integrated_out(prior, nu):
    rng = np.random.default_rng(0)
    n, d = 400, 12
    codes = {"laplace": rng.laplace, "gaussian": rng.standard_normal, "uniform": rng.uniform}[prior](size=n)
    X = np.outer(codes, rng.uniform(0.5, 1.5, d)) + 0.1 * rng.standard_t(nu, (n, d))
    model = robust(1, prior).fit(X)
    law, rows = model.noise_, X[:12]
    grid = np.linspace(-1.0, 2.0, 10_001) if prior == "uniform" else np.linspace(-40.0, 40.0, 40_001)
    log_prior = model.prior_.log_density(grid[:, None])
    truth = []
    for x in rows:
        rest = (x - model.intercept_ - grid[:, None] * model.components_[0]) / law.scale
        logs = log_prior + stats.t.logpdf(rest, law.degrees_of_freedom).sum(axis=1) - d * np.log(law.scale)
        truth.append(logs.max() + np.log(np.exp(logs - logs.max()).sum() * (grid[1] - grid[0])))
    difference = model.score_samples(rows) - truth
    assert abs(difference.mean()) < 0.15
    assert np.abs(difference).max() < 1.0


def test_automatic_prior_and_number_of_components():
    X, _, components = make_sinusoid_mixtures(300, noise=0.05, random_state=8)
    model = AutoencoderDecomposer(noise="student_t", random_state=0).fit(corrupted(X, 0.05, 3))
    assert model.n_components_ == 2
    assert str(model.prior_) == "uniform"
    assert worst_relative_error(components, model.components_, matched=False) < 0.1


def test_integer_weights_equal_repetition():
    X = corrupted(mixtures("uniform", n=150), 0.03, 5)
    counts = np.random.default_rng(0).integers(0, 3, len(X))
    weighted = robust(3).fit(X, sample_weight=counts)
    repeated = robust(3).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-6)


@pytest.mark.parametrize("exponent", [-300, 40])
def test_unit_does_not_matter(exponent):
    X = corrupted(mixtures("uniform", n=150), 0.03, 5)
    one, other = robust(3).fit(X), robust(3).fit(np.ldexp(X, exponent))
    np.testing.assert_array_equal(np.ldexp(one.components_, exponent), other.components_)
    assert other.noise_.scale == np.ldexp(one.noise_.scale, exponent)
    assert other.loss_ == pytest.approx(one.loss_ + 15 * exponent * np.log(2), rel=1e-9)


def test_signals_that_are_outliers_throughout_are_left_out():
    X, _, components = make_sinusoid_mixtures(300, noise=0.02, random_state=9)
    X[::50] = 5 * np.random.default_rng(9).standard_normal(X[::50].shape)
    assert worst_relative_error(components, robust().fit(X).components_) < 0.05


def test_sinusoids_have_their_exact_frequencies():
    t, rng = np.arange(60), np.random.default_rng(0)
    tones = np.stack([np.sin(2 * np.pi * 0.05 * t), np.sin(2 * np.pi * 0.123 * t + 1)])
    X = corrupted(rng.uniform(size=(300, 2)) @ tones, 0.03, 5)
    found = robust(2, basis="fourier").fit(X).frequencies_
    np.testing.assert_allclose(np.sort(found.ravel()), [0.05, 0.123], rtol=1e-7)


def test_networks_are_trained_on_what_is_left():
    X, _, components = make_sinusoid_mixtures(300, noise=0.02, random_state=2)
    spoilt = corrupted(X, 0.03, 5)
    network = {"hidden_layer_sizes": (5,), "max_iter": 30, "tol": 1e-3}
    model = robust(**network).fit(spoilt)
    assert worst_relative_error(components, model.components_) < 0.1
    codes = model.transform(spoilt)
    assert ((codes >= 0) & (codes <= 1)).all()
    assert np.linalg.norm(model.inverse_transform(codes) - X) < 0.1 * np.linalg.norm(X)


def test_streams_end_where_fits_do():
    X, _, components = make_sinusoid_mixtures(600, random_state=3)
    spoilt = corrupted(X, 0.03, 5)
    model = robust()
    for first in range(0, 600, 100):
        model.partial_fit(spoilt[first : first + 100])
    assert worst_relative_error(components, model.components_) < 0.03


def test_what_is_fitted_can_be_saved_and_drawn_from():
    X, _, _ = make_sinusoid_mixtures(300, noise=0.05, random_state=6)
    X += 0.05 * np.random.default_rng(6).standard_t(3, X.shape)
    model = robust().fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_array_equal(model.fit_transform(X), model.transform(X))
    drawn = model.sample(4000, random_state=0)
    rest = drawn - model.inverse_transform(np.clip(model.transform(drawn), 0, 1))
    middle = np.median(np.abs(rest)) / np.median(np.abs(X - model.inverse_transform(model.transform(X))))
    assert middle == pytest.approx(1.0, rel=0.05)
    assert model.get_covariance().shape == (30, 30)


def test_refusals():
    X, _, _ = make_sinusoid_mixtures(50, random_state=6)
    with pytest.raises(InvalidParameterError, match="'noise' parameter of .* must be a str among"):
        AutoencoderDecomposer(noise="cauchy").fit(X)
    with pytest.raises(ValueError, match="must not be larger than n_features = 30 with noise='student_t'"):
        AutoencoderDecomposer(40, prior="laplace", noise="student_t").fit(X)
