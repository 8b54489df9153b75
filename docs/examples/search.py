"""
Choosing prior and rank by cross-validation
===========================================

``score`` is the mean log-likelihood of signals, so that ``GridSearchCV`` compares priors and numbers of
components on signals that were not seen, in a pipeline like any other transformer.
"""

# %%
# Four bands, sparse non-negative codes, noise; nobody says how many there are.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_nonnegative_mixtures
from sparse_fourier.exceptions import IdentifiabilityWarning

signals, codes, bands = make_nonnegative_mixtures(600, 4, snr_db=20, random_state=0)

# %%
# The first step of the pipeline is a preparation that does not depend on the data; the search goes over the
# parameters of the second. Scores of different rows are comparable only if the preparation is the same for
# all.
pipeline = make_pipeline(FunctionTransformer(), AutoencoderDecomposer(random_state=0))
grid = {
    "autoencoderdecomposer__n_components": [2, 3, 4, 5, 6],
    "autoencoderdecomposer__prior": ["gaussian", "laplace", "uniform", "exponential"],
}
with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", IdentifiabilityWarning
    )  # too many components cannot be told apart
    search = GridSearchCV(pipeline, grid, cv=4).fit(signals)
search.best_params_

# %%
# Mean log-likelihood of held-out signals for every pair, less that of the best.
results = search.cv_results_
priors = grid["autoencoderdecomposer__prior"]
ranks = grid["autoencoderdecomposer__n_components"]
scores = {
    (prior, k): score
    for prior, k, score in zip(
        results["param_autoencoderdecomposer__prior"],
        results["param_autoencoderdecomposer__n_components"],
        results["mean_test_score"],
        strict=True,
    )
}
best = max(scores.values())
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for prior, color, marker in zip(
    priors, ("#8c8c8c", "#D55E00", "#0072B2", "#009E73"), "osD^", strict=True
):
    gaps = np.array([scores[prior, k] - best for k in ranks])
    ax.plot(ranks, gaps, marker=marker, color=color, label=prior)
ax.axvline(4, color="black", linestyle="--", linewidth=0.8)
ax.set_yscale("symlog", linthresh=0.1)
ax.set(xlabel="number of components", ylabel="nats per signal below the best", xticks=ranks)
ax.legend(title="prior", fontsize="small")
plt.show()

# %%
# One fit does it, too: ``n_components="auto"`` counts what stands above the noise, and ``prior="auto"``
# chooses by penalised likelihood. That tries learned densities as well, which suit these codes, half of
# them zero, better than an exponential one.
AutoencoderDecomposer(random_state=0).fit(signals).summary()
