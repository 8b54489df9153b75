"""What is known in closed form before training: scale, span, rank, and places to start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_fourier.canonical import reference_signs
from sparse_fourier.objective import Point

_BLOCK_BYTES = 1 << 25
SMALL = 4_000_000
_GAP_MARGIN = 4.0
_TRACY_WIDOM_QUANTILE = 3.2724
_NOISE_ITERATIONS = 10


@dataclass(frozen=True)
class Span:
    """The principal subspaces of the data, all dimensions that stand above rounding.

    Attributes
    ----------
    mean : array of shape (d,)
    axes : array of shape (r, d)
        Orthonormal rows, strongest first.
    deviations : array of shape (r,)
        Standard deviation of the data along each axis, divided by n.
    n_samples : float
        Sum of the weights.
    n_varying : int
        Number of features that are not constant.
    total_variance : float
        Sum of the variances of all features, divided by n.
    """

    mean: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    n_samples: float
    n_varying: int
    total_variance: float

    @property
    def rank(self) -> int:
        """Number of dimensions that stand above rounding."""
        return len(self.deviations)


def binary_exponent(X: np.ndarray) -> int:
    """Return e such that the largest entry of X, times 2**-e, lies between 1/2 and 1; 0 if none does."""
    largest = max(abs(float(X.max())), abs(float(X.min())))
    return int(np.frexp(largest)[1])


def principal_span(X: np.ndarray, weights: np.ndarray, resolution: float) -> Span:
    """Return the principal subspaces of weighted data.

    Parameters
    ----------
    X : array of shape (n, d)
        Entries of magnitude one or less.
    weights : array of shape (n,)
        Positive; a weight of 2 means that the row occurs twice.
    resolution : float
        Machine epsilon of the type in which the data came: their rounding is noise.
    """
    total = float(weights.sum())
    mean = weighted_mean(X, weights)
    deviations, axes = _decompose(X, mean, weights)
    varying = int(np.count_nonzero(np.ptp(X, axis=0) > 0))
    n, d = X.shape
    rounding = resolution * root_mean_square(X, weights) * (1 + np.sqrt(d / n))
    floor = np.finfo(float).eps * np.sqrt(max(n, d))
    keep = deviations > max(_GAP_MARGIN * rounding, floor * deviations.max(initial=0.0))
    keep &= np.arange(len(deviations)) < min(n - 1, max(varying, 0))
    axes = axes[keep] * reference_signs(axes[keep])[:, None]
    return Span(mean, axes, deviations[keep], total, varying, float((deviations**2).sum()))


def weighted_mean(X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of rows in double precision, exact for columns that are constant."""
    shift = X[0].astype(float)
    total = weights.sum()
    sums = np.zeros(X.shape[1])
    for rows in _blocks(X):
        sums += weights[rows] @ (X[rows] - shift)
    return shift + sums / total


def _blocks(X: np.ndarray) -> list[slice]:
    size = max(256, _BLOCK_BYTES // (8 * max(X.shape[1], 1)))
    return [slice(start, start + size) for start in range(0, len(X), size)]


def root_mean_square(X: np.ndarray, weights: np.ndarray) -> float:
    squares = sum(float(weights[rows] @ np.square(X[rows], dtype=float).mean(axis=1)) for rows in _blocks(X))
    return float(np.sqrt(squares / weights.sum()))


def _decompose(X: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return standard deviations and axes; by moments where a singular value decomposition is slow."""
    n, d = X.shape
    if n * d * min(n, d) > 50 * SMALL and n > 2 * d:
        return _by_moments(X, mean, weights)
    scaled = (X - mean) * np.sqrt(weights / weights.sum())[:, None]
    if n > 2 * d:
        scaled = np.linalg.qr(scaled, mode="r")
    _, deviations, axes = np.linalg.svd(scaled, full_matrices=False)
    return deviations, axes


def _by_moments(X: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    variances, axes = np.linalg.eigh(covariance(X, mean, weights))
    return np.sqrt(np.maximum(variances[::-1], 0.0)), axes.T[::-1]


def covariance(X: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the covariance of rows, divided by the sum of weights, accumulated in double precision."""
    shift = mean.astype(X.dtype)
    share = (weights / weights.sum()).astype(X.dtype)
    moments = np.zeros((X.shape[1], X.shape[1]))
    for rows in _blocks(X):
        centred = X[rows] - shift
        moments += (centred * share[rows, None]).T @ centred
    drift = mean - shift
    return moments - np.outer(drift, drift)


def squared_residuals(X: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates along orthonormal axes, and the squared distance of each row from their span."""
    coordinates = np.empty((len(X), len(axes)))
    squares = np.empty(len(X))
    shift, rows_of = mean.astype(X.dtype), axes.astype(X.dtype)
    for rows in _blocks(X):
        centred = X[rows] - shift
        coordinates[rows] = centred @ rows_of.T
        centred -= coordinates[rows].astype(X.dtype) @ rows_of
        squares[rows] = np.einsum("ij,ij->i", centred, centred)
    return coordinates, squares


def estimate_rank(span: Span, n_features: int) -> int:
    """Return the number of components that stand above noise.

    Data of exactly low rank have no noise to estimate: their rank is the answer. Otherwise
    eigenvalues are tested one after another against the largest that white noise would give, the
    Tracy-Widom law at level 0.001, with the noise estimated from the rest [1]_. It holds for
    fewer samples than features too.

    References
    ----------
    .. [1] S. Kritchman and B. Nadler, "Determining the number of components in a factor model from
       limited noisy data", Chemometrics and Intelligent Laboratory Systems 94(1), 19-32, 2008.
    """
    n = span.n_samples - 1
    if span.rank < min(n_features, span.n_varying, n):
        return span.rank
    variances = span.deviations**2 * (span.n_samples / n)
    for k in range(span.rank):
        noise = _noise_without_bias(variances, k, n, span.n_varying)
        if variances[k] <= noise * _largest_of_noise(n, span.n_varying - k):
            return k
    return span.rank


def _largest_of_noise(n: float, p: int) -> float:
    """Return the quantile of the largest eigenvalue of white noise of unit variance."""
    roots = np.sqrt(max(n - 0.5, 0.5)), np.sqrt(p - 0.5)
    centre = (roots[0] + roots[1]) ** 2 / n
    scale = np.sqrt(centre / n) * (1 / roots[0] + 1 / roots[1]) ** (1 / 3)
    return float(centre + _TRACY_WIDOM_QUANTILE * scale)


def _noise_without_bias(variances: np.ndarray, k: int, n: float, p: int) -> float:
    """Return the noise variance, corrected for what strong components drain from the rest."""
    left, strong = variances[k:].sum(), variances[:k]
    noise = left / (p - k)
    for _ in range(_NOISE_ITERATIONS):
        b = strong + noise * (1 - (p - k) / n)
        true = 0.5 * (b + np.sqrt(np.maximum(b * b - 4 * strong * noise, 0.0)))
        noise = (left + (strong - true).sum()) / (p - k)
    return float(noise)


def rank_of_share(span: Span, share: float) -> int:
    """Return the smallest number of components that explain a share of the variance."""
    explained = np.cumsum(span.deviations**2) / span.total_variance
    return min(int(np.searchsorted(explained, share)) + 1, span.rank)


def starting_points(
    whitened: np.ndarray, n_starts: int, moments: tuple[float, float], rng: np.random.RandomState
) -> Point:
    """Return starts, stacked: codes along the principal axes, then along rotations of them.

    Every start gives the codes the prior's mean and variance.
    """
    k = whitened.shape[1]
    rotations = [np.eye(k)]
    rotations += [np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(n_starts - 1)]
    centre, variance = moments
    return Point(np.sqrt(variance) * np.array(rotations), np.full((n_starts, k), centre))


def smallest_parallelogram(whitened: np.ndarray) -> Point:
    """Return the codes of the smallest parallelogram that holds points of the plane.

    One side of each pair of parallel sides lies along an edge of the convex hull, so that trying
    all pairs of edges is exact.
    """
    from scipy.spatial import ConvexHull

    corners = whitened[ConvexHull(whitened).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    heights = corners @ normals.T
    lowest, widths = heights.min(axis=0), np.ptp(heights, axis=0)
    sines = np.abs(np.outer(normals[:, 0], normals[:, 1]) - np.outer(normals[:, 1], normals[:, 0]))
    pair = np.unravel_index(np.argmax(sines / np.outer(widths, widths)), sines.shape)
    sides = np.array(pair)
    return Point(normals[sides] / widths[sides, None], -lowest[sides] / widths[sides])
