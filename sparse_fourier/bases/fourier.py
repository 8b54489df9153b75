"""Components that are sinusoids, or sums of a few."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from sparse_fourier import harmonics
from sparse_fourier.bases.base import Basis, LearnedWaveforms
from sparse_fourier.harmonics import Record, Sinusoids
from sparse_fourier.harmonics.errors import Moments, WaveformErrors, sinusoid_errors

_ITERATIONS_TO_START = 20


class Sampled(NamedTuple):
    """Sinusoids, with the positions of shape (d,) where they are sampled: the parameters of the basis."""

    sinusoids: Sinusoids
    positions: np.ndarray


@dataclass
class Fourier(Basis):
    r"""Waveforms that are sums of a few sinusoids, of learned frequencies, on any grid.

    .. math:: W(t) = \sum_{m} A_m \, e^{-\gamma_m t} \sin(2\pi f_m t + \varphi_m)

    One sinusoid per component picks the basis of the span by itself: the prior is left with the scale, offset
    and sign of the codes. With more of them the prior picks the basis first, each component is taken apart
    into sinusoids, and all of them are fitted to the signals at once. In both cases the waveforms are those
    that leave the smallest sum of squared residuals, by variable projection [1]_ with exact Newton steps;
    with white noise that is maximum likelihood, and frequencies closer than one over the length of
    the record are no obstacle.

    A tone of random phase takes two components, sine and cosine; where one frequency explains two components
    as well as two do, they are given one, and phases a quarter of a turn apart. `tones` says what amplitude
    and phase each signal has.

    Parameters
    ----------
    positions : array-like of shape (d,), default=None
        Where signals are sampled: times, in any unit and order; None is 0, 1, ... d - 1. Damping counts from
        position zero, which should therefore not be far away from the record.
    n_terms : int, default=1
        Number of sinusoids in each component.
    damped : bool, default=False
        Whether they decay.
    max_frequency : float, default=None
        Highest frequency, in cycles per unit of the positions. None is half of one over the mean distance of
        neighbouring positions: Nyquist's frequency of a regular grid. Positions that are irregular tell
        higher frequencies apart as well, at the risk of mistaking noise for them.

    Notes
    -----
    Frequencies are 0, for a constant, or at least a thousandth of a cycle in the whole record: a slower
    sinusoid cannot be told from a straight line. A constant, and a component that alternates at Nyquist's
    frequency, are recognised where a sinusoid next to them is no better than noise makes it. After a fit,
    terms are in the order of their frequencies.

    References
    ----------
    .. [1] G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
       problems whose variables separate", SIAM Journal on Numerical Analysis 10(2), 413-432, 1973.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.bases import Fourier
    >>> times = np.sort(np.random.default_rng(0).uniform(0, 10, size=40))
    >>> codes = np.random.default_rng(1).uniform(size=(100, 2))
    >>> signals = codes @ np.sin(2 * np.pi * np.outer([0.31, 0.35], times))
    >>> model = AutoencoderDecomposer(basis=Fourier(positions=times)).fit(signals)
    >>> np.sort(model.frequencies_.ravel()).round(10)
    array([0.31, 0.35])
    >>> model.basis_.waveforms([10.0, 10.5]).shape
    (2, 2)
    """

    has_own_fit: ClassVar[bool] = True

    positions: Any = None
    n_terms: int = 1
    damped: bool = False
    max_frequency: float | None = None
    sinusoids: Sinusoids | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def needs_prior(self) -> bool:
        """Whether there are several terms to a component, whose sums only the prior tells apart."""
        return self.n_terms > 1

    def evaluate(self, parameters: Sampled) -> np.ndarray:
        """Return the components that sinusoids make at the positions that come with them."""
        return parameters.sinusoids.at(parameters.positions)

    def initialize(self, span: np.ndarray, k: int) -> Sampled:
        """Return the sinusoids that lie best within a span, and the positions of its samples."""
        record = self.record(span.shape[1])
        if self.n_terms == 1:
            problem = harmonics.Problem(span, record)
            terms = harmonics.search(problem, k, np.inf, _ITERATIONS_TO_START).state.terms
        else:
            terms = harmonics.decompose(record, span[:k], self.n_terms, _ITERATIONS_TO_START)
        return Sampled(_unit(record, terms)[0], record.positions)

    def waveforms(self, positions: ArrayLike) -> np.ndarray:
        """Return the learned components at any positions: between those of the signals, or beyond.

        Parameters
        ----------
        positions : array-like of shape (n_positions,)
            In the unit of the basis' own.

        Returns
        -------
        ndarray of shape (k, n_positions)
            One component a row. At the positions of the fit they are the estimator's `components_`.

        Raises
        ------
        ValueError
            If nothing was learned yet.
        """
        return self._learned.at(np.asarray(positions, dtype=float))

    def tones(self, codes: ArrayLike, pair: tuple[int, int] = (0, 1)) -> tuple[np.ndarray, np.ndarray]:
        """Return amplitude and phase that a tone of random phase has in every signal.

        Two components of one frequency and damping add up to h W + h' W' = A exp(-g t) sin(2 pi f t + p).

        Parameters
        ----------
        codes : array-like of shape (n, k)
            As the estimator's `transform` returns them.
        pair : tuple of two ints, default=(0, 1)
            The two components.

        Returns
        -------
        amplitudes : ndarray of shape (n,)
            In the unit of the signals, not negative.
        phases : ndarray of shape (n,)
            In (-pi, pi].

        Raises
        ------
        ValueError
            If nothing was learned yet, or the two are not one tone.

        Examples
        --------
        >>> import numpy as np
        >>> from sparse_fourier import AutoencoderDecomposer
        >>> rng = np.random.default_rng(0)
        >>> size, turn = rng.uniform(1, 2, size=100), rng.uniform(-3, 3, size=100)
        >>> signals = size[:, None] * np.sin(0.5 * np.arange(40) + turn[:, None])
        >>> model = AutoencoderDecomposer(2, prior="gaussian", basis="fourier", fit_intercept=False).fit(
        ...     signals
        ... )
        >>> amplitudes, phases = model.basis_.tones(model.transform(signals))
        >>> bool(np.allclose(amplitudes, size) and np.allclose(phases, turn))
        True
        """
        learned, chosen = self._learned, list(pair)
        one, other = learned.frequencies[chosen], learned.dampings[chosen]
        if self.n_terms > 1 or np.ptp(one) > 0 or np.ptp(other) > 0:
            raise ValueError(
                f"The components {pair} are not the sine and cosine of one tone: their frequencies are "
                f"{one.ravel().tolist()}."
            )
        vectors = learned.amplitudes[chosen, 0] * np.exp(1j * learned.phases[chosen, 0])
        sums = np.asarray(codes, dtype=float)[:, chosen] @ vectors
        return np.abs(sums), harmonics.wrapped(np.angle(sums))

    def check(self, n_features: int) -> None:
        """Refuse positions, terms or frequencies that make no sense for signals of some length."""
        if (
            isinstance(self.n_terms, bool)
            or not isinstance(self.n_terms, int | np.integer)
            or self.n_terms < 1
        ):
            raise _invalid("n_terms", "an int in the range [1, inf)", self.n_terms)
        if not isinstance(self.damped, bool | np.bool_):
            raise _invalid("damped", "an instance of 'bool'", self.damped)
        self._check_positions(n_features)
        limit = self.max_frequency
        if limit is not None and not (isinstance(limit, Real) and 0 < limit < np.inf):
            raise _invalid("max_frequency", "a float in the range (0.0, inf) or None", limit)
        if n_features < 2 * self.n_terms:
            raise ValueError(
                f"n_terms={self.n_terms} sinusoids have {2 * self.n_terms} coefficients, which "
                f"n_features = {n_features} cannot determine. Lower n_terms, or use basis='free'."
            )

    def _check_positions(self, n_features: int) -> None:
        if self.positions is None:
            return
        positions = np.asarray(self.positions)
        numeric = positions.dtype.kind in "fiu" and positions.shape == (n_features,)
        if not numeric or not np.isfinite(positions).all() or (n_features > 1 and np.ptp(positions) == 0):
            shape = positions.shape
            got = f"shape {shape}" if shape != (n_features,) else "others"
            raise _invalid("positions", f"finite numbers of shape ({n_features},), not all equal", got)

    def record(self, n_features: int) -> Record:
        """Return where signals are sampled, and which sinusoids are looked for.

        Parameters
        ----------
        n_features : int
            Length d of the signals.

        Returns
        -------
        Record
            For the functions of `sparse_fourier.harmonics`.
        """
        positions = np.arange(n_features) if self.positions is None else np.asarray(self.positions)
        limit = self.max_frequency
        if limit is None:
            limit = 0.5 * (n_features - 1) / float(np.ptp(positions))
        record = Record(positions.astype(float), float(limit), bool(self.damped))
        return (
            _recalled(record.positions.tobytes(), record.max_frequency, record.damped)
            if record.is_small
            else record
        )

    def fit(
        self, root: np.ndarray, k: int, n_samples: float, start: np.ndarray | None, max_iter: int
    ) -> LearnedWaveforms:
        """Return the sinusoids that leave least of the signals, those of all components at once."""
        record = self.record(root.shape[1])
        problem = harmonics.Problem(root, record)
        if start is None:
            refined = harmonics.search(problem, k, n_samples, max_iter)
        else:
            terms = harmonics.decompose(record, start, self.n_terms, max_iter)
            refined = harmonics.refine(problem, terms, harmonics.Chart.free(record, terms), max_iter)
        return self._found(record, refined.state.terms, refined.chart, refined, refined.state.loss)

    def fit_entries(
        self,
        X: np.ndarray,
        weights: np.ndarray,
        start: LearnedWaveforms,
        intercept: np.ndarray | None,
        max_iter: int,
    ) -> tuple[LearnedWaveforms, np.ndarray]:
        """Return the sinusoids that leave least of the entries that were observed, and the intercept."""
        record = self.record(X.shape[1])
        observed = harmonics.Observed(X, weights, record, centred=intercept is not None)
        origin = np.zeros(X.shape[1]) if intercept is None else intercept
        terms, chart = start.parameters
        refined = harmonics.refine_incomplete(observed, terms, chart, origin, max_iter)
        found = self._found(record, refined.terms, chart, refined, refined.loss)
        return found._replace(n_iter=start.n_iter + refined.n_iter), refined.intercept

    def _found(
        self,
        record: Record,
        terms: harmonics.Terms,
        chart: harmonics.Chart,
        refined: harmonics.Refined | harmonics.RefinedIncomplete,
        loss: float,
    ) -> LearnedWaveforms:
        sinusoids, components = _unit(record, terms)
        promise = refined.promise / max(loss, np.finfo(float).tiny)
        outcome = refined.n_iter, refined.converged, promise
        return LearnedWaveforms(self._with(sinusoids), components, *outcome, (terms, chart))

    def doubts(self, k: int, n_features: int) -> list[str]:
        """Return whether so many sinusoids fit any signals of that length."""
        unknown = 3 if self.damped else 2
        if n_features - k >= unknown:
            return []
        return [f"{k} sinusoids with {unknown} unknowns each fit any span of {k} in {n_features} dimensions"]

    def mapped(self, factors: np.ndarray, chosen: np.ndarray) -> Self:
        """Return the basis of components times factors, in another order."""
        frequencies, amplitudes, phases, dampings = self._learned
        turned = harmonics.wrapped(phases + np.where(factors < 0, np.pi, 0.0)[:, None])
        parts = frequencies, amplitudes * np.abs(factors)[:, None], turned, dampings
        return self._with(Sinusoids(*(part[chosen] for part in parts)))

    def padded(self, n_more: int) -> Self:
        """Return the basis with components at the end whose amplitudes are zero."""
        if not n_more and self.sinusoids is not None:
            return self
        return self._with(Sinusoids(*(np.pad(part, ((0, n_more), (0, 0))) for part in self._learned_or_none)))

    def errors(self, n_features: int, moments: Moments) -> WaveformErrors:
        """Return the standard errors of the sinusoids.

        Parameters
        ----------
        n_features : int
            Length d of the signals.
        moments : Moments
            Codes and noise.

        Returns
        -------
        WaveformErrors
            Of frequencies, phases and dampings, and of the waveforms.
        """
        positions = self.record(n_features).positions
        return sinusoid_errors(self._learned, positions, bool(self.damped), moments).named

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        """Frequencies, amplitudes, phases and dampings, each of shape (k, n_terms)."""
        return {f"{name}_": part.copy() for name, part in self._learned._asdict().items()}

    @property
    def _learned_or_none(self) -> Sinusoids:
        """Return what was learned, if only of no components at all."""
        return self.sinusoids or Sinusoids(*(np.zeros((0, self.n_terms)) for _ in Sinusoids._fields))

    @property
    def _learned(self) -> Sinusoids:
        if self.sinusoids is None:
            raise ValueError("This Fourier basis has learned nothing yet; use basis_ of a fitted estimator.")
        return self.sinusoids

    def _with(self, sinusoids: Sinusoids) -> Self:
        basis = replace(self)
        basis.sinusoids = sinusoids
        return basis


@lru_cache(maxsize=4)
def _recalled(positions: bytes, max_frequency: float, damped: bool) -> Record:
    """Return the record that was used before: what scans need of it is the same for all signals."""
    return Record(np.frombuffer(positions), max_frequency, damped)


def _unit(record: Record, terms: harmonics.Terms) -> tuple[Sinusoids, np.ndarray]:
    """Return sinusoids, sorted by frequency, of components of unit norm, and these."""
    if terms.cycles.shape[1] > 1:
        order = np.argsort(terms.cycles, axis=1, kind="stable")
        terms = harmonics.Terms(*(np.take_along_axis(part, order, axis=1) for part in terms))
    sinusoids = record.sinusoids(terms, np.ones(len(terms.cycles)))
    waveforms = sinusoids.at(record.positions)
    sizes = 1.0 / np.linalg.norm(waveforms, axis=1)[:, None]
    return sinusoids._replace(amplitudes=sinusoids.amplitudes * sizes), waveforms * sizes


def _invalid(name: str, constraint: str, value: Any) -> ValueError:
    return ValueError(f"The {name!r} parameter of Fourier must be {constraint}. Got {value!r} instead.")
