"""More components than features: dictionaries of sparse codes, learned from clean arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from sparse_fourier.atoms import Course, Learned, Signals, rounding_of, spread, weighted_mean
from sparse_fourier.canonical import order_by_variance, reference_signs
from sparse_fourier.fitting import Fitted, Settings
from sparse_fourier.initialization import binary_exponent
from sparse_fourier.objective import Point
from sparse_fourier.pursuit import Search, best_known, objectives
from sparse_fourier.scaled import scaled_by_power_of_two
from sparse_fourier.signals import MovedSignals, Rows, array_of, mapped
from sparse_fourier.sparsemodel import SparseModel
from sparse_fourier.sparsity import Sparsity
from sparse_fourier.stochastic import Stepper
from sparse_fourier.sweeping import Sweeper
from sparse_fourier.training import Trained

_ROWS_PER_ATOM, _FEWEST_ROWS = 20, 2000
_MOST_CODES_TO_SWEEP = 100_000
_ROWS_OF_THE_GAP, _SMALL_GAP = 100, 1e-4
_N_FIRSTS = 4
_PURPOSE = "more components than features"


def fit_overcomplete(X: Rows, weights: np.ndarray, settings: Settings, rng: np.random.RandomState) -> Fitted:
    """Fit more components than features to signals, with sparse codes.

    Few signals are learned from by `sweeping`: codes of all of them by matching pursuit and sweeps over the
    atoms take turns. Many are learned from by `stochastic`: the atoms take a step after every batch. In both,
    atoms that are weak or have a twin make way for directions in which residuals cluster, and the number of
    active atoms has the shortest description.

    Parameters
    ----------
    X : array or Signals of shape (n, d)
        Finite, float32 or float64; never written to. What is read in blocks is so where there are many codes,
        and lacks no entries.
    weights : array of shape (n,)
        Positive.
    settings : Settings
        With `n_components` a number.
    rng : RandomState
        Draws the start, batches, and which atoms are replaced.
    """
    n, k = float(weights.sum()), int(settings.n_components or 1)
    many = len(X) * k > _MOST_CODES_TO_SWEEP
    observed, missing = _complete(X if many and _may_be_read_anywhere(X) else array_of(X, _PURPOSE), weights)
    exponent = binary_exponent(observed)
    unit = _scaled(observed, -exponent, X.dtype if many else np.dtype(float))
    share = weights / n
    total = _variance(unit, share) * n / max(n - 1, 1)
    power = float(share @ mapped(_squares, unit)) / unit.shape[1] or 1.0
    resolution = rounding_of(power, X.dtype)
    signals = Signals(
        X=unit,
        missing=missing,
        share=share,
        resolution=resolution * unit.shape[1],
        fit_intercept=settings.fit_intercept,
        nonnegative=settings.prior.support == "nonnegative",
        init=_beginning(settings, unit.shape[1]),
        rng=rng,
    )
    task, course = (
        _Task(X, signals, settings, n, exponent, total),
        Course(settings.max_iter, settings.callback),
    )
    if total <= resolution and settings.fit_intercept:
        return task.outcome(_constant(signals, course, k), course)
    learned = (_stepped if many else _swept)(signals, course, k, settings.sparsity)
    return task.outcome(settings.coder(learned, signals, course), course)


def _swept(signals: Signals, course: Course, k: int, sparsity: Sparsity) -> Learned:
    """Learn from few signals; where they are not so few, all but the last sweeps look at some of them."""
    some, whole = signals.spread_out(max(_FEWEST_ROWS, _ROWS_PER_ATOM * k)), Sweeper(signals, course)
    state, search = Sweeper(some, course).learned(k, sparsity.given)
    if some is not signals and not course.over:
        state = whole.polished(state, search)
    search = sparsity.priced(search, whole.judge_of(state))
    return Learned(state.atoms, state.intercept, search, search)


def _stepped(signals: Signals, course: Course, k: int, sparsity: Sparsity) -> Learned:
    dictionary, search = Stepper(signals, course).learned(k, sparsity)
    atoms, intercept = dictionary.atoms.astype(float), dictionary.intercept.astype(float)
    some = signals.X[spread(signals.X, signals.share, min(len(signals.X), _ROWS_OF_THE_GAP), 0.5)] - intercept
    search = _careful(search, some, atoms)
    return Learned(atoms, intercept, search, search)


def _careful(search: Search, centred: np.ndarray, atoms: np.ndarray) -> Search:
    """Return a search that follows several first choices, if codes of some signals are better for it."""
    plain = objectives(centred, atoms, search.codes(centred, atoms), search.price).sum()
    careful = best_known(centred, atoms, search, _N_FIRSTS).sum()
    worth_it = plain - careful > _SMALL_GAP * (centred**2).sum()
    return search._replace(n_firsts=_N_FIRSTS) if worth_it else search


def _beginning(settings: Settings, d: int) -> np.ndarray | None:
    """Return the atoms to begin with, where they are given or remember signals that are gone."""
    if settings.remember:
        settings = replace(settings, init=settings.reference)
    return None if settings.init is None else _checked_init(settings, d)


def _may_be_read_anywhere(X: Rows) -> bool:
    return isinstance(X, np.ndarray) or X.drops_rows


def _scaled(X: Rows, exponent: int, dtype: np.dtype) -> Rows:
    """Return signals times a power of two: a copy of an array; else they are multiplied when read."""
    if isinstance(X, np.ndarray):
        return scaled_by_power_of_two(np.asarray(X, dtype=dtype), exponent)
    return MovedSignals(X, exponent)


def _squares(x: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", x, x, dtype=float)


def _variance(X: Rows, share: np.ndarray) -> float:
    mean = weighted_mean(X, share).astype(X.dtype)
    return float(share @ mapped(lambda x: _squares(x - mean), X))


def _complete(X: Rows, weights: np.ndarray) -> tuple[Rows, np.ndarray | None]:
    """Return signals with entries that were not observed at the mean of their feature, and which they are."""
    if not isinstance(X, np.ndarray) or not np.isnan(X.min()):
        return X, None
    missing = np.isnan(X)
    total = np.where(missing, 0.0, weights[:, None]).sum(axis=0)
    means = (weights[:, None] / total * np.where(missing, 0.0, X)).sum(axis=0)
    return np.where(missing, means.astype(X.dtype), X), missing


def _constant(signals: Signals, course: Course, k: int) -> Learned:
    """Return the dictionary of signals without variance: no atoms."""
    course.note(0.0)
    search = Search(1, signals.resolution, nonnegative=signals.nonnegative)
    return Learned(np.zeros((k, signals.d)), signals.mean, search, search)


@dataclass(frozen=True)
class _Task:
    """What was to be fitted.

    Attributes
    ----------
    X : array or Signals of shape (n, d)
        As given.
    signals : Signals
        In the unit of training.
    settings : Settings
    n : float
        Sum of the weights.
    exponent : int
        Binary exponent of the unit of training.
    total : float
        Variance of the signals, divided by n - 1.
    """

    X: Rows
    signals: Signals
    settings: Settings
    n: float
    exponent: int
    total: float

    def outcome(self, learned: Learned, course: Course) -> Fitted:
        """Return the outcome in normal form: order, signs, zeros for atoms that no signal uses."""
        draft, share = self._draft(learned), self.signals.share
        codes, squares = draft.coded(self.X)
        powers, means = (codes**2).T @ share, codes.T @ share
        variances = (powers - means**2).clip(0.0) * self.n / max(self.n - 1, 1)
        order, signs = self._order_and_signs(learned.atoms, variances)
        left = max(self.signals.d - float(share @ np.diff(codes.indptr)), 1.0)
        noise = float(share @ squares) / left
        model = _in_normal_form(draft, powers, order, signs, noise)
        loss = float(share @ model.losses_of(self.X, codes[:, order] * signs[order], squares))
        used = powers > 0
        idle = int(len(used) - used.sum())
        return Fitted(
            model=model,
            rank=len(order) if used.any() else 0,
            trusted=True,
            n_samples=self.n,
            code_variances=variances[order],
            total_variance=self.total,
            residual=self.n * float(share @ squares),
            curve=np.append(course.curve, loss),
            trained=self._trained(course),
            doubts=[f"{idle} components are used by no signal, and are zero"] if idle and used.any() else [],
            basis=self.settings.basis,
            extras={"coding_gap_": model.gap(self.X[self._some])},
        )

    @property
    def _some(self) -> np.ndarray:
        X = self.signals.X
        return spread(X, self.signals.share, min(len(X), _ROWS_OF_THE_GAP), 0.5)

    def _draft(self, learned: Learned) -> SparseModel:
        resolution = self.signals.resolution / self.signals.d
        prior, (atoms, intercept, search, coder) = self.settings.prior, learned
        return SparseModel(atoms, intercept, 1.0, resolution, prior, self.exponent, search, coder)

    def _trained(self, course: Course) -> Trained:
        k, curve = int(self.settings.n_components or 1), course.curve
        converged = course.stopped or len(curve) < self.settings.max_iter
        fall = abs(curve[-1] - curve[max(len(curve) - 2, 0)])
        return Trained(Point(np.eye(k), np.zeros(k)), np.array(curve), converged, fall, course.stopped)

    def _order_and_signs(self, atoms: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the order of the atoms, and their signs before that: as in a reference, if there is one."""
        reference, nonnegative = self.settings.reference, self.signals.nonnegative
        if reference is None:
            signs = np.ones(len(atoms)) if nonnegative else reference_signs(atoms)
            return order_by_variance(variances), signs
        cosines = reference @ atoms.T
        order = linear_sum_assignment(-cosines if nonnegative else -np.abs(cosines))[1]
        signs = np.ones(len(atoms))
        if not nonnegative:
            signs[order] = np.where(cosines[np.arange(len(order)), order] < 0, -1.0, 1.0)
        return order, signs


def _in_normal_form(
    draft: SparseModel, powers: np.ndarray, order: np.ndarray, signs: np.ndarray, noise: float
) -> SparseModel:
    """Return the model with components in an order and with signs, those without any code zero."""
    scales = np.sqrt(0.5 * powers)[order]
    return replace(
        draft,
        components=(draft.components * (signs * (powers > 0))[:, None])[order],
        noise_variance=noise,
        prior=draft.prior.padded(0).mapped(np.where(scales > 0, scales, 1.0), np.zeros(len(order))),
        coder=draft.coder.arranged(order, signs),
    )


def _checked_init(settings: Settings, d: int) -> np.ndarray:
    shape, init = (settings.n_components, d), np.array(settings.init, dtype=float)
    if init.shape != shape or not np.isfinite(init).all():
        raise ValueError(
            f"init must be a finite array of shape {shape}, (n_components, n_features). "
            f"Got an array of shape {init.shape} instead."
        )
    return init
