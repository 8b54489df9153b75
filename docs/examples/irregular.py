"""
Irregular sampling and gaps: frequencies on any grid
====================================================

Tones that are recorded at irregular times, a third of the entries missing: no Fourier transform applies,
and two of the frequencies are closer than one over the length of the record. ``basis="fourier"`` learns
frequencies, amplitudes and phases from what was observed.
"""

# %%
# Two hundred records of three tones
# ----------------------------------
#
# Sixty times in ten seconds, 30 dB, and gaps as they come: a dropout in every record beside entries lost
# singly.
import matplotlib.pyplot as plt
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Fourier
from sparse_fourier.plotting import ReconstructionDisplay, SpectrumDisplay

rng = np.random.default_rng(0)
times = np.sort(rng.uniform(0, 10, 60))
true = np.array([0.31, 0.37, 1.02])
waves = np.sin(2 * np.pi * true[:, None] * times + np.array([[0.3], [1.2], [-0.5]]))
signals = rng.laplace(size=(200, 3)) @ waves
signals += np.sqrt(np.mean(signals**2) / 1000) * rng.standard_normal(signals.shape)
observed = signals.copy()
for row in observed:
    start = rng.integers(0, 45)
    row[start : start + 15] = np.nan
observed[rng.random(observed.shape) < 0.1] = np.nan
f"{np.isnan(observed).mean():.0%} missing"

# %%
# Frequencies
# -----------
#
# In cycles per unit of the positions, here hertz.
model = AutoencoderDecomposer(
    3, prior="laplace", basis=Fourier(positions=times), fit_intercept=False
)
model.fit(observed)
learned = np.sort(model.frequencies_.ravel())
{f"{a:.2f} Hz": f"off by {b - a:+.1e}" for a, b in zip(true, learned, strict=True)}

# %%
# The periodogram of such records shows one hump for the two tones that are 0.06 Hz apart; stems are what
# was learned, dashes what is true.
figure = plt.figure(figsize=(10, 4.2), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
SpectrumDisplay.from_estimator(model, observed, truth=true, ax=left, xlabel="Hz", legend=False)
left.set_xlim(0, 1.5)
ReconstructionDisplay.from_estimator(model, observed, positions=times, ax=right, xlabel="seconds")
plt.show()

# %%
# Between the samples
# -------------------
#
# ``basis_.waveforms`` evaluates the components anywhere, and with codes they are signals without gaps.
fine = np.linspace(0, 12, 600)
codes = model.transform(observed[:1])
curve = codes @ model.basis_.waveforms(fine)
figure, ax = plt.subplots(figsize=(10, 2.6), layout="constrained")
ax.plot(fine, curve[0], color="#0072B2", label="components and codes, at any time")
ax.plot(times, signals[0], "o", color="0.6", markersize=4, label="not observed")
ax.plot(times, observed[0], "o", color="black", markersize=4, label="observed")
ax.set_xlabel("seconds")
ax.legend(ncols=3, fontsize="small")
plt.show()
# sphinx_gallery_thumbnail_number = 2
