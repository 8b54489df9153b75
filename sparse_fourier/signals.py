"""Signals that are read a block of rows at a time: arrays, files mapped into memory, sparse matrices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import sparse

_BLOCK_ENTRIES = 1 << 18
_FEWEST_ROWS = 64
_FEW_ENTRIES = 1 << 23


class Extent(NamedTuple):
    """Smallest and largest of the entries that were observed, and whether all were."""

    lowest: float
    highest: float
    complete: bool


class Signals(ABC):
    """Rows that become arrays a block at a time, since all of them at once may not fit into memory.

    As far as shape, type and rows go they are like an array of shape (n, d): `signals[rows]` is an array of
    these rows, which nobody may write to. Where not `drops_rows`, those of weight zero are among them.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    drops_rows: ClassVar[bool] = True

    @abstractmethod
    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some rows as an array."""

    @abstractmethod
    def taken(self, rows: np.ndarray) -> Signals:
        """Return the signals of which a mask of shape (n,) is true, none of them read yet."""

    @abstractmethod
    def whole(self, purpose: str) -> np.ndarray:
        """Return all signals as one array, for a purpose that no less will do for.

        Raises
        ------
        TypeError
            If they would take much more memory than they do.
        """

    def __len__(self) -> int:
        """Return the number of signals."""
        return self.shape[0]

    @property
    def size(self) -> int:
        """Number of entries, zeros included."""
        return self.shape[0] * self.shape[1]

    def contents(self) -> Iterator[np.ndarray]:
        """Yield all that this process can read, one array after another."""
        return (self[rows] for rows in blocks_of(self))

    @cached_property
    def extent(self) -> Extent:
        """Extent of the entries; infinite the wrong way round where there are none."""
        return _extent(self)

    def times(self, matrix: np.ndarray) -> np.ndarray:
        """Return the product with a matrix of shape (d, r), in double precision."""
        return np.concatenate([self[rows] @ matrix for rows in blocks_of(self)])

    def transposed_times(self, matrix: np.ndarray) -> np.ndarray:
        """Return the transpose times a matrix of shape (n, r), of shape (d, r), in double precision."""
        total = np.zeros((self.shape[1], matrix.shape[1]))
        for rows in blocks_of(self):
            total += self[rows].T @ matrix[rows]
        return total


class ArraySignals(Signals):
    """Signals in an array, of any real type: float32 stays, all others become float64.

    Parameters
    ----------
    array : array of shape (n, d)
        It may be mapped from a file, of which no more is loaded than the block that is worked on.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray | None = None) -> None:
        single = array.dtype.kind == "f" and array.dtype.itemsize == np.dtype(np.float32).itemsize
        self.dtype = np.dtype(np.float32 if single else np.float64)
        self.shape = (len(array) if rows is None else len(rows), array.shape[1])
        self._array, self._rows = array, rows

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some rows as an array."""
        chosen = rows if self._rows is None else self._rows[rows]
        return np.asarray(self._array[chosen], dtype=self.dtype)

    @property
    def is_in_memory(self) -> bool:
        """Whether the array is no part of a file."""
        return not is_mapped(self._array)

    def taken(self, rows: np.ndarray) -> ArraySignals:
        """Return the signals of which a mask is true."""
        chosen = np.flatnonzero(rows)
        return ArraySignals(self._array, chosen if self._rows is None else self._rows[chosen])

    def whole(self, purpose: str) -> np.ndarray:
        """Return all signals as one array: those of a file have a place in memory if need be."""
        del purpose
        return self[:]


class SparseSignals(Signals):
    """Signals in a sparse matrix, of which no more becomes dense than the block that is worked on.

    Parameters
    ----------
    matrix : sparse matrix or array of shape (n, d)
        In compressed sparse row format, of float32 or float64.
    """

    def __init__(self, matrix: Any) -> None:
        self.dtype, self.shape = np.dtype(matrix.dtype), tuple(matrix.shape)
        self._matrix = matrix

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some rows as an array."""
        return self._matrix[rows].toarray()

    def taken(self, rows: np.ndarray) -> SparseSignals:
        """Return the signals of which a mask is true."""
        return SparseSignals(self._matrix[np.flatnonzero(rows)])

    def whole(self, purpose: str) -> np.ndarray:
        """Return all signals as one array if they are few, else refuse."""
        if self.size <= _FEW_ENTRIES:
            return self[:]
        size = self.size * self.dtype.itemsize / 2**30
        raise TypeError(
            f"Sparse input of shape {self.shape} cannot be used with {purpose}, which would need all of "
            f"it as a dense array of {size:.2g} GiB. Use X.toarray() if that fits into memory."
        )

    def times(self, matrix: np.ndarray) -> np.ndarray:
        """Return the product with a matrix of shape (d, r), in double precision."""
        return np.asarray(self._matrix @ matrix)

    def transposed_times(self, matrix: np.ndarray) -> np.ndarray:
        """Return the transpose times a matrix of shape (n, r), of shape (d, r), in double precision."""
        return np.asarray(self._matrix.T @ matrix)


class MovedSignals(Signals):
    """Signals less an offset, times a power of two, read as they are asked for.

    Parameters
    ----------
    signals : array or Signals of shape (n, d)
    exponent : int
        They are multiplied by two to that power.
    offset : array of shape (d,), default=0.0
        What is subtracted before.
    dtype : dtype, optional
        What they are rounded to; by default what they are.
    """

    def __init__(
        self, signals: Rows, exponent: int, offset: np.ndarray | float = 0.0, dtype: Any = None
    ) -> None:
        self.dtype, self.shape = np.dtype(dtype or signals.dtype), (len(signals), signals.shape[1])
        self._signals, self._exponent = signals, exponent
        self._offset = np.asarray(offset, dtype=signals.dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some rows as an array."""
        return self._moved(self._signals[rows])

    def taken(self, rows: np.ndarray) -> MovedSignals:
        """Return the signals of which a mask is true."""
        return MovedSignals(rows_where(self._signals, rows), self._exponent, self._offset, self.dtype)

    def whole(self, purpose: str) -> np.ndarray:
        """Return all signals as one array, if they may be."""
        return self._moved(array_of(self._signals, purpose))

    def _moved(self, rows: np.ndarray) -> np.ndarray:
        return np.ldexp(rows - self._offset, self._exponent).astype(self.dtype, copy=False)


Rows = np.ndarray | Signals
"""What `X[rows]` gives an array of: an array itself, or signals."""


def signals_of(X: Any) -> Signals:
    """Return an array or a sparse matrix, validated, as signals."""
    if isinstance(X, Signals):
        return X
    return SparseSignals(X.tocsr()) if sparse.issparse(X) else ArraySignals(X)


def is_mapped(X: Any) -> bool:
    """Return whether the entries of an array lie in a file that is mapped into memory."""
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False


def array_of(X: Rows, purpose: str) -> np.ndarray:
    """Return all signals as one array, for a purpose that no less will do for."""
    return X.whole(purpose) if isinstance(X, Signals) else X


def at_hand(X: Rows) -> Rows:
    """Return signals as an array where they lie in one in memory, else as they are."""
    return X.whole("") if isinstance(X, ArraySignals) and X.is_in_memory else X


def within_reach(X: Rows, purpose: str) -> Rows:
    """Return all signals as one array, or as they are where rows have to stay."""
    return X if isinstance(X, Signals) and not X.drops_rows else array_of(X, purpose)


def rows_where(X: Rows, mask: np.ndarray) -> Rows:
    """Return the signals of which a mask is true."""
    return X.taken(mask) if isinstance(X, Signals) else X[mask]


def rows_with_weight(X: Rows, weights: np.ndarray) -> tuple[Rows, np.ndarray]:
    """Return the signals of positive weight with their weights; all of them where rows have to stay."""
    seen = weights > 0
    if seen.all() or (isinstance(X, Signals) and not X.drops_rows):
        return X, weights
    return rows_where(X, seen), weights[seen]


def contents_of(X: Rows) -> Iterator[np.ndarray]:
    """Yield all that this process can read of the signals, one array after another."""
    return X.contents() if isinstance(X, Signals) else (X[rows] for rows in blocks_of(X))


def blocks_of(X: Rows) -> Iterator[slice]:
    """Yield slices of rows that a cache holds about one of, all in the end."""
    n, d = X.shape
    size = max(_FEWEST_ROWS, _BLOCK_ENTRIES // max(d, 1))
    for first in range(0, n, size):
        yield slice(first, first + size)


def mapped(function: Callable[[np.ndarray], np.ndarray], X: Rows) -> np.ndarray:
    """Return what a function of rows gives, a block at a time where they are not an array."""
    if isinstance(X, np.ndarray):
        return function(X)
    return np.concatenate([function(X[rows]) for rows in blocks_of(X)])


def extent(X: Rows) -> Extent:
    """Return the extent of the entries."""
    return X.extent if isinstance(X, Signals) else _extent(X)


def _extent(X: Rows) -> Extent:
    lowest, highest, complete = np.inf, -np.inf, True
    for rows in blocks_of(X):
        block = X[rows]
        low, high = block.min(), block.max()
        if np.isnan(low):
            complete = False
            seen = block[~np.isnan(block)]
            low, high = seen.min(initial=np.inf), seen.max(initial=-np.inf)
        lowest, highest = min(lowest, float(low)), max(highest, float(high))
    return Extent(lowest, highest, complete)
