"""Fit signals of which each process holds some rows; start it on one machine, under SLURM or under MPI.

python processes.py --start 2                      two processes of this machine
srun --ntasks 64 python processes.py               under SLURM
mpirun -n 64 python processes.py                   under Open MPI 4
mpirun -n 64 python processes.py --detect mpi4py   under other MPI launchers; needs mpi4py

Signals come from ``--signals FILE.npy``, of which every process reads its own rows; without a file they are
made. JAX holds them in single precision unless JAX_ENABLE_X64=1 is set. ``--result FILE.npz`` receives
components and intercept, from the first process.
"""

import argparse
import socket
import subprocess
import sys

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures


def start(count, given):
    """Start this script so many times on this machine; end all if one fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, __file__, *given, "--address", address, "--processes", str(count)]
    running = [subprocess.Popen([*command, "--process", str(index)]) for index in range(count)]
    sys.exit(max(abs(process.wait()) for process in running))


def join(options):
    """Meet the other processes: at an address that is given, else where the launcher says."""
    if options.address:
        jax.distributed.initialize(options.address, options.processes, options.process)
    else:
        jax.distributed.initialize(cluster_detection_method=options.detect)


def global_array(signals):
    """Return all signals, each process with its rows, and weights that are zero where there is no signal."""
    devices = np.array(jax.devices())
    each = -(-len(signals) // len(devices))  # as many rows on every device
    mine = [index for index, device in enumerate(devices) if device.process_index == jax.process_index()]
    rows = np.concatenate([np.arange(index * each, (index + 1) * each) for index in mine])
    layout = NamedSharding(Mesh(devices, ("signals",)), PartitionSpec("signals"))
    local = np.asarray(signals[np.minimum(rows, len(signals) - 1)])
    X = jax.make_array_from_process_local_data(layout, local, (each * len(devices), signals.shape[1]))
    return X, (np.arange(len(X)) < len(signals)).astype(float), local[rows < len(signals)]


def main():
    """Fit, and say what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", type=int, metavar="N", help="processes to start on this machine")
    parser.add_argument("--detect", help="the launcher, where JAX does not recognise it: mpi4py")
    parser.add_argument("--signals", metavar="FILE.npy")
    parser.add_argument("--components", type=int, default=2)
    parser.add_argument("--result", metavar="FILE.npz")
    parser.add_argument("--checkpoint", metavar="FILE", help="go on from here when started again")
    for name in ("--processes", "--process"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start and not options.address:
        start(options.start, sys.argv[1:])
    join(options)
    if options.signals:
        signals = np.load(options.signals, mmap_mode="r")
    else:
        signals = make_sinusoid_mixtures(20_001, noise=0.05, random_state=0)[0].astype(np.float32)
    X, weights, mine = global_array(signals)
    model = AutoencoderDecomposer(options.components, random_state=0, checkpoint=options.checkpoint)
    model.fit(X, sample_weight=weights)
    codes = model.transform(mine)
    print(
        f"process {jax.process_index()} of {jax.process_count()}: codes of {len(codes)} signals", flush=True
    )
    if jax.process_index() == 0:
        print(model.summary())
        if options.result:
            np.savez(options.result, components=model.components_, intercept=model.intercept_)


if __name__ == "__main__":
    main()
