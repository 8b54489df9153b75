"""Overcomplete dictionaries: ours beside DictionaryLearning and MiniBatchDictionaryLearning, in one run.

Rivals learn by coordinate descent with each alpha of {0.05, 0.1, 0.2, 0.4}, and the one that does best by the
truth is shown, in their favour. Ours is told neither sparsity nor noise.

    python -m benchmarks.dictionaries [--seeds N] [--first-seed S] [--only NAME ...] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import DictionaryLearning, MiniBatchDictionaryLearning

from benchmarks.report import figure, machine, table
from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_feature_mixtures, make_sparse_combinations
from sparse_fourier.metrics import atom_hit_rate, mean_max_cosine

ALPHAS = (0.05, 0.1, 0.2, 0.4)
NOISES = (None, 30, 20, 10)


@dataclass(frozen=True)
class Found:
    """What a method found: a score, higher is better, and the seconds that it took."""

    score: float
    seconds: float
    remark: str = ""


def timed(make):
    """Return what a function makes, and the seconds that it took."""
    began = time.perf_counter()
    made = make()
    return made, time.perf_counter() - began


def ours(X, k, score, prior="laplace", **parameters):
    """Fit ours, and judge its components."""
    model, seconds = timed(lambda: AutoencoderDecomposer(k, prior=prior, random_state=0, **parameters).fit(X))
    return Found(score(model.components_), seconds), model


def best_rival(kind, X, k, score, **parameters):
    """Fit a rival with every alpha, and return the best by its score."""
    found = []
    for alpha in ALPHAS:
        model = kind(k, alpha=alpha, fit_algorithm="cd", random_state=0, **parameters)
        _, seconds = timed(lambda model=model: model.fit(X))
        found.append(Found(score(model.components_), seconds, f"alpha {alpha}"))
    return max(found, key=lambda each: each.score)


def recovery(seeds, with_slow_rival):
    """The experiment of Aharon, Elad and Bruckstein: atoms found of 50, mean and least over the seeds."""
    for decibels in NOISES:
        results = {}
        for seed in seeds:
            X, _, atoms = make_sparse_combinations(snr_db=decibels, random_state=seed)

            def hits(found, atoms=atoms):
                return 50 * atom_hit_rate(atoms, found)

            results.setdefault("ours", []).append(ours(X, 50, hits)[0])
            results.setdefault("mini-batch", []).append(
                best_rival(MiniBatchDictionaryLearning, X, 50, hits, max_iter=80)
            )
            if with_slow_rival:
                results.setdefault("DictionaryLearning", []).append(
                    best_rival(DictionaryLearning, X, 50, hits, max_iter=80)
                )
        name = "no noise" if decibels is None else f"{decibels} dB"
        for method, found in results.items():
            scores = [each.score for each in found]
            seconds = np.mean([each.seconds for each in found])
            yield [f"20 x 50, {name}", method, figure(np.mean(scores)), f"least {min(scores):g}", seconds]


def many_atoms(seeds, _):
    """256 atoms in 64 dimensions, five active, 20 dB: atoms found, also within half of the rival's time."""
    for seed in seeds:
        X, _, atoms = make_sparse_combinations(20_000, 64, 256, n_active=5, snr_db=20, random_state=seed)

        def hits(found, atoms=atoms):
            return 256 * atom_hit_rate(atoms, found)

        rival = best_rival(MiniBatchDictionaryLearning, X, 256, hits)
        whole, _ = ours(X, 256, hits)
        half = 0.5 * rival.seconds
        early, _ = ours(X, 256, hits, callback=lambda info, half=half: info.elapsed >= 0.9 * half)
        name = f"64 x 256, 20 dB, seed {seed}"
        yield [name, "ours", figure(whole.score), "", whole.seconds]
        yield [name, "ours, stopped early", figure(early.score), f"half is {half:.2g} s", early.seconds]
        yield [name, "mini-batch", figure(rival.score), rival.remark, rival.seconds]


def superposition(seeds, _):
    """128 non-negative features of falling frequency in 64 dimensions: mean maximal cosine."""
    for correlation in (0.0, 0.3):
        for seed in seeds:
            X, _, atoms = make_feature_mixtures(correlation=correlation, random_state=seed)

            def closeness(found, atoms=atoms):
                return mean_max_cosine(atoms, found)

            rival = best_rival(
                MiniBatchDictionaryLearning,
                X,
                128,
                closeness,
                positive_code=True,
                transform_algorithm="lasso_cd",
            )
            found, _ = ours(X, 128, closeness, prior="exponential")
            name = f"64 x 128 features, correlation {correlation}, seed {seed}"
            yield [name, "ours", f"{found.score:.4f}", "", found.seconds]
            yield [name, "mini-batch", f"{rival.score:.4f}", rival.remark, rival.seconds]


EXPERIMENTS = {"recovery": recovery, "many": many_atoms, "superposition": superposition}


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="data seeds of the small experiment")
    parser.add_argument("--large-seeds", type=int, default=1, help="data seeds of the others")
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--quick", action="store_true", help="2 data seeds, without DictionaryLearning")
    options = parser.parse_args(arguments)
    counts = {name: options.large_seeds for name in EXPERIMENTS}
    counts["recovery"] = 2 if options.quick else options.seeds
    print(machine())
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in options.only:
            seeds = range(options.first_seed, options.first_seed + counts[name])
            for *cells, seconds in EXPERIMENTS[name](seeds, not options.quick):
                rows.append([*cells, figure(seconds)])
                print("  ".join(map(str, rows[-1])), file=sys.stderr, flush=True)
    print(table(["experiment", "method", "score", "", "seconds"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
