"""More components than features: dictionaries of sparse codes, learned from clean arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from sparse_fourier.atoms import Course, Signals, spread
from sparse_fourier.canonical import order_by_variance, reference_signs
from sparse_fourier.fitting import Fitted, Settings
from sparse_fourier.initialization import binary_exponent
from sparse_fourier.objective import Point
from sparse_fourier.pursuit import Search, best_known, objectives
from sparse_fourier.scaled import scaled_by_power_of_two
from sparse_fourier.sparsemodel import SparseModel
from sparse_fourier.sparsity import Sparsity
from sparse_fourier.stochastic import Stepper
from sparse_fourier.sweeping import Sweeper
from sparse_fourier.training import Trained

_ROWS_PER_ATOM, _FEWEST_ROWS = 20, 2000
_MOST_CODES_TO_SWEEP = 1_000_000
_ROUNDING_ERRORS = 128.0
_ROWS_OF_THE_GAP, _SMALL_GAP = 100, 1e-4
_N_FIRSTS = 4


class _Learned(NamedTuple):
    """Atoms and intercept, in the unit of training, and how codes are searched for."""

    atoms: np.ndarray
    intercept: np.ndarray
    search: Search


def fit_overcomplete(
    X: np.ndarray, weights: np.ndarray, settings: Settings, rng: np.random.RandomState
) -> Fitted:
    """Fit more components than features to signals, with sparse codes.

    Few signals are learned from by `sweeping`: codes of all of them by matching pursuit and sweeps over the
    atoms take turns. Many are learned from by `stochastic`: the atoms take a step after every batch. In both,
    atoms that are weak or have a twin make way for directions in which residuals cluster, and the number of
    active atoms has the shortest description.

    Parameters
    ----------
    X : array of shape (n, d)
        Finite, float32 or float64; never written to.
    weights : array of shape (n,)
        Positive.
    settings : Settings
        With `n_components` a number.
    rng : RandomState
        Draws the start, batches, and which atoms are replaced.
    """
    missing = np.isnan(X) if np.isnan(X.min()) else None
    observed = X if missing is None else _filled(X, missing, weights)
    n, k = float(weights.sum()), int(settings.n_components or 1)
    exponent, many = binary_exponent(observed), len(X) * k > _MOST_CODES_TO_SWEEP
    unit = scaled_by_power_of_two(np.asarray(observed, dtype=X.dtype if many else float), -exponent)
    share, course = weights / n, Course(settings.max_iter, settings.callback)
    total = _variance(unit, share) * n / max(n - 1, 1)
    power = float(share @ np.einsum("ij,ij->i", unit, unit, dtype=float)) / unit.shape[1] or 1.0
    resolution = (_ROUNDING_ERRORS * float(np.finfo(X.dtype).eps)) ** 2 * power
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
    if total <= resolution and settings.fit_intercept:
        learned = _constant(signals, course, k)
    else:
        learned = (_stepped if many else _swept)(signals, course, k, settings.sparsity)
    return _finished(X, signals, course, learned, settings, n, exponent, total, resolution)


def _swept(signals: Signals, course: Course, k: int, sparsity: Sparsity) -> _Learned:
    """Learn from few signals; where they are not so few, all but the last sweeps look at some of them."""
    some, whole = signals.spread_out(max(_FEWEST_ROWS, _ROWS_PER_ATOM * k)), Sweeper(signals, course)
    state, search = Sweeper(some, course).learned(k, sparsity.given)
    if some is not signals and not course.over:
        state = whole.polished(state, search)
    return _Learned(state.atoms, state.intercept, sparsity.priced(search, whole.judge_of(state)))


def _stepped(signals: Signals, course: Course, k: int, sparsity: Sparsity) -> _Learned:
    dictionary, search = Stepper(signals, course).learned(k, sparsity)
    atoms, intercept = dictionary.atoms.astype(float), dictionary.intercept.astype(float)
    some = signals.X[spread(signals.X, signals.share, min(len(signals.X), _ROWS_OF_THE_GAP), 0.5)] - intercept
    return _Learned(atoms, intercept, _careful(search, some, atoms))


def _careful(search: Search, centred: np.ndarray, atoms: np.ndarray) -> Search:
    """Return a search that follows several first choices, if codes of some signals are better for it."""
    plain = objectives(centred, atoms, search.codes(centred, atoms), search.price).sum()
    careful = best_known(centred, atoms, search, _N_FIRSTS).sum()
    worth_it = plain - careful > _SMALL_GAP * (centred**2).sum()
    return search._replace(n_firsts=_N_FIRSTS) if worth_it else search


def _beginning(settings: Settings, d: int) -> np.ndarray | None:
    """Return the atoms to begin with, where they are given."""
    if settings.reference is not None:
        settings = replace(settings, init=settings.reference)
    return None if settings.init is None else _checked_init(settings, d)


def _variance(X: np.ndarray, share: np.ndarray) -> float:
    deviations = X - (share @ X).astype(X.dtype)
    return float(share @ np.einsum("ij,ij->i", deviations, deviations, dtype=float))


def _filled(X: np.ndarray, missing: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return signals with entries that were not observed at the mean of their feature."""
    total = np.where(missing, 0.0, weights[:, None]).sum(axis=0)
    means = (weights[:, None] / total * np.where(missing, 0.0, X)).sum(axis=0)
    return np.where(missing, means.astype(X.dtype), X)


def _constant(signals: Signals, course: Course, k: int) -> _Learned:
    """Return the dictionary of signals without variance: no atoms."""
    course.note(0.0)
    search = Search(1, signals.resolution, nonnegative=signals.nonnegative)
    return _Learned(np.zeros((k, signals.d)), signals.share @ signals.X, search)


def _finished(
    X: np.ndarray,
    signals: Signals,
    course: Course,
    learned: _Learned,
    settings: Settings,
    n: float,
    exponent: int,
    total: float,
    resolution: float,
) -> Fitted:
    """Return the outcome in normal form: order, signs, zeros for atoms that no signal uses."""
    share, (atoms, intercept, search) = signals.share, learned
    coder = settings.coder(search)
    draft = SparseModel(atoms, intercept, 1.0, resolution, settings.prior, exponent, search, coder)
    codes, squares = draft.coded(X)
    powers, means = (codes**2).T @ share, codes.T @ share
    variances = (powers - means**2).clip(0.0) * n / max(n - 1, 1)
    used = powers > 0
    order, signs = _order_and_signs(atoms, variances, settings.reference, signals.nonnegative)
    scales = np.sqrt(0.5 * powers)[order]
    left = max(signals.d - float(share @ np.diff(codes.indptr)), 1.0)
    model = replace(
        draft,
        components=(atoms * (signs * used)[:, None])[order],
        noise_variance=float(share @ squares) / left,
        prior=settings.prior.padded(0).mapped(np.where(scales > 0, scales, 1.0), np.zeros(len(order))),
    )
    loss = float(share @ model.losses_of(X, codes[:, order] * signs[order], squares))
    converged = course.stopped or len(course.curve) < settings.max_iter
    fall = abs(course.curve[-1] - course.curve[max(len(course.curve) - 2, 0)])
    point = Point(np.eye(len(order)), np.zeros(len(order)))
    trained = Trained(point, np.array(course.curve), converged, fall, course.stopped)
    idle = int(len(used) - used.sum())
    doubts = [f"{idle} components are used by no signal, and are zero"] if idle and used.any() else []
    rank, curve = len(order) if used.any() else 0, np.append(course.curve, loss)
    residual = n * float(share @ squares)
    fitted = Fitted(
        model, rank, True, n, variances[order], total, residual, curve, trained, doubts, settings.basis
    )
    some = spread(signals.X, share, min(len(X), _ROWS_OF_THE_GAP), 0.5)
    return replace(fitted, extras={"coding_gap_": model.gap(X[some])})


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


def _checked_init(settings: Settings, d: int) -> np.ndarray:
    shape, init = (settings.n_components, d), np.array(settings.init, dtype=float)
    if init.shape != shape or not np.isfinite(init).all():
        raise ValueError(
            f"init must be a finite array of shape {shape}, (n_components, n_features). "
            f"Got an array of shape {init.shape} instead."
        )
    return init
