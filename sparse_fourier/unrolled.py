"""Sparse codes by a fixed number of proximal steps that are tied to the decoder."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array, vstack

from sparse_fourier.pursuit import Chosen, Search, above_zero

_ENTRIES_OF_A_BLOCK = 1 << 21
_RIDGE = 1e-6


class Unrolled(NamedTuple):
    """An encoder that has the components for its weights: subspace pursuit [1]_, unrolled.

    Each step adds the components along which the gradient of the squared error is largest, gives all the
    values of least squares, and keeps the largest codes, which are least squares again: a proximal step of
    sparsity whose length is the best for each signal.

    Attributes
    ----------
    search : Search
        Most codes that are active, what each has to gain, and whether codes are not negative.
    n_steps : int

    References
    ----------
    .. [1] W. Dai and O. Milenkovic, "Subspace pursuit for compressive sensing signal reconstruction", IEEE
       Transactions on Information Theory 55(5), 2230-2249, 2009.
    """

    search: Search
    n_steps: int = 3

    @classmethod
    def following(cls, learned: Any, signals: Any, course: Any) -> Any:
        """Return a dictionary whose codes are found by these steps."""
        return learned._replace(coder=cls(learned.search))

    def arranged(self, order: np.ndarray, signs: np.ndarray) -> Self:
        """Return what gives the codes of components with signs, in another order: the same."""
        return self

    def codes(self, X: np.ndarray, components: np.ndarray) -> csr_array:
        """Return sparse codes of signals, as a sparse array of shape (n, k)."""
        gram, block = components @ components.T, max(_ENTRIES_OF_A_BLOCK // len(components), 1)
        starts = range(0, len(X), block)
        found = [self._steps(X[start : start + block], components, gram) for start in starts]
        return csr_array(vstack([each.sparse(len(components)) for each in found], format="csr"))

    def _steps(self, x: np.ndarray, components: np.ndarray, gram: np.ndarray) -> Chosen:
        products = x @ components.T
        best = chosen = self._fitted(products, self._largest(products), gram)
        least = self._left(products, chosen)
        for _ in range(self.n_steps):
            rebuilt = np.einsum("ns,nsd->nd", chosen.values, components[chosen.components])
            pulls = products - rebuilt @ components.T
            np.put_along_axis(pulls, chosen.components, -np.inf if self.search.nonnegative else 0.0, axis=1)
            wide = np.hstack([chosen.components, self._largest(pulls)])
            chosen = self._fitted(products, self._kept(self._fitted(products, wide, gram)), gram)
            errors = self._left(products, chosen)
            better = (errors < least)[:, None]
            best = Chosen(*(np.where(better, new, old) for new, old in zip(chosen, best, strict=True)))
            least = np.minimum(errors, least)
        return best._replace(values=np.where(best.values**2 > self.search.price, best.values, 0.0))

    def _kept(self, wide: Chosen) -> np.ndarray:
        """Return the components of the largest codes."""
        return np.take_along_axis(wide.components, self._largest(wide.values), axis=1)

    def _largest(self, values: np.ndarray) -> np.ndarray:
        count = min(self.search.n_active, values.shape[1])
        strength = values if self.search.nonnegative else np.abs(values)
        return np.argpartition(-strength, count - 1, axis=1)[:, :count]

    def _fitted(self, products: np.ndarray, places: np.ndarray, gram: np.ndarray) -> Chosen:
        """Return codes of least squares for given components of each signal."""
        among = gram[places[:, :, None], places[:, None, :]]
        target = np.take_along_axis(products, places, axis=1)
        ridge = _RIDGE * np.eye(places.shape[1], dtype=gram.dtype)
        values = np.linalg.solve(among + ridge, target[:, :, None])[:, :, 0]
        return Chosen(places, above_zero(values, target, among) if self.search.nonnegative else values)

    def _left(self, products: np.ndarray, chosen: Chosen) -> np.ndarray:
        """Return the squared error beside the squared length of the signal, at codes of least squares."""
        return -(chosen.values * np.take_along_axis(products, chosen.components, axis=1)).sum(axis=1)
