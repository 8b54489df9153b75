r"""The one likelihood, as named terms, and its form in code space that training minimises.

With least-squares codes and small noise the negative log-likelihood of a signal is

.. math:: \frac{\|x - b - \hat h W\|^2}{2\sigma^2} + \frac{d - k}{2} \log 2\pi\sigma^2
          + \tfrac12 \log\det W W^\top - \log p(\hat h)

(reconstruction, volume of the components, prior on the codes). `likelihood_terms` is that formula;
`CodeObjective` is what remains of it to be minimised once the span of W is fixed.
"""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.namespace import Array, array_namespace, evaluated_once, log

_BLOCK_ENTRIES = 1 << 17
_REACH = 6.5
_FEW_ROWS, _ROWS_TO_TRY, _FEW = 1000, 64, 0.5


class Terms(NamedTuple):
    """The negative log-likelihood of each sample by terms, each of shape (n,) or scalar, in nats."""

    reconstruction: Array
    volume: Array
    prior: Array

    @property
    def total(self) -> Array:
        """The sum of the terms."""
        return self.reconstruction + self.volume + self.prior


def reconstruction_term(squared_residuals: Array, noise_variance: Array, n_left: float) -> Array:
    """Return -log density of the residual in the `n_left` directions that the span leaves."""
    if n_left == 0:
        return squared_residuals * 0.0
    normaliser = n_left * log(2 * np.pi * noise_variance)
    return 0.5 * (squared_residuals / noise_variance + normaliser)


def likelihood_terms(
    squared_residuals: Array,
    log_prior: Array,
    gram: Array,
    noise_variance: Array,
    n_features: int,
) -> Terms:
    """Return the likelihood by terms.

    Parameters
    ----------
    squared_residuals : array of shape (n,)
        Squared distance of each signal from its least-squares reconstruction.
    log_prior : array of shape (n,)
        Log-density of the codes under the prior.
    gram : array of shape (r, r)
        Gram matrix of the vectors that span the signals: of the components, or of the edges of a simplex.
    noise_variance : float
        Variance of the noise per feature, positive.
    n_features : int
        Length d of the signals.
    """
    k = gram.shape[0]
    return Terms(
        reconstruction_term(squared_residuals, noise_variance, n_features - k),
        0.5 * array_namespace(gram).linalg.slogdet(gram)[1],
        -log_prior,
    )


class Point(NamedTuple):
    """Codes as an affine function of the whitened coordinates: h = z @ unmixing.T + offset."""

    unmixing: Array
    offset: Array

    def encode(self, whitened: Array) -> Array:
        """Return the codes of whitened coordinates."""
        return whitened @ self.unmixing.T + self.offset

    def noise_variances(self, noise: Array) -> Array:
        """Return the variance of each code, given the noise covariance of the coordinates."""
        return ((self.unmixing @ noise) * self.unmixing).sum(axis=-1)


class Expansion(NamedTuple):
    """What is known of the objective at a point: its value, and sums that give two derivatives.

    Attributes
    ----------
    value : scalar
        The mean objective in nats per sample.
    sums : array of shape (k, k + 6, k + 1)
        Derivatives of -log p of each code against [codes - mean, 1], summed over samples: see
        `LocalModel.collect` for their order.
    """

    value: Array
    sums: Array


class JointExpansion(NamedTuple):
    """Value, gradient of shape (k, k + 1), and Hessian, for steps taken row by row."""

    value: Array
    gradient: Array
    hessians: Array


class JointModel(NamedTuple):
    """Gradient of shape (k, k + 1), and Hessian, for steps taken row by row."""

    gradient: Array
    matrix: Array

    def hessian(self) -> Array:
        """Return the Hessian as a matrix."""
        return self.matrix


class LocalModel(NamedTuple):
    """Gradient and Hessian of the objective in the relative coordinates of a step.

    A step is an array of shape (k, k + 1): each row is added to the row of the codes as that
    linear combination of [codes - their mean, 1].

    Attributes
    ----------
    gradient : array of shape (k, k + 1)
    blocks : array of shape (k, k + 1, k + 1)
        Hessian of the prior term: independent codes give one block for each row of the step.
    """

    gradient: Array
    blocks: Array

    @classmethod
    def collect(cls, sums: Array, spread: Array) -> LocalModel:
        """Return the model from sums over samples.

        A step changes each code by its row times [codes - mean, 1], and the variance of the code's
        noise by twice its row times the row of `spread`; the offset changes no variance.

        Parameters
        ----------
        sums : array of shape (k, k + 6, k + 1)
            For each code, k + 1 rows of its second derivative times [codes - mean, 1]; then its
            derivatives by the code, by code and variance, by the variance, twice by the variance,
            and the value itself.
        spread : array of shape (k, k)
            Covariance of the noise of the codes.
        """
        k = spread.shape[-1]
        widen = _unit(k, k + 1)
        slopes = 2 * spread @ widen
        by_variance, by_variances = sums[..., k + 3, -1:], sums[..., k + 4, -1:]
        gradient = sums[..., k + 1, :] + by_variance * slopes - widen
        mixed = sums[..., k + 2, :] + 0.5 * by_variances * slopes
        cross = mixed[..., :, None] * slopes[..., None, :]
        curved = by_variance[..., None] * (widen.T @ slopes)[..., None, :, :]
        blocks = sums[..., : k + 1, :] + cross + cross.swapaxes(-1, -2) + curved
        return cls(gradient, blocks)

    def hessian(self) -> Array:
        """Return the Hessian as a matrix, for steps taken row by row; of many models along leading axes."""
        *batch, k, width = self.gradient.shape
        apart = _unit(k, k)[:, None, :, None] * self.blocks[..., :, :, None, :]
        return (apart + _swap(k)).reshape(*batch, k * width, k * width)

    def curvature(self, step: Array) -> Array:
        """Return the Hessian times a step: the blocks, and the volume, which swaps i and j."""
        k = step.shape[0]
        swapped = step[:, :k].T @ _unit(k, k + 1)
        return (self.blocks @ step[:, :, None])[:, :, 0] + swapped


@functools.lru_cache(maxsize=16)
def _unit(n: int, m: int) -> np.ndarray:
    """Return the identity, not to be written to."""
    return np.eye(n, m)


@functools.lru_cache(maxsize=16)
def _swap(k: int) -> np.ndarray:
    """Return the Hessian of the volume, of shape (k, k + 1, k, k + 1), not to be written to."""
    slots = np.eye(k, k + 1)
    return slots.T[None, :, :, None] * slots[:, None, None, :]


@dataclass
class Objective(ABC):
    """The negative log-likelihood as a function of the basis inside a fixed span.

    Attributes
    ----------
    prior : Prior
    rows : array of shape (k, m, k) or (1, m, k)
        For each code, or for all alike, whitened coordinates of signals: of all signals together they
        have zero mean and unit covariance.
    weights : array of shape (k, m) or (1, m)
        Weights of the rows; those of all signals have sum one, padding has weight zero.
    noise : array of shape (k, k)
        Covariance of the noise of the whitened coordinates.
    floor : float or array of shape (k,)
        Smallest variance of a code's noise.
    constant : float
        The terms that do not depend on the basis, in nats per sample.
    inflation : array of shape (k, m) or (1, m), or None
        How much more noise the rows of incomplete signals carry than `noise` says; None for complete ones.
    """

    prior: Any
    rows: Array
    weights: Array
    noise: Array
    floor: Array
    constant: Array
    inflation: Array | None = None

    def variances(self, point: Point) -> Array:
        """Return the variance of each code's noise, of shape (k,), or (m, k) where signals are incomplete."""
        own = point.noise_variances(self.noise)
        return (own if self.inflation is None else self.inflation.T * own) + self.floor

    def _volume(self, point: Point) -> Array:
        return self.constant - array_namespace(point.unmixing).linalg.slogdet(point.unmixing)[1]

    @abstractmethod
    def nothing(self) -> Any:
        """Return an expansion from before the first evaluation, of infinite value."""

    @abstractmethod
    def expand(self, point: Point, width: Array) -> Any:
        """Return the expansion at a point with faces blurred by `width`."""

    @abstractmethod
    def local_model(self, point: Point, expansion: Any) -> Any:
        """Return the quadratic model of the objective around a point, of which a step is taken."""

    def drift(self, point: Point, expansion: Any, width: Array, narrower: Array) -> Array:
        """Return about how much the gradient changes as faces narrow, of its shape: unless known, nothing."""
        return 0.0 * self.local_model(point, expansion).gradient

    def blurred(self, expansion: Any, width: Array, narrower: Array) -> Array:
        """Return the largest value that is to be expected as faces narrow: unless known, the present one."""
        del width, narrower
        return expansion.value


class CodeObjective(Objective):
    """The objective under an independent prior, whose codes are coupled by the volume alone."""

    def nothing(self) -> Expansion:
        """Return an expansion from before the first evaluation."""
        k = len(self.noise)
        return Expansion(np.float64(np.inf), np.zeros((k, k + 6, k + 1)))

    def expand(self, point: Point, width: Array) -> Expansion:
        """Return the expansion with faces blurred by `width`."""
        xp = array_namespace(point.unmixing)
        parts = (self._felt(point, width) if xp is np else self)._parts(xp)
        sums = functools.reduce(operator.add, [part._sums(point, width) for part in parts])
        return Expansion(self._volume(point) + sums[:, -1, -1].sum(), sums)

    def _felt(self, point: Point, width: Array) -> CodeObjective:
        """Return the objective of those rows that each code feels, where these are few of many.

        Faces narrow in the course of one search, and more and more codes lie where the density is flat.
        """
        sets, m, k = self.rows.shape
        if m < _FEW_ROWS or self.inflation is not None:
            return self
        depth = _REACH * np.sqrt(self.variances(point) + width * width)
        if _are_felt(self.prior, point, self.rows[:, :: m // _ROWS_TO_TRY], depth).mean() > _FEW:
            return self
        places = [np.flatnonzero(own) for own in _are_felt(self.prior, point, self.rows, depth)]
        size = max(map(len, places))
        rows, weights = np.zeros((k, size, k), self.rows.dtype), np.zeros((k, size))
        for j, own in enumerate(places):
            np.take(self.rows[j % sets], own, axis=0, out=rows[j, : len(own)], mode="clip")
            weights[j, : len(own)] = self.weights[j % sets, own]
        return replace(self, rows=rows, weights=weights)

    def _parts(self, xp: Any) -> list[CodeObjective]:
        """Return the objectives of rows that stay in a cache; a compiler sees to that itself."""
        k, m = len(self.noise), self.weights.shape[1]
        size = max(_BLOCK_ENTRIES // (k * (k + 6)), 1)
        if xp is not np or m <= size:
            return [self]
        return [self._part(slice(first, first + size)) for first in range(0, m, size)]

    def _part(self, chosen: slice) -> CodeObjective:
        inflation = None if self.inflation is None else self.inflation[:, chosen]
        return replace(self, rows=self.rows[:, chosen], weights=self.weights[:, chosen], inflation=inflation)

    def _sums(self, point: Point, width: Array) -> Array:
        """Return the sums of an expansion."""
        xp, rows = array_namespace(point.unmixing), self.rows
        rows = rows.astype(float, copy=False) if xp is np else rows
        across = rows.swapaxes(1, 2)
        codes = (point.unmixing[:, None] @ across)[:, 0] + point.offset[:, None]
        jet = self.prior.jet(codes.T, xp.atleast_2d(self.variances(point) + width * width))
        jet = self._inflated(jet._make(part.T for part in evaluated_once(jet)))
        negative = -self.weights
        curved = jet.by_codes * negative
        plain = (jet.by_code, jet.by_code_and_variance, jet.by_variance, jet.by_variances, jet.value)
        sums = xp.stack([curved, *(part * negative for part in plain)], axis=1)
        linear = sums @ rows @ point.unmixing.T
        linear = xp.concatenate([linear, sums.sum(axis=2)[:, :, None]], axis=2)
        curved = curved.astype(self.rows.dtype)
        second = (curved[:, None] * self.rows.swapaxes(1, 2)) @ self.rows
        square = point.unmixing @ second @ point.unmixing.T
        square = xp.concatenate([square, linear[:, 0, :-1, None]], axis=2)
        return xp.concatenate([square, linear], axis=1)

    def _inflated(self, jet: Any) -> Any:
        """Return derivatives by the variances of complete signals, from which the others' follow."""
        times = self.inflation
        if times is None:
            return jet
        return jet._replace(
            by_variance=times * jet.by_variance,
            by_code_and_variance=times * jet.by_code_and_variance,
            by_variances=times * times * jet.by_variances,
        )

    def local_model(self, point: Point, expansion: Expansion) -> Any:
        """Return the quadratic model of the objective around a point, of which a step is taken."""
        return LocalModel.collect(expansion.sums, self._spread(point))

    def _spread(self, point: Point) -> Array:
        return point.unmixing @ self.noise @ point.unmixing.T

    def drift(self, point: Point, expansion: Expansion, width: Array, narrower: Array) -> Array:
        """Return the change of the gradient in proportion to that of the blur of faces.

        Where codes pile up at a face its place is in proportion to its blur.
        """
        xp, k = array_namespace(point.unmixing), len(self.noise)
        variances = point.noise_variances(self.noise) + self.floor
        before, after = xp.sqrt(variances + width * width), xp.sqrt(variances + narrower * narrower)
        slopes = 2 * self._spread(point) @ _unit(k, k + 1)
        by_variance = expansion.sums[:, k + 2] + expansion.sums[:, k + 4, -1:] * slopes
        return (2 * before * (after - before))[:, None] * by_variance

    def blurred(self, expansion: Expansion, width: Array, narrower: Array) -> Array:
        """Return the value, and twice what a change of the blur adds to it in first and second order."""
        xp, change = array_namespace(expansion.value), narrower * narrower - width * width
        first, second = expansion.sums[:, -3, -1].sum(), expansion.sums[:, -2, -1].sum()
        return expansion.value + 2 * xp.abs(change * first) + change * change * xp.abs(second)


class RootedObjective(CodeObjective):
    """The objective of codes that are zero where the coordinates are: no step changes their offset."""

    def local_model(self, point: Point, expansion: Expansion) -> LocalModel:
        """Return the model of steps without an offset."""
        model, moving, still = super().local_model(point, expansion), *self._slots()
        return LocalModel(model.gradient * moving, model.blocks * (moving[:, None] * moving) + still)

    def drift(self, point: Point, expansion: Expansion, width: Array, narrower: Array) -> Array:
        """Return the change of the gradient in proportion to that of the blur of faces."""
        return super().drift(point, expansion, width, narrower) * self._slots()[0]

    def _slots(self) -> tuple[np.ndarray, np.ndarray]:
        moving = np.append(np.ones(len(self.noise)), 0.0)
        return moving, np.diag(1.0 - moving)


@dataclass
class ConfinedObjective(CodeObjective):
    """The objective of codes of which some steps are not allowed.

    Attributes
    ----------
    allowed : array of shape (k * (k + 1), k * (k + 1))
        Projection of steps, row by row, onto those that are.
    """

    allowed: Array = None

    def local_model(self, point: Point, expansion: Expansion) -> JointModel:
        """Return the model of allowed steps."""
        model, eye = super().local_model(point, expansion), _unit(*self.allowed.shape)
        projected = self.allowed @ model.hessian() @ self.allowed + eye - self.allowed
        return JointModel(self._projected(model.gradient), projected)

    def drift(self, point: Point, expansion: Expansion, width: Array, narrower: Array) -> Array:
        """Return the change of the gradient in proportion to that of the blur of faces."""
        return self._projected(super().drift(point, expansion, width, narrower))

    def _projected(self, gradient: Array) -> Array:
        return (self.allowed @ gradient.ravel()).reshape(gradient.shape)


class SimplexObjective(CodeObjective):
    """The objective of proportions, whose sum no step may change.

    Coordinates end with a one, so that codes need no offset: it stays what it is.
    """

    def local_model(self, point: Point, expansion: Expansion) -> JointModel:
        """Return the model of steps that change the codes by amounts of sum zero, and no offset."""
        model = super().local_model(point, expansion)
        k = len(self.noise)
        moving = np.append(np.ones(k), 0.0)
        hessian = model.hessian().reshape(k, k + 1, k, k + 1)
        hessian = _balanced(_balanced(hessian, 0), 2) * (moving[:, None, None] * moving)
        gradient = _balanced(model.gradient, 0) * moving
        held = _unit(gradient.size, gradient.size) - self.prior.free_steps(k)
        return JointModel(gradient, hessian.reshape(held.shape) + held)


def _balanced(steps: Array, axis: int) -> Array:
    """Return the part of steps along which the sum of the codes does not change."""
    return steps - steps.mean(axis=axis, keepdims=True)


class JointObjective(Objective):
    """The objective under any prior, differentiated by JAX."""

    def nothing(self) -> JointExpansion:
        """Return an expansion from before the first evaluation."""
        k = len(self.noise)
        size = k * (k + 1)
        return JointExpansion(np.float64(np.inf), np.zeros((k, k + 1)), np.zeros((size, size)))

    def expand(self, point: Point, width: Array) -> JointExpansion:
        """Return the value and two derivatives with faces blurred by `width`."""
        import jax

        def after(step: Array) -> Array:
            return self._mean(move(point, step), width)

        still = self._still()
        hessian = jax.hessian(after)(still).reshape(still.size, still.size)
        return JointExpansion(after(still), jax.grad(after)(still), hessian)

    def scores(self, point: Point) -> Array:
        """Return the derivatives of the prior term of each row by a step, of shape (m, k, k + 1)."""
        import jax

        return jax.jacfwd(lambda step: -self._log_prior(move(point, step), 0.0))(self._still())

    def curvatures(self, point: Point) -> Array:
        """Return the second derivatives of the log-density of each row by each code, of shape (m, k)."""
        import jax
        import jax.numpy as jnp

        codes, variances = point.encode(self.rows[0]), self.variances(point)
        gradient = jax.grad(lambda codes: self.prior.log_observed(codes, variances).sum())

        def along(direction: Array) -> Array:
            return jax.jvp(gradient, (codes,), (direction + 0.0 * codes,))[1] @ direction

        return jax.vmap(along, out_axes=1)(jnp.eye(codes.shape[1]))

    def slopes(self, point: Point, steps: Array) -> Array:
        """Return the gradients of the objective after other steps, of shape (b, k, k + 1)."""
        import jax

        gradient = jax.grad(lambda step: self._mean(move(point, step), 0.0))
        return jax.lax.map(gradient, steps)

    def _still(self) -> Array:
        import jax.numpy as jnp

        return jnp.zeros((len(self.noise), len(self.noise) + 1))

    def _mean(self, point: Point, width: Array) -> Array:
        import jax.numpy as jnp

        log_prior, seen = self._log_prior(point, width), self.weights[0] > 0
        return self._volume(point) - jnp.where(seen, log_prior, 0.0) @ self.weights[0]

    def _log_prior(self, point: Point, width: Array) -> Array:
        return self.prior.log_observed(point.encode(self.rows[0]), self.variances(point) + width * width)

    def local_model(self, point: Point, expansion: JointExpansion) -> JointModel:
        """Return the expansion itself."""
        return JointModel(expansion.gradient, expansion.hessians)


def _are_felt(prior: Any, point: Point, rows: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return which codes are not deeper inside than `depth` where the density is flat, of shape (k, m)."""
    unmixing, across = point.unmixing.astype(rows.dtype), rows.swapaxes(1, 2)
    codes = unmixing @ across[0] if len(rows) == 1 else (unmixing[:, None] @ across)[:, 0]
    codes += point.offset.astype(rows.dtype)[:, None]
    return prior.matters(codes.T, depth.astype(rows.dtype)).T


def move(point: Point, step: Array) -> Point:
    """Return the point after a step in relative coordinates.

    Whitened coordinates have no mean, so that the offset is the mean of the codes.
    """
    k = point.offset.shape[0]
    return Point(point.unmixing + step[:, :k] @ point.unmixing, point.offset + step[:, k])
