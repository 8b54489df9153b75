"""The methods by which frequencies are estimated today, on many signals that share them, sampled regularly.

Each is a function ``method(X, k) -> frequencies``, sorted, in cycles per sample. A real sinusoid has two
complex exponentials; with one phase in all signals they are coherent, so that the subspace methods look at
all windows of two thirds of the record, forwards and backwards.
"""

import numpy as np
from scipy.signal import find_peaks

PADDING = 16


def fft_peak(X, k):
    """The highest peaks of the mean periodogram, each with a parabola through its logarithm."""
    n_fine = PADDING * X.shape[1]
    power = np.log((np.abs(np.fft.rfft(X - X.mean(axis=0), n_fine)) ** 2).mean(axis=0))
    peaks, _ = find_peaks(np.pad(power, 1, constant_values=-np.inf))
    peaks = peaks - 1
    peaks = peaks[(peaks > 0) & (peaks < len(power) - 1)]
    peaks = peaks[np.argsort(-power[peaks])][:k]
    left, middle, right = power[peaks - 1], power[peaks], power[peaks + 1]
    found = np.sort((peaks + 0.5 * (left - right) / (left - 2 * middle + right)) / n_fine)
    return np.pad(found, (0, k - len(found)), mode="edge" if len(found) else "constant")


def esprit(X, k):
    """Least-squares ESPRIT (Roy and Kailath 1989)."""
    _, signal = subspaces(X, 2 * k)
    rotation = np.linalg.lstsq(signal[:-1], signal[1:], rcond=None)[0]
    angles = np.abs(np.angle(np.linalg.eigvals(rotation)))
    return np.sort(angles)[::2] / (2 * np.pi)


def root_music(X, k):
    """Root-MUSIC (Barabell 1983): the roots nearest to the unit circle."""
    moments, signal = subspaces(X, 2 * k)
    noise = np.eye(len(moments)) - signal @ signal.T
    diagonals = [np.trace(noise, offset) for offset in range(len(noise) - 1, -len(noise), -1)]
    roots = np.roots(diagonals)
    inside = roots[(np.abs(roots) < 1) & (roots.imag >= 0)]
    nearest = inside[np.argsort(np.abs(np.abs(inside) - 1))][:k]
    return np.sort(np.angle(nearest)) / (2 * np.pi)


def subspaces(X, rank):
    """Moments of all windows, and an orthonormal basis of their strongest directions."""
    width = 2 * X.shape[1] // 3
    windows = np.lib.stride_tricks.sliding_window_view(X - X.mean(axis=0), width, axis=1).reshape(-1, width)
    moments = windows.T @ windows
    moments = moments + moments[::-1, ::-1]
    return moments, np.linalg.eigh(moments)[1][:, -rank:]


SPECTRAL = {"FFT peak": fft_peak, "ESPRIT": esprit, "root-MUSIC": root_music}
