"""Fits to signals drawn from a fitted model: what their components say of those of the model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparse_fourier.matching import match_rows
from sparse_fourier.model import Model


class Summary(NamedTuple):
    """What many fits have in common; of components that are not zero, in the unit of the model.

    Attributes
    ----------
    variances : array of shape (k, d)
        Mean squared deviation of each point of the components.
    refits : array of shape (b, k, k)
        Their components as combinations of those of the model, by least squares.
    cosines : array of shape (b, k)
        Absolute, with the components of the model.
    explained : array of shape (k,)
        Variance of the explained variances.
    """

    variances: np.ndarray
    refits: np.ndarray
    cosines: np.ndarray
    explained: np.ndarray


class Replicas:
    """Fits to signals drawn from a model, matched with its components."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._components = model.components[model.live]
        self._back = np.linalg.pinv(self._components)
        self._squares = np.zeros_like(self._components)
        self._refits: list[np.ndarray] = []
        self._cosines: list[np.ndarray] = []
        self._explained: list[np.ndarray] = []

    def draw(self, X: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Return as many signals as X has, with the gaps that it has, drawn with codes like its own.

        Codes are drawn from those of X, within their support, and noise is added; where codes end at faces
        on which single signals lie, the prior draws them.
        """
        model = self._model
        signals = model.sample(len(X), rng)
        signals = np.ldexp(signals, model.exponent).astype(X.dtype)
        signals[np.isnan(X)] = np.nan
        return signals

    def add(self, fitted: Model) -> None:
        """Take account of a fit."""
        found = np.ldexp(fitted.components, fitted.component_exponent - self._model.component_exponent)
        match = match_rows(self._components, found)
        signs = np.where(match.cosines < 0, -1.0, 1.0)
        rows = signs[:, None] * found[match.permutation]
        self._squares += (rows - self._components) ** 2
        self._refits.append(rows @ self._back)
        self._cosines.append(np.abs(match.cosines))
        variances = np.diagonal(fitted.prior.code_covariance(len(fitted.components)))
        sizes = (fitted.components[match.permutation] ** 2).sum(axis=1) * variances[match.permutation]
        self._explained.append(np.ldexp(sizes, 2 * (fitted.exponent - self._model.exponent)))

    def summary(self) -> Summary:
        """Return what the fits have in common."""
        count = max(len(self._refits), 1)
        return Summary(
            self._squares / count,
            np.array(self._refits),
            np.array(self._cosines),
            np.var(self._explained, axis=0, ddof=min(count - 1, 1)),
        )
