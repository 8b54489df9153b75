"""
Pure spectra from mixtures
==========================

Pure spectra from mixtures in unknown proportions, none of which exceeds 0.8, at 30 dB.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import NMF

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_proportions
from sparse_fourier.metrics import match_components

COLORS = ("#E69F00", "#56B4E9", "#009E73")


def draw(ax, true, found, title):
    """Draw true spectra in grey below the learned ones, matched and scaled to them."""
    matched, _, _ = match_components(true, found)
    for one, other, color in zip(true, matched, COLORS, strict=True):
        ax.plot(one, color="0.8", linewidth=5)
        ax.plot(other, color=color, linewidth=1.4)
    ax.set(xlabel="channel", title=title, xticks=[0, 50, 99], yticks=[])


mixtures, _, pure = make_proportions(2000, 3, max_share=0.8, snr_db=30, random_state=0)
ours = AutoencoderDecomposer(3, prior="simplex", random_state=0).fit(mixtures)
nmf = NMF(3, init="nndsvda", max_iter=10_000, tol=1e-5).fit(np.maximum(mixtures, 0))
figure = plt.figure(figsize=(10, 2.8), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
draw(left, pure, ours.components_, 'prior="simplex"')
draw(right, pure, nmf.components_, "NMF")
plt.show()
