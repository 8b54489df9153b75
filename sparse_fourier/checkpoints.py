"""Where long loops write down how far they have come, and where an interrupted fit finds it again.

A fit is deterministic between its loops: it is run again from the beginning, and each loop, the n-th time one
begins, goes on from what the n-th loop before the interruption had written. While `Journal.open` is active,
`loop()` gives such a loop its place in the file; else nothing is found and nothing kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_TITLE = b"sparse_fourier checkpoint 1\n"
_LEAST_SECONDS = 0.2
_SHARE_OF_TIME = 0.05

Identity = dict[str, str]

SEGMENT = 50
"""Iterations after which a loop whose inner state cannot be kept begins anew, where it is kept at all."""


class Loop:
    """One loop's place where nothing is kept."""

    saved: Any = None
    is_kept = False

    def keep(self, state: Any) -> None:
        """Note the state after a chunk: numbers, strings, arrays, and lists and dicts of these.

        Nobody may write to its arrays any more.
        """


class _KeptLoop(Loop):
    """One loop's place in a journal."""

    is_kept = True

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal, self._number = journal, number
        self.saved = journal.states.get(number)

    def keep(self, state: Any) -> None:
        """Note the state after a chunk."""
        self._journal.note(self._number, state)


class Journal:
    """The states of a fit's loops, in a file that is always whole.

    Parameters
    ----------
    path : path-like or None
        None where another process keeps the file.
    identity : dict of str
        Name of what the fit depends on -> a digest of it.

    Raises
    ------
    ValueError
        If there is a file that is no checkpoint, or that of another fit.
    OSError
        If there can be no file: the path is that of a folder, or of no folder that exists.
    """

    def __init__(self, path: str | os.PathLike[str] | None, identity: Identity) -> None:
        self._path, self._identity = None if path is None else Path(path), identity
        self.states: dict[int, Any] = {}
        self._begun, self._changed = 0, False
        self._written, self._pause = -np.inf, _LEAST_SECONDS
        if self._path is not None:
            _refuse_folders(self._path)
            if self._path.exists():
                self._load(self._path)

    @contextlib.contextmanager
    def open(self, rng: np.random.RandomState) -> Iterator[np.random.RandomState]:
        """Keep the states of all loops that run meanwhile; yield the randomness that the fit began with."""
        first = self.loop()
        if first.saved is None:
            first.keep(rng.get_state(legacy=False))
            self.write()
        else:
            rng = np.random.RandomState()
            rng.set_state(first.saved)
        token = _active.set(self)
        try:
            yield rng
        finally:
            _active.reset(token)
            if self._changed:
                self.write()

    def loop(self) -> Loop:
        """Return the place of the loop that begins."""
        self._begun += 1
        return _KeptLoop(self, self._begun - 1)

    def note(self, number: int, state: Any) -> None:
        """Note the state of a loop; write it down unless that was done just now."""
        self.states[number] = state
        self._changed = True
        if time.monotonic() - self._written > self._pause:
            self.write()

    def write(self) -> None:
        """Put all states into the file, which at any time is the old or the new one."""
        if self._path is None:
            return
        began = time.monotonic()
        payload = _packed({"identity": self._identity, "states": list(self.states.items())})
        part = self._path.with_name(self._path.name + ".part")
        with open(part, "wb") as file:
            file.write(_TITLE + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._path)
        _settle(self._path.parent)
        self._written, self._changed = time.monotonic(), False
        self._pause = max(_LEAST_SECONDS, (self._written - began) / _SHARE_OF_TIME)

    def _load(self, path: Path) -> None:
        content = path.read_bytes()
        digest, _, payload = content.removeprefix(_TITLE).partition(b"\n")
        if not content.startswith(_TITLE) or hashlib.sha256(payload).hexdigest().encode() != digest:
            raise ValueError(
                f"The file {str(path)!r} given as 'checkpoint' is corrupt or is no checkpoint. Nothing "
                "was written to it. Delete it to begin anew, or use another path."
            )
        found = _unpacked(payload)
        differing = [name for name, digest in self._identity.items() if found["identity"].get(name) != digest]
        if differing:
            raise ValueError(
                f"The file {str(path)!r} given as 'checkpoint' is that of another fit, which differs "
                f"in {', '.join(differing)}. Nothing was written to it. Delete it to begin anew, or use "
                "another path."
            )
        self.states = dict(found["states"])


def _refuse_folders(path: Path) -> None:
    """Refuse a path where there can be no file."""
    if path.is_dir():
        raise IsADirectoryError(f"checkpoint={str(path)!r} is a folder; give the path of a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"checkpoint={str(path)!r} is in a folder that does not exist; create {str(path.parent)!r} first."
        )


_active: ContextVar[Journal | None] = ContextVar("sparse_fourier_journal", default=None)


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str] | None,
    describe: Callable[[], Identity],
    rng: np.random.RandomState,
    processes: Processes | None = None,
) -> Iterator[np.random.RandomState]:
    """Keep the states of all loops that run meanwhile in a file, if one is named.

    Parameters
    ----------
    path : path-like or None
    describe : callable
        Returns the identity of the fit.
    rng : RandomState
        What is yielded is this, or what it was when the fit began.
    processes : Processes, optional
        Those that fit together: the first keeps the file, and all go on from what it says.
    """
    if path is None:
        yield rng if processes is None else processes.drawing(rng)
        return
    journal = Journal(path, describe()) if processes is None else _shared(path, describe, rng, processes)
    with journal.open(rng) as first:
        yield first


class Processes(NamedTuple):
    """Processes that fit together.

    Attributes
    ----------
    leads : bool
        Whether this is the first of them.
    tell : callable
        Returns, in all of them, the bytes that the first one calls it with.
    """

    leads: bool
    tell: Callable[[bytes], bytes]

    def drawing(self, rng: np.random.RandomState) -> np.random.RandomState:
        """Return, in all of them, what draws as that of the first does."""
        alike = np.random.RandomState()
        alike.set_state(_unpacked(self.tell(_packed(rng.get_state(legacy=False)))))
        return alike


def _shared(
    path: str | os.PathLike[str],
    describe: Callable[[], Identity],
    rng: np.random.RandomState,
    processes: Processes,
) -> Journal:
    """Return the journal of one of several processes, with the states that the first one found."""
    if processes.leads:
        try:
            journal = Journal(path, describe())
            journal.states.setdefault(0, rng.get_state(legacy=False))
            journal.write()
        except BaseException:
            processes.tell(b"")
            raise
        processes.tell(_packed(list(journal.states.items())))
        return journal
    said = processes.tell(b"")
    if not said:
        raise ValueError("The first process cannot use its 'checkpoint'; its own error says why.")
    journal = Journal(None, {})
    journal.states = dict(_unpacked(said))
    return journal


def loop() -> Loop:
    """Return the place of the loop that begins; one that keeps nothing unless a journal is open."""
    journal = _active.get()
    return Loop() if journal is None else journal.loop()


def remembered(work: Callable[[], Any]) -> Any:
    """Return what a piece of work returns, in lists, dicts and arrays; or was kept of it."""
    place = loop()
    if place.saved is None:
        place.saved = work()
        place.keep(place.saved)
    return place.saved


def identity(parameters: dict[str, Any], others: dict[str, Any], **arrays: Iterable[np.ndarray]) -> Identity:
    """Return digests of all that a fit depends on, by name.

    Parameters
    ----------
    parameters : dict
        Of the estimator, without those that the outcome does not depend on.
    others : dict
        What else it depends on.
    **arrays
        The data, one array after another.
    """
    named = {**{f"the parameter {name!r}": value for name, value in parameters.items()}, **others}
    digests = {name: _digest(_described(value)) for name, value in named.items()}
    return {**digests, **{name: _digest_of_arrays(parts) for name, parts in arrays.items()}}


def _settle(folder: Path) -> None:
    """Make a renaming last, where folders can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _packed(tree: Any) -> bytes:
    """Return lists and dicts of numbers, strings and arrays as bytes."""
    arrays: list[np.ndarray] = []

    def packed(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            arrays.append(np.asarray(value))
            return {"array": len(arrays) - 1}
        if isinstance(value, list | tuple):
            return [packed(part) for part in value]
        if isinstance(value, dict):
            return {"dict": {name: packed(part) for name, part in value.items()}}
        return value

    text = json.dumps(packed(tree)).encode()
    stream = io.BytesIO()
    named: dict[str, Any] = {f"a{number}": array for number, array in enumerate(arrays)}
    np.savez(stream, text=np.frombuffer(text, dtype=np.uint8), **named)
    return stream.getvalue()


def _unpacked(payload: bytes) -> Any:
    """Return what was packed, tuples as lists and numbers of NumPy as arrays without dimensions."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:

        def unpacked(value: Any) -> Any:
            if isinstance(value, list):
                return [unpacked(part) for part in value]
            if isinstance(value, dict) and "array" in value:
                return arrays[f"a{value['array']}"]
            if isinstance(value, dict):
                return {name: unpacked(part) for name, part in value["dict"].items()}
            return value

        return unpacked(json.loads(arrays["text"].tobytes().decode()))


def _described(value: Any, depth: int = 6) -> Any:
    """Return what tells one value of a parameter from another, the same in every process."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, np.ndarray | np.generic):
        return [kind, _digest_of_arrays([np.asarray(value)])]
    if not depth or isinstance(value, np.random.RandomState):
        return kind
    if isinstance(value, list | tuple):
        return [kind, *(_described(part, depth - 1) for part in value)]
    if isinstance(value, dict):
        return {str(name): _described(part, depth - 1) for name, part in value.items()}
    code = getattr(value, "__code__", None)
    if code is not None:
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [value.__module__, value.__qualname__, code.co_code.hex(), _described(cells, depth - 1)]
    return [kind, _described(dict(getattr(value, "__dict__", {})), depth - 1)]


def _digest(description: Any) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _digest_of_arrays(arrays: Iterable[np.ndarray]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
