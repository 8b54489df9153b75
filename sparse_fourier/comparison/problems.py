"""Signals to compare methods on: those of a file, or of the seed, whose components are known."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_fourier.datasets import make_sinusoid_mixtures

Array = NDArray[Any]


class UsageError(Exception):
    """What the caller asked for cannot be done; the text says why in one line."""


@dataclass(frozen=True)
class Problem:
    """Signals, and what is known of them."""

    name: str
    X: Array
    positions: Array
    xlabel: str
    codes: Array | None = None
    components: Array | None = None


def seed() -> Problem:
    """Return mixtures of two sines."""
    X, codes, components = make_sinusoid_mixtures(random_state=0)
    positions = np.linspace(0, np.pi, X.shape[1])
    return Problem(
        "a sin(x) + b sin(2x), a and b uniform on (0, 1)", X, positions, "x (rad)", codes, components
    )


def load(path: Path) -> Problem:
    """Return the signals of a file."""
    if path.suffix.lower() not in _READERS:
        raise UsageError(f"{path}: unknown file type; known are {', '.join(_READERS)}")
    try:
        X = _READERS[path.suffix.lower()](path)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        raise UsageError(f"{path}: {reason}") from error
    X = _checked(path, X)
    return Problem(path.name, X, np.arange(X.shape[1]), "feature")


def _read_numpy(path: Path) -> Array:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    except IndexError:
        raise ValueError("holds no array") from None
    except ValueError:
        raise ValueError("is not a NumPy file of numbers") from None


def _read_csv(path: Path) -> Array:
    """Read comma-separated numbers, without a line of names and without the row numbers some programs add."""
    with path.open(encoding="utf-8-sig") as lines:
        rows = [line for line in lines if line.strip()]
    first = 0
    if rows and _is_header(rows[0]):
        first = int(not rows.pop(0).split(",")[0].strip(' "\n'))
    if not rows:
        raise ValueError("holds no signals")
    return np.loadtxt(rows, delimiter=",", ndmin=2, comments=None)[:, first:]


def _is_header(line: str) -> bool:
    """Whether a line names the columns: by no number at all, or by counting them."""
    cells = [cell.strip(' "\n') for cell in line.split(",")]
    numbers = [value for value in map(number, filter(None, cells)) if not isinstance(value, str)]
    return not numbers or numbers == list(range(max(len(numbers), 2)))


def number(text: str) -> int | float | str:
    """Read a number if it is one; what may be asked for is the estimator's to say."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


_READERS: dict[str, Callable[[Path], Array]] = {".npy": _read_numpy, ".npz": _read_numpy, ".csv": _read_csv}


def _checked(path: Path, X: Array) -> Array:
    if X.dtype.kind not in "biuf":
        raise UsageError(f"{path}: holds no real numbers but {X.dtype}")
    if X.ndim != 2:
        advice = "; cut a recording into rows with sparse_fourier.datasets.frames" if X.ndim == 1 else ""
        raise UsageError(
            f"{path}: must have two dimensions, one signal per row; its shape is {X.shape}{advice}"
        )
    if min(X.shape) < 2:
        raise UsageError(f"{path}: must have at least 2 signals of 2 points; its shape is {X.shape}")
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise UsageError(f"{path}: has {X[row, column]} in row {row}, column {column} (counted from 0)")
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def one_line(error: object, limit: int = 300) -> str:
    """Return a message without line breaks, cut where it is too long."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
