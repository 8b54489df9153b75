"""The array namespace and what it decides; the one special function against values of 50 digits."""

import sys
from typing import NamedTuple

import numpy as np
import pytest
import scipy.special

from sparse_fourier import runtime
from sparse_fourier.namespace import (
    array_namespace,
    choose,
    evaluate_either,
    evaluated_once,
    log_ndtr,
    solve_positive,
    tree_map,
)

# x, log Φ(x), φ(x)/Φ(x), rounded from 50 digits
EXACT = np.array(
    [
        (-40, -804.608442013753788, 40.0249688472072637),
        (-25.5, -329.284148987179535, 25.5390959860813902),
        (-10, -53.2312851505124706, 10.098093233962512),
        (-5, -15.0649983939887257, 5.18650396712584212),
        (-2, -3.78318433368203195, 2.37321553282284087),
        (-1, -1.84102164500926351, 1.52513527616098121),
        (-0.5, -1.17591176159361861, 1.14107777036806448),
        (-0.001, -0.693945383466965179, 0.798521289562911379),
        (0, -0.693147180559945309, 0.797884560802865356),
        (0.001, -0.692349614272688243, 0.797248050056433108),
        (0.5, -0.368946415288656393, 0.509160433837033486),
        (1, -0.17275377902344989, 0.287599970939178361),
        (2, -0.0230129093289634885, 0.0552478626789899591),
        (3, -0.0013508099647481938, 0.00443783904212566379),
        (5, -2.86651612963763593e-7, 1.48671994090490571e-6),
        (8, -6.22096057427178606e-16, 5.05227108353689543e-15),
        (12, -1.776482112077679e-33, 2.14638373566306035e-32),
        (20, -2.7536241186062337e-89, 5.52094836215976319e-88),
        (30, -4.90671392714818706e-198, 1.47364613487854752e-196),
        (37, -5.72557122252457682e-300, 2.12000655152460563e-298),
    ]
)
# Tails: the smallest number that is not denormal is Φ(-37.5).
GRID = np.concatenate([np.linspace(-40, 37, 771), np.logspace(-8, 1, 40), -np.logspace(-8, 1, 40)])


@pytest.fixture(scope="module")
def traced():
    """Return the JAX form and its derivatives up to the third on an array, as NumPy."""
    import jax

    first = jax.grad(log_ndtr)
    second = jax.grad(first)
    functions = [jax.jit(jax.vmap(f)) for f in (log_ndtr, first, second, jax.grad(second))]

    def evaluate(order, x):
        with runtime.settings():
            return np.asarray(functions[order](np.asarray(x, dtype=float)))

    return evaluate


def conditioned(x):
    """Relative error that rounding of the argument alone can cause: the condition number is x²."""
    return 1e-13 + np.finfo(float).eps * np.asarray(x) ** 2


def ratio(x):
    """Density over distribution function, by way of the scaled complementary error function."""
    return np.sqrt(2 / np.pi) / scipy.special.erfcx(-x / np.sqrt(2))


def test_namespace_of_numpy_jax_both_and_tracers():
    import jax

    array = np.ones(2)
    assert array_namespace(array, 1.0) is np
    assert array_namespace() is np
    assert array_namespace(jax.numpy.ones(2)) is jax.numpy
    assert array_namespace(array, jax.numpy.ones(2)) is jax.numpy
    seen = []
    jax.make_jaxpr(lambda x: seen.append(array_namespace(x)) or x)(array)
    assert seen == [jax.numpy]


def test_numpy_arrays_need_no_jax(monkeypatch):
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    assert array_namespace(np.ones(2)) is np
    assert log_ndtr(np.zeros(1)) == pytest.approx(np.log(0.5), rel=1e-15)
    one = np.ones(1)
    assert evaluated_once((one,))[0] is one
    assert solve_positive(4 * np.eye(1), one) == pytest.approx(0.25, rel=1e-15)
    assert tree_map(abs, Leaf(-1)) == Leaf(1)
    assert "jax" not in sys.modules


# Trees


class Leaf(NamedTuple):
    only: object


class Branch(NamedTuple):
    leaf: Leaf
    number: object


class Tree(NamedTuple):
    branch: Branch
    other: Leaf
    array: object


def tree_of(a, b, c, d):
    return Tree(Branch(Leaf(a), b), Leaf(c), d)


def test_tree_map_reaches_every_array_and_keeps_the_kinds():
    arrays = np.arange(2.0), np.float64(3.0), np.eye(2), np.ones((1, 2, 3))
    mapped = tree_map(lambda part: (part.shape, part.sum()), tree_of(*arrays))
    assert mapped == tree_of(((2,), 1.0), ((), 3.0), ((2, 2), 2.0), ((1, 2, 3), 6.0))
    assert [type(part) for part in (mapped, mapped.branch, mapped.branch.leaf)] == [Tree, Branch, Leaf]


def test_tree_map_of_several_trees_pairs_their_arrays():
    one, other, third = tree_of(1, 2, 3, 4), tree_of(10, 20, 30, 40), tree_of(100, 200, 300, 400)
    assert tree_map(lambda *parts: sum(parts), one, other, third) == tree_of(111, 222, 333, 444)
    assert tree_map(lambda x, y: x - y, 3, 1) == 2


def test_one_of_two_trees_is_chosen_by_a_number_and_by_what_is_traced():
    import jax

    one, other = tree_of(1.0, 2.0, 3.0, 4.0), tree_of(5.0, 6.0, 7.0, 8.0)
    assert choose(np.bool_(True), one, other) is one
    assert choose(False, one, other) is other
    traced = jax.jit(lambda condition: choose(condition, one, other))
    for condition in (True, False):
        assert tree_map(float, traced(condition)) == (one if condition else other)


def test_of_two_functions_only_one_is_called_unless_the_condition_is_traced():
    import jax

    called = []

    def call(value):
        called.append(value)
        return value

    assert evaluate_either(np.bool_(False), lambda: call(1.0), lambda: call(2.0)) == 2.0
    assert called == [2.0]
    traced = jax.jit(lambda condition: evaluate_either(condition, lambda: call(1.0), lambda: call(2.0)))
    assert [float(traced(condition)) for condition in (True, False)] == [1.0, 2.0]
    assert called == [2.0, 1.0, 2.0]


def test_tree_map_refuses_trees_of_different_length():
    with pytest.raises(ValueError, match="shorter|longer"):
        tree_map(lambda x, y: x, Leaf(1), Branch(Leaf(1), 2))


def test_tree_map_inside_a_compiled_function():
    import jax

    double = jax.jit(lambda tree: tree_map(lambda part: 2 * part, tree))
    found = double(tree_of(1.0, np.ones(2), 3.0, 4.0))
    assert isinstance(found.branch, Branch)
    np.testing.assert_array_equal(found.branch.number, [2.0, 2.0])
    assert (found.branch.leaf.only, found.other.only, found.array) == (2.0, 6.0, 8.0)


# What differs between the two


def in_numpy(function, *arrays):
    return function(*arrays)


def compiled_function(function, *arrays):
    import jax

    with runtime.settings():
        return jax.tree_util.tree_map(np.asarray, jax.jit(function)(*arrays))


both = pytest.mark.parametrize("evaluate", [in_numpy, compiled_function], ids=["NumPy", "JAX"])


def positive_matrix(size, seed=0):
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T + np.eye(size)


@both
@pytest.mark.parametrize("size", [1, 2, 12, 272])
def test_positive_definite_equations_are_solved(size, evaluate):
    matrix, vector = positive_matrix(size), np.random.default_rng(1).normal(size=size)
    before = matrix.copy(), vector.copy()
    found = evaluate(solve_positive, matrix, vector)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.linalg.solve(matrix, vector), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(matrix, before[0])
    np.testing.assert_array_equal(vector, before[1])


@both
def test_only_the_lower_triangle_is_read(evaluate):
    """As both factorisations do: the matrix is symmetric up to rounding."""
    matrix, vector = positive_matrix(4), np.arange(4.0)
    found = evaluate(solve_positive, np.tril(matrix), vector)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, vector), rtol=1e-12)


NOT_POSITIVE = {
    "indefinite": np.diag([1.0, -1e-3, 2.0]),
    "indefinite by its other half": np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    "negative": -np.eye(3),
    "zero": np.zeros((3, 3)),
    "not a number": np.full((3, 3), np.nan),
}


@both
@pytest.mark.parametrize("case", NOT_POSITIVE)
def test_equations_that_are_not_positive_definite_have_no_number_for_a_solution(case, evaluate):
    found = evaluate(solve_positive, NOT_POSITIVE[case], np.arange(1.0, 4.0))
    assert found.shape == (3,)
    assert np.isnan(found).all()


@both
def test_what_is_evaluated_once_keeps_its_value(evaluate):
    parts = Branch(np.arange(3.0), np.eye(2))
    found = evaluate(evaluated_once, parts)
    assert isinstance(found, Branch)
    np.testing.assert_array_equal(found.leaf, parts.leaf)
    np.testing.assert_array_equal(found.number, parts.number)


def test_what_is_evaluated_once_is_a_barrier_of_the_compiler():
    import jax

    text = str(jax.make_jaxpr(lambda x: evaluated_once((x, 2 * x)))(1.0))
    assert "optimization_barrier" in text


# The special function


def test_numpy_form_is_scipys():
    np.testing.assert_array_equal(log_ndtr(GRID), scipy.special.log_ndtr(GRID))


def test_jax_form_against_exact_values(traced):
    x, exact, _ = EXACT.T
    np.testing.assert_array_less(np.abs(traced(0, x) / exact - 1), conditioned(x))
    # Below x = 10 the argument's rounding is harmless and the approximation itself is seen.
    moderate = x < 10
    np.testing.assert_allclose(traced(0, x)[moderate], exact[moderate], rtol=3e-14)


def test_jax_form_against_scipy(traced):
    error = np.abs(traced(0, GRID) / scipy.special.log_ndtr(GRID) - 1)
    np.testing.assert_array_less(error, 2 * conditioned(GRID))


def test_jax_form_is_increasing_and_has_limits(traced):
    x = np.linspace(-40, 8, 2001)
    assert (np.diff(traced(0, x)) > 0).all()
    far = traced(0, np.array([-1e8, -1e150, 40.0, 1e8, 1e150]))
    np.testing.assert_allclose(far[:2], [-5e15, -5e299], rtol=1e-14)
    np.testing.assert_array_equal(far[2:], 0.0)


def test_first_derivative_is_density_over_distribution_function(traced):
    x, _, exact = EXACT.T
    np.testing.assert_array_less(np.abs(traced(1, x) / exact - 1), 2 * conditioned(x))
    np.testing.assert_array_less(np.abs(traced(1, GRID) / ratio(GRID) - 1), 2 * conditioned(GRID))


def test_second_derivative_solves_its_differential_equation(traced):
    """With r = φ/Φ: r' = -r (x + r). In the far left tail r and -x cancel to 1/x, squaring the loss."""
    r = ratio(GRID)
    exact = -r * (GRID + r)
    second = traced(2, GRID)
    assert np.isfinite(second).all()
    assert (second < 0).all()
    middle = np.abs(GRID) < 10
    np.testing.assert_allclose(second[middle], exact[middle], rtol=1e-10)
    np.testing.assert_allclose(second, exact, rtol=1e-8)


def test_derivatives_stay_finite_far_out(traced):
    x = np.array([-1e4, -100.0, -40.0, 0.0, 40.0, 100.0, 1e4])
    for order in (1, 2, 3):
        assert np.isfinite(traced(order, x)).all()
    np.testing.assert_allclose(traced(1, x[:2]), -x[:2], rtol=2e-4)
