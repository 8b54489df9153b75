"""The training loop: where it stops, who gets a turn, and what has no influence on the result."""

import dataclasses
import sys

import numpy as np
import pytest
from scipy.special import log_ndtr

from sparse_fourier import AutoencoderDecomposer, solvers, training
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.objective import CodeObjective, Point
from sparse_fourier.priors import Uniform
from sparse_fourier.training import Progress, compiles, train

# One shape for nearly all tests: each other one is another second of compilation.
N, K, STARTS = 256, 2, 3
FLOOR = 1 / N**2
CONSTANT = -3.0
TOL = 1e-12
START_WIDTH = 0.3


every_way = pytest.mark.usefixtures("both_ways")


def whitened_codes(seed=0, n=N, k=K):
    rng = np.random.default_rng(seed)
    codes = rng.uniform(size=(n, k)) @ rng.normal(size=(k, k))
    left, _, right = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    return np.sqrt(n) * left @ right


def objective_of(whitened, size=N, noise=0.0):
    """The objective in which every code sees every row, padded with rows of weight zero."""
    n, k = whitened.shape
    rows, weights = np.zeros((k, size, k)), np.zeros((k, size))
    rows[:, :n], weights[:, :n] = whitened, 1 / n
    floor, constant = np.float64(FLOOR), np.float64(CONSTANT)
    return CodeObjective(Uniform(), rows, weights, noise * np.eye(k), floor, constant)


def starts_of(seed=0, k=K, n_starts=STARTS):
    rng = np.random.default_rng(seed)
    turned = [np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(n_starts)]
    return Point(np.sqrt(1 / 12) * np.array(turned), np.full((n_starts, k), 0.5))


def run(objective=None, starts=None, *, tol=TOL, max_iter=300, callback=None):
    objective, starts = objective or objective_of(whitened_codes()), starts or starts_of()
    widths = np.full(len(starts.offset), START_WIDTH)
    return train(objective, starts, widths, tol=tol, max_iter=max_iter, callback=callback)


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


# Two ways, one outcome


def run_both_ways(monkeypatch, *arguments, **options):
    """Return the outcome in NumPy and that of the compiled program."""
    plain = run(*arguments, **options)
    with monkeypatch.context() as patch:
        patch.setattr(training, "_MOST_CODES", -1)
        return plain, run(*arguments, **options)


def sorted_codes(point):
    """The point with its codes reflected to a positive first slope, in the order of those."""
    signs = np.sign(point.unmixing[:, :1])
    order = np.argsort(np.abs(point.unmixing[:, 0]))
    offset = np.where(signs[:, 0] < 0, 1 - point.offset, point.offset)
    return Point((signs * point.unmixing)[order], offset[order])


some_sizes = pytest.mark.parametrize("k", [1, 3, *(pytest.param(k, marks=pytest.mark.slow) for k in (2, 5))])


@pytest.mark.parametrize("noise", [0.0, 0.02])
@some_sizes
def test_numpy_and_the_compiled_program_take_the_same_steps(k, noise, monkeypatch):
    """All the way of one start, up to rounding."""
    objective = objective_of(whitened_codes(k, k=k), noise=noise)
    plain, compiled = run_both_ways(monkeypatch, objective, starts_of(k, k, 1))
    assert plain.converged
    assert compiled.converged
    np.testing.assert_allclose(plain.curve, compiled.curve, rtol=0, atol=1e-9)
    np.testing.assert_allclose(plain.point.unmixing, compiled.point.unmixing, rtol=0, atol=1e-9)
    np.testing.assert_allclose(plain.point.offset, compiled.point.offset, rtol=0, atol=1e-9)
    assert plain.decrement == pytest.approx(compiled.decrement, abs=TOL)


@pytest.mark.parametrize("noise", [0.0, 0.02])
@some_sizes
def test_numpy_and_the_compiled_program_reach_the_same_optimum_from_several_starts(k, noise, monkeypatch):
    """All starts end there, each with its own order and signs of codes: rounding picks one of them."""
    objective = objective_of(whitened_codes(k, k=k), noise=noise)
    plain, compiled = run_both_ways(monkeypatch, objective, starts_of(k, k), tol=1e-18)
    assert plain.converged
    assert compiled.converged
    assert len(plain.curve) == len(compiled.curve)
    assert plain.curve[-1] == pytest.approx(compiled.curve[-1], abs=1e-9)
    one, other = sorted_codes(plain.point), sorted_codes(compiled.point)
    np.testing.assert_allclose(one.unmixing, other.unmixing, rtol=0, atol=1e-9)
    np.testing.assert_allclose(one.offset, other.offset, rtol=0, atol=1e-9)


@pytest.mark.parametrize("max_iter", [1, 3, 10])
@some_sizes
def test_numpy_and_the_compiled_program_are_cut_short_at_the_same_point(k, max_iter, monkeypatch):
    """Where the starts still differ, the same one of them is the best."""
    objective = objective_of(whitened_codes(k, k=k))
    plain, compiled = run_both_ways(monkeypatch, objective, starts_of(k, k), max_iter=max_iter)
    assert not plain.converged
    assert not compiled.converged
    assert len(plain.curve) == max_iter
    np.testing.assert_allclose(plain.curve, compiled.curve, rtol=0, atol=1e-9)
    np.testing.assert_allclose(plain.point.unmixing, compiled.point.unmixing, rtol=0, atol=1e-9)
    np.testing.assert_allclose(plain.point.offset, compiled.point.offset, rtol=0, atol=1e-9)
    assert plain.decrement == pytest.approx(compiled.decrement, rel=1e-6, nan_ok=True)


def test_small_problems_neither_compile_nor_import_anything(compiled, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    run()
    assert not compiled
    monkeypatch.delitem(sys.modules, "jax")
    run()
    assert "jax" not in sys.modules


def test_large_problems_are_compiled(monkeypatch):
    """Many codes or many components: either is enough."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert not compiles(Uniform(), 1, 40_000_000)
    assert not compiles(Uniform(), 40, 40_000_000 // 40)
    assert compiles(Uniform(), 1, 40_000_001)
    assert compiles(Uniform(), 41, 1)


@pytest.mark.parametrize(
    ("named", "answer"), [("", False), ("cpu", False), ("cuda", True), ("cuda,cpu", True)]
)
def test_a_platform_that_is_named_is_used_at_any_size(named, answer, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", named)
    assert compiles(Uniform(), 1, 1) is answer


def test_what_is_not_compiled_is_solved_directly():
    """The iterations of conjugate gradients are JAX's."""
    k = training._MOST_COMPONENTS
    assert k * (k + 1) <= solvers._DENSE_SIZE


@every_way
def test_what_underflows_on_the_way_is_nobodys_error(one_step_chunks):
    """Whatever the user's settings of NumPy, which hold in a callback and afterwards."""
    seen, plain = [], run()
    with np.errstate(all="raise"):
        before = np.geterr()
        strict = run(callback=lambda info: seen.append(np.geterr()))
        assert np.geterr() == before
    assert_equal(strict, plain)
    assert seen == [before] * len(plain.curve)


# The loop


@every_way
def test_outcome_is_the_value_that_the_curve_ends_at():
    whitened = whitened_codes()
    trained = run(objective_of(whitened))
    assert trained.converged
    assert not trained.stopped
    assert run(objective_of(whitened), tol=1e-24).curve[-1] == pytest.approx(trained.curve[-1], abs=TOL)
    assert trained.curve[-1] == pytest.approx(value_of(trained.point, whitened), abs=1e-11)
    assert np.isfinite(trained.curve).all()


@every_way
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


@every_way
def test_shorter_chunks_change_nothing(one_step_chunks, monkeypatch):
    shortest = run()
    monkeypatch.setattr(training, "_CHUNK_SECONDS", 1e9)
    longest = run()
    assert_equal(shortest, longest)


@every_way
def test_a_callback_changes_nothing(one_step_chunks):
    seen = []
    assert_equal(run(callback=seen.append), run())
    assert len(seen) == len(run().curve)


@every_way
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


@every_way
def test_callback_is_called_at_least_once(monkeypatch):
    monkeypatch.setattr(training, "_CHUNK_SECONDS", 1e9)
    seen = []
    run(callback=seen.append, max_iter=3)
    assert len(seen) >= 1
    assert isinstance(seen[0], Progress)
    assert seen[-1].iteration == 3


@every_way
def test_true_from_a_callback_ends_training_and_keeps_the_result(one_step_chunks):
    full = run()
    trained = run(callback=lambda info: info.iteration >= 7)
    assert trained.stopped
    assert not trained.converged
    np.testing.assert_array_equal(trained.curve, run(max_iter=7).curve)
    assert len(trained.curve) == 7 < len(full.curve)


@every_way
def test_other_answers_of_a_callback_do_not_end_training(one_step_chunks):
    for answer in (None, False, 0):
        assert not run(callback=lambda info, a=answer: a).stopped


@every_way
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


@every_way
@pytest.mark.parametrize("max_iter", [1, 2, 33, 50])
def test_no_more_iterations_than_asked_for(max_iter):
    trained = run(max_iter=max_iter)
    full = run()
    assert len(trained.curve) == min(max_iter, len(full.curve))
    assert trained.converged == (max_iter >= len(full.curve))
    assert not np.isnan(trained.decrement), "it is printed in the warning"
    if not trained.converged:
        assert trained.decrement > TOL


@every_way
def test_converged_means_at_the_end_of_the_path():
    """A small step while the faces are still soft is not the optimum."""
    whitened = whitened_codes()
    optimum = run().curve[-1]
    for max_iter in range(1, len(run().curve)):
        trained = run(max_iter=max_iter)
        if trained.converged:
            assert value_of(trained.point, whitened) < optimum + 1e-6


@every_way
@pytest.mark.parametrize("tol", [1e-3, 10.0])
def test_a_looser_tolerance_ends_sooner_and_at_faces_as_sharp(tol):
    whitened = whitened_codes()
    tight, loose = run(), run(tol=tol)
    assert loose.converged
    assert loose.decrement < tol
    assert len(loose.curve) <= len(tight.curve)
    assert -1e-12 < loose.curve[-1] - tight.curve[-1] < tol
    assert loose.curve[-1] == pytest.approx(value_of(loose.point, whitened), abs=1e-11)


@every_way
def test_padding_changes_nothing():
    """Fewer rows than the bucket holds, and a bucket twice as large: the same point to rounding."""
    whitened = whitened_codes(n=200)
    plain, padded, larger = (run(objective_of(whitened, size)) for size in (200, N, 2 * N))
    for other in (padded, larger):
        np.testing.assert_allclose(other.point.unmixing, plain.point.unmixing, rtol=0, atol=1e-11)
        np.testing.assert_allclose(other.point.offset, plain.point.offset, rtol=0, atol=1e-11)
        assert other.curve[-1] == pytest.approx(plain.curve[-1], abs=1e-12)


@every_way
def test_same_call_same_bits():
    assert_equal(run(), run())


@every_way
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


@pytest.mark.usefixtures("always_compiled")
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


@pytest.mark.parametrize("seed", [530000, 530007])
def test_faces_of_many_components_get_sharp_near_an_optimum_alone(seed):
    """Narrowed after every step, faces were sharp far from it: 121 and 108 steps, 860 in other data."""
    frequencies = range(1, 21)
    X, _, components = make_sinusoid_mixtures(3000, 100, frequencies=frequencies, random_state=seed)
    model = AutoencoderDecomposer(20, prior="uniform", random_state=0).fit(X)
    assert model.converged_
    assert model.n_iter_ < 80
    assert worst_relative_error(components, model.components_) < 0.03
