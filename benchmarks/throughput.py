"""Samples per second of mini-batch training, beside PyTorch and scikit-learn in the same run.

Networks of Adam in single precision with a linear decoder: 784 - 256 - 64 with batches of 256, the affine
784 - 64, and a small one, 30 - 2 with batches of 32 of 300 signals. Ours with hidden layers has an affine map
beside them; PyTorch trains the same network, and the one without that map. Rounds alternate, and the median
of the ratios counts. The ceiling is the product of matrices of these sizes in NumPy, and only products that
an epoch needs count as its operations. PyTorch is used if it is installed. The last table is of whole fits,
start and finish included.

Run `python -m benchmarks.throughput`; `--rows` and `--rounds` change its size.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from benchmarks.report import machine
from sparse_fourier import AutoencoderDecomposer, runtime
from sparse_fourier.activations import Identity, ReLU
from sparse_fourier.losses import SquaredError, padded
from sparse_fourier.minibatch import Regime, train_in_batches
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.optimizers import Adam
from sparse_fourier.stacks import first_state, stack

Epoch = Callable[[], tuple[float, float]]


class Sizes(NamedTuple):
    """Features, hidden units (none: zero), codes, rows of a batch, rows, epochs that are timed together."""

    d: int
    hidden: int
    k: int
    batch: int
    rows: int
    epochs: int

    @property
    def name(self) -> str:
        """Layers and batch."""
        layers = [str(size) for size in (self.d, self.hidden, self.k) if size]
        return f"{' - '.join(layers)}, batch {self.batch}"

    def operations(self, *, beside: bool) -> int:
        """Return the operations of all products for one signal: of the input, no gradient is needed."""
        first = self.d * (self.hidden + self.k * beside) if self.hidden else self.d * self.k
        return 2 * (2 * first + 3 * (self.hidden * self.k + self.k * self.d))


def networks(rows: int) -> tuple[Sizes, ...]:
    """Return what is measured, the small network on 300 signals whatever is asked for."""
    return Sizes(784, 256, 64, 256, rows, 1), Sizes(784, 0, 64, 256, rows, 1), Sizes(30, 0, 2, 32, 300, 50)


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall seconds and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def ours(X: np.ndarray, sizes: Sizes) -> Epoch:
    """Return what trains for some epochs, compiled and with the signals in place, and its times."""
    rng = np.random.RandomState(0)

    def layer(m: int, n: int) -> Layer:
        return Layer(rng.standard_normal((m, n)) / np.sqrt(m), np.zeros(n))

    hidden = (layer(sizes.d, sizes.hidden), layer(sizes.hidden, sizes.k)) if sizes.hidden else ()
    encoder = Encoder(layer(sizes.d, sizes.k), hidden, ReLU(), Identity())
    model = stack([Autoencoder(encoder, layer(sizes.k, sizes.d).weights, np.zeros(sizes.d))], np.float32)
    runtime.start()
    state = first_state(model, Adam(), np.ones(1, np.float32))
    data = padded(X, np.ones(len(X), np.float32))

    def epochs() -> tuple[float, float]:
        stamps: list[tuple[int, float, float]] = []

        def tell(progress):
            stamps.append((progress.iteration, time.perf_counter(), time.process_time()))

        # Patience of one epoch: chunks end where epochs do. The rule itself never ends training.
        patience = 1 if sizes.epochs == 1 else sizes.epochs
        regime = Regime(sizes.batch, 2 * sizes.epochs, -np.inf, patience, 1e-3, tell)
        train_in_batches(SquaredError((), 1.0), Adam(), state, data, regime, np.random.RandomState(0))
        begin = next(stamp for stamp in stamps if stamp[0] >= sizes.epochs)
        share = sizes.epochs / max(stamps[-1][0] - begin[0], 1)
        return share * (stamps[-1][1] - begin[1]), share * (stamps[-1][2] - begin[2])

    return epochs


def torchs(X: np.ndarray, sizes: Sizes, *, beside: bool) -> Epoch | None:
    """Return the same of PyTorch, with or without the affine map; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    nn = torch.nn

    def hidden():
        layers = nn.Linear(sizes.d, sizes.hidden), nn.ReLU(), nn.Linear(sizes.hidden, sizes.k)
        return nn.Sequential(*layers)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.skip = nn.Linear(sizes.d, sizes.k) if beside or not sizes.hidden else None
            self.hidden = hidden() if sizes.hidden else None
            self.decoder = nn.Linear(sizes.k, sizes.d)

        def forward(self, x):
            codes = [part(x) for part in (self.skip, self.hidden) if part is not None]
            return self.decoder(sum(codes[1:], codes[0]))

    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    signals = torch.from_numpy(X)

    def epochs() -> None:
        for _ in range(sizes.epochs):
            order = torch.randperm(len(signals))
            for first in range(0, len(signals), sizes.batch):
                rows = signals[order[first : first + sizes.batch]]
                optimizer.zero_grad(set_to_none=True)
                nn.functional.mse_loss(network(rows), rows).backward()
                optimizer.step()

    return lambda: measured(epochs)


def scikit_learns(X: np.ndarray, sizes: Sizes) -> Epoch:
    """Return the same of scikit-learn's perceptron, whose code layer has the hidden activation."""
    layers = tuple(size for size in (sizes.hidden, sizes.k) if size)
    network = MLPRegressor(
        hidden_layer_sizes=layers, batch_size=sizes.batch, max_iter=sizes.epochs, random_state=0
    )
    network.set_params(n_iter_no_change=10**6)

    def epochs() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(X, X)

    return lambda: measured(epochs)


def ceiling(sizes: Sizes) -> float:
    """Return the floating-point operations per second of the widest product of a step, in NumPy."""
    width = sizes.hidden or sizes.k
    one, other = np.ones((sizes.batch, sizes.d), np.float32), np.ones((sizes.d, width), np.float32)
    seconds = min(measured(lambda: [one @ other for _ in range(50)])[0] for _ in range(5))
    return 50 * 2 * sizes.batch * sizes.d * width / seconds


def compare(sizes: Sizes, rounds: int) -> None:
    """Print the rows of one network."""
    X = np.random.default_rng(0).random((sizes.rows, sizes.d), dtype=np.float32)
    runs = {"ours": ours(X, sizes), "PyTorch": torchs(X, sizes, beside=bool(sizes.hidden))}
    if sizes.hidden:
        runs["PyTorch without the affine map"] = torchs(X, sizes, beside=False)
    runs["MLPRegressor"] = scikit_learns(X, sizes)
    known = {name: run for name, run in runs.items() if run}
    times = np.array([[run() for run in known.values()] for _ in range(rounds)])
    most = ceiling(sizes)
    for name, (wall, cpu) in zip(known, times.min(axis=0), strict=True):
        rate = sizes.rows * sizes.epochs / wall
        share = rate * sizes.operations(beside=name in ("ours", "PyTorch")) / most
        ratio = np.median(times[:, list(known).index(name), 0] / times[:, 0, 0])
        of_processor = sizes.rows * sizes.epochs / cpu
        print(f"| {sizes.name} | {name} | {rate:,.0f} | {of_processor:,.0f} | {ratio:.2f} | {share:.0%} |")


def whole_fits(rows: int) -> None:
    """Print what fits cost beside their epochs."""
    rng = np.random.default_rng(0)
    X = rng.random((rows, 64), dtype=np.float32) @ rng.standard_normal((64, 784), dtype=np.float32)
    print(f"\n| fit of {rows:,} signals, 784 - 256 - 64 | processor seconds |\n| --- | --- |")
    given = {"prior": None, "hidden_layer_sizes": (256,), "solver": "adam", "batch_size": 256}
    for epochs in (1, 1, 5):
        model = AutoencoderDecomposer(64, **given, max_iter=epochs, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            seconds = measured(lambda: model.fit(X))[1]  # noqa: B023 - called at once
        print(f"| {epochs} epochs | {seconds:.2f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}; {len(os.sched_getaffinity(0))} of the cores used\n")
    print("| network | by | samples per second | of processor time | time over ours | of the ceiling |")
    print("| --- | --- | --- | --- | --- | --- |")
    for sizes in networks(options.rows):
        compare(sizes, options.rounds)
    whole_fits(options.rows // 5)


if __name__ == "__main__":
    main()
