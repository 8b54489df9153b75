"""A learned density: its values, slopes, moments and quantiles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sparse_fourier.densities.splines import fine_nodes_of, log_walls, splines_of, values_at, wall_slopes
from sparse_fourier.densities.templates import TEMPLATES, Line, Template
from sparse_fourier.namespace import LOG_SQRT_2PI

_NORMAL_CELLS = 75  # on either side: to 42 standard deviations
LARGEST_STRENGTH = 40.0  # times n, for cells of a tenth of a standard deviation
_FARTHEST = 1e100  # t beyond are taken for it, so that squares stay finite
_LARGEST = float(np.finfo(float).max)
TINY = float(np.finfo(float).tiny)


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
        splines = splines_of(template)
        c = -0.5 * splines.monomials[2] - LOG_SQRT_2PI
        stiffness, likelihood = np.ones(splines.n_cells), -LOG_SQRT_2PI - 0.5
        fitted = stiffness, LARGEST_STRENGTH, 1.0, likelihood, 0.0, likelihood, True
        return cls(template, 0.0, 1.0, 0.0, c, splines.polynomials(c), *fitted)

    @property
    def state(self) -> dict[str, Any]:
        """All of it in numbers, arrays and the name of the template."""
        template = self.template
        where = {"name": type(template).__name__, "first": template.first, "last": template.last}
        return {**vars(self), "template": where}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Density:
        """Return the density of a state; numbers may have become arrays without dimensions."""
        where = state["template"]
        template = TEMPLATES[where["name"]](int(where["first"]), int(where["last"]))
        parts = {name: value[()] if isinstance(value, np.ndarray) else value for name, value in state.items()}
        return cls(**{**parts, "template": template})

    @property
    def edges(self) -> int:
        """Number of hard ends."""
        return self.template.n_edges

    @property
    def ends(self) -> list[tuple[float, float]]:
        """Places of the hard ends, and the direction in which the density goes on: plus for larger codes."""
        walls = self.template.walls(self.blur)[: self.edges]
        sign = float(np.sign(self.scale))
        return [(self.centre + self.scale * wall.place, sign * wall.sign) for wall in walls]

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
        splines = splines_of(self.template)
        cell, u, beyond = splines.locate(t)
        width, (c0, c1, c2, c3) = splines.widths.take(cell), self.polynomials.take(cell, axis=1)
        slope = c1 + u * (2 * c2 + 3 * c3 * u)
        bend = np.where(np.abs(beyond) > 1e-9, 0.0, 2 * c2 + 6 * c3 * u)
        log_p = c0 + u * (c1 + u * (c2 + c3 * u)) + slope * beyond + log_walls(t, walls)
        first, second = wall_slopes(t, walls)
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
        cell, u, beyond = splines_of(self.template).locate(t)
        c0, c1, c2, c3 = self.polynomials.take(cell, axis=1)
        value = c0 + u * (c1 + u * (c2 + c3 * u)) + (c1 + u * (2 * c2 + 3 * c3 * u)) * beyond
        return value + log_walls(t, self.template.walls(self.blur))

    def _masses(self) -> np.ndarray:
        """Return the probability at each node of the fine quadrature."""
        nodes = fine_nodes_of(self.template, self.blur)
        return nodes.weights * np.exp(values_at(nodes, self.polynomials))

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance."""
        masses, t = self._masses(), fine_nodes_of(self.template, self.blur).t
        mean = float(masses @ t)
        variance = float(masses @ (t - mean) ** 2)
        return self.centre + self.scale * mean, self.scale * self.scale * variance

    def masses_beyond(self, low: float, high: float) -> tuple[float, float]:
        """Return the probabilities below and above two codes, about."""
        masses, t = self._masses(), fine_nodes_of(self.template, self.blur).t
        codes = self.centre + self.scale * t
        return float(masses[codes < low].sum()), float(masses[codes > high].sum())

    @property
    def mass_at_ends(self) -> float:
        """The larger of the probabilities within a blur of each hard end, about; zero where there is none."""
        masses, t = self._masses(), fine_nodes_of(self.template, self.blur).t
        walls = self.template.walls(self.blur)[: self.edges]
        return max((float(masses[np.abs(t - wall.place) < wall.width].sum()) for wall in walls), default=0.0)

    @property
    def peak(self) -> tuple[float, float]:
        """The likeliest code, about, and minus the curvature of the log-density there."""
        nodes = fine_nodes_of(self.template, self.blur)
        t = float(nodes.t[np.argmax(values_at(nodes, self.polynomials))])
        code = self.centre + self.scale * t
        return code, -float(self.derivatives(np.array([code]))[2][0])

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
        t = _quantiles(self, np.maximum(below, TINY), np.maximum(above, TINY))
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
        return divided(density, log_mass(density))


def log_mass(density: Density) -> float:
    """Return the logarithm of the integral."""
    nodes = fine_nodes_of(density.template, density.blur)
    f = values_at(nodes, density.polynomials)
    return float(np.log(nodes.weights @ np.exp(f - f.max())) + f.max())


def divided(density: Density, log_mass: float) -> Density:
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
    breaks = fine_nodes_of(density.template, density.blur).breaks
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
    t = left + (right - left) * np.log1p(wanted / np.maximum(mass, TINY) * np.expm1(rise)) / rise
    least = 1e-3 * mass / (right - left) + TINY
    for _ in range(2):
        nodes = left + (t - left) * (x[:, None] + 1) / 2
        p = np.exp(density._log_density_of(nodes.ravel())).reshape(nodes.shape)
        found = (t - left) / 2 * (weights @ p)
        t = t - (found - wanted) / np.maximum(np.exp(density._log_density_of(t)), least)
        t = np.clip(t, left, right)
    return t
