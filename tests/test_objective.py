"""The likelihood: against a transcription of its formula, integrals over signals, and differences."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from sparse_fourier import runtime
from sparse_fourier.objective import (
    CodeObjective,
    JointExpansion,
    JointObjective,
    Point,
    SimplexObjective,
    Terms,
    likelihood_terms,
    move,
    reconstruction_term,
)
from sparse_fourier.priors import Exponential, Laplace, Prior, Simplex, Uniform

FLOOR = 2e-4
NOISE = 0.04


def transcription(X, components, intercept, noise_variance, extra=0.0):
    """-log p(x) of each signal as the formula reads, for uniform codes; `extra` widens the code noise."""
    k, d = components.shape
    gram = components @ components.T
    spreads = np.sqrt(noise_variance * np.diagonal(np.linalg.inv(gram)) + extra)
    totals = []
    for x in X:
        code = np.linalg.lstsq(components.T, x - intercept, rcond=None)[0]
        distance = ((x - intercept - code @ components) ** 2).sum()
        reconstruction = distance / (2 * noise_variance) + (d - k) / 2 * np.log(2 * np.pi * noise_variance)
        volume = 0.5 * np.log(np.linalg.det(gram))
        prior = sum(np.log(ndtr((1 - h) / s) - ndtr(-h / s)) for h, s in zip(code, spreads, strict=True))
        totals.append(reconstruction + volume - prior)
    return np.array(totals)


def by_terms(X, components, intercept, noise_variance):
    """The same by the library's terms."""
    unmixing = np.linalg.pinv(components)
    codes = (X - intercept) @ unmixing
    squares = ((X - intercept - codes @ components) ** 2).sum(axis=1)
    variances = noise_variance * (unmixing**2).sum(axis=0)
    marginals = Uniform().log_marginals(codes, variances)
    gram = components @ components.T
    return likelihood_terms(squares, marginals.sum(axis=1), gram, noise_variance, components.shape[1])


def signals_of(k, d, n, seed=0, noise=0.2):
    rng = np.random.default_rng(seed)
    components, intercept = rng.normal(size=(k, d)), rng.normal(size=d)
    X = rng.uniform(size=(n, k)) @ components + intercept + noise * rng.normal(size=(n, d))
    return X, components, intercept


@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 4), (2, 2), (3, 7)])
def test_terms_are_the_formula(k, d):
    X, components, intercept = signals_of(k, d, 20)
    terms = by_terms(X, components, intercept, NOISE)
    np.testing.assert_allclose(terms.total, transcription(X, components, intercept, NOISE), rtol=1e-12)
    # The whole is the sum of its named parts.
    np.testing.assert_array_equal(terms.total, terms.reconstruction + terms.volume + terms.prior)
    assert terms.volume == pytest.approx(np.log(np.linalg.svd(components)[1]).sum(), rel=1e-12)


def test_total_of_scalars_and_arrays():
    np.testing.assert_array_equal(
        Terms(np.array([1.0, 2.0]), 10.0, np.array([100.0, 200.0])).total, [111, 212]
    )


@pytest.mark.parametrize(("k", "d", "points"), [(1, 2, 600), (2, 2, 600), (1, 3, 100), (2, 3, 100)])
def test_likelihood_is_a_density_over_signals(k, d, points):
    """exp(-total) adds up to one on a grid that spans all signals; smooth sums converge fast."""
    components = np.array([[1.0, 0.5, -0.2], [-0.3, 0.8, 0.5]])[:k, :d]
    intercept, deviation = np.array([0.2, -0.1, 0.3])[:d], 0.2
    corners = intercept + np.array([[0] * k, [1] * k, *np.eye(k)]) @ components
    low, high = corners.min(axis=0) - 8 * deviation, corners.max(axis=0) + 8 * deviation
    axes = [np.linspace(a, b, points) for a, b in zip(low, high, strict=True)]
    grid = np.stack([m.ravel() for m in np.meshgrid(*axes)], axis=1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    total = np.exp(-by_terms(grid, components, intercept, deviation**2).total).sum() * cell
    assert total == pytest.approx(1.0, abs=2e-6)


def test_reconstruction_term_is_the_normal_density_of_what_is_left():
    residual = np.array([0.3, -0.2, 0.5])
    term = reconstruction_term(np.array([(residual**2).sum()]), NOISE, 3)
    assert term[0] == pytest.approx(-norm.logpdf(residual, scale=np.sqrt(NOISE)).sum(), rel=1e-14)


def test_nothing_left_costs_nothing():
    np.testing.assert_array_equal(reconstruction_term(np.array([0.0, 1e-30]), 0.0, 0), 0.0)


def objective_of(whitened, share, noise, constant):
    """The objective in which every code sees every row."""
    k = whitened.shape[1]
    rows, weights = np.tile(whitened, (k, 1, 1)), np.tile(share, (k, 1))
    return CodeObjective(Uniform(), rows, weights, noise, FLOOR, constant)


class Problem:
    """Signals, their whitened coordinates, and a point that stands for components and an intercept."""

    def __init__(self, k, n=40, d=6, seed=0):
        rng = np.random.default_rng(seed)
        self.X, components, intercept = signals_of(k, d, n, seed)
        self.weights = rng.integers(1, 4, size=n).astype(float)
        share = self.weights / self.weights.sum()
        self.mean = share @ self.X
        _, deviations, axes = np.linalg.svd((self.X - self.mean) * np.sqrt(share)[:, None])
        self.axes = axes[:k] * deviations[:k, None]
        centred = self.X - self.mean
        self.whitened = whitened = centred @ np.linalg.pinv(self.axes)
        residual = share @ ((centred - whitened @ self.axes) ** 2).sum(axis=1)
        constant = float(reconstruction_term(residual, NOISE, d - k)) + np.log(deviations[:k]).sum()
        noise = NOISE * np.diag(1 / deviations[:k] ** 2)
        self.objective = objective_of(whitened, share, noise, constant)
        near = np.linalg.pinv(components @ np.linalg.pinv(self.axes))
        unmixing = near.T + 0.1 * rng.normal(size=(k, k))
        self.point = Point(unmixing, (self.mean - intercept) @ np.linalg.pinv(components))

    def components_and_intercept(self, point):
        components = np.linalg.inv(point.unmixing).T @ self.axes
        return components, self.mean - point.offset @ components

    def value(self, point, width):
        """The mean objective by the formula, for the components that the point stands for."""
        # The span is fixed: the components span that of the axes, and the residual stays.
        components, intercept = self.components_and_intercept(point)
        totals = transcription(self.X, components, intercept, NOISE, FLOOR + width**2)
        return self.weights @ totals / self.weights.sum()

    def at(self, step, width):
        """The same after a step, taken by hand: codes gain step @ [codes - mean, 1]."""
        k = len(self.point.offset)
        unmixing = self.point.unmixing + step[:, :k] @ self.point.unmixing
        return self.value(Point(unmixing, self.point.offset + step[:, k]), width)


def value_and_model(objective, point, width):
    expansion = objective.expand(point, width)
    return expansion.value, objective.local_model(point, expansion)


def compiled_value_and_model():
    runtime.start()
    import jax

    program = jax.jit(value_and_model)

    def evaluate(objective, point, width):
        runtime.register(objective)
        with runtime.settings():
            return jax.tree_util.tree_map(np.asarray, program(objective, point, width))

    return evaluate


@pytest.fixture(scope="module", params=["in NumPy", pytest.param("compiled", marks=pytest.mark.slow)])
def expand(request):
    """Return a function that gives value and local model of the objective at a point, as NumPy."""
    return compiled_value_and_model() if request.param == "compiled" else value_and_model


PROBLEMS = {k: Problem(k) for k in (1, 2, 3)}
every_problem = pytest.mark.parametrize("k", PROBLEMS)
every_width = pytest.mark.parametrize("width", [0.0, 0.3])


@every_problem
@every_width
def test_value_is_the_likelihood_of_the_components(k, width, expand):
    problem = PROBLEMS[k]
    value, _ = expand(problem.objective, problem.point, width)
    assert value == pytest.approx(problem.value(problem.point, width), rel=1e-11)


@every_problem
def test_point_encodes_as_least_squares_does(k):
    problem = PROBLEMS[k]
    components, intercept = problem.components_and_intercept(problem.point)
    codes = problem.point.encode(problem.whitened)
    expected = np.linalg.lstsq(components.T, (problem.X - intercept).T, rcond=None)[0].T
    np.testing.assert_allclose(codes, expected, rtol=1e-9, atol=1e-11)


@every_problem
@every_width
def test_gradient_is_the_limit_of_differences(k, width, expand):
    problem = PROBLEMS[k]
    _, model = expand(problem.objective, problem.point, width)
    gradient, e = np.zeros((k, k + 1)), 1e-4
    for slot in np.ndindex(k, k + 1):
        unit = np.zeros((k, k + 1))
        unit[slot] = e
        near = problem.at(unit, width) - problem.at(-unit, width)
        far = problem.at(2 * unit, width) - problem.at(-2 * unit, width)
        gradient[slot] = (8 * near - far) / (12 * e)
    np.testing.assert_allclose(model.gradient, gradient, rtol=1e-7, atol=1e-8)


@every_problem
@every_width
def test_hessian_is_the_limit_of_differences(k, width, expand):
    problem = PROBLEMS[k]
    _, model = expand(problem.objective, problem.point, width)
    size, e = k * (k + 1), 3e-4
    units = e * np.eye(size).reshape(size, k, k + 1)
    middle = problem.at(np.zeros((k, k + 1)), width)
    plus, minus = ([problem.at(sign * unit, width) for unit in units] for sign in (1, -1))
    hessian = np.zeros((size, size))
    for i, j in np.ndindex(size, size):
        if i <= j:
            ahead, back = (problem.at(sign * (units[i] + units[j]), width) for sign in (1, -1))
            mixed = ahead - plus[i] - plus[j] + 2 * middle - minus[i] - minus[j] + back
            hessian[i, j] = hessian[j, i] = mixed / (2 * e**2)
    np.testing.assert_allclose(model.hessian(), hessian, rtol=1e-4, atol=1e-4)


@every_problem
def test_curvature_is_the_hessian_times_the_step(k, expand):
    problem = PROBLEMS[k]
    _, model = expand(problem.objective, problem.point, 0.1)
    step = np.random.default_rng(k).normal(size=(k, k + 1))
    image = model.curvature(step)
    np.testing.assert_allclose(image.ravel(), model.hessian() @ step.ravel(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(model.hessian(), model.hessian().T, rtol=1e-11, atol=1e-12)


def incomplete(k):
    """An objective some of whose signals carry more noise, and its share of each signal alone."""
    given, rng = PROBLEMS[k].objective, np.random.default_rng(k)
    inflation = rng.uniform(1, 4, size=given.weights.shape[1])
    floor = np.full(k, 0.01)
    whole = replace(given, noise=20 * given.noise, floor=floor, inflation=np.tile(inflation, (k, 1)))
    alone = [
        replace(given, rows=given.rows[:, [i]], noise=20 * times * given.noise, floor=floor)
        for i, times in enumerate(inflation)
    ]
    return whole, [replace(each, weights=np.ones((k, 1))) for each in alone]


@pytest.mark.parametrize("k", [1, 3])
def test_incomplete_signals_have_noise_of_their_own(k):
    """Each signal alone is a complete one with that noise; the whole is their mean."""
    whole, alone = incomplete(k)
    point, share = PROBLEMS[k].point, whole.weights[0]
    value, model = value_and_model(whole, point, 0.1)
    values, gradients, hessians = [], [], []
    for each in alone:
        own, local = value_and_model(each, point, 0.1)
        values.append(own)
        gradients.append(local.gradient)
        hessians.append(local.hessian())
    assert value == pytest.approx(share @ values, rel=1e-12)
    np.testing.assert_allclose(model.gradient, np.tensordot(share, gradients, 1), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.hessian(), np.tensordot(share, hessians, 1), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("k", [1, 3])
def test_blocks_of_rows_add_up(k, monkeypatch):
    whole, _ = incomplete(k)
    value, model = value_and_model(whole, PROBLEMS[k].point, 0.1)
    monkeypatch.setattr("sparse_fourier.objective._BLOCK_ENTRIES", 7 * k * (k + 6))
    parts = whole._parts(np)
    assert [part.weights.shape[1] for part in parts] == [7] * 5 + [5]
    again, same = value_and_model(whole, PROBLEMS[k].point, 0.1)
    assert again == pytest.approx(value, rel=1e-13)
    assert_same_model(same, model)
    assert len(replace(whole, rows=whole.rows[:, :7], weights=whole.weights[:, :7])._parts(np)) == 1


@pytest.mark.parametrize("narrower", [0.1, 0.5])
def test_expected_value_at_another_blur_is_its_expansion_taken_twice(narrower):
    """By differences of the value in the square of the blur."""
    k, width, e = 2, 0.3, 1e-3
    objective, point = PROBLEMS[k].objective, PROBLEMS[k].point
    low, middle, high = (objective.expand(point, np.sqrt(width**2 + s * e)).value for s in (-1, 0, 1))
    first, second = (high - low) / (2 * e), (high - 2 * middle + low) / e**2
    change = narrower**2 - width**2
    expected = middle + 2 * abs(change * first) + change**2 * abs(second)
    found = objective.blurred(objective.expand(point, width), width, narrower)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("k", [1, 3])
def test_drift_is_the_change_of_the_gradient_with_the_blur(k):
    """In proportion to the blur, for a change of it that is small."""
    rng = np.random.default_rng(k)
    rows, noise = rng.standard_normal((1, 50, k)), 0.01 * np.eye(k)
    share = np.full((1, 50), 0.02)
    objective = CodeObjective(Exponential(), rows, share, noise, np.full(k, 0.05), np.float64(0.0))
    point, width = Point(rng.standard_normal((k, k)), np.ones(k)), 0.3

    def gradient(width):
        return objective.local_model(point, objective.expand(point, width)).gradient

    drift = objective.drift(point, objective.expand(point, width), width, width - 1e-5)
    np.testing.assert_allclose(drift, gradient(width - 1e-5) - gradient(width), rtol=2e-3, atol=1e-10)


def test_drift_is_in_proportion_to_the_blur_of_which_the_floor_is_a_part():
    floor, rows, share = 0.25, np.random.default_rng(0).standard_normal((1, 50, 1)), np.full((1, 50), 0.02)
    objective = CodeObjective(Exponential(), rows, share, np.zeros((1, 1)), np.full(1, floor), 0.0)
    point = Point(np.eye(1), np.ones(1))
    expansion, blurs = objective.expand(point, 0.3), np.sqrt(floor + np.square([0.3, 0.2, 0.1]))
    near, far = (objective.drift(point, expansion, 0.3, narrower) for narrower in (0.2, 0.1))
    np.testing.assert_allclose(far * (blurs[1] - blurs[0]), near * (blurs[2] - blurs[0]), rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_model_of_proportions_is_that_of_all_codes_for_steps_of_sum_zero(k):
    """By the projection as a whole matrix; other steps cost half their square."""
    rng = np.random.default_rng(k)
    rows = np.append(rng.standard_normal((40, k - 1)), np.ones((40, 1)), axis=1)
    fields = Simplex(), rows[None], np.full((1, 40), 1 / 40), np.eye(k) * 0.1, np.full(k, 1e-3), 0.0
    point = Point(np.eye(k) + 0.2 * rng.standard_normal((k, k)), np.zeros(k))
    objectives = [kind(*fields) for kind in (CodeObjective, SimplexObjective)]
    whole, model = [each.local_model(point, each.expand(point, 0.1)) for each in objectives]
    allowed = Simplex().free_steps(k)
    expected = allowed @ whole.hessian() @ allowed + np.eye(len(allowed)) - allowed
    np.testing.assert_allclose(model.hessian(), expected, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(model.gradient.ravel(), allowed @ whole.gradient.ravel(), atol=1e-9)


def test_move_composes_like_maps_of_codes():
    """Codes after a step are codes + step @ [codes - mean, 1], whichever point they came from."""
    problem, rng = PROBLEMS[3], np.random.default_rng(0)
    step = rng.normal(size=(3, 4))
    codes = problem.point.encode(problem.whitened)
    centred = codes - problem.weights / problem.weights.sum() @ codes
    expected = codes + centred @ step[:, :3].T + step[:, 3]
    moved = move(problem.point, step).encode(problem.whitened)
    np.testing.assert_allclose(moved, expected, atol=1e-12)
    stay = move(problem.point, np.zeros((3, 4)))
    np.testing.assert_array_equal(stay.unmixing, problem.point.unmixing)


def assert_same_model(one, other):
    np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(one.blocks, other.blocks, rtol=1e-11, atol=1e-12)


def test_a_weight_of_two_is_a_row_twice_and_a_weight_of_zero_is_no_row(expand):
    problem = PROBLEMS[2]
    repeated = np.repeat(problem.whitened, problem.weights.astype(int), axis=0)
    share = np.append(np.full(len(repeated), 1 / len(repeated)), 0.0)
    repeated = np.concatenate([repeated, [[1e3, -1e3]]])
    twice = objective_of(repeated, share, problem.objective.noise, problem.objective.constant)
    value, model = expand(problem.objective, problem.point, 0.1)
    again, same = expand(twice, problem.point, 0.1)
    assert again == pytest.approx(value, rel=1e-13)
    assert_same_model(same, model)


def test_each_code_may_have_its_rows_in_its_own_order(expand):
    """The prior is a product over codes: nothing ties the rows of one to those of another."""
    problem, rng = PROBLEMS[2], np.random.default_rng(0)
    objective = problem.objective
    orders = [rng.permutation(len(problem.whitened)) for _ in range(2)]
    shuffled = CodeObjective(
        Uniform(),
        np.stack([rows[order] for rows, order in zip(objective.rows, orders, strict=True)]),
        np.stack([weights[order] for weights, order in zip(objective.weights, orders, strict=True)]),
        objective.noise,
        objective.floor,
        objective.constant,
    )
    value, model = expand(objective, problem.point, 0.1)
    again, same = expand(shuffled, problem.point, 0.1)
    assert again == pytest.approx(value, rel=1e-13)
    assert_same_model(same, model)


def test_value_and_slopes_are_finite_far_from_the_data(expand):
    """A start that misses the data by far is expensive, not undefined."""
    problem = PROBLEMS[2]
    far = Point(50 * problem.point.unmixing, problem.point.offset - 1e3)
    value, model = expand(problem.objective, far, 0.0)
    assert np.isfinite(value)
    assert value > 1e3
    assert np.isfinite(model.gradient).all()
    assert np.isfinite(model.blocks).all()


class Sparse(Prior):
    """The Laplace prior, of which nothing is traced."""

    support = "real"

    def log_density(self, codes):
        return Laplace().log_density(codes)

    def log_observed(self, codes, variances):
        return Laplace().log_observed(codes, variances)

    def jet(self, codes, variances):
        return Laplace().jet(codes, variances)


def both_objectives(prior, k, problem=None):
    """The same likelihood, of codes one by one and jointly; the latter with a row of padding."""
    problem = problem or PROBLEMS[k]
    share = problem.weights / problem.weights.sum()
    given = problem.objective
    rest = given.noise, np.float64(FLOOR), np.float64(given.constant)
    rows, weights = problem.whitened[None], share[None]
    apart = CodeObjective(prior, rows, weights, *rest)
    padded = np.concatenate([rows, np.full((1, 1, k), 1e3)], axis=1), np.append(weights, [[0.0]], axis=1)
    return apart, JointObjective(prior, *padded, *rest)


@pytest.mark.parametrize(
    ("prior", "k"),
    [
        (Sparse(), 2),
        pytest.param(Uniform(), 3, marks=pytest.mark.slow),
        pytest.param(Laplace(), 2, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_joint_objective_of_independent_codes_is_that_of_each(prior, k):
    """Value, gradient and Hessian: the one differentiates through everything, the other by hand."""
    evaluate, point = compiled_value_and_model(), PROBLEMS[k].point
    apart, joint = both_objectives(prior, k)
    for width in (0.0, 0.3):
        value, model = value_and_model(apart, point, width)
        together, joint_model = evaluate(joint, point, width)
        assert together == pytest.approx(value, rel=1e-11)
        np.testing.assert_allclose(joint_model.gradient, model.gradient, rtol=1e-8, atol=1e-10)
        hessian = model.hessian()
        np.testing.assert_allclose(
            joint_model.hessian(), hessian, rtol=1e-7, atol=1e-9 * np.abs(hessian).max()
        )


@pytest.mark.slow
def test_what_errors_are_made_of_are_differences_of_the_likelihood():
    """Scores of rows, curvatures along codes, and gradients elsewhere; padding has weight zero."""
    k, point = 2, PROBLEMS[2].point
    apart, joint = both_objectives(Laplace(), k)
    step = 0.1 * np.random.default_rng(0).normal(size=(k, k + 1))

    def derivatives(joint, point, steps):
        return joint.scores(point), joint.curvatures(point), joint.slopes(point, steps)

    runtime.start()
    import jax

    runtime.register(joint)
    with runtime.settings():
        found = jax.jit(derivatives)(joint, point, np.stack([step, -step]))
        scores, curvatures, slopes = map(np.asarray, found)

    def costs(step):
        moved = move(point, step)
        return -Laplace().log_observed(moved.encode(apart.rows[0]), apart.variances(moved))

    def density(shift):
        return Laplace().log_observed(point.encode(apart.rows[0]) + shift, apart.variances(point))

    def mean(step):
        return value_and_model(apart, move(point, step), 0.0)[0]

    n, small, units = len(apart.rows[0]), 1e-5, np.eye(k * (k + 1)).reshape(-1, k, k + 1)
    for unit in units:
        expected = (costs(small * unit) - costs(-small * unit)) / (2 * small)
        np.testing.assert_allclose(scores[:n][:, unit > 0][:, 0], expected, rtol=1e-6, atol=1e-7)
        for slope, at in zip(slopes, (step, -step), strict=True):
            expected = (mean(at + small * unit) - mean(at - small * unit)) / (2 * small)
            assert slope[unit > 0] == pytest.approx(expected, rel=1e-6, abs=1e-8)
    for j, side in enumerate(1e-4 * np.eye(k)):
        expected = (density(side) + density(-side) - 2 * density(0)) / 1e-8
        np.testing.assert_allclose(curvatures[:n, j], expected, rtol=1e-3, atol=1e-4)


class Positive(Prior):
    """Codes that are never zero."""

    support = "real"

    def log_density(self, codes):
        return jnp.log(jnp.abs(codes)).sum(axis=1)


def test_padding_is_not_looked_at_under_a_prior_that_forbids_it():
    rows = np.array([[[1.0], [-2.0], [0.0]]])
    point = Point(np.eye(1), np.zeros(1))
    joint = JointObjective(Positive(), rows, np.array([[0.5, 0.5, 0.0]]), np.eye(1), np.zeros(1), 0.0)
    value, _ = compiled_value_and_model()(joint, point, 0.0)
    assert value == pytest.approx(-0.5 * np.log(2))


def test_a_joint_density_is_not_expected_to_drift():
    k, (_, joint) = 2, both_objectives(Sparse(), 2)
    expansion = JointExpansion(1.0, np.ones((k, k + 1)), np.ones((6, 6)))
    np.testing.assert_array_equal(joint.drift(PROBLEMS[k].point, expansion, 0.3, 0.1), np.zeros((k, k + 1)))


def test_steps_of_proportions_are_those_of_the_free_model_in_their_plane():
    """They keep the sum of the codes and every offset; in coordinates of that plane nothing else changes."""
    k, point = 3, PROBLEMS[3].point
    apart, _ = both_objectives(Uniform(), k)
    value, model = value_and_model(apart, point, 0.1)
    same, restricted = value_and_model(SimplexObjective(**vars(apart)), point, 0.1)
    assert same == value
    contrasts = np.linalg.svd(np.eye(k) - 1 / k)[0][:, : k - 1]
    plane = np.kron(contrasts, np.eye(k + 1)[:, :k])
    hessian, gradient = restricted.hessian(), restricted.gradient.ravel()
    step = np.linalg.solve(hessian + 0.1 * np.eye(len(hessian)), gradient)
    damped = plane.T @ (model.hessian() + 0.1 * np.eye(len(hessian))) @ plane
    expected = plane @ np.linalg.solve(damped, plane.T @ model.gradient.ravel())
    np.testing.assert_allclose(step, expected, rtol=1e-9, atol=1e-12)
    moved = move(point, step.reshape(k, k + 1))
    np.testing.assert_allclose(moved.offset, point.offset, atol=1e-14)
    np.testing.assert_allclose(moved.unmixing.sum(axis=0), point.unmixing.sum(axis=0), atol=1e-12)


@pytest.mark.parametrize(
    ("prior", "k"), [(Laplace(), 3), pytest.param(Uniform(), 2, marks=pytest.mark.slow)], ids=str
)
def test_rows_shared_by_all_codes_are_one_set_of_rows_for_each(prior, k, expand):
    problem = PROBLEMS[k]
    shared, _ = both_objectives(prior, k)
    assert shared.rows.shape == (1, len(problem.X), k)
    rows, weights = np.tile(shared.rows, (k, 1, 1)), np.tile(shared.weights, (k, 1))
    own = CodeObjective(prior, rows, weights, shared.noise, shared.floor, shared.constant)
    value, model = expand(shared, problem.point, 0.1)
    again, same = expand(own, problem.point, 0.1)
    assert again == pytest.approx(value, rel=1e-13)
    assert_same_model(same, model)
