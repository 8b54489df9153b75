"""The recipe for arrays of Dask, on a cluster of two local processes; where Dask is installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

RECIPE = """
import json

import dask
import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from sparse_fourier import AutoencoderDecomposer

SINES = np.sin(np.outer([1, 2], np.linspace(0, 2 * np.pi, 30)))


def block(seed):
    rng = np.random.RandomState(seed)
    return rng.uniform(size=(2000, 2)) @ SINES + 0.05 * rng.standard_normal((2000, 30))


def model():
    return AutoencoderDecomposer(2, prior="uniform", random_state=0)


def main():
    where = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**where) as cluster, Client(cluster) as client:
        parts = [da.from_delayed(dask.delayed(block)(seed), (2000, 30), float) for seed in range(6)]
        X = da.concatenate(parts)
        spread = model()
        for part in X.blocks.ravel():
            spread.partial_fit(part.compute())
        fitted = client.scatter(spread, broadcast=True)
        sent = [client.submit(lambda m, rows: m.transform(rows), fitted, block(s)) for s in range(2)]
        codes = client.gather(sent)
    alone = model()
    for seed in range(6):
        alone.partial_fit(block(seed))
    apart = np.abs(spread.components_ - alone.components_).max()
    codes_apart = max(np.abs(codes[s] - alone.transform(block(s))).max() for s in range(2))
    error = min(np.abs(np.abs(spread.components_) - np.abs(SINES[order])).max() for order in ([0, 1], [1, 0]))
    print(json.dumps([float(apart), float(codes_apart), float(error)]))


if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_blocks_of_a_cluster_are_batches(tmp_path):
    pytest.importorskip("dask.array")
    pytest.importorskip("distributed")
    script = tmp_path / "recipe.py"
    script.write_text(RECIPE)
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    apart, codes_apart, error = json.loads(ended.stdout.splitlines()[-1])
    assert apart == 0
    assert codes_apart < 1e-12
    assert error < 0.03
