"""
Fermentation: a code that follows the glucose
=============================================

Raman spectra of a fermentation: one learned code follows the glucose, which nobody told it.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from chemotools.datasets import load_fermentation_test
from scipy.signal import savgol_filter
from sklearn.decomposition import PCA, FastICA

from sparse_fourier import AutoencoderDecomposer

table, reference = load_fermentation_test()
shifts, spectra = table.columns.to_numpy(float), table.to_numpy()
band = (shifts > 950) & (shifts < 1500)
slopes = savgol_filter(
    spectra[:, band], 21, 2, deriv=1
)  # what drifts slowly along the spectrum is gone
hours, glucose = reference["time"].to_numpy(), reference["glucose"].to_numpy()
clock = np.linspace(hours[0], hours[-1], len(spectra))
expected = np.interp(clock, hours, glucose)


def follower(codes):
    """Index of the code that correlates best with the glucose, and that correlation."""
    correlations = np.corrcoef(codes.T, expected)[-1, :-1]
    best = int(np.argmax(np.abs(correlations)))
    return best, correlations[best]


model = AutoencoderDecomposer(3, prior="learned", random_state=0)
found = {
    "this library": model.fit_transform(slopes),
    "FastICA": FastICA(3, max_iter=1000, random_state=0).fit_transform(slopes),
    "PCA": PCA(3).fit_transform(slopes),
}
figure = plt.figure(figsize=(10, 3), layout="constrained")
axes = figure.subplots(1, 4, width_ratios=(1.4, 1, 1, 1))
axes[0].plot(shifts[band], model.components_[follower(found["this library"])[0]], color="#0072B2")
axes[0].set(title="component", xlabel="Raman shift, 1/cm", yticks=[])
axes[0].title.set_fontsize("medium")
for ax, (name, codes) in zip(axes[1:], found.items(), strict=True):
    best, correlation = follower(codes)
    line = np.polynomial.Polynomial.fit(codes[:, best], expected, 1)
    ax.plot(clock, line(codes[:, best]), color="#56B4E9", linewidth=0.6)
    ax.plot(hours, glucose, "o", color="#D55E00", markersize=3.5)
    ax.set_title(f"{name}\ncorrelation {abs(correlation):.3f}", fontsize="small")
    ax.set(xlabel="hours", ylim=(-8, 58))
axes[1].set_ylabel("glucose, g/l")
plt.show()
