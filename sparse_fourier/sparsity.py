"""How many codes of a signal may differ from zero, and what one more of them has to gain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv, gammaln

from sparse_fourier.pursuit import Search

_WELL_EXPLAINED = (
    0.75  # share of signals by whose residuals a dictionary is judged: others it lacks atoms for
)
_EXACT = 1e-4  # residual, as a share of the signals' power, below which it no longer matters
_CROWDED = 1e-3  # share of the signals that may need more active atoms than they are allowed
_MOST_OF_AVERAGE = 4
_FEW = 4


class Explained(NamedTuple):
    """How well sparse codes explain each of n signals.

    Attributes
    ----------
    squares : array of shape (n,)
        Squared lengths of the residuals.
    n_used : array of shape (n,)
        Numbers of codes that are not zero.
    powers : array of shape (n,)
        Sums of their squares.
    share : array of shape (n,)
        Weights of the signals, of sum one.
    k : int
        Number of atoms.
    """

    squares: np.ndarray
    n_used: np.ndarray
    powers: np.ndarray
    share: np.ndarray
    k: int

    @property
    def loss(self) -> float:
        """Mean squared length of the residuals."""
        return float(self.share @ self.squares)

    @property
    def strength(self) -> float:
        """Mean square of the codes that are not zero."""
        return float(self.share @ self.powers) / max(float(self.share @ self.n_used), np.finfo(float).tiny)

    def noise(self, n_active: int, d: int) -> float:
        """Return the variance of the noise per entry, by the residuals of signals that are well explained."""
        expected = 2 * gammaincinv(max(d - n_active, 1) / 2, _WELL_EXPLAINED)
        return _quantile(self.squares, self.share, _WELL_EXPLAINED) / expected

    def price(self, n_active: int, d: int) -> float:
        """Return by how much one more code has to lower the squared error, by description length."""
        noise = self.noise(n_active, d)
        bits = 0.5 * np.log(max(self.strength / noise, 1.0)) if noise else 0.0
        return float(2 * noise * (bits + np.log(max(self.k / n_active, 1.0))))

    def description_length(self, n_active: int, d: int, power: float) -> float:
        """Return nats per signal to say which atoms are active, what their codes are, and what is left."""
        noise = max(self.noise(n_active, d), _EXACT * power, np.finfo(float).tiny)
        strength = max(self.strength, noise)
        which = gammaln(self.k + 1) - gammaln(n_active + 1) - gammaln(self.k - n_active + 1)
        return float(0.5 * ((d - n_active) * np.log(noise) + n_active * np.log(strength)) + which)


class Judge(NamedTuple):
    """What is known of a dictionary: how well it explains signals of d features, by any search.

    Attributes
    ----------
    explained : callable
        From a Search to how well some signals are explained.
    falls : callable
        From a Search to by how much each further code of these signals lowers their squared error.
    d : int
    resolution : float
        Least price.
    """

    explained: Callable[[Search], Explained]
    falls: Callable[[Search], np.ndarray]
    d: int
    resolution: float


class Sparsity(ABC):
    """Who decides how many codes may be active: the data, for all signals, or the user."""

    @property
    @abstractmethod
    def given(self) -> int | None:
        """What the user decided, if so."""

    @abstractmethod
    def priced(self, search: Search, judge: Judge) -> Search:
        """Return a search with the price of one more code."""

    @abstractmethod
    def widened(self, search: Search, judge: Judge) -> Search:
        """Return a search that allows as many active codes as some signals need."""


@dataclass(frozen=True)
class Described(Sparsity):
    """The data decide, by the length of a description in bits."""

    @property
    def given(self) -> None:
        """Nothing."""
        return None

    def priced(self, search: Search, judge: Judge) -> Search:
        """Return a search in which a further code has to shorten the description."""
        price = judge.explained(search._replace(price=judge.resolution)).price(search.n_active, judge.d)
        return search._replace(price=max(price, judge.resolution))

    def widened(self, search: Search, judge: Judge) -> Search:
        """Return a search in which hardly any signal needs more codes than it may have."""
        most = judge.d // 2
        while search.n_active < most:
            crowd = judge.explained(search)
            if crowd.share @ (crowd.n_used >= search.n_active) <= _CROWDED:
                break
            search = search._replace(n_active=min(search.n_active + max(search.n_active // 4, 1), most))
        return search


@dataclass(frozen=True)
class OfEach(Sparsity):
    """Every signal has as many active codes as the user says, or fewer where these explain all of it."""

    n_active: int

    @property
    def given(self) -> int:
        """The number of each signal, or on average."""
        return self.n_active

    def priced(self, search: Search, judge: Judge) -> Search:
        """Return the search as it is."""
        return search

    def widened(self, search: Search, judge: Judge) -> Search:
        """Return the search as it is."""
        return search


@dataclass(frozen=True)
class OnAverage(Sparsity):
    """Signals have as many active codes on average as the user says: those that gain most of all signals."""

    n_active: int

    @property
    def given(self) -> int:
        """The number of each signal, or on average."""
        return self.n_active

    def priced(self, search: Search, judge: Judge) -> Search:
        """Return a search whose price only so many codes are worth, whichever signals have them."""
        most = int(np.clip(_MOST_OF_AVERAGE * self.n_active, 1, max(judge.d // 2, self.n_active)))
        wide = search._replace(n_active=most, price=judge.resolution)
        falls = np.minimum.accumulate(judge.falls(wide), axis=1)
        wanted = min(self.n_active * len(falls), falls.size - 1)
        price = float(np.partition(-falls.ravel(), wanted)[wanted])
        return wide._replace(price=max(-price, judge.resolution))

    def widened(self, search: Search, judge: Judge) -> Search:
        """Return the search as it is."""
        return search


def growing(last: int) -> list[int]:
    """Return numbers of active atoms that grow by one up to four, then double, and end at a given one."""
    counts = [1]
    while counts[-1] < last:
        counts.append(min(counts[-1] + (1 if counts[-1] < _FEW else counts[-1]), last))
    return counts


def _quantile(values: np.ndarray, share: np.ndarray, level: float) -> float:
    """Return the least value that a share of the total weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(share[order]), level * (1 - 1e-12))
    return float(values[order[min(reached, len(order) - 1)]])
