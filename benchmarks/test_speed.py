"""Timings for ``pytest benchmarks --benchmark-only``; quality stands in ``extra_info`` beside every time."""

from functools import partial
from itertools import count

import numpy as np
import pytest
from sklearn.decomposition import PCA

from benchmarks import methods, problems, speed
from benchmarks.rivals import RIVALS
from sparse_fourier import AutoencoderDecomposer

ENTRANTS = {"ours": methods.ours} | RIVALS
LARGE = ("ours", "PCA", "FastICA")
MODELS = {"ours": AutoencoderDecomposer, "PCA": partial(PCA, n_components=2)}
COLD = {"ours": speed.OURS_COLD, "FastICA": speed.FASTICA_COLD}


def bench_fits(benchmark, draw, method, rounds):
    """Time fits of new data in every round, after one untimed fit, and record the median matched error."""
    seeds = count()
    errors = []

    def fit(sample):
        errors.append(speed.timed(method, sample)[1])

    benchmark.pedantic(fit, setup=lambda: ((draw(next(seeds)),), {}), rounds=rounds, warmup_rounds=1)
    benchmark.extra_info["matched_error"] = float(np.median(errors))
    benchmark.extra_info["failures"] = int(np.sum(np.isinf(errors)))


@pytest.mark.benchmark(group="cold: import and fit the seed in a fresh process")
@pytest.mark.parametrize("name", COLD)
def test_cold(benchmark, name):
    benchmark.pedantic(speed.fresh_process, args=(COLD[name],), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="warm: fit the seed, n=300")
@pytest.mark.parametrize("name", ENTRANTS)
def test_warm_small(benchmark, name):
    bench_fits(benchmark, partial(problems.seed_signals, n=300), ENTRANTS[name], rounds=10)


@pytest.mark.benchmark(group="warm: fit the seed, n=3000, noise 0.05")
@pytest.mark.parametrize("name", ENTRANTS)
def test_warm_medium(benchmark, name):
    draw = partial(problems.seed_signals, n=3000, noise=0.05)
    bench_fits(benchmark, draw, ENTRANTS[name], rounds=10)


@pytest.mark.benchmark(group="large: n=100000, d=200, k=10, float32")
@pytest.mark.parametrize("name", LARGE)
def test_large(benchmark, name):
    bench_fits(benchmark, speed.large_sample, ENTRANTS[name], rounds=3)


@pytest.mark.benchmark(group="transform")
@pytest.mark.parametrize("n", [1, 100, 100_000])
@pytest.mark.parametrize("name", MODELS)
def test_transform(benchmark, name, n):
    X = problems.seed_signals(0, n=100_000, noise=0.05).X
    model = MODELS[name]().fit(X[:3000])
    codes = benchmark(model.transform, X[:n])
    residual = X[:n] - model.inverse_transform(codes)
    benchmark.extra_info["rms_residual"] = float(np.sqrt(np.mean(residual**2)))
