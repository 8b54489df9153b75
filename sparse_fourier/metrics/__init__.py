"""How close estimated components are to the true ones, whatever their order, sign and scale.

Beside that, how sparse codes are, and how much of the signals they explain.
Functions of two arguments take the true rows first and the estimated ones second. Computations are in
float64.
"""

from sparse_fourier.metrics.alignment import (
    component_errors,
    match_components,
    matched_cosine,
    mean_relative_error,
    worst_relative_error,
)
from sparse_fourier.metrics.dictionaries import (
    active_codes,
    alive_fraction,
    atom_hit_rate,
    mean_max_cosine,
)
from sparse_fourier.metrics.reconstruction import explained_variance
from sparse_fourier.metrics.spans import amari_distance, subspace_angles

__all__ = [
    "active_codes",
    "alive_fraction",
    "amari_distance",
    "atom_hit_rate",
    "component_errors",
    "explained_variance",
    "match_components",
    "matched_cosine",
    "mean_max_cosine",
    "mean_relative_error",
    "subspace_angles",
    "worst_relative_error",
]
