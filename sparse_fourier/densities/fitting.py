"""The penalised fit of a density in a given frame, and of how smooth it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, lapack

from sparse_fourier.densities.density import LARGEST_STRENGTH, TINY, Density, divided, log_mass
from sparse_fourier.densities.splines import (
    PAIRS,
    Rule,
    Splines,
    log_walls,
    powers_of,
    products_of_pairs,
    rule_of,
    splines_of,
)
from sparse_fourier.densities.templates import STEP, Template

_FIRST_STRENGTH = 300.0
_LEAST_STRENGTH = 1e-2
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
SHORT, LONG = 20, 100  # most Newton steps, and where evidences are compared
_HIGHEST = 300.0  # of f in a Newton step that goes too far
_DEEPEST = 700.0  # fall of f at the start of a fit
_ONE_VALUE = 1e-8  # relative width of the density of codes that are all the same


@dataclass(frozen=True, eq=False)
class Sample:
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


def sample_of(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> Sample:
    """Return the codes whose weights are not lost in rounding."""
    present = weights > np.finfo(float).eps / len(weights) * weights.max()
    if present.all():
        return Sample(codes, weights, n_samples)
    return Sample(codes[present], weights[present], n_samples)


class Frame(NamedTuple):
    """Where a density is to be fitted; fields as those of `Density`."""

    template: Template
    centre: float
    scale: float
    blur: float

    def covering(self, low: float, high: float) -> Frame:
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

    sample: Sample
    frame: Frame
    splines: Splines
    rule: Rule
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
        ratio = max(len(point.third) - penalised, 1e-3) / max(strength * square, TINY)
        return float(strength * np.clip(ratio, 1e-2, 1e2) ** 1.5)

    @cached_property
    def spread(self) -> float:
        """Standard deviation of t."""
        return max(self.sample.spread / abs(self.frame.scale), 1e-6)

    @property
    def largest_strength(self) -> float:
        """The largest strength, the same for all templates in units of the code."""
        cell = self.frame.template.cell_width / self.spread
        return LARGEST_STRENGTH * self.sample.n_samples * (STEP / cell) ** 5

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


def objective_of(sample: Sample, frame: Frame, stiffness: np.ndarray) -> _Objective:
    """Return the penalised log-likelihood of coefficients in a frame."""
    splines = splines_of(frame.template)
    t = (sample.codes - frame.centre) / frame.scale
    cell, u, beyond = splines.locate(t)
    sums = [np.bincount(cell, sample.weights * power, splines.n_cells) for power in powers_of(u, beyond)]
    data = splines.spread(np.einsum("apc,pc->ac", splines.basis, sums))
    walls = float(sample.weights @ log_walls(t, frame.template.walls(frame.blur)))
    rough = splines.rough * np.sqrt(stiffness)
    places = np.stack([splines.columns[a] + d * len(data) for a, d in PAIRS])
    penalty = np.bincount(places.ravel(), products_of_pairs(rough).ravel(), 4 * len(data)).reshape(4, -1)
    rule = rule_of(frame.template, frame.blur)
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


def _stiffness(splines: Splines, c: np.ndarray) -> np.ndarray:
    """Return the penalty of each cell relative to the mean: less where f has been found to bend sharply."""
    square = (splines.rough * c[splines.columns]).sum(axis=0) ** 2
    kernel = np.hanning(_BEND)
    local = np.convolve(square, kernel, "same") / np.convolve(np.ones_like(square), kernel, "same")
    return (1 + _FLOOR) / (local / max(local.mean(), TINY) + _FLOOR)


def _continued(start: Density, frame: Frame) -> np.ndarray:
    """Return coefficients near those of a density that has another template."""
    codes = frame.centre + frame.scale * splines_of(frame.template).monomials[1]
    values = start.log_density(codes) + np.log(abs(frame.scale))
    return np.maximum(values, values.max() - _DEEPEST)


def _beginning(objective: _Objective, start: Density | None) -> np.ndarray:
    if start is None:
        return _rough_guess(objective)
    if start.template == objective.frame.template:
        return start.coefficients
    return _continued(start, objective.frame)


def _stiffness_after(start: Density | None, template: Template, learn: bool) -> np.ndarray:
    """Return that of the density before, even where there are cells that it had not.

    Without that, a density would change in shape when a sample comes where there was none, and a search for
    better codes end there.
    """
    stiffness, n_cells = np.ones(splines_of(template).n_cells), splines_of(template).n_cells
    if start is None or type(start.template) is not type(template):
        return stiffness
    own = _stiffness(splines_of(start.template), start.coefficients) if learn else start.stiffness
    place = np.arange(n_cells) + template.first - start.template.first
    common = (place >= 0) & (place < len(own))
    stiffness[common] = own[place[common]]
    return stiffness


def fit_in_frame(
    sample: Sample,
    frame: Frame,
    start: Density | None = None,
    strength: float | None = None,
    rounds: int = LONG,
) -> Density:
    """Return the density in a given frame; the strength is learned unless given."""
    low, high = sample.ends
    if low == high:
        return Density.normal().mapped(_ONE_VALUE * abs(low) or 1.0, low)
    learn, frame = strength is None, frame.covering(low, high)
    objective = objective_of(sample, frame, _stiffness_after(start, frame.template, learn))
    if strength is None:
        strength = _FIRST_STRENGTH if start is None else start.strength
    return _resolved(objective, _beginning(objective, start), strength, learn, rounds, _LEAST_STRENGTH)


def _resolved(
    objective: _Objective, c: np.ndarray, strength: float, learn: bool, rounds: int, least: float
) -> Density:
    """Return the normalised density, stiffer if spikes are too narrow for the nodes of the fit."""
    density = objective.density(_maximise(objective, c, max(strength, least), learn, rounds, least))
    error = log_mass(density)
    density = divided(density, error)
    if abs(error) < _LARGEST_ERROR:
        return density
    if least > _LARGEST_LEAST_STRENGTH:
        return replace(density, converged=False)
    return _resolved(objective, c, strength, learn, rounds, _STIFFER * least)
