"""Signals spread over devices and processes: agreement, overhead, and what a fit costs against n, d and k.

``python -m benchmarks.devices`` starts fresh processes that

- fit the same signals in one array and spread over 1, 2 and 4 devices of the CPU, and compare;
- time a step of a network, 100 - 64 - 10 in batches of 1024, on those devices;
- do the same as two processes that talk through the loopback interface, each with half of the rows;
- time the passes over the signals and the steps of training, from which `predicted` follows.

Forced CPU devices share the cores, so that their times show overhead, not speed-up.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks.report import figure, machine, publish, table

N, D, K = 200_000, 100, 10
HIDDEN, BATCH = 64, 1024


@dataclass(frozen=True)
class Machine:
    """What decides the time of a fit.

    Attributes
    ----------
    name : str
    n_devices : int
    memory : float
        Bytes of a device.
    bandwidth : float
        Bytes that a device reads from its memory in a second.
    arithmetic : float
        Floating-point operations of a device in a second, in double precision, in products of matrices.
    network : float
        Bytes between devices in a second.
    """

    name: str
    n_devices: int
    memory: float
    bandwidth: float
    arithmetic: float
    network: float


def predicted(n, d, k, where, n_steps=40, itemsize=4):
    """Seconds and bytes of a fit by phases, and what binds each.

    Passes: extent, average, covariance, coordinates, sums; each reads the signals. The covariance takes 2 d²
    operations a signal, coordinates and sums 6 d k. A step reads the coordinates and takes about
    2 k (k + 6) (k + 1) operations a signal, and 60 for each code's density and derivatives.
    """
    rows = n / where.n_devices
    passes = 5 * rows * d * itemsize / where.bandwidth
    products = rows * (2 * d**2 + 6 * d * k) / where.arithmetic
    steps = n_steps * rows * k * max(8 / where.bandwidth, (2 * (k + 6) * (k + 1) + 60) / where.arithmetic)
    traffic = 8 * (2 * d + d**2 + 2 * k * d + n_steps * k * (k + 6) * (k + 1))
    held = rows * (d * itemsize + 8 * (k + 2))
    return {
        "reading": passes,
        "products": products,
        "steps": steps,
        "traffic": traffic,
        "network": 2 * traffic / where.network,
        "held": held,
        "fits": held < where.memory,
    }


def signals(n, d, k, seed=0):
    """Uniform codes of random components with little noise, float32."""
    rng = np.random.RandomState(seed)
    codes, components = rng.uniform(size=(n, k)), rng.standard_normal((k, d))
    return (codes @ components + 0.1 * rng.standard_normal((n, d))).astype(np.float32)


def fitted(X, rounds):
    """The fit of signals, and the median of its seconds after the first."""
    from sparse_fourier import AutoencoderDecomposer

    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        model = AutoencoderDecomposer(K, prior="uniform", random_state=0).fit(X)
        seconds.append(time.perf_counter() - start)
    return model, float(np.median(seconds[1:]))


def step_of_network(X, rounds):
    """Milliseconds of a step of a network: what more epochs take beyond one, compilations left out."""
    from sparse_fourier import AutoencoderDecomposer

    def seconds(epochs):
        given = {"prior": None, "hidden_layer_sizes": (HIDDEN,), "solver": "adam", "batch_size": BATCH}
        model = AutoencoderDecomposer(K, **given, max_iter=epochs, tol=1e-12, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return _seconds(lambda: model.fit(X))

    few, many = 2, 12
    seconds(few), seconds(many)
    taken = [seconds(many) - seconds(few) for _ in range(rounds)]
    return 1e3 * float(np.median(taken)) / ((many - few) * -(-X.shape[0] // BATCH))


def layout():
    """Rows over all devices."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    return NamedSharding(Mesh(np.array(jax.devices()), ("signals",)), PartitionSpec("signals"))


def worker(arguments):
    """What a fresh process does; prints one line of JSON."""
    import jax

    if arguments.port:
        jax.distributed.initialize(
            f"127.0.0.1:{arguments.port}", num_processes=2, process_id=arguments.process
        )
    X = signals(arguments.rows, D, K)
    mine = np.array_split(np.arange(len(X)), jax.process_count())[jax.process_index()]
    spread = jax.make_array_from_process_local_data(layout(), X[mine])
    many, seconds = fitted(spread, arguments.rounds)
    one, alone = fitted(X, arguments.rounds)
    apart = float(np.abs(many.components_ - one.components_).max() / np.abs(one.components_).max())
    step = step_of_network(spread, arguments.rounds)
    print(json.dumps({"seconds": seconds, "alone": alone, "apart": apart, "step": step}), flush=True)


def started(n_devices, arguments, *more):
    """A fresh process with so many CPU devices."""
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={n_devices}"}
    command = [sys.executable, "-m", "benchmarks.devices", "--worker", "--rows", str(arguments.rows)]
    return subprocess.Popen(
        [*command, "--rounds", str(arguments.rounds), *map(str, more)],
        env={**os.environ, **flags},
        stdout=subprocess.PIPE,
        text=True,
    )


def outcome(process):
    """What a process printed."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a process ended with {process.returncode}")
    return json.loads(out.splitlines()[-1])


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def agreement(arguments):
    """Rows of the table of devices."""
    found = {f"{count} devices": outcome(started(count, arguments)) for count in (1, 2, 4)}
    port = free_port()
    pair = [started(1, arguments, "--port", port, "--process", index) for index in range(2)]
    found["2 processes"] = [outcome(process) for process in pair][0]
    return [
        (
            name,
            figure(each["seconds"]),
            figure(each["seconds"] / each["alone"]),
            f"{each['apart']:.1e}",
            figure(each["step"]),
        )
        for name, each in found.items()
    ]


def measured(rounds):
    """This machine as a `Machine`: products of matrices, and sums that read what no cache holds."""
    X = np.random.RandomState(0).standard_normal((40_000, 500))
    arithmetic = min(_seconds(lambda: X.T @ X) for _ in range(rounds + 1))
    reading = min(_seconds(X.sum) for _ in range(rounds + 1))
    return Machine("this machine", 1, 20e9, X.nbytes / reading, 2 * 500 * X.size / arithmetic, 1e9)


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def costs(arguments):
    """Rows of the table of costs: measured against predicted."""
    here = measured(arguments.rounds)
    sizes = [(N // 4, D, K), (N, D, K), (N, D // 2, K), (N, D, K // 2)]
    lines = []
    for n, d, k in sizes:
        from sparse_fourier import AutoencoderDecomposer

        X = signals(n, d, k)
        AutoencoderDecomposer(k, prior="uniform", random_state=0).fit(X)
        taken = [
            _seconds(lambda X=X, k=k: AutoencoderDecomposer(k, prior="uniform", random_state=0).fit(X))
            for _ in range(arguments.rounds)
        ]
        lines.append((n, d, k, figure(float(np.median(taken))), figure(total(predicted(n, d, k, here)))))
    return lines


def total(parts):
    """Seconds of all phases."""
    return parts["reading"] + parts["products"] + parts["steps"] + parts["network"]


ELSEWHERE = (
    Machine(
        "8 GPUs, 80 GB, 3.3 TB/s, 60 TFLOP/s (double), 450 GB/s between them", 8, 80e9, 3.3e12, 60e12, 450e9
    ),
    Machine(
        "64 hosts, 256 GB, 200 GB/s, 1 TFLOP/s (double), 12.5 GB/s network", 64, 256e9, 2e11, 1e12, 12.5e9
    ),
)


def predictions(n=10**9, d=1000, k=20):
    """Rows of the table of predictions, for constants that are assumed."""
    lines = []
    for where in ELSEWHERE:
        parts = predicted(n, d, k, where)
        phases = {name: parts[name] for name in ("reading", "products", "steps", "network")}
        binding = max(phases, key=phases.__getitem__)
        share = f"{parts['held'] / 1e9:.0f} GB" + ("" if parts["fits"] else ", does not fit")
        seconds = [figure(value) for value in phases.values()]
        lines.append((where.name, share, *seconds, f"{parts['traffic'] / 1e6:.1f} MB", binding))
    return lines


def main():
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=N)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", metavar="FILE")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--process", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    header = ("devices", "seconds", "over one array", "difference of components", "step of a network, ms")
    phases = ("reading, s", "products, s", "steps, s", "network, s")
    parts = [
        machine(),
        f"{arguments.rows} signals of {D} points, {K} components, float32, warm:",
        table(header, agreement(arguments)),
        table(("n", "d", "k", "seconds", "predicted"), costs(arguments)),
        "1e9 signals of 1000 points, 20 components, float32, predicted:",
        table(("machine", "held by each", *phases, "traffic", "bottleneck"), predictions()),
    ]
    publish("\n\n".join(parts), arguments.markdown)


if __name__ == "__main__":
    main()
