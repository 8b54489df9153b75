"""The basis fitted again to many resampled versions of the codes, all at once, from the solution there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparse_fourier.estimates import Estimate, jets
from sparse_fourier.objective import LocalModel

_MOST_STEPS = 40
_RETRY_DAMPING = 0.3
_LEAST_DAMPING = 1e-2
_EASING, _RAISING = 10.0, 5.0
_HOPELESS_DAMPING = 1e5
_NATS = 1e-2
_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class Resamples:
    """Resampled codes: what each refit looks at.

    Attributes
    ----------
    rows : array of shape (b or 1, k or 1, m, k)
        Codes less their mean, for every refit and every code whose density is looked at; or for all alike.
    weights : array of shape (b, k or 1, m)
        Those of all signals together have sum one; rows that cannot matter are left out.
    """

    rows: np.ndarray
    weights: np.ndarray

    @property
    def count(self) -> int:
        """Number of refits."""
        return len(self.weights)

    def blocks(self) -> Iterator[slice]:
        """Yield slices of refits that are worked on at once."""
        k = self.rows.shape[-1]
        size = max(_BLOCK_ENTRIES // (self.weights.shape[-1] * k * (k + 6)), 1)
        for first in range(0, self.count, size):
            yield slice(first, first + size)

    def taken(self, chosen: slice | np.ndarray) -> Resamples:
        """Return some of them."""
        return Resamples(self.rows if len(self.rows) == 1 else self.rows[chosen], self.weights[chosen])


class _State(NamedTuple):
    unmixing: np.ndarray
    offset: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    damping: np.ndarray


def refit(estimate: Estimate, resamples: Resamples) -> np.ndarray:
    """Return the codes' maps that are likeliest for each resample, by damped Newton steps from none.

    Parameters
    ----------
    estimate : Estimate
        Of an independent prior.
    resamples : Resamples

    Returns
    -------
    array of shape (b, k, k + 1)
        What codes h become: map @ [h - mean, 1]. The first k columns are near the identity.
    """
    parts = [_refitted(estimate, resamples.taken(chosen)) for chosen in resamples.blocks()]
    return np.concatenate(parts)


def _refitted(estimate: Estimate, resamples: Resamples) -> np.ndarray:
    """Return the maps of some refits; those that have settled are left alone."""
    problem = _Problem(estimate, resamples)
    state = problem.start()
    maps = np.empty((resamples.count, estimate.k, estimate.k + 1))
    left = np.arange(resamples.count)
    for _ in range(_MOST_STEPS):
        state, settled = problem.step(state)
        maps[left] = np.append(state.unmixing, state.offset[..., None], axis=-1)
        if settled.all():
            break
        if settled.any():
            left, problem = left[~settled], problem.without(settled)
            state = _State._make(part[~settled] for part in state)
    return maps


class _Problem:
    """The likelihoods of all resamples, each a function of its own basis."""

    def __init__(self, estimate: Estimate, resamples: Resamples) -> None:
        self._estimate, self._resamples = estimate, resamples
        self._free = estimate.free
        self._held = np.eye(len(self._free)) - self._free
        surplus = bool(estimate.prior.domain.surplus)
        self._noise = np.zeros_like(estimate.noise) if surplus else estimate.noise
        variances = np.diagonal(estimate.noise) * surplus
        self._floor = variances + estimate.floor

    def start(self) -> _State:
        """Return the state before the first step: where the estimate is."""
        count, k = self._resamples.count, self._estimate.k
        unmixing = np.broadcast_to(np.eye(k), (count, k, k)).copy()
        offset = np.broadcast_to(self._estimate.mean, (count, k)).copy()
        with np.errstate(all="ignore"):
            found = self._expand(unmixing, offset)
        return _State(unmixing, offset, *found, np.zeros(count))

    def without(self, settled: np.ndarray) -> _Problem:
        """Return what is left when some refits have settled."""
        return _Problem(self._estimate, self._resamples.taken(~settled))

    def _expand(self, unmixing: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return value, gradient of shape (b, k, k + 1) and Hessian, in relative coordinates."""
        rows, weights = self._resamples.rows, self._resamples.weights
        count, k = offset.shape
        moved = rows @ unmixing.swapaxes(-1, -2)[:, None]
        codes = _own_codes(moved, k) + offset[..., None]
        spread = unmixing @ self._noise @ unmixing.swapaxes(-1, -2)
        variances = np.diagonal(spread, axis1=-2, axis2=-1) + self._floor
        flat = codes.swapaxes(1, 2).reshape(-1, k)
        m = codes.shape[-1]
        jet = jets(self._estimate.prior, flat, np.repeat(variances, m, axis=0))
        shaped = [np.where(weights > 0, _by_code(part, count) * -weights, 0.0) for part in jet]
        value, first, by_variance, second, mixed, by_variances = shaped
        extended = np.append(moved, np.ones((*moved.shape[:-1], 1)), axis=-1)
        curved = second[..., None] * extended[..., :k]
        plain = np.stack([second, first, mixed, by_variance, by_variances, value], axis=-1)
        sums = np.concatenate([curved, plain], axis=-1).swapaxes(-1, -2) @ extended
        model = LocalModel.collect(sums, spread)
        total = sums[..., -1, -1].sum(axis=1) - np.linalg.slogdet(unmixing)[1]
        return total, model.gradient, model.hessian()

    def step(self, state: _State) -> tuple[_State, np.ndarray]:
        """Return the states after a step of each, and which need no other."""
        count, k = state.offset.shape
        gradient = state.gradient.reshape(count, -1) @ self._free
        damped = self._free @ state.hessian @ self._free + self._held
        scale = np.trace(damped, axis1=1, axis2=2) / len(self._free)
        damped += (state.damping * scale)[:, None, None] * np.eye(len(self._free))
        step = -_solved(damped, gradient)
        promise = -(step * gradient).sum(axis=1)
        moved = step.reshape(count, k, k + 1)
        unmixing = state.unmixing + moved[..., :k] @ state.unmixing
        offset = state.offset + moved[..., k]
        with np.errstate(all="ignore"):
            found = self._expand(unmixing, offset)
        better = _finite(found) & (promise >= 0) & (found[0] <= state.value + 1e-13 * np.abs(state.value))
        faithful = state.value - found[0] > 0.25 * promise
        eased = np.where(faithful, state.damping / _EASING, state.damping)
        raised = np.maximum(state.damping * _RAISING, _RETRY_DAMPING)
        damping = np.where(better, np.where(eased < _LEAST_DAMPING, 0.0, eased), raised)
        after = (unmixing, offset, *found)
        kept = (np.where(_like(better, new), new, old) for new, old in zip(after, state[:-1], strict=True))
        done = better & (promise * self._estimate.n < _NATS)
        return _State._make([*kept, damping]), done | (damping > _HOPELESS_DAMPING)


def _solved(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the solutions of many systems; of least norm where one of them has no other."""
    try:
        return np.linalg.solve(matrices, vectors[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return (np.linalg.pinv(np.nan_to_num(matrices)) @ vectors[..., None])[..., 0]


def _finite(found: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return which of many evaluations are finite."""
    return np.all([np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in found], axis=0)


def _by_code(part: np.ndarray, count: int) -> np.ndarray:
    """Return of values for rows of all refits those of each, of shape (b, k, m)."""
    return part.reshape(count, -1, part.shape[1]).swapaxes(1, 2)


def _own_codes(moved: np.ndarray, k: int) -> np.ndarray:
    """Return of rows for each code that code, of shape (b, k, m)."""
    if moved.shape[1] == 1:
        return moved[:, 0].swapaxes(-1, -2)
    return np.stack([moved[:, j, :, j] for j in range(k)], axis=1)


def _like(chosen: np.ndarray, array: np.ndarray) -> np.ndarray:
    return chosen.reshape(-1, *[1] * (array.ndim - 1))
