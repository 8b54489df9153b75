"""The noise of an entry, and fits under it: where its tails are heavy, outliers are drawn in first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sparse_fourier.fitting import Fitted, Settings
from sparse_fourier.incomplete import LowRank, Observed, descended, within
from sparse_fourier.reduction import Reduced, reduce_signals
from sparse_fourier.robustmodel import RobustModel
from sparse_fourier.signals import Rows, array_of
from sparse_fourier.tails import Reading, Residuals, StudentT, Tails, rough_law

Learn = Callable[[Rows, np.ndarray], Fitted]
"""Turns signals and their weights into a fit under Gaussian noise."""

_TAIL_OF_FEATURE = 0.1
_ROWS_OF_QUANTILES = 20_000
_MOST_ROUNDS = 100
_STEPS_OF_A_ROUND = 1
_SETTLED, _ROUGHLY_SETTLED = 1e-5, 0.01
_MOST_INFLATED = 4.0
_ROUNDING = 10.0


class Noise(ABC):
    """What is assumed of the noise of an entry."""

    @abstractmethod
    def fit(self, learn: Learn, X: Rows, weights: np.ndarray, settings: Settings) -> Fitted:
        """Return the fit under this noise, given how signals are fitted under Gaussian noise.

        Parameters
        ----------
        learn : callable
        X : array of shape (n, d)
            NaN where nothing was observed; never written to.
        weights : array of shape (n,)
            Positive.
        settings : Settings
        """


class GaussianNoise(Noise):
    """Gaussian noise."""

    def fit(self, learn: Learn, X: Rows, weights: np.ndarray, settings: Settings) -> Fitted:
        """Return the fit itself."""
        return learn(X, weights)


class StudentNoise(Noise):
    """Noise with Student's t, whose scale and degrees of freedom are learned."""

    def fit(self, learn: Learn, X: Rows, weights: np.ndarray, settings: Settings) -> Fitted:
        """Return the fit to pseudo-values, with the likelihood of the signals themselves."""
        X = array_of(X, "noise with heavy tails")
        reading = _likeliest(X, weights, settings)
        pseudo, kept = reading.pseudo_values(X.dtype), _determined(reading, weights)
        fitted = learn(pseudo[kept], weights[kept])
        strays = np.flatnonzero(kept)[fitted.strays]
        kept[strays] = False
        model = RobustModel(fitted.model, reading.tails)
        excess = reading.excess(model.variance_of_pseudo_values)
        beyond = float(np.average(excess[kept], weights=weights[kept])) * fitted.in_nats
        curve = np.append(fitted.curve[:-1], fitted.curve[-1] + beyond)
        return replace(fitted, model=model, curve=curve, noise=model.law, strays=strays)


def _likeliest(X: np.ndarray, weights: np.ndarray, settings: Settings) -> Reading:
    """Return what the likeliest span says of signals; its number of dimensions is what pseudo-values ask for.

    Dimensions are added a few at a time: too many at once would take outliers for signal.
    """
    seen, rank = _clipped(X, weights), 0
    while True:
        data = reduce_signals(
            seen, weights, settings.prior, settings.n_components, centred=settings.fit_intercept
        )
        asked = data.rank - data.surplus
        if asked <= rank:
            return _Search(X, seen, weights, data, asked).tails(_SETTLED).read(X)
        rank = min(asked, rank + max(rank // 2, 1))
        seen = _Search(X, seen, weights, data, rank).tails(_ROUGHLY_SETTLED).cleaned(X)


def _clipped(X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return signals whose entries are not far beyond what nine tenths of their feature's are within."""
    few = slice(None, None, -(-len(X) // _ROWS_OF_QUANTILES))
    low, high = _quantiles(X[few].astype(float), weights[few], (_TAIL_OF_FEATURE, 1 - _TAIL_OF_FEATURE))
    width = high - low
    typical = float(np.median(width[width > 0])) if width.any() else np.inf
    width = np.where(width > 0, width, typical)
    return np.clip(X, low - width, high + width).astype(X.dtype, copy=False)


def _quantiles(X: np.ndarray, weights: np.ndarray, levels: tuple[float, ...]) -> list[np.ndarray]:
    """Return quantiles of the observed entries of each feature, each of shape (d,)."""
    order = np.argsort(X, axis=0)
    ordered = np.take_along_axis(X, order, axis=0)
    reached = np.cumsum(np.where(np.isnan(ordered), 0.0, weights[order]), axis=0)
    places = [(reached < level * reached[-1]).sum(axis=0) for level in levels]
    return [np.take_along_axis(ordered, place[None], axis=0)[0] for place in places]


def _determined(reading: Reading, weights: np.ndarray) -> np.ndarray:
    """Return the signals of which enough is left, outliers apart, to determine their coordinates."""
    inflation = reading.inflation
    order = np.argsort(inflation)
    middle = order[np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())]
    return inflation <= _MOST_INFLATED * inflation[middle]


class _Search:
    """The search for the likeliest span of a rank, by turns with the law of the noise about it."""

    def __init__(
        self, X: np.ndarray, seen: np.ndarray, weights: np.ndarray, data: Reduced, rank: int
    ) -> None:
        observed = ~np.isnan(X)
        self._exponent, self._least = data.exponent, float(np.sqrt(data.resolution))
        highest = np.where(observed, X, -np.inf).max(axis=0)
        self._varying = highest > np.where(observed, X, np.inf).min(axis=0)
        mask = (observed & self._varying).astype(float)
        self._data = self._in_unit(X, mask, weights, data)
        start = self._in_unit(seen, mask, weights, data)
        axes = np.linalg.qr(data.span.axes[:rank].T)[0].T
        self._found = within(start, axes, data.span.mean)
        centred, d = self._data.centred, X.shape[1]
        entries = float(weights @ mask.sum(axis=1))
        own = float(weights @ np.minimum(mask.sum(axis=1), rank))
        self._free = max(entries - own - rank * (d - rank) - d * centred, 1.0)
        self._entries = entries
        self._chosen = mask > 0
        self._weights = np.broadcast_to(weights[:, None], mask.shape)[self._chosen]

    def _in_unit(self, X: np.ndarray, mask: np.ndarray, weights: np.ndarray, data: Reduced) -> Observed:
        values = np.ldexp(np.where(mask > 0, X, 0.0).astype(float), -self._exponent)
        centred = bool(data.surplus) or not data.anchored
        return Observed(values, mask, weights, centred, float(np.finfo(X.dtype).eps))

    def tails(self, settled: float) -> Tails:
        """Return where the turns end: once they change the law by less."""
        law = rough_law(self._residuals(), self._least)
        for _ in range(_MOST_ROUNDS):
            residuals, before = self._residuals(), law
            law = residuals.refitted(before, self._least)
            change = abs(np.log(law.scale / before.scale)) + abs(
                1 / law.degrees_of_freedom - 1 / before.degrees_of_freedom
            )
            if change <= settled:
                break
            self._found = self._improved(law)
        found = self._found
        exact = law.scale <= _ROUNDING * self._least
        return Tails(found.mean, found.axes, law, self._exponent, self._varying, exact)

    def _residuals(self) -> Residuals:
        found = self._found
        rest = self._data.values - found.mean - found.coordinates @ found.axes
        return Residuals(rest[self._chosen], self._weights, self._free)

    def _improved(self, law: StudentT) -> LowRank:
        found = self._found
        rest = self._data.values - found.mean - found.coordinates @ found.axes
        weighted = replace(self._data, mask=self._data.mask * law.resolved.weights(rest))
        return descended(weighted, found.axes, found.mean, _STEPS_OF_A_ROUND)
