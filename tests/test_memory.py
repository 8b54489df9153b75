"""Limited-memory BFGS beside the formula for whole matrices, and beside what it has to find in the end."""

import numpy as np
import pytest

from sparse_fourier.memory import Memory


def quadratic(size, seed=0):
    """Return the matrix of a quadratic function, and a rough model of it."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((size, size))
    matrix = root @ root.T + 0.1 * np.eye(size)
    return matrix, np.diag(np.diagonal(matrix))


def first(memory, gradient, solve):
    return next(memory.directions(gradient, solve))


def test_directions_are_those_of_the_whole_matrix():
    """The inverse of BFGS, (I - s y'/y's) H (I - y s'/y's) + s s'/y's, one step after the other."""
    size, rng = 6, np.random.default_rng(1)
    matrix, model = quadratic(size)
    memory, inverse, gradient = Memory(3), np.linalg.inv(model), rng.standard_normal(size)
    for _ in range(3):
        step = rng.standard_normal(size)
        change = matrix @ step
        memory.left(gradient, step)
        gradient = gradient + change
        memory.arrived(gradient)
        away = np.eye(size) - np.outer(step, change) / (change @ step)
        inverse = away @ inverse @ away.T + np.outer(step, step) / (change @ step)
    found = first(memory, gradient, lambda vector: np.linalg.solve(model, vector))
    np.testing.assert_allclose(found, -inverse @ gradient, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 4, 9])
def test_exact_steps_end_a_quadratic_function_in_as_many_as_it_has_dimensions(size):
    matrix, model = quadratic(size)
    place, memory = np.random.default_rng(2).standard_normal(size), Memory(size)
    for _ in range(size):
        gradient = matrix @ place
        memory.arrived(gradient)
        step = first(memory, gradient, lambda vector: np.linalg.solve(model, vector))
        step = step * -(gradient @ step) / (step @ matrix @ step)
        memory.left(gradient, step)
        place = place + step
    assert np.linalg.norm(matrix @ place) < 1e-7


def test_steps_along_which_the_function_bends_downwards_are_not_remembered():
    gradient, memory = np.array([1.0, -2.0]), Memory(5)
    memory.left(gradient, np.array([-1.0, 0.0]))
    memory.arrived(gradient + np.array([3.0, 0.0]))
    assert memory.state[0] == []
    np.testing.assert_array_equal(first(memory, gradient, lambda vector: vector), -gradient)


def test_nothing_is_remembered_without_capacity_or_after_forgetting():
    gradient, memories = np.array([1.0, -2.0]), [Memory(0), Memory(4)]
    for memory in memories:
        memory.left(gradient, np.array([-1.0, 2.0]))
        memory.arrived(0.5 * gradient)
    memories[1].forget()
    for memory in memories:
        assert len(list(memory.directions(gradient, lambda vector: vector))) == 1


def test_the_model_is_tried_where_what_is_remembered_leads_nowhere():
    gradient, memory = np.array([1.0, -2.0]), Memory(4)
    memory.left(2 * gradient, -gradient)
    memory.arrived(gradient)
    remembered, own = memory.directions(gradient, lambda vector: 7 * vector)
    np.testing.assert_allclose(remembered, -gradient)
    np.testing.assert_array_equal(own, -7 * gradient)
    assert memory.state == [[], []]


def test_a_state_is_remembered_by_another():
    gradient, one, other = np.array([1.0, -2.0]), Memory(4), Memory(4)
    one.left(2 * gradient, -gradient)
    one.arrived(gradient)
    other.restore(one.state)
    steps = [first(memory, gradient, lambda vector: 3 * vector) for memory in (one, other)]
    np.testing.assert_array_equal(*steps)
