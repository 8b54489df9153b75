"""Large fits for ``pytest benchmarks --benchmark-only``, errors in ``extra_info``; checks of the tables."""

import numpy as np
import pytest
from sklearn.decomposition import PCA, FastICA

from benchmarks import scale
from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.metrics import worst_relative_error

FITS = {
    "uniform": lambda k: AutoencoderDecomposer(k, prior="uniform", random_state=0),
    "learned": lambda k: AutoencoderDecomposer(k, prior="learned", random_state=0),
    "PCA": lambda k: PCA(k, svd_solver="covariance_eigh"),
    "FastICA": lambda k: FastICA(k, whiten="unit-variance", random_state=0),
}


@pytest.mark.benchmark(group="n=100000, d=200, k=10, float32")
@pytest.mark.parametrize("name", FITS)
def test_fit(benchmark, name):
    X, components = scale.sample(100_000, 200, 10)
    model = FITS[name](10)
    benchmark.pedantic(model.fit, args=(X,), rounds=3, warmup_rounds=1)
    benchmark.extra_info["matched_error"] = worst_relative_error(components, model.components_)


@pytest.mark.benchmark(group="memory of a process that fits n=50000, d=200, float32, in extra_info")
@pytest.mark.parametrize("form", ["file", "array"])
def test_memory(benchmark, form, tmp_path):
    path, shape, grown = tmp_path / "X", (50_000, 200), []
    X = np.memmap(path, dtype=np.float32, mode="w+", shape=shape)
    X[:] = scale.sample(*shape, 8)[0]
    X.flush()
    data = f"\nX = np.memmap({str(path)!r}, dtype=np.float32, mode='r', shape={shape})\n"
    data += "X = np.array(X)\n" if form == "array" else ""
    benchmark.pedantic(lambda: grown.append(scale.growth_of(data)[0]), rounds=1)
    benchmark.extra_info["MiB_of_signals"] = X.nbytes / 2**20
    benchmark.extra_info["MiB_beside_them"] = grown[0]


def test_samples_are_mixtures_with_noise():
    X, components = scale.sample(20_000, 30, 3)
    assert X.dtype == np.float32
    left = X - X @ np.linalg.pinv(components) @ components
    assert np.sqrt((left**2).sum() / 20_000 / 27) == pytest.approx(scale.NOISE, rel=0.02)


def test_memory_of_a_process_is_measured():
    grown, taken = scale.growth_of("\nX = np.random.default_rng(0).random((2000, 20))\n")
    assert 0 < grown < 500
    assert taken > 0
