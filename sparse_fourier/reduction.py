"""Signals in the coordinates of their span: all that is as long as a signal is done here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier.coded import Coded, Near
from sparse_fourier.course import Problem
from sparse_fourier.incomplete import LowRank, Observed, low_rank, within
from sparse_fourier.lapack import eigenvalues
from sparse_fourier.objective import Point, reconstruction_term
from sparse_fourier.priors.base import Prior
from sparse_fourier.scaled import Scaled
from sparse_fourier.sharding import ShardedSignals
from sparse_fourier.signals import Rows, array_of, extent
from sparse_fourier.spreading import Sample, Spread, Whole

_ROUNDING_ERRORS = 128.0
_MOST_INFLATED = 25.0
_OF_ONE_ORDER = 256.0


@dataclass(frozen=True)
class Gaps:
    """What missing entries change.

    Attributes
    ----------
    n_entries : float
        Mean number of observed entries of a signal.
    volume : float
        Mean of half the log-determinant of what they see of the axes.
    inflation : array of shape (n,) or None
        How much more variance the noise of each signal's coordinates has than that of a complete one.
    """

    n_entries: float
    volume: float
    inflation: np.ndarray | None


@dataclass(frozen=True)
class Reduced:
    """The data in the coordinates of their span: all that is d-sized has been done.

    `whitened`, of shape (n, rank), and `axes`, of shape (rank, d), give signals less `origin`. The first has
    zero mean and unit covariance; where codes sum to one it ends with a one, whose axis is the mean.
    `log_volume` is that of the axes, and `unit_noise`, of shape (rank, rank), the covariance of the
    coordinates' noise where that of the signals has variance one. Where `white` that mean and covariance are
    known to about the precision of the signals.
    """

    exponent: int
    span: start.Span
    n_components: int
    trusted: bool
    rank: int
    surplus: int
    whitened: np.ndarray
    axes: np.ndarray
    origin: np.ndarray
    squares: np.ndarray
    weights: np.ndarray
    degrees_of_freedom: float
    resolution: float
    log_volume: float
    unit_noise: np.ndarray
    gaps: Gaps | None = None
    whole: Whole | None = None
    white: bool = False

    @property
    def n(self) -> float:
        """Number of samples: the sum of their weights."""
        return self.span.n_samples

    @property
    def n_left(self) -> int:
        """Number of dimensions that the components leave to the noise."""
        return len(self.span.mean) - self.rank + self.surplus

    @property
    def deviations(self) -> np.ndarray:
        """Standard deviations of the coordinates before they were whitened."""
        return self.span.deviations[: self.rank - self.surplus]

    @property
    def anchored(self) -> bool:
        """Whether the intercept is zero; training has one at first, or faces would tilt instead."""
        return bool(self.surplus) or self.span.mean is not self.span.average

    @cached_property
    def share(self) -> np.ndarray:
        """Weights of sum one."""
        return self.weights / self.n

    @cached_property
    def residual(self) -> float:
        """Sum of the squared distances of the signals from the span."""
        return float(self.weights @ self.squares)

    @cached_property
    def farthest(self) -> float:
        """Largest squared distance of the whitened coordinates from zero."""
        return float(np.einsum("ij,ij->i", self.whitened, self.whitened).max())

    @property
    def noise_variance(self) -> float:
        """Variance of the noise per feature."""
        if not self.n_left or self.degrees_of_freedom <= 0:
            return 0.0
        return self.residual / self.degrees_of_freedom / self.n_left

    @property
    def noise(self) -> np.ndarray:
        """Covariance of the noise of the whitened coordinates, of shape (rank, rank)."""
        return self.noise_variance * self.unit_noise

    @property
    def root(self) -> np.ndarray:
        """Rows whose Gram matrix is the covariance of signals; without intercept, their second moments."""
        beside = self.span.mean[None][: self.surplus]
        return np.concatenate([self.span.deviations[:, None] * self.span.axes, beside])

    def under(self, prior: Prior) -> Reduced:
        """Return the same for another prior, where this was for one that divides by the number of samples."""
        factor = prior.degrees_of_freedom(self.n) / self.n
        return replace(self, degrees_of_freedom=self.degrees_of_freedom * factor)

    def within(self, rank: int) -> Reduced:
        """Return the same within fewer dimensions, the rest of which is noise; for complete signals."""
        left = self.whitened[:, rank:] * self.deviations[rank:]
        return replace(
            self,
            n_components=rank,
            rank=rank,
            whitened=self.whitened[:, :rank],
            axes=self.axes[:rank],
            squares=self.squares + np.einsum("ij,ij->i", left, left),
            log_volume=float(np.log(self.deviations[:rank]).sum()),
            unit_noise=self.unit_noise[:rank, :rank],
        )

    def with_shares(self) -> Reduced:
        """Return the same for codes that sum to one: with a component more, and a coordinate that is one."""
        return replace(
            self,
            n_components=self.n_components + 1,
            rank=self.rank + 1,
            surplus=1,
            whitened=np.append(self.whitened, np.ones((len(self.whitened), 1)), axis=1),
            white=False,
            axes=np.append(self.axes, self.span.mean[None], axis=0),
            origin=np.zeros_like(self.span.mean),
            unit_noise=np.pad(self.unit_noise, (0, 1)),
        )

    def onto_sum_one(self, point: Point) -> Reduced:
        """Return the same where the sum of the codes at a point is one; what it is beside that is noise."""
        slope = point.unmixing.sum(axis=0)
        step = self.unit_noise @ slope
        variance = slope @ step
        excess = self.whitened @ slope + (point.offset.sum() - 1.0)
        own = 1.0 if self.gaps is None or self.gaps.inflation is None else self.gaps.inflation
        return replace(
            self,
            whitened=self.whitened - np.outer(excess, step / variance),
            squares=self.squares + excess**2 / (variance * own),
            unit_noise=self.unit_noise - np.outer(step, step / variance),
        )

    def coded(self, point: Point, near: Near | None = None) -> Coded:
        """Return codes as a function of coordinates, and where they are near a face if that is known."""
        moments = (np.zeros(self.rank), np.eye(self.rank)) if self.white else None
        return Coded(self.whitened, self.share, point, near, moments)

    def problem(self, prior: Prior) -> Problem:
        """Return what is left to be trained under a prior."""
        noise = max(self.noise_variance, self.resolution)
        gaps = self.gaps or Gaps(len(self.span.mean), 0.0, None)
        left = gaps.n_entries - self.rank + self.surplus
        residual = reconstruction_term(np.array(self.residual / self.n), noise, left)
        unit = gaps.n_entries * self.exponent * np.log(2.0)
        constant = float(residual) + self.log_volume + gaps.volume
        floor = prior.resolution(self.n) ** 2
        average = self.share @ self.whitened if self.anchored else None
        problem = Problem(
            prior,
            self.whitened,
            self.share,
            self.n,
            self.noise,
            floor,
            constant,
            average,
            gaps.inflation,
            unit,
        )
        return problem if self.whole else problem.within(float(np.sqrt(self.farthest)))


class Solution(NamedTuple):
    """Components and codes in the form that training left them in.

    Attributes
    ----------
    prior : Prior
    components : array of shape (k, d)
    origin : array of shape (d,)
        The signal whose codes are `offset`.
    offset : array of shape (k,)
    codes : Coded
    noise : array of shape (k,)
        Standard deviations of the noise of the codes.
    penalty : float
        What is added to the likelihood.
    """

    prior: Prior
    components: np.ndarray
    origin: np.ndarray
    offset: np.ndarray
    codes: Coded
    noise: np.ndarray
    penalty: float = 0.0


def reduce_signals(
    X: Rows, weights: np.ndarray, prior: Prior, n_components: int | float | None, *, centred: bool
) -> Reduced:
    """Return signals in the coordinates of their span.

    Parameters
    ----------
    X : array or Signals of shape (n, d)
        Float32 or float64, NaN where nothing was observed; never written to.
    weights : array of shape (n,)
        Positive.
    prior : Prior
        Says whether codes have a sum of one, and what the noise variance is divided by.
    n_components : int, float in (0, 1) or None
        Number, share of variance, or None to estimate it.
    centred : bool
        Whether signals have an intercept.
    """
    if isinstance(X, ShardedSignals):
        return _reduce_sharded(X, weights, prior, n_components, centred=centred)
    lowest, highest, complete = extent(X)
    if not complete:
        array = array_of(X, "missing entries")
        return _reduce_incomplete(array, weights, prior, n_components, centred=centred)
    exponent = start.exponent_of(max(abs(lowest), abs(highest)))
    epsilon = float(np.finfo(X.dtype).eps)
    surplus = prior.domain.surplus
    data, centred = Scaled.of(X, weights, -exponent), centred or bool(surplus)
    span = start.span_of_scaled(data, epsilon, centred=centred, n_components=n_components)
    number = _choose_n_components(span, X.shape[1], n_components, surplus)
    rank = min(number[0] - surplus, span.rank)
    whitened, squares, cross = start.whitened(data, span, rank)
    whitened = np.append(whitened, np.ones((len(X), surplus)), axis=1) if surplus else whitened
    rows = Sample(whitened, squares, weights)
    return _reduced_to(span, rank, number, rows, cross, prior, exponent, epsilon)


def _reduced_to(
    span: start.Span,
    rank: int,
    number: tuple[int, bool],
    rows: Sample,
    cross: np.ndarray,
    prior: Prior,
    exponent: int,
    epsilon: float,
    whole: Whole | None = None,
) -> Reduced:
    """Return signals in the coordinates along the strongest axes of their span."""
    surplus, deviations = prior.domain.surplus, span.deviations[:rank]
    return Reduced(
        exponent,
        span,
        *number,
        rank + surplus,
        surplus,
        rows.whitened,
        np.append(cross, span.mean[None][:surplus], axis=0),
        np.zeros_like(span.mean) if surplus else span.mean,
        rows.squares,
        rows.weights,
        prior.degrees_of_freedom(span.n_samples),
        max((_ROUNDING_ERRORS * epsilon) ** 2 * span.mean_square, np.finfo(float).tiny),
        float(np.log(deviations).sum()),
        np.diag(np.append(1.0 / deviations**2, np.zeros(surplus))),
        whole=whole,
        white=not surplus and _gives_white(span, rank),
    )


def _gives_white(span: start.Span, rank: int) -> bool:
    """Return whether coordinates along the strongest axes are white but for a few times the rounding of data.

    Eigenvalues of moments err in proportion to the largest, those of weak axes relatively more.
    """
    total, centred = span.mean_square * len(span.mean), span.mean is span.average
    return rank > 0 and centred and bool(total <= _OF_ONE_ORDER * span.deviations[rank - 1] ** 2)


def _reduce_sharded(
    X: ShardedSignals, weights: np.ndarray, prior: Prior, n_components: int | float | None, *, centred: bool
) -> Reduced:
    """Return a sample of signals that are spread over devices, with what all of them say."""
    epsilon = float(np.finfo(X.dtype).eps)
    surplus, spread = prior.domain.surplus, Spread.of(X, weights)
    span = spread.span(epsilon, centred=centred or bool(surplus))
    number = _choose_n_components(span, X.shape[1], n_components, surplus)
    rank = min(number[0] - surplus, span.rank)
    whole = spread.onto(span, rank, surplus)
    return _reduced_to(
        span, rank, number, whole.sample(), whole.cross, prior, spread.exponent, epsilon, whole
    )


def onto_components(data: Reduced, X: Rows, components: np.ndarray) -> Reduced:
    """Return the signals in the coordinates of given components, each of unit variance.

    Parameters
    ----------
    data : Reduced
        The same signals in the coordinates of their principal span.
    X : array or Signals of shape (n, d)
    components : array of shape (rank, d)
        Independent.
    """
    axes, triangle = np.linalg.qr(components.T)
    share = data.share
    span = replace(data.span, mean=data.span.mean * (not data.surplus), axes=axes.T)
    coordinates, squares, _ = start.project(X, data.weights, span, len(components), -data.exponent)
    codes = np.linalg.solve(triangle, coordinates.T).T
    deviations = np.sqrt(share @ codes**2)
    own = deviations[:, None] * components
    back = np.linalg.inv(triangle * deviations)
    return replace(
        data,
        white=False,
        whitened=codes / deviations,
        axes=own,
        squares=squares,
        log_volume=float(-np.linalg.slogdet(back)[1]),
        unit_noise=back @ back.T,
    )


def _reduce_incomplete(
    X: np.ndarray, weights: np.ndarray, prior: Prior, n_components: int | float | None, *, centred: bool
) -> Reduced:
    """Return signals with missing entries in the coordinates of their span; those that have such."""
    surplus, epsilon = prior.domain.surplus, float(np.finfo(X.dtype).eps)
    data, exponent = _observed(X, weights, centred=centred or bool(surplus))
    found, k, trusted = low_rank(data, n_components, surplus)
    kept = _determined(found, data)
    weights, counts = weights[kept], data.counts[kept]
    share = weights / weights.sum()
    span, coordinates = _span(data, found, kept, share)
    rank, n_left = span.rank, len(span.mean) - span.rank
    own = float(share @ np.maximum(counts - rank, 0.0))
    residuals = found.residuals[kept]
    return Reduced(
        exponent,
        span,
        k,
        trusted,
        rank + surplus,
        surplus,
        np.append(coordinates / span.deviations, np.ones((len(weights), surplus)), axis=1),
        np.append(span.axes * span.deviations[:, None], span.mean[None][:surplus], axis=0),
        np.zeros_like(span.mean) if surplus else span.mean,
        np.einsum("ij,ij->i", residuals, residuals),
        weights,
        prior.degrees_of_freedom(span.n_samples) * own / max(n_left, 1),
        max((_ROUNDING_ERRORS * epsilon) ** 2 * span.mean_square, np.finfo(float).tiny),
        float(np.log(span.deviations).sum()),
        np.diag(np.append(1.0 / span.deviations**2, np.zeros(surplus))),
        _gaps(found, data, kept),
    )


def _observed(X: np.ndarray, weights: np.ndarray, *, centred: bool) -> tuple[Observed, int]:
    """Return the entries that were observed, and the binary exponent of their unit."""
    seen = ~np.isnan(X)
    values = np.array(np.where(seen, X, 0.0), dtype=float, order="C")
    exponent = start.binary_exponent(values)
    parts = np.ldexp(values, -exponent), seen.astype(float, order="C"), weights
    return Observed(*parts, centred, float(np.finfo(X.dtype).eps)), exponent


def onto_components_of_entries(
    data: Reduced, X: np.ndarray, weights: np.ndarray, components: np.ndarray, intercept: np.ndarray
) -> Reduced:
    """Return what `onto_components` does, for signals with missing entries.

    Parameters
    ----------
    data : Reduced
    X : array of shape (n, d)
        NaN where nothing was observed.
    weights : array of shape (n,)
    components : array of shape (rank, d)
    intercept : array of shape (d,)
        Zero where `data` is anchored.
    """
    observed, _ = _observed(X, weights, centred=not data.anchored)
    axes, triangle = np.linalg.qr(components.T)
    found = within(observed, axes.T, intercept)
    kept = _determined(found, observed)
    own = weights[kept] / weights[kept].sum()
    codes = np.linalg.solve(triangle, found.coordinates[kept].T).T
    middle = own @ codes
    average = intercept + middle @ components
    codes -= middle * observed.centred
    deviations, residuals = np.sqrt(own @ codes**2), found.residuals[kept]
    back = np.linalg.inv(triangle * deviations)
    mean = average if observed.centred else np.zeros_like(average)
    return replace(
        data,
        span=replace(data.span, mean=mean, average=average, n_samples=float(weights[kept].sum())),
        whitened=codes / deviations,
        axes=deviations[:, None] * components,
        origin=mean,
        squares=np.einsum("ij,ij->i", residuals, residuals),
        weights=weights[kept],
        log_volume=float(-np.linalg.slogdet(back)[1]),
        unit_noise=back @ back.T,
        gaps=_gaps(found, observed, kept),
    )


def _gaps(found: LowRank, data: Observed, kept: np.ndarray) -> Gaps:
    """Return what missing entries change for the signals that are kept."""
    share = data.weights[kept] / data.weights[kept].sum()
    logs = -0.5 * np.linalg.slogdet(found.inverses[kept])[1]
    return Gaps(float(share @ data.counts[kept]), float(share @ logs), found.inflation[kept])


def _determined(found: LowRank, data: Observed) -> np.ndarray:
    """Return the signals whose entries determine their coordinates about as well as others' do."""
    enough = data.counts >= max(found.rank, 1)
    if np.count_nonzero(enough) <= found.rank:
        raise ValueError(
            f"Only {np.count_nonzero(enough)} rows of X have as many as {found.rank} observed entries, "
            f"which {found.rank} components take. Lower n_components, or drop features that are rarely seen."
        )
    if not found.rank:
        return enough
    order = np.argsort(found.inflation)
    order = order[enough[order]]
    half = np.searchsorted(np.cumsum(data.weights[order]), 0.5 * data.weights[order].sum())
    return enough & (found.inflation <= _MOST_INFLATED * found.inflation[order[half]])


def _span(
    data: Observed, found: LowRank, kept: np.ndarray, share: np.ndarray
) -> tuple[start.Span, np.ndarray]:
    """Return the principal axes of what was found, and the coordinates along them of some signals."""
    coordinates = found.coordinates[kept]
    middle = share @ coordinates
    average = found.mean + middle @ found.axes
    moved = coordinates - middle * data.centred
    values, vectors = eigenvalues((moved * share[:, None]).T @ moved)
    deviations = np.sqrt(np.maximum(values[::-1], 0.0))
    rotation = vectors[:, ::-1][:, deviations > np.finfo(float).eps * deviations.max(initial=0.0)]
    deviations = deviations[: rotation.shape[1]]
    varying = _varying(data)
    axes = np.where(varying, rotation.T @ found.axes, 0.0)
    signs = start.reference_signs(axes)
    left = found.value / max(float(data.weights @ np.maximum(data.counts - found.rank, 0.0)), 1.0)
    total = float((deviations**2).sum()) + left * (len(average) - found.rank)
    mean_square = (total + float(average @ average) * data.centred) / len(average)
    mean = average if data.centred else np.zeros_like(average)
    weight = float(data.weights[kept].sum())
    numbers = weight, int(np.count_nonzero(varying)), total, mean_square
    return start.Span(mean, average, axes * signs[:, None], deviations, *numbers), moved @ rotation * signs


def _varying(data: Observed) -> np.ndarray:
    """Return which features have more than one observed value."""
    highest = np.where(data.mask > 0, data.values, -np.inf).max(axis=0)
    return highest > np.where(data.mask > 0, data.values, np.inf).min(axis=0)


def _choose_n_components(
    span: start.Span, d: int, n_components: int | float | None, surplus: int
) -> tuple[int, bool]:
    """Return the number of components, and whether the data had a say that can be trusted."""
    if n_components is None:
        rank, trusted = start.sensible_rank(span, d)
        return rank + surplus, trusted
    if isinstance(n_components, int):
        return n_components, True
    return max(start.rank_of_share(span, n_components), 1) + surplus, True


def whitened_components(data: Reduced, init: Any) -> np.ndarray:
    """Return directions to start from in whitened coordinates, one a row, of unit length.

    The size of components is that of the codes' range, which the prior settles.
    """
    components = checked_init(init, (data.n_components, len(data.span.mean)))
    unit = components / np.abs(components).max(axis=1, keepdims=True, initial=np.finfo(float).tiny)
    if data.surplus:
        return _simplex_in_coordinates(data, components)
    mixing = (unit[: data.rank] @ data.span.axes[: data.rank].T) / data.deviations
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True) + np.finfo(float).tiny
    if np.linalg.matrix_rank(mixing) < data.rank:
        raise ValueError(
            "The 'init' components must span the principal subspace of X, which has "
            f"{data.rank} dimensions; their projections onto it are linearly dependent."
        )
    return mixing


def _simplex_in_coordinates(data: Reduced, components: np.ndarray) -> np.ndarray:
    """Return vertices to start from in whitened coordinates, each with a one at the end."""
    vertices = np.ldexp(components, -data.exponent)[: data.rank] - data.span.mean
    places = vertices @ data.span.axes[: data.rank - 1].T / data.deviations
    places = np.append(places, np.ones((len(places), 1)), axis=1)
    if np.linalg.matrix_rank(places) < data.rank:
        raise ValueError("The 'init' components must be the vertices of a simplex; these are dependent.")
    return places


def checked_init(init: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return given components as an array of shape (k, d).

    Raises
    ------
    ValueError
        If they are none.
    """
    try:
        array = np.asarray(init)
    except ValueError:
        array = np.array("ragged")
    numeric = array.dtype.kind in "fiub"
    if not numeric or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(
            "The 'init' parameter must be finite real components of shape (n_components, n_features) = "
            f"{shape}. Got {f'shape {array.shape}' if numeric else 'something else'} instead."
        )
    return array.astype(float)
