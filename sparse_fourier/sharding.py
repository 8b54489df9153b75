"""Signals in arrays of JAX whose rows are spread over devices or processes; they stay where they are."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.checkpoints import Processes
from sparse_fourier.collectives import call, programs_of
from sparse_fourier.signals import Extent, Signals

_MOST_NAMES = 8


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
        self.array, self.shape, self.dtype = _plainly(array), tuple(array.shape), np.dtype(array.dtype)

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
        return call(programs_of(self.array.sharding).extent, self.array)

    @functools.cached_property
    def extent(self) -> Extent:
        """Extent of the entries."""
        lowest, highest, incomplete, _ = self._seen
        return Extent(float(lowest), float(highest), not incomplete)

    @property
    def first(self) -> np.ndarray:
        """The first signal."""
        return self._seen[3]


def _plainly(array: Any) -> Any:
    """Return the same array, nothing moved, on a mesh whose axes leave it to JAX how results are spread."""
    import jax
    from jax.sharding import Mesh, NamedSharding

    mesh, spec = array.sharding.mesh, array.sharding.spec
    layout = NamedSharding(Mesh(mesh.devices, mesh.axis_names), spec)
    if layout == array.sharding:
        return array
    parts = [shard.data for shard in array.addressable_shards]
    return jax.make_array_from_single_device_arrays(array.shape, layout, parts)


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
