"""Other samples that the same distribution could have given: by weights, and by new codes near faces."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparse_fourier.estimates import Estimate
from sparse_fourier.refits import Resamples

_NEAREST = 30
_NEAREST_PER_COMPONENT = 10
_FLUCTUATIONS = 3.0
_REACH_OF_NOISE = 7.0
_CROWDED = 15.0


class Face(NamedTuple):
    """What is near one end of the density of one code.

    Attributes
    ----------
    code : int
    place, sign : float
        Codes lie at place + sign * distance.
    near : array of shape (m,)
        The nearest signals, nearest first.
    depth : float
        Distance of the farthest of them.
    weight : float
        How many they are, with their weights.
    """

    code: int
    place: float
    sign: float
    near: np.ndarray
    depth: float
    weight: float

    @property
    def rate(self) -> float:
        """How many signals there are to a unit of the code."""
        return self.weight / self.depth


def faces_of(estimate: Estimate) -> list[Face]:
    """Return the faces of the support, and edges of densities, with the signals near them."""
    ends = estimate.prior.ends(estimate.k)
    return [_face(estimate, j, *end) for j in range(estimate.k) for end in ends[j]]


def _face(estimate: Estimate, j: int, place: float, sign: float) -> Face:
    distances = sign * (estimate.codes[:, j] - place)
    order = np.argsort(distances)
    counts = np.cumsum(estimate.weights[order])
    wanted = _NEAREST + _NEAREST_PER_COMPONENT * estimate.k
    last = min(int(np.searchsorted(counts, wanted)), len(order) - 1)
    depth = max(float(distances[order[last]]), np.finfo(float).tiny)
    return Face(j, place, sign, order[: last + 1], depth, float(counts[last]))


def crowding(estimate: Estimate, faces: list[Face]) -> float:
    """Return how many signals lie within the noise of the face where they are fewest; infinite without faces.

    Where they are many, the likelihood is smooth on the scale of the errors; where they are few, single
    signals hold the faces in place, and errors go with 1 / n.
    """
    noise = np.sqrt(np.diagonal(estimate.noise))
    return min((face.rate * noise[face.code] for face in faces), default=np.inf)


def is_regular(estimate: Estimate, faces: list[Face]) -> bool:
    """Return whether errors are normal and go with one over the root of n."""
    return crowding(estimate, faces) > _CROWDED


def counts_of(estimate: Estimate, n_draws: int, rng: np.random.RandomState) -> np.ndarray:
    """Return how often each signal occurs in resamples, over their number, of shape (n_draws, n)."""
    size = max(round(min(estimate.n, 1e9)), 1)
    return rng.multinomial(size, estimate.share, size=n_draws) / size


def reweighted(estimate: Estimate, counts: np.ndarray) -> Resamples:
    """Return the resamples that weights alone make, of those signals that matter to each code."""
    rows = estimate.codes - estimate.mean
    matters = _matters(estimate)
    if matters.all():
        return Resamples(rows[None, None], counts[:, None])
    chosen = [np.flatnonzero(column) for column in matters.T]
    size = max(map(len, chosen))
    padded = np.stack([np.pad(each, (0, size - len(each))) for each in chosen])
    real = np.stack([np.arange(size) < len(each) for each in chosen])
    return Resamples(rows[padded][None], counts[:, padded] * real)


def _matters(estimate: Estimate) -> np.ndarray:
    """Return which codes can come near a face in the course of a refit."""
    deviations = np.sqrt(estimate.code_variances)
    return estimate.prior.matters(estimate.codes, 2 * _REACH_OF_NOISE * deviations)


def redrawn(
    estimate: Estimate, faces: list[Face], counts: np.ndarray, rng: np.random.RandomState
) -> Resamples:
    """Return resamples in which codes near faces are drawn anew.

    Resampled signals would repeat the few that hold a face in place, and those distances are what errors are
    made of, so that the bootstrap fails there [1]_. Distances from a face are drawn as those of a Poisson
    process of the rate that is observed near it, with noise; the other codes are those of signals
    near the same face.

    References
    ----------
    .. [1] P. J. Bickel and D. A. Freedman, "Some asymptotic theory for the bootstrap", Annals of Statistics
       9(6), 1196-1217, 1981.
    """
    k, b = estimate.k, len(counts)
    near = [[face for face in faces if face.code == j] for j in range(k)]
    drawn = [[_drawn(estimate, face, b, rng) for face in own] for own in near]
    interior = _interior(estimate, near)
    size = max(
        len(rest) + sum(rows.shape[1] for rows, _ in own) for rest, own in zip(interior, drawn, strict=True)
    )
    rows, weights = np.zeros((b, k, size, k)), np.zeros((b, k, size))
    for j, (rest, own) in enumerate(zip(interior, drawn, strict=True)):
        rows[:, j, : len(rest)], weights[:, j, : len(rest)] = estimate.codes[rest], counts[:, rest]
        filled = len(rest)
        for codes, present in own:
            place = slice(filled, filled + codes.shape[1])
            rows[:, j, place], weights[:, j, place] = codes, present / estimate.n
            filled = place.stop
    return Resamples(rows - estimate.mean, weights)


def _interior(estimate: Estimate, near: list[list[Face]]) -> list[np.ndarray]:
    """Return for each code the signals that matter and are near none of its faces."""
    matters = _matters(estimate)
    left = []
    for j, own in enumerate(near):
        kept = matters[:, j].copy()
        for face in own:
            kept[face.near] = False
        left.append(np.flatnonzero(kept))
    return left


def _drawn(
    estimate: Estimate, face: Face, n_draws: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of shape (n_draws, m, k) near a face, and which of them there are."""
    m = int(np.ceil(face.weight + _FLUCTUATIONS * np.sqrt(face.weight)))
    distances = np.cumsum(rng.exponential(size=(n_draws, m)), axis=1) / face.rate
    present = distances < face.depth
    share = estimate.weights[face.near] / estimate.weights[face.near].sum()
    companions = rng.choice(face.near, size=(n_draws, m), p=share)
    codes = estimate.codes[companions].copy()
    deviation = 0.0 if estimate.prior.includes_noise else np.sqrt(estimate.noise[face.code, face.code])
    own = face.place + face.sign * distances + deviation * rng.standard_normal(distances.shape)
    if estimate.prior.domain.surplus:
        others = 1.0 - codes[..., face.code]
        codes *= ((1.0 - own) / np.where(others == 0, 1.0, others))[..., None]
    codes[..., face.code] = own
    return codes, present
