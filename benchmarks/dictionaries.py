"""Overcomplete dictionaries: ours beside DictionaryLearning and MiniBatchDictionaryLearning, in one run.

Rivals learn by coordinate descent with each alpha of {0.05, 0.1, 0.2, 0.4}, and the one that does best by
the truth is shown, in their favour. Ours is told neither sparsity nor noise, but in the rows of networks, of
4096 features and of photos. All times are processor times of one thread.

The whole takes about two hours, so it runs in pieces: a file in the folder keeps what each found, and the
table shows all that is in it. A fit that --limit cuts off goes on from its checkpoint in the next run.

    python -m benchmarks.dictionaries [--only NAME ...] [--methods NAME ...] [--seeds N] [--first-seed S]
        [--noises DB ...] [--limit SECONDS] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

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
NOISES = ("none", "30", "20", "10")
OURS, MINI_BATCH, FULL = "ours", "mini-batch", "DictionaryLearning"
KINDS = {MINI_BATCH: MiniBatchDictionaryLearning, FULL: DictionaryLearning}
ITERATIONS = {MINI_BATCH: {"max_iter": 300, "max_no_improvement": None}, FULL: {"max_iter": 80}}


@dataclass(frozen=True)
class Found:
    """What a method found in one set of signals: a score, higher is better, and the seconds that it took."""

    experiment: str
    method: str
    seed: int
    score: float
    seconds: float
    remark: str = ""


@dataclass(frozen=True)
class Piece:
    """What is to be run: seeds, methods and noises, for how long, and where files go."""

    seeds: range
    methods: tuple[str, ...]
    noises: tuple[str, ...]
    limit: float
    folder: Path


class OutOfTimeError(Exception):
    """The piece has run as long as it may; a checkpoint has the rest."""


def timed(make):
    """Return what a function makes, and the seconds that it took."""
    began = time.process_time()
    made = make()
    return made, time.process_time() - began


def fitted(X, k, prior="laplace", **parameters):
    """Return ours, fitted, and the seconds that it took."""
    return timed(lambda: AutoencoderDecomposer(k, prior=prior, random_state=0, **parameters).fit(X))


def fitted_within(budget, X, k, **parameters):
    """Return ours, stopped early enough to be done in so many seconds, and the seconds that it took."""
    began = time.process_time()

    def stop(info):
        return time.process_time() - began >= 0.3 * budget

    return fitted(X, k, callback=stop, **parameters)


def rivals(kind, X, k, **parameters):
    """Yield a rival fitted with every alpha, the seconds that it took, and a remark."""
    for alpha in ALPHAS:
        rival = KINDS[kind](
            k, alpha=alpha, fit_algorithm="cd", random_state=0, **ITERATIONS[kind], **parameters
        )
        yield *timed(lambda rival=rival: rival.fit(X)), f"alpha {alpha}"


def best_of(kind, X, k, score, experiment, seed, **parameters):
    """Return what the best alpha of a rival finds, by its score."""
    found = [
        Found(experiment, kind, seed, score(model), seconds, remark)
        for model, seconds, remark in rivals(kind, X, k, **parameters)
    ]
    return max(found, key=lambda each: each.score)


def recovery(piece):
    """The experiment of Aharon, Elad and Bruckstein: atoms found of 50."""
    for noise in piece.noises:
        name = f"20 x 50, {noise} dB" if noise != "none" else "20 x 50, no noise"
        for seed in piece.seeds:
            decibels = None if noise == "none" else float(noise)
            X, _, atoms = make_sparse_combinations(snr_db=decibels, random_state=seed)

            def hits(model, atoms=atoms):
                return 50 * atom_hit_rate(atoms, model.components_)

            if OURS in piece.methods:
                model, seconds = fitted(X, 50)
                yield Found(name, OURS, seed, hits(model), seconds)
            for kind in KINDS:
                if kind in piece.methods:
                    yield best_of(kind, X, 50, hits, name, seed)


def many_atoms(piece):
    """256 atoms in 64 dimensions, five active, 20 dB: atoms found, also within half of the rival's time."""
    name = "64 x 256, 20 dB"
    for seed in piece.seeds:
        X, _, atoms = make_sparse_combinations(20_000, 64, 256, n_active=5, snr_db=20, random_state=seed)

        def hits(model, atoms=atoms):
            return 256 * atom_hit_rate(atoms, model.components_)

        model, seconds = fitted(X, 256)
        yield Found(name, OURS, seed, hits(model), seconds)
        if MINI_BATCH not in piece.methods:
            continue
        rival = best_of(MINI_BATCH, X, 256, hits, name, seed)
        yield rival
        half = 0.5 * rival.seconds
        model, seconds = fitted_within(half, X, 256)
        yield Found(
            name, "ours, stopped early", seed, hits(model), seconds, f"half of the rival is {half:.2g} s"
        )


def superposition(piece):
    """128 non-negative features of falling frequency in 64 dimensions: mean maximal cosine."""
    for correlation in (0.0, 0.3):
        name = f"64 x 128 features, correlation {correlation}"
        for seed in piece.seeds:
            X, _, atoms = make_feature_mixtures(correlation=correlation, random_state=seed)

            def closeness(model, atoms=atoms):
                return mean_max_cosine(atoms, model.components_)

            if OURS in piece.methods:
                model, seconds = fitted(X, 128, prior="exponential")
                yield Found(name, OURS, seed, closeness(model), seconds)
            if MINI_BATCH in piece.methods:
                positive = {"positive_code": True, "transform_algorithm": "lasso_cd"}
                yield best_of(MINI_BATCH, X, 128, closeness, name, seed, **positive)


def streamed(path, n_samples, features, batch=20_000, **parameters):
    """Return signals in a file that is mapped into memory, written there a batch at a time."""
    if not path.exists():
        part = path.with_suffix(".part")
        shape = n_samples, features.shape[1]
        file = np.lib.format.open_memmap(part, "w+", np.float32, shape)
        for number, first in enumerate(range(0, n_samples, batch)):
            size = min(batch, n_samples - first)
            drawn = make_feature_mixtures(size, components=features, random_state=1 + number, **parameters)
            file[first : first + size] = drawn[0]
        file.flush()
        part.rename(path)
    return np.load(path, mmap_mode="r")


def two_million(piece):
    """Superposition from a file of two million signals, and from batches of 20000 by partial_fit."""
    name, n_samples = "64 x 128 features, 2000000 streamed", 2_000_000
    features = make_feature_mixtures(1, random_state=0)[2]
    X = streamed(piece.folder / "two_million.npy", n_samples, features)
    before = memory()
    if OURS in piece.methods:
        model, seconds = fitted(X, 128, prior="exponential")
        yield Found(name, OURS, 0, mean_max_cosine(features, model.components_), seconds, grown(before))
    if "partial_fit" in piece.methods:
        model = AutoencoderDecomposer(128, prior="exponential", random_state=0)
        _, seconds = timed(lambda: in_batches(model, X, 20_000))
        yield Found(name, "ours, partial_fit", 0, mean_max_cosine(features, model.components_), seconds)
    if MINI_BATCH in piece.methods:
        rivals = []
        for alpha in ALPHAS:
            rival = MiniBatchDictionaryLearning(
                128, alpha=alpha, fit_algorithm="cd", positive_code=True, batch_size=256, random_state=0
            )
            _, seconds = timed(lambda rival=rival: in_batches(rival, X[: n_samples // 10], 256))
            closeness = mean_max_cosine(features, rival.components_)
            rivals.append(Found(name, MINI_BATCH, 0, closeness, seconds, f"alpha {alpha}, a tenth of them"))
        yield max(rivals, key=lambda each: each.score)


def in_batches(model, X, size):
    """Have a model learn from batches, one after another."""
    for first in range(0, len(X), size):
        model.partial_fit(X[first : first + size])


def memory():
    """Return the most memory that this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def grown(before):
    return f"{memory() - before:.0f} MiB"


def middle(piece):
    """512 features in 128 dimensions, six active: by search, and by networks; 40000 signals."""
    name = "128 x 512 features, 6 active"
    methods = {
        OURS: {},
        "ours, affine encoder": {"encoder": "affine"},
        "ours, hidden layer": {"hidden_layer_sizes": (512,)},
    }
    for seed in piece.seeds:
        X, _, features = make_feature_mixtures(
            40_000, 128, 512, n_active=6, decay=0.999, snr_db=20, random_state=seed
        )
        X = X.astype(np.float32)
        for method, parameters in methods.items():
            if method in piece.methods or "networks" in piece.methods:
                model, seconds = fitted(X, 512, prior="exponential", activation=TopK(6), **parameters)
                yield judged(name, method, seed, model, features, X[:4000], seconds)
        if "networks" in piece.methods:
            components, share, seconds = sparse_autoencoder(X, 512, 6)
            score = mean_max_cosine(features, components, signed=True)
            yield Found(
                name, "Adam from random signals, 40 epochs", seed, score, seconds, f"explained {share:.3f}"
            )


def sparse_autoencoder(X, k, n_active, epochs=40, size=512, rate=5e-3):
    """Train a top-k autoencoder as is usually done, by Adam from signals; return what it came to."""
    import jax
    import jax.numpy as jnp
    import optax

    rng, centre = np.random.RandomState(0), X.mean(axis=0)
    scale = float(np.sqrt(((X - centre) ** 2).mean()))
    Z = (X - centre) / scale
    rows = Z[rng.permutation(len(Z))[:k]]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    steps = len(Z) // size
    optimizer = optax.adam(optax.linear_schedule(rate, 0.0, epochs * steps))

    def unit(rows):
        return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)

    def rebuilt(model, x):
        inputs = (x - model["b"]) @ model["encoder"] + model["c"]
        least = jax.lax.top_k(inputs, n_active)[0][:, -1:]
        return jnp.where(inputs >= least, jnp.maximum(inputs, 0.0), 0.0) @ unit(model["rows"]) + model["b"]

    def error(model, x):
        return ((x - rebuilt(model, x)) ** 2).mean()

    @jax.jit
    def epoch(model, state, batches):
        def step(carry, x):
            gradient = jax.grad(error)(carry[0], x)
            updates, state = optimizer.update(gradient, carry[1])
            return (optax.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(step, (model, state), batches)[0]

    model = {"rows": rows, "encoder": rows.T, "b": np.zeros(len(centre)), "c": np.zeros(k)}
    model = {name: jnp.asarray(part, dtype=jnp.float32) for name, part in model.items()}
    state, began = optimizer.init(model), time.process_time()
    for _ in range(epochs):
        order = rng.permutation(len(Z))[: steps * size].reshape(steps, size)
        model, state = epoch(model, state, Z[order])
    components = np.asarray(unit(model["rows"]))
    seconds = time.process_time() - began
    return components, explained_variance(Z[:4000], np.asarray(rebuilt(model, Z[:4000]))), seconds


def judged(name, method, seed, model, features, X, seconds, remark=""):
    """Return how close components are to features, and what their codes are like."""
    codes = model.transform(X)
    share = explained_variance(X, model.inverse_transform(codes))
    remark += f"explained {share:.3f}, alive {alive_fraction(codes):.3f}, active {active_codes(codes):.1f}"
    score = mean_max_cosine(features, model.components_, signed=True)
    return Found(name, method, seed, score, seconds, remark)


def wide(piece):
    """4096 features in 768 dimensions, 20 active, from a file of 200000 signals; no rival."""
    name, n_active = "768 x 4096 features, 200000 streamed", 20
    frequencies = {"n_active": n_active, "decay": 0.9995}
    features = make_feature_mixtures(1, 768, 4096, random_state=0, **frequencies)[2]
    X = streamed(piece.folder / "wide.npy", 200_000, features, batch=4000, snr_db=20, **frequencies)
    some = np.array(X[:20_000])
    given = {"prior": "exponential", "activation": TopK(n_active)}
    before = memory()
    if OURS in piece.methods:
        model, seconds = continued(X, piece, "wide", 4096, **given)
        yield judged(name, OURS, 0, model, features, some, seconds, f"{grown(before)}, ")
        np.save(piece.folder / "wide_components.npy", model.components_)
    if "networks" in piece.methods:
        init = np.load(piece.folder / "wide_components.npy")
        given |= {"encoder": "affine", "init": init}
        model, seconds = continued(X, piece, "wide_network", 4096, **given)
        yield judged(
            name, "ours, affine encoder, from that", 0, model, features, some, seconds, f"{grown(before)}, "
        )


def continued(X, piece, name, k, **parameters):
    """Return a model fitted in as many runs as it takes, and the seconds that all of them took."""
    spent, began = piece.folder / f"{name}.seconds", time.process_time()
    before = float(spent.read_text()) if spent.exists() else 0.0

    def told(info):
        if time.process_time() - began > piece.limit:
            raise OutOfTimeError

    try:
        file = piece.folder / f"{name}.checkpoint"
        model, _ = fitted(X, k, checkpoint=file, callback=told, **parameters)
    finally:
        seconds = before + time.process_time() - began
        spent.write_text(str(seconds))
    return model, seconds


def patches(count=20_000):
    """8 x 8 patches of scikit-learn's two photos, grey, each less its mean, in a fixed order."""
    photos = [image.mean(axis=2) / 255 for image in load_sample_images().images]
    cut = [extract_patches_2d(photo, (8, 8), max_patches=count // 2, random_state=0) for photo in photos]
    X = np.concatenate(cut).reshape(-1, 64)
    return np.random.RandomState(0).permutation(X - X.mean(axis=1, keepdims=True))


def photos(piece):
    """Patches of photos, 256 atoms, eight active: variance of unseen patches explained."""
    X = patches()
    seen, held_out = X[:16_000], X[16_000:]
    name, given = "patches of photos", {"activation": TopK(8), "fit_intercept": False}

    def share(model):
        codes = sparse_encode(held_out, model.components_, algorithm="omp", n_nonzero_coefs=8)
        return explained_variance(held_out, codes @ model.components_)

    def own(model):
        return explained_variance(held_out, model.inverse_transform(model.transform(held_out)))

    if OURS in piece.methods:
        model, seconds = fitted(seen, 256, **given)
        yield Found(name, OURS, 0, own(model), seconds, f"by its rival's codes {share(model):.4f}")
    if MINI_BATCH in piece.methods:
        rival = best_of(MINI_BATCH, seen, 256, share, name, 0)
        yield rival
        model, seconds = fitted_within(rival.seconds, seen, 256, **given)
        yield Found(name, "ours, stopped early", 0, own(model), seconds, "within the rival's time")


EXPERIMENTS = {
    "recovery": recovery,
    "many": many_atoms,
    "superposition": superposition,
    "two_million": two_million,
    "middle": middle,
    "wide": wide,
    "photos": photos,
}
METHODS = (OURS, MINI_BATCH, FULL, "networks", "partial_fit")


def summary(found):
    """Return a row of the table: means over the seeds, and the least score."""
    scores, seconds = [each.score for each in found], [each.seconds for each in found]
    remarks = sorted({each.remark for each in found} - {""})
    least = f"least {min(scores):.4g} of {len(found)}" if len(found) > 1 else ""
    remark = ", ".join([part for part in (least, *remarks[:1]) if part]) if len(remarks) < 2 else least
    return [found[0].experiment, found[0].method, f"{np.mean(scores):.4g}", remark, figure(np.mean(seconds))]


def collected(lines):
    """Return what was found, by experiment and method, the last of each seed."""
    found = {}
    for line in lines:
        each = Found(**json.loads(line))
        found.setdefault((each.experiment, each.method), {})[each.seed] = each
    return [list(seeds.values()) for seeds in found.values()]


def main(arguments: list[str] | None = None) -> int:
    """Run a piece, and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="data seeds, as far as there are several")
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--only", nargs="*", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--noises", nargs="+", choices=NOISES, default=NOISES, help="of the first experiment")
    parser.add_argument("--limit", type=float, default=np.inf, help="seconds after which a long fit pauses")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "dictionaries")
    options = parser.parse_args(arguments)
    options.folder.mkdir(exist_ok=True)
    results = options.folder / "results.jsonl"
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    piece = Piece(seeds, tuple(options.methods), tuple(options.noises), options.limit, options.folder)
    with warnings.catch_warnings(), results.open("a") as file:
        warnings.simplefilter("ignore")
        for name in options.only:
            try:
                for found in EXPERIMENTS[name](piece):
                    print(json.dumps(asdict(found)), file=file, flush=True)
                    print(*asdict(found).values(), sep="  ", file=sys.stderr, flush=True)
            except OutOfTimeError:
                print(f"{name} pauses; run it again to go on.", file=sys.stderr)
    print(machine())
    rows = [summary(found) for found in collected(results.read_text().splitlines())]
    print(table(["experiment", "method", "score", "", "seconds"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
