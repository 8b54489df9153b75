"""How far fitted sinusoids lie from the true ones: the Cramér-Rao bound, and what noise in the codes adds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparse_fourier.harmonics.record import TAU, Sinusoids

_IN_SPAN = 1e-10


class Moments(NamedTuple):
    """What errors of sinusoids depend on, beside the sinusoids.

    Attributes
    ----------
    signal : array of shape (k, k)
        Covariance of the codes without their noise; without an intercept, their second moments.
    seen : array of shape (k, k)
        The same with their noise.
    noise : float
        Variance of the noise of an entry.
    n : float
        Number of signals.
    """

    signal: np.ndarray
    seen: np.ndarray
    noise: float
    n: float


class WaveformErrors(NamedTuple):
    """Standard errors of waveforms of few parameters.

    Attributes
    ----------
    by_name : dict
        Name of a parameter -> standard errors of shape (k, n_terms).
    waveforms : array of shape (k, d)
        Variance of each point, of components whose norm is known.
    """

    by_name: dict[str, np.ndarray]
    waveforms: np.ndarray


class SinusoidErrors(NamedTuple):
    """Standard errors of sinusoids.

    Attributes
    ----------
    frequencies, phases, dampings : arrays of shape (k, n_terms)
        Standard errors.
    amplitudes : array of shape (k, n_terms)
        Of amplitudes relative to the norm of their component, over the amplitudes.
    waveforms : array of shape (k, d)
        Variance of each point, of components whose norm is known.
    """

    frequencies: np.ndarray
    phases: np.ndarray
    dampings: np.ndarray
    amplitudes: np.ndarray
    waveforms: np.ndarray

    @property
    def named(self) -> WaveformErrors:
        """The same, of parameters by name; that of amplitudes is not among them, which the codes decide."""
        own = {"frequencies": self.frequencies, "phases": self.phases, "dampings": self.dampings}
        return WaveformErrors(own, self.waveforms)


def derivatives(sinusoids: Sinusoids, positions: np.ndarray) -> np.ndarray:
    """Return derivatives of the waveforms by frequencies, phases, dampings and logarithms of amplitudes.

    Returns
    -------
    array of shape (4, k, n_terms, d)
    """
    angles = TAU * sinusoids.frequencies[..., None] * positions + sinusoids.phases[..., None]
    envelopes = sinusoids.amplitudes[..., None] * np.exp(-sinusoids.dampings[..., None] * positions)
    turned, plain = envelopes * np.cos(angles), envelopes * np.sin(angles)
    return np.stack([TAU * positions * turned, turned, -positions * plain, plain])


def sinusoid_errors(
    sinusoids: Sinusoids, positions: np.ndarray, damped: bool, moments: Moments
) -> SinusoidErrors:
    r"""Return the standard errors of sinusoids that are fitted to signals with codes of their own.

    With D the derivatives of the waveforms and P the projection out of their span, estimates have the
    covariance

    .. math:: \frac{\sigma^2}{n} J^{-1} K J^{-1}, \qquad
              J_{ab} = S_{j(a) j(b)} D_a P D_b^\top, \quad K_{ab} = \hat S_{j(a) j(b)} D_a P D_b^\top,

    where S is the covariance of the codes and :math:`\hat S` that with their noise. Without the difference
    it is the Cramér-Rao bound; the rest is the price of codes that are not known [1]_. Terms of one
    frequency and damping share them.

    References
    ----------
    .. [1] P. Stoica and A. Nehorai, "MUSIC, maximum likelihood, and Cramer-Rao bound", IEEE Transactions on
       Acoustics, Speech, and Signal Processing 37(5), 720-741, 1989.
    """
    slopes = derivatives(sinusoids, positions)
    used = np.array([True, True, damped, True])
    kinds, k, m, _ = slopes.shape
    owners = np.tile(np.repeat(np.arange(k), m), kinds)
    waves = sinusoids.at(positions)
    covariance = covariance_of(slopes, owners, waves, _shared(sinusoids, used), moments)
    errors = np.sqrt(np.maximum(np.diagonal(covariance), 0.0)).reshape(kinds, k, m)
    frequencies, phases, dampings, amplitudes = errors
    waveforms = of_waveforms(slopes, waves, covariance)
    return SinusoidErrors(frequencies, phases, dampings, amplitudes, waveforms)


def covariance_of(
    slopes: np.ndarray, owners: np.ndarray, waves: np.ndarray, shared: np.ndarray, moments: Moments
) -> np.ndarray:
    """Return the covariance of parameters of waveforms: see `sinusoid_errors`.

    Parameters
    ----------
    slopes : array of shape (..., d)
        Derivatives of the waveforms, m of them in all.
    owners : int array of shape (m,)
        The waveforms whose they are.
    waves : array of shape (k, d)
    shared : array of shape (m, n_parameters)
        What gives all parameters from those that differ.
    moments : Moments

    Returns
    -------
    array of shape (m, m)
    """
    flat = slopes.reshape(len(owners), waves.shape[1])
    basis = np.linalg.qr(waves.T)[0]
    outside = flat - (flat @ basis) @ basis.T
    lengths = np.linalg.norm(flat, axis=1)
    outside[np.linalg.norm(outside, axis=1) <= _IN_SPAN * lengths] = 0.0
    products = outside @ outside.T
    bread = shared.T @ (moments.signal[np.ix_(owners, owners)] * products) @ shared
    meat = shared.T @ (moments.seen[np.ix_(owners, owners)] * products) @ shared
    scale = np.sqrt(np.diagonal(bread))
    scale = np.where(scale > 0, scale, 1.0)
    inverse = np.linalg.pinv(bread / np.outer(scale, scale), rcond=_IN_SPAN, hermitian=True)
    inverse /= np.outer(scale, scale)
    return moments.noise / moments.n * shared @ inverse @ meat @ inverse @ shared.T


def _shared(sinusoids: Sinusoids, used: np.ndarray) -> np.ndarray:
    """Return what gives all parameters from those that differ: terms of one rate share it."""
    rates = np.stack([sinusoids.frequencies.ravel(), sinusoids.dampings.ravel()], axis=1)
    kept, places = np.unique(rates, axis=0, return_inverse=True)
    together = np.eye(len(kept))[places.ravel()]
    alone = np.eye(len(rates))
    blocks = [together, alone, together, alone]
    widths = [block.shape[1] * use for block, use in zip(blocks, used, strict=True)]
    result = np.zeros((4 * len(rates), sum(widths)))
    first = 0
    for i, (block, width) in enumerate(zip(blocks, widths, strict=True)):
        result[i * len(rates) : (i + 1) * len(rates), first : first + width] = block[:, :width]
        first += width
    return result


def of_waveforms(slopes: np.ndarray, waves: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the variance of each point of the waveforms, across themselves.

    Parameters
    ----------
    slopes : array of shape (n_kinds, k, n_terms, d)
        Derivatives of the waveforms by their parameters.
    waves : array of shape (k, d)
    covariance : array of shape (n_kinds * k * n_terms, n_kinds * k * n_terms)

    Returns
    -------
    array of shape (k, d)
    """
    kinds, k, m, d = slopes.shape
    whole = covariance.reshape(kinds, k, m, kinds, k, m)
    variances = np.empty((k, d))
    for j in range(k):
        unit = waves[j] / (np.linalg.norm(waves[j]) or 1.0)
        rows = slopes[:, j].reshape(kinds * m, d)
        rows = rows - np.outer(rows @ unit, unit)
        own = whole[:, j, :, :, j].reshape(kinds * m, kinds * m)
        variances[j] = np.einsum("ad,ab,bd->d", rows, own, rows)
    return np.maximum(variances, 0.0)
