"""The fit on clean arrays: closed form, training, canonical form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier.canonical import box_signs, order_by_variance
from sparse_fourier.model import Model
from sparse_fourier.objective import Point, reconstruction_term
from sparse_fourier.priors import IndependentPrior
from sparse_fourier.staging import Plan, Problem, optimise
from sparse_fourier.training import Progress, Trained

_WIDEST_FLOOR = 0.1
_STANDARD_ERRORS = 3.0
_ROUNDING_ERRORS = 16.0


@dataclass(frozen=True)
class Settings:
    """What the user decides about a fit."""

    prior: IndependentPrior
    n_components: int | float | None
    n_starts: int
    tol: float
    max_iter: int
    init: Any
    callback: Callable[[Progress], Any] | None


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
    """

    model: Model
    rank: int
    trusted: bool
    code_variances: np.ndarray
    total_variance: float
    residual: float
    curve: np.ndarray
    trained: Trained


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
    data = _reduce(X, weights, settings.n_components)
    if not data.rank:
        return _fit_constant(data, settings)
    trained = optimise(data.problem(settings.prior), _plan(data, settings), rng)
    return _finish(data, settings, trained)


@dataclass(frozen=True)
class _Reduced:
    """The data in the coordinates of their span: all that is d-sized has been done.

    `whitened` has zero mean and unit covariance; `axes`, of shape (rank, d), turns it into signals.
    """

    exponent: int
    span: start.Span
    n_components: int
    trusted: bool
    rank: int
    whitened: np.ndarray
    axes: np.ndarray
    squares: np.ndarray
    weights: np.ndarray
    resolution: float

    @property
    def n(self) -> float:
        return self.span.n_samples

    @property
    def n_left(self) -> int:
        return len(self.span.mean) - self.rank

    @property
    def deviations(self) -> np.ndarray:
        return self.span.deviations[: self.rank]

    @property
    def residual(self) -> float:
        return float(self.weights @ self.squares)

    @property
    def noise_variance(self) -> float:
        return self.residual / self.n / self.n_left if self.n_left else 0.0

    @property
    def noise(self) -> np.ndarray:
        """Covariance of the noise of the whitened coordinates, of shape (rank, rank)."""
        return np.diag(self.noise_variance / self.deviations**2)

    @property
    def code_floor(self) -> float:
        return min(1.0 / self.n, _WIDEST_FLOOR) ** 2

    def problem(self, prior: IndependentPrior) -> Problem:
        noise = max(self.noise_variance, self.resolution)
        residual = reconstruction_term(np.array(self.residual / self.n), noise, self.n_left)
        unit = len(self.span.mean) * self.exponent * np.log(2.0)
        constant = float(residual) + np.log(self.deviations).sum() + unit
        share = self.weights / self.n
        return Problem(prior, self.whitened, share, self.n, self.noise, self.code_floor, constant)


def _reduce(X: np.ndarray, weights: np.ndarray, n_components: int | float | None) -> _Reduced:
    exponent = start.binary_exponent(X)
    unit = start.scaled_by_power_of_two(X, -exponent)
    epsilon = float(np.finfo(X.dtype).eps)
    span = start.principal_span(unit, weights, epsilon)
    k, trusted = _choose_n_components(span, X.shape[1], n_components)
    rank = min(k, span.rank)
    coordinates, squares, cross = start.project(unit, span.mean, span.axes[:rank], weights / span.n_samples)
    deviations = span.deviations[:rank]
    return _Reduced(
        exponent,
        span,
        k,
        trusted,
        rank,
        coordinates / deviations,
        cross / deviations[:, None],
        squares,
        weights,
        max((_ROUNDING_ERRORS * epsilon) ** 2 * span.mean_square, np.finfo(float).tiny),
    )


def _choose_n_components(span: start.Span, d: int, n_components: int | float | None) -> tuple[int, bool]:
    """Return the number of components, and whether the data had a say that can be trusted."""
    if n_components is None:
        return start.sensible_rank(span, d)
    if isinstance(n_components, int):
        return n_components, True
    return max(start.rank_of_share(span, n_components), 1), True


def _plan(data: _Reduced, settings: Settings) -> Plan:
    init = None if settings.init is None else _whitened_components(data, settings.init)
    return Plan(settings.n_starts, settings.tol, settings.max_iter, init, settings.callback)


def _whitened_components(data: _Reduced, init: Any) -> np.ndarray:
    """Return directions to start from in whitened coordinates, one a row, of unit length.

    The size of components is that of the codes' range, which the prior settles.
    """
    components = _checked_init(init, (data.n_components, len(data.span.mean)))
    unit = components / np.abs(components).max(axis=1, keepdims=True, initial=np.finfo(float).tiny)
    mixing = (unit[: data.rank] @ data.span.axes[: data.rank].T) / data.deviations
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True) + np.finfo(float).tiny
    if np.linalg.matrix_rank(mixing) < data.rank:
        raise ValueError(
            "The 'init' components must span the principal subspace of X, which has "
            f"{data.rank} dimensions; their projections onto it are linearly dependent."
        )
    return mixing


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
    """Correct the box for the shortfall of extremes, and bring it into canonical form."""
    prior, point = settings.prior, trained.point
    centre, _ = prior.moments
    shrink = 1.0 / (1.0 + prior.shortfall(data.rank, data.n))
    unmixing = point.unmixing * shrink
    offset = centre + (point.offset - centre) * shrink
    components = np.linalg.solve(unmixing.T, data.axes)
    middle = data.span.mean + (centre - offset) @ components
    variances = (unmixing**2).sum(axis=1) * data.n / max(data.n - 1, 1)
    signs = box_signs(components, middle, _tie(Point(unmixing, offset), data))
    order = order_by_variance(variances * (components**2).sum(axis=1))
    components = (signs[:, None] * components)[order]
    intercept = middle - centre * components.sum(axis=0)
    codes = centre + signs * (data.whitened @ unmixing.T + offset - centre)
    model = _model(data, prior, components, intercept)
    curve = np.append(trained.curve, _final_loss(model, codes[:, order], data))
    variances = np.append(variances[order], np.zeros(data.n_components - data.rank))
    return _fitted(data, model, variances, curve, trained)


def _tie(point: Point, data: _Reduced) -> np.ndarray:
    """Return the uncertainty of twice the centre of each code."""
    noise = point.noise_variances(data.noise)
    return 2 * _STANDARD_ERRORS * (np.sqrt(noise / data.n) + 1 / data.n)


def _model(data: _Reduced, prior: IndependentPrior, components: np.ndarray, intercept: np.ndarray) -> Model:
    d = len(data.span.mean)
    padded = np.zeros((data.n_components, d))
    padded[: len(components)] = components
    noise = data.noise_variance
    return Model(padded, intercept, noise, data.resolution, data.code_floor, prior, data.exponent)


def _final_loss(model: Model, codes: np.ndarray, data: _Reduced) -> float:
    padded = np.zeros((len(codes), data.n_components))
    padded[:, : data.rank] = codes
    total = model.terms_of_codes(padded, data.squares).total
    return float(data.weights @ total / data.n)


def _fitted(
    data: _Reduced, model: Model, variances: np.ndarray, curve: np.ndarray, trained: Trained
) -> Fitted:
    total = data.span.total_variance * data.n / max(data.n - 1, 1)
    return Fitted(
        model,
        data.rank,
        data.trusted,
        variances,
        total,
        data.residual,
        curve,
        trained,
    )


def _fit_constant(data: _Reduced, settings: Settings) -> Fitted:
    """Return the model of data without variance: zero components."""
    d = len(data.span.mean)
    model = _model(data, settings.prior, np.zeros((0, d)), data.span.mean)
    loss = _final_loss(model, np.zeros((len(data.squares), 0)), data)
    trained = Trained(Point(np.zeros((0, 0)), np.zeros(0)), np.array([loss]), True, 0.0, False)
    return _fitted(data, model, np.zeros(data.n_components), trained.curve, trained)
