"""Non-negative components fitted to the signals, given non-negative codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_fourier.model import Model
from sparse_fourier.supports import bounded_least_squares

_ALTERNATIONS = 2


def fit_to_signals(
    model: Model, X: np.ndarray, weights: np.ndarray, *, anchored: bool
) -> tuple[Model, float]:
    """Return the model with non-negative components fitted to the signals, and its squared residuals.

    Codes within their support do not reach all of the span, so that other components fit better, as the
    alternating steps of non-negative matrix factorization find them.

    Parameters
    ----------
    model : Model
    X : array of shape (n, d)
    weights : array of shape (n,)
    anchored : bool
        Whether the intercept remains zero.
    """
    signals = np.ldexp(np.asarray(X, dtype=float), -model.exponent)
    gaps = np.isnan(signals)
    for _ in range(_ALTERNATIONS):
        codes = model.constrained_codes(X)
        filled = (
            np.where(gaps, model.intercept + codes @ model.components, signals) if gaps.any() else signals
        )
        model = _with_components(model, *_nonnegative_decoder(codes, filled, weights, anchored))
    codes = model.constrained_codes(X)
    residuals = np.where(gaps, 0.0, signals - model.intercept - codes @ model.components)
    return model, float(weights @ np.einsum("ij,ij->i", residuals, residuals))


def _nonnegative_decoder(
    codes: np.ndarray, signals: np.ndarray, weights: np.ndarray, anchored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return components and intercept, none negative, that reconstruct signals best from codes."""
    k = codes.shape[1]
    design = codes if anchored else np.append(codes, np.ones((len(codes), 1)), axis=1)
    weighted = design * weights[:, None]
    gram = weighted.T @ design
    free = np.linalg.lstsq(gram, weighted.T @ signals, rcond=None)[0]
    decoder = bounded_least_squares(free.T, gram, 0.0, np.inf).T
    return decoder[:k], np.zeros(signals.shape[1]) if anchored else decoder[k]


def _with_components(model: Model, components: np.ndarray, intercept: np.ndarray) -> Model:
    """Return the model with other components, of unit norm where that is the convention."""
    k = len(components)
    norms = np.linalg.norm(components, axis=1)
    factors = np.where(norms > 0, norms, 1.0) if model.prior.has_free_scale else np.ones(k)
    return replace(
        model,
        components=components / factors[:, None],
        intercept=intercept,
        prior=model.prior.mapped(factors, np.zeros(k)),
        code_floor=model.code_floor * factors**2,
    )
