"""From a trained autoencoder to a fit: best decoder, normal form, noise, all that is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from sparse_fourier.blueprints import FittedNetwork, Network, Record, TrainedNetwork, in_unit, is_centred
from sparse_fourier.canonical import mean_signs, order_by_variance
from sparse_fourier.fitting import Settings, order_like
from sparse_fourier.model import Model
from sparse_fourier.objective import Point
from sparse_fourier.priors import Gaussian, Prior
from sparse_fourier.stacks import taken
from sparse_fourier.training import Trained
from sparse_fourier.variational import VariationalAutoencoder, with_evidence

_BLOCK = 8192
_STANDARD_ERRORS = 3.0


def finish(
    X: np.ndarray, weights: np.ndarray, settings: Settings, network: Network, trained: TrainedNetwork
) -> FittedNetwork:
    """Bring the trained autoencoder into its normal form, and measure it on all signals."""
    record = trained.record
    plain = taken(record.state.model, 0, np.float64)
    encoder = plain.encoder.of_inputs(record.centre, record.scale)
    components = plain.components * record.scale
    intercept = plain.intercept * record.scale + record.centre
    signals = _Signals(X, weights, record.origin.exponent)
    codes = signals.mapped(encoder)
    curve = record.in_nats(trained.curve, network)
    if not (network.literal or network.has_prior or network.penalties or network.validation_fraction):
        centred = float(is_centred(network, settings))
        components, intercept, error = _refined(signals, codes, components, intercept, centred)
        curve[-1] = min(curve[-1], float(in_unit(np.array(error), 2 * record.origin.exponent)))
    order, factors, shifts = _normal_form(signals, codes, components, network, settings)
    intercept = intercept - (shifts / factors) @ components
    components = (components / factors[:, None])[order]
    prior = record.origin.prior.mapped(factors, shifts).taken(order)
    floor = record.origin.code_floor * factors**2
    model = replace(
        record.origin,
        components=components,
        intercept=intercept,
        prior=prior,
        code_floor=floor[order],
        encoder=encoder.recoded(order, factors, shifts if network.activation.is_affine else None),
    )
    if isinstance(plain, VariationalAutoencoder):
        model = _with_evidence(model, signals, plain, codes, record)
    else:
        model = _with_noise(model, signals) if network.has_prior else _with_likelihood(model, signals)
    codes = (factors * codes + shifts)[:, order]
    return _measured(model, signals, codes, record, trained, curve, settings, network.has_prior)


def _measured(
    model: Model,
    signals: _Signals,
    codes: np.ndarray,
    record: Record,
    trained: TrainedNetwork,
    curve: np.ndarray,
    settings: Settings,
    in_nats: bool,
) -> FittedNetwork:
    n = signals.n
    variances = signals.share @ (codes - signals.share @ codes) ** 2 * n / max(n - 1, 1)
    spread = signals.spread
    residual = signals.squares(codes, model.components, model.intercept)
    k = len(model.components)
    outcome = Trained(
        Point(np.eye(k), np.zeros(k)), trained.curve[:-1], trained.converged, trained.gain, trained.stopped
    )
    return FittedNetwork(
        model=model,
        rank=record.rank,
        trusted=record.trusted,
        n_samples=n,
        code_variances=variances,
        total_variance=spread * n / max(n - 1, 1),
        residual=float(signals.weights @ residual),
        curve=curve,
        trained=outcome,
        doubts=[],
        basis=settings.basis,
        in_nats=in_nats,
        record=record,
        remarks=_remarks(trained, float(signals.share @ residual) > spread),
        idle=[int(j) for j in np.flatnonzero(model.live & (variances == 0))],
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


class _Signals:
    """Signals in the model's unit and double precision, block by block."""

    def __init__(self, X: np.ndarray, weights: np.ndarray, exponent: int) -> None:
        self._X, self._exponent = X, exponent
        self.weights, self.n = weights, float(weights.sum())
        self.share = weights / self.n
        self.mean = np.sum([self.share[rows] @ block for rows, block in self.blocks()], axis=0)

    @property
    def spread(self) -> float:
        """Sum over features of their variances."""
        return sum(float(self.share[rows] @ ((x - self.mean) ** 2).sum(axis=1)) for rows, x in self.blocks())

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows and signals."""
        for first in range(0, len(self._X), _BLOCK):
            rows = slice(first, first + _BLOCK)
            yield rows, np.ldexp(self._X[rows].astype(float), -self._exponent)

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return what a function of rows gives for all signals."""
        return np.concatenate([np.asarray(function(block), dtype=float) for _, block in self.blocks()])

    def squares(self, codes: np.ndarray, components: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        """Return the squared length of what codes leave of each signal."""
        rests = (x - codes[rows] @ components - intercept for rows, x in self.blocks())
        return np.concatenate([np.einsum("ij,ij->i", rest, rest) for rest in rests])

    def mean_squares(
        self, codes: np.ndarray, decoders: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> list[float]:
        """Return the mean squared length of what each decoder leaves, the signals read once for all."""
        totals = np.zeros(len(decoders))
        for rows, x in self.blocks():
            rests = [x - codes[rows] @ components - intercept for components, intercept in decoders]
            totals += [float(self.share[rows] @ np.einsum("ij,ij->i", rest, rest)) for rest in rests]
        return totals.tolist()


def _refined(
    signals: _Signals, codes: np.ndarray, components: np.ndarray, intercept: np.ndarray, centred: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the best decoder of the codes, if that is better than the trained one, and its mean error."""
    middle = centred * (signals.share @ codes)
    average = centred * signals.mean
    moved = codes - middle
    gram = (moved * signals.share[:, None]).T @ moved
    cross = np.sum(
        [(moved[rows] * signals.share[rows, None]).T @ (x - average) for rows, x in signals.blocks()], axis=0
    )
    better = np.linalg.lstsq(gram, cross, rcond=None)[0]
    candidates = [(components, intercept), (better, average - middle @ better)]
    d = components.shape[1]
    errors = [error / d for error in signals.mean_squares(codes, candidates)]
    best = int(np.argmin(errors))
    return *candidates[best], errors[best]


def _normal_form(
    signals: _Signals, codes: np.ndarray, components: np.ndarray, network: Network, settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the order of the components, and factors and shifts of the codes: h becomes f h + s."""
    activation, prior, centred = network.activation, settings.prior, is_centred(network, settings)
    k = len(components)
    mean = signals.share @ codes
    deviations = np.sqrt(signals.share @ (codes - mean) ** 2)
    order = order_by_variance(deviations**2 * (components**2).sum(axis=1))
    if settings.reference is not None:
        order = order_like(settings.reference, components)
    if network.has_prior and not prior.has_free_scale:
        return order, np.ones(k), np.zeros(k)
    signs = np.ones(k)
    if activation.mirror is not None and (centred or not activation.mirror):
        tolerance = _STANDARD_ERRORS * deviations / np.sqrt(signals.n)
        signs = mean_signs(components, signals.mean, tolerance)
        if settings.reference is not None:
            alike = (settings.reference * components[order]).sum(axis=1)
            signs[order] = np.where(alike < 0, -1.0, 1.0)
    lengths = np.linalg.norm(components, axis=1)
    sizes = np.where(lengths > 0, lengths, 1.0) if activation.homogeneous else np.ones(k)
    factors, shifts = signs * sizes, np.where(signs < 0, activation.mirror or 0.0, 0.0)
    if activation.is_affine and centred:
        shifts = -factors * mean
    return order, factors, shifts


def _with_noise(model: Model, signals: _Signals) -> Model:
    """Return the model with the noise variance that its least-squares codes leave."""
    unit = replace(model, exponent=0)
    codes = signals.mapped(unit.least_squares_codes)
    residual = float(signals.weights @ signals.squares(codes, model.components, model.intercept))
    live = model.components[model.live]
    n_left = model.components.shape[1] - len(model.prior.domain.edges(live))
    return replace(model, noise_variance=_per_dimension(residual, model.prior, signals.n, n_left))


def _with_evidence(
    model: Model, signals: _Signals, plain: VariationalAutoencoder, codes: np.ndarray, record: Record
) -> Model:
    """Return the model with the evidence of the decoder as trained, and the noise that fits it best."""
    components = plain.components * record.scale
    intercept = plain.intercept * record.scale + record.centre
    error = float(signals.share @ signals.squares(codes, components, intercept))
    noise = (error + float(plain.spread) * record.scale**2) / components.shape[1]
    return with_evidence(model, (components, intercept), max(noise, model.resolution))


def _per_dimension(residual: float, prior: Prior, n: float, n_left: int) -> float:
    return residual / max(prior.degrees_of_freedom(n), 1.0) / n_left if n_left else 0.0


def _with_likelihood(model: Model, signals: _Signals) -> Model:
    """Return the model with a Gaussian of full covariance on the span of its components."""
    _, sizes, axes = np.linalg.svd(model.components, full_matrices=False)
    axes = axes[sizes > sizes.max(initial=0.0) * len(sizes) * np.finfo(float).eps]
    places = signals.mapped(lambda x: (x - model.intercept) @ axes.T)
    middle = signals.share @ places
    moved = places - middle
    n = signals.n
    values, vectors = np.linalg.eigh((moved * signals.share[:, None]).T @ moved * n / max(n - 1, 1))
    axes = vectors.T[::-1] @ axes
    intercept = model.intercept + middle @ vectors[:, ::-1] @ axes
    scales = np.sqrt(np.maximum(values[::-1], np.finfo(float).tiny))
    prior = Gaussian(np.zeros(len(axes)), scales)
    residual = float(signals.weights @ signals.squares(moved @ vectors[:, ::-1], axes, intercept))
    noise = _per_dimension(residual, prior, n, axes.shape[1] - len(axes))
    likelihood = Model(axes, intercept, noise, model.resolution, np.zeros(len(axes)), prior, model.exponent)
    return replace(model, noise_variance=noise, likelihood=likelihood)
