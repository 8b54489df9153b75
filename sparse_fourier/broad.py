"""What is assumed of signals that stray: a broad density, of which a small share comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

_LOG_2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class Broad:
    """The multivariate Cauchy density about the middle of signals, as wide as they are, and its share.

    Of everything else nothing is known, so that it must be finite anywhere and fall slowly.

    Attributes
    ----------
    share : float
        Of the signals, in (0, 1).
    centre : array of shape (d,)
    scale : float
        Root mean squared deviation of an entry.
    exponent : int
        Binary exponent of the unit of both.
    """

    share: float
    centre: np.ndarray
    scale: float
    exponent: int

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of signals, of their observed entries alone where some are missing.

        Parameters
        ----------
        X : array of shape (n, d)
            In the user's unit.

        Returns
        -------
        array of shape (n,)
        """
        away = (np.ldexp(np.asarray(X, dtype=float), -self.exponent) - self.centre) / self.scale
        d = X.shape[1] - np.isnan(away).sum(axis=1)
        constant = gammaln(0.5 * (d + 1)) - gammaln(0.5) - 0.5 * d * np.log(np.pi)
        unit = d * (np.log(self.scale) + self.exponent * _LOG_2)
        return constant - unit - (d + 1) * np.log(np.hypot(1.0, _norms(away)))

    def mixed(self, log_likelihoods: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Return log-likelihoods of signals of which a share is anything.

        Parameters
        ----------
        log_likelihoods : array of shape (n,)
            Of signals that do not stray.
        X : array of shape (n, d)
        """
        strays = np.log(self.share) + self.log_density(X)
        return np.logaddexp(np.log1p(-self.share) + log_likelihoods, strays)


def _norms(rows: np.ndarray) -> np.ndarray:
    """Return the lengths of rows, gaps left out, of entries whose squares may be beyond the type."""
    largest = np.nanmax(np.abs(rows), axis=1, initial=np.finfo(float).tiny)
    return largest * np.sqrt(np.nansum((rows / largest[:, None]) ** 2, axis=1))
