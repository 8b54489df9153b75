"""Checks of what makers are given."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real

import numpy as np

from sparse_fourier.exceptions import invalid


def check_counts(function: str, **counts: int) -> None:
    """Check that counts are positive whole numbers."""
    for name, count in counts.items():
        if not (isinstance(count, Integral) and count >= 1):
            raise invalid(function, name, "an int in the range [1, inf)", repr(count))


def check_number(function: str, name: str, value: float, holds: Callable[[float], bool], where: str) -> None:
    """Check that a parameter is a real number for which something holds."""
    if not (isinstance(value, Real) and holds(float(value))):
        raise invalid(function, name, f"a float in the range {where}", repr(value))


def check_noise(function: str, noise: float) -> None:
    """Check a standard deviation."""
    check_number(function, "noise", noise, lambda value: 0 <= value < np.inf, "[0.0, inf)")


def check_decibels(function: str, snr_db: float | None) -> None:
    """Check a signal-to-noise ratio, which may be left out."""
    if snr_db is not None and not (isinstance(snr_db, Real) and np.isfinite(snr_db)):
        raise invalid(function, "snr_db", "a finite float or None", repr(snr_db))
