"""How many components stand above white noise, and how sure that number is."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from sparse_fourier.initialization import (
    Span,
    estimate_rank,
    largest_of_noise,
    principal_span,
    spread_of_largest,
)
from sparse_fourier.model import incomplete_rows

_NEGLIGIBLE = 1e-4


def rank_of(
    X: np.ndarray, weights: np.ndarray, fitted: int, exponent: int, *, centred: bool
) -> tuple[int, dict[int, float]]:
    """Return how many components stand above white noise, and how probable each number is.

    A component stands out where its variance exceeds what the largest of white noise would have; variances
    have the standard errors of independent signals. Where entries are missing it is what was fitted.

    Parameters
    ----------
    X : array of shape (n, d)
    weights : array of shape (n,)
    fitted : int
        Number of components that are not zero.
    exponent : int
        Binary exponent of the unit of the signals.
    centred : bool
        Whether there is an intercept.

    Returns
    -------
    int
    dict
        Number of components -> probability that as many would stand out of another such sample.
    """
    if incomplete_rows(X).any():
        return fitted, {fitted: 1.0}
    span = principal_span(X, weights, float(np.finfo(X.dtype).eps), centred=centred, exponent=-exponent)
    return _rank_of(span, X.shape[1])


def _rank_of(span: Span, d: int) -> tuple[int, dict[int, float]]:
    rank = max(estimate_rank(span, d), 1)
    variances, n = span.deviations**2, span.n_samples
    left = variances[rank:]
    if span.rank <= rank or not left.size or left.sum() <= 0:
        return rank, {rank: 1.0}
    noise = float(left.sum() / max(min(d, n - 1) - rank, 1))
    above = np.array([_stands_out(variances[j] / noise, n, d - j, signal=j < rank) for j in range(rank + 1)])
    reached = np.append(np.cumprod(above), 0.0)
    chances = np.append(1.0 - above[0], reached[:-1] - reached[1:])
    return rank, {j: float(p) for j, p in enumerate(chances) if p > _NEGLIGIBLE}


def _stands_out(variance: float, n: float, p: int, *, signal: bool) -> float:
    """Return the probability that the next sample has such a variance above the largest of white noise."""
    spread = variance * np.sqrt(2 / n) if signal else spread_of_largest(n - 1, p)
    return float(ndtr((variance - largest_of_noise(n - 1, p)) / spread))
