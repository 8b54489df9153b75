"""Checks of what is measured: arrays of two dimensions, finite, that go together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_fourier.exceptions import invalid

Array = NDArray[np.float64]
_COMPONENTS = "(n_components, n_features)"


def pair(function: str, true: ArrayLike, estimated: ArrayLike) -> tuple[Array, Array]:
    """Return both sets of components as float64 arrays with equal numbers of features."""
    first = table(function, "true", true, _COMPONENTS)
    second = table(function, "estimated", estimated, _COMPONENTS)
    if second.shape[1] != first.shape[1]:
        constraint = f"an array with as many features as 'true', {first.shape[1]}"
        raise invalid(function, "estimated", constraint, f"an array of shape {second.shape}")
    return first, second


def table(function: str, name: str, value: ArrayLike, shape: str) -> Array:
    """Return a finite array of two dimensions as float64; the shape says what they are."""
    constraint = f"a non-empty array of real numbers of shape {shape}"
    array = _as_array(function, name, value, constraint)
    if array.ndim != 2 or array.size == 0:
        raise invalid(function, name, constraint, f"an array of shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise invalid(function, name, constraint, f"an array of dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise invalid(function, name, "an array of finite numbers", "an array with NaN or infinity")
    return array.astype(np.float64)


def _as_array(function: str, name: str, value: ArrayLike, constraint: str) -> NDArray[np.generic]:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise invalid(function, name, constraint, "rows of unequal length") from error
