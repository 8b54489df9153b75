"""
Pulse waves: how one heartbeat differs from the next
====================================================

A light sensor on a finger records a pressure wave with every heartbeat. Cut into one frame for each beat,
the recording becomes an ensemble of signals, and components are the ways in which one pulse differs from
another.
"""

# %%
# One frame for each beat
# -----------------------
#
# The recording is an example of the package heartpy, 117 samples a second. Components are waveforms at
# fixed places, so that beats have to be aligned: frames are cut at every sample, and those are kept that
# begin 0.3 seconds before a peak. A few beats in which the sensor slipped are left out.
from importlib.metadata import distribution

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import find_peaks

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import frames

table = distribution("heartpy").locate_file("heartpy/data/data2.csv")
clock, recording = np.loadtxt(table, delimiter=",", skiprows=1)[
    3000:
].T  # milliseconds, arbitrary unit
rate = 1000 / np.diff(clock).mean()
before, length = int(0.3 * rate), int(0.85 * rate)
peaks, _ = find_peaks(recording, distance=int(0.5 * rate), prominence=40)
peaks = peaks[(peaks > before) & (peaks < len(recording) - length)]
beats = frames(recording, length, hop=1)[peaks - before]
kept = np.abs(beats - np.median(beats, axis=0)).max(axis=1) < 110
beats, times = beats[kept], (np.arange(length) - before) / rate
beats.shape

# %%
# Three ways to differ
# --------------------
#
# The prior is chosen from the data: codes that are independent, of densities with long tails.
model = AutoencoderDecomposer(3, random_state=0).fit(beats)
model.summary()

# %%
# Each panel shows the mean pulse, and what becomes of it when one code goes from its 5th to its 95th
# percentile: one component is the strength of the beat, together with the dip that follows; one lifts pulse
# and dip against the baseline; one is what happens before the beat, small but for a few.
codes = model.transform(beats)
figure = plt.figure(figsize=(10, 5.2), layout="constrained")
panels, trace = figure.subfigures(2, 1, height_ratios=(1.6, 1))
axes = panels.subplots(1, 4, sharey=True)
axes[0].plot(times, beats.T, color="0.5", linewidth=0.3)
axes[0].set(title=f"{len(beats)} beats", ylabel="arbitrary unit")
colors = ("#0072B2", "#D55E00", "#009E73")
for ax, component, code, color in zip(axes[1:], model.components_, codes.T, colors, strict=True):
    low, high = np.percentile(code, (5, 95))
    for value in np.linspace(low, high, 9):
        ax.plot(
            times, model.intercept_ + value * component, color=color, linewidth=0.8, alpha=0.6
        )
    ax.plot(times, model.intercept_, color="black", linewidth=1.5)
for j, ax in enumerate(axes):
    ax.set_xlabel("seconds from the peak")
    ax.set_title(f"component {j - 1}" if j else f"{len(beats)} beats", fontsize="medium")

ax = trace.add_subplot()
for j, (code, color) in enumerate(zip(codes.T, colors, strict=True)):
    ax.plot(clock[peaks[kept]] / 1000, code, ".-", color=color, linewidth=0.8, label=f"code {j}")
ax.set(xlabel="seconds", ylabel="code")
ax.legend(ncols=3, fontsize="small", loc="upper right")
plt.show()
