"""Sweeps over atoms: what each does to the squared error, and that they end at the truth."""

import numpy as np
import pytest

from sparse_fourier.atoms import Course, Signals
from sparse_fourier.datasets import make_sparse_combinations
from sparse_fourier.metrics import atom_hit_rate
from sparse_fourier.pursuit import Search
from sparse_fourier.sweeping import Sweeper


def sweeper(X, **changes):
    given = {"missing": None, "share": np.full(len(X), 1 / len(X)), "resolution": 1e-12, "init": None}
    given |= {"fit_intercept": True, "nonnegative": False, "rng": np.random.RandomState(0)} | changes
    return Sweeper(Signals(X=X, **given), Course(1000, None))


def test_no_sweep_raises_the_error():
    X, _, _ = make_sparse_combinations(400, 10, 20, n_active=2, snr_db=20, random_state=0)
    learner = sweeper(X)
    atoms, intercept = learner.signals.first(20)
    losses = []
    for _ in range(5):
        state = learner.alternate(atoms, intercept, Search(2, n_firsts=20), 1)
        atoms, intercept = state.atoms, state.intercept
        losses.append(state.loss)
        again = learner.coded(state, Search(2, n_firsts=20))
        assert (again.residuals**2).sum() <= (state.residuals**2).sum() * (1 + 1e-3)
    assert (np.diff(losses) <= 1e-3 * losses[0]).all()


@pytest.mark.parametrize("n_active", [None, 2])
def test_atoms_and_their_number_are_found(n_active):
    X, _, atoms = make_sparse_combinations(600, 10, 16, n_active=2, snr_db=30, random_state=1)
    state, search = sweeper(X, fit_intercept=False).learned(16, n_active)
    assert search.n_active == 2
    assert atom_hit_rate(atoms, state.atoms) >= 15 / 16
    assert not state.intercept.any()
