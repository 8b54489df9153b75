"""Supports: projections against SciPy's bounded least squares, and against the optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from sparse_fourier.supports import SUPPORTS, Interval, Real, Support, bounded_least_squares

BOUNDS = [(0.0, 1.0), (0.0, np.inf), (-0.3, 0.2)]
every_bound = pytest.mark.parametrize(("lower", "upper"), BOUNDS)


def correlated(k, correlation):
    """Gram matrix of components of unequal length, all at the same cosine."""
    lengths = np.linspace(0.5, 2.0, k)
    return (np.full((k, k), correlation) + (1 - correlation) * np.eye(k)) * np.outer(lengths, lengths)


def scattered_codes(k, n, seed=0):
    """Codes inside and outside of [0, 1], with every face and corner exceeded."""
    return np.random.default_rng(seed).uniform(-1.0, 2.0, size=(n, k))


def reference(codes, gram, lower, upper):
    """Row by row with SciPy: minimise |R u - R h| where gram = R'R."""
    root = np.linalg.cholesky(gram).T
    solve = dict(bounds=(lower, upper), method="bvls", tol=1e-15)
    return np.array([lsq_linear(root, root @ row, **solve).x for row in codes])


@every_bound
@pytest.mark.parametrize(("k", "correlation"), [(1, 0.0), (2, 0.95), (3, -0.4), (5, 0.95), (5, 0.0)])
def test_against_scipy(k, correlation, lower, upper):
    codes, gram = scattered_codes(k, 60), correlated(k, correlation)
    expected = reference(codes, gram, lower, upper)
    solution = bounded_least_squares(codes, gram, lower, upper)
    np.testing.assert_allclose(solution, expected, atol=1e-9)


def test_projection_is_not_clipping():
    """With correlated components what one code may not give, another must."""
    gram = correlated(2, 0.95)
    codes = np.array([[1.5, 0.2]])
    solution = bounded_least_squares(codes, gram, 0.0, 1.0)
    # By hand: u0 = 1, and u1 minimises over the line: u1 = h1 + g01/g11 (h0 - 1).
    np.testing.assert_allclose(solution, [[1.0, 0.2 + 0.5 * gram[0, 1] / gram[1, 1]]], rtol=1e-14)


@given(
    st.integers(1, 5),
    st.floats(0.0, 0.97),
    st.sampled_from(BOUNDS),
    st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_optimality_conditions(k, correlation, bounds, seed):
    """Inside, the gradient is zero; at a bound, it points out of the set."""
    lower, upper = bounds
    codes, gram = scattered_codes(k, 20, seed), correlated(k, correlation)
    solution = bounded_least_squares(codes, gram, lower, upper)
    assert (solution >= lower).all()
    assert (solution <= upper).all()
    gradient = (solution - codes) @ gram
    slack = 1e-9 * np.diagonal(gram).max()
    assert (gradient[solution < upper] >= -slack).all()
    assert (gradient[solution > lower] <= slack).all()


@every_bound
def test_rows_do_not_depend_on_their_neighbours(lower, upper):
    codes, gram = scattered_codes(4, 50), correlated(4, 0.95)
    together = bounded_least_squares(codes, gram, lower, upper)
    alone = np.concatenate([bounded_least_squares(row[None], gram, lower, upper) for row in codes])
    np.testing.assert_array_equal(together, alone)
    reversed_rows = bounded_least_squares(codes[::-1], gram, lower, upper)
    np.testing.assert_array_equal(together, reversed_rows[::-1])


@every_bound
def test_projecting_twice_is_projecting_once(lower, upper):
    codes, gram = scattered_codes(4, 50), correlated(4, 0.9)
    domain = Interval(lower, upper)
    once = domain.project(codes, gram)
    np.testing.assert_allclose(domain.project(once, gram), once, rtol=0, atol=1e-12)


def test_components_of_length_zero_do_not_disturb_the_others():
    gram = np.zeros((3, 3))
    gram[np.ix_([0, 2], [0, 2])] = correlated(2, 0.9)
    codes = scattered_codes(3, 40)
    solution = bounded_least_squares(codes, gram, 0.0, 1.0)
    rest = bounded_least_squares(codes[:, [0, 2]], gram[np.ix_([0, 2], [0, 2])], 0.0, 1.0)
    np.testing.assert_array_equal(solution[:, [0, 2]], rest)
    np.testing.assert_array_equal(solution[:, 1], np.clip(codes[:, 1], 0, 1))


def test_rows_inside_are_returned_bit_for_bit():
    codes, gram = scattered_codes(3, 80), correlated(3, 0.95)
    inside = ((codes >= 0) & (codes <= 1)).all(axis=1)
    assert 0 < inside.sum() < len(codes)
    projected = Interval(0.0, 1.0).project(codes, gram)
    np.testing.assert_array_equal(projected[inside], codes[inside])
    expected = reference(codes[~inside], gram, 0.0, 1.0)
    np.testing.assert_allclose(projected[~inside], expected, atol=1e-9)


def test_input_is_left_alone():
    codes, gram = scattered_codes(3, 30), correlated(3, 0.5)
    before = codes.copy(), gram.copy()
    codes.flags.writeable = gram.flags.writeable = False
    SUPPORTS["unit"].project(codes, gram)
    np.testing.assert_array_equal(codes, before[0])
    np.testing.assert_array_equal(gram, before[1])


def test_named_supports_are_the_sets_they_name():
    codes, gram = scattered_codes(3, 60), correlated(3, 0.9)
    np.testing.assert_array_equal(SUPPORTS["real"].project(codes, gram), codes)
    unit, nonnegative = SUPPORTS["unit"].project(codes, gram), SUPPORTS["nonnegative"].project(codes, gram)
    assert unit.min() == 0.0
    assert unit.max() == 1.0
    assert nonnegative.min() == 0.0
    assert nonnegative.max() > 1.0
    np.testing.assert_allclose(nonnegative, reference(codes, gram, 0.0, np.inf), atol=1e-9)


def test_no_point_of_the_set_reconstructs_better():
    rng = np.random.default_rng(0)
    components = rng.normal(size=(3, 8))
    codes, gram = scattered_codes(3, 40), components @ components.T
    signals = codes @ components
    best = SUPPORTS["unit"].project(codes, gram)
    errors = np.linalg.norm(signals - best @ components, axis=1)
    for _ in range(200):
        rivals = np.clip(best + rng.normal(scale=0.1, size=best.shape), 0, 1)
        assert (np.linalg.norm(signals - rivals @ components, axis=1) >= errors - 1e-12).all()


def test_support_is_abstract():
    with pytest.raises(TypeError, match="project"):
        Support()
    assert isinstance(SUPPORTS["real"], Real)
