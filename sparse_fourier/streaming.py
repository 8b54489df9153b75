"""Fits that go on: what is kept of the rows that have come, and when the model is fitted anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sparse_fourier.fitting import Fitted, Settings, fit
from sparse_fourier.model import Model

Learn = Callable[[np.ndarray, np.ndarray, Settings, np.random.RandomState], Fitted]
"""Turns signals, their weights, settings and a source of randomness into a fit."""

_GROWTH = 0.25
_MOST_ENTRIES = 1 << 23
_MOST_ROWS = 1 << 16
_FEWEST_ROWS = 1 << 10
_MOST_IMAGINED = 5000
_ROWS_TO_SETTLE = 100
_ROWS_PER_COMPONENT = 10
_IMPORTANCE_OF_FACES = 20.0
_DEVIATIONS_OF_FACES = 6.0


@dataclass(frozen=True, eq=False)
class Stream:
    """What is kept of the rows that have come.

    As long as they are few, all of them; then a weighted sample that stands for them, in which rows near the
    faces of the support, which decide where these lie, are not thinned out. The sum of the weights is always
    that of the rows that came.

    Attributes
    ----------
    rows : array of shape (m, d)
    weights : array of shape (m,)
    n_samples : float
        Sum of the weights of all rows that have come.
    waiting : tuple of pairs of such arrays
        What has come since rows were last put together.
    refitted : float
        Sum of the weights at the last fit.
    seed : int
        Of all draws.
    n_thinned : int
        How often rows have been thinned out; rows that were drawn from a model count as that.
    settled : bool
        Whether number, order and signs of the components are kept from now on.
    model : Model or None
        Of the last fit.
    """

    rows: np.ndarray
    weights: np.ndarray
    n_samples: float
    waiting: tuple[tuple[np.ndarray, np.ndarray], ...]
    refitted: float
    seed: int
    n_thinned: int = 0
    settled: bool = False
    model: Model | None = None

    @classmethod
    def empty(cls, n_features: int, dtype: np.dtype, seed: int) -> Stream:
        """Return a stream before its first row."""
        return cls(np.zeros((0, n_features), dtype), np.zeros(0), 0.0, (), 0.0, seed)

    @classmethod
    def after(cls, model: Model, n_samples: float, dtype: np.dtype, seed: int) -> Stream:
        """Return a stream that goes on from a model, for whose rows signals drawn from it stand."""
        size = min(max(round(n_samples), 1), _MOST_IMAGINED, capacity(len(model.intercept)))
        drawn = np.ldexp(model.sample(size, np.random.RandomState(seed)), model.exponent).astype(dtype)
        weights = np.full(size, n_samples / size)
        return cls(drawn, weights, n_samples, (), n_samples, seed, n_thinned=1, settled=True, model=model)

    @property
    def unseen(self) -> np.ndarray:
        """Indices of the features of which nothing has been observed."""
        return np.flatnonzero(np.isnan(self.rows).all(axis=0))

    def extended(self, X: np.ndarray, weights: np.ndarray) -> Stream:
        """Return the stream with more rows, which are copied."""
        waiting = (*self.waiting, (np.array(X, order="C"), weights.copy()))
        return replace(self, waiting=waiting, n_samples=self.n_samples + float(weights.sum()))

    def gathered(self) -> Stream:
        """Return the stream with nothing waiting, thinned out if it has become too long."""
        rows = np.concatenate([self.rows, *(rows for rows, _ in self.waiting)])
        weights = np.concatenate([self.weights, *(weights for _, weights in self.waiting)])
        whole = replace(self, rows=rows, weights=weights, waiting=())
        return whole if len(rows) <= capacity(rows.shape[1]) else _thinned(whole)


def capacity(n_features: int) -> int:
    """Return how many rows are kept at most."""
    return int(np.clip(_MOST_ENTRIES // n_features, _FEWEST_ROWS, _MOST_ROWS))


def advance(
    stream: Stream, X: np.ndarray, weights: np.ndarray, settings: Settings, learn: Learn = fit
) -> tuple[Stream, Fitted | None]:
    """Return the stream with more rows, and the fit to all of it, if there are enough new ones for that.

    The time that fits take remains in proportion to the number of rows, however few come at once, since the
    next takes place when rows have become more by a quarter.

    Parameters
    ----------
    stream : Stream
    X : array of shape (n, d)
        NaN where nothing was observed; never written to.
    weights : array of shape (n,)
        Positive.
    settings : Settings
        Its number of components is that of the model once that is settled.
    learn : callable
        How rows with weights are fitted.
    """
    stream = stream.extended(X, weights)
    total = stream.n_samples
    waiting = sum(len(rows) for rows, _ in stream.waiting)
    due = total >= (1 + _GROWTH) * stream.refitted
    if due or waiting > capacity(X.shape[1]) // 4:
        stream = stream.gathered()
    if not due:
        return stream, None
    if stream.settled and stream.model is not None:
        kept = stream.model.components
        remember = stream.n_thinned > 0
        settings = replace(settings, n_components=len(kept), reference=kept, remember=remember)
    fitted = learn(stream.rows, stream.weights, settings, np.random.RandomState(stream.seed))
    k = len(fitted.model.components)
    settled = stream.settled or total >= max(_ROWS_TO_SETTLE, _ROWS_PER_COMPONENT * k)
    return replace(stream, refitted=total, settled=settled, model=fitted.model), fitted


def _thinned(stream: Stream) -> Stream:
    """Return the stream with half the rows that it may have, drawn by weight and by what they decide."""
    rng = np.random.RandomState([stream.seed, stream.n_thinned])
    importance = np.where(_decides(stream), _IMPORTANCE_OF_FACES, 1.0)
    chances = _chances(stream.weights * importance, capacity(stream.rows.shape[1]) // 2)
    reached = np.floor(np.cumsum(chances) + rng.uniform())
    kept = np.diff(reached, prepend=0.0) > 0
    weights = stream.weights[kept] / chances[kept]
    weights *= stream.weights.sum() / weights.sum()
    return replace(stream, rows=stream.rows[kept], weights=weights, n_thinned=stream.n_thinned + 1)


def _decides(stream: Stream) -> np.ndarray:
    """Return which rows lie near a face of the support, where it has any, of shape (m,)."""
    model = stream.model
    if model is None or not model.faces:
        return np.zeros(len(stream.rows), dtype=bool)
    live = np.flatnonzero(model.live)
    codes = model.constrained_codes(stream.rows)[:, live]
    spacing = (len(live) + 1) / capacity(stream.rows.shape[1])
    depth = _DEVIATIONS_OF_FACES * np.sqrt(model.code_variances[live]) + spacing
    return np.asarray(model.prior.taken(live).matters(codes, depth).any(axis=1))


def _chances(sizes: np.ndarray, n: int) -> np.ndarray:
    """Return the chances, in proportion to sizes as far as they stay below one, that take n rows."""
    chances = sizes * (n / sizes.sum())
    while (chances > 1).any():
        certain = chances >= 1
        rest = max(n - certain.sum(), 0) / max(sizes[~certain].sum(), np.finfo(float).tiny)
        chances = np.where(certain, 1.0, sizes * rest)
    return chances
