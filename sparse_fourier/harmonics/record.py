"""Sinusoids, and the record within which they are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sparse_fourier.harmonics.waves import TAU, Waves

_STEPS_PER_CYCLE = 8
_FEW_ENTRIES = 1 << 17
_DECAYS = (0.0, 1.0, 3.0, 10.0, 30.0)
_ALIASED = 1e-6


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
    def waves(self) -> Waves:
        """All sinusoids that a scan tries."""
        steps = int(np.ceil(self.most_cycles * _STEPS_PER_CYCLE)) + 1
        cycles = np.linspace(0.0, self.most_cycles, max(steps, 2))
        return Waves(self.times, cycles, np.array(_DECAYS[: self.n_decays]))

    @property
    def is_small(self) -> bool:
        """Whether all these take so little memory that they may be kept."""
        return self.most_cycles * _STEPS_PER_CYCLE * self.n_decays * self.times.size <= _FEW_ENTRIES

    def sinusoids(self, terms: Terms, sizes: np.ndarray) -> Sinusoids:
        """Return terms, each component times its size, in units of the positions."""
        frequencies, dampings = terms.cycles / self.length, terms.decays / self.length
        exponents = terms.exponents / self.length
        coefficients = terms.coefficients * sizes[:, None] * np.exp(-np.real(exponents) * self.middle)
        turned = np.angle(coefficients) + 0.5 * np.pi - TAU * frequencies * self.middle
        return Sinusoids(frequencies, np.abs(coefficients), wrapped(turned), dampings)


def wrapped(phases: np.ndarray) -> np.ndarray:
    """Return phases within (-pi, pi]."""
    return np.pi - np.mod(np.pi - phases, TAU)
