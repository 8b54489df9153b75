"""What every basis can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from sparse_fourier.configurable import Configurable
from sparse_fourier.harmonics.errors import Moments, WaveformErrors
from sparse_fourier.namespace import Array


class LearnedWaveforms(NamedTuple):
    """Waveforms found by least squares.

    Attributes
    ----------
    basis : Basis
        With what was learned.
    components : array of shape (k, d)
        Of unit norm.
    n_iter : int
    converged : bool
    promise : float
        By which share of itself the last step promised to lower the sum of squared residuals.
    parameters : Any
        In a form of the basis' own, from which it can go on.
    """

    basis: Basis
    components: np.ndarray
    n_iter: int
    converged: bool
    promise: float
    parameters: Any


class Basis(Configurable, ABC):
    """Base of all bases: a map from parameters to waveforms, and a start from a subspace."""

    kind: ClassVar[str] = "basis"
    needs_support: ClassVar[tuple[str, ...]] = ()
    """Supports of the codes for which the basis makes sense; all of them where empty."""
    leaves_span: ClassVar[bool] = False
    """Whether components are fitted to the signals once more, outside their principal subspace."""
    has_own_fit: ClassVar[bool] = False
    """Whether components have few parameters, which `fit` finds by least squares."""

    @property
    def needs_prior(self) -> bool:
        """Whether the prior has to pick the basis of the span, from which `fit` then starts."""
        return True

    @abstractmethod
    def evaluate(self, parameters: Any) -> Array:
        """Return the components that the parameters stand for.

        Parameters
        ----------
        parameters : arrays
            In whatever structure `initialize` returns them.

        Returns
        -------
        array of shape (k, d)
            One component a row.
        """

    @abstractmethod
    def initialize(self, span: Array, k: int) -> Any:
        """Return parameters to start from.

        Parameters
        ----------
        span : array of shape (r, d)
            Orthonormal rows that span the signals, strongest first.
        k : int
            Number of components.

        Returns
        -------
        arrays
            Parameters, in any structure.
        """

    def check(self, n_features: int) -> None:
        """Refuse parameters that make no sense for signals of some length.

        Parameters
        ----------
        n_features : int
            Length d of the signals.

        Raises
        ------
        ValueError
            Naming the parameter and what it may be.
        """
        return

    def fit(
        self, root: np.ndarray, k: int, n_samples: float, start: np.ndarray | None, max_iter: int
    ) -> LearnedWaveforms:
        """Return the waveforms whose span leaves least of the signals, where the basis `has_own_fit`.

        Parameters
        ----------
        root : array of shape (r, d)
            Its Gram matrix is the covariance of the signals, or without an intercept their second moments.
        k : int
            Number of components.
        n_samples : float
            How many signals that is the covariance of.
        start : array of shape (k, d) or None
            Components to start from.
        max_iter : int
            Most iterations from each start.

        Returns
        -------
        LearnedWaveforms
            The waveforms, and how they were found.
        """
        raise NotImplementedError(f"The basis {type(self).__name__} has no fit of its own.")

    def fit_entries(
        self,
        X: np.ndarray,
        weights: np.ndarray,
        start: LearnedWaveforms,
        intercept: np.ndarray | None,
        max_iter: int,
    ) -> tuple[LearnedWaveforms, np.ndarray]:
        """Return the waveforms that leave least of what was observed, where the basis `has_own_fit`.

        Parameters
        ----------
        X : array of shape (n, d)
            NaN where nothing was observed.
        weights : array of shape (n,)
            Positive.
        start : LearnedWaveforms
            As `fit` returns them.
        intercept : array of shape (d,) or None
            To start from; None where there is none.
        max_iter : int
            Most iterations.

        Returns
        -------
        waveforms : LearnedWaveforms
            The waveforms, and how they were found.
        intercept : array of shape (d,)
            The intercept with which codes have mean zero, or zero.
        """
        raise NotImplementedError(f"The basis {type(self).__name__} has no fit of its own.")

    def doubts(self, k: int, n_features: int) -> list[str]:
        """Return in words what signals of some length leave undetermined of k components.

        Parameters
        ----------
        k : int
            Number of components.
        n_features : int
            Length d of the signals.

        Returns
        -------
        list of str
            Empty where nothing is to be said.
        """
        return []

    def mapped(self, factors: np.ndarray, chosen: np.ndarray) -> Self:
        """Return the basis of components times factors, in another order.

        Parameters
        ----------
        factors : array of shape (k,)
            The component W becomes factor * W.
        chosen : int array of shape (k,)
            Which component comes first, after that, and so on.

        Returns
        -------
        Basis
            This one, where nothing was learned.
        """
        return self

    def padded(self, n_more: int) -> Self:
        """Return the basis with components at the end that are zero.

        Parameters
        ----------
        n_more : int
            Their number.

        Returns
        -------
        Basis
            This one, where nothing was learned.
        """
        return self

    def errors(self, n_features: int, moments: Moments) -> WaveformErrors | None:
        """Return the standard errors of waveforms that the basis found by itself; None where it did not.

        Parameters
        ----------
        n_features : int
            Length d of the signals.
        moments : Moments
            Codes and noise.

        Returns
        -------
        WaveformErrors or None
            Of parameters by name, and of the waveforms.
        """
        return None

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        """Fitted attributes of the estimator that come from the basis, by name."""
        return {}
