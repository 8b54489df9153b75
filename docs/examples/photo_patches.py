"""
Atoms of photos
===============

Patches of two photos as sums of eight of 256 atoms, the 96 most used, beside a mini-batch dictionary.
"""

# %%
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.feature_extraction.image import extract_patches_2d

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.activations import TopK
from sparse_fourier.metrics import explained_variance

photos = [image.mean(axis=2) / 255 for image in load_sample_images().images]
patches = np.concatenate(
    [extract_patches_2d(photo, (8, 8), max_patches=10_000, random_state=0) for photo in photos]
).reshape(-1, 64)
patches -= patches.mean(axis=1, keepdims=True)
patches = np.random.default_rng(0).permutation(patches)
seen, held_out = patches[:16_000], patches[16_000:]

ours = AutoencoderDecomposer(
    256, prior="laplace", activation=TopK(8), fit_intercept=False, random_state=0
)
rival = MiniBatchDictionaryLearning(
    256, alpha=0.05, transform_algorithm="omp", transform_n_nonzero_coefs=8, random_state=0
)
figure = plt.figure(figsize=(10, 3.9), layout="constrained")
for part, name, model in zip(
    figure.subfigures(1, 2), ("this library", "mini-batch"), (ours, rival), strict=True
):
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pursuit of the rival's ends early
        model.fit(seen)
    seconds = time.process_time() - began
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pursuit of the rival's ends early
        codes = model.transform(held_out)
    explained = explained_variance(held_out, codes @ model.components_)
    print(
        f"{name}: {100 * explained:.2f} % of unseen patches explained, {seconds:.1f} s of training"
    )
    part.suptitle(
        f"{name}: {100 * explained:.1f} % of unseen patches explained", fontsize="medium"
    )
    order = np.argsort(-np.square(codes).sum(axis=0))
    for ax, j in zip(part.subplots(8, 12).ravel(), order, strict=False):
        ax.imshow(model.components_[j].reshape(8, 8), cmap="gray", interpolation="nearest")
        ax.set(xticks=[], yticks=[])
plt.show()
