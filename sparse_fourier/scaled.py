"""Signals times a power of two, with weights: sums over them, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.signals import Rows, signals_of

FEW_ENTRIES = 1 << 20
_BLOCK_ENTRIES = 1 << 14
_FEWEST_ROWS, _FEWEST_WIDE_ROWS, _WIDE = 256, 32, 4096
_LARGE_BLOCK_ENTRIES, _LARGE = 1 << 19, 1 << 22
_FAR, _FAR_IN_SINGLE = 4.0, 64.0
_MODERATE = 30
_KERNEL = 8  # columns that products of matrices take at once
_SMALL_PRODUCT, _FEWEST_AT_ONCE = 1_000_000, 8
_LEAST_LEFT = 1.5e-4
_ROWS_OF_A_SUM = 128

_Product = Callable[[np.ndarray], np.ndarray]
_Projection = tuple[np.ndarray, np.ndarray, np.ndarray]


class Moments(NamedTuple):
    """Of rows.

    Attributes
    ----------
    mean : array of shape (d,)
    second : array of shape (d, d)
        Second moments, about the mean or about zero.
    squares : array of shape (d,)
        Mean squares of what was multiplied and added up for these, which says how much rounding there is.
    """

    mean: np.ndarray
    second: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True)
class Scaled:
    """Data times a power of two, a block of rows at a time, with weights of sum one.

    Attributes
    ----------
    X : array or Signals of shape (n, d)
    exponent : int
    share : array of shape (n,)
    n_samples : float
        Sum of the weights.

    Notes
    -----
    Blocks are written into one buffer that stays in a cache, and what was last asked for is remembered: fits
    of small data look at the same block, and at the same projection, more than once.
    """

    X: Rows
    exponent: int
    share: np.ndarray
    n_samples: float
    _blocks: dict[Any, np.ndarray] = field(default_factory=dict, repr=False)
    _projections: dict[Any, _Projection] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, X: Rows, weights: np.ndarray, exponent: int = 0) -> Scaled:
        """Return the data times 2**exponent."""
        total = float(weights.sum())
        return cls(X, exponent, weights / total, total)

    def whole(self) -> np.ndarray:
        """Return all rows."""
        return scaled_by_power_of_two(self.X[:], self.exponent) if self.exponent else self.X[:]

    def _rows(self) -> Iterator[slice]:
        """Yield slices of rows of which a cache holds several."""
        n, size = len(self.X), self.rows_at_once
        return (slice(first, min(first + size, n)) for first in range(0, n, size))

    @property
    def rows_at_once(self) -> int:
        """Number of rows of a block."""
        n, d = self.X.shape
        fewest = max(d, _FEWEST_ROWS) if d <= _WIDE else _FEWEST_WIDE_ROWS
        return max(fewest, (_BLOCK_ENTRIES if n * d < _LARGE else _LARGE_BLOCK_ENTRIES) // max(d, 1))

    def centred(self, mean: np.ndarray, dtype: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and what they hold, less the mean, not to be written to, nor used after the next."""
        slices = list(self._rows())
        if len(slices) > 1 and self.exponent == 0 and self.X.dtype == dtype and not mean.any():
            yield from ((rows, np.ascontiguousarray(self.X[rows])) for rows in slices)
            return
        buffer = np.empty((max(part.stop - part.start for part in slices), self.X.shape[1]), dtype)
        if len(slices) > 1:
            for rows in slices:
                yield rows, self._centred(rows, mean, buffer)
            return
        key = mean.tobytes(), np.dtype(dtype)
        if key not in self._blocks:
            self._blocks.clear()
            self._blocks[key] = self._centred(slices[0], mean, buffer)
        yield slices[0], self._blocks[key]

    def _centred(self, rows: slice, mean: np.ndarray, buffer: np.ndarray) -> np.ndarray:
        """Return rows, scaled, less the mean, in a buffer."""
        block = scaled_by_power_of_two(self.X[rows], self.exponent, buffer[: rows.stop - rows.start])
        return np.subtract(block, mean.astype(block.dtype), out=block)

    def weighted(self, array: np.ndarray, rows: slice, power: float = 1.0) -> np.ndarray:
        """Return rows times a power of their weights; without them where all are the same."""
        if self.even:
            return array
        return array * (self.share[rows, None] ** power).astype(array.dtype)

    @cached_property
    def even(self) -> bool:
        """Whether all weights are the same."""
        return bool((self.share == self.share[0]).all())

    @property
    def unit(self) -> float:
        """What `weighted` leaves to be multiplied by."""
        return float(self.share[0]) if self.even else 1.0

    def mean(self, dtype: Any) -> np.ndarray:
        """Return the mean of rows, exact for columns that are constant."""
        first = np.asarray(self.X[:1], dtype=float)
        shift, total = scaled_by_power_of_two(first, self.exponent)[0], np.zeros(self.X.shape[1])
        for rows, block in self.centred(shift, dtype):
            total += self.share[rows].astype(dtype) @ block
        return shift + total

    def moments(self, dtype: Any, *, centred: bool) -> Moments:
        """Return the mean of rows, and the second moments about it if `centred`, else about zero.

        In one pass, about the mean of the first block, unless that is far from the mean of all. In single
        precision that is zero where it may be.
        """
        first = next(iter(self._rows()))
        if first.stop == len(self.X):
            return self._moments_about_mean(self.mean(dtype), dtype, centred)
        if self.exponent and self._is_moderate:
            found = self._in_own_unit.moments(dtype, centred=centred)
            exponents = self.exponent, 2 * self.exponent, 2 * self.exponent
            return Moments(*map(np.ldexp, found, exponents))
        near = replace(self, X=self.X[first], share=np.full(first.stop, 1.0 / first.stop), _blocks={})
        shift = near.mean(dtype).astype(dtype).astype(float) * centred
        if dtype is np.float32 and not _is_far(shift, near.variances(shift), _FAR_IN_SINGLE):
            shift = 0.0 * shift
        beside, moments = self._moments_about(shift, dtype)
        squares = np.diagonal(moments).copy()
        if not centred:
            return Moments(beside, moments, squares)
        moments -= np.outer(beside, beside)
        mean = shift + beside
        far = _is_far(beside, np.diagonal(moments), _FAR if shift.any() else _FAR_IN_SINGLE)
        return self._moments_about_mean(mean, dtype, centred) if far else Moments(mean, moments, squares)

    def _moments_about_mean(self, mean: np.ndarray, dtype: Any, centred: bool) -> Moments:
        covariance = self.covariance(mean * centred, dtype)
        return Moments(mean, covariance, np.diagonal(covariance))

    @property
    def _is_moderate(self) -> bool:
        """Whether squares of the data are numbers in their own unit too, in single precision."""
        return abs(self.exponent) <= _MODERATE

    @property
    def _in_own_unit(self) -> Scaled:
        return replace(self, exponent=0, _blocks={}, _projections={})

    def covariance(self, mean: np.ndarray, dtype: Any) -> np.ndarray:
        """Return the covariance about a mean: products of a type, which double precision adds up."""
        return self._moments_about(mean, dtype)[1]

    def _moments_about(self, centre: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return first and second moments about a point."""
        d = self.X.shape[1]
        first, second = np.zeros(d), np.zeros((d, d))
        for rows, block in self.centred(centre, dtype):
            first += sum_of_rows(block, self.share[rows] / self.unit)
            scaled = self.weighted(block, rows, 0.5)
            second += scaled.T @ scaled
        return first * self.unit, second * self.unit

    def variances(self, mean: np.ndarray) -> np.ndarray:
        """Return the mean square of each feature about a mean."""
        total = np.zeros(self.X.shape[1])
        for rows, block in self.centred(mean, float):
            total += np.einsum("i,ij,ij->j", self.share[rows], block, block)
        return total

    def sums(self, mean: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the second moments of coordinates along axes, (r, r), and with the data, (r, d)."""
        gram, cross = np.zeros((len(axes), len(axes))), np.zeros(axes.shape)
        for rows, block in self.centred(mean, float):
            found = block @ axes.T
            weighted = self.weighted(found, rows).T
            gram += weighted @ found
            cross += weighted @ block
        return gram * self.unit, cross * self.unit

    def projected(
        self, mean: np.ndarray, axes: np.ndarray, dtype: Any, lengths: np.ndarray | float = 1.0
    ) -> _Projection:
        """Return coordinates along orthonormal axes, what they leave of each row, and the cross-covariance.

        Parameters
        ----------
        mean : array of shape (d,)
            Subtracted from the data.
        axes : array of shape (r, d)
        dtype : type
            In which products are computed.
        lengths : array of shape (r,), default=1.0
            By which coordinates are divided.

        Returns
        -------
        coordinates : array of shape (n, r)
        squares : array of shape (n,)
            Squared distance of each row from the span of the axes.
        cross : array of shape (r, d)
            Covariance of coordinates, before they are divided, and features.
        """
        key = mean.tobytes(), axes.tobytes(), np.dtype(dtype), np.asarray(lengths).tobytes()
        if key not in self._projections:
            self._projections.clear()
            self._projections[key] = self._projected(mean, axes, dtype, lengths)
        return self._projections[key]

    def _projected(
        self, mean: np.ndarray, axes: np.ndarray, dtype: Any, lengths: np.ndarray | float
    ) -> _Projection:
        n = len(self.X)
        coordinates, squares, cross = np.empty((n, len(axes))), np.empty(n), np.zeros(axes.shape)
        narrow, room, factors = axes.astype(dtype), None, np.asarray(1.0 / lengths, dtype=dtype)
        for rows, block in self.centred(mean, dtype):
            found = block @ narrow.T
            np.multiply(found, factors, out=coordinates[rows])
            cross += self.weighted(found, rows).T @ block
            room = np.empty_like(block) if room is None else room[: len(block)]
            left = np.subtract(block, np.matmul(found, narrow, out=room), out=room)
            squares[rows] = np.einsum("ij,ij->i", left, left)
        if dtype is not float:
            coordinates += (mean.astype(dtype) - mean) @ axes.T / lengths
        return coordinates, squares, cross * self.unit

    def drowned(
        self, mean: np.ndarray, axes: np.ndarray, deviations: np.ndarray, left: float
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return coordinates of variance one, and squares of what they leave, where noise drowns rounding.

        Then products of the data as they are, in single precision, are enough, coordinates remain in it, and
        squares are differences of squares. None where these would be less exact than to some thousandths.

        Parameters
        ----------
        mean : array of shape (d,)
        axes : array of shape (r, d)
        deviations : array of shape (r,)
            Of the data along the axes.
        left : float
            Mean square of what the axes leave.
        """
        middle, along = float(mean @ mean), float(deviations @ deviations)
        if left < _LEAST_LEFT * (middle + along + left):
            return None
        own, n, r = self._in_own_unit if self._is_moderate else self, len(self.X), len(axes)
        exponent = self.exponent - own.exponent
        narrow = np.zeros((axes.shape[1], -(-(r + 1) // _KERNEL) * _KERNEL), np.float32)
        narrow[:, :r] = np.ldexp(axes / deviations[:, None], exponent).T
        narrow[:, r] = np.ldexp(mean, -exponent)
        mean_of_products = np.ldexp(mean, -exponent) @ narrow.astype(float)
        middle -= 2 * (middle - np.ldexp(mean_of_products[r], 2 * exponent))  # the mean was rounded
        coordinates, squares = np.empty((n, r), np.float32), np.empty(n)
        variances, about = (deviations**2).astype(np.float32), mean_of_products[:r].astype(np.float32)
        room = np.empty((own.rows_at_once, narrow.shape[1]), np.float32)
        for rows, block in own.centred(np.zeros_like(mean), np.float32):
            products = times_narrow(block, narrow, room[: len(block)])
            found = np.subtract(products[:, :r], about, out=coordinates[rows])
            size = np.ldexp(np.vecdot(block, block), 2 * exponent)
            beside = np.ldexp(products[:, r], 2 * exponent + 1) + (found * found) @ variances
            squares[rows] = size - beside
        squares += middle
        return coordinates, np.maximum(squares, 0.0, out=squares)

    def operators(self, mean: np.ndarray) -> tuple[_Product, _Product]:
        """Return products with the data less a mean and weighted, and with their transpose."""
        signals, root = signals_of(self.X), np.sqrt(self.share)[:, None]

        def forth(matrix: np.ndarray) -> np.ndarray:
            return root * np.ldexp(signals.times(matrix), self.exponent) - root * (mean @ matrix)

        def back(matrix: np.ndarray) -> np.ndarray:
            weighted = root * matrix
            whole = np.ldexp(signals.transposed_times(weighted), self.exponent)
            return whole - mean[:, None] * weighted.sum(axis=0)

        return forth, back

    def triangle(self, mean: np.ndarray) -> np.ndarray:
        """Return the triangular factor of the data less a mean, times the roots of the weights."""
        factor = np.zeros((0, self.X.shape[1]))
        for rows, block in self.centred(mean, float):
            factor = np.linalg.qr(np.concatenate([factor, self.weighted(block, rows, 0.5)]), mode="r")
        return factor * np.sqrt(self.unit)


def sum_of_rows(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted sum of rows: of a few at a time in their own precision, then in double.

    Sums of many rows in single precision would give the mean an error that all moments share.
    """
    (n, d), narrow = block.shape, weights.astype(block.dtype)
    count = n // _ROWS_OF_A_SUM * (block.dtype == np.float32)
    whole = count * _ROWS_OF_A_SUM
    if not whole:
        return narrow @ block
    parts = narrow[:whole].reshape(count, 1, -1) @ block[:whole].reshape(count, _ROWS_OF_A_SUM, d)
    return parts.sum(axis=(0, 1), dtype=float) + narrow[whole:] @ block[whole:]


def times_narrow(block: np.ndarray, narrow: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Return the product of rows with few columns, so many rows at a time that BLAS copies none of them.

    Parameters
    ----------
    block : array of shape (n, d)
        Contiguous.
    narrow : array of shape (d, m)
    out : array of shape (n, m)
        Contiguous.

    Notes
    -----
    OpenBLAS packs large matrices before it multiplies them, for which it reads and writes all rows once more;
    it does without where a product takes a million multiplications or fewer.
    """
    (n, d), m = block.shape, narrow.shape[1]
    size = _SMALL_PRODUCT // narrow.size
    count = n // size if size >= _FEWEST_AT_ONCE else 0
    whole = count * size
    if count:
        np.matmul(block[:whole].reshape(count, size, d), narrow, out=out[:whole].reshape(count, size, m))
    np.matmul(block[whole:], narrow, out=out[whole:])
    return out


def _is_far(shift: np.ndarray, variances: np.ndarray, most: float = _FAR) -> bool:
    """Return whether a point is so far from zero that squares about zero would round away the variances."""
    return bool((shift * shift > most * variances).any())


def scaled_by_power_of_two(X: np.ndarray, exponent: int, out: np.ndarray | None = None) -> np.ndarray:
    """Return X times 2**exponent, exactly where the type can hold it; in an array of another type too."""
    kind = X.dtype if out is None else out.dtype
    if abs(exponent) < np.finfo(kind).maxexp - 8:
        return np.multiply(X, np.ldexp(kind.type(1), exponent), out=out, order="C")
    return np.ldexp(X.astype(kind, copy=False), exponent, out=out, order="C")
