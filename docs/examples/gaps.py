"""
Images with lost pixels
=======================

Images of digits with 40 % of the pixels lost, and what the others say of these.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.exceptions import IdentifiabilityWarning

images = load_digits().data
lost = np.random.default_rng(0).random(images.shape) < 0.4
seen = np.where(lost, np.nan, images)

model = AutoencoderDecomposer(n_components=16, prior="gaussian")
with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", IdentifiabilityWarning
    )  # the span fills gaps, whatever its basis
    model.fit(seen)
filled = np.where(lost, model.inverse_transform(model.transform(seen)), images)
means = np.where(lost, np.nanmean(seen, axis=0), images)
pca = PCA(16).fit(means)
after_means = np.where(lost, pca.inverse_transform(pca.transform(means)), images)


def error(guess):
    """Root mean square error of the lost pixels, as a share of what their feature's mean leaves."""
    return np.sqrt(((guess - images)[lost] ** 2).sum() / ((means - images)[lost] ** 2).sum())


rows = {
    "truth": images,
    "seen": seen,
    f"PCA after means, error {error(after_means):.2f}": after_means,
    f"this library, error {error(filled):.2f}": filled,
}
figure = plt.figure(figsize=(9, 4.3), layout="constrained")
for part, (name, pictures) in zip(figure.subfigures(4, 1), rows.items(), strict=True):
    part.suptitle(name, fontsize="small")
    for ax, picture in zip(part.subplots(1, 12), pictures, strict=False):
        ax.imshow(picture.reshape(8, 8), cmap="Greys", vmin=0, vmax=16)
        ax.set_facecolor("#f3c9a5")
        ax.set(xticks=[], yticks=[])
plt.show()
