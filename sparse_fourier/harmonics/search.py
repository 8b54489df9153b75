"""The sinusoids that span signals best, from as many starts as it takes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from sparse_fourier.harmonics.projection import Chart, Problem, Refined, refine
from sparse_fourier.harmonics.record import TAU, Record, Terms
from sparse_fourier.harmonics.scanning import starts

_ITERATIONS_TO_COMPARE = 60
_STANDARD_ERRORS = 4.0
_NEAR = 0.5
_FAR = 2.0
_SAME = 1e-6
_SINGLE_PRECISION = float(np.finfo(np.float32).eps) ** 2
_DISTANCES = (0.03, 0.1, 0.3)
_TURNS = tuple(np.exp(1j * np.pi * np.arange(8) / 8))


def search(problem: Problem, k: int, n_samples: float, max_iter: int) -> Refined:
    """Return the k sinusoids that leave least of the root, from as many starts as it takes.

    Parameters
    ----------
    problem : Problem
    k : int
    n_samples : float
        How many signals the root stands for; the noise in them says when a start has found all there is.
    max_iter : int
        Of each start.
    """
    _, deviations, axes = np.linalg.svd(problem.root, full_matrices=False)
    noise = _Noise(problem, k, float((deviations[k:] ** 2).sum()), n_samples)
    found: list[Refined] = []
    for terms in starts(problem, axes[:k], lambda terms: noise.accounts_for(problem.at(terms).loss)):
        if np.isfinite(problem.at(terms).loss):
            found.append(_with_pairs(problem, terms, noise, min(max_iter, _ITERATIONS_TO_COMPARE)))
            if noise.explains(found[-1]) or _agree(found[-2:], problem.energy):
                break
    else:
        found = [refined for refined in found if refined.state.is_sound] or found
    best = min(found, key=lambda refined: refined.state.loss)
    return best if best.converged else refine(problem, best.state.terms, best.chart, max_iter)


def _agree(found: list[Refined], energy: float) -> bool:
    """Return whether two starts ended alike, where all that is left may be rounding to single precision."""
    losses = [refined.state.loss for refined in found]
    return len(losses) > 1 and max(losses) <= min((1 + _SAME) * min(losses), _SINGLE_PRECISION * energy)


@dataclass(frozen=True)
class _Noise:
    """How much of the loss noise alone accounts for.

    Attributes
    ----------
    problem : Problem
    k : int
    least : float
        Loss of the principal span, which no waveforms can undercut.
    n_samples : float
    """

    problem: Problem
    k: int
    least: float
    n_samples: float

    def allows(self, more: float, n_parameters: int) -> bool:
        """Return whether so many parameters less may cost so much more loss."""
        d = self.problem.root.shape[1]
        variance = self.least / max((self.n_samples - 1 - self.k) * (d - self.k), 1.0)
        limit = n_parameters + _STANDARD_ERRORS * np.sqrt(2.0 * n_parameters)
        return more <= max(variance * limit, self.problem.floor)

    def explains(self, refined: Refined) -> bool:
        """Return whether the loss is no more than noise makes it."""
        return self.accounts_for(refined.state.loss)

    def accounts_for(self, loss: float) -> bool:
        """Return whether a loss is no more than noise makes it."""
        d, per_wave = self.problem.root.shape[1], 3 if self.problem.record.damped else 2
        spare = max(self.k * (d - self.k - per_wave), 0)
        return self.allows(loss - self.least, spare)


def _with_pairs(problem: Problem, terms: Terms, noise: _Noise, max_iter: int) -> Refined:
    """Return the minimum next to a start, with one frequency for two components where that suffices.

    A tone of random phase takes two components, of one frequency. That is a singular point of two frequencies
    that are free, where steps lose their speed and estimates their precision.
    """
    twins = _twins(terms, 0.0)
    if not twins:
        return _with_fewer(problem, terms, noise, max_iter)
    tied = refine(problem, *_tied(problem.record, terms, twins), max_iter)
    if noise.explains(tied):
        return tied
    apart = _with_fewer(problem, _parted(problem, tied.state.terms, twins), noise, max_iter)
    merged = tied.state.is_sound and not (apart.state.is_sound or noise.explains(apart))
    return tied if merged or tied.state.loss <= apart.state.loss else apart


def _with_fewer(problem: Problem, terms: Terms, noise: _Noise, max_iter: int) -> Refined:
    """Return the minimum next to a start, with fewer parameters where these suffice."""
    free = refine(problem, terms, Chart.free(problem.record, terms), max_iter)
    for simplify in (_tied_near, _at_edges):
        free = _simplified(problem, free, simplify(problem.record, free.state.terms), noise, max_iter)
    return free


def _parted(problem: Problem, terms: Terms, pairs: list[tuple[int, int]]) -> Terms:
    """Return terms with pairs of one frequency moved apart, at the phases and as far as explains most.

    One frequency is a saddle point of two, where no gradient leads apart.
    """
    for pair in pairs:
        tried = [_split(terms, pair, *way) for way in product(_DISTANCES, _TURNS)]
        terms = min(tried, key=lambda terms: problem.at(terms).loss)
    return terms


def _split(terms: Terms, pair: tuple[int, int], distance: float, turn: complex) -> Terms:
    cycles, coefficients = terms.cycles.copy(), terms.coefficients.copy()
    cycles[list(pair)] += np.array([[-distance], [distance]])
    coefficients[list(pair)] *= turn
    return Terms(np.maximum(cycles, 0.0), terms.decays, coefficients)


def _tied_near(record: Record, terms: Terms) -> tuple[Terms, Chart] | None:
    twins = _twins(terms, _NEAR)
    return _tied(record, terms, twins) if twins else None


def _simplified(
    problem: Problem, found: Refined, simpler: tuple[Terms, Chart] | None, noise: _Noise, max_iter: int
) -> Refined:
    """Return the minimum with fewer parameters, if that is no worse than noise makes it."""
    if simpler is None:
        return found
    start, chart = simpler
    dropped = len(chart.columns) - chart.columns.shape[1]
    if problem.at(start).loss > _FAR * found.state.loss + problem.floor:
        return found
    refined = refine(problem, start, chart, max_iter)
    return refined if noise.allows(refined.state.loss - found.state.loss, dropped) else found


def _at_edges(record: Record, terms: Terms) -> tuple[Terms, Chart] | None:
    """Return terms with those near zero made constant, those near Nyquist's frequency alternating.

    Amplitude and phase are one there, and steps towards such a point are slow.
    """
    close = [(edge, np.flatnonzero(np.abs(terms.cycles[:, 0] - edge) < _NEAR)) for edge in record.edges]
    if not any(len(near) for _, near in close):
        return None
    cycles, decays, coefficients = (part.copy() for part in terms)
    columns = Chart.free(record, terms).columns
    q, dropped = len(columns) // len(cycles), []
    for edge, near in close:
        cycles[near], coefficients[near] = edge, np.exp(-TAU * 1j * edge * record.times.min())
        dropped += [j * q + parameter for j in near for parameter in (0, q - 1)]
    return Terms(cycles, decays, coefficients), Chart(np.delete(columns, dropped, axis=1))


def _twins(terms: Terms, distance: float) -> list[tuple[int, int]]:
    """Return disjoint pairs of components whose frequencies differ by no more than a distance."""
    order = np.argsort(terms.cycles[:, 0], kind="stable")
    gaps = np.diff(terms.cycles[order, 0])
    pairs: list[tuple[int, int]] = []
    for place in np.argsort(gaps, kind="stable"):
        one, other = int(order[place]), int(order[place + 1])
        if gaps[place] <= distance and not {one, other} & {i for pair in pairs for i in pair}:
            pairs.append((one, other))
    return pairs


def _tied(record: Record, terms: Terms, pairs: list[tuple[int, int]]) -> tuple[Terms, Chart]:
    """Return terms with pairs turned into sine and cosine of one frequency and damping, and their chart."""
    cycles, decays, coefficients = (part.copy() for part in terms)
    columns = Chart.free(record, terms).columns
    q, dropped = len(columns) // len(cycles), []
    for one, other in pairs:
        for part in (cycles, decays):
            part[[one, other]] = part[[one, other]].mean()
        turn = np.exp(TAU * 1j * cycles[one] * record.middle / record.length)
        coefficients[one], coefficients[other] = -1j * turn, turn
        for parameter in range(q - 1):
            columns[other * q + parameter, one * q + parameter] = 1.0
        dropped += [one * q + q - 1, *range(other * q, other * q + q)]
    return Terms(cycles, decays, coefficients), Chart(np.delete(columns, dropped, axis=1))
