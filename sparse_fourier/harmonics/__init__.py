"""Sums of sinusoids that span signals best: a scan over all frequencies, then variable projection."""

from sparse_fourier.harmonics.projection import Chart, Problem, Refined, refine
from sparse_fourier.harmonics.record import Record, Sinusoids, Terms, wrapped
from sparse_fourier.harmonics.scanning import decompose
from sparse_fourier.harmonics.search import search

__all__ = [
    "Chart",
    "Problem",
    "Record",
    "Refined",
    "Sinusoids",
    "Terms",
    "decompose",
    "refine",
    "search",
    "wrapped",
]
