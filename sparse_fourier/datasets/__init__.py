"""Signals to learn from: mixtures with known truth, and frames of one long recording."""

from sparse_fourier.datasets.bars import make_bars
from sparse_fourier.datasets.independent import make_independent_mixtures
from sparse_fourier.datasets.recordings import frames
from sparse_fourier.datasets.sinusoids import make_sinusoid_mixtures
from sparse_fourier.datasets.sparse import make_feature_mixtures, make_sparse_combinations
from sparse_fourier.datasets.spectra import make_nonnegative_mixtures, make_proportions

__all__ = [
    "frames",
    "make_bars",
    "make_feature_mixtures",
    "make_independent_mixtures",
    "make_nonnegative_mixtures",
    "make_proportions",
    "make_sinusoid_mixtures",
    "make_sparse_combinations",
]
