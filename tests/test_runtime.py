"""Where the library meets JAX: checks, settings, programs, threads, forks and faults, one by one.

Signals, real forks and processes without JAX are in test_processes.py.
"""

import importlib.metadata
import sys
import threading

import numpy as np
import pytest

from sparse_fourier import runtime
from sparse_fourier.runtime import Program, check, platform_is_named, settings


@pytest.fixture
def unstarted(monkeypatch):
    """Return the process as it was before anything was trained."""
    monkeypatch.setattr(runtime._Process, "checked", False)
    monkeypatch.setattr(runtime._Process, "started", False)
    monkeypatch.setattr(runtime._Process, "forked", False)


def all_settings():
    import jax

    return {name: getattr(jax.config, name) for name in jax.config.values if hasattr(jax.config, name)}


# Settings


HOSTILE = {
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_default_matmul_precision": "bfloat16",
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_disable_jit": True,
    "jax_check_tracer_leaks": True,
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_transfer_guard_device_to_host": "disallow",
}


@pytest.fixture
def hostile():
    """Set everything as a user might who is debugging something else."""
    import jax

    before = {name: getattr(jax.config, name) for name in HOSTILE}
    for name, value in HOSTILE.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_settings_are_held_and_put_back(hostile):
    before = all_settings()
    with settings():
        inside = all_settings()
        assert inside["jax_enable_x64"] is True
        assert inside["jax_numpy_dtype_promotion"] == "standard"
        assert inside["jax_numpy_rank_promotion"] == "allow"
        assert inside["jax_default_matmul_precision"] == "highest"
        assert inside["jax_default_prng_impl"] == "threefry2x32"
        assert not any(inside[name] for name in HOSTILE if "debug" in name or "check" in name)
        assert inside["jax_disable_jit"] is False
    assert all_settings() == before
    assert {name: before[name] for name in HOSTILE} == HOSTILE


def test_settings_are_put_back_after_an_exception_and_when_nested(hostile):
    before = all_settings()
    with pytest.raises(ZeroDivisionError), settings(), settings():
        _ = 1 / 0
    assert all_settings() == before
    with settings():
        with settings():
            pass
        assert all_settings()["jax_enable_x64"] is True
    assert all_settings() == before


def test_settings_do_not_reach_other_threads():
    """Another thread of the user computes in single precision all the while."""
    import jax

    seen = []
    with settings():
        assert jax.numpy.ones(1).dtype == np.float64
        thread = threading.Thread(target=lambda: seen.append(jax.numpy.ones(1).dtype))
        thread.start()
        thread.join()
    assert seen == [np.float32]


def test_programs_compute_alike_under_hostile_settings(hostile):
    import jax.numpy as jnp

    program = Program(lambda x, y: (x @ x.T + y) / (x.sum() - x.sum()))
    x = np.full((3, 3), 1 / 3)
    with np.errstate(divide="ignore"):
        result = program("once", x, np.arange(3))
    assert result.dtype == np.float64
    assert np.isposinf(result).all()
    product = Program(lambda x: jnp.exp(x @ x.T))("once", x)
    np.testing.assert_allclose(product, np.exp(x @ x.T), rtol=1e-15)


# Programs


class Traced:
    """A function that remembers each time JAX traces it, and in which thread."""

    def __init__(self):
        self.threads = []

    def __call__(self, x):
        self.threads.append(threading.current_thread())
        return {"twice": 2 * x, "sum": x.sum()}


def test_a_program_returns_numpy_that_nobody_else_holds():
    x = np.arange(4.0)
    result = Program(Traced())("four", x)
    assert all(type(value) is np.ndarray for value in result.values())
    np.testing.assert_array_equal(result["twice"], [0, 2, 4, 6])
    assert result["sum"] == 6
    result["twice"][0] = 7.0
    np.testing.assert_array_equal(x, [0, 1, 2, 3])
    x[:] = -1
    np.testing.assert_array_equal(result["twice"], [7, 2, 4, 6])


def test_a_shape_is_traced_once_and_not_in_the_callers_thread():
    traced = Traced()
    program = Program(traced)
    for n in (2, 3, 2, 3):
        program(n, np.ones(n))
    assert len(traced.threads) == 2
    assert all(thread is not threading.current_thread() for thread in traced.threads)


def test_too_many_shapes_clear_the_programs(monkeypatch):
    monkeypatch.setattr(runtime, "_MAX_PROGRAMS", 3)
    traced = Traced()
    program = Program(traced)
    for n in (1, 2, 3):
        program(n, np.ones(n))
    program(2, np.ones(2))
    assert len(traced.threads) == 3, "three shapes fit"
    program(4, np.ones(4))
    assert len(traced.threads) == 4
    for n in (1, 2, 4):
        assert program(n, np.ones(n))["sum"] == n
    assert len(traced.threads) == 6, "the first three were cleared, the fourth was kept"
    assert program._jitted._cache_size() <= 3
    assert threading.current_thread() not in traced.threads, "what was cleared is new again"


def test_threads_that_ask_for_one_shape_at_once_agree():
    traced = Traced()
    program, barrier, results = Program(traced), threading.Barrier(6), []

    def ask():
        barrier.wait()
        results.append(program("one", np.arange(5.0))["sum"])

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [10.0] * 6
    assert len(traced.threads) == 1


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit])
def test_exceptions_come_out_of_the_helper_thread(exception):
    def fail(x):
        raise exception("inside")

    with pytest.raises(exception, match="inside"):
        Program(fail)("once", np.ones(2))
    assert not [thread for thread in threading.enumerate() if "sparse_fourier" in thread.name]


def test_a_shape_that_failed_to_compile_compiles_in_a_helper_thread_again():
    """Else the second attempt, in the main thread, could be hit by a signal."""
    threads = []

    def fail_once(x):
        threads.append(threading.current_thread())
        if len(threads) == 1:
            raise MemoryError("the first time")
        return x + 1

    program = Program(fail_once)
    with pytest.raises(MemoryError):
        program("once", np.zeros(2))
    np.testing.assert_array_equal(program("once", np.zeros(2)), 1.0)
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("calls_before", [0, 1])
def test_faults_of_jax_are_explained_at_compilation_and_later(calls_before, monkeypatch):
    import jax

    program = Program(lambda x: x + 1)
    for _ in range(calls_before):
        program("once", np.ones(2))

    def fail_with(text):
        def fail(*arguments):
            raise jax.errors.JaxRuntimeError(text)

        monkeypatch.setattr(jax, "block_until_ready", fail)

    fail_with("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.")
    with pytest.raises(
        MemoryError, match="could not allocate 99 bytes on [a-z]+:0; lower batch_size or use partial_fit"
    ) as caught:
        program("once", np.ones(2))
    assert isinstance(caught.value.__cause__, jax.errors.JaxRuntimeError)
    fail_with("INTERNAL: odd")
    with pytest.raises(
        RuntimeError,
        match=r"JAX [\d.]+ failed while training on [a-z]+:0; please report this. .*INTERNAL: odd",
    ):
        program("once", np.ones(2))


def test_memory_of_a_shared_device_is_explained(monkeypatch):
    import types

    import jax

    monkeypatch.setattr(jax, "devices", lambda: [types.SimpleNamespace(platform="gpu", id=0)])
    said = str(runtime._explain(ValueError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")))
    assert "could not allocate memory on gpu:0; lower batch_size or use partial_fit" in said
    assert "XLA_PYTHON_CLIENT_PREALLOCATE=false" in said


# Checks


def test_check_neither_imports_nor_starts_jax(unstarted, monkeypatch):
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    check()
    check()
    assert "jax" not in sys.modules
    assert not runtime._Process.started


def test_check_without_jax_says_what_to_install(unstarted, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"fit needs jax >= \d+\.\d+, .* pip install jax"):
        check()
    monkeypatch.undo()
    check()  # it has been installed since


def test_check_with_the_remains_of_a_jax_says_what_to_install(unstarted, monkeypatch):
    """A folder of that name, or a module that somebody made up, is not JAX."""

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ImportError, match="fit needs jax .* pip install jax"):
        check()
    monkeypatch.undo()
    monkeypatch.setattr(runtime._Process, "checked", False)
    monkeypatch.setitem(sys.modules, "jax", type(sys)("jax"))
    with pytest.raises(ImportError, match="fit needs jax .* pip install jax"):
        check()


@pytest.mark.parametrize(
    ("found", "enough"),
    [("0.7.9", False), ("0.8", True), ("0.8.0rc1", True), ("0.10.1", True), ("1.0", True)],
)
def test_check_compares_the_version_found(found, enough, unstarted, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: found)
    if enough:
        check()
    else:
        with pytest.raises(ImportError, match=rf"needs jax >= 0\.8, found {found}: pip install -U jax"):
            check()


def test_check_with_an_old_jax_says_what_it_found(unstarted, monkeypatch):
    import jax

    monkeypatch.setattr(runtime, "_MINIMUM_JAX", (99, 1))
    for _ in range(2):
        with pytest.raises(ImportError, match=rf"needs jax >= 99.1, found {jax.__version__}"):
            check()


@pytest.mark.parametrize("checked", [False, True])
def test_a_child_forked_after_jax_was_started_refuses_and_says_what_to_do(checked, unstarted, monkeypatch):
    monkeypatch.setattr(runtime._Process, "checked", checked)
    runtime._Process.started = True
    runtime._Process.mark_fork()
    with pytest.raises(RuntimeError, match="forked after JAX was started.*loky or threading"):
        check()


def test_a_child_forked_before_that_does_not_refuse(unstarted):
    """Also after fits, as long as none of them was compiled."""
    check()
    runtime._Process.mark_fork()
    assert not runtime._Process.forked
    check()


@pytest.mark.parametrize(
    ("named", "answer"), [(None, False), ("", False), ("cpu", False), ("cuda", True), ("cuda,cpu", True)]
)
def test_a_platform_is_named_by_the_environment(named, answer, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    if named is not None:
        monkeypatch.setenv("JAX_PLATFORMS", named)
    assert platform_is_named() is answer


# Start


def test_jax_is_started_by_the_first_program_and_not_in_the_callers_thread(unstarted, monkeypatch):
    threads = []
    monkeypatch.setattr(runtime, "_start_platform", lambda: threads.append(threading.current_thread()))
    for program in (Program(Traced()), Program(Traced())):
        assert program("two", np.ones(2))["sum"] == 2
        assert program("two", np.ones(2))["sum"] == 2
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
    assert runtime._Process.started


def test_start_may_be_repeated(unstarted):
    runtime.start()
    runtime.start()


def test_start_on_a_platform_that_is_absent_names_it(unstarted, monkeypatch):
    import jax

    def fail():
        raise RuntimeError("Unable to initialize backend 'abacus'")

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "abacus")
    with pytest.raises(RuntimeError, match=r"platform 'abacus' \(JAX_PLATFORMS=abacus\)") as caught:
        Program(Traced())("two", np.ones(2))
    assert "Unable to initialize" in str(caught.value.__cause__)
    assert not runtime._Process.started


def test_every_built_in_part_passes_into_compiled_code():
    """Priors and objectives are pytrees: parameters are arguments, not constants of the program."""
    runtime.start()
    import jax

    from sparse_fourier.objective import CodeObjective
    from sparse_fourier.priors import Uniform

    scalars = np.float64(0.1), np.float64(0.2)
    numbers = [np.ones((2, 3, 2)), np.ones((2, 3)), np.eye(2), *scalars]
    objective = CodeObjective(Uniform(), *numbers)
    runtime.register(objective)
    runtime.register(objective)
    leaves, structure = jax.tree_util.tree_flatten(objective)
    assert len(leaves) == len(numbers)
    rebuilt = jax.tree_util.tree_unflatten(structure, leaves)
    assert rebuilt.prior == Uniform()
    assert rebuilt.noise is objective.noise
