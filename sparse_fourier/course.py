"""The stages of one fit: which signals and which of their codes each looks at, how long, and who is told."""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.coded import Near
from sparse_fourier.objective import (
    CodeObjective,
    ConfinedObjective,
    JointObjective,
    Objective,
    Point,
    RootedObjective,
    SimplexObjective,
)
from sparse_fourier.priors import Prior
from sparse_fourier.training import TIE, Engine, Progress, Trained, compiles, same_directions, train

FIRST_WIDTH = 0.3
"""Width of soft faces at which rotations begin, and from which on every row matters."""

COARSE_TOL = 1e-5
"""Tolerance of a stage that others follow."""

_FIRST_ROWS = 2000
_FIRST_ROWS_PER_COMPONENT = 100
_REACH_OF_NOISE = 5.0
_REACH_IN_THE_END = 4.5
_BLOCK_ENTRIES = 1 << 16
_LOOKS, _FEW = 3, 0.01


@dataclass(frozen=True)
class Problem:
    """The signals in whitened coordinates, and what is assumed of them.

    Attributes
    ----------
    prior : Prior
    whitened : array of shape (n, k)
        Zero mean and unit covariance.
    weights : array of shape (n,)
        Sum one.
    n_samples : float
        How many rows the weights stand for.
    noise : array of shape (k, k)
        Covariance of the noise of the whitened coordinates.
    floor : float or array of shape (k,)
        Smallest variance of a code's noise.
    constant : float
        Terms of the objective that do not depend on the basis.
    average : array of shape (k,) or None
        Of the whitened coordinates, where that is not zero.
    inflation : array of shape (n,) or None
        How much more variance the noise of each signal has than `noise` says, where some are incomplete.
    unit : float
        What the unit of the signals adds to the objective. Training does without, so that its rounding does
        not depend on the unit.
    rooted : bool
        Whether codes have no offset: a corner of the support is where the coordinates are zero.
    allowed : array of shape (k * (k + 1), k * (k + 1)) or None
        Projection onto the steps that codes may take, where that is not any.
    """

    prior: Prior
    whitened: np.ndarray
    weights: np.ndarray
    n_samples: float
    noise: np.ndarray
    floor: Any
    constant: float
    average: np.ndarray | None = None
    inflation: np.ndarray | None = None
    unit: float = 0.0
    rooted: bool = False
    allowed: np.ndarray | None = None

    def objective(self, rows: np.ndarray, matters: np.ndarray) -> Objective:
        """Return the objective of some rows, each code with those of them that matter to it.

        Parameters
        ----------
        rows : int array of shape (n_rows,)
        matters : bool array of shape (n_rows, k)
        """
        k = self.whitened.shape[1]
        sets = 1 if matters.all() else k
        found = [np.take(rows, np.flatnonzero(matters[:, j])) for j in range(sets)]
        size = self._padded(max(map(len, found)))
        own, weights = np.zeros((sets, size, k), self.whitened.dtype), np.zeros((sets, size))
        inflation = None if self.inflation is None else np.ones((sets, size))
        share = self.share_of(rows)
        for j, chosen in enumerate(found):
            np.take(self.whitened, chosen, axis=0, out=own[j, : len(chosen)], mode="clip")
            weights[j, : len(chosen)] = np.take(self.weights, chosen) / share
            if inflation is not None and self.inflation is not None:
                inflation[j, : len(chosen)] = self.inflation[chosen]
        own = own.astype(float, copy=False) if self._compiles(size) else own
        return self.objective_of(own, weights, inflation)

    def share_of(self, rows: np.ndarray) -> float:
        """Return the share of all weights that some rows have."""
        return float((self.weights if len(rows) == len(self.weights) else self.weights[rows]).sum())

    def objective_of(self, rows: Any, weights: Any, inflation: Any = None) -> Objective:
        """Return the objective of rows in the form that `Objective` asks for."""
        kind = SimplexObjective if self.prior.domain.surplus else CodeObjective
        kind = RootedObjective if self.rooted else kind
        kind = kind if self.prior.factorises else JointObjective
        k = len(self.noise)
        if self.allowed is not None:
            kind = functools.partial(ConfinedObjective, allowed=self.allowed)
        numbers = np.broadcast_to(np.asarray(self.floor, dtype=float), k), np.float64(self.constant)
        return kind(self.prior, rows, weights, self.noise, *numbers, inflation)

    def _padded(self, n: int) -> int:
        """Return the number of rows that n rows are padded to: one of few, where that saves compilations."""
        return runtime.bucket(n) if self._compiles(n) else n

    def _compiles(self, n: int) -> bool:
        return compiles(self.prior, self.whitened.shape[1], n)

    def blur(self, point: Point) -> np.ndarray:
        """Return the standard deviation of each code's noise, of shape (..., k)."""
        return np.sqrt(point.noise_variances(self.noise) + self.floor)

    def blur_of(self, point: Point, rows: np.ndarray | slice) -> np.ndarray:
        """Return the same for some signals, of shape (k,), or (n_rows, k) where signals are incomplete."""
        if self.inflation is None:
            return self.blur(point)
        return np.sqrt(self.inflation[rows, None] * point.noise_variances(self.noise) + self.floor)

    def matter(self, point: Point, rows: np.ndarray, reach: float, margin: float = 0.0) -> np.ndarray:
        """Return which codes of some signals matter to the density: those near a face, of shape (n_rows, k).

        Parameters
        ----------
        point : Point
        rows : int array of shape (n_rows,)
            Ascending.
        reach : float
            How many standard deviations of a code's noise count as near.
        margin : float
            What is added to them.
        """
        n, k = len(rows), self.whitened.shape[1]
        found, size = np.empty((k, n), dtype=bool), max(_BLOCK_ENTRIES // k, 1)
        unmixing, offset = (part.astype(self.whitened.dtype) for part in point)
        for first in range(0, n, size):
            places = slice(first, min(first + size, n))
            block = places if n == len(self.whitened) else rows[places]
            codes = unmixing @ self._coordinates(block).T
            codes += offset[:, None]
            depth = (reach * self.blur_of(point, block) + margin).astype(codes.dtype)
            found[:, places] = self.prior.matters(codes.T, depth).T
        return found.T

    def _coordinates(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return the coordinates of some signals."""
        return self.whitened[rows] if isinstance(rows, slice) else np.take(self.whitened, rows, axis=0)

    def among(self, rows: np.ndarray) -> tuple[Problem, np.ndarray, np.ndarray]:
        """Return the problem of some of the signals, whitened anew, and how: mean and a symmetric matrix.

        Parameters
        ----------
        rows : int array
        """
        k, weights = self.whitened.shape[1], self.weights[rows]
        share, n_samples = weights / weights.sum(), float(self.n_samples * weights.sum())
        free = k - self.prior.domain.surplus
        mean, whitening, whitened = np.zeros(k), np.eye(k), self.whitened[rows]
        mean[:free], whitening[:free, :free] = whitening_of(whitened[:, :free], share)
        mean *= self.average is None
        whitened = (whitened - mean) @ whitening
        problem = replace(
            self,
            whitened=whitened,
            weights=share,
            n_samples=n_samples,
            noise=whitening @ self.noise @ whitening,
            floor=self.prior.resolution(n_samples) ** 2,
            constant=self.constant - np.linalg.slogdet(whitening)[1],
            average=None if self.average is None else share @ whitened,
            inflation=None if self.inflation is None else self.inflation[rows],
        )
        return problem, mean, whitening

    def within(self, radius: float) -> Problem:
        """Return the same where the largest distance of coordinates from zero is known."""
        self.__dict__["radius"] = radius
        return self

    @functools.cached_property
    def radius(self) -> float:
        """Largest distance of whitened coordinates from zero."""
        return float(np.sqrt(np.einsum("ij,ij->i", self.whitened, self.whitened).max()))

    @property
    def mean_inflation(self) -> float:
        """How much more variance the noise of signals has on average than `noise` says."""
        return 1.0 if self.inflation is None else float(self.weights @ self.inflation)


def whitening_of(coordinates: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, and the symmetric matrix that gives coordinates unit covariance."""
    mean = share @ coordinates
    centred = coordinates - mean
    values, vectors = np.linalg.eigh((centred * share[:, None]).T @ centred)
    values = np.maximum(values, np.finfo(float).eps * values[-1])
    return mean, (vectors / np.sqrt(values)) @ vectors.T


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes
    ----------
    n_starts : int or None
        None: as many as the prior needs.
    tol : float
    max_iter : int
    init : array of shape (k, k) or None
        Directions of the components to start from, in whitened coordinates.
    callback : callable or None
    nonnegative : array of shape (k, d) or None
        Where components must not be negative, what they are multiples of: inv(unmixing).T @ nonnegative.
    """

    n_starts: int | None
    tol: float
    max_iter: int
    init: np.ndarray | None
    callback: Callable[[Progress], Any] | None
    nonnegative: np.ndarray | None = None


class Stages(ABC):
    """The stages of one fit: what they share is the count of iterations, the clock and the callback."""

    def __init__(self, problem: Problem, plan: Plan) -> None:
        self._problem, self._plan = problem, plan
        self._began = time.perf_counter()
        self._curve = np.zeros(0)
        self._rival = np.inf

    def over(self, trained: Trained) -> bool:
        """Return whether there must be no further stage."""
        return trained.stopped or len(self._curve) >= self._plan.max_iter

    @property
    def floor(self) -> Any:
        """Smallest variances of the codes' noise at present."""
        return self._problem.floor

    def on(self, problem: Problem) -> Self:
        """Return the same stages of another problem from here on."""
        self._problem = problem
        return self

    def within(self, max_iter: int) -> Self:
        """Return the same stages with another limit of their iterations, all together."""
        self._plan = replace(self._plan, max_iter=max_iter)
        return self

    def with_floor(self, floor: Any) -> Self:
        """Return the same stages with other smallest variances of the codes' noise from here on."""
        return self.on(replace(self._problem, floor=floor))

    @abstractmethod
    def stage(self, starts: Point, width: float, rows: np.ndarray, most: int | None = None) -> Trained:
        """Train on some rows, each code on those that matter to it.

        Parameters
        ----------
        starts : Point
            Stacked.
        width : float
            Of the faces, at the beginning.
        rows : int array
            Ascending.
        most : int, optional
            Iterations at most.
        """

    @abstractmethod
    def of_all(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return a function of the coordinates of all signals, of their weights and of what else it takes."""

    def _trained(
        self,
        objective: Objective,
        starts: Point,
        width: float,
        *,
        share: float = 1.0,
        least_tol: float = 0.0,
        most: int | None = None,
        engine: Engine | None = None,
    ) -> Trained:
        """Train on an objective, of which the rows have a share of all weights."""
        plan = self._plan
        left = plan.max_iter - len(self._curve)
        trained = train(
            objective,
            starts,
            np.full(len(starts.offset), width),
            tol=max(plan.tol, least_tol),
            max_iter=left if most is None else min(left, most),
            callback=self.tell if plan.callback else None,
            engine=engine,
        )
        self._curve = np.concatenate([self._curve, trained.curve + self._problem.unit])
        self._rival = min(self._rival, trained.rival * share * self._problem.n_samples)
        return trained._replace(curve=self._curve, rival=self._rival)

    def tell(self, progress: Progress) -> Any:
        """Pass on what a stage reports, its iterations counted from the first stage on."""
        callback = self._plan.callback
        iteration = len(self._curve) + progress.iteration
        elapsed = time.perf_counter() - self._began
        return callback and callback(Progress(iteration, progress.loss + self._problem.unit, elapsed))


class Course(Stages):
    """Stages that look at rows of the problem: on all of them if those that a code left out were wrong."""

    def stage(self, starts: Point, width: float, rows: np.ndarray, most: int | None = None) -> Trained:
        """Train on some rows, each code on those that matter to it.

        Where these are a few more in the end than at the start, training goes on with them, unless other
        stages follow; where they are many, it begins anew with all.
        """
        problem, preliminary = self._problem, len(rows) < len(self._problem.whitened)
        matters = _matters(problem, starts, width, rows)
        trained = self._train(starts, width, rows, matters, most)
        for _ in range(_LOOKS):
            if self.over(trained):
                return trained._replace(near=None)
            if matters.all() or _stays_near(problem, starts, width, trained.point, rows):
                return trained
            missed = problem.matter(trained.point, rows, _REACH_IN_THE_END) & ~matters
            n_missed = np.count_nonzero(missed)
            if not n_missed or (preliminary and n_missed < _FEW * np.count_nonzero(matters)):
                return trained
            if n_missed >= _FEW * np.count_nonzero(matters):
                break
            starts, width = stack(trained.point), 0.0
            matters = matters | _matters(problem, starts, width, rows)
            trained = self._train(starts, width, rows, matters, most)
        return self._train(starts, width, rows, np.ones_like(matters), most)

    def of_all(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return a function of the coordinates of all signals, of their weights and of what else it takes."""
        return function(self._problem.whitened, self._problem.weights, *arguments)

    def better(self, one: Trained, other: Trained, rows: np.ndarray) -> Trained:
        """Return the better of two outcomes on the same rows, the first if equal; its rival is the other."""
        best, worse = (one, other) if one.curve[-1] <= other.curve[-1] + TIE else (other, one)
        if not same_directions(worse.point.unmixing[None], best.point.unmixing)[0]:
            behind = float(worse.curve[-1] - best.curve[-1])
            n_samples = self._problem.weights[rows].sum() * self._problem.n_samples
            self._rival = min(self._rival, behind * n_samples)
        return best._replace(curve=self._curve, rival=self._rival)

    def _train(
        self, starts: Point, width: float, rows: np.ndarray, matters: np.ndarray, most: int | None
    ) -> Trained:
        preliminary = len(rows) < len(self._problem.whitened)
        objective = self._problem.objective(rows, matters)
        trained = self._trained(
            objective,
            starts,
            width,
            share=self._problem.share_of(rows),
            least_tol=COARSE_TOL if preliminary else 0.0,
            most=most,
        )
        independent = not self._problem.prior.domain.surplus
        apart = independent and not preliminary and len(objective.rows) > 1 and objective.inflation is None
        near = Near(objective.rows, objective.weights, trained.point) if apart else None
        return trained._replace(near=near)


def first_rows(problem: Problem) -> int:
    """Return how many rows are looked at first."""
    n, k = problem.whitened.shape
    return min(n, max(_FIRST_ROWS, _FIRST_ROWS_PER_COMPONENT * k))


def stack(point: Point) -> Point:
    """Return a single point as starts, stacked along a leading axis."""
    return Point(point.unmixing[None], point.offset[None])


def first_of(starts: Point) -> Point:
    """Return the first of stacked points."""
    return Point(starts.unmixing[0], starts.offset[0])


def resolution(problem: Problem, n_rows: int, blur: float) -> float:
    """Return the distance by which a fit to so many rows may miss the faces."""
    n = n_rows * problem.n_samples / len(problem.whitened)
    k = problem.whitened.shape[1]
    return min(3 * (k + 1) / n + 4 * np.sqrt(blur / n), FIRST_WIDTH)


def _matters(problem: Problem, starts: Point, width: float, rows: np.ndarray) -> np.ndarray:
    """Return which codes of which rows can come near a face on the way from one start."""
    if len(starts.offset) > 1 or width >= FIRST_WIDTH:
        return np.ones((len(rows), starts.offset.shape[1]), dtype=bool)
    return problem.matter(first_of(starts), rows, _REACH_OF_NOISE, _margin(problem, width, rows))


def _stays_near(problem: Problem, starts: Point, width: float, point: Point, rows: np.ndarray) -> bool:
    """Return whether codes have moved so little from a start that those which mattered are known to do."""
    if problem.inflation is not None:
        return False
    first = first_of(starts)
    moved = np.linalg.norm(point.unmixing - first.unmixing, axis=1) * problem.radius
    needed = _REACH_IN_THE_END * problem.blur(point) + moved + np.abs(point.offset - first.offset)
    return bool((needed <= _REACH_OF_NOISE * problem.blur(first) + _margin(problem, width, rows)).all())


def _margin(problem: Problem, width: float, rows: np.ndarray) -> float:
    """Return how far codes may move on the way from a start, and as far as faces of a width reach."""
    return 4 * width + resolution(problem, len(rows), 0.0)
