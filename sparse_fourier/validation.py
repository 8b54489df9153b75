"""Checks of signals and weights, beyond those of scikit-learn."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.utils import check_array


def refuse_silent_misreadings(X: Any) -> None:
    """Refuse inputs that NumPy would convert to numbers that they do not mean."""
    if isinstance(X, np.matrix):
        raise TypeError("np.matrix is not supported; convert it with np.asarray.")
    if np.ma.isMaskedArray(X) and np.ma.getmaskarray(X).any():
        raise ValueError("masked values are not supported; fill them (X.filled(...)) or impute.")
    dtypes: Any = getattr(X, "dtypes", getattr(X, "dtype", None))
    for dtype in np.atleast_1d(dtypes):
        if getattr(dtype, "kind", "") in ("M", "m"):
            raise TypeError(f"{dtype} is not numeric data; convert it to numbers in a unit of your own.")


def refuse_unobserved_features(X: np.ndarray, estimator: Any) -> None:
    """Refuse signals with a feature of which nothing was observed.

    Raises
    ------
    ValueError
        Naming the features.
    """
    if not np.isnan(X.min()):
        return
    empty = np.flatnonzero(np.isnan(X).all(axis=0))
    if len(empty):
        names = getattr(estimator, "feature_names_in_", np.arange(X.shape[1]))[empty].tolist()
        raise ValueError(
            f"Input X has no observed entry in the columns {names}: all are NaN, which means not observed. "
            "Drop them."
        )


def refuse_beyond_memory(n_components: int, shape: tuple[int, int]) -> None:
    """Refuse so many components that their codes, their products or they themselves cannot be held.

    Raises
    ------
    ValueError
    """
    needed = 8 * n_components * (sum(shape) + n_components)
    there = _memory()
    if needed > there:
        raise ValueError(
            f"n_components={n_components} takes arrays of {needed:.3g} bytes for X of shape {shape}, more "
            f"than the {there:.3g} bytes of memory that this machine has. Lower n_components."
        )


def _memory() -> float:
    """Return the bytes of memory of this machine; infinity where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return np.inf


def validate_weights(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Return weights as an array, ones where none are given."""
    n = len(X)
    if sample_weight is None:
        return np.ones(n)
    weights = check_array(sample_weight, ensure_2d=False, dtype=float, input_name="sample_weight")
    if weights.ndim != 1:
        raise ValueError("Sample weights must be 1D array or scalar")
    if len(weights) != n:
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(n,)}!")
    if (weights < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`: weights count rows.")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def validate_total(total: float, least: int) -> None:
    """Refuse weights that stand for less than the fewest rows, or for more than can be counted."""
    if not least <= total < np.inf:
        raise ValueError(
            f"The sum of sample_weight must be a number of rows, at least {least}, since a weight counts "
            f"how often its row occurs. Got {total:g} instead; rescale the weights, for instance to mean 1."
        )
