"""What tells the components from others that explain the signals as well: margins in nats, and a verdict."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from sparse_fourier import densities as density
from sparse_fourier.course import Problem
from sparse_fourier.estimates import Estimate
from sparse_fourier.influence import Influence
from sparse_fourier.objective import Point
from sparse_fourier.selection import Fit, one_by_one

_ANGLES = np.pi / 8 * np.arange(1, 4)
_MOST_ROWS = 3000
_MOST_CODES_TURNED = 120_000
_LEAST_ROWS = 500
_NOT, _WEAKLY = 6.0, 15.0
_LOOSE, _LOST = 0.2, 0.5
_WANDERING, _STRAYED = 0.98, 0.85
_ALIKE = 5.0
_LEAST_OF_AN_END, _NATS_OF_A_TOUCH = 2.0, 2.0

IDENTIFIED, WEAKLY, NOT = "identified", "weakly identified", "not identified"


class Verdict(NamedTuple):
    """What can be said of a component, in words.

    Attributes
    ----------
    word : str
        "identified", "weakly identified" or "not identified".
    reason : str
        Empty where it is identified.
    """

    word: str
    reason: str

    def __str__(self) -> str:
        """Return both."""
        return f"{self.word}: {self.reason}" if self.reason else self.word


def margins(estimate: Estimate, influence: Influence) -> np.ndarray:
    """Return by how many nats each pair of codes is likelier than the same two rotated.

    Two codes are whitened, turned by a quarter, a half and three quarters of a right angle, given the place
    and size, or the density, that is then likeliest, and compared.

    Parameters
    ----------
    estimate : Estimate
    influence : Influence
        For codes with one density together, of which no two can be rotated alone: what the curvature promises
        instead.

    Returns
    -------
    array of shape (k, k)
        Symmetric; infinite on the diagonal.
    """
    k = estimate.k
    result = np.full((k, k), np.inf)
    if not estimate.prior.identifies_basis:
        return np.where(np.eye(k) > 0, np.inf, 0.0)
    if estimate.have_one_density:
        return _by_curvature(influence, estimate)
    rows = _rows(estimate)
    for pair in itertools.combinations(range(k), 2):
        i, j = pair
        result[i, j] = result[j, i] = _margin(estimate, np.array(pair), rows)
    return result


def _by_curvature(influence: Influence, estimate: Estimate) -> np.ndarray:
    k = estimate.k
    result = np.full((k, k), np.inf)
    for i, j in itertools.combinations(range(k), 2):
        step = np.zeros((k, k + 1))
        step[i, j], step[j, i] = _ANGLES[0], -_ANGLES[0]
        flat = estimate.free @ step.ravel()
        result[i, j] = result[j, i] = 0.5 * estimate.n * flat @ influence.hessian @ flat
    return result


def _rows(estimate: Estimate) -> np.ndarray:
    """Return few enough signals for all pairs."""
    n, pairs = len(estimate.codes), max(estimate.k * (estimate.k - 1) // 2, 1)
    most = int(np.clip(_MOST_CODES_TURNED // pairs, _LEAST_ROWS, _MOST_ROWS))
    return np.arange(n) if n <= most else np.random.RandomState(0).permutation(n)[:most]


def _margin(estimate: Estimate, pair: np.ndarray, rows: np.ndarray) -> float:
    problem, root = _problem_of_two(estimate, pair, rows)
    here = _likelihood(problem, root)
    turned = [_likelihood(problem, _turn(angle)) for angle in _ANGLES]
    return float(estimate.n * (here - max(turned)))


def _problem_of_two(estimate: Estimate, pair: np.ndarray, rows: np.ndarray) -> tuple[Problem, np.ndarray]:
    """Return the problem of two codes, whitened, and the unmixing that gives them back."""
    share = estimate.share[rows] / estimate.share[rows].sum()
    codes = estimate.codes[np.ix_(rows, pair)]
    mean = share @ codes
    values, vectors = np.linalg.eigh(((codes - mean) * share[:, None]).T @ (codes - mean))
    values = np.maximum(values, np.finfo(float).tiny)
    root = (vectors * np.sqrt(values)) @ vectors.T
    whitening = (vectors / np.sqrt(values)) @ vectors.T
    noise = whitening @ estimate.noise[np.ix_(pair, pair)] @ whitening
    inflation = None if estimate.inflation is None else estimate.inflation[rows]
    prior = estimate.prior.taken(pair)
    floor = prior.resolution(estimate.n) ** 2
    whitened = (codes - mean) @ whitening
    return Problem(prior, whitened, share, estimate.n, noise, floor, 0.0, None, inflation), root


def _turn(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def _likelihood(problem: Problem, unmixing: np.ndarray) -> float:
    """Return the log-likelihood of each signal, on average, of codes that are given what suits them best."""
    point = Point(unmixing, np.zeros(2))
    if not problem.prior.learns:
        return one_by_one(problem, Fit(problem.prior, problem, point)).log_likelihood
    codes = point.encode(problem.whitened)
    fitted = [density.fit_density(h, problem.weights, problem.n_samples) for h in codes.T]
    return Fit(problem.prior.learned(fitted), problem, point).log_likelihood


def gaussian_gains(estimate: Estimate) -> np.ndarray:
    """Return by how many nats the prior explains each code better than a Gaussian of its mean and variance.

    Codes with one density together are explained by a Gaussian of their covariance, and share the gain.

    Returns
    -------
    array of shape (k,)
    """
    prior = estimate.prior
    if not prior.identifies_basis:
        return np.zeros(estimate.k)
    if estimate.have_one_density:
        gains = np.full(estimate.k, _gain_of_all(estimate) / estimate.k)
    else:
        variances = np.maximum(np.diagonal(estimate.covariance), np.finfo(float).tiny)
        gaussian = -0.5 * (np.log(2 * np.pi * variances) + 1)
        gains = estimate.n * (estimate.share @ estimate.jet.value - gaussian)
    return np.where(_has_edges(estimate, gains), np.inf, gains)


def _gain_of_all(estimate: Estimate) -> float:
    """Return the same for all codes together, where none has a density of its own."""
    dimensions = estimate.k - estimate.prior.domain.surplus
    free = slice(dimensions)
    _, volume = np.linalg.slogdet(2 * np.pi * estimate.covariance[free, free])
    gaussian = -0.5 * (volume + dimensions)
    likelihoods = estimate.prior.log_likelihoods(estimate.codes, estimate.code_variances)
    return float(estimate.n * (estimate.share @ likelihoods - gaussian))


def _has_edges(estimate: Estimate, gains: np.ndarray) -> np.ndarray:
    """Return which codes, of those that a Gaussian explains, end abruptly at the faces of their support.

    A face that was fitted touches as many signals as there are components, which looks like an end where
    there is none: the evidence has to be more than that.
    """
    ends = [len(own) for own in estimate.prior.ends(estimate.k)]
    blur = np.maximum(np.sqrt(np.atleast_2d(estimate.code_variances).mean(axis=0)), 1 / estimate.n)
    found = np.zeros(estimate.k, dtype=bool)
    for j in np.flatnonzero((gains < _ALIKE) & (np.array(ends) > 0)):
        codes = np.ascontiguousarray(estimate.codes[:, j])
        chosen = density.choose(codes, estimate.share, estimate.n, float(blur[j]))
        smooth = density.fit_smooth(codes, estimate.share, estimate.n)
        gain = chosen.evidence - smooth.evidence
        found[j] = chosen.edges >= ends[j] and gain > _LEAST_OF_AN_END + _NATS_OF_A_TOUCH * estimate.k
    return found


def verdicts(
    margin: np.ndarray, gains: np.ndarray, errors: np.ndarray, stability: np.ndarray, *, by_prior: bool
) -> list[Verdict]:
    """Return what can be said of each component.

    Parameters
    ----------
    margin : array of shape (k, k)
        In nats, of each pair.
    gains : array of shape (k,)
        Of each code over a Gaussian, in nats.
    errors : array of shape (k,)
        Standard error over norm.
    stability : array of shape (k,)
        Mean matched cosine of refits.
    by_prior : bool
        Whether it is the prior that has to pick the basis of the span.
    """
    alike = np.flatnonzero(gains < _ALIKE)
    found = []
    for j in range(len(gains)):
        rival = int(np.argmin(margin[j])) if len(gains) > 1 else j
        told = [_of_error(errors[j], stability[j])]
        if by_prior and len(gains) > 1:
            told.append(_of_margin(margin[j, rival], rival))
            told.append(_of_gain(j, alike))
        found.append(max(told, key=lambda verdict: (NOT, WEAKLY, IDENTIFIED)[::-1].index(verdict.word)))
    return found


def _of_margin(margin: float, rival: int) -> Verdict:
    reason = f"its rotation with component {rival} is only {max(margin, 0.0):.2g} nats less likely"
    if margin < _NOT:
        return Verdict(NOT, reason)
    return Verdict(WEAKLY, reason) if margin < _WEAKLY else Verdict(IDENTIFIED, "")


def _of_gain(j: int, alike: np.ndarray) -> Verdict:
    if j not in alike or len(alike) < 2:
        return Verdict(IDENTIFIED, "")
    others = ", ".join(str(i) for i in alike if i != j)
    return Verdict(
        NOT, f"its codes and those of {others} look Gaussian, and any rotation of these is as likely"
    )


def _of_error(error: float, stability: float) -> Verdict:
    if error > _LOST or stability < _STRAYED:
        return Verdict(
            NOT, f"its standard error is {error:.0%} of its size, its refits {stability:.2f} alike"
        )
    if error > _LOOSE or stability < _WANDERING:
        return Verdict(
            WEAKLY, f"its standard error is {error:.0%} of its size, its refits {stability:.2f} alike"
        )
    return Verdict(IDENTIFIED, "")
