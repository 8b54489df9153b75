"""Penalties on the encoder: codes that change little, reconstructions of signals that were spoilt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from sparse_fourier.namespace import Array, array_namespace
from sparse_fourier.penalties.base import NOT_NEGATIVE, Penalty, SamplePenalty


@dataclass
class Contractive(SamplePenalty):
    r"""Squared Frobenius norm of the Jacobian of the codes: codes that change little with the signal.

    .. math:: \lambda \, \frac1n \sum_i \left\| \frac{\partial h(x_i)}{\partial x} \right\|_F^2

    That is the variance that white noise of unit variance in the signals gives the codes [1]_. For an affine
    encoder it is the sum of its squared weights.

    Parameters
    ----------
    strength : float, default=1.0
        The factor in front, not negative.

    Notes
    -----
    The Jacobian is computed row by row, one backward pass through the encoder for each code.

    References
    ----------
    .. [1] S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive auto-encoders: explicit
       invariance during feature extraction", International Conference on Machine Learning 28, 833-840, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from sparse_fourier.penalties import Contractive
    >>> model = SimpleNamespace(encode=lambda X: X @ np.array([[1.0], [2.0]]))
    >>> X = np.ones((5, 2))
    >>> round(float(Contractive(0.5)(model, X, model.encode(X))), 3)
    2.5
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = NOT_NEGATIVE

    strength: float = 1.0

    def of_samples(self, model: Any, X: Array, codes: Array) -> Array:
        """Return the squared norm of the Jacobian at each signal, times the strength."""
        return self.strength * squared_jacobians(model.encode, X)


def squared_jacobians(encode: Any, X: Array) -> Array:
    """Return the squared Frobenius norm of the Jacobian of a map of rows at each row, of shape (n,)."""
    import jax
    import jax.numpy as jnp

    codes, pull_back = jax.vjp(encode, jnp.asarray(X))

    def add_code(total: Array, chosen: Array) -> tuple[Array, None]:
        (gradient,) = pull_back(jnp.broadcast_to(chosen, codes.shape))
        return total + (gradient**2).sum(axis=1), None

    nothing = jnp.zeros(codes.shape[0], dtype=codes.dtype)
    return jax.lax.scan(add_code, nothing, jnp.eye(codes.shape[1], dtype=codes.dtype))[0]


@dataclass
class Denoising(SamplePenalty):
    r"""Squared error of signals that are reconstructed from spoilt ones: the denoising autoencoder.

    .. math:: \lambda \, \frac1n \sum_i \| x_i - h(\tilde x_i) W - b \|^2

    where of every signal a share of the entries, chosen at random, is set to zero, and Gaussian noise is
    added to the others.

    Parameters
    ----------
    strength : float, default=1.0
        The factor in front, not negative. The larger it is, the less the objective that it is added to, in
        which the encoder sees the signals as they are, has to say.
    masking : float in [0, 1), default=0.1
        Share of the entries that are set to zero.
    noise : float, default=0.0
        Standard deviation of the Gaussian noise, in the unit of the signals.

    Notes
    -----
    Full-batch solvers spoil each signal once and for all, so that the objective stays the same from step to
    step; mini-batch solvers spoil it anew.

    References
    ----------
    .. [1] P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and composing robust features
       with denoising autoencoders", International Conference on Machine Learning 25, 1096-1103, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from sparse_fourier.penalties import Denoising
    >>> model = SimpleNamespace(encode=lambda X: X, components=np.eye(2), intercept=np.zeros(2))
    >>> X = np.ones((1000, 2))
    >>> drawn = Denoising(masking=0.25).drawn(X.shape, np.random.RandomState(0))
    >>> round(float(drawn(model, X, model.encode(X))), 1)
    0.5
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **NOT_NEGATIVE,
        "masking": (0.0, 1.0),
        "noise": (0.0, np.inf),
    }

    strength: float = 1.0
    masking: float = 0.1
    noise: float = 0.0
    uniform: Any = field(default=None, init=False, repr=False, compare=False)
    normal: Any = field(default=None, init=False, repr=False, compare=False)

    def drawn(self, shape: tuple[int, int], rng: np.random.RandomState) -> Penalty:
        """Return the penalty with uniform numbers to choose entries by, and normal ones to add."""
        drawn = replace(self)
        drawn.uniform, drawn.normal = rng.uniform(size=shape), rng.standard_normal(shape)
        return drawn

    def of_samples(self, model: Any, X: Array, codes: Array) -> Array:
        """Return the squared error of each signal, times the strength."""
        rebuilt = model.encode(self.spoilt(X)) @ model.components + model.intercept
        return self.strength * ((X - rebuilt) ** 2).sum(axis=1)

    def spoilt(self, X: Array) -> Array:
        """Return signals with entries set to zero and noise added.

        Parameters
        ----------
        X : array of shape (n, d)
            Signals; where there are more of them than random numbers, these are used again.

        Returns
        -------
        array of shape (n, d)
            The spoilt signals.

        Raises
        ------
        ValueError
            If the penalty has no random numbers yet.
        """
        if self.uniform is None:
            raise ValueError("Denoising has no random numbers yet: call penalty.drawn(X.shape, rng) first.")
        xp = array_namespace(X, self.uniform)
        n, m = X.shape[0], self.uniform.shape[0]
        uniform, normal = (xp.concatenate([part] * -(-n // m))[:n] for part in (self.uniform, self.normal))
        return xp.where(uniform >= self.masking, X + self.noise * normal, 0.0)
