"""Sparse codes by a network: an encoder that learns what a search would find, and atoms that suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array

from sparse_fourier.activations import Activation
from sparse_fourier.atoms import Course, Learned, Signals, clusters, nats
from sparse_fourier.losses import Batch, SquaredError
from sparse_fourier.minibatch import Outcome, Regime, train_in_batches
from sparse_fourier.namespace import Array, array_namespace
from sparse_fourier.networks import Encoder, Layer
from sparse_fourier.optimizers import Optimizer
from sparse_fourier.signals import MovedSignals
from sparse_fourier.stacks import TrainingState, evaluate, first_state, stack, taken
from sparse_fourier.training import Progress

_USES, _FEWEST_STEPS = 2400, 1000  # of each atom on average; of training
_USES_OF_A_BATCH, _FEWEST_OF_A_BATCH = 3, 200
_ROUNDS = 5  # between which idle components are revived
_USES_TO_JUDGE, _FEWEST_TO_JUDGE = 100, 2000
_SEEDS_PER_ATOM, _FEWEST_SEEDS = 2, 60
_FASTER = 2.0


class Encoded(NamedTuple):
    """Codes that a network gives.

    Attributes
    ----------
    encoder : Encoder
        Of signals less the intercept.
    """

    encoder: Encoder

    def codes(self, X: np.ndarray, components: np.ndarray) -> csr_array:
        """Return sparse codes of signals, as a sparse array of shape (n, k)."""
        return csr_array(self.encoder.in_blocks(X))

    def arranged(self, order: np.ndarray, signs: np.ndarray) -> Encoded:
        """Return what gives the codes of components with signs, in another order."""
        return Encoded(self.encoder.recoded(order, signs, None))


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """An encoder and a linear decoder of unit rows.

    Attributes
    ----------
    encoder : Encoder
    rows : array of shape (k, d)
        Of any length.
    intercept : array of shape (d,)
    """

    encoder: Encoder
    rows: Array
    intercept: Array

    @property
    def components(self) -> Array:
        """The rows in unit length, without which the largest codes would depend on a free factor."""
        xp = array_namespace(self.rows)
        squares = (self.rows**2).sum(axis=1, keepdims=True)
        return self.rows / xp.sqrt(xp.where(squares > 0, squares, 1.0))

    def encode(self, X: Array) -> Array:
        """Return the codes of signals."""
        return self.encoder(X)

    def revived(self, places: np.ndarray, directions: np.ndarray) -> Self:
        """Return the network with other components, and an encoder tied to them, in some places."""
        rows, weights, bias = (
            self.rows.copy(),
            self.encoder.skip.weights.copy(),
            self.encoder.skip.bias.copy(),
        )
        rows[places], weights[:, places], bias[places] = directions, directions.T, 0.0
        hidden = self.encoder.hidden
        if hidden:
            outgoing, shift = hidden[-1].weights.copy(), hidden[-1].bias.copy()
            outgoing[:, places], shift[places] = 0.0, 0.0
            hidden = (*hidden[:-1], Layer(outgoing, shift))
        encoder = replace(self.encoder, skip=Layer(weights, bias), hidden=hidden)
        return replace(self, encoder=encoder, rows=rows)


@dataclass(frozen=True)
class Falling:
    """A learning rate that falls to zero, in equal steps."""

    rate: float
    n_steps: int

    untraced: ClassVar[tuple[str, ...]] = ("rate", "n_steps")

    def __call__(self, count: Array) -> Array:
        """Return the rate after a number of steps."""
        share = 1.0 - count / self.n_steps
        return self.rate * array_namespace(share).maximum(share, 0.0)


@dataclass(frozen=True)
class Amortised:
    """What the user decides about a network that gives sparse codes: a sparse autoencoder [1]_, [2]_.

    Training begins at a dictionary that was learned by sparse codes, with the encoder tied to it, and lowers
    the squared error by the steps of an optimiser after batches of signals. Components that no signal uses
    are revived from what is explained worst. The network is never left worse than where it began.

    Attributes
    ----------
    activation : callable
        From a mean number of active codes, which the data show, to an Activation.
    hidden_layer_sizes : tuple of int
    hidden_activation : Activation
    optimizer : Optimizer
    rate : float, callable or None
        None: falling to zero from the optimiser's own.
    batch_size : int or None

    References
    ----------
    .. [1] A. Makhzani and B. Frey, "k-sparse autoencoders", International Conference on Learning
       Representations, 2014.
    .. [2] L. Gao et al., "Scaling and evaluating sparse autoencoders", International Conference on Learning
       Representations, 2025.
    """

    activation: Callable[[float], Activation]
    hidden_layer_sizes: tuple[int, ...]
    hidden_activation: Activation
    optimizer: Optimizer
    rate: float | Callable[[Any], Any] | None
    batch_size: int | None

    def __call__(self, learned: Learned, signals: Signals, course: Course) -> Learned:
        """Return a dictionary with an encoder, both trained together.

        Parameters
        ----------
        learned : Learned
            Where training begins.
        signals : Signals
        course : Course
        """
        return _Training(self, learned, signals, course).ended()


class _Training:
    """One training, on signals less the intercept of the dictionary, in a unit of about their deviation."""

    def __init__(self, network: Amortised, learned: Learned, signals: Signals, course: Course) -> None:
        self._network, self._learned, self._signals, self._course = network, learned, signals, course
        some = signals.spread_out(_FEWEST_TO_JUDGE)
        codes = learned.search.codes(some.array - learned.intercept, learned.atoms)
        n_active = max(codes.nnz / codes.shape[0], 1.0)
        self._activation, self._per_use = network.activation(n_active), len(learned.atoms) / n_active
        some = signals.spread_out(max(_FEWEST_TO_JUDGE, int(_USES_TO_JUDGE * self._per_use)))
        centred = some.array - learned.intercept
        self._exponent = int(np.frexp(np.sqrt(np.mean(centred**2)))[1])
        self._judged, self._share = np.ldexp(centred, -self._exponent), some.share
        self._loss = SquaredError((), float(signals.fit_intercept))

    def ended(self) -> Learned:
        """Return the dictionary and the encoder, trained as long as the course lets them be."""
        first = self._first()
        last = self._trained(first) if not self._course.over else first
        best = last if self._error(last) < self._error(first) else first
        return self._in_unit_of_signals(best)

    def _first(self) -> SparseAutoencoder:
        """Return the dictionary with the encoder tied to it; hidden layers add nothing yet."""
        atoms, rng = self._learned.atoms, self._signals.rng
        sizes, k = (atoms.shape[1], *self._network.hidden_layer_sizes), len(atoms)
        layers = [
            Layer(rng.standard_normal((m, n)) * np.sqrt(2.0 / m), np.zeros(n))
            for m, n in zip(sizes[:-1], sizes[1:], strict=True)
        ]
        hidden = (*layers, Layer(np.zeros((sizes[-1], k)), np.zeros(k))) if layers else ()
        skip = Layer(atoms.T.copy(), np.zeros(k))
        encoder = Encoder(skip, hidden, self._network.hidden_activation, self._activation)
        return SparseAutoencoder(encoder, atoms, np.zeros(atoms.shape[1]))

    def _trained(self, model: SparseAutoencoder) -> SparseAutoencoder:
        dtype, optimizer = self._signals.X.dtype, self._network.optimizer
        state = first_state(stack([model], dtype), optimizer, np.ones(1, dtype))
        for number in range(_ROUNDS):
            if number:
                state = self._revived(state)
            outcome = self._round(state)
            self._course.curve += [self._in_nats(loss) for loss in outcome.curve]
            state = outcome.state
            if self._course.over:
                break
        return taken(state.model, 0, float)

    def _round(self, state: TrainingState) -> Outcome:
        """Return the outcome of a share of the steps: epochs, or few rows where these are enough."""
        n, size, n_steps = len(self._signals.X), self._batch_size, self._n_steps // _ROUNDS
        epochs = int(np.clip(round(n_steps * size / n), 1, self._course.max_iter - len(self._course.curve)))
        rows = np.sort(self._signals.rng.permutation(n)[: min(n_steps * size, n)])
        regime = Regime(size, epochs, 0.0, epochs + 1, self._rate, self._told)
        data = self._batch(rows)
        return train_in_batches(self._loss, self._network.optimizer, state, data, regime, self._signals.rng)

    def _batch(self, rows: np.ndarray) -> Batch:
        signals, dtype = self._signals, self._signals.X.dtype
        chosen = np.zeros(len(signals.X), dtype=bool)
        chosen[rows] = True
        ready = MovedSignals(signals.X, -self._exponent, self._learned.intercept)
        weights = signals.share[rows] / signals.share[rows].mean()
        return Batch(ready.taken(chosen), weights.astype(dtype), dtype.type(len(rows)))

    @property
    def _batch_size(self) -> int:
        size = max(int(_USES_OF_A_BATCH * self._per_use), _FEWEST_OF_A_BATCH)
        return min(self._network.batch_size or size, len(self._signals.X))

    @property
    def _n_steps(self) -> int:
        return max(int(_USES * self._per_use / self._batch_size), _FEWEST_STEPS)

    @property
    def _rate(self) -> float | Callable[[Any], Any]:
        if self._network.rate is None:
            return Falling(_FASTER * self._network.optimizer.rate, self._n_steps)
        return self._network.rate

    def _told(self, progress: Progress) -> bool:
        self._course.report(self._in_nats(progress.loss))
        return self._course.stopped

    def _in_nats(self, loss: float) -> float:
        """Return the likelihood of residuals, given the mean square of an entry in the unit of training."""
        d = self._signals.d
        return nats(float(np.ldexp(loss * d, 2 * self._exponent)), d)

    def _revived(self, state: TrainingState) -> TrainingState:
        """Return the state with components that no signal uses in directions in which residuals cluster."""
        model = taken(state.model, 0, float)
        codes = model.encoder.in_blocks(self._judged)
        idle = np.flatnonzero(~codes.any(axis=0))
        if not len(idle):
            return state
        rest = self._judged - codes @ model.components - self._loss.centred * model.intercept
        seeds = max(_SEEDS_PER_ATOM * len(idle), _FEWEST_SEEDS)
        found, _ = clusters(rest, self._share, len(idle), seeds, nonnegative=self._signals.nonnegative)
        model = model.revived(idle[: len(found)], found)
        return state._replace(model=stack([model], self._signals.X.dtype))

    def _error(self, model: SparseAutoencoder) -> float:
        batch = Batch(self._judged, self._share, 1.0)
        return float(evaluate(stack([model], float), self._loss, batch, np.ones(1))[0])

    def _in_unit_of_signals(self, model: SparseAutoencoder) -> Learned:
        unit, k = float(np.ldexp(1.0, self._exponent)), len(model.rows)
        step = unit * self._loss.centred * model.intercept
        encoder = model.encoder.of_inputs(-step, unit).recoded(np.arange(k), np.full(k, unit), None)
        inputs = encoder.inputs(np.ldexp(self._judged, self._exponent) - step)
        coder = Encoded(replace(encoder, activation=encoder.activation.settled(inputs)))
        return Learned(model.components, self._learned.intercept + step, self._learned.search, coder)
