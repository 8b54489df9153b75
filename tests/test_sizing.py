"""Newton steps on size and place: derivatives, the one optimum, rows left out, and what is given up."""

import numpy as np
import pytest
from scipy.optimize import minimize

from sparse_fourier import sizing
from sparse_fourier.course import Plan, Problem
from sparse_fourier.placing import _parts, place
from sparse_fourier.priors import Exponential, Laplace, Uniform
from sparse_fourier.staging import optimise

PLAN = Plan(1, 1e-12, 1000, None, None)
every_density = pytest.mark.parametrize("prior", [Uniform(), Laplace(), Exponential()], ids=str)


def draws(name, rng, shape):
    kinds = {"uniform": rng.uniform, "laplace": rng.laplace, "exponential": rng.exponential}
    return (kinds | {"student": lambda size: rng.standard_t(2.5, size=size)})[name](size=shape)


def problem_of(prior, codes, noise, rng=None):
    """Signals in the coordinates of the codes; with random weights and gaps where draws are given."""
    n, k = codes.shape
    weights = np.full(n, 1.0) if rng is None else rng.uniform(0.5, 2, size=n)
    share, inflation = weights / weights.sum(), None if rng is None else rng.uniform(1, 3, size=n)
    codes = codes - share @ codes
    codes /= np.sqrt(share @ codes**2)
    noise, floor = np.diag(np.full(k, noise)), prior.resolution(weights.sum()) ** 2
    return Problem(prior, codes, share, weights.sum(), noise, floor, 0.0, inflation=inflation)


def loss_of(problem, j):
    """The negative log-likelihood of one code, from its formula."""

    def loss(parameters):
        size, offset = parameters
        inflation = 1.0 if problem.inflation is None else problem.inflation
        variances = np.atleast_1d(size**2 * problem.noise[j, j] * inflation + problem.floor)[:, None]
        codes = (size * problem.whitened[:, j] + offset)[:, None]
        return -problem.weights @ problem.prior.log_likelihoods(codes, variances) - np.log(abs(size))

    return loss


@every_density
def test_expansion_is_that_of_the_likelihood(prior):
    rng = np.random.default_rng(0)
    problem = problem_of(prior, draws(str(prior), rng, (60, 2)), 0.01, rng)
    rows, at = sizing._Rows.of(problem), (np.array([0.3, 0.5]), np.array([0.4, 0.9]))
    expansion, step = rows.expand(*at), 1e-5

    def changed(size, offset):
        return rows.expand(at[0] + step * size, at[1] + step * offset)

    for j in range(2):
        own = loss_of(problem, j)
        assert expansion[0][j] == pytest.approx(own((at[0][j], at[1][j])), rel=1e-12)
    for size, offset, first, second in ((1, 0, 1, (3, 4)), (0, 1, 2, (4, 5))):
        one, other = changed(size, offset), changed(-size, -offset)
        np.testing.assert_allclose((one[0] - other[0]) / (2 * step), expansion[first], rtol=1e-6)
        for by, expected in zip((1, 2), second, strict=True):
            np.testing.assert_allclose(
                (one[by] - other[by]) / (2 * step), expansion[expected], rtol=1e-5, atol=1e-7
            )


@every_density
@pytest.mark.parametrize("kind", ["uniform", "laplace", "exponential", "student"])
@pytest.mark.parametrize("noise", [1e-14, 1e-2])
def test_the_optimum_is_that_of_a_general_minimiser(prior, kind, noise):
    rng = np.random.default_rng(1)
    problem = problem_of(prior, draws(kind, rng, (80, 1)), noise, rng)
    found = sizing.sized(problem, 1e-12, 1000)
    assert found.converged.all()
    loss, ended = loss_of(problem, 0), np.array([found.size[0], found.offset[0]])
    assert loss(ended) == pytest.approx(found.curve[-1, 0], abs=1e-11)
    for factor in (0.8, 1.3):
        options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 600}
        general = minimize(loss, ended * [factor, 1.1], method="Nelder-Mead", options=options)
        assert loss(ended) <= general.fun + 1e-11


@every_density
@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.1])
def test_it_is_where_a_search_of_each_code_ends(prior, noise):
    rng = np.random.default_rng(2)
    codes = np.stack([draws(kind, rng, 300) for kind in ("uniform", "laplace", "exponential")], axis=1)
    problem = problem_of(prior, codes + np.sqrt(noise) * rng.normal(size=codes.shape), noise)
    found = place(problem, PLAN, np.random.RandomState(0))
    for j, part in enumerate(_parts(problem)):
        alone = optimise(part, PLAN, np.random.RandomState(0))
        own = loss_of(problem, j)
        ours = own((found.point.unmixing[j, j], found.point.offset[j]))
        assert ours <= own((alone.point.unmixing[0, 0], alone.point.offset[0])) + 1e-10
        assert found.point.unmixing[j, j] == pytest.approx(alone.point.unmixing[0, 0], rel=1e-6)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.05])
def test_rows_far_from_faces_change_nothing(noise, monkeypatch):
    rng = np.random.default_rng(3)
    problem = problem_of(
        Uniform(), rng.uniform(size=(3000, 2)) + np.sqrt(noise / 12) * rng.normal(size=(3000, 2)), noise
    )
    some = sizing.sized(problem, 1e-12, 100)
    monkeypatch.setattr(Uniform, "matters", lambda self, codes, depth: np.ones(codes.shape, dtype=bool))
    for block in (1 << 15, 700):
        monkeypatch.setattr(sizing, "_BLOCK_ENTRIES", block)
        every = sizing.sized(problem, 1e-12, 100)
        np.testing.assert_allclose(some.size, every.size, rtol=1e-9)
        np.testing.assert_allclose(some.curve[-1], every.curve[-1], atol=1e-12)


@pytest.mark.parametrize("prior", [Exponential(), Uniform()], ids=str)
def test_the_long_tail_is_upwards_where_codes_cannot_be_mirrored(prior):
    codes = np.random.default_rng(4).exponential(size=(200, 1))
    one, other = (sizing.sized(problem_of(prior, sign * codes, 1e-8), 1e-12, 100) for sign in (1, -1))
    assert one.size[0] > 0
    sign = 1 if prior.reflection else -1
    np.testing.assert_allclose(other.size, sign * one.size, rtol=1e-9)
    np.testing.assert_allclose(other.curve[-1], one.curve[-1], atol=1e-12)


def test_what_has_no_optimum_is_left_to_a_search_that_ends():
    """More noise than codes have variance: the larger they are, the likelier."""
    rng = np.random.default_rng(5)
    codes = 10 + rng.uniform(size=(40, 1))
    problem = Problem(Exponential(), codes / 10, np.full(40, 1 / 40), 40.0, np.eye(1), 1 / 40**2, 0.0)
    assert not sizing.sized(problem, 1e-12, 1000).converged.any()
    assert len(sizing.sized(problem, 1e-12, 5).curve) == 5
    assert np.isfinite(place(problem, PLAN, np.random.RandomState(0)).point.unmixing).all()
