"""
PCA, NMF, ICA and this library on the same data
===============================================

Every method assumes something of the codes, and is right where that holds. The same three bands are mixed
here in four ways: with codes that fill a box, that are sparse, that are non-negative and often zero, and
with shares that add up to one. One estimator with its defaults chooses from the data what to assume.
"""

# %%
# Four ways to mix
# ----------------
#
# Three bands, a thousand signals, a little noise. Shares add up to one: no signal has more than 80 % of one
# band.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import NMF, PCA, FastICA
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.metrics import match_components, worst_relative_error
from sparse_fourier.plotting import ComparisonDisplay

rng = np.random.default_rng(0)
channels = np.arange(100)
bands = np.exp(-0.5 * ((channels - [[25], [50], [70]]) / [[9], [16], [7]]) ** 2)
shares = rng.dirichlet(np.ones(3), 4000)
codes = {
    "bounded": rng.uniform(size=(1000, 3)),
    "sparse": rng.laplace(size=(1000, 3)),
    "non-negative": rng.exponential(size=(1000, 3)) * (rng.random((1000, 3)) < 0.5),
    "shares": shares[shares.max(axis=1) < 0.8][:1000],
}
signals = {name: h @ bands + 0.01 * rng.standard_normal((1000, 100)) for name, h in codes.items()}

# %%
# Four methods
# ------------
#
# The others are told the number of components. FastICA keeps filters in ``components_``; its components are
# the columns of ``mixing_``. NMF sees negative entries clipped at zero.
found, priors = {}, {}
for name, X in signals.items():
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # learned densities may miss the last digits
        model = AutoencoderDecomposer(random_state=0).fit(X)
    priors[name] = str(model.prior_)
    found["this library", name] = model.components_
    found["FastICA", name] = FastICA(3, max_iter=1000, random_state=0).fit(X).mixing_.T
    found["NMF", name] = NMF(3, init="nndsvda", max_iter=5000).fit(np.maximum(X, 0)).components_
    found["PCA", name] = PCA(3).fit(X).components_

priors

# %%
# What they find
# --------------
#
# The error is that of the worst component, once order, sign and size are matched: 1 is no better than
# nothing.
methods = ["this library", "FastICA", "NMF", "PCA"]
errors = [
    [worst_relative_error(bands, found[method, name]) for name in signals] for method in methods
]
regimes = [f'{name}\n(took "{priors[name]}")' for name in signals]
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
ComparisonDisplay(errors=errors, methods=methods, regimes=regimes).plot(ax)
plt.show()

# %%
# The same as curves: what was to be found in grey.
figure = plt.figure(figsize=(10, 7), layout="constrained")
axes = figure.subplots(4, 4, sharex=True, sharey=True)
for row, method in zip(axes, methods, strict=True):
    row[0].set_ylabel(method)
    for ax, name in zip(row, signals, strict=True):
        matched, _, _ = match_components(bands, found[method, name])
        ax.plot(bands.T, color="0.8", linewidth=5)
        for line, color in zip(matched, ("#0072B2", "#D55E00", "#009E73"), strict=True):
            ax.plot(line, color=color, linewidth=1.5)
        ax.set(xticks=[], yticks=[])
for ax, name in zip(axes[0], signals, strict=True):
    ax.set_title(f"{name} codes" if name != "shares" else name, fontsize="medium")
plt.show()
# sphinx_gallery_thumbnail_number = 2
