"""More components than features, few of them active in a signal."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike
from scipy.special import ndtr
from sklearn.utils import check_random_state

from sparse_fourier.datasets.checks import check_counts, check_decibels, check_number
from sparse_fourier.datasets.draws import Array, unit_rows, with_decibels
from sparse_fourier.exceptions import invalid


def make_sparse_combinations(
    n_samples: int = 1500,
    n_features: int = 20,
    n_components: int = 50,
    *,
    n_active: int = 3,
    snr_db: float | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw sparse combinations of random atoms, the experiment of Aharon, Elad and Bruckstein.

    Atoms are Gaussian vectors of unit norm; every signal combines `n_active` of them, chosen uniformly, with
    independent standard normal codes [1]_.

    Parameters
    ----------
    n_samples : int, default=1500
        Number of signals.
    n_features : int, default=20
        Length of a signal.
    n_components : int, default=50
        Number of atoms.
    n_active : int, default=3
        Number of atoms of each signal, at most `n_components`.
    snr_db : float, default=None
        Mean square of the signals over that of white Gaussian noise, in decibels; None for no noise.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        ``codes @ components`` plus noise.
    codes : ndarray of shape (n_samples, n_components)
        All but `n_active` of each row are zero.
    components : ndarray of shape (n_components, n_features)
        The atoms, of unit norm.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] M. Aharon, M. Elad and A. Bruckstein. K-SVD: an algorithm for designing overcomplete dictionaries
       for sparse representation. IEEE Transactions on Signal Processing 54, 4311-4322, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.datasets import make_sparse_combinations
    >>> X, codes, components = make_sparse_combinations(random_state=0)
    >>> X.shape, components.shape
    ((1500, 20), (50, 20))
    >>> np.unique(np.count_nonzero(codes, axis=1)).tolist()
    [3]
    """
    function = "make_sparse_combinations"
    check_counts(function, n_samples=n_samples, n_features=n_features, n_components=n_components)
    _check_active(function, n_active, int(n_components))
    check_decibels(function, snr_db)
    rng = check_random_state(random_state)
    components = unit_rows(rng, int(n_components), int(n_features))
    codes = np.zeros((int(n_samples), len(components)))
    chosen = np.argsort(rng.uniform(size=codes.shape), axis=1)[:, : int(n_active)]
    np.put_along_axis(codes, chosen, rng.standard_normal(chosen.shape), axis=1)
    return with_decibels(codes @ components, snr_db, rng), codes, components


def make_feature_mixtures(
    n_samples: int = 20_000,
    n_features: int = 64,
    n_components: int = 128,
    *,
    n_active: float = 5.0,
    decay: float = 0.99,
    correlation: float = 0.0,
    group_size: int = 8,
    snr_db: float | None = None,
    components: ArrayLike | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw features in superposition: more non-negative features than dimensions, not equally frequent.

    Feature j is active with a probability proportional to :math:`\text{decay}^j`, and its code is then
    uniform on (0, 1] [1]_. Features of the same group tend to be active together: whether a feature is
    active is decided by a standard normal number, of which every two of a group have the given correlation.

    Parameters
    ----------
    n_samples : int, default=20000
        Number of signals.
    n_features : int, default=64
        Length of a signal.
    n_components : int, default=128
        Number of features.
    n_active : float, default=5.0
        Mean number of active features of a signal, at most half of all: no probability exceeds 1/2.
    decay : float, default=0.99
        Probability of a feature over that of the one before, in (0, 1].
    correlation : float, default=0.0
        In [0, 1); of the numbers that decide within a group.
    group_size : int, default=8
        Number of features of a group; features that follow each other in frequency are in different groups.
    snr_db : float, default=None
        Mean square of the signals over that of white Gaussian noise, in decibels; None for no noise.
    components : array-like of shape (n_components, n_features), default=None
        Features to draw signals of, as one batch of a stream; the two counts are then not used. None draws
        Gaussian vectors of unit norm.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        ``codes @ components`` plus noise.
    codes : ndarray of shape (n_samples, n_components)
        Zero where a feature is not active, else in (0, 1].
    components : ndarray of shape (n_components, n_features)
        The features, most frequent first.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] L. Sharkey, D. Braun and B. Millidge. Taking features out of superposition with sparse
       autoencoders. AI Alignment Forum, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.datasets import make_feature_mixtures
    >>> X, codes, components = make_feature_mixtures(random_state=0)
    >>> bool(abs(np.count_nonzero(codes, axis=1).mean() - 5) < 0.1)
    True
    >>> more = make_feature_mixtures(1000, components=components, random_state=1)[0]
    >>> more.shape
    (1000, 64)
    """
    function = "make_feature_mixtures"
    check_counts(function, n_samples=n_samples, n_features=n_features, n_components=n_components)
    check_counts(function, group_size=group_size)
    check_decibels(function, snr_db)
    check_number(function, "decay", decay, lambda value: 0 < value <= 1, "(0.0, 1.0]")
    check_number(function, "correlation", correlation, lambda value: 0 <= value < 1, "[0.0, 1.0)")
    rng = check_random_state(random_state)
    if components is None:
        rows = unit_rows(rng, int(n_components), int(n_features))
    else:
        rows = _given_rows(function, components)
    k = len(rows)
    check_number(function, "n_active", n_active, lambda value: 0 < value <= k / 2, f"(0.0, {k / 2:g}]")
    chances = _chances(np.power(float(decay), np.arange(k), dtype=np.float64), float(n_active))
    active = _active(rng, int(n_samples), chances, float(correlation), int(group_size))
    codes = np.where(active, 1.0 - rng.uniform(size=active.shape), 0.0)
    return with_decibels(codes @ rows, snr_db, rng), codes, rows


def _given_rows(function: str, components: ArrayLike) -> Array:
    rows = np.array(components, dtype=np.float64)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        constraint = "a finite array of shape (n_components, n_features) or None"
        raise invalid(function, "components", constraint, f"an array of shape {rows.shape}")
    return rows


def _chances(frequencies: Array, total: float) -> Array:
    """Return probabilities in proportion to frequencies, as far as they stay below 1/2, of a given sum."""
    kept = np.zeros(len(frequencies), dtype=bool)
    chances = frequencies * total / frequencies.sum()
    while (chances > 0.5 + 1e-12).any():
        kept |= chances >= 0.5
        rest = (total - 0.5 * kept.sum()) / max(frequencies[~kept].sum(), np.finfo(float).tiny)
        chances = np.where(kept, 0.5, frequencies * rest)
    return chances


def _active(rng: RandomState, n: int, chances: Array, correlation: float, group_size: int) -> Array:
    """Draw which features are active, by a Gaussian copula that is shared within groups."""
    k = len(chances)
    n_groups = -(-k // group_size)
    shared = rng.standard_normal((n, n_groups))[:, np.arange(k) % n_groups]
    levels = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.standard_normal((n, k))
    return ndtr(levels) < chances


def _check_active(function: str, n_active: int, k: int) -> None:
    if not (isinstance(n_active, Integral) and 1 <= n_active <= k):
        raise invalid(function, "n_active", f"an int in the range [1, {k}]", repr(n_active))
