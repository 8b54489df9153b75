"""How sure the components of a fit are: error bars, stability, what identifies them, the rank."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from sparse_fourier import resampling
from sparse_fourier.bases.base import Basis
from sparse_fourier.diagnosis import Diagnosis
from sparse_fourier.estimates import Estimate
from sparse_fourier.fitting import Settings, fit
from sparse_fourier.harmonics.errors import Moments, WaveformErrors
from sparse_fourier.identification import gaussian_gains, margins, verdicts
from sparse_fourier.influence import Influence, influence_of, variances_beyond, variances_within
from sparse_fourier.matching import match_rows
from sparse_fourier.model import Model, incomplete_rows
from sparse_fourier.ranks import rank_of
from sparse_fourier.refits import refit
from sparse_fourier.replication import Replicas

_LEVEL = 0.9
_QUANTILES = (0.05, 0.5, 0.95)
_MOST_CODES_REFITTED = 8_000_000
_NATS_OF_OTHER_DATA = 0.5
_FEW = 25


class Question(NamedTuple):
    """What is to be diagnosed.

    Attributes
    ----------
    model : Model
    basis : Basis
    X : array of shape (n, d)
    weights : array of shape (n,)
        Positive.
    settings : Settings
        Those of the fit.
    n_draws : int
    rng : RandomState
    components : array of shape (k, d)
        In the user's unit and type.
    scores : dict
        Of priors that were compared before.
    """

    model: Model
    basis: Basis
    X: np.ndarray
    weights: np.ndarray
    settings: Settings
    n_draws: int
    rng: np.random.RandomState
    components: np.ndarray
    scores: dict[str, float]

    @property
    def anchored(self) -> bool:
        """Whether the intercept is zero by decree."""
        return not self.settings.fit_intercept

    @property
    def in_code_space(self) -> bool:
        """Whether the likelihood picks the components from their span, or the basis by least squares."""
        return not (self.settings.basis.leaves_span or self.settings.penalties)


class _Errors(NamedTuple):
    """What both ways of finding errors give, in the unit of the model, for components that are not zero."""

    variances: np.ndarray
    refits: np.ndarray
    cosines: np.ndarray
    explained: np.ndarray
    quantile: float
    is_regular: bool
    waveforms: WaveformErrors | None
    remarks: list[str]


def diagnose(question: Question) -> Diagnosis:
    """Return how far to trust the components of a model that was fitted to signals.

    Parameters
    ----------
    question : Question
    """
    q = question
    estimate = Estimate.of(q.model, q.X, q.weights, anchored=q.anchored, rigid=q.basis.has_own_fit)
    faces = resampling.faces_of(estimate)
    is_regular = resampling.is_regular(estimate, faces)
    estimate = estimate.smoothed() if is_regular else estimate
    influence = influence_of(estimate)
    if q.in_code_space and (q.model.prior.factorises or not faces):
        errors = _analytic(q, estimate, influence, faces, is_regular)
    else:
        errors = _by_fits(q, estimate)
    return _summary(q, estimate, influence, errors)


def _analytic(
    q: Question, estimate: Estimate, influence: Influence, faces: list[resampling.Face], is_regular: bool
) -> _Errors:
    """Return errors in closed form, or where single signals hold the basis in place, those of refits."""
    steps = _refitted(q, estimate, influence, faces, is_regular)
    covariance = influence.covariance if is_regular else steps.T @ steps / len(steps)
    shapes = _waveforms(q, estimate)
    beyond = variances_beyond(estimate) if shapes is None else _of_shapes(estimate, shapes)
    variances = variances_within(estimate, covariance) + beyond
    refits = _matched(estimate, steps)
    remarks = _remarks(q, estimate, influence, faces, is_regular)
    freedom = np.inf if is_regular else max(q.n_draws - 1, 1)
    quantile = float(stdtrit(min(freedom, 1e6), 0.5 + _LEVEL / 2))
    explained = _explained(estimate, influence, covariance, is_regular)
    cosines = _cosines(estimate, refits, beyond)
    return _Errors(variances, refits, cosines, explained, quantile, is_regular, shapes, remarks)


def _refitted(
    q: Question, estimate: Estimate, influence: Influence, faces: list[resampling.Face], is_regular: bool
) -> np.ndarray:
    """Return the steps from the estimate to the solutions of all resamples, of shape (b, k * (k + 1))."""
    k = estimate.k
    counts = resampling.counts_of(estimate, q.n_draws, q.rng)
    many = counts.size * k > _MOST_CODES_REFITTED
    to_first_order = is_regular and (many or estimate.prior.learns or not estimate.prior.factorises)
    if not estimate.prior.identifies_basis or to_first_order:
        return influence.steps(counts)
    drawn = resampling.reweighted(estimate, counts) if is_regular else None
    maps = refit(estimate, drawn or resampling.redrawn(estimate, faces, counts, q.rng))
    maps[:, :, :k] -= np.eye(k)
    maps[:, :, k] -= estimate.mean
    return maps.reshape(len(maps), -1)


def _matched(estimate: Estimate, steps: np.ndarray) -> np.ndarray:
    """Return the components of refits as combinations of those of the estimate, matched with them."""
    k = estimate.k
    maps = np.eye(k) + steps.reshape(-1, k, k + 1)[:, :, :k]
    combinations = np.linalg.inv(maps).swapaxes(1, 2)
    sizes = estimate.sizes[:, None] / estimate.sizes
    aligned = np.empty_like(combinations)
    for b, found in enumerate(combinations):
        match = match_rows(estimate.components, found @ estimate.components)
        turned = np.where(match.cosines < 0, -1.0, 1.0)
        aligned[b] = turned[:, None] * found[match.permutation]
    return aligned * sizes


def _cosines(estimate: Estimate, refits: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Return the absolute cosines of refits with the components, errors of the span included."""
    public = estimate.components * estimate.sizes[:, None]
    gram = public @ public.T
    products = np.einsum("bjl,lj->bj", refits, gram)
    lengths = np.einsum("bjl,lm,bjm->bj", refits, gram, refits)
    lengths = lengths + (beyond.sum(axis=1) * estimate.sizes**2)
    own = np.diagonal(gram)
    return np.minimum(np.abs(products) / np.sqrt(np.maximum(lengths * own, np.finfo(float).tiny)), 1.0)


def _explained(
    estimate: Estimate, influence: Influence, covariance: np.ndarray, is_regular: bool
) -> np.ndarray:
    """Return the variances of the explained variances, in the unit of the model."""
    k, centred, seen = estimate.k, estimate.centred, estimate.covariance
    squares = (estimate.components**2).sum(axis=1)
    gram = estimate.components @ estimate.components.T
    linear = np.zeros((k, k, k + 1))
    for j in range(k):
        linear[j, j, :k] += 2 * squares[j] * seen[j]
        linear[j, :, j] -= 2 * seen[j, j] * gram[:, j]
    linear = linear.reshape(k, -1)
    direct = squares * (centred**2 - np.diagonal(seen))
    if not is_regular:
        return estimate.share @ direct**2 / estimate.n + np.einsum("ja,ab,jb->j", linear, covariance, linear)
    whole = direct - influence.scores @ influence.inverse.T @ linear.T
    return estimate.share @ whole**2 / estimate.n


def _waveforms(q: Question, estimate: Estimate) -> WaveformErrors | None:
    signal, seen = estimate.signal_covariance, estimate.covariance
    if estimate.anchored:
        average = np.outer(*[estimate.share @ estimate.codes] * 2)
        signal, seen = signal + average, seen + average
    missing = float(np.isnan(q.X).mean()) if incomplete_rows(q.X).any() else 0.0
    unit = 1.0 / np.outer(estimate.sizes, estimate.sizes)
    noise = estimate.noise_variance * np.ldexp(1.0, 2 * q.model.component_exponent)
    moments = Moments(signal * unit, seen * unit, noise, estimate.n * (1 - missing))
    live = np.flatnonzero(q.model.live)
    basis = q.basis.mapped(np.ones(len(live)), live)
    return basis.errors(q.X.shape[1], moments)


def _of_shapes(estimate: Estimate, shapes: WaveformErrors) -> np.ndarray:
    """Return the variances of waveforms in standard form, in the unit of the model."""
    variances = np.ldexp(shapes.waveforms, -2 * estimate.model.component_exponent)
    return variances / estimate.sizes[:, None] ** 2


def _remarks(
    q: Question, estimate: Estimate, influence: Influence, faces: list[resampling.Face], is_regular: bool
) -> list[str]:
    remarks = []
    if estimate.n < _FEW * estimate.k:
        remarks.append(f"fewer than {_FEW} signals to a component: errors hold for many")
    if is_regular and influence.promise > _NATS_OF_OTHER_DATA * estimate.k * (estimate.k + 1):
        remarks.append(
            f"the fit is {influence.promise:.2g} nats short of the optimum for X: these may not be the "
            "signals that it was fitted to"
        )
    if faces and min(face.weight for face in faces) < _FEW:
        remarks.append("few signals are near some faces of the support")
    return remarks


def _by_fits(q: Question, estimate: Estimate) -> _Errors:
    """Return errors from fits to signals drawn from the model, where no closed form holds."""
    replicas = Replicas(q.model)
    settings = replace(
        q.settings,
        prior=q.model.prior.standard_form(len(q.components))[0],
        rivals=(),
        n_components=len(q.components),
        init=q.components,
        contamination=0.0,
        callback=None,
    )
    for _ in range(q.n_draws):
        replicas.add(fit(replicas.draw(q.X, q.rng), q.weights, settings, q.rng).model)
    found = replicas.summary()
    sizes = estimate.sizes[:, None]
    quantile = float(stdtrit(max(q.n_draws - 1, 1), 0.5 + _LEVEL / 2))
    remark = "errors are those of fits to signals that were drawn from the fitted model"
    variances = found.variances / sizes**2
    return _Errors(variances, found.refits, found.cosines, found.explained, quantile, False, None, [remark])


def _summary(q: Question, estimate: Estimate, influence: Influence, errors: _Errors) -> Diagnosis:
    by_prior = q.basis.needs_prior
    k, d = q.model.components.shape
    live = q.model.live
    unit = np.ldexp(1.0, q.model.component_exponent)
    standard = np.zeros((k, d))
    standard[live] = np.sqrt(errors.variances) * estimate.sizes[:, None] * unit
    norms = np.linalg.norm(estimate.components, axis=1)
    relative = np.sqrt(errors.variances.sum(axis=1)) / norms
    margin = margins(estimate, influence) if by_prior else np.full((estimate.k,) * 2, np.inf)
    gains = gaussian_gains(estimate) if by_prior else np.full(estimate.k, np.inf)
    stability = errors.cosines.mean(axis=0)
    said = verdicts(margin, gains, relative, stability, by_prior=by_prior)
    explained = np.diagonal(estimate.covariance) * norms**2
    scale = np.ldexp(1.0, 2 * q.model.exponent)
    rank, probabilities = rank_of(q.X, q.weights, int(live.sum()), q.model.exponent, centred=not q.anchored)
    return Diagnosis(
        components=q.components,
        standard_errors=standard,
        lower=q.components - errors.quantile * standard,
        upper=q.components + errors.quantile * standard,
        stability=_spread_out(stability, live, 0.0),
        stability_quantiles=_spread_out(np.quantile(errors.cosines, _QUANTILES, axis=0).T, live, 0.0),
        refits=_square(errors.refits, live),
        explained_variance=_spread_out(explained * scale, live, 0.0),
        explained_variance_errors=_spread_out(np.sqrt(errors.explained) * scale, live, 0.0),
        margins=_margins_of_all(margin, live),
        verdicts=tuple(_of_all([verdict.word for verdict in said], live, "not identified")),
        reasons=tuple(_of_all([verdict.reason for verdict in said], live, "it is zero")),
        prior_scores=q.scores or _scores(estimate, gains, q.model),
        rank=rank,
        rank_probabilities=probabilities,
        warnings=tuple(errors.remarks),
        is_regular=errors.is_regular,
        n_samples=estimate.n,
        parameter_errors=_named_errors(errors.waveforms, live),
        prior=str(q.model.prior),
    )


def _named_errors(errors: WaveformErrors | None, live: np.ndarray) -> dict[str, np.ndarray]:
    """Return standard errors of the parameters of waveforms, by name."""
    found = {} if errors is None else errors.by_name
    return {name: _spread_out(values, live, 0.0) for name, values in found.items()}


def _spread_out(values: np.ndarray, live: np.ndarray, elsewhere: float) -> np.ndarray:
    """Return values of the components that are not zero among those of all."""
    result = np.full((len(live), *values.shape[1:]), elsewhere)
    result[live] = values
    return result


def _square(refits: np.ndarray, live: np.ndarray) -> np.ndarray:
    result = np.zeros((len(refits), len(live), len(live)))
    result[np.ix_(np.arange(len(refits)), live, live)] = refits
    return result


def _margins_of_all(margin: np.ndarray, live: np.ndarray) -> np.ndarray:
    result = np.full((len(live), len(live)), np.inf)
    result[np.ix_(live, live)] = margin
    return result


def _of_all(words: list[str], live: np.ndarray, elsewhere: str) -> list[str]:
    left = iter(words)
    return [next(left) if alive else elsewhere for alive in live]


def _scores(estimate: Estimate, gains: np.ndarray, model: Model) -> dict[str, float]:
    """Return the log-likelihood of the prior, and of Gaussian codes in its place, per sample."""
    own = float(-estimate.share @ model.losses(estimate.signals))
    if not np.isfinite(gains).all():
        return {str(model.prior): own}
    return {str(model.prior): own, "gaussian": own - float(gains.sum()) / estimate.n}
