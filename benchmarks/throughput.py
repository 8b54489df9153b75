"""Samples per second of mini-batch training, beside PyTorch and scikit-learn in the same run.

The network is 784 - 256 - 64 - 784, batches of 256 of 60000 signals, Adam, single
precision, and for ours the affine map beside the hidden layer too. PyTorch is used if it is installed.
Rounds alternate, and the best of each counts; the ceiling is the product of matrices of these sizes in NumPy.

Run `python -m benchmarks.throughput`; `--rows` and `--rounds` change its size.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from sparse_fourier import runtime
from sparse_fourier.activations import Identity, ReLU
from sparse_fourier.losses import SquaredError, padded
from sparse_fourier.minibatch import Regime, train_in_batches
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.optimizers import Adam
from sparse_fourier.stacks import first_state, stack

D, HIDDEN, K, BATCH = 784, 256, 64, 256
FLOPS_PER_SAMPLE = 6 * (D * HIDDEN + HIDDEN * K + 2 * D * K)


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall seconds and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def ours(X: np.ndarray) -> Callable[[], tuple[float, float]]:
    """Return what trains for an epoch, compiled and with the signals in place, and its times."""
    rng = np.random.RandomState(0)

    def layer(m: int, n: int) -> Layer:
        return Layer(rng.standard_normal((m, n)) / np.sqrt(m), np.zeros(n))

    encoder = Encoder(layer(D, K), (layer(D, HIDDEN), layer(HIDDEN, K)), ReLU(), Identity())
    model = stack([Autoencoder(encoder, layer(K, D).weights, np.zeros(D))], np.float32)
    runtime.start()
    state = first_state(model, Adam(), np.ones(1, np.float32))
    data = padded(X, np.ones(len(X), np.float32))
    times: list[tuple[float, float]] = []

    def epoch() -> tuple[float, float]:
        stamps: list[tuple[int, float, float]] = []
        # Patience of one epoch: chunks end where epochs do. The rule itself never ends training.
        regime = Regime(BATCH, 2, -np.inf, 1, 1e-3, lambda p: stamps.append((p.iteration, *_clocks())))
        train_in_batches(SquaredError((), 1.0), Adam(), state, data, regime, np.random.RandomState(0))
        begin = next(stamp for stamp in stamps if stamp[0] == 1)
        times.append((stamps[-1][1] - begin[1], stamps[-1][2] - begin[2]))
        return times[-1]

    return epoch


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def torchs(X: np.ndarray) -> Callable[[], tuple[float, float]] | None:
    """Return the same of PyTorch, without the affine map; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    network = torch.nn.Sequential(
        torch.nn.Linear(D, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, K), torch.nn.Linear(K, D)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    signals = torch.from_numpy(X)

    def epoch() -> None:
        order = torch.randperm(len(signals))
        for first in range(0, len(signals), BATCH):
            rows = signals[order[first : first + BATCH]]
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(network(rows), rows).backward()
            optimizer.step()

    return lambda: measured(epoch)


def scikit_learns(X: np.ndarray) -> Callable[[], tuple[float, float]]:
    """Return the same of scikit-learn's perceptron, whose code layer has the hidden activation."""
    network = MLPRegressor(hidden_layer_sizes=(HIDDEN, K), batch_size=BATCH, max_iter=1, random_state=0)

    def epoch() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(X, X)

    return lambda: measured(epoch)


def ceiling() -> float:
    """Return the floating-point operations per second of matrix products of these sizes."""
    one, other = np.ones((BATCH, D), np.float32), np.ones((D, HIDDEN), np.float32)
    seconds = min(measured(lambda: [one @ other for _ in range(50)])[0] for _ in range(5))
    return 50 * 2 * BATCH * D * HIDDEN / seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    X = np.random.default_rng(0).random((options.rows, D), dtype=np.float32)
    runs = {"ours": ours(X), "PyTorch": torchs(X), "scikit-learn": scikit_learns(X)}
    best: dict[str, list[tuple[float, float]]] = {name: [] for name, run in runs.items() if run}
    for _ in range(options.rounds):
        for name in best:
            run = runs[name]
            if run:
                best[name].append(run())
    print(f"matrix products: {ceiling() / 1e9:.0f} GFLOP/s")
    print("| | samples per second | of processor time | GFLOP/s |\n| --- | --- | --- | --- |")
    for name, pairs in best.items():
        wall, cpu = (min(part) for part in zip(*pairs, strict=True))
        rate = options.rows / wall
        flops = rate * (FLOPS_PER_SAMPLE - (name != "ours") * 6 * D * K) / 1e9
        print(f"| {name} | {rate:,.0f} | {options.rows / cpu:,.0f} | {flops:.0f} |")


if __name__ == "__main__":
    main()
