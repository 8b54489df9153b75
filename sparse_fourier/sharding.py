"""Signals whose rows are spread over devices, or over processes: what is learned of them where they lie.

Only sums over signals travel: moments of shape (d, d), products of shape (k, d) and (k, k), and the
coordinates of a sample of the signals, in which training looks for a start.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from sparse_fourier import initialization as start
from sparse_fourier import runtime
from sparse_fourier.checkpoints import Processes
from sparse_fourier.course import Plan, Problem, Stages, stack
from sparse_fourier.faces import width_for_more
from sparse_fourier.namespace import Array
from sparse_fourier.objective import Objective, Point
from sparse_fourier.priors.base import Prior
from sparse_fourier.runtime import Program
from sparse_fourier.signals import Extent, Signals
from sparse_fourier.simplices import held, settle_blur
from sparse_fourier.training import Engine, Trained, advance

_MOST_ROWS = 1 << 16
_BLOCK_ENTRIES = 1 << 20
_STEPS_AT_ONCE = 4
_MOST_NAMES = 8


class _Programs:
    """The programs for one layout of rows over devices; what they bring back lies whole on every device.

    Sums go through the rows of a device a block at a time and are then added up over devices.
    """

    def __init__(self, layout: Any) -> None:
        from jax.sharding import NamedSharding, PartitionSpec

        self._mesh, self._axes = layout.mesh, layout.spec[0]
        everywhere, self.rows = (
            NamedSharding(layout.mesh, PartitionSpec(*part)) for part in ((), (self._axes,))
        )
        bring = functools.partial(Program, out_shardings=everywhere)
        self.extent = bring(_extent)
        self.average = bring(functools.partial(self._summed, _average_of_block))
        self.covariance = bring(functools.partial(self._summed, _covariance_of_block))
        self.refinement = bring(functools.partial(self._summed, _refinement_of_block))
        self.sums, self.taken = bring(functools.partial(self._summed, _sums_of_block)), bring(_taken)
        self.mean_log_prior = bring(_mean_log_prior)
        self.advance = bring(advance)
        self.coordinates = Program(self._coordinates, out_shardings=self.rows, stays=True)

    def _summed(self, function: Callable[..., Any], arrays: tuple[Array, ...], *rest: Array) -> Any:
        """Return the sum of a function of blocks of rows, of arrays that are spread over devices."""
        import jax

        def here(arrays: tuple[Array, ...], *rest: Array) -> Any:
            total = _sum_over_blocks(lambda *blocks: function(*blocks, *rest), arrays)
            return jax.tree_util.tree_map(lambda part: jax.lax.psum(part, self._axes), total)

        return self._mapped(here, len(rest), spread=False)(arrays, *rest)

    def _coordinates(self, arrays: tuple[Array, ...], *rest: Array) -> Any:
        def here(arrays: tuple[Array, ...], *rest: Array) -> Any:
            return _joined_blocks(lambda block: _coordinates_of_block(block, *rest), *arrays)

        return self._mapped(here, len(rest), spread=True)(arrays, *rest)

    def _mapped(self, function: Callable[..., Any], n_rest: int, *, spread: bool) -> Callable[..., Any]:
        """Return a function that every device calls with its rows."""
        import jax
        from jax.sharding import PartitionSpec

        rows, all_alike = PartitionSpec(self._axes), PartitionSpec()
        return jax.shard_map(
            function,
            mesh=self._mesh,
            in_specs=(rows, *[all_alike] * n_rest),
            out_specs=rows if spread else all_alike,
        )


def _blocks(n_rows: int, n_columns: int) -> tuple[int, int]:
    """Return the number of rows in a block, and how many whole blocks there are."""
    size = max(min(n_rows, _BLOCK_ENTRIES // max(n_columns, 1)), 1)
    return size, n_rows // size


def _sum_over_blocks(function: Callable[..., Any], arrays: tuple[Array, ...]) -> Any:
    import jax

    size, count = _blocks(*arrays[0].shape)

    def add(index: Array, total: Any) -> Any:
        blocks = [jax.lax.dynamic_slice_in_dim(array, index * size, size) for array in arrays]
        return jax.tree_util.tree_map(lambda one, other: one + other, total, function(*blocks))

    return jax.lax.fori_loop(0, count, add, function(*(array[count * size :] for array in arrays)))


def _joined_blocks(function: Callable[..., Any], array: Array) -> Any:
    import jax
    import jax.numpy as jnp

    size, count = _blocks(*array.shape)
    whole = array[: count * size].reshape(count, size, array.shape[1])
    parts = jax.lax.map(function, whole), function(array[count * size :])
    return jax.tree_util.tree_map(
        lambda blocks, rest: jnp.concatenate([blocks.reshape(count * size, *rest.shape[1:]), rest]), *parts
    )


def _in_unit(X: Array, factor: Array) -> Array:
    return X.astype(factor.dtype) * factor


def _extent(X: Array) -> tuple[Array, Array, Array, Array]:
    import jax.numpy as jnp

    return X.min(), X.max(), jnp.isnan(X).any(), X[0]


def _average_of_block(X: Array, share: Array, factor: Array, shift: Array) -> Array:
    return share @ (_in_unit(X, factor) - shift)


def _covariance_of_block(X: Array, share: Array, factor: Array, mean: Array) -> Array:
    about = _in_unit(X, factor) - mean
    return about.T @ (about * share[:, None])


def _refinement_of_block(
    X: Array, share: Array, factor: Array, mean: Array, axes: Array, sizes: Array
) -> start.Refinement:
    data = _in_unit(X, factor) - mean
    coordinates = data @ axes.T / sizes
    weighted = coordinates * share[:, None]
    left = data - (coordinates * sizes) @ axes
    return start.Refinement(weighted.T @ coordinates, weighted.T @ data, left.T @ (left * share[:, None]))


def _coordinates_of_block(
    X: Array, factor: Array, mean: Array, axes: Array, sizes: Array, ones: Array
) -> tuple[Array, Array]:
    import jax.numpy as jnp

    data = _in_unit(X, factor) - mean
    found = data @ axes.T
    left = data - found @ axes
    ones = jnp.broadcast_to(ones, (len(X), len(ones)))
    return jnp.concatenate([found / sizes, ones], axis=1), (left * left).sum(axis=1)


def _sums_of_block(
    X: Array, whitened: Array, squares: Array, share: Array, factor: Array, mean: Array
) -> tuple[Array, Array, Array, Array]:
    weighted = whitened * share[:, None]
    cross = weighted.T @ (_in_unit(X, factor) - mean)
    return weighted.sum(axis=0), weighted.T @ whitened, share @ squares, cross


def _taken(whitened: Array, squares: Array, share: Array, rows: Array) -> tuple[Array, Array, Array]:
    return whitened[rows], squares[rows], share[rows]


def _mean_log_prior(
    prior: Any, whitened: Array, share: Array, unmixing: Array, offset: Array, variances: Array
) -> Array:
    import jax.numpy as jnp

    log_prior = prior.log_observed(whitened @ unmixing.T + offset, variances)
    return share @ jnp.where(share > 0, log_prior, 0.0)


@functools.lru_cache(maxsize=8)
def _programs(layout: Any) -> _Programs:
    return _Programs(layout)


def _call(program: Program, *arguments: Any) -> Any:
    return program(runtime.signature(*arguments), *arguments)


class ShardedSignals(Signals):
    """Signals in a JAX array whose rows are spread over devices.

    Parameters
    ----------
    array : jax.Array of shape (n, d)
        Of single or double precision.

    Raises
    ------
    RuntimeError
        If the array is spread in another way.
    TypeError
        If it holds other numbers.
    """

    drops_rows: ClassVar[bool] = False

    def __init__(self, array: Any) -> None:
        from jax.sharding import NamedSharding

        layout = array.sharding
        if not isinstance(layout, NamedSharding) or any(layout.spec[1:]) or not any(layout.spec[:1]):
            raise RuntimeError(
                "A jax.Array on several devices must be spread by its rows, with a NamedSharding of "
                f"PartitionSpec(axis). Got {layout} on {_named(layout.device_set)} instead; use "
                "jax.device_put, or np.asarray(X)."
            )
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"A jax.Array on several devices must be of float32 or float64. Got {array.dtype} instead; "
                "use X.astype."
            )
        self.array, self.shape, self.dtype = array, tuple(array.shape), np.dtype(array.dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some rows as an array."""
        if not self.array.is_fully_addressable:
            raise TypeError(
                "Signals of other processes cannot be read here. Call this method with the rows of this "
                "process."
            )
        with runtime.settings():
            return np.array(self.array[rows])

    def taken(self, rows: np.ndarray) -> ShardedSignals:
        """Refuse to leave rows out, which lie where they are."""
        raise TypeError(f"Rows of signals on {len(self.array.sharding.device_set)} devices stay together.")

    def whole(self, purpose: str) -> np.ndarray:
        """Refuse to gather the signals."""
        raise TypeError(
            f"Signals that are spread over devices cannot be used with {purpose}, which needs all of them in "
            "one place. Use np.asarray(X) if that fits into memory."
        )

    def contents(self) -> Iterator[np.ndarray]:
        """Yield the rows on the devices of this process."""
        return (np.asarray(shard.data) for shard in self.array.addressable_shards)

    @property
    def processes(self) -> Processes | None:
        """The processes that hold the signals, if there are several."""
        import jax

        return None if self.array.is_fully_addressable else Processes(jax.process_index() == 0, _tell_all)

    @functools.cached_property
    def _seen(self) -> tuple[np.ndarray, ...]:
        return _call(_programs(self.array.sharding).extent, self.array)

    @functools.cached_property
    def extent(self) -> Extent:
        """Extent of the entries."""
        lowest, highest, incomplete, _ = self._seen
        return Extent(float(lowest), float(highest), not incomplete)

    @property
    def first(self) -> np.ndarray:
        """The first signal."""
        return self._seen[3]


def _named(devices: Any) -> str:
    """Return the names of devices, the first of many."""
    names = sorted(str(device) for device in devices)
    return ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")


def _tell_all(said: bytes) -> bytes:
    from jax.experimental.multihost_utils import broadcast_one_to_all

    with runtime.settings(), runtime.explained():
        size = int(broadcast_one_to_all(np.int64(len(said))))
        padded = np.frombuffer(said.ljust(size, b"\0")[:size], dtype=np.uint8)
        return bytes(np.asarray(broadcast_one_to_all(padded)))


def processes_of(X: Any) -> Processes | None:
    """Return the processes that hold signals, if there are several."""
    return X.processes if isinstance(X, ShardedSignals) else None


def is_spread(X: Any) -> bool:
    """Return whether something is a JAX array with different rows on different devices.

    Raises
    ------
    RuntimeError
        If its memory was given away.
    """
    kind = getattr(sys.modules.get("jax"), "Array", ())
    if isinstance(X, kind) and X.is_deleted():
        raise RuntimeError(
            f"X is a jax.Array of shape {X.shape} on {_named(X.sharding.device_set)} whose memory was given "
            "away, as by donation to a jitted function, or deleted. Pass one that still holds its numbers."
        )
    return isinstance(X, kind) and len(X.sharding.device_set) > 1 and not X.is_fully_replicated


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
        import jax

        X, total = signals.array, float(weights.sum())
        rows = _programs(X.sharding).rows
        with runtime.settings():
            share = jax.make_array_from_callback(weights.shape, rows, lambda part: weights[part] / total)
        lowest, highest, _ = signals.extent
        exponent = start.exponent_of(max(abs(lowest), abs(highest)))
        return cls(X, share, total, exponent, signals.first)

    @property
    def _run(self) -> _Programs:
        return _programs(self.X.sharding)

    @property
    def _factor(self) -> np.float64:
        return np.ldexp(1.0, -self.exponent)

    def span(self, resolution: float, *, centred: bool) -> start.Span:
        """Return the principal subspaces, as `principal_span` does."""
        rows, factor = (self.X, self.share), self._factor
        shift = self.first.astype(float) * factor
        average = shift + _call(self._run.average, rows, factor, shift)
        covariance = _call(self._run.covariance, rows, factor, average * centred)

        def refine(mean: np.ndarray, axes: np.ndarray, sizes: np.ndarray) -> start.Refinement:
            return _call(self._run.refinement, rows, factor, mean, axes, sizes)

        return start.span_of_moments(
            average, covariance, refine, self.X.shape, self.n_samples, resolution, centred=centred
        )

    def onto(self, span: start.Span, rank: int, surplus: int) -> Whole:
        """Return the signals in whitened coordinates along the strongest axes, then `surplus` ones."""
        axes, sizes = span.axes[:rank], span.deviations[:rank]
        about = self._factor, span.mean
        whitened, squares = _call(self._run.coordinates, (self.X,), *about, axes, sizes, np.ones(surplus))
        rows = self.X, whitened, squares, self.share
        average, second, square, cross = _call(self._run.sums, rows, *about)
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

    _run: _Programs
    whitened: Any
    squares: Any
    share: Any
    n_samples: float
    cross: np.ndarray
    average: np.ndarray
    second: np.ndarray
    mean_square: float

    def sample(self) -> Sample:
        """Return all signals, or of many a sample with the same moments.

        Signals are drawn evenly, and alike in all processes.
        """
        n = len(self.share)
        few = n <= _MOST_ROWS
        draws = np.arange(n) if few else (np.arange(_MOST_ROWS) + _jitter()) * (n / _MOST_ROWS)
        rows = draws.astype(np.int64)
        whitened, squares, share = _call(self._run.taken, self.whitened, self.squares, self.share, rows)
        seen = share > 0
        rows = Sample(whitened[seen], squares[seen], share[seen] * (self.n_samples / share.sum()))
        return rows if few else self._like_all(rows)

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
