"""Components that touch zero: against the truth, and against what the likelihood says without them."""

import numpy as np
import pytest
from test_corners import assert_derivatives_along

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.course import Problem
from sparse_fourier.datasets import make_nonnegative_mixtures, make_sinusoid_mixtures
from sparse_fourier.metrics import component_errors, worst_relative_error
from sparse_fourier.objective import ConfinedObjective, Point, move
from sparse_fourier.priors import Exponential, Uniform
from sparse_fourier.touching import _allowed, _Contacts, _landed, _near, touching
from sparse_fourier.training import Trained

N = 200


def fitted(X, k=2, prior="uniform", **parameters):
    parameters = {"basis": "nonnegative", "random_state": 0} | parameters
    return AutoencoderDecomposer(k, prior=prior, **parameters).fit(X)


def seed_signals(seed, n=300, **parameters):
    """Signals of sin(x), which nothing holds at zero, and sin(2x), which is zero in the end."""
    X, _, components = make_sinusoid_mixtures(n, 30, interval=(0, np.pi / 2), random_state=seed, **parameters)
    return X, components


@pytest.mark.parametrize("intercept", [True, False])
def test_components_that_touch_zero_are_exact_to_that_extent(intercept):
    exact, ours, free = 0, [], []
    for seed in range(10):
        X, components = seed_signals(seed)
        model = fitted(X, fit_intercept=intercept)
        plain = fitted(X, basis="free", fit_intercept=intercept)
        exact += component_errors(components, model.components_)[1] < 1e-4
        ours.append(worst_relative_error(components, model.components_))
        free.append(worst_relative_error(components, plain.components_))
    assert exact >= 8
    assert np.median(ours) < 0.8 * np.median(free)


@pytest.mark.parametrize("intercept", [True, False])
def test_components_that_stay_off_zero_are_left_as_they_are(intercept):
    X, components = seed_signals(2, n=1000)
    above = components + 0.2 * components[::-1]
    codes = X @ np.linalg.pinv(components)
    plain = fitted(codes @ above, basis="free", fit_intercept=False)
    model = fitted(codes @ above, fit_intercept=intercept)
    assert worst_relative_error(plain.components_, model.components_) < 1e-6
    assert not model.intercept_.any()


def test_an_intercept_that_there_is_stays():
    X, components = seed_signals(3, n=1000)
    beyond = np.cos(np.linspace(0, np.pi / 2, 30)) ** 2
    model = fitted(X + beyond)
    np.testing.assert_allclose(model.intercept_, beyond, atol=0.02)
    assert worst_relative_error(components, model.components_) < 0.01


def test_noise_has_components_left_as_they_are():
    X, components = seed_signals(1, noise=0.02)
    plain, model = fitted(X, basis="free", fit_intercept=False), fitted(X, fit_intercept=False)
    assert worst_relative_error(plain.components_, model.components_) < 0.01


def test_more_components_than_two_are_more_precise():
    ours, free = [], []
    for seed in range(5):
        X, _, components = make_nonnegative_mixtures(300, 4, sparsity=0.0, random_state=seed)
        ours.append(worst_relative_error(components, fitted(X, 4, "exponential").components_))
        free.append(
            worst_relative_error(
                components, fitted(X, 4, "exponential", basis="free", fit_intercept=False).components_
            )
        )
    assert np.median(ours) < 0.9 * np.median(free)


def contacts_of(k=3, d=8, seed=0):
    """A point, axes, and where its components nearly touch zero."""
    rng = np.random.RandomState(seed)
    components = rng.uniform(0.5, 1.5, size=(k, d))
    components[0, 0], components[0, 3], components[2, 5] = 0.01, -0.005, 0.02
    unmixing = rng.standard_normal((k, k))
    return Point(unmixing, rng.standard_normal(k)), unmixing.T @ components


def components_of(point, axes):
    return np.linalg.solve(point.unmixing.T, axes)


def test_contacts_are_found_within_reach_and_landed_on():
    point, axes = contacts_of()
    contacts = _near(point, axes, 0.1)
    assert [sorted(features) for features in contacts.features] == [[0, 3], [], [5]]
    landed = components_of(_landed(point, axes, contacts), axes)
    np.testing.assert_allclose([landed[0, 0], landed[0, 3], landed[2, 5]], 0.0, atol=1e-14)
    assert _near(point, axes, 1e-4).count == 0
    nearer = contacts.without_farthest()
    assert nearer.count in (1, 2)
    assert np.abs(nearer.shifts).max() < np.abs(contacts.shifts).max()


@pytest.mark.parametrize("rooted", [True, False])
def test_allowed_steps_leave_contacts_and_the_corner(rooted):
    point, axes = contacts_of()
    contacts = _near(point, axes, 0.1)
    point = _landed(point, axes, contacts)
    allowed = _allowed(components_of(point, axes), contacts, rooted=rooted)
    np.testing.assert_allclose(allowed @ allowed, allowed, atol=1e-12)
    assert np.trace(allowed) == pytest.approx(12 - contacts.count - 3 * rooted)
    step = (allowed @ np.random.RandomState(1).standard_normal(12)).reshape(3, 4)
    after = [components_of(move(point, t * step), axes) for t in (1e-5, -1e-5)]
    slopes = (after[0] - after[1]) / 2e-5
    for j, features in enumerate(contacts.features):
        np.testing.assert_allclose(slopes[j, features], 0.0, atol=1e-7)
    assert (not step[:, 3].any()) is rooted


@pytest.mark.parametrize("prior", [Uniform(), Exponential()])
def test_derivatives_are_those_of_allowed_steps(prior):
    rng = np.random.RandomState(0)
    rows, allowed = rng.exponential(size=(1, 50, 2)), np.eye(6)
    allowed[np.ix_([0, 4], [0, 4])] -= 0.5
    arguments = prior, rows, np.full((1, 50), 0.02), 0.01 * np.eye(2), np.full(2, 1e-4), 0.0
    objective = ConfinedObjective(*arguments, allowed=allowed)
    point = Point(np.array([[0.4, 0.05], [-0.02, 0.3]]), np.array([0.1, 0.05]))
    model = objective.local_model(point, objective.expand(point, 0.1))
    direction = (allowed @ rng.standard_normal(6)).reshape(2, 3)

    assert_derivatives_along(objective, point, model, direction)
    np.testing.assert_allclose(allowed @ model.gradient.ravel(), model.gradient.ravel(), atol=1e-14)


class Stage:
    """Stages that end where they begin, with a likelihood that they were told."""

    def __init__(self, value):
        self.value = value

    def over(self, trained):
        return trained.stopped

    def on(self, problem):
        self.problem = problem
        return self

    def of_all(self, function, *arguments):
        return function(self.problem.whitened, self.problem.weights, *arguments)

    def stage(self, starts, width, rows, most):
        assert self.problem.allowed is not None
        assert (width, len(rows)) == (0.0, N)
        point = Point(starts.unmixing[0], starts.offset[0])
        return Trained(point, np.array([9.0, self.value]), True, 0.0, False)


CHANCE = -np.log(0.05) / N  # 95 of a hundred exponential variables are less


@pytest.mark.parametrize(
    ("height", "lost", "noise", "taken"),
    [
        (0.002, 0.99 * CHANCE, 0.0, True),
        (0.002, 1.01 * CHANCE, 0.0, False),
        (0.5, 0.0, 0.0, False),
        (0.002, 0.0, 1e-2, False),
    ],
)
def test_contacts_are_taken_where_they_are_near_and_cost_no_more_than_chance(height, lost, noise, taken):
    codes, share = np.random.RandomState(4).exponential(size=(N, 2)), np.full(N, 1 / N)
    arguments = Exponential(), codes, share, float(N), noise * np.eye(2), 1e-8, 0.0
    problem = Problem(*arguments, average=share @ codes)
    axes = np.array([[1.0, 1.0, 0.5], [height, 1.0, 0.5]])
    point = Point(np.eye(2), np.zeros(2))
    before = Trained(point, np.array([3.0, 2.0]), True, 0.0, False, floor=problem.floor, rooted=True)
    after = touching(problem, Stage(2.0 + lost), before, axes)
    assert bool(abs(components_of(after.point, axes)[1, 0]) < 1e-12) is taken
    assert (after.point is before.point) is not taken
    assert after.rooted


def test_contacts_without_any_are_none():
    nothing = _Contacts([[], []], np.zeros((2, 2)))
    assert nothing.count == nothing.without_farthest().count == 0
