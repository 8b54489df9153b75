"""
How sure the components are
===========================

Bands that cover the true waveforms, refits that agree or do not, and scores of priors and numbers.
"""

# %%
# Noisy mixtures of sin x and sin 2x, and their components with bands of 90 %.
import warnings

import matplotlib.pyplot as plt
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.exceptions import IdentifiabilityWarning
from sparse_fourier.plotting import ComponentsDisplay, ScoresDisplay, StabilityDisplay

X, codes, truth = make_sinusoid_mixtures(n_samples=200, noise=0.3, random_state=1)
model = AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(X)
diagnosis = model.diagnose(X, random_state=0)

# %%
# The same components with Gaussian codes, which no prior can tell from their rotations.
rng = np.random.default_rng(0)
gaussian = rng.standard_normal((200, 2)) @ truth + 0.3 * rng.standard_normal(X.shape)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", IdentifiabilityWarning)
    lost = AutoencoderDecomposer(2, prior="laplace", random_state=0).fit(gaussian)
doubtful = lost.diagnose(gaussian, random_state=0)

# %%
figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
positions = np.linspace(0, np.pi, X.shape[1])
for ax, fitted, found, title in (
    (axes[0, 0], model, diagnosis, f"uniform codes: {diagnosis.verdicts[0]}"),
    (axes[0, 1], lost, doubtful, f"Gaussian codes: {doubtful.verdicts[0]}"),
):
    bands = found.upper - found.components
    scaled = truth if fitted is model else truth / np.linalg.norm(truth, axis=1, keepdims=True)
    ComponentsDisplay.from_estimator(
        fitted,
        positions=positions,
        truth=scaled,
        bands=bands,
        ax=ax,
        xlabel="x",
        legend=fitted is model,
    )
    ax.set_title(title)
StabilityDisplay.from_diagnosis(doubtful, ax=axes[1, 1])
axes[1, 1].set_title("Gaussian codes: refits")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", IdentifiabilityWarning)
    ScoresDisplay.from_estimator(
        AutoencoderDecomposer(random_state=0),
        X,
        numbers=[1, 2, 3, 4],
        priors=["uniform", "laplace", "gaussian"],
        ax=axes[1, 0],
    )
axes[1, 0].set_title("uniform codes: scores of signals held out")
plt.show()
