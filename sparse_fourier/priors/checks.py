"""A prior from outside is examined before it is trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.priors.base import Prior
from sparse_fourier.supports import SUPPORTS

_TOLERANCE = 0.01
_NODES_OF_PAIRS = 150


def check_prior(prior: Prior) -> None:
    """Examine a prior numerically.

    Parameters
    ----------
    prior : Prior
        Of a class that may be anybody's.

    Raises
    ------
    ValueError
        If its support is unknown, or its log-density has the wrong shape, is not a number inside the
        support, has no finite gradient there, does not integrate to one, or depends on the order of the
        codes.
    """
    known = sorted(name for name, support in SUPPORTS.items() if not support.surplus)
    if getattr(prior, "support", None) not in known:
        raise _failure(prior, f"'support' must be one of {known}. Got {prior.support!r} instead")
    nodes, _ = prior.domain.quadrature()
    inside = nodes[np.linspace(0, len(nodes) - 1, 356).astype(int)[50:-50]]
    pairs = np.stack([inside, inside[::-1]], axis=1)
    values = _evaluated(prior, pairs)
    if values.shape != (len(pairs),):
        raise _failure(
            prior,
            f"'log_density' must turn codes of shape (n, k) into shape (n,). Got {values.shape} for "
            f"{pairs.shape} instead; sum over the codes",
        )
    if not np.isfinite(values).all():
        raise _failure(prior, "'log_density' must be finite inside the support")
    if not np.isfinite(_gradient(prior, pairs)).all():
        raise _failure(prior, "the gradient of 'log_density' must be finite inside the support")
    if not np.allclose(_evaluated(prior, pairs[:, ::-1]), values, rtol=1e-6, atol=1e-6):
        raise _failure(prior, "'log_density' must not depend on the order of the codes")
    for of, total in _totals(prior).items():
        if not abs(total - 1) < _TOLERANCE:
            raise _failure(
                prior, f"the density of {of} must integrate to 1 over the support. Got {total:.4g} instead"
            )


def _failure(prior: Prior, problem: str) -> ValueError:
    return ValueError(f"The prior {type(prior).__name__} cannot be used: {problem}.")


def _evaluated(prior: Prior, codes: np.ndarray) -> np.ndarray:
    try:
        return prior.evaluated(codes)
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise _failure(
            prior, f"'log_density' failed on codes of shape {codes.shape}; write it with jax.numpy ({error})"
        ) from error


_slopes = runtime.Program(lambda prior, codes: _gradient_of_sum(prior, codes))


def _gradient_of_sum(prior: Prior, codes: Any) -> Any:
    import jax

    return jax.grad(lambda h: prior.log_density(h).sum())(codes)


def _gradient(prior: Prior, codes: np.ndarray) -> np.ndarray:
    try:
        return _slopes((type(prior), codes.shape), prior, codes)
    except (TypeError, ValueError) as error:
        raise _failure(prior, f"JAX cannot differentiate 'log_density' ({error})") from error


def _totals(prior: Prior) -> dict[str, float]:
    """Return the integrals of the densities of one code and of two."""
    nodes, widths = prior.domain.quadrature()
    one = np.exp(_evaluated(prior, nodes[:, None])) @ widths
    nodes, widths = prior.domain.quadrature(_NODES_OF_PAIRS)
    pairs = np.stack([axis.ravel() for axis in np.meshgrid(nodes, nodes)], axis=1)
    two = np.exp(_evaluated(prior, pairs)) @ np.outer(widths, widths).ravel()
    return {"one code": float(one), "two codes": float(two)}
