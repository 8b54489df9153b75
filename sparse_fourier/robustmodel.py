"""The fitted model under noise of heavy tails, in NumPy alone: outliers are drawn in before it serves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_fourier.model import Model
from sparse_fourier.priors import Prior
from sparse_fourier.tails import StudentT, Tails


@dataclass(frozen=True, eq=False)
class RobustModel:
    """A model of pseudo-values, and what turns signals into these.

    Attributes
    ----------
    plain : Model
        Of pseudo-values.
    tails : Tails
    """

    plain: Model
    tails: Tails

    @property
    def components(self) -> np.ndarray:
        """The components, of shape (k, d)."""
        return self.plain.components

    @property
    def intercept(self) -> np.ndarray:
        """The intercept, of shape (d,)."""
        return self.plain.intercept

    @property
    def noise_variance(self) -> float:
        """Variance of the Gaussian noise that leaves codes as uncertain."""
        return self.plain.noise_variance

    @property
    def prior(self) -> Prior:
        """The prior of the codes."""
        return self.plain.prior

    @property
    def gram(self) -> np.ndarray:
        """Gram matrix of the components, of shape (k, k)."""
        return self.plain.gram

    @property
    def live(self) -> np.ndarray:
        """Which components are not zero, of shape (k,)."""
        return self.plain.live

    @property
    def faces(self) -> tuple[float, ...]:
        """Where codes end."""
        return self.plain.faces

    @property
    def code_variances(self) -> np.ndarray:
        """Variance of the noise of each code, of shape (k,)."""
        return self.plain.code_variances

    @property
    def exponent(self) -> int:
        """Binary exponent of the unit of signals."""
        return self.plain.exponent

    @property
    def code_exponent(self) -> int:
        """Binary exponent of the unit of the codes."""
        return self.plain.code_exponent

    @property
    def component_exponent(self) -> int:
        """Binary exponent of the unit of the components."""
        return self.plain.component_exponent

    @property
    def law(self) -> StudentT:
        """The law of the noise, in the unit of the model."""
        return self.tails.law.scaled(self.tails.exponent - self.exponent)

    def of_least_squares(self, X: np.ndarray) -> tuple[Model, np.ndarray]:
        """Return a model whose codes are those of least squares, and signals of which they are the codes."""
        return self.plain, self.tails.cleaned(X)

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Return the codes of signals, in the user's unit."""
        return self.plain.encode(self.tails.cleaned(X))

    def constrained_codes(self, X: np.ndarray) -> np.ndarray:
        """Return the likeliest codes within the prior's support, in the model's unit."""
        return self.plain.constrained_codes(self.tails.cleaned(X))

    def losses(self, X: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of the observed entries of each signal, in nats.

        The codes are integrated out around the likeliest ones, by the expected information of the entries.
        """
        reading = self.tails.read(X)
        excess = reading.excess(self.variance_of_pseudo_values)
        return self.plain.losses(reading.pseudo_values(X.dtype)) + excess

    @property
    def variance_of_pseudo_values(self) -> float:
        """Variance of noise that the likelihood of pseudo-values believes in, in the unit of the tails."""
        noise = max(self.plain.noise_variance, self.plain.resolution)
        return float(np.ldexp(noise, 2 * (self.exponent - self.tails.exponent)))

    def covariance(self) -> np.ndarray:
        """Return the covariance of pseudo-values, in the model's unit, of shape (d, d)."""
        return self.plain.covariance()

    def sample(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Return draws from the model, in its unit, of shape (n_samples, d)."""
        return self.plain.sample(n_samples, rng, lambda shape: self.law.draw(shape, rng))
