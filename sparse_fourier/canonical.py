"""One representative of each class of equivalent solutions: order and signs, from the model alone."""

from __future__ import annotations

import numpy as np

_MAX_SWEEPS = 100


def order_by_variance(explained_variance: np.ndarray) -> np.ndarray:
    """Return the order of the components: by explained variance, descending, ties by index."""
    return np.argsort(-explained_variance, kind="stable")


def box_signs(components: np.ndarray, centre: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Return for each component whether to reflect its code, h -> 1 - h, as -1 or +1.

    The corner of the box from which the codes count, centre - signs @ components / 2, is to be as
    near to zero as possible: the signs start from the least-squares coefficients of the centre and
    are then turned one at a time while that shortens the corner. A component whose coefficient is
    within `tolerance` of zero has no such sign, and takes it from `reference_signs`.

    Parameters
    ----------
    components : array of shape (k, d)
    centre : array of shape (d,)
        The signal whose codes are all one half.
    tolerance : array of shape (k,)
        Coefficients below it are a tie.

    Returns
    -------
    array of shape (k,)
    """
    coefficients = 2.0 * np.linalg.lstsq(components.T, centre, rcond=None)[0]
    signs = np.where(coefficients < 0, -1.0, 1.0)
    signs = _shorten_corner(signs, components, centre)
    return _settled(signs, np.abs(coefficients) <= tolerance, components)


def _shorten_corner(signs: np.ndarray, components: np.ndarray, centre: np.ndarray) -> np.ndarray:
    gram, pull = components @ components.T, components @ centre
    squares = np.diagonal(gram)
    for _ in range(_MAX_SWEEPS):
        gain = signs * (gram @ signs) - squares - 2.0 * signs * pull
        turned = int(np.argmax(gain))
        if gain[turned] <= 1e-9 * squares[turned]:
            break
        signs = np.where(np.arange(len(signs)) == turned, -signs, signs)
    return signs


def mean_signs(components: np.ndarray, mean: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Return signs that make the coefficients of the mean signal non-negative.

    A component whose coefficient is within `tolerance` of zero takes its sign from `reference_signs`.

    Parameters
    ----------
    components : array of shape (k, d)
    mean : array of shape (d,)
        The mean of the signals, no intercept subtracted.
    tolerance : array of shape (k,)
        Coefficients below it are a tie.

    Returns
    -------
    array of shape (k,)
    """
    coefficients = np.linalg.lstsq(components.T, mean, rcond=None)[0]
    signs = np.where(coefficients < 0, -1.0, 1.0)
    return _settled(signs, np.abs(coefficients) <= tolerance, components)


def _settled(signs: np.ndarray, tied: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return signs, of which those that are tied are the ones of reference."""
    return np.where(tied, reference_signs(components), signs) if tied.any() else signs


def reference_signs(components: np.ndarray) -> np.ndarray:
    """Return signs that make a fixed functional of each component non-negative; zero counts as +."""
    d = components.shape[1]
    functional = 1.0 + np.cos(np.sqrt(2.0) * np.arange(d))
    return np.where(components @ functional < 0, -1.0, 1.0)
