"""What learning a dictionary works with: descriptions, noise, clusters, rows that stand for all."""

import numpy as np
import pytest

from sparse_fourier.atoms import Course, Explained, clusters, doubling, split, spread, weakness
from sparse_fourier.pursuit import Search, sparse_array_of_codes, sparse_codes


def explained_with(count, X, atoms):
    codes = sparse_codes(X, atoms, Search(count))
    squares = ((X - codes @ atoms) ** 2).sum(axis=1)
    share = np.full(len(X), 1 / len(X))
    return Explained(squares, np.count_nonzero(codes, axis=1), (codes**2).sum(axis=1), share, len(atoms))


@pytest.fixture(scope="module")
def signals():
    rng = np.random.RandomState(0)
    atoms = rng.standard_normal((30, 20))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((1000, 30))
    chosen = np.argsort(rng.uniform(size=codes.shape), axis=1)[:, :3]
    np.put_along_axis(codes, chosen, 2 * rng.standard_normal((1000, 3)), axis=1)
    return codes @ atoms + 0.1 * rng.standard_normal((1000, 20)), atoms


def test_the_shortest_description_has_the_true_number_of_active_atoms(signals):
    X, atoms = signals
    power = float((X**2).mean())
    lengths = [explained_with(s, X, atoms).description_length(s, 20, power) for s in range(1, 7)]
    assert np.argmin(lengths) == 2


def test_noise_and_strength_are_those_of_the_data(signals):
    explained = explained_with(3, *signals)
    assert explained.noise(3, 20) == pytest.approx(0.01, rel=0.1)
    assert explained.strength == pytest.approx(4, rel=0.1)


def test_a_price_lies_between_noise_and_codes(signals):
    explained = explained_with(3, *signals)
    assert 5 * 0.01 < explained.price(3, 20) < 0.1 * explained.strength


def test_clusters_are_the_directions_that_residuals_share():
    rng = np.random.RandomState(0)
    directions = np.linalg.qr(rng.standard_normal((8, 8)))[0][:2]
    which = rng.choice(2, 500, p=[0.7, 0.3])
    residuals = rng.standard_normal((500, 1)) * directions[which] + 0.02 * rng.standard_normal((500, 8))
    share = np.full(500, 1 / 500)
    found, gains = clusters(residuals, share, 2, 60, nonnegative=False)
    np.testing.assert_allclose(np.abs(found @ directions.T), np.eye(2), atol=0.02)
    expected = [(residuals[which == j] ** 2).sum() / 500 for j in (0, 1)]
    np.testing.assert_allclose(gains, expected, rtol=0.05)
    one_sided, _ = clusters(
        np.abs(residuals @ directions[0])[:, None] * directions[0], share, 1, 60, nonnegative=True
    )
    np.testing.assert_allclose(one_sided @ directions[0], 1.0, atol=1e-6)


def test_an_atom_that_stands_for_two_is_split():
    rng = np.random.RandomState(0)
    true = np.linalg.qr(rng.standard_normal((6, 6)))[0][:3]
    codes = np.zeros((300, 3))
    codes[np.arange(300), np.arange(300) % 3] = rng.standard_normal(300) + 2
    X = codes @ true
    atoms = np.array([true[0], (true[1] + true[2]) / np.sqrt(2)])
    found = sparse_array_of_codes(X, atoms, Search(1))
    share = np.full(300, 1 / 300)
    direction = (true[1] - true[2]) / np.sqrt(2)
    mixed, pair = split(atoms, found, X - found @ atoms, share, direction, nonnegative=False)
    assert mixed == 1
    np.testing.assert_allclose(np.sort(np.abs(pair @ true.T), axis=0), [[0, 0, 0], [0, 1, 1]], atol=1e-6)


def test_twins_are_weak():
    atoms = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(weakness(atoms, np.array([1.0, 2.0, 3.0])), [0, 0, 3])


def test_rows_that_stand_for_all_do_not_depend_on_repetition():
    rng = np.random.RandomState(0)
    X, counts = rng.standard_normal((50, 4)), rng.randint(1, 4, 50).astype(float)
    some = X[spread(X, counts, 10, 0.49)]
    repeated = np.repeat(X, counts.astype(int), axis=0)
    again = repeated[spread(repeated, np.ones(len(repeated)), 10, 0.49)]
    np.testing.assert_array_equal(some, again)


@pytest.mark.parametrize(("last", "numbers"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_numbers_double(last, numbers):
    assert doubling(last) == numbers


def test_a_course_ends_when_told_or_after_enough_iterations():
    course = Course(2, None)
    course.note(1.0)
    assert not course.over
    course.note(0.5)
    assert course.over
    told = Course(10, lambda progress: progress.loss < 0.7)
    told.note(1.0)
    told.report(0.5)
    assert told.stopped
    assert told.curve == [1.0]
