r"""Noise with heavy tails: what it says of the entries of signals, and signals whose outliers are drawn in.

An entry with residual r has, under Student's t with :math:`\nu` degrees of freedom and scale :math:`\sigma`,
the weight :math:`u = (\nu + 1) / (\nu + r^2 / \sigma^2)` of a Gaussian one: far entries hardly count. Codes
and components that are best under these weights are those of least squares for the pseudo-values

.. math:: \tilde x = \hat x + c\,u\,(x - \hat x), \qquad c = (\nu + 3) / (\nu + 1),

whose noise has the variance :math:`c\,\sigma^2` that the weighted codes have [1]_: what is made for Gaussian
noise may go on from there.

References
----------
.. [1] P. J. Huber, Robust Statistics, section 7.9, 1981.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, gammaln

_LEAST_FREEDOM, _MOST_FREEDOM = 1.0, 1000.0
_SIZES, _N_SIZES = (-8.0, 40.0), 1201
_STEP_OF_SIZES = (_SIZES[1] - _SIZES[0]) / (_N_SIZES - 1)
_TURNS = 5
_OWN_SCALES, _FALLING = 25, 0.9
_MOST_STEPS = 400
_STEADY = 1e-11
_RIDGE = 1e-13
_ROUNDING_TO_SPARE = 1e4
_FINEST = 1e3 * _RIDGE  # of residuals, in units of the signals: what solving for codes leaves
_BLOCK_ENTRIES = 1 << 18
_MEDIAN_OF_DEVIATIONS = 0.6745


@dataclass(frozen=True)
class StudentT:
    """Noise of entries with Student's t.

    Attributes
    ----------
    scale : float
    degrees_of_freedom : float
    """

    scale: float
    degrees_of_freedom: float

    def weights(self, residuals: np.ndarray) -> np.ndarray:
        """Return how much each entry counts, a Gaussian one of that scale counting one."""
        with np.errstate(over="ignore"):
            return (self.degrees_of_freedom + 1) / (self.degrees_of_freedom + (residuals / self.scale) ** 2)

    def losses(self, residuals: np.ndarray) -> np.ndarray:
        """Return the negative log-density of each entry."""
        nu = self.degrees_of_freedom
        constant = gammaln(0.5 * nu) - gammaln(0.5 * (nu + 1)) + 0.5 * np.log(nu * np.pi)
        ratio = np.abs(residuals) / (self.scale * np.sqrt(nu))
        return constant + np.log(self.scale) + (nu + 1) * np.log(np.hypot(1.0, ratio))

    @property
    def stretch(self) -> float:
        """What weighted residuals are multiplied by, so that they vary as the codes' noise does."""
        return (self.degrees_of_freedom + 3) / (self.degrees_of_freedom + 1)

    @property
    def variance(self) -> float:
        """Variance of the Gaussian noise that leaves codes as uncertain."""
        return self.stretch * self.scale**2

    def scaled(self, exponent: int) -> StudentT:
        """Return the noise in a unit that is 2**exponent times smaller."""
        return replace(self, scale=float(np.ldexp(self.scale, exponent)))

    @property
    def resolved(self) -> StudentT:
        """The law by which entries are weighted: none is told from others by errors of rounding."""
        return replace(self, scale=max(self.scale, _FINEST))

    def draw(self, shape: tuple[int, ...], rng: np.random.RandomState) -> np.ndarray:
        """Return draws."""
        return self.scale * rng.standard_t(self.degrees_of_freedom, shape)


class Residuals(NamedTuple):
    """Residuals of entries, with the weights of their rows, and the number of them that are free."""

    values: np.ndarray
    weights: np.ndarray
    free: float

    def refitted(self, law: StudentT, least: float) -> StudentT:
        """Return the likeliest law that is reached from another, with a scale of no less than `least`.

        The scale divides by the number of free residuals, which keeps it from falling to zero where
        parameters may fit many entries exactly.
        """
        squares, shares = self._sizes(law.scale)
        unit, freedom = law.scale, law.degrees_of_freedom
        variance, total = 1.0, float(self.weights.sum()) / self.free
        for _ in range(_TURNS):
            counts = (freedom + 1) / (freedom + squares / variance)
            before, variance = variance, total * (shares @ (counts * squares)) / (shares @ counts)
            variance = max(variance, (least / unit) ** 2)
            freedom = _likeliest_freedom(total * squares / variance, shares)
            if abs(variance - before) <= _STEADY * variance:
                break
        return StudentT(unit * float(np.sqrt(variance)), freedom)

    def _sizes(self, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Return squared residuals on a grid, in units of a scale, and the shares that each stands for."""
        with np.errstate(divide="ignore"):
            logarithms = np.log(np.abs(self.values) / scale)
        places = (np.clip(logarithms, *_SIZES) - _SIZES[0]) / _STEP_OF_SIZES
        below = np.minimum(places.astype(int), _N_SIZES - 2)
        upper = (places - below) * self.weights
        shares = np.bincount(below, self.weights - upper, _N_SIZES)
        shares += np.bincount(below + 1, upper, _N_SIZES)
        return np.exp(2 * np.linspace(*_SIZES, _N_SIZES)), shares / shares.sum()


def _likeliest_freedom(squares: np.ndarray, shares: np.ndarray) -> float:
    """Return the likeliest degrees of freedom of squares, in units of the scale's, with their shares."""

    def slope(logarithm: float) -> float:
        nu = np.exp(logarithm)
        normaliser = digamma(0.5 * (nu + 1)) - digamma(0.5 * nu) - 1 / nu
        tails = (nu + 1) / nu * squares / (nu + squares) - np.log1p(squares / nu)
        return float(normaliser + shares @ tails)

    low, high = np.log(_LEAST_FREEDOM), np.log(_MOST_FREEDOM)
    if slope(low) <= 0:
        return _LEAST_FREEDOM
    return _MOST_FREEDOM if slope(high) >= 0 else float(np.exp(brentq(slope, low, high, xtol=1e-12)))


def rough_law(residuals: Residuals, least: float) -> StudentT:
    """Return a law whose scale is that of the median of the residuals."""
    order = np.argsort(np.abs(residuals.values))
    reached = np.cumsum(residuals.weights[order])
    middle = np.abs(residuals.values)[order[np.searchsorted(reached, 0.5 * reached[-1])]]
    return StudentT(max(float(middle) / _MEDIAN_OF_DEVIATIONS, least), 3.0)


@dataclass(frozen=True, eq=False)
class Tails:
    """A span with noise of heavy tails about it, in units of 2**exponent.

    Attributes
    ----------
    mean : array of shape (d,)
    axes : array of shape (r, d)
        Orthonormal.
    law : StudentT
    exponent : int
    varying : bool array of shape (d,)
        Features with noise: the others are constant.
    is_exact : bool
        Whether all but outliers lie in the span, up to rounding.
    """

    mean: np.ndarray
    axes: np.ndarray
    law: StudentT
    exponent: int
    varying: np.ndarray
    is_exact: bool

    def read(self, X: np.ndarray) -> Reading:
        """Return what the span says of each entry of signals, whatever other signals there are.

        Parameters
        ----------
        X : array of shape (n, d)
        """
        left = np.ldexp(np.asarray(X, dtype=float), -self.exponent) - self.mean
        size = max(_BLOCK_ENTRIES // max(left.shape[1], len(self.axes) ** 2), 1)
        parts = [self._coordinates(left[first : first + size]) for first in range(0, len(left), size)]
        within = np.concatenate(parts) @ self.axes
        return Reading(self, self.mean + within, left - within)

    def cleaned(self, X: np.ndarray) -> np.ndarray:
        """Return pseudo-values: signals for which least squares give the codes that tails give for X."""
        return self.read(X).pseudo_values(X.dtype)

    def _coordinates(self, left: np.ndarray) -> np.ndarray:
        """Return the likeliest coordinates of signals less the mean, of those reached from two places."""
        mask = np.where(np.isnan(left), 0.0, 1.0) * self.varying
        left = np.where(mask > 0, left, 0.0)
        squares = _weighted_codes(left, mask, self.axes)
        ends = [self._by_law(left, mask, self._roughly(left, mask, z)) for z in (squares, 0.0 * squares)]
        losses = [(mask * self.law.resolved.losses(self._residuals(left, mask, z))).sum(axis=1) for z in ends]
        return np.where((losses[0] <= losses[1])[:, None], *ends)

    def _roughly(self, left: np.ndarray, mask: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return coordinates under a scale of each signal's own, which falls as outliers lose weight."""
        codes, scales = codes.copy(), self._own_scales(left, mask, mask, codes)
        moving = np.flatnonzero(scales[:, 0] > self.law.resolved.scale)
        for _ in range(_OWN_SCALES):
            part, some = left[moving], mask[moving]
            own = replace(self.law, scale=scales[moving])
            weights = own.weights(self._residuals(part, some, codes[moving])) * some
            codes[moving] = _weighted_codes(part, weights, self.axes)
            before, scales[moving] = scales[moving], self._own_scales(part, some, weights, codes[moving])
            now = scales[moving]
            moving = moving[((now > self.law.resolved.scale) & (now < _FALLING * before))[:, 0]]
            if not len(moving):
                break
        return codes

    def _by_law(self, left: np.ndarray, mask: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the likeliest coordinates that are reached from others."""
        moving = np.arange(len(codes))
        for _ in range(_MOST_STEPS):
            part, some, old = left[moving], mask[moving], codes[moving]
            weights = self.law.resolved.weights(self._residuals(part, some, old)) * some
            new = codes[moving] = _weighted_codes(part, weights, self.axes)
            change = np.abs(new - old).max(axis=1, initial=0.0)
            moving = moving[change > _STEADY * np.abs(new).max(axis=1, initial=0.0)]
            if not len(moving):
                break
        return codes

    def _residuals(self, left: np.ndarray, mask: np.ndarray, codes: np.ndarray) -> np.ndarray:
        return (left - codes @ self.axes) * mask

    def _own_scales(
        self, left: np.ndarray, mask: np.ndarray, weights: np.ndarray, codes: np.ndarray
    ) -> np.ndarray:
        """Return the scale of the weighted residuals of each signal, of shape (n, 1)."""
        free = np.maximum(mask.sum(axis=1) - len(self.axes), 1.0)
        squares = (weights * self._residuals(left, mask, codes) ** 2).sum(axis=1)
        return np.sqrt(squares / free)[:, None]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a span with noise of heavy tails says of signals.

    Attributes
    ----------
    tails : Tails
    expected : array of shape (n, d)
    residuals : array of shape (n, d)
        NaN where nothing was observed.
    """

    tails: Tails
    expected: np.ndarray
    residuals: np.ndarray

    def pseudo_values(self, dtype: np.dtype) -> np.ndarray:
        """Return signals whose outliers are drawn in, in the user's unit."""
        drawn_in = np.where(self.tails.varying, self._drawn_in(self.residuals), self.residuals)
        return np.ldexp(self.expected + drawn_in, self.tails.exponent).astype(dtype)

    def excess(self, variance: float) -> np.ndarray:
        """Return by how much the loss of residuals exceeds that of their pseudo-values, in nats, shape (n,).

        Parameters
        ----------
        variance : float
            Of the Gaussian noise that pseudo-values are taken to have.
        """
        seen, residuals = self._seen()
        gaussian = 0.5 * (self._drawn_in(residuals) ** 2 / variance + np.log(2 * np.pi * variance))
        if self.tails.is_exact:
            residuals = np.where(np.abs(residuals) <= _FINEST, 0.0, residuals)
        return np.where(seen, self.tails.law.losses(residuals) - gaussian, 0.0).sum(axis=1)

    @property
    def inflation(self) -> np.ndarray:
        """How much more the noise of each signal's codes varies than without outliers, of shape (n,)."""
        seen, residuals = self._seen()
        coarse = _ROUNDING_TO_SPARE if self.tails.is_exact else 1.0
        law = replace(self.tails.law, scale=coarse * self.tails.law.scale)
        weights = np.where(seen, law.weights(residuals), 0.0)
        return self._variances(weights) / self._variances(seen.astype(float))

    def _variances(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of the variances of coordinates from weighted entries, up to a factor."""
        if not len(self.tails.axes):
            return np.ones(len(weights))
        return np.trace(np.linalg.inv(_grams(weights, self.tails.axes)), axis1=1, axis2=2)

    def _seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which entries have noise, and the residuals, zero elsewhere."""
        seen = self.tails.varying & ~np.isnan(self.residuals)
        return seen, np.where(seen, self.residuals, 0.0)

    def _drawn_in(self, residuals: np.ndarray) -> np.ndarray:
        """Return the residuals of pseudo-values; none where noise is no more than rounding."""
        law = self.tails.law
        return law.stretch * (not self.tails.is_exact) * law.weights(residuals) * residuals


def _grams(weights: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the information of weighted entries about coordinates, of shape (n, r, r)."""
    r, d = axes.shape
    grams = (weights @ (axes[:, None] * axes).reshape(r * r, d).T).reshape(len(weights), r, r)
    ridge = _RIDGE * np.trace(grams, axis1=1, axis2=2) + np.finfo(float).tiny
    return grams + ridge[:, None, None] * np.eye(r)


def _weighted_codes(left: np.ndarray, weights: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return coordinates of least weighted squares, of shape (n, r)."""
    return np.linalg.solve(_grams(weights, axes), ((weights * left) @ axes.T)[:, :, None])[:, :, 0]
