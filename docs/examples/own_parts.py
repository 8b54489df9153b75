"""
A prior and a basis of one's own
================================

Whoever knows more than the library can say so, in a class for the codes and a class for the components:
here that bands of spectra are Gaussian peaks, and that codes have the density of the logistic distribution.
"""

# %%
# A basis: Gaussian peaks
# -----------------------
#
# Which waveforms parameters make, and a grid to start from; the fit is done.
from dataclasses import dataclass

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import ParametricBasis
from sparse_fourier.metrics import match_components, worst_relative_error
from sparse_fourier.priors import Prior


class Peaks(ParametricBasis):
    """Gaussian peaks, of a centre and a width in channels."""

    names = ("centres", "widths")

    def evaluate(self, parameters):
        """Return peaks of height one."""
        centres, widths = parameters.T[:, :, None]
        return np.exp(-0.5 * ((np.arange(120) - centres) / widths) ** 2)

    def candidates(self, n_features):
        """Return centres three channels apart, widths from narrow to broad."""
        grid = np.meshgrid(np.arange(0, n_features, 3), [3, 6, 12, 24])
        return np.stack(grid, axis=-1).reshape(-1, 2)


# %%
# A prior: logistic codes
# -----------------------
#
# Where codes may lie, and the logarithm of their density there, in JAX. The scale of the density is that of
# the codes.
@dataclass
class Logistic(Prior):
    """Independent codes with a logistic density."""

    support = "real"

    def log_density(self, codes):
        """Return the sum over codes of -h - 2 log(1 + exp(-h))."""
        return jnp.sum(-codes - 2 * jnp.logaddexp(0, -codes), axis=1)


# %%
# Overlapping bands in noise
# --------------------------
#
# Two hundred spectra of three bands that overlap, with half as much noise as signal.
true = np.array([[40.0, 9.0], [58.0, 12.0], [76.0, 7.0]])
rng = np.random.default_rng(0)
bands = Peaks().evaluate(true)
clean = rng.logistic(size=(200, 3)) @ bands
spectra = clean + 0.5 * clean.std() * rng.standard_normal(clean.shape)
free = AutoencoderDecomposer(3, prior=Logistic(), random_state=0).fit(spectra)
peaks = AutoencoderDecomposer(3, prior=Logistic(), basis=Peaks(), random_state=0).fit(spectra)
peaks.summary()

# %%
# The same spectra without and with what is known of the bands (grey: the truth).
figure = plt.figure(figsize=(10, 3.2), layout="constrained")
axes = figure.subplots(1, 3)
axes[0].plot(spectra[:3].T, linewidth=0.8)
axes[0].set_title("three of the spectra", fontsize="medium")
for ax, model, name in ((axes[1], free, "free"), (axes[2], peaks, "Gaussian peaks")):
    matched, _, _ = match_components(bands, model.components_)
    ax.plot(bands.T, color="0.8", linewidth=5)
    for row, color in zip(matched, ("#0072B2", "#D55E00", "#009E73"), strict=True):
        ax.plot(row, color=color, linewidth=1.5)
    error = worst_relative_error(bands, model.components_)
    ax.set_title(f"{name}: error {error:.2f}", fontsize="medium")
for ax in axes:
    ax.set(xlabel="channel", yticks=[])
plt.show()
