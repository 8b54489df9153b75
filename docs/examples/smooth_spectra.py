"""
Smooth spectra: a penalty of cross-validated strength
=====================================================

Smooth spectra from few noisy mixtures, without a penalty and with one of cross-validated strength.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.metrics import match_components, worst_relative_error
from sparse_fourier.penalties import Smoothness

COLORS = ("#E69F00", "#56B4E9", "#009E73")

rng = np.random.default_rng(0)
channels = np.arange(120)
centres, widths = np.array([[30], [55], [80]]), np.array([[12], [16], [10]])
spectra = np.exp(-0.5 * ((channels - centres) / widths) ** 2)
mixtures = rng.uniform(size=(80, 3)) @ spectra + 0.15 * rng.standard_normal((80, 120))

rough = AutoencoderDecomposer(3, prior="uniform", random_state=0).fit(mixtures)
model = AutoencoderDecomposer(3, prior="uniform", penalty=Smoothness(), random_state=0)
search = GridSearchCV(model, {"penalty__strength": [1.0, 10.0, 100.0, 300.0]}, cv=4).fit(mixtures)

figure = plt.figure(figsize=(10, 2.8), layout="constrained")
axes = figure.subplots(1, 2, sharey=True)
strength = search.best_params_["penalty__strength"]
for ax, fitted, title in (
    (axes[0], rough, "no penalty"),
    (axes[1], search.best_estimator_, f"Smoothness({strength:g}), cross-validated"),
):
    error = worst_relative_error(spectra, fitted.components_)
    matched, _, _ = match_components(spectra, fitted.components_)
    for one, other, color in zip(spectra, matched, COLORS, strict=True):
        ax.plot(one, color="0.8", linewidth=5)
        ax.plot(other, color=color, linewidth=1.4)
    ax.set(xlabel="channel", title=f"{title}: error {error:.2f}", yticks=[])
plt.show()
