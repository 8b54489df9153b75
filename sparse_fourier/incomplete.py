r"""The span of signals of which some entries were not observed.

Coordinates z, axes A and a mean m minimise the squares of the entries that were observed,

.. math:: \sum_{ij\ \text{observed}} w_i (x_{ij} - m_j - (z A)_{ij})^2,

which is principal component analysis where all were. For given axes and mean every signal has its best
coordinates, so that the squares are a function of axes and mean alone; this is minimised by Gauss-Newton
steps, each solved by conjugate gradients, which touch nothing larger than the data [1]_.

References
----------
.. [1] T. Okatani, T. Yoshida and K. Deguchi, "Efficient algorithm for low-rank matrix factorization with
   missing components and performance comparison of latest algorithms", ICCV, 842-849, 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparse_fourier import initialization as start

_BLOCK_ENTRIES = 1 << 18
_FILLINGS = 12
_MAX_STEPS = 200
_MAX_CONJUGATE_STEPS = 60
_FORCING = 0.1
_FIRST_DAMPING = 1e-2
_LEAST_DAMPING = 1e-14
_MOST_DAMPING = 1e8
_RIDGE = 1e-15
_ROUNDING_ERRORS = 128.0
_NATS_OF_A_STEP = 1e-11
_ROUGH_STEPS = 12
_ROUGH_DECREASE = 1e-3
_NEARLY_EXACT = 1e-3
_FAINTEST = 1e-10
_LARGE_SHARE = 0.99


@dataclass(frozen=True)
class Observed:
    """The observed entries of weighted signals.

    Attributes
    ----------
    values : array of shape (n, d)
        Zero where nothing was observed.
    mask : array of shape (n, d)
        One where an entry was observed, else zero; or how much each entry counts.
    weights : array of shape (n,)
    centred : bool
        Whether signals have a mean.
    resolution : float
        Machine epsilon of the type in which the data came.
    """

    values: np.ndarray
    mask: np.ndarray
    weights: np.ndarray
    centred: bool
    resolution: float

    @property
    def counts(self) -> np.ndarray:
        """Number of observed entries of each signal."""
        return self.mask.sum(axis=1)

    def taken(self, rows: np.ndarray) -> Observed:
        """Return some of the signals."""
        parts = self.values[rows], self.mask[rows], self.weights[rows]
        return Observed(*parts, self.centred, self.resolution)

    def blocks(self, rank: int) -> list[slice]:
        """Return slices of rows that are worked on at once."""
        n, d = self.values.shape
        size = max(_BLOCK_ENTRIES // max(d, rank * rank, 1), 1)
        return [slice(first, first + size) for first in range(0, n, size)]


@dataclass(frozen=True)
class LowRank:
    """The signals within a span of low rank, as well as their entries allow.

    Attributes
    ----------
    mean : array of shape (d,)
    axes : array of shape (r, d)
        Orthonormal.
    coordinates : array of shape (n, r)
    inverses : array of shape (n, r, r)
        Covariance of the noise of each signal's coordinates, in units of the noise variance.
    residuals : array of shape (n, d)
        Times `mask`.
    value : float
        The weighted sum of their squares.
    """

    mean: np.ndarray
    axes: np.ndarray
    coordinates: np.ndarray
    inverses: np.ndarray
    residuals: np.ndarray
    value: float

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def inflation(self) -> np.ndarray:
        """How much more variance the noise of each signal's coordinates has than that of a complete one."""
        return np.trace(self.inverses, axis1=1, axis2=2) / max(self.rank, 1)


def low_rank(data: Observed, n_components: int | float | None, surplus: int) -> tuple[LowRank, int, bool]:
    """Return the signals within their span.

    Parameters
    ----------
    data : Observed
    n_components : int, float in (0, 1) or None
        Number, share of the observed variance, or None to estimate it.
    surplus : int
        By how much the number of components exceeds that of the axes.

    Returns
    -------
    solution : LowRank
    n_components : int
    trusted : bool
        False where their number was capped for want of white noise or of samples.
    """
    if isinstance(n_components, int):
        return _of_rank(data, n_components - surplus), n_components, True
    path = _grown(data, _enough(data, n_components))
    solution, trusted = path[-1], True
    if n_components is None and not _is_exact(data, solution) and not _believed(data, solution):
        solution, trusted = _capped(data, path), False
    finished = _fitted(data, solution.axes, solution.mean)
    return finished, max(finished.rank, 1) + surplus, trusted


def within(data: Observed, axes: np.ndarray, mean: np.ndarray) -> LowRank:
    """Return the signals within a given span: orthonormal axes, of shape (r, d), about a mean."""
    return _Evaluation(data, axes, mean).solution


def descended(data: Observed, axes: np.ndarray, mean: np.ndarray, n_steps: int) -> LowRank:
    """Return the signals after a few Gauss-Newton steps; entries may have weights."""
    here = _Evaluation(data, axes, mean)
    for _ in range(n_steps):
        there = here.moved(here.step(_FIRST_DAMPING)[0])
        if not there.solution.value < here.solution.value:
            break
        here = there
    return here.solution


def _of_rank(data: Observed, rank: int) -> LowRank:
    """Return the best solution of a rank, or an exact one of lower rank: what lies beyond is arbitrary."""
    rank = min(rank, min(data.values.shape) - data.centred)
    solution = _fitted(data, *_filled_in(data, rank))
    if solution.value > _NEARLY_EXACT * _constant(data).value:
        return solution
    grown = _grown(data, lambda found: found.rank == rank)[-1]
    if not _is_exact(data, grown):
        return solution
    return _fitted(data, grown.axes, grown.mean)


def _enough(data: Observed, share: float | None) -> Callable[[LowRank], bool]:
    """Return the rule by which no further axis is taken."""
    total = _constant(data).value
    if share is not None:
        return lambda found: found.rank > 0 and found.value <= (1 - share) * total
    return lambda found: found.rank > 0 and not _stands_out(data, found)


def _believed(data: Observed, found: LowRank) -> bool:
    n, d = data.weights.sum(), data.values.shape[1]
    return found.rank <= start.LARGE_PART * d and start.SAMPLES_PER_COMPONENT * found.rank <= n


def _capped(data: Observed, path: list[LowRank]) -> LowRank:
    """Return the first of the solutions that explains nearly all, or the most that samples can tell apart."""
    total, most = path[0].value, max(int(np.sqrt(data.weights.sum() / 2)), 1)
    enough = [found for found in path[1:] if found.value <= (1 - _LARGE_SHARE) * total]
    return min((enough or path)[0] if enough else path[-1], path[min(most, len(path) - 1)], key=_rank_of)


def _rank_of(found: LowRank) -> int:
    return found.rank


def _grown(data: Observed, enough: Callable[[LowRank], bool]) -> list[LowRank]:
    """Return solutions of one axis after another, each from the one before, until there are enough."""
    n, d = data.values.shape
    path = [_constant(data)]
    while len(path) < min(n, d) and not _is_exact(data, path[-1]) and not enough(path[-1]):
        last = path[-1]
        axes = np.append(last.axes, _strongest(data, last.residuals)[1][None], axis=0)
        path.append(_fitted(data, axes, last.mean, rough=True))
    return path


def _strongest(data: Observed, residuals: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the largest mean square along any direction, and that direction."""
    share = np.sqrt(data.weights / data.weights.sum())
    deviations, axes = _principal(residuals * share[:, None])
    return float(deviations[0] ** 2), axes[0]


def _stands_out(data: Observed, found: LowRank) -> bool:
    """Return whether the strongest direction of the residuals exceeds what white noise would give."""
    n, d = max(data.weights.sum() - 1, 1.0), data.values.shape[1]
    noise = found.value / max(_degrees_of_freedom(data, found.rank), 1.0)
    share = data.weights / data.weights.sum()
    most_observed = float((share @ data.mask).max())
    largest = _strongest(data, found.residuals)[0] * data.weights.sum() / n
    return largest > noise * most_observed * start.largest_of_noise(n, d - found.rank)


def _degrees_of_freedom(data: Observed, rank: int) -> float:
    """Return the number of entries less that of parameters."""
    d = data.values.shape[1]
    own = float(data.weights @ np.maximum(data.counts - rank, 0.0))
    return own - rank * (d - rank) - d * data.centred


def _constant(data: Observed) -> LowRank:
    """Return the signals as their mean alone."""
    n, d = data.values.shape
    seen = data.weights @ data.mask
    mean = (
        data.weights @ data.values / np.maximum(seen, np.finfo(float).tiny) if data.centred else np.zeros(d)
    )
    return _Evaluation(data, np.zeros((0, d)), mean).solution


def _is_exact(data: Observed, found: LowRank) -> bool:
    """Return whether the residuals are rounding errors."""
    scale = float(data.weights @ np.einsum("ij,ij->i", data.values, data.values))
    return found.value <= (_ROUNDING_ERRORS * data.resolution) ** 2 * scale


def _principal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values and right singular vectors, strongest first."""
    n, d = matrix.shape
    square = np.linalg.qr(matrix, mode="r") if n > d else matrix
    _, values, vectors = np.linalg.svd(square, full_matrices=False)
    return values, vectors


def _filled_in(data: Observed, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return axes and mean to start from, found by turns with what they say of the missing entries."""
    share = data.weights / data.weights.sum()
    mean = _constant(data).mean
    filled = np.where(data.mask > 0, data.values, mean)
    axes = np.zeros((rank, len(mean)))
    for _ in range(_FILLINGS):
        mean = share @ filled if data.centred else mean
        centred = filled - mean
        axes = _principal(centred * np.sqrt(share)[:, None])[1][:rank]
        filled = np.where(data.mask > 0, data.values, mean + (centred @ axes.T) @ axes)
    return axes, mean


def _fitted(data: Observed, axes: np.ndarray, mean: np.ndarray, *, rough: bool = False) -> LowRank:
    """Return the solution of least squares that is reached from axes and mean."""
    informative = data.counts > len(axes)
    seen = data if informative.all() else data.taken(informative)
    if len(seen.weights):
        axes, mean = _descend(seen, _orthonormal(axes), mean, rough=rough)
    return _Evaluation(data, axes, mean).solution


def _descend(
    data: Observed, axes: np.ndarray, mean: np.ndarray, *, rough: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return axes and mean after Gauss-Newton steps, damped as far as they need."""
    here, damping = _Evaluation(data, axes, mean), _FIRST_DAMPING
    nats = max(_degrees_of_freedom(data, len(axes)), 1.0)
    least = _ROUGH_DECREASE if rough else _NATS_OF_A_STEP / nats
    for _ in range(_ROUGH_STEPS if rough else _MAX_STEPS):
        step, promised = here.step(damping)
        if _is_exact(data, here.solution) or promised <= least * here.solution.value:
            break
        there = here.moved(step)
        if there.solution.value < here.solution.value:
            here, damping = there, max(0.1 * damping, _LEAST_DAMPING)
        elif damping < _MOST_DAMPING:
            damping *= 10
        else:
            break
    return here.solution.axes, here.solution.mean


def _orthonormal(axes: np.ndarray) -> np.ndarray:
    return np.linalg.qr(axes.T)[0].T


class _Evaluation:
    """The squares at some axes and mean, with what their derivatives are made of."""

    def __init__(self, data: Observed, axes: np.ndarray, mean: np.ndarray) -> None:
        n, r = len(data.values), len(axes)
        self._data = data
        coordinates, inverses = np.empty((n, r)), np.empty((n, r, r))
        residuals, squares = np.empty_like(data.values), np.empty(n)
        outer = (axes[:, None] * axes).reshape(r * r, len(mean)).T
        for rows in data.blocks(r):
            mask = data.mask[rows]
            left = data.values[rows] - mean
            grams = (mask @ outer).reshape(len(mask), r, r) + _RIDGE * np.eye(r)
            inverses[rows] = np.linalg.inv(grams)
            coordinates[rows] = np.einsum("nij,nj->ni", inverses[rows], (mask * left) @ axes.T)
            left -= coordinates[rows] @ axes
            residuals[rows] = mask * left
            squares[rows] = np.einsum("ij,ij->i", residuals[rows], left)
        value = float(data.weights @ squares)
        self.solution = LowRank(mean, axes, coordinates, inverses, residuals, value)
        self._design = np.append(coordinates, np.ones((n, int(data.centred))), axis=1)
        self._weighted = self._design * data.weights[:, None]

    def moved(self, step: np.ndarray) -> _Evaluation:
        """Return the evaluation after a step of axes and mean."""
        found, r = self.solution, self.solution.rank
        mean = found.mean + step[r] if self._data.centred else found.mean
        return _Evaluation(self._data, _orthonormal(found.axes + step[:r]), mean)

    def step(self, damping: float) -> tuple[np.ndarray, float]:
        """Return a Gauss-Newton step of shape (r + 1, d), and twice the decrease that it promises.

        Damping and preconditioning are by the blocks of features, which alone give an alternating step.
        """
        gradient = self._weighted.T @ self.solution.residuals
        blocks = self._blocks()
        inverses = np.linalg.inv(blocks)

        def apply(step: np.ndarray) -> np.ndarray:
            return self._curvature(step) + damping * np.einsum("jab,bj->aj", blocks, step)

        def precondition(step: np.ndarray) -> np.ndarray:
            return np.einsum("jab,bj->aj", inverses, step)

        step = _conjugate_gradients(apply, precondition, gradient)
        return step, float((step * gradient).sum())

    def _blocks(self) -> np.ndarray:
        width = self._design.shape[1]
        outer = (self._weighted[:, :, None] * self._design[:, None]).reshape(len(self._design), -1)
        blocks = (self._data.mask.T @ outer).reshape(-1, width, width)
        scale = np.trace(blocks, axis1=1, axis2=2)
        ridge = _FAINTEST * np.maximum(scale, np.finfo(float).tiny ** 0.5)
        return blocks + ridge[:, None, None] * np.eye(width)

    def _curvature(self, step: np.ndarray) -> np.ndarray:
        """Return the Gauss-Newton matrix times a step: what coordinates can follow does not count."""
        found, total = self.solution, np.zeros_like(step)
        for rows in self._data.blocks(found.rank):
            mask = self._data.mask[rows]
            change = mask * (self._design[rows] @ step)
            followed = np.einsum("nij,nj->ni", found.inverses[rows], change @ found.axes.T)
            total += self._weighted[rows].T @ (change - mask * (followed @ found.axes))
        return total


def _conjugate_gradients(
    apply: Callable[[np.ndarray], np.ndarray],
    precondition: Callable[[np.ndarray], np.ndarray],
    target: np.ndarray,
) -> np.ndarray:
    solution, left = np.zeros_like(target), target
    scaled = precondition(left)
    direction, size = scaled, float((left * scaled).sum())
    enough = _FORCING**2 * min(size, 1.0) * size
    for _ in range(_MAX_CONJUGATE_STEPS):
        if size <= enough:
            break
        image = apply(direction)
        curvature = float((direction * image).sum())
        if curvature <= 0:
            break
        length = size / curvature
        solution, left = solution + length * direction, left - length * image
        scaled = precondition(left)
        size, before = float((left * scaled).sum()), size
        direction = scaled + size / before * direction
    return solution
