"""What is known in closed form before training: scale, span, rank, and places to start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_fourier.canonical import reference_signs
from sparse_fourier.objective import Point

_BLOCK_BYTES = 1 << 20
_RESOLVED_VARIANCE = 1e-13
_GAP_MARGIN = 4.0
_TRACY_WIDOM_QUANTILE = 4.5
_NOISE_ITERATIONS = 10
_FEW_DIMENSIONS = 4
_LOST_TO_PREPARATION = 2
_LARGE_SHARE = 0.99
LARGE_PART = 0.75
SAMPLES_PER_COMPONENT = 5


@dataclass(frozen=True)
class Span:
    """The principal subspaces of the data, all dimensions that stand above rounding.

    Attributes
    ----------
    mean : array of shape (d,)
        What was subtracted from the data: their average, or zero.
    average : array of shape (d,)
    axes : array of shape (r, d)
        Orthonormal rows, strongest first.
    deviations : array of shape (r,)
        Root mean square of the data along each axis, after that.
    n_samples : float
        Sum of the weights.
    n_varying : int
        Number of features that are not constant.
    total_variance : float
        Sum over features of their mean squares, after that.
    mean_square : float
        Of all entries.
    """

    mean: np.ndarray
    average: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    n_samples: float
    n_varying: int
    total_variance: float
    mean_square: float

    @property
    def rank(self) -> int:
        """Number of dimensions that stand above rounding."""
        return len(self.deviations)


def binary_exponent(X: np.ndarray) -> int:
    """Return e such that the largest entry of X, times 2**-e, lies between 1/2 and 1; 0 if none does."""
    largest = max(abs(float(X.max())), abs(float(X.min())))
    return int(np.frexp(largest)[1])


def scaled_by_power_of_two(X: np.ndarray, exponent: int) -> np.ndarray:
    """Return a copy of X times 2**exponent, exactly where the type can hold it."""
    factor = np.ldexp(X.dtype.type(1), exponent) if abs(exponent) < 120 else X.dtype.type(np.inf)
    if np.isfinite(factor):
        return np.multiply(X, factor, order="C")
    return np.ldexp(X, exponent, order="C")


def principal_span(X: np.ndarray, weights: np.ndarray, resolution: float, *, centred: bool = True) -> Span:
    """Return the principal subspaces of weighted data, of which the average is subtracted if `centred`.

    Parameters
    ----------
    X : array of shape (n, d)
        Entries of magnitude one or less.
    weights : array of shape (n,)
        Positive; a weight of 2 means that the row occurs twice.
    resolution : float
        Machine epsilon of the type in which the data came: their rounding is noise.
    """
    n, d = X.shape
    share = weights / weights.sum()
    average = weighted_mean(X, share)
    mean = average if centred else np.zeros(d)
    rounding = _Rounding(resolution, X.shape, mean)
    decompose = _by_moments if n > 2 * d else _by_singular_values
    deviations, axes, variances = decompose(X, mean, share, rounding)
    varying = int(np.count_nonzero(variances))
    keep = deviations > rounding.deviation(variances.sum())
    keep &= np.arange(len(deviations)) < min(n - centred, varying)
    axes = np.where(variances > 0, axes[keep], 0.0)
    axes *= reference_signs(axes)[:, None]
    mean_square = float(variances.sum() + mean @ mean) / d
    total = float(variances.sum())
    return Span(mean, average, axes, deviations[keep], float(weights.sum()), varying, total, mean_square)


@dataclass(frozen=True)
class _Rounding:
    """What rounding alone does to the singular values of data."""

    resolution: float
    shape: tuple[int, int]
    mean: np.ndarray

    def deviation(self, total_variance: float) -> float:
        """Return the standard deviation along an axis that rounding can feign."""
        n, d = self.shape
        entry = np.sqrt((total_variance + self.mean @ self.mean) / d)
        own = np.finfo(float).eps * np.sqrt(max(n, d) * total_variance)
        return float(max(_GAP_MARGIN * self.resolution * entry * (1 + np.sqrt(d / n)), own))


def weighted_mean(X: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the mean of rows in double precision, exact for columns that are constant."""
    shift = X[0].astype(float)
    mean = np.zeros(X.shape[1])
    for rows in _blocks(X):
        mean += share[rows] @ (X[rows] - shift)
    return shift + mean


def _blocks(X: np.ndarray) -> list[slice]:
    size = max(256, _BLOCK_BYTES // (8 * max(X.shape[1], 1)))
    return [slice(start, start + size) for start in range(0, len(X), size)]


def _by_singular_values(
    X: np.ndarray, mean: np.ndarray, share: np.ndarray, rounding: _Rounding
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standard deviations, axes, and the variance of each feature."""
    scaled = (X - mean) * np.sqrt(share)[:, None]
    variances = np.einsum("ij,ij->j", scaled, scaled)
    if len(scaled) > 2 * scaled.shape[1]:
        scaled = np.linalg.qr(scaled, mode="r")
    _, deviations, axes = np.linalg.svd(scaled, full_matrices=False)
    return deviations, axes, variances


def _by_moments(
    X: np.ndarray, mean: np.ndarray, share: np.ndarray, rounding: _Rounding
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same from the covariance, which resolves deviations down to 3e-7 of the largest.

    Where it leaves some unresolved, the span of the others is refined to full precision; if more
    than rounding then lies outside it, the data themselves are decomposed.
    """
    moments = covariance(X, mean, share)
    values, vectors = np.linalg.eigh(moments)
    variances, axes = np.diagonal(moments), vectors.T[::-1]
    resolved = values[::-1] > _RESOLVED_VARIANCE * values[-1]
    if resolved.sum() >= np.count_nonzero(variances):
        return np.sqrt(np.maximum(values[::-1], 0.0)), axes, variances
    deviations, axes = _refine(X, mean, share, axes[resolved])
    _, squares, _ = project(X, mean, axes, share)
    if share @ squares <= rounding.deviation(variances.sum()) ** 2 * X.shape[1]:
        return deviations, axes, variances
    return _by_singular_values(X, mean, share, rounding)


def covariance(X: np.ndarray, mean: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the covariance of rows with weights of sum one, in double precision."""
    moments = np.zeros((X.shape[1], X.shape[1]))
    for rows in _blocks(X):
        centred = (X[rows] - mean) * np.sqrt(share[rows])[:, None]
        moments += centred.T @ centred
    return moments


def _refine(
    X: np.ndarray, mean: np.ndarray, share: np.ndarray, axes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return deviations and axes of the part of the data that axes span, with full precision."""
    weights = np.sqrt(share)
    coordinates = np.concatenate([(X[rows] - mean) @ axes.T for rows in _blocks(X)])
    basis = np.linalg.qr(coordinates * weights[:, None])[0]
    reduced = sum(basis[rows].T @ ((X[rows] - mean) * weights[rows, None]) for rows in _blocks(X))
    _, deviations, refined = np.linalg.svd(np.asarray(reduced), full_matrices=False)
    return deviations, refined


def project(
    X: np.ndarray, mean: np.ndarray, axes: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what is left of the data when they are projected onto orthonormal axes.

    Returns
    -------
    coordinates : array of shape (n, r)
    squares : array of shape (n,)
        Squared distance of each row from the span of the axes.
    cross : array of shape (r, d)
        Covariance of coordinates and features: every column with a precision of its own, whatever
        the scale of the others.
    """
    coordinates, squares = np.empty((len(X), len(axes))), np.empty(len(X))
    cross = np.zeros(axes.shape)
    for rows in _blocks(X):
        centred = X[rows] - mean
        coordinates[rows] = centred @ axes.T
        cross += (coordinates[rows] * share[rows, None]).T @ centred
        centred -= coordinates[rows] @ axes
        squares[rows] = np.einsum("ij,ij->i", centred, centred)
    return coordinates, squares, cross


def estimate_rank(span: Span, n_features: int) -> int:
    """Return the number of components that stand above noise.

    Data of exactly low rank have no noise to estimate: their rank is the answer. Otherwise
    eigenvalues are tested one after another against the largest that white noise would give, the
    Tracy-Widom law at level 3e-5, with the noise estimated from the rest [1]_. It holds for
    fewer samples than features too.

    References
    ----------
    .. [1] S. Kritchman and B. Nadler, "Determining the number of components in a factor model from
       limited noisy data", Chemometrics and Intelligent Laboratory Systems 94(1), 19-32, 2008.
    """
    n = span.n_samples - 1
    if _is_exact(span, n_features):
        return span.rank
    variances = span.deviations**2 * (span.n_samples / n)
    p = span.rank if span.rank < n else span.n_varying
    for k in range(span.rank):
        noise = _noise_without_bias(variances, k, n, p)
        if variances[k] <= noise * largest_of_noise(n, p - k):
            return k
    return span.rank


def _is_exact(span: Span, n_features: int) -> bool:
    """Return whether the data have no noise: they lack more dimensions than preparation takes.

    Signals that have each been brought to mean zero or norm one lack one or two.
    """
    most = min(n_features, span.n_varying, span.n_samples - 1)
    return span.rank < most - _LOST_TO_PREPARATION or 2 * span.rank <= most


def sensible_rank(span: Span, n_features: int) -> tuple[int, bool]:
    """Return the number of components for `n_components="auto"`, and whether it is an estimate.

    Coloured noise looks like ever more components. Where the estimate leaves less than a quarter of the
    dimensions to the noise, or less than five samples to each component, it is not believed: taken are the
    components that explain 99 % of the variance, but no more than the samples can tell apart, whose
    number has to exceed the k (k + 1) entries that turn coordinates into codes, twice over.
    """
    estimate = max(estimate_rank(span, n_features), 1)
    exact = _is_exact(span, n_features)
    white = estimate <= LARGE_PART * span.rank and SAMPLES_PER_COMPONENT * estimate <= span.n_samples
    if exact or white or span.rank <= _FEW_DIMENSIONS:
        return estimate, True
    most = min(estimate, int(np.sqrt(span.n_samples / 2)))
    return max(min(rank_of_share(span, _LARGE_SHARE), most), 1), False


def largest_of_noise(n: float, p: int) -> float:
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


def starting_points(k: int, n_starts: int, moments: tuple[float, float], rng: np.random.RandomState) -> Point:
    """Return starts, stacked: codes along the principal axes, then along rotations of them.

    Every start gives the codes the prior's mean and variance.
    """
    rotations = [np.eye(k)]
    rotations += [np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(n_starts - 1)]
    centre, variance = moments
    return Point(np.sqrt(variance) * np.array(rotations), np.full((n_starts, k), centre))


def regular_simplices(k: int, n_starts: int, rng: np.random.RandomState) -> Point:
    """Return starts, stacked, for proportions of k components: rotated regular simplices.

    Coordinates are the k - 1 whitened ones and a one. Codes get the covariance of uniform proportions.
    """
    flat = np.linalg.qr(np.concatenate([np.full((k, 1), k**-0.5), np.eye(k)[:, 1:]], axis=1))[0][:, 1:]
    rotations = [np.eye(k - 1)]
    rotations += [np.linalg.qr(rng.standard_normal((k - 1, k - 1)))[0] for _ in range(n_starts - 1)]
    size, even = 1 / np.sqrt(k * (k + 1)), np.full((k, 1), 1 / k)
    unmixing = [np.concatenate([size * flat @ rotation, even], axis=1) for rotation in rotations]
    return Point(np.array(unmixing), np.zeros((n_starts, k)))
