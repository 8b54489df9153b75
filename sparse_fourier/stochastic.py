"""Dictionaries of many signals: a step of the atoms after each batch of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from sparse_fourier.atoms import Course, Signals, clusters, improved, nats, split, unit, weakness
from sparse_fourier.pursuit import Search, falls_of_error, sparse_array_of_codes
from sparse_fourier.sparsity import Explained, Judge, Sparsity, growing

_USES_OF_A_BATCH = 24  # of each atom, on average
_USES_TO_GROW, _USES_TO_SETTLE, _USES_TO_TRY = 200, 600, 200
_FEWEST_OF_A_BATCH = 200
_MOST_PASSES = 20
_RENEWALS = 4  # in a pass
_RENEWED = 0.1  # share of the atoms at most
_SEEDS_PER_ATOM, _FEWEST_SEEDS = 0.2, 60
_ROWS_TO_JUDGE = 2000
_TRIALS, _PATIENCE = 20, 8
_ATOMS_GONE_OVER = 10_000  # in all trials, each of which moves one or two
_FAIR = 0.1


class Dictionary(NamedTuple):
    """A dictionary on its way.

    Attributes
    ----------
    atoms : array of shape (k, d)
    intercept : array of shape (d,)
    memory : array of shape (k,)
        Squares of the codes that each atom has seen, older ones less.
    n_rows : float
        Number of signals, counted likewise.
    """

    atoms: np.ndarray
    intercept: np.ndarray
    memory: np.ndarray
    n_rows: float

    @classmethod
    def begun(cls, atoms: np.ndarray, intercept: np.ndarray) -> Dictionary:
        """Return a dictionary that remembers nothing."""
        return cls(atoms, intercept, np.zeros(len(atoms), atoms.dtype), 0.0)

    def of_kind(self, kind: np.dtype) -> Dictionary:
        """Return the same with numbers of another type."""
        atoms, intercept, memory, n_rows = self
        return Dictionary(unit(atoms.astype(kind)), intercept.astype(kind), memory.astype(kind), n_rows)


class Seen(NamedTuple):
    """What a batch showed, before the step: codes, residuals, weighted squares of the codes, and the loss."""

    codes: csr_array
    residuals: np.ndarray
    squares: np.ndarray
    loss: float


class Pace(NamedTuple):
    """How a pass over signals goes.

    Attributes
    ----------
    search : Search
    uses : float
        How often an atom is used on average, which says how many signals are looked at.
    kept : float
        Share of what is remembered that remains after each batch.
    renews : bool
        Whether weak atoms make way for others.
    """

    search: Search
    uses: float
    kept: float
    renews: bool


@dataclass
class Stepper:
    """Learns a dictionary of signals by steps after each batch of them.

    An atom moves by the mean of the residuals of the signals that use it, weighted by their codes, over what
    it remembers of the squares of codes: a Newton step on the squared error for
    one atom, taken by all at once.

    Attributes
    ----------
    signals : Signals
    course : Course
    """

    signals: Signals
    course: Course

    def learned(self, k: int, sparsity: Sparsity) -> tuple[Dictionary, Search]:
        """Return a dictionary of k atoms, and how codes are searched for.

        All but the last passes only have to find the atoms, in single precision where that saves time.
        """
        coarse = Stepper(self.signals.in_single_precision(), self.course)
        dictionary, count = coarse.begun(k, sparsity.given)
        dictionary, search = dictionary.of_kind(self.signals.X.dtype), self._plain(count)
        for kept in (0.8, 0.95):
            judge = self._judge_of(dictionary)
            search = sparsity.widened(sparsity.priced(self._plain(count), judge), judge)
            if self.course.over:
                break
            dictionary = self._passed(dictionary, Pace(search, _USES_TO_SETTLE, kept, False))
        return dictionary, search

    def begun(self, k: int, n_active: int | None) -> tuple[Dictionary, int]:
        """Return a dictionary in which all atoms have been found, and the number of active ones."""
        atoms, intercept = self.signals.first(k)
        dictionary = Dictionary.begun(atoms, intercept).of_kind(self.signals.X.dtype)
        dictionary, count = self._grown(dictionary, n_active)
        search = self._plain(count)
        dictionary = self._passed(dictionary, Pace(search, _USES_TO_SETTLE, 0.5, True))
        return self._tried(dictionary, search), count

    def _judge_of(self, dictionary: Dictionary) -> Judge:
        some, signals = self._judges, self.signals
        centred = some.array - dictionary.intercept
        return Judge(
            explained=lambda search: self.explained(dictionary, search),
            falls=lambda search: falls_of_error(centred, dictionary.atoms, search),
            d=signals.d,
            resolution=signals.resolution,
        )

    def explained(self, dictionary: Dictionary, search: Search) -> Explained:
        """Return how well some signals are explained, the same ones each time."""
        some, atoms = self._judges, dictionary.atoms
        codes = sparse_array_of_codes(some.array - dictionary.intercept, atoms, search)
        residuals = some.array - dictionary.intercept - codes @ atoms
        if some.missing is not None:
            residuals[some.missing] = 0.0
        squares, powers = (residuals.astype(float) ** 2).sum(axis=1), (codes**2).sum(axis=1)
        return Explained(squares, np.diff(codes.indptr), powers, some.share, len(atoms))

    @cached_property
    def _judges(self) -> Signals:
        return self.signals.spread_out(_ROWS_TO_JUDGE)

    def _plain(self, n_active: int) -> Search:
        return Search(n_active, self.signals.resolution, nonnegative=self.signals.nonnegative)

    def _grown(self, dictionary: Dictionary, n_active: int | None) -> tuple[Dictionary, int]:
        """Return a dictionary after passes with more and more active atoms, and the best number of these.

        Codes with few atoms come first: what they find is less often mixed, and is the start of the next.

        Steps are taken with more of them as long as that shortens the description by as many as describe
        the signals best so far, up to twice as many as steps were taken with: atoms that are trained with
        more than signals have get mixed. Atoms that were given need not grow: a batch each says how many of
        them are active.
        """
        most, shortest, best, trained = n_active or max(self.signals.d // 2, 1), np.inf, 1, 1
        uses = _USES_TO_GROW if self.signals.init is None else _USES_OF_A_BATCH
        for count in growing(most):
            grown = self._passed(dictionary, Pace(self._plain(count), uses, 0.5, True))
            lengths = self._lengths(grown, min(2 * count, most))
            if not n_active and lengths[best - 1] >= shortest:
                break
            dictionary, shortest, best, trained = grown, lengths.min(), int(lengths.argmin()) + 1, count
            if self.course.over:
                break
        return dictionary, n_active or min(best, trained)

    def _lengths(self, dictionary: Dictionary, most: int) -> np.ndarray:
        """Return the lengths of descriptions with one active atom, two, and so on, of shape (most,)."""
        some, d = self._judges, self.signals.d
        x = some.array - dictionary.intercept
        falls = np.cumsum(falls_of_error(x, dictionary.atoms, self._plain(most)).astype(float), axis=1)
        squares = np.einsum("ij,ij->i", x, x, dtype=float)
        n_used, k = np.ones(len(x)), len(dictionary.atoms)
        each = [
            Explained(np.maximum(squares - fall, 0.0), (i + 1) * n_used, fall, some.share, k)
            for i, fall in enumerate(falls.T)
        ]
        power = self.signals.power
        return np.array([known.description_length(i + 1, d, power) for i, known in enumerate(each)])

    def _passed(self, dictionary: Dictionary, pace: Pace) -> Dictionary:
        """Return the dictionary after steps for batches, in which atoms are used often enough."""
        n, per_use = len(self.signals.X), len(dictionary.atoms) / pace.search.n_active
        size = min(max(int(_USES_OF_A_BATCH * per_use), _FEWEST_OF_A_BATCH), n)
        wanted = np.clip(pace.uses * per_use, size, _MOST_PASSES * n)
        n_passes = int(np.ceil(wanted / n))
        n_batches = max(round(wanted / n_passes / size), 1)

        def passed_once(*parts: Any) -> Dictionary:
            rows = self.signals.rng.permutation(n)[: int(wanted / n_passes)]
            after, loss = self._gone_through(Dictionary(*parts), pace, np.array_split(rows, n_batches))
            self.course.note(nats(loss, self.signals.d))
            return after

        return Dictionary(*self.course.repeated(passed_once, dictionary, n_passes, self.signals))

    def _gone_through(
        self, dictionary: Dictionary, pace: Pace, batches: list[np.ndarray]
    ) -> tuple[Dictionary, float]:
        """Return the dictionary after steps for batches of rows, and the mean loss before these."""
        energies, total = np.zeros(len(dictionary.atoms)), 0.0
        losses, every = [], max(len(batches) // _RENEWALS, 1)
        for number, rows in enumerate(batches, start=1):
            dictionary, seen = self._step(dictionary, rows, pace)
            energies, total = energies + seen.squares, total + len(rows)
            losses.append(seen.loss)
            if pace.renews and number % every == 0:
                dictionary = self._renewed(dictionary, seen.residuals, energies / total)
                energies, total = np.zeros_like(energies), 0.0
            self.course.report(nats(seen.loss, self.signals.d))
            if self.course.stopped:
                break
        return dictionary, float(np.mean(losses))

    def _step(self, dictionary: Dictionary, rows: np.ndarray, pace: Pace) -> tuple[Dictionary, Seen]:
        """Return the dictionary after one batch, and what that showed."""
        signals, (atoms, intercept, memory, n_rows) = self.signals, dictionary
        x, weights = signals.X[rows] - intercept, self._weights(rows)
        codes = sparse_array_of_codes(x, atoms, pace.search)
        residuals = x - codes @ atoms
        if signals.missing is not None:
            seen = signals.array[rows]
            signals.array[rows] = np.where(signals.missing[rows], seen - residuals, seen)
            residuals[signals.missing[rows]] = 0.0
        pulls = codes.T @ (weights[:, None] * residuals)
        squares = (codes**2).T @ weights
        memory, n_rows = pace.kept * memory + squares, pace.kept * n_rows + len(rows)
        atoms = unit(atoms + pulls / np.maximum(memory, np.finfo(memory.dtype).tiny)[:, None])
        if signals.fit_intercept:
            intercept = intercept + (weights @ residuals) / n_rows
        loss = float(weights @ (residuals**2).sum(axis=1)) / len(rows)
        return Dictionary(atoms, intercept, memory, n_rows), Seen(codes, residuals, squares, loss)

    def _weights(self, rows: np.ndarray) -> np.ndarray:
        """Return weights of rows, of mean one over all signals."""
        return (self.signals.share[rows] * len(self.signals.share)).astype(self.signals.X.dtype)

    def _renewed(self, dictionary: Dictionary, residuals: np.ndarray, energies: np.ndarray) -> Dictionary:
        """Return the dictionary with atoms replaced by directions in which residuals gain more than these."""
        k = len(dictionary.atoms)
        found, gains = self._clusters(residuals, max(int(_RENEWED * k), 1), int(_SEEDS_PER_ATOM * k))
        losses = weakness(dictionary.atoms, energies)
        weakest = np.argsort(losses, kind="stable")[: len(found)]
        better = gains > losses[weakest]
        return _with_atoms(dictionary, weakest[better], found[better])

    def _clusters(self, residuals: np.ndarray, count: int, n_seeds: int) -> tuple[np.ndarray, np.ndarray]:
        share = np.full(len(residuals), 1 / len(residuals), residuals.dtype)
        nonnegative = self.signals.nonnegative
        return clusters(residuals, share, count, max(n_seeds, _FEWEST_SEEDS), nonnegative=nonnegative)

    def _tried(self, dictionary: Dictionary, search: Search) -> Dictionary:
        """Return the dictionary after weak atoms made way for others, wherever the residual then fell.

        It is left as it is once no direction in which residuals cluster gains as much as a fair share of what
        the weakest atom does.
        """
        if self.course.over:
            return dictionary
        dictionary = self._passed(dictionary, Pace(search, _USES_TO_TRY, 0.8, False))
        rounds = min(_TRIALS, max(_ATOMS_GONE_OVER // len(dictionary.atoms), 1))

        def attempt(dictionary: Dictionary, failures: int) -> Dictionary | None:
            trial = None if self.course.over else self._with_another(dictionary, search, failures)
            if trial is None:
                return None
            for kept in (0.5, 0.8):
                trial = self._passed(trial, Pace(search, _USES_TO_TRY, kept, False))
            return trial

        def loss_of(dictionary: Dictionary) -> float:
            return self.explained(dictionary, search).loss

        return improved(dictionary, attempt, loss_of, iter(range(rounds)), _PATIENCE)

    def _with_another(self, dictionary: Dictionary, search: Search, failures: int) -> Dictionary | None:
        """Return the dictionary with an atom that stands for two of them split, in the place of a weak one.

        After failures a weak atom makes way for a direction in which residuals cluster, by turns with that.
        """
        rng, signals, atoms = self.signals.rng, self.signals, dictionary.atoms
        size = int(_USES_OF_A_BATCH * len(atoms) / search.n_active)
        rows = rng.permutation(len(signals.X))[: max(size, _ROWS_TO_JUDGE)]
        _, seen = self._step(dictionary, rows, Pace(search, 0, 1.0, False))
        weak = weakness(atoms, seen.squares / len(rows))
        found, gains = self._clusters(seen.residuals, 1 + failures // 2, 0)
        if not len(found) or gains[0] < _FAIR * weak.min():
            return None
        weakest = np.argsort(weak * np.exp(0.5 * failures * rng.standard_normal(len(atoms))), kind="stable")
        if failures % 2:
            return _with_atoms(dictionary, weakest[: len(found)], found)
        share = np.full(len(rows), 1 / len(rows))
        one_sided = signals.nonnegative
        mixed, pair = split(atoms, seen.codes, seen.residuals, share, found[-1], nonnegative=one_sided)
        places = np.append(mixed, weakest[weakest != mixed][:1])
        return _with_atoms(dictionary, places[: len(pair)], pair)


def _with_atoms(dictionary: Dictionary, places: np.ndarray, atoms: np.ndarray) -> Dictionary:
    """Return the dictionary with other atoms, which remember nothing, in some places."""
    changed, memory = dictionary.atoms.copy(), dictionary.memory.copy()
    changed[places], memory[places] = atoms, 0.0
    return dictionary._replace(atoms=changed, memory=memory)
