"""Where the library meets JAX: its settings, compilation, interruption, forks and faults."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np

_MINIMUM_JAX = (0, 8)
_MAX_PROGRAMS = 64
_SMALLEST_BUCKET = 256


_starting = threading.RLock()


class _Process:
    """What this process has done with JAX so far."""

    checked = False
    started = False
    forked = False

    @classmethod
    def mark_fork(cls) -> None:
        """Remember in a forked child that JAX ran in its parent."""
        cls.forked = cls.started


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Process.mark_fork)


def check() -> None:
    """Make sure that training can compile if it has to, without loading JAX.

    Raises
    ------
    ImportError
        If JAX is missing or too old.
    RuntimeError
        In a process forked after JAX ran, where JAX would hang.
    """
    _refuse_fork()
    if not _Process.checked:
        _check_version()
        _Process.checked = True


def _refuse_fork() -> None:
    if _Process.forked:
        raise RuntimeError(
            "This process was forked after JAX was started; fit cannot run here. Use joblib's loky or "
            "threading backend, or the 'spawn' start method."
        )


def platform_is_named() -> bool:
    """Return whether the user asks JAX for a platform other than the CPU."""
    return os.environ.get("JAX_PLATFORMS", "cpu") not in ("", "cpu")


def start() -> None:
    """Load JAX; not in the caller's thread, where a signal in the midst of it can crash the interpreter."""
    check()
    if not _Process.started:
        _in_thread(_start_once)


def _start_once() -> None:
    with _starting:
        if not _Process.started:
            _start_platform()
            _Process.started = True


def _check_version() -> None:
    needed = ".".join(map(str, _MINIMUM_JAX))
    try:
        found = importlib.metadata.version("jax") if importlib.util.find_spec("jax") else None
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ImportError(f"fit needs jax >= {needed}, which is not installed: pip install jax")
    if tuple(map(int, found.split(".")[:2])) < _MINIMUM_JAX:
        raise ImportError(f"fit needs jax >= {needed}, found {found}: pip install -U jax")


def _start_platform() -> None:
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        wanted = os.environ.get("JAX_PLATFORMS", "")
        raise RuntimeError(
            f"JAX could not start platform {wanted!r} (JAX_PLATFORMS={wanted}); installed: cpu. "
            "Unset JAX_PLATFORMS or install the platform's jaxlib."
        ) from error


_registered: set[type] = set()


def register(item: Any) -> None:
    """Let JAX look into an object: numbers and arrays among its attributes are traced."""
    if isinstance(item, tuple | list):
        parts = item
    elif hasattr(item, "__dict__") and not hasattr(item, "__array__"):
        parts = [value for name, value in vars(item).items() if name not in _untraced(item)]
        _register_class(type(item))
    else:
        return
    for part in parts:
        register(part)


def _register_class(kind: type) -> None:
    import jax

    with _starting:
        if kind not in _registered:
            jax.tree_util.register_pytree_node(kind, _take_apart, functools.partial(_put_together, kind))
            _registered.add(kind)


def _untraced(item: Any) -> tuple[str, ...]:
    """Return the names of attributes that a program depends on as they are: a user's functions."""
    return getattr(type(item), "untraced", ())


def _take_apart(item: Any) -> tuple[list[Any], tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]]:
    state = vars(item)
    kept = _untraced(item)
    traced = tuple(
        name for name, value in state.items() if not (isinstance(value, str | bool | None) or name in kept)
    )
    rest = tuple((name, value) for name, value in state.items() if name not in traced)
    return [state[name] for name in traced], (traced, rest)


def _put_together(kind: type, structure: Any, traced: Any) -> Any:
    names, rest = structure
    item = object.__new__(kind)
    item.__dict__.update(zip(names, traced, strict=True), **dict(rest))
    return item


def signature(*arguments: Any) -> Hashable:
    """Return what a program called with arguments depends on: their structure, shapes and types."""
    import jax

    for argument in arguments:
        register(argument)
    leaves, structure = jax.tree_util.tree_flatten(arguments)
    return structure, tuple((np.shape(leaf), str(getattr(leaf, "dtype", type(leaf)))) for leaf in leaves)


def in_dtype(tree: Any, dtype: Any) -> Any:
    """Return a tree whose numbers with a fractional part have another precision; others are int32."""
    import jax

    register(tree)

    def cast(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        return array.astype(dtype if array.dtype.kind == "f" else np.int32)

    return jax.tree_util.tree_map(cast, tree)


def on_device(tree: Any) -> Any:
    """Return arrays where programs run, for many calls; nobody may write to them any more."""
    start()
    import jax

    register(tree)
    with settings(), explained():
        return jax.block_until_ready(jax.device_put(tree))


def bucket(n: int) -> int:
    """Return the number of rows that n rows are padded to, one of few, so that few programs are compiled."""
    return max(_SMALLEST_BUCKET, 1 << (n - 1).bit_length())


def filled_bucket(rows: np.ndarray) -> np.ndarray:
    """Return rows padded to one of few numbers of them, by the last."""
    return np.concatenate([rows, np.repeat(rows[-1:], bucket(len(rows)) - len(rows), axis=0)])


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """Hold JAX's settings at what the library was tested with, in this thread, for a while."""
    import jax

    with contextlib.ExitStack() as stack:
        for setting in (
            jax.enable_x64(True),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            jax.transfer_guard("allow"),
            jax.default_matmul_precision("highest"),
            jax.default_prng_impl("threefry2x32"),
            jax.threefry_partitionable(True),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.disable_jit(False),
            jax.check_tracer_leaks(False),
            jax.debug_key_reuse(False),
        ):
            stack.enter_context(setting)
        yield


class Program:
    """A jitted function of this library: compiled off the main thread, cleared when too many shapes.

    A signal that arrives while XLA compiles in the main thread can crash the interpreter at its
    exit. The first call of each signature therefore runs in a helper thread while the caller waits.

    Parameters
    ----------
    function : callable
    out_shardings : optional
        How what is returned lies on devices; by default as JAX decides.
    stays : bool, default=False
        Whether it remains there.
    """

    def __init__(
        self, function: Callable[..., Any], *, out_shardings: Any = None, stays: bool = False
    ) -> None:
        self._function = function
        self._layout = {} if out_shardings is None else {"out_shardings": out_shardings}
        self._stays = stays
        self._jitted: Any = None
        self._signatures: set[Hashable] = set()
        self._lock = threading.Lock()

    def __call__(self, signature: Hashable, *arguments: Any) -> Any:
        """Return the function's value, as NumPy arrays that nobody else holds unless it stays on devices.

        `signature` is what the compiled program depends on: shapes and structure.
        """
        if signature in self._signatures:
            return self._run(*arguments)
        start()
        for argument in arguments:
            register(argument)
        with self._lock:
            self._make_room()
        result = _in_thread(self._run, *arguments)
        self._signatures.add(signature)
        return result

    def _make_room(self) -> None:
        import jax

        if self._jitted is None:
            self._jitted = jax.jit(self._function, compiler_options=_compiler_options(), **self._layout)
        if len(self._signatures) >= _MAX_PROGRAMS:
            self._jitted.clear_cache()
            self._signatures.clear()

    def _run(self, *arguments: Any) -> Any:
        import jax

        with settings(), explained():
            result = jax.block_until_ready(self._jitted(*arguments))
            return result if self._stays else jax.tree_util.tree_map(np.array, result)


def _compiler_options() -> dict[str, int]:
    """Return options for JAX's default device.

    On a CPU a lower level of optimisation compiles in four fifths of the time, and runs as fast: the
    work is in matrix products and vectorised elementary functions.
    """
    import jax

    return {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}


def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            future.set_exception(error)

    threading.Thread(target=work, name="sparse_fourier-compile").start()
    return future.result()


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Put what fails inside JAX into words that mean something to the user."""
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        raise _explain(error) from error


def _explain(error: Exception) -> Exception:
    """Return what a failure inside JAX means to the user."""
    import jax

    device = jax.devices()[0]
    place, said = f"{device.platform}:{device.id}", str(error)
    if jax.process_count() > 1 and "RESOURCE_EXHAUSTED" not in said:
        return RuntimeError(
            f"JAX failed on process {jax.process_index()} of {jax.process_count()}: another process may have "
            f"ended. Start all of them anew. ({said})"
        )
    if "RESOURCE_EXHAUSTED" not in said:
        return RuntimeError(
            f"JAX {jax.__version__} failed while training on {place}; please report this. ({said})"
        )
    found = re.search(r"allocating (\d+) bytes", said)
    size = f"{found[1]} bytes" if found else "memory"
    shared = (
        ""
        if device.platform == "cpu"
        else (
            " If other processes hold the device's memory, set XLA_PYTHON_CLIENT_PREALLOCATE=false for them."
        )
    )
    return MemoryError(
        f"Training could not allocate {size} on {place}; lower batch_size or use partial_fit.{shared} "
        f"({said})"
    )
