"""What only a fresh process shows: signals, forks, hostile settings, machines without JAX."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures

ROOT = Path(__file__).resolve().parent.parent
X, _, _ = make_sinusoid_mixtures(60, 8, noise=0.02, random_state=0)
BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks are those of POSIX")

PREPARE = """
import hashlib, json, os, pickle, signal, sys, time
import numpy as np
from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures

X, _, _ = make_sinusoid_mixtures(60, 8, noise=0.02, random_state=0)
WIDE, _, _ = make_sinusoid_mixtures(300, 30, noise=0.02, random_state=0)

def fit(X=X, **parameters):
    return AutoencoderDecomposer(**{"n_components": 2, "random_state": 0, **parameters}).fit(X)

def digest(model, X=X):
    parts = [model.components_, model.intercept_, model.loss_curve_]
    parts += [model.transform(X), model.score_samples(X)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
"""
# What code begins with, to train the small problems below as large ones are: in compiled programs.
COMPILE = """
import sparse_fourier.training
sparse_fourier.training._MOST_CODES = -1
"""


def start(code, *, strict=True, **environment):
    """Start code in a fresh interpreter; strict: with warnings as errors."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    options = ["-W", "error"] if strict else []
    return subprocess.Popen(
        [sys.executable, *options, "-c", PREPARE + code],
        cwd=ROOT,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, *, seconds=120):
    """Wait for a process and return its exit code, output and errors; kill it if it hangs."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"no end after {seconds} s\n{out}\n{err}")
    return process.returncode, out.strip(), err


def output(code, **options):
    """Return what code prints; fail if it fails."""
    returncode, out, err = finish(start(code, **options))
    assert returncode == 0, err
    return out


# Signals

INTERRUPTED = """
old = fit()
before = digest(old)

def busy(info):
    print("training", flush=True)
    time.sleep(0.002)

rng = np.random.RandomState(0)
HARD = rng.uniform(size=(20_000, 8)) @ rng.standard_normal((8, 30)) + 0.3 * rng.standard_normal((20_000, 30))
old.set_params(n_components=8, n_init=8, tol=1e-300, max_iter=100_000)
answer = "finished"
"""


def interrupted(process, *, delay):
    """Interrupt a process some time after its first line."""
    assert process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)


@posix
@pytest.mark.parametrize(
    ("n", "way"),
    [(3000, ""), pytest.param(20_000, COMPILE, marks=pytest.mark.slow)],
    ids=["in NumPy", "compiled"],
)
@pytest.mark.parametrize("delay", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_interrupt_during_training(delay, n, way):
    code = way + INTERRUPTED
    code += f"""
old.set_params(callback=busy)
try:
    old.fit(HARD[:{n}])
except KeyboardInterrupt:
    print("stopped", flush=True)
    answer = "interrupted"
old.set_params(n_components=2, n_init="auto", tol=1e-12, max_iter=300, callback=None)
print(json.dumps([answer, digest(old) == before, digest(old.fit(X)) == before]))
"""
    process = start(code)
    interrupted(process, delay=delay)
    began = time.monotonic()
    while (line := process.stdout.readline()) and line != "stopped\n":
        pass
    took = time.monotonic() - began
    returncode, out, err = finish(process)
    assert line == "stopped\n", err
    assert took < 1
    assert returncode == 0, err
    assert json.loads(out) == ["interrupted", True, True]


COMPILING = """
old = fit()
before = digest(old)
print("compiling", flush=True)
answer = "finished"
try:
    AutoencoderDecomposer(5, random_state=0).fit(WIDE)
    old.set_params(n_components=4).fit(WIDE)
except KeyboardInterrupt:
    answer = "interrupted"
print(json.dumps([answer, digest(old) == before]), flush=True)
"""


@pytest.mark.slow
@posix
@pytest.mark.parametrize("delay", [0.05, 0.4])
def test_interrupt_during_compilation(delay):
    process = start(COMPILE + COMPILING)
    interrupted(process, delay=delay)
    began = time.monotonic()
    line = process.stdout.readline()
    took = time.monotonic() - began
    returncode, _, err = finish(process)
    assert returncode == 0, err
    assert json.loads(line) == ["interrupted", True]
    assert took < 1


COLD = """
print("ready", flush=True)
for n in range(50, 200):
    fit(WIDE, n_components=n % 7 + 1)
"""


@pytest.mark.slow
@posix
@pytest.mark.parametrize("delay", [0.02, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.2, 2.0])
def test_interrupt_of_a_first_fit_ends_the_process(delay):
    """Also while JAX is being imported: the interrupt is neither lost, nor is the end a crash."""
    process = start(COMPILE + COLD)
    interrupted(process, delay=delay)
    returncode, _, err = finish(process, seconds=60)
    assert err.rstrip().endswith("KeyboardInterrupt")
    # Python's own code for a KeyboardInterrupt that nobody caught, or that of any exception.
    assert returncode in (-signal.SIGINT, 130, 1)


TWICE = """
old = fit()
before = digest(old)
print("ready", flush=True)
for n in (5, 6):
    try:
        old.set_params(n_components=n).fit(WIDE)
        time.sleep(5)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
print(digest(old) == before, digest(old.set_params(n_components=2).fit(X)) == before)
"""


@pytest.mark.slow
@posix
def test_two_interrupts_are_answered_one_after_the_other():
    process = start(COMPILE + TWICE)
    interrupted(process, delay=0.1)
    assert process.stdout.readline() == "interrupted\n"
    interrupted_again = time.monotonic()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    assert time.monotonic() - interrupted_again < 1.1
    returncode, out, err = finish(process)
    assert returncode == 0, err
    assert out == "True True"


@pytest.mark.slow
@posix
def test_exception_from_an_alarm_inside_a_fit_loses_nothing():
    code = """
class Alarm(BaseException):
    pass

def ring(*_):
    raise Alarm

old = fit()
before = digest(old)
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    old.set_params(n_components=5).fit(WIDE)
except Alarm:
    print(digest(old) == before, digest(old.set_params(n_components=2).fit(X)) == before)
"""
    assert output(COMPILE + code) == "True True"


# Forks

FORKED = """
import warnings
warnings.filterwarnings("ignore", "os.fork")  # JAX warns of what is tested here
def in_child(action):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        began = time.monotonic()
        try:
            answer = action()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(write, json.dumps([answer, time.monotonic() - began]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = json.load(pipe)
    os.waitpid(pid, 0)
    return answer
"""


@pytest.mark.slow
@posix
def test_fork_after_a_compiled_fit():
    """Whatever would be fitted there: JAX has started, and may hang."""
    code = (
        COMPILE
        + FORKED
        + """
model = fit()
def serve():
    return [digest(model), digest(pickle.loads(pickle.dumps(model)))]
def small():
    sparse_fourier.training._MOST_CODES = 4_000_000
    fit()
answers = [in_child(serve), in_child(fit), in_child(lambda: in_child(fit)), in_child(small)]
print(json.dumps([digest(model), *answers, digest(fit())]))
"""
    )
    expected, served, refused, nested, small, after = json.loads(output(code, strict=False))
    assert served[0] == [expected, expected]
    for answer, seconds in (refused, nested[0], small):
        assert answer.startswith(
            "RuntimeError: This process was forked after JAX was started; fit cannot run here"
        )
        assert "loky" in answer
        assert seconds < 1
    assert after == expected


@pytest.mark.slow
@posix
def test_fork_after_a_small_fit_leaves_the_child_able_to_fit():
    """It starts no JAX: the child fits as well as its parent, small problems and large ones."""
    code = (
        FORKED
        + """
def large():
    import sparse_fourier.training
    sparse_fourier.training._MOST_CODES = -1
    return digest(fit())
model = fit()
assert "jax" not in sys.modules
answers = [in_child(lambda: digest(fit()))[0], in_child(lambda: in_child(lambda: digest(fit())))[0][0]]
print(json.dumps([digest(model), *answers, in_child(large)[0], large()]))
"""
    )
    here, child, grandchild, large_in_child, large_here = json.loads(output(code))
    assert child == grandchild == here
    assert large_in_child == large_here


@pytest.mark.slow
@posix
def test_pool_of_forked_workers_fits_small_problems():
    code = """
import multiprocessing

def folds(X):
    return digest(fit(X), X)

if __name__ == "__main__":
    parts = [X[:40], X[20:], WIDE]
    expected = [folds(part) for part in parts]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(folds, parts) == expected, "jax" in sys.modules)
"""
    assert output(code) == "True False"


@posix
@pytest.mark.slow
def test_fork_before_training_leaves_the_child_able_to_fit():
    code = (
        COMPILE
        + FORKED
        + """
first = in_child(lambda: digest(fit()))[0]
try:
    fit(X, n_components=0)
except ValueError:
    second = in_child(lambda: digest(fit()))[0]
print(json.dumps([first, second, digest(fit())]))
"""
    )
    before_any, after_a_refusal, here = json.loads(output(code, strict=False))
    assert before_any == after_a_refusal == here


# Shipping


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A pickled model, signals and what it makes of them."""
    path = tmp_path_factory.mktemp("shipped") / "model.pickle"
    model = AutoencoderDecomposer(2, random_state=0).fit(X)
    truth = [
        model.transform(X),
        model.score_samples(X),
        model.sample(3, 0),
        list(model.get_feature_names_out()),
    ]
    path.write_bytes(pickle.dumps([model, X, truth]))
    return path


def test_saved_model_serves_without_jax(shipped):
    code = f"""
sys.modules.update(jax=None, jaxlib=None, optax=None)
with open({str(shipped)!r}, "rb") as file:
    model, signals, (codes, scores, drawn, names) = pickle.load(file)
assert model.transform(signals).tobytes() == codes.tobytes()
assert model.transform(signals).dtype == np.float64
assert model.inverse_transform(codes).tobytes() == (codes @ model.components_ + model.intercept_).tobytes()
assert model.score_samples(signals).tobytes() == scores.tobytes()
assert model.score(signals) == scores.mean()
assert model.sample(3, 0).tobytes() == drawn.tobytes()
assert list(model.get_feature_names_out()) == names
assert pickle.dumps(model)
before = digest(model, signals)
try:
    model.fit(signals)
except ImportError as error:
    print(error)
assert digest(model, signals) == before
"""
    assert "fit needs jax >= 0.8" in output(code)


@pytest.mark.slow
def test_serving_does_not_import_jax(shipped):
    code = f"""
with open({str(shipped)!r}, "rb") as file:
    model, signals, _ = pickle.load(file)
digest(model, signals), model.sample(3), model.get_covariance()
print(sorted({{"jax", "jaxlib", "optax", "matplotlib"}} & set(sys.modules)))
"""
    assert output(code) == "[]"


def test_small_fits_do_not_import_jax():
    """As it comes: the seed's problem, with every parameter at its default."""
    code = """
X, _, _ = make_sinusoid_mixtures(300, 30, random_state=0)
model = AutoencoderDecomposer().fit(X)
assert model.components_.shape == (2, 30)
digest(model, X)
for k in (1, 3, 5):
    fit(WIDE, n_components=k)
print(sorted({"jax", "jaxlib", "optax", "matplotlib"} & set(sys.modules)))
"""
    assert output(code) == "[]"


@pytest.mark.slow
def test_fits_of_many_components_import_jax():
    code = """
rng = np.random.RandomState(0)
MANY = rng.uniform(size=(300, 41)) @ rng.standard_normal((41, 45))
fit(MANY, n_components=41, prior="uniform", contamination=0.0, callback=lambda progress: True)
print("jax" in sys.modules)
"""
    assert output(code) == "True"


# Settings

HEALTHY = """
import jax
changes = {changes}
def current():
    return {{name: getattr(jax.config, name) for name in jax.config.values if hasattr(jax.config, name)}}
for name, value in changes.items():
    jax.config.update(name, value)
before = current()
import sparse_fourier.training
for most in (4_000_000, -1):
    sparse_fourier.training._MOST_CODES = most
    single = fit(X.astype(np.float32))
    assert single.components_.dtype == np.float32
    print(digest(fit()), digest(single, X.astype(np.float32)))
assert current() == before
"""


@pytest.fixture(scope="module")
def healthy():
    """What a process with JAX as it comes computes, in NumPy and in a compiled program."""
    return output(HEALTHY.format(changes={}))


HOSTILE = {
    "double precision": {"JAX_ENABLE_X64": "1"},
    "strict promotion of types": {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    "rank promotion raises": {"JAX_NUMPY_RANK_PROMOTION": "raise"},
    "rank promotion warns": {"JAX_NUMPY_RANK_PROMOTION": "warn"},
    "no transfers": {"JAX_TRANSFER_GUARD": "disallow"},
    "another generator": {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
    "another threefry": {"JAX_THREEFRY_PARTITIONABLE": "0"},
    "no compilation": {"JAX_DISABLE_JIT": "1"},
    "nans raise": {"JAX_DEBUG_NANS": "1"},
    "infinities raise": {"JAX_DEBUG_INFS": "1"},
    "low precision of products": {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"},
    "leaks raise": {"JAX_CHECK_TRACER_LEAKS": "1"},
    "reuse of keys raises": {"JAX_DEBUG_KEY_REUSE": "1"},
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", HOSTILE)
def test_hostile_settings_change_no_bit(setting, healthy):
    assert output(HEALTHY.format(changes={}), **HOSTILE[setting]) == healthy


@pytest.mark.slow
def test_settings_changed_in_the_process_change_no_bit(healthy):
    changes = {
        "jax_enable_x64": True,
        "jax_numpy_dtype_promotion": "strict",
        "jax_numpy_rank_promotion": "raise",
        "jax_transfer_guard": "disallow",
        "jax_default_prng_impl": "rbg",
        "jax_default_matmul_precision": "bfloat16",
        "jax_debug_nans": True,
        "jax_debug_infs": True,
        "jax_threefry_partitionable": False,
    }
    assert output(HEALTHY.format(changes=changes)) == healthy


@pytest.mark.slow
def test_platform_that_is_absent():
    code = """
try:
    fit()
except RuntimeError as error:
    print(error)
"""
    said = output(code, JAX_PLATFORMS="cuda,rocm", strict=False)
    assert "JAX could not start platform" in said
    assert "JAX_PLATFORMS=cuda,rocm" in said


@pytest.mark.slow
def test_result_does_not_depend_on_the_hash_seed_or_what_ran_before(healthy):
    code = "fit(WIDE)\n" + HEALTHY.format(changes={})
    assert output(code, PYTHONHASHSEED="3") == healthy


@pytest.mark.slow
def test_a_corrupt_compilation_cache_only_warns(tmp_path, healthy):
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    code = HEALTHY.format(changes={})
    assert output(code, strict=False, **environment) == healthy
    entries = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert entries
    for path in entries:
        path.write_bytes(b"garbage")
    assert output(code, strict=False, **environment) == healthy


@posix
@pytest.mark.slow
def test_a_terminated_fit_ends_and_leaves_no_file(tmp_path):
    code = f"os.chdir({str(tmp_path)!r})\n" + INTERRUPTED + "old.set_params(callback=busy).fit(HARD)"
    process = start(code)
    assert process.stdout.readline()
    process.terminate()
    assert finish(process, seconds=20)[0] == -signal.SIGTERM
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_the_parent_as_it_was():
    code = """
import joblib
from sklearn.model_selection import GridSearchCV

def die(info):
    import os, signal, multiprocessing
    if multiprocessing.current_process().name != "MainProcess":
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    model = fit()
    before = digest(model)
    search = GridSearchCV(model.set_params(callback=die), {"tol": [1e-9, 1e-12]}, cv=2, n_jobs=2)
    try:
        search.fit(X)
    except BaseException as error:
        print(type(error).__name__)
    print(digest(model) == before)
"""
    assert output(code, strict=False) == "TerminatedWorkerError\nTrue"


@pytest.mark.slow
def test_one_thread_and_two_agree():
    code = """
for model, signals in ((fit(WIDE), WIDE), (fit(X, prior="exponential"), X)):
    print(json.dumps([model.components_.tolist(), model.transform(signals).tolist(), model.score(signals)]))
"""
    one, two = (
        [json.loads(line) for line in output(code, **{name: n for name in BLAS}).splitlines()]
        for n in ("1", "2")
    )
    for (components, codes, score), (others, other_codes, other_score) in zip(one, two, strict=True):
        np.testing.assert_allclose(components, others, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(codes, other_codes, rtol=1e-6, atol=1e-8)
        assert score == pytest.approx(other_score, rel=1e-9)


# Parallel search


MANY, _, _ = make_sinusoid_mixtures(32_000, 8, noise=0.3, random_state=0)


@pytest.mark.parametrize(
    "signals", [X, pytest.param(MANY, marks=pytest.mark.slow)], ids=["in NumPy", "compiled"]
)
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_parallel_search_equals_the_serial_one(backend, signals):
    import joblib

    search = GridSearchCV(
        AutoencoderDecomposer(random_state=0), {"n_components": [1, 2], "tol": [1e-9, 1e-12]}, cv=2
    )
    serial = search.fit(signals)
    scores, best = serial.cv_results_["mean_test_score"], serial.best_estimator_.components_
    with joblib.parallel_config(backend=backend, n_jobs=2):
        parallel = search.set_params(n_jobs=2).fit(signals)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(parallel.cv_results_["mean_test_score"], scores, rtol=1e-6)
    np.testing.assert_allclose(parallel.best_estimator_.components_, best, rtol=1e-6)
    assert parallel.best_params_ == serial.best_params_


AT_ONCE = """
import threading

def at_once(*actions):
    errors, barrier = [], threading.Barrier(len(actions))
    def work(action):
        barrier.wait()
        try:
            action()
        except BaseException as error:
            errors.append(repr(error))
    threads = [threading.Thread(target=work, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(errors)
"""


@pytest.mark.slow
def test_first_compiled_fits_may_begin_in_several_threads_at_once():
    assert output(COMPILE + AT_ONCE + "at_once(*[fit] * 4)") == "[]"


@pytest.mark.slow
def test_a_model_serves_and_small_fits_run_while_another_thread_imports_jax():
    code = """
model, began = fit(), threading.Event()
def import_jax():
    began.set()
    import jax
def serve():
    began.wait()
    while getattr(sys.modules.get("jax"), "Array", None) is None:
        digest(model), fit()
at_once(import_jax, serve, serve)
"""
    assert output(AT_ONCE + code) == "[]"


@pytest.mark.slow
@posix
@pytest.mark.parametrize("delay", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("pause", [0, 4])
def test_fit_after_an_interrupt_of_the_first_one(delay, pause):
    code = f"""
print("ready", flush=True)
try:
    fit(WIDE)
    time.sleep(5)
except KeyboardInterrupt:
    print("interrupted", flush=True)
time.sleep({pause})
print(digest(fit()) == digest(fit()))
"""
    process = start(COMPILE + code)
    interrupted(process, delay=delay)
    returncode, out, err = finish(process)
    assert returncode == 0, err
    assert out == "interrupted\nTrue"
