"""Sparse codes against brute force, least squares and each other."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls

from sparse_fourier.pursuit import (
    Search,
    best_known,
    falls_of_error,
    objectives,
    sparse_array_of_codes,
    sparse_codes,
)


@pytest.fixture
def problem():
    rng = np.random.RandomState(0)
    atoms = rng.standard_normal((12, 6))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return rng.standard_normal((40, 6)), atoms


def least_error(x, atoms, size):
    """The least squared error with so many atoms, of all choices."""
    return min(
        np.linalg.lstsq(atoms[list(chosen)].T, x, rcond=None)[1].sum()
        for chosen in combinations(range(len(atoms)), size)
    )


def test_all_first_choices_find_the_best_pair(problem):
    X, atoms = problem
    codes = sparse_codes(X, atoms, Search(2, n_firsts=12))
    errors = ((X - codes @ atoms) ** 2).sum(axis=1)
    np.testing.assert_allclose(errors, [least_error(x, atoms, 2) for x in X], rtol=1e-9)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_codes_are_least_squares_on_their_support(problem, nonnegative):
    X, atoms = problem
    codes = sparse_codes(X, atoms, Search(3, nonnegative=nonnegative))
    assert np.count_nonzero(codes, axis=1).max() == 3
    for x, code in zip(X, codes, strict=True):
        used = np.flatnonzero(code)
        solve = nnls if nonnegative else np.linalg.lstsq
        np.testing.assert_allclose(code[used], solve(atoms[used].T, x)[0], atol=1e-6)


def test_falls_add_up_to_what_is_explained(problem):
    X, atoms = problem
    falls = falls_of_error(X, atoms, Search(4))
    for count in range(1, 5):
        codes = sparse_codes(X, atoms, Search(count))
        explained = (X**2).sum(axis=1) - ((X - codes @ atoms) ** 2).sum(axis=1)
        np.testing.assert_allclose(falls[:, :count].sum(axis=1), explained, rtol=1e-9)


def test_a_price_keeps_codes_out_that_gain_less(problem):
    X, atoms = problem
    codes = sparse_codes(X, atoms, Search(6, price=0.3))
    falls = falls_of_error(X, atoms, Search(6))
    expected = np.cumprod(falls > 0.3, axis=1).sum(axis=1)
    np.testing.assert_array_equal(np.count_nonzero(codes, axis=1), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sparse_array_holds_the_same(problem, dtype):
    X, atoms = (array.astype(dtype) for array in problem)
    codes = sparse_array_of_codes(X, atoms, Search(3))
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes.toarray(), sparse_codes(X, atoms, Search(3)))
    assert codes.nnz == 3 * len(X)


def test_more_first_choices_never_cost_more(problem):
    X, atoms = problem
    search = Search(5, price=0.1)
    costs = [best_known(X, atoms, search, n_firsts) for n_firsts in (1, 4, 12)]
    assert (costs[1] <= costs[0] + 1e-12).all()
    assert (costs[2] <= costs[1] + 1e-12).all()
    codes = sparse_array_of_codes(X, atoms, search)
    residuals = X - codes.toarray() @ atoms
    expected = (residuals**2).sum(axis=1) + 0.1 * np.count_nonzero(codes.toarray(), axis=1)
    np.testing.assert_allclose(objectives(X, atoms, codes, 0.1), expected)
    np.testing.assert_allclose(costs[0], expected)


def test_a_long_search_for_pairs_ends_at_the_best(problem):
    X, atoms = problem
    best = best_known(X, atoms, Search(2), 12)
    np.testing.assert_allclose(best, [least_error(x, atoms, 2) for x in X], rtol=1e-9)
