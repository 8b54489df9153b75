"""The fitted model with more components than features, in NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array, vstack

from sparse_fourier.priors import Prior
from sparse_fourier.pursuit import Search, best_known, objectives
from sparse_fourier.signals import Rows, mapped
from sparse_fourier.unrolled import Unrolled

_LOG_2 = float(np.log(2.0))
_MOST_GUESSES, _STEADY = 50, 1e-9
_BLOCK = 2048
_FIRSTS_OF_A_LONG_SEARCH = 16


@dataclass(frozen=True, eq=False)
class SparseModel:
    """A linear decoder of sparse codes, for signals in units of 2**exponent.

    Attributes
    ----------
    components : array of shape (k, d)
        Of unit norm; zero where no signal uses them.
    intercept : array of shape (d,)
    noise_variance : float
        Variance of the noise per feature and sample.
    resolution : float
        Smallest noise variance that the objective believes in: that of rounding.
    prior : Prior
        Of codes in that unit.
    exponent : int
    search : Search
        What the codes are to be.
    coder : Search or Unrolled
        How they are found.
    likelihood : None
        No other model scores the signals.
    faces : tuple
        Empty: no signal decides alone where components end.
    """

    components: np.ndarray
    intercept: np.ndarray
    noise_variance: float
    resolution: float
    prior: Prior
    exponent: int
    search: Search
    coder: Search | Unrolled

    likelihood: ClassVar[None] = None
    faces: ClassVar[tuple[float, ...]] = ()

    @cached_property
    def gram(self) -> np.ndarray:
        """Gram matrix of the components, of shape (k, k)."""
        return self.components @ self.components.T

    @property
    def code_exponent(self) -> int:
        """Binary exponent of the unit of the codes."""
        return self.exponent

    @property
    def component_exponent(self) -> int:
        """Binary exponent of the unit of the components."""
        return 0

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Return the sparse codes of signals, in the user's unit."""
        return np.ldexp(self.coded(X)[0].toarray(), self.exponent)

    def coded(self, X: Rows) -> tuple[csr_array, np.ndarray]:
        """Return the sparse codes of signals, in the model's unit, and what they leave, block by block.

        Parameters
        ----------
        X : array or Signals of shape (n, d)
            In the user's unit; NaN where nothing was observed.

        Returns
        -------
        sparse array of shape (n, k)
        array of shape (n,)
            Squared lengths of the residuals, over the entries observed.
        """
        codes, squares = [csr_array((0, len(self.components)))], [np.zeros(0)]
        for start in range(0, len(X), _BLOCK):
            centred = self._centred(X[start : start + _BLOCK])
            codes.append(self._codes(centred))
            squares.append(np.nansum((centred - codes[-1] @ self.components) ** 2, axis=1))
        return csr_array(vstack(codes, format="csr")), np.concatenate(squares)

    def losses(self, X: np.ndarray) -> np.ndarray:
        """Return the objective of each signal at its codes, in nats, in double precision.

        That is minus the logarithm of the joint density of codes and observed entries; not a likelihood.
        """
        return self.losses_of(X, *self.coded(X))

    def losses_of(self, X: Rows, codes: csr_array, squares: np.ndarray) -> np.ndarray:
        """Return the objective of each signal at codes that are known, with the squares that they leave."""
        noise = max(self.noise_variance, self.resolution)
        n_entries = mapped(lambda x: (~np.isnan(x)).sum(axis=1), X)
        reconstruction = 0.5 * (squares / noise + n_entries * np.log(2 * np.pi * noise))
        units = (n_entries + len(self.components)) * self.exponent * _LOG_2
        rows = [slice(start, start + _BLOCK) for start in range(0, codes.shape[0], _BLOCK)]
        densities = [self.prior.log_density(codes[block].toarray()) for block in rows]
        return reconstruction + units - np.concatenate([np.zeros(0), *densities])

    def gap(self, X: np.ndarray) -> float:
        """Return by how much codes miss the best ones that a long search finds, as a share of the signals.

        That is the mean over signals of the squared error and the price of all active codes, less the same of
        the better codes, over the mean squared length of the signals beside the intercept.
        """
        centred = self._centred(X)
        centred = centred[~np.isnan(centred).any(axis=1)]
        found = objectives(centred, self.components, self._codes(centred), self.search.price)
        best = best_known(centred, self.components, self.search, _FIRSTS_OF_A_LONG_SEARCH)
        power = float((centred**2).sum()) or 1.0
        return float(np.maximum(found - best, 0.0).sum() / power)

    def covariance(self) -> np.ndarray:
        """Return the covariance of signals under the model, in the model's unit, of shape (d, d)."""
        signal = self.components.T @ self.prior.code_covariance(len(self.components)) @ self.components
        return signal + self.noise_variance * np.eye(len(self.intercept))

    def sample(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Return draws from the model, in the model's unit, of shape (n_samples, d)."""
        k, d = self.components.shape
        codes = self.prior.draw(n_samples, k, rng)
        noise = np.sqrt(self.noise_variance) * rng.standard_normal((n_samples, d))
        return codes @ self.components + self.intercept + noise

    def _centred(self, X: np.ndarray) -> np.ndarray:
        return np.ldexp(np.asarray(X, dtype=float), -self.exponent) - self.intercept

    def _codes(self, centred: np.ndarray) -> csr_array:
        """Return sparse codes; entries not observed follow the codes until these change no more."""
        missing = np.isnan(centred)
        if not missing.any():
            return self.coder.codes(centred, self.components)
        guess, codes = np.zeros_like(centred), csr_array((len(centred), len(self.components)))
        for _ in range(_MOST_GUESSES):
            last = guess
            filled = np.where(missing, last, centred)
            codes = self.coder.codes(filled, self.components)
            guess = codes @ self.components
            if np.abs(guess - last).max(where=missing, initial=0.0) <= _STEADY * np.abs(guess).max():
                break
        return codes
