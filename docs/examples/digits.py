"""
Digits as parts
===============

Handwritten digits as parts: non-negative codes and components, beside those of NMF.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF

from sparse_fourier import AutoencoderDecomposer

images = load_digits().data
seen, held_out = images[:1400], images[1400:]


def unexplained(model):
    """Share of the variance of images that were not seen which their codes leave."""
    rebuilt = model.inverse_transform(model.transform(held_out))
    return np.sum((held_out - rebuilt) ** 2) / np.sum((held_out - seen.mean(axis=0)) ** 2)


ours = AutoencoderDecomposer(
    16, prior="exponential", basis="nonnegative", fit_intercept=False, random_state=0
).fit(seen)
nmf = NMF(16, init="nndsvda", max_iter=5000, random_state=0).fit(seen)
figure = plt.figure(figsize=(7.5, 4.8), layout="constrained")
panels = figure.subfigures(2, 1)
for panel, name, model in zip(panels, ("this library", "NMF"), (ours, nmf), strict=True):
    axes = panel.subplots(2, 8)
    order = np.argsort(
        -np.linalg.norm(model.components_, axis=1) * model.transform(seen).std(axis=0)
    )
    for ax, image in zip(axes.ravel(), model.components_[order], strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0)
        ax.set(xticks=[], yticks=[])
    panel.suptitle(
        f"{name}: {100 * unexplained(model):.1f} % of unseen images unexplained",
        fontsize="medium",
    )
plt.show()
