"""The fit on clean arrays: closed form, training, canonical form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier.bases import Basis, Free
from sparse_fourier.canonical import order_by_variance
from sparse_fourier.model import Model
from sparse_fourier.objective import Point, reconstruction_term
from sparse_fourier.priors.base import CodesAsTrained, Prior
from sparse_fourier.staging import Plan, Problem, optimise
from sparse_fourier.supports import bounded_least_squares
from sparse_fourier.training import Progress, Trained

_ROUNDING_ERRORS = 128.0
_NATS_OF_A_DOUBT = 3.0
_SAMPLES_TO_JUDGE = 25
_ALTERNATIONS = 2


@dataclass(frozen=True)
class Settings:
    """What the user decides about a fit."""

    prior: Prior
    n_components: int | float | None
    n_starts: int
    tol: float
    max_iter: int
    init: Any
    callback: Callable[[Progress], Any] | None
    fit_intercept: bool = True
    basis: Basis = field(default_factory=Free)


@dataclass(frozen=True)
class Fitted:
    """Outcome of a fit.

    Attributes
    ----------
    model : Model
    rank : int
        Number of components that are not zero.
    trusted : bool
        False where their number was capped for want of white noise or of samples.
    code_variances : array of shape (k,)
        Variances of the codes, divided by n - 1.
    total_variance : float
        Of the data, divided by n - 1, in the model's unit.
    residual : float
        Sum of squared residuals, in the model's unit.
    curve : array of shape (n_iter + 1,)
    trained : Trained
        How the optimum was reached.
    doubts : list of str
        What of the basis the data leave open.
    """

    model: Model
    rank: int
    trusted: bool
    code_variances: np.ndarray
    total_variance: float
    residual: float
    curve: np.ndarray
    trained: Trained
    doubts: list[str]


def fit(X: np.ndarray, weights: np.ndarray, settings: Settings, rng: np.random.RandomState) -> Fitted:
    """Fit the model to signals.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite, float32 or float64; never written to.
    weights : array of shape (n,)
        Positive.
    settings : Settings
    rng : RandomState
        Draws the starts.
    """
    data = _reduce(X, weights, settings)
    if data.rank == data.surplus:
        return _fit_constant(data, settings)
    trained = optimise(data.problem(settings.prior), _plan(data, settings), rng)
    fitted = _finish(data, settings, trained)
    return _fit_to_signals(fitted, X, weights, data) if settings.basis.leaves_span else fitted


@dataclass(frozen=True)
class _Reduced:
    """The data in the coordinates of their span: all that is d-sized has been done.

    `whitened`, of shape (n, rank), and `axes`, of shape (rank, d), give signals less `origin`. The first has
    zero mean and unit covariance; where codes sum to one it ends with a one, whose axis is the mean.
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

    @property
    def n(self) -> float:
        return self.span.n_samples

    @property
    def n_left(self) -> int:
        return len(self.span.mean) - self.rank + self.surplus

    @property
    def deviations(self) -> np.ndarray:
        return self.span.deviations[: self.rank - self.surplus]

    @property
    def anchored(self) -> bool:
        """Whether the intercept is zero; training has one all the same, or faces would tilt instead."""
        return bool(self.surplus) or self.span.mean is not self.span.average

    @property
    def residual(self) -> float:
        return float(self.weights @ self.squares)

    @property
    def noise_variance(self) -> float:
        return self.residual / self.degrees_of_freedom / self.n_left if self.n_left else 0.0

    @property
    def noise(self) -> np.ndarray:
        """Covariance of the noise of the whitened coordinates, of shape (rank, rank)."""
        return np.diag(np.append(self.noise_variance / self.deviations**2, np.zeros(self.surplus)))

    def problem(self, prior: Prior) -> Problem:
        noise = max(self.noise_variance, self.resolution)
        residual = reconstruction_term(np.array(self.residual / self.n), noise, self.n_left)
        unit = len(self.span.mean) * self.exponent * np.log(2.0)
        constant = float(residual) + np.log(self.deviations).sum() + unit
        share = self.weights / self.n
        floor = prior.resolution(self.n) ** 2
        average = share @ self.whitened if self.anchored else None
        return Problem(prior, self.whitened, share, self.n, self.noise, floor, constant, average)


def _reduce(X: np.ndarray, weights: np.ndarray, settings: Settings) -> _Reduced:
    exponent = start.binary_exponent(X)
    unit = start.scaled_by_power_of_two(X, -exponent)
    epsilon = float(np.finfo(X.dtype).eps)
    surplus = settings.prior.domain.surplus
    span = start.principal_span(unit, weights, epsilon, centred=settings.fit_intercept or bool(surplus))
    k, trusted = _choose_n_components(span, X.shape[1], settings.n_components, surplus)
    rank = min(k - surplus, span.rank)
    coordinates, squares, cross = start.project(unit, span.mean, span.axes[:rank], weights / span.n_samples)
    deviations = span.deviations[:rank]
    return _Reduced(
        exponent,
        span,
        k,
        trusted,
        rank + surplus,
        surplus,
        np.append(coordinates / deviations, np.ones((len(X), surplus)), axis=1),
        np.append(cross / deviations[:, None], span.mean[None][:surplus], axis=0),
        np.zeros_like(span.mean) if surplus else span.mean,
        squares,
        weights,
        settings.prior.degrees_of_freedom(span.n_samples),
        max((_ROUNDING_ERRORS * epsilon) ** 2 * span.mean_square, np.finfo(float).tiny),
    )


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


def _plan(data: _Reduced, settings: Settings) -> Plan:
    init = None if settings.init is None else _whitened_components(data, settings.init)
    return Plan(settings.n_starts, settings.tol, settings.max_iter, init, settings.callback)


def _whitened_components(data: _Reduced, init: Any) -> np.ndarray:
    """Return directions to start from in whitened coordinates, one a row, of unit length.

    The size of components is that of the codes' range, which the prior settles.
    """
    components = _checked_init(init, (data.n_components, len(data.span.mean)))
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


def _simplex_in_coordinates(data: _Reduced, components: np.ndarray) -> np.ndarray:
    """Return vertices to start from in whitened coordinates, each with a one at the end."""
    vertices = np.ldexp(components, -data.exponent)[: data.rank] - data.span.mean
    places = vertices @ data.span.axes[: data.rank - 1].T / data.deviations
    places = np.append(places, np.ones((len(places), 1)), axis=1)
    if np.linalg.matrix_rank(places) < data.rank:
        raise ValueError("The 'init' components must be the vertices of a simplex; these are dependent.")
    return places


def _checked_init(init: Any, shape: tuple[int, int]) -> np.ndarray:
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


def _finish(data: _Reduced, settings: Settings, trained: Trained) -> Fitted:
    """Correct the support for the shortfall of extremes, and bring the codes into the prior's normal form."""
    prior = trained.prior or settings.prior
    point = _widened(trained.point, prior, data)
    components = np.linalg.solve(point.unmixing.T, data.axes)
    codes = point.encode(data.whitened)
    share = data.weights / data.n
    mean_codes = share @ codes
    deviations = np.sqrt(share @ (codes - mean_codes) ** 2)
    noise = np.sqrt(point.noise_variances(data.noise))
    factors, shifts = prior.normal_form(
        CodesAsTrained(components, data.span.average, mean_codes, deviations, noise, data.n, data.anchored)
    )
    if data.anchored:
        shifts = -factors * point.offset
    intercept = data.origin - (point.offset + shifts / factors) @ components
    order = order_by_variance(deviations**2 * (components**2).sum(axis=1))
    components = settings.basis.evaluate((components / factors[:, None])[order])
    intercept = intercept if data.anchored else settings.basis.evaluate(intercept)
    codes = (factors * codes + shifts)[:, order]
    floor = trained.floor * factors[order] ** 2
    model = _model(data, prior.mapped(factors, shifts).taken(order), components, intercept, floor)
    curve = np.append(trained.curve, _final_loss(model, codes, data))
    variances = (factors * deviations)[order] ** 2 * data.n / max(data.n - 1, 1)
    return _fitted(data, model, variances, curve, trained, _doubts(data, model, codes, trained))


def _fit_to_signals(fitted: Fitted, X: np.ndarray, weights: np.ndarray, data: _Reduced) -> Fitted:
    """Return the model with non-negative components fitted once more to the signals, given their codes.

    Codes within their support do not reach all of the span, so that other components fit better, as the
    alternating steps of non-negative matrix factorization find them.
    """
    model, signals = fitted.model, np.ldexp(np.asarray(X, dtype=float), -data.exponent)
    for _ in range(_ALTERNATIONS):
        codes = model.constrained_codes(X)
        model = _with_components(model, *_nonnegative_decoder(codes, signals, weights, data.anchored))
    codes = model.constrained_codes(X)
    residuals = signals - model.intercept - codes @ model.components
    squares = float(weights @ np.einsum("ij,ij->i", residuals, residuals))
    return replace(fitted, model=model, residual=squares)


def _nonnegative_decoder(
    codes: np.ndarray, signals: np.ndarray, weights: np.ndarray, anchored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return components and intercept, none negative, that reconstruct signals best from codes."""
    k = codes.shape[1]
    design = codes if anchored else np.append(codes, np.ones((len(codes), 1)), axis=1)
    weighted = design * weights[:, None]
    gram = weighted.T @ design
    free = np.linalg.lstsq(gram, weighted.T @ signals, rcond=None)[0]
    decoder = bounded_least_squares(free.T, gram, 0.0, np.inf).T
    return decoder[:k], np.zeros(signals.shape[1]) if anchored else decoder[k]


def _with_components(model: Model, components: np.ndarray, intercept: np.ndarray) -> Model:
    """Return the model with other components, of unit norm where that is the convention."""
    k = len(components)
    norms = np.linalg.norm(components, axis=1)
    factors = np.where(norms > 0, norms, 1.0) if model.prior.has_free_scale else np.ones(k)
    return replace(
        model,
        components=components / factors[:, None],
        intercept=intercept,
        prior=model.prior.mapped(factors, np.zeros(k)),
        code_floor=model.code_floor * factors**2,
    )


def _doubts(data: _Reduced, model: Model, codes: np.ndarray, trained: Trained) -> list[str]:
    """Return what of the basis the data leave open; nothing where samples are too few to judge."""
    if data.n < _SAMPLES_TO_JUDGE * data.rank:
        return []
    doubts = model.prior.taken(range(data.rank)).doubts(codes, data.weights / data.n, data.n)
    if trained.rival < _NATS_OF_A_DOUBT:
        doubts.append(f"another basis is only {max(trained.rival, 0.0):.2g} nats less likely")
    return doubts


def _widened(point: Point, prior: Prior, data: _Reduced) -> Point:
    """Return the point with the support widened about its centre by what extremes fall short of it."""
    centre, _ = prior.moments
    shrink = 1.0 / (1.0 + prior.shortfall(data.rank, data.n))
    return Point(point.unmixing * shrink, centre + (point.offset - centre) * shrink)


def _model(
    data: _Reduced,
    prior: Prior,
    components: np.ndarray,
    intercept: np.ndarray,
    floor: np.ndarray,
) -> Model:
    dead = data.n_components - len(components)
    return Model(
        np.pad(components, ((0, dead), (0, 0))),
        intercept,
        data.noise_variance,
        data.resolution,
        np.append(floor, np.ones(dead)),
        prior.padded(dead),
        data.exponent,
    )


def _final_loss(model: Model, codes: np.ndarray, data: _Reduced) -> float:
    total = model.terms_of_codes(codes, data.squares).total
    return float(data.weights @ total / data.n)


def _fitted(
    data: _Reduced,
    model: Model,
    variances: np.ndarray,
    curve: np.ndarray,
    trained: Trained,
    doubts: list[str],
) -> Fitted:
    variances = np.append(variances, np.zeros(len(model.components) - len(variances)))
    beside = data.span.average - data.span.mean
    total = (data.span.total_variance - float(beside @ beside)) * data.n / max(data.n - 1, 1)
    return Fitted(
        model,
        data.rank,
        data.trusted,
        variances,
        total,
        data.residual,
        curve,
        trained,
        doubts,
    )


def _fit_constant(data: _Reduced, settings: Settings) -> Fitted:
    """Return the model of data without variance: zero components, or one that is the mean."""
    n, alone = len(data.squares), data.surplus
    floor = np.full(alone, settings.prior.resolution(data.n) ** 2)
    model = _model(data, settings.prior, data.axes[:alone], data.origin, floor)
    loss = _final_loss(model, np.ones((n, alone)), data)
    point = Point(np.eye(alone), np.zeros(alone))
    trained = Trained(point, np.array([loss]), True, 0.0, False)
    return _fitted(data, model, np.zeros(data.n_components), trained.curve, trained, [])
