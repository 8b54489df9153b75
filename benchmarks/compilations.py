"""Counting what JAX compiles."""

from contextlib import contextmanager

import jax

EVENT = "/jax/core/compile/backend_compile_duration"


@contextmanager
def compilations():
    """Collect the seconds that every compilation inside the block took, one entry per compiled program."""
    seconds = []

    def listen(event, duration, **details):
        if event == EVENT:
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
