"""A fitted model beside its signals, in the form in which the likelihood is differentiated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.model import Model, incomplete_rows
from sparse_fourier.namespace import evaluated_once
from sparse_fourier.priors.base import Prior
from sparse_fourier.priors.independent import Jet

_BLOCK_ENTRIES = 1 << 18
_SMALLEST_SIGNAL = 1e-3
_FLATTEST = 1e-12

_jets = runtime.Program(lambda prior, codes, variances: prior.jet(codes, variances))


@dataclass(frozen=True, eq=False)
class Estimate:
    """Codes, components and noise of signals under a model, in the unit of the model.

    Attributes
    ----------
    prior : Prior
        In standard form, for the components that are not zero.
    codes : array of shape (n, k)
        Of least squares, in standard form.
    weights : array of shape (n,)
        How often each signal occurs.
    components : array of shape (k, d)
        Of these codes.
    sizes : array of shape (k,)
        Factors that bring the components into their public form.
    noise : array of shape (k, k)
        Covariance of the noise of the codes of complete signals.
    noise_variance : float
        Of an entry.
    floor : array of shape (k,)
        Smallest noise variance of each code that is believed in.
    inflation : array of shape (n,) or None
        How much more variance the noise of incomplete signals' codes has.
    signals : array of shape (n, d)
        In the user's unit, NaN where nothing was observed.
    model : Model
    anchored : bool
        Whether the intercept is zero by decree.
    rigid : bool
        Whether components are found by their basis, so that their size is all that the codes decide.
    corner : array of shape (k,) or None
        Codes of the signal that is zero, where a corner of the support is held there.
    """

    prior: Prior
    codes: np.ndarray
    weights: np.ndarray
    components: np.ndarray
    sizes: np.ndarray
    noise: np.ndarray
    noise_variance: float
    floor: np.ndarray
    inflation: np.ndarray | None
    signals: np.ndarray
    model: Model
    anchored: bool = False
    rigid: bool = False
    corner: np.ndarray | None = None

    @classmethod
    def of(
        cls, model: Model, X: np.ndarray, weights: np.ndarray, *, anchored: bool = False, rigid: bool = False
    ) -> Estimate:
        """Return what a model says of signals; those whose entries do not determine their codes are left out.

        Parameters
        ----------
        model : Model
        X : array of shape (n, d)
        weights : array of shape (n,)
            Positive.
        anchored : bool
            Whether the intercept is zero by decree.
        rigid : bool
            Whether components are found by their basis, so that their size is all that the codes decide.
        """
        live = np.flatnonzero(model.live)
        codes, inflation, kept = _codes(model, X)
        prior, factors, shifts = model.prior.taken(live).standard_form(len(live))
        sizes = np.array(factors, dtype=float)
        components = model.components[live] / sizes[:, None]
        edges = prior.domain.edges(components)
        noise = max(model.noise_variance, model.resolution)
        spread = _spread(components, edges)
        return cls(
            prior,
            (codes * sizes + shifts)[kept],
            weights[kept],
            components,
            sizes,
            noise * spread,
            noise,
            model.code_floor[live] * sizes**2,
            inflation if inflation is None else inflation[kept],
            X if kept.all() else X[kept],
            model,
            anchored,
            rigid,
            shifts if model.rooted else None,
        )

    @property
    def n(self) -> float:
        """Number of samples: the sum of their weights."""
        return float(self.weights.sum())

    @property
    def k(self) -> int:
        """Number of components."""
        return len(self.components)

    @property
    def have_one_density(self) -> bool:
        """Whether the codes have a density together, and none has one of its own."""
        return bool(self.prior.domain.surplus) or not self.prior.factorises

    @cached_property
    def share(self) -> np.ndarray:
        """Weights of sum one."""
        return self.weights / self.weights.sum()

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of the codes, from which steps count; zero where steps move no offset."""
        return np.zeros(self.k) if self.prior.domain.surplus else self.share @ self.codes

    @cached_property
    def centred(self) -> np.ndarray:
        """Codes less their mean."""
        return self.codes - self.share @ self.codes

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of the codes as they are seen, of shape (k, k)."""
        return (self.centred * self.share[:, None]).T @ self.centred

    @cached_property
    def signal_covariance(self) -> np.ndarray:
        """Covariance of the codes less that of their noise; no direction has less than a thousandth of it."""
        return self._without_noise(self.covariance)

    def _without_noise(self, moments: np.ndarray) -> np.ndarray:
        mean_inflation = 1.0 if self.inflation is None else float(self.share @ self.inflation)
        values, vectors = np.linalg.eigh(moments)
        kept = values > _FLATTEST * values[-1]
        root = vectors[:, kept] * np.sqrt(values[kept])
        inverse = np.linalg.pinv(root)
        shares, turned = np.linalg.eigh(
            np.eye(root.shape[1]) - inverse @ (mean_inflation * self.noise) @ inverse.T
        )
        whole = root @ turned
        return (whole * np.maximum(shares, _SMALLEST_SIGNAL)) @ whole.T

    @cached_property
    def pulls(self) -> np.ndarray:
        """By how much the residual of each signal moves each component out of the span, of shape (n, k).

        As in the regression of signals on codes whose noise is known: with an intercept, without, or with
        codes of sum one, whose components are what signals are at the corners.
        """
        if self.anchored and not self.prior.domain.surplus:
            moments = (self.codes * self.share[:, None]).T @ self.codes
            return self.codes @ np.linalg.inv(self._without_noise(moments))
        slopes = self.centred @ np.linalg.pinv(self.signal_covariance, hermitian=True)
        if not self.prior.domain.surplus:
            return slopes
        return 1.0 + slopes - (slopes @ (self.share @ self.codes))[:, None]

    @cached_property
    def code_variances(self) -> np.ndarray:
        """Noise variance of each code, of shape (k,), or (n, k) where signals are incomplete."""
        own = np.diagonal(self.noise)
        return (own if self.inflation is None else self.inflation[:, None] * own) + self.floor

    @cached_property
    def free(self) -> np.ndarray:
        """Projection onto the steps that are free, of shape (k * (k + 1), k * (k + 1))."""
        if self.corner is not None:
            steps = np.append(np.eye(self.k), (self.mean - self.corner)[None], axis=0)
            return np.kron(np.eye(self.k), steps @ np.linalg.pinv(steps))
        free = self.prior.free_steps(self.k)
        if not self.rigid:
            return free
        own = np.eye(self.k, self.k + 1) * (not self.prior.domain.surplus)
        own[:, self.k] = 1.0
        return free * np.outer(own.ravel(), own.ravel())

    def smoothed(self) -> Estimate:
        """Return the same with smooth densities, of which the learned edges are blurred by noise."""
        return replace(self, prior=self.prior.smoothed(self.codes, self.share, self.n))

    @cached_property
    def jet(self) -> Jet:
        """Log-marginals of the codes with their derivatives, each of shape (n, k); for independent priors."""
        return jets(self.prior, self.codes, self.code_variances)

    def residual_blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and what their codes leave of them, zero where nothing was observed."""
        n, d = self.signals.shape
        size = max(_BLOCK_ENTRIES // d, 256)
        public = (self.codes - self.shift) @ self.components
        for first in range(0, n, size):
            rows = slice(first, first + size)
            block = np.ldexp(self.signals[rows].astype(float), -self.model.exponent)
            block -= self.model.intercept + public[rows]
            yield rows, np.where(np.isnan(block), 0.0, block)

    @cached_property
    def shift(self) -> np.ndarray:
        """The standard code of public codes of zero."""
        live = np.flatnonzero(self.model.live)
        return self.model.prior.taken(live).standard_form(self.k)[2]


def jets(prior: Any, codes: np.ndarray, variances: np.ndarray) -> Jet:
    """Return log-marginals and derivatives as NumPy arrays, whichever library the prior is written in.

    Parameters
    ----------
    prior : IndependentPrior
        In standard form.
    codes : array of shape (n, k)
    variances : array broadcastable to (n, k)
    """
    variances = np.broadcast_to(variances, codes.shape)
    if not prior.needs_jax:
        with np.errstate(all="ignore"):
            return evaluated_once(prior.jet(codes, variances))
    padded = [runtime.filled_bucket(part) for part in (codes, variances)]
    jet = _jets((type(prior), padded[0].shape), prior, *padded)
    return Jet(*(part[: len(codes)] for part in jet))


def _spread(components: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the covariance of the noise of codes, for noise of unit variance.

    Codes that sum to one move within their plane alone.
    """
    if len(edges) == len(components):
        return np.linalg.inv(components @ components.T)
    middle = components.mean(axis=0)
    unmixing = np.linalg.pinv(components - middle)
    return unmixing.T @ unmixing


def _codes(model: Model, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return codes of least squares, the inflation of their noise, and which entries determine them."""
    live, gaps = np.flatnonzero(model.live), incomplete_rows(X)
    codes = np.empty((len(X), len(live)))
    if not gaps.any():
        return model.least_squares_codes(X)[:, live], None, np.ones(len(X), dtype=bool)
    codes[~gaps] = model.least_squares_codes(X[~gaps])[:, live]
    seen = model.read(X[gaps])
    codes[gaps] = seen.codes
    inflation, kept = np.ones(len(X)), np.ones(len(X), dtype=bool)
    own = max(model.noise_variance, model.resolution) * (model.unmixing[:, live] ** 2).sum(axis=0)
    inflation[gaps] = (seen.code_variances / own).mean(axis=1)
    kept[gaps] = ~seen.open.any(axis=1)
    return codes, inflation, kept
