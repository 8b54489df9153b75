"""The array namespace of an argument, so that formulas are written once for NumPy and JAX."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import scipy.special
from scipy.linalg import lapack

Array = Any
"""A NumPy array, or a JAX array where training traces the same formula."""

_HALVINGS = 40
LOG_SQRT_2PI = 0.5 * float(np.log(2 * np.pi))


def array_namespace(*arrays: Array) -> ModuleType:
    """Return `jax.numpy` if any argument is a JAX array, else `numpy`.

    JAX is never imported here: an array of its kind can only exist where it has been.
    """
    jax = sys.modules.get("jax")
    if jax is None:
        return np
    kind = getattr(jax, "Array", ())  # absent while another thread imports JAX
    for array in arrays:
        if type(array) is not np.ndarray and isinstance(array, kind):
            return jax.numpy
    return np


def log(x: Array) -> Array:
    """Return the natural logarithm, of a number too."""
    return array_namespace(x).log(x)


def tree_map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to the arrays of equally built, nested named tuples."""
    if isinstance(tree, tuple):
        return type(tree)(*(tree_map(function, *parts) for parts in zip(tree, *others, strict=True)))  # type: ignore[call-arg]
    return function(tree, *others)


def choose(condition: Array, chosen: Any, other: Any) -> Any:
    """Return one of two equally built trees of arrays, by a condition that is a scalar where it is traced."""
    if array_namespace(condition) is np:
        return chosen if condition else other
    return tree_map(functools.partial(sys.modules["jax"].numpy.where, condition), chosen, other)


def evaluate_either(condition: Array, chosen: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Return what one of two functions returns; both are evaluated where the condition is traced."""
    if array_namespace(condition) is np:
        return chosen() if condition else other()
    return choose(condition, chosen(), other())


def evaluated_once(tree: Any) -> Any:
    """Return arrays that a compiler must not compute anew for each of their uses."""
    if array_namespace(*tree) is np:
        return tree
    return sys.modules["jax"].lax.optimization_barrier(tree)


def nth_largest(rows: Array, n: int) -> Array:
    """Return the n-th largest entry of each row, the smallest where there are fewer, of shape (m, 1)."""
    n = min(n, rows.shape[1])
    if array_namespace(rows) is np:
        place = rows.shape[1] - n
        return np.partition(rows, place, axis=1)[:, place, None]
    return sys.modules["jax"].lax.top_k(constant(rows), n)[0][:, -1:]


def nth_largest_of_all(values: Array, n: int) -> Array:
    """Return the n-th largest of all values, none of which is negative; zero where there are fewer.

    Where that is traced, by bisection: the largest number in reach of which n are no smaller.
    """
    if n > values.size:
        return 0.0 * values.max()
    if array_namespace(values) is np:
        return np.partition(values, values.size - n, axis=None)[values.size - n]
    jax, values = sys.modules["jax"], constant(values)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        enough = (values >= middle).sum() >= n
        xp = jax.numpy
        return xp.where(enough, middle, ends[0]), xp.where(enough, ends[1], middle)

    largest = values.max()
    return jax.lax.fori_loop(0, _HALVINGS, halve, (0.0 * largest, 2.0 * largest))[0]


def constant(x: Array) -> Array:
    """Return an array that counts as constant where a formula is differentiated."""
    return x if array_namespace(x) is np else sys.modules["jax"].lax.stop_gradient(x)


def solve_positive(matrix: Array, vector: Array) -> Array:
    """Return the solution of positive definite equations; NaN where the matrix is not."""
    if array_namespace(matrix) is np:
        factor, failed = lapack.dpotrf(matrix, lower=1)
        return np.full_like(vector, np.nan) if failed else lapack.dpotrs(factor, vector, lower=1)[0]
    import jax.scipy.linalg

    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix, lower=True), vector)


def log_ndtr(x: Array) -> Array:
    """Return the logarithm of the standard normal distribution function.

    SciPy's for NumPy arrays. For JAX arrays a single polynomial that compiles to a fraction of what
    `jax.scipy.special.log_ndtr` does, with a relative error below 3e-14 near zero, and what rounding of
    the square of the argument leaves far from it [1]_.

    References
    ----------
    .. [1] M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x
       in 0 <= x < inf", Mathematics of Computation 36(153), 249-253, 1981.
    """
    if array_namespace(x) is np:
        return scipy.special.log_ndtr(x)
    return _traced_log_ndtr()(x)


_ERFCX_CENTRE = 3.75
_ERFCX_COEFFICIENTS = (
    1.2375126308378275,
    -0.14024059858554522,
    0.0035854154854663067,
    0.08227673848999159,
    -0.10880393014193915,
    0.09230432116435616,
    -0.058693398584491845,
    0.028362277371370044,
    -0.00974657962081509,
    0.0017556261692276722,
    0.00029371408777227685,
    -0.0002901553656394713,
    5.164737123871838e-05,
    2.238759272534769e-05,
    -1.143961526007595e-05,
    -9.792975290998228e-07,
    1.7438577411359181e-06,
    -5.0816911811698266e-08,
    -2.499653803740525e-07,
    1.8778501156468835e-08,
    3.256499083798517e-08,
    -1.9527901629748448e-09,
    -2.729394133253394e-09,
)


@functools.cache
def _traced_log_ndtr() -> Any:
    """Return the JAX form; its derivative is the ratio of density and distribution function."""
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def evaluate(x: Array) -> Array:
        z = jnp.abs(x) * np.sqrt(0.5)
        t = (z - _ERFCX_CENTRE) / (z + _ERFCX_CENTRE)
        scaled = functools.reduce(lambda total, c: total * t + c, _ERFCX_COEFFICIENTS[::-1], 0.0 * t)
        half = 0.5 * scaled / (1.0 + 2.0 * z)
        tail = jnp.log(half) - z * z
        return jnp.where(x < 0, tail, jnp.log1p(-jnp.exp(tail)))

    @evaluate.defjvp
    def differentiate(primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        y = evaluate(x)
        return y, jnp.exp(-0.5 * x * x - LOG_SQRT_2PI - y) * dx

    return evaluate
