r"""How far estimates lie from the truth to first order: the influence of every signal, in closed form.

An estimate that makes the mean of functions :math:`\psi_i` zero differs from the truth by
:math:`-J^{-1}` times their mean there, with J the mean of their derivatives, so that its covariance is

.. math:: \frac1n J^{-1} \, \operatorname{cov}(\psi) \, J^{-\top},

the sandwich, right whether or not the likelihood is [1]_. Within the span of the components these functions
are the derivatives of the likelihood by steps that change the codes h to h + E [h - mean, 1]; components then
change by -E' W. Out of the span a component moves by the regression of the residuals on the codes.

References
----------
.. [1] P. J. Huber, "The behavior of maximum likelihood estimates under nonstandard conditions", Proceedings
   of the Fifth Berkeley Symposium on Mathematical Statistics and Probability 1, 221-233, 1967.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.estimates import Estimate
from sparse_fourier.objective import JointObjective, LocalModel, Point

_BLOCK_ENTRIES = 1 << 20
_FLATTEST = 1e-9
_MOST_LEVERAGE = 0.9


@dataclass(frozen=True, eq=False)
class Influence:
    """What single signals do to the basis within its span.

    Attributes
    ----------
    scores : array of shape (n, k * (k + 1))
        Derivatives of the negative log-likelihood of each signal by steps, row by row, less their mean.
    mean : array of shape (k * (k + 1),)
        Their mean: zero where the likelihood of these very signals was maximised.
    inverse : array of shape (k * (k + 1), k * (k + 1))
        Of the mean derivatives of the scores, zero for steps that are not free.
    hessian : array of shape (k * (k + 1), k * (k + 1))
        Of the mean negative log-likelihood.
    share : array of shape (n,)
        Weights of sum one.
    n : float
        How many signals these are.
    leverage : array of shape (n, k)
        Share of the curvature of each code that a signal has itself.
    """

    scores: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray
    hessian: np.ndarray
    share: np.ndarray
    n: float
    leverage: np.ndarray

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of the step that separates estimate and truth."""
        scores = self._left_out
        spread = (scores * self.share[:, None]).T @ scores
        return self.inverse @ spread @ self.inverse.T / self.n

    @property
    def _left_out(self) -> np.ndarray:
        """Scores of signals at the estimate that would be without them, to first order."""
        n, k = self.leverage.shape
        return (self.scores.reshape(n, k, k + 1) / (1.0 - self.leverage)[:, :, None]).reshape(n, -1)

    @property
    def promise(self) -> float:
        """By how many nats, in all, a step would still improve the likelihood of these signals."""
        return float(0.5 * self.n * self.mean @ self.inverse @ self.mean)

    def steps(self, weights: np.ndarray) -> np.ndarray:
        """Return the steps to first order that other weights of the signals lead to.

        Parameters
        ----------
        weights : array of shape (b, n)
            Each row of sum one.

        Returns
        -------
        array of shape (b, k * (k + 1))
        """
        return -((weights - self.share) @ self.scores) @ self.inverse.T


def influence_of(estimate: Estimate) -> Influence:
    """Return the influence of signals, under any prior that tells one basis from another.

    Parameters
    ----------
    estimate : Estimate
    """
    if not estimate.prior.identifies_basis:
        return _of_principal_axes(estimate)
    if not estimate.prior.factorises:
        return _of_joint_codes(estimate)
    return _of_independent_codes(estimate)


def _of_independent_codes(estimate: Estimate) -> Influence:
    jet, k = estimate.jet, estimate.k
    held = bool(estimate.prior.domain.surplus)
    noise = np.zeros_like(estimate.noise) if held else estimate.noise
    extended = _extended(estimate)
    times = np.ones(1) if estimate.inflation is None else estimate.inflation
    slopes = 2 * noise @ np.eye(k, k + 1)
    by_variance = times[:, None] * jet.by_variance
    scores = (
        -jet.by_code[:, :, None] * extended[:, None] - by_variance[:, :, None] * slopes - np.eye(k, k + 1)
    )
    sums = _sums(estimate, extended, times)
    hessian = LocalModel.collect(sums, noise).hessian()
    free = estimate.free
    jacobian = hessian + _following_noise(estimate, sums) if held else hessian
    jacobian = jacobian - _following_codes(estimate, extended)
    found = _solved(scores.reshape(len(scores), -1), hessian, jacobian, free, estimate)
    return replace(found, leverage=_leverage(estimate, found.inverse, extended, jet.by_codes))


def _extended(estimate: Estimate) -> np.ndarray:
    """Return what the codes can be moved by: those less their mean, and one."""
    return np.append(estimate.codes - estimate.mean, np.ones((len(estimate.codes), 1)), axis=1)


def _of_joint_codes(estimate: Estimate) -> Influence:
    """Return the influence under a joint density.

    The mean derivative of the scores is taken over steps of the size of errors: a density with a kink
    has its curvature there alone.
    """
    k, objective = estimate.k, _joint_objective(estimate)
    deviations = np.sqrt(np.diagonal(estimate.covariance))
    sizes = deviations[:, None] / np.append(deviations, 1.0) / np.sqrt(estimate.n)
    steps = np.diag(sizes.ravel()).reshape(-1, k, k + 1)
    signature = type(estimate.prior), objective.rows.shape, objective.inflation is None
    point = Point(np.eye(k), estimate.mean)
    scores, curvatures, after, before = _joint(signature, objective, point, steps)
    scores = scores[: len(estimate.codes)].reshape(-1, k * (k + 1)) - np.eye(k, k + 1).ravel()
    hessian = (after - before).reshape(k * (k + 1), -1) / (2 * sizes.reshape(-1, 1))
    hessian = 0.5 * (hessian + hessian.T)
    found = _solved(scores, hessian, hessian, estimate.free, estimate)
    leverage = _leverage(estimate, found.inverse, _extended(estimate), curvatures[: len(estimate.codes)])
    return replace(found, leverage=leverage)


_joint = runtime.Program(
    lambda objective, point, steps: (
        objective.scores(point),
        objective.curvatures(point),
        objective.slopes(point, steps),
        objective.slopes(point, -steps),
    )
)


def _joint_objective(estimate: Estimate) -> JointObjective:
    """Return the objective of the codes, padded to one of few numbers of them."""
    n, k = estimate.codes.shape
    rows = runtime.filled_bucket(estimate.codes - estimate.mean)
    more = len(rows) - n
    inflation = estimate.inflation
    return JointObjective(
        estimate.prior.traced(k),
        rows[None],
        np.pad(estimate.share, (0, more))[None],
        estimate.noise,
        estimate.floor,
        np.float64(0.0),
        None if inflation is None else np.pad(inflation, (0, more), constant_values=1.0)[None],
    )


def _sums(estimate: Estimate, extended: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the sums over signals that give two derivatives: see `Expansion`."""
    jet, share, k = estimate.jet, estimate.share, estimate.k
    total = np.zeros((k, k + 6, k + 1))
    size = max(_BLOCK_ENTRIES // (k * (k + 6)), 1)
    scale = [1.0, times[:, None], times[:, None], times[:, None] ** 2, 1.0]
    parts = [jet.by_code, jet.by_code_and_variance, jet.by_variance, jet.by_variances, jet.value]
    parts = [part * factor for part, factor in zip(parts, scale, strict=True)]
    for first in range(0, len(share), size):
        rows = slice(first, first + size)
        curved = jet.by_codes[rows, :, None] * extended[rows, None]
        plain = np.stack([part[rows] for part in parts], axis=2)
        columns = np.concatenate([curved, plain], axis=2) * -share[rows, None, None]
        total += np.tensordot(columns, extended[rows], axes=(0, 0))
    return total


def _following_noise(estimate: Estimate, sums: np.ndarray) -> np.ndarray:
    """Return how the derivatives of the likelihood change as the held noise of the codes follows a step."""
    k = estimate.k
    slopes = 2 * estimate.noise @ np.eye(k, k + 1)
    blocks = sums[:, k + 2, :, None] * slopes[:, None, :]
    return (np.eye(k)[:, None, :, None] * blocks[:, :, None, :]).reshape(k * (k + 1), -1)


def _following_codes(estimate: Estimate, extended: np.ndarray) -> np.ndarray:
    """Return what learned densities take from the curvature by following a step."""
    k = estimate.k
    blocks = estimate.prior.gains_by_following(estimate.codes, estimate.share, extended)
    return (np.eye(k)[:, None, :, None] * blocks[:, :, None, :]).reshape(k * (k + 1), -1)


def _leverage(
    estimate: Estimate, inverse: np.ndarray, extended: np.ndarray, curvatures: np.ndarray
) -> np.ndarray:
    """Return the share of the curvature of each code that each signal has itself, of shape (n, k)."""
    k = estimate.k
    blocks = inverse.reshape(k, k + 1, k, k + 1)
    own = np.stack([((extended @ blocks[j, :, j]) * extended).sum(axis=1) for j in range(k)], axis=1)
    return np.minimum(-own * curvatures / estimate.n, _MOST_LEVERAGE)


def _solved(
    scores: np.ndarray, hessian: np.ndarray, jacobian: np.ndarray, free: np.ndarray, estimate: Estimate
) -> Influence:
    scores = scores @ free
    mean = estimate.share @ scores
    scores -= mean
    scale = float(np.abs(np.diagonal(hessian)).max(initial=1.0))
    matrix = free @ jacobian @ free + (np.eye(len(free)) - free) * scale
    inverse = free @ _inverse(matrix, scale) @ free
    still = np.zeros(estimate.codes.shape)
    return Influence(scores, mean, inverse, free @ hessian @ free, estimate.share, estimate.n, still)


def _inverse(matrix: np.ndarray, scale: float) -> np.ndarray:
    """Return the inverse; directions along which the likelihood is flat, or worse, have a large one."""
    if np.allclose(matrix, matrix.T, atol=1e-12 * scale):
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        return (vectors / np.maximum(values, _FLATTEST * scale)) @ vectors.T
    return np.linalg.inv(matrix)


def _of_principal_axes(estimate: Estimate) -> Influence:
    """Return the influence on principal axes: that of the covariance of two codes turns them [1]_.

    References
    ----------
    .. [1] T. W. Anderson, "Asymptotic theory for principal component analysis", Annals of Mathematical
       Statistics 34(1), 122-148, 1963.
    """
    k, centred = estimate.k, estimate.centred
    spread = np.sqrt(np.diagonal(estimate.covariance))
    codes = centred / spread
    variances = (estimate.components**2).sum(axis=1) * spread**2
    gaps = variances[:, None] - variances + np.diag(np.full(k, np.inf))
    near = np.abs(gaps) < _FLATTEST * variances.max()
    gaps = np.where(near, _FLATTEST * variances.max() * np.where(gaps < 0, -1.0, 1.0), gaps)
    turns = variances / gaps.T  # of row i, towards j: over the variance of j less that of i
    steps = np.zeros((len(codes), k, k + 1))
    steps[:, :, :k] = -codes[:, :, None] * codes[:, None, :] * turns * (spread[:, None] / spread)
    flat = steps.reshape(len(codes), -1)
    mean = estimate.share @ flat
    size = flat.shape[1]
    curvature = np.zeros((k, k + 1))
    curvature[:, :k] = 0.5 * (variances[:, None] - variances) ** 2 / (variances[:, None] * variances)
    hessian, still = np.diag(curvature.ravel()), np.zeros(codes.shape)
    return Influence(mean - flat, np.zeros(size), np.eye(size), hessian, estimate.share, estimate.n, still)


def variances_within(estimate: Estimate, covariance: np.ndarray) -> np.ndarray:
    """Return the variance of each point of the components that errors within their span make.

    Parameters
    ----------
    estimate : Estimate
    covariance : array of shape (k * (k + 1), k * (k + 1))
        Of the step.

    Returns
    -------
    array of shape (k, d)
        Of the components in standard form; of those that have unit norm in the end, across themselves.
    """
    k = estimate.k
    whole = covariance.reshape(k, k + 1, k, k + 1)
    variances = np.empty_like(estimate.components)
    for j in range(k):
        rows = across(estimate, j)
        variances[j] = np.einsum("id,il,ld->d", rows, whole[:, j, :, j], rows)
    return np.maximum(variances, 0.0)


def across(estimate: Estimate, j: int) -> np.ndarray:
    """Return the components less what of them is along component j, if that keeps its norm."""
    components = estimate.components
    if not estimate.prior.has_free_scale:
        return components
    unit = components[j] / np.linalg.norm(components[j])
    return components - np.outer(components @ unit, unit)


def variances_beyond(estimate: Estimate) -> np.ndarray:
    """Return the variance of each point of the components that errors of their span make.

    Returns
    -------
    array of shape (k, d)
        Of the components in standard form.
    """
    weighted = estimate.pulls**2 * estimate.share[:, None]
    total = np.zeros_like(estimate.components)
    for rows, rest in estimate.residual_blocks():
        total += weighted[rows].T @ rest**2
    if estimate.inflation is not None:
        total /= _observed_share(estimate) ** 2
    return total / estimate.n


def _observed_share(estimate: Estimate) -> np.ndarray:
    """Return the share of signals of which each feature was observed, of shape (d,)."""
    return np.maximum(estimate.share @ ~np.isnan(estimate.signals), np.finfo(float).tiny)
