"""
Codes as an embedding
=====================

Sixteen numbers instead of sixty-four pixels: images of digits whose codes are close look alike, although no
label was seen. Codes serve as input of whatever needs distances: neighbours, maps, clusters.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF, PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from sparse_fourier import AutoencoderDecomposer

images, labels = load_digits(return_X_y=True)
model = AutoencoderDecomposer(
    16, prior="exponential", basis="nonnegative", fit_intercept=False, random_state=0
)
codes = model.fit_transform(images)
codes.shape

# %%
# Neighbours
# ----------
#
# The first column is asked for; beside it the seven images whose codes are nearest.
asked = [np.flatnonzero(labels == digit)[3] for digit in range(0, 10, 2)]
_, nearest = NearestNeighbors(n_neighbors=8).fit(codes).kneighbors(codes[asked])
figure = plt.figure(figsize=(7, 4.2), layout="constrained")
for ax, index in zip(figure.subplots(5, 8).ravel(), nearest.ravel(), strict=True):
    ax.imshow(images[index].reshape(8, 8), cmap="Greys")
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# A map
# -----
#
# Distances of codes, brought down to the plane by t-SNE; colours are labels, which nothing has seen.
plane = TSNE(perplexity=30, random_state=0).fit_transform(codes)
figure, ax = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
points = ax.scatter(*plane.T, c=labels, cmap="tab10", s=6)
for digit in range(10):
    ax.text(
        *np.median(plane[labels == digit], axis=0),
        str(digit),
        fontsize=16,
        weight="bold",
        ha="center",
    )
ax.set(xticks=[], yticks=[])
plt.show()

# %%
# Do distances mean similarity?
# -----------------------------
#
# Share of images whose five nearest neighbours among the first 1400 name the right digit; what makes the
# codes is fitted to the first 1400 alone, too. Principal components keep distances best, and the parts
# found here lose little against them.
seen, unseen = slice(None, 1400), slice(1400, None)
pca = PCA(16).fit(images[seen])
nmf = NMF(16, init="nndsvda", max_iter=2000).fit(images[seen])
model.fit(images[seen])
inputs = {
    "pixels": images,
    "PCA, 16 codes": pca.transform(images),
    "NMF, 16 parts": nmf.transform(images),
    "this library, 16 parts": model.transform(images),
}
for name, X in inputs.items():
    neighbours = KNeighborsClassifier().fit(X[seen], labels[seen])
    print(f"{name:>24}: {neighbours.score(X[unseen], labels[unseen]):.3f}")
# sphinx_gallery_thumbnail_number = 2
