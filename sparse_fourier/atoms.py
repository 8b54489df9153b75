"""What learning a dictionary works with: signals, how well sparse codes explain them, and what they lack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array

from sparse_fourier import checkpoints
from sparse_fourier.pursuit import Search
from sparse_fourier.signals import MovedSignals, Rows, array_of, mapped
from sparse_fourier.signals import Signals as ReadInBlocks
from sparse_fourier.training import Progress

_CLUSTER = 0.8
_SEEDS_OF_A_SPLIT = 60
_LEAST_FALL = 1e-6
_ROUNDING_ERRORS = 128.0


@dataclass
class Course:
    """How far training has come, and whether it may go on."""

    max_iter: int
    callback: Callable[[Progress], Any] | None
    curve: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    stopped: bool = False

    @property
    def over(self) -> bool:
        """Whether training has to end."""
        return self.stopped or len(self.curve) >= self.max_iter

    def note(self, loss: float) -> None:
        """Note the loss after an iteration, and ask the callback whether to stop."""
        self.curve.append(loss)
        self.report(loss)

    def remembered(self, work: Callable[[], Sequence[Any]], signals: Signals) -> Sequence[Any]:
        """Return arrays and numbers that a piece of work returns, or what is kept of it by a checkpoint.

        Either way the course and the randomness of the signals are where the work has left them.
        """

        def outcome() -> dict[str, Any]:
            parts = list(work())
            after = {"rng": signals.rng.get_state(legacy=False), "stopped": self.stopped}
            return {"parts": parts, "curve": np.array(self.curve), **after}

        if signals.missing is not None:
            return work()
        kept = checkpoints.remembered(outcome)
        self.curve[:], self.stopped = kept["curve"].tolist(), bool(kept["stopped"])
        signals.rng.set_state(kept["rng"])
        return kept["parts"]

    def repeated(
        self, work: Callable[..., Sequence[Any]], parts: Sequence[Any], n_times: int, signals: Signals
    ) -> Sequence[Any]:
        """Return arrays and numbers after a piece of work on them was done so often, or until training ends.

        A checkpoint keeps them after each time.
        """
        place, done = checkpoints.Loop() if signals.missing is not None else checkpoints.loop(), 0
        if place.saved is not None:
            kept = place.saved
            parts, done, self.stopped = kept["parts"], int(kept["done"]), bool(kept["stopped"])
            self.curve[:] = kept["curve"].tolist()
            signals.rng.set_state(kept["rng"])
        while done < n_times and not self.over:
            parts, done = list(work(*parts)), done + 1
            after = {"rng": signals.rng.get_state(legacy=False), "stopped": self.stopped}
            place.keep({"parts": parts, "done": done, "curve": np.array(self.curve), **after})
        return parts

    def report(self, loss: float) -> None:
        """Tell the callback of a loss within an iteration, and ask it whether to stop."""
        if self.callback:
            progress = Progress(len(self.curve), loss, time.perf_counter() - self.began)
            self.stopped = bool(self.callback(progress)) or self.stopped


@dataclass
class Signals:
    """Signals to learn a dictionary from.

    Attributes
    ----------
    X : array of shape (n, d), or what is read in blocks where all entries were observed
        Entries that were not observed follow their reconstruction.
    missing : bool array of shape (n, d), or None
    share : array of shape (n,)
        Weights of sum one.
    resolution : float
        Fall of the squared error below which codes are rounding.
    fit_intercept : bool
    nonnegative : bool
    init : array of shape (k, d) or None
        Atoms to begin with.
    rng : RandomState
    """

    X: Rows
    missing: np.ndarray | None
    share: np.ndarray
    resolution: float
    fit_intercept: bool
    nonnegative: bool
    init: np.ndarray | None
    rng: np.random.RandomState

    @property
    def d(self) -> int:
        """Number of features."""
        return self.X.shape[1]

    @property
    def array(self) -> np.ndarray:
        """All of them, where they are few."""
        return array_of(self.X, "few signals")

    @property
    def power(self) -> float:
        """Mean square of an entry."""
        return float(self.share @ mapped(lambda x: (x**2).mean(axis=1), self.X))

    @property
    def mean(self) -> np.ndarray:
        """Weighted mean of the signals."""
        return weighted_mean(self.X, self.share)

    def first(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return atoms to begin with, signals spread over the data and blurred, and the intercept."""
        centred = self.fit_intercept and not self.nonnegative
        intercept = self.mean if centred else np.zeros(self.d)
        if self.init is not None:
            return unit(self.init), intercept
        rows = self.X[spread(self.X, self.share, k, self.rng.uniform())] - intercept
        blur = 0.1 * self.rng.standard_normal(rows.shape) / np.sqrt(rows.shape[1])
        return unit(unit(rows) + blur), intercept

    def in_single_precision(self) -> Self:
        """Return the same in single precision, where all entries were observed."""
        kind = np.dtype(np.float32)
        if self.missing is not None or self.X.dtype == kind:
            return self
        rounding = rounding_of(self.power * self.d, kind)
        X = self.X.astype(kind) if isinstance(self.X, np.ndarray) else MovedSignals(self.X, 0, dtype=kind)
        return replace(self, X=X, resolution=max(self.resolution, rounding))

    def spread_out(self, count: int) -> Self:
        """Return some of the signals, spread over them; all where they are not many more."""
        if len(self.X) <= 2 * count:
            return replace(self, X=self.array) if isinstance(self.X, ReadInBlocks) else self
        rows, counts = np.unique(spread(self.X, self.share, count, 0.5), return_counts=True)
        missing = None if self.missing is None else self.missing[rows]
        return replace(self, X=self.X[rows], missing=missing, share=counts / count)


def improved(
    state: Any,
    attempt: Callable[[Any, int], Any],
    loss_of: Callable[[Any], float],
    rounds: Iterator[int],
    patience: int,
) -> Any:
    """Return a dictionary after attempts to better it, each kept only where the loss then fell.

    Parameters
    ----------
    state : object
    attempt : callable
        From the state, and how many attempts in a row have failed, to another; to None where there is none.
    loss_of : callable
    rounds : iterator
        As many attempts as it has items, at most; what is left of it may serve other calls.
    patience : int
        So many failures in a row are borne.
    """
    loss, failures = loss_of(state), 0
    while failures <= patience and next(rounds, None) is not None:
        trial = attempt(state, failures)
        if trial is None:
            break
        after = loss_of(trial)
        if after < loss * (1 - _LEAST_FALL):
            state, loss, failures = trial, after, 0
        else:
            failures += 1
    return state


class Learned(NamedTuple):
    """A dictionary that was learned.

    Attributes
    ----------
    atoms : array of shape (k, d)
    intercept : array of shape (d,)
    search : Search
        What codes are to be.
    coder : Search, or what else gives codes
        How they are found.
    """

    atoms: np.ndarray
    intercept: np.ndarray
    search: Search
    coder: Any


def clusters(
    residuals: np.ndarray, share: np.ndarray, count: int, n_seeds: int, *, nonnegative: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return directions along which many residuals lie, those that explain most first, and how much that is.

    Parameters
    ----------
    residuals : array of shape (n, d)
    share : array of shape (n,)
        Weights.
    count : int
        Number of directions, at most `n_seeds`.
    n_seeds : int
        Number of residuals that are looked at as the first guesses.
    nonnegative : bool
        Whether opposite residuals are not alike.

    Returns
    -------
    array of shape (count, d)
    array of shape (count,)
        Weighted sums of the squares that each explains beside those before it.
    """
    squares = (residuals**2).sum(axis=1)
    mass = share * squares
    if not mass.sum() > 0:
        return np.zeros((0, residuals.shape[1])), np.zeros(0)
    units = residuals / np.sqrt(np.maximum(squares, np.finfo(float).tiny))[:, None]
    seeds = units[spread(residuals, mass * squares, n_seeds, 0.5)]
    for _ in range(2):
        seeds = unit((_near(units @ seeds.T, nonnegative) * mass[:, None]).T @ units)
    near, found, gains = _near(units @ seeds.T, nonnegative) ** 2, [], []
    for _ in range(min(count, n_seeds)):
        each = mass @ near
        best = int(each.argmax())
        found.append(seeds[best])
        gains.append(each[best])
        mass = mass * (1 - near[:, best])
    return np.array(found), np.array(gains)


def split(
    atoms: np.ndarray,
    codes: csr_array,
    residuals: np.ndarray,
    share: np.ndarray,
    direction: np.ndarray,
    *,
    nonnegative: bool,
) -> tuple[int, np.ndarray]:
    """Return which atom stands for two others at once, and these two.

    Where it does, signals are left with residuals along the difference of the two.

    Parameters
    ----------
    atoms : array of shape (k, d)
    codes : sparse array of shape (n, k)
    residuals : array of shape (n, d)
    share : array of shape (n,)
        Weights.
    direction : array of shape (d,)
        Along which residuals cluster.
    nonnegative : bool
        Whether opposite signals are not alike.

    Returns
    -------
    int
        Index of the atom whose users have most of such residuals.
    array of shape (2, d), or of fewer rows
        Directions in which its users lie, once what other atoms say of them is taken away.
    """
    along = share * (residuals @ direction) ** 2
    mixed = int(np.argmax(abs(codes).sign().T @ along))
    values = codes[:, [mixed]].toarray()[:, 0]
    users = np.flatnonzero(values)
    left = residuals[users] + values[users, None] * atoms[mixed]
    return mixed, clusters(left, share[users], 2, _SEEDS_OF_A_SPLIT, nonnegative=nonnegative)[0]


def _near(cosines: np.ndarray, nonnegative: bool) -> np.ndarray:
    return np.where((cosines if nonnegative else np.abs(cosines)) < _CLUSTER, 0.0, cosines)


def weakness(atoms: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Return what would be lost without each atom: its energy, less what a twin could take over."""
    alike = np.abs(atoms @ atoms.T)
    np.fill_diagonal(alike, 0.0)
    return energies * (1 - np.minimum(alike.max(axis=1), 1.0) ** 2)


def spread(X: Rows, mass: np.ndarray, count: int, offset: float) -> np.ndarray:
    """Return indices of rows at even steps of their mass, in an order that depends on their values alone.

    So rows that occur twice are found as often as rows of double mass.
    """
    direction = 1.0 + np.cos(np.sqrt(2.0) * np.arange(X.shape[1]))
    key = mapped(lambda x: x @ direction, X)
    order = np.argsort(key, kind="stable")
    reached = np.cumsum(mass[order])
    places = (np.arange(count) + offset) / count * reached[-1]
    return order[np.minimum(np.searchsorted(reached, places, side="right"), len(order) - 1)]


def rounding_of(square: float, kind: np.dtype) -> float:
    """Return the squared length that rounding may leave of signals of that mean squared length."""
    return (_ROUNDING_ERRORS * float(np.finfo(kind).eps)) ** 2 * square


def weighted_mean(X: Rows, share: np.ndarray) -> np.ndarray:
    """Return the mean of rows under weights of sum one."""
    if isinstance(X, ReadInBlocks):
        return X.transposed_times(share[:, None])[:, 0]
    return share @ X


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of unit norm; zero rows stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def nats(loss: float, d: int) -> float:
    """Return the Gaussian negative log-likelihood of residuals with that mean squared length, at its best."""
    return float(0.5 * d * (np.log(2 * np.pi * max(loss / d, np.finfo(float).tiny)) + 1.0))
