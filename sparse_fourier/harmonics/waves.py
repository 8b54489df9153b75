"""Sine and cosine of all sinusoids on a grid, and what they see of signals: by products or transforms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

TAU = 2.0 * np.pi
DEPENDENT = 1e-9
_MOST_PRODUCTS = 1 << 15
_MOST_KEPT = 1 << 22
_BLOCK_ENTRIES = 1 << 19
_EVEN = 1e-12


@dataclass(frozen=True)
class Waves:
    """Pairs of waves exp(-g t) sin(2 pi c t) and exp(-g t) cos(2 pi c t), of every cycle c and decay g.

    A long record on a regular grid is seen by Fourier transforms; those of other grids in blocks, so that no
    more than a few of the waves are in memory.

    Attributes
    ----------
    times : array of shape (d,)
    cycles : array of shape (n_cycles,)
        From zero on, in even steps.
    decays : array of shape (n_decays,)
    """

    times: np.ndarray
    cycles: np.ndarray
    decays: np.ndarray

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Cycles and decays of all waves, each of shape (n_tried,)."""
        return np.tile(self.cycles, len(self.decays)), np.repeat(self.decays, len(self.cycles))

    @property
    def n_entries(self) -> int:
        """How many numbers the cosines are."""
        return self.cycles.size * self.decays.size * self.times.size

    def at(self, places: Any) -> np.ndarray:
        """Return the waves at some places of the grid, of shape (n_places, 2, d)."""
        return self._all[places] if self.n_entries <= _MOST_PRODUCTS else self._made(places)

    def _made(self, places: Any) -> np.ndarray:
        cycles, decays = (part[places] for part in self.grid)
        waves = np.exp(np.multiply.outer(TAU * 1j * cycles - decays, self.times))
        return np.stack([np.imag(waves), np.real(waves)], axis=1)

    def seen(self, columns: np.ndarray) -> np.ndarray:
        """Return the products of all waves with columns of shape (d, c), of shape (n_tried, 2, c)."""
        if self._period and self.n_entries > _MOST_PRODUCTS:
            return self._transformed(columns)
        parts = [block.reshape(-1, self.times.size) @ columns for block in self._blocks()]
        found = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return found.reshape(self.grid[0].size, 2, columns.shape[1])

    def energies(self, rows: np.ndarray) -> np.ndarray:
        """Return the Gram matrices of what each pair sees of rows of shape (r, d), of shape (3, n_tried).

        Their entries are those of sine and sine, sine and cosine, cosine and cosine.
        """
        width = max(_BLOCK_ENTRIES // self.grid[0].size, 1)
        found = np.zeros((3, self.grid[0].size))
        for first in range(0, len(rows), width):
            found += grams_of(self.seen(rows[first : first + width].T))
        return found

    @cached_property
    def grams(self) -> np.ndarray:
        """Gram matrices of the pairs themselves, of shape (3, n_tried)."""
        if self._period and self.n_entries > _MOST_PRODUCTS:
            return self._grams_of_regular()
        return np.concatenate([grams_of(block) for block in self._blocks()], axis=1)

    @cached_property
    def whitening(self) -> np.ndarray:
        """What makes each pair orthonormal, of shape (n_tried, 2, 2): nothing of waves that depend."""
        return whitening_of_two(self.grams, DEPENDENT * self.times.size)

    @cached_property
    def _all(self) -> np.ndarray:
        return self._made(slice(None))

    def _blocks(self) -> Any:
        """Yield all waves, a block at a time where they are many."""
        if self.n_entries <= _MOST_KEPT:
            yield self._all
            return
        size = max(_BLOCK_ENTRIES // self.times.size, 1)
        for first in range(0, self.grid[0].size, size):
            yield self._made(slice(first, first + size))

    @cached_property
    def _period(self) -> int:
        """Return after how many samples the slowest wave of a regular record would begin anew; else zero."""
        d, steps = self.times.size, np.diff(self.times)
        exact = (d - 1) / self.cycles[1] if d > 1 else 0.0
        period = round(exact)
        even = d > 1 and np.abs(steps * (d - 1) - 1).max() < _EVEN * d
        fits = even and abs(exact - period) < _EVEN * exact and 2 * (len(self.cycles) - 1) <= period
        return period if fits and period >= d else 0

    def _transformed(self, columns: np.ndarray) -> np.ndarray:
        n, turns = len(self.cycles), np.exp(TAU * 1j * self.cycles * self.times[0])[:, None]
        found = np.empty((len(self.decays), n, 2, columns.shape[1]))
        for own, decay in zip(found, self.decays, strict=True):
            damped = columns * np.exp(-decay * self.times)[:, None]
            sums = turns * np.conj(np.fft.rfft(damped, self._period, axis=0)[:n])
            own[:, 0], own[:, 1] = np.imag(sums), np.real(sums)
        return found.reshape(self.grid[0].size, 2, columns.shape[1])

    def _grams_of_regular(self) -> np.ndarray:
        """Return the Gram matrices from sums of exp(-2 g t) and of exp(-2 g t) exp(4 pi i c t)."""
        places = 2 * np.arange(len(self.cycles)) % self._period
        turns = np.exp(2 * TAU * 1j * self.cycles * self.times[0])
        parts = []
        for decay in self.decays:
            squares = np.exp(-2 * decay * self.times)
            doubled = turns * np.conj(np.fft.fft(squares, self._period)[places])
            total, real = squares.sum(), np.real(doubled)
            parts.append(0.5 * np.stack([total - real, np.imag(doubled), total + real]))
        return np.concatenate(parts, axis=1)


def grams_of(pairs: np.ndarray) -> np.ndarray:
    """Return the Gram matrices of pairs of vectors of shape (n, 2, d), as their three entries, (3, n)."""
    one, other = pairs[:, 0], pairs[:, 1]
    return np.stack([np.einsum("id,id->i", *both) for both in ((one, one), (one, other), (other, other))])


def eigen_of_two(grams: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues, ascending, of shape (n, 2), and eigenvectors, as columns, of matrices of two rows.

    Parameters
    ----------
    grams : array of shape (3, n)
        As `grams_of` returns them.
    """
    one, both, other = grams
    middle, half = 0.5 * (one + other), 0.5 * (one - other)
    radius, sideways = np.hypot(half, both), half < 0
    along, across = np.where(sideways, both, half + radius), np.where(sideways, radius - half, both)
    along = np.where((along == 0) & (across == 0), 1.0, along)
    length = np.hypot(along, across)
    cosine, sine = along / length, across / length
    vectors = np.array([[-sine, cosine], [cosine, sine]]).transpose(2, 0, 1)
    return np.stack([middle - radius, middle + radius], axis=1), vectors


def whitening_of_two(grams: np.ndarray, smallest: float) -> np.ndarray:
    """Return what makes two vectors each orthonormal, of shape (n, 2, 2): nothing of those that depend.

    Parameters
    ----------
    grams : array of shape (3, n)
        As `grams_of` returns them.
    smallest : float
        Eigenvalues that count as zero.
    """
    sizes, axes = eigen_of_two(grams)
    kept = sizes > smallest
    return axes * (kept / np.sqrt(np.where(kept, sizes, 1.0)))[:, None, :]


def turned(grams: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return the Gram matrices of pairs after linear maps of shape (n, 2, 2), as their three entries."""
    one, both, other = grams
    (a, b), (c, d) = by.transpose(1, 2, 0)
    first, second = one * a + both * c, both * a + other * c
    third, fourth = one * b + both * d, both * b + other * d
    return np.array([a * first + c * second, b * first + d * second, b * third + d * fourth])


def explained_at_each(waves: Waves, rows: np.ndarray, finer: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cycles in smaller steps, and the mean square of rows that sine and cosine explain at each.

    Parameters
    ----------
    waves : Waves
    rows : array of shape (n, d)
    finer : int
        How many of these steps one of the grid is.
    """
    cycles = np.linspace(0.0, waves.cycles[-1], finer * (len(waves.cycles) - 1) + 1)
    fine = Waves(waves.times, cycles, np.zeros(1))
    explained = turned(fine.energies(rows), fine.whitening)
    return cycles, (explained[0] + explained[2]) / len(rows)
