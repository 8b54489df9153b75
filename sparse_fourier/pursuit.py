"""Sparse codes: few components for each signal, chosen one after another; array code over all signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array, vstack

_ENTRIES_OF_A_BLOCK = 1 << 18
_LEAST_NOVELTY = 1e-6
_SWEEPS_ABOVE_ZERO = 20


class Search(NamedTuple):
    """How sparse codes are searched for.

    Attributes
    ----------
    n_active : int
        Most codes of a signal that are not zero.
    price : float
        By how much every further code has to lower the squared error.
    n_firsts : int
        How many choices of the first component are followed to their end; the best end is taken.
    nonnegative : bool
        Whether codes must not be negative.
    """

    n_active: int
    price: float = 0.0
    n_firsts: int = 1
    nonnegative: bool = False

    def worth(self, falls: np.ndarray) -> np.ndarray:
        """Return what codes gain together, beyond their price, by how each lowers the squared error."""
        return (falls - self.price * (falls > 0)).sum(axis=1)

    def codes(self, X: np.ndarray, components: np.ndarray) -> csr_array:
        """Return sparse codes of signals, as a sparse array of shape (n, k)."""
        return sparse_array_of_codes(X, components, self)

    def arranged(self, order: np.ndarray, signs: np.ndarray) -> Self:
        """Return what gives the codes of components with signs, in another order: the same."""
        return self


class Chosen(NamedTuple):
    """Sparse codes: which components, of shape (n, n_active), and their codes, zero where none is needed."""

    components: np.ndarray
    values: np.ndarray

    def dense(self, k: int) -> np.ndarray:
        """Return the codes of all components, of shape (n, k)."""
        codes = np.zeros((len(self.values), k), dtype=self.values.dtype)
        np.add.at(codes, (np.arange(len(codes))[:, None], self.components), self.values)
        return codes

    def sparse(self, k: int) -> csr_array:
        """Return the codes of all components as a sparse array, of shape (n, k)."""
        n, s = self.values.shape
        starts = np.arange(0, n * s + 1, s)
        codes = csr_array((self.values.ravel(), self.components.ravel(), starts), shape=(n, k))
        codes.sum_duplicates()
        codes.eliminate_zeros()
        return codes


def pursued(learned: Any, signals: Any, course: Any) -> Any:
    """Return a dictionary as it was learned, whose codes are found by matching pursuit."""
    return learned


def sparse_codes(X: np.ndarray, components: np.ndarray, search: Search) -> np.ndarray:
    """Return sparse codes of signals by orthogonal matching pursuit.

    Of the components that a signal does not use yet, the one is taken that lowers the squared error most
    once all codes are least squares again, as in optimised orthogonal matching pursuit [1]_.

    Parameters
    ----------
    X : array of shape (n, d)
    components : array of shape (k, d)
        Of unit norm, or zero.
    search : Search

    Returns
    -------
    array of shape (n, k)

    References
    ----------
    .. [1] L. Rebollo-Neira and D. Lowe, "Optimized orthogonal matching pursuit approach", IEEE Signal
       Processing Letters 9(4), 137-140, 2002.
    """
    k = len(components)
    codes = np.zeros((len(X), k), dtype=X.dtype)
    for rows, chosen in chosen_in_blocks(X, components, search):
        codes[rows] = chosen.dense(k)
    return codes


def sparse_array_of_codes(X: np.ndarray, components: np.ndarray, search: Search) -> csr_array:
    """Return the same as a sparse array of shape (n, k), which needs little memory."""
    blocks = [chosen.sparse(len(components)) for _, chosen in chosen_in_blocks(X, components, search)]
    return csr_array(vstack(blocks, format="csr"))


def chosen_in_blocks(X: np.ndarray, components: np.ndarray, search: Search) -> Iterator[tuple[slice, Chosen]]:
    """Yield rows and their sparse codes, block by block, so that little memory is needed."""
    gram, block = components @ components.T, max(_ENTRIES_OF_A_BLOCK // len(components), 1)
    for start in range(0, len(X), block):
        rows = slice(start, start + block)
        yield rows, _best(X[rows] @ components.T, gram, search)


def falls_of_error(X: np.ndarray, components: np.ndarray, search: Search) -> np.ndarray:
    """Return by how much each further code lowers the squared error of signals, of shape (n, n_active)."""
    gram, block = components @ components.T, max(_ENTRIES_OF_A_BLOCK // len(components), 1)
    starts = range(0, len(X), block)
    products = (X[start : start + block] @ components.T for start in starts)
    return np.concatenate([_pursue(each, gram, search, None)[2] for each in products])


def _best(products: np.ndarray, gram: np.ndarray, search: Search) -> Chosen:
    """Return the best of the codes that begin with each of the likeliest components."""
    chosen, values, gains = _pursue(products, gram, search, None)
    for first in _other_firsts(products, search):
        others = _pursue(products, gram, search, first)
        better = search.worth(others[2]) > search.worth(gains)
        for kept, other in zip((chosen, values, gains), others, strict=True):
            kept[better] = other[better]
    if search.nonnegative:
        values = above_zero(
            values, np.take_along_axis(products, chosen, 1), gram[chosen[:, :, None], chosen[:, None, :]]
        )
    return Chosen(chosen, values)


def _other_firsts(products: np.ndarray, search: Search) -> np.ndarray:
    """Return the components to begin with other than the likeliest, of shape (n_firsts - 1, n)."""
    if search.n_firsts == 1:
        return np.zeros((0, len(products)), dtype=int)
    return np.argsort(-(products if search.nonnegative else np.abs(products)), axis=1, kind="stable")[
        :, 1 : search.n_firsts
    ].T


def _pursue(
    products: np.ndarray, gram: np.ndarray, search: Search, first: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the chosen components, their codes and how each lowers the squared error, for each signal.

    What is left of every component once those chosen are projected out is followed in its products
    with the signals (`left`) and in its squared norm (`novelty`), so that signals are not touched again.
    """
    (n, k), s, kind = products.shape, search.n_active, products.dtype
    rows, left, novelty = np.arange(n), products.copy(), np.tile(np.diagonal(gram), (n, 1))
    least = max(_LEAST_NOVELTY, 64 * float(np.finfo(kind).eps))
    novelty[novelty <= least] = np.inf
    chosen, steps, going = np.zeros((n, s), dtype=int), np.zeros((n, s), kind), np.ones(n, dtype=bool)
    directions, triangle = np.zeros((s, n, k), kind), np.zeros((s, s, n), kind)
    for t in range(s):
        gains = (np.maximum(left, 0.0) if search.nonnegative else left) ** 2 / novelty
        pick = gains.argmax(axis=1) if t or first is None else first
        going = going & (gains[rows, pick] > search.price)
        chosen[:, t] = pick
        norm = np.where(going, np.sqrt(novelty[rows, pick]), np.inf)
        direction = gram[pick]
        for u in range(t):
            triangle[u, t] = directions[u][rows, pick]
            direction -= triangle[u, t][:, None] * directions[u]
        direction /= norm[:, None]
        triangle[t, t] = np.where(going, norm, 1.0)
        steps[:, t] = left[rows, pick] / norm
        directions[t] = direction
        left -= steps[:, t, None] * direction
        novelty -= direction**2
        novelty[rows, pick] = np.inf
        np.copyto(novelty, np.inf, where=novelty < least)
        if not going.any():
            break
    return chosen, _substituted_back(triangle, steps), steps**2


def _substituted_back(triangle: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the solutions of triangular systems, of shape (s, s, n), whose unused steps are zero."""
    values = np.zeros_like(steps)
    for t in range(steps.shape[1] - 1, -1, -1):
        known = np.einsum("un,nu->n", triangle[t, t + 1 :], values[:, t + 1 :])
        values[:, t] = np.where(
            steps[:, t] == 0, 0.0, (steps[:, t] - known) / np.where(triangle[t, t], triangle[t, t], 1)
        )
    return values


def above_zero(values: np.ndarray, products: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return least-squares codes of the chosen components that are not negative, by coordinate descent."""
    if (values >= 0).all():
        return values
    used, values = values != 0, np.maximum(values, 0.0)
    for _ in range(_SWEEPS_ABOVE_ZERO):
        for t in range(values.shape[1]):
            rest = products[:, t] - np.einsum("ns,ns->n", among[:, t], values) + values[:, t]
            values[:, t] = np.where(used[:, t], np.maximum(rest, 0.0), 0.0)
    return values


def best_known(X: np.ndarray, components: np.ndarray, search: Search, n_firsts: int) -> np.ndarray:
    """Return the least objective of each signal that a long search finds: the squared error and all prices.

    Parameters
    ----------
    X, components, search
        As for `sparse_codes`.
    n_firsts : int
        How many choices of the first component are followed to their end, at least.
    """
    longer = search._replace(n_firsts=min(max(n_firsts, search.n_firsts), len(components)))
    return objectives(X, components, sparse_array_of_codes(X, components, longer), search.price)


def objectives(X: np.ndarray, components: np.ndarray, codes: csr_array, price: float) -> np.ndarray:
    """Return the squared error of each signal, and the price of its codes."""
    return ((X - codes @ components) ** 2).sum(axis=1) + price * abs(codes).sign().sum(axis=1)
