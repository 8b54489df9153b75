"""Signals beside codes of theirs: what one pass over them, a block at a time, tells of any decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.collectives import average_of_block, call, in_unit, programs_of
from sparse_fourier.model import Model
from sparse_fourier.namespace import Array, array_namespace
from sparse_fourier.sharding import ShardedSignals
from sparse_fourier.signals import Rows, array_of

_ENTRIES_OF_A_BLOCK = 2**18
_LEAST_SHARE = 1e-9


class Moments(NamedTuple):
    """Means over signals, counted from a pivot, and over their codes.

    Attributes
    ----------
    pivot : array of shape (d,)
    mean : array of shape (d,)
        Of signals minus the pivot.
    square : float
        Of the length of these.
    code : array of shape (k,)
        Of the codes.
    gram : array of shape (k, k)
        Of products of two codes.
    cross : array of shape (k, d)
        Of products of a code and an entry.
    """

    pivot: np.ndarray
    mean: np.ndarray
    square: float
    code: np.ndarray
    gram: np.ndarray
    cross: np.ndarray

    @property
    def average(self) -> np.ndarray:
        """Mean signal, of shape (d,)."""
        return self.pivot + self.mean

    @property
    def spread(self) -> float:
        """Sum over features of their variances."""
        return max(self.square - float(self.mean @ self.mean), 0.0)

    def error(self, components: np.ndarray, intercept: np.ndarray) -> float:
        """Return the mean squared length of what a decoder leaves of signals, up to rounding of `square`."""
        offset = intercept - self.pivot
        explained = self.gram @ components - 2 * self.cross + 2 * np.outer(self.code, offset)
        beside = offset @ (offset - 2 * self.mean)
        return float(self.square + (explained * components).sum() + beside)

    def best_decoder(self, centred: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the components and the intercept of least error; the intercept is zero times `centred`."""
        middle, average = centred * self.code, centred * self.average
        gram = self.gram - np.outer(middle, 2 * self.code - middle)
        beside = self.pivot - average
        cross = self.cross + np.outer(self.code, beside) - np.outer(middle, self.mean + beside)
        components = np.linalg.lstsq(gram, cross, rcond=None)[0]
        return components, average - middle @ components


class Coded(NamedTuple):
    """Signals beside codes of theirs.

    Attributes
    ----------
    moments : Moments
    deviations : array of shape (k,)
        Standard deviations of the codes.
    left : callable
        Gives the mean squared length of what a decoder, components and intercept, leaves of the signals.
    """

    moments: Moments
    deviations: np.ndarray
    left: Callable[[np.ndarray, np.ndarray], float]

    @property
    def mean(self) -> np.ndarray:
        """Mean of the codes, of shape (k,)."""
        return self.moments.code

    def error(self, components: np.ndarray, intercept: np.ndarray) -> float:
        """Return the mean squared length of what a decoder leaves: from moments, unless they cancel."""
        error = self.moments.error(components, intercept)
        return error if error > _LEAST_SHARE * self.moments.square else self.left(components, intercept)


class WeightedSignals(ABC):
    """Signals in a unit that is a power of two and in double precision, with weights.

    Attributes
    ----------
    n : float
        Sum of the weights.
    n_features : int
    """

    n: float
    n_features: int

    @staticmethod
    def of(X: Rows, weights: np.ndarray, exponent: int) -> WeightedSignals:
        """Return signals in the unit 2**exponent, weights as they are where rows have to stay."""
        if isinstance(X, ShardedSignals):
            return Apart(X, weights, exponent)
        return Together(array_of(X, "a network"), weights, exponent)

    @abstractmethod
    def evenly(self, most: int) -> WeightedSignals:
        """Return every second, third, ... of the signals: about as many as are asked for, or all."""

    @cached_property
    @abstractmethod
    def average(self) -> np.ndarray:
        """Mean signal, of shape (d,)."""

    @abstractmethod
    def coded(self, encode: Callable[[Array], Array]) -> Coded:
        """Return what signals and codes have to do with each other.

        Parameters
        ----------
        encode : callable
            From signals to codes, written for NumPy and JAX; a tree of arrays.
        """

    @abstractmethod
    def off(self, origin: np.ndarray, axes: np.ndarray) -> float:
        """Return the mean squared distance from an origin, but for what lies along orthonormal axes."""

    @abstractmethod
    def along(self, origin: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance of coordinates along orthonormal axes."""

    @abstractmethod
    def loss(self, model: Model) -> float:
        """Return the mean loss of the signals under a model, whose unit need not be theirs."""


class Together(WeightedSignals):
    """Signals in one array.

    Parameters
    ----------
    X : array of shape (n, d)
    weights : array of shape (n,)
    exponent : int
        Binary exponent of the unit.
    """

    def __init__(self, X: np.ndarray, weights: np.ndarray, exponent: int) -> None:
        self._X, self._exponent, self._weights = X, exponent, weights
        self.n, self.n_features = float(weights.sum()), X.shape[1]
        self._share = weights / self.n

    def evenly(self, most: int) -> Together:
        """Return every second, third, ... of the signals."""
        chosen = slice(None, None, -(-len(self._X) // most))
        return Together(self._X[chosen], self._weights[chosen], self._exponent)

    @cached_property
    def average(self) -> np.ndarray:
        """Mean signal."""
        return sum((self._share[rows] @ x for rows, x in self._blocks()), np.zeros(self.n_features))

    def coded(self, encode: Callable[[Array], Array]) -> Coded:
        """Return what signals and codes have to do with each other."""
        pivot, blocks = np.zeros(0), []
        totals: list[Any] = [0.0] * 5
        for rows, x in self._blocks():
            pivot = pivot if len(pivot) else x.mean(axis=0)
            blocks.append(np.asarray(encode(x), dtype=float))
            parts = _moments_of(x, blocks[-1], self._share[rows], pivot)
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
        codes = np.concatenate(blocks)
        moments = Moments(pivot, *totals)

        def left(components: np.ndarray, intercept: np.ndarray) -> float:
            return self._mean_square(lambda rows, x: x - codes[rows] @ components - intercept)

        return Coded(moments, np.sqrt(self._share @ (codes - moments.code) ** 2), left)

    def off(self, origin: np.ndarray, axes: np.ndarray) -> float:
        """Return the mean squared distance but for what lies along axes."""
        return self._mean_square(lambda rows, x: _off(x - origin, axes))

    def along(self, origin: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance of coordinates along axes."""
        found = np.concatenate([(x - origin) @ axes.T for _, x in self._blocks()])
        middle = self._share @ found
        moved = found - middle
        return middle, (moved * self._share[:, None]).T @ moved

    def loss(self, model: Model) -> float:
        """Return the mean loss of the signals under a model."""
        return float(np.average(model.losses(self._X), weights=self._weights))

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and signals."""
        for rows in blocks_of(self._X):
            yield rows, np.ldexp(self._X[rows], -self._exponent, dtype=float)

    def _mean_square(self, rest: Callable[[slice, np.ndarray], np.ndarray]) -> float:
        rests = ((rows, rest(rows, x)) for rows, x in self._blocks())
        return float(sum(self._share[rows] @ np.einsum("ij,ij->i", r, r) for rows, r in rests))


class Apart(WeightedSignals):
    """Signals whose rows are spread over devices, of which sums alone travel.

    Parameters
    ----------
    X : ShardedSignals
    weights : array of shape (n,)
        Zero for rows that are none.
    exponent : int
        Binary exponent of the unit.
    """

    def __init__(self, X: ShardedSignals, weights: np.ndarray, exponent: int) -> None:
        self._X, self._weights, self._exponent = X, weights, exponent
        self.n, self.n_features = float(weights.sum()), X.shape[1]
        self._programs, self._factor = programs_of(X.array.sharding), np.ldexp(1.0, -exponent)
        self._rows = X.array, self._programs.placed(weights / self.n)

    def evenly(self, most: int) -> Apart:
        """Return every second, third, ... of the signals."""
        present = np.flatnonzero(self._weights)
        weights, chosen = np.zeros_like(self._weights), present[:: -(-len(present) // most)]
        weights[chosen] = self._weights[chosen]
        return Apart(self._X, weights, self._exponent)

    @cached_property
    def average(self) -> np.ndarray:
        """Mean signal."""
        shift = self._X.first.astype(float) * self._factor
        return shift + self._sum(average_of_block, shift)

    def coded(self, encode: Callable[[Array], Array]) -> Coded:
        """Return what signals and codes have to do with each other."""
        pivot = self.average
        moments = Moments(pivot, *self._sum(_moments_of_block, encode, pivot))
        moments = moments._replace(square=float(moments.square))

        def left(components: np.ndarray, intercept: np.ndarray) -> float:
            return float(self._sum(_left_of_block, encode, components, intercept))

        return Coded(moments, np.sqrt(self._sum(_variances_of_block, encode, moments.code)), left)

    def off(self, origin: np.ndarray, axes: np.ndarray) -> float:
        """Return the mean squared distance but for what lies along axes."""
        return float(self._sum(_off_of_block, origin, axes))

    def along(self, origin: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance of coordinates along axes."""
        middle = axes @ (self.average - origin)
        return middle, self._sum(_covariance_of_block, origin + middle @ axes, axes)

    def loss(self, model: Model) -> float:
        """Return the mean loss of the signals under a model."""
        model = model.likelihood or model
        live = np.flatnonzero(model.live)
        prior = model.prior.taken(live).traced(len(live))
        codes = model.unmixing[:, live], model.code_offset[live], model.code_variances[live][None]
        decoder = model.components[live], model.intercept
        factor = np.ldexp(1.0, -model.exponent)
        sums = call(self._programs.sum_of(_likelihood_of_block), self._rows, factor, prior, *codes, *decoder)
        return float(model.terms_of(*map(np.array, sums)).total)

    def _sum(self, function: Callable[..., Any], *rest: Any) -> Any:
        """Return the sum over blocks of rows of a function of signals, their shares, the unit, and more."""
        return call(self._programs.sum_of(function), self._rows, self._factor, *rest)


def _moments_of(x: Array, h: Array, share: Array, pivot: Array) -> tuple[Array, ...]:
    """Return the sums that `Moments` consist of, for signals with their codes."""
    beside, weighted = x - pivot, h * share[:, None]
    square = share @ (beside * beside).sum(axis=1)
    return share @ beside, square, share @ h, weighted.T @ h, weighted.T @ beside


def _off(beside: Array, axes: Array) -> Array:
    """Return what of vectors does not lie along axes."""
    return beside - (beside @ axes.T) @ axes


def _moments_of_block(
    X: Array, share: Array, factor: Array, encode: Callable[[Array], Array], pivot: Array
) -> tuple[Array, ...]:
    x = in_unit(X, factor)
    return _moments_of(x, encode(x).astype(x.dtype), share, pivot)


def _variances_of_block(
    X: Array, share: Array, factor: Array, encode: Callable[[Array], Array], mean: Array
) -> Array:
    x = in_unit(X, factor)
    return share @ (encode(x).astype(x.dtype) - mean) ** 2


def _left_of_block(
    X: Array,
    share: Array,
    factor: Array,
    encode: Callable[[Array], Array],
    components: Array,
    intercept: Array,
) -> Array:
    x = in_unit(X, factor)
    return share @ ((x - encode(x).astype(x.dtype) @ components - intercept) ** 2).sum(axis=1)


def _off_of_block(X: Array, share: Array, factor: Array, origin: Array, axes: Array) -> Array:
    return share @ (_off(in_unit(X, factor) - origin, axes) ** 2).sum(axis=1)


def _covariance_of_block(X: Array, share: Array, factor: Array, origin: Array, axes: Array) -> Array:
    along = (in_unit(X, factor) - origin) @ axes.T
    return (along * share[:, None]).T @ along


def _likelihood_of_block(
    X: Array,
    share: Array,
    factor: Array,
    prior: Any,
    unmixing: Array,
    offset: Array,
    variances: Array,
    components: Array,
    intercept: Array,
) -> tuple[Array, Array]:
    """Return the sums of the log-density of least-squares codes and of squared residuals."""
    x = in_unit(X, factor)
    codes = x @ unmixing - offset
    log_prior = array_namespace(x).where(share > 0, prior.log_observed(codes, variances), 0.0)
    left = x - intercept - codes @ components
    return share @ log_prior, share @ (left * left).sum(axis=1)


def blocks_of(X: np.ndarray) -> Iterator[slice]:
    """Yield the rows of blocks that stay in a cache."""
    n, size = len(X), max(_ENTRIES_OF_A_BLOCK // max(X.shape[1], 1), 1)
    for first in range(0, n, size):
        yield slice(first, min(first + size, n))
