r"""What the training of a network minimises: an error of signals, or the likelihood with the network's codes.

Written for NumPy and JAX; a loss is a tree of arrays itself, so that strengths do not compile anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.namespace import Array, array_namespace, constant
from sparse_fourier.networks import Autoencoder, SeenAutoencoder
from sparse_fourier.penalties.base import Penalty, total_penalty
from sparse_fourier.penalties.checks import examine
from sparse_fourier.priors import Prior
from sparse_fourier.supports import SUPPORTS

_GRID = 1025
_REACH = 12.0
_LOWEST = -1e3


class Batch(NamedTuple):
    """Signals of shape (n, d), their weights of shape (n,), and the sum of the weights."""

    signals: Array
    weights: Array
    total: Array

    def taken(self, rows: Array, seen: Array) -> Batch:
        """Return some of the signals, of which the first `seen` count, where that is traced."""
        xp = array_namespace(rows)
        weights = xp.where(xp.arange(len(rows)) < seen, self.weights[rows], 0.0)
        return Batch(self.signals[rows], weights, seen.astype(weights.dtype))


def padded(signals: np.ndarray, weights: np.ndarray) -> Batch:
    """Return signals in one of few numbers of rows: the first ones again, of weight zero."""
    n = len(weights)
    size = runtime.bucket(n)
    shares = np.where(np.arange(size) < n, np.resize(weights, size), weights.dtype.type(0))
    rows = np.resize(np.arange(n), size)
    return Batch(signals[rows] if size > n else signals, shares, weights.sum())


@dataclass(frozen=True, eq=False)
class Loss(ABC):
    """A mean over signals, plus penalties.

    Attributes
    ----------
    penalties : tuple of Penalty
    centred : float
        One where there is an intercept, else zero.
    origin, unit : array of shape (d,), or number, and number
        The user's signals are origin + unit times those of a batch.
    """

    penalties: tuple[Penalty, ...]
    centred: float
    origin: Array = field(default=0.0, kw_only=True)
    unit: Array = field(default=1.0, kw_only=True)

    needs_noise: ClassVar[bool] = False
    """Whether the noise variance is a part of the loss."""

    @property
    def needs_jax(self) -> bool:
        """Whether a part of the loss is written in JAX."""
        return bool(self.penalties)

    def __call__(self, model: Autoencoder, batch: Batch, noise: Array, share: Array) -> tuple[Array, Array]:
        """Return the loss of a batch, and the noise variance after it.

        `share` is the weight of this batch in the running mean that the noise variance is.
        """
        codes = model.encode(batch.signals)
        residuals = batch.signals - codes @ model.components - self.centred * model.intercept
        squares = batch.weights @ (residuals * residuals).sum(axis=1) / batch.total
        value, noise = self.of_squares(model, batch, codes, squares, noise, share)
        return value + self.penalty(model, batch, codes), noise

    def penalty(self, model: Autoencoder, batch: Batch, codes: Array) -> Array:
        """Return the sum of the penalties, which are shown signals and model as the user knows them."""
        if not self.penalties:
            return 0.0
        seen = SeenAutoencoder(model, self.origin, self.unit)
        signals = self.unit * batch.signals + self.origin
        return total_penalty(self.penalties, seen, signals, codes * seen.sizes, batch.weights / batch.total)

    def drawn(self, shape: tuple[int, int], rng: np.random.RandomState) -> Self:
        """Return the loss with the random numbers that its penalties need for batches of a shape."""
        return replace(self, penalties=tuple(penalty.drawn(shape, rng) for penalty in self.penalties))

    @abstractmethod
    def of_squares(
        self, model: Autoencoder, batch: Batch, codes: Array, squares: Array, noise: Array, share: Array
    ) -> tuple[Array, Array]:
        """Return the same without penalties, given the mean squared length of the residuals."""


def examine_penalties(loss: Loss, model: Autoencoder, signals: np.ndarray) -> None:
    """Examine the penalties of a loss numerically, on some of the signals.

    Raises
    ------
    ValueError
        If one fails.
    """
    few = Batch(signals, np.ones(len(signals), signals.dtype), signals.dtype.type(len(signals)))
    examine(
        loss.penalties,
        lambda: _slope_of(loss, model, few),
        lambda penalty: _slope_of(replace(loss, penalties=(penalty,)), model, few),
    )


def _slope_of(loss: Loss, model: Autoencoder, batch: Batch) -> tuple[Any, Any]:
    arguments = runtime.in_dtype(loss, batch.signals.dtype), model, batch
    return _slope(runtime.signature(*arguments), *arguments)


def _value_and_slope(loss: Loss, model: Autoencoder, batch: Batch) -> tuple[Any, Any]:
    """Return the sum of the penalties, and all gradients of the sum of its entries in a row."""
    import jax
    import jax.numpy as jnp

    def value(model: Autoencoder) -> Array:
        return jnp.asarray(loss.penalty(model, batch, model.encode(batch.signals)))

    gradient = jax.grad(lambda model: value(model).sum())(model)
    return value(model), jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree_util.tree_leaves(gradient)])


_slope = runtime.Program(_value_and_slope)


@dataclass(frozen=True, eq=False)
class SquaredError(Loss):
    """The mean squared error of an entry."""

    def of_squares(
        self, model: Autoencoder, batch: Batch, codes: Array, squares: Array, noise: Array, share: Array
    ) -> tuple[Array, Array]:
        """Return the mean over entries; the noise variance means nothing here."""
        return squares / batch.signals.shape[1], noise


@dataclass(frozen=True, eq=False)
class NegativeLogLikelihood(Loss):
    r"""The negative log-likelihood with the network's codes, in nats per sample.

    The volume counts a component no smaller than its code's prior leaves it: in place of
    :math:`\log\det W W^\top` stands :math:`\log\det(W W^\top + \sigma^2 P)`, with P the inverse
    covariance of the codes. The two agree where components stand out of the noise, but this one has a
    lower bound: codes confined to a support do not grow when their component vanishes.

    Attributes
    ----------
    prior : Prior
    precision : array of shape (k, k) or (k - 1, k - 1)
        P.
    floor : float
        Smallest noise variance that is believed in.
    """

    prior: Any
    precision: Array
    floor: Array

    needs_noise: ClassVar[bool] = True

    @property
    def needs_jax(self) -> bool:
        """Whether a penalty or the prior is written in JAX."""
        return bool(self.penalties) or self.prior.needs_jax

    def of_squares(
        self, model: Autoencoder, batch: Batch, codes: Array, squares: Array, noise: Array, share: Array
    ) -> tuple[Array, Array]:
        """Return the likelihood at the running noise variance, of which no gradient is taken."""
        xp = array_namespace(codes)
        edges = self.prior.domain.edges(model.components)
        n_left = max(batch.signals.shape[1] - len(edges), 1)
        seen = (1 - share) * noise + share * squares / n_left
        noise = constant(xp.maximum(seen, self.floor))
        reconstruction = 0.5 * squares / noise + 0.5 * n_left * xp.log(2 * np.pi * noise)
        volume = 0.5 * xp.linalg.slogdet(edges @ edges.T + noise * self.precision)[1]
        log_prior = xp.where(batch.weights > 0, self.prior.log_density(codes), 0.0)
        return reconstruction + volume - batch.weights @ log_prior / batch.total, noise


@dataclass(frozen=True, eq=False)
class Tabulated:
    """Densities of codes that were learned, as tables that JAX can look up.

    Attributes
    ----------
    nodes, values : arrays of shape (k, m)
        Log-densities at equal distances; beyond them the last slope goes on.
    """

    nodes: np.ndarray
    values: np.ndarray
    support: str = field(default="real")

    needs_jax: ClassVar[bool] = False
    has_free_scale: ClassVar[bool] = True

    @classmethod
    def of(cls, prior: Prior, k: int) -> Tabulated:
        """Return the tables of an independent prior of k codes."""
        means, variances = (np.broadcast_to(part, k) for part in prior.moments)
        steps = np.linspace(-_REACH, _REACH, _GRID)
        nodes = means[:, None] + np.sqrt(variances)[:, None] * steps
        marginals: Any = prior
        values = marginals.log_marginals(nodes.T, np.zeros(k)).T
        return cls(nodes, np.maximum(values, values.max(axis=1, keepdims=True) + _LOWEST))

    @property
    def domain(self) -> Any:
        """The support."""
        return SUPPORTS[self.support]

    def log_density(self, codes: Array) -> Array:
        """Return the sum over codes."""
        xp = array_namespace(codes)
        columns = zip(codes.T, self.nodes, self.values, strict=True)
        return sum((_line_through(xp, h, x, y) for h, x, y in columns), 0.0 * codes[:, 0])

    def log_observed(self, codes: Array, variances: Array) -> Array:
        """Return the same: noise is a part of what was learned."""
        return self.log_density(codes)


def _line_through(xp: Any, h: Array, nodes: Array, values: Array) -> Array:
    """Return the piecewise linear function through equidistant nodes, whose ends go on as they are."""
    step = nodes[1] - nodes[0]
    left = xp.clip(((h - nodes[0]) / step).astype(int), 0, len(nodes) - 2)
    share = (h - nodes[left]) / step
    return values[left] + share * (values[left + 1] - values[left])
