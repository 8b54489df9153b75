"""How close estimated components are to the true ones, whatever their order, sign and scale.

Beside that, how sparse codes are, and how much of the signals they explain.
Functions of two arguments take the true rows first and the estimated ones second. Computations are in
float64.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .matching import Matching, cosines, directions, match_rows

__all__ = [
    "active_codes",
    "alive_fraction",
    "amari_distance",
    "atom_hit_rate",
    "component_errors",
    "explained_variance",
    "match_components",
    "matched_cosine",
    "mean_max_cosine",
    "mean_relative_error",
    "subspace_angles",
    "worst_relative_error",
]

Array = NDArray[np.float64]
_CODES, _SIGNALS = "(n_samples, n_components)", "(n_samples, n_features)"


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
    true, estimated = _pair("match_components", true, estimated)
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
    true, estimated = _pair("atom_hit_rate", true, estimated)
    if not (isinstance(threshold, Real) and 0 <= threshold < 1):
        raise _invalid("atom_hit_rate", "threshold", "a float in the range [0.0, 1.0)", repr(threshold))
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
    found = cosines(*_pair("mean_max_cosine", true, estimated))
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
    return float(_table("alive_fraction", "codes", codes, _CODES).any(axis=0).mean())


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
    return float(np.count_nonzero(_table("active_codes", "codes", codes, _CODES), axis=1).mean())


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
    true = _table("explained_variance", "X", X, _SIGNALS)
    found = _table("explained_variance", "reconstructed", reconstructed, _SIGNALS)
    if found.shape != true.shape:
        constraint = f"an array of the shape of 'X', {true.shape}"
        raise _invalid("explained_variance", "reconstructed", constraint, f"an array of shape {found.shape}")
    left, total = float(np.sum((true - found) ** 2)), float(np.sum((true - true.mean(axis=0)) ** 2))
    return 1.0 - left / total if total else float(left == 0)


def amari_distance(true: ArrayLike, estimated: ArrayLike) -> float:
    r"""Amari distance: how much the estimated codes still mix the true ones.

    With the rows of both arguments scaled to unit norm, the true mixtures, seen through the estimated
    unmixing, have the gain matrix :math:`P = T E^+` of shape (m, m), with T the true components and
    :math:`E^+` the pseudo-inverse of the estimated ones: codes h of the model x = h T are estimated as h P.
    The distance is [1]_, normalised as in [2]_ but for the division by m - 1 that makes its maximum 1,

    .. math:: \frac{1}{2 m (m - 1)} \left[
              \sum_i \left( \frac{\sum_j |p_{ij}|}{\max_j |p_{ij}|} - 1 \right) +
              \sum_j \left( \frac{\sum_i |p_{ij}|}{\max_i |p_{ij}|} - 1 \right) \right] .

    It is 0 if and only if P is a permutation up to scale, and 1 if all entries of P are of the same size.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components, linearly independent. A square array is the transposed mixing matrix of independent
        component analysis.
    estimated : array-like of shape (n_components, n_features)
        As many estimated components. What they lack of the span of the true ones is projected away:
        see :func:`subspace_angles`.

    Returns
    -------
    float
        A value in [0, 1]; 0 for a single component, which nothing can mix. A row or column of zeros in P,
        from an estimated component of zeros, counts as fully mixed.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, the shapes differ, or the true components are
        linearly dependent.

    Notes
    -----
    Without the scaling to unit norm the value would depend on the scale of the components, which is a matter
    of convention and differs between estimators.

    References
    ----------
    .. [1] S. Amari, A. Cichocki and H. H. Yang. A new learning algorithm for blind signal separation.
       Advances in Neural Information Processing Systems 8, 757-763, 1996.
    .. [2] F. R. Bach and M. I. Jordan. Kernel independent component analysis. Journal of Machine Learning
       Research 3, 1-48, 2002.

    Examples
    --------
    >>> from sparse_fourier.metrics import amari_distance
    >>> amari_distance([[1.0, 0.0], [0.0, 1.0]], [[0.0, -3.0], [2.0, 0.0]])
    0.0
    >>> round(amari_distance([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, -1.0]]), 6)
    1.0
    """
    true, estimated = _pair("amari_distance", true, estimated)
    _check_invertible(true, estimated)
    gain = np.abs(directions(true)[0] @ np.linalg.pinv(directions(estimated)[0]))
    gain[gain <= len(gain) * np.finfo(float).eps * gain.max()] = 0.0
    m = len(gain)
    return (_mixing(gain) + _mixing(gain.T)) / max(2 * m * (m - 1), 1)


def subspace_angles(true: ArrayLike, estimated: ArrayLike) -> Array:
    """Principal angles between the span of the true and that of the estimated components.

    They do not depend on the basis within each span: zeros say that the reconstruction is right, whatever the
    components look like. Each angle comes from its sine and its cosine together, so that small angles are as
    accurate as large ones [1]_.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
        True components, of any scale.
    estimated : array-like of shape (n_estimated, n_features)
        Estimated components; there may be more or fewer of them.

    Returns
    -------
    ndarray of shape (n_angles,)
        Angles in radians, in [0, pi/2], descending; as many as the smaller of the two spans has dimensions.

    Raises
    ------
    ValueError
        If an argument is not a finite array of two dimensions, or the numbers of features differ.

    References
    ----------
    .. [1] A. V. Knyazev and M. E. Argentati. Principal angles between subspaces in an A-based scalar product:
       algorithms and perturbation estimates. SIAM Journal on Scientific Computing 23, 2008-2040, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.metrics import subspace_angles
    >>> np.degrees(
    ...     subspace_angles([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    ... ).round(6)
    array([45.,  0.])
    """
    smaller, larger = sorted(map(_span, _pair("subspace_angles", true, estimated)), key=len)
    shared = smaller @ larger.T
    sines = np.linalg.svd(smaller - shared @ larger, compute_uv=False)
    return np.arctan2(sines, np.linalg.svd(shared, compute_uv=False)[::-1])


def _span(rows: Array) -> Array:
    """Return orthonormal rows that span the given ones, whatever the scale of each."""
    _, singular, basis = np.linalg.svd(directions(rows)[0], full_matrices=False)
    return basis[singular > max(rows.shape) * np.finfo(float).eps * singular.max()]


def _match(function: str, true: ArrayLike, estimated: ArrayLike, rescale: bool) -> Matching:
    return match_rows(*_pair(function, true, estimated), rescale=rescale)


def _mixing(gain: Array) -> float:
    """Sum over rows of (sum / max - 1); a row of zeros counts like one of equal entries."""
    peaks = gain.max(axis=1)
    sums = np.divide(gain.sum(axis=1), peaks, out=np.full(len(gain), float(len(gain))), where=peaks > 0)
    return float(np.sum(sums - 1))


def _pair(function: str, true: ArrayLike, estimated: ArrayLike) -> tuple[Array, Array]:
    """Return both sets of components as float64 arrays with equal numbers of features."""
    first = _components(function, "true", true)
    second = _components(function, "estimated", estimated)
    if second.shape[1] != first.shape[1]:
        constraint = f"an array with as many features as 'true', {first.shape[1]}"
        raise _invalid(function, "estimated", constraint, f"an array of shape {second.shape}")
    return first, second


def _components(function: str, name: str, value: ArrayLike) -> Array:
    return _table(function, name, value, "(n_components, n_features)")


def _table(function: str, name: str, value: ArrayLike, shape: str) -> Array:
    constraint = f"a non-empty array of real numbers of shape {shape}"
    array = _as_array(function, name, value, constraint)
    if array.ndim != 2 or array.size == 0:
        raise _invalid(function, name, constraint, f"an array of shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise _invalid(function, name, constraint, f"an array of dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise _invalid(function, name, "an array of finite numbers", "an array with NaN or infinity")
    return array.astype(np.float64)


def _as_array(function: str, name: str, value: ArrayLike, constraint: str) -> NDArray[np.generic]:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise _invalid(function, name, constraint, "rows of unequal length") from error


def _check_invertible(true: Array, estimated: Array) -> None:
    if len(estimated) != len(true):
        constraint = f"an array with as many components as 'true', {len(true)}"
        raise _invalid("amari_distance", "estimated", constraint, f"an array of shape {estimated.shape}")
    rank = np.linalg.matrix_rank(directions(true)[0])
    if rank < len(true):
        got = f"an array of shape {true.shape} and rank {rank}"
        raise _invalid("amari_distance", "true", "an array of linearly independent rows", got)


def _invalid(function: str, name: str, constraint: str, got: str) -> ValueError:
    return ValueError(f"The {name!r} parameter of {function} must be {constraint}. Got {got} instead.")
