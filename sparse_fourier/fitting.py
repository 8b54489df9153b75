"""The fit on clean arrays: closed form, training, canonical form."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.stats import chi2

from sparse_fourier.alternating import fit_to_signals
from sparse_fourier.bases import Basis, Free
from sparse_fourier.bases.base import LearnedWaveforms
from sparse_fourier.broad import Broad
from sparse_fourier.canonical import order_by_variance
from sparse_fourier.coded import Coded
from sparse_fourier.contamination import Settled, without_strays
from sparse_fourier.course import Plan, Problem
from sparse_fourier.matching import match_rows
from sparse_fourier.model import Model
from sparse_fourier.objective import Point
from sparse_fourier.outside import Box, within_box
from sparse_fourier.penalised import Decoder, bend
from sparse_fourier.penalties.base import Penalty
from sparse_fourier.placing import box_along, place
from sparse_fourier.priors.base import CodesAsTrained, Prior
from sparse_fourier.priors.placed import from_zero, placed
from sparse_fourier.pursuit import pursued
from sparse_fourier.reduction import (
    Reduced,
    Solution,
    checked_init,
    onto_components,
    onto_components_of_entries,
    reduce_signals,
    whitened_components,
)
from sparse_fourier.selection import choose, is_box, may_fill_box
from sparse_fourier.signals import Rows, array_of, extent, mapped
from sparse_fourier.sparsity import Described, Sparsity
from sparse_fourier.spreading import Whole
from sparse_fourier.staging import optimise
from sparse_fourier.tails import StudentT
from sparse_fourier.training import Progress, Trained

_NATS_OF_A_DOUBT = 3.0
_SAMPLES_TO_JUDGE, _MOST_TO_JUDGE = 25, 100_000
_CONFIDENCE = 0.95
_SEARCH = Plan(None, 1e-6, 150, None, None)


class ExplainsNothingError(ValueError):
    """Components that are allowed explain nothing of the signals under a prior."""


@dataclass(frozen=True)
class Settings:
    """What the user decides about a fit.

    `rivals` of the prior are compared with it before training; `reference` are components whose order and
    signs are kept, and which `remember` more signals than are given now where these are but a sample;
    `contamination` is the largest share of rows that may be left out as strays; `sparsity`
    says how many codes of a signal may differ from zero, and `coder` gives a dictionary that was learned its
    way to find them, where components are more than features.
    """

    prior: Prior
    n_components: int | float | None
    n_starts: int | None
    tol: float
    max_iter: int
    init: Any
    callback: Callable[[Progress], Any] | None
    fit_intercept: bool = True
    basis: Basis = field(default_factory=Free)
    penalties: tuple[Penalty, ...] = ()
    reference: np.ndarray | None = None
    remember: bool = False
    rivals: tuple[Prior, ...] = ()
    sparsity: Sparsity = field(default_factory=Described)
    coder: Callable[[Any, Any, Any], Any] = pursued
    contamination: float = 0.0


@dataclass(frozen=True)
class Fitted:
    """Outcome of a fit.

    Attributes
    ----------
    model : Model or SparseModel
    rank : int
        Number of components that are not zero.
    trusted : bool
        False where their number was capped for want of white noise or of samples.
    n_samples : float
        Sum of the weights.
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
    basis : Basis
        With what was learned.
    scores : dict
        Name of each prior that was compared -> its penalised log-likelihood in nats per sample.
    noise : StudentT or None
        The noise, in the model's unit, where it is not Gaussian.
    in_nats : bool
        Whether losses are negative log-likelihoods.
    strays : int array
        Rows that were left out, ascending.
    lost : float
        Their share of the weights.
    extras : dict
        Attributes of the estimator that only some models have.
    """

    model: Any
    rank: int
    trusted: bool
    n_samples: float
    code_variances: np.ndarray
    total_variance: float
    residual: float
    curve: np.ndarray
    trained: Trained
    doubts: list[str]
    basis: Basis
    scores: dict[str, float] = field(default_factory=dict)
    noise: StudentT | None = None
    in_nats: bool = True
    strays: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    lost: float = 0.0
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def broad(self) -> Broad | None:
        """What is assumed of signals that stray; None where none did."""
        if not self.lost:
            return None
        model, (k, d) = self.model, self.model.components.shape
        centre = model.intercept + model.prior.code_mean(k) @ model.components
        return Broad(self.lost, centre, float(np.sqrt(self.total_variance / d)), model.exponent)


def fit(X: Rows, weights: np.ndarray, settings: Settings, rng: np.random.RandomState) -> Fitted:
    """Fit the model to signals.

    Parameters
    ----------
    X : array or Signals of shape (n, d)
        Float32 or float64, NaN where nothing was observed; never written to.
    weights : array of shape (n,)
        Positive.
    settings : Settings
    rng : RandomState
        Draws the starts.
    """
    if settings.penalties and not extent(X).complete:
        plain = fit(X, weights, replace(settings, penalties=()), rng)
        X = plain.model.filled(array_of(X, "missing entries"))
    total, train, waveforms = weights.sum(), _Training(settings, rng), _Waveforms(settings)
    data, X, weights, strays = _settled(X, weights, settings, train, waveforms)
    if data.rank == data.surplus:
        return _fit_constant(data, settings)
    if data.whole and (settings.basis.has_own_fit or settings.basis.leaves_span):
        array_of(X, f"the basis {type(settings.basis).__name__}")
    fixed = isinstance(settings.n_components, int)
    candidates = [settings.prior, *settings.rivals]
    rounds = 0 if settings.callback or settings.init is not None else settings.max_iter
    prior, scores, trained = choose(data, candidates, lambda: train(data), fixed=fixed, max_iter=rounds)

    def under(prior: Prior, trained: Trained | None = None) -> Fitted:
        return _fit_under(prior, data, X, weights, settings, rng, trained, waveforms)

    if len(scores) > 1 and settings.basis.leaves_span:
        fitted = _likeliest([each for each in candidates if str(each) in scores], under)
    else:
        trained = trained or (train.of(data) if prior is settings.prior else None)
        fitted = replace(under(prior, trained), scores=scores)
    return replace(fitted, strays=strays, lost=float(1 - weights.sum() / total))


def _fit_under(
    prior: Prior,
    data: Reduced,
    X: Rows,
    weights: np.ndarray,
    settings: Settings,
    rng: np.random.RandomState,
    trained: Trained | None,
    waveforms: _Waveforms,
) -> Fitted:
    """Return the fit of reduced signals under a prior, where that is not the first of the settings too."""
    if prior is not settings.prior:
        settings = replace(settings, prior=prior)
        data = _reduced(X, weights, settings) if prior.domain.surplus else data.under(prior)
    if settings.basis.leaves_span and settings.fit_intercept:
        data, trained = _from_zero(data, X, weights, settings, rng) or (data, trained)
    if settings.basis.has_own_fit:
        fitted = _fit_own_components(data, X, weights, settings, rng, waveforms)
    else:
        fitted = _trained_fit(data, X, settings, trained or _train(data, settings, rng), rng)
    if data.whole and data.whole.sampled:
        fitted = _with_loss_of_whole(fitted, data, data.whole)
    return fitted if data.gaps is None else _with_loss_of_entries(fitted, X, weights)


def _from_zero(
    data: Reduced, X: Rows, weights: np.ndarray, settings: Settings, rng: np.random.RandomState
) -> tuple[Reduced, Trained] | None:
    """Return signals and training without an intercept, where a corner of the support is the signal zero.

    None where an intercept explains more of the signals than noise has of it, or codes leave it off zero.
    """
    if data.gaps or data.surplus or 0.0 not in settings.prior.domain.faces:
        return None
    n_left = len(data.origin) - data.rank
    anchored = _reduced(X, weights, replace(settings, n_components=data.rank, fit_intercept=False))
    noise, rounding = data.noise_variance * chi2.ppf(_CONFIDENCE, n_left), data.resolution * data.n * n_left
    if n_left and anchored.residual - data.residual > noise + rounding:
        return None
    trained = _train(anchored, settings, rng)
    return (replace(anchored, n_components=data.n_components), trained) if trained.rooted else None


def _likeliest(priors: list[Prior], fit_under: Callable[[Prior], Fitted]) -> Fitted:
    """Return the likeliest fit: where components leave their span, codes say little before they have."""
    fits: dict[str, Fitted] = {}
    for prior in priors:
        try:
            fits[str(prior)] = fit_under(prior)
        except ExplainsNothingError:
            if prior is priors[-1] and not fits:
                raise
    scores = {name: -float(found.curve[-1]) for name, found in fits.items()}
    return replace(fits[max(scores, key=lambda name: scores[name])], scores=scores)


class _Training:
    """Training under the first prior: done once for the same signals, from the same draws for any."""

    def __init__(self, settings: Settings, rng: np.random.RandomState):
        self._settings, self._rng = settings, rng
        self._state: Any = None
        self._data: Reduced | None = None
        self._trained: Trained | None = None

    def __call__(self, data: Reduced) -> Trained:
        if self._trained is None or self._data is not data:
            self._state = self._state or self._rng.get_state()
            self._data, self._trained = data, _train(data, self._settings, self._rng)
        return self._trained

    def forget(self) -> None:
        """Let the draws begin anew."""
        self._data = self._trained = None
        if self._state:
            self._rng.set_state(self._state)

    def of(self, data: Reduced) -> Trained | None:
        """Return what training came to, if it was on these signals."""
        return self._trained if self._data is data else None


class _Waveforms:
    """What a basis finds by itself, without the prior: once for signals of the same span."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._span: Any = None
        self._found: LearnedWaveforms | None = None

    def __call__(self, data: Reduced, start: np.ndarray | None = None) -> LearnedWaveforms:
        if self._found is None or self._span is not data.span:
            settings, shape = self._settings, (data.n_components, len(data.span.mean))
            if start is None and settings.init is not None:
                start = checked_init(settings.init, shape)
            self._found = settings.basis.fit(data.root, data.rank, data.n, start, settings.max_iter)
            self._span = data.span
        return self._found

    def boxes_in(self, data: Reduced) -> Box:
        """Return how boxes are found: along these waveforms, unless the prior has to pick the basis."""
        basis = self._settings.basis
        return _box_of if basis.needs_prior else box_along(self(data).components, data)


def _settled(
    X: Rows, weights: np.ndarray, settings: Settings, train: _Training, waveforms: _Waveforms
) -> Settled:
    """Return signals without those that stray from all others, or from the box that these fill."""

    def reduce(X: Rows, weights: np.ndarray) -> Reduced:
        return _reduced(X, weights, settings)

    settled = without_strays(X, weights, settings.contamination, reduce)
    data, most = settled.data, settled.weights.sum() - (1 - settings.contamination) * weights.sum()
    if most <= 0 or not is_box(settings.prior) or data.rank == 0 or data.gaps or data.whole:
        return settled
    if settings.rivals and not may_fill_box(data, settings.contamination):
        return settled
    whole = None if settings.basis.has_own_fit else lambda: train(data)
    within = within_box(settled, most, data.problem(settings.prior), reduce, waveforms.boxes_in, whole)
    if within is not settled:
        train.forget()
    return within


def _box_of(problem: Problem, whitening: np.ndarray) -> Point:
    """Return the smallest box, by a search from its own starts."""
    del whitening
    return optimise(problem, _SEARCH, np.random.RandomState(0)).point


def _trained_fit(
    data: Reduced, X: Rows, settings: Settings, trained: Trained, rng: np.random.RandomState
) -> Fitted:
    """Return the fit that training came to, or what basis and penalties make of it."""
    confined, codes = settings.basis.leaves_span, None
    if confined or not settings.penalties:
        plain = _finish(data, settings, trained, _in_span(data, settings, trained))
        plain = _fitted_to_signals(plain, X, data) if confined else plain
        if not settings.penalties:
            return plain
        model, live = plain.model, np.flatnonzero(plain.model.live)
        prior, trained = model.prior.taken(live), trained._replace(floor=model.code_floor[live])
        start, codes = (
            Decoder(model.components[live], model.intercept),
            mapped(model.constrained_codes, X)[:, live],
        )
    else:
        prior, point = trained.prior or settings.prior, trained.point
        components, offset = np.linalg.solve(point.unmixing.T, data.axes), point.offset
        if data.anchored:
            prior, offset = placed(prior, np.ones(len(offset)), -offset), np.zeros(len(offset))
        start = Decoder(components, data.origin - offset @ components)
    plan, rows = _plan(data, settings), array_of(X, "penalties")
    data, solution, trained = bend(
        data, prior, trained, start, rows, settings.penalties, plan, rng, codes=codes
    )
    return replace(_finish(data, settings, trained, solution), rank=len(start.components))


def _fitted_to_signals(fitted: Fitted, X: Rows, data: Reduced) -> Fitted:
    """Return the fit with components fitted to the signals, and all that follows from them."""
    found = fit_to_signals(
        fitted.model, X, data.weights, anchored=data.anchored, degrees_of_freedom=data.degrees_of_freedom
    )
    if not found.model.live.any():
        raise ExplainsNothingError(
            "basis='nonnegative' explains nothing of X: what its components would have to be is negative "
            "everywhere. Use basis='free', or signals that are not negative."
        )
    deviations = found.codes - data.weights @ found.codes / data.n
    return replace(
        fitted,
        model=found.model,
        rank=int(found.model.live.sum()),
        code_variances=data.weights @ deviations**2 / max(data.n - 1, 1),
        residual=found.residual,
        curve=np.append(fitted.curve[:-1], found.loss),
    )


def _with_loss_of_entries(fitted: Fitted, X: Rows, weights: np.ndarray) -> Fitted:
    """Return the outcome with the loss of the entries that were observed."""
    loss = float(np.average(mapped(fitted.model.losses, X), weights=weights))
    return replace(fitted, curve=np.append(fitted.curve[:-1], loss))


def _with_loss_of_whole(fitted: Fitted, data: Reduced, whole: Whole) -> Fitted:
    """Return the outcome with the loss of all signals, where training looked for a start in a sample."""
    model = fitted.model
    live, codes = np.flatnonzero(model.live), _codes_of(data, model)
    prior = model.prior.taken(live).traced(len(live))
    log_prior = whole.mean_log_prior(prior, codes, model.code_variances[live])
    loss = model.terms_of(np.array(log_prior), np.array(whole.mean_square)).total
    return replace(fitted, curve=np.append(fitted.curve[:-1], float(loss)))


def _codes_of(data: Reduced, model: Model) -> Point:
    """Return the codes of a model as a function of coordinates."""
    live = np.flatnonzero(model.live)
    unmixing = model.unmixing[:, live]
    return Point((data.axes @ unmixing).T, data.origin @ unmixing - model.code_offset[live])


def _fit_own_components(
    data: Reduced,
    X: Rows,
    weights: np.ndarray,
    settings: Settings,
    rng: np.random.RandomState,
    waveforms: _Waveforms,
) -> Fitted:
    """Fit components that the basis finds, by itself or from those of the prior, which settles their size."""
    began, plan, free, start = time.perf_counter(), _plan(data, settings), None, None
    if settings.basis.needs_prior and settings.init is None:
        free = optimise(data.problem(settings.prior), plan, rng)
        start = np.linalg.solve(free.point.unmixing.T, data.axes)
    learned = waveforms(data, start)
    data, learned = _in_its_coordinates(data, X, weights, settings, learned)
    problem = data.problem(settings.prior)
    stopped = bool(free and free.stopped)
    if settings.callback and not stopped:
        elapsed = time.perf_counter() - began
        stopped = bool(settings.callback(Progress(learned.n_iter, problem.constant + problem.unit, elapsed)))
    trained = place(problem, replace(plan, callback=None if stopped else plan.callback), rng)
    trained = trained._replace(
        curve=np.append(free.curve if free else [], trained.curve),
        converged=learned.converged and trained.converged and not (free and not free.converged),
        decrement=max(trained.decrement, 0.5 * data.n_left * learned.promise),
        stopped=stopped or trained.stopped,
    )
    settings = replace(settings, basis=learned.basis)
    data = data.onto_sum_one(trained.point) if data.surplus else data
    return _finish(data, settings, trained, _in_span(data, settings, trained))


def _in_its_coordinates(
    data: Reduced, X: Rows, weights: np.ndarray, settings: Settings, learned: LearnedWaveforms
) -> tuple[Reduced, LearnedWaveforms]:
    """Return the signals in the coordinates of components, which missing entries let move once more."""
    if data.gaps is None:
        return onto_components(data, X, learned.components), learned
    X = array_of(X, "missing entries")
    unit = np.ldexp(np.asarray(X, dtype=float), -data.exponent)
    intercept = None if data.anchored else data.origin
    learned, origin = settings.basis.fit_entries(unit, weights, learned, intercept, settings.max_iter)
    return onto_components_of_entries(data, X, weights, learned.components, origin), learned


def _reduced(X: Rows, weights: np.ndarray, settings: Settings) -> Reduced:
    return reduce_signals(X, weights, settings.prior, settings.n_components, centred=settings.fit_intercept)


def _train(data: Reduced, settings: Settings, rng: np.random.RandomState) -> Trained:
    problem, plan = data.problem(settings.prior), _plan(data, settings)
    if data.whole is None:
        return optimise(problem, plan, rng)
    problem = data.whole.searched(problem)
    return data.whole.polished(problem, plan, optimise(problem, plan, rng))


def _plan(data: Reduced, settings: Settings) -> Plan:
    given = settings.init is not None and not settings.basis.has_own_fit
    init = whitened_components(data, settings.init) if given else None
    axes = data.axes if settings.basis.leaves_span else None
    return Plan(settings.n_starts, settings.tol, settings.max_iter, init, settings.callback, axes)


def _in_span(data: Reduced, settings: Settings, trained: Trained) -> Solution:
    """Return what was trained, with the support corrected for the shortfall of extremes."""
    prior = trained.prior or settings.prior
    free_axes = 1 if settings.basis.has_own_fit else data.rank
    point = _widened(trained, prior, free_axes, data.n)
    components = np.linalg.solve(point.unmixing.T, data.axes)
    noise = np.sqrt(point.noise_variances(data.noise))
    codes = data.coded(point, trained.near_its_point)
    return Solution(prior, components, data.origin, point.offset, codes, noise)


def _finish(data: Reduced, settings: Settings, trained: Trained, solution: Solution) -> Fitted:
    """Bring the codes into the prior's normal form."""
    prior, components, origin, offset, codes, noise, penalty = solution
    basis, deviations = settings.basis, codes.deviations
    factors, shifts = prior.normal_form(
        CodesAsTrained(components, data.span.average, codes.mean, deviations, noise, data.n, data.anchored)
    )
    if settings.reference is not None:
        factors, shifts = _turned_like(settings.reference, prior, components, factors, shifts)
    intercept = origin
    if data.anchored:
        shifts = -factors * offset
    else:
        intercept = origin - (offset + shifts / factors) @ components
    prior = placed(prior, factors, shifts)
    if basis.leaves_span:
        prior, factors, shifts = from_zero(prior, factors, shifts)
    if settings.reference is None:
        order = order_by_variance(deviations**2 * (components**2).sum(axis=1))
    else:
        order = order_like(settings.reference, components)
    components = (components / factors[:, None])[order]
    if basis.has_own_fit:
        sizes = np.linalg.norm(components, axis=1) * np.sign((components * data.axes[order]).sum(axis=1))
        basis = basis.mapped(sizes[np.argsort(order)], order).padded(data.n_components - data.rank)
    else:
        components = basis.evaluate(components)
        intercept = intercept if data.anchored else basis.evaluate(intercept)
    codes = codes.mapped(factors, shifts, order)
    floor = trained.floor * factors[order] ** 2
    model = _model(data, prior.taken(order), components, intercept, floor)
    model = replace(model, rooted=trained.rooted)
    curve = np.append(trained.curve, _final_loss(model, codes, data) + penalty)
    variances = (factors * deviations)[order] ** 2 * data.n / max(data.n - 1, 1)
    return _fitted(data, model, basis, variances, curve, trained, _doubts(data, basis, model, codes, trained))


def order_like(reference: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return the order of components that makes them most like others, of which there may be more."""
    places = match_rows(reference, components).permutation
    return places[places >= 0]


def _turned_like(
    reference: np.ndarray, prior: Prior, components: np.ndarray, factors: np.ndarray, shifts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return factors and shifts of codes that give components the signs of others, where the prior allows."""
    if prior.reflection is None:
        return factors, shifts
    order = order_like(reference, components)
    signs = np.ones(len(components))
    matched = match_rows(reference, components / factors[:, None])
    signs[order] = np.where(matched.cosines[matched.permutation >= 0] < 0, -1.0, 1.0)
    return signs * factors, np.where(signs < 0, prior.reflection - shifts, shifts)


def _doubts(data: Reduced, basis: Basis, model: Model, codes: Coded, trained: Trained) -> list[str]:
    """Return what of the basis the data leave open; nothing where samples are too few to judge."""
    if data.n < _SAMPLES_TO_JUDGE * data.rank:
        return []
    if not basis.needs_prior:
        return basis.doubts(data.rank, len(data.origin))
    codes = codes.thinned(_MOST_TO_JUDGE)
    if data.whole and data.whole.sampled:
        some = data.whole.some
        codes = Coded(some.whitened, some.weights / data.n, _codes_of(data, model))
    doubts = model.prior.taken(range(len(codes.point.offset))).doubts(codes.array(), codes.share, data.n)
    if trained.rival < _NATS_OF_A_DOUBT:
        doubts.append(f"another basis is only {max(trained.rival, 0.0):.2g} nats less likely")
    return doubts


def _widened(trained: Trained, prior: Prior, n_free_axes: int, n_samples: float) -> Point:
    """Return the point with the support widened by what extremes fall short of it.

    That is about its centre, or about a corner that was held, where one face of each code is free.
    """
    point, centre = trained.point, 0.0 if trained.rooted else prior.moments[0]
    shrink = 1.0 / (1.0 + prior.shortfall(n_free_axes - trained.rooted, n_samples))
    return Point(point.unmixing * shrink, centre + (point.offset - centre) * shrink)


def _model(
    data: Reduced,
    prior: Prior,
    components: np.ndarray,
    intercept: np.ndarray,
    floor: np.ndarray,
) -> Model:
    dead = data.n_components - len(components)
    return Model(
        np.concatenate([components, np.zeros((dead, components.shape[1]))]),
        intercept,
        data.noise_variance,
        data.resolution,
        np.append(floor, np.ones(dead)),
        prior.padded(dead),
        data.exponent,
    )


def _final_loss(model: Model, codes: Coded, data: Reduced) -> float:
    live = np.flatnonzero(model.live)
    log_prior = codes.mean_log_likelihood(model.prior.taken(live), live, model.code_variances[live])
    return float(model.terms_of(np.array(log_prior), np.array(data.residual / data.n)).total)


def _fitted(
    data: Reduced,
    model: Model,
    basis: Basis,
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
        data.n,
        variances,
        total,
        data.residual,
        curve,
        trained,
        doubts,
        basis,
    )


def _fit_constant(data: Reduced, settings: Settings) -> Fitted:
    """Return the model of data without variance: zero components, or one that is the mean."""
    n, alone = len(data.squares), data.surplus
    floor = np.full(alone, settings.prior.resolution(data.n) ** 2)
    prior = settings.prior.mapped(np.ones(alone), np.zeros(alone))
    model = _model(data, prior, data.axes[:alone], data.origin, floor)
    loss = _final_loss(model, Coded.of(np.ones((n, alone)), data.share), data)
    point = Point(np.eye(alone), np.zeros(alone))
    trained = Trained(point, np.array([loss]), True, 0.0, False)
    basis = settings.basis.padded(data.n_components)
    return _fitted(data, model, basis, np.zeros(data.n_components), trained.curve, trained, [])
