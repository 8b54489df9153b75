"""From a trained autoencoder to a fit: best decoder, normal form, noise, all that is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_fourier.bases import Free
from sparse_fourier.blueprints import FittedNetwork, Network, TrainedNetwork, in_unit, is_centred
from sparse_fourier.canonical import mean_signs, order_by_variance
from sparse_fourier.fitting import Settings, order_like
from sparse_fourier.measuring import Coded, WeightedSignals
from sparse_fourier.model import Model
from sparse_fourier.networks import Coder
from sparse_fourier.objective import Point
from sparse_fourier.priors import Gaussian, Prior
from sparse_fourier.signals import Rows
from sparse_fourier.stacks import taken
from sparse_fourier.training import Trained
from sparse_fourier.variational import VariationalAutoencoder, with_evidence

_STANDARD_ERRORS = 3.0


def finish(
    X: Rows, weights: np.ndarray, settings: Settings, network: Network, trained: TrainedNetwork
) -> FittedNetwork:
    """Bring the trained autoencoder into its normal form, and measure it on all signals."""
    record = trained.record
    signals = WeightedSignals.of(X, weights, record.origin.exponent)
    trainee, plain = taken(record.state.model, 0), taken(record.state.model, 0, np.float64)
    coded = signals.coded(Coder(record.unit(trainee.intercept.dtype), trainee.encoder))
    components = plain.components * record.scale
    intercept = plain.intercept * record.scale + record.centre
    error = coded.error(components, intercept)
    curve = record.in_nats(trained.curve, network)
    if not (network.literal or network.has_prior or network.penalties or network.validation_fraction):
        better = coded.moments.best_decoder(float(is_centred(network, settings)))
        refined = coded.error(*better)
        if refined < error:
            (components, intercept), error = better, refined
        mean = error / X.shape[1]
        curve[-1] = min(curve[-1], float(in_unit(np.array(mean), 2 * record.origin.exponent)))
    order, factors, shifts = _normal_form(coded, signals.n, components, network, settings)
    intercept = intercept - (shifts / factors) @ components
    components = (components / factors[:, None])[order]
    prior = record.origin.prior.mapped(factors, shifts).taken(order)
    floor = record.origin.code_floor * factors**2
    encoder = plain.encoder.of_inputs(record.centre, record.scale)
    model = replace(
        record.origin,
        components=components,
        intercept=intercept,
        prior=prior,
        code_floor=floor[order],
        encoder=encoder.recoded(order, factors, shifts if network.activation.is_affine else None),
    )
    if isinstance(plain, VariationalAutoencoder):
        decoder = plain.components * record.scale, plain.intercept * record.scale + record.centre
        noise = (error + float(plain.spread) * record.scale**2) / X.shape[1]
        model = with_evidence(model, decoder, max(noise, model.resolution))
    else:
        model = _with_noise(model, signals) if network.has_prior else _with_likelihood(model, signals)
    deviations = (factors * coded.deviations)[order]
    fitted = _measured(model, signals.n, deviations, coded.moments.spread, error, trained)
    return replace(fitted, curve=curve, basis=settings.basis, in_nats=network.has_prior)


def _measured(
    model: Model, n: float, deviations: np.ndarray, spread: float, error: float, trained: TrainedNetwork
) -> FittedNetwork:
    k, record, freedom = len(model.components), trained.record, n / max(n - 1, 1)
    still = Point(np.eye(k), np.zeros(k))
    return FittedNetwork(
        model=model,
        rank=record.rank,
        trusted=record.trusted,
        n_samples=n,
        code_variances=freedom * deviations**2,
        total_variance=freedom * spread,
        residual=n * error,
        curve=trained.curve,
        trained=Trained(still, trained.curve[:-1], trained.converged, trained.gain, trained.stopped),
        doubts=[],
        basis=Free(),
        record=record,
        remarks=_remarks(trained, error > spread),
        idle=[int(j) for j in np.flatnonzero(model.live & (deviations == 0))],
    )


def _remarks(trained: TrainedNetwork, is_worse_than_mean: bool) -> list[str]:
    """Return what the user should know of training."""
    remarks = []
    if trained.lowered < 1.0:
        remarks.append(
            "The loss became non-finite; training went on from before that with the learning rate "
            f"multiplied by {trained.lowered:g}. Lower learning_rate."
        )
    if is_worse_than_mean:
        remarks.append("Training did not improve on predicting the mean; lower learning_rate.")
    return remarks


def _normal_form(
    coded: Coded, n: float, components: np.ndarray, network: Network, settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the order of the components, and factors and shifts of the codes: h becomes f h + s."""
    activation, prior, centred = network.activation, settings.prior, is_centred(network, settings)
    k = len(components)
    deviations = coded.deviations
    order = order_by_variance(deviations**2 * (components**2).sum(axis=1))
    if settings.reference is not None:
        order = order_like(settings.reference, components)
    if network.has_prior and not prior.has_free_scale:
        return order, np.ones(k), np.zeros(k)
    signs = np.ones(k)
    if activation.mirror is not None and (centred or not activation.mirror):
        tolerance = _STANDARD_ERRORS * deviations / np.sqrt(n)
        signs = mean_signs(components, coded.moments.average, tolerance)
        if settings.reference is not None:
            alike = (settings.reference * components[order]).sum(axis=1)
            signs[order] = np.where(alike < 0, -1.0, 1.0)
    lengths = np.linalg.norm(components, axis=1)
    sizes = np.where(lengths > 0, lengths, 1.0) if activation.homogeneous else np.ones(k)
    factors, shifts = signs * sizes, np.where(signs < 0, activation.mirror or 0.0, 0.0)
    if activation.is_affine and centred:
        shifts = -factors * coded.mean
    return order, factors, shifts


def _with_noise(model: Model, signals: WeightedSignals) -> Model:
    """Return the model with the noise variance that its least-squares codes leave."""
    live, origin = model.components[model.live], model.intercept
    edges = model.prior.domain.edges(live)
    if len(live):
        origin = origin + model.prior.domain.middle(live)[0]
    n_left = live.shape[1] - len(edges)
    error = signals.off(origin, _axes_of(edges))
    return replace(model, noise_variance=_per_dimension(error, model.prior, signals.n, n_left))


def _axes_of(components: np.ndarray) -> np.ndarray:
    """Return orthonormal axes of the span."""
    if not len(components):
        return components
    _, sizes, axes = np.linalg.svd(components, full_matrices=False)
    return axes[sizes > sizes.max() * len(sizes) * np.finfo(float).eps]


def _per_dimension(error: float, prior: Prior, n: float, n_left: int) -> float:
    return n * error / max(prior.degrees_of_freedom(n), 1.0) / n_left if n_left else 0.0


def _with_likelihood(model: Model, signals: WeightedSignals) -> Model:
    """Return the model with a Gaussian of full covariance on the span of its components."""
    axes = _axes_of(model.components)
    middle, covariance = signals.along(model.intercept, axes)
    error = signals.off(model.intercept, axes)
    n = signals.n
    values, vectors = np.linalg.eigh(covariance * n / max(n - 1, 1))
    intercept = model.intercept + middle @ axes
    scales = np.sqrt(np.maximum(values[::-1], np.finfo(float).tiny))
    prior = Gaussian(np.zeros(len(axes)), scales)
    noise = _per_dimension(error, prior, n, axes.shape[1] - len(axes))
    axes = vectors.T[::-1] @ axes
    likelihood = Model(axes, intercept, noise, model.resolution, np.zeros(len(axes)), prior, model.exponent)
    return replace(model, noise_variance=noise, likelihood=likelihood)
