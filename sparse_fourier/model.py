"""The fitted model, in NumPy alone: codes, reconstructions, likelihood, samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from sparse_fourier.entries import Decoder, Reading, read
from sparse_fourier.networks import Encoder
from sparse_fourier.objective import Terms, likelihood_terms
from sparse_fourier.priors import Prior

_ROWS_AT_ONCE = 1 << 12
_CODES_AT_ONCE = 1 << 18
_ROWS_TOGETHER = 1 << 9
_LOG_2 = float(np.log(2.0))


def incomplete_rows(X: np.ndarray) -> np.ndarray:
    """Return which signals have missing entries, of shape (n,)."""
    if not np.isnan(X.min(initial=np.inf)):
        return np.zeros(len(X), dtype=bool)
    return np.asarray(np.isnan(X).any(axis=1))


def _rows_with_gaps(X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the indices of signals with missing entries, which leave codes that are no numbers."""
    with np.errstate(all="ignore"):
        total = codes.sum()
    if not np.isnan(total):
        return np.zeros(0, dtype=int)
    suspects = np.flatnonzero(np.isnan(codes).any(axis=1))
    return suspects[np.isnan(X[suspects]).any(axis=1)]


def _blocks(n: int, k: int) -> Iterator[slice]:
    """Yield slices of rows whose codes stay in a cache."""
    size = max(1, _CODES_AT_ONCE // max(k, 1))
    return (slice(first, first + size) for first in range(0, n, size))


def _subtract(codes: np.ndarray, offset: np.ndarray) -> None:
    """Subtract a row from all others in place, many at a time: rows may be as short as two numbers."""
    n, k = codes.shape
    together = n - n % _ROWS_TOGETHER
    if together:
        grouped = codes[:together].reshape(-1, _ROWS_TOGETHER * k)
        grouped -= np.tile(offset, _ROWS_TOGETHER)
    codes[together:] -= offset


@dataclass(frozen=True, eq=False)
class Model:
    """A linear decoder with a prior on its codes, for signals in units of 2**exponent.

    Attributes
    ----------
    components : array of shape (k, d)
        Rows beyond the rank of the data are zero.
    intercept : array of shape (d,)
    noise_variance : float
        Variance of the noise per feature and sample.
    resolution : float
        Smallest noise variance that the likelihood believes in: that of rounding.
    code_floor : array of shape (k,)
        Smallest noise variance of each code that the likelihood believes in.
    prior : Prior
    exponent : int
        Binary exponent of the unit in which all of the above is measured.
    encoder : Encoder or None
        A network that gives the codes, in that unit; else they are those of least squares.
    likelihood : Model or None
        Another model of the same signals, without a network, that scores them: where nothing was assumed
        of the codes, a Gaussian on the span of the components.
    rooted : bool
        Whether a corner of the support was held where the signal is zero.
    """

    components: np.ndarray
    intercept: np.ndarray
    noise_variance: float
    resolution: float
    code_floor: np.ndarray
    prior: Prior
    exponent: int
    encoder: Encoder | None = None
    likelihood: Model | None = None
    rooted: bool = False

    @cached_property
    def gram(self) -> np.ndarray:
        """Gram matrix of the components, of shape (k, k)."""
        return self.components @ self.components.T

    @cached_property
    def live(self) -> np.ndarray:
        """Which components are not zero, of shape (k,)."""
        return np.diagonal(self.gram) > 0

    @cached_property
    def unmixing(self) -> np.ndarray:
        """Pseudo-inverse of the components, of shape (d, k), as seen from the middle of their signals."""
        unmixing = np.zeros(self.components.shape[::-1])
        live = self.components[self.live]
        if len(live):
            unmixing[:, self.live] = np.linalg.pinv(live - self.prior.domain.middle(live)[0])
        return unmixing

    @cached_property
    def code_variances(self) -> np.ndarray:
        """Variance of the noise of each least-squares code, with its floor, of shape (k,)."""
        return self._noise * (self.unmixing**2).sum(axis=0) + self.code_floor

    @cached_property
    def _noise(self) -> float:
        return max(self.noise_variance, self.resolution)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields without what is derived from them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def least_squares_codes(self, X: np.ndarray, dtype: Any = float) -> np.ndarray:
        """Return the codes that reconstruct signals best, of shape (n, k), of some type."""
        unmixing, exponent = self._unmixing_in(X.dtype)
        offset = self.code_offset.astype(dtype)
        codes = np.empty((len(X), len(offset)), dtype)
        for rows in _blocks(*codes.shape):
            signals = np.ldexp(X[rows], exponent) if exponent else X[rows]
            np.matmul(signals, unmixing, out=codes[rows])
            _subtract(codes[rows], offset)
        return codes

    def _unmixing_in(self, dtype: np.dtype) -> tuple[np.ndarray, int]:
        """Return the pseudo-inverse for signals of some type, which are multiplied by two to a power before.

        The unit is folded into the small matrix where the type can hold that.
        """
        if dtype not in self._unmixings:
            fits = abs(self.exponent) <= np.finfo(dtype).maxexp // 2
            unmixing = np.ldexp(self.unmixing, -self.exponent if fits else 0).astype(dtype)
            self._unmixings[dtype] = unmixing, 0 if fits else -self.exponent
        return self._unmixings[dtype]

    @cached_property
    def _unmixings(self) -> dict[np.dtype, tuple[np.ndarray, int]]:
        return {}

    @cached_property
    def code_offset(self) -> np.ndarray:
        """What is subtracted from signals times `unmixing`, of shape (k,)."""
        live = self.components[self.live]
        if not len(live):
            return np.zeros(len(self.components))
        middle, code = self.prior.domain.middle(live)
        return np.where(self.live, (self.intercept + middle) @ self.unmixing - code, 0.0)

    @property
    def faces(self) -> tuple[float, ...]:
        """Where codes end."""
        return self.prior.domain.faces

    @property
    def code_exponent(self) -> int:
        """Binary exponent of the unit of the codes."""
        bound = self.encoder is not None and not self.encoder.activation.homogeneous
        return self.exponent if self.prior.has_free_scale and not bound else 0

    @property
    def component_exponent(self) -> int:
        """Binary exponent of the unit of the components."""
        return self.exponent - self.code_exponent

    def of_least_squares(self, X: np.ndarray) -> tuple[Model, np.ndarray]:
        """Return a model whose codes are those of least squares, and signals of which they are the codes."""
        return self, X

    def constrained_codes(self, X: np.ndarray, dtype: Any = float) -> np.ndarray:
        """Return the least-squares codes within the prior's support, in the model's unit, of some type.

        Gaps are filled with what mean and covariance of the prior lead to expect, given the other entries.
        """
        codes = self.least_squares_codes(X, dtype)
        gaps = _rows_with_gaps(X, codes)
        for first in range(0, len(gaps), _ROWS_AT_ONCE):
            rows = gaps[first : first + _ROWS_AT_ONCE]
            codes[rows] = 0.0
            codes[np.ix_(rows, np.flatnonzero(self.live))] = self.read(X[rows]).completed_codes
        self.prior.domain.confine(codes, self.gram)
        return codes

    def read(self, X: np.ndarray) -> Reading:
        """Return what the observed entries of signals say of the codes that live."""
        live = np.flatnonzero(self.live)
        prior = self.prior.taken(live)
        covariance = prior.code_covariance(len(live))
        if prior.includes_noise:
            unmixing = self.unmixing[:, live]
            covariance = covariance - self._noise * unmixing.T @ unmixing
        mean = prior.code_mean(len(live))
        decoder = Decoder.of(self.components[live], self.intercept, mean, covariance, self._noise)
        return read(np.ldexp(np.asarray(X, dtype=float), -self.exponent), decoder)

    def losses(self, X: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of the observed entries of each signal, in nats.

        Entries that determine the code have the likelihood of shorter signals; the rest, and all under a
        prior that is Gaussian, that of Gaussian codes with the prior's mean and covariance.
        """
        if self.likelihood is not None:
            return self.likelihood.losses(X)
        gaps = incomplete_rows(X)
        if not gaps.any():
            return self.terms(X).total
        losses = np.empty(len(X))
        losses[~gaps] = self.terms(X[~gaps]).total
        losses[gaps] = self._losses_of_entries(self.read(X[gaps]))
        return losses

    def _losses_of_entries(self, reading: Reading) -> np.ndarray:
        unit = self.exponent * _LOG_2 * reading.counts
        losses = reading.gaussian_losses() + unit
        rows = ~reading.open.any(axis=1) & self.prior.identifies_basis
        if not rows.any():
            return losses
        live = self.live
        variances = reading.code_variances[rows] + self.code_floor[live]
        prior = self.prior.taken(np.flatnonzero(live))
        log_prior = prior.log_likelihoods(reading.codes[rows], variances)
        left = reading.counts[rows] - reading.information.shape[1]
        logs = left * np.log(2 * np.pi * self._noise)
        reconstruction = 0.5 * (reading.residuals[rows] / self._noise * (left > 0) + logs)
        losses[rows] = reconstruction + self._volume + reading.volumes[rows] - log_prior + unit[rows]
        return losses

    @property
    def _volume(self) -> float:
        edges = self.prior.domain.edges(self.components[self.live])
        return float(0.5 * np.linalg.slogdet(edges @ edges.T)[1])

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Return the network's codes, or the constrained least-squares ones, in the user's unit.

        The latter are of the type of X.
        """
        if self.encoder is not None:
            codes = self._encoded(self.encoder, X)
        else:
            codes = self.constrained_codes(X, X.dtype)
        return np.ldexp(codes, self.code_exponent, out=codes) if self.code_exponent else codes

    def _encoded(self, encoder: Encoder, X: np.ndarray) -> np.ndarray:
        X = self.filled(X)
        return encoder.in_blocks(np.ldexp(X, -self.exponent) if self.exponent else X)

    def filled(self, X: np.ndarray) -> np.ndarray:
        """Return signals whose missing entries are what the observed ones lead to expect."""
        gaps = incomplete_rows(X)
        if not gaps.any():
            return X
        reader = self.likelihood or self
        complete = X.copy()
        codes = reader.constrained_codes(X[gaps])
        expected = np.ldexp(codes @ reader.components + reader.intercept, self.exponent)
        complete[gaps] = np.where(np.isnan(X[gaps]), expected, X[gaps])
        return complete

    def terms(self, X: np.ndarray) -> Terms:
        """Return the negative log-likelihood of each signal by terms, in nats, double precision."""
        if self.likelihood is not None:
            return self.likelihood.terms(X)
        X = np.ldexp(np.asarray(X, dtype=float), -self.exponent)
        codes = X @ np.ascontiguousarray(self.unmixing[:, self.live]) - self.code_offset[self.live]
        residuals = X - self.intercept - codes @ self.components[self.live]
        return self.terms_of_codes(codes, np.einsum("ij,ij->i", residuals, residuals))

    def terms_of_codes(self, codes: np.ndarray, squared_residuals: np.ndarray) -> Terms:
        """Return the negative log-likelihood by terms.

        Parameters
        ----------
        codes : array of shape (n, n_live)
            Those of the components that are not zero.
        squared_residuals : array of shape (n,)
            In the model's unit.
        """
        live = self.live
        prior = self.prior.taken(np.flatnonzero(live))
        return self.terms_of(prior.log_likelihoods(codes, self.code_variances[live]), squared_residuals)

    def terms_of(self, log_prior: np.ndarray, squared_residuals: np.ndarray) -> Terms:
        """Return the negative log-likelihood by terms, given that of the codes; or the same of means."""
        edges = self.prior.domain.edges(self.components[self.live])
        d = self.components.shape[1]
        terms = likelihood_terms(squared_residuals, log_prior, edges @ edges.T, self._noise, d)
        return terms._replace(volume=terms.volume + d * self.exponent * _LOG_2)

    def covariance(self) -> np.ndarray:
        """Return the covariance of signals under the model, in the model's unit, of shape (d, d)."""
        if self.likelihood is not None:
            return self.likelihood.covariance()
        signal = self.components.T @ self.prior.code_covariance(len(self.components)) @ self.components
        return signal + self.noise_variance * self._noise_directions

    def sample(
        self,
        n_samples: int,
        rng: np.random.RandomState,
        draw_noise: Callable[[tuple[int, ...]], np.ndarray] | None = None,
    ) -> np.ndarray:
        """Return draws from the model, in the model's unit, of shape (n_samples, d).

        Noise is Gaussian where nothing else draws it.
        """
        if self.likelihood is not None:
            return self.likelihood.sample(n_samples, rng, draw_noise)
        k, d = self.components.shape
        codes = self.prior.draw(n_samples, k, rng)
        noise = (draw_noise or self._gaussian_noise(rng))((n_samples, d)) @ self._noise_directions
        return codes @ self.components + self.intercept + noise

    def _gaussian_noise(self, rng: np.random.RandomState) -> Callable[[tuple[int, ...]], np.ndarray]:
        return lambda shape: np.sqrt(self.noise_variance) * rng.standard_normal(shape)

    @cached_property
    def _noise_directions(self) -> np.ndarray:
        """Projection onto the directions in which noise comes on top of the codes, of shape (d, d)."""
        everywhere = np.eye(len(self.intercept))
        if not self.prior.includes_noise:
            return everywhere
        return everywhere - self.unmixing @ self.components
