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
from sklearn.datasets import load_sample_images
from sklearn.decomposition import DictionaryLearning, MiniBatchDictionaryLearning, sparse_encode
from sklearn.feature_extraction.image import extract_patches_2d

from benchmarks.report import figure, machine, table
from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.activations import TopK
from sparse_fourier.datasets import make_feature_mixtures, make_sparse_combinations
from sparse_fourier.metrics import (
    active_codes,
    alive_fraction,
    atom_hit_rate,
    explained_variance,
    mean_max_cosine,
)

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
    began = time.process_time()
    made = make()
    return made, time.process_time() - began


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
        early, _ = ours(X, 256, hits, callback=lambda info, half=half: info.elapsed >= 0.4 * half)
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


def wide(seeds, _, n_samples=20_000, n_features=128, n_components=512, n_active=6):
    """Many features in many dimensions, in single precision, in batches of a stream; no rival."""
    for seed in seeds:
        features = make_feature_mixtures(
            1, n_features, n_components, n_active=n_active, decay=0.999, random_state=seed
        )[2]
        model = AutoencoderDecomposer(n_components, prior="exponential", random_state=0)
        seconds = 0.0
        for batch in range(4):
            X, _, _ = make_feature_mixtures(
                n_samples // 4,
                n_active=n_active,
                decay=0.999,
                snr_db=20,
                components=features,
                random_state=1000 * seed + batch,
            )
            X = X.astype(np.float32)
            seconds += timed(lambda model=model, X=X: model.partial_fit(X))[1]
        codes = model.transform(X[:2000])
        score = mean_max_cosine(features, model.components_, signed=True)
        remark = f"alive {alive_fraction(codes):.3f}, active {active_codes(codes):.1f}"
        yield [
            f"{n_features} x {n_components}, {n_samples} streamed",
            "ours",
            f"{score:.4f}",
            remark,
            seconds,
        ]


def patches(count=20_000):
    """8 x 8 patches of scikit-learn's two photos, grey, each less its mean, in a fixed order."""
    photos = [image.mean(axis=2) / 255 for image in load_sample_images().images]
    cut = [extract_patches_2d(photo, (8, 8), max_patches=count // 2, random_state=0) for photo in photos]
    X = np.concatenate(cut).reshape(-1, 64)
    return np.random.RandomState(0).permutation(X - X.mean(axis=1, keepdims=True))


def photos(seeds, _):
    """Patches of photos, 256 atoms, eight active: variance of unseen patches explained."""
    X = patches()
    seen, held_out = X[:16_000], X[16_000:]
    omp = {"transform_algorithm": "omp", "transform_n_nonzero_coefs": 8}

    def share(found):
        codes = sparse_encode(held_out, found, algorithm="omp", n_nonzero_coefs=8)
        return explained_variance(held_out, codes @ found)

    for _ in seeds:
        found, model = ours(seen, 256, share, activation=TopK(8), fit_intercept=False)
        own = explained_variance(held_out, model.inverse_transform(model.transform(held_out)))
        rival = best_rival(MiniBatchDictionaryLearning, seen, 256, share, **omp)
        yield [
            "patches of photos",
            "ours",
            f"{own:.4f}",
            f"by its rival's codes {found.score:.4f}",
            found.seconds,
        ]
        yield ["patches of photos", "mini-batch", f"{rival.score:.4f}", rival.remark, rival.seconds]


EXPERIMENTS = {
    "recovery": recovery,
    "many": many_atoms,
    "superposition": superposition,
    "wide": wide,
    "photos": photos,
}


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
