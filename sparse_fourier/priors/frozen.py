"""Densities that were learned, as tables for programs of JAX."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from sparse_fourier.densities import Density
from sparse_fourier.densities.splines import splines_of
from sparse_fourier.namespace import Array, log_ndtr
from sparse_fourier.priors.independent import Jet, automatic_jet
from sparse_fourier.supports import SUPPORTS

_FEWEST_KNOTS = 128


class Table(NamedTuple):
    """The tables of k densities, each with its cells and walls.

    Attributes
    ----------
    centre, scale : array of shape (k,)
    knots : array of shape (k, m)
        Infinite beyond the last.
    last : int array of shape (k,)
        The last cell of each.
    polynomials : array of shape (k, 4, m)
        In each cell.
    places, signs, widths : array of shape (k, 2)
        Of the walls.
    """

    centre: Array
    scale: Array
    knots: Array
    last: Array
    polynomials: Array
    places: Array
    signs: Array
    widths: Array


@dataclass(frozen=True, eq=False)
class Frozen:
    """Independent codes whose densities stay as they were learned (JAX only).

    Attributes
    ----------
    table : Table
    """

    table: Table
    support: str = field(default="real")

    learns: ClassVar[bool] = False
    factorises: ClassVar[bool] = True
    needs_jax: ClassVar[bool] = True
    piles_up_at_faces: ClassVar[bool] = False

    @classmethod
    def of(cls, densities: tuple[Density, ...]) -> Self:
        """Return the tables of densities, padded to one of few lengths."""
        cells = [splines_of(each.template).n_cells for each in densities]
        size = max(_FEWEST_KNOTS, 1 << max(cells).bit_length())
        columns = [np.stack(part) for part in zip(*(_row(each, size) for each in densities), strict=True)]
        return cls(Table(*columns))

    @property
    def domain(self) -> Any:
        """The support."""
        return SUPPORTS[self.support]

    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return the log-density of each code, edges blurred by as much more."""
        import jax
        import jax.numpy as jnp

        columns = codes.T, jnp.broadcast_to(variances, codes.shape).T
        return jax.vmap(_log_density)(Table(*map(jnp.asarray, self.table)), *columns).T

    def log_observed(self, codes: Array, variances: Array) -> Array:
        """Return the sum over codes, of which the noise is a part."""
        return self.log_marginals(codes, 0.0 * variances).sum(axis=1)

    def jet(self, codes: Array, variances: Array) -> Jet:
        """Return `log_marginals` and its derivatives."""
        return automatic_jet(self.log_marginals, codes, variances)


def _row(density: Density, size: int) -> tuple[Any, ...]:
    """Return what a density puts into each table."""
    splines, walls = splines_of(density.template), density.template.walls(density.blur)
    missing = size - splines.n_cells
    knots = np.pad(splines.knots, (0, missing - 1), constant_values=np.inf)
    polynomials = np.pad(density.polynomials, ((0, 0), (0, missing)))
    sides = (np.array([wall.place, wall.sign, wall.width], dtype=float) for wall in walls)
    return density.centre, density.scale, knots, splines.n_cells - 1, polynomials, *np.stack([*sides], axis=1)


def _log_density(table: Table, h: Array, variance: Array) -> Array:
    """Return the logarithm of one density, as `Density.log_density` does."""
    import jax.numpy as jnp

    t = (h - table.centre) / table.scale
    cell = jnp.clip(jnp.searchsorted(table.knots, t, side="right") - 1, 0, table.last)
    left = table.knots[cell]
    u = (t - left) / (table.knots[cell + 1] - left)
    inside = jnp.clip(u, 0.0, 1.0)
    c0, c1, c2, c3 = table.polynomials[:, cell]
    slope = c1 + inside * (2 * c2 + 3 * c3 * inside)
    value = c0 + inside * (c1 + inside * (c2 + c3 * inside)) + slope * (u - inside)
    for side in range(2):
        blur = jnp.sqrt(table.widths[side] ** 2 + variance / table.scale**2)
        value += log_ndtr((t - table.places[side]) * table.signs[side] / blur)
    return value - jnp.log(jnp.abs(table.scale))
