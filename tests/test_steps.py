"""Stochastic steps: the learning rates that they are given."""

import numpy as np
import optax
import pytest

from sparse_fourier import runtime
from sparse_fourier.steps import learning_rates


def test_schedules_are_asked_for_the_step():
    schedule = optax.exponential_decay(0.1, 10, 0.5)
    runtime.start()
    np.testing.assert_allclose(learning_rates(schedule, 5, 3), 0.1 * 0.5 ** (np.arange(5, 8) / 10), rtol=1e-6)
    with pytest.raises(ValueError, match="'learning_rate' schedule must give a finite number"):
        learning_rates(lambda step: -1.0 - step, 0, 2)
