"""Priors: identities over every independent prior, then what each is; priors that a user writes.

A new prior is one more line of `PRIORS`.
"""

import functools
import itertools
import pickle
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import roots_legendre
from scipy.stats import beta, dirichlet, expon, exponnorm, gamma, kstest, kurtosis, laplace, logistic, norm
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from sparse_fourier import AutoencoderDecomposer, runtime
from sparse_fourier.canonical import reference_signs
from sparse_fourier.densities import fit_density, refit
from sparse_fourier.metrics import amari_distance
from sparse_fourier.priors import Exponential, Gaussian, IndependentPrior, Laplace, Learned, Prior, Uniform
from sparse_fourier.priors import Simplex as SimplexPrior
from sparse_fourier.priors.base import CodesAsTrained
from sparse_fourier.priors.checks import check_prior
from sparse_fourier.priors.independent import automatic_jet, gaussian_looking, log_ndtr_with_slope
from sparse_fourier.supports import SUPPORTS

PRIORS = [
    Uniform(),
    Laplace(),
    Exponential(),
    Gaussian(),
]
every_prior = pytest.mark.parametrize("prior", PRIORS, ids=str)
every_blurred_prior = pytest.mark.parametrize(
    "prior", [prior for prior in PRIORS if not prior.includes_noise], ids=str
)
NARROW, WIDE = 0.02, 1.5
DEVIATIONS = [NARROW, 0.1, 0.5, WIDE]
NODES, WEIGHTS = roots_legendre(400)


def codes_around(prior):
    """Codes inside the bulk, at its ends and outside, as a column."""
    low, high = prior.quantiles(np.array([0.001, 0.999]))
    margin = 0.4 * (high - low)
    return np.linspace(low - margin, high + margin, 37)[:, None]


def on_grid(prior):
    """Codes and variances, paired in every combination, of shape (n, 1) both."""
    codes = codes_around(prior)
    h, s = np.meshgrid(codes.ravel(), DEVIATIONS)
    return h.reshape(-1, 1), s.reshape(-1, 1) ** 2


def expectation(prior, function):
    """Mean of a function of one code, as an integral over the quantiles."""
    return float((0.5 * WEIGHTS) @ function(prior.quantiles(0.5 + 0.5 * NODES)))


@every_prior
def test_prices_are_by_how_much_the_density_falls(prior):
    means = np.array([0.4, 0.9])
    if SUPPORTS[prior.support].faces:
        inside, step = np.array([[0.3, 0.6]]), 1e-6 * np.eye(2)
        adapted = prior.adapted(means)
        falls = [adapted.log_density(inside) - adapted.log_density(inside + s) for s in step[:, None]]
        np.testing.assert_allclose(prior.prices(means), 1e6 * np.ravel(falls), rtol=1e-6, atol=1e-8)
    else:
        np.testing.assert_array_equal(prior.prices(means), 0.0)


@pytest.mark.parametrize("scale", [1.0, np.array([2.0, 0.1, 5.0])])
def test_a_free_scale_adapts_to_the_mean_of_codes(scale):
    """A code that is never used keeps its scale."""
    adapted = Exponential(scale).adapted(np.array([0.5, 0.0, 3.0]))
    np.testing.assert_allclose(adapted.moments[0], [0.5, np.broadcast_to(scale, 3)[1], 3.0])
    assert Uniform().adapted(np.array([0.1])) == Uniform()


def as_trained(components, mean, mean_codes, **others):
    """A solution, of which little is uncertain."""
    k = len(components)
    given = {"deviations": np.ones(k), "noise": np.zeros(k), "n_samples": 1e6, "anchored": False} | others
    return CodesAsTrained(components, mean, mean_codes, **given)


@pytest.mark.parametrize("prior", [Laplace(), Gaussian(), Learned()], ids=str)
def test_normal_form_of_free_scales_has_centred_codes_and_unit_rows(prior):
    rng = np.random.default_rng(0)
    components, mean_codes = rng.normal(size=(3, 6)), np.array([0.5, -2.0, 3.0])
    components[2] *= -reference_signs(components)[2]
    mean, deviations = np.array([2.0, -1.0, 0.0064]) @ components, np.full(3, 2.0)
    solution = as_trained(components, mean, mean_codes, deviations=deviations)
    factors, shifts = prior.normal_form(solution)
    np.testing.assert_allclose(factors * mean_codes + shifts, 0.0, atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(components / factors[:, None], axis=1), 1.0)
    assert (np.sign(factors) == [1, -1, 1]).all()
    # Within three standard errors of the mean its sign says nothing.
    tied = prior.normal_form(solution._replace(n_samples=5e5))[0]
    assert (np.sign(tied) == [1, -1, -1]).all()


@pytest.mark.parametrize(
    "prior",
    [Laplace(np.array([1.0, -2.0]), np.array([0.5, 3.0])), Exponential(np.array([0.5, 3.0]))],
    ids=str,
)
def test_standard_form_is_a_change_of_variables(prior):
    codes = np.random.default_rng(0).uniform(size=(20, 2))
    standard, factors, shifts = prior.standard_form(2)
    assert standard == type(prior)()
    expected = standard.log_density(codes * factors + shifts) + np.log(np.abs(factors)).sum()
    np.testing.assert_allclose(prior.log_density(codes), expected, rtol=1e-12)


@pytest.mark.parametrize("anchored", [False, True])
def test_box_counts_from_its_corner_nearest_to_zero(anchored):
    """Of all reflections; where the intercept is zero the sign of the mean decides."""
    rng = np.random.default_rng(1)
    components = np.linalg.qr(rng.normal(size=(6, 3)))[0].T
    mean_codes = np.array([0.3, 0.6, 0.5])
    for signs in itertools.product([1.0, -1.0], repeat=3):
        turned = components * np.array(signs)[:, None]
        mean = mean_codes @ turned + (np.array(signs) < 0) @ -turned
        mean += 0.1 * components.sum(axis=0)
        factors, shifts = Uniform().normal_form(as_trained(turned, mean, mean_codes, anchored=anchored))
        assert tuple(factors) == signs
        expected = np.zeros(3) if anchored else 0.5 * (1 - factors)
        np.testing.assert_array_equal(shifts, expected)


def test_reflections_of_a_box_within_three_standard_errors_are_ties():
    component, noise, n = -np.ones((1, 5)) / 5**0.5, 0.2, 400.0
    error = 3 * (noise / np.sqrt(n) + 1 / n)
    for distance, sign in ((1.02 * error, 1.0), (0.98 * error, -1.0)):
        given = as_trained(component, distance * component[0], np.array([0.5]), noise=noise, n_samples=n)
        assert Uniform().normal_form(given)[0][0] == sign


def test_codes_that_matter_are_those_within_reach_of_a_face():
    codes = np.array([[-2.0], [0.0], [0.19], [0.21], [0.5], [0.79], [0.81], [1.0], [3.0]])
    found = Uniform().matters(codes, np.array([0.2]))
    np.testing.assert_array_equal(found[:, 0], np.abs(codes[:, 0] - 0.5) > 0.3)
    assert SimplexPrior().matters(codes, np.array([0.2]))[:, 0].tolist() == [True] * 3 + [False] * 6


def test_one_code_starts_between_its_extremes():
    whitened = np.array([[-1.5], [0.5], [2.5]])
    unmixing, offset = Uniform().start(whitened, 3.0)
    np.testing.assert_allclose(whitened @ unmixing[0].T + offset[0], [[0.0], [0.5], [1.0]])


def test_codes_that_look_gaussian_are_named():
    """By nats over the Gaussian of the mean and the variance that the weights give."""
    rng = np.random.default_rng(0)
    codes, weights = 5.0 + rng.normal(size=(50, 3)) * [1.0, 2.0, 3.0], rng.integers(1, 4, size=50)
    repeated = np.repeat(codes, weights, axis=0)
    law = norm(repeated.mean(axis=0), repeated.std(axis=0))
    more = np.array([1.9, 1.9, 1.9]) / weights.sum()
    for nats, words in ((2.0, ["components 0, 1 and 2 look Gaussian"]), (1.8, [])):
        told = gaussian_looking(law.logpdf(codes) + more, codes, weights, nats)
        assert len(told) == len(words)
        assert all(word in text for word, text in zip(words, told, strict=True))
    pair = gaussian_looking(law.logpdf(codes) + [0.0, 1.0, 0.0], codes, weights, 2.0)
    assert "components 0 and 2 look" in pair[0]
    codes[:, 0] = 5.0
    assert gaussian_looking(law.logpdf(codes) + [0.0, 1.0, 0.0], codes, weights, 2.0) == []


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_proportions_are_those_of_dirichlet(k):
    prior, law = SimplexPrior(), dirichlet(np.ones(k))
    np.testing.assert_allclose(prior.code_mean(k), np.ones(k) / k)
    if k > 1:
        np.testing.assert_allclose(prior.code_covariance(k), law.cov(), atol=1e-15)
        inside = np.random.default_rng(0).dirichlet(np.ones(k), size=3)
        np.testing.assert_allclose(prior.log_density(inside), law.logpdf(inside.T), rtol=1e-12)
        far = prior.log_observed(np.full((1, k), 1 / k), np.full(k, 1e-6))
        np.testing.assert_allclose(far, law.logpdf(np.ones(k) / k), rtol=1e-12)
        assert (prior.log_density(inside * 1.001) == -np.inf).all()
        negative = np.eye(k)[:1] * 1.1 - 0.1 * np.eye(k)[1:2]
        assert prior.log_density(negative)[0] == -np.inf
    assert np.isfinite(prior.log_density(np.eye(k))).all()
    step = prior.free_steps(k) @ np.random.default_rng(0).normal(size=k * (k + 1))
    np.testing.assert_allclose(step.reshape(k, k + 1).sum(axis=0), 0.0, atol=1e-14)
    assert not step.reshape(k, k + 1)[:, k].any()
    np.testing.assert_allclose(prior.free_steps(k) @ step, step, atol=1e-14)


def test_shares_seen_through_noise_have_the_derivatives_of_their_probability():
    prior, e = SimplexPrior(), 1e-4
    codes, variances = (part.ravel() for part in np.meshgrid([-0.3, 0.02, 0.4], [0.01, 0.09]))

    def value(a, b):
        return prior.log_marginals((codes + a * e)[:, None], (variances + b * e)[:, None])[:, 0]

    np.testing.assert_allclose(value(0, 0), norm.logcdf(codes / np.sqrt(variances)), rtol=1e-12)
    jet = [part[:, 0] for part in prior.jet(codes[:, None], variances[:, None])]
    expected = [
        value(0, 0),
        (value(1, 0) - value(-1, 0)) / (2 * e),
        (value(0, 1) - value(0, -1)) / (2 * e),
        (value(1, 0) - 2 * value(0, 0) + value(-1, 0)) / e**2,
        (value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1)) / (4 * e**2),
        (value(0, 1) - 2 * value(0, 0) + value(0, -1)) / e**2,
    ]
    for found, difference in zip(jet, expected, strict=True):
        np.testing.assert_allclose(found, difference, rtol=5e-3, atol=1e-4)


def test_learned_codes_have_the_densities_that_were_learned():
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.normal(size=300), rng.exponential(size=300), rng.uniform(size=300)])
    densities = [fit_density(h, np.full(300, 1 / 300), 300.0) for h in codes.T.copy()]
    assert [density.edges for density in densities] == [0, 1, 2]
    prior = Learned().learned(densities)
    values, first, second = (np.stack(part, axis=1) for part in _derivatives(densities, codes))
    np.testing.assert_allclose(prior.log_density(codes), values.sum(axis=1), rtol=1e-12)
    jet = prior.jet(codes, np.ones(3))
    np.testing.assert_allclose(np.array([jet.value, jet.by_code, jet.by_codes]), [values, first, second])
    assert not np.any([jet.by_variance, jet.by_code_and_variance, jet.by_variances])
    assert prior.ends(3) == [density.ends for density in densities]
    # Location and scale are the densities' own, but for what their edges hold.
    expected = [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 1, 1]]
    np.testing.assert_array_equal(np.diagonal(prior.free_steps(3)).reshape(3, 4), expected)
    again = prior.smoothed(codes, np.full(300, 1 / 300), 300.0)
    assert [density.edges for density in again.densities] == [0, 0, 0]
    assert again.densities[0] is densities[0]


def _derivatives(densities, codes):
    return zip(*(density.derivatives(h) for density, h in zip(densities, codes.T, strict=True)), strict=True)


def blurred(prior, h, deviation):
    """The density of a code with noise, as an integral over the noise between kinks of the density."""
    edges = np.clip([-12.0, (h - 1.0) / deviation, h / deviation, 12.0], -12.0, 12.0)
    total = 0.0
    for a, b in zip(edges, edges[1:], strict=False):
        z = 0.5 * (a + b) + 0.5 * (b - a) * NODES
        inside = np.exp(prior.log_density((h - deviation * z)[:, None]))
        total += 0.5 * (b - a) * WEIGHTS @ (inside * norm.pdf(z))
    return total


@pytest.fixture(scope="module")
def jets():
    """Return for each prior its own jet, the one by automatic differentiation, and its own in NumPy."""
    import jax

    collected = {}
    for prior in PRIORS:
        if prior.includes_noise:  # of these nothing is ever differentiated
            continue
        with runtime.settings():
            own = jax.jit(prior.jet)(*on_grid(prior))
            automatic = jax.jit(lambda h, v, p=prior: automatic_jet(p.log_marginals, h, v))(*on_grid(prior))
        plain = prior.jet(*on_grid(prior))
        assert all(type(part) is np.ndarray for part in plain)
        compiled = (jax.tree_util.tree_map(np.asarray, jet) for jet in (own, automatic))
        collected[str(prior)] = (*compiled, plain)
    return collected


@every_prior
@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_marginal_is_a_density(prior, deviation):
    lowest, low, high, highest = prior.quantiles(np.array([1e-13, 0.0005, 0.9995, 1 - 1e-13]))
    noise = 9 * deviation
    kinks = [low, -noise, noise, 1 - noise, 1 + noise, high]
    edges = np.unique(np.round([lowest - noise, *kinks, highest + noise], 6))

    def density(h):
        return float(np.exp(prior.log_marginals(np.array([[h]]), np.array([[deviation**2]]))[0, 0]))

    total = sum(
        quad(density, a, b, epsabs=1e-11, limit=200)[0] for a, b in zip(edges, edges[1:], strict=False)
    )
    assert total == pytest.approx(1.0, abs=1e-8)


@every_prior
@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_marginal_is_the_prior_seen_through_noise(prior, deviation):
    """p(h) is the mean of the density of h less noise; or the density, where that has noise in it."""
    codes = codes_around(prior)
    marginals = np.exp(prior.log_marginals(codes, np.full(codes.shape, deviation**2)))
    for h, value in zip(codes.ravel(), marginals.ravel(), strict=True):
        own = prior.includes_noise
        expected = np.exp(prior.log_density(np.array([[h]]))[0]) if own else blurred(prior, h, deviation)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


@every_prior
def test_marginal_without_noise_is_the_density(prior):
    inside = prior.quantiles(np.linspace(0.05, 0.95, 19))[:, None]
    sharp = prior.log_marginals(inside, np.full(inside.shape, 1e-12))
    np.testing.assert_allclose(sharp.sum(axis=1), prior.log_density(inside), atol=1e-5)


@every_prior
def test_joint_density_is_the_product(prior):
    codes = prior.quantiles(np.random.default_rng(0).uniform(0.01, 0.99, size=(20, 3)))
    separately = sum(prior.log_density(codes[:, [j]]) for j in range(3))
    np.testing.assert_allclose(prior.log_density(codes), separately, rtol=1e-13)


@every_prior
def test_density_is_zero_outside_the_support(prior):
    domain = SUPPORTS[prior.support]
    assert prior.domain is domain
    codes = np.random.default_rng(1).normal(scale=3.0, size=(200, 2))
    outside = (domain.project(codes, np.eye(2)) != codes).any(axis=1)
    np.testing.assert_array_equal(np.isneginf(prior.log_density(codes)), outside)


@every_prior
def test_quantiles_draw_from_the_density(prior):
    """Their slope is one over the density, they increase, and they stay in the support."""
    p = np.linspace(0.02, 0.98, 48)  # not one half, where a density may have a kink
    quantiles = prior.quantiles(p)
    assert (np.diff(quantiles) > 0).all()
    slope = (prior.quantiles(p + 1e-5) - prior.quantiles(p - 1e-5)) / 2e-5
    np.testing.assert_allclose(np.exp(prior.log_density(quantiles[:, None])), 1 / slope, rtol=1e-6)
    np.testing.assert_array_equal(prior.domain.project(quantiles[:, None], np.eye(1)), quantiles[:, None])


@every_prior
def test_moments_are_those_of_the_quantiles(prior):
    mean, variance = prior.moments
    assert mean == pytest.approx(expectation(prior, lambda u: u), rel=1e-4, abs=1e-6)
    assert variance == pytest.approx(expectation(prior, lambda u: (u - mean) ** 2), rel=1e-3)


@pytest.mark.parametrize("farthest", [-30.0, -60.0])
def test_slope_of_the_normal_distribution_function_far_outside_and_inside(farthest):
    """By Mills' ratio, also where the function itself underflows; far inside it is nothing to speak of."""
    x = np.array([farthest, -20.0, -3.0, 0.0, 2.0, 30.0])
    logarithm, slope = log_ndtr_with_slope(x)
    np.testing.assert_allclose(logarithm, norm.logcdf(x), rtol=1e-12, atol=1e-15)
    expected = np.exp(norm.logpdf(x) - norm.logcdf(x))
    np.testing.assert_allclose(slope, expected, rtol=1e-10, atol=1e-40)
    ratio = 1 / -farthest * (1 - farthest**-2 + 3 * farthest**-4 - 15 * farthest**-6)
    assert slope[0] == pytest.approx(1 / ratio, rel=1e-8)


@every_blurred_prior
def test_numpy_and_jax_agree(prior, jets):
    value = jets[str(prior)][0].value
    np.testing.assert_allclose(value, prior.log_marginals(*on_grid(prior)), rtol=1e-12, atol=1e-14)


@every_blurred_prior
def test_jet_is_the_automatic_one(prior, jets):
    own, automatic, plain = jets[str(prior)]
    _, variances = on_grid(prior)
    # Each derivative by the code costs one deviation, each by the variance a variance; far outside
    # of the support both forms cancel.
    powers = {"by_code": 0.5, "by_variance": 1, "by_codes": 1, "by_code_and_variance": 1.5, "by_variances": 2}
    np.testing.assert_allclose(own.value, automatic.value, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(plain.value, automatic.value, rtol=1e-12, atol=1e-14)
    for name, power in powers.items():
        unit = variances**power
        mine, other, third = (getattr(jet, name) * unit for jet in (own, automatic, plain))
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(third, other, rtol=1e-7, atol=1e-9, err_msg=name)


def differences(function, order):
    """Derivative of function(x, y) at zero, of order (i, j), by central differences, extrapolated once."""

    def plain(e):
        stencils = {0: {0: 1.0}, 1: {-1: -0.5 / e, 1: 0.5 / e}, 2: {-1: e**-2, 0: -2 * e**-2, 1: e**-2}}
        x, y = (stencils[i].items() for i in order)
        return sum(a * b * function(i * e, j * e) for i, a in x for j, b in y)

    return (4 * plain(5e-3) - plain(1e-2)) / 3


@every_blurred_prior
@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("by_code", (1, 0)),
        ("by_variance", (0, 1)),
        ("by_codes", (2, 0)),
        ("by_code_and_variance", (1, 1)),
        ("by_variances", (0, 2)),
    ],
)
def test_jet_is_the_limit_of_differences(prior, jets, name, order):
    """Of the NumPy form, in units of the noise."""
    h, v = on_grid(prior)
    expected = differences(lambda x, y: prior.log_marginals(h + x * np.sqrt(v), v * (1 + y)), order)
    for jet in jets[str(prior)]:
        scaled = getattr(jet, name) * v ** (0.5 * order[0] + order[1])
        np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-6)


@every_blurred_prior
def test_jet_solves_the_heat_equation(prior, jets):
    """Blurring is diffusion, dp/dv = p''/2: for l = log p that is l_v = (l_hh + l_h²)/2."""
    _, v = on_grid(prior)
    for jet in jets[str(prior)]:
        expected = 0.5 * (jet.by_codes + jet.by_code**2)
        np.testing.assert_allclose(jet.by_variance * v, expected * v, rtol=1e-8, atol=1e-9)


@every_prior
def test_marginals_broadcast_one_variance_per_code(prior):
    codes = np.concatenate([codes_around(prior)] * 3, axis=1)
    variances = np.array(DEVIATIONS[:3]) ** 2
    together = prior.log_marginals(codes, variances)
    for j, variance in enumerate(variances):
        alone = prior.log_marginals(codes[:, [j]], np.full((len(codes), 1), variance))
        np.testing.assert_array_equal(together[:, [j]], alone)


@pytest.mark.parametrize(
    ("prior", "edge", "away"), [(Uniform(), 1, 1), (Uniform(), 0, -1), (Exponential(), 0, -1)]
)
def test_far_tails_fall_off_like_noise_and_stay_finite(prior, edge, away):
    """A signal far outside is improbable, not impossible: -log p grows as distance² / 2 s²."""
    for deviation, distance in [(1e-3, 50.0), (1e-6, 1e3), (0.1, 1e8)]:
        h = np.array([[edge + away * distance]])
        value = prior.log_marginals(h, np.full((1, 1), deviation**2))[0, 0]
        assert value == pytest.approx(-0.5 * (distance / deviation) ** 2, rel=1e-2)


@every_prior
def test_shortfall_vanishes_with_many_samples(prior):
    few, many, most = (prior.shortfall(3, n) for n in (100, 1000, 10**9))
    assert 0 <= most <= many <= few < 0.2
    assert most < 1e-7
    assert (few > 0) == (prior.support == "unit")


@every_prior
def test_resolution_vanishes_with_many_samples(prior):
    """Faces are seen as sharply as 1/n, a kink as 1/√n, and what is smooth without a limit."""
    law = {"uniform": 1e-4, "exponential": 1e-4, "laplace": 1e-2, "gaussian": 0.0}
    assert prior.resolution(10_000) == pytest.approx(law[str(prior)])


@every_prior
def test_parameters_are_the_estimators_kind(prior):
    params = prior.get_params()
    copy = type(prior)(**params)
    assert copy == prior
    assert clone(prior) == prior
    assert pickle.loads(pickle.dumps(prior)) == prior
    assert copy.set_params(**params) is copy
    with pytest.raises(ValueError, match=f"Invalid parameter 'width' for prior {prior}"):
        copy.set_params(width=3)
    assert type(prior)() == type(prior)(), "a built-in prior is built without arguments"


def test_uniform_is_flat_inside_and_nothing_outside():
    codes = np.array([[0.0, 1.0], [0.5, 0.5], [1.0 + 1e-15, 0.5], [0.5, -1e-300], [2.0, -2.0]])
    density = Uniform().log_density(codes)
    np.testing.assert_array_equal(density, [0.0, 0.0, -np.inf, -np.inf, -np.inf])


@pytest.mark.parametrize("deviation", [1e-6, 1e-3, 0.1, 3.0])
def test_uniform_marginal_against_the_normal_distribution(deviation):
    """Inside the box, where the plain difference of distribution functions does not cancel."""
    codes = np.linspace(0.0, 1.0, 41)[:, None]
    plain = norm.cdf((1 - codes) / deviation) - norm.cdf(-codes / deviation)
    marginals = Uniform().log_marginals(codes, np.full(codes.shape, deviation**2))
    np.testing.assert_allclose(marginals, np.log(plain), rtol=1e-12, atol=1e-15)


def test_uniform_marginal_at_a_sharp_face_is_one_half():
    faces = Uniform().log_marginals(np.array([[0.0, 1.0]]), np.array(1e-8))
    np.testing.assert_allclose(faces, np.log(0.5), rtol=1e-14)


def test_uniform_marginal_is_that_of_broad_noise_when_noise_is_broad():
    codes, deviation = np.array([[-300.0, 0.5, 450.0]]), 1e3
    marginals = Uniform().log_marginals(codes, np.array(deviation**2))
    np.testing.assert_allclose(marginals, norm.logpdf(codes, 0.5, np.hypot(deviation, 12**-0.5)), rtol=1e-10)


def test_uniform_marginal_is_symmetric_and_decreasing_from_the_middle():
    beyond = np.linspace(0.0, 60.0, 400)[:, None]
    for deviation in (1e-3, 0.2, 2.0):
        right = Uniform().log_marginals(0.5 + beyond, np.array(deviation**2))
        left = Uniform().log_marginals(0.5 - beyond, np.array(deviation**2))
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-15)
        assert (np.diff(right, axis=0) <= 0).all()


@pytest.mark.parametrize("compiled", [False, True], ids=["in NumPy", "compiled"])
def test_uniform_jet_is_finite_far_outside(compiled):
    import jax

    codes, variance = np.array([[-50.0, 51.0]]), 1e-6
    with runtime.settings():
        evaluate = jax.jit(Uniform().jet) if compiled else Uniform().jet
        jet = evaluate(codes, np.full(codes.shape, variance))
    assert all(np.isfinite(np.asarray(part)).all() for part in jet)
    # Noise alone matters there: -distance² / 2 v.
    np.testing.assert_allclose(jet.value, -0.5 * 50**2 / variance, rtol=1e-6)
    np.testing.assert_allclose(jet.by_code, [[50 / variance, -50 / variance]], rtol=1e-3)


@pytest.mark.parametrize("code", [-1e155, 1e160, 1e200, -1e300])
def test_uniform_marginal_of_absurd_codes_is_a_number(code):
    """Hopeless, and a number: never minus infinity, nor not-a-number."""
    with np.errstate(over="ignore"):
        value = Uniform().log_marginals(np.array([[code]]), np.array([[1e-4]]))
    assert np.isfinite(value[0, 0])
    assert value[0, 0] < -1e200


@pytest.mark.parametrize(("k", "n"), [(1, 100), (3, 300), (10, 2000)])
def test_uniform_shortfall_is_five_eighths_of_the_samples_that_hold_the_box(k, n):
    """(k + 1) of n samples hold each slab of the smallest box when one is left out in turn."""
    assert Uniform().shortfall(k, n) == pytest.approx(0.625 * (k + 1) / n)


def test_abstract_priors_cannot_be_built():
    for abstract in (Prior, IndependentPrior):
        with pytest.raises(TypeError, match="abstract"):
            abstract()


# Closed forms, and fitted priors, whose codes differ.

VARIANCES = [1e-12, 1e-4, 1.0, 30.0, 1e4]


@pytest.mark.parametrize("variance", VARIANCES)
def test_exponential_marginal_is_exponentially_modified_gaussian(variance):
    s = np.sqrt(variance)
    codes = np.concatenate([np.linspace(-6 * s, 6 * s, 25), variance + np.array([0.1, 10.0, 100.0])])[:, None]
    marginals = Exponential().log_marginals(codes, np.full(codes.shape, variance))
    expected = exponnorm.logpdf(codes, 1 / s, loc=0.0, scale=s)
    np.testing.assert_allclose(marginals, expected, rtol=1e-8, atol=1e-8 * max(1.0, variance))


@pytest.mark.parametrize("variance", VARIANCES)
def test_laplace_marginal_is_half_of_two_exponential_ones(variance):
    s = np.sqrt(variance)
    codes = np.concatenate([np.linspace(-6 * s, 6 * s, 25), variance + np.array([0.1, 10.0, 100.0])])[:, None]
    marginals = Laplace().log_marginals(codes, np.full(codes.shape, variance))
    halves = [exponnorm.logpdf(sign * codes, 1 / s, loc=0.0, scale=s) for sign in (1, -1)]
    expected = np.logaddexp(*halves) - np.log(2)
    np.testing.assert_allclose(marginals, expected, rtol=1e-8, atol=1e-8 * max(1.0, variance))


@pytest.mark.parametrize(
    ("prior", "signs"), [(Laplace(), (1, -1)), (Exponential(), (1,))], ids=["laplace", "exponential"]
)
@pytest.mark.parametrize("code", [50.0, 1e3, 1e8, 1e100])
@pytest.mark.parametrize("deviation", [1e-10, 1e-3, 1.0])
def test_far_tails_are_those_of_the_density_times_a_factor(prior, signs, code, deviation):
    """exp(-h) seen through noise is exp(-h) exp(s²/2): the convolution of an exponential function."""
    for sign in signs:
        codes = np.array([[sign * code]])
        value = prior.log_marginals(codes, np.array(deviation**2))
        np.testing.assert_allclose(value, prior.log_density(codes)[:, None] + 0.5 * deviation**2, rtol=1e-13)


@pytest.mark.parametrize("prior", [Laplace(), Exponential()], ids=str)
@pytest.mark.parametrize("deviation", [0.05, 1.0, 8.0])
@pytest.mark.parametrize("distance", [-7.0, -3.0, 3.0, 12.0])
def test_tails_against_numerical_convolution(prior, deviation, distance):
    """In logarithms, where the density itself is as small as exp(-70)."""
    h = distance * deviation + (10 if distance > 0 else 0)

    def exponent(u):
        return float(prior.log_density(np.array([[u]]))[0] + norm.logpdf(h, u, deviation))

    grid = np.linspace(min(h, 0) - 40 * deviation, max(h, 0) + 40 * deviation, 20_001)
    start = 0.0 if prior.support == "nonnegative" else grid[0]
    heights = [
        exponent(u) for u in (0.0, max(h - deviation**2, 0.0), min(h + deviation**2, 0.0)) if u >= start
    ]
    peak = max(heights)
    points = sorted({0.0, h - deviation**2, h + deviation**2, h})
    edges = [start, *[u for u in points if start < u < grid[-1]], grid[-1]]
    total = sum(
        quad(lambda u: np.exp(exponent(u) - peak), a, b, limit=400, epsabs=0)[0]
        for a, b in zip(edges, edges[1:], strict=False)
    )
    value = prior.log_marginals(np.array([[h]]), np.array([[deviation**2]]))[0, 0]
    assert value == pytest.approx(np.log(total) + peak, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("variance", [1e-20, 1e-8, 1.0])
def test_jet_of_huge_codes_is_finite(variance):
    codes = np.array([[1e10, 1e100, -1e10, -1e100]])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        jet = Laplace().jet(codes, np.full((1, 4), variance))
    assert np.isfinite(jet.value).all()
    assert np.isfinite(jet.by_code).all()
    assert np.isfinite(jet.by_codes).all()


FITTED = {
    "laplace": (Laplace(np.array([0.5, -2.0, 0.0]), np.array([2.0, 0.3, 1.0])), laplace),
    "gaussian": (Gaussian(np.array([0.5, -2.0, 0.0]), np.array([2.0, 0.3, 1.0])), norm),
    "exponential": (Exponential(np.array([2.0, 0.3, 1.0])), expon),
}
every_fitted_prior = pytest.mark.parametrize(("prior", "law"), FITTED.values(), ids=list(FITTED))


def frozen(prior, law):
    """SciPy's distribution of the codes of a fitted prior."""
    return law(loc=getattr(prior, "location", 0.0), scale=prior.scale)


def some_codes(prior, n=50, seed=0):
    return prior.draw(n, 3, np.random.RandomState(seed))


@every_fitted_prior
def test_fitted_prior_is_scipys_distribution(prior, law):
    codes, truth = some_codes(prior), frozen(prior, law)
    p = np.random.default_rng(0).uniform(size=(40, 3))
    np.testing.assert_allclose(prior.quantiles(p), truth.ppf(p), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(prior.log_density(codes), truth.logpdf(codes).sum(axis=1), rtol=1e-12)
    mean, variance = prior.moments
    np.testing.assert_allclose(mean, truth.mean())
    np.testing.assert_allclose(variance, truth.var())
    draws = prior.draw(4000, 3, np.random.RandomState(1))
    for j in range(3):
        assert kstest(draws[:, j], lambda h, j=j: truth.cdf(np.stack([h] * 3, axis=-1))[..., j]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("prior", "law"), [(Laplace(), laplace), (Gaussian(), norm), (Exponential(), expon)], ids=str
)
def test_standard_quantiles_are_scipys(prior, law):
    p = np.array([1e-300, 1e-12, 0.1, 0.5, 0.9, 1 - 1e-12])
    np.testing.assert_allclose(prior.quantiles(p), law.ppf(p), rtol=1e-4, atol=1e-12)
    assert np.isfinite(Laplace().quantiles(np.array([0.0, 1.0]))).all()


@every_fitted_prior
def test_codes_of_a_fitted_prior_are_seen_through_their_own_noise(prior, law):
    codes, variances = some_codes(prior), np.array([0.5, 1e-3, 2.0])
    together = prior.log_marginals(codes, variances)
    for j in range(3):
        one = prior.taken([j])
        np.testing.assert_allclose(
            one.log_marginals(codes[:, [j]], variances[[j]]), together[:, [j]], rtol=1e-13
        )
    location, scale = getattr(prior, "location", 0.0), prior.scale
    standard = type(prior)().log_marginals((codes - location) / scale, variances / scale**2) - np.log(scale)
    np.testing.assert_allclose(together, standard, rtol=1e-12)
    np.testing.assert_allclose(prior.log_observed(codes, variances), together.sum(axis=1), rtol=1e-13)


@every_fitted_prior
def test_density_of_mapped_codes_is_that_of_codes_less_the_logarithm_of_the_factor(prior, law):
    negative = prior.support == "real"
    factors = np.array([3.0, -0.2 if negative else 0.2, 1e3])
    shifts = np.array([1.0, -4.0, 0.1]) if negative else np.zeros(3)
    codes, variances = some_codes(prior), np.array([0.5, 1e-3, 2.0])
    for one in (prior, type(prior)()):
        mapped = one.mapped(factors, shifts)
        there = factors * codes + shifts
        gain = np.log(np.abs(factors))
        np.testing.assert_allclose(mapped.log_density(there), one.log_density(codes) - gain.sum(), rtol=1e-11)
        marginals = mapped.log_marginals(there, factors**2 * variances)
        np.testing.assert_allclose(
            marginals, one.log_marginals(codes, variances) - gain, rtol=1e-10, atol=1e-10
        )
        np.testing.assert_allclose(mapped.moments[0], factors * one.moments[0] + shifts)
        np.testing.assert_allclose(mapped.moments[1], factors**2 * one.moments[1])


@every_fitted_prior
def test_taken_and_padded_codes_keep_their_densities(prior, law):
    codes = some_codes(prior)
    order = [2, 0]
    np.testing.assert_allclose(
        prior.taken(order).log_density(codes[:, order]),
        sum(prior.taken([j]).log_density(codes[:, [j]]) for j in order),
        rtol=1e-13,
    )
    np.testing.assert_array_equal(prior.taken(np.array([2, 0])).scale, prior.scale[[2, 0]])
    padded = prior.padded(2)
    more = type(prior)().draw(50, 2, np.random.RandomState(5))
    expected = prior.log_density(codes) + type(prior)().log_density(more)
    np.testing.assert_allclose(padded.log_density(np.hstack([codes, more])), expected, rtol=1e-12)
    np.testing.assert_array_equal(padded.taken(range(3)).scale, prior.scale)


@every_fitted_prior
def test_fitted_prior_keeps_the_estimators_manners(prior, law):
    copy = clone(type(prior)(**{name: 3.0 for name in prior.get_params()}))
    assert all(value == 3.0 for value in copy.get_params().values())
    assert copy.set_params(scale=2.0).scale == 2.0
    assert (
        str(prior)
        == str(type(prior)())
        == law.name.replace("norm", "gaussian").replace("expon", "exponential")[:11]
    )
    again = pickle.loads(pickle.dumps(prior))
    np.testing.assert_array_equal(again.scale, prior.scale)


# Priors that a user writes.


@dataclass
class Logistic(Prior):
    """Independent logistic codes, narrower the larger `sharpness` is."""

    support: ClassVar[str] = "real"

    sharpness: float = 1.0

    def log_density(self, codes):
        scaled = self.sharpness * codes
        return jnp.sum(jnp.log(self.sharpness) - scaled - 2 * jnp.logaddexp(0, -scaled), axis=1)


@dataclass
class Hill(Prior):
    """Beta(2, 2)."""

    support: ClassVar[str] = "unit"

    def log_density(self, codes):
        return jnp.sum(jnp.log(6 * codes * (1 - codes)), axis=1)


@dataclass
class Gamma(Prior):
    """Gamma of shape two."""

    support: ClassVar[str] = "nonnegative"

    def log_density(self, codes):
        return jnp.sum(jnp.log(codes) - codes, axis=1)


@dataclass
class Clusters(Prior):
    """Two clusters on the diagonal, round and of unit variance: dependent codes."""

    support: ClassVar[str] = "real"

    distance: float = 1.5

    def log_density(self, codes):
        k = codes.shape[1]
        left, right = (-0.5 * ((codes - m) ** 2).sum(axis=1) for m in (-self.distance, self.distance))
        return jnp.logaddexp(left, right) - np.log(2) - 0.5 * k * np.log(2 * np.pi)


def clusters(rng, shape):
    return rng.normal(size=shape) + rng.choice([-1.5, 1.5], size=(shape[0], 1))


def clusters_cdf(h):
    return 0.5 * norm.cdf(h - 1.5) + 0.5 * norm.cdf(h + 1.5)


USERS = {
    "logistic": (Logistic(), lambda rng, shape: rng.logistic(size=shape), logistic.cdf),
    "hill": (Hill(), lambda rng, shape: rng.beta(2, 2, size=shape), beta(2, 2).cdf),
    "gamma": (Gamma(), lambda rng, shape: rng.gamma(2, size=shape), gamma(2).cdf),
    "clusters": (Clusters(), clusters, clusters_cdf),
}


every_user = pytest.mark.parametrize(
    "name", [*USERS][:1] + [pytest.param(name, marks=pytest.mark.slow) for name in [*USERS][1:]]
)


def signals_of(draw, n=500, k=2, d=6, noise=0.02):
    rng = np.random.default_rng(0)
    components = rng.normal(size=(k, d))
    return draw(rng, (n, k)) @ components + noise * rng.normal(size=(n, d)), components


@pytest.fixture(scope="module")
def users():
    """Return a function that fits under a user's prior, once, and gives the fit, signals and components."""

    @functools.cache
    def fitted(name):
        prior, draw, _ = USERS[name]
        X, components = signals_of(draw)
        return AutoencoderDecomposer(2, prior=prior, random_state=0).fit(X), X, components

    return fitted


@every_user
def test_users_prior_finds_the_basis(users, name):
    model, X, components = users(name)
    assert amari_distance(components, model.components_) < 0.15
    assert model.converged_
    assert model.loss_ == pytest.approx(-model.score(X), rel=1e-9)
    assert str(model.prior_) == name


@every_user
def test_score_of_a_users_prior_is_the_formula(users, name):
    """In NumPy, for signals whose codes are well inside."""
    model, X, _ = users(name)
    W, noise = model.components_, model.noise_variance_
    codes = (X - model.intercept_) @ np.linalg.pinv(W)
    low, high = {"real": (-np.inf, np.inf), "unit": (0.2, 0.8), "nonnegative": (0.3, np.inf)}[
        USERS[name][0].support
    ]
    inside = ((codes > low) & (codes < high)).all(axis=1)
    X, codes = X[inside], codes[inside]
    assert len(X) > 20
    log_prior = {
        "logistic": lambda h: logistic.logpdf(h).sum(axis=1),
        "hill": lambda h: beta.logpdf(h, 2, 2).sum(axis=1),
        "gamma": lambda h: gamma.logpdf(h, 2).sum(axis=1),
        "clusters": lambda h: np.log(
            0.5 * norm.pdf(h, -1.5).prod(axis=1) + 0.5 * norm.pdf(h, 1.5).prod(axis=1)
        ),
    }[name](codes)
    squares = ((X - model.intercept_ - codes @ W) ** 2).sum(axis=1)
    expected = (
        log_prior
        - 0.5 * np.linalg.slogdet(W @ W.T)[1]
        - 0.5 * squares / noise
        - 2 * np.log(2 * np.pi * noise)
    )
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-9, atol=1e-9)


@every_user
def test_samples_of_a_users_prior_have_its_marginals(name):
    prior, _, cdf = USERS[name]
    codes = prior.draw(1000, 2, np.random.RandomState(0))
    for j in range(2):
        assert kstest(codes[:, j], cdf).pvalue > 1e-3
    # Clusters at distance m from zero: covariance m², variance 1 + m².
    expected = 2.25 / 3.25 if name == "clusters" else 0.0
    assert np.corrcoef(codes.T)[0, 1] == pytest.approx(expected, abs=0.1)
    mean, variance = prior.moments
    assert codes.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / 1000))
    assert codes.var() == pytest.approx(variance, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", USERS)
def test_covariance_of_a_users_prior_is_that_of_samples(users, name):
    model, X, _ = users(name)
    covariance = model.get_covariance()
    sampled = model.sample(2000, random_state=0)
    np.testing.assert_allclose(np.cov(sampled.T), covariance, atol=0.15 * np.abs(covariance).max())
    np.testing.assert_allclose(np.cov(X.T), covariance, atol=0.2 * np.abs(covariance).max())


def test_another_strength_of_the_same_prior_is_not_compiled_anew(users, compiled):
    _, X, _ = users("logistic")
    AutoencoderDecomposer(2, prior=Logistic(2.0), random_state=0).fit(X).score(X)
    compiled.clear()
    other = AutoencoderDecomposer(2, prior=Logistic(5.0), random_state=0).fit(X)
    assert np.isfinite(other.score(X))
    assert not compiled
    model = users("logistic")[0]
    # Components carry the scale: a density five times narrower, components five times larger.
    np.testing.assert_allclose(np.abs(other.components_), 5 * np.abs(model.components_), rtol=1e-4)


@pytest.mark.slow
def test_search_over_a_users_parameter_and_over_priors(users):
    _, X, _ = users("clusters")
    split = KFold(3, shuffle=True, random_state=0)
    strengths = GridSearchCV(
        AutoencoderDecomposer(2, prior=Clusters(), random_state=0), {"prior__distance": [0.3, 1.5]}, cv=split
    ).fit(X)
    assert strengths.best_params_ == {"prior__distance": 1.5}
    _, X, _ = users("hill")
    priors = GridSearchCV(
        AutoencoderDecomposer(2, random_state=0), {"prior": ["uniform", Hill()]}, cv=split
    ).fit(X)
    assert priors.best_params_ == {"prior": Hill()}
    _, X, _ = users("logistic")
    sharp = {"prior__sharpness": [1.0, 3.0]}
    both = GridSearchCV(AutoencoderDecomposer(2, prior=Logistic(), random_state=0), sharp, cv=split).fit(X)
    # Components carry the scale, so that sharpness changes nothing.
    scores = both.cv_results_["mean_test_score"]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)


def test_users_prior_is_cloned_and_pickled_with_its_model(users):
    model, X, _ = users("logistic")
    copy = clone(AutoencoderDecomposer(2, prior=Logistic(2.5)))
    assert copy.prior == Logistic(2.5)
    assert copy.get_params()["prior__sharpness"] == 2.5
    assert copy.set_params(prior__sharpness=4.0).prior.sharpness == 4.0
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
    np.testing.assert_array_equal(again.sample(5, random_state=0), model.sample(5, random_state=0))


class Sech(IndependentPrior):
    """Logistic codes, of which noise is a part; derivatives are left to JAX."""

    support = "real"
    includes_noise = True

    def log_density(self, codes):
        return self.log_marginals(codes, 0.0).sum(axis=1)

    def log_marginals(self, codes, variances):
        return 0.0 * variances - codes - 2 * jnp.logaddexp(0, -codes)

    def quantiles(self, probabilities):
        return logistic.ppf(probabilities)


@pytest.mark.slow
def test_independent_prior_without_a_jet_of_its_own(users):
    """The same density as an independent prior: fit and score are those of the other form."""
    other, X, _ = users("logistic")
    model = AutoencoderDecomposer(2, prior=Sech(), random_state=0).fit(X)
    np.testing.assert_allclose(np.abs(model.components_), np.abs(other.components_), rtol=1e-5)
    assert model.score(X) == pytest.approx(other.score(X), rel=1e-9)
    # Noise of the codes comes on top for the one, and is a part of the other.
    excess = other.get_covariance() - model.get_covariance()
    span = np.linalg.pinv(model.components_) @ model.components_
    np.testing.assert_allclose(excess, model.noise_variance_ * span, atol=1e-4)


def broken(name, support="real", log_density=None, **members):
    """A prior that differs from a good one in one thing."""
    log_density = log_density or (lambda self, codes: jnp.sum(-0.5 * codes**2 - 0.9189385332, axis=1))
    return type(name, (Prior,), {"support": support, "log_density": log_density, **members})()


def raises(self, codes):
    raise TypeError("no such codes")


def half_normal(codes):
    return jnp.sum(-0.5 * codes**2 - 0.2257913526, axis=1)


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        (broken("Nowhere", "positive"), "'support' must be one of .* Got 'positive' instead"),
        (
            broken("Flat", log_density=lambda self, h: -0.5 * h**2),
            r"turn codes of shape \(n, k\) into shape \(n,\)",
        ),
        (broken("Total", log_density=lambda self, h: jnp.sum(-0.5 * h**2)), "sum over the codes"),
        (broken("Undefined", log_density=lambda self, h: jnp.log(h).sum(axis=1)), "must be finite inside"),
        (
            broken("Steep", "nonnegative", lambda self, h: half_normal(h) + 0 * jnp.sqrt(h - h).sum(axis=1)),
            "the gradient of 'log_density' must be finite",
        ),
        (
            broken("Cut", log_density=lambda self, h: jnp.where(h[:, 0] > 1, -jnp.inf, 0.0)),
            "'log_density' must be finite inside",
        ),
        (
            broken("Kinked", log_density=lambda self, h: 0 * jnp.sqrt(jnp.maximum(h, 0.0)).sum(axis=1)),
            "the gradient of 'log_density' must be finite",
        ),
        (
            broken("Heavy", log_density=lambda self, h: -0.5 * (h**2).sum(axis=1)),
            "of one code must integrate to 1",
        ),
        (
            broken(
                "HeavyPairs",
                log_density=lambda self, h: (
                    jnp.sum(-0.5 * h**2 - 0.9189385332, axis=1) + 0.1 * (h.shape[1] - 1)
                ),
            ),
            "of two codes must integrate to 1",
        ),
        (
            broken(
                "Ordered",
                log_density=lambda self, h: (
                    jnp.sum(-0.5 * h**2 - 0.9189385332, axis=1) + (h[:, 0] if h.shape[1] > 1 else 0.5) - 0.5
                ),
            ),
            "must not depend on the order",
        ),
        (
            broken("Plain", log_density=lambda self, h: norm.logpdf(np.asarray(h)).sum(axis=1)),
            "write it with jax.numpy",
        ),
        (broken("Raising", log_density=raises), "no such codes"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Prior) else "",
)
def test_faulty_prior_is_refused_by_name(prior, words):
    with pytest.raises(ValueError, match=f"The prior {type(prior).__name__} cannot be used: .*{words}"):
        check_prior(prior)


def test_faulty_prior_is_refused_by_the_estimator_before_it_trains():
    heavy = broken("Heavy", log_density=lambda self, h: -0.5 * (h**2).sum(axis=1))
    with pytest.raises(ValueError, match=r"The prior Heavy .* Got 2\.507 instead"):
        AutoencoderDecomposer(2, prior=heavy).fit(np.random.default_rng(0).normal(size=(50, 4)))


@every_user
def test_good_prior_passes(name):
    check_prior(USERS[name][0])


def test_gaussian_names_all_axes_of_equal_variance_in_one_sentence():
    spreads = np.array([5.0, 5.0, 3.0, 1.0, 1.0])
    codes = spreads[:, None] * np.tile([[1.0, -1.0]], (5, 500))
    weights = np.full(1000, 1e-3)
    (doubt,) = Gaussian().doubts(codes.T, weights, 1000)
    assert doubt.startswith("components 0 and 1, 3 and 4 have variances")
    assert Gaussian().doubts(codes.T * [1, 0.8, 1, 1, 0.8], weights, 1000) == []


@every_prior
@pytest.mark.parametrize("rows", [1, 5000])
def test_likelihoods_of_many_codes_are_those_of_few_at_a_time(prior, rows):
    rng = np.random.default_rng(0)
    codes, variances = rng.normal(size=(5000, 2)), rng.uniform(0.01, 0.1, size=(rows, 2))
    found = prior.log_likelihoods(codes, variances)
    for few in (slice(300), slice(4000, 4300)):
        own = variances if rows == 1 else variances[few]
        np.testing.assert_allclose(found[few], prior.log_likelihoods(codes[few], own), rtol=1e-12)


def halfway(nats, gain):
    """Numbers of samples, of which the gain is just below so many nats, and just above."""
    return 0.99 * nats / gain, 1.01 * nats / gain


def gaussian_gain(log_density, codes):
    """By how many nats a sample a density is better than the Gaussian of these moments."""
    return np.mean(log_density) - norm.logpdf(codes, codes.mean(), codes.std()).mean()


def test_laplace_codes_have_to_be_two_nats_better_than_gaussian_ones():
    h = np.tile(laplace.ppf(np.arange(1, 200) / 200)[:, None], 2)
    weights = np.full(len(h), 1 / len(h))
    few, more = halfway(2.0, gaussian_gain(laplace.logpdf(h[:, 0]), h[:, 0]))
    assert "components 0 and 1 look Gaussian" in Laplace().doubts(h, weights, few)[0]
    assert Laplace().doubts(h, weights, more) == []


def test_learned_codes_have_to_be_seven_nats_better_than_gaussian_ones():
    h, share = expon.ppf(np.arange(1, 200) / 200), np.full(199, 1 / 199)
    density = fit_density(h, share, 199.0)
    few, more = halfway(7.0, gaussian_gain(density.log_density(h), h))
    prior, both = Learned().learned([density, density]), np.stack([h, h], axis=1)
    assert "components 0 and 1 look Gaussian" in prior.doubts(both, share, few)[0]
    assert prior.doubts(both, share, more) == []


def hexagon(width):
    """Points between three pairs of parallel lines, two of them one apart and one `width`, and a circle.

    The smallest parallelogram about them has the first two for its sides; any other is larger by `width`.
    """
    normals = np.array([[np.cos(angle), np.sin(angle)] for angle in (0, np.pi / 3, 2 * np.pi / 3)])
    halves = 0.5 * np.array([1.0, 1.0, width])
    corners = [
        np.linalg.solve(normals[[i, j]], halves[[i, j]] * [one, other])
        for i, j in itertools.combinations(range(3), 2)
        for one, other in itertools.product([-1, 1], repeat=2)
    ]
    held = [corner for corner in corners if (np.abs(normals @ corner) <= halves + 1e-12).all()]
    assert len(held) == 6
    angles = 2 * np.pi * np.arange(400) / 400
    return np.concatenate([held, 0.45 * np.stack([np.cos(angles), np.sin(angles)], axis=1)])


@pytest.mark.parametrize(("width", "told"), [(1.09, 1), (1.11, 0)])
def test_a_box_is_doubted_if_another_is_a_tenth_larger_at_most(width, told):
    codes = hexagon(width)
    assert len(Uniform().doubts(codes, np.full(len(codes), 1 / len(codes)), len(codes))) == told


def test_round_codes_are_not_doubted_where_they_touch_one_box_alone():
    codes = np.concatenate([hexagon(1.0)[6:], [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]]])
    weights = np.append(np.full(400, 1 / 400), np.zeros(4))
    assert Uniform().doubts(codes, weights, 400) == []


@pytest.mark.parametrize(("nats", "starts"), [(9.9, 2), (10.1, 1)])
def test_a_box_within_ten_nats_is_a_start(nats, starts):
    unmixing, offset = Uniform().start(hexagon(np.exp(nats / 100)), 100.0)
    assert len(unmixing) == len(offset) == starts


@pytest.mark.parametrize("prior", [Uniform(), Gaussian()], ids=str)
def test_a_start_has_one_offset_for_each_unmixing(prior):
    unmixing, offset = prior.start(np.array([[-1.0], [0.0], [1.0]]), 3.0)
    assert unmixing.shape == (1, 1, 1)
    assert offset.shape == (1, 1)


def test_axes_are_not_compared_where_one_has_no_variance():
    codes = np.tile([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]], (50, 1))
    assert Gaussian().doubts(codes, np.full(100, 0.01), 100) == []
    assert Gaussian().doubts(codes[:, :2], np.full(100, 0.01), 100)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_shares_that_carry_noise_have_the_density_of_shares_times_their_chance_to_be_positive(k):
    rng = np.random.default_rng(k)
    codes, deviations = rng.normal(1 / k, 0.2, size=(20, k)), rng.uniform(0.05, 0.5, size=k)
    flat = dirichlet(np.ones(k)).logpdf(np.ones(k) / k)
    expected = flat + norm.logcdf(codes / deviations).sum(axis=1)
    np.testing.assert_allclose(SimplexPrior().log_observed(codes, deviations**2), expected, rtol=1e-12)


def test_shares_may_miss_their_sum_by_rounding_alone():
    codes = np.array([[0.5, 0.5 + 0.9e-6], [0.5, 0.5 + 1.1e-6]])
    np.testing.assert_array_equal(SimplexPrior().log_density(codes), [0.0, -np.inf])


def test_a_box_counted_from_a_mean_that_is_not_its_middle():
    """From -0.55 to 0.45 with a mean of 0.35: the upper corner is nearer to zero."""
    component = np.array([[0.0, 1.0]])
    given = as_trained(component, 0.35 * component[0], np.array([0.9]))
    np.testing.assert_array_equal(np.ravel(Uniform().normal_form(given)), [-1.0, 1.0])
    aside = given._replace(mean=np.array([1.0, 0.0]), anchored=True)
    np.testing.assert_array_equal(np.ravel(Uniform().normal_form(aside)), [1.0, 0.0])


def test_codes_of_any_location_adapt_to_their_means_without_being_moved():
    prior = Laplace(np.array([2.0, 4.0]), np.array([1.0, 3.0])).adapted(np.array([1.0, 8.0]))
    np.testing.assert_allclose(prior.moments[0], [1.0, 8.0])
    np.testing.assert_allclose(prior.scale, [0.5, 6.0])


def test_means_of_codes_are_those_of_their_densities():
    location = np.array([1.0, -2.0])
    np.testing.assert_array_equal(Laplace(location, np.ones(2)).code_mean(2), location)
    np.testing.assert_allclose(Uniform().code_mean(3), beta(1, 1).mean() * np.ones(3))
    np.testing.assert_allclose(Gamma().code_mean(2), gamma(2).mean() * np.ones(2), rtol=1e-3)


@pytest.mark.parametrize("prior", PRIORS, ids=str)
def test_median_is_where_half_of_the_codes_are_below(prior):
    law = {"uniform": beta(1, 1), "laplace": laplace, "exponential": expon, "gaussian": norm}[str(prior)]
    assert prior.quantiles(np.array([0.5]))[0] == pytest.approx(law.median(), abs=1e-15)


@every_prior
def test_what_a_prior_says_of_itself_is_true_of_its_density(prior):
    rng = np.random.default_rng(0)
    codes = prior.quantiles(rng.uniform(0.1, 0.9, size=(200, 2)))
    density = prior.log_density(codes)
    assert isinstance(density, np.ndarray) is not prior.needs_jax
    turned = prior.log_density(codes @ np.array([[0.6, 0.8], [-0.8, 0.6]]))
    assert prior.identifies_basis is not np.allclose(turned, density)
    blurred = [prior.log_marginals(codes, np.full(2, variance)) for variance in (0.01, 1.0)]
    assert prior.includes_noise is np.allclose(*blurred)
    mirrored = [np.allclose(prior.log_density(total - codes), density) for total in (0.0, 1.0, 2.0)]
    assert [prior.reflection == total for total in (0.0, 1.0, 2.0)] == mirrored
    tails = kurtosis(prior.quantiles(np.linspace(0.0005, 0.9995, 1000)))
    assert prior.allows_overcomplete is bool(tails > 0.1)
    steps = [(place + 0.01 * sign, sign) for place, sign in prior.ends(1)[0]]
    inside = prior.log_density(np.array([[place] for place, _ in steps]).reshape(-1, 1))
    assert np.isfinite(inside).all()
    assert [sign for _, sign in steps] == [1.0, -1.0][: len(steps)]
    assert prior.piles_up_at_faces is bool(
        steps and inside[0] > prior.log_density(prior.code_mean(1)[None])[0]
    )
    line = prior.log_likelihoods(np.linspace(-1, 2, 99)[:, None], np.array([0.01]))
    assert prior.is_log_concave is (prior.factorises and not prior.needs_jax)
    assert (np.diff(line, 2) < 1e-9).all() or not prior.is_log_concave
    wider = prior.mapped(np.full(2, 3.0), np.zeros(2)).moments[1] / prior.moments[1]
    assert prior.has_free_scale is np.allclose(wider, 9.0)
    assert prior.refitted(codes, np.ones(200), 200.0) is prior
    assert not prior.learns
    assert prior.n_learned_edges == 0


def test_priors_of_users_claim_nothing_that_they_do_not_say():
    prior = Clusters()
    assert prior.needs_jax
    assert prior.identifies_basis
    claims = [prior.factorises, prior.includes_noise, prior.has_free_scale, prior.learns]
    claims += [prior.is_log_concave]
    assert not any([*claims, prior.allows_overcomplete, prior.piles_up_at_faces])
    assert prior.reflection is None
    assert (prior.n_starts, Exponential().n_starts, prior.n_learned_edges) == (2, 1, 0)


def test_shares_are_trained_in_numpy_and_one_by_one():
    prior = SimplexPrior()
    assert isinstance(prior.log_density(np.full((1, 2), 0.5)), np.ndarray) is not prior.needs_jax
    codes, variances = np.array([[0.2, 0.8]]), np.array([0.1, 0.2])
    apart = [prior.log_observed(codes[:, [j]], variances[[j]])[0] for j in range(2)]
    assert prior.factorises is (sum(apart) == pytest.approx(prior.log_observed(codes, variances)[0]))


@pytest.mark.parametrize(
    ("excess", "refused"), [(0.009, False), (0.011, True), (-0.009, False), (-0.011, True)]
)
def test_a_density_may_miss_one_by_a_hundredth(excess, refused):
    factor = np.log1p(excess)

    def log_density(self, codes):
        return jnp.sum(-0.5 * codes**2 - 0.9189385332, axis=1) + factor * (codes.shape[1] == 1)

    with pytest.raises(ValueError, match="of one code must integrate to 1") if refused else nullcontext():
        check_prior(broken("Nearly", log_density=log_density))


@pytest.mark.parametrize(("size", "refused"), [(3e-7, False), (1e-5, True)])
def test_a_density_may_depend_on_the_order_of_codes_within_rounding(size, refused):
    def log_density(self, codes):
        order = size * jnp.tanh(codes[:, 0] - codes[:, -1])
        return jnp.sum(-0.5 * codes**2 - 0.9189385332, axis=1) + order

    with pytest.raises(ValueError, match="depend on the order") if refused else nullcontext():
        check_prior(broken("Ordered", log_density=log_density))


def learned_codes():
    """Codes of three kinds, their densities, and the prior that has these."""
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.normal(size=60), rng.exponential(size=60), rng.uniform(size=60)])
    densities = [fit_density(h, np.full(60, 1 / 60), 60.0) for h in codes.T.copy()]
    return codes, densities, Learned().learned(densities)


def test_learned_codes_are_moved_chosen_and_joined_with_their_densities():
    codes, densities, prior = learned_codes()
    factors, shifts = np.array([2.0, -0.5, 3.0]), np.array([1.0, -1.0, 0.5])
    apart = np.stack([density.log_density(h) for density, h in zip(densities, codes.T, strict=True)], axis=1)
    mapped = prior.mapped(factors, shifts)
    moved = mapped.log_marginals(codes * factors + shifts, np.zeros(3))
    np.testing.assert_allclose(moved, apart - np.log(np.abs(factors)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mapped.moments[0], factors * prior.moments[0] + shifts)
    np.testing.assert_allclose(mapped.moments[1], factors**2 * prior.moments[1])
    assert prior.taken([2, 0]).densities == (densities[2], densities[0])
    assert prior.joined([prior.taken([1]), prior.taken([0, 2])]).densities == tuple(
        densities[j] for j in (1, 0, 2)
    )
    assert prior.n_learned_edges == sum(density.edges for density in densities)
    more = prior.padded(2)
    assert more.densities[:3] == tuple(densities)
    added = more.log_marginals(np.ones((1, 5)), np.zeros(5))[0, 3:]
    np.testing.assert_allclose(added, norm.logpdf([1.0, 1.0]), rtol=1e-6)


def test_quantiles_of_learned_codes_are_those_of_their_densities():
    _, _, prior = learned_codes()
    levels = np.array([[0.1, 0.5, 0.9], [0.3, 0.4, 0.6]])
    found = prior.quantiles(levels)
    for j in range(3):
        alone, start = prior.taken([j]), prior.quantiles(np.full((1, 3), 1e-6))[0, j]
        for level, place in zip(levels[:, j], found[:, j], strict=True):
            grid = np.linspace(start, place, 4001)[:, None]
            mass = np.trapezoid(np.exp(alone.log_density(grid)), grid[:, 0])
            assert mass == pytest.approx(level, abs=2e-3)


def test_nothing_learned_is_the_normal_density():
    prior = Learned()
    assert prior.learns
    assert prior.includes_noise
    assert not prior.needs_jax
    codes = np.array([[0.0, 1.0], [-2.0, 0.5]])
    np.testing.assert_allclose(prior.log_density(codes), norm.logpdf(codes).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(np.ravel(prior.moments), norm.stats(), atol=1e-6)
    levels = np.array([[0.2, 0.7]])
    np.testing.assert_allclose(prior.quantiles(levels), norm.ppf(levels), rtol=1e-4)
    assert prior.taken([1, 0]) is prior
    assert prior.ends(3) == [[], [], []]
    assert prior == Learned()
    assert str(prior) == "learned"
    assert repr(prior.learned([])) == "Learned()"


def test_densities_follow_codes_that_have_moved():
    """As they are fitted anew: where codes are wider so are the densities, by weights that have any sum."""
    codes, _, prior = learned_codes()
    codes = codes[:, :2]
    weights = np.full(60, 3.0)
    again = prior.taken([0, 1]).refitted(1.02 * codes, weights, 180.0)
    widths = np.sqrt(again.moments[1] / prior.taken([0, 1]).moments[1])
    np.testing.assert_allclose(widths, 1.02, atol=0.005)
    held = [
        refit(h, weights / 180, 180.0, each, frozen=True)
        for h, each in zip(1.02 * codes.T, prior.densities[:2], strict=True)
    ]
    assert all(free.strength != each.strength for free, each in zip(again.densities, held, strict=True))
    design = np.stack([codes[:, 0], np.ones(60)], axis=1)
    gains = prior.taken([0, 1]).gains_by_following(codes, np.full(60, 1 / 60), design)
    for j in range(2):
        alone = prior.taken([j]).gains_by_following(codes[:, [j]], np.full(60, 1 / 60), design)
        np.testing.assert_array_equal(gains[j], alone[0])
        assert (np.linalg.eigvalsh(gains[j]) > 0).all()


def test_noise_blurs_the_faces_of_a_users_density():
    """One that is flat has the chance to be beyond each face taken from it, for each code."""
    prior = broken("Even", "unit", lambda self, codes: 0.0 * codes.sum(axis=1))
    codes, deviations = np.array([[0.05, 0.5], [-0.1, 0.9], [0.3, 1.2]]), np.array([0.1, 0.2])
    expected = norm.logcdf(codes / deviations) + norm.logcdf((1 - codes) / deviations)
    found = prior.log_likelihoods(codes, deviations**2)
    np.testing.assert_allclose(found, expected.sum(axis=1), rtol=1e-6)
