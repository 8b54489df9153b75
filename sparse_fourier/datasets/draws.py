"""Draws that several makers share."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Array = NDArray[np.float64]


def unit_rows(rng: RandomState, k: int, n_features: int) -> Array:
    """Draw Gaussian vectors of unit norm."""
    rows = rng.standard_normal((k, n_features))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def with_noise(X: Array, noise: float, rng: RandomState) -> Array:
    """Add white noise of the given standard deviation."""
    return X + noise * rng.standard_normal(X.shape) if noise > 0 else X


def with_decibels(X: Array, snr_db: float | None, rng: RandomState) -> Array:
    """Add white noise of the given signal-to-noise ratio over all entries."""
    if snr_db is None:
        return X
    return X + np.sqrt(np.mean(X**2)) * 10 ** (-snr_db / 20) * rng.standard_normal(X.shape)
