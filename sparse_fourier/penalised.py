"""Components that penalties bend: the likelihood plus penalties, over all of the space of signals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.coded import Coded
from sparse_fourier.course import Plan
from sparse_fourier.descent import Descent, descend
from sparse_fourier.losses import Tabulated
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


class Steps(Protocol):
    """Which components steps lead to."""

    def change(self, step: Array, edges: Array) -> Array:
        """Return the change of components and intercept, of shape (k + 1, d)."""
        ...

    def shape(self, start: Decoder) -> tuple[int, int]:
        """Return the shape of a step."""
        ...

    def lowest(self, start: Decoder) -> np.ndarray | None:
        """Return how far steps may go below zero; None where they may go anywhere."""
        ...


@dataclass
class Anywhere:
    """Steps that make the curvature of the likelihood even.

    Along the edges that span the signals they are measured in units of those, at right angles to them in
    units of the error that the noise leaves there.

    Attributes
    ----------
    errors : array of shape (k + 1,)
        Of components, and of the intercept, at right angles to the axes.
    axes : array of shape (r, d)
        Orthonormal rows that span the signals of the start.
    """

    errors: Array
    axes: Array

    def change(self, step: Array, edges: Array) -> Array:
        """Return the change of components and intercept after a step of shape (k + 1, r + d)."""
        r = self.axes.shape[0]
        beside = step[:, r:] - (step[:, r:] @ self.axes.T) @ self.axes
        return step[:, :r] @ edges + self.errors[:, None] * beside

    def shape(self, start: Decoder) -> tuple[int, int]:
        """Return the shape of a step."""
        return len(start.components) + 1, len(self.axes) + self.axes.shape[1]

    def lowest(self, start: Decoder) -> np.ndarray | None:
        """Return None."""
        return None


@dataclass
class Upwards:
    """Steps of each entry, which none takes below zero.

    Attributes
    ----------
    errors : array of shape (k + 1,)
        What steps are measured in: those that the noise leaves.
    """

    errors: Array

    def change(self, step: Array, edges: Array) -> Array:
        """Return the change of components and intercept after a step of shape (k + 1, d)."""
        return self.errors[:, None] * step

    def shape(self, start: Decoder) -> tuple[int, int]:
        """Return the shape of a step."""
        return len(start.components) + 1, start.components.shape[1]

    def lowest(self, start: Decoder) -> np.ndarray | None:
        """Return the steps that lead to zero."""
        return -np.append(start.components, start.intercept[None], axis=0) / self.errors[:, None]


class Evidence(Protocol):
    """What signals say of components."""

    def value(self, problem: PenalisedProblem, decoder: Decoder) -> Array:
        """Return a mean negative log-likelihood in nats."""
        ...


@dataclass
class OfFreeCodes:
    """The likelihood with codes of least squares, the noise variance fitted."""

    def value(self, problem: PenalisedProblem, decoder: Decoder) -> Array:
        """Return the mean negative log-likelihood."""
        import jax.numpy as jnp

        prior, weights = problem.prior, problem.weights
        unmixing, codes, squares = problem.reconstruction(decoder)
        edges = prior.domain.edges(decoder.components)
        d, n_left = edges.shape[1], edges.shape[1] - edges.shape[0]
        noise = problem.loss_of_freedom * (weights @ squares) / max(n_left, 1)
        noise = jnp.maximum(noise, problem.resolution)
        variances = noise * (unmixing**2).sum(axis=0) + problem.floor
        log_prior = jnp.where(weights > 0, prior.log_observed(codes, variances), 0.0)
        terms = likelihood_terms(squares, log_prior, edges @ edges.T, noise, d)
        return weights @ terms.total + d * jnp.log(problem.unit)


@dataclass
class OfGivenCodes:
    """The likelihood of signals given their codes: what is left of codes within bounds is no Gaussian noise.

    Attributes
    ----------
    codes : array of shape (n, k)
    noise : float
        Variance of the noise.
    """

    codes: Array
    noise: Array

    def value(self, problem: PenalisedProblem, decoder: Decoder) -> Array:
        """Return the mean negative log-likelihood."""
        import jax.numpy as jnp

        rest = problem.X - decoder.intercept - self.codes @ decoder.components
        error, d = problem.weights @ (rest**2).sum(axis=1), rest.shape[1]
        return 0.5 * (error / self.noise + d * jnp.log(2 * jnp.pi * self.noise)) + d * jnp.log(problem.unit)


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

    Attributes
    ----------
    prior : Prior
    penalties : tuple of Penalty
    X : array of shape (n, d)
        In the model's unit.
    weights : array of shape (n,)
        Of sum one.
    start : Decoder
    steps : Steps
    evidence : Evidence
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

    prior: Any
    penalties: tuple[Penalty, ...]
    X: Array
    weights: Array
    start: Decoder
    steps: Steps
    evidence: Evidence
    floor: Array
    resolution: Array
    loss_of_freedom: Array
    unit: Array
    anchored: Array

    def decoder(self, step: Array) -> Decoder:
        """Return components and intercept after a step."""
        change = self.steps.change(step, self.prior.domain.edges(self.start.components))
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
        """Return the mean negative log-likelihood in nats."""
        return self.evidence.value(self, decoder)

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
    start: Decoder,
    X: np.ndarray,
    penalties: tuple[Penalty, ...],
    plan: Plan,
    rng: np.random.RandomState,
    *,
    codes: np.ndarray | None = None,
) -> tuple[Reduced, Solution, Trained]:
    """Minimise the likelihood plus penalties, from where training without them ended.

    Densities that were learned stay as they are meanwhile, and are fitted anew at the end.

    Parameters
    ----------
    data : Reduced
    prior : Prior
        Of the codes of `start`.
    trained : Trained
        With the smallest variances of the noise of these codes.
    start : Decoder
    X : array of shape (n, d)
        Finite, float32 or float64; never written to.
    penalties : tuple of Penalty
    plan : Plan
        Says when to stop.
    rng : RandomState
        Draws what penalties need.
    codes : array of shape (n, k), optional
        Codes that remain what they are, while no entry of components and intercept becomes negative.

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
    problem = _problem(data, prior, trained, start, X, penalties, rng, codes)
    descent, penalty = _descend(problem, plan, len(trained.curve))
    decoder = problem.decoder(descent.place)
    _, free, squares = problem.reconstruction(decoder)
    data, free = replace(data, squares=squares[: len(X)]), free[: len(X)]
    solution = _widened(decoder, free, data, prior.refitted(free, data.weights, data.n))
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
    start: Decoder,
    X: np.ndarray,
    penalties: tuple[Penalty, ...],
    rng: np.random.RandomState,
    codes: np.ndarray | None,
) -> PenalisedProblem:
    n, k = len(X), len(start.components)
    size = runtime.bucket(n) if all(penalty.averages for penalty in penalties) else n
    signals, weights = np.zeros((size, X.shape[1])), np.zeros(size)
    signals[:n], weights[:n] = np.ldexp(X, -data.exponent, dtype=float), data.share
    edges = prior.domain.edges(start.components)
    noise = max(data.noise_variance, data.resolution)
    errors = np.sqrt(noise) / np.append(_spreads(data, start), 1.0)
    if codes is None:
        steps, evidence = Anywhere(errors, np.linalg.svd(edges, full_matrices=False)[2]), OfFreeCodes()
    else:
        steps = Upwards(errors)
        evidence = OfGivenCodes(np.pad(codes, ((0, size - n), (0, 0))), np.float64(noise))
    return PenalisedProblem(
        Tabulated.of(prior, k) if prior.learns else prior,
        tuple(penalty.drawn(signals.shape, rng) for penalty in penalties),
        signals,
        weights,
        start,
        steps,
        evidence,
        np.broadcast_to(np.asarray(trained.floor, dtype=float), k),
        np.float64(data.resolution),
        np.float64(data.n / data.degrees_of_freedom),
        np.ldexp(1.0, int(np.clip(data.exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))),
        np.float64(data.anchored),
    )


def _spreads(data: Reduced, start: Decoder) -> np.ndarray:
    """Return the standard deviations of the codes, from the coordinates of the signals."""
    codes = data.whitened @ (data.axes @ np.linalg.pinv(start.components))
    return np.sqrt(data.weights @ codes**2 / data.n)


def _widened(decoder: Decoder, codes: np.ndarray, data: Reduced, prior: Prior) -> Solution:
    """Return the solution with the support corrected for the shortfall of extremes."""
    components, intercept = decoder
    centre, width = prior.moments[0], 1.0 + prior.shortfall(data.rank, data.n)
    centre = np.where(data.anchored, 0.0, centre)
    noise = np.sqrt(data.noise_variance * np.diagonal(np.linalg.pinv(components @ components.T)))
    return Solution(
        prior,
        width * components,
        intercept + (1.0 - width) * np.broadcast_to(centre, len(components)) @ components,
        np.zeros(len(components)),
        Coded.of(centre + (codes - centre) / width, data.share),
        noise / width,
    )


def _descend(problem: PenalisedProblem, plan: Plan, done: int) -> tuple[Descent, float]:
    """Return the best step from the start, and the penalty there."""
    still = np.zeros(problem.steps.shape(problem.start))
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
        lowest=problem.steps.lowest(problem.start),
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
