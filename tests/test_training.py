"""The training loop: where it stops, who gets a turn, and what has no influence on the result."""

import dataclasses

import numpy as np
import pytest
from scipy.special import log_ndtr

from sparse_fourier import runtime, training
from sparse_fourier.objective import CodeObjective, Point
from sparse_fourier.priors import Uniform
from sparse_fourier.training import Progress, train

# One shape for nearly all tests: each other one is another second of compilation.
N, K, STARTS = 256, 2, 3
FLOOR = 1 / N**2
CONSTANT = -3.0
TOL = 1e-12
START_WIDTH = 0.3


@pytest.fixture(scope="module", autouse=True)
def jax_is_ready():
    runtime.start()


def whitened_codes(seed=0, n=N):
    rng = np.random.default_rng(seed)
    codes = rng.uniform(size=(n, K)) @ rng.normal(size=(K, K))
    left, _, right = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    return np.sqrt(n) * left @ right


def objective_of(whitened, size=N):
    """The objective in which every code sees every row, padded with rows of weight zero."""
    n = len(whitened)
    rows, weights = np.zeros((K, size, K)), np.zeros((K, size))
    rows[:, :n], weights[:, :n] = whitened, 1 / n
    floor, constant = np.float64(FLOOR), np.float64(CONSTANT)
    return CodeObjective(Uniform(), rows, weights, np.zeros((K, K)), floor, constant)


def starts_of(seed=0):
    rng = np.random.default_rng(seed)
    turned = [np.linalg.qr(rng.normal(size=(K, K)))[0] for _ in range(STARTS)]
    return Point(np.sqrt(1 / 12) * np.array(turned), np.full((STARTS, K), 0.5))


def run(objective=None, starts=None, *, tol=TOL, max_iter=300, callback=None):
    objective = objective or objective_of(whitened_codes())
    widths = np.full(STARTS, START_WIDTH)
    return train(objective, starts or starts_of(), widths, tol=tol, max_iter=max_iter, callback=callback)


def assert_equal(one, other):
    """Bit for bit."""
    np.testing.assert_array_equal(one.point.unmixing, other.point.unmixing)
    np.testing.assert_array_equal(one.point.offset, other.point.offset)
    np.testing.assert_array_equal(one.curve, other.curve)
    assert (one.converged, one.stopped, one.decrement) == (other.converged, other.stopped, other.decrement)


def value_of(point, whitened):
    """The objective with faces as sharp as the floor, with SciPy alone."""
    depth = 0.5 - np.abs(whitened @ point.unmixing.T + point.offset - 0.5)
    near, far = log_ndtr(depth / np.sqrt(FLOOR)), log_ndtr((depth - 1) / np.sqrt(FLOOR))
    inside = near + np.log1p(-np.exp(far - near))
    return CONSTANT - inside.sum(axis=1).mean() - np.linalg.slogdet(point.unmixing)[1]


@pytest.fixture
def one_step_chunks(monkeypatch):
    monkeypatch.setattr(training, "_CHUNK_SECONDS", 1e-12)


def test_outcome_is_the_value_that_the_curve_ends_at():
    whitened = whitened_codes()
    trained = run(objective_of(whitened))
    assert trained.converged
    assert not trained.stopped
    assert trained.decrement < TOL
    assert trained.curve[-1] == pytest.approx(value_of(trained.point, whitened), abs=1e-11)
    assert np.isfinite(trained.curve).all()


def test_outcome_is_the_best_of_the_starts():
    """Cut short, while they still differ: each start by itself, threefold, and all of them together."""
    starts = starts_of(1)
    alone = []
    for unmixing, offset in zip(*starts, strict=True):
        threefold = Point(np.stack([unmixing] * STARTS), np.stack([offset] * STARTS))
        alone.append(run(starts=threefold, max_iter=3))
    values = [trained.curve[-1] for trained in alone]
    assert np.ptp(values) > 1e-3
    best = alone[int(np.argmin(values))]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        together = run(starts=Point(starts.unmixing[order], starts.offset[order]), max_iter=3)
        np.testing.assert_allclose(together.point.unmixing, best.point.unmixing, rtol=1e-12)
        np.testing.assert_allclose(together.curve, best.curve, rtol=1e-12)


def test_shorter_chunks_change_nothing(one_step_chunks, monkeypatch):
    shortest = run()
    monkeypatch.setattr(training, "_CHUNK_SECONDS", 1e9)
    longest = run()
    assert_equal(shortest, longest)


def test_a_callback_changes_nothing(one_step_chunks):
    seen = []
    assert_equal(run(callback=seen.append), run())
    assert len(seen) == len(run().curve)


def test_progress_is_what_happened(one_step_chunks):
    seen = []
    trained = run(callback=seen.append)
    assert [p.iteration for p in seen] == list(range(1, len(trained.curve) + 1))
    assert seen[-1].loss == trained.curve[-1]
    elapsed = [p.elapsed for p in seen]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen[0].loss = 0.0


def test_callback_is_called_at_least_once(monkeypatch):
    monkeypatch.setattr(training, "_CHUNK_SECONDS", 1e9)
    seen = []
    run(callback=seen.append, max_iter=3)
    assert len(seen) >= 1
    assert isinstance(seen[0], Progress)
    assert seen[-1].iteration == 3


def test_true_from_a_callback_ends_training_and_keeps_the_result(one_step_chunks):
    full = run()
    trained = run(callback=lambda info: info.iteration >= 7)
    assert trained.stopped
    assert not trained.converged
    np.testing.assert_array_equal(trained.curve, run(max_iter=7).curve)
    assert len(trained.curve) == 7 < len(full.curve)


def test_other_answers_of_a_callback_do_not_end_training(one_step_chunks):
    for answer in (None, False, 0):
        assert not run(callback=lambda info, a=answer: a).stopped


def test_exceptions_of_a_callback_pass_through_and_leave_no_trace(one_step_chunks):
    class SurpriseError(Exception):
        pass

    def fail(info):
        if info.iteration == 5:
            raise SurpriseError("from the user")

    before = run()
    with pytest.raises(SurpriseError, match="from the user"):
        run(callback=fail)
    assert_equal(run(), before)


@pytest.mark.parametrize("max_iter", [1, 2, 33, 50])
def test_no_more_iterations_than_asked_for(max_iter):
    trained = run(max_iter=max_iter)
    full = run()
    assert len(trained.curve) == min(max_iter, len(full.curve))
    assert trained.converged == (max_iter >= len(full.curve))
    assert not np.isnan(trained.decrement), "it is printed in the warning"
    if not trained.converged:
        assert trained.decrement > TOL


def test_converged_means_at_the_end_of_the_path():
    """A small step while the faces are still soft is not the optimum."""
    whitened = whitened_codes()
    optimum = run().curve[-1]
    for max_iter in range(1, len(run().curve)):
        trained = run(max_iter=max_iter)
        if trained.converged:
            assert value_of(trained.point, whitened) < optimum + 1e-6


@pytest.mark.parametrize("tol", [1e-3, 10.0])
def test_a_looser_tolerance_ends_sooner_and_at_faces_as_sharp(tol):
    whitened = whitened_codes()
    tight, loose = run(), run(tol=tol)
    assert loose.converged
    assert loose.decrement < tol
    assert len(loose.curve) <= len(tight.curve)
    assert -1e-12 < loose.curve[-1] - tight.curve[-1] < tol
    assert loose.curve[-1] == pytest.approx(value_of(loose.point, whitened), abs=1e-11)


def test_padding_changes_nothing():
    """Fewer rows than the bucket holds, and a bucket twice as large: the same point to rounding."""
    whitened = whitened_codes(n=200)
    plain, padded, larger = (run(objective_of(whitened, size)) for size in (200, N, 2 * N))
    for other in (padded, larger):
        np.testing.assert_allclose(other.point.unmixing, plain.point.unmixing, rtol=0, atol=1e-11)
        np.testing.assert_allclose(other.point.offset, plain.point.offset, rtol=0, atol=1e-11)
        assert other.curve[-1] == pytest.approx(plain.curve[-1], abs=1e-12)


def test_same_call_same_bits():
    assert_equal(run(), run())


def test_input_is_left_alone():
    objective, starts = objective_of(whitened_codes()), starts_of()
    arrays = [objective.rows, objective.weights, objective.noise, *starts]
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    trained = run(objective, starts)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    # The result is NumPy, and nobody else's.
    trained.point.unmixing[0, 0] = 7.0
    assert isinstance(trained.converged, bool)


def test_equal_shapes_are_compiled_once(compiled):
    import jax

    run()
    compiled.clear()
    for seed in range(3):
        run(
            objective_of(whitened_codes(seed, n=150 + 20 * seed)),
            starts_of(seed),
            tol=10.0 ** -(6 + seed),
        )
    run(max_iter=5, callback=lambda info: None)
    assert not compiled
    jax.jit(lambda x: x + np.pi)(1.0)
    assert compiled, "the listener hears nothing"
