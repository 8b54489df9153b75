"""Newton's method: its steps against linear algebra, its optima against independent searches."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial import ConvexHull
from scipy.special import log_ndtr

from sparse_fourier import runtime, solvers
from sparse_fourier.namespace import tree_map
from sparse_fourier.objective import CodeObjective, LocalModel, Point
from sparse_fourier.priors import Exponential, Laplace, Uniform
from sparse_fourier.solvers import Newton

N = 256
FLOOR = 1 / N**2
WIDTH = 0.3
TOL = 1e-12


def objective_of(whitened, noise=0.0):
    """The objective in which every code sees every row, with the same noise along all axes."""
    n, k = whitened.shape
    rows, weights = np.tile(whitened, (k, 1, 1)), np.full((k, n), 1 / n)
    return CodeObjective(Uniform(), rows, weights, noise * np.eye(k), np.float64(FLOOR), np.float64(0.0))


def whitened_codes(k, seed, n=N):
    """Uniform codes in coordinates of zero mean and unit covariance, mixed at random."""
    rng = np.random.default_rng(seed)
    codes = rng.uniform(size=(n, k)) @ rng.normal(size=(k, k))
    left, _, right = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    return np.sqrt(n) * left @ right


def rotations(k, r, seed=0):
    """Starts whose codes have the mean and the variance of uniform ones."""
    rng = np.random.default_rng(seed)
    turned = [np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(r)]
    return Point(np.sqrt(1 / 12) * np.array(turned), np.full((r, k), 0.5))


def value_of(whitened, point, noise=0.0):
    """The objective at its sharpest, written down with SciPy alone."""
    codes = whitened @ point.unmixing.T + point.offset
    spread = np.sqrt(noise * (point.unmixing**2).sum(axis=1) + FLOOR)
    depth = 0.5 - np.abs(codes - 0.5)
    near, far = log_ndtr(depth / spread), log_ndtr((depth - 1) / spread)
    inside = near + np.log1p(-np.exp(far - near))
    return -inside.sum(axis=1).mean() - np.linalg.slogdet(point.unmixing)[1]


def polished(whitened, point, noise=0.0):
    """The value that a general-purpose minimiser reaches from a point."""
    k = len(point.offset)

    def function(flat):
        return value_of(whitened, Point(flat[: k * k].reshape(k, k), flat[k * k :]), noise)

    flat = np.concatenate([point.unmixing.ravel(), point.offset])
    for _ in range(3):
        flat = minimize(function, flat, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-12}).x
    return function(flat)


def exact_parallelogram(points):
    """Least area over all pairs of hull edges, and codes that are its coordinates; by brute force."""
    corners = points[ConvexHull(points).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    best = (np.inf, None)
    for one, other in combinations(edges, 2):
        rows = np.array([[-one[1], one[0]], [-other[1], other[0]]])
        heights = corners @ rows.T
        low, extent = heights.min(axis=0), np.ptp(heights, axis=0)
        determinant = abs(np.linalg.det(rows / extent[:, None]))
        if determinant > 0 and 1 / determinant < best[0]:
            best = (1 / determinant, Point(rows / extent[:, None], -low / extent))
    return best


def compiled_step():
    """Return a function that takes one step of all starts in a program of its own."""
    runtime.start()
    import jax

    solver = Newton(TOL)
    program = jax.jit(lambda state, objective: jax.vmap(lambda one: solver.step(one, objective))(state))

    def step(state, objective):
        runtime.register(objective)
        with runtime.settings():
            return jax.tree_util.tree_map(np.asarray, program(state, objective))

    return step


def step_in_numpy(state, objective):
    """Take one step of all starts, in turn."""
    solver = Newton(TOL)
    with np.errstate(all="ignore"):
        runs = [
            solver.step(tree_map(lambda part, r=r: part[r], state), objective)
            for r in range(len(state.width))
        ]
    return tree_map(lambda *parts: np.stack(parts), *runs)


@pytest.fixture(scope="module", params=["in NumPy", pytest.param("compiled", marks=pytest.mark.slow)])
def descend(request):
    """Return a function that runs all starts to their end, and keeps every state on the way."""
    shared = compiled_step() if request.param == "compiled" else step_in_numpy

    def run(objective, starts, width=WIDTH, *, step=shared, max_steps=300):
        states = [Newton.init(objective, starts, np.full(len(starts.offset), width))]
        while not states[-1].finished.all() and len(states) <= max_steps:
            states.append(step(states[-1], objective))
        return states[1:]

    return run


def point_of(state, index):
    return Point(state.point.unmixing[index], state.point.offset[index])


def random_model(k, seed, definite):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, k + 1, k + 1))
    blocks = np.einsum("jab,jcb->jac", roots, roots) + definite * np.eye(k + 1)
    return LocalModel(rng.normal(size=(k, k + 1)), blocks)


@pytest.mark.parametrize(("definite", "damping"), [(2.0, 0.0), (2.0, 1e-3), (0.0, 3.0), (0.0, 1e3)])
def test_both_ways_to_solve_for_a_step_agree(definite, damping):
    import jax

    model = random_model(4, 0, definite)
    expected = -np.linalg.solve(model.hessian() + damping * np.eye(20), model.gradient.ravel())
    with runtime.settings():
        direct = jax.jit(solvers._solve_directly)(model, damping)
        iterative = jax.jit(solvers._solve_iteratively)(model, damping)
    in_numpy = solvers._solve_directly(model, damping)
    np.testing.assert_allclose(np.ravel(in_numpy), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.ravel(direct), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.ravel(iterative), expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("damping", [0.0, 0.5])
@pytest.mark.parametrize("most", [60, 2])
def test_many_components_are_solved_for_in_few_directions(damping, most, monkeypatch):
    """Where directions do not suffice, directly after all."""
    k = 20
    model = random_model(k, 3, 2.0)
    assert model.gradient.size > solvers._DENSE_SIZE_IN_NUMPY
    monkeypatch.setattr(solvers, "_MOST_DIRECTIONS", most)
    expected = -np.linalg.solve(model.hessian() + damping * np.eye(k * (k + 1)), model.gradient.ravel())
    np.testing.assert_allclose(solvers._solve(model, damping).ravel(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_many_components_without_curvature_call_for_damping(share):
    """Whether it is a block that bends downwards, or all of them together."""
    model = random_model(20, 1, 0.0)
    model = model._replace(blocks=0.002 * share * model.blocks + (share - 0.3) * 1e-2 * np.eye(21))
    assert np.linalg.eigvalsh(model.hessian())[0] < 0
    assert np.isnan(solvers._solve(model, 0.0)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [0.3, 0.02, 0.0])
@pytest.mark.parametrize("apart", [False, True])
def test_rows_that_no_code_feels_add_nothing(width, dtype, apart):
    """Value and sums are those of all rows, whether few are looked at or not; each code may have its own."""
    k, rng = 4, np.random.default_rng(0)
    whitened = whitened_codes(k, seed=1, n=4000).astype(dtype)
    weights = rng.uniform(size=(1, 4000))
    weights /= weights.sum()
    floor = np.full(k, 1e-5)
    rows = whitened[None]
    if apart:
        orders = np.array([rng.permutation(4000) for _ in range(k)])
        rows, weights = whitened[orders], weights[0, orders]
    objective = CodeObjective(Uniform(), rows, weights, 1e-4 * np.eye(k), floor, np.float64(0.0))
    point = Point(0.95 * np.linalg.qr(rng.normal(size=(k, k)))[0] / 3.5, np.full(k, 0.5))
    few, found = objective._felt(point, width), objective.expand(point, width)
    assert (few is objective) == (width == 0.3)
    expected = sum(part._sums(point, width) for part in objective._parts(np))
    np.testing.assert_allclose(found.sums, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert found.value == pytest.approx(objective._volume(point) + expected[:, -1, -1].sum(), abs=1e-10)


def test_nothing_is_evaluated_nowhere():
    """A step to NaN is rejected by itself, and asks for more damping."""
    seen = []

    class Watched(CodeObjective):
        def expand(self, point, width):
            seen.append(np.isfinite(point.unmixing).all())
            return super().expand(point, width)

        def local_model(self, point, expansion):
            model = super().local_model(point, expansion)
            return model._replace(blocks=model.blocks * (np.nan if len(seen) == 3 else 1.0))

    whitened = whitened_codes(3, seed=0)
    plain = objective_of(whitened)
    objective = Watched(*(getattr(plain, name) for name in plain.__dataclass_fields__))
    starts = rotations(3, 1)
    state = Newton.init(objective, starts, np.full(1, WIDTH))
    run = tree_map(lambda part: part[0], state)
    before = []
    for _ in range(6):
        before.append(run)
        with np.errstate(invalid="ignore"):
            run = Newton(TOL).step(run, objective)
    assert all(seen)
    lost = next(i for i in range(5) if before[i + 1].damping > before[i].damping)
    assert before[lost + 1].value == before[lost].value


def test_neither_way_solves_where_the_curvature_is_negative():
    """No number comes back, for which more damping is the answer, instead of a step to nowhere near."""
    import jax

    model = random_model(4, 1, 0.0)
    model = model._replace(blocks=0.05 * model.blocks + 1e-3 * np.eye(5))
    assert np.linalg.eigvalsh(model.hessian())[0] < 0
    with runtime.settings():
        iterative = np.asarray(jax.jit(solvers._solve_iteratively)(model, 0.0))
    assert np.isnan(iterative).all()
    assert np.isnan(solvers._solve_directly(model, 0.0)).all()


@pytest.mark.parametrize("k", [2, 3, 5])
def test_all_starts_end_in_one_optimum(descend, k):
    whitened = whitened_codes(k, seed=k)
    states = descend(objective_of(whitened), rotations(k, 6))
    final = states[-1]
    assert final.converged.all()
    np.testing.assert_array_equal(final.width, 0.0)
    np.testing.assert_allclose(final.value, final.value[0], rtol=0, atol=1e-9)
    assert value_of(whitened, point_of(final, 0)) == pytest.approx(final.value[0], abs=1e-10)


def test_steps_never_climb_at_a_given_width(descend):
    states = descend(objective_of(whitened_codes(3, seed=3)), rotations(3, 6))
    values = np.array([state.value for state in states])
    widths = np.array([state.width for state in states])
    same = widths[1:] == widths[:-1]
    rise = np.where(same, np.diff(values, axis=0), 0.0)
    assert same.any(axis=0).all()
    assert rise.max() <= 1e-12 * np.abs(values).max()
    # The faces only ever get sharper, and end as sharp as the floor.
    assert (np.diff(widths, axis=0) <= 0).all()
    assert (widths[-1] == 0).all()


def test_convergence_means_that_no_direction_leads_down(descend):
    """Differences of an independent value: a gradient of zero, a curvature that is nowhere negative."""
    whitened = whitened_codes(3, seed=3)
    final = descend(objective_of(whitened), rotations(3, 6))[-1]
    point = point_of(final, 0)
    rng, e = np.random.default_rng(0), 1e-6
    middle = value_of(whitened, point)
    for _ in range(30):
        step = rng.normal(size=(3, 4))
        ahead, back = (
            value_of(
                whitened,
                Point(
                    point.unmixing + sign * e * step[:, :3] @ point.unmixing,
                    point.offset + sign * e * step[:, 3],
                ),
            )
            for sign in (1, -1)
        )
        assert abs(ahead - back) / (2 * e) < 1e-3
        assert ahead + back - 2 * middle > 0


@pytest.mark.parametrize("seed", range(4))
def test_two_components_reach_the_exact_smallest_parallelogram(descend, seed):
    """Faces of width 1/n: as good a fit as the exact box, and of the same area within a few 1/n."""
    whitened = whitened_codes(2, seed=10 + seed)
    area, exact = exact_parallelogram(whitened)
    final = descend(objective_of(whitened), rotations(2, 6))[-1]
    found = point_of(final, int(final.value.argmin()))
    assert final.value.min() <= value_of(whitened, exact)
    assert final.value.min() <= polished(whitened, exact) + 1e-9
    assert abs(np.log(area * abs(np.linalg.det(found.unmixing)))) < 6 / N
    codes = whitened @ found.unmixing.T + found.offset
    assert codes.min() > -10 / N
    assert codes.max() < 1 + 10 / N


def test_noise_blurs_the_faces_of_the_optimum(descend):
    """With noise the optimum is not the smallest box: it lies inside the outermost codes."""
    noise, rng = 0.02, np.random.default_rng(0)
    whitened = whitened_codes(2, seed=0) + np.sqrt(noise) * rng.normal(size=(N, 2))
    final = descend(objective_of(whitened, noise), rotations(2, 6))[-1]
    found = point_of(final, int(final.value.argmin()))
    assert final.value.min() == pytest.approx(value_of(whitened, found, noise), abs=1e-10)
    assert final.value.min() <= polished(whitened, found, noise) + 1e-9
    area, exact = exact_parallelogram(whitened)
    assert final.value.min() < value_of(whitened, exact, noise) - 0.01
    assert 1 / abs(np.linalg.det(found.unmixing)) < 0.9 * area


def test_starts_that_miss_the_data_come_back(descend):
    """Where the curvature is not positive, damping grows until a step leads down."""
    whitened = whitened_codes(2, seed=11)
    good = rotations(2, 6)
    factors = np.array([5.0, 20.0, 0.2, 0.01, 1.0, 1.0])
    starts = Point(
        good.unmixing * factors[:, None, None], good.offset + np.array([[0], [0], [3], [0], [9], [0]])
    )
    states = descend(objective_of(whitened), starts)
    values = np.array([state.value for state in states])
    assert np.isfinite(values).all()
    assert states[-1].converged.all()
    np.testing.assert_allclose(values[-1], values[-1].min(), rtol=0, atol=1e-9)


def test_conjugate_gradients_lead_to_the_same_optimum(descend, monkeypatch):
    objective, starts = objective_of(whitened_codes(3, seed=3)), rotations(3, 6)
    directly = descend(objective, starts)[-1]
    monkeypatch.setattr(solvers, "_DENSE_SIZE", 0)
    iteratively = descend(objective, starts, step=compiled_step())[-1]
    assert iteratively.converged.all()
    np.testing.assert_allclose(iteratively.value, directly.value, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("prior", [Exponential(), Laplace()], ids=["exponential", "laplace"])
def test_conjugate_gradients_get_past_blocks_without_curvature(descend, monkeypatch, prior):
    """Far from an optimum the prior may bend downwards along a row: that calls for damping, no more."""
    rng = np.random.default_rng(8)
    draw = rng.laplace if str(prior) == "laplace" else rng.exponential
    codes = draw(size=(400, 4))
    left, sizes, right = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    white, turn = np.sqrt(400) * left, right.T * sizes / np.sqrt(400)
    objective = CodeObjective(
        prior, white[None], np.full((1, 400), 1 / 400), 0.001 * np.eye(4), np.full(4, 1e-3), np.float64(0.0)
    )
    turned = [np.linalg.qr(np.eye(4) + 0.2 * rng.normal(size=(4, 4)))[0] for _ in range(3)]
    turned = [rotation * np.sign(np.diagonal(rotation)) @ turn for rotation in turned]
    starts = Point(np.array(turned), np.full((3, 4), prior.moments[0]))
    directly = descend(objective, starts)[-1]
    monkeypatch.setattr(solvers, "_DENSE_SIZE", 0)
    iteratively = descend(objective, starts, step=compiled_step())[-1]
    assert iteratively.converged.all()
    np.testing.assert_allclose(iteratively.value, directly.value, rtol=0, atol=1e-8)


def test_first_step_only_looks(descend):
    """The state before it holds no value; the step evaluates the start and stays there."""
    objective, starts = objective_of(whitened_codes(2, seed=10)), rotations(2, 6)
    first = descend(objective, starts, max_steps=1)[0]
    np.testing.assert_array_equal(first.point.unmixing, starts.unmixing)
    np.testing.assert_array_equal(first.width, WIDTH)
    assert np.isfinite(first.value).all()
    assert not first.finished.any()


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("noise", [1e-4, 0.01])
def test_a_last_step_that_is_foreseen_is_not_evaluated(k, noise):
    """It ends where one more evaluation would have, with the value that is there."""
    whitened = whitened_codes(k, seed=k, n=2000)
    objective = objective_of(whitened, noise)
    run = tree_map(lambda part: part[0], Newton.init(objective, rotations(k, 1), np.array([WIDTH])))
    with np.errstate(all="ignore"):
        while not run.finished:
            before, run = run, Newton(TOL).step(run, objective)
    assert run.converged
    assert run.expansion.sums is before.expansion.sums
    assert run.decrement < TOL
    there = objective.expand(run.point, np.float64(0.0))
    assert run.value == pytest.approx(float(there.value), abs=1e-10)
    assert np.abs(LocalModel.collect(there.sums, objective._spread(run.point)).gradient).max() < 1e-5
    assert run.value < before.value
