"""A penalty from outside is examined before it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparse_fourier.penalties.base import Penalty

_MISTAKES = (TypeError, AttributeError, ValueError, IndexError, KeyError, ZeroDivisionError)


def check_penalty(penalty: Penalty, examine: Callable[[Penalty], tuple[Any, Any]]) -> None:
    """Examine a penalty numerically, where training begins.

    Parameters
    ----------
    penalty : Penalty
        Which may be anybody's.
    examine : callable
        Returns the value of a penalty, and its gradient by what is trained.

    Raises
    ------
    ValueError
        If it fails, is no scalar, or it or its gradient is not finite.
    """
    try:
        value, gradient = examine(penalty)
    except _MISTAKES as error:
        raise _failure(
            penalty,
            f"it failed when called as penalty(model, X, codes); write it with jax.numpy ({error})",
        ) from error
    if np.ndim(value):
        raise _failure(
            penalty, f"it must return a scalar. Got shape {np.shape(value)} instead; average over the samples"
        )
    if not np.isfinite(value):
        raise _failure(penalty, f"its value must be finite. Got {value} where training begins")
    if not np.isfinite(gradient).all():
        raise _failure(penalty, "its gradient must be finite where training begins")


def _failure(penalty: Penalty, problem: str) -> ValueError:
    return ValueError(f"The penalty {penalty} cannot be used: {problem}.")
