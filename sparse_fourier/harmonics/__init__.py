"""Sums of sinusoids that span signals best: a scan over all frequencies, then variable projection."""

from sparse_fourier.harmonics.incomplete import Observed, RefinedIncomplete, refine_incomplete
from sparse_fourier.harmonics.projection import Chart, Problem, Refined, refine
from sparse_fourier.harmonics.record import Record, Sinusoids, Terms, wrapped
from sparse_fourier.harmonics.scanning import decompose
from sparse_fourier.harmonics.search import search

__all__ = [
    "Chart",
    "Observed",
    "Problem",
    "Record",
    "Refined",
    "RefinedIncomplete",
    "Sinusoids",
    "Terms",
    "decompose",
    "refine",
    "refine_incomplete",
    "search",
    "wrapped",
]
