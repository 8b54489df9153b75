"""Where the training of a network begins: at random, or at the closed form of an affine one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sparse_fourier.activations import Activation
from sparse_fourier.blueprints import FittedNetwork, Network, Record, in_unit, is_centred
from sparse_fourier.fitting import Settings, fit
from sparse_fourier.measuring import Coded, WeightedSignals
from sparse_fourier.model import Model
from sparse_fourier.networks import Autoencoder, Coder, Encoder, Layer
from sparse_fourier.priors import Gaussian
from sparse_fourier.priors.placed import from_zero
from sparse_fourier.reduction import checked_init
from sparse_fourier.signals import Rows
from sparse_fourier.stacks import TrainingState, first_state, stack, unmoved
from sparse_fourier.variational import VariationalAutoencoder, closed_form_posterior

_ROWS_OF_START, _ROWS_OF_START_PER_COMPONENT = 4000, 50
_ITERATIONS_OF_START = 1000


def closed_form(X: Rows, weights: np.ndarray, settings: Settings) -> FittedNetwork:
    """Return the affine autoencoder of least squared error: principal component analysis.

    Parameters
    ----------
    X, weights, settings
        As for `sparse_fourier.fitting.fit`.
    """
    rng = np.random.RandomState(0)
    fitted = fit(X, weights, replace(settings, prior=Gaussian()), rng)
    error = np.array([fitted.residual / fitted.n_samples / X.shape[1]])
    model = replace(fitted.model, likelihood=fitted.model)
    curve = in_unit(error, 2 * model.exponent)
    return FittedNetwork(**{**vars(fitted), "model": model, "curve": curve, "doubts": [], "in_nats": False})


def begin_literally(
    X: Rows, weights: np.ndarray, settings: Settings, network: Network, rng: np.random.RandomState
) -> Record:
    """Return random starts: weights from the standard normal, biases of zero."""
    d, k = X.shape[1], _n_components(X, weights, settings)
    models = []
    for _ in range(settings.n_starts or 1):
        skip = Layer(rng.standard_normal((d, k)), np.zeros(k))
        components = rng.standard_normal((k, d))
        if settings.init is not None:
            components = checked_init(settings.init, (k, d))
        models.append(Autoencoder(_encoder(skip, (), network), components, np.zeros(d)))
    tiny = np.finfo(float).tiny
    origin = Model(np.zeros((k, d)), np.zeros(d), 1.0, tiny, np.ones(k), settings.prior, 0)
    state = _stacked(models, np.ones(len(models)), network, X.dtype)
    return Record(state, origin, np.zeros(d), 1.0, k, True)


def _n_components(X: Rows, weights: np.ndarray, settings: Settings) -> int:
    """Return the number of components, which the data settle where the user does not."""
    if isinstance(settings.n_components, int):
        return settings.n_components
    return len(closed_form(X, weights, settings).model.components)


def begin_at_closed_form(
    X: Rows, weights: np.ndarray, settings: Settings, network: Network, rng: np.random.RandomState
) -> Record:
    """Return starts whose codes are close to those of the fit without a network."""
    # A generator of its own: what the start draws depends on the number of rows, the layers must not.
    own = np.random.RandomState(rng.randint(np.iinfo(np.int32).max))
    fitted = fit(X, weights, of_start(settings), own)
    origin = _from_zero(fitted.model)
    enough = max(_ROWS_OF_START, _ROWS_OF_START_PER_COMPONENT * len(origin.components))
    signals = WeightedSignals.of(X, weights, origin.exponent).evenly(enough)
    if not network.has_prior and settings.init is not None:
        components = checked_init(settings.init, origin.components.shape)
        origin = replace(origin, components=np.ldexp(components, -origin.exponent))
    centre, scale = _unit_of_training(signals, is_centred(network, settings))
    record = Record(
        TrainingState(None, (), np.ones(1), 0), origin, centre, scale, fitted.rank, fitted.trusted
    )
    if not fitted.rank:
        return record
    models = [
        _variational_start(record, weights.sum(), network, rng)
        if network.variational
        else _start(signals, record, settings, network, rng, number)
        for number in range(settings.n_starts or 1)
    ]
    n_left = max(X.shape[1] - fitted.rank, 1)
    errors = [_error(signals, record, model) for model in models]
    noise = np.maximum(np.array(errors) / n_left, origin.resolution / scale**2)
    return record._replace(state=_stacked(models, noise, network, X.dtype))


def _from_zero(model: Model) -> Model:
    """Return a model whose codes are in the range of those that a network gives."""
    ones = np.ones(len(model.components))
    prior, factors, _ = from_zero(model.prior, ones, 0.0 * ones)
    if prior is model.prior:
        return model
    components = model.components / factors[:, None]
    return replace(model, prior=prior, components=components, code_floor=model.code_floor * factors**2)


def of_start(settings: Settings) -> Settings:
    """Return the settings of the fit that a network begins at, whose iterations are none of its epochs."""
    longer = max(settings.max_iter, _ITERATIONS_OF_START)
    return replace(settings, n_starts=max(settings.n_starts or 1, 2), max_iter=longer, callback=None)


def _unit_of_training(signals: WeightedSignals, centred: bool) -> tuple[np.ndarray, float]:
    """Return what is subtracted from signals, and by what they are divided, in the model's unit."""
    centre = signals.average * centred
    square = signals.off(centre, np.zeros((0, signals.n_features)))
    return centre, float(np.sqrt(square / signals.n_features)) or 1.0


def _error(signals: WeightedSignals, record: Record, model: Autoencoder) -> float:
    """Return the mean squared length of what a model leaves of signals, in the unit of training."""
    coded = signals.coded(Coder(record.unit(float), model.encoder.lean))
    error = coded.left(model.components * record.scale, model.intercept * record.scale + record.centre)
    return error / record.scale**2


def _start(
    signals: WeightedSignals,
    record: Record,
    settings: Settings,
    network: Network,
    rng: np.random.RandomState,
    number: int,
) -> Autoencoder:
    """Return a model whose skip gives the codes of the closed form, as far as the activation allows."""
    origin, activation = record.origin, network.activation
    to_codes = Layer(origin.unmixing, -origin.code_offset).of_inputs(
        -record.centre / record.scale, 1 / record.scale
    )
    if network.has_prior:
        skip = _through_tangent(to_codes, activation)
    else:
        skip = _standardised(to_codes, signals.coded(Coder(record.unit(float), to_codes)), activation)
    if number and not network.hidden_layer_sizes:
        k = len(skip.bias)
        turn = np.linalg.qr(rng.standard_normal((k, k)))[0]
        point = activation.tangent.point
        skip = Layer(skip.weights @ turn, (skip.bias - point) @ turn + point)
    encoder = _encoder(skip, _hidden(network, len(skip.weights), len(skip.bias), rng), network)
    components = origin.components / record.scale
    intercept = (origin.intercept - record.centre) / record.scale
    if number or not (network.has_prior and activation.is_affine):
        coded = signals.coded(Coder(record.unit(float), encoder.lean))
        components, intercept = coded.moments.best_decoder(float(is_centred(network, settings)))
        components, intercept = components / record.scale, (intercept - record.centre) / record.scale
    return Autoencoder(encoder, components, intercept)


def _variational_start(
    record: Record, n_samples: float, network: Network, rng: np.random.RandomState
) -> VariationalAutoencoder:
    """Return probabilistic principal component analysis."""
    origin, centre, scale = record.origin, record.centre, record.scale
    components, layer, log_variances = closed_form_posterior(origin, n_samples)
    skip = layer.of_inputs(-centre / scale, 1 / scale)
    d, k = skip.weights.shape
    encoder = _encoder(skip, _hidden(network, d, k, rng), network)
    return VariationalAutoencoder(
        encoder, components / scale, (origin.intercept - centre) / scale, log_variances
    )


def _through_tangent(layer: Layer, activation: Activation) -> Layer:
    """Return the layer whose outputs, through the tangent of the activation, are those of another."""
    point, value, slope = activation.tangent
    if activation.is_affine or activation.homogeneous:
        return layer
    return Layer(layer.weights / slope, point + (layer.bias - value) / slope)


def _standardised(layer: Layer, coded: Coded, activation: Activation) -> Layer:
    """Return the layer whose outputs have the spread at which the activation is at home."""
    factors = activation.spread / np.where(coded.deviations > 0, coded.deviations, 1.0)
    return Layer(layer.weights * factors, activation.tangent.point + (layer.bias - coded.mean) * factors)


def _hidden(network: Network, d: int, k: int, rng: np.random.RandomState) -> tuple[Layer, ...]:
    """Return hidden layers, of which the last gives zeros: training begins at the affine encoder."""
    if not network.hidden_layer_sizes:
        return ()
    sizes = (d, *network.hidden_layer_sizes)
    layers = [
        Layer(rng.standard_normal((m, n)) * np.sqrt(2.0 / m), np.zeros(n))
        for m, n in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    return (*layers, Layer(np.zeros((sizes[-1], k)), np.zeros(k)))


def _encoder(skip: Layer, hidden: tuple[Layer, ...], network: Network) -> Encoder:
    return Encoder(skip, hidden, network.hidden_activation, network.activation)


def _stacked(models: Sequence[Autoencoder], noise: np.ndarray, network: Network, dtype: Any) -> TrainingState:
    """Return the state before the first step, from all starts."""
    stacked = stack(models, dtype if network.optimizer else np.float64)
    noise = noise.astype(dtype)
    return first_state(stacked, network.optimizer, noise) if network.optimizer else unmoved(stacked, noise)
