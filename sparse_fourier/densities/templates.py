"""Where the knots of a density lie: a line, half a line or an interval."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

STEP = 0.1
_HALF_LINE_STEP = 0.055
_DENSEST = 0.1  # width of cells at a peak, relative to those far from it
_FLANK = 0.5  # how far that is
_INTERVAL_CELLS = 64
_CELLS_AT_ONCE = 5
_OUT_OF_REACH = 0.1  # width of walls where there are no edges, of their distance: not felt between knots
_MOST_CELLS = 300  # on either side: to three million standard deviations


class Wall(NamedTuple):
    """Where a density ends, or where it would if the samples did not end long before."""

    sign: int  # plus where the density is on the right
    place: float
    width: float


@dataclass(frozen=True)
class Template(ABC):
    """Where knots lie, in units of t, and which ends are hard.

    Parameters
    ----------
    first, last : int
        Numbers of the first and the last knot.
    """

    first: int = 0
    last: int = 0

    n_edges: ClassVar[int]
    stays: ClassVar[bool] = True  # where it is, while codes move a little: something of theirs is at zero
    cell_width: ClassVar[float]  # in the middle, for t of unit range, mean or standard deviation

    @abstractmethod
    def knot(self, index: np.ndarray) -> np.ndarray:
        """Return t of the knots of these numbers."""

    @abstractmethod
    def index(self, t: np.ndarray) -> np.ndarray:
        """Return the inverse of `knot`."""

    @abstractmethod
    def covering(self, low: float, high: float) -> Self:
        """Return a template with knots from low to high and a margin, and with those it has."""

    @abstractmethod
    def walls(self, blur: float) -> tuple[Wall, Wall]:
        """Return both walls; where there is no edge, one far beyond the knots."""

    @property
    def ends(self) -> tuple[float, float]:
        """First and last knot."""
        low, high = self.knot(np.array([self.first, self.last]))
        return float(low), float(high)


@dataclass(frozen=True)
class Line(Template):
    """Knots of the real line, even near zero and in geometric progression far from it."""

    n_edges: ClassVar[int] = 0
    stays: ClassVar[bool] = False
    cell_width: ClassVar[float] = 0.1

    def knot(self, index: np.ndarray) -> np.ndarray:
        """Return t of the knots of these numbers."""
        return 2 * np.sinh(0.5 * STEP * index)

    def index(self, t: np.ndarray) -> np.ndarray:
        """Return the inverse of `knot`."""
        return np.arcsinh(0.5 * t) * (2 / STEP)

    def covering(self, low: float, high: float) -> Self:
        """Return a template with knots from low to high and a margin, and with those it has."""
        first, last = self.index(np.array([low, high]))
        return replace(self, first=min(self.first, -_cells(-first)), last=max(self.last, _cells(last)))

    def walls(self, blur: float) -> tuple[Wall, Wall]:
        """Return walls far beyond the knots."""
        low, high = self.ends
        reach = high - low
        return Wall(1, low - reach, _OUT_OF_REACH * reach), Wall(-1, high + reach, _OUT_OF_REACH * reach)


@dataclass(frozen=True)
class Peak(Line):
    """Knots of the real line, densest at zero, where the density may have a cusp."""

    stays: ClassVar[bool] = True

    def knot(self, index: np.ndarray) -> np.ndarray:
        """Return t of the knots of these numbers."""
        far = np.abs(super().knot(index))
        return np.sign(index) * far * (far + _DENSEST * _FLANK) / (far + _FLANK)

    def index(self, t: np.ndarray) -> np.ndarray:
        """Return the inverse of `knot`."""
        distance = np.abs(t)
        half = 0.5 * (distance - _DENSEST * _FLANK)
        return np.sign(t) * super().index(half + np.sqrt(half * half + _FLANK * distance))


@dataclass(frozen=True)
class HalfLine(Template):
    """Knots from a hard end at zero upwards, dense near it."""

    n_edges: ClassVar[int] = 1
    cell_width: ClassVar[float] = 0.095

    def knot(self, index: np.ndarray) -> np.ndarray:
        """Return t of the knots of these numbers."""
        return np.sign(index) * 2 * np.sinh(0.5 * _HALF_LINE_STEP * index) ** 2

    def index(self, t: np.ndarray) -> np.ndarray:
        """Return the inverse of `knot`."""
        return np.arcsinh(np.sqrt(np.maximum(t, 0.0) / 2)) * (2 / _HALF_LINE_STEP)

    def covering(self, low: float, high: float) -> Self:
        """Return a template with knots up to high and a margin, and with those it has."""
        return replace(self, last=max(self.last, _cells(float(self.index(np.array(high))))))

    def walls(self, blur: float) -> tuple[Wall, Wall]:
        """Return a wall at zero and one far beyond the knots."""
        _, high = self.ends
        return Wall(1, 0.0, blur), Wall(-1, 2 * high, _OUT_OF_REACH * high)


@dataclass(frozen=True)
class Interval(Template):
    """Knots between hard ends at zero and one, dense near both."""

    last: int = _INTERVAL_CELLS

    n_edges: ClassVar[int] = 2
    cell_width: ClassVar[float] = 0.0245

    def knot(self, index: np.ndarray) -> np.ndarray:
        """Return t of the knots of these numbers; those outside mirror those inside."""
        y = index / self.last
        beyond = y > 1
        return np.where(beyond, 2.0, 0.0) + np.where(beyond, -1, np.sign(y)) * np.sin(0.5 * np.pi * y) ** 2

    def index(self, t: np.ndarray) -> np.ndarray:
        """Return the inverse of `knot`."""
        return np.arcsin(np.sqrt(np.clip(t, 0.0, 1.0))) * (2 * self.last / np.pi)

    def covering(self, low: float, high: float) -> Self:
        """Return the template itself."""
        return self

    def walls(self, blur: float) -> tuple[Wall, Wall]:
        """Return walls at both ends."""
        return Wall(1, 0.0, blur), Wall(-1, 1.0, blur)


TEMPLATES: dict[str, type[Template]] = {kind.__name__: kind for kind in (Line, Peak, HalfLine, Interval)}


def _cells(index: float) -> int:
    """Return a number of cells that leaves a margin of at least half a unit."""
    return min(_CELLS_AT_ONCE * int(np.ceil(max(index, 0.0) / _CELLS_AT_ONCE + 1)), _MOST_CELLS)
