"""
Coffee: a code that tells origins apart
=======================================

Sixty infrared spectra of coffee from three origins: one learned code tells the origins apart.
Above the codes: the spread within an origin, as a share of the whole.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from chemotools.datasets import load_coffee
from sklearn.decomposition import PCA, FastICA

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.plotting import CodesDisplay, ComponentsDisplay

COLORS = np.array(["#E69F00", "#56B4E9", "#009E73"])
spectra, origins = (np.asarray(part) for part in load_coffee())
names, labels = np.unique(origins.ravel().astype(str), return_inverse=True)


def spread(codes):
    """Standard deviation within origins, as a share of the whole, of every code."""
    within = np.mean([codes[labels == j].var(axis=0) for j in range(3)], axis=0)
    return np.sqrt(within) / codes.std(axis=0)


model = AutoencoderDecomposer(n_components=3, random_state=0).fit(spectra)
codes = {
    "this library": model.transform(spectra),
    "FastICA": FastICA(3, max_iter=1000, random_state=0).fit_transform(spectra),
    "PCA": PCA(3).fit_transform(spectra),
}
figure = plt.figure(figsize=(10, 3.6), layout="constrained")
axes = figure.subplots(1, 4, width_ratios=(1.7, 1, 1, 1))
ComponentsDisplay.from_estimator(model, ax=axes[0], xlabel="channel", ylabel="absorbance")
axes[0].set_title("components", fontsize="medium")
for ax, (name, found) in zip(axes[1:], codes.items(), strict=True):
    best = int(np.argmin(spread(found)))
    pair = [best, int(best == 0)]
    style = {"c": COLORS[labels], "s": 22}
    CodesDisplay(codes=found[:, pair], names=[f"code {j}" for j in pair]).plot(
        ax, scatter_kwargs=style
    )
    ax.set_title(f"{name}\nwithin origins {100 * spread(found)[best]:.1f} %", fontsize="small")
points = [axes[1].scatter([], [], c=color, s=22) for color in COLORS]
figure.legend(points, names, loc="outside lower right", ncols=3, frameon=False, fontsize="small")
plt.show()
