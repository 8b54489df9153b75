"""Dictionaries of few signals: codes of all of them and sweeps over the atoms in turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from sparse_fourier.atoms import Course, Signals, clusters, improved, nats, split, weakness
from sparse_fourier.pursuit import Search, falls_of_error, sparse_codes
from sparse_fourier.sparsity import Explained, Judge, growing

_N_FIRSTS = 4
_LONG, _SHORT, _CAREFUL = 15, 12, 10  # sweeps
_ROUNDS_OF_GROWTH, _ROUNDS, _PATIENCE = 6, 30, 4
_SEEDS = 60


class State(NamedTuple):
    """A dictionary, and what is left of the signals by their sparse codes."""

    atoms: np.ndarray
    intercept: np.ndarray
    codes: np.ndarray
    residuals: np.ndarray
    loss: float


@dataclass
class Sweeper:
    """Learns a dictionary of signals by sweeps over its atoms.

    Attributes
    ----------
    signals : Signals
    course : Course
    """

    signals: Signals
    course: Course

    def learned(self, k: int, n_active: int | None) -> tuple[State, Search]:
        """Return a dictionary of k atoms, and how codes are searched for.

        Parameters
        ----------
        k : int
        n_active : int or None
            Number of active atoms; None: that of the shortest description.
        """
        state, search = self._grown(k, n_active)
        return self._replaced(state, search, max(1, k // 10), _ROUNDS, _PATIENCE), search

    def alternate(
        self, atoms: np.ndarray, intercept: np.ndarray, search: Search, n_sweeps: int, tol: float = 1e-4
    ) -> State:
        """Return the dictionary after sparse codes and sweeps over its atoms have taken turns."""
        turns = self.course.remembered(
            lambda: self._alternated(atoms, intercept, search, n_sweeps, tol), self.signals
        )
        return State(*turns)

    def _alternated(
        self, atoms: np.ndarray, intercept: np.ndarray, search: Search, n_sweeps: int, tol: float
    ) -> State:
        last = np.inf
        while True:
            codes = sparse_codes(self.signals.array - intercept, atoms, search)
            state = self._swept(atoms, intercept, codes)
            atoms, intercept, n_sweeps = state.atoms, state.intercept, n_sweeps - 1
            self.course.note(nats(state.loss, self.signals.d))
            if not n_sweeps or self.course.over or state.loss >= last * (1 - tol):
                return state
            last = state.loss

    def coded(self, state: State, search: Search) -> State:
        """Return the same dictionary, with sparse codes of these signals."""
        centred = self.signals.array - state.intercept
        codes = sparse_codes(centred, state.atoms, search)
        return state._replace(codes=codes, residuals=centred - codes @ state.atoms)

    def judge_of(self, state: State) -> Judge:
        """Return what is known of a dictionary by these signals."""
        signals = self.signals
        return Judge(
            explained=lambda search: self.explained(self.coded(state, search)),
            falls=lambda search: falls_of_error(signals.array - state.intercept, state.atoms, search),
            d=signals.d,
            resolution=signals.resolution,
        )

    def polished(self, state: State, search: Search) -> State:
        """Return the dictionary after a few more sweeps, which may be over other signals than before."""
        return self.alternate(state.atoms, state.intercept, search, _SHORT)

    def explained(self, state: State) -> Explained:
        """Return how well the signals are explained."""
        n_used = np.count_nonzero(state.codes, axis=1)
        squares, powers = (state.residuals**2).sum(axis=1), (state.codes**2).sum(axis=1)
        return Explained(squares, n_used, powers, self.signals.share, state.codes.shape[1])

    def _swept(self, atoms: np.ndarray, intercept: np.ndarray, codes: np.ndarray) -> State:
        """Return each atom and its codes fitted in turn to what the others leave, as in approximate K-SVD."""
        signals, share = self.signals, self.signals.share
        atoms, residuals = atoms.copy(), signals.array - intercept - codes @ atoms
        for j in range(len(atoms)):
            users = np.flatnonzero(codes[:, j])
            if not len(users):
                continue
            left = residuals[users] + codes[users, j, None] * atoms[j]
            atom = (share[users] * codes[users, j]) @ left
            norm = np.linalg.norm(atom)
            if norm == 0:
                continue
            atoms[j] = atom / norm
            fitted = left @ atoms[j]
            codes[users, j] = np.maximum(fitted, 0.0) if signals.nonnegative else fitted
            residuals[users] = left - codes[users, j, None] * atoms[j]
        if signals.fit_intercept:
            step = share @ residuals
            intercept, residuals = intercept + step, residuals - step
        if signals.missing is not None:
            residuals[signals.missing] = 0.0
            signals.X = np.where(signals.missing, codes @ atoms + intercept, signals.array)
        return State(atoms, intercept, codes, residuals, float(share @ (residuals**2).sum(axis=1)))

    def _replaced(self, state: State, search: Search, n_atoms: int, rounds: int, patience: int) -> State:
        """Return the dictionary after weak atoms made way for others, wherever the residual then fell."""
        left, sizes = iter(range(rounds)), [n_atoms >> i for i in range(n_atoms.bit_length())]

        def attempt(size: int, state: State, failures: int) -> State | None:
            if self.course.over:
                return None
            tried = self._with_others(state, size, failures)
            return self.alternate(tried, state.intercept, search, _SHORT)

        for size in sizes:
            bears = patience if size == 1 else 0
            state = improved(state, partial(attempt, size), lambda state: state.loss, left, bears)
        return state

    def _with_others(self, state: State, n_atoms: int, failures: int) -> np.ndarray:
        """Return the atoms with the weakest replaced by directions in which residuals cluster.

        An atom is weak where its codes are, and where it has a twin. After failures other choices are drawn,
        by turns with atoms that stand for two of them, which are split.
        """
        rng, share, nonnegative = self.signals.rng, self.signals.share, self.signals.nonnegative
        strength = weakness(state.atoms, share @ state.codes**2)
        if failures:
            strength = strength * np.exp(0.5 * failures * rng.standard_normal(len(strength)))
        found, _ = clusters(state.residuals, share, n_atoms + failures, _SEEDS, nonnegative=nonnegative)
        places = np.argsort(strength, kind="stable")
        if failures and len(found):
            found = found[[rng.randint(len(found))]]
        if failures % 2 and len(found):
            codes = csr_array(state.codes)
            mixed, found = split(
                state.atoms, codes, state.residuals, share, found[0], nonnegative=nonnegative
            )
            places, n_atoms = np.append(mixed, places[places != mixed]), 2
        atoms = state.atoms.copy()
        atoms[places[: len(found)][:n_atoms]] = found[:n_atoms]
        return atoms

    def _grown(self, k: int, n_active: int | None) -> tuple[State, Search]:
        """Return a dictionary, and the number of active atoms with the shortest description.

        Codes with few atoms come first: what they find is less often mixed, and is the start of the next.
        """
        signals, shortest = self.signals, np.inf
        kept: list[tuple[State, Search]] = []
        atoms, intercept = signals.first(k)
        for count in growing(n_active) if n_active else range(1, max(signals.d // 2, 1) + 1):
            search = Search(count, signals.resolution, nonnegative=signals.nonnegative)
            state = self.alternate(atoms, intercept, search, _LONG)
            state = self._replaced(state, search, max(1, k // 5), _ROUNDS_OF_GROWTH, 0)
            careful = search._replace(n_firsts=_N_FIRSTS)
            if not self.course.over:
                state = self.alternate(state.atoms, state.intercept, careful, _CAREFUL)
            length = self.explained(state).description_length(count, signals.d, signals.power)
            if kept and not n_active and length >= shortest:
                break
            kept, shortest, atoms, intercept = [(state, careful)], length, state.atoms, state.intercept
            if self.course.over:
                break
        return kept[0]
