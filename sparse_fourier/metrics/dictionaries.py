"""Dictionaries: atoms that find each other, and how sparse codes are."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from sparse_fourier.exceptions import invalid
from sparse_fourier.matching import cosines
from sparse_fourier.metrics.checks import pair, table

_CODES = "(n_samples, n_components)"


def atom_hit_rate(true: ArrayLike, estimated: ArrayLike, threshold: float = 0.99) -> float:
    r"""Share of the true atoms that some estimated atom hits.

    The atom t is hit if :math:`\max_e |t \cdot e| / (\|t\| \|e\|)` exceeds the threshold, the success count
    of dictionary-learning experiments [1]_. Each true atom looks for its closest estimate by itself; the
    pairing is not one to one.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True atoms, of any scale.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated atoms; there may be more or fewer of them.
    threshold : float, default=0.99
        Absolute cosine, in [0, 1), that a hit must exceed.

    Returns
    -------
    float
        Number of true atoms hit, divided by the number of true atoms.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, the numbers of features differ, or the
        threshold is out of range.

    References
    ----------
    .. [1] M. Aharon, M. Elad and A. Bruckstein. K-SVD: an algorithm for designing overcomplete dictionaries
       for sparse representation. IEEE Transactions on Signal Processing 54, 4311-4322, 2006.

    Examples
    --------
    >>> from sparse_fourier.metrics import atom_hit_rate
    >>> atom_hit_rate([[1.0, 0.0], [0.0, 1.0]], [[-2.0, 0.1], [1.0, 1.0]])
    0.5
    """
    true, estimated = pair("atom_hit_rate", true, estimated)
    if not (isinstance(threshold, Real) and 0 <= threshold < 1):
        raise invalid("atom_hit_rate", "threshold", "a float in the range [0.0, 1.0)", repr(threshold))
    return float((np.abs(cosines(true, estimated)).max(axis=1) > threshold).mean())


def mean_max_cosine(true: ArrayLike, estimated: ArrayLike, *, signed: bool = False) -> float:
    r"""Mean over the true atoms of the cosine with their closest estimate.

    That is :math:`\operatorname{mean}_t \max_e |t \cdot e| / (\|t\| \|e\|)`, the mean of maximal cosine
    similarity by which dictionaries of features are compared [1]_. The pairing is not one to one.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True atoms, of any scale.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated atoms; there may be more or fewer of them.
    signed : bool, default=False
        Whether an atom and its negative are different, as they are where codes are not negative.

    Returns
    -------
    float
        A value in [0, 1], with `signed` in [-1, 1]; a row of zeros has the cosine 0 with all others.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    References
    ----------
    .. [1] L. Sharkey, D. Braun and B. Millidge. Taking features out of superposition with sparse
       autoencoders. AI Alignment Forum, 2022.

    Examples
    --------
    >>> from sparse_fourier.metrics import mean_max_cosine
    >>> round(mean_max_cosine([[1.0, 0.0], [0.0, 1.0]], [[-2.0, 0.0], [3.0, 4.0]]), 6)
    0.9
    """
    found = cosines(*pair("mean_max_cosine", true, estimated))
    return float((found if signed else np.abs(found)).max(axis=1).mean())


def alive_fraction(codes: ArrayLike) -> float:
    """Share of the components that at least one signal uses.

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_components)
        Codes; a component is used where its code is not zero.

    Returns
    -------
    float
        A value in [0, 1].

    Raises
    ------
    ValueError
        If the codes are not a finite array of two dimensions.

    Examples
    --------
    >>> from sparse_fourier.metrics import alive_fraction
    >>> alive_fraction([[0.0, 2.0, 0.0, 0.0], [0.0, -1.0, 3.0, 0.0]])
    0.5
    """
    return float(table("alive_fraction", "codes", codes, _CODES).any(axis=0).mean())


def active_codes(codes: ArrayLike) -> float:
    """Mean number of codes of a signal that are not zero.

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_components)
        Codes.

    Returns
    -------
    float
        Between zero and the number of components.

    Raises
    ------
    ValueError
        If the codes are not a finite array of two dimensions.

    Examples
    --------
    >>> from sparse_fourier.metrics import active_codes
    >>> active_codes([[0.0, 2.0, 0.0, 0.0], [0.0, -1.0, 3.0, 0.0]])
    1.5
    """
    return float(np.count_nonzero(table("active_codes", "codes", codes, _CODES), axis=1).mean())
