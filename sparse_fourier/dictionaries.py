"""More components than features: dictionaries of sparse codes, learned from clean arrays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaincinv, gammaln

from sparse_fourier.canonical import order_by_variance, reference_signs
from sparse_fourier.fitting import Fitted, Settings
from sparse_fourier.initialization import binary_exponent, scaled_by_power_of_two
from sparse_fourier.objective import Point
from sparse_fourier.pursuit import Search, sparse_codes
from sparse_fourier.sparsemodel import SparseModel
from sparse_fourier.training import Progress, Trained

_WELL_EXPLAINED = (
    0.75  # share of signals by whose residuals a dictionary is judged: others it lacks atoms for
)
_EXACT = 1e-4  # residual, as a share of the signals' power, below which it no longer matters
_N_FIRSTS = 4
_LONG, _SHORT, _CAREFUL = 15, 12, 10  # sweeps
_ROUNDS_OF_GROWTH, _ROUNDS, _PATIENCE = 6, 30, 4
_SEEDS, _CLUSTER = 60, 0.8
_ROWS_PER_ATOM, _FEWEST_ROWS = 20, 2000
_ROUNDING_ERRORS = 128.0


class _State(NamedTuple):
    """A dictionary, and what is left of the signals by their sparse codes."""

    atoms: np.ndarray
    intercept: np.ndarray
    codes: np.ndarray
    residuals: np.ndarray
    loss: float


@dataclass
class _Course:
    """How far training has come, and whether it may go on."""

    max_iter: int
    callback: Callable[[Progress], Any] | None
    curve: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    stopped: bool = False

    @property
    def over(self) -> bool:
        return self.stopped or len(self.curve) >= self.max_iter

    def note(self, loss: float) -> None:
        """Note the loss after a sweep, and ask the callback whether to stop."""
        self.curve.append(loss)
        if self.callback:
            progress = Progress(len(self.curve), loss, time.perf_counter() - self.began)
            self.stopped = bool(self.callback(progress)) or self.stopped


@dataclass
class _Learner:
    """Signals to learn a dictionary from.

    Attributes
    ----------
    X : array of shape (n, d)
        Entries that were not observed follow their reconstruction.
    missing : bool array of shape (n, d), or None
    share : array of shape (n,)
        Weights of sum one.
    resolution : float
        Fall of the squared error below which codes are rounding.
    settings : Settings
    nonnegative : bool
    course : _Course
    rng : RandomState
    """

    X: np.ndarray
    missing: np.ndarray | None
    share: np.ndarray
    resolution: float
    settings: Settings
    nonnegative: bool
    course: _Course
    rng: np.random.RandomState

    @property
    def power(self) -> float:
        """Mean square of an entry."""
        return float(self.share @ (self.X**2).mean(axis=1))

    def first(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return atoms to begin with, signals spread over the data and blurred, and the intercept."""
        centred = self.settings.fit_intercept and not self.nonnegative
        intercept = self.share @ self.X if centred else np.zeros(self.X.shape[1])
        if self.settings.init is not None:
            return _unit(self.settings.init), intercept
        rows = self.X[spread(self.X, self.share, k, self.rng.uniform())] - intercept
        blur = 0.1 * self.rng.standard_normal(rows.shape) / np.sqrt(rows.shape[1])
        return _unit(_unit(rows) + blur), intercept

    def alternate(
        self, atoms: np.ndarray, intercept: np.ndarray, search: Search, n_sweeps: int, tol: float = 1e-4
    ) -> _State:
        """Return the dictionary after sparse codes and sweeps over its atoms have taken turns."""
        last = np.inf
        while True:
            codes = sparse_codes(self.X - intercept, atoms, search)
            state = self._swept(atoms, intercept, codes)
            atoms, intercept, n_sweeps = state.atoms, state.intercept, n_sweeps - 1
            self.course.note(_nats(state.loss, self.X.shape[1]))
            if not n_sweeps or self.course.over or state.loss >= last * (1 - tol):
                return state
            last = state.loss

    def coded(self, state: _State, search: Search) -> _State:
        """Return the same dictionary, with sparse codes of these signals."""
        codes = sparse_codes(self.X - state.intercept, state.atoms, search)
        residuals = self.X - state.intercept - codes @ state.atoms
        return state._replace(codes=codes, residuals=residuals)

    def _swept(self, atoms: np.ndarray, intercept: np.ndarray, codes: np.ndarray) -> _State:
        """Return each atom and its codes fitted in turn to what the others leave, as in approximate K-SVD."""
        atoms, residuals = atoms.copy(), self.X - intercept - codes @ atoms
        for j in range(len(atoms)):
            users = np.flatnonzero(codes[:, j])
            if not len(users):
                continue
            left = residuals[users] + codes[users, j, None] * atoms[j]
            atom = (self.share[users] * codes[users, j]) @ left
            norm = np.linalg.norm(atom)
            if norm == 0:
                continue
            atoms[j] = atom / norm
            fitted = left @ atoms[j]
            codes[users, j] = np.maximum(fitted, 0.0) if self.nonnegative else fitted
            residuals[users] = left - codes[users, j, None] * atoms[j]
        if self.settings.fit_intercept:
            step = self.share @ residuals
            intercept, residuals = intercept + step, residuals - step
        if self.missing is not None:
            residuals[self.missing] = 0.0
            self.X = np.where(self.missing, codes @ atoms + intercept, self.X)
        return _State(atoms, intercept, codes, residuals, float(self.share @ (residuals**2).sum(axis=1)))

    def replace(self, state: _State, search: Search, n_atoms: int, rounds: int, patience: int) -> _State:
        """Return the dictionary after weak atoms made way for others, wherever the residual then fell."""
        failures = 0
        for _ in range(rounds):
            if self.course.over or failures > patience:
                break
            tried = self._with_others(state, n_atoms, failures)
            trial = self.alternate(tried, state.intercept, search, _SHORT)
            if trial.loss < state.loss * (1 - 1e-6):
                state, failures = trial, 0
            elif n_atoms > 1:
                n_atoms //= 2
            else:
                failures += 1
        return state

    def _with_others(self, state: _State, n_atoms: int, failures: int) -> np.ndarray:
        """Return the atoms with the weakest replaced by directions in which residuals cluster.

        An atom is weak where its codes are, and where it has a twin. After failures other choices are drawn.
        """
        alike = state.atoms @ state.atoms.T
        np.fill_diagonal(alike, 0.0)
        strength = (self.share @ state.codes**2) * (1 - np.minimum(np.abs(alike).max(axis=1), 1.0) ** 2)
        if failures:
            strength = strength * np.exp(0.5 * failures * self.rng.standard_normal(len(strength)))
        found = self._clusters(state.residuals, n_atoms + failures)
        if failures and len(found):
            found = found[[self.rng.randint(len(found))]]
        atoms = state.atoms.copy()
        atoms[np.argsort(strength, kind="stable")[: len(found)][:n_atoms]] = found[:n_atoms]
        return atoms

    def _clusters(self, residuals: np.ndarray, count: int) -> np.ndarray:
        """Return directions along which many residuals lie, those that explain most first."""
        squares = (residuals**2).sum(axis=1)
        mass = self.share * squares
        if not mass.sum() > 0:
            return np.zeros((0, residuals.shape[1]))
        lengths = np.sqrt(np.maximum(squares, np.finfo(float).tiny))[:, None]
        units = residuals / lengths
        seeds = units[spread(residuals, mass * squares, _SEEDS, 0.5)]
        for _ in range(2):
            seeds = _unit((self._near(units @ seeds.T) * mass[:, None]).T @ units)
        near, found = self._near(units @ seeds.T) ** 2, []
        for _ in range(min(count, _SEEDS)):
            best = int((mass @ near).argmax())
            found.append(seeds[best])
            mass = mass * (1 - near[:, best])
        return np.array(found)

    def _near(self, cosines: np.ndarray) -> np.ndarray:
        return np.where((cosines if self.nonnegative else np.abs(cosines)) < _CLUSTER, 0.0, cosines)

    def noise(self, state: _State, n_active: int) -> float:
        """Return the variance of the noise per entry, by the residuals of signals that are well explained."""
        left = max(self.X.shape[1] - n_active, 1)
        expected = 2 * gammaincinv(left / 2, _WELL_EXPLAINED)
        return _quantile((state.residuals**2).sum(axis=1), self.share, _WELL_EXPLAINED) / expected

    def price(self, state: _State, n_active: int) -> float:
        """Return by how much one more code has to lower the squared error, by description length."""
        noise, strength = self.noise(state, n_active), self.strength(state)
        bits = 0.5 * np.log(max(strength / noise, 1.0)) if noise else 0.0
        return 2 * noise * (bits + np.log(max(state.codes.shape[1] / n_active, 1.0)))

    def strength(self, state: _State) -> float:
        """Return the mean square of the codes that are not zero."""
        used = float(self.share @ np.count_nonzero(state.codes, axis=1))
        return float(self.share @ (state.codes**2).sum(axis=1)) / max(used, np.finfo(float).tiny)

    def description_length(self, state: _State, n_active: int) -> float:
        """Return nats per signal to say which atoms are active, what their codes are, and what is left."""
        d, k = self.X.shape[1], state.codes.shape[1]
        noise = max(self.noise(state, n_active), _EXACT * self.power, np.finfo(float).tiny)
        strength = max(self.strength(state), noise)
        which = gammaln(k + 1) - gammaln(n_active + 1) - gammaln(k - n_active + 1)
        return float(0.5 * ((d - n_active) * np.log(noise) + n_active * np.log(strength)) + which)

    def grow(self, k: int) -> tuple[_State, Search]:
        """Return a dictionary, and the number of active atoms with the shortest description.

        Codes with few atoms come first: what they find is less often mixed, and is the start of the next.
        """
        atoms, intercept = self.first(k)
        kept: list[tuple[_State, Search]] = []
        shortest = np.inf
        for n_active in range(1, max(self.X.shape[1] // 2, 1) + 1):
            search = Search(n_active, self.resolution, nonnegative=self.nonnegative)
            state = self.alternate(atoms, intercept, search, _LONG)
            state = self.replace(state, search, max(1, k // 5), _ROUNDS_OF_GROWTH, 0)
            careful = search._replace(n_firsts=_N_FIRSTS)
            if not self.course.over:
                state = self.alternate(state.atoms, state.intercept, careful, _CAREFUL)
            length = self.description_length(state, n_active)
            if kept and length >= shortest:
                break
            kept, shortest, atoms, intercept = [(state, careful)], length, state.atoms, state.intercept
            if self.course.over:
                break
        return kept[0]


def fit_overcomplete(
    X: np.ndarray, weights: np.ndarray, settings: Settings, rng: np.random.RandomState
) -> Fitted:
    """Fit more components than features to signals, with sparse codes.

    Codes by matching pursuit and sweeps over the atoms take turns; atoms that are weak or have a twin make
    way for directions in which residuals cluster, wherever the residual falls; the number of active atoms has
    the shortest description. Where signals are many, all but the last sweeps look at some of them.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite, float32 or float64; never written to.
    weights : array of shape (n,)
        Positive.
    settings : Settings
        With `n_components` a number.
    rng : RandomState
        Draws the start, and which atoms are replaced.
    """
    missing = np.isnan(X) if np.isnan(X.min()) else None
    observed = X if missing is None else _filled(X, missing, weights)
    exponent = binary_exponent(observed)
    unit = scaled_by_power_of_two(np.asarray(observed, dtype=float), -exponent)
    if settings.reference is not None:
        settings = replace(settings, init=settings.reference)
    if settings.init is not None:
        settings = replace(settings, init=_checked_init(settings, unit.shape[1]))
    n, k = float(weights.sum()), int(settings.n_components or 1)
    share, course = weights / n, _Course(settings.max_iter, settings.callback)
    nonnegative = settings.prior.support == "nonnegative"
    deviations = unit - share @ unit
    total = float(share @ (deviations**2).sum(axis=1)) * n / max(n - 1, 1)
    power = float(share @ (unit**2).mean(axis=1)) or 1.0
    resolution = (_ROUNDING_ERRORS * float(np.finfo(X.dtype).eps)) ** 2 * power
    floor = resolution * unit.shape[1]
    whole = _Learner(unit, missing, share, floor, settings, nonnegative, course, rng)
    if total <= resolution and settings.fit_intercept:
        state = _constant(whole, k)
        search = Search(1, floor, nonnegative=nonnegative)
    else:
        state, search = _learned(whole, k)
    return _finished(whole, state, search, n, exponent, total, resolution)


def _learned(whole: _Learner, k: int) -> tuple[_State, Search]:
    some = _some_of(whole, max(_FEWEST_ROWS, _ROWS_PER_ATOM * k))
    state, search = some.grow(k)
    state = some.replace(state, search, max(1, k // 10), _ROUNDS, _PATIENCE)
    if some is not whole and not whole.course.over:
        state = whole.alternate(state.atoms, state.intercept, search, _SHORT)
    price = whole.price(whole.coded(state, search), search.n_active)
    search = search._replace(price=max(price, whole.resolution))
    return whole.coded(state, search), search


def _filled(X: np.ndarray, missing: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return signals with entries that were not observed at the mean of their feature."""
    total = np.where(missing, 0.0, weights[:, None]).sum(axis=0)
    means = (weights[:, None] / total * np.where(missing, 0.0, X)).sum(axis=0)
    return np.where(missing, means, X)


def _some_of(whole: _Learner, count: int) -> _Learner:
    """Return a learner that sees some of the signals, spread over them."""
    if len(whole.X) <= 2 * count:
        return whole
    rows, counts = np.unique(spread(whole.X, whole.share, count, 0.5), return_counts=True)
    missing = None if whole.missing is None else whole.missing[rows]
    return replace(whole, X=whole.X[rows], missing=missing, share=counts / count)


def _constant(learner: _Learner, k: int) -> _State:
    """Return the dictionary of signals without variance: no atoms."""
    (n, d), intercept = learner.X.shape, learner.share @ learner.X
    learner.course.note(0.0)
    return _State(np.zeros((k, d)), intercept, np.zeros((n, k)), learner.X - intercept, 0.0)


def _finished(
    learner: _Learner, state: _State, search: Search, n: float, exponent: int, total: float, resolution: float
) -> Fitted:
    """Return the outcome in normal form: order, signs, zeros for atoms that no signal uses."""
    share, course, settings = learner.share, learner.course, learner.settings
    variances = share @ (state.codes - share @ state.codes) ** 2 * n / max(n - 1, 1)
    used = (state.codes != 0).any(axis=0)
    order, signs = _order_and_signs(state.atoms, variances, settings.reference, learner.nonnegative)
    atoms = (state.atoms * (signs * used)[:, None])[order]
    squares = float(share @ (state.residuals**2).sum(axis=1))
    left = max(len(state.intercept) - float(share @ np.count_nonzero(state.codes, axis=1)), 1.0)
    scales = np.sqrt(0.5 * (share @ state.codes**2))[order]
    prior = settings.prior.padded(0).mapped(np.where(scales > 0, scales, 1.0), np.zeros(len(order)))
    model = SparseModel(atoms, state.intercept, squares / left, resolution, prior, exponent, search)
    signals = learner.X if learner.missing is None else np.where(learner.missing, np.nan, learner.X)
    curve = np.append(course.curve, float(share @ model.losses(np.ldexp(signals, exponent))))
    converged = course.stopped or len(course.curve) < settings.max_iter
    fall = abs(course.curve[-1] - course.curve[max(len(course.curve) - 2, 0)])
    point = Point(np.eye(len(order)), np.zeros(len(order)))
    trained = Trained(point, np.array(course.curve), converged, fall, course.stopped)
    idle = int(len(used) - used.sum())
    doubts = [f"{idle} components are used by no signal, and are zero"] if idle and used.any() else []
    rank = len(order) if used.any() else 0
    return Fitted(
        model, rank, True, n, variances[order], total, n * squares, curve, trained, doubts, settings.basis
    )


def _order_and_signs(
    atoms: np.ndarray, variances: np.ndarray, reference: np.ndarray | None, nonnegative: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of the atoms, and their signs before that: as in a reference, if there is one."""
    if reference is None:
        signs = np.ones(len(atoms)) if nonnegative else reference_signs(atoms)
        return order_by_variance(variances), signs
    cosines = reference @ atoms.T
    order = linear_sum_assignment(-cosines if nonnegative else -np.abs(cosines))[1]
    signs = np.ones(len(atoms))
    if not nonnegative:
        signs[order] = np.where(cosines[np.arange(len(order)), order] < 0, -1.0, 1.0)
    return order, signs


def spread(X: np.ndarray, mass: np.ndarray, count: int, offset: float) -> np.ndarray:
    """Return indices of rows at even steps of their mass, in an order that depends on their values alone.

    So rows that occur twice are found as often as rows of double mass.
    """
    key = X @ (1.0 + np.cos(np.sqrt(2.0) * np.arange(X.shape[1])))
    order = np.argsort(key, kind="stable")
    reached = np.cumsum(mass[order])
    places = (np.arange(count) + offset) / count * reached[-1]
    return order[np.minimum(np.searchsorted(reached, places, side="right"), len(order) - 1)]


def _quantile(values: np.ndarray, share: np.ndarray, level: float) -> float:
    """Return the least value that a share of the total weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(share[order]), level * (1 - 1e-12))
    return float(values[order[min(reached, len(order) - 1)]])


def _unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of unit norm; zero rows stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def _nats(loss: float, d: int) -> float:
    """Return the Gaussian negative log-likelihood of residuals with that mean squared length, at its best."""
    return 0.5 * d * (np.log(2 * np.pi * max(loss / d, np.finfo(float).tiny)) + 1.0)


def _checked_init(settings: Settings, d: int) -> np.ndarray:
    shape, init = (settings.n_components, d), np.array(settings.init, dtype=float)
    if init.shape != shape or not np.isfinite(init).all():
        raise ValueError(
            f"init must be a finite array of shape {shape}, (n_components, n_features). "
            f"Got an array of shape {init.shape} instead."
        )
    return init
