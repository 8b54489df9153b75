"""Training on signals whose rows are spread over devices: span, coordinates and steps where they lie.

Only sums over signals travel: moments of shape (d, d), products of shape (k, d) and (k, k), and the
coordinates of a sample of the signals, in which training looks for a start.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from sparse_fourier import initialization as start
from sparse_fourier import runtime
from sparse_fourier.collectives import Programs, call, programs_of
from sparse_fourier.corners import cornered
from sparse_fourier.course import Plan, Problem, Stages, stack
from sparse_fourier.densities import Density
from sparse_fourier.faces import width_for_more
from sparse_fourier.objective import Objective, Point
from sparse_fourier.priors.base import Prior
from sparse_fourier.sharding import ShardedSignals
from sparse_fourier.simplices import held, settle_blur
from sparse_fourier.training import Engine, Trained

_MOST_ROWS = 1 << 16
_STEPS_AT_ONCE = 4
_TURNS = 2


@dataclass(frozen=True)
class Spread:
    """Signals whose rows are spread over devices, with weights of sum one that are spread alike."""

    X: Any
    share: Any
    n_samples: float
    exponent: int
    first: np.ndarray

    @classmethod
    def of(cls, signals: ShardedSignals, weights: np.ndarray) -> Spread:
        """Return the signals in a unit in which none exceeds one."""
        X, total = signals.array, float(weights.sum())
        share = programs_of(X.sharding).placed(weights / total)
        lowest, highest, _ = signals.extent
        exponent = start.exponent_of(max(abs(lowest), abs(highest)))
        return cls(X, share, total, exponent, signals.first)

    @property
    def _run(self) -> Programs:
        return programs_of(self.X.sharding)

    @property
    def _factor(self) -> np.float64:
        return np.ldexp(1.0, -self.exponent)

    def span(self, resolution: float, *, centred: bool) -> start.Span:
        """Return the principal subspaces, as `principal_span` does."""
        rows, factor = (self.X, self.share), self._factor
        shift = self.first.astype(float) * factor
        average = shift + call(self._run.average, rows, factor, shift)
        covariance = call(self._run.covariance, rows, factor, average * centred)

        def refine(mean: np.ndarray, axes: np.ndarray, sizes: np.ndarray) -> start.Refinement:
            return call(self._run.refinement, rows, factor, mean, axes, sizes)

        return start.span_of_moments(
            average, covariance, refine, self.X.shape, self.n_samples, resolution, centred=centred
        )

    def onto(self, span: start.Span, rank: int, surplus: int) -> Whole:
        """Return the signals in whitened coordinates along the strongest axes, then `surplus` ones."""
        axes, sizes = span.axes[:rank], span.deviations[:rank]
        about = self._factor, span.mean
        whitened, squares = call(self._run.coordinates, (self.X,), *about, axes, sizes, np.ones(surplus))
        rows = self.X, whitened, squares, self.share
        average, second, square, cross = call(self._run.sums, rows, *about)
        parts = whitened, squares, self.share, self.n_samples, cross[:rank]
        return Whole(self._run, *parts, average, second, float(square))


class Sample(NamedTuple):
    """Some of the signals: coordinates (m, r), squared distances from the span (m,) and weights (m,)."""

    whitened: np.ndarray
    squares: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Whole:
    """All signals in whitened coordinates, on their devices.

    Attributes
    ----------
    whitened : jax.Array of shape (n, r)
    squares : jax.Array of shape (n,)
        Squared distances from the span.
    share : jax.Array of shape (n,)
        Weights of sum one.
    n_samples : float
    cross : array of shape (r, d)
        Covariance of coordinates and features; without the ones at the end.
    average : array of shape (r,)
    second : array of shape (r, r)
        Second moments of the coordinates.
    mean_square : float
        Of `squares`.
    """

    _run: Programs
    whitened: Any
    squares: Any
    share: Any
    n_samples: float
    cross: np.ndarray
    average: np.ndarray
    second: np.ndarray
    mean_square: float

    def sample(self) -> Sample:
        """Return all signals, or of many a sample with the same moments."""
        return self._like_all(self.some) if self.sampled else self.some

    @functools.cached_property
    def some(self) -> Sample:
        """All signals, or of many a sample: drawn evenly, and alike in all processes."""
        n = len(self.share)
        draws = (np.arange(_MOST_ROWS) + _jitter()) * (n / _MOST_ROWS) if self.sampled else np.arange(n)
        rows = draws.astype(np.int64)
        whitened, squares, share = call(self._run.taken, self.whitened, self.squares, self.share, rows)
        seen = share > 0
        return Sample(whitened[seen], squares[seen], share[seen] * (self.n_samples / share.sum()))

    def _like_all(self, rows: Sample) -> Sample:
        """Return rows with the first and second moments of all."""
        share = rows.weights / self.n_samples
        middle = share @ rows.whitened
        centred = rows.whitened - middle
        here = np.linalg.cholesky((centred * share[:, None]).T @ centred + _constant(middle, self.second))
        there = np.linalg.cholesky(
            self.second - np.outer(self.average, self.average) + _constant(middle, self.second)
        )
        moved = solve_triangular(here, centred.T, lower=True).T @ there.T + self.average
        return Sample(moved, rows.squares * (self.mean_square / (share @ rows.squares or 1.0)), rows.weights)

    @property
    def sampled(self) -> bool:
        """Whether `sample` leaves signals out."""
        return len(self.share) > _MOST_ROWS

    def searched(self, problem: Problem) -> Problem:
        """Return the problem of the sample: densities are learned from no more signals than are looked at.

        Else what lies beyond the extremes of the sample would be taken for missing, and tails for edges.
        """
        if not (self.sampled and problem.prior.learns):
            return problem
        return replace(problem, n_samples=problem.n_samples * _MOST_ROWS / len(self.share))

    def polished(self, problem: Problem, plan: Plan, trained: Trained) -> Trained:
        """Return the outcome of training on all signals, from that on a sample."""
        if not self.sampled or trained.stopped or not problem.prior.identifies_basis:
            return trained
        if problem.prior.learns:
            return self._with_densities(problem, plan, trained)
        if problem.prior.domain.surplus:
            stages = _StagesOnDevices(self, held(problem), plan, trained)
            return settle_blur(problem, stages, trained, seen_all=False)
        stages = _StagesOnDevices(self, problem, plan, trained).with_floor(trained.floor)
        width = width_for_more(problem, trained.point, _MOST_ROWS)
        found = stages.stage(stack(trained.point), width, np.zeros(0))._replace(floor=trained.floor)
        return cornered(problem, stages, found)

    def _with_densities(self, problem: Problem, plan: Plan, trained: Trained) -> Trained:
        """Return the basis that all signals ask for, by turns with densities that follow it in the sample.

        What so many signals leave open of a density matters to the basis in second order alone. The sample is
        now taken as it is: made to have the moments of all it would have other edges.
        """
        prior: Any = trained.prior or problem.prior
        floor = trained.floor
        k, nothing = len(problem.noise), np.zeros_like(problem.noise)
        for turn in range(_TURNS):
            still = replace(problem, prior=prior.traced(k), noise=nothing, floor=np.zeros(k))
            stages = _StagesOnDevices(self, still, plan, trained)
            width = 0.0 if turn else _width_of_edges(prior.densities)
            trained = stages.stage(stack(trained.point), width, np.zeros(0))
            codes, share = trained.point.encode(self.some.whitened), self.some.weights / self.n_samples
            prior = prior.refitted(codes, share * problem.n_samples, problem.n_samples)
            if stages.over(trained):
                break
        return trained._replace(prior=prior, floor=floor)

    def objective(self, problem: Problem) -> Objective:
        """Return the objective of all signals."""
        with runtime.settings():
            return problem.objective_of(self.whitened[None], self.share[None])

    def of_all(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return a function of all signals and their weights, which lies whole on every device."""
        return call(self._run.of(function), self.whitened, self.share, *arguments)

    def engine(self, objective: Objective, starts: Point) -> Engine:
        """Return what trains on devices, in step in all processes: so many steps at a time, not so long."""
        runtime.register(objective)
        kinds = type(objective), type(objective.prior)
        signature = (starts.unmixing.shape, objective.rows.shape, kinds)
        return Engine(
            functools.partial(self._run.advance, signature), _STEPS_AT_ONCE, lambda steps, seconds: steps
        )

    def mean_log_prior(self, prior: Prior, codes: Point, variances: np.ndarray) -> float:
        """Return the mean log-density of the codes of all signals."""
        return float(
            call(
                self._run.mean_log_prior,
                *(prior, self.whitened, self.share, codes.unmixing, codes.offset, variances[None]),
            )
        )


class _StagesOnDevices(Stages):
    """Stages that always look at all signals."""

    def __init__(self, whole: Whole, problem: Problem, plan: Plan, before: Trained) -> None:
        super().__init__(problem, plan)
        self._whole = whole
        self._curve, self._rival = before.curve, before.rival

    def stage(self, starts: Point, width: float, rows: np.ndarray, most: int | None = None) -> Trained:
        """Train on all signals."""
        objective = self._whole.objective(self._problem)
        engine = self._whole.engine(objective, starts)
        return self._trained(objective, starts, width, most=most, engine=engine)

    def of_all(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return a function of the coordinates of all signals, of their weights and of what else it takes."""
        return self._whole.of_all(function, *arguments)


def _width_of_edges(densities: tuple[Density, ...]) -> float:
    """Return how wide edges have to be for more signals than the sample, some of which stick out."""
    k = len(densities)
    reach = [
        abs(each.scale) * (3 * (k + 1) / _MOST_ROWS + 4 * np.sqrt(each.blur / _MOST_ROWS))
        for each in densities
        if each.edges
    ]
    return max(reach, default=0.0)


def _jitter() -> np.ndarray:
    return np.random.RandomState(0).uniform(size=_MOST_ROWS)


def _constant(middle: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return what makes a covariance definite where a coordinate is constant: one."""
    constant = np.isclose(np.diagonal(second), middle**2, rtol=1e-12)
    return np.diag(constant.astype(float))
