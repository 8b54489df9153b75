"""Signals spread over devices and processes, against the same signals in one array; in fresh processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures

ROOT = Path(__file__).resolve().parent.parent

PREPARE = """
import json, os, sys
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import sparse_fourier.spreading as spreading
from sparse_fourier import AutoencoderDecomposer, penalties
from sparse_fourier.datasets import make_proportions, make_sinusoid_mixtures

spreading._MOST_ROWS = 1000  # so that four thousand signals are many


def layout():
    return NamedSharding(Mesh(np.array(jax.devices()), ("signals",)), PartitionSpec("signals"))


def spread(X):
    with jax.enable_x64(True):
        return jax.device_put(X, layout())


def difference(one, other):
    return float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-12))


def compare(X, k, weights=None, **parameters):
    model = lambda: AutoencoderDecomposer(k, random_state=0, **parameters)
    one, many = model().fit(X, sample_weight=weights), model().fit(spread(X), sample_weight=weights)
    return {
        "components": difference(one.components_, many.components_),
        "intercept": difference(one.intercept_, many.intercept_),
        "codes": difference(one.transform(X), many.transform(spread(X))),
        "variances": difference(one.explained_variance_, many.explained_variance_),
        "noise": difference(one.noise_variance_, many.noise_variance_),
        "loss": abs(one.loss_ - many.loss_),
        "score": abs(one.score(X) - many.score(spread(X))),
        "prior": str(one.prior_) == str(many.prior_) and one.n_components_ == many.n_components_,
        "kind": type(many.components_).__name__ + str(many.components_.dtype),
        "converged": bool(many.converged_),
    }
"""


def run(code, *arguments, devices=4, **environment):
    """Start code in a fresh interpreter with several CPU devices."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PREPARE + code, *map(str, arguments)],
        cwd=ROOT,
        env={**inherited, **flags, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process, timeout=300):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def ended(process, timeout=200):
    process.communicate(timeout=timeout)
    return process.returncode


def agree(found, tolerance=1e-6):
    assert found["prior"]
    assert found["converged"]
    assert found["kind"] == "ndarrayfloat64"
    numbers = {name: value for name, value in found.items() if isinstance(value, float)}
    assert max(numbers.values()) < tolerance, numbers


@pytest.mark.slow
def test_four_devices_find_what_one_does():
    found = output(
        run(
            """
X = make_sinusoid_mixtures(4000, noise=0.05, random_state=0)[0]
weights = np.random.RandomState(0).choice([0.0, 1.0, 2.0], size=4000)
print(json.dumps([compare(X, 2, prior="uniform"), compare(X, 2, weights, prior="uniform")]))
"""
        )
    )
    for each in found:
        agree(each)


@pytest.mark.slow
def test_every_prior_is_trained_where_the_signals_lie():
    found = output(
        run(
            """
kinds = {prior: prior for prior in ("uniform", "laplace", "exponential")}
kinds["gaussian"] = "unequal"
X = {
    prior: make_sinusoid_mixtures(4000, noise=0.02, codes=kind, random_state=0)[0]
    for prior, kind in kinds.items()
}
found = [compare(each, 2, prior=prior) for prior, each in X.items()]
proportions = make_proportions(4000, snr_db=30, random_state=0)[0]
found.append(compare(proportions, 3, prior="simplex"))
found.append(compare(X["uniform"], "auto"))
found.append(compare(X["gaussian"], 2, prior=None))
large = make_sinusoid_mixtures(4000, noise=0.02, random_state=1)[0] * 1e6
found.append(compare(large, "auto", fit_intercept=False, prior="uniform"))
found.append(compare(X["exponential"], 2, fit_intercept=False, prior="exponential"))
print(json.dumps(found))
"""
        )
    )
    for each in found:
        agree(each, tolerance=1e-5)  # the blur of a simplex settles to a thousandth


@pytest.mark.slow
def test_learned_densities_have_the_basis_that_all_signals_ask_for():
    """A sixteenth of them, in which the densities are learned, would leave sixteen times the interference."""
    found = output(
        run(
            """
def interference(seed):
    rng = np.random.default_rng(seed)
    codes = [rng.laplace(size=16000), rng.exponential(size=16000), rng.uniform(size=16000)]
    codes = np.column_stack([each / each.std() for each in codes])
    mixing = rng.standard_normal((3, 6))
    def left(X):
        model = AutoencoderDecomposer(3, prior="learned", contamination=0, random_state=0).fit(X)
        assert model.converged_
        power = (mixing @ np.linalg.pinv(model.components_)) ** 2
        power /= power.max(axis=1, keepdims=True)
        return float(power.sum() - 3), model.loss_
    X = codes @ mixing
    (one, loss), (many, other) = left(X), left(spread(X))
    return one, many, abs(loss - other)
print(json.dumps([interference(seed) for seed in range(3)]))
"""
        )
    )
    one, many, losses = zip(*found, strict=True)
    assert sum(many) < 1.5 * sum(one), found
    assert max(losses) < 0.05, found


@pytest.mark.slow
def test_what_needs_all_signals_in_one_place_is_refused_by_name():
    found = output(
        run(
            """
X = spread(make_sinusoid_mixtures(4000, 8, random_state=0)[0].astype(np.float32))
bad = X.at[3, 3].set(np.nan)
def message(X, **parameters):
    try:
        AutoencoderDecomposer(2, **parameters).fit(X)
    except (TypeError, ValueError) as error:
        return type(error).__name__ + ": " + str(error)
bent = {"hidden_layer_sizes": (4,), "penalty": penalties.L2()}
asks = [{"basis": "fourier"}, {"basis": "nonnegative"}, bent]
print(json.dumps([*(message(X, **ask) for ask in asks), message(bad), message(X.at[0, 0].set(np.inf))]))
"""
        )
    )
    assert all(
        text.startswith("TypeError: Signals that are spread over devices cannot be used")
        for text in found[:3]
    )
    assert found[3].startswith("TypeError: Signals that are spread over devices cannot be used with missing")
    assert found[4].startswith("ValueError: Input X contains infinity")


@pytest.mark.slow
def test_row_98_arrays_on_other_devices():
    found = output(
        run(
            """
X = make_sinusoid_mixtures(400, 8, noise=0.05, random_state=0)[0]
model = AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(X)
Explicit = jax.sharding.AxisType.Explicit
devices = jax.devices()
square = Mesh(np.array(devices).reshape(2, 2), ("one", "two"))
some = Mesh(np.array(devices[2:]), ("one",))
layouts = {
    "one device": devices[3],
    "all alike": NamedSharding(square, PartitionSpec()),
    "rows over two axes": NamedSharding(square, PartitionSpec(("one", "two"))),
    "explicit axes": NamedSharding(jax.make_mesh((4,), ("one",), (Explicit,)), PartitionSpec("one")),
    "rows twice": NamedSharding(square, PartitionSpec("one")),
    "some devices": NamedSharding(some, PartitionSpec("one")),
    "columns": NamedSharding(square, PartitionSpec(None, "one")),
    "both": NamedSharding(square, PartitionSpec("one", "two")),
}
def outcome(where, gone=False):
    with jax.enable_x64(True):
        there = jax.device_put(X, where)
    if gone:
        there.delete()
    before = model.components_
    try:
        model.fit(there)
    except RuntimeError as error:
        assert model.components_ is before
        return str(error)
    return difference(before, model.components_)
found = {name: outcome(where) for name, where in layouts.items()}
found["gone"] = outcome(devices[1], gone=True)
print(json.dumps(found))
"""
        )
    )
    for name in ("columns", "both"):
        assert found[name].startswith("A jax.Array on several devices must be spread by its rows")
        assert "cpu" in found[name].split(" on ")[-1].lower()
    assert "whose memory was given away" in found["gone"]
    learned = {name: value for name, value in found.items() if isinstance(value, float)}
    assert len(learned) == 6
    assert max(learned.values()) < 1e-6, learned


TOGETHER = """
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", num_processes=2, process_id=int(sys.argv[2]))
rows = slice(2000 * jax.process_index(), 2000 * jax.process_index() + 2000)
X = make_sinusoid_mixtures(4000, noise=0.02, random_state=0)[0]
with jax.enable_x64(True):
    everywhere = jax.make_array_from_process_local_data(layout(), X[rows])
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_two_processes_find_what_one_does():
    code = (
        TOGETHER
        + """
one, many = (AutoencoderDecomposer(2, random_state=0).fit(each) for each in (X, everywhere))
found = difference(one.components_, many.components_), abs(one.loss_ - many.loss_)
print(json.dumps([*found, many.components_[0].tolist()]))
"""
    )
    port = free_port()
    found = [output(process) for process in [run(code, port, index, devices=1) for index in range(2)]]
    assert found[0][2] == found[1][2]
    for components, loss, _ in found:
        assert components < 1e-6
        assert loss < 1e-6


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_with_a_clear_error():
    code = (
        TOGETHER
        + """
def leave(info):
    if jax.process_index() == 1:
        os._exit(7)

try:
    AutoencoderDecomposer(2, prior="uniform", callback=leave, random_state=0).fit(everywhere)
except RuntimeError as error:
    print(json.dumps(str(error)), flush=True)
    os._exit(0)
"""
    )
    port = free_port()
    survivor, victim = (run(code, port, index, devices=1) for index in range(2))
    assert ended(victim) == 7
    assert "another process" in output(survivor, timeout=200)


@pytest.mark.slow
def test_processes_go_on_from_a_checkpoint_after_one_of_them_died(tmp_path):
    code = (
        TOGETHER
        + """
path, dies = sys.argv[3] or None, sys.argv[4] == "dies"
rounds = []

def count(info):
    rounds.append(info.iteration)
    if dies and jax.process_index() == 1 and len(rounds) == 4:
        os._exit(7)

model = AutoencoderDecomposer(2, prior="uniform", callback=count, checkpoint=path)
try:
    model.fit(everywhere)
    print(json.dumps([model.components_.tolist(), len(rounds)]), flush=True)
except RuntimeError as error:
    print(json.dumps(str(error)), flush=True)
os._exit(0)
"""
    )

    def together(path, plan):
        port = free_port()
        return [run(code, port, index, path, plan, devices=1) for index in range(2)]

    path = tmp_path / "fit"
    whole = [output(process) for process in together(path, "lives")]
    path.unlink()
    survivor, victim = together(path, "dies")
    assert ended(victim) == 7
    assert "another process" in output(survivor)
    resumed = [output(process) for process in together(path, "lives")]
    assert [each[0] for each in resumed] == [each[0] for each in whole]
    assert resumed[0][1] < whole[0][1]


SCRIPT = ROOT / "docs" / "scripts" / "processes.py"


def scripted(*arguments, **environment):
    """Start the script of the guide, each of its processes with one device."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={**inherited, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", **environment},
    )


@pytest.mark.slow
def test_script_of_the_guide_runs_as_two_processes_started_by_itself_or_as_slurm_does(tmp_path):
    X = make_sinusoid_mixtures(3001, noise=0.02, random_state=0)[0]
    np.save(tmp_path / "signals.npy", X)
    given = ["--signals", tmp_path / "signals.npy"]
    assert scripted(*given, "--start", 2, "--result", tmp_path / "itself.npz").wait(timeout=100) == 0
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    tasks = [
        scripted(*given, "--result", tmp_path / "slurm.npz", SLURM_PROCID=rank, SLURM_LOCALID=rank, **job)
        for rank in "01"
    ]
    assert [task.wait(timeout=100) for task in tasks] == [0, 0]
    model = AutoencoderDecomposer(2, random_state=0).fit(X)
    for name in ("itself", "slurm"):
        found = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_allclose(found["components"], model.components_, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found["intercept"], model.intercept_, rtol=0, atol=1e-5)
