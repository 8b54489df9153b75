"""Sums over rows that are spread over devices: programs for one layout, of which only sums travel."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier import runtime
from sparse_fourier.namespace import Array
from sparse_fourier.runtime import Program
from sparse_fourier.training import advance

_BLOCK_ENTRIES = 1 << 20


class Programs:
    """The programs for one layout of rows over devices; what they bring back lies whole on every device.

    Sums go through the rows of a device a block at a time and are then added up over devices.
    """

    def __init__(self, layout: Any) -> None:
        from jax.sharding import NamedSharding, PartitionSpec

        self._mesh, self._axes = layout.mesh, layout.spec[0]
        everywhere, self.rows = (
            NamedSharding(layout.mesh, PartitionSpec(*part)) for part in ((), (self._axes,))
        )
        self._bring = functools.partial(Program, out_shardings=everywhere)
        self._kept: dict[Any, Program] = {}
        self.extent, self.taken = self.of(_extent), self.of(_taken)
        self.average, self.covariance = self.sum_of(average_of_block), self.sum_of(_covariance_of_block)
        self.refinement, self.sums = self.sum_of(_refinement_of_block), self.sum_of(_sums_of_block)
        self.mean_log_prior, self.advance = self.of(_mean_log_prior), self.of(advance)
        self.coordinates = Program(self._coordinates, out_shardings=self.rows, stays=True)

    def of(self, function: Callable[..., Any]) -> Program:
        """Return the program of a function of arrays, some of which are spread over devices."""
        return self._kept.setdefault(function, self._bring(function))

    def sum_of(self, function: Callable[..., Any]) -> Program:
        """Return the program that sums a function of blocks of rows.

        It is called with a tuple of arrays that are spread over devices, and what all devices know alike.
        """
        summed = self._bring(functools.partial(self._summed, function))
        return self._kept.setdefault(("sum", function), summed)

    def staying(self, function: Callable[..., Any]) -> Program:
        """Return the program of a function that gives a row for each row, which stays where that is."""
        stays = Program(function, out_shardings=self.rows, stays=True)
        return self._kept.setdefault(("rows", function), stays)

    def placed(self, values: np.ndarray) -> Any:
        """Return numbers, one for each row, where the rows are."""
        import jax

        with runtime.settings():
            return jax.make_array_from_callback(values.shape, self.rows, lambda part: values[part])

    @property
    def n_parts(self) -> int:
        """Number of parts that the rows are split into."""
        axes = self._axes if isinstance(self._axes, tuple) else (self._axes,)
        return math.prod(self._mesh.shape[axis] for axis in axes)

    def picked(self, arrays: tuple[Array, ...], rows: Array, seen: Array, width: int) -> Any:
        """Return of the first `seen` of some rows those that lie on each device, `width` places a device.

        Parameters
        ----------
        arrays : tuple of arrays of shape (n, ...)
            Spread over devices.
        rows : int array
        seen : int
        width : int

        Returns
        -------
        picked : tuple of arrays of shape (n_parts * width, ...)
            Spread alike.
        present : bool array of shape (n_parts * width,)
            Which places hold a row.
        """
        import jax
        import jax.numpy as jnp
        from jax.sharding import PartitionSpec

        def here(arrays: tuple[Array, ...], rows: Array, seen: Array) -> Any:
            n = len(arrays[0])
            own = (rows // n == jax.lax.axis_index(self._axes)) & (jnp.arange(len(rows)) < seen)
            places = jnp.flatnonzero(own, size=width, fill_value=0)
            present = jnp.arange(width) < own.sum()
            return tuple(array[rows[places] % n] for array in arrays), present

        spread = PartitionSpec(self._axes)
        return jax.shard_map(
            here,
            mesh=self._mesh,
            in_specs=(spread, PartitionSpec(), PartitionSpec()),
            out_specs=(spread, spread),
        )(arrays, rows, seen)

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


def in_unit(X: Array, factor: Array) -> Array:
    """Return signals of any precision times a factor, in that of the factor."""
    return X.astype(factor.dtype) * factor


def _extent(X: Array) -> tuple[Array, Array, Array, Array]:
    import jax.numpy as jnp

    return X.min(), X.max(), jnp.isnan(X).any(), X[0]


def average_of_block(X: Array, share: Array, factor: Array, shift: Array) -> Array:
    """Return what a block adds to the mean of signals less a shift."""
    return share @ (in_unit(X, factor) - shift)


def _covariance_of_block(X: Array, share: Array, factor: Array, mean: Array) -> Array:
    about = in_unit(X, factor) - mean
    return about.T @ (about * share[:, None])


def _refinement_of_block(
    X: Array, share: Array, factor: Array, mean: Array, axes: Array, sizes: Array
) -> start.Refinement:
    data = in_unit(X, factor) - mean
    coordinates = data @ axes.T / sizes
    weighted = coordinates * share[:, None]
    left = data - (coordinates * sizes) @ axes
    return start.Refinement(weighted.T @ coordinates, weighted.T @ data, left.T @ (left * share[:, None]))


def _coordinates_of_block(
    X: Array, factor: Array, mean: Array, axes: Array, sizes: Array, ones: Array
) -> tuple[Array, Array]:
    import jax.numpy as jnp

    data = in_unit(X, factor) - mean
    found = data @ axes.T
    left = data - found @ axes
    ones = jnp.broadcast_to(ones, (len(X), len(ones)))
    return jnp.concatenate([found / sizes, ones], axis=1), (left * left).sum(axis=1)


def _sums_of_block(
    X: Array, whitened: Array, squares: Array, share: Array, factor: Array, mean: Array
) -> tuple[Array, Array, Array, Array]:
    weighted = whitened * share[:, None]
    cross = weighted.T @ (in_unit(X, factor) - mean)
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
def programs_of(layout: Any) -> Programs:
    """Return the programs for a layout, those of few layouts kept."""
    return Programs(layout)


def call(program: Program, *arguments: Any) -> Any:
    """Return what a program makes of arguments, on whose shapes alone it depends."""
    return program(runtime.signature(*arguments), *arguments)
