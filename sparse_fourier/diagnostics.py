"""How sure the components of a fit are: error bars, stability, what identifies them, the rank."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

from sparse_fourier import resampling
from sparse_fourier.bases.base import Basis
from sparse_fourier.estimates import Estimate
from sparse_fourier.fitting import Settings, fit
from sparse_fourier.harmonics.errors import Moments, SinusoidErrors
from sparse_fourier.identification import gaussian_gains, margins, verdicts
from sparse_fourier.influence import Influence, influence_of, variances_beyond, variances_within
from sparse_fourier.initialization import (
    Span,
    estimate_rank,
    largest_of_noise,
    principal_span,
    spread_of_largest,
)
from sparse_fourier.matching import match_rows
from sparse_fourier.model import Model, incomplete_rows
from sparse_fourier.refits import refit
from sparse_fourier.replication import Replicas

__all__ = ["Diagnosis"]

_LEVEL = 0.9
_QUANTILES = (0.05, 0.5, 0.95)
_MOST_CODES_REFITTED = 8_000_000
_NATS_OF_OTHER_DATA = 0.5
_FEW = 25
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """How far to trust the components of a fit; made by `AutoencoderDecomposer.diagnose`.

    Parameters
    ----------
    components : ndarray of shape (k, d)
        As the estimator has them.
    standard_errors : ndarray of shape (k, d)
        Of every point of the components, in their unit.
    lower, upper : ndarrays of shape (k, d)
        Bands that cover each point of the true component with a probability of 90 %.
    stability : ndarray of shape (k,)
        Mean over refits of the absolute cosine between the component and its match.
    stability_quantiles : ndarray of shape (k, 3)
        Its quantiles at 5, 50 and 95 %.
    refits : ndarray of shape (n_bootstraps, k, k)
        Components of each refit, matched and turned alike, as combinations of the components:
        ``refits[b] @ components``.
    explained_variance, explained_variance_errors : ndarrays of shape (k,)
        Variance that each component contributes, and its standard error.
    margins : ndarray of shape (k, k)
        By how many nats, over all signals, each pair of codes is likelier than the two rotated; infinite on
        the diagonal.
    verdicts : tuple of k str
        "identified", "weakly identified" or "not identified".
    reasons : tuple of k str
        Why, where a component is not simply identified.
    prior_scores : dict
        Name of each prior that was compared -> penalised log-likelihood, in nats per sample.
    rank : int
        Number of components that stand above white noise, by the rule of `n_components="auto"`.
    rank_probabilities : dict
        Number of components -> probability that as many would stand out of another such sample.
    warnings : tuple of str
        What makes all this less certain than it looks.
    is_regular : bool
        Whether errors are normal and go with one over the root of the number of signals.
    n_samples : float
        Sum of the weights.
    frequency_errors, phase_errors, damping_errors : ndarrays of shape (k, n_terms), default=None
        Standard errors under the Fourier basis, in the units of the estimator's attributes.
    prior : str, default=""
        Name of the prior.

    Notes
    -----
    ``print(diagnosis)`` shows a table. See the page "Error bars" of the documentation for what the figures
    mean and how well they are calibrated.

    Examples
    --------
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> X, codes, components = make_sinusoid_mixtures(n_samples=3000, noise=0.1, random_state=0)
    >>> diagnosis = AutoencoderDecomposer().fit(X).diagnose(X, random_state=0)
    >>> diagnosis.stability.round(2), diagnosis.rank
    (array([1., 1.]), 2)
    """

    components: np.ndarray
    standard_errors: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    stability: np.ndarray
    stability_quantiles: np.ndarray
    refits: np.ndarray
    explained_variance: np.ndarray
    explained_variance_errors: np.ndarray
    margins: np.ndarray
    verdicts: tuple[str, ...]
    reasons: tuple[str, ...]
    prior_scores: dict[str, float]
    rank: int
    rank_probabilities: dict[int, float]
    warnings: tuple[str, ...]
    is_regular: bool
    n_samples: float
    frequency_errors: np.ndarray | None = None
    phase_errors: np.ndarray | None = None
    damping_errors: np.ndarray | None = None
    prior: str = field(default="")

    def similarities(self) -> np.ndarray:
        """Return the absolute cosines between the components of all refits.

        Returns
        -------
        ndarray of shape (k * n_bootstraps, k * n_bootstraps)
            Those that were matched with the first component first, and so on.
        """
        gram = self.components.astype(float) @ self.components.T
        rows = self.refits.swapaxes(0, 1).reshape(-1, len(gram))
        products = rows @ gram @ rows.T
        norms = np.sqrt(np.maximum(np.diagonal(products), np.finfo(float).tiny))
        return np.minimum(np.abs(products) / np.outer(norms, norms), 1.0)

    def __str__(self) -> str:
        """Return a table."""
        return "\n".join([self._headline(), *self._table(), *self._remarks()])

    __repr__ = __str__

    def _headline(self) -> str:
        k, d = self.components.shape
        return f"{k} components of {d} features under the prior {self.prior}, {self.n_samples:.6g} signals"

    def _table(self) -> list[str]:
        sizes = np.linalg.norm(self.components, axis=1)
        errors = np.linalg.norm(self.standard_errors, axis=1) / np.where(sizes > 0, sizes, 1.0)
        lines = ["    error  refits alike  variance (s.e.)        margin  verdict"]
        for j, (word, reason) in enumerate(zip(self.verdicts, self.reasons, strict=True)):
            margin = float(self.margins[j].min(initial=np.inf))
            shown = f"{margin:.3g} nats" if np.isfinite(margin) else "-"
            variance = f"{self.explained_variance[j]:.4g} ({self.explained_variance_errors[j]:.2g})"
            verdict = f"{word}: {reason}" if reason else word
            alike = f"{self.stability[j]:.4f}"
            lines.append(f"{j:3d} {errors[j]:5.2%}  {alike:>12}  {variance:<20} {shown:>9}  {verdict}")
        return lines

    def _remarks(self) -> list[str]:
        likely = ", ".join(f"{rank}: {share:.2g}" for rank, share in self.rank_probabilities.items())
        scores = ", ".join(f"{name} {score:.4g}" for name, score in self.prior_scores.items())
        lines = [f"rank {self.rank} (probabilities {likely})", f"scores in nats per sample: {scores}"]
        return [*lines, *(f"warning: {warning}" for warning in self.warnings)]


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
        basis, prior = self.settings.basis, self.model.prior
        return prior.factorises and not (basis.leaves_span or self.settings.penalties)


class _Errors(NamedTuple):
    """What both ways of finding errors give, in the unit of the model, for components that are not zero."""

    variances: np.ndarray
    refits: np.ndarray
    cosines: np.ndarray
    explained: np.ndarray
    quantile: float
    is_regular: bool
    sinusoids: SinusoidErrors | None
    remarks: list[str]


def diagnose(question: Question) -> Diagnosis:
    """Return how far to trust the components of a model that was fitted to signals.

    Parameters
    ----------
    question : Question
    """
    q = question
    estimate = Estimate.of(q.model, q.X, q.weights, anchored=q.anchored, rigid=q.basis.has_own_fit)
    faces = resampling.faces_of(estimate) if q.model.prior.factorises else []
    is_regular = resampling.is_regular(estimate, faces)
    estimate = estimate.smoothed() if is_regular else estimate
    influence = influence_of(estimate) if q.model.prior.factorises else None
    by_prior = q.basis.needs_prior and influence is not None
    if influence is not None and q.in_code_space:
        errors = _analytic(q, estimate, influence, faces, is_regular)
    else:
        errors = _by_fits(q, estimate)
    return _summary(q, estimate, influence, errors, by_prior=by_prior)


def _analytic(
    q: Question, estimate: Estimate, influence: Influence, faces: list[resampling.Face], is_regular: bool
) -> _Errors:
    """Return errors in closed form, or where single signals hold the basis in place, those of refits."""
    steps = _refitted(q, estimate, influence, faces, is_regular)
    covariance = influence.covariance if is_regular else steps.T @ steps / len(steps)
    sinusoids = _sinusoids(q, estimate)
    beyond = variances_beyond(estimate) if sinusoids is None else _of_shapes(estimate, sinusoids)
    variances = variances_within(estimate, covariance) + beyond
    refits = _matched(estimate, steps)
    remarks = _remarks(q, estimate, influence, faces, is_regular)
    freedom = np.inf if is_regular else max(q.n_draws - 1, 1)
    quantile = float(stdtrit(min(freedom, 1e6), 0.5 + _LEVEL / 2))
    explained = _explained(estimate, influence, covariance, is_regular)
    cosines = _cosines(estimate, refits, beyond)
    return _Errors(variances, refits, cosines, explained, quantile, is_regular, sinusoids, remarks)


def _refitted(
    q: Question, estimate: Estimate, influence: Influence, faces: list[resampling.Face], is_regular: bool
) -> np.ndarray:
    """Return the steps from the estimate to the solutions of all resamples, of shape (b, k * (k + 1))."""
    k = estimate.k
    counts = resampling.counts_of(estimate, q.n_draws, q.rng)
    many = counts.size * k > _MOST_CODES_REFITTED
    if not estimate.prior.identifies_basis or (many and is_regular):
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


def _sinusoids(q: Question, estimate: Estimate) -> SinusoidErrors | None:
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


def _of_shapes(estimate: Estimate, sinusoids: SinusoidErrors) -> np.ndarray:
    """Return the variances of waveforms in standard form, in the unit of the model."""
    variances = np.ldexp(sinusoids.waveforms, -2 * estimate.model.component_exponent)
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


def _summary(
    q: Question, estimate: Estimate, influence: Influence | None, errors: _Errors, *, by_prior: bool
) -> Diagnosis:
    k, d = q.model.components.shape
    live = q.model.live
    unit = np.ldexp(1.0, q.model.component_exponent)
    standard = np.zeros((k, d))
    standard[live] = np.sqrt(errors.variances) * estimate.sizes[:, None] * unit
    norms = np.linalg.norm(estimate.components, axis=1)
    relative = np.sqrt(errors.variances.sum(axis=1)) / norms
    margin = margins(estimate, influence) if influence and by_prior else np.full((estimate.k,) * 2, np.inf)
    gains = gaussian_gains(estimate) if by_prior else np.full(estimate.k, np.inf)
    stability = errors.cosines.mean(axis=0)
    said = verdicts(margin, gains, relative, stability, by_prior=by_prior)
    explained = np.diagonal(estimate.covariance) * norms**2
    scale = np.ldexp(1.0, 2 * q.model.exponent)
    rank, probabilities = rank_of(q.X, q.weights, q.model, centred=not q.anchored)
    sinusoids = errors.sinusoids
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
        frequency_errors=None if sinusoids is None else _spread_out(sinusoids.frequencies, live, 0.0),
        phase_errors=None if sinusoids is None else _spread_out(sinusoids.phases, live, 0.0),
        damping_errors=None if sinusoids is None else _spread_out(sinusoids.dampings, live, 0.0),
        prior=str(q.model.prior),
    )


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


def rank_of(
    X: np.ndarray, weights: np.ndarray, model: Model, *, centred: bool
) -> tuple[int, dict[int, float]]:
    """Return how many components stand above white noise, and how probable each number is.

    A component stands out where its variance exceeds what the largest of white noise would have; variances
    have the standard errors of independent signals.
    """
    if incomplete_rows(X).any():
        return int(model.live.sum()), {int(model.live.sum()): 1.0}
    span = principal_span(X, weights, float(np.finfo(X.dtype).eps), centred=centred, exponent=-model.exponent)
    return _rank_of(span, X.shape[1])


def _rank_of(span: Span, d: int) -> tuple[int, dict[int, float]]:
    rank = max(estimate_rank(span, d), 1)
    variances, n = span.deviations**2, span.n_samples
    left = variances[rank:]
    if span.rank <= rank or not left.size or left.sum() <= 0:
        return rank, {rank: 1.0}
    noise = float(left.sum() / max(min(d, n - 1) - rank, 1))
    above = np.array([_stands_out(variances[j] / noise, n, d - j, signal=j < rank) for j in range(rank + 1)])
    reached = np.append(np.cumprod(above), 0.0)
    chances = np.append(1.0 - above[0], reached[:-1] - reached[1:])
    return rank, {j: float(p) for j, p in enumerate(chances) if p > _NEGLIGIBLE}


def _stands_out(variance: float, n: float, p: int, *, signal: bool) -> float:
    """Return the probability that the next sample has such a variance above the largest of white noise."""
    spread = variance * np.sqrt(2 / n) if signal else spread_of_largest(n - 1, p)
    return float(ndtr((variance - largest_of_noise(n - 1, p)) / spread))
