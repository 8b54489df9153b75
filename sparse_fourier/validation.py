"""Checks of signals and weights, beyond those of scikit-learn."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_array

from sparse_fourier.signals import Rows, Signals, array_of, extent, signals_of

_LARGE = 1 << 22


def refuse_silent_misreadings(X: Any) -> None:
    """Refuse inputs that NumPy would convert to numbers that they do not mean."""
    if type(X) is np.ndarray and X.dtype.kind == "f":
        return
    if isinstance(X, np.matrix):
        raise TypeError("np.matrix is not supported; convert it with np.asarray.")
    if np.ma.isMaskedArray(X) and np.ma.getmaskarray(X).any():
        raise ValueError("masked values are not supported; fill them (X.filled(...)) or impute.")
    dtypes: Any = getattr(X, "dtypes", getattr(X, "dtype", None))
    for dtype in np.atleast_1d(dtypes):
        if getattr(dtype, "kind", "") in ("M", "m"):
            raise TypeError(f"{dtype} is not numeric data; convert it to numbers in a unit of your own.")


def are_complete(X: np.ndarray, estimator: Any) -> bool:
    """Return whether no entry is missing, and none infinite, in one pass over the signals.

    Raises
    ------
    ValueError
        In the words of scikit-learn, if one is infinite.
    """
    if np.isfinite(X.sum()):
        return True
    assert_all_finite(X, allow_nan=True, estimator_name=type(estimator).__name__, input_name="X")
    return not np.isnan(X.min())


def validate_extent(X: Any, estimator: Any) -> Signals:
    """Return signals that are read a block at a time, of which none is infinite.

    Raises
    ------
    ValueError
        In the words of scikit-learn, if one is.
    """
    signals = signals_of(X)
    for end in extent(signals)[:2]:
        if np.isinf(end) and signals.size:
            ends = np.array([[end]], dtype=signals.dtype)
            assert_all_finite(ends, allow_nan=True, estimator_name=type(estimator).__name__, input_name="X")
    return signals


def complete_or_array(X: Rows) -> Rows:
    """Return signals as they are where all entries were observed, else as an array."""
    return X if isinstance(X, np.ndarray) or extent(X).complete else array_of(X, "missing entries (NaN)")


def is_large(X: Any) -> bool:
    """Return whether X is an array of floats that takes a while to look at, so that once is enough."""
    return isinstance(X, np.ndarray) and X.dtype in (np.float32, np.float64) and X.size >= _LARGE


def refuse_unobserved_features(X: Rows, estimator: Any) -> None:
    """Refuse signals with a feature of which nothing was observed.

    Raises
    ------
    ValueError
        Naming the features.
    """
    if isinstance(X, Signals) or not np.isnan(X.min()):
        return
    empty = np.flatnonzero(np.isnan(X).all(axis=0))
    if len(empty):
        names = getattr(estimator, "feature_names_in_", np.arange(X.shape[1]))[empty].tolist()
        raise ValueError(
            f"Input X has no observed entry in the columns {names}: all are NaN, which means not observed. "
            "Drop them."
        )


def refuse_beyond_memory(n_components: int, n_features: int) -> None:
    """Refuse so many components that their products or they themselves cannot be held.

    Raises
    ------
    ValueError
    """
    needed = 8 * n_components * (n_features + n_components)
    there = _memory()
    if needed > there:
        raise ValueError(
            f"n_components={n_components} takes arrays of {needed:.3g} bytes for {n_features} features, more "
            f"than the {there:.3g} bytes of memory that this machine has. Lower n_components."
        )


def _memory() -> float:
    """Return the bytes of memory of this machine; infinity where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return np.inf


def validate_weights(sample_weight: Any, X: Rows) -> np.ndarray:
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
