"""What a network is to be, and how far its training has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.activations import Activation
from sparse_fourier.fitting import Fitted, Settings
from sparse_fourier.measuring import blocks_of
from sparse_fourier.model import Model
from sparse_fourier.networks import Autoencoder, Unit
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.penalties.base import Penalty
from sparse_fourier.stacks import TrainingState
from sparse_fourier.variational import VariationalAutoencoder


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

    def in_nats(self, losses: Any, network: Network) -> Any:
        """Return losses of training in the user's unit: squares of it, or nats per sample."""
        if not network.has_prior:
            return in_unit(np.asarray(losses) * self.scale**2, 2 * self.origin.exponent)
        d = len(self.centre)
        return np.asarray(losses) + d * (np.log(self.scale) + self.origin.exponent * np.log(2.0))

    def unit(self, dtype: Any) -> Unit:
        """Return what brings signals of the model's unit into that of training."""
        return Unit(self.centre, self.scale, np.dtype(dtype))

    def prepared(self, X: np.ndarray, n_rows: int, dtype: Any) -> np.ndarray:
        """Return signals as they are trained on, the first ones again where more rows are asked for."""
        ready, unit = np.empty((n_rows, X.shape[1]), dtype), self.unit(dtype)
        for rows in blocks_of(X):
            ready[rows] = unit(np.ldexp(X[rows], -self.origin.exponent, dtype=float))
        ready[len(X) :] = ready[np.arange(len(X), n_rows) % len(X)]
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


def is_centred(network: Network, settings: Settings) -> bool:
    """Return whether there is an intercept: proportions have none."""
    return settings.fit_intercept and not (network.has_prior and settings.prior.domain.surplus)


class TrainedNetwork(NamedTuple):
    """A record of the best start, and how training went, the loss in its own unit."""

    record: Record
    curve: np.ndarray
    converged: bool
    gain: float
    stopped: bool
    lowered: float


def in_unit(values: np.ndarray, exponent: int) -> np.ndarray:
    """Return values times 2**exponent; what double precision cannot hold becomes its largest number."""
    largest = np.finfo(float).max
    with np.errstate(over="ignore"):
        return np.clip(np.ldexp(values, exponent), -largest, largest)
