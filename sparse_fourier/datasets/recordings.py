"""Frames of one long recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_fourier.datasets.checks import check_counts
from sparse_fourier.exceptions import invalid


def frames(signal: ArrayLike, length: int, hop: int | None = None) -> NDArray[np.floating[Any]]:
    """Cut one long recording into rows of equal length.

    Row i holds the samples from ``i * hop`` to ``i * hop + length``, the last one excluded. Samples at the
    end that do not fill a frame are left out.

    Parameters
    ----------
    signal : array-like of shape (n_times,)
        The recording. A :class:`numpy.memmap` is read frame by frame.
    length : int
        Samples per frame, at most n_times.
    hop : int, default=None
        Samples from the start of one frame to the start of the next: smaller than `length` for frames that
        overlap, larger to leave samples out. None is `length`: frames side by side.

    Returns
    -------
    ndarray of shape (1 + (n_times - length) // hop, length)
        The frames: a copy, C-contiguous and writable, in the signal's floating dtype; integers become
        float64.

    Raises
    ------
    ValueError
        If the signal is not a one-dimensional array of real numbers, is shorter than one frame, or a
        parameter is out of range.

    Examples
    --------
    >>> from sparse_fourier.datasets import frames
    >>> frames([0.0, 1.0, 2.0, 3.0, 4.0], length=3, hop=2)
    array([[0., 1., 2.],
           [2., 3., 4.]])
    """
    step = length if hop is None else hop
    check_counts("frames", length=length, hop=step)
    samples = _recording(signal)
    if len(samples) < length:
        constraint = f"an int in the range [1, {len(samples)}], the number of samples of 'signal'"
        raise invalid("frames", "length", constraint, repr(length))
    windows = np.lib.stride_tricks.sliding_window_view(samples, length)[::step]
    dtype = samples.dtype if samples.dtype.kind == "f" else np.float64
    return np.array(windows, dtype=dtype, order="C")


def _recording(signal: ArrayLike) -> NDArray[Any]:
    """Return the signal as an array of one dimension; neither copied nor read."""
    samples = np.asarray(signal)
    if samples.ndim != 1 or samples.size == 0 or samples.dtype.kind not in "biuf":
        constraint = "a non-empty 1-D array of real numbers (cut channels one by one and stack the frames)"
        got = f"an array of shape {samples.shape} and dtype {samples.dtype}"
        raise invalid("frames", "signal", constraint, got)
    return samples
