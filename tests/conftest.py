"""What holds for every test: hostile JAX settings, no display, no figure left open."""

import os
import sys

# Before anything imports JAX: the library must shield itself from its user's settings.
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["MPLBACKEND"] = "Agg"

import hypothesis
import pytest

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def always_compiled(monkeypatch):
    """Compile for problems of any size, as is done for large ones."""
    monkeypatch.setattr("sparse_fourier.training._MOST_CODES", -1)


@pytest.fixture(params=["in NumPy", pytest.param("compiled", marks=pytest.mark.slow)])
def both_ways(request):
    """Train problems of the size of a test in NumPy, and once more in a compiled program."""
    if request.param == "compiled":
        request.getfixturevalue("always_compiled")


@pytest.fixture
def compiled():
    """Programs that JAX has compiled since the test began, or since it cleared this list."""
    import jax

    programs = []

    def listen(event, duration, **details):
        if "backend_compile" in event:
            programs.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield programs
    jax.monitoring.unregister_event_duration_listener(listen)
