"""Where to start: sinusoids on a grid of all frequencies that fit a span, or signals, well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np

from sparse_fourier.harmonics.projection import Chart, Problem, refine
from sparse_fourier.harmonics.record import Record, Terms
from sparse_fourier.harmonics.waves import DEPENDENT, Waves, eigen_of_two, grams_of, turned, whitening_of_two

_CANDIDATES_PER_COMPONENT = 3
_MOST_COMBINATIONS = 200
_STARTS = 6
_SWEEPS = 10


class Candidate(NamedTuple):
    """A sinusoid on the grid: its place there, sine and cosine coefficients, and how well it fits."""

    place: int
    weights: np.ndarray
    gain: float


def scan(record: Record, root: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of a root every sinusoid of the grid explains beside known directions.

    Parameters
    ----------
    record : Record
    root : array of shape (r, d)
        Orthonormal rows give squared cosines of the angle between span and sinusoid.
    known : array of shape (d, q)
        Orthonormal columns.

    Returns
    -------
    gains : array of shape (n_tried, 2)
        Of the worse and the better phase.
    weights : array of shape (n_tried, 2, 2)
        Columns: coefficients of sine and cosine for each of the two.
    """
    waves, whiten = record.waves, record.waves.whitening
    if known.shape[1]:
        root = root - (root @ known) @ known.T
        whiten = whitening_of_two(_beside(waves, known), DEPENDENT * record.times.size)
    gains, turns = eigen_of_two(turned(waves.energies(root), whiten))
    return gains, whiten @ turns


def _beside(waves: Waves, known: np.ndarray) -> np.ndarray:
    """Return the Gram matrices of what known directions leave of each pair."""
    return waves.grams - grams_of(waves.seen(known))


def _peaks(record: Record, gains: np.ndarray) -> np.ndarray:
    """Return where on the grid gains have local maxima, largest first."""
    table = gains.reshape(record.n_decays, -1)
    peak = np.ones(table.shape, dtype=bool)
    for rows, lower in ((table, peak), (table.T, peak.T)):
        lower[1:] &= rows[1:] >= rows[:-1]
        lower[:-1] &= rows[:-1] >= rows[1:]
    peaks = np.flatnonzero(peak)
    return peaks[np.argsort(-gains[peaks], kind="stable")]


def _candidates(record: Record, span: np.ndarray, most: int) -> list[Candidate]:
    """Return the sinusoids that lie best within a span, of both phases where both do."""
    gains, weights = scan(record, span, np.zeros((span.shape[1], 0)))
    found = [
        Candidate(place, weights[place, :, side], gains[place, side])
        for side in (1, 0)
        for place in _peaks(record, gains[:, side])[:most]
        if gains[place, side] > DEPENDENT
    ]
    return sorted(found, key=lambda candidate: -candidate.gain)[:most]


def _terms_of(record: Record, chosen: list[Candidate]) -> Terms:
    """Return components of one term each."""
    cycles, decays = record.waves.grid
    places = [candidate.place for candidate in chosen]
    weights = np.array([candidate.weights for candidate in chosen])
    coefficients = (weights[:, 1] - 1j * weights[:, 0])[:, None]
    coefficients = coefficients / np.abs(coefficients)
    return Terms(cycles[places, None], decays[places, None], coefficients)


def _exchanged(problem: Problem, k: int) -> list[Candidate]:
    """Return sinusoids chosen one by one to explain most, then exchanged one by one while that helps."""
    chosen: list[Candidate] = []
    for _ in range(k):
        chosen.append(_best(problem, chosen))
    for _ in range(_SWEEPS):
        before = [candidate.place for candidate in chosen]
        for j in range(k):
            chosen[j] = _best(problem, chosen[:j] + chosen[j + 1 :])
        if [candidate.place for candidate in chosen] == before:
            break
    return chosen


def _best(problem: Problem, others: list[Candidate]) -> Candidate:
    """Return the sinusoid that explains most beside others."""
    record = problem.record
    known = np.zeros((record.times.size, 0))
    if others:
        known = np.linalg.qr(_waves_of(record, others).T)[0]
    gains, weights = scan(record, problem.root, known)
    if gains[:, 1].max() <= problem.floor:
        return _farthest(record, known)
    place = int(np.argmax(gains[:, 1]))
    return Candidate(place, weights[place, :, 1], gains[place, 1])


def _farthest(record: Record, known: np.ndarray) -> Candidate:
    """Return the sine or cosine that is farthest from known directions, where nothing is left to explain."""
    left = _beside(record.waves, known)[[0, 2]]
    side, place = np.unravel_index(np.argmax(left), left.shape)
    return Candidate(int(place), np.eye(2)[side], 0.0)


def _waves_of(record: Record, chosen: list[Candidate]) -> np.ndarray:
    """Return waveforms of unit norm, one a row."""
    pairs = record.waves.at([candidate.place for candidate in chosen])
    waves = np.einsum("ci,cid->cd", [candidate.weights for candidate in chosen], pairs)
    return waves / np.linalg.norm(waves, axis=1, keepdims=True)


def _combined(problem: Problem, candidates: list[Candidate], k: int) -> list[list[Candidate]]:
    """Return choices of k candidates, those that leave least of the root first."""
    choices = _first_choices(len(candidates), k)
    shared = _n_shared(choices)
    waves = _waves_of(problem.record, candidates)
    known = np.linalg.qr(waves[:shared].T)[0]
    left, root = waves - (waves @ known) @ known.T, problem.root - (problem.root @ known) @ known.T
    bases = np.linalg.qr(left[choices[:, shared:]].swapaxes(1, 2))[0]
    explained = ((root @ bases) ** 2).sum(axis=(1, 2))
    return [[candidates[i] for i in choices[j]] for j in np.argsort(-explained, kind="stable")]


@lru_cache(maxsize=16)
def _first_choices(n: int, k: int) -> np.ndarray:
    """Return the first choices of k of n, of shape (n_choices, k), not to be written to."""
    return np.array(list(islice(combinations(range(n), k), _MOST_COMBINATIONS)))


def _n_shared(choices: np.ndarray) -> int:
    """Return how many of their first members all choices share, if there are others."""
    alike = (choices == choices[0]).all(axis=0)
    return min(int(np.argmin(np.append(alike, False))), choices.shape[1] - 1)


def starts(problem: Problem, span: np.ndarray, suffice: Callable[[Terms], bool]) -> Iterator[Terms]:
    """Yield components of one term to start from, likely ones first.

    Parameters
    ----------
    problem : Problem
    span : array of shape (k, d)
        Orthonormal rows: the strongest of the signals.
    suffice : callable
        Whether terms explain the signals as they are; where the best of them one by one do, others need not
        be compared.
    """
    k, record = len(span), problem.record
    candidates = _candidates(record, span, _CANDIDATES_PER_COMPONENT * k)
    if len(candidates) >= k:
        strongest = _terms_of(record, candidates[:k])
        if suffice(strongest):
            yield strongest
    combined = _combined(problem, candidates, k) if len(candidates) >= k else []
    yield from (_terms_of(record, chosen) for chosen in combined[:1])
    yield _terms_of(record, _exchanged(problem, k))
    yield from (_terms_of(record, chosen) for chosen in combined[1:_STARTS])
    yield _terms_of(record, _exchanged(replace(problem, root=np.zeros_like(problem.root)), k))


def decompose(record: Record, waveforms: np.ndarray, n_terms: int, max_iter: int) -> Terms:
    """Return each waveform as the sum of so many sinusoids that fits it best.

    Parameters
    ----------
    record : Record
    waveforms : array of shape (k, d)
    n_terms : int
    max_iter : int
    """
    parts = [_decomposed(Problem(row[None], record), n_terms, max_iter) for row in waveforms]
    return Terms(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _decomposed(problem: Problem, n_terms: int, max_iter: int) -> Terms:
    record, places = problem.record, []
    for _ in range(n_terms):
        places.append(_best_pair(problem, places))
    for _ in range(_SWEEPS):
        before = list(places)
        for j in range(n_terms):
            places[j] = _best_pair(problem, places[:j] + places[j + 1 :])
        if places == before:
            break
    pairs = record.waves.at(places).reshape(2 * n_terms, -1)
    sines, cosines = np.linalg.lstsq(pairs.T, problem.root[0], rcond=DEPENDENT)[0].reshape(n_terms, 2).T
    coefficients = cosines - 1j * sines
    cycles, decays = record.waves.grid
    start = Terms(
        cycles[places][None], decays[places][None], (coefficients / np.linalg.norm(coefficients))[None]
    )
    return refine(problem, start, Chart.free(record, start), max_iter).state.terms


def _best_pair(problem: Problem, others: list[int]) -> int:
    """Return the place of the sine and cosine that explain most beside others."""
    waves = problem.record.waves.at(others).reshape(-1, problem.record.times.size)
    left, sizes, _ = np.linalg.svd(waves.T, full_matrices=False)
    gains, _ = scan(problem.record, problem.root, left[:, sizes > DEPENDENT * sizes.max(initial=0.0)])
    return int(np.argmax(gains.sum(axis=1)))
