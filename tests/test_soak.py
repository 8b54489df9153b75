"""Many small fits in a row: nothing grows, and nothing that comes out is not a number."""

import gc
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer

MOST_FITS, MOST_SECONDS, WARM_UP = 2000, 60.0, 0.2
PRIORS = ["auto", "uniform", "laplace", "exponential", "simplex", "gaussian", "learned", None]


def resident():
    """Return the memory that this process occupies, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def one_fit(rng):
    """Fit signals of a random kind, use the model, and return the processor time of the fit."""
    n, d = int(rng.randint(5, 200)), int(rng.randint(1, 20))
    k = int(rng.randint(1, min(n, d, 4) + 1))
    codes = [rng.uniform, rng.laplace, rng.exponential][rng.randint(3)](size=(n, k))
    X = codes @ rng.standard_normal((k, d)) + rng.choice([0.0, 0.1]) * rng.standard_normal((n, d))
    X = (X * 10.0 ** rng.randint(-20, 20)).astype(rng.choice([np.float32, np.float64]))
    prior = PRIORS[rng.randint(len(PRIORS))]
    model = AutoencoderDecomposer(k, prior=prior, max_iter=100, random_state=0)
    began = time.process_time()
    (model.fit if rng.uniform() < 0.8 else model.partial_fit)(X)
    taken = time.process_time() - began
    parts = [value for name, value in vars(model).items() if name.endswith("_") and not name.startswith("_")]
    numbers = [np.asarray(part) for part in parts if isinstance(part, float | np.ndarray)]
    numbers += [model.transform(X), model.score_samples(X)]
    assert all(np.isfinite(part).all() for part in numbers if part.dtype.kind == "f"), (prior, n, d, k)
    return taken


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux tells it")
def test_many_small_fits(compiled):
    rng, began, times, before = np.random.RandomState(0), time.monotonic(), [], None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(MOST_FITS):
            times.append(one_fit(rng))
            passed = (time.monotonic() - began) / MOST_SECONDS
            if passed > 1:
                break
            if before is None and (len(times) >= WARM_UP * MOST_FITS or passed > WARM_UP):
                gc.collect()
                before = resident()
    gc.collect()
    assert len(times) >= 50
    assert before is not None
    assert resident() - before < 64
    quarter = len(times) // 4
    assert np.median(times[-quarter:]) < 3 * np.median(times[:quarter])
    assert len(compiled) <= 64
