"""The fit on clean arrays: accuracy against exact yardsticks, and what must not change the result."""

from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.special import ndtr

from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.fitting import Settings, fit
from sparse_fourier.priors import Uniform

INTERVALS = [(0.0, np.pi), (0.0, np.pi / 2)]
every_interval = pytest.mark.parametrize("interval", INTERVALS, ids=["orthogonal", "correlated"])

pytestmark = pytest.mark.usefixtures("both_ways")


def fitted(X, n_components=None, weights=None, seed=0, **changes):
    defaults = {"n_starts": 3, "tol": 1e-12, "max_iter": 300, "init": None, "callback": None}
    settings = Settings(Uniform(), n_components, **{**defaults, **changes})
    weights = np.ones(len(X)) if weights is None else weights
    return fit(X, weights, settings, np.random.RandomState(seed))


def decoder(outcome):
    """Components and intercept in the unit of the data."""
    model = outcome.model
    return np.ldexp(model.components, model.exponent), np.ldexp(model.intercept, model.exponent)


def error(true, components):
    """Relative error of the worst component, under the best order, with signs and lengths as they are."""
    lengths = np.linalg.norm(true, axis=1)
    orders = map(list, permutations(range(len(true))))
    return min((np.linalg.norm(components[o] - true, axis=1) / lengths).max() for o in orders)


def exact_box(X):
    """Components of the parallelogram of least area that holds the data of rank two, by brute force.

    All pairs of hull edges; then the corner nearest to zero.
    """
    mean = X.mean(axis=0)
    left, singular, axes = np.linalg.svd(X - mean, full_matrices=False)
    plane = left[:, :2] * singular[:2]
    corners = plane[ConvexHull(plane).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    best, area = None, np.inf
    for one, other in combinations(edges, 2):
        rows = np.array([[-one[1], one[0]], [-other[1], other[0]]])
        rows /= np.ptp(corners @ rows.T, axis=0)[:, None]
        determinant = abs(np.linalg.det(rows))
        if determinant * area > 1:
            best, area = rows, 1 / determinant
    components = np.linalg.inv(best).T @ axes[:2]
    corner = mean + (corners @ best.T).min(axis=0) @ components
    flips = np.array(list(product([0.0, 1.0], repeat=2)))
    nearest = flips[np.argmin([np.linalg.norm(corner + flip @ components) for flip in flips])]
    return (1 - 2 * nearest)[:, None] * components


def copied_codes(rng, shape):
    """Codes that repeat the one before them, every second time: dependent, and corners are visited."""
    codes = rng.uniform(size=shape)
    for j in range(1, shape[1]):
        same = rng.uniform(size=shape[0]) < 0.5
        codes[same, j] = codes[same, j - 1]
    return codes


# Accuracy


@every_interval
def test_seed_is_found_as_well_as_the_exact_smallest_box_finds_it(interval):
    """Twenty draws of 300 signals without noise: no draw fails, and the correction for extremes helps."""
    ours, exact = [], []
    for seed in range(20):
        X, _, true = make_sinusoid_mixtures(300, interval=interval, random_state=seed)
        ours.append(error(true, decoder(fitted(X))[0]))
        exact.append(error(true, exact_box(X)))
    assert np.median(ours) <= np.median(exact)
    assert max(ours) <= 1.1 * max(exact)


def test_seed_codes_are_the_coefficients():
    X, codes, _ = make_sinusoid_mixtures(3000, random_state=0)
    found = fitted(X).model.encode(X)
    order = np.argmax(np.abs(np.corrcoef(found.T, codes.T)[:2, 2:]), axis=1)
    assert np.abs(found - codes[:, order]).max() < 0.01


@pytest.mark.parametrize(("interval", "factor"), list(zip(INTERVALS, [2.5, 4.0], strict=True)))
def test_noise_costs_little_more_than_unknown_codes_must(interval, factor):
    """Noise 0.05: against regression on the true codes, which nobody has, and the box, which is plain."""
    ours, oracle, box = [], [], []
    for seed in range(6):
        X, codes, true = make_sinusoid_mixtures(3000, interval=interval, noise=0.05, random_state=100 + seed)
        design = np.column_stack([codes, np.ones(len(codes))])
        ours.append(error(true, decoder(fitted(X, 2))[0]))
        oracle.append(error(true, np.linalg.lstsq(design, X, rcond=None)[0][:2]))
        box.append(error(true, exact_box(X)))
    assert np.median(ours) < factor * np.median(oracle)
    assert np.median(ours) < 0.75 * np.median(box)


@pytest.mark.parametrize(("k", "most"), [(2, 0.02), (4, 0.08)])
def test_dependent_codes_are_told_apart(k, most):
    """Half of the codes copy another, a correlation of one half: no independence is needed."""
    errors = []
    for seed in range(5):
        X, codes, true = make_sinusoid_mixtures(
            1000, 40, frequencies=range(1, k + 1), codes=copied_codes, random_state=seed
        )
        assert np.corrcoef(codes.T)[0, 1] > 0.4
        errors.append(error(true, decoder(fitted(X))[0]))
    assert max(errors) < most


def test_box_is_neither_too_narrow_nor_too_wide_on_average():
    """One code: the range of 100 samples falls short by 2 %, and the fit knows it."""
    true = np.array([[3.0, -1.0, 2.0]])
    lengths = []
    for seed in range(200):
        X = np.random.default_rng(seed).uniform(size=(100, 1)) @ true
        components, _ = decoder(fitted(X))
        lengths.append(np.linalg.norm(components) / np.linalg.norm(true))
    standard_error = np.std(lengths) / np.sqrt(len(lengths))
    assert standard_error < 0.0015
    assert np.mean(lengths) == pytest.approx(1.0, abs=3 * standard_error)


def test_more_samples_more_digits():
    """Noise-free errors fall like 1/n."""
    errors = {}
    for n in (300, 3000):
        draws = [make_sinusoid_mixtures(n, random_state=40 + seed) for seed in range(8)]
        errors[n] = np.median([error(true, decoder(fitted(X))[0]) for X, _, true in draws])
    assert errors[3000] < 0.2 * errors[300]


# What the outcome says of itself


@pytest.fixture(scope="module")
def noisy():
    X, _, _ = make_sinusoid_mixtures(300, noise=0.1, random_state=0)
    return 5 * X + np.cos(np.arange(30))


def test_loss_is_the_mean_of_the_likelihoods_formula(noisy):
    outcome = fitted(noisy, 2)
    components, intercept = decoder(outcome)
    noise = np.ldexp(outcome.model.noise_variance, 2 * outcome.model.exponent)
    gram = components @ components.T
    spread = np.sqrt(noise * np.diagonal(np.linalg.inv(gram)) + 1 / len(noisy) ** 2)
    total = 0.0
    for x in noisy:
        code = np.linalg.lstsq(components.T, x - intercept, rcond=None)[0]
        total += ((x - intercept - code @ components) ** 2).sum() / (2 * noise)
        total += 14 * np.log(2 * np.pi * noise) + 0.5 * np.linalg.slogdet(gram)[1]
        nearer = np.minimum(code, 1 - code)
        total -= np.log(ndtr(nearer / spread) - ndtr((nearer - 1) / spread)).sum()
    assert outcome.curve[-1] == pytest.approx(total / len(noisy), rel=1e-9)
    assert outcome.curve[-1] == pytest.approx(outcome.model.terms(noisy).total.mean(), rel=1e-12)


def test_widening_the_box_costs_next_to_nothing(noisy):
    """The loss of the model is that of the optimum, but for the correction of its width."""
    outcome = fitted(noisy, 2)
    assert 0 <= outcome.curve[-1] - outcome.curve[-2] < 0.02
    assert len(outcome.curve) == len(outcome.trained.curve) + 1


def test_variances_are_those_of_the_data(noisy):
    outcome = fitted(noisy, 2)
    components, intercept = decoder(outcome)
    codes = np.linalg.lstsq(components.T, (noisy - intercept).T, rcond=None)[0].T
    residual = ((noisy - intercept - codes @ components) ** 2).sum()
    unit = 4.0**outcome.model.exponent
    assert outcome.residual * unit == pytest.approx(residual, rel=1e-9)
    assert outcome.model.noise_variance * unit == pytest.approx(residual / 300 / 28, rel=1e-9)
    assert outcome.total_variance * unit == pytest.approx(noisy.var(axis=0, ddof=1).sum(), rel=1e-9)
    np.testing.assert_allclose(outcome.code_variances, codes.var(axis=0, ddof=1), rtol=1e-8)
    explained = outcome.code_variances * (components**2).sum(axis=1)
    assert explained[0] > explained[1]


def test_codes_stay_close_to_the_box(noisy):
    codes = fitted(noisy, 2).model.least_squares_codes(noisy)
    assert np.abs(np.quantile(codes, [0.01, 0.99], axis=0) - [[0.0], [1.0]]).max() < 0.1


# What must not change the result


def assert_close(one, other, tolerance=1e-9):
    np.testing.assert_allclose(one[0], other[0], rtol=0, atol=tolerance * np.abs(other[0]).max())
    np.testing.assert_allclose(one[1], other[1], rtol=0, atol=tolerance * np.abs(other[0]).max())


@pytest.mark.parametrize("n_components", [2, 3])
def test_weights_are_repetitions(n_components):
    rng = np.random.default_rng(0)
    X, _, _ = make_sinusoid_mixtures(120, frequencies=range(1, n_components + 1), noise=0.05, random_state=0)
    counts = rng.integers(1, 4, size=120)
    weighted = fitted(X, n_components, weights=counts.astype(float))
    repeated = fitted(np.repeat(X, counts, axis=0), n_components)
    assert_close(decoder(weighted), decoder(repeated))
    assert weighted.curve[-1] == pytest.approx(repeated.curve[-1], abs=1e-9)
    assert weighted.total_variance == pytest.approx(repeated.total_variance, rel=1e-10)
    np.testing.assert_allclose(weighted.code_variances, repeated.code_variances, rtol=1e-8)


def test_order_of_rows_and_seed_do_not_matter(noisy):
    plain = decoder(fitted(noisy, 2))
    assert_close(decoder(fitted(noisy[::-1], 2, seed=5)), plain)


def test_rotating_features_rotates_components(noisy):
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 30)))[0]
    components, intercept = decoder(fitted(noisy, 2))
    assert_close(decoder(fitted(noisy @ rotation, 2)), (components @ rotation, intercept @ rotation))


def test_negating_the_data_negates_components(noisy):
    """The corner from which codes count is the one nearest to zero, before and after."""
    components, intercept = decoder(fitted(noisy, 2))
    assert_close(decoder(fitted(-noisy, 2)), (-components, -intercept))


@pytest.mark.parametrize("exponent", [-60, 17, 80])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two_pass_through_bit_for_bit(noisy, exponent, dtype):
    X = noisy.astype(dtype)
    plain, scaled = fitted(X, 2), fitted(np.ldexp(X, exponent), 2)
    assert scaled.model.exponent == plain.model.exponent + exponent
    np.testing.assert_array_equal(scaled.model.components, plain.model.components)
    np.testing.assert_array_equal(scaled.model.intercept, plain.model.intercept)
    assert scaled.model.noise_variance == plain.model.noise_variance
    shift = 30 * exponent * np.log(2)
    np.testing.assert_allclose(scaled.curve, plain.curve + shift, rtol=1e-12)


def test_single_precision_agrees_with_double(noisy):
    assert_close(decoder(fitted(noisy.astype(np.float32), 2)), decoder(fitted(noisy, 2)), 1e-5)


def test_data_are_left_alone(noisy):
    X = noisy.copy()
    X.flags.writeable = False
    fitted(X, 2)
    np.testing.assert_array_equal(X, noisy)


def test_good_components_to_start_from_lead_to_the_same_optimum(noisy):
    """Whatever their length."""
    plain = decoder(fitted(noisy, 2))
    for factor in (0.01, 1.0, 1.5):
        assert_close(decoder(fitted(noisy, 2, init=factor * plain[0])), plain, 1e-8)


@pytest.mark.parametrize("factor", [10.0, 1e3])
def test_components_to_start_from_may_be_too_long(noisy, factor):
    plain = decoder(fitted(noisy, 2))
    assert_close(decoder(fitted(noisy, 2, init=factor * plain[0])), plain, 1e-8)


def test_dependent_components_to_start_from_are_refused(noisy):
    one = np.sin(np.arange(30.0))
    for init in (np.stack([one, 2 * one]), np.zeros((2, 30))):
        with pytest.raises(ValueError, match="'init' components must span the principal subspace"):
            fitted(noisy, 2, init=init)


# Ranks


def test_rank_is_estimated_asked_for_or_a_share():
    X, _, _ = make_sinusoid_mixtures(300, random_state=0, noise=0.05)
    assert fitted(X).rank == 2
    assert len(fitted(X).model.components) == 2
    assert fitted(X, 1).rank == 1
    shares = np.cumsum(np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2)
    assert fitted(X, 0.9).rank == int((shares / shares[-1] < 0.9).sum()) + 1


def test_components_beyond_the_rank_are_zero_and_last():
    X, _, _ = make_sinusoid_mixtures(300, random_state=0)
    deficient, plain = fitted(X, 4), fitted(X, 2)
    assert deficient.rank == 2
    components, intercept = decoder(deficient)
    assert components.shape == (4, 30)
    np.testing.assert_array_equal(components[2:], 0.0)
    assert_close((components[:2], intercept), decoder(plain))
    np.testing.assert_array_equal(deficient.code_variances[2:], 0.0)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e5])
def test_data_without_variance_are_their_intercept(value):
    outcome = fitted(np.full((20, 5), value), 2)
    components, intercept = decoder(outcome)
    assert outcome.rank == 0
    np.testing.assert_array_equal(components, np.zeros((2, 5)))
    np.testing.assert_array_equal(intercept, value)
    assert (outcome.residual, outcome.total_variance) == (0.0, 0.0)
    assert outcome.trained.converged
    assert np.isfinite(outcome.curve).all()


def test_a_weak_component_is_not_seen_twice():
    """Without noise a component of a ten-thousandth is still one of three, and its codes are clear."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(3, 30)) * np.array([[1.0], [1.0], [1e-4]])
    codes = rng.uniform(size=(300, 3))
    outcome = fitted(codes @ true)
    assert outcome.rank == 3
    correlations = np.abs(np.corrcoef(outcome.model.encode(codes @ true).T, codes.T)[:3, 3:])
    assert correlations.max(axis=0).min() > 0.999
