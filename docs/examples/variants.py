"""
Denoising, contractive and variational autoencoders
===================================================

Three ways to keep a network from copying its input, on handwritten digits: train it to restore images that
were spoilt, keep its codes still where images differ by noise, or give every code a posterior. Each is one
parameter away from the plain network.
"""

# %%
# Four networks of one size
# -------------------------
#
# Sixteen codes behind a hidden layer of 64 units, all trained on the same clean images. The plain network
# and the first two minimise the squared error, the variational one a bound of the evidence.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.penalties import Contractive, Denoising

images = load_digits().data / 16
seen, unseen = images[:1400], images[1400:]
network = {
    "hidden_layer_sizes": (64,),
    "solver": "adam",
    "batch_size": 100,
    "max_iter": 60,
    "random_state": 0,
}
models = {
    "plain": AutoencoderDecomposer(16, prior=None, **network),
    "denoising": AutoencoderDecomposer(
        16, prior=None, penalty=Denoising(10.0, masking=0.3), **network
    ),
    "contractive": AutoencoderDecomposer(16, prior=None, penalty=Contractive(0.01), **network),
    "variational": AutoencoderDecomposer(16, prior="gaussian", encoder="variational", **network),
}
with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", ConvergenceWarning
    )  # sixty epochs are enough to tell them apart
    for model in models.values():
        model.fit(seen)

# %%
# What they do with images that were not seen, and spoilt
# -------------------------------------------------------
#
# Three tenths of the pixels are lost, or noise is added; nobody tells the networks. The last column is how
# far a little noise moves the codes, as a share of their spread.
rng = np.random.default_rng(0)
masked = np.where(rng.random(unseen.shape) < 0.3, 0, unseen)
noisy = unseen + 0.25 * rng.standard_normal(unseen.shape)


def error(model, X):
    """Root mean square error of reconstructions from X of the images as they were."""
    return np.sqrt(np.mean((model.inverse_transform(model.transform(X)) - unseen) ** 2))


def movement(model):
    """Root mean square change of the codes under noise of 0.05, as a share of their standard deviation."""
    codes = model.transform(unseen)
    moved = model.transform(unseen + 0.05 * rng.standard_normal(unseen.shape))
    return np.sqrt(np.mean((moved - codes) ** 2) / codes.var(axis=0).mean())


figures = np.array(
    [[error(m, unseen), error(m, masked), error(m, noisy), movement(m)] for m in models.values()]
)
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
titles = ("clean", "3 of 10 pixels lost", "noise of 0.25", "movement of codes")
for ax, values, title in zip(axes, figures.T, titles, strict=True):
    bars = ax.barh(list(models), values, color=["0.6", "#0072B2", "#D55E00", "#009E73"])
    ax.bar_label(bars, fmt="%.3f", padding=3, fontsize="small")
    ax.set_title(title, fontsize="medium")
    ax.set(xlim=(0, 1.3 * values.max()), xticks=[])
    ax.invert_yaxis()
    ax.tick_params(labelleft=ax is axes[0])

# %%
# Images with lost pixels, and what each network makes of them.
rows = {"image": unseen, "spoilt": masked}
rows |= {
    name: model.inverse_transform(model.transform(masked[:12])) for name, model in models.items()
}
figure = plt.figure(figsize=(9, 4.8), layout="constrained")
for line, (name, pictures) in zip(figure.subplots(6, 12), rows.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, picture in zip(line, pictures, strict=False):
        ax.imshow(picture.reshape(8, 8), cmap="Greys", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
plt.show()
# sphinx_gallery_thumbnail_number = 2
