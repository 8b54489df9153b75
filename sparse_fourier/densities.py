"""Densities of one code, learned from draws: as smooth as the draws allow, hard ends where they have them.

The logarithm of a density is a penalised cubic spline plus a soft wall at either end,

    log p(h) = f(t) + log Phi((t - a) / s) + log Phi((b - t) / s) - log(scale),  t = (h - centre) / scale.

The penalty is that of Silverman [1]_: the squared third derivative of f, so that a normal density costs
nothing. Its strength is the one of largest marginal likelihood, by the updates of Wood and Fasiolo [3]_.
Hastie and Tibshirani [2]_ learn the densities of independent components in this way. Knots lie in one of
three templates, a line, half a line or an interval, and the evidence chooses between them.

References
----------
.. [1] B. W. Silverman, "On the estimation of a probability density function by the maximum penalized
   likelihood method", Annals of Statistics 10(3), 795-810, 1982.
.. [2] T. Hastie and R. Tibshirani, "Independent components analysis through product density estimation",
   Advances in Neural Information Processing Systems 15, 665-672, 2003.
.. [3] S. N. Wood and M. Fasiolo, "A generalized Fellner-Schall method for smoothing parameter optimization
   with application to Tweedie location, scale and shape models", Biometrics 73(4), 1071-1081, 2017.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple, Self

import numpy as np
from scipy.linalg import LinAlgError, lapack
from scipy.special import erfcx

from sparse_fourier.namespace import log_ndtr

_STEP = 0.1
_HALF_LINE_STEP = 0.055
_INTERVAL_CELLS = 64
_CELLS_AT_ONCE = 5
_MOST_CELLS = 300  # on either side: to three million standard deviations
_NORMAL_CELLS = 75  # on either side: to 42 standard deviations

_FIRST_STRENGTH = 300.0
_LEAST_STRENGTH = 1e-2
_LARGEST_STRENGTH = 40.0  # times n, for cells of a tenth of a standard deviation
_LARGEST_ERROR = 0.1  # of the logarithm of the integral in a fit; a larger one means lost spikes
_STIFFER, _LARGEST_LEAST_STRENGTH = 30.0, 1e5  # the least strength is raised while there are any
_ALMOST_ONE = 1.01  # ratio of two strengths between which a slope is taken
_STRENGTH_TOLERANCE = 0.05
_NEAR = 0.03  # decrement below which the strength may change
_TOLERANCE = 1e-9  # decrement before the last Newton step, which squares it
_SHORTEST = 1e-6  # of Newton steps, relative
_BEND = 11  # cells over which sharp bends are averaged
_FLOOR = 0.3  # what is left of the penalty where they are sharpest
_SMOOTHING = 17  # cells over which the first histogram is smoothed
_SHORT, _LONG = 20, 100  # most Newton steps, and where evidences are compared

_FAR = 9.0  # a wall further away than this many widths is not felt
_DISTANT = 1e4  # beyond that many widths the curvature of a wall is one
_FARTHEST = 1e100  # t beyond are taken for it, so that squares stay finite
_LARGEST = float(np.finfo(float).max)
_TINY = float(np.finfo(float).tiny)
_HIGHEST = 300.0  # of f in a Newton step that goes too far
_DEEPEST = 700.0  # fall of f at the start of a fit
_ONE_VALUE = 1e-8  # relative width of the density of codes that are all the same

_WALL_BREAKS = np.array([-9, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 9.0])
_END_BREAKS = 0.01 * 2.0 ** np.arange(8)
_PAIRS = [(a, d) for d in range(4) for a in range(4 - d)]  # of splines a and a + d of a cell
_LOG_SQRT_2PI = 0.5 * float(np.log(2 * np.pi))

_CACHED = 128
"""Templates with their rules that are kept, some 0.2 MB each: 30 MB in all, 150 MB at the very most."""


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
    cell_width: ClassVar[float] = 0.1

    def knot(self, index: np.ndarray) -> np.ndarray:
        """Return t of the knots of these numbers."""
        return 2 * np.sinh(0.5 * _STEP * index)

    def index(self, t: np.ndarray) -> np.ndarray:
        """Return the inverse of `knot`."""
        return np.arcsinh(0.5 * t) * (2 / _STEP)

    def covering(self, low: float, high: float) -> Self:
        """Return a template with knots from low to high and a margin, and with those it has."""
        first, last = self.index(np.array([low, high]))
        return replace(self, first=min(self.first, -_cells(-first)), last=max(self.last, _cells(last)))

    def walls(self, blur: float) -> tuple[Wall, Wall]:
        """Return walls far beyond the knots."""
        low, high = self.ends
        reach = high - low
        return Wall(1, low - reach, reach / 6), Wall(-1, high + reach, reach / 6)


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
        return Wall(1, 0.0, blur), Wall(-1, 2 * high, high / 6)


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


def _cells(index: float) -> int:
    """Return a number of cells that leaves a margin of at least half a unit."""
    return min(_CELLS_AT_ONCE * int(np.ceil(max(index, 0.0) / _CELLS_AT_ONCE + 1)), _MOST_CELLS)


@dataclass(frozen=True, eq=False)
class _Splines:
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
def _splines(template: Template) -> _Splines:
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
    return _Splines(template, knots, np.diff(knots), columns, basis, rough, monomials, float(volume))


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
class _Rule:
    """Nodes that integrate exp(f), with the splines there."""

    weights: np.ndarray  # (nodes,)
    columns: np.ndarray  # (4, nodes) coefficients that each node sees
    basis: np.ndarray  # (4, nodes)
    products: np.ndarray  # (10, nodes) of pairs of these
    places: np.ndarray  # (10, nodes) of the products in the bands of a matrix


def _nodes(template: Template, blur: float, n_points: int, n_parts: int) -> _Nodes:
    """Return nodes in equal parts of what lies between knots, breaks beyond them and across walls."""
    splines, walls = _splines(template), template.walls(blur)
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
    weights = (halves * weights).ravel() * np.exp(_log_walls(t, walls))
    return _Nodes(breaks, t, weights, cell, _powers(u, outside))


@lru_cache(maxsize=_CACHED)
def _rule(template: Template, blur: float) -> _Rule:
    """Return the rule with which densities are fitted."""
    splines, nodes = _splines(template), _nodes(template, blur, 3, 1)
    basis = (splines.basis[:, :, nodes.cell] * nodes.powers).sum(axis=1)
    size = splines.n_cells + 3
    places = np.stack([nodes.cell + a + d * size for a, d in _PAIRS])
    return _Rule(nodes.weights, splines.columns[:, nodes.cell], basis, _paired(basis), places)


@lru_cache(maxsize=_CACHED)
def _fine_nodes(template: Template, blur: float) -> _Nodes:
    """Return the nodes with which densities are normalised and quantiles found."""
    return _nodes(template, blur, 5, 2)


def _at(nodes: _Nodes, polynomials: np.ndarray) -> np.ndarray:
    """Return f at the nodes."""
    return (polynomials.take(nodes.cell, axis=1) * nodes.powers).sum(axis=0)


def _powers(u: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Return 1, u, u^2 and u^3, continued as straight lines, shape (4, n)."""
    powers = np.empty((4, len(u)))
    powers[0] = 1.0
    powers[1] = u + beyond
    powers[2] = u * (u + 2 * beyond)
    powers[3] = u * u * (u + 3 * beyond)
    return powers


def _paired(rows: np.ndarray) -> np.ndarray:
    """Return the products of all pairs of four rows, shape (10, n)."""
    return np.stack([rows[a] * rows[a + d] for a, d in _PAIRS])


def _log_walls(t: np.ndarray, walls: tuple[Wall, Wall]) -> np.ndarray:
    """Return the logarithm of both walls at t, shape (n,)."""
    log = np.zeros_like(t)
    for sign, place, width in walls:
        x = (t - place) * (sign / width)
        near = np.flatnonzero(x < _FAR)
        if near.size:
            log[near] += log_ndtr(x[near])
    return log


def _wall_slopes(t: np.ndarray, walls: tuple[Wall, Wall]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two derivatives of `_log_walls`."""
    first, second = np.zeros_like(t), np.zeros_like(t)
    for sign, place, width in walls:
        x = (t - place) * (sign / width)
        near = np.flatnonzero(x < _FAR)
        if near.size:
            x = x[near]
            ratio = np.sqrt(2 / np.pi) / erfcx(-x * np.sqrt(0.5))
            first[near] += sign * ratio / width
            second[near] -= np.where(x < -_DISTANT, 1.0, ratio * (x + ratio)) / width**2
    return first, second


@dataclass(frozen=True, eq=False)
class Density:
    """A learned density of one code.

    Made by `fit_density`, `fit_smooth`, `choose` or `Density.normal`, not by hand.

    Attributes
    ----------
    template : Template
        Where its knots lie.
    centre, scale : float
        Carry t to the code, h = centre + scale * t; a negative scale mirrors the template.
    blur : float
        Width of the edges in units of t; zero where there are none.
    coefficients : array of shape (m,)
        Of the B-splines whose sum is f.
    polynomials : array of shape (4, m - 3)
        f in each cell.
    stiffness : array of shape (m - 3,)
        Strength of the penalty in each cell relative to `strength`.
    strength : float
        Of the penalty.
    n_samples : float
        Number of samples that the density was fitted to.
    log_likelihood : float
        Mean over the samples, in nats.
    roughness : float
        The penalty, strength times half the squared third differences, in nats.
    evidence : float
        Logarithm of the marginal likelihood of all samples by Laplace's approximation, comparable
        between densities of the same samples.
    converged : bool
        Whether coefficients and strength had settled.
    """

    template: Template
    centre: float
    scale: float
    blur: float
    coefficients: np.ndarray = field(repr=False)
    polynomials: np.ndarray = field(repr=False)
    stiffness: np.ndarray = field(repr=False)
    strength: float
    n_samples: float
    log_likelihood: float
    roughness: float
    evidence: float
    converged: bool

    @classmethod
    def normal(cls) -> Density:
        """Return the standard normal density."""
        template = Line(-_NORMAL_CELLS, _NORMAL_CELLS)
        splines = _splines(template)
        c = -0.5 * splines.monomials[2] - _LOG_SQRT_2PI
        stiffness, likelihood = np.ones(splines.n_cells), -_LOG_SQRT_2PI - 0.5
        fitted = stiffness, _LARGEST_STRENGTH, 1.0, likelihood, 0.0, likelihood, True
        return cls(template, 0.0, 1.0, 0.0, c, splines.polynomials(c), *fitted)

    @property
    def edges(self) -> int:
        """Number of hard ends."""
        return self.template.n_edges

    def log_density(self, h: np.ndarray) -> np.ndarray:
        """Return the logarithm of the density at codes of any shape."""
        log_p = self._log_density_of(self._standardised(h)) - np.log(abs(self.scale))
        return log_p.reshape(np.shape(h))

    def derivatives(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the logarithm of the density and its first two derivatives.

        Parameters
        ----------
        h : array
            Codes, of any shape.

        Returns
        -------
        log_p, dlog_p, d2log_p : array
            Of the same shape; finite for every finite code.
        """
        t, walls = self._standardised(h), self.template.walls(self.blur)
        splines = _splines(self.template)
        cell, u, beyond = splines.locate(t)
        width, (c0, c1, c2, c3) = splines.widths.take(cell), self.polynomials.take(cell, axis=1)
        slope = c1 + u * (2 * c2 + 3 * c3 * u)
        bend = np.where(np.abs(beyond) > 1e-9, 0.0, 2 * c2 + 6 * c3 * u)
        log_p = c0 + u * (c1 + u * (c2 + c3 * u)) + slope * beyond + _log_walls(t, walls)
        first, second = _wall_slopes(t, walls)
        with np.errstate(over="ignore"):
            first = (slope / width + first) / self.scale
            second = (bend / width**2 + second) / self.scale / self.scale
        first, second = (np.clip(part, -_LARGEST, _LARGEST).reshape(np.shape(h)) for part in (first, second))
        return (log_p - np.log(abs(self.scale))).reshape(np.shape(h)), first, second

    def _standardised(self, h: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            t = (np.ravel(h) - self.centre) / self.scale
        return np.clip(t, -_FARTHEST, _FARTHEST)

    def _log_density_of(self, t: np.ndarray) -> np.ndarray:
        """Return the logarithm of the density of t, shape (n,)."""
        cell, u, beyond = _splines(self.template).locate(t)
        c0, c1, c2, c3 = self.polynomials.take(cell, axis=1)
        value = c0 + u * (c1 + u * (c2 + c3 * u)) + (c1 + u * (2 * c2 + 3 * c3 * u)) * beyond
        return value + _log_walls(t, self.template.walls(self.blur))

    def _masses(self) -> np.ndarray:
        """Return the probability at each node of the fine quadrature."""
        nodes = _fine_nodes(self.template, self.blur)
        return nodes.weights * np.exp(_at(nodes, self.polynomials))

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance."""
        masses, t = self._masses(), _fine_nodes(self.template, self.blur).t
        mean = float(masses @ t)
        variance = float(masses @ (t - mean) ** 2)
        return self.centre + self.scale * mean, self.scale * self.scale * variance

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the codes below which these probabilities lie.

        Parameters
        ----------
        probabilities : array
            In [0, 1], of any shape. Zero and one are taken for numbers as near to them as can be.

        Returns
        -------
        array
            Of the same shape, finite.
        """
        probabilities = np.asarray(probabilities, dtype=float)
        tails = probabilities.ravel(), 1 - probabilities.ravel()
        below, above = tails if self.scale > 0 else tails[::-1]
        t = _quantiles(self, np.maximum(below, _TINY), np.maximum(above, _TINY))
        return (self.centre + self.scale * t).reshape(probabilities.shape)

    def mapped(self, factor: float, shift: float) -> Density:
        """Return the density of factor * h + shift."""
        change = float(np.log(abs(factor)))
        return replace(
            self,
            centre=float(factor * self.centre + shift),
            scale=float(factor * self.scale),
            log_likelihood=self.log_likelihood - change,
            evidence=self.evidence - self.n_samples * change,
        )

    def narrowed(self, blur: float) -> Density:
        """Return the density with edges of another width, and f but for a constant."""
        if not self.edges:
            return self
        density = replace(self, blur=float(blur))
        return _divided(density, _log_mass(density))


def _log_mass(density: Density) -> float:
    """Return the logarithm of the integral."""
    nodes = _fine_nodes(density.template, density.blur)
    f = _at(nodes, density.polynomials)
    return float(np.log(nodes.weights @ np.exp(f - f.max())) + f.max())


def _divided(density: Density, log_mass: float) -> Density:
    """Return the density over the exponential of a number."""
    polynomials = density.polynomials.copy()
    polynomials[0] -= log_mass
    return replace(
        density,
        polynomials=polynomials,
        coefficients=density.coefficients - log_mass,
        log_likelihood=density.log_likelihood - log_mass,
        evidence=density.evidence - density.n_samples * log_mass,
    )


def _quantiles(density: Density, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return t with these probabilities below and above it; the smaller one counts."""
    breaks = _fine_nodes(density.template, density.blur).breaks
    masses = density._masses().reshape(len(breaks) - 1, -1).sum(axis=1)
    lower, upper = np.cumsum(masses), np.cumsum(masses[::-1])
    last = len(masses) - 1
    from_below = np.minimum(np.searchsorted(lower, below), last)
    from_above = np.minimum(np.searchsorted(upper, above), last)
    piece = np.where(below <= above, from_below, last - from_above)
    mass = masses[piece]
    wanted = np.where(below <= above, below - (lower[piece] - mass), upper[last - piece] - above)
    return _within(density, breaks[piece], breaks[piece + 1], np.clip(wanted, 0.0, mass), mass)


def _within(
    density: Density, left: np.ndarray, right: np.ndarray, wanted: np.ndarray, mass: np.ndarray
) -> np.ndarray:
    """Return t between left and right with the wanted mass on its left.

    Two Newton steps from where an exponential density would have it.
    """
    x, weights = np.polynomial.legendre.leggauss(3)
    rise = np.clip(density._log_density_of(right) - density._log_density_of(left), -30.0, 30.0)
    rise = np.where(np.abs(rise) < 1e-6, 1e-6, rise)
    t = left + (right - left) * np.log1p(wanted / np.maximum(mass, _TINY) * np.expm1(rise)) / rise
    least = 1e-3 * mass / (right - left) + _TINY
    for _ in range(2):
        nodes = left + (t - left) * (x[:, None] + 1) / 2
        p = np.exp(density._log_density_of(nodes.ravel())).reshape(nodes.shape)
        found = (t - left) / 2 * (weights @ p)
        t = t - (found - wanted) / np.maximum(np.exp(density._log_density_of(t)), least)
        t = np.clip(t, left, right)
    return t


@dataclass(frozen=True, eq=False)
class _Sample:
    """Codes with their weights."""

    codes: np.ndarray  # (n,)
    weights: np.ndarray  # (n,) of sum one
    n_samples: float

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Least and largest code."""
        return float(self.codes.min()), float(self.codes.max())

    @cached_property
    def mean(self) -> float:
        """Mean of the codes."""
        return float(self.weights @ self.codes)

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the codes."""
        low, high = self.ends
        unit = (high - low) or 1.0
        return unit * float(np.sqrt(self.weights @ ((self.codes - self.mean) / unit) ** 2))


def _sample(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> _Sample:
    """Return the codes whose weights are not lost in rounding."""
    present = weights > np.finfo(float).eps / len(weights) * weights.max()
    if present.all():
        return _Sample(codes, weights, n_samples)
    return _Sample(codes[present], weights[present], n_samples)


class _Frame(NamedTuple):
    """Where a density is to be fitted; fields as those of `Density`."""

    template: Template
    centre: float
    scale: float
    blur: float

    def covering(self, low: float, high: float) -> _Frame:
        """Return the frame with knots between two codes."""
        ends = sorted([(low - self.centre) / self.scale, (high - self.centre) / self.scale])
        return self._replace(template=self.template.covering(*ends))


class _Point(NamedTuple):
    """Coefficients with what follows from them."""

    c: np.ndarray  # (m,)
    mass: np.ndarray  # (nodes,)
    third: np.ndarray  # (cells,) third differences by stiffness
    fit: float  # mean log-likelihood without walls


@dataclass(frozen=True, eq=False)
class _Objective:
    """Penalised log-likelihood of coefficients, per sample; the integral is free and ends up at one."""

    sample: _Sample
    frame: _Frame
    splines: _Splines
    rule: _Rule
    data: np.ndarray  # (m,) mean of each spline over the samples
    walls: float  # mean of both log-walls over the samples
    stiffness: np.ndarray  # (cells,)
    rough: np.ndarray  # (4, cells) third differences by stiffness, from the coefficients
    penalty: np.ndarray  # (4, m) lower bands

    def point(self, c: np.ndarray) -> _Point:
        rule = self.rule
        f = (c.take(rule.columns) * rule.basis).sum(axis=0)
        mass = rule.weights * np.exp(np.minimum(f, _HIGHEST))
        third = (c.take(self.splines.columns) * self.rough).sum(axis=0)
        return _Point(c, mass, third, float(self.data @ c - mass.sum()))

    def value(self, point: _Point, strength: float) -> float:
        return point.fit - 0.5 * strength / self.sample.n_samples * float(point.third @ point.third)

    def gradient(self, point: _Point, strength: float) -> np.ndarray:
        rule = self.rule
        slope = np.bincount(rule.columns.ravel(), (point.mass * rule.basis).ravel(), len(point.c))
        pull = self.splines.spread(strength / self.sample.n_samples * point.third * self.rough)
        return self.data - slope - pull

    def information(self, point: _Point) -> np.ndarray:
        """Return the lower bands of the curvature without the penalty."""
        products = (point.mass * self.rule.products).ravel()
        return np.bincount(self.rule.places.ravel(), products, 4 * len(point.c)).reshape(4, -1)

    def factor(self, information: np.ndarray, strength: float) -> np.ndarray:
        """Return the Cholesky factor of the curvature with the penalty."""
        band = information + strength / self.sample.n_samples * self.penalty
        for exponent in range(-15, 1):
            band[0] *= 1 + 10.0**exponent
            factor, failed = lapack.dpbtrf(band, lower=1)
            if not failed:
                return factor
        raise LinAlgError("The curvature of a density is not finite.")

    def search(self, point: _Point, step: np.ndarray, decrement: float, strength: float) -> _Point:
        """Return the first of ever shorter steps that raises the value, or else the point itself."""
        before, size = self.value(point, strength), 1.0
        while size > _SHORTEST:
            trial = self.point(point.c + size * step)
            if decrement < 0.1 * _TOLERANCE:
                return trial
            if self.value(trial, strength) >= before + 1e-4 * size * decrement:
                return trial
            size /= 4
        return point

    def better_strength(
        self, point: _Point, information: np.ndarray, factor: np.ndarray, strength: float
    ) -> float:
        """Return the strength after a Fellner-Schall update that goes half as far again."""
        nudged = self.factor(information, _ALMOST_ONE * strength)
        penalised = 2 * np.log(nudged[0] / factor[0]).sum() / np.log(_ALMOST_ONE)
        square = float(point.third @ point.third)
        ratio = max(len(point.third) - penalised, 1e-3) / max(strength * square, _TINY)
        return float(strength * np.clip(ratio, 1e-2, 1e2) ** 1.5)

    @cached_property
    def spread(self) -> float:
        """Standard deviation of t."""
        return max(self.sample.spread / abs(self.frame.scale), 1e-6)

    @property
    def largest_strength(self) -> float:
        """The largest strength, the same for all templates in units of the code."""
        cell = self.frame.template.cell_width / self.spread
        return _LARGEST_STRENGTH * self.sample.n_samples * (_STEP / cell) ** 5

    def density(self, optimum: _Optimum) -> Density:
        """Return the density with its likelihood and evidence, not normalised yet."""
        point, strength, n = optimum.point, optimum.strength, self.sample.n_samples
        cells, size = len(point.third), len(point.c)
        likelihood = float(self.data @ point.c + self.walls - np.log(abs(self.frame.scale)))
        roughness = 0.5 * strength * float(point.third @ point.third)
        factor = self.factor(self.information(point), strength)
        volume = self.splines.volume + np.log(self.stiffness).sum()
        volume += cells * np.log(strength) - size * np.log(n) - 2 * np.log(factor[0]).sum()
        evidence = n * likelihood - roughness + 0.5 * float(volume) + 3 * float(np.log(self.spread))
        polynomials = self.splines.polynomials(point.c)
        parts = polynomials, self.stiffness, strength, n, likelihood, roughness, evidence, optimum.converged
        return Density(*self.frame, point.c, *parts)


class _Optimum(NamedTuple):
    point: _Point
    strength: float
    converged: bool


def _maximise(
    objective: _Objective, c: np.ndarray, strength: float, learn: bool, rounds: int, least: float
) -> _Optimum:
    """Newton steps on the coefficients, and updates of the strength when these have nearly settled."""
    point, most = objective.point(c), max(objective.largest_strength, least)
    strength = float(np.clip(strength, least, most)) if learn else strength
    settled, decrement, stuck = not learn, np.inf, False
    for _ in range(rounds):
        information = objective.information(point)
        factor = objective.factor(information, strength)
        gradient = objective.gradient(point, strength)
        step = lapack.dpbtrs(factor, gradient, lower=1)[0]
        decrement = float(gradient @ step)
        before, point = point, objective.search(point, step, decrement, strength)
        stuck = point is before
        if settled and (decrement < _TOLERANCE or stuck):
            break
        if learn and decrement < _NEAR:
            new = objective.better_strength(point, information, factor, strength)
            new = float(np.clip(new, least, most))
            settled = abs(np.log(new / strength)) < _STRENGTH_TOLERANCE
            strength = strength if settled else new
    return _Optimum(point, strength, bool(settled and (decrement < 1e-6 or stuck)))


def _objective(sample: _Sample, frame: _Frame, stiffness: np.ndarray) -> _Objective:
    splines = _splines(frame.template)
    t = (sample.codes - frame.centre) / frame.scale
    cell, u, beyond = splines.locate(t)
    sums = [np.bincount(cell, sample.weights * power, splines.n_cells) for power in _powers(u, beyond)]
    data = splines.spread(np.einsum("apc,pc->ac", splines.basis, sums))
    walls = float(sample.weights @ _log_walls(t, frame.template.walls(frame.blur)))
    rough = splines.rough * np.sqrt(stiffness)
    places = np.stack([splines.columns[a] + d * len(data) for a, d in _PAIRS])
    penalty = np.bincount(places.ravel(), _paired(rough).ravel(), 4 * len(data)).reshape(4, -1)
    rule = _rule(frame.template, frame.blur)
    return _Objective(sample, frame, splines, rule, data, walls, stiffness, rough, penalty)


def _rough_guess(objective: _Objective) -> np.ndarray:
    """Return coefficients of the logarithm of a smoothed histogram and a normal density, mixed."""
    _, greville, squares = objective.splines.monomials
    mean = (objective.sample.mean - objective.frame.centre) / objective.frame.scale
    variance = objective.spread**2
    distance = np.clip((squares - 2 * mean * greville + mean**2) / variance, 0.0, 1400.0)
    normal = np.exp(-0.5 * distance) / np.sqrt(2 * np.pi * variance)
    kernel = np.hanning(_SMOOTHING)
    lengths = np.convolve(np.gradient(greville), kernel, "same")
    histogram = np.convolve(objective.data, kernel, "same") / lengths
    return np.log(0.5 * np.maximum(histogram, 0.0) + 0.5 * normal)


def _stiffness(splines: _Splines, c: np.ndarray) -> np.ndarray:
    """Return the penalty of each cell relative to the mean: less where f has been found to bend sharply."""
    square = (splines.rough * c[splines.columns]).sum(axis=0) ** 2
    kernel = np.hanning(_BEND)
    local = np.convolve(square, kernel, "same") / np.convolve(np.ones_like(square), kernel, "same")
    return (1 + _FLOOR) / (local / max(local.mean(), _TINY) + _FLOOR)


def _continued(start: Density, frame: _Frame) -> np.ndarray:
    """Return coefficients near those of a density that has another template."""
    codes = frame.centre + frame.scale * _splines(frame.template).monomials[1]
    values = start.log_density(codes) + np.log(abs(frame.scale))
    return np.maximum(values, values.max() - _DEEPEST)


def _beginning(objective: _Objective, start: Density | None) -> np.ndarray:
    if start is None:
        return _rough_guess(objective)
    if start.template == objective.frame.template:
        return start.coefficients
    return _continued(start, objective.frame)


def _stiffness_after(start: Density | None, template: Template, learn: bool) -> np.ndarray:
    """Return even stiffness, unless the template is that of the density before."""
    if start is None or start.template != template:
        return np.ones(_splines(template).n_cells)
    return _stiffness(_splines(template), start.coefficients) if learn else start.stiffness


def _fit(
    sample: _Sample,
    frame: _Frame,
    start: Density | None = None,
    strength: float | None = None,
    rounds: int = _LONG,
) -> Density:
    """Return the density in a given frame; the strength is learned unless given."""
    low, high = sample.ends
    if low == high:
        return Density.normal().mapped(_ONE_VALUE * abs(low) or 1.0, low)
    learn, frame = strength is None, frame.covering(low, high)
    objective = _objective(sample, frame, _stiffness_after(start, frame.template, learn))
    if strength is None:
        strength = _FIRST_STRENGTH if start is None else start.strength
    return _resolved(objective, _beginning(objective, start), strength, learn, rounds, _LEAST_STRENGTH)


def _resolved(
    objective: _Objective, c: np.ndarray, strength: float, learn: bool, rounds: int, least: float
) -> Density:
    """Return the normalised density, stiffer if spikes are too narrow for the nodes of the fit."""
    density = objective.density(_maximise(objective, c, max(strength, least), learn, rounds, least))
    log_mass = _log_mass(density)
    density = _divided(density, log_mass)
    if abs(log_mass) < _LARGEST_ERROR:
        return density
    if least > _LARGEST_LEAST_STRENGTH:
        return replace(density, converged=False)
    return _resolved(objective, c, strength, learn, rounds, _STIFFER * least)


def fit_smooth(
    codes: np.ndarray,
    weights: np.ndarray,
    n_samples: float,
    start: Density | None = None,
    strength: float | None = None,
    rounds: int = _SHORT,
) -> Density:
    """Return the density without edges.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    start : Density, optional
        Where to begin; a density without edges of nearly the same codes saves most of the time.
    strength : float, optional
        Of the penalty; learned if None.
    rounds : int, default=20
        Most Newton steps.

    Returns
    -------
    Density
    """
    sample = _sample(codes, weights, n_samples)
    if start is None or start.edges:
        frame = _Frame(Line(), sample.mean, sample.spread, 0.0)
    else:
        template = Line() if strength is None else start.template
        frame = _Frame(template, sample.mean, float(np.copysign(sample.spread, start.scale)), 0.0)
    return _fit(sample, frame, start, strength, rounds)


def refit(
    codes: np.ndarray, weights: np.ndarray, n_samples: float, density: Density, frozen: bool
) -> Density:
    """Return the density fitted to codes that have moved a little; edges stay where they are.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    density : Density
        Of the codes before.
    frozen : bool
        Whether strength and stiffness stay as they are.

    Returns
    -------
    Density
    """
    strength = density.strength if frozen else None
    if density.edges:
        return _fit(_sample(codes, weights, n_samples), _frame(density), density, strength, _SHORT)
    return fit_smooth(codes, weights, n_samples, density, strength)


def _frame(density: Density) -> _Frame:
    return _Frame(density.template, density.centre, density.scale, density.blur)


def _with_edges(sample: _Sample, blur: float, start: Density) -> list[Density]:
    """Return the three densities with edges."""
    low, high = sample.ends
    frames = [
        _Frame(HalfLine(), low, sample.mean - low, blur),
        _Frame(HalfLine(), high, sample.mean - high, blur),
        _Frame(Interval(), low, high - low, blur),
    ]
    return [_fit(sample, frame, start) for frame in frames]


def choose(
    codes: np.ndarray, weights: np.ndarray, n_samples: float, blur: float, density: Density | None = None
) -> Density:
    """Return the density of largest evidence, with or without edges.

    An edge costs minus the logarithm of its blur: of where it may be once the samples have been
    seen, relative to where it might have been before.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    blur : float
        Width of edges, relative to the range of the codes or to their mean distance from the edge.
    density : Density, optional
        What to return where there are no edges, in place of a new fit.

    Returns
    -------
    Density
    """
    smooth = fit_smooth(codes, weights, n_samples, rounds=_LONG)
    edged = [d for d in _with_edges(_sample(codes, weights, n_samples), blur, smooth) if d.converged]
    best = max([smooth, *edged], key=lambda d: d.evidence + np.log(blur) * d.edges)
    return density if best is smooth and density is not None else best


def keep(codes: np.ndarray, weights: np.ndarray, n_samples: float, density: Density, blur: float) -> Density:
    """Return the density itself, or one without edges if these are not worth their price.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    density : Density
        Of these codes.
    blur : float
        Width of its edges.

    Returns
    -------
    Density
    """
    if not density.edges:
        return density
    smooth = fit_smooth(codes, weights, n_samples, rounds=_LONG)
    return density if density.evidence + density.edges * np.log(blur) > smooth.evidence else smooth


def fit_density(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> Density:
    """Return the density of codes: edges by evidence, then less stiffness where it bends sharply.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.

    Returns
    -------
    Density
    """
    sample, density = _sample(codes, weights, n_samples), choose(codes, weights, n_samples, 1 / n_samples)
    for _ in range(2):
        density = _fit(sample, _frame(density), density)
    return density
