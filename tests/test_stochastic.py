"""Steps after batches: one of them by its formula, and learned dictionaries against the truth."""

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.atoms import Course, Signals
from sparse_fourier.datasets import make_feature_mixtures, make_sparse_combinations
from sparse_fourier.metrics import active_codes, atom_hit_rate, mean_max_cosine
from sparse_fourier.pursuit import Search, sparse_codes
from sparse_fourier.sparsity import Described, OfEach
from sparse_fourier.stochastic import Dictionary, Pace, Stepper


def stepper(X, share=None, **changes):
    share = np.full(len(X), 1 / len(X)) if share is None else share
    given = {"missing": None, "resolution": 1e-9, "init": None, "fit_intercept": True}
    given |= {"nonnegative": False, "rng": np.random.RandomState(0)} | changes
    return Stepper(Signals(X=X, share=share, **given), Course(1000, None))


@pytest.fixture(scope="module")
def sparse():
    return make_sparse_combinations(6000, 20, 40, n_active=2, snr_db=25, random_state=0)


def test_a_step_is_that_of_newton_for_each_atom(sparse):
    X, _, atoms = sparse
    learner, start = stepper(X), Dictionary.begun(np.roll(atoms, 1, axis=1), X.mean(axis=0))
    rows, search = np.arange(300), Search(2)
    after, _ = learner._step(start, rows, Pace(search, 1, 0.5, False))
    centred = X[rows] - start.intercept
    codes = sparse_codes(centred, start.atoms, search)
    residuals = centred - codes @ start.atoms
    for j in range(40):
        used = np.flatnonzero(codes[:, j])
        target = residuals[used] + codes[used, j, None] * start.atoms[j]
        atom = np.linalg.lstsq(codes[used, j, None], target, rcond=None)[0][0]
        np.testing.assert_allclose(after.atoms[j], atom / np.linalg.norm(atom), atol=1e-12)
    np.testing.assert_allclose(after.intercept, start.intercept + residuals.mean(axis=0), atol=1e-12)


def test_a_weight_of_two_is_a_row_that_occurs_twice(sparse):
    X, _, atoms = sparse
    X = X[:200]
    weights = np.random.RandomState(0).randint(1, 3, 200)
    start, pace = Dictionary.begun(np.roll(atoms, 1, axis=1), np.zeros(20)), Pace(Search(2), 1, 0.5, False)
    weighted, _ = stepper(X, weights / weights.sum())._step(start, np.arange(200), pace)
    repeated = np.repeat(X, weights, axis=0)
    plain, _ = stepper(repeated)._step(start, np.arange(len(repeated)), pace)
    np.testing.assert_allclose(weighted.atoms, plain.atoms, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_atoms_and_their_number_are_found(sparse, dtype):
    X, _, atoms = sparse
    dictionary, search = stepper(X.astype(dtype)).learned(40, Described())
    assert dictionary.atoms.dtype == dtype
    assert atom_hit_rate(atoms, dictionary.atoms) == 1.0
    assert 2 <= search.n_active <= 4


def test_idle_atoms_are_revived_from_what_is_worst_explained(sparse):
    X, _, atoms = sparse
    poor = np.vstack([atoms[:30], np.repeat(atoms[:1], 10, axis=0)])
    found, _ = stepper(X, init=poor).learned(40, OfEach(2))
    assert atom_hit_rate(atoms, found.atoms) == 1.0


def test_entries_that_were_not_observed_say_nothing(sparse):
    X, _, atoms = sparse
    missing = np.random.RandomState(0).uniform(size=X.shape) < 0.1
    filled = np.where(missing, 1e3, X)
    filled[missing] = 0.0
    dictionary, _ = stepper(filled, missing=missing).learned(40, Described())
    assert atom_hit_rate(atoms, dictionary.atoms) >= 0.95


@pytest.mark.slow
def test_many_features_of_unequal_frequency():
    """More signals than sweeps are made for: features that correlate, most of them rare."""
    X, codes, features = make_feature_mixtures(
        14_000, 32, 80, n_active=3, correlation=0.3, decay=0.98, random_state=0
    )
    model = AutoencoderDecomposer(80, prior="exponential", random_state=0).fit(X.astype(np.float32))
    assert model.components_.dtype == np.float32
    assert mean_max_cosine(features, model.components_, signed=True) > 0.99
    assert active_codes(model.transform(X)) == pytest.approx(active_codes(codes), abs=0.5)


def test_a_callback_stops_within_an_iteration(sparse):
    X, _, _ = sparse
    calls = []

    def stop(progress):
        calls.append(progress)
        return len(calls) == 3

    signals = stepper(X).signals
    learner = Stepper(signals, Course(1000, stop))
    dictionary, _ = learner.learned(40, Described())
    assert len(calls) <= 4
    np.testing.assert_allclose(np.linalg.norm(dictionary.atoms, axis=1), 1.0)
