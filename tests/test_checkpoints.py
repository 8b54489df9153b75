"""Fits that are interrupted, killed, and go on."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer, checkpoints
from sparse_fourier.penalties import Denoising, Smoothness

WAYS = {
    "batches": {"hidden_layer_sizes": (8,), "solver": "adam", "batch_size": 50, "max_iter": 12, "n_init": 2},
    "held out": {"solver": "sgd", "prior": None, "early_stopping": True, "batch_size": 50, "max_iter": 12},
    "noise drawn": {
        "hidden_layer_sizes": (4,),
        "solver": "adam",
        "batch_size": 50,
        "max_iter": 6,
        "penalty": Denoising(0.1, noise=0.1),
    },
    "quasi-Newton": {"hidden_layer_sizes": (4,), "solver": "lbfgs", "max_iter": 90},
    "penalised": {"penalty": Smoothness(10.0), "prior": "laplace", "max_iter": 200},
    "dictionary": {"n_components": 14, "prior": "laplace", "max_iter": 40},
    "Newton": {"prior": "uniform", "n_init": 2, "n_components": 3},
    "learned": {"prior": "learned", "n_components": 3},
}
SHORT = {
    "batches": 8,
    "held out": 6,
    "noise drawn": 4,
    "quasi-Newton": 20,
    "penalised": 2,
    "dictionary": 30,
    "Newton": 2,
    "learned": 5,
}

QUICK = ("batches", "held out", "quasi-Newton", "dictionary", "Newton", "learned")
MARKED = [pytest.param(way, marks=() if way in QUICK else pytest.mark.slow) for way in WAYS]


@pytest.fixture
def eager(monkeypatch):
    """Write after every chunk, and let chunks be short."""
    monkeypatch.setattr(checkpoints, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "_SHARE_OF_TIME", 1e9)
    monkeypatch.setattr(checkpoints, "SEGMENT", 10)
    monkeypatch.setattr("sparse_fourier.minibatch._CHUNKS", (8,))
    monkeypatch.setattr("sparse_fourier.minibatch._SECONDS_PER_STEP", 1.0)
    monkeypatch.setattr("sparse_fourier.training._CHUNK_SECONDS", 0.0)
    monkeypatch.setattr("sparse_fourier.descent._SECONDS_BETWEEN_REPORTS", 0.0)


def signals():
    rng = np.random.default_rng(0)
    return rng.uniform(size=(400, 3)) @ rng.standard_normal((3, 10)) + 0.05 * rng.standard_normal((400, 10))


def model(way, path=None, **others):
    parameters = {"n_components": 2, "random_state": 0, "checkpoint": path, **WAYS[way], **others}
    return AutoencoderDecomposer(**parameters)


def state(fitted):
    return {
        name: value for name, value in vars(fitted).items() if isinstance(value, np.ndarray | float | int)
    }


def assert_same(one, other):
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


class InterruptionError(Exception):
    """What ends a fit in a test."""


def stop_after(count):
    calls = []

    def callback(_):
        calls.append(None)
        if len(calls) == count:
            raise InterruptionError

    return callback


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("way", MARKED)
def test_an_interrupted_fit_goes_on_to_the_same_end(way, tmp_path):
    X, path, seen = signals(), tmp_path / "kept", []
    whole = model(way, tmp_path / "other", callback=lambda _: seen.append(None)).fit(X)
    with pytest.raises(InterruptionError):
        model(way, path, callback=stop_after(SHORT[way])).fit(X)
    assert path.exists()
    left = []
    again = model(way, path, callback=lambda _: left.append(None)).fit(X)
    assert_same(again, whole)
    assert len(left) < len(seen)
    finished = model(way, path).fit(X)
    assert_same(finished, whole)
    assert sorted(os.listdir(tmp_path)) == ["kept", "other"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", ["held out", "Newton"])
def test_a_checkpoint_changes_nothing_of_the_outcome(way, tmp_path):
    assert_same(model(way, tmp_path / "kept").fit(signals()), model(way).fit(signals()))


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model("Newton").fit(signals())
    assert not os.listdir(tmp_path)


def test_a_random_seed_is_remembered(tmp_path):
    rng = np.random.RandomState(7)
    whole = model("Newton", tmp_path / "kept", random_state=rng).fit(signals())
    again = model("Newton", tmp_path / "kept", random_state=np.random.RandomState(8)).fit(signals())
    assert_same(again, whole)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"X": 1}, "X"),
        ({"weights": True}, "sample_weight"),
        ({"tol": 1e-9}, "the parameter 'tol'"),
        ({"prior": "laplace"}, "the parameter 'prior'"),
    ],
)
def test_the_checkpoint_of_another_fit_is_refused_and_kept(change, named, tmp_path):
    X, path = signals(), tmp_path / "kept"
    model("Newton", path).fit(X)
    before = path.read_bytes()
    X = X + change.pop("X", 0)
    weights = np.full(len(X), 2.0) if change.pop("weights", False) else None
    other = model("Newton", path, **change)
    with pytest.raises(ValueError, match=f"'checkpoint' is that of another fit, which differs in {named}"):
        other.fit(X, sample_weight=weights)
    assert path.read_bytes() == before
    assert not vars(other).keys() & {"components_", "_state"}


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign"])
def test_a_corrupt_checkpoint_is_refused_and_kept(damage, tmp_path):
    X, path = signals(), tmp_path / "kept"
    model("Newton", path).fit(X)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    spoilt = {"cut": content[:-9], "changed": flipped, "empty": b"", "foreign": b"PK" + content}[damage]
    path.write_bytes(spoilt)
    with pytest.raises(ValueError, match="corrupt or is no checkpoint.*Delete it to begin anew"):
        model("Newton", path).fit(X)
    assert path.read_bytes() == spoilt


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("nowhere/kept", FileNotFoundError, r"in a folder that does not exist; create '.*nowhere' first"),
        (".", IsADirectoryError, r"is a folder; give the path of a file in it"),
    ],
)
def test_a_path_that_cannot_be_written_is_an_error_before_training(path, error, words, tmp_path):
    calls = []
    with pytest.raises(error, match=words):
        model("Newton", tmp_path / path, callback=calls.append).fit(signals())
    assert not calls
    assert not list(tmp_path.iterdir())


def test_functions_and_what_they_hold_tell_parameters_apart():
    def power(exponent):
        return lambda x: x**exponent

    identities = [
        checkpoints.identity({"f": f}, {})
        for f in (power(2), power(2), power(3), np.zeros(2), [Smoothness(1)])
    ]
    assert identities[0] == identities[1]
    assert len({tuple(each.items()) for each in identities}) == 4


KILLED = """
    import os, signal, sys
    import numpy as np
    from sparse_fourier import checkpoints, descent, minibatch, training
    sys.path.insert(0, {folder!r})
    import test_checkpoints as tests
    checkpoints._LEAST_SECONDS, checkpoints._SHARE_OF_TIME = 0.0, 1e9
    checkpoints.SEGMENT, minibatch._CHUNKS, minibatch._SECONDS_PER_STEP = 10, (8,), 1.0
    training._CHUNK_SECONDS = descent._SECONDS_BETWEEN_REPORTS = 0.0

    calls = []
    def callback(_):
        calls.append(None)
        if len(calls) == {count}:
            os.kill(os.getpid(), signal.SIGKILL)

    fitted = tests.model({way!r}, {path!r}, callback=callback).fit(tests.signals())
    np.savez({outcome!r}, **tests.state(fitted))
"""


def run(way, path, outcome, count):
    folder = os.path.dirname(os.path.abspath(__file__))
    code = textwrap.dedent(KILLED).format(
        way=way, path=str(path), outcome=str(outcome), count=count, folder=folder
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_killed_fits_end_alike(way, tmp_path, counts):
    path, outcome, whole = (tmp_path / name for name in ("kept", "outcome.npz", "whole.npz"))
    for count in counts:
        assert run(way, path, outcome, count).returncode == -signal.SIGKILL
    for place, name in ((path, outcome), (tmp_path / "other", whole)):
        finished = run(way, place, name, -1)
        assert finished.returncode == 0, finished.stderr
    with np.load(outcome) as one, np.load(whole) as other:
        assert set(one) == set(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_fit_that_is_killed_goes_on_to_the_same_end(tmp_path):
    assert_killed_fits_end_alike("Newton", tmp_path, [2])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
@pytest.mark.parametrize("way", [way for way in WAYS if way != "Newton"])
def test_any_fit_may_be_killed_again_and_again(way, tmp_path):
    assert_killed_fits_end_alike(way, tmp_path, [SHORT[way], 2])
