"""Components beside the true ones, paired one to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_fourier.matching import Matching, match_rows
from sparse_fourier.metrics.checks import Array, pair


def match_components(true: ArrayLike, estimated: ArrayLike) -> tuple[Array, NDArray[np.intp], Array]:
    r"""Align estimated components with the true ones in order, sign and scale.

    Components are paired one to one so that the sum of the relative errors :math:`\|\alpha e - t\| / \|t\|`
    is least, each pair with its best factor :math:`\alpha = e \cdot t / \|e\|^2`, by the Hungarian method
    [1]_.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components, of any scale.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated components, of any order, sign and scale; there may be more or fewer of them.

    Returns
    -------
    aligned : ndarray of shape (n_components, n_features)
        ``scales[:, None] * estimated[permutation]``, with zeros where a true component has no match.
    permutation : ndarray of shape (n_components,)
        Row of `estimated` matched with each true component; -1 where none was left.
    scales : ndarray of shape (n_components,)
        Factor that multiplies each matched row, with its sign; 0 where there is no match.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    References
    ----------
    .. [1] H. W. Kuhn. The Hungarian method for the assignment problem. Naval Research Logistics Quarterly 2,
       83-97, 1955.

    Examples
    --------
    >>> from sparse_fourier.metrics import match_components
    >>> aligned, permutation, scales = match_components([[1.0, 0.0], [0.0, 1.0]], [[0.0, 4.0], [-2.0, 0.0]])
    >>> permutation.tolist(), scales.tolist()
    ([1, 0], [-0.5, 0.25])
    >>> aligned.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    True
    """
    true, estimated = pair("match_components", true, estimated)
    matching = match_rows(true, estimated)
    return matching.align(estimated), matching.permutation, matching.scales


def component_errors(true: ArrayLike, estimated: ArrayLike, *, matched: bool = True) -> Array:
    r"""Return the relative L2 error of every true component.

    The error of the true component t with its estimate e is

    .. math:: \min_\alpha \|\alpha e - t\| \, / \, \|t\| \quad \text{(matched)}
              \qquad \text{or} \qquad \|e - t\| \, / \, \|t\| \quad \text{(direct)}.

    Either way components are paired one to one so that the sum of these very errors is least. A matched error
    is the sine of the angle between t and e, hence at most 1; a direct error has no upper limit.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated components; there may be more or fewer of them.
    matched : bool, default=True
        True: permutation, sign and scale are free. False: only the permutation is.

    Returns
    -------
    ndarray of shape (n_components,)
        Errors in the order of `true`, as fractions of each component's norm. A true component without an
        estimate counts as 1, and so does one of zeros, which has no relative error.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    Examples
    --------
    >>> from sparse_fourier.metrics import component_errors
    >>> true = [[3.0, 0.0], [0.0, 2.0]]
    >>> component_errors(true, [[0.0, -1.0], [4.0, 3.0]]).round(6).tolist()
    [0.6, 0.0]
    >>> component_errors(true, [[0.0, 1.0], [3.0, 3.0]], matched=False).round(6).tolist()
    [1.0, 0.5]
    """
    return _match("component_errors", true, estimated, matched).errors


def worst_relative_error(true: ArrayLike, estimated: ArrayLike, *, matched: bool = True) -> float:
    """Relative L2 error of the worst true component: the largest of :func:`component_errors`.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated components; there may be more or fewer of them.
    matched : bool, default=True
        True: permutation, sign and scale are free. False: only the permutation is.

    Returns
    -------
    float
        A fraction of that component's norm; 1 if a true component has no estimate and none is worse.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    Examples
    --------
    >>> from sparse_fourier.metrics import worst_relative_error
    >>> round(worst_relative_error([[3.0, 0.0], [0.0, 2.0]], [[0.0, -1.0], [4.0, 3.0]]), 6)
    0.6
    """
    return float(_match("worst_relative_error", true, estimated, matched).errors.max())


def mean_relative_error(true: ArrayLike, estimated: ArrayLike, *, matched: bool = True) -> float:
    """Mean over the true components of their relative L2 error: the mean of :func:`component_errors`.

    No other pairing of the components gives a smaller mean.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated components; there may be more or fewer of them.
    matched : bool, default=True
        True: permutation, sign and scale are free. False: only the permutation is.

    Returns
    -------
    float
        Unweighted mean of fractions of each component's norm; a component without an estimate counts as 1.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    Examples
    --------
    >>> from sparse_fourier.metrics import mean_relative_error
    >>> round(mean_relative_error([[3.0, 0.0], [0.0, 2.0]], [[0.0, -1.0], [4.0, 3.0]]), 6)
    0.3
    """
    return float(_match("mean_relative_error", true, estimated, matched).errors.mean())


def matched_cosine(true: ArrayLike, estimated: ArrayLike) -> Array:
    r"""Absolute cosine between every true component and its match.

    That is :math:`|t \cdot e| / (\|t\| \|e\|)`, 1 for the same waveform up to sign and scale, with the
    pairing of :func:`match_components`.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components, of any scale.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated components; there may be more or fewer of them.

    Returns
    -------
    ndarray of shape (n_components,)
        Values in [0, 1] in the order of `true`; 0 for a component without an estimate and for rows of zeros.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    Notes
    -----
    A cosine c close to 1 hides the error, which is about :math:`\sqrt{2 (1 - c)}`: 0.995 is an error of 0.1.

    Examples
    --------
    >>> from sparse_fourier.metrics import matched_cosine
    >>> matched_cosine([[3.0, 0.0], [0.0, 2.0]], [[0.0, -1.0], [4.0, 3.0]]).round(6).tolist()
    [0.8, 1.0]
    """
    matching = _match("matched_cosine", true, estimated, True)
    return np.minimum(np.abs(matching.cosines), 1.0)


def _match(function: str, true: ArrayLike, estimated: ArrayLike, rescale: bool) -> Matching:
    return match_rows(*pair(function, true, estimated), rescale=rescale)
