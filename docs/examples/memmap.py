"""
Signals that stay on disk
=========================

A file of signals need not be loaded: ``fit`` reads it a block of rows at a time, and ``partial_fit`` takes
signals as they come, and ends where a fit in memory does, but for the signals that still wait.
"""

# %%
# A file of signals
# -----------------
#
# Thirty thousand mixtures of three waveforms, 300 samples each, with noise: 36 MB in single precision. The
# file could be a thousand times larger: what is kept in memory are the codes, 300 by 300 moments, and one
# block.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.plotting import ComponentsDisplay

n, d = 30_000, 300
times = np.linspace(0, 1, d)
waves = np.stack(
    [
        np.sin(2 * np.pi * 3 * times),
        np.exp(-4 * times),
        np.exp(-0.5 * ((times - 0.6) / 0.08) ** 2),
    ]
)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "signals.npy"
file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
rng = np.random.default_rng(0)
for start in range(0, n, 5000):
    codes = rng.uniform(size=(5000, 3))
    file[start : start + 5000] = codes @ waves + 0.1 * rng.standard_normal((5000, d))
del file
f"{path.stat().st_size / 1e6:.0f} MB"

# %%
# Fitted without being loaded
# ---------------------------
signals = np.load(path, mmap_mode="r")
model = AutoencoderDecomposer(3, random_state=0).fit(signals)
model.summary()

# %%
# As signals come
# ---------------
#
# The same file as a stream of batches that double in size, and the error of the worst component after each.
stream = AutoencoderDecomposer(3, prior="uniform", random_state=0)
seen, errors = [], []
ends = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]
for start, end in zip([0, *ends], ends, strict=False):
    stream.partial_fit(signals[start:end])
    seen.append(end)
    errors.append(worst_relative_error(waves, stream.components_))
figure = plt.figure(figsize=(10, 3.4), layout="constrained")
left, right = figure.subplots(1, 2)
ComponentsDisplay.from_estimator(model, truth=waves, positions=times, ax=left, xlabel="seconds")
left.set_title("fit of the file", fontsize="medium")
right.loglog(seen, errors, "o-", color="#0072B2", label="partial_fit, signals so far")
right.axhline(
    worst_relative_error(waves, model.components_),
    color="#D55E00",
    linestyle="--",
    label="fit of the file",
)
right.set(xlabel="signals that have come", ylabel="error of the worst component")
right.legend(fontsize="small")
plt.show()
del signals
folder.cleanup()
