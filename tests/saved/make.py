"""Write the estimators that later versions load: python tests/saved/make.py, once for every form."""

import pickle
import warnings
from pathlib import Path

import numpy as np

from sparse_fourier import AutoencoderDecomposer, __version__
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.saving import FORMAT

KINDS = [
    {"prior": "uniform"},
    {"prior": "laplace"},
    {"prior": "exponential"},
    {"prior": "simplex"},
    {"prior": "gaussian"},
    {"prior": "learned"},
    {"prior": None},
    {"prior": "uniform", "basis": "fourier"},
    {"prior": "exponential", "basis": "nonnegative"},
    {"prior": "laplace", "n_components": 12},
    {"prior": None, "activation": "sigmoid", "solver": "adam", "max_iter": 5},
    {"prior": "uniform", "hidden_layer_sizes": (4,), "max_iter": 5},
]


def main() -> None:
    """Fit each kind to the same signals, of float32 and float64."""
    X, _, _ = make_sinusoid_mixtures(120, 8, noise=0.02, random_state=0)
    saved = []
    for parameters in KINDS:
        for dtype in (np.float64, np.float32):
            signals = X.astype(dtype)
            model = AutoencoderDecomposer(**{"n_components": 2, "random_state": 0, **parameters}).fit(signals)
            saved.append(
                (model, signals[:10], model.transform(signals[:10]), model.score_samples(signals[:10]))
            )
    saved.append((AutoencoderDecomposer(2, random_state=0).partial_fit(X), *saved[0][1:]))
    model, *_ = saved[-1]
    saved[-1] = (model, X[:10], model.transform(X[:10]), model.score_samples(X[:10]))
    path = Path(__file__).parent / f"{FORMAT}-{__version__}.pickle"
    path.write_bytes(pickle.dumps(saved, protocol=5))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
