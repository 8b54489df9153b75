"""The fit of a network on clean arrays: the course from its beginning to its finish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.beginnings import begin_at_closed_form, begin_literally, closed_form
from sparse_fourier.blueprints import FittedNetwork, Network, Record, TrainedNetwork, is_centred
from sparse_fourier.descent import Descent
from sparse_fourier.dispersed import SpreadSource
from sparse_fourier.finishing import finish
from sparse_fourier.fitting import Settings, fit
from sparse_fourier.losses import (
    Batch,
    Loss,
    NegativeLogLikelihood,
    SquaredError,
    Tabulated,
    examine_penalties,
)
from sparse_fourier.minibatch import Outcome, Regime, train_in_batches
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.penalties.checks import refuse_weights
from sparse_fourier.quasinewton import minimise
from sparse_fourier.sharding import ShardedSignals
from sparse_fourier.signals import Rows, array_of, rows_with_weight
from sparse_fourier.sources import Held, Source
from sparse_fourier.stacks import TrainingState, chosen, stack, taken, unmoved
from sparse_fourier.training import Progress
from sparse_fourier.variational import EvidenceBound

_LARGEST_EXPONENT = 1000
_FEW_TO_EXAMINE = 256


def fit_network(
    X: Rows,
    weights: np.ndarray,
    settings: Settings,
    network: Network,
    rng: np.random.RandomState,
    record: Record | None = None,
) -> FittedNetwork:
    """Fit an autoencoder to signals.

    Parameters
    ----------
    X : array or Signals of shape (n, d)
        Float32 or float64; never written to. Of `Signals`, those that are spread over devices.
    weights : array of shape (n,)
        Positive, or zero where rows have to stay.
    settings : Settings
        Of the fit that gives the start.
    network : Network
    rng : RandomState
        Draws initial weights, held-out rows and the order of rows.
    record : Record, optional
        Training goes on from there; in a stream from the closed form, where that explains the rows better.
    """
    if network.penalties:
        X = array_of(X, "penalties")
    if isinstance(X, np.ndarray) and np.isnan(X).any():
        X = closed_form(X, weights, settings).model.filled(X)
    seen, held_out = _split(weights, network.validation_fraction, rng)
    if record is None or network.is_settled:
        begin = begin_literally if network.literal else begin_at_closed_form
        record = begin(*rows_with_weight(X, seen), settings, network, rng)
    elif settings.reference is not None and not network.literal:
        fresh = begin_at_closed_form(*rows_with_weight(X, seen), settings, network, rng)
        record = min(record, fresh, key=lambda each: _loss_at_start(each, X, seen, settings, network))
    if not record.rank:
        plain = fit(X, weights, settings, rng) if network.has_prior else closed_form(X, weights, settings)
        return FittedNetwork(**vars(plain))
    course = _course_from(record, settings, network)
    trained = course.train(X, seen, held_out, settings, rng)
    return finish(X, weights, settings, network, trained)


def _course_from(record: Record, settings: Settings, network: Network) -> _Course:
    unit = np.ldexp(1.0, int(np.clip(record.origin.exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)))
    loss = replace(
        _loss(record, network, settings), origin=unit * record.centre, unit=np.float64(unit * record.scale)
    )
    return _Course(record, network, loss)


def _loss_at_start(
    record: Record, X: Rows, weights: np.ndarray, settings: Settings, network: Network
) -> float:
    """Return the loss of signals before training from a record, in the user's unit."""
    if not record.rank:
        return np.inf
    return _course_from(record, settings, network).loss_at_start(X, weights)


def _split(
    weights: np.ndarray, fraction: float, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return weights of rows to train on and of rows to hold out, at least one of each; zero for others."""
    present = np.flatnonzero(weights)
    n = len(present)
    if not fraction or n < 2:
        return weights, None
    order = present[rng.permutation(n)]
    n_out = int(np.clip(np.ceil(fraction * n), 1, n - 1))
    held_out = np.zeros_like(weights)
    held_out[order[:n_out]] = weights[order[:n_out]]
    return weights - held_out, held_out


def _loss(record: Record, network: Network, settings: Settings) -> Loss:
    centred = float(is_centred(network, settings))
    if not network.has_prior:
        return SquaredError(network.penalties, centred)
    origin = record.origin
    floor = origin.resolution / record.scale**2
    if network.variational:
        return EvidenceBound(network.penalties, centred, floor)
    k = len(origin.components)
    span = len(origin.prior.domain.edges(origin.components))
    prior: Any = Tabulated.of(origin.prior, k) if origin.prior.learns else origin.prior
    precision = np.linalg.inv(origin.prior.code_covariance(k)[:span, :span])
    return NegativeLogLikelihood(network.penalties, centred, prior, precision, floor)


class _Course:
    """One training: the loss and its unit."""

    def __init__(self, record: Record, network: Network, loss: Loss) -> None:
        self.record, self.network, self.loss = record, network, loss

    def loss_at_start(self, X: Rows, weights: np.ndarray) -> float:
        """Return the loss of signals before training, in the user's unit."""
        state, network = self.record.state, self.network
        data = self._source(X, weights, X.dtype if network.optimizer else np.dtype(float))
        loss = self.loss.drawn((data.n, X.shape[1]), np.random.RandomState(0))
        losses = data.losses(state.model, loss, state.noise)
        return float(self.record.in_nats(losses.min(), network))

    def train(
        self,
        X: Rows,
        seen: np.ndarray,
        held_out: np.ndarray | None,
        settings: Settings,
        rng: np.random.RandomState,
    ) -> TrainedNetwork:
        """Return the best of what training found and where it began."""
        network = self.network
        dtype = X.dtype if network.optimizer else np.dtype(float)
        data = self._source(X, seen, dtype)
        before = self.record.state
        if network.is_settled:
            loss = data.losses(before.model, self.loss, before.noise)
            return TrainedNetwork(self.record, loss[:1], True, 0.0, False, 1.0)
        if network.penalties:
            refuse_weights(network.penalties, seen[seen > 0])
            rows = data.n if network.optimizer is None else network.batch_size
            self.loss = self.loss.drawn((rows, X.shape[1]), rng)
            few = X[np.flatnonzero(seen)[:_FEW_TO_EXAMINE]]
            few = self.record.prepared(few, len(few), dtype)
            examine_penalties(self.loss, taken(before.model, 0), few)
        if network.optimizer is None:
            outcome = self._by_quasi_newton(data, settings)
        else:
            checked = None if held_out is None else self._source(X, held_out, dtype)
            outcome = self._by_batches(data, checked, network.optimizer, settings, rng)
        return self._chosen(before, outcome, data, held_out is not None)

    def _source(self, X: Rows, weights: np.ndarray, dtype: Any) -> Source:
        """Return the rows of positive weight; padded in an array, unless a penalty sees rows in relation."""
        record = self.record
        if isinstance(X, ShardedSignals):
            return SpreadSource(X, weights, record.origin.exponent, record.unit(dtype))
        X, weights = rows_with_weight(X, weights)
        X, n = array_of(X, "a network"), len(X)
        size = n if self.network.penalties else runtime.bucket(n)
        even = np.zeros(size, dtype)
        even[:n] = weights / weights.mean()
        return Held(Batch(record.prepared(X, size, dtype), even, dtype.type(n)))

    def _told(self, settings: Settings) -> Callable[[Progress], Any] | None:
        callback = settings.callback
        if callback is None:
            return None

        def told(progress: Progress) -> Any:
            loss = self.record.in_nats(progress.loss, self.network)
            return callback(replace(progress, loss=float(loss)))

        return told

    def _by_batches(
        self,
        data: Source,
        held_out: Source | None,
        optimizer: Optimizer,
        settings: Settings,
        rng: np.random.RandomState,
    ) -> Outcome:
        network = self.network
        regime = Regime(
            network.batch_size,
            settings.max_iter,
            settings.tol,
            network.patience,
            network.rate,
            self._told(settings),
            held_out,
        )
        return train_in_batches(self.loss, optimizer, self.record.state, data, regime, rng)

    def _by_quasi_newton(self, data: Source, settings: Settings) -> Outcome:
        """Return the best of the starts, which are trained one after another."""
        state = self.record.state
        ends: list[tuple[Any, Descent]] = []
        for r in range(len(state.noise)):
            start, told = taken(state.model, r), self._told(settings)
            ends.append(
                minimise(self.loss, start, data, max_iter=settings.max_iter, tol=settings.tol, callback=told)
            )
            if ends[-1][1].stopped:
                break
        model, best = min(ends, key=lambda end: end[1].value)
        after = unmoved(stack([model], np.float64), state.noise[:1])
        return Outcome(after, best.curve, 0, best.converged, best.decrement, best.stopped, 1.0)

    def _chosen(
        self, before: TrainingState, outcome: Outcome, data: Source, is_judged: bool
    ) -> TrainedNetwork:
        """Return the best start, with the loss of all signals at the end of the curve."""
        state = chosen(outcome.state, outcome.best)
        loss = float(data.losses(state.model, self.loss, state.noise)[0])
        if not (self.network.literal or is_judged):
            losses = data.losses(before.model, self.loss, before.noise)
            if not losses.min() > loss:
                state, loss = chosen(before, int(np.argmin(losses))), float(losses.min())
        return TrainedNetwork(
            self.record._replace(state=state),
            np.append(outcome.curve, loss),
            outcome.converged,
            outcome.gain,
            outcome.stopped,
            outcome.lowered,
        )
