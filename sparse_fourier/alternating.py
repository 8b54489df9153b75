"""Non-negative components fitted to the signals, in turn with codes within their support."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sparse_fourier.canonical import order_by_variance
from sparse_fourier.model import Model, incomplete_rows
from sparse_fourier.scaled import scaled_by_power_of_two
from sparse_fourier.signals import Rows, mapped
from sparse_fourier.supports import Interval

_MAX_ALTERNATIONS = 200
_CODE_SWEEPS = 3
_DECODER_SWEEPS = 2
_SETTLED = 1e-5
_FIRST_MOMENTUM = 0.5
_SPUR = 1.05
_BRAKE = 0.5
_DEVIATIONS_OF_NOISE = 3.0
_POWER_ITERATIONS = 30
_BLOCK_BYTES = 1 << 18
_KEPT_ENTRIES = 1 << 19
_NONNEGATIVE = Interval(0.0, np.inf)


@dataclass(frozen=True)
class Alternated:
    """A model whose components were fitted to the signals.

    Attributes
    ----------
    model : Model
    codes : array of shape (n, k)
        Within their support.
    residual : float
        Sum of the squares that these codes leave.
    loss : float
        Mean negative log-likelihood, in nats.
    """

    model: Model
    codes: np.ndarray
    residual: float
    loss: float


def fit_to_signals(
    model: Model, X: Rows, weights: np.ndarray, *, anchored: bool, degrees_of_freedom: float
) -> Alternated:
    """Return the model with non-negative components fitted to the signals.

    Codes within their support need not reach the signals as well as codes in all of the principal subspace
    do. Components and codes are fitted in turn, by coordinate descent [1]_, until they do: until what is left
    is the noise outside that subspace. To go on would fit the noise. Where they settle before, at a local
    optimum, the component that is missed least takes the place of what is missing; and codes
    are given their price under the prior, which switches components off that are not needed [2]_. Of all
    these the likeliest model is kept.

    Parameters
    ----------
    model : Model
    X : array or Signals of shape (n, d)
    weights : array of shape (n,)
    anchored : bool
        Whether the intercept remains zero.
    degrees_of_freedom : float
        What squared residuals are divided by, for each dimension left to the noise.

    References
    ----------
    .. [1] N. Gillis and F. Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms for
       nonnegative matrix factorization", Neural Computation 24(4), 1085-1105, 2012.
    .. [2] V. Y. F. Tan and C. Févotte, "Automatic relevance determination in nonnegative matrix
       factorization with the beta-divergence", IEEE Transactions on Pattern Analysis and Machine
       Intelligence 35(7), 1592-1605, 2013.
    """
    signals = _Signals(X, weights, model.exponent)
    turns = _Turns(model, signals, anchored, degrees_of_freedom)
    start = _Factors(model.components, model.intercept, mapped(model.constrained_codes, X))
    factors, stuck = turns.run(start)
    best = turns.judged(factors)
    if stuck and model.prior.has_free_scale:
        best = turns.repaired(factors, best)
        priced = turns.judged(turns.run(start, priced=True)[0])
        best = min(best, priced, key=lambda found: found.loss)
    return _ordered(best, weights)


@dataclass(frozen=True)
class _Signals:
    """Signals in the unit of the model, a block of rows at a time in double precision."""

    X: Rows
    weights: np.ndarray
    exponent: int

    @cached_property
    def gaps(self) -> np.ndarray:
        """Which rows lack entries."""
        return mapped(incomplete_rows, self.X)

    @cached_property
    def n_entries(self) -> float:
        """Number of entries that were observed, each counted with its weight."""
        n, d = self.X.shape
        missing = np.isnan(self.X[self.gaps]).sum(axis=1)
        return float(self.weights.sum() * d - self.weights[self.gaps] @ missing)

    @cached_property
    def _kept(self) -> np.ndarray | None:
        """All of them, zero where nothing was observed, where they are few enough to be kept."""
        return self._scaled(slice(None)) if self.X.size <= _KEPT_ENTRIES else None

    def _scaled(self, rows: slice) -> np.ndarray:
        block = scaled_by_power_of_two(self.X[rows], -self.exponent, np.empty(self.X[rows].shape))
        if self.gaps[rows].any():
            block[np.isnan(block)] = 0.0
        return block

    def residuals(self, factors: _Factors, rows: slice) -> np.ndarray:
        """Return what the codes of some rows leave of their signals; zero where nothing was observed."""
        block = self._scaled(rows) if self._kept is None else self._kept[rows]
        rest = factors.codes[rows] @ factors.components
        rest += factors.intercept
        np.subtract(block, rest, out=rest)
        if self.gaps[rows].any():
            rest[np.isnan(self.X[rows])] = 0.0
        return rest

    def blocks(self, factors: _Factors) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices and the residuals of these rows, all in the end."""
        size = max(256, _BLOCK_BYTES // (8 * self.X.shape[1]))
        for first in range(0, len(self.X), size):
            rows = slice(first, first + size)
            yield rows, self.residuals(factors, rows)

    def squares(self, factors: _Factors) -> np.ndarray:
        """Return the squared residual of each row."""
        squares = np.empty(len(self.X))
        for rows, rest in self.blocks(factors):
            squares[rows] = np.einsum("ij,ij->i", rest, rest)
        return squares


@dataclass(frozen=True)
class _Factors:
    """Codes and a decoder."""

    components: np.ndarray
    intercept: np.ndarray
    codes: np.ndarray

    def farther(self, last: _Factors, momentum: float) -> _Factors:
        """Return the same with the decoder moved on in the direction in which it came."""
        return replace(
            self,
            components=_nonnegative(self.components + momentum * (self.components - last.components)),
            intercept=_nonnegative(self.intercept + momentum * (self.intercept - last.intercept)),
        )

    def rescaled(self) -> _Factors:
        """Return the same with components of unit norm, but for those that are zero."""
        norms = np.linalg.norm(self.components, axis=1)
        norms[norms == 0] = 1.0
        return replace(self, components=self.components / norms[:, None], codes=self.codes * norms)


class _Turns:
    """Codes and components in turn, towards the likeliest model."""

    def __init__(self, model: Model, signals: _Signals, anchored: bool, degrees_of_freedom: float) -> None:
        self._model, self._signals, self._anchored = model, signals, anchored
        self._degrees_of_freedom = degrees_of_freedom
        self._noise = max(model.noise_variance, model.resolution)

    def run(self, factors: _Factors, *, priced: bool = False) -> tuple[_Factors, bool]:
        """Return factors that leave no more than noise or have settled, and whether they settled before.

        The decoder goes farther than its step leads, less so after a time when that left more than before.
        """
        before, settled = np.inf, False
        stepped, momentum = factors, 0.0 if priced else _FIRST_MOMENTUM
        for _ in range(_MAX_ALTERNATIONS):
            residual, pull = self._pull(factors)
            if residual > before and momentum and factors is not stepped:
                factors, momentum = stepped, momentum * _BRAKE
                continue
            if residual <= self._expected(factors):
                break
            if settled := abs(before - residual) <= _SETTLED * residual:
                break
            before, last = residual, stepped
            stepped = self._with_decoder(self._with_codes(factors, pull, priced=priced))
            factors = stepped.farther(last, momentum) if momentum else stepped
            momentum = min(momentum * _SPUR, 1.0)
        return factors, settled

    def _expected(self, factors: _Factors) -> float:
        """Return how large squared residuals of noise alone can be, less what free codes take up of it."""
        domain, n = self._model.prior.domain, self._signals.weights.sum()
        free = np.logical_and.reduce([factors.codes != face for face in domain.faces])
        left = self._signals.n_entries - self._signals.weights @ free.sum(axis=1) + n * domain.surplus
        return self._noise * float(left + _DEVIATIONS_OF_NOISE * np.sqrt(2 * self._signals.n_entries))

    def _pull(self, factors: _Factors) -> tuple[float, np.ndarray]:
        """Return the sum of squared residuals, and the products of signals and components."""
        gram = factors.components @ factors.components.T
        pull, residual = np.asfortranarray(factors.codes @ gram), 0.0
        for rows, rest in self._signals.blocks(factors):
            pull[rows] += rest @ factors.components.T
            residual += float(self._signals.weights[rows] @ np.einsum("ij,ij->i", rest, rest))
        return residual, pull

    def _with_codes(self, factors: _Factors, pull: np.ndarray, *, priced: bool) -> _Factors:
        codes = np.array(factors.codes, order="F")
        gram = factors.components @ factors.components.T
        prices = np.zeros(len(gram))
        if priced:
            prices = self._noise * self._model.prior.prices(self._mean(codes))
        for _ in range(_CODE_SWEEPS):
            self._model.prior.domain.relax(codes, pull, gram, prices)
        return replace(factors, codes=codes)

    def _with_decoder(self, factors: _Factors) -> _Factors:
        """Return better components and intercept; those whose codes are all zero stay."""
        k = len(factors.components)
        ones = np.ones((len(factors.codes), 0 if self._anchored else 1))
        design = np.append(factors.codes, ones, axis=1)
        weighted = design * self._signals.weights[:, None]
        gram = weighted.T @ design
        decoder = np.append(factors.components, factors.intercept[None], axis=0)[: design.shape[1]].T
        pull = decoder @ gram
        for rows, rest in self._signals.blocks(factors):
            pull += rest.T @ weighted[rows]
        decoder = np.array(decoder, order="F")
        for _ in range(_DECODER_SWEEPS):
            _NONNEGATIVE.relax(decoder, pull, gram, np.zeros(len(gram)))
        intercept = factors.intercept if self._anchored else decoder[:, k]
        found = _Factors(decoder[:, :k].T, intercept, factors.codes)
        return found.rescaled() if self._model.prior.has_free_scale else found

    def _mean(self, codes: np.ndarray) -> np.ndarray:
        return self._signals.weights @ codes / self._signals.weights.sum()

    def repaired(self, factors: _Factors, best: Alternated) -> Alternated:
        """Return the best of models whose weakest component was replaced, one after another."""
        for _ in range(len(factors.components)):
            factors, stuck = self.run(self._replaced(factors))
            found = self.judged(factors)
            if found.loss >= best.loss:
                return best
            best = found
            if not stuck:
                return best
        return best

    def _replaced(self, factors: _Factors) -> _Factors:
        """Return factors whose least useful component has become what the others leave, at its strongest."""
        weighted = factors.codes * self._signals.weights[:, None]
        dispersion = np.diagonal(np.linalg.pinv(weighted.T @ factors.codes))
        weakest = int(np.argmax(np.where(dispersion > 0, dispersion, np.inf)))
        components, codes = factors.components.copy(), factors.codes.copy()
        components[weakest], codes[:, weakest] = self._missing(factors), 0.0
        return _Factors(components, factors.intercept, codes)

    def _missing(self, factors: _Factors) -> np.ndarray:
        """Return the non-negative waveform that explains most of the residuals, of unit norm."""
        worst = int(np.argmax(self._signals.squares(factors)))
        waveform = np.maximum(self._signals.residuals(factors, slice(worst, worst + 1))[0], 0.0)
        for _ in range(_POWER_ITERATIONS):
            total = np.zeros_like(waveform)
            for rows, rest in self._signals.blocks(factors):
                total += (self._signals.weights[rows] * np.maximum(rest @ waveform, 0.0)) @ rest
            waveform = np.maximum(total, 0.0)
            waveform /= np.linalg.norm(waveform) or 1.0
        return waveform

    def judged(self, factors: _Factors) -> Alternated:
        """Return the model of a decoder with its codes and its likelihood."""
        signals, gaps = self._signals, self._signals.gaps
        model = replace(self._model, components=factors.components, intercept=factors.intercept)
        codes = mapped(model.constrained_codes, signals.X)
        plain = np.where(gaps[:, None], codes, mapped(model.least_squares_codes, signals.X))
        squares = signals.squares(replace(factors, codes=plain))
        n_left = len(factors.intercept) - model.live.sum() + model.prior.domain.surplus
        noise = float(signals.weights @ squares) / self._degrees_of_freedom / n_left if n_left else 0.0
        model = self._with_prior(replace(model, noise_variance=noise), self._mean(codes))
        codes = mapped(model.constrained_codes, signals.X) if gaps.any() else codes
        losses = (
            mapped(model.losses, signals.X)
            if gaps.any()
            else model.terms_of_codes(plain[:, model.live], squares).total
        )
        residual = float(signals.weights @ signals.squares(replace(factors, codes=codes)))
        return Alternated(model, codes, residual, float(np.average(losses, weights=signals.weights)))

    def _with_prior(self, model: Model, mean_codes: np.ndarray) -> Model:
        """Return the model with the prior of codes of these means; the floor of their noise follows."""
        prior = model.prior.adapted(mean_codes)
        growth = prior.moments[1] / model.prior.moments[1]
        return replace(model, prior=prior, code_floor=model.code_floor * growth)


def _nonnegative(array: np.ndarray) -> np.ndarray:
    return np.maximum(array, 0.0)


def _ordered(found: Alternated, weights: np.ndarray) -> Alternated:
    """Return the model with its components in the order of the variance that they explain."""
    model = found.model
    deviations = found.codes - weights @ found.codes / weights.sum()
    order = order_by_variance((weights @ deviations**2) * np.diagonal(model.gram))
    model = replace(
        model,
        components=model.components[order],
        prior=model.prior.taken(order),
        code_floor=model.code_floor[order],
    )
    return replace(found, model=model, codes=found.codes[:, order])
