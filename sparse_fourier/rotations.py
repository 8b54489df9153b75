"""Rotations of whitened signals to codes that are independent, or nearly so, to start from.

A first guess diagonalises all cumulants of third and fourth order at once. Where two codes still depend on
each other, as some of their features tell, all angles of the pair are looked at.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from sparse_fourier import densities as density

_ANGLES = 36
_ROWS_PER_SCAN = 1000
_MOST_ROWS_OF_FEATURES = 5000
_SWEEPS = 4
_VALLEYS = 3
_WORTH_A_TURN = 0.5
_DIAGONALISING_SWEEPS = 8
_NO_TURN = 1e-3
_BLOCK_ENTRIES = 1 << 17
_DEPENDENT_FEATURES = 1e-6


@dataclass(frozen=True)
class Signals:
    """The signals in whitened coordinates.

    Attributes
    ----------
    whitened : array of shape (n, k)
        Zero mean and unit covariance.
    weights : array of shape (n,)
        Sum one.
    n_samples : float
        How many rows the weights stand for.
    """

    whitened: np.ndarray
    weights: np.ndarray
    n_samples: float


def first_rotation(signals: Signals, rng: np.random.RandomState) -> np.ndarray:
    """Return a rotation of the whitened coordinates after which codes are about independent."""
    return sweep(signals, cumulant_rotation(signals), rng)


def cumulant_rotation(signals: Signals) -> np.ndarray:
    """Return the rotation that makes cumulants of third and fourth order as diagonal as can be [1]_.

    Of the fourth order those with one index twice are taken, so that there are 2 k matrices.

    References
    ----------
    .. [1] J.-F. Cardoso and A. Souloumiac, "Jacobi angles for simultaneous diagonalization", SIAM Journal on
       Matrix Analysis and Applications 17(1), 161-164, 1996.
    """
    k = signals.whitened.shape[1]
    third, fourth = np.split(_moments(signals), 2)
    own = np.arange(k)
    fourth = fourth - np.eye(k)
    fourth[own, own, own] -= 2.0
    return _diagonalising(np.concatenate([third, fourth / 2]))


def _moments(signals: Signals) -> np.ndarray:
    """Return the means of z_m z z' and of z_m^2 z z', of shape (2 k, k, k)."""
    n, k = signals.whitened.shape
    total, size = np.zeros((2 * k, k * k)), max(_BLOCK_ENTRIES // (k * k), 1)
    for first in range(0, n, size):
        z, share = signals.whitened[first : first + size], signals.weights[first : first + size, None]
        products = (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)
        total += np.concatenate([share * z, share * z * z], axis=1).T @ products
    return total.reshape(2 * k, k, k)


def _diagonalising(matrices: np.ndarray) -> np.ndarray:
    """Return the rotation after which symmetric matrices, of shape (m, k, k), are most nearly diagonal."""
    matrices, rotation = matrices.copy(), np.eye(matrices.shape[1])
    for _ in range(_DIAGONALISING_SWEEPS):
        largest = 0.0
        for pair in _pairs(len(rotation)):
            i, j = pair
            apart, off = matrices[:, i, i] - matrices[:, j, j], 2 * matrices[:, i, j]
            angle = 0.25 * float(np.arctan2(2 * (apart @ off), apart @ apart - off @ off))
            if abs(angle) > _NO_TURN:
                turn = _turn(angle)
                matrices[:, pair] = turn @ matrices[:, pair]
                matrices[:, :, pair] = matrices[:, :, pair] @ turn.T
                rotation[pair] = turn @ rotation[pair]
            largest = max(largest, abs(angle))
        if largest <= _NO_TURN:
            break
    return rotation


def sweep(signals: Signals, rotation: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Return a rotation of the whitened coordinates improved by Jacobi sweeps on some of the rows.

    Every pair of dependent codes in turn takes the angle at which its entropies, estimated from
    spacings [1]_, are least.

    References
    ----------
    .. [1] E. G. Learned-Miller and J. W. Fisher, "ICA using spacings estimates of entropy", Journal of
       Machine Learning Research 4, 1271-1295, 2003.
    """
    rotation = rotation.copy()
    rows = _some_rows(signals, _ROWS_PER_SCAN, rng)
    codes = rotation @ signals.whitened[rows].T
    equal = np.full(len(rows), 1 / len(rows))
    for _ in range(_SWEEPS if len(rotation) > 2 else 1):
        moved = False
        for pair in dependent_pairs(codes, equal, len(rows)):
            totals = spacing_entropies(codes[pair])
            best = int(np.argmin(totals))
            if totals[0] - totals[best] > 1 / codes.shape[1]:
                turn, moved = _turn_by(best), True
                codes[pair], rotation[pair] = turn @ codes[pair], turn @ rotation[pair]
        if not moved:
            break
    return rotation


def turned_pairs(codes: np.ndarray, signals: Signals, rng: np.random.RandomState) -> np.ndarray | None:
    """Return the rotation of those pairs of codes that have more evidence at another angle, or None.

    No angle can make more independent what is independent: other pairs are spared the search.

    Parameters
    ----------
    codes : array of shape (k, n)
    signals : Signals
        Whose codes they are.
    rng : RandomState
        Chooses the rows that are looked at.
    """
    codes, rotation = codes.copy(), np.eye(len(codes))
    dependent = _dependent_in(codes, signals, rng)
    rows = _some_rows(signals, 2 * _ROWS_PER_SCAN, rng)
    for pair in dependent:
        angles = _valleys(spacing_entropies(codes[pair][:, rows]), len(rows))
        if not angles:
            continue
        worth = [_evidence(_turn_by(angle) @ codes[pair], signals) for angle in [0, *angles]]
        best = int(np.argmax(worth))
        if worth[best] > worth[0] + _WORTH_A_TURN:
            turn = _turn_by([0, *angles][best])
            codes[pair], rotation[pair] = turn @ codes[pair], turn @ rotation[pair]
    return None if (rotation == np.eye(len(codes))).all() else rotation


def _dependent_in(codes: np.ndarray, signals: Signals, rng: np.random.RandomState) -> list[list[int]]:
    if codes.shape[1] <= _MOST_ROWS_OF_FEATURES:
        return dependent_pairs(codes, signals.weights, signals.n_samples)
    rows = _some_rows(signals, _MOST_ROWS_OF_FEATURES, rng)
    return dependent_pairs(codes[:, rows], np.full(len(rows), 1 / len(rows)), len(rows))


def dependent_pairs(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[list[int]]:
    """Return the pairs of codes whose features correlate more than those of independent ones would.

    The level is such that about one pair of independent codes is among them; a single pair always is.

    Parameters
    ----------
    codes : array of shape (k, n)
        Of about unit variance.
    weights : array of shape (n,)
        Of sum one.
    n_samples : float
    """
    pairs = _pairs(len(codes))
    correlations = _correlations(_features(codes), weights)
    level = chi2.isf(1 / max(len(pairs), 1), correlations.shape[1] ** 2)
    return [[i, j] for i, j in pairs if n_samples * (correlations[i, :, j] ** 2).sum() >= level]


def _features(codes: np.ndarray) -> np.ndarray:
    """Return functions of the codes that tell dependence in many ways, of shape (k, 6, n)."""
    squares = codes * codes
    damped = 1 / (1 + squares)
    waves = np.cos(2 * codes), np.sin(2 * codes)
    return np.stack([codes, damped, codes * damped, *waves, np.log1p(squares)], axis=1)


def _correlations(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the correlations of all features, made uncorrelated within each code: (k, p, k, p)."""
    k, p, n = features.shape
    flat = features.reshape(-1, n)
    flat = flat - (flat @ weights)[:, None]
    covariance = (flat * weights) @ flat.T
    whiten = np.zeros((k, p, k, p))
    for j in range(k):
        own = slice(j * p, (j + 1) * p)
        values, vectors = np.linalg.eigh(covariance[own, own])
        values = np.where(values > _DEPENDENT_FEATURES * values[-1], values, np.inf)
        whiten[j, :, j] = (vectors / np.sqrt(values)).T
    whiten = whiten.reshape(k * p, k * p)
    return (whiten @ covariance @ whiten.T).reshape(k, p, k, p)


def _valleys(totals: np.ndarray, n_rows: int) -> list[int]:
    """Return the angles of other minima that spacings do not exclude, deepest first."""
    lowest = (totals <= np.roll(totals, 1)) & (totals < np.roll(totals, -1))
    lowest &= totals < min(totals[0], totals.min() + 0.5 / np.sqrt(n_rows))
    angles = np.flatnonzero(lowest)
    angles = angles[(angles > 1) & (angles < _ANGLES - 1)]
    return [int(angle) for angle in angles[np.argsort(totals[angles])][:_VALLEYS]]


def _evidence(pair: np.ndarray, signals: Signals) -> float:
    return sum(density.fit_smooth(h, signals.weights, signals.n_samples).evidence for h in pair)


def spacing_entropies(pair: np.ndarray) -> np.ndarray:
    """Return the sum of the entropies of two codes, up to a constant, at every angle of a quarter turn.

    In single precision, which sorts twice as fast.

    Parameters
    ----------
    pair : array of shape (2, n)
    """
    angles = np.arange(2 * _ANGLES) * (np.pi / (2 * _ANGLES))
    turns = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    ordered = np.sort(turns @ pair.astype(np.float32), axis=1)
    m = max(int(np.sqrt(pair.shape[1])), 1)
    entropies = np.log(ordered[:, m:] - ordered[:, :-m] + np.float32(1e-9)).mean(axis=1)
    return entropies[:_ANGLES] + entropies[_ANGLES:]


def _turn_by(angle: int) -> np.ndarray:
    return _turn(angle * np.pi / (2 * _ANGLES))


def _turn(radians: float) -> np.ndarray:
    cosine, sine = np.cos(radians), np.sin(radians)
    return np.array([[cosine, sine], [-sine, cosine]])


def _pairs(k: int) -> list[list[int]]:
    return [list(pair) for pair in itertools.combinations(range(k), 2)]


def _some_rows(signals: Signals, most: int, rng: np.random.RandomState) -> np.ndarray:
    """Return rows drawn by their weights, one from each of equal shares; all of them where they are few."""
    size = min(most, max(round(signals.n_samples), 1))
    shares = (np.arange(size) + rng.uniform(size=size)) / size
    rows = np.searchsorted(np.cumsum(signals.weights), shares)
    return np.minimum(rows, len(signals.weights) - 1)
