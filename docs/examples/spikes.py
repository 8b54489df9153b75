"""
Spectra with spikes
===================

Cosmic rays hit a detector where they like: one channel in fifty of these spectra is far too high. Least
squares follow the spikes; noise whose tails are as heavy as the signals show does not.
"""

# %%
# Three bands, two hundred spectra, spikes
# ----------------------------------------
import matplotlib.pyplot as plt
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.metrics import match_components, worst_relative_error

rng = np.random.default_rng(0)
channels = np.arange(150)
bands = np.exp(-0.5 * ((channels - [[40], [75], [105]]) / [[10], [18], [8]]) ** 2)
clean = rng.uniform(size=(200, 3)) @ bands + 0.02 * rng.standard_normal((200, 150))
spectra = clean + (rng.random(clean.shape) < 0.02) * rng.exponential(2.0, clean.shape)

# %%
# One word more
# -------------
models = {
    "no spikes": AutoencoderDecomposer(3, prior="uniform", random_state=0).fit(clean),
    "spikes": AutoencoderDecomposer(3, prior="uniform", random_state=0).fit(spectra),
    'spikes, noise="student_t"': AutoencoderDecomposer(
        3, prior="uniform", noise="student_t", random_state=0
    ).fit(spectra),
}
models['spikes, noise="student_t"'].noise_

# %%
# Some of the spectra, and the components that each fit found (grey: the truth).
figure = plt.figure(figsize=(10, 5), layout="constrained")
top, bottom = figure.subfigures(2, 1)
ax = top.add_subplot()
ax.plot(spectra[:4].T, linewidth=0.9)
ax.set(xlabel="channel", ylabel="counts")
for ax, (name, model) in zip(bottom.subplots(1, 3, sharey=True), models.items(), strict=True):
    matched, _, _ = match_components(bands, model.components_)
    ax.plot(bands.T, color="0.8", linewidth=5)
    for row, color in zip(matched, ("#0072B2", "#D55E00", "#009E73"), strict=True):
        ax.plot(row, color=color, linewidth=1.4)
    ax.set_title(
        f"{name}\nerror {worst_relative_error(bands, model.components_):.3f}", fontsize="medium"
    )
    ax.set_xlabel("channel")
plt.show()


# %%
# Codes of signals with spikes
# ----------------------------
#
# ``transform`` draws spikes in, too: root mean square error of the reconstructions, beside the spectra
# without spikes.
def error(model, X):
    """Root mean square difference of the reconstruction from the clean spectra."""
    return np.sqrt(np.mean((model.inverse_transform(model.transform(X)) - clean) ** 2))


{name: round(float(error(model, spectra)), 4) for name, model in models.items()}
