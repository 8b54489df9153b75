"""What reconstructions explain of signals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sparse_fourier.exceptions import invalid
from sparse_fourier.metrics.checks import table

_SIGNALS = "(n_samples, n_features)"


def explained_variance(X: ArrayLike, reconstructed: ArrayLike) -> float:
    r"""Share of the variance of signals that their reconstruction explains.

    That is :math:`1 - \|X - \hat X\|^2 / \|X - \bar X\|^2`, over all entries together, with
    :math:`\bar X` the mean signal.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Signals.
    reconstructed : array-like of shape (n_samples, n_features)
        Their reconstructions, as of `inverse_transform(transform(X))`.

    Returns
    -------
    float
        At most 1; negative where the mean signal would have been closer. Signals without variance count as
        explained where the reconstruction is exact, else as not explained at all.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the shapes differ.

    Examples
    --------
    >>> from sparse_fourier.metrics import explained_variance
    >>> explained_variance([[1.0, 0.0], [-1.0, 2.0]], [[1.0, 1.0], [-1.0, 2.0]])
    0.75
    """
    true = table("explained_variance", "X", X, _SIGNALS)
    found = table("explained_variance", "reconstructed", reconstructed, _SIGNALS)
    if found.shape != true.shape:
        constraint = f"an array of the shape of 'X', {true.shape}"
        raise invalid("explained_variance", "reconstructed", constraint, f"an array of shape {found.shape}")
    left, total = float(np.sum((true - found) ** 2)), float(np.sum((true - true.mean(axis=0)) ** 2))
    return 1.0 - left / total if total else float(left == 0)
