"""What the observed entries of signals say of their codes, and how likely they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_OPEN_SHARE = 0.1
_ROUNDING = 1e-12
_BLOCK_ENTRIES = 1 << 18
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class Decoder:
    """A linear decoder with mean and covariance of its codes, which fill what entries leave open.

    Codes are h = mean + t @ root.T with t of zero mean and unit covariance.

    Attributes
    ----------
    components : array of shape (k, d)
    origin : array of shape (d,)
        The signal of the mean code.
    mean : array of shape (k,)
    root : array of shape (k, q)
        Of the covariance, without directions in which codes do not vary.
    noise : float
        Variance of the noise of an entry.
    """

    components: np.ndarray
    origin: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    noise: float

    @classmethod
    def of(
        cls,
        components: np.ndarray,
        intercept: np.ndarray,
        mean: np.ndarray,
        covariance: np.ndarray,
        noise: float,
    ) -> Decoder:
        """Return the decoder of codes with such a mean and covariance."""
        values, vectors = np.linalg.eigh(covariance)
        varying = values > _ROUNDING * max(values.max(initial=0.0), 0.0)
        root = vectors[:, varying] * np.sqrt(values[varying])
        return cls(components, intercept + mean @ components, mean, root, noise)

    @property
    def axes(self) -> np.ndarray:
        """What signals gain along each direction of unit variance, of shape (q, d)."""
        return self.root.T @ self.components

    def openness(self) -> float:
        """Return the information about a direction below which entries leave it to the prior.

        They say less of it than the prior does, and less than a tenth of what all entries say of any.
        """
        whole = np.linalg.eigvalsh(self.axes @ self.axes.T) if len(self.axes) else np.ones(1)
        return float(max(_ROUNDING * whole[-1], min(self.noise, _OPEN_SHARE * whole[0])))


@dataclass(frozen=True, eq=False)
class Reading:
    """What the observed entries of each signal say of its code.

    Attributes
    ----------
    decoder : Decoder
    counts : array of shape (n,)
        Number of observed entries.
    information : array of shape (n, q)
        About orthogonal directions of t, in units of the inverse noise variance; zero where it is rounding.
    directions : array of shape (n, q, q)
        These directions, one a column.
    pulls : array of shape (n, q)
        Along them, information times their least-squares solution.
    residuals : array of shape (n,)
        Sum of the squares that least squares leaves.
    posterior_residuals : array of shape (n,)
        Sum of the squares that the posterior mean of Gaussian codes leaves.
    """

    decoder: Decoder
    counts: np.ndarray
    information: np.ndarray
    directions: np.ndarray
    pulls: np.ndarray
    residuals: np.ndarray
    posterior_residuals: np.ndarray

    @property
    def open(self) -> np.ndarray:
        """Which directions the entries leave to the prior, of shape (n, q)."""
        return self.information <= self.decoder.openness()

    @property
    def codes(self) -> np.ndarray:
        """Least-squares codes; where entries leave them open, what the prior expects given the others."""
        return self.decoder.mean + self._across(_least_squares(self)) @ self.decoder.root.T

    @property
    def code_variances(self) -> np.ndarray:
        """Variance of the noise of each least-squares code, of shape (n, k)."""
        spread = np.einsum("kq,nqr->nkr", self.decoder.root, self.directions)
        return self.decoder.noise * (spread**2 / np.where(self.open, np.inf, self.information)[:, None]).sum(
            axis=2
        )

    @property
    def completed_codes(self) -> np.ndarray:
        """Least-squares codes of the signals, their missing entries filled with what is expected of them.

        Expected by the posterior of Gaussian codes with the prior's mean and covariance, given the entries
        that were observed. Without noise that is least squares on these, as far as they determine the code.
        """
        axes = self.decoder.axes
        whole = axes @ axes.T
        expected = self.pulls / (self.information + self.decoder.noise)
        lost = self._across(self.pulls - self.information * expected) + self._across(expected) @ whole
        return self.decoder.mean + np.linalg.solve(whole, lost.T).T @ self.decoder.root.T

    @property
    def volumes(self) -> np.ndarray:
        """Half the log-determinant of the information, less that of complete signals, of shape (n,)."""
        axes = self.decoder.axes
        logs = np.log(np.where(self.information > 0, self.information, 1.0)).sum(axis=1)
        return 0.5 * (logs - np.linalg.slogdet(axes @ axes.T)[1])

    def gaussian_losses(self) -> np.ndarray:
        """Return -log density of the observed entries for Gaussian codes, in nats, of shape (n,)."""
        noise, q = self.decoder.noise, self.information.shape[1]
        posterior = self.pulls / (self.information + noise)
        quadratic = self.posterior_residuals / noise + (posterior**2).sum(axis=1)
        volume = (self.counts - q) * np.log(noise) + np.log(self.information + noise).sum(axis=1)
        return 0.5 * (self.counts * _LOG_2PI + volume + quadratic)

    def _across(self, along: np.ndarray) -> np.ndarray:
        return np.einsum("nqr,nr->nq", self.directions, along)


def _least_squares(reading: Reading) -> np.ndarray:
    """Return the solution along the directions of each signal, zero where they are open."""
    return reading.pulls / np.where(reading.open, np.inf, reading.information)


def read(signals: np.ndarray, decoder: Decoder) -> Reading:
    """Return what the observed entries of signals say of their codes.

    Parameters
    ----------
    signals : array of shape (n, d)
        In double precision, NaN where nothing was observed.
    decoder : Decoder
    """
    n, d = signals.shape
    size = max(_BLOCK_ENTRIES // max(d, len(decoder.components) ** 2), 1)
    parts = [_read_block(signals[first : first + size], decoder) for first in range(0, n, size)]
    return Reading(decoder, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _read_block(signals: np.ndarray, decoder: Decoder) -> tuple[np.ndarray, ...]:
    mask = np.where(np.isnan(signals), 0.0, 1.0)
    left = np.where(mask > 0, signals - decoder.origin, 0.0)
    axes = decoder.axes
    q, d = axes.shape
    outer = (axes[:, None] * axes).reshape(q * q, d).T
    information, directions = np.linalg.eigh((mask @ outer).reshape(len(mask), q, q))
    largest = float((axes**2).sum())
    information = np.where(information > _ROUNDING * largest, information, 0.0)
    pulls = np.einsum("nqr,nq->nr", directions, left @ axes.T) * (information > 0)

    def residuals(along: np.ndarray) -> np.ndarray:
        rest = left - mask * (np.einsum("nqr,nr->nq", directions, along) @ axes)
        return np.einsum("ij,ij->i", rest, rest)

    exact = pulls / np.where(information > 0, information, np.inf)
    posterior = pulls / (information + decoder.noise)
    return mask.sum(axis=1), information, directions, pulls, residuals(exact), residuals(posterior)
