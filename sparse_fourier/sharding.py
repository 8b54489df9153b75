"""Signals whose rows are spread over devices, or over processes: what is learned of them where they lie.

Only sums over signals travel: moments of shape (d, d), products of shape (k, d) and (k, k), and the coordinates
of a sample of the signals, in which training looks for a start.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from sparse_fourier import initialization as start
from sparse_fourier import runtime
from sparse_fourier.course import Plan, Problem, Stages, stack
from sparse_fourier.faces import width_for_more
from sparse_fourier.namespace import Array
from sparse_fourier.objective import Objective, Point
from sparse_fourier.priors.base import Prior
from sparse_fourier.runtime import Program
from sparse_fourier.simplices import held, settle_blur
from sparse_fourier.training import Engine, Trained, advance

_MOST_ROWS = 1 << 16
_ROUNDS = 5
_STEPS_AT_ONCE = 4


class Moments(NamedTuple):
    """The average of signals, and their covariance about what is subtracted."""

    average: Array
    covariance: Array


def _in_unit(X: Array, factor: Array) -> Array:
    import jax.numpy as jnp

    return X.astype(jnp.float64) * factor


def _extent(X: Array) -> tuple[Array, Array, Array]:
    import jax.numpy as jnp

    return X.min(), X.max(), jnp.isnan(X).any()


def _moments(X: Array, share: Array, factor: Array, centred: Array) -> Moments:
    data = _in_unit(X, factor)
    average = data[0] + share @ (data - data[0])
    about = data - average * centred
    return Moments(average, about.T @ (about * share[:, None]))


def _refinement(X: Array, share: Array, factor: Array, mean: Array, axes: Array, sizes: Array
) -> start.Refinement:
    data = _in_unit(X, factor) - mean
    coordinates = data @ axes.T / sizes
    weighted = coordinates * share[:, None]
    left = data - (coordinates * sizes) @ axes
    return start.Refinement(weighted.T @ coordinates, weighted.T @ data, left.T @ (left * share[:, None]))


def _coordinates(
    X: Array, share: Array, factor: Array, mean: Array, axes: Array, sizes: Array, constants: Array
) -> tuple[Array, Array, Array]:
    import jax.numpy as jnp

    data = _in_unit(X, factor) - mean
    found = data @ axes.T
    left = data - found @ axes
    whitened = found / sizes
    ones = jnp.broadcast_to(constants, (len(data), len(constants)))
    cross = (whitened * share[:, None]).T @ data
    return jnp.concatenate([whitened, ones], axis=1), (left * left).sum(axis=1), cross


def _sums(whitened: Array, squares: Array, share: Array) -> tuple[Array, Array, Array]:
    weighted = whitened * share[:, None]
    return weighted.sum(axis=0), weighted.T @ whitened, share @ squares


def _taken(whitened: Array, squares: Array, share: Array, rows: Array) -> tuple[Array, Array, Array]:
    return whitened[rows], squares[rows], share[rows]


def _mean_log_prior(
    prior: Any, whitened: Array, share: Array, unmixing: Array, offset: Array, variances: Array
) -> Array:
    import jax.numpy as jnp

    log_prior = prior.log_observed(whitened @ unmixing.T + offset, variances)
    return share @ jnp.where(share > 0, log_prior, 0.0)


class _Programs:
    """The programs for one layout of rows over devices; what they bring back lies whole on every device."""

    def __init__(self, layout: Any) -> None:
        from jax.sharding import NamedSharding, PartitionSpec

        axis = layout.spec[0] if len(layout.spec) else None
        everywhere = NamedSharding(layout.mesh, PartitionSpec())
        self.rows = NamedSharding(layout.mesh, PartitionSpec(axis))
        bring = functools.partial(Program, out_shardings=everywhere)
        self.extent, self.moments, self.refinement = bring(_extent), bring(_moments), bring(_refinement)
        self.sums, self.taken, self.mean_log_prior = bring(_sums), bring(_taken), bring(_mean_log_prior)
        self.advance = bring(advance)
        self.coordinates = Program(
            _coordinates, out_shardings=(self.rows, self.rows, everywhere), stays=True
        )


@functools.lru_cache(maxsize=8)
def _programs(layout: Any) -> _Programs:
    return _Programs(layout)


def _call(program: Program, *arguments: Any) -> Any:
    return program(runtime.signature(*arguments), *arguments)


class ShardedSignals:
    """Signals in a JAX array whose rows are spread over devices."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape = array, tuple(array.shape)
        self.dtype = np.dtype(array.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @functools.cached_property
    def extent(self) -> tuple[float, float, bool]:
        lowest, highest, incomplete = _call(_programs(self.array.sharding).extent, self.array)
        return float(lowest), float(highest), not bool(incomplete)


@dataclass(frozen=True)
class Spread:
    """Signals whose rows are spread over devices, with weights of sum one that are spread alike."""

    X: Any
    share: Any
    n_samples: float
    exponent: int

    @classmethod
    def of(cls, X: Any, weights: np.ndarray, exponent: int) -> Spread:
        """Return the signals in units of 2**exponent."""
        import jax

        total, rows = float(weights.sum()), _programs(X.sharding).rows
        with runtime.settings():
            share = jax.make_array_from_callback(weights.shape, rows, lambda part: weights[part] / total)
        return cls(X, share, total, exponent)

    @property
    def _run(self) -> _Programs:
        return _programs(self.X.sharding)

    @property
    def _factor(self) -> np.float64:
        return np.ldexp(1.0, -self.exponent)

    def span(self, resolution: float, *, centred: bool) -> start.Span:
        """Return the principal subspaces, as `principal_span` does."""
        about = self.X, self.share, self._factor
        average, covariance = _call(self._run.moments, *about, np.float64(centred))

        def refine(mean: np.ndarray, axes: np.ndarray, sizes: np.ndarray) -> start.Refinement:
            return _call(self._run.refinement, *about, mean, axes, sizes)

        return start.span_of_moments(
            average, covariance, refine, self.X.shape, self.n_samples, resolution, centred=centred
        )

    def onto(self, span: start.Span, rank: int, surplus: int) -> Whole:
        """Return the signals in whitened coordinates along the strongest axes, with `surplus` ones at the end."""
        whitened, squares, cross = _call(
            self._run.coordinates,
            *(self.X, self.share, self._factor, span.mean, span.axes[:rank], span.deviations[:rank]),
            np.ones(surplus),
        )
        average, second, square = _call(self._run.sums, whitened, squares, self.share)
        parts = whitened, squares, self.share, self.n_samples, np.array(cross)
        return Whole(self._run, *parts, average, second, float(square))


class Rows(NamedTuple):
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

    _run: _Programs
    whitened: Any
    squares: Any
    share: Any
    n_samples: float
    cross: np.ndarray
    average: np.ndarray
    second: np.ndarray
    mean_square: float

    def sample(self) -> Rows:
        """Return all signals, or of many a sample with the same moments.

        Signals are drawn evenly, and alike in all processes.
        """
        n = len(self.share)
        few = n <= _MOST_ROWS
        draws = np.arange(n) if few else (np.arange(_MOST_ROWS) + _jitter()) * (n / _MOST_ROWS)
        rows = draws.astype(np.int64)
        whitened, squares, share = _call(self._run.taken, self.whitened, self.squares, self.share, rows)
        seen = share > 0
        rows = Rows(whitened[seen], squares[seen], share[seen] * (self.n_samples / share.sum()))
        return rows if few else self._like_all(rows)

    def _like_all(self, rows: Rows) -> Rows:
        """Return rows with the first and second moments of all."""
        share = rows.weights / self.n_samples
        middle = share @ rows.whitened
        centred = rows.whitened - middle
        here = np.linalg.cholesky((centred * share[:, None]).T @ centred + _constant(middle, self.second))
        there = np.linalg.cholesky(
            self.second - np.outer(self.average, self.average) + _constant(middle, self.second)
        )
        moved = solve_triangular(here, centred.T, lower=True).T @ there.T + self.average
        return Rows(moved, rows.squares * (self.mean_square / (share @ rows.squares or 1.0)), rows.weights)

    @property
    def sampled(self) -> bool:
        """Whether `sample` leaves signals out."""
        return len(self.share) > _MOST_ROWS

    def polished(self, problem: Problem, plan: Plan, trained: Trained) -> Trained:
        """Return the outcome of training on all signals, from that on a sample.

        A prior that is no function of JAX's arrays stays as it was learned from the sample.
        """
        if not self.sampled or problem.prior.learns or trained.stopped or not problem.prior.identifies_basis:
            return trained
        if problem.prior.domain.surplus:
            stages = _StagesOnDevices(self, held(problem), plan, trained)
            return settle_blur(problem, stages, trained, seen_all=False)
        stages = _StagesOnDevices(self, problem, plan, trained).with_floor(trained.floor)
        width = width_for_more(problem, trained.point, _MOST_ROWS)
        return stages.stage(stack(trained.point), width, np.zeros(0))._replace(floor=trained.floor)

    def objective(self, problem: Problem) -> Objective:
        """Return the objective of all signals."""
        with runtime.settings():
            return problem.objective_of(self.whitened[None], self.share[None])

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
            _call(
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


def _jitter() -> np.ndarray:
    return np.random.RandomState(0).uniform(size=_MOST_ROWS)


def _constant(middle: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return what makes a covariance definite where a coordinate is constant: one."""
    constant = np.isclose(np.diagonal(second), middle**2, rtol=1e-12)
    return np.diag(constant.astype(float))
