"""The fit of a network on clean arrays: start, training, normal form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.activations import Activation
from sparse_fourier.canonical import mean_signs, order_by_variance
from sparse_fourier.fitting import Fitted, Settings, fit, order_like
from sparse_fourier.losses import (
    Batch,
    Loss,
    NegativeLogLikelihood,
    SquaredError,
    Tabulated,
    examine_penalties,
)
from sparse_fourier.minibatch import (
    Outcome,
    Regime,
    TrainingState,
    chosen,
    evaluate,
    first_state,
    padded,
    stack,
    taken,
    train_in_batches,
)
from sparse_fourier.model import Model
from sparse_fourier.networks import Autoencoder, Encoder, Layer
from sparse_fourier.objective import Point
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.penalties.base import Penalty
from sparse_fourier.penalties.checks import refuse_weights
from sparse_fourier.priors import Gaussian, Prior
from sparse_fourier.quasinewton import Minimum, minimise
from sparse_fourier.reduction import checked_init
from sparse_fourier.signals import Rows
from sparse_fourier.training import Progress, Trained
from sparse_fourier.variational import (
    EvidenceBound,
    VariationalAutoencoder,
    closed_form_posterior,
    with_evidence,
)

_BLOCK = 8192
_ROWS_OF_START, _ROWS_OF_START_PER_COMPONENT = 4000, 50
_ITERATIONS_OF_START = 1000
_STANDARD_ERRORS = 3.0
_LARGEST_EXPONENT = 1000


@dataclass(frozen=True)
class Network:
    """What the user decides about a network.

    Attributes
    ----------
    activation : Activation
    hidden_layer_sizes : tuple of int
    hidden_activation : Activation
    optimizer : Optimizer or None
        None: quasi-Newton steps on all signals.
    rate : float or callable
    batch_size : int
    patience : int
        Epochs without improvement.
    validation_fraction : float
        Zero: no rows are held out.
    has_prior : bool
        Whether the loss is a likelihood; else it is the squared error.
    variational : bool
        Whether codes are the means of Gaussians, and the loss is the bound of the evidence.
    least_squares : bool
        Whether the encoder serves training alone, and codes are those of least squares.
    literal : bool
        Whether training begins at random weights, on signals as they are, and ends where it ends.
    penalties : tuple of Penalty
    """

    activation: Activation
    hidden_layer_sizes: tuple[int, ...]
    hidden_activation: Activation
    optimizer: Optimizer | None
    rate: float | Callable[[Any], Any]
    batch_size: int
    patience: int
    validation_fraction: float
    has_prior: bool
    literal: bool
    penalties: tuple[Penalty, ...] = ()
    variational: bool = False
    least_squares: bool = False

    @property
    def kind(self) -> type[Autoencoder]:
        """What is trained."""
        return VariationalAutoencoder if self.variational else Autoencoder

    @property
    def is_settled(self) -> bool:
        """Whether the closed form leaves nothing to train."""
        untrained = self.optimizer is None and not self.hidden_layer_sizes
        return self.variational and untrained and not self.penalties


class Record(NamedTuple):
    """Where training is: it can go on from there.

    Attributes
    ----------
    state : TrainingState
        With a leading axis for the starts; one is left after a fit.
    origin : Model
        What gave the prior and the unit.
    centre : array of shape (d,)
    scale : float
        Signals x are trained on as (x / 2**origin.exponent - centre) / scale.
    rank : int
        Number of components that are not zero at the start.
    trusted : bool
        False where the number of components was a guess.
    """

    state: TrainingState
    origin: Model
    centre: np.ndarray
    scale: float
    rank: int
    trusted: bool

    def fits(self, network: Network, n_features: int) -> bool:
        """Return whether a network has the layers and the optimiser of this record."""
        encoder = self.state.model.encoder
        sizes = tuple(layer.bias.shape[1] for layer in encoder.hidden[:-1])
        kinds = encoder.activation, encoder.hidden_activation, type(self.state.model)
        same = kinds == (network.activation, network.hidden_activation, network.kind)
        moments = len(self.state.moments) == (
            len(network.optimizer.init(self.state.model)) if network.optimizer else 0
        )
        return same and moments and sizes == network.hidden_layer_sizes and len(self.centre) == n_features

    def prepared(self, X: np.ndarray) -> np.ndarray:
        """Return signals as they are trained on, in their own precision."""
        if not self.centre.any() and self.scale == 1.0 and not self.origin.exponent:
            return np.array(X, order="C")
        ready = np.empty(X.shape, X.dtype)
        for first in range(0, len(X), _BLOCK):
            block = np.ldexp(X[first : first + _BLOCK].astype(float), -self.origin.exponent)
            ready[first : first + _BLOCK] = (block - self.centre) / self.scale
        return ready


@dataclass(frozen=True)
class FittedNetwork(Fitted):
    """Outcome of the fit of a network.

    Attributes
    ----------
    record : Record or None
        What a further fit goes on from; None where there was nothing to train.
    remarks : list of str
        What the user should know of training.
    idle : list of int
        Components whose codes are the same for all signals.
    """

    record: Record | None = None
    remarks: list[str] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)


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
    curve = _in_unit(error, 2 * model.exponent)
    return FittedNetwork(**{**vars(fitted), "model": model, "curve": curve, "doubts": [], "in_nats": False})


def fit_network(
    X: np.ndarray,
    weights: np.ndarray,
    settings: Settings,
    network: Network,
    rng: np.random.RandomState,
    record: Record | None = None,
) -> FittedNetwork:
    """Fit an autoencoder to signals.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite, float32 or float64; never written to.
    weights : array of shape (n,)
        Positive.
    settings : Settings
        Of the fit that gives the start.
    network : Network
    rng : RandomState
        Draws initial weights, held-out rows and the order of rows.
    record : Record, optional
        Training goes on from there.
    """
    if np.isnan(X).any():
        X = closed_form(X, weights, settings).model.filled(X)
    seen, held_out = _split(len(X), network.validation_fraction, rng)
    if record is None or network.is_settled:
        begin = _begin_literally if network.literal else _begin_at_closed_form
        record = begin(X[seen], weights[seen], settings, network, rng)
    if not record.rank:
        plain = fit(X, weights, settings, rng) if network.has_prior else closed_form(X, weights, settings)
        return FittedNetwork(**vars(plain))
    unit = np.ldexp(1.0, int(np.clip(record.origin.exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)))
    loss = replace(
        _loss(record, network, settings), origin=unit * record.centre, unit=np.float64(unit * record.scale)
    )
    course = _Course(record, network, loss)
    trained = course.train(X, weights, seen, held_out, settings, rng)
    return _finish(X, weights, settings, course, trained)


def _split(n: int, fraction: float, rng: np.random.RandomState) -> tuple[Any, np.ndarray | None]:
    """Return rows to train on and rows to hold out, at least one of each."""
    if not fraction or n < 2:
        return slice(None), None
    order = rng.permutation(n)
    n_out = int(np.clip(np.ceil(fraction * n), 1, n - 1))
    return np.sort(order[n_out:]), np.sort(order[:n_out])


def _begin_literally(
    X: np.ndarray, weights: np.ndarray, settings: Settings, network: Network, rng: np.random.RandomState
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


def _n_components(X: np.ndarray, weights: np.ndarray, settings: Settings) -> int:
    """Return the number of components, which the data settle where the user does not."""
    if isinstance(settings.n_components, int):
        return settings.n_components
    return len(closed_form(X, weights, settings).model.components)


def _begin_at_closed_form(
    X: np.ndarray, weights: np.ndarray, settings: Settings, network: Network, rng: np.random.RandomState
) -> Record:
    """Return starts whose codes are close to those of the fit without a network."""
    # A generator of its own: what the start draws depends on the number of rows, the layers must not.
    own = np.random.RandomState(rng.randint(np.iinfo(np.int32).max))
    fitted = fit(X, weights, of_start(settings), own)
    origin = fitted.model
    enough = max(_ROWS_OF_START, _ROWS_OF_START_PER_COMPONENT * len(origin.components))
    thinned = slice(None, None, -(-len(X) // enough))
    if not network.has_prior and settings.init is not None:
        components = checked_init(settings.init, origin.components.shape)
        origin = replace(origin, components=np.ldexp(components, -origin.exponent))
    centre, scale = _unit_of_training(X[thinned], weights[thinned], origin, settings, network)
    record = Record(
        TrainingState(None, (), np.ones(1), 0), origin, centre, scale, fitted.rank, fitted.trusted
    )
    if not fitted.rank:
        return record
    Z, share = record.prepared(X[thinned]).astype(float), weights[thinned] / weights[thinned].sum()
    models = [
        _variational_start(record, weights.sum(), network, rng)
        if network.variational
        else _start(Z, share, record, settings, network, rng, number)
        for number in range(settings.n_starts or 1)
    ]
    n_left = max(X.shape[1] - fitted.rank, 1)
    errors = [share @ ((Z - model.decode(model.encode(Z))) ** 2).sum(axis=1) for model in models]
    noise = np.maximum(np.array(errors) / n_left, origin.resolution / scale**2)
    return record._replace(state=_stacked(models, noise, network, X.dtype))


def of_start(settings: Settings) -> Settings:
    """Return the settings of the fit that a network begins at, whose iterations are none of its epochs."""
    longer = max(settings.max_iter, _ITERATIONS_OF_START)
    return replace(settings, n_starts=max(settings.n_starts or 1, 2), max_iter=longer, callback=None)


def _unit_of_training(
    X: np.ndarray, weights: np.ndarray, origin: Model, settings: Settings, network: Network
) -> tuple[np.ndarray, float]:
    """Return what is subtracted from signals, and by what they are divided, in the model's unit."""
    unit, share = np.ldexp(X.astype(float), -origin.exponent), weights / weights.sum()
    centre = share @ unit * _is_centred(network, settings)
    return centre, float(np.sqrt(share @ ((unit - centre) ** 2).mean(axis=1))) or 1.0


def _start(
    Z: np.ndarray,
    share: np.ndarray,
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
        skip = _standardised(to_codes, Z, share, activation)
    if number and not network.hidden_layer_sizes:
        k = len(skip.bias)
        turn = np.linalg.qr(rng.standard_normal((k, k)))[0]
        point = activation.tangent.point
        skip = Layer(skip.weights @ turn, (skip.bias - point) @ turn + point)
    encoder = _encoder(skip, _hidden(network, len(skip.weights), len(skip.bias), rng), network)
    components = origin.components / record.scale
    intercept = (origin.intercept - record.centre) / record.scale
    if number or not (network.has_prior and activation.is_affine):
        components, intercept = _best_decoder(encoder(Z), Z, share, _is_centred(network, settings))
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


def _standardised(layer: Layer, Z: np.ndarray, share: np.ndarray, activation: Activation) -> Layer:
    """Return the layer whose outputs have the spread at which the activation is at home."""
    codes = layer(Z)
    mean = share @ codes
    deviations = np.sqrt(share @ (codes - mean) ** 2)
    factors = activation.spread / np.where(deviations > 0, deviations, 1.0)
    return Layer(layer.weights * factors, activation.tangent.point + (layer.bias - mean) * factors)


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


def _best_decoder(
    codes: np.ndarray, Z: np.ndarray, share: np.ndarray, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return components and intercept that reconstruct signals best from given codes."""
    root = np.sqrt(share)[:, None]
    design = np.append(codes, np.ones((len(codes), 1)), axis=1) if centred else codes
    found = np.linalg.lstsq(design * root, Z * root, rcond=None)[0]
    k = codes.shape[1]
    return found[:k], found[k] if centred else np.zeros(Z.shape[1])


def _is_centred(network: Network, settings: Settings) -> bool:
    """Return whether there is an intercept: proportions have none."""
    return settings.fit_intercept and not (network.has_prior and settings.prior.domain.surplus)


def _stacked(models: Sequence[Autoencoder], noise: np.ndarray, network: Network, dtype: Any) -> TrainingState:
    """Return the state before the first step, from all starts."""
    stacked = stack(models, dtype if network.optimizer else np.float64)
    noise = noise.astype(dtype)
    return first_state(stacked, network.optimizer, noise) if network.optimizer else _unmoved(stacked, noise)


def _unmoved(model: Any, noise: np.ndarray) -> TrainingState:
    return TrainingState(model, (), noise, np.int32(0))


def _loss(record: Record, network: Network, settings: Settings) -> Loss:
    centred = float(_is_centred(network, settings))
    if not network.has_prior:
        return SquaredError(network.penalties, centred)
    origin = record.origin
    floor = origin.resolution / record.scale**2
    if network.variational:
        return EvidenceBound(network.penalties, centred, floor)
    k = len(origin.components)
    span = len(origin.prior.domain.edges(origin.components))
    prior: Any = Tabulated.of(origin.prior, k) if origin.prior.learns else origin.prior
    precision = np.linalg.inv(origin.prior.code_covariance(k)[:span, :span])
    return NegativeLogLikelihood(network.penalties, centred, prior, precision, floor)


class _Trained(NamedTuple):
    """A record of the best start, and how training went, the loss in its own unit."""

    record: Record
    curve: np.ndarray
    converged: bool
    gain: float
    stopped: bool
    lowered: float


class _Course:
    """One training: the loss and its unit."""

    def __init__(self, record: Record, network: Network, loss: Loss) -> None:
        self.record, self.network, self.loss = record, network, loss

    def in_nats(self, losses: Any) -> Any:
        """Return losses in the user's unit: squares of it, or nats per sample."""
        exponent, scale = self.record.origin.exponent, self.record.scale
        if not self.network.has_prior:
            return _in_unit(np.asarray(losses) * scale**2, 2 * exponent)
        d = len(self.record.centre)
        return np.asarray(losses) + d * (np.log(scale) + exponent * np.log(2.0))

    def train(
        self,
        X: np.ndarray,
        weights: np.ndarray,
        seen: Any,
        held_out: np.ndarray | None,
        settings: Settings,
        rng: np.random.RandomState,
    ) -> _Trained:
        """Return the best of what training found and where it began."""
        network = self.network
        dtype = X.dtype if network.optimizer else np.dtype(float)
        data = self._batch(X[seen], weights[seen], dtype)
        before = self.record.state
        if network.is_settled:
            loss = evaluate(before.model, self.loss, data, before.noise)
            return _Trained(self.record, loss[:1], True, 0.0, False, 1.0)
        if network.penalties:
            refuse_weights(network.penalties, weights)
            rows = len(data.weights) if network.optimizer is None else network.batch_size
            self.loss = self.loss.drawn((rows, X.shape[1]), rng)
            examine_penalties(self.loss, taken(before.model, 0), data)
        if network.optimizer is None:
            outcome = self._by_quasi_newton(data, settings)
        else:
            checked = None if held_out is None else self._batch(X[held_out], weights[held_out], dtype)
            outcome = self._by_batches(data, checked, network.optimizer, settings, rng)
        return self._chosen(before, outcome, data, held_out is not None)

    def _batch(self, X: np.ndarray, weights: np.ndarray, dtype: Any) -> Batch:
        ready = self.record.prepared(X).astype(dtype, copy=False)
        even = (weights / weights.mean()).astype(dtype)
        total = dtype.type(len(X))
        if self.network.penalties:
            return Batch(ready, even, total)
        return padded(ready, even)._replace(total=total)

    def _told(self, settings: Settings) -> Callable[[Progress], Any] | None:
        callback = settings.callback
        if callback is None:
            return None
        return lambda progress: callback(replace(progress, loss=float(self.in_nats(progress.loss))))

    def _by_batches(
        self,
        data: Batch,
        held_out: Batch | None,
        optimizer: Optimizer,
        settings: Settings,
        rng: np.random.RandomState,
    ) -> Outcome:
        network = self.network
        regime = Regime(
            network.batch_size,
            settings.max_iter,
            settings.tol,
            network.patience,
            network.rate,
            self._told(settings),
            held_out,
        )
        return train_in_batches(self.loss, optimizer, self.record.state, data, regime, rng)

    def _by_quasi_newton(self, data: Batch, settings: Settings) -> Outcome:
        """Return the best of the starts, which are trained one after another."""
        state = self.record.state
        minima: list[Minimum] = []
        for r in range(len(state.noise)):
            minima.append(
                minimise(
                    self.loss,
                    taken(state.model, r),
                    data,
                    max_iter=settings.max_iter,
                    tol=settings.tol,
                    callback=self._told(settings),
                )
            )
            if minima[-1].stopped:
                break
        best = min(minima, key=lambda minimum: minimum.curve[-1])
        after = _unmoved(stack([best.model], np.float64), state.noise[:1])
        return Outcome(after, best.curve, 0, best.converged, best.gain, best.stopped, 1.0)

    def _chosen(self, before: TrainingState, outcome: Outcome, data: Batch, is_judged: bool) -> _Trained:
        """Return the best start, with the loss of all signals at the end of the curve."""
        state = chosen(outcome.state, outcome.best)
        host = data._replace(signals=np.asarray(data.signals))
        loss = float(evaluate(state.model, self.loss, host, state.noise)[0])
        if not (self.network.literal or is_judged):
            losses = evaluate(before.model, self.loss, host, before.noise)
            if not losses.min() > loss:
                state, loss = chosen(before, int(np.argmin(losses))), float(losses.min())
        return _Trained(
            self.record._replace(state=state),
            np.append(outcome.curve, loss),
            outcome.converged,
            outcome.gain,
            outcome.stopped,
            outcome.lowered,
        )


def _finish(
    X: np.ndarray, weights: np.ndarray, settings: Settings, course: _Course, trained: _Trained
) -> FittedNetwork:
    """Bring the trained autoencoder into its normal form, and measure it on all signals."""
    record, network = trained.record, course.network
    plain = taken(record.state.model, 0, np.float64)
    encoder = plain.encoder.of_inputs(record.centre, record.scale)
    components = plain.components * record.scale
    intercept = plain.intercept * record.scale + record.centre
    signals = _Signals(X, weights, record.origin.exponent)
    codes = signals.mapped(encoder)
    curve = course.in_nats(trained.curve)
    if not (network.literal or network.has_prior or network.penalties or network.validation_fraction):
        components, intercept, error = _refined(signals, codes, components, intercept, course.loss.centred)
        curve[-1] = min(curve[-1], float(_in_unit(np.array(error), 2 * record.origin.exponent)))
    form = _normal_form(signals, codes, components, course, settings)
    order, factors, shifts = form
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
    trained: _Trained,
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


def _remarks(trained: _Trained, is_worse_than_mean: bool) -> list[str]:
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
    signals: _Signals, codes: np.ndarray, components: np.ndarray, course: _Course, settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the order of the components, and factors and shifts of the codes: h becomes f h + s."""
    network, prior = course.network, settings.prior
    activation, centred = network.activation, bool(course.loss.centred)
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


def _in_unit(values: np.ndarray, exponent: int) -> np.ndarray:
    """Return values times 2**exponent; what double precision cannot hold becomes its largest number."""
    largest = np.finfo(float).max
    with np.errstate(over="ignore"):
        return np.clip(np.ldexp(values, exponent), -largest, largest)
