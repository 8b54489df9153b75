"""A penalty from outside is examined before it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparse_fourier.penalties.base import Penalty

_MISTAKES = (TypeError, AttributeError, ValueError, IndexError, KeyError, ZeroDivisionError)


def examine(
    penalties: tuple[Penalty, ...],
    whole: Callable[[], tuple[Any, Any]],
    alone: Callable[[Penalty], tuple[Any, Any]],
) -> None:
    """Examine penalties numerically, where training begins.

    What is compiled for training anyway says whether all is well; each by itself is looked at only if not.

    Parameters
    ----------
    penalties : tuple of Penalty
        Which may be anybody's.
    whole : callable
        Returns the objective with all of them, and its gradient.
    alone : callable
        Returns the value of one of them, and its gradient.

    Raises
    ------
    ValueError
        If one fails, is no scalar, or it or its gradient is not finite.
    """
    try:
        fine = all(np.isfinite(part).all() for part in whole())
    except _MISTAKES:
        fine = not penalties
    if not fine:
        for penalty in penalties:
            check_penalty(penalty, alone)


def refuse_weights(penalties: tuple[Penalty, ...], weights: np.ndarray) -> None:
    """Refuse weights where a penalty would not heed them.

    Parameters
    ----------
    penalties : tuple of Penalty
        Which may be anybody's.
    weights : array of shape (n,)
        Of the signals.

    Raises
    ------
    ValueError
        If weights differ, and a penalty takes its own mean over signals.
    """
    careless = [str(penalty) for penalty in penalties if not penalty.averages]
    if careless and np.ptp(weights):
        raise ValueError(
            f"sample_weight cannot be used with the penalty {careless[0]}, which takes its own mean over "
            "samples. Derive it from penalties.SamplePenalty, or repeat rows."
        )


def check_penalty(penalty: Penalty, alone: Callable[[Penalty], tuple[Any, Any]]) -> None:
    """Examine one penalty.

    Parameters
    ----------
    penalty : Penalty
        Which may be anybody's.
    alone : callable
        Returns the value of a penalty, and its gradient by what is trained.

    Raises
    ------
    ValueError
        As `examine` says.
    """
    try:
        value, gradient = alone(penalty)
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
