"""Least-squares codes whose basis a solver of the user's choice trains, as it trains networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_fourier.autoencoding import fit_network
from sparse_fourier.beginnings import of_start
from sparse_fourier.blueprints import FittedNetwork, Network, Record
from sparse_fourier.fitting import Fitted, Settings, fit
from sparse_fourier.measuring import WeightedSignals
from sparse_fourier.model import Model
from sparse_fourier.networks import Layer
from sparse_fourier.signals import Rows


def fit_by_solver(
    X: Rows,
    weights: np.ndarray,
    settings: Settings,
    network: Network,
    rng: np.random.RandomState,
    record: Record | None = None,
) -> FittedNetwork:
    """Return what a network comes to, or the basis of the affine one whose codes are those of least squares.

    There the solver goes on from the fit by Newton steps, with the codes that the map and the activation of
    the prior give. What it ends at is kept if it is the likelier of the two once codes are those of least
    squares, in which case the components have left the principal span.

    Parameters
    ----------
    X, weights, settings, network, rng, record
        As for `fit_network`.
    """
    if not network.least_squares:
        return fit_network(X, weights, settings, network, rng, record)
    own = np.random.RandomState(rng.randint(np.iinfo(np.int32).max))
    began = fit(X, weights, of_start(settings), own)
    if not began.rank:
        return FittedNetwork(**vars(began))
    filled = began.model.filled(X) if isinstance(X, np.ndarray) else X
    ended = fit_network(filled, weights, settings, network, rng, record)
    model = replace(ended.model, encoder=None)
    loss = WeightedSignals.of(X, weights, model.exponent).loss(model)
    likelier = _measured(ended, model, X, weights) if loss < began.curve[-1] else began
    curve = np.append(ended.curve[:-1], min(loss, began.curve[-1]))
    kept = {"record": ended.record, "remarks": ended.remarks, "trained": ended.trained, "curve": curve}
    return FittedNetwork(**{**vars(likelier), **kept, "idle": []})


def _measured(ended: FittedNetwork, model: Model, X: Rows, weights: np.ndarray) -> Fitted:
    """Return the outcome of training with the variances and residuals of least-squares codes."""
    filled = model.filled(X) if isinstance(X, np.ndarray) else X
    signals = WeightedSignals.of(filled, weights, model.exponent)
    n = signals.n
    coded = signals.coded(Layer(model.unmixing, -model.code_offset))
    residual = n * coded.left(model.components, model.intercept)
    if isinstance(X, np.ndarray) and filled is not X:
        residual = max(residual - _of_gaps(model, X, weights), 0.0)
    variances = coded.deviations**2 * n / max(n - 1, 1)
    return replace(ended, model=model, code_variances=variances, residual=residual)


def _of_gaps(model: Model, X: np.ndarray, weights: np.ndarray) -> float:
    """Return the sum of squared residuals of entries that were not observed, once they are filled."""
    filled = model.filled(X)
    codes = model.least_squares_codes(filled)
    rest = np.ldexp(filled.astype(float), -model.exponent) - codes @ model.components - model.intercept
    return float(weights @ (np.where(np.isnan(X), rest, 0.0) ** 2).sum(axis=1))
