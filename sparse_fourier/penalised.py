"""Components that penalties bend: the likelihood plus penalties, over all of the space of signals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.course import Plan
from sparse_fourier.descent import Descent, descend
from sparse_fourier.namespace import Array, array_namespace
from sparse_fourier.objective import likelihood_terms
from sparse_fourier.penalties.base import Penalty, total_penalty
from sparse_fourier.penalties.checks import examine, refuse_weights
from sparse_fourier.priors.base import Prior
from sparse_fourier.reduction import Reduced, Solution
from sparse_fourier.training import Trained

_LARGEST_EXPONENT = 1000
_MEMORY = 60
_LEAST_TOLERANCE = 1e-9


class Decoder(NamedTuple):
    """Components, of shape (k, d), and intercept, of shape (d,)."""

    components: Array
    intercept: Array


@dataclass
class SeenModel:
    """What a penalty is shown: the model in the user's unit, with least-squares codes.

    Attributes
    ----------
    components : array of shape (k, d)
    intercept : array of shape (d,)
    unmixing : array of shape (d, k)
    offset : array of shape (k,)
    """

    components: Array
    intercept: Array
    unmixing: Array
    offset: Array

    def encode(self, X: Array) -> Array:
        """Return the least-squares codes of signals."""
        return X @ self.unmixing + self.offset


@dataclass
class PenalisedProblem:
    """The likelihood of components anywhere in the space of signals, plus penalties, for JAX.

    Steps are measured in units that make the curvature of the likelihood even: along the edges that span the
    signals in units of those, at right angles to them in units of the error that the noise leaves there.

    Attributes
    ----------
    prior : Prior
    penalties : tuple of Penalty
    X : array of shape (n, d)
        In the model's unit.
    weights : array of shape (n,)
        Of sum one.
    start : Decoder
    axes : array of shape (r, d)
        Orthonormal rows that span the signals of `start`.
    errors : array of shape (k + 1,)
        Of components, and of the intercept, at right angles to these.
    floor : array of shape (k,)
        Smallest variance of a code's noise.
    resolution : float
        Smallest variance of the noise.
    loss_of_freedom : float
        Samples over degrees of freedom, in estimating the noise.
    unit : float
        What the model's unit is in the user's.
    anchored : float
        One where the intercept remains zero, else zero.
    """

    prior: Prior
    penalties: tuple[Penalty, ...]
    X: Array
    weights: Array
    start: Decoder
    axes: Array
    errors: Array
    floor: Array
    resolution: Array
    loss_of_freedom: Array
    unit: Array
    anchored: Array

    def decoder(self, step: Array) -> Decoder:
        """Return components and intercept after a step, of shape (k + 1, r + d)."""
        r = self.axes.shape[0]
        edges = self.prior.domain.edges(self.start.components)
        beside = step[:, r:] - (step[:, r:] @ self.axes.T) @ self.axes
        change = step[:, :r] @ edges + self.errors[:, None] * beside
        free = 1.0 - self.anchored
        return Decoder(self.start.components + change[:-1], self.start.intercept + free * change[-1])

    def encoder(self, decoder: Decoder) -> tuple[Array, Array]:
        """Return unmixing, of shape (d, k), and offset of the least-squares codes."""
        xp = array_namespace(*decoder)
        surplus, k = self.prior.domain.surplus, len(decoder.components)
        edges = self.prior.domain.edges(decoder.components)
        shares = np.append(np.eye(k - surplus), -np.ones((k - surplus, surplus)), axis=1)
        last = np.append(np.zeros(k - surplus), np.ones(surplus))
        origin = decoder.intercept + surplus * decoder.components[-1]
        unmixing = edges.T @ xp.linalg.inv(edges @ edges.T) @ shares
        return unmixing, last - origin @ unmixing

    def reconstruction(self, decoder: Decoder) -> tuple[Array, Array, Array]:
        """Return unmixing, of shape (d, k), codes, of shape (n, k), and squared residuals, of shape (n,)."""
        unmixing, offset = self.encoder(decoder)
        codes = self.X @ unmixing + offset
        residuals = self.X - decoder.intercept - codes @ decoder.components
        return unmixing, codes, (residuals**2).sum(axis=1)

    def likelihood(self, decoder: Decoder) -> Array:
        """Return the mean negative log-likelihood in nats, the noise variance fitted."""
        import jax.numpy as jnp

        unmixing, codes, squares = self.reconstruction(decoder)
        edges = self.prior.domain.edges(decoder.components)
        d, n_left = edges.shape[1], edges.shape[1] - edges.shape[0]
        noise = self.loss_of_freedom * (self.weights @ squares) / max(n_left, 1)
        noise = jnp.maximum(noise, self.resolution)
        variances = noise * (unmixing**2).sum(axis=0) + self.floor
        log_prior = jnp.where(self.weights > 0, self.prior.log_observed(codes, variances), 0.0)
        terms = likelihood_terms(squares, log_prior, edges @ edges.T, noise, d)
        return self.weights @ terms.total + d * jnp.log(self.unit)

    def seen(self, decoder: Decoder) -> SeenModel:
        """Return what a penalty is shown of a decoder."""
        xp = array_namespace(*decoder)
        unmixing, offset = self.encoder(decoder)
        components, intercept = decoder
        if self.prior.has_free_scale:
            mean = (1.0 - self.anchored) * (self.weights @ self.X @ unmixing + offset)
            sizes = xp.linalg.norm(components, axis=1)
            intercept = intercept + mean @ components
            offset = (offset - mean) * sizes * self.unit
            components, unmixing = components / sizes[:, None], unmixing * sizes
        else:
            components, unmixing = components * self.unit, unmixing / self.unit
        return SeenModel(components, intercept * self.unit, unmixing, offset)

    def penalty(self, decoder: Decoder) -> Array:
        """Return the sum of the penalties."""
        model, X = self.seen(decoder), self.X * self.unit
        return total_penalty(self.penalties, model, X, model.encode(X), self.weights)


def bend(
    data: Reduced,
    prior: Prior,
    trained: Trained,
    X: np.ndarray,
    penalties: tuple[Penalty, ...],
    plan: Plan,
    rng: np.random.RandomState,
) -> tuple[Reduced, Solution, Trained]:
    """Minimise the likelihood plus penalties, from where training without them ended.

    Parameters
    ----------
    data : Reduced
    prior : Prior
    trained : Trained
    X : array of shape (n, d)
        Finite, float32 or float64; never written to.
    penalties : tuple of Penalty
    plan : Plan
        Says when to stop.
    rng : RandomState
        Draws what penalties need.

    Returns
    -------
    tuple of Reduced, Solution and Trained
        The same data, with the residuals that the solution leaves.

    Raises
    ------
    ValueError
        If a penalty fails its examination.
    """
    refuse_weights(penalties, data.weights)
    problem = _problem(data, prior, trained, X, penalties, rng)
    descent, penalty = _descend(problem, plan, len(trained.curve))
    decoder = problem.decoder(descent.place)
    _, codes, squares = problem.reconstruction(decoder)
    data = replace(data, squares=squares[: len(X)])
    solution = _widened(decoder, codes[: len(X)], data, prior)
    trained = trained._replace(
        curve=np.append(trained.curve, descent.curve),
        converged=descent.converged,
        decrement=descent.decrement,
        stopped=descent.stopped,
    )
    return data, solution._replace(penalty=penalty), trained


def _problem(
    data: Reduced,
    prior: Prior,
    trained: Trained,
    X: np.ndarray,
    penalties: tuple[Penalty, ...],
    rng: np.random.RandomState,
) -> PenalisedProblem:
    point, n = trained.point, len(X)
    size = runtime.bucket(n) if all(penalty.averages for penalty in penalties) else n
    signals, weights = np.zeros((size, X.shape[1])), np.zeros(size)
    signals[:n], weights[:n] = np.ldexp(X, -data.exponent, dtype=float), data.weights / data.n
    components = np.linalg.solve(point.unmixing.T, data.axes)
    error = np.sqrt(max(data.noise_variance, data.resolution))
    spread = np.sqrt(data.weights @ (data.whitened @ point.unmixing.T) ** 2 / data.n)
    return PenalisedProblem(
        prior,
        tuple(penalty.drawn(signals.shape, rng) for penalty in penalties),
        signals,
        weights,
        Decoder(components, data.origin - point.offset @ components),
        np.linalg.svd(prior.domain.edges(components), full_matrices=False)[2],
        error / np.append(spread, 1.0),
        np.broadcast_to(np.asarray(trained.floor, dtype=float), len(components)),
        np.float64(data.resolution),
        np.float64(data.n / data.degrees_of_freedom),
        np.ldexp(1.0, int(np.clip(data.exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))),
        np.float64(data.anchored),
    )


def _widened(decoder: Decoder, codes: np.ndarray, data: Reduced, prior: Prior) -> Solution:
    """Return the solution with the support corrected for the shortfall of extremes."""
    components, intercept = decoder
    (centre, _), width = prior.moments, 1.0 + prior.shortfall(data.rank, data.n)
    noise = np.sqrt(data.noise_variance * np.diagonal(np.linalg.pinv(components @ components.T)))
    return Solution(
        prior,
        width * components,
        intercept + centre * (1.0 - width) * components.sum(axis=0),
        np.zeros(len(components)),
        centre + (codes - centre) / width,
        noise / width,
    )


def _descend(problem: PenalisedProblem, plan: Plan, done: int) -> tuple[Descent, float]:
    """Return the best step from the start, and the penalty there."""
    shape = len(problem.start.components) + 1, len(problem.axes) + problem.axes.shape[1]
    still = np.zeros(shape)
    placed = runtime.on_device(problem)
    signature = runtime.signature(problem, still)

    def evaluate(step: np.ndarray) -> tuple[Any, np.ndarray]:
        (value, _), gradient = _value_and_gradient(signature, placed, step)
        return value, gradient

    examine(problem.penalties, lambda: evaluate(still), lambda part: _alone(problem, part, still))
    descent = descend(
        evaluate,
        still,
        tol=max(plan.tol, _LEAST_TOLERANCE),
        max_iter=max(plan.max_iter - done, 1),
        memory=_MEMORY,
        done=done,
        callback=plan.callback,
    )
    (_, penalty), _ = _value_and_gradient(signature, placed, descent.place)
    return descent, float(penalty)


def _alone(problem: PenalisedProblem, penalty: Penalty, step: np.ndarray) -> tuple[Any, Any]:
    alone = replace(problem, penalties=(penalty,))
    return _examination(runtime.signature(alone, step), alone, step)


def _total(problem: PenalisedProblem, step: Array) -> Any:
    """Return value and penalty, and the gradient of the value."""
    import jax

    def total(step: Array) -> tuple[Array, Array]:
        decoder = problem.decoder(step)
        penalty = problem.penalty(decoder)
        return problem.likelihood(decoder) + penalty, penalty

    return jax.value_and_grad(total, has_aux=True)(step)


def _penalty_alone(problem: PenalisedProblem, step: Array) -> tuple[Array, Array]:
    """Return the penalty, and the gradient of the sum of its entries, of which there should be one."""
    import jax
    import jax.numpy as jnp

    def value(step: Array) -> Array:
        return jnp.asarray(problem.penalty(problem.decoder(step)))

    return value(step), jax.grad(lambda step: value(step).sum())(step)


_value_and_gradient = runtime.Program(_total)
_examination = runtime.Program(_penalty_alone)
