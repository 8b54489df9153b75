"""Which prior the codes ask for, judged on some of the signals before any prior is trained on all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv

from sparse_fourier import densities as density
from sparse_fourier.course import Plan, Problem, whitening_of
from sparse_fourier.dependence import are_dependent, dependence, is_even, visits_corners
from sparse_fourier.initialization import estimate_rank
from sparse_fourier.learning import Outcome, Signals, learn
from sparse_fourier.objective import Point
from sparse_fourier.priors import Learned
from sparse_fourier.priors.base import Prior
from sparse_fourier.reduction import Reduced
from sparse_fourier.staging import as_trained, optimise
from sparse_fourier.training import Trained

_SAMPLES_TO_JUDGE = 25
_MOST_SAMPLES = 1e12
_MOST_ROWS = 3000
_MOST_CODES = 30_000
_NATS_OF_AN_ANGLE = 2.0
_NATS_OF_A_DENSITY = 4.5
_NATS_OF_AN_EDGE = 1.0
_IDEALISATION = 0.002
_WITHIN_REACH = 0.15
_TOLERANCE = 1e-6
_ITERATIONS = 150
_ITERATIONS_ALONE = 40
_ROUNDS = 200
_STARTS = 2
_STANDARD_ERRORS = 5.0
_KURTOSIS_OF_A_BOX = 1.8
_SLACK = 0.2
_OUTERMOST = 0.02
_LEFT_TO_NOISE = 2


class Choice(NamedTuple):
    """The prior chosen, and what was said for each.

    Attributes
    ----------
    prior : Prior
    scores : dict
        Name of each candidate that was compared -> penalised log-likelihood, in nats per sample; empty
        where there was nothing to compare.
    trained : Trained or None
        The prior as it came out, where it has been trained on all signals already.
    """

    prior: Prior
    scores: dict[str, float]
    trained: Trained | None


class Fit(NamedTuple):
    """A prior trained on the signals that are looked at.

    Attributes
    ----------
    prior : Prior
        As learned, where it learns.
    problem : Problem
    point : Point
    """

    prior: Prior
    problem: Problem
    point: Point

    @property
    def codes(self) -> np.ndarray:
        """Codes of the signals, of shape (n, k)."""
        return self.point.encode(self.problem.whitened)

    @property
    def log_likelihood(self) -> float:
        """Mean over the signals, in nats."""
        variances = self.problem.blur_of(self.point, np.arange(len(self.problem.weights))) ** 2
        log_prior = self.prior.log_likelihoods(self.codes, variances)
        volume = np.linalg.slogdet(self.point.unmixing)[1]
        offset = self.problem.constant + self.problem.unit
        return float(self.problem.weights @ log_prior + volume - offset)

    @property
    def score(self) -> float:
        """The log-likelihood less the price of the prior's freedom, per sample."""
        dimensions = len(self.point.offset) - self.prior.domain.surplus
        return self.log_likelihood - price(self.prior, dimensions, self.problem.n_samples)


def price(prior: Prior, k: int, n_samples: float) -> float:
    """Return the price of a prior's freedom, in nats per sample.

    Nats in all are what a prior gains on one in twenty to fifty sets of Gaussian codes, which need it not (2
    to 6 codes, 250 to 1000 samples): a learned density follows accidents of the samples, and whatever tells
    one basis from another takes the likeliest angle of every two codes. A hard edge that is learned may be
    sharper than the noise, and each of the k numbers that place it follows the few samples that are nearest.
    A learned density also pays for what real codes differ from the idealisation that a named one is, which
    does not fade with more samples.
    """
    if not prior.identifies_basis:
        return 0.0
    angles = _NATS_OF_AN_ANGLE * k * (k - 1) / 2
    if not prior.learns:
        return angles / n_samples
    edges = _NATS_OF_AN_EDGE * k * prior.n_learned_edges
    return (angles + _NATS_OF_A_DENSITY * k + edges) / n_samples + _IDEALISATION * k


def choose(
    data: Reduced, candidates: Sequence[Prior], train: Callable[[], Trained], *, fixed: bool, max_iter: int
) -> Choice:
    """Return the prior that the codes ask for; the first where samples are too few, or weights beyond counts.

    If that is a box, and codes fill it evenly, no other prior is needed. Else the largest penalised
    likelihood decides, unless its prior has no bounds and the box is filled all the same: up to all of its
    faces, and in its corners. A likelihood that takes codes for independent may prefer another basis where
    they are not; the smallest box is the right one either way.

    Parameters
    ----------
    data : Reduced
        Of codes that do not sum to one.
    candidates : sequence of Prior
    train : callable
        Trains the first of them on all signals.
    fixed : bool
        Whether the number of components is given, so that proportions have to have as many.
    max_iter : int
        Most iterations of what may count as training of densities if these are chosen.
    """
    if len(candidates) == 1 or not is_judged(data):
        return Choice(candidates[0], {}, None)
    whole = train() if is_box(candidates[0]) and may_fill_box(data) else None
    if whole is not None:
        fitted = Fit(candidates[0], data.problem(candidates[0]), whole.point)
        if is_even(fitted.codes, fitted.problem.weights, data.n):
            return Choice(fitted.prior, {str(fitted.prior): fitted.score}, whole)
    asked = data.n_components if fixed else None
    comparison = _Comparison(_informative(data, asked), asked)
    fits = comparison.fits(candidates)
    best = max(fits, key=lambda i: fits[i].score)
    if not fits[best].prior.domain.is_bounded:
        boxes = [i for i, found in fits.items() if is_box(found.prior)]
        rival = fits[best] if comparison.dependent else None
        best = next((i for i in boxes if fills_box(fits[i], rival)), best)
    scores = {str(candidates[i]): found.score for i, found in fits.items()}
    known = comparison.learned_on(data, max_iter) if candidates[best].learns else None
    return Choice(candidates[best], scores, known if best else whole)


def is_judged(data: Reduced) -> bool:
    """Return whether samples are enough to compare priors, and not beyond counts."""
    return _SAMPLES_TO_JUDGE * data.rank <= data.n <= _MOST_SAMPLES


def may_fill_box(data: Reduced, contamination: float = 0.0) -> bool:
    """Return whether signals may have independent uniform codes but for a share of strays, by moments.

    The mean fourth power of the norm of whitened signals [1]_ does not depend on the basis, nor does the
    share of them that is far out, which a box leaves little room for; third powers of coordinates have mean
    zero in any, without the outermost signals too, some of which may stray.

    References
    ----------
    .. [1] K. V. Mardia, "Measures of multivariate skewness and kurtosis with applications", Biometrika 57(3),
       519-530, 1970.
    """
    k = data.whitened.shape[1]
    if data.rank != data.n_components or data.anchored:
        return False
    share, powers = data.share, np.einsum("ij,ij->i", data.whitened, data.whitened) ** 2
    mean, kurtosis = share @ powers, _kurtosis_of_a_box(float(np.trace(data.noise)) / k)
    error = np.sqrt(share @ (powers - mean) ** 2 / data.n)
    may_be_flat = abs(mean - k * (k - 1 + kurtosis)) < _SLACK * k + _STANDARD_ERRORS * error
    far = share @ (powers > _outermost(k, kurtosis) ** 2)
    may_be_near = far < contamination + _OUTERMOST + _STANDARD_ERRORS * np.sqrt(_OUTERMOST / data.n)
    return bool(may_be_flat and may_be_near) and _may_be_even(data.whitened, share, powers, data.n)


def _kurtosis_of_a_box(noise: float) -> float:
    """Return the fourth moment of a uniform code of variance one, of which noise has a share."""
    return 3 - (3 - _KURTOSIS_OF_A_BOX) * (1 - noise) ** 2


def _outermost(k: int, kurtosis: float) -> float:
    """Return the squared norm that few whitened signals exceed: its distribution is nearly a gamma one."""
    variance = kurtosis - 1
    return float(gammaincinv(k / variance, 1 - _OUTERMOST) * variance)


def _may_be_even(whitened: np.ndarray, share: np.ndarray, powers: np.ndarray, n_samples: float) -> bool:
    """Return whether no coordinates lean to one side, the outermost signals aside."""
    n, k = whitened.shape
    step = -(-n // _MOST_ROWS)
    whitened, share, powers = whitened[::step], share[::step], powers[::step]
    inner = powers <= np.quantile(powers, 1 - _OUTERMOST)
    whitened, share = whitened[inner], share[inner]
    n_samples, share = n_samples * share.sum(), share / share.sum()
    cubes = (whitened - share @ whitened) ** 3
    leaning = n_samples * (share @ cubes) ** 2 / np.maximum(share @ cubes**2, np.finfo(float).tiny)
    return bool(leaning.sum() < k + _STANDARD_ERRORS * np.sqrt(2 * k))


def _informative(data: Reduced, asked: int | None) -> Reduced:
    """Return the data without a last dimension that is noise, where so many components may be proportions."""
    judged = data.gaps is None and not data.anchored and data.n_left >= _LEFT_TO_NOISE
    if asked != data.rank or data.rank < 2 or not judged:
        return data
    rank = estimate_rank(data.span, len(data.span.mean))
    return data.within(rank) if rank == data.rank - 1 else data


def is_box(prior: Prior) -> bool:
    """Return whether a prior holds each code between two faces."""
    return prior.domain.is_bounded and not prior.domain.surplus


class _Comparison:
    """Priors fitted to the same signals, as far as each is in question."""

    def __init__(self, data: Reduced, asked: int | None) -> None:
        self._data, self._asked = data, asked
        self._problem = some_rows(data.problem(Learned()))
        self._learned, self._outcome = learn_densities(self._problem)
        self._bounded = all(each.edges == 2 for each in self._outcome.densities)
        self.dependent = are_dependent(self._learned.codes, self._problem.weights, self._problem.n_samples)

    def fits(self, candidates: Sequence[Prior]) -> dict[int, Fit]:
        """Return the candidates that make sense, by their place among all."""
        return {i: self._fit(prior) for i, prior in enumerate(candidates) if self._makes_sense(prior)}

    def learned_on(self, data: Reduced, max_iter: int) -> Trained | None:
        """Return the densities as trained, if that was on all of these signals, in few enough rounds."""
        problem, outcome = self._problem, self._outcome
        seen = data is self._data and data.whole is None and problem.n_samples == data.n
        if not seen or problem.average is not None or len(outcome.curve) > max_iter or not outcome.converged:
            return None
        return as_trained(problem, outcome._replace(point=self._learned.point))

    def _makes_sense(self, prior: Prior) -> bool:
        """Return whether a prior may be chosen: proportions where their number is right and codes depend.

        One code in a box is two proportions, which is taken where two components are asked for.
        """
        rank, asked = self._data.rank, self._asked
        if not prior.domain.surplus:
            return not (is_box(prior) and rank == 1 and asked == 2)
        if self._data.anchored:
            return False
        return asked == rank + 1 if asked is not None else rank > 1 and self.dependent

    def _fit(self, prior: Prior) -> Fit:
        if prior.domain.surplus:
            return trained(some_rows(self._data.with_shares().problem(prior)))
        if prior.learns:
            return self._learned
        problem = replace(self._problem, prior=prior, floor=prior.resolution(self._problem.n_samples) ** 2)
        return self._fit_named(problem) if prior.identifies_basis else trained(problem)

    def _fit_named(self, problem: Problem) -> Fit:
        """Return the fit of all codes together where it may matter, else of each code for itself."""
        alone = one_by_one(problem, self._learned)
        behind = self._learned.log_likelihood - alone.log_likelihood
        anywhere = is_box(problem.prior) and self.dependent
        bounded = is_box(problem.prior) and self._bounded
        if not (anywhere or bounded or behind < _WITHIN_REACH * len(alone.point.offset)):
            return alone
        own_starts = anywhere or problem.average is not None or len(alone.point.offset) < 3
        together = trained(problem, None if own_starts else self._learned)
        return max(alone, together, key=lambda found: found.score)


def learn_densities(problem: Problem) -> tuple[Fit, Outcome]:
    """Return the fit of independent codes with densities that are learned, and how they were."""
    mean, whitening = whitening_of(problem.whitened, problem.weights)
    signals = Signals((problem.whitened - mean) @ whitening, problem.weights, problem.n_samples)
    outcome = learn(signals, None, np.random.RandomState(0), max_iter=_ROUNDS, tell=lambda *_: False)
    unmixing = outcome.point.unmixing @ whitening
    point = Point(unmixing, outcome.point.offset - unmixing @ mean)
    return Fit(Learned().learned(outcome.densities), problem, point), outcome


def trained(problem: Problem, start: Fit | None = None) -> Fit:
    """Return the prior trained roughly, from the basis of another fit or else from its own starts."""
    init = None if start is None else np.linalg.inv(_upwards(start)).T
    plan = Plan(_STARTS, _TOLERANCE, _ITERATIONS, init, None)
    return Fit(problem.prior, problem, optimise(problem, plan, np.random.RandomState(0)).point)


def _upwards(fitted: Fit) -> np.ndarray:
    """Return the unmixing with signs that give codes their long tails upwards."""
    codes = fitted.codes - fitted.problem.weights @ fitted.codes
    skewness = fitted.problem.weights @ codes**3
    return fitted.point.unmixing * np.where(skewness < 0, -1.0, 1.0)[:, None]


def one_by_one(problem: Problem, basis: Fit) -> Fit:
    """Return the prior with every code of another fit for itself; it can only become likelier together."""
    codes, unmixing = basis.codes, basis.point.unmixing
    mean = problem.weights @ codes
    spread = np.sqrt(problem.weights @ (codes - mean) ** 2)
    noise = np.einsum("ji,ik,jk->j", unmixing, problem.noise, unmixing) / spread**2
    plan = Plan(1, _TOLERANCE, _ITERATIONS_ALONE, None, None)
    factors, shifts = np.empty(len(mean)), np.empty(len(mean))
    for j in range(len(mean)):
        standard = ((codes[:, j] - mean[j]) / spread[j])[:, None]
        own = replace(problem, whitened=standard, noise=noise[j : j + 1, None], average=None)
        point = optimise(own, plan, np.random.RandomState(0)).point
        factors[j] = point.unmixing[0, 0] / spread[j]
        shifts[j] = point.offset[0] - factors[j] * mean[j]
    point = Point(factors[:, None] * unmixing, factors * basis.point.offset + shifts)
    return Fit(problem.prior, problem, point)


def some_rows(problem: Problem) -> Problem:
    """Return the problem of few enough of its signals for a fit without compiling, whitened anew."""
    n, k = problem.whitened.shape
    most = min(_MOST_ROWS, _MOST_CODES // k)
    if n <= most:
        return problem
    return problem.among(np.random.RandomState(0).permutation(n)[:most])[0]


def fills_box(fitted: Fit, rival: Fit | None = None) -> bool:
    """Return whether codes end abruptly at the faces of the box, and visit its corners.

    Every code has to show both of its faces; or else all codes together, where the codes of the likelier
    basis are not independent either, so that it is no explanation.

    Parameters
    ----------
    fitted : Fit
        The box.
    rival : Fit, optional
        The likelier basis, where its codes depend on each other.
    """
    if not visits_corners(fitted.codes, fitted.problem.weights):
        return False
    return shows_every_face(fitted) or (rival is not None and explains_as_much(fitted, rival))


def shows_every_face(fitted: Fit) -> bool:
    """Return whether for each code there is more evidence for two hard ends than for smooth tails."""
    return all(edged > smooth for smooth, edged in _evidence_of_ends(fitted))


def explains_as_much(fitted: Fit, rival: Fit) -> bool:
    """Return whether codes in a box are as likely as others, if dependence is taken into account.

    A likelihood of independent codes is lower by what codes tell of each other, which is at least half of
    their squared correlations. Between the faces each code is even, which has no freedom to pay for, or
    whatever it is found to be; all of them together have to be likelier than with smooth tails.
    """
    codes, weights, n = fitted.codes, fitted.problem.weights, fitted.problem.n_samples
    pairs = zip(codes.T, _blur(fitted), strict=True)
    even = np.array([n * weights @ fitted.prior.log_likelihoods(h[:, None], s**2) for h, s in pairs])
    smooth, edged = np.array(_evidence_of_ends(fitted)).T
    found = np.maximum(even, edged)
    behind = n * (rival.log_likelihood - fitted.log_likelihood) - (found - even).sum()
    told = dependence(codes, weights, n) - dependence(rival.codes, weights, n)
    return bool((found - smooth).sum() > 0 and 0.5 * told >= behind)


def _evidence_of_ends(fitted: Fit) -> list[tuple[float, float]]:
    """Return the evidence of each code for smooth tails, and for hard ends."""
    codes, weights, n = fitted.codes, fitted.problem.weights, fitted.problem.n_samples
    pairs = zip(codes.T, _blur(fitted), strict=True)
    return [density.evidence_of_ends(h, weights, n, float(s)) for h, s in pairs]


def _blur(fitted: Fit) -> np.ndarray:
    return np.maximum(fitted.problem.blur(fitted.point), 1 / fitted.problem.n_samples)
