"""Boxes and cones of signals without an intercept."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gamma
from sklearn.datasets import make_blobs

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.corners import cornered
from sparse_fourier.course import Problem
from sparse_fourier.datasets import make_nonnegative_mixtures, make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.objective import CodeObjective, Point, RootedObjective, move
from sparse_fourier.priors import Exponential, Laplace, Uniform
from sparse_fourier.training import Trained

DRAWS = 30


def assert_derivatives_along(objective, point, model, direction):
    """Compare a model of faces blurred by 0.1 with differences of the objective along steps."""

    def value(t):
        return objective.expand(move(point, t * direction), 0.1).value

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    assert (model.gradient * direction).sum() == pytest.approx(slope, rel=1e-6)
    curvature = (value(1e-3) - 2 * value(0) + value(-1e-3)) / 1e-6
    bend = direction.ravel() @ model.hessian() @ direction.ravel()
    assert bend == pytest.approx(curvature, rel=1e-3)


def mixtures(seed, codes, k=2, n=300, noise=0.0):
    """Signals without an intercept, and their orthonormal components."""
    rng = np.random.RandomState(seed)
    components = np.linalg.qr(rng.standard_normal((k + 4, k + 4)))[0][:k]
    drawn = rng.uniform(size=(n, k)) if codes == "uniform" else rng.exponential(size=(n, k))
    return drawn @ components + noise * rng.standard_normal((n, k + 4)), components


def fitted(X, k, prior, **parameters):
    return AutoencoderDecomposer(k, prior=prior, fit_intercept=False, random_state=0, **parameters).fit(X)


def maps(codes):
    """What true codes become, less the identity, in many data sets."""
    found = []
    for seed in range(DRAWS):
        X, components = mixtures(seed, codes)
        model = fitted(X, 2, codes)
        unmixed = np.linalg.inv(model.components_ @ components.T)
        order = np.abs(unmixed).argmax(axis=0)
        assert sorted(order) == [0, 1]
        unmixed = unmixed[:, np.argsort(order)]
        if codes == "exponential":
            unmixed = unmixed / np.diagonal(unmixed)
        found.append(unmixed - np.eye(2))
    return np.array(found)


@pytest.mark.parametrize("codes", ["uniform", "exponential"])
def test_faces_about_a_known_corner_do_not_tilt_on_average(codes):
    found = maps(codes)
    apart = np.append(found[:, 0, 1], found[:, 1, 0])
    assert abs(apart.mean()) < 3 * apart.std() / np.sqrt(DRAWS)
    if codes == "uniform":
        own = np.append(found[:, 0, 0], found[:, 1, 1])
        assert abs(own.mean()) < 3 * own.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize(("codes", "noise"), [("uniform", 0.0), ("uniform", 0.1), ("exponential", 0.0)])
def test_a_known_corner_makes_components_more_precise(codes, noise):
    known, unknown = [], []
    for seed in range(12):
        X, components = mixtures(100 + seed, codes, noise=noise)
        free = AutoencoderDecomposer(2, prior=codes, random_state=0).fit(X)
        known.append(worst_relative_error(components, fitted(X, 2, codes).components_))
        unknown.append(worst_relative_error(components, free.components_))
    assert np.mean(np.square(known)) < 0.7 * np.mean(np.square(unknown))


@pytest.mark.parametrize("prior", ["uniform", "exponential"])
def test_signals_without_noise_are_rebuilt_from_codes_in_their_support(prior):
    X, _, components = make_sinusoid_mixtures(300, interval=(0, np.pi / 2), random_state=3)
    model = fitted(X, 2, prior)
    codes = model.transform(X)
    np.testing.assert_allclose(model.inverse_transform(codes), X, atol=1e-9)
    assert codes.min() >= 0
    assert not model.intercept_.any()
    assert worst_relative_error(components, model.components_) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_a_cone_has_its_apex_at_zero_also_where_another_would_be_likelier(seed):
    X, components = mixtures(seed, "uniform", noise=0.02)
    model = fitted(X, 2, "exponential")
    left = X - model.inverse_transform(model.transform(X))
    assert left.std() < 0.03
    assert worst_relative_error(components, model.components_) < 0.1


@pytest.mark.parametrize("shift", ["centred", "aside"])
def test_codes_that_do_not_begin_at_zero_keep_their_box(shift):
    X, components = mixtures(5, "uniform")
    X = X - X.mean(axis=0) if shift == "centred" else X + np.array([0.3, -0.2]) @ components
    free = AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(X)
    matched = worst_relative_error(free.components_, fitted(X, 2, "uniform").components_)
    assert matched < 1e-6


def test_many_codes_on_faces_determine_them_without_a_known_corner():
    X, _, components = make_nonnegative_mixtures(300, random_state=2)
    assert worst_relative_error(components, fitted(X, len(components), "exponential").components_) < 1e-6


@pytest.mark.parametrize("prior", [Uniform(), Exponential()])
def test_derivatives_are_those_of_codes_without_offset(prior):
    rng = np.random.RandomState(0)
    rows = rng.exponential(size=(1, 50, 2))
    objective = RootedObjective(prior, rows, np.full((1, 50), 0.02), 0.01 * np.eye(2), np.full(2, 1e-4), 0.0)
    point = Point(np.array([[0.4, 0.05], [-0.02, 0.3]]), np.zeros(2))
    model = objective.local_model(point, objective.expand(point, 0.1))
    direction = rng.standard_normal((2, 3)) * [1, 1, 0]

    assert_derivatives_along(objective, point, model, direction)
    assert not model.gradient[:, 2].any()


N = 100


def problem_of(prior, codes=None, noise=0.0, floor=1e-4):
    """Codes as they are in coordinates that have not been mixed; their average is not zero."""
    codes = np.full((N, 2), 0.5) if codes is None else np.asarray(codes)
    share = np.full(len(codes), 1 / len(codes))
    arguments = prior, codes, share, float(N), noise * np.eye(codes.shape[1]), floor, 0.0
    return Problem(*arguments, average=share @ codes)


def outcome(problem, value=1.0, offset=(0.0, 0.0), unmixing=((1.0, 0.0), (0.0, 1.0)), **others):
    """What training ends in; the values before the last were others."""
    point = Point(np.array(unmixing), np.array(offset))
    given = {"converged": True, "decrement": 0.0, "stopped": False, "floor": problem.floor} | others
    return Trained(point, np.array([value + 7.0, value + 3.0, value]), **given)


class Stage:
    """Stages that end as they were told to, and note what they were asked."""

    def __init__(self, *outcomes):
        self.outcomes, self.asked = list(outcomes), []

    def over(self, trained):
        return trained.stopped

    def on(self, problem):
        assert problem.rooted
        self.problem = problem
        return self

    def of_all(self, function, *arguments):
        return function(self.problem.whitened, self.problem.weights, *arguments)

    def stage(self, starts, width, rows, most=None):
        assert rows.tolist() == list(range(N))
        self.asked.append((starts, width, most))
        return self.outcomes.pop(0)


def worse(problem, loss, before, **others):
    """An outcome whose likelihood is worse by so many nats."""
    return outcome(problem, before.curve[-1] + loss / problem.n_samples, **others)


LIMITS = 0.99 * gamma(2).ppf(0.8), 1.01 * gamma(2).ppf(0.8)


@pytest.mark.parametrize("blurs", [(0.01, 0.01), (0.001, 0.04)])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1)])
@pytest.mark.parametrize("larger", [0, 1])
def test_a_corner_is_tried_where_zero_is_as_near_to_it_as_fits_are_precise(blurs, signs, larger):
    """One and a half times as near, and from the side on which it is; both sides of the box are alike."""
    problem = problem_of(Uniform(), floor=np.square(blurs))
    precision = 3 * (2 + 1) / N + 4 * np.sqrt(max(blurs) / N)
    for times, tried in ((1.49, True), (1.51, False)):
        distances = np.array([1.0, 1 / 3])[[larger, 1 - larger]] * times * precision
        before = outcome(problem, offset=distances * [signs[0], 0] + [0, 1] + distances * [0, signs[1]])
        stages = Stage(worse(problem, 0.0, before))
        assert (cornered(problem, stages, before) is not before) is tried
        if tried:
            ((start, width, most),) = stages.asked
            np.testing.assert_array_equal(start.unmixing, [[[1.0, 0.0], [0.0, -1.0]]])
            np.testing.assert_array_equal(start.offset, [[0.0, 0.0]])
            assert (width, most) == (0.0, 200)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_an_apex_farther_away_than_codes_are_large_is_moved_at_any_price(scale, sign):
    problem = problem_of(Exponential(scale))
    for times, moved in ((0.99, False), (1.01, True)):
        unmixing = ((1.0, 0.0), (0.0, -1.0))
        before = outcome(problem, offset=(sign * times * scale, 0.1), unmixing=unmixing)
        stages = Stage(worse(problem, 1e9, before))
        found = cornered(problem, stages, before)
        assert found.rooted is moved
        if moved:
            ((start, width, most),) = stages.asked
            # Turned to where the signals are on average.
            np.testing.assert_array_equal(start.unmixing, [np.eye(2)])
            assert (width, most) == (0.3, 200)


@pytest.mark.parametrize(("loss", "held"), [(LIMITS[0], True), (LIMITS[1], False)])
@pytest.mark.parametrize("prior", [Uniform(), Exponential()], ids=str)
@pytest.mark.parametrize("converged", [(True, True), (True, False), (False, True)])
def test_a_corner_is_held_where_it_costs_no_more_than_in_eighty_of_a_hundred_cases(
    loss, held, prior, converged
):
    """Of sums of two exponential variables."""
    problem = problem_of(prior)
    before = outcome(problem, offset=(0.01, 0.01), converged=converged[0])
    after = worse(problem, loss, before, converged=converged[1], stopped=not converged[1])
    found = cornered(problem, Stage(after), before)
    assert found.rooted is held
    assert found.stopped is after.stopped
    if held:
        assert found.converged is all(converged)
        assert found.floor is problem.floor
        np.testing.assert_array_equal(found.curve, after.curve)
    else:
        assert found.point is before.point
        np.testing.assert_array_equal(found.curve, [*after.curve[:-1], before.curve[-1]])


def test_a_cone_is_given_up_after_two_steps_where_there_is_no_hope():
    """Where half of what the last step promised leaves more than fifty times of what may be lost."""
    problem, decrement = problem_of(Exponential()), 4.0
    before, hope = outcome(problem, offset=(0.01, 0.01)), 50 * gamma(2).ppf(0.8) + N * decrement / 4
    ends = {"converged": False, "decrement": decrement}
    for share, tried in ((0.99, 2), (1.01, 1)):
        first, second = worse(problem, share * hope, before, **ends), worse(problem, 1e9, before)
        stages = Stage(first, second)
        assert not cornered(problem, stages, before).rooted
        assert [most for _, _, most in stages.asked] == [2, 200][:tried]
        assert all(width == 0.0 for _, width, _ in stages.asked)
        assert all((start.unmixing == np.eye(2)).all() for start, _, _ in stages.asked)
    for end in ({"converged": True}, {"stopped": True}):
        stages = Stage(worse(problem, 5.0, before, **ends | end))
        assert not cornered(problem, stages, before).rooted
    box = problem_of(Uniform())
    assert not cornered(box, Stage(worse(box, 5.0, before, **ends)), outcome(box)).rooted


class Dependent(Exponential):
    """Codes that are not said to be independent."""

    factorises = False


@pytest.mark.parametrize("why", ["an intercept", "codes on faces", "no face", "dependent codes", "no time"])
def test_no_corner_is_looked_for_where_there_can_be_none(why):
    prior = {"no face": Laplace(), "dependent codes": Dependent()}.get(why, Exponential())
    problem = problem_of(prior)
    if why == "an intercept":
        problem = replace(problem, average=None)
    before = outcome(problem, stopped=why == "no time")
    if why == "codes on faces":
        before = before._replace(floor=1e-8)
    assert cornered(problem, Stage(), before) is before


def opened(problem, unmixing):
    """By what faces were turned: the map of the codes."""
    before = outcome(problem)
    k = len(unmixing)
    after = worse(problem, 0.0, before, unmixing=unmixing, offset=np.zeros(k))
    before = before._replace(point=Point(np.eye(k), np.zeros(k)))
    return cornered(problem, Stage(after), before).point.unmixing @ np.linalg.inv(unmixing)


UNMIXING = np.array([[2.0, 0.3, 0.0], [0.0, 2.0, 0.0], [0.1, 0.0, 2.0]])


def signals_of(codes, prior, noise, floor=1e-4):
    """Signals that have these codes, with noise in units of the floor; the last one has no weight."""
    problem = problem_of(prior, codes @ np.linalg.inv(UNMIXING).T, 0.25 * noise * floor, floor)
    return replace(problem, weights=np.append(np.full(N - 1, 1 / (N - 1)), 0.0))


def inside(outlier):
    codes = np.full((N, 3), 0.25)
    codes[-1] = outlier
    return codes


@pytest.mark.parametrize("prior", [Uniform(), Exponential()], ids=str)
@pytest.mark.parametrize(("noise", "exact"), [(0.9, True), (1.1, False)])
def test_faces_open_by_what_extremes_fall_short_and_by_signals_outside_that_have_no_noise(
    prior, noise, exact
):
    """Five eighths of a sample for each other code; farther where a signal is outside without noise."""
    codes = inside([0.2, -0.3, 0.3])
    codes[3], codes[5], codes[7] = [-0.05, 0.2, 0.2], [-0.01, 0.2, 0.3], [-0.1, -0.2, -0.1]
    codes[9] = [0.125, -0.125, -0.125]
    turned = opened(signals_of(codes, prior, noise), UNMIXING)
    tilts = np.array([0.125 if exact else 0.625 / N, 0.625 / N, 0.625 / N])
    expected = np.eye(3) + tilts[:, None] * (1 - np.eye(3))
    np.testing.assert_allclose(turned, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("noise", "exact"), [(0.9, True), (1.1, False)])
def test_a_box_is_widened_to_the_farthest_signal_that_has_no_noise(noise, exact):
    """Less what a box falls short."""
    codes = inside([0.5, 0.5, 4.0])
    codes[3], codes[4] = [-0.05, 0.3, 0.2], [0.3, 1.2, 0.4]
    turned = opened(signals_of(codes, Uniform(), noise), UNMIXING)
    largest = (codes[:-1] @ turned.T).max(axis=0)
    tilted = codes[4, 1] + 0.625 / N * (codes[4, 0] + codes[4, 2])
    assert largest[1] == pytest.approx(1 + 0.625 * 3 / N if exact else tilted, rel=1e-9)
    assert turned[0, 0] == pytest.approx(1.0)
    assert turned[2, 2] == pytest.approx(1.0)


def test_no_drift_moves_codes_without_offset_and_the_others_drift_as_ever():
    """As gradients change with the blur."""
    rows, share = np.random.RandomState(1).exponential(size=(1, 50, 2)), np.full((1, 50), 0.02)
    arguments = Exponential(), rows, share, 0.01 * np.eye(2), np.full(2, 0.05), 0.0
    rooted, free = RootedObjective(*arguments), CodeObjective(*arguments)
    point = Point(np.array([[0.4, 0.05], [-0.02, 0.3]]), np.zeros(2))
    slope = free.local_model(point, free.expand(point, 0.3)).gradient
    change = free.local_model(point, free.expand(point, 0.3 - 1e-5)).gradient - slope
    drift = rooted.drift(point, rooted.expand(point, 0.3), 0.3, 0.3 - 1e-5)
    np.testing.assert_allclose(drift[:, :2], change[:, :2], rtol=2e-3, atol=1e-10)
    assert not drift[:, 2].any()
    model = rooted.local_model(point, rooted.expand(point, 0.3))
    np.testing.assert_array_equal(model.gradient[:, :2], slope[:, :2])
    hessian = model.hessian().reshape(2, 3, 2, 3)
    np.testing.assert_array_equal(hessian[:, 2, :, 2], np.eye(2))
    assert not hessian[:, 2, :, :2].any()


@pytest.mark.parametrize("prior", ["exponential", "uniform"])
def test_a_fit_without_intercept_starts_from_components_where_they_are(prior):
    """Coordinates have a mean there, which must not move the codes that training begins with."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        waves = np.abs(rng.standard_normal((2, 30)))
        draw = {"exponential": rng.exponential, "uniform": rng.uniform}[prior]
        X = draw(size=(300, 2)) @ waves + 0.1 * rng.standard_normal((300, 30))
        settings = {"prior": prior, "fit_intercept": False, "random_state": 0}
        plain = AutoencoderDecomposer(2, **settings).fit(X)
        again = AutoencoderDecomposer(2, **settings, init=plain.components_).fit(X)
        np.testing.assert_allclose(again.components_, plain.components_, atol=1e-5)


def test_codes_that_drift_without_an_end_are_held_at_the_corner():
    """One component explains little of these two clouds: a cone with its apex anywhere recedes for ever."""
    X = make_blobs(n_samples=21, random_state=0)[0]
    X -= X.min()
    model = AutoencoderDecomposer(prior="exponential", fit_intercept=False, random_state=0).fit(X)
    assert model.converged_
    assert model.n_components_ == 1
    assert (model.transform(X) > 0).all()
    assert model.loss_ < 5.18  # that of the receding cone after a thousand iterations was 8.96
