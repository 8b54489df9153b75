"""The loop of stochastic optimisers: epochs in chunks, one stopping rule, a turn for the caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier import checkpoints, runtime
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.sources import Source, source_of
from sparse_fourier.stacks import TrainingState
from sparse_fourier.steps import Steps, is_finite, learning_rates
from sparse_fourier.training import Progress

_CHUNK_SECONDS = 0.1
_CHUNKS = (32, 512, 4096)
_FLOPS_PER_SECOND = 5e10
_SECONDS_PER_STEP = 5e-6
_LEAST_SHARE = 0.01
_RETRIES = 3
_LOWERING = 0.1


@dataclass(frozen=True)
class Regime:
    """How to train.

    Attributes
    ----------
    batch_size : int
    max_epochs : int
    tol : float
        By less than this an epoch does not improve on the best one before it.
    patience : int
        Training ends after so many epochs in a row without improvement.
    rate : float or callable
        Learning rate; or what gives it for the number of steps taken so far.
    callback : callable or None
    held_out : Batch, Source or None
        Signals whose loss decides, where training is to stop early.
    """

    batch_size: int
    max_epochs: int
    tol: float
    patience: int
    rate: float | Callable[[Any], Any]
    callback: Callable[[Progress], Any] | None = None
    held_out: Batch | Source | None = None


class Outcome(NamedTuple):
    """How training ended.

    Attributes
    ----------
    state : TrainingState
    curve : array of shape (n_epochs,)
        Mean loss of the batches of every epoch, of the best start.
    best : int
        Index of that start.
    converged : bool
    gain : float
        What the last epoch gained on the best one before it.
    stopped : bool
        Whether the callback asked for the end.
    lowered : float
        What the learning rate was multiplied by, because training had diverged.
    """

    state: TrainingState
    curve: np.ndarray
    best: int
    converged: bool
    gain: float
    stopped: bool
    lowered: float


class _Rule:
    """The stopping rule: so many values in a row that do not improve on the best by a tolerance."""

    def __init__(self, tol: float, patience: int) -> None:
        self._tol, self._patience = tol, patience
        self._best, self._stalled = np.inf, 0
        self.gain = np.inf

    @property
    def state(self) -> list[float]:
        """What it has taken note of."""
        return [self._best, self._stalled, self.gain]

    @state.setter
    def state(self, state: list[float]) -> None:
        self._best, self._stalled, self.gain = state[0], int(state[1]), state[2]

    def see(self, value: float) -> bool:
        """Take note of a value; return whether it is the best so far."""
        better = value < self._best
        self.gain = self._best - value
        self._stalled = 0 if self.gain > self._tol else self._stalled + 1
        self._best = min(self._best, value)
        return better

    @property
    def over(self) -> bool:
        """Whether training ends."""
        return self._stalled >= self._patience

    @property
    def left(self) -> int:
        """How many more values it takes to end training, at least."""
        return self._patience - self._stalled


class _Feed:
    """Batches of rows, drawn epoch after epoch without replacement."""

    def __init__(self, n: int, batch_size: int, rng: np.random.RandomState) -> None:
        self._n, self._rng = n, rng
        self.batch_size = batch_size
        self.steps_per_epoch = -(-n // self.batch_size)
        self._rows = np.empty((0, self.batch_size), np.int32)
        self._seen = np.empty(0, np.int32)

    @property
    def state(self) -> dict[str, Any]:
        """What the next batches depend on."""
        return {"rows": self._rows, "seen": self._seen, "rng": self._rng.get_state(legacy=False)}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._rows, self._seen = state["rows"], state["seen"]
        self._rng.set_state(state["rng"])

    def take(self, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of the next batches, and how many of each count; a short one repeats the first."""
        parts, counts = [self._rows], [self._seen]
        while sum(map(len, counts)) < n_steps:
            order = self._rng.permutation(self._n).astype(np.int32)
            parts.append(np.resize(order, (self.steps_per_epoch, self.batch_size)))
            seen = np.full(self.steps_per_epoch, self.batch_size, np.int32)
            seen[-1] = self._n - (self.steps_per_epoch - 1) * self.batch_size
            counts.append(seen)
        rows, seen = np.concatenate(parts), np.concatenate(counts)
        self._rows, self._seen = rows[n_steps:], seen[n_steps:]
        return rows[:n_steps], seen[:n_steps]


def train_in_batches(
    loss: Loss,
    optimizer: Optimizer,
    state: TrainingState,
    data: Batch | Source,
    regime: Regime,
    rng: np.random.RandomState,
) -> Outcome:
    """Train from all starts, epoch after epoch.

    Parameters
    ----------
    loss : Loss
    optimizer : Optimizer
    state : TrainingState
    data : Batch or Source
        As for `sparse_fourier.sources.source_of`.
    regime : Regime
    rng : RandomState
        Draws the order of the rows.

    Raises
    ------
    ValueError
        If the loss became non-finite, and with smaller steps again.
    """
    run = _Run(loss, optimizer, state, data, regime, rng)
    while not run.over:
        run.chunk()
    return run.outcome()


class _Run:
    """One course of training: the state, what has been seen of the loss, and the clock."""

    def __init__(
        self,
        loss: Loss,
        optimizer: Optimizer,
        state: TrainingState,
        data: Batch | Source,
        regime: Regime,
        rng: np.random.RandomState,
    ) -> None:
        self._source = source_of(data)
        dtype = self._source.dtype
        self._loss, self._rng, self._shape = loss, rng, (regime.batch_size, self._source.n_features)
        self._parts = runtime.in_dtype((loss, optimizer), dtype)
        self._state, self._regime, self._dtype = state, regime, dtype
        self._feed = _Feed(self._source.n, _places(self._source.n, regime.batch_size, loss), rng)
        self._rule = _Rule(regime.tol, regime.patience)
        self._length = min(
            _chunk_length(state.model, self._feed.batch_size), self._source.most_steps(self._feed.batch_size)
        )
        self._pace = self._length
        self._values = np.empty((0, len(state.noise)))
        self._seen = np.empty(0)
        self._curves: list[np.ndarray] = []
        self._kept = state
        if regime.held_out is not None:
            self._rule.see(float(np.nanmin(self._losses_of(regime.held_out))))
        self._lowered, self._stopped = 1.0, False
        self._began = time.perf_counter()
        self._place = checkpoints.loop()
        if self._place.saved is not None:
            self._resume(self._place.saved)

    def _progress(self) -> dict[str, Any]:
        """Return all that the rest of training depends on."""
        import jax

        return {
            "state": jax.tree_util.tree_leaves(self._state),
            "kept": jax.tree_util.tree_leaves(self._kept),
            "feed": self._feed.state,
            "rule": self._rule.state,
            "values": self._values,
            "seen": self._seen,
            "curves": np.array(self._curves).reshape(-1, len(self._state.noise)),
            "lowered": self._lowered,
            "stopped": self._stopped,
        }

    def _resume(self, saved: dict[str, Any]) -> None:
        import jax

        structure = jax.tree_util.tree_structure(self._state)
        self._state = jax.tree_util.tree_unflatten(structure, saved["state"])
        self._kept = jax.tree_util.tree_unflatten(structure, saved["kept"])
        self._feed.state, self._rule.state = saved["feed"], saved["rule"]
        self._values, self._seen, self._curves = saved["values"], saved["seen"], list(saved["curves"])
        self._lowered, self._stopped = saved["lowered"], saved["stopped"]

    @property
    def over(self) -> bool:
        """Whether training ends."""
        return self._stopped or self._rule.over or len(self._curves) >= self._regime.max_epochs

    def chunk(self) -> None:
        """Take the steps of a chunk, which ends where the stopping rule might."""
        per_epoch = self._feed.steps_per_epoch
        ahead = 1 if self._regime.held_out is not None else self._rule.left
        epochs = min(ahead, self._regime.max_epochs - len(self._curves))
        n_steps = min(self._pace, epochs * per_epoch - len(self._values))
        tick = time.perf_counter()
        values, seen = self._steps(n_steps)
        pace = n_steps * _CHUNK_SECONDS / max(time.perf_counter() - tick, 1e-9)
        if not (self._place.is_kept or self._source.in_step):
            self._pace = int(np.clip(pace, 1, self._length))
        self._values = np.concatenate([self._values, values])
        self._seen = np.append(self._seen, seen)
        while len(self._values) >= per_epoch:
            self._end_epoch(per_epoch)
        self._tell(float(np.nanmin(values[-1])))
        if self._place.is_kept:
            self._place.keep(self._progress())

    def _steps(self, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Take steps, smaller ones where the loss becomes non-finite; return losses and batch sizes."""
        rows, seen = self._feed.take(n_steps)
        self._parts = runtime.in_dtype(self._loss.drawn(self._shape, self._rng), self._dtype), self._parts[1]
        for _ in range(_RETRIES + 1):
            state, values = self._advance(rows, seen)
            if is_finite(state, values):
                self._state = state
                return values, seen
            self._lowered *= _LOWERING
        raise ValueError(
            f"Training diverged: the loss became non-finite at iteration {len(self._curves) + 1} of "
            f"{self._regime.max_epochs} (learning_rate={self._regime.rate}), and again with steps "
            f"{_LOWERING**_RETRIES:g} times as large. Lower learning_rate or rescale X."
        )

    def _advance(self, rows: np.ndarray, seen: np.ndarray) -> tuple[TrainingState, np.ndarray]:
        n_steps, missing = len(rows), self._length - len(rows)
        rates = self._lowered * learning_rates(self._regime.rate, int(self._state.count), n_steps)
        shares = np.maximum(seen / float(self._source.n), _LEAST_SHARE)
        steps = Steps(
            np.pad(rows, ((0, missing), (0, 0))),
            np.pad(seen, (0, missing)),
            np.pad(rates, (0, missing)).astype(self._dtype),
            np.pad(shares, (0, missing)).astype(self._dtype),
        )
        return self._source.advance(self._state, self._parts, steps, n_steps)

    def _end_epoch(self, n_steps: int) -> None:
        weights = self._seen[:n_steps] / self._seen[:n_steps].sum()
        self._curves.append(weights @ self._values[:n_steps])
        self._values, self._seen = self._values[n_steps:], self._seen[n_steps:]
        held_out = self._regime.held_out
        judged = self._curves[-1] if held_out is None else self._losses_of(held_out)
        if self._rule.see(float(np.nanmin(judged))) and held_out is not None:
            self._kept = self._state

    def _losses_of(self, held_out: Batch | Source) -> np.ndarray:
        return source_of(held_out).losses(self._state.model, self._parts[0], self._state.noise)

    def _tell(self, recent: float) -> None:
        callback = self._regime.callback
        if callback:
            loss = float(np.nanmin(self._curves[-1])) if self._curves else recent
            elapsed = time.perf_counter() - self._began
            self._stopped = bool(callback(Progress(len(self._curves), loss, elapsed)))

    def outcome(self) -> Outcome:
        """Return how it ended."""
        state = self._state if self._regime.held_out is None else self._kept
        curves = np.array(self._curves).reshape(-1, len(state.noise))
        best = int(np.nanargmin(curves[-1])) if len(curves) else 0
        return Outcome(
            state,
            curves[:, best],
            best,
            self._rule.over,
            float(self._rule.gain),
            self._stopped,
            self._lowered,
        )


def _places(n: int, batch_size: int, loss: Loss) -> int:
    """Return how many rows a batch has room for: one of few numbers, unless a penalty sees rows in relation.

    Fewer signals than that are repeated, and do not count again, so that streams compile few programs.
    """
    return min(batch_size, n if loss.penalties else runtime.bucket(n))


def _chunk_length(model: Any, batch_size: int) -> int:
    """Return the most steps of a chunk: the number of a few that takes about a tenth of a second."""
    import jax

    size = sum(leaf.size for leaf in jax.tree_util.tree_leaves(model))
    seconds = _SECONDS_PER_STEP + 6.0 * size * batch_size / _FLOPS_PER_SECOND
    return next((length for length in _CHUNKS if length * seconds > _CHUNK_SECONDS), _CHUNKS[-1])
