"""What learning a dictionary works with: clusters, atoms to be split, rows that stand for all."""

import numpy as np

from sparse_fourier.atoms import Course, clusters, split, spread, weakness
from sparse_fourier.pursuit import Search, sparse_array_of_codes


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
