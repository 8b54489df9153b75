"""How many codes are active: descriptions find the truth, averages are kept."""

import numpy as np
import pytest

from sparse_fourier.datasets import make_sparse_combinations
from sparse_fourier.pursuit import Search, falls_of_error, sparse_codes
from sparse_fourier.sparsity import Described, Explained, Judge, OfEach, OnAverage, growing

X, _, ATOMS = make_sparse_combinations(1000, 20, 30, n_active=3, snr_db=26, random_state=0)


def explained_with(search):
    codes = sparse_codes(X, ATOMS, search)
    squares = ((X - codes @ ATOMS) ** 2).sum(axis=1)
    share = np.full(len(X), 1 / len(X))
    return Explained(squares, np.count_nonzero(codes, axis=1), (codes**2).sum(axis=1), share, len(ATOMS))


JUDGE = Judge(explained_with, lambda search: falls_of_error(X, ATOMS, search), 20, 1e-12)


def test_the_shortest_description_has_the_true_number_of_active_atoms():
    power = float((X**2).mean())
    lengths = [explained_with(Search(s)).description_length(s, 20, power) for s in range(1, 7)]
    assert np.argmin(lengths) == 2


def test_noise_and_strength_are_those_of_the_data():
    explained = explained_with(Search(3))
    variance = float((X**2).mean()) / (1 + 10**2.6)
    assert explained.noise(3, 20) == pytest.approx(variance, rel=0.15)
    assert explained.strength == pytest.approx(1, rel=0.1)


def test_a_description_prices_noise_out():
    search = Described().widened(Described().priced(Search(3), JUDGE), JUDGE)
    assert search.n_active >= 3
    assert np.count_nonzero(sparse_codes(X, ATOMS, search), axis=1).mean() == pytest.approx(2.7, abs=0.3)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_average_is_kept_and_some_signals_have_more(count):
    search = OnAverage(count).priced(Search(count), JUDGE)
    n_used = np.count_nonzero(sparse_codes(X, ATOMS, search), axis=1)
    assert n_used.mean() == pytest.approx(count, abs=0.01)
    assert n_used.max() > count
    assert OnAverage(count).widened(search, JUDGE) == search


def test_a_number_for_each_signal_is_kept():
    assert OfEach(3).widened(OfEach(3).priced(Search(3), JUDGE), JUDGE) == Search(3)
    assert OfEach(3).given == OnAverage(3).given == 3
    assert Described().given is None


@pytest.mark.parametrize(
    ("last", "numbers"),
    [(1, [1]), (2, [1, 2]), (4, [1, 2, 3, 4]), (6, [1, 2, 3, 4, 6]), (16, [1, 2, 3, 4, 8, 16])],
)
def test_numbers_grow_by_one_and_then_double(last, numbers):
    assert growing(last) == numbers
