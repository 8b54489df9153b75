"""What is known in closed form before training: scale, span, rank, and places to start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import chdtrc

from sparse_fourier.canonical import reference_signs
from sparse_fourier.lapack import eigenvalues, singular_values
from sparse_fourier.leading import leading_axes
from sparse_fourier.objective import Point
from sparse_fourier.scaled import FEW_ENTRIES, Scaled
from sparse_fourier.signals import Rows, extent

_MOST_MOMENTS = 5000
_MOST_ENTRIES = 1 << 23
_AXES_AT_FIRST = 50
_MOST_AXES = 400
_ROUGHLY = 1e-4
_RESOLVED_VARIANCE = 1e-13
_OF_ONE_ORDER = 0.1
_REFINEMENTS = 5
_GAP_MARGIN = 4.0
_TRACY_WIDOM_DEVIATION = 1.27
_TRACY_WIDOM_QUANTILE = 4.5
_NOISE_ITERATIONS = 10
_FEW_DIMENSIONS = 4
_LOST_TO_PREPARATION = 2
_LARGE_SHARE = 0.99
_LEVEL_OF_WHITENESS = 1e-6
LARGE_PART = 0.75
SAMPLES_PER_COMPONENT = 5
_NOISE_ABOVE_ROUNDING = 15.0


@dataclass(frozen=True)
class Span:
    """The principal subspaces of the data: all dimensions above rounding, or the strongest of many.

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
    single : bool
        Whether the data are in single precision, and so noisy that it is enough for their coordinates.
    n_weaker : int
        Number of dimensions above rounding whose axes are not known.
    """

    mean: np.ndarray
    average: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    n_samples: float
    n_varying: int
    total_variance: float
    mean_square: float
    single: bool = False
    n_weaker: int = 0

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.deviations)

    @property
    def n_dimensions(self) -> int:
        """Number of dimensions that stand above rounding."""
        return self.rank + self.n_weaker

    @property
    def weaker_variance(self) -> float:
        """Variance beyond the axes, where not all are known."""
        return max(self.total_variance - float(self.deviations @ self.deviations), 0.0) * bool(self.n_weaker)


def binary_exponent(X: Rows) -> int:
    """Return e such that the largest entry of X, times 2**-e, lies between 1/2 and 1; 0 if none does."""
    lowest, highest, _ = extent(X)
    return exponent_of(max(abs(lowest), abs(highest)))


def exponent_of(largest: float) -> int:
    """Return e such that a number, times 2**-e, lies between 1/2 and 1; 0 for zero."""
    return int(np.frexp(largest)[1])


def principal_span(
    X: Rows,
    weights: np.ndarray,
    resolution: float,
    *,
    centred: bool = True,
    exponent: int = 0,
    n_components: int | float | None = None,
) -> Span:
    """Return the principal subspaces of weighted data, of which the average is subtracted if `centred`.

    Parameters
    ----------
    X : array or Signals of shape (n, d)
        Its entries times 2**exponent are of magnitude one or less.
    weights : array of shape (n,)
        Positive; a weight of 2 means that the row occurs twice.
    resolution : float
        Machine epsilon of the type in which the data came: their rounding is noise.
    centred : bool
    exponent : int
        The span is that of X times 2**exponent.
    n_components : int or float in (0, 1), optional
        How many axes there have to be, or their share of the variance, where data are so many and so long
        that not all axes can be had. By default all that stand above white noise, up to a few hundred.
    """
    data = Scaled.of(X, weights, exponent)
    return span_of_scaled(data, resolution, centred=centred, n_components=n_components)


def span_of_scaled(
    data: Scaled, resolution: float, *, centred: bool, n_components: int | float | None
) -> Span:
    """Return what `principal_span` does."""
    rounding = _Rounding(resolution, data.X.shape)
    if _is_vast(*data.X.shape):
        return _strongest_span(data, data.n_samples, rounding, centred, n_components)
    found = _in_single_precision(data, centred) or _in_double_precision(data, centred, rounding)
    return _span_of(found, data.X.shape, data.n_samples, rounding, centred)


def span_of_moments(
    average: np.ndarray,
    covariance: np.ndarray,
    refine: Callable[[np.ndarray, np.ndarray, np.ndarray], Refinement],
    shape: tuple[int, int],
    n_samples: float,
    resolution: float,
    *,
    centred: bool,
) -> Span:
    """Return what `principal_span` does, of data that are known by sums over rows alone.

    Parameters
    ----------
    average : array of shape (d,)
    covariance : array of shape (d, d)
        About the average if `centred`, in double precision.
    refine : callable
        Of what is subtracted, axes and deviations along them.
    shape : (n, d)
    n_samples : float
        Sum of the weights.
    resolution : float
    centred : bool
    """
    rounding = _Rounding(resolution, shape)
    deviations, axes, variances = _eigenvalues(covariance)
    resolved = _resolved(deviations)
    if resolved.sum() < np.count_nonzero(variances):
        mean, total = average * centred, float(variances.sum())
        least = rounding.deviation(total, total + float(mean @ mean))
        for _ in range(_REFINEMENTS):
            found = refine(mean, axes[resolved], deviations[resolved])
            deviations, axes = found.axes
            weaker, beyond, _ = _eigenvalues(found.left)
            more = _resolved(weaker) & (weaker > least)
            deviations, axes = np.append(deviations, weaker[more]), np.append(axes, beyond[more], axis=0)
            resolved = np.ones(len(deviations), dtype=bool)
            if not more.any():
                break
    return _span_of(_Decomposed(average, deviations, axes, variances), shape, n_samples, rounding, centred)


class Refinement(NamedTuple):
    """Sums over data in coordinates of about unit variance, and the covariance of what is left of them.

    Attributes
    ----------
    gram : array of shape (r, r)
        Of the coordinates.
    cross : array of shape (r, d)
        Coordinates against data.
    left : array of shape (d, d)
    """

    gram: Any
    cross: Any
    left: Any

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Deviations and axes, with full precision."""
        return _axes_of(self.gram, self.cross)


def _axes_of(gram: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return deviations and axes from sums over data in coordinates of about unit variance."""
    _, deviations, axes = singular_values(np.linalg.solve(np.linalg.cholesky(gram), cross))
    return deviations, axes


def _resolved(deviations: np.ndarray) -> np.ndarray:
    """Return which deviations a covariance resolves."""
    return deviations**2 > _RESOLVED_VARIANCE * deviations.max(initial=0.0) ** 2


def _span_of(
    found: _Decomposed, shape: tuple[int, int], n_samples: float, rounding: _Rounding, centred: bool
) -> Span:
    n, d = shape
    mean = found.average if centred else np.zeros(d)
    total = float(found.variances.sum())
    square = total + float(mean @ mean)
    varying = int(np.count_nonzero(found.variances))
    keep = found.deviations > rounding.deviation(total, square)
    keep &= np.arange(len(keep)) < min(n - centred, varying)
    axes = _directed(found.axes[keep], found.variances)
    numbers = n_samples, varying, total, square / d, found.single
    return Span(mean, found.average, axes, found.deviations[keep], *numbers)


def _directed(axes: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return axes of settled sign, exactly zero at features that do not vary."""
    axes = np.where(variances > 0, axes, 0.0)
    return np.where(axes == 0, 0.0, axes * reference_signs(axes)[:, None])


def _is_vast(n: int, d: int) -> bool:
    """Return whether data have too many dimensions for all their axes to be found."""
    return d > _MOST_MOMENTS if n > 2 * d else n * d > _MOST_ENTRIES


def _strongest_span(
    data: Scaled, n_samples: float, rounding: _Rounding, centred: bool, n_components: int | float | None
) -> Span:
    """Return the strongest axes of data: as many as are asked for."""
    average = data.mean(float)
    mean = average if centred else np.zeros(len(average))
    vast = _Vast(data, average, mean, data.variances(mean), n_samples, rounding)
    if isinstance(n_components, int):
        return vast.span(n_components)
    size = _AXES_AT_FIRST
    while True:
        span = vast.span(size, _ROUGHLY)
        asked = estimate_rank(span, vast.d) if n_components is None else rank_of_share(span, n_components)
        if asked < LARGE_PART * span.rank or not span.n_weaker or span.rank >= _MOST_AXES:
            return vast.span(max(asked, 1)) if span.n_weaker else vast.span(size)
        size *= 2


@dataclass(frozen=True)
class _Vast:
    """Data with so many dimensions that only the strongest can be found, about their mean."""

    data: Scaled
    average: np.ndarray
    mean: np.ndarray
    variances: np.ndarray
    n_samples: float
    rounding: _Rounding

    @property
    def d(self) -> int:
        """Number of features."""
        return len(self.mean)

    def span(self, size: int, tolerance: float = 1e-12) -> Span:
        """Return so many of the strongest axes, if as many stand above rounding."""
        total, varying = float(self.variances.sum()), int(np.count_nonzero(self.variances))
        square = total + float(self.mean @ self.mean)
        most = min(len(self.data.X), varying)
        products = self.data.operators(self.mean)
        deviations, axes = leading_axes(*products, self.d, min(size, most), tolerance)
        keep = deviations > self.rounding.deviation(total, square)
        axes = _directed(axes[keep], self.variances)
        weaker = most - len(keep) if keep.all() else 0
        numbers = self.n_samples, varying, total, square / self.d, False, weaker
        return Span(self.mean, self.average, axes, deviations[keep], *numbers)


class _Decomposed(NamedTuple):
    """The average of the data, deviations along axes, the variance of each feature; how they were found."""

    average: np.ndarray
    deviations: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    single: bool = False


@dataclass(frozen=True)
class _Rounding:
    """What rounding alone does to the singular values of data."""

    resolution: float
    shape: tuple[int, int]

    def deviation(self, variance: float, square: float) -> float:
        """Return the standard deviation along an axis that rounding can feign.

        Parameters
        ----------
        variance, square : float
            Sums over features of their variances, and of their mean squares.
        """
        n, d = self.shape
        own = np.finfo(float).eps * np.sqrt(max(n, d) * variance)
        return float(max(_GAP_MARGIN * self.resolution * np.sqrt(square / d) * (1 + np.sqrt(d / n)), own))


def _in_single_precision(data: Scaled, centred: bool) -> _Decomposed | None:
    """Return the decomposition of data in single precision that are noisy and many, or None."""
    n, d = data.X.shape
    if data.X.dtype != np.float32 or n <= 2 * d:
        return None
    average, moments, squares = data.moments(np.float32, centred=centred)
    deviations, axes, variances = _eigenvalues(moments)
    if deviations[-1] ** 2 <= _least_noise(squares, data.rows_at_once):
        return None
    return _Decomposed(average, deviations, axes, variances, single=True)


def _least_noise(squares: np.ndarray, rows_at_once: int) -> float:
    """Return the smallest variance of noise beside which rounding of products in single precision is nothing.

    Each sum of so many rows errs by about epsilon / 2 of both sizes, at random. For one thing,
    noise has to be several times the largest eigenvalue of these errors, which is measured to be 0.1 to 1.4
    times the root of the largest mean square times their sum, so that eigenvalues are off by 0.003 at most.
    For another, errors must not be seen by a test whether noise is white, which sees its sampling errors.

    Parameters
    ----------
    squares : array of shape (d,)
        Mean squares of the features that were multiplied.
    rows_at_once : int
    """
    total = float(squares.sum())
    by_norm = _NOISE_ABOVE_ROUNDING * np.sqrt(squares.max() * total)
    by_whiteness = 0.5 * np.sqrt(rows_at_once / len(squares)) * total
    return 0.5 * float(np.finfo(np.float32).eps) * float(max(by_norm, by_whiteness))


def _in_double_precision(data: Scaled, centred: bool, rounding: _Rounding) -> _Decomposed:
    n, d = data.X.shape
    if n > 2 * d:
        average, moments, _ = data.moments(float, centred=centred)
        return _Decomposed(average, *_by_moments(data, average * centred, moments, rounding))
    average = data.mean(float)
    return _Decomposed(average, *_by_singular_values(data, average * centred))


def _by_singular_values(data: Scaled, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standard deviations, axes, and the variance of each feature."""
    n, d = data.X.shape
    if n > 2 * d and data.X.size > FEW_ENTRIES:
        variances, scaled = data.variances(mean), data.triangle(mean)
    else:
        scaled = (data.whole() - mean) * np.sqrt(data.share)[:, None]
        variances = np.einsum("ij,ij->j", scaled, scaled)
        scaled = np.linalg.qr(scaled, mode="r") if n > 2 * d else scaled
    _, deviations, axes = singular_values(np.asarray(scaled))
    return deviations, axes, variances


def _by_moments(
    data: Scaled, mean: np.ndarray, moments: np.ndarray, rounding: _Rounding
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same from the covariance, which resolves deviations down to 3e-7 of the largest.

    Where it leaves some unresolved, the span of the others is refined to full precision, unless they are of
    one order; if more than rounding then lies outside it, the data themselves are decomposed.
    """
    deviations, axes, variances = _eigenvalues(moments)
    resolved = _resolved(deviations)
    if resolved.sum() >= np.count_nonzero(variances):
        return deviations, axes, variances
    deviations, axes = deviations[resolved], axes[resolved]
    if deviations[-1] < _OF_ONE_ORDER * deviations[0]:
        deviations, axes = _axes_of(*data.sums(mean, axes / deviations[:, None]))
    axes = _directed(axes, variances)
    _, squares, _ = data.projected(mean, axes, float)
    total = variances.sum()
    if data.share @ squares <= rounding.deviation(total, total + mean @ mean) ** 2 * len(mean):
        return deviations, axes, variances
    return _by_singular_values(data, mean)


def _eigenvalues(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standard deviations, axes, and the variance of each feature."""
    values, vectors = eigenvalues(moments)
    return np.sqrt(np.maximum(values[::-1], 0.0)), vectors.T[::-1], np.diagonal(moments)


def project(
    X: Rows, weights: np.ndarray, span: Span, rank: int, exponent: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what is left of the data when they are projected onto the strongest axes of their span.

    Parameters
    ----------
    X : array or Signals of shape (n, d)
    weights : array of shape (n,)
    span : Span
        Of X times 2**exponent.
    rank : int
        Number r of axes.
    exponent : int

    Returns
    -------
    coordinates : array of shape (n, r)
    squares : array of shape (n,)
        Squared distance of each row from the span of the axes.
    cross : array of shape (r, d)
        Covariance of coordinates and features: every column with a precision of its own, whatever
        the scale of the others.
    """
    dtype = np.float32 if span.single else float
    return Scaled.of(X, weights, exponent).projected(span.mean, span.axes[:rank], dtype)


def whitened(data: Scaled, span: Span, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `project` does, with coordinates of variance one."""
    axes, deviations = span.axes[:rank], span.deviations[:rank]
    if span.single:
        left = max(span.total_variance - float(deviations @ deviations), 0.0)
        drowned = data.drowned(span.mean, axes, deviations, left)
        if drowned is not None:
            return *drowned, deviations[:, None] * axes
    dtype = np.float32 if span.single else float
    coordinates, squares, cross = data.projected(span.mean, axes, dtype, deviations)
    return coordinates, squares, cross / deviations[:, None]


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
    weaker = span.weaker_variance * (span.n_samples / n)
    p = span.n_dimensions if span.n_dimensions < n else span.n_varying
    for k in range(span.rank):
        noise = _noise_without_bias(variances, k, n, p, weaker)
        if variances[k] <= noise * largest_of_noise(n, p - k):
            return k
    return span.rank


def _is_exact(span: Span, n_features: int) -> bool:
    """Return whether the data have no noise: they lack more dimensions than preparation takes.

    Signals that have each been brought to mean zero or norm one lack one or two.
    """
    most = min(n_features, span.n_varying, span.n_samples - 1)
    return span.n_dimensions < most - _LOST_TO_PREPARATION or 2 * span.n_dimensions <= most


def sensible_rank(span: Span, n_features: int) -> tuple[int, bool]:
    """Return the number of components for `n_components="auto"`, and whether it is an estimate.

    Coloured noise looks like ever more components. Where what the estimate leaves is not white, or less than
    a quarter of the dimensions, it is not believed: taken are the components that explain 99 % of the
    variance, but no more than the samples can tell apart, whose number has to exceed the k (k + 1) entries
    that turn coordinates into codes, twice over.
    """
    estimate = max(estimate_rank(span, n_features), 1)
    exact = _is_exact(span, n_features)
    white = estimate <= LARGE_PART * span.n_dimensions and _leaves_white_noise(span, estimate)
    if exact or white or span.rank <= _FEW_DIMENSIONS:
        return estimate, True
    most = min(estimate, int(np.sqrt(span.n_samples / 2)))
    return max(min(rank_of_share(span, _LARGE_SHARE), most), 1), False


def _leaves_white_noise(span: Span, k: int) -> bool:
    """Return whether variances beyond the first k differ as little as those of white noise.

    By John's statistic, which holds for fewer samples than dimensions too [1]_. Where not all variances are
    known, it is enough that some of them are noise, and samples many.

    References
    ----------
    .. [1] O. Ledoit and M. Wolf, "Some hypothesis tests for the covariance matrix when the dimension is large
       compared to the sample size", Annals of Statistics 30(4), 1081-1102, 2002.
    """
    if span.n_weaker:
        return k < span.rank and SAMPLES_PER_COMPONENT * k <= span.n_samples
    n = span.n_samples - 1
    p = (span.rank if span.rank < n else span.n_varying) - k
    variances = span.deviations[k:] ** 2
    spread = p * float(variances @ variances) / float(variances.sum()) ** 2 - 1
    return bool(chdtrc(0.5 * p * (p + 1), 0.5 * p * (n - k) * spread) > _LEVEL_OF_WHITENESS)


def largest_of_noise(n: float, p: int) -> float:
    """Return the quantile of the largest eigenvalue of white noise of unit variance."""
    roots = np.sqrt(max(n - 0.5, 0.5)), np.sqrt(p - 0.5)
    centre = (roots[0] + roots[1]) ** 2 / n
    scale = np.sqrt(centre / n) * (1 / roots[0] + 1 / roots[1]) ** (1 / 3)
    return float(centre + _TRACY_WIDOM_QUANTILE * scale)


def spread_of_largest(n: float, p: int) -> float:
    """Return the standard deviation of the largest eigenvalue of white noise of unit variance."""
    roots = np.sqrt(max(n - 0.5, 0.5)), np.sqrt(p - 0.5)
    scale = (roots[0] + roots[1]) / n * (1 / roots[0] + 1 / roots[1]) ** (1 / 3)
    return float(_TRACY_WIDOM_DEVIATION * scale)


def _noise_without_bias(variances: np.ndarray, k: int, n: float, p: int, weaker: float) -> float:
    """Return the noise variance, corrected for what strong components drain from the rest."""
    left, strong = variances[k:].sum() + weaker, variances[:k]
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
