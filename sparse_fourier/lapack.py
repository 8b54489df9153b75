"""Decompositions of matrices that are tried by a second algorithm where the first does not converge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def eigenvalues(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues of a symmetric matrix, ascending, and eigenvectors as columns.

    Raises
    ------
    ValueError
        If neither divide and conquer nor the slower QR iterations converge.
    """
    return _tried(np.linalg.eigh, _eigenvalues_by_iteration, matrix)


def singular_values(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the thin singular value decomposition: left vectors, values, right vectors as rows.

    Raises
    ------
    ValueError
        If neither divide and conquer nor the slower QR iterations converge.
    """
    return _tried(_divided, _singular_values_by_iteration, matrix)


def _tried(first: Callable[..., Any], second: Callable[..., Any], matrix: np.ndarray) -> Any:
    try:
        return first(matrix)
    except np.linalg.LinAlgError:
        try:
            return second(matrix)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"The principal axes of X could not be computed ({error}). Scale its features to similar "
                "sizes, or drop those that are next to constant."
            ) from error


def _divided(matrix: np.ndarray) -> Any:
    return np.linalg.svd(matrix, full_matrices=False)


def _eigenvalues_by_iteration(matrix: np.ndarray) -> Any:
    from scipy.linalg import eigh

    return eigh(matrix, driver="ev")


def _singular_values_by_iteration(matrix: np.ndarray) -> Any:
    from scipy.linalg import svd

    return svd(matrix, full_matrices=False, lapack_driver="gesvd")
