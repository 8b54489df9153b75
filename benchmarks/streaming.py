"""Signals that come in batches: ours, against incremental PCA and a fit to all rows."""

from __future__ import annotations

import argparse
import sys
import time
import warnings

import numpy as np
from sklearn.decomposition import IncrementalPCA

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error

_LARGEST_ERROR = 0.05
_SIZES = {3000: (100, 7, 1), 300_000: (5000,)}


def streamed(model, X: np.ndarray, size: int):
    """Return the model after one pass over the rows, and the seconds that it took."""
    began = time.perf_counter()
    for first in range(0, len(X), size):
        model.partial_fit(X[first : first + size])
    return model, time.perf_counter() - began


def measure(n: int, size: int, seed: int) -> list[float]:
    """Return errors of ours, of incremental PCA, and of a fit to all rows, and the seconds of each."""
    X, _, components = make_sinusoid_mixtures(n, noise=0.01 * (n > 3000), random_state=seed)
    ours, seconds = streamed(AutoencoderDecomposer(random_state=0), X, size)
    pca, its_seconds = streamed(IncrementalPCA(2), X, max(size, 2))
    began = time.perf_counter()
    whole = AutoencoderDecomposer(random_state=0).fit(X)
    errors = [worst_relative_error(components, each.components_) for each in (ours, pca, whole)]
    return [*errors, seconds, its_seconds, time.perf_counter() - began]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="2 data seeds instead of 5, and no large streams"
    )
    options = parser.parse_args(arguments)
    seeds, missed = range(100, 102 if options.quick else 105), False
    print(
        "| rows | at once | ours | IncrementalPCA | fit to all rows | seconds: ours | IncrementalPCA | fit |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for n, sizes in _SIZES.items():
        for size in sizes if n == 3000 or not options.quick else ():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row = np.mean([measure(n, size, seed) for seed in seeds], axis=0)
            print(f"| {n} | {size} | " + " | ".join(f"{value:.2g}" for value in row) + " |")
            missed |= row[0] > _LARGEST_ERROR
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
