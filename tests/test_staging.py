"""Stages of training: what is left out on the way must not show in the outcome."""

import numpy as np
import pytest
from scipy.special import log_ndtr

from sparse_fourier import course, runtime
from sparse_fourier.course import Course, Plan, Problem
from sparse_fourier.objective import Point
from sparse_fourier.priors import Uniform
from sparse_fourier.runtime import bucket
from sparse_fourier.staging import optimise
from sparse_fourier.training import Trained, compiles

pytestmark = pytest.mark.usefixtures("both_ways")


def problem_of(k, n, noise=0.0, seed=0, weights=None, dependent=False, outlier=None):
    """Uniform codes, mixed at random, in coordinates of zero mean and unit covariance, with noise."""
    rng = np.random.default_rng(seed)
    codes = rng.uniform(size=(n, k))
    if outlier is not None:
        codes[0] = np.where(np.arange(k) == 0, outlier, 0.5)
    if dependent:
        codes[:, 1] = np.where(rng.uniform(size=n) < 0.5, codes[:, 0], codes[:, 1])
    mixing = np.linalg.qr(rng.normal(size=(k, k)))[0] @ np.diag(np.linspace(1.0, 2.0, k))
    share = np.ones(n) if weights is None else weights
    total, share = share.sum(), share / share.sum()
    X = codes @ mixing + noise * rng.normal(size=(n, k))
    X -= share @ X
    _, deviations, axes = np.linalg.svd(X * np.sqrt(share)[:, None], full_matrices=False)
    covariance = noise**2 * np.diag(1 / deviations**2)
    return Problem(Uniform(), X @ axes.T / deviations, share, total, covariance, 1 / total**2, 0.0)


def plan_of(**changes):
    defaults = {"n_starts": 3, "tol": 1e-12, "max_iter": 300, "init": None, "callback": None}
    return Plan(**{**defaults, **changes})


def optimum(problem, **changes):
    return optimise(problem, plan_of(**changes), np.random.RandomState(0))


def value_of(problem, unmixing, offset):
    """The objective of all rows, with SciPy alone."""
    codes = problem.whitened @ unmixing.T + offset
    spread = np.sqrt(((unmixing @ problem.noise) * unmixing).sum(axis=1) + problem.floor)
    depth = 0.5 - np.abs(codes - 0.5)
    near, far = log_ndtr(depth / spread), log_ndtr((depth - 1) / spread)
    inside = near + np.log1p(-np.exp(far - near))
    return -(problem.weights @ inside).sum() - np.linalg.slogdet(unmixing)[1]


def steepest_slope(problem, point):
    """The largest derivative of the objective of all rows along the coordinates of a relative step."""
    k, e = len(point.offset), 1e-2 * np.sqrt(problem.floor)
    slopes = []
    for slot in np.ndindex(k, k + 1):
        step = np.zeros((k, k + 1))
        step[slot] = e
        moved = [
            (point.unmixing + turn[:, :k] @ point.unmixing, point.offset + turn[:, k])
            for turn in (step, -step)
        ]
        ahead, back = (value_of(problem, *place) for place in moved)
        slopes.append(abs(ahead - back) / (2 * e))
    return max(slopes)


PROBLEMS = {
    "two, exact": problem_of(2, 3000),
    "two, noisy": problem_of(2, 3000, noise=0.05),
    "two, noisier": problem_of(2, 3000, noise=0.3),
    "two, dependent": problem_of(2, 3000, noise=0.02, dependent=True),
    "two, an outlier near by": problem_of(2, 3000, noise=0.015, outlier=1.3),
    "two, an outlier far away": problem_of(2, 20000, noise=0.015, outlier=2.0),
    "three, an outlier": problem_of(3, 9000, noise=0.015, outlier=1.5),
    "three, few": problem_of(3, 200),
    "three, many": problem_of(3, 9000),
    "three, many and noisy": problem_of(3, 9000, noise=0.05),
    "three, weighted": problem_of(
        3, 9000, noise=0.02, weights=np.random.default_rng(0).exponential(size=9000) ** 2
    ),
}
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


@every_problem
def test_outcome_is_an_optimum_of_all_rows(problem):
    """Subsamples and windows at the faces are ways to get there, and leave no trace.

    A signal that noise alone cannot explain, but one in thousands, is best left outside of the box: the
    faces then end far inside of the smallest one that holds everything.
    """
    trained = optimum(problem)
    assert trained.converged
    assert trained.curve[-1] == pytest.approx(value_of(problem, *trained.point), abs=1e-9)
    assert steepest_slope(problem, trained.point) < 1e-3


@pytest.mark.parametrize("angle", [20, 45, 70])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_given_components_lead_to_an_optimum_of_all_rows(angle, noise):
    """Turned away from the optimum, their faces are elsewhere: other rows matter on the way."""
    problem = problem_of(2, 3000, noise=noise)
    best = optimum(problem)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    init = np.linalg.inv(best.point.unmixing).T @ np.array([[c, s], [-s, c]])
    trained = optimum(problem, init=init)
    assert trained.converged
    assert trained.curve[-1] == pytest.approx(value_of(problem, *trained.point), abs=1e-9)
    assert trained.curve[-1] == pytest.approx(best.curve[-1], abs=1e-9)


@pytest.mark.parametrize("factor", [1e-4, 0.1, 0.7, 1.5, 10.0, 1e4])
def test_given_components_may_have_any_length(factor):
    problem = problem_of(2, 3000, noise=0.02)
    best = optimum(problem)
    trained = optimum(problem, init=factor * np.linalg.inv(best.point.unmixing).T)
    assert trained.converged
    assert trained.curve[-1] == pytest.approx(best.curve[-1], abs=1e-9)


def test_all_rows_with_all_codes_are_the_objective():
    problem = PROBLEMS["three, weighted"]
    n, k = problem.whitened.shape
    objective = problem.objective(np.arange(n), np.ones((n, k), dtype=bool))
    point = optimum(problem).point
    expected = value_of(problem, *point)
    assert objective.expand(point, 0.0).value == pytest.approx(expected, rel=1e-11)
    assert compiled_value(objective, point) == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(objective.weights.sum(axis=1), 1.0, rtol=1e-12)


def compiled_value(objective, point):
    runtime.start()
    runtime.register(objective)
    import jax

    with runtime.settings():
        return float(jax.jit(lambda o, p: o.expand(p, 0.0).value)(objective, point))


@pytest.mark.parametrize(("n", "k"), [(200, 3), (9000, 3), (10_000, 3), (10_001, 3), (300, 17)])
def test_rows_are_padded_where_that_saves_compilations(n, k, monkeypatch):
    """Shapes that NumPy sees need not be few."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    problem = problem_of(k, n)
    matters = np.ones((n, k), dtype=bool)
    shared = problem.objective(np.arange(n), matters)
    assert shared.rows.shape == (1, bucket(n) if compiles(Uniform(), k, n) else n, k), "one set for all codes"
    matters[0, 0] = False
    objective = problem.objective(np.arange(n), matters)
    assert objective.rows.shape == (k, bucket(n) if compiles(Uniform(), k, n) else n, k)
    assert objective.weights.shape == objective.rows.shape[:2]
    assert compiles(Uniform(), k, objective.rows.shape[1]) == compiles(Uniform(), k, n), (
        "padding decides nothing"
    )


def test_codes_that_matter_nowhere_leave_the_volume():
    """A stage in which all codes are far from their faces has nothing to sum over."""
    problem = PROBLEMS["three, few"]
    n, k = problem.whitened.shape
    objective = problem.objective(np.arange(n), np.zeros((n, k), dtype=bool))
    value = compiled_value(objective, Point(2 * np.eye(k), np.full(k, 0.5)))
    assert value == pytest.approx(-k * np.log(2), rel=1e-12)
    assert objective.expand(Point(2 * np.eye(k), np.full(k, 0.5)), 0.0).value == pytest.approx(
        value, rel=1e-12
    )


def test_some_rows_stand_for_all():
    """A subsample's weights have sum one; codes that do not matter carry their weight with them."""
    problem, rng = PROBLEMS["three, weighted"], np.random.default_rng(0)
    rows = rng.permutation(9000)[:500]
    matters = rng.uniform(size=(500, 3)) < 0.3
    objective = problem.objective(rows, matters)
    share = problem.weights[rows] / problem.weights[rows].sum()
    np.testing.assert_allclose(objective.weights.sum(axis=1), share @ matters, rtol=1e-12)
    for j in range(3):
        used = objective.weights[j] > 0
        assert used.sum() == matters[:, j].sum()
        np.testing.assert_array_equal(objective.rows[j][used], problem.whitened[rows[matters[:, j]]])


@pytest.mark.parametrize("noise", [1e-3, 0.05])
def test_codes_near_faces_have_the_likelihood_of_all(noise):
    """As long as the point is the one that they are known for."""
    problem = problem_of(3, 9000, noise=noise)
    trained = optimum(problem)
    near, point = trained.near_its_point, trained.point
    assert max(map(np.count_nonzero, near.share)) < 0.75 * len(problem.whitened)
    expected = -value_of(problem, *point) - np.linalg.slogdet(point.unmixing)[1]
    variances = problem.blur(point) ** 2
    assert near.mean_log_likelihood(Uniform(), point, variances) == pytest.approx(expected, abs=1e-8)
    order = np.array([2, 0, 1])
    turned = near.taken(order).mean_log_likelihood(
        Uniform(), Point(-point.unmixing[order], 1 - point.offset[order]), variances[order]
    )
    assert turned == pytest.approx(expected, abs=1e-8)
    assert trained._replace(point=Point(*point)).near_its_point is None


def test_nothing_is_known_of_faces_where_training_was_cut_short():
    assert optimum(problem_of(3, 9000, noise=0.01), max_iter=30).near_its_point is None


def test_true_from_a_callback_ends_all_stages():
    calls = []

    def stop(info):
        calls.append(info)
        return True

    trained = optimum(PROBLEMS["three, many"], callback=stop)
    assert trained.stopped
    assert len(calls) == 1


def test_progress_runs_through_all_stages():
    calls = []
    trained = optimum(PROBLEMS["three, many"], callback=calls.append)
    iterations = [info.iteration for info in calls]
    assert iterations == sorted(set(iterations))
    assert iterations[-1] == len(trained.curve)
    elapsed = [info.elapsed for info in calls]
    assert elapsed == sorted(elapsed)


def test_no_more_iterations_than_asked_for_over_all_stages():
    for max_iter in (1, 10, 40):
        assert len(optimum(PROBLEMS["three, many"], max_iter=max_iter).curve) <= max_iter


def test_a_callback_changes_nothing():
    plain, told = (
        optimum(PROBLEMS["three, many"], callback=callback) for callback in (None, lambda info: None)
    )
    np.testing.assert_array_equal(told.point.unmixing, plain.point.unmixing)
    np.testing.assert_array_equal(told.curve, plain.curve)


def test_buckets_are_few_and_hold_their_rows():
    sizes = [bucket(n) for n in range(1, 5000)]
    assert all(size >= n for n, size in enumerate(sizes, start=1))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) <= 8
    large = [bucket(n) for n in (10**5, 10**6, 10**7)]
    assert all(n <= size <= 2 * n for n, size in zip((10**5, 10**6, 10**7), large, strict=True))
    assert bucket(0) > 0


def test_other_numbers_of_rows_in_one_bucket_compile_nothing(compiled):
    import jax

    optimum(problem_of(2, 256))
    compiled.clear()
    for n in (60, 150, 200, 250):
        optimum(problem_of(2, n, seed=n))
    assert not compiled
    jax.jit(lambda x: x + np.e)(1.0)
    assert compiled, "the listener hears nothing"


@pytest.mark.parametrize(("dependent", "n_tried"), [(False, 1), (True, 2)])
def test_a_second_start_is_tried_unless_codes_fill_their_box(monkeypatch, dependent, n_tried):
    problem, tried = problem_of(3, 1500, noise=0.01, dependent=dependent), []

    def counting(objective, starts, widths, **options):
        tried.append(len(starts.offset))
        return train(objective, starts, widths, **options)

    train = course.train
    monkeypatch.setattr(course, "train", counting)
    found = optimum(problem, n_starts=None)
    assert sum(tried) == n_tried
    assert np.isinf(found.rival) or dependent
    best = optimum(problem, n_starts=4)
    ours, theirs = (value_of(problem, *each.point) for each in (found, best))
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("turn", [np.pi / 4, np.pi / 7])
def test_turned_boxes_exclude_no_rival(turn):
    codes, share = np.random.default_rng(0).uniform(size=(500, 3)), np.full(500, 1 / 500)
    assert Uniform().excludes_rivals(codes, share, 500.0)
    turned = codes.copy()
    turned[:, :2] = codes[:, :2] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    turned = (turned - turned.min(axis=0)) / np.ptp(turned, axis=0)
    assert not Uniform().excludes_rivals(turned, share, 500.0)


def test_the_better_outcome_has_the_other_as_its_rival():
    problem, rows = problem_of(2, 300), np.arange(300)
    turned = np.array([[1.0, 1.0], [1.0, -1.0]])
    good = Trained(Point(np.eye(2), np.zeros(2)), np.array([3.0, 1.0]), True, 0.0, False)
    bad = Trained(Point(turned, np.zeros(2)), np.array([3.0, 1.5]), True, 0.0, False)
    for pair in ((good, bad), (bad, good)):
        found = Course(problem, plan_of()).better(*pair, rows)
        assert found.point is good.point
        assert found.rival == pytest.approx(0.5 * 300)
    same = bad._replace(point=good.point)
    assert np.isinf(Course(problem, plan_of()).better(good, same, rows).rival)
