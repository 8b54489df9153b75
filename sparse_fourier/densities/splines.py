"""Cubic splines over the knots of a template, the nodes that integrate their exponential, and soft walls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import erfcx

from sparse_fourier.densities.templates import Template, Wall
from sparse_fourier.namespace import log_ndtr

_FAR = 9.0  # a wall further away than this many widths is not felt
_DISTANT = 1e4  # beyond that many widths the curvature of a wall is one
_WALL_BREAKS = np.array([-9, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 9.0])
_END_BREAKS = 0.01 * 2.0 ** np.arange(8)
PAIRS = [(a, d) for d in range(4) for a in range(4 - d)]  # of splines a and a + d of a cell
_CACHED = 128  # templates with their rules, some 0.2 MB each: 30 MB in all, 150 MB at the very most


@dataclass(frozen=True, eq=False)
class Splines:
    """The cubic B-splines of a template, as polynomials of u = (t - left) / width in each cell."""

    template: Template
    knots: np.ndarray  # (cells + 1,)
    widths: np.ndarray  # (cells,)
    columns: np.ndarray  # (4, cells) coefficients that each cell sees
    basis: np.ndarray  # (4 splines, 4 powers, cells)
    rough: np.ndarray  # (4, cells) third derivative by u from the coefficients
    monomials: np.ndarray  # (3, cells + 3) coefficients of 1, t and t^2
    volume: float  # makes evidences of different templates comparable

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.widths)

    def locate(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the cell of each t, the place in it, and how far beyond the first or last cell t lies."""
        index = self.template.index(t) - self.template.first
        cell = np.clip(index, 0, self.n_cells - 1).astype(np.intp)
        u = (t - self.knots.take(cell)) / self.widths.take(cell)
        inside = np.clip(u, 0.0, 1.0)
        return cell, inside, u - inside

    def polynomials(self, c: np.ndarray) -> np.ndarray:
        """Return the polynomial of each cell, shape (4, cells)."""
        return np.einsum("apc,ac->pc", self.basis, c[self.columns])

    def spread(self, local: np.ndarray) -> np.ndarray:
        """Return the sum of what each cell gives to its four coefficients, shape (cells + 3,)."""
        return np.bincount(self.columns.ravel(), local.ravel(), self.n_cells + 3)


@lru_cache(maxsize=_CACHED)
def splines_of(template: Template) -> Splines:
    """Return the splines of a template."""
    extended = template.knot(np.arange(template.first - 3, template.last + 4))
    knots = extended[3:-3]
    basis = _cell_polynomials(extended)
    one, two, three = extended[1:-3], extended[2:-2], extended[3:-1]
    products = one * two + two * three + one * three
    monomials = np.stack([np.ones_like(one), (one + two + three) / 3, products / 3])
    rough = 6 * basis[:, 3]
    # Of the volumes of the third differences and of their null space: minors of one are proportional
    # to complementary minors of the other, and this minor is triangular.
    volume = 2 * (np.log(np.abs(rough[0])).sum() - np.linalg.slogdet(monomials[:, -3:])[1])
    columns = np.arange(4)[:, None] + np.arange(len(knots) - 1)
    return Splines(template, knots, np.diff(knots), columns, basis, rough, monomials, float(volume))


def _cell_polynomials(knots: np.ndarray) -> np.ndarray:
    """Return the cubic B-splines of all cells but the outer three by de Boor's recursion."""
    cells = len(knots) - 7
    y = np.stack([knots[j : j + cells] for j in range(8)])
    y = (y - y[3]) / (y[4] - y[3])
    splines = np.zeros((1, 4, cells))
    splines[0, 0] = 1.0
    for degree in range(1, 4):
        starts, stops = y[4 - degree : 4, None], y[4 : 4 + degree, None]
        rises = (np.roll(splines, 1, axis=1) - starts * splines) / (stops - starts)
        raised = np.zeros((degree + 1, 4, cells))
        raised[1:] += rises
        raised[:-1] += splines - rises
        splines = raised
    return splines


class _Nodes(NamedTuple):
    """Nodes of a Gauss-Legendre quadrature over all t at which a density is felt."""

    breaks: np.ndarray  # (pieces + 1,)
    t: np.ndarray  # (nodes,)
    weights: np.ndarray  # (nodes,) walls included
    cell: np.ndarray  # (nodes,)
    powers: np.ndarray  # (4, nodes)


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes that integrate exp(f), with the splines there."""

    weights: np.ndarray  # (nodes,)
    columns: np.ndarray  # (4, nodes) coefficients that each node sees
    basis: np.ndarray  # (4, nodes)
    products: np.ndarray  # (10, nodes) of pairs of these
    places: np.ndarray  # (10, nodes) of the products in the bands of a matrix


def _nodes(template: Template, blur: float, n_points: int, n_parts: int) -> _Nodes:
    """Return nodes in equal parts of what lies between knots, breaks beyond them and across walls."""
    splines, walls = splines_of(template), template.walls(blur)
    knots = splines.knots
    beyond = np.outer([-1, 1], (knots[-1] - knots[0]) * _END_BREAKS) + knots[[0, -1], None]
    across = [wall.place + wall.width * _WALL_BREAKS for wall in walls]
    breaks = np.concatenate([knots, beyond.ravel(), *across])
    low, high = (wall.place - wall.sign * _FAR * wall.width for wall in walls)
    breaks = np.unique(breaks[(breaks >= low) & (breaks <= high)])
    parts = breaks[:-1, None] + np.diff(breaks)[:, None] * np.arange(n_parts) / n_parts
    breaks = np.append(parts.ravel(), breaks[-1])
    x, weights = np.polynomial.legendre.leggauss(n_points)
    halves = np.diff(breaks)[:, None] / 2
    t = (breaks[:-1, None] + halves * (x + 1)).ravel()
    cell, u, outside = splines.locate(t)
    weights = (halves * weights).ravel() * np.exp(log_walls(t, walls))
    return _Nodes(breaks, t, weights, cell, powers_of(u, outside))


@lru_cache(maxsize=_CACHED)
def rule_of(template: Template, blur: float) -> Rule:
    """Return the rule with which densities are fitted."""
    splines, nodes = splines_of(template), _nodes(template, blur, 3, 1)
    basis = (splines.basis[:, :, nodes.cell] * nodes.powers).sum(axis=1)
    size = splines.n_cells + 3
    places = np.stack([nodes.cell + a + d * size for a, d in PAIRS])
    return Rule(nodes.weights, splines.columns[:, nodes.cell], basis, products_of_pairs(basis), places)


@lru_cache(maxsize=_CACHED)
def fine_nodes_of(template: Template, blur: float) -> _Nodes:
    """Return the nodes with which densities are normalised and quantiles found."""
    return _nodes(template, blur, 5, 2)


def values_at(nodes: _Nodes, polynomials: np.ndarray) -> np.ndarray:
    """Return f at the nodes."""
    return (polynomials.take(nodes.cell, axis=1) * nodes.powers).sum(axis=0)


def powers_of(u: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Return 1, u, u^2 and u^3, continued as straight lines, shape (4, n)."""
    powers = np.empty((4, len(u)))
    powers[0] = 1.0
    powers[1] = u + beyond
    powers[2] = u * (u + 2 * beyond)
    powers[3] = u * u * (u + 3 * beyond)
    return powers


def products_of_pairs(rows: np.ndarray) -> np.ndarray:
    """Return the products of all pairs of four rows, shape (10, n)."""
    return np.stack([rows[a] * rows[a + d] for a, d in PAIRS])


def log_walls(t: np.ndarray, walls: tuple[Wall, Wall]) -> np.ndarray:
    """Return the logarithm of both walls at t, shape (n,)."""
    log = np.zeros_like(t)
    for wall, near in _felt(t, walls):
        log[near] += log_ndtr((t[near] - wall.place) * (wall.sign / wall.width))
    return log


def _felt(t: np.ndarray, walls: tuple[Wall, Wall]) -> Iterator[tuple[Wall, np.ndarray]]:
    """Yield the walls that any t is near to, and which are."""
    for wall in walls:
        sign, place, width = wall
        end = place + sign * _FAR * width
        if t.size and (t.min() < end if sign > 0 else t.max() > end):
            yield wall, np.flatnonzero(t < end if sign > 0 else t > end)


def wall_slopes(t: np.ndarray, walls: tuple[Wall, Wall]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two derivatives of `log_walls`."""
    first, second = np.zeros_like(t), np.zeros_like(t)
    for (sign, place, width), near in _felt(t, walls):
        x = (t[near] - place) * (sign / width)
        ratio = np.sqrt(2 / np.pi) / erfcx(-x * np.sqrt(0.5))
        first[near] += sign * ratio / width
        second[near] -= np.where(x < -_DISTANT, 1.0, ratio * (x + ratio)) / width**2
    return first, second
