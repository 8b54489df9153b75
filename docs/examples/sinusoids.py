r"""
The question this began with
============================

Signals :math:`a \sin x + b \sin 2x` with random amplitudes: can an autoencoder that knows nothing else find
the two sines? By itself a network cannot; bounded codes do it up to 1/n; and whoever knows that components
are sinusoids gets them exactly.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Fourier
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import match_components, worst_relative_error
from sparse_fourier.plotting import ComponentsDisplay, SpectrumDisplay


def network(X, n_epochs=100, rate=0.05, seed=0):
    """Decoder rows of the note's network: two sigmoid units, RMSProp, one signal at a time."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=shape) for shape in ((30, 2), (2,), (2, 30), (30,))]
    squares = [np.zeros_like(part) for part in parts]
    for i in np.concatenate([rng.permutation(len(X)) for _ in range(n_epochs)]):
        encoder, shift, decoder, offset = parts
        h = 1 / (1 + np.exp(-(X[i] @ encoder + shift)))
        error = 2 * (h @ decoder + offset - X[i]) / len(X[i])
        back = (decoder @ error) * h * (1 - h)
        for part, square, slope in zip(
            parts, squares, (np.outer(X[i], back), back, np.outer(h, error), error), strict=True
        ):
            square += 0.1 * (slope**2 - square)
            part -= rate * slope / np.sqrt(square + 1e-10)
    return parts[2]


# %%
# Three hundred signals a sin x + b sin 2x, of thirty points on [0, pi/2]: a quarter and half a period.
x = np.linspace(0, np.pi / 2, 30)
X, codes, sines = make_sinusoid_mixtures(300, 30, interval=(0, np.pi / 2), random_state=0)

# %%
# The network minimises reconstruction alone, which settles the span; the box adds that codes are bounded;
# the Fourier basis adds that components are sinusoids, of frequencies that it learns. The periodogram of
# such a short record has one broad hump; the two frequencies below it are exact.
box = AutoencoderDecomposer(2).fit(X)
fourier = AutoencoderDecomposer(2, basis=Fourier(positions=x)).fit(X)
learned = {
    "the note's network": network(X),
    "bounded codes": box.components_,
    'basis="fourier"': fourier.components_,
}
figure = plt.figure(figsize=(11, 3.2), layout="constrained")
axes = figure.subplots(1, 4)
for ax, (name, rows) in zip(axes, learned.items(), strict=False):
    matched, _, _ = match_components(sines, rows)
    display = ComponentsDisplay(components=matched, positions=x, truth=sines)
    display.plot(ax, align="scale", xlabel="x", legend=False)
    ax.set_title(f"{name}\nerror {worst_relative_error(sines, rows):.2g}", fontsize="medium")

true = np.array([1, 2]) / (2 * np.pi)
style = {"color": "#1a1a1a"}
SpectrumDisplay.from_estimator(
    fourier, X, truth=true, ax=axes[3], legend=False, stem_kwargs=style
)
axes[3].set(xlim=(0, 2), xlabel="cycles per unit of x", ylabel="amplitude")
axes[3].set_title("learned frequencies\nover the periodogram", fontsize="medium")
plt.show()
