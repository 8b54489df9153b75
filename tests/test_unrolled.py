"""Unrolled proximal steps: exact where supports are plain, close to a long search where they are not."""

import numpy as np
import pytest

from sparse_fourier.datasets import make_sparse_combinations
from sparse_fourier.pursuit import Search, best_known, objectives
from sparse_fourier.unrolled import Unrolled


@pytest.mark.parametrize("nonnegative", [False, True])
def test_codes_without_noise_are_exact(nonnegative):
    X, codes, atoms = make_sparse_combinations(200, 64, 128, n_active=3, random_state=0)
    if nonnegative:
        codes = np.abs(codes)
        X = codes @ atoms
    found = Unrolled(Search(3, nonnegative=nonnegative)).codes(X, atoms).toarray()
    exact = np.abs(found - codes).max(axis=1) < 1e-4
    assert exact.mean() > 0.97
    assert not nonnegative or (found >= 0).all()


def test_noisy_codes_are_close_to_the_best_known():
    X, _, atoms = make_sparse_combinations(400, 64, 128, n_active=4, snr_db=20, random_state=1)
    search = Search(4)
    gap = objectives(X, atoms, Unrolled(search).codes(X, atoms), 0.0) - best_known(X, atoms, search, 16)
    assert gap.mean() < 0.005 * (X**2).sum(axis=1).mean()


def test_a_price_and_a_type_are_kept():
    X, _, atoms = make_sparse_combinations(100, 16, 32, n_active=3, snr_db=10, random_state=2)
    codes = Unrolled(Search(5, price=0.2)).codes(X.astype(np.float32), atoms.astype(np.float32))
    assert codes.dtype == np.float32
    kept = codes.data
    assert (kept**2 > 0.2).all()
