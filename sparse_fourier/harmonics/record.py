"""Sinusoids, and the record within which they are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

TAU = 2.0 * np.pi
_STEPS_PER_CYCLE = 8
_FEW_ENTRIES = 1 << 17
_DECAYS = (0.0, 1.0, 3.0, 10.0, 30.0)
_ALIASED = 1e-6
DEPENDENT = 1e-9


class Sinusoids(NamedTuple):
    """Sums of terms A exp(-g t) sin(2 pi f t + p); all arrays of shape (k, n_terms)."""

    frequencies: np.ndarray
    amplitudes: np.ndarray
    phases: np.ndarray
    dampings: np.ndarray

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the waveforms at positions, of shape (k, len(positions))."""
        angles = TAU * self.frequencies[..., None] * positions + self.phases[..., None]
        envelopes = self.amplitudes[..., None] * np.exp(-self.dampings[..., None] * positions)
        return (envelopes * np.sin(angles)).sum(axis=1)


class Terms(NamedTuple):
    """The same in units of the record, time counted from its middle: the real part of c exp(s t).

    Attributes
    ----------
    cycles, decays : arrays of shape (k, m)
        Per length of the record; s = 2 pi i cycles - decays.
    coefficients : complex array of shape (k, m)
        Of unit norm for each component.
    """

    cycles: np.ndarray
    decays: np.ndarray
    coefficients: np.ndarray

    @property
    def exponents(self) -> np.ndarray:
        """The complex rates s, of shape (k, m)."""
        return TAU * 1j * self.cycles - self.decays


@dataclass(frozen=True)
class Record:
    """Where signals are sampled, and which sinusoids are looked for.

    Attributes
    ----------
    positions : array of shape (d,)
    max_frequency : float
    damped : bool
    """

    positions: np.ndarray
    max_frequency: float
    damped: bool

    @property
    def middle(self) -> float:
        """Half-way between the first and the last position."""
        return 0.5 * float(self.positions.min() + self.positions.max())

    @property
    def length(self) -> float:
        """Distance of the last position from the first."""
        return float(self.positions.max() - self.positions.min())

    @cached_property
    def times(self) -> np.ndarray:
        """Positions from -1/2 to 1/2, of shape (d,)."""
        return (self.positions - self.middle) / self.length

    @property
    def most_cycles(self) -> float:
        """Cycles in the record of the highest frequency."""
        return self.max_frequency * self.length

    @cached_property
    def edges(self) -> list[float]:
        """Cycles at which sine and cosine are one waveform: none; on a regular grid, half a one a step."""
        turns = np.exp(TAU * 1j * self.most_cycles * (self.times - self.times.min()))
        aliased = np.abs(np.imag(turns)).max() < _ALIASED
        return [0.0, self.most_cycles] if aliased else [0.0]

    @property
    def n_decays(self) -> int:
        """Number of decays on the grid."""
        return len(_DECAYS) if self.damped else 1

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Cycles and decays of all sinusoids that a scan tries, each of shape (n_tried,)."""
        steps = int(np.ceil(self.most_cycles * _STEPS_PER_CYCLE)) + 1
        cycles = np.linspace(0.0, self.most_cycles, max(steps, 2))
        decays = np.array(_DECAYS[: self.n_decays])
        return np.tile(cycles, len(decays)), np.repeat(decays, len(cycles))

    @cached_property
    def dictionary(self) -> np.ndarray:
        """Sine and cosine of every sinusoid on the grid, of shape (n_tried, 2, d)."""
        cycles, decays = self.grid
        waves = np.exp(np.multiply.outer(TAU * 1j * cycles - decays, self.times))
        return np.stack([np.imag(waves), np.real(waves)], axis=1)

    @property
    def is_small(self) -> bool:
        """Whether these sinusoids take so little memory that they may be kept."""
        return self.most_cycles * _STEPS_PER_CYCLE * self.n_decays * self.times.size <= _FEW_ENTRIES

    @cached_property
    def whitened(self) -> tuple[np.ndarray, np.ndarray]:
        """What makes sines and cosines orthonormal, of shape (n_tried, 2, 2), and these, (n_tried, 2, d)."""
        whiten = whitening_of_pairs(self.dictionary)
        return whiten, whiten.swapaxes(1, 2) @ self.dictionary

    def sinusoids(self, terms: Terms, sizes: np.ndarray) -> Sinusoids:
        """Return terms, each component times its size, in units of the positions."""
        frequencies, dampings = terms.cycles / self.length, terms.decays / self.length
        exponents = terms.exponents / self.length
        coefficients = terms.coefficients * sizes[:, None] * np.exp(-np.real(exponents) * self.middle)
        turned = np.angle(coefficients) + 0.5 * np.pi - TAU * frequencies * self.middle
        return Sinusoids(frequencies, np.abs(coefficients), wrapped(turned), dampings)


def eigen_of_pairs(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues, ascending, and eigenvectors of the Gram matrices of two vectors each.

    Parameters
    ----------
    pairs : array of shape (n, 2, d)

    Returns
    -------
    values : array of shape (n, 2)
    vectors : array of shape (n, 2, 2)
        As columns.
    """
    one, both, other = (np.einsum("id,id->i", pairs[:, i], pairs[:, j]) for i, j in ((0, 0), (0, 1), (1, 1)))
    middle, half = 0.5 * (one + other), 0.5 * (one - other)
    radius, sideways = np.hypot(half, both), half < 0
    along, across = np.where(sideways, both, half + radius), np.where(sideways, radius - half, both)
    length = np.hypot(along, across)
    cosine = np.where(length > 0, along, 1.0) / np.where(length > 0, length, 1.0)
    sine = across / np.where(length > 0, length, 1.0)
    vectors = np.array([[-sine, cosine], [cosine, sine]]).transpose(2, 0, 1)
    return np.stack([middle - radius, middle + radius], axis=1), vectors


def whitening_of_pairs(pairs: np.ndarray) -> np.ndarray:
    """Return what makes two vectors each orthonormal, of shape (n, 2, 2): nothing of those that depend.

    Parameters
    ----------
    pairs : array of shape (n, 2, d)
    """
    sizes, axes = eigen_of_pairs(pairs)
    kept = sizes > DEPENDENT * pairs.shape[2]
    return axes * (kept / np.sqrt(np.where(kept, sizes, 1.0)))[:, None, :]


def wrapped(phases: np.ndarray) -> np.ndarray:
    """Return phases within (-pi, pi]."""
    return np.pi - np.mod(np.pi - phases, TAU)
