"""Missing entries: ours, against Picard after filling them with means, or by low rank.

Signals of the seed with entries missing at random. Picard is told the number of components; the low rank
fill alternates between a truncated singular value decomposition and the missing entries until both agree.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error

_BARS = {0.1: 1.25, 0.3: 2.0}
_LARGEST_FILL_ERROR = 1e-3


def mean_fill(X: np.ndarray) -> np.ndarray:
    """Return signals with each gap filled by the mean of its feature."""
    return np.where(np.isnan(X), np.nanmean(X, axis=0), X)


def low_rank_fill(X: np.ndarray, rank: int = 2, n_iter: int = 500) -> np.ndarray:
    """Return signals with gaps filled by turns with a truncated singular value decomposition."""
    filled = mean_fill(X)
    for _ in range(n_iter):
        mean = filled.mean(axis=0)
        left, values, right = np.linalg.svd(filled - mean, full_matrices=False)
        guess = mean + (left[:, :rank] * values[:rank]) @ right[:rank]
        change = np.abs(np.where(np.isnan(X), guess - filled, 0.0)).max()
        filled = np.where(np.isnan(X), guess, X)
        if change < 1e-12:
            break
    return filled


def picard_after(fill: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], tuple]:
    """Return a method: fill the gaps, whiten, and rotate with Picard."""
    from picard import picard

    def method(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        filled = fill(X)
        centred = filled - filled.mean(axis=0)
        left, values, right = np.linalg.svd(centred, full_matrices=False)
        white = left[:, :2] * np.sqrt(len(X))
        _, rotation, _ = picard(white.T, ortho=True, extended=True, whiten=False, random_state=0)
        return rotation @ (right[:2] * values[:2, None]), filled

    return method


def ours(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return components and the signals with their gaps filled."""
    model = AutoencoderDecomposer(random_state=0).fit(X)
    return model.components_, model.inverse_transform(model.transform(X))


def methods() -> dict[str, Callable[[np.ndarray], tuple]]:
    """Return ours, and the rivals that are installed."""
    found: dict[str, Callable[[np.ndarray], tuple]] = {"ours": ours}
    try:
        found["Picard, mean fill"] = picard_after(mean_fill)
        found["Picard, low rank fill"] = picard_after(low_rank_fill)
    except ImportError:
        pass
    return found


def measure(n: int, share: float, seeds: range) -> dict[str, np.ndarray]:
    """Return for each method mean error, the same for complete data, error of the fill, and seconds."""
    results: dict[str, list] = {}
    for seed in seeds:
        X, _, components = make_sinusoid_mixtures(n, random_state=seed)
        lost = np.random.default_rng(seed).random(X.shape) < share
        holed = np.where(lost, np.nan, X)
        for name, method in methods().items():
            began = time.perf_counter()
            found, filled = method(holed)
            seconds = time.perf_counter() - began
            gap = np.linalg.norm((filled - X)[lost]) / np.linalg.norm(X[lost])
            errors = [worst_relative_error(components, each) for each in (found, method(X)[0])]
            results.setdefault(name, []).append([*errors, gap, seconds])
    return {name: np.mean(rows, axis=0) for name, rows in results.items()}


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 data seeds instead of 10")
    options = parser.parse_args(arguments)
    seeds, missed = range(100, 103 if options.quick else 110), False
    print("| signals | missing | method | error | on complete data | error of the fill | seconds |")
    print("|--:|--:|---|--:|--:|--:|--:|")
    for n in (300, 3000):
        for share, most in _BARS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                table = measure(n, share, seeds)
            for name, (error, complete, gap, seconds) in table.items():
                numbers = f"{error:.2g} | {complete:.2g} | {gap:.1g} | {seconds:.2g}"
                print(f"| {n} | {share:.0%} | {name} | {numbers} |")
            error, complete, gap, _ = table["ours"]
            missed |= error > most * complete or gap > _LARGEST_FILL_ERROR
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
