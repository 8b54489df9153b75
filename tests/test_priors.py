"""Priors: identities over every independent prior, then what the uniform one is.

A new prior is one more line of `PRIORS`.
"""

import pickle

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import roots_legendre
from scipy.stats import norm
from sklearn.base import clone

from sparse_fourier import runtime
from sparse_fourier.priors import IndependentPrior, Prior, Uniform
from sparse_fourier.priors.independent import automatic_jet
from sparse_fourier.supports import SUPPORTS

PRIORS = [
    Uniform(),
]
every_prior = pytest.mark.parametrize("prior", PRIORS, ids=str)
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


@pytest.fixture(scope="module")
def jets():
    """Return for each prior its own jet, the one by automatic differentiation, and its own in NumPy."""
    import jax

    collected = {}
    for prior in PRIORS:
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
    low, high = prior.quantiles(np.array([0.0005, 0.9995]))
    edges = [low - 9 * deviation, low, high, high + 9 * deviation]

    def density(h):
        return float(np.exp(prior.log_marginals(np.array([[h]]), np.array([[deviation**2]]))[0, 0]))

    total = sum(
        quad(density, a, b, epsabs=1e-11, limit=200)[0] for a, b in zip(edges, edges[1:], strict=False)
    )
    assert total == pytest.approx(1.0, abs=1e-8)


@every_prior
@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_marginal_is_the_prior_seen_through_noise(prior, deviation):
    """p(h) is the mean of the normal density of h about codes drawn from the prior."""
    codes = codes_around(prior)
    marginals = np.exp(prior.log_marginals(codes, np.full(codes.shape, deviation**2)))
    for h, value in zip(codes.ravel(), marginals.ravel(), strict=True):
        expected = expectation(prior, lambda u, h=h: norm.pdf(h, loc=u, scale=deviation))
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
    p = np.linspace(0.02, 0.98, 49)
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


@every_prior
def test_numpy_and_jax_agree(prior, jets):
    value = jets[str(prior)][0].value
    np.testing.assert_allclose(value, prior.log_marginals(*on_grid(prior)), rtol=1e-12, atol=1e-14)


@every_prior
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
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(third, other, rtol=1e-8, atol=1e-9, err_msg=name)


def differences(function, order):
    """Derivative of function(x, y) at zero, of order (i, j), by central differences, extrapolated once."""

    def plain(e):
        stencils = {0: {0: 1.0}, 1: {-1: -0.5 / e, 1: 0.5 / e}, 2: {-1: e**-2, 0: -2 * e**-2, 1: e**-2}}
        x, y = (stencils[i].items() for i in order)
        return sum(a * b * function(i * e, j * e) for i, a in x for j, b in y)

    return (4 * plain(5e-3) - plain(1e-2)) / 3


@every_prior
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


@every_prior
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


@every_prior
def test_far_tails_fall_off_like_noise_and_stay_finite(prior, jets):
    """A signal far outside is improbable, not impossible: -log p grows as distance² / 2 s²."""
    low, high = prior.quantiles(np.array([0.0, 1.0]))
    edge = high if np.isfinite(high) else low
    away = 1.0 if np.isfinite(high) else -1.0
    if not np.isfinite(edge):
        return
    for deviation, distance in [(1e-3, 50.0), (1e-6, 1e3), (0.1, 1e8)]:
        h = np.array([[edge + away * distance]])
        value = prior.log_marginals(h, np.full((1, 1), deviation**2))[0, 0]
        assert value == pytest.approx(-0.5 * (distance / deviation) ** 2, rel=1e-2)


@every_prior
def test_shortfall_vanishes_with_many_samples(prior):
    few, many, most = (prior.shortfall(3, n) for n in (100, 1000, 10**9))
    assert 0 <= most <= many <= few < 0.2
    assert most < 1e-7


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
