"""
Why a loss alone finds no basis
===============================

An autoencoder as it stands, and the same signals under a prior: why a loss alone finds no basis.

A sigmoid network with two hidden units and a linear decoder is trained on mixtures of sin x and sin 2x, by
RMSProp on one signal at a time from random weights. Its reconstruction becomes good, its components remain
mixtures: the squared error fixes no more than their span. The prior that codes fill a box picks the sines.
"""

# %%
import warnings

import matplotlib.pyplot as plt
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.plotting import ComponentsDisplay, LossCurveDisplay

signals, codes, sines = make_sinusoid_mixtures(n_samples=300, random_state=0)

# %%
# The network, literally.
network = AutoencoderDecomposer(
    2,
    prior=None,
    activation="sigmoid",
    solver="rmsprop",
    learning_rate=0.05,
    batch_size=1,
    max_iter=100,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    network.fit(signals)

# %%
# The same decoder, and codes that fill the unit box.
bounded = AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(signals)

# %%
figure = plt.figure(figsize=(11, 3.4), layout="constrained")
axes = figure.subplots(1, 3)
for ax, (name, model) in zip(
    axes, {"network": network, "bounded prior": bounded}.items(), strict=False
):
    error = worst_relative_error(sines, model.components_)
    ComponentsDisplay.from_estimator(
        model, truth=sines, ax=ax, align="scale", legend=ax is axes[0]
    )
    ax.set_title(f"{name}: error {100 * error:.1f} %", fontsize="medium")
LossCurveDisplay.from_estimator(network, ax=axes[2], xlabel="epoch", ylabel="mean squared error")
axes[2].set_title("loss of the network", fontsize="medium")
plt.show()
