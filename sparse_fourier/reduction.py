"""Signals in the coordinates of their span: all that is as long as a signal is done here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparse_fourier import initialization as start
from sparse_fourier.objective import reconstruction_term
from sparse_fourier.priors.base import Prior
from sparse_fourier.staging import Problem

_ROUNDING_ERRORS = 128.0


@dataclass(frozen=True)
class Reduced:
    """The data in the coordinates of their span: all that is d-sized has been done.

    `whitened`, of shape (n, rank), and `axes`, of shape (rank, d), give signals less `origin`. The first has
    zero mean and unit covariance; where codes sum to one it ends with a one, whose axis is the mean.
    """

    exponent: int
    span: start.Span
    n_components: int
    trusted: bool
    rank: int
    surplus: int
    whitened: np.ndarray
    axes: np.ndarray
    origin: np.ndarray
    squares: np.ndarray
    weights: np.ndarray
    degrees_of_freedom: float
    resolution: float

    @property
    def n(self) -> float:
        """Number of samples: the sum of their weights."""
        return self.span.n_samples

    @property
    def n_left(self) -> int:
        """Number of dimensions that the components leave to the noise."""
        return len(self.span.mean) - self.rank + self.surplus

    @property
    def deviations(self) -> np.ndarray:
        """Standard deviations of the coordinates before they were whitened."""
        return self.span.deviations[: self.rank - self.surplus]

    @property
    def anchored(self) -> bool:
        """Whether the intercept is zero; training has one all the same, or faces would tilt instead."""
        return bool(self.surplus) or self.span.mean is not self.span.average

    @property
    def residual(self) -> float:
        """Sum of the squared distances of the signals from the span."""
        return float(self.weights @ self.squares)

    @property
    def noise_variance(self) -> float:
        """Variance of the noise per feature."""
        return self.residual / self.degrees_of_freedom / self.n_left if self.n_left else 0.0

    @property
    def noise(self) -> np.ndarray:
        """Covariance of the noise of the whitened coordinates, of shape (rank, rank)."""
        return np.diag(np.append(self.noise_variance / self.deviations**2, np.zeros(self.surplus)))

    def problem(self, prior: Prior) -> Problem:
        """Return what is left to be trained under a prior."""
        noise = max(self.noise_variance, self.resolution)
        residual = reconstruction_term(np.array(self.residual / self.n), noise, self.n_left)
        unit = len(self.span.mean) * self.exponent * np.log(2.0)
        constant = float(residual) + np.log(self.deviations).sum() + unit
        share = self.weights / self.n
        floor = prior.resolution(self.n) ** 2
        average = share @ self.whitened if self.anchored else None
        return Problem(prior, self.whitened, share, self.n, self.noise, floor, constant, average)


def reduce_signals(
    X: np.ndarray, weights: np.ndarray, prior: Prior, n_components: int | float | None, *, centred: bool
) -> Reduced:
    """Return signals in the coordinates of their span.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite, float32 or float64; never written to.
    weights : array of shape (n,)
        Positive.
    prior : Prior
        Says whether codes have a sum of one, and what the noise variance is divided by.
    n_components : int, float in (0, 1) or None
        Number, share of variance, or None to estimate it.
    centred : bool
        Whether signals have an intercept.
    """
    exponent = start.binary_exponent(X)
    unit = start.scaled_by_power_of_two(X, -exponent)
    epsilon = float(np.finfo(X.dtype).eps)
    surplus = prior.domain.surplus
    span = start.principal_span(unit, weights, epsilon, centred=centred or bool(surplus))
    k, trusted = _choose_n_components(span, X.shape[1], n_components, surplus)
    rank = min(k - surplus, span.rank)
    coordinates, squares, cross = start.project(unit, span.mean, span.axes[:rank], weights / span.n_samples)
    deviations = span.deviations[:rank]
    return Reduced(
        exponent,
        span,
        k,
        trusted,
        rank + surplus,
        surplus,
        np.append(coordinates / deviations, np.ones((len(X), surplus)), axis=1),
        np.append(cross / deviations[:, None], span.mean[None][:surplus], axis=0),
        np.zeros_like(span.mean) if surplus else span.mean,
        squares,
        weights,
        prior.degrees_of_freedom(span.n_samples),
        max((_ROUNDING_ERRORS * epsilon) ** 2 * span.mean_square, np.finfo(float).tiny),
    )


def _choose_n_components(
    span: start.Span, d: int, n_components: int | float | None, surplus: int
) -> tuple[int, bool]:
    """Return the number of components, and whether the data had a say that can be trusted."""
    if n_components is None:
        rank, trusted = start.sensible_rank(span, d)
        return rank + surplus, trusted
    if isinstance(n_components, int):
        return n_components, True
    return max(start.rank_of_share(span, n_components), 1) + surplus, True


def whitened_components(data: Reduced, init: Any) -> np.ndarray:
    """Return directions to start from in whitened coordinates, one a row, of unit length.

    The size of components is that of the codes' range, which the prior settles.
    """
    components = checked_init(init, (data.n_components, len(data.span.mean)))
    unit = components / np.abs(components).max(axis=1, keepdims=True, initial=np.finfo(float).tiny)
    if data.surplus:
        return _simplex_in_coordinates(data, components)
    mixing = (unit[: data.rank] @ data.span.axes[: data.rank].T) / data.deviations
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True) + np.finfo(float).tiny
    if np.linalg.matrix_rank(mixing) < data.rank:
        raise ValueError(
            "The 'init' components must span the principal subspace of X, which has "
            f"{data.rank} dimensions; their projections onto it are linearly dependent."
        )
    return mixing


def _simplex_in_coordinates(data: Reduced, components: np.ndarray) -> np.ndarray:
    """Return vertices to start from in whitened coordinates, each with a one at the end."""
    vertices = np.ldexp(components, -data.exponent)[: data.rank] - data.span.mean
    places = vertices @ data.span.axes[: data.rank - 1].T / data.deviations
    places = np.append(places, np.ones((len(places), 1)), axis=1)
    if np.linalg.matrix_rank(places) < data.rank:
        raise ValueError("The 'init' components must be the vertices of a simplex; these are dependent.")
    return places


def checked_init(init: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return components to start from, in double precision, if they are any."""
    try:
        array = np.asarray(init)
    except ValueError:
        array = np.array("ragged")
    numeric = array.dtype.kind in "fiub"
    if not numeric or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(
            "The 'init' parameter must be finite real components of shape (n_components, n_features) = "
            f"{shape}. Got {f'shape {array.shape}' if numeric else 'something else'} instead."
        )
    return array.astype(float)
