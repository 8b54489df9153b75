"""Size and place of codes along given components: what the likelihood of each alone says."""

import numpy as np
import pytest
from scipy.optimize import minimize

from sparse_fourier import placing
from sparse_fourier.course import Plan, Problem
from sparse_fourier.priors import Exponential, Laplace, Uniform
from sparse_fourier.reduction import reduce_signals

PLAN = Plan(2, 1e-12, 500, None, None)


def problem_of(prior, codes, noise):
    codes = (codes - codes.mean(axis=0)) / codes.std(axis=0)
    n, k = codes.shape
    floor = prior.resolution(n) ** 2
    return Problem(prior, codes, np.full(n, 1 / n), float(n), noise * np.eye(k), floor, 0.7)


@pytest.mark.parametrize("prior", [Uniform(), Laplace(), Exponential()], ids=str)
def test_place_is_where_a_general_minimiser_ends(prior):
    rng = np.random.default_rng(0)
    draws = {"uniform": rng.uniform, "laplace": rng.laplace, "exponential": rng.exponential}
    problem = problem_of(prior, draws[str(prior)](size=(400, 2)), noise=1e-2)
    trained = placing.place(problem, PLAN, np.random.RandomState(0))
    sizes = np.diagonal(trained.point.unmixing)
    np.testing.assert_array_equal(trained.point.unmixing, np.diag(sizes))

    def objective(parameters, j):
        size, offset = parameters
        codes = size * problem.whitened[:, j] + offset
        variance = size**2 * problem.noise[j, j] + problem.floor
        return -prior.log_likelihoods(codes[:, None], np.array([variance])).mean() - np.log(np.abs(size))

    total = 0.7
    for j in range(2):
        start = [sizes[j] * 1.05, trained.point.offset[j] + 0.01]
        general = minimize(objective, start, args=(j,), method="Nelder-Mead", options={"xatol": 1e-9})
        assert objective((sizes[j], trained.point.offset[j]), j) <= general.fun + 1e-9
        total += general.fun
    np.testing.assert_allclose(trained.curve[-1], total, atol=1e-6)


def test_box_along_components_goes_from_end_to_end_of_their_codes():
    rng = np.random.default_rng(1)
    components, codes = rng.normal(size=(3, 8)), rng.uniform(2, 5, size=(200, 3))
    data = reduce_signals(codes @ components, np.ones(200), Uniform(), 3, centred=True)
    rows = np.sort(rng.permutation(200)[:150])
    own, _, whitening = data.problem(Uniform()).among(rows)
    box = placing.box_along(components * [[2.0], [-1.0], [0.1]], data)(own, whitening)
    low, high = codes[rows].min(axis=0), codes[rows].max(axis=0)
    expected = (codes[rows] - low) / (high - low)
    expected[:, 1] = 1 - expected[:, 1]
    np.testing.assert_allclose(box.encode(own.whitened), expected, atol=2 / 150)
    assert placing.box_along(components[[0, 1, 1]], data)(own, whitening) is None
