"""Large fits beside PCA and FastICA, the memory that they take, serving, and what first fits compile.

Fits alternate with their rivals in one process, in processor time, and the median of the ratios counts.
Memory is the largest growth of anonymous memory (Linux) of a process of its own that fits; pages of a file
are not part of it.

Run `python -m benchmarks.scale`; `--quick` for a tenth of the rows, `--full` for ten million rows too and a
file of 4 GB, `--only` for some of the tables.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA, FastICA

from benchmarks.compilations import compilations
from benchmarks.report import machine
from sparse_fourier import AutoencoderDecomposer, initialization
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.penalties import Smoothness

SHAPES = [(100_000, 200, 10), (1_000_000, 100, 10), (100_000, 1000, 32)]
NOISE = 0.05


def sample(n: int, d: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return mixtures of uniform codes in single precision, and the components."""
    rng = np.random.default_rng(seed)
    components = rng.standard_normal((k, d), dtype=np.float32)
    X = rng.random((n, k), dtype=np.float32) @ components
    for first in range(0, n, 10_000):
        block = X[first : first + 10_000]
        block += np.float32(NOISE) * rng.standard_normal(block.shape, dtype=np.float32)
    return X, components


def seconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()
    return time.process_time() - began


def fits(n: int, d: int, k: int, rounds: int) -> None:
    """Print a row of the table of closed-form fits."""
    X, components = sample(n, d, k)
    weights = np.ones(n)
    uniform = AutoencoderDecomposer(k, prior="uniform", random_state=0)
    learned = AutoencoderDecomposer(k, prior="learned", random_state=0)
    calls = {
        "product": lambda: X.T @ X,
        "moments": lambda: initialization.principal_span(X, weights, float(np.finfo(np.float32).eps)),
        "PCA": lambda: PCA(k, svd_solver="covariance_eigh").fit(X),
        "uniform": lambda: uniform.fit(X),
        "FastICA": lambda: FastICA(k, whiten="unit-variance", random_state=0).fit(X),
        "learned": lambda: learned.fit(X),
    }
    times = np.array([[seconds(call) for call in calls.values()] for _ in range(rounds)])
    one = dict(zip(calls, times.T, strict=True))
    errors = [worst_relative_error(components, model.components_) for model in (uniform, learned)]
    cells = [
        f"{n:,} × {d}, k = {k}",
        f"{np.median(one['product'] / one['moments']):.0%}",
        f"{np.median(one['uniform']):.2f}",
        f"{np.median(one['uniform'] / one['PCA']):.1f}",
        f"{np.median(one['learned']):.2f}",
        f"{np.median(one['learned'] / one['FastICA']):.2f}",
        " / ".join(f"{error:.2g}" for error in errors),
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def growth_with_rows(most: int) -> None:
    """Print the time of a fit per row, for more and more rows."""
    print("\n| rows of 10 features, k = 3 | processor seconds | microseconds per row |\n| --- | --- | --- |")
    n = 100_000
    while n <= most:
        X, _ = sample(n, 10, 3)
        model = AutoencoderDecomposer(3, prior="uniform", random_state=0)
        taken = min(seconds(lambda: model.fit(X)) for _ in range(2))  # noqa: B023 - called at once
        print(f"| {n:,} | {taken:.2f} | {taken / n * 1e6:.2f} |", flush=True)
        n *= 10


MEMORY = """
    import threading, time, warnings
    import numpy as np
    from scipy import sparse
    from sparse_fourier import AutoencoderDecomposer
    import sparse_fourier.fitting
    warnings.simplefilter("ignore")

    def anonymous():
        with open("/proc/self/status") as status:
            return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

    peak = [0.0]
    def watch():
        while True:
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.005)

    {data}
    before = anonymous()
    threading.Thread(target=watch, daemon=True).start()
    began = time.process_time()
    AutoencoderDecomposer(8, prior="uniform", random_state=0).fit(X)
    print(max(peak[0], anonymous()) - before, time.process_time() - began)
"""
SPARSE = """
    rng, n, d = np.random.default_rng(0), {n}, {d}
    def scattered(n, count):
        places = np.sort(rng.integers(0, d, size=(n, count)), axis=1).ravel()
        values = rng.standard_normal(len(places), dtype=np.float32)
        return sparse.csr_array((values, places, np.arange(n + 1) * count), shape=(n, d))
    codes = rng.random((n, 8), dtype=np.float32) * (rng.random((n, 8)) < 0.3)
    X = sparse.csr_array(sparse.csr_array(codes.astype(np.float32)) @ scattered(8, d // 200))
    X = X + np.float32(0.05) * scattered(n, d // 500)
"""


def growth_of(data: str) -> tuple[float, float]:
    """Return by how many MiB of anonymous memory a process that fits grows, and its processor seconds."""
    code = textwrap.dedent(MEMORY).replace("{data}", textwrap.dedent(data))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, taken = map(float, done.stdout.split())
    return grown, taken


def memory(n: int, d: int, wide: tuple[int, int]) -> None:
    """Print the table of memory: an array, the same in a file, and a sparse matrix."""
    print(
        "\n| signals | size in MiB | memory of the fit, MiB | processor seconds |\n| --- | --- | --- | --- |"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "X")
        X = np.memmap(path, dtype=np.float32, mode="w+", shape=(n, d))
        for first in range(0, n, 50_000):
            X[first : first + 50_000] = sample(len(X[first : first + 50_000]), d, 8)[0]
        X.flush()
        product = seconds(lambda: X.T @ X)
        mapped = f"\nX = np.memmap({path!r}, dtype=np.float32, mode='r', shape=({n}, {d}))\n"
        forms = {"file": mapped, "array": mapped + "X = np.array(X)\n"}
        for name, data in forms.items():
            grown, taken = growth_of(data)
            size = n * d * 4 / 2**20
            print(f"| {name}, {n:,} × {d} | {size:.0f} | {grown:.0f} | {taken:.1f} |", flush=True)
    grown, taken = growth_of(SPARSE.format(n=wide[0], d=wide[1]))
    size = wide[0] * wide[1] * 4 / 2**20
    print(f"| sparse, {wide[0]:,} × {wide[1]:,} | {size:.0f} if dense | {grown:.0f} | {taken:.1f} |")
    print(f"\nOne pass of X'X over the file: {product:.1f} s.")


def per_call(call: Callable[[], object], least: float) -> float:
    """Return the processor time of one of as many calls as take some seconds."""
    count, taken = 1, seconds(call)
    while taken < least:
        count *= max(2, min(100, int(least / max(taken, 1e-6))))
        taken = seconds(lambda: [call() for _ in range(count)])  # noqa: B023 - called at once
    return taken / count


def serving(n: int, rounds: int) -> None:
    """Print times of codes and of reconstructions, in bulk and of few rows, over those of PCA."""
    kinds = [(d, k, {"prior": prior}) for d, k in ((30, 2), (200, 10)) for prior in ("uniform", "laplace")]
    print("\n| fit | signals at a time | transform | over PCA | inverse_transform | over PCA |")
    print("| --- | --- | --- | --- | --- | --- |")
    for d, k, kind in kinds:
        X = sample(n, d, k)[0]
        pair = AutoencoderDecomposer(k, random_state=0, **kind), PCA(k)
        seconds(lambda: [model.fit(X[:5000]) for model in pair])  # noqa: B023 - called at once
        for rows in (1, 100, n):
            codes = [model.transform(X[:rows]) for model in pair]
            calls = [lambda model=model: model.transform(X[:rows]) for model in pair]  # noqa: B023
            back = [lambda m=m, c=c: m.inverse_transform(c) for m, c in zip(pair, codes, strict=True)]
            times = [[per_call(call, 0.05) for call in (*calls, *back)] for _ in range(rounds)]
            ours, theirs, our_way, their_way = np.array(times).T
            print(
                f"| {kind['prior']}, {d} features, k = {k} | {rows:,} | {figure(np.median(ours))} | "
                f"{np.median(ours / theirs):.2f} | {figure(np.median(our_way))} | "
                f"{np.median(our_way / their_way):.2f} |",
                flush=True,
            )


def figure(taken: float) -> str:
    """Return seconds in a unit that suits them."""
    return f"{taken * 1e3:.3g} ms" if taken > 1e-3 else f"{taken * 1e6:.3g} us"


def kinds() -> dict[str, dict[str, object]]:
    """Return parameters of every prior, basis, kind of noise, encoder and solver, by how they are written."""
    import optax

    penalty, network = "penalty=Smoothness(1.0)", "hidden_layer_sizes=(16,)"
    priors = ("auto", "uniform", "laplace", "exponential", "simplex", "gaussian", "learned")
    solvers = ("lbfgs", "adam", "rmsprop", "sgd")
    known: dict[str, dict[str, object]] = {f"prior={name!r}": {"prior": name} for name in priors}
    known |= {f"basis={name!r}": {"basis": name} for name in ("nonnegative", "fourier")}
    known["noise='student_t'"] = {"noise": "student_t"}
    known["n_components=40, prior='laplace'"] = {"n_components": 40, "prior": "laplace"}
    known[f"{penalty}, prior='laplace'"] = {"penalty": Smoothness(1.0), "prior": "laplace"}
    for given, label in (({"prior": None}, "prior=None"), ({"hidden_layer_sizes": (16,)}, network)):
        known |= {f"{label}, solver={name!r}": {**given, "solver": name} for name in solvers}
        known[f"{label}, solver=optax.adam(1e-3)"] = {**given, "solver": optax.adam(1e-3)}
    variational = {"encoder": "variational", "prior": "gaussian"}
    known["encoder='variational'"] = variational
    known["encoder='variational', solver='adam'"] = {**variational, "solver": "adam"}
    more = {"n_components": 40, "prior": "laplace"}
    known["encoder='unrolled', n_components=40, prior='laplace'"] = {"encoder": "unrolled", **more}
    return known


def compiling() -> None:
    """Print how many programs a first fit of 3000 signals compiles, and for how long, of every kind."""
    X = sample(3000, 30, 3)[0]
    print("\n| first fit of 3000 × 30 signals | programs | seconds of compiling |\n| --- | --- | --- |")
    for name, kind in kinds().items():
        given = {"n_components": 3, "max_iter": 20, "random_state": 0, **kind}
        with compilations() as found:
            seconds(lambda: AutoencoderDecomposer(**given).fit(X))  # noqa: B023 - called at once
        print(f"| {name} | {len(found)} | {sum(found):.2f} |", flush=True)


def shapes(share: int, options: argparse.Namespace) -> None:
    """Print the table of closed-form fits."""
    print("| signals | moments over ceiling | uniform, s | over PCA | learned, s | over FastICA | errors |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n, d, k in SHAPES:
        fits(n // share, d, k, options.rounds)


SECTIONS = {
    "fits": shapes,
    "growth": lambda share, options: growth_with_rows(10_000_000 if options.full else 1_000_000 // share),
    "memory": lambda share, options: memory(
        1_000_000 if options.full else 200_000 // share, 1000, (20_000 // share, 50_000 // share)
    ),
    "serving": lambda share, options: serving(100_000 // share, options.rounds),
    "compiling": lambda share, options: compiling(),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="what to run")
    options = parser.parse_args()
    share = 10 if options.quick else 1
    print(f"{machine()}\n")
    for name in options.only:
        SECTIONS[name](share, options)


if __name__ == "__main__":
    main()
