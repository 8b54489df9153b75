"""The loop of quasi-Newton searches: against SciPy's own minimisers, and what ends it."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from sparse_fourier.descent import descend

START = np.array([[-1.2, 1.0], [0.5, -0.7]])


def valley(place):
    """The function of Rosenbrock, whose minimum is zero, at ones; of a 2 x 2 array."""
    return rosen(place.ravel()), rosen_der(place.ravel()).reshape(place.shape)


def descent(function=valley, **changes):
    return descend(function, START, **{"tol": 1e-15, "max_iter": 500, "memory": 10, **changes})


def test_ends_at_the_minimum():
    found = descent()
    np.testing.assert_allclose(found.place, 1.0, atol=1e-5)
    assert found.converged
    assert found.value == found.curve[-1] < 1e-10
    assert np.all(np.diff(found.curve) <= 0)


def test_a_function_that_jumps_ends_where_no_direction_leads_down():
    def rough(place):
        value, gradient = valley(place)
        return value + 1e-3 * (np.floor(1e3 * value) % 2), gradient

    found = descent(rough)
    assert found.converged
    assert found.value < 1e-2


def test_never_accepts_what_is_not_finite():
    def walled(place):
        value, gradient = valley(place)
        return (np.nan if place[0, 0] > 0.9 else value), gradient

    found = descent(walled)
    assert np.isfinite(found.value)
    assert found.value < valley(START)[0] / 10
    assert found.place[0, 0] <= 0.9


def test_iterations_and_the_caller_end_it(monkeypatch):
    few = descent(max_iter=3)
    assert len(few.curve) == 3
    assert not few.converged
    assert few.decrement == pytest.approx(few.curve[1] - few.curve[2])
    monkeypatch.setattr("sparse_fourier.descent._SECONDS_BETWEEN_REPORTS", 0.0)
    seen = []

    def at_the_fifth(progress):
        seen.append(progress.iteration)
        return progress.iteration == 15

    asked = descent(callback=at_the_fifth, done=10)
    assert seen == [11, 12, 13, 14, 15]
    assert asked.stopped
    assert len(asked.curve) == 5
    assert not asked.converged
