"""Densities: against integrals, finite differences, the truth, and under changes that must not matter."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from sparse_fourier.densities import (
    Density,
    HalfLine,
    Interval,
    Line,
    Peak,
    choose,
    evidence_of_ends,
    fit_density,
    fit_smooth,
    gain_by_following,
    keep,
    refit,
)
from sparse_fourier.densities.fitting import Frame, Sample, fit_in_frame


def uniform_weights(n):
    return np.full(n, 1 / n)


def learned(codes, fit=fit_density):
    return fit(codes, uniform_weights(len(codes)), float(len(codes)))


class Bimodal:
    """Two normal densities."""

    @staticmethod
    def rvs(size, random_state):
        signs = random_state.choice([-1.0, 1.0], size)
        return signs + 0.4 * random_state.standard_normal(size)

    @staticmethod
    def logpdf(x):
        return np.logaddexp(stats.norm.logpdf(x, -1, 0.4), stats.norm.logpdf(x, 1, 0.4)) - np.log(2)


TRUTHS = {
    "normal": stats.norm(),
    "laplace": stats.laplace(),
    "student": stats.t(5),
    "bimodal": Bimodal(),
    "exponential": stats.expon(),
    "uniform": stats.uniform(),
    "arcsine": stats.beta(0.5, 0.5),
}
EDGES = dict.fromkeys(TRUTHS, 0) | {"exponential": 1, "uniform": 2, "arcsine": 2}
every_truth = pytest.mark.parametrize("name", TRUTHS)


def drawn(name, n=400, seed=0):
    return TRUTHS[name].rvs(size=n, random_state=np.random.default_rng([seed, n]))


def pieces(density, codes):
    """Ends of intervals over which the density is smooth enough for adaptive quadrature, tails included."""
    low, high, spread = codes.min(), codes.max(), codes.std()
    blur = density.blur * abs(density.scale)
    near_edges = [end + blur * step for end in (low, high) for step in (-9, -4, -2, 0, 2, 4, 9)]
    tails = [end + sign * spread * 3.0**k for end, sign in ((low, -1), (high, 1)) for k in range(-4, 5)]
    return np.unique(np.concatenate([np.linspace(low, high, 200), near_edges, tails]))


def integrals(density, codes, function):
    """Integral over each piece."""
    ends = pieces(density, codes)
    return ends, np.array(
        [
            quad(lambda h: function(h) * np.exp(density.log_density(h)), a, b, epsabs=1e-11, epsrel=1e-9)[0]
            for a, b in zip(ends[:-1], ends[1:], strict=True)
        ]
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ("laplace", "student", "arcsine") else name
        for name in TRUTHS
    ],
)
def test_integral_moments_and_quantiles_by_adaptive_quadrature(name):
    codes = drawn(name)
    density = learned(codes)
    ends, masses = integrals(density, codes, lambda h: 1.0)
    assert masses.sum() == pytest.approx(1, abs=1e-6)
    mean = integrals(density, codes, lambda h: h)[1].sum()
    variance = integrals(density, codes, lambda h: (h - mean) ** 2)[1].sum()
    np.testing.assert_allclose(density.moments, [mean, variance], rtol=1e-5, atol=1e-6)
    below = np.cumsum(masses)[:-1]
    inner = (below > 1e-4) & (below < 1 - 1e-4)
    found = density.quantiles(below[inner])
    slopes = np.exp(density.log_density(ends[1:-1][inner]))
    np.testing.assert_allclose((found - ends[1:-1][inner]) * slopes, 0, atol=2e-6)


def test_heavy_tails_are_normalised_far_out():
    codes = stats.t(1.5).rvs(2000, random_state=np.random.default_rng(0))
    density = learned(codes)
    assert np.ptp(codes) > 50 * codes.std() / 2
    assert integrals(density, codes, lambda h: 1.0)[1].sum() == pytest.approx(1, abs=1e-6)


@every_truth
def test_smooth_fits_have_the_mean_and_variance_of_the_codes(name):
    """The penalty leaves parabolas free, so that these are those of the maximum of the likelihood."""
    codes = drawn(name)
    mean, variance = learned(codes, fit_smooth).moments
    assert (mean - codes.mean()) / codes.std() == pytest.approx(0, abs=3e-4)
    assert variance == pytest.approx(codes.var(), rel=2e-3)


@every_truth
def test_derivatives_against_finite_differences(name):
    codes = drawn(name)
    density = learned(codes)
    h = np.random.default_rng(1).uniform(codes.min() - codes.std(), codes.max() + codes.std(), size=200)
    step = 1e-6 * codes.std()
    log_p, first, second = density.derivatives(h)
    above, below = density.derivatives(h + step), density.derivatives(h - step)
    np.testing.assert_array_equal(log_p, density.log_density(h))
    scale = 1 + np.abs(first).max() * 1e-6
    np.testing.assert_allclose((above[0] - below[0]) / (2 * step), first, rtol=1e-5, atol=1e-4 * scale)
    np.testing.assert_allclose((above[1] - below[1]) / (2 * step), second, rtol=1e-4, atol=2e-3 * scale)


@every_truth
def test_everything_is_finite_everywhere(name):
    density = learned(drawn(name))
    far = np.array([[0.0, 1e3, -1e3], [1e10, -1e10, 1e100], [-1e100, 1e300, -1e300]])
    values = density.derivatives(far)
    assert all(np.isfinite(value).all() and value.shape == far.shape for value in values)
    assert (values[0].ravel()[1:] < -50).all()


@pytest.mark.parametrize("name", ["exponential", "uniform"])
def test_far_beyond_an_edge_the_density_falls_as_its_blur(name):
    density = learned(drawn(name))
    far = density.centre - density.scale * np.array([1.0, 1e4, 1e8, 1e12])
    width = density.blur * density.scale
    _, first, second = density.derivatives(far)
    np.testing.assert_allclose(second * width**2, -1, atol=1e-4)
    np.testing.assert_allclose(first[1:] * width**2, density.centre - far[1:], rtol=1e-6)


def test_penalty_is_less_where_a_density_bends_sharply():
    density = learned(drawn("laplace", 4000))
    kink = int(density.template.index(-density.centre / density.scale)) - density.template.first
    assert density.stiffness[kink] < 0.6 * np.median(density.stiffness)


def test_curvature_at_knots_is_that_beside_them():
    density = learned(drawn("bimodal"))
    knots = density.centre + density.scale * density.template.knot(np.arange(-10, 11))
    at, beside = density.derivatives(knots)[2], density.derivatives(knots + 1e-7)[2]
    np.testing.assert_allclose(at, beside, atol=1e-3)
    assert np.abs(at).min() > 1e-2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [100, 1000])
def test_normal_draws_come_out_normal(n, seed):
    """Within a few nats of the maximum of the likelihood over normal densities."""
    codes = drawn("normal", n, seed)
    density = learned(codes)
    best = stats.norm.logpdf(codes, codes.mean(), codes.std()).sum()
    assert density.edges == 0
    assert -1e-3 < density.log_density(codes).sum() - best < 6
    assert n * density.log_likelihood == pytest.approx(density.log_density(codes).sum())


@pytest.mark.parametrize("seed", range(4))
@every_truth
def test_edges_are_found_where_there_are_any(name, seed):
    assert learned(drawn(name, 500, seed)).edges == EDGES[name]


@pytest.mark.parametrize("name", [name for name, edges in EDGES.items() if edges != 1])
def test_two_edges_are_worth_it_where_there_are_two(name):
    smooth, edged = evidence_of_ends(drawn(name), uniform_weights(400), 400.0, 0.01)
    assert (edged > smooth) == (EDGES[name] == 2)


def test_edge_on_the_right():
    codes = -drawn("exponential")
    density = learned(codes)
    assert density.edges == 1
    assert density.log_density(codes.max() + 0.1) < -100 < density.log_density(codes.min() - 0.1)


# About twice n times the distance measured at n = 4000, mean of 12 draws.
DISTANCES = {
    "normal": 6,
    "laplace": 17,
    "student": 10,
    "bimodal": 9,
    "exponential": 15,
    "uniform": 20,
    "arcsine": 160,
}


def distance(name, n, seed):
    """Kullback-Leibler distance of the truth to what is learned from n draws."""
    truth, test = TRUTHS[name], drawn(name, 20_000, seed + 100)
    return float(np.mean(truth.logpdf(test) - learned(drawn(name, n, seed)).log_density(test)))


@every_truth
def test_more_draws_come_nearer_to_the_truth(name):
    few = np.mean([distance(name, 100, seed) for seed in range(6)])
    many = np.mean([distance(name, 4000, seed) for seed in range(6)])
    assert many < 0.4 * few
    assert many < DISTANCES[name] / 4000


@pytest.mark.parametrize(("factor", "shift"), [(3.7, -2.1), (1.0, 1e4), (-1.0, 0.0), (-0.03, 5.0)])
@every_truth
def test_changes_of_unit_do_not_matter(name, factor, shift):
    codes = drawn(name)
    density, other = learned(codes), learned(factor * codes + shift)
    expected = density.log_density(codes) - np.log(abs(factor))
    np.testing.assert_allclose(other.log_density(factor * codes + shift), expected, atol=1e-6)
    np.testing.assert_allclose(other.evidence, density.evidence - len(codes) * np.log(abs(factor)), atol=1e-5)


@every_truth
def test_mapped_is_the_change_of_variables(name):
    codes = drawn(name)
    density = learned(codes)
    for factor, shift in ((2.5, -1.0), (-0.4, 3.0)):
        mapped, image = density.mapped(factor, shift), factor * codes + shift
        log_p, first, second = density.derivatives(codes)
        expected = log_p - np.log(abs(factor)), first / factor, second / factor**2
        for part, wanted in zip(mapped.derivatives(image), expected, strict=True):
            np.testing.assert_allclose(part, wanted, rtol=1e-9, atol=1e-7 * np.abs(wanted).max())
        mean, variance = density.moments
        np.testing.assert_allclose(mapped.moments, [factor * mean + shift, factor**2 * variance])
        p = np.linspace(0.01, 0.99, 50)
        turned = p if factor > 0 else 1 - p
        np.testing.assert_allclose(mapped.quantiles(p), factor * density.quantiles(turned) + shift, atol=1e-9)
        evidence = learned(image).evidence
        assert mapped.evidence == pytest.approx(evidence, abs=1e-4)
        assert mapped.log_likelihood == pytest.approx(mapped.log_density(image).mean())


@every_truth
def test_weights_count_repetitions(name):
    codes = drawn(name, 150)
    counts = np.random.default_rng(3).integers(0, 4, size=150)
    n = counts.sum()
    weighted = fit_density(codes, counts / n, float(n))
    repeated = learned(np.repeat(codes, counts))
    assert weighted.edges == repeated.edges
    np.testing.assert_allclose(weighted.log_density(codes), repeated.log_density(codes), atol=1e-6)


def test_codes_without_weight_do_not_count():
    codes = drawn("uniform")
    weights = np.append(uniform_weights(400), [0.0, 1e-300])
    with_more = fit_density(np.append(codes, [1e200, -1e9]), weights, 400.0)
    np.testing.assert_allclose(with_more.log_density(codes), learned(codes).log_density(codes), atol=1e-9)


@every_truth
def test_quantiles_increase_and_follow_their_symmetries(name):
    density = learned(drawn(name))
    p = np.array([[0.0, 1e-300, 1e-12, 1e-3], [0.5, 0.999, 1 - 1e-12, 1.0]])
    quantiles = density.quantiles(p)
    assert quantiles.shape == p.shape
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles.ravel()) >= 0).all()
    assert quantiles[0, 2] < quantiles[0, 3] < quantiles[1, 0] < quantiles[1, 1] < quantiles[1, 2]


def test_draws_from_a_density_give_it_back():
    density = learned(drawn("bimodal", 4000))
    draws = density.quantiles(np.random.default_rng(0).uniform(size=20_000))
    assert draws.mean() == pytest.approx(density.moments[0], abs=0.03)
    assert draws.var() == pytest.approx(density.moments[1], abs=0.03)
    again = learned(draws)
    assert abs(np.mean(density.log_density(draws) - again.log_density(draws))) < 1e-3


def test_standard_normal():
    normal, h = Density.normal(), np.linspace(-6, 6, 401)
    log_p, first, second = normal.derivatives(h)
    np.testing.assert_allclose(log_p, stats.norm.logpdf(h), atol=1e-11)
    np.testing.assert_allclose(first, -h, atol=1e-10)
    np.testing.assert_allclose(second, -1, atol=1e-9)
    np.testing.assert_allclose(normal.moments, [0, 1], atol=1e-9)
    p = np.array([1e-12, 1e-3, 0.2, 0.5, 0.99, 1 - 1e-9])
    np.testing.assert_allclose(normal.quantiles(p), stats.norm.ppf(p), atol=1e-6)
    assert normal.quantiles(1e-100) == pytest.approx(stats.norm.ppf(1e-100), abs=2e-3)
    np.testing.assert_allclose(
        normal.log_density(np.array([-40.0, 40.0])), stats.norm.logpdf(40.0), rtol=1e-6
    )
    assert normal.log_density(1e3) < -1e4
    assert normal.edges == 0


def test_narrowed_edges_are_narrower_and_normalised():
    codes = drawn("uniform")
    density = choose(codes, uniform_weights(400), 400.0, 0.05)
    narrow = density.narrowed(0.002)
    assert (density.edges, narrow.edges) == (2, 2)
    outside = codes.max() + 0.02
    assert narrow.log_density(outside) < density.log_density(outside) - 20
    assert integrals(narrow, codes, lambda h: 1.0)[1].sum() == pytest.approx(1, abs=1e-6)
    smooth = learned(codes, fit_smooth)
    assert smooth.narrowed(0.1) is smooth


@pytest.mark.parametrize(("power", "blurs"), [(1.0, (0.08, 0.01)), (2.0, (0.08,))])
def test_mass_at_an_edge_is_that_of_the_true_density(power, blurs):
    truth, n = stats.gamma(power), 4000.0
    codes = truth.ppf((np.arange(4000) + 0.5) / 4000)
    found = choose(codes, uniform_weights(4000), n, 0.02)
    assert found.edges == 1
    for blur in blurs:
        wanted = truth.cdf(found.centre + blur * found.scale)
        assert found.narrowed(blur).mass_at_ends == pytest.approx(wanted, rel=0.1)
    assert Density.normal().mass_at_ends == 0.0


def test_choose_gives_back_a_density_without_edges():
    codes, weights = drawn("normal"), uniform_weights(400)
    own = learned(codes)
    assert choose(codes, weights, 400.0, 0.05, own) is own
    codes = drawn("uniform")
    assert choose(codes, weights, 400.0, 0.05, own).edges == 2


def loss_by_slope(density):
    """Interference of two Laplace codes whose slopes are estimated, over that where they are known [1]_.

    References
    ----------
    .. [1] D.-T. Pham and P. Garat, "Blind separation of mixture of independent sources through a
       quasi-maximum likelihood approach", IEEE Transactions on Signal Processing 45(7), 1712-1725, 1997.
    """
    codes = stats.laplace.ppf((np.arange(100_000) + 0.5) / 100_000)
    slopes = -density.derivatives(codes)[1]
    a, b = 2 * (slopes**2).mean(), 2 * (slopes * np.sign(codes)).mean()
    return (b * b * a + a - 2 * b) / (b * b - 1) ** 2 / (2 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_cusp_is_found_and_represented(seed):
    codes, weights = drawn("laplace", 10_000, seed), uniform_weights(10_000)
    density, smooth = learned(codes), learned(codes, fit_smooth)
    assert isinstance(density.template, Peak)
    assert loss_by_slope(density) < 1.13 < loss_by_slope(smooth)
    assert abs(density.centre) < 0.1
    moved = refit(codes + 0.01, weights, 10_000.0, density, frozen=True)
    assert (moved.template, moved.centre) == (density.template, density.centre)


@pytest.mark.parametrize("name", ["normal", "bimodal"])
@pytest.mark.parametrize("n", [400, 10_000])
def test_no_cusp_is_found_where_there_is_none(name, n):
    assert isinstance(learned(drawn(name, n)).template, Line)
    assert not isinstance(learned(drawn(name, n)).template, Peak)


def test_keep_drops_edges_that_are_not_worth_it():
    codes, weights = drawn("uniform"), uniform_weights(400)
    density = choose(codes, weights, 400.0, 0.01)
    assert keep(codes, weights, 400.0, density, 0.01) is density
    assert keep(codes, weights, 400.0, density, 1e-300).edges == 0
    smooth = learned(codes, fit_smooth)
    assert keep(codes, weights, 400.0, smooth, 0.01) is smooth


@every_truth
def test_refits_are_fits(name):
    """Of the same codes nothing changes; of others, a frozen fit is a maximum for its strength."""
    codes = drawn(name)
    weights, density = uniform_weights(400), learned(codes)
    same = refit(codes, weights, 400.0, density, frozen=True)
    np.testing.assert_allclose(same.log_density(codes), density.log_density(codes), atol=1e-6)
    other = codes + 0.003 * np.sin(7 * codes)
    frozen, free = (refit(other, weights, 400.0, density, frozen=frozen) for frozen in (True, False))
    assert frozen.strength == density.strength
    assert frozen.edges == free.edges == density.edges
    gain = frozen.log_likelihood - density.log_density(other).mean()
    assert gain > (frozen.roughness - density.roughness) / 400 - 1e-9


@pytest.mark.parametrize("name", ["exponential", "uniform"])
def test_a_smooth_fit_may_begin_at_a_density_with_edges(name):
    codes, weights = drawn(name), uniform_weights(400)
    found = fit_smooth(codes, weights, 400.0, start=learned(codes), rounds=100)
    expected = fit_smooth(codes, weights, 400.0, rounds=100)
    assert found.converged
    assert found.evidence == pytest.approx(expected.evidence, abs=0.1)


def test_refit_of_reflected_codes_keeps_the_reflection():
    codes = drawn("bimodal") ** 3
    density = learned(codes, fit_smooth).mapped(-1.0, 0.0)
    again = refit(-codes, uniform_weights(400), 400.0, density, frozen=True)
    assert again.scale < 0
    np.testing.assert_allclose(again.log_density(-codes), density.log_density(-codes), atol=1e-5)


@pytest.mark.parametrize(("name", "rel"), [("laplace", 1e-4), ("bimodal", 1e-4), ("exponential", 1e-2)])
def test_gain_by_following_is_what_a_new_fit_gains(name, rel):
    """Against the second difference of the penalised likelihood, held and fitted anew."""
    codes, weights = drawn(name), uniform_weights(400)
    density = learned(codes)
    frame = Frame(density.template, density.centre, density.scale, density.blur)
    inside = np.abs(codes - np.median(codes)) < 0.6 * np.ptp(codes) / 2
    moves = np.random.default_rng(1).standard_normal((400, 2)) * inside[:, None]

    def fitted(moved):
        return fit_in_frame(Sample(moved, weights, 400.0), frame, density, density.strength)

    start = fitted(codes)

    def gained(step):
        moved = codes + moves @ step
        again, held = fitted(moved), start.log_density(moved).mean()
        return again.log_likelihood - again.roughness / 400 - (held - start.roughness / 400)

    expected = gain_by_following(start, codes, weights, moves)
    for step in 1e-4 * np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]):
        assert gained(step) + gained(-step) == pytest.approx(step @ expected @ step, rel=rel)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
@every_truth
def test_huge_and_tiny_units(name, scale):
    codes = drawn(name)
    expected, found = learned(codes).log_density(codes), learned(scale * codes)
    np.testing.assert_allclose(found.log_density(scale * codes) + np.log(scale), expected, atol=1e-6)
    assert all(np.isfinite(value).all() for value in found.derivatives(scale * codes))
    assert np.isfinite(found.moments).all()
    assert np.isfinite(found.quantiles(np.array([0.0, 0.5, 1.0]))).all()


ODD = {
    "20 levels": np.round(3 * np.random.default_rng(0).standard_normal(300)) / 3,
    "two levels": np.repeat([-1.0, 1.0], [100, 200]),
    "one of many": np.repeat([0.0, 1.0], [299, 1]),
    "many zeros": np.maximum(np.random.default_rng(0).standard_normal(300), 0.0),
    "outlier": np.append(np.random.default_rng(0).standard_normal(300), 1e7),
    "two": np.array([0.3, 0.7]),
    "three": np.array([0.1, -2.0, 0.5]),
    "four": np.array([0.1, -2.0, 0.5, 0.1]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_codes_have_sensible_densities(name):
    codes = ODD[name]
    density = learned(codes)
    assert all(np.isfinite(value).all() for value in density.derivatives(codes))
    mean, variance = density.moments
    assert mean == pytest.approx(codes.mean(), abs=0.2 * codes.std())
    assert variance == pytest.approx(codes.var(), rel=0.3)
    quantiles = density.quantiles(np.linspace(0.0, 1.0, 21))
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles) >= 0).all()
    assert (
        density.log_density(codes).mean() > stats.norm.logpdf(codes, codes.mean(), codes.std()).mean() - 1.0
    )


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e150, 1e-150])
def test_codes_that_are_all_the_same(value):
    codes, weights = np.full(30, value), uniform_weights(30)
    density = learned(codes)
    for again in (
        density,
        refit(codes, weights, 30.0, density, frozen=False),
        choose(codes, weights, 30.0, 0.1),
    ):
        assert again.moments[0] == pytest.approx(value, abs=1e-12)
        assert 0 < again.scale <= max(1e-7 * abs(value), float(value == 0))
        assert all(np.isfinite(part).all() for part in again.derivatives(np.array([value, 0.0, 1.0])))


@pytest.mark.parametrize("template", [Line(-20, 35), Peak(-20, 35), HalfLine(0, 40), Interval()])
def test_templates(template):
    assert (np.diff(template.knot(np.arange(template.first - 3, template.last + 4))) > 0).all()
    index = np.arange(template.first, template.last + 1)
    knots = template.knot(index)
    np.testing.assert_allclose(template.index(knots), index, atol=1e-6)
    low, high = template.ends
    bigger = template.covering(low, high)
    assert bigger.ends[0] <= low < high <= bigger.ends[1]
    assert template.covering(0.4 * high, 0.5 * high).ends == template.ends
    assert hash(template) == hash(pickle.loads(pickle.dumps(template)))


@every_truth
def test_pickled_densities_are_the_same(name):
    codes = drawn(name)
    density = learned(codes)
    copy = pickle.loads(pickle.dumps(density))
    np.testing.assert_array_equal(copy.derivatives(codes), density.derivatives(codes))
    assert (copy.template, copy.evidence, copy.strength) == (
        density.template,
        density.evidence,
        density.strength,
    )


def test_threads_do_not_disturb_each_other():
    samples = [drawn(name, 200, seed) for seed in range(4) for name in TRUTHS]
    one_by_one = [learned(codes).evidence for codes in samples]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda codes: learned(codes).evidence, samples)) == one_by_one
        assert list(pool.map(lambda codes: learned(codes).evidence, samples)) == one_by_one


def test_a_density_is_as_smooth_as_before_where_a_sample_comes_beyond_its_last_knot():
    codes = np.random.default_rng(0).laplace(size=1500)
    weights = uniform_weights(1500)
    before = refit(codes, weights, 1500.0, fit_smooth(codes, weights, 1500.0), frozen=False)
    assert np.ptp(before.stiffness) > 0.1
    codes[np.argmax(codes)] = before.centre + before.scale * before.template.ends[1] + 0.3
    after = refit(codes, weights, 1500.0, before, frozen=True)
    first = before.template.first - after.template.first
    assert after.template.last > before.template.last
    np.testing.assert_array_equal(after.stiffness[first : first + len(before.stiffness)], before.stiffness)
    assert (np.delete(after.stiffness, np.arange(first, first + len(before.stiffness))) == 1).all()
