"""Learned frequencies over the periodogram of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sparse_fourier.harmonics.waves import explained_at_each
from sparse_fourier.plotting.base import Array, EstimatorDisplay, Style
from sparse_fourier.plotting.style import BAND, COLORS, GREY, LEGEND, true_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

_FINER = 4
_SPECTRUM: Style = {"color": GREY, "linewidth": 1.2, "label": "periodogram"}


@dataclass(kw_only=True, eq=False, repr=False)
class SpectrumDisplay(EstimatorDisplay):
    """Learned frequencies as stems over the periodogram of the data.

    It is recommended to use ``from_estimator``. All parameters are stored as attributes.

    Parameters
    ----------
    frequencies : array-like of shape (k, n_terms)
        Frequencies of each component. ``from_estimator`` takes those of
        :class:`sparse_fourier.AutoencoderDecomposer` with the Fourier basis.
    amplitudes : array-like of shape (k, n_terms)
        Root mean squares over signals of the amplitudes that go with them.
    grid : array-like of shape (n_grid,)
        Frequencies of the periodogram.
    spectrum : array-like of shape (n_grid,)
        Root mean squares over signals of the amplitude of the one sinusoid that fits them best. In
        ``from_estimator`` of the signals X, less the mean of the features; what is missing counts as that.
    truth : array-like of floats, default=None
        True frequencies to compare with.
    bands : array-like of shape (k, n_terms) or (2, k, n_terms), default=None
        How far error bands reach from each frequency: to either side, or below and above.
    names : sequence of k str, default=None
        Names of the components; None is "component 0" and so on.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    line_ : matplotlib Line2D
        The periodogram.
    stems_ : list of k matplotlib LineCollection
        The stems of each component.
    bands_ : list of matplotlib Rectangle
        The error bands, component by component.
    truth_lines_ : list of matplotlib Line2D
        The true frequencies.

    See Also
    --------
    ComponentsDisplay : The components as curves.
    sparse_fourier.bases.Fourier : The basis that learns frequencies.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> from sparse_fourier.plotting import SpectrumDisplay
    >>> X, codes, components = make_sinusoid_mixtures(random_state=0)
    >>> model = AutoencoderDecomposer(2, basis="fourier").fit(X)
    >>> display = SpectrumDisplay.from_estimator(model, X, ax=Figure().subplots())
    >>> len(display.stems_), display.ax_.get_xlabel()
    (2, 'frequency')
    """

    frequencies: ArrayLike
    amplitudes: ArrayLike
    grid: ArrayLike
    spectrum: ArrayLike
    truth: ArrayLike | None = None
    bands: ArrayLike | None = None
    names: Sequence[str] | None = None

    line_: Line2D = field(init=False)
    stems_: list[LineCollection] = field(init=False, default_factory=list)
    bands_: list[Rectangle] = field(init=False, default_factory=list)
    truth_lines_: list[Line2D] = field(init=False, default_factory=list)

    @classmethod
    def _learned(cls, estimator: Any, X: ArrayLike | None) -> dict[str, Any]:
        check_is_fitted(estimator)
        frequencies = getattr(estimator, "frequencies_", None)
        if frequencies is None:
            raise ValueError("The estimator has no frequencies_; fit it with basis='fourier'.")
        signals = np.asarray(X, dtype=float)
        grid, spectrum = _periodogram(signals, estimator.basis_.record(signals.shape[1]))
        deviations = np.std(estimator.transform(signals), axis=0)
        return {
            "frequencies": frequencies,
            "amplitudes": estimator.amplitudes_ * deviations[:, None],
            "grid": grid,
            "spectrum": spectrum,
        }

    def plot(
        self,
        ax: Axes | None = None,
        *,
        xlabel: str = "frequency",
        ylabel: str = "amplitude (rms over signals)",
        legend: bool = True,
        line_kwargs: Style | None = None,
        stem_kwargs: Style | None = None,
        truth_kwargs: Style | None = None,
        band_kwargs: Style | None = None,
    ) -> Self:
        """Draw the periodogram, the stems over it, and the true frequencies.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        xlabel : str, default="frequency"
            What frequencies are, with unit.
        ylabel : str, default="amplitude (rms over signals)"
            What is measured, with unit.
        legend : bool, default=True
            Whether to name stems and periodogram.
        line_kwargs : dict, default=None
            Keywords for ``Axes.plot``, which draws the periodogram.
        stem_kwargs : dict, default=None
            Keywords for ``Axes.vlines``, which draws the stems.
        truth_kwargs : dict, default=None
            Keywords for ``Axes.axvline``, which draws the truth.
        band_kwargs : dict, default=None
            Keywords for ``Axes.axvspan``, which draws the bands.

        Returns
        -------
        SpectrumDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together.
        """
        frequencies, amplitudes = np.atleast_2d(self.frequencies), np.atleast_2d(self.amplitudes)
        if frequencies.shape != amplitudes.shape:
            raise self._invalid("amplitudes", f"of shape {frequencies.shape}", amplitudes.shape)
        names = self._labels(self.names, len(frequencies), "component")
        distances = self._distances(self.bands, frequencies.shape)
        self._begin(ax)
        style = _SPECTRUM | (line_kwargs or {})
        self.line_ = self.ax_.plot(np.asarray(self.grid), np.asarray(self.spectrum), **style)[0]
        self._plot_truth(truth_kwargs or {})
        self._plot_stems(frequencies, amplitudes, names, stem_kwargs or {})
        if distances is not None:
            self._plot_bands(frequencies, distances, band_kwargs or {})
        self.ax_.set(xlabel=xlabel, ylabel=ylabel)
        self.ax_.set_ylim(bottom=0)
        if legend:
            self.ax_.legend(**LEGEND)
        return self

    def _plot_truth(self, truth_kwargs: Style) -> None:
        places = [] if self.truth is None else np.ravel(np.asarray(self.truth))
        for j, place in enumerate(places):
            self.truth_lines_.append(self.ax_.axvline(place, **(true_line(j) | truth_kwargs)))

    def _plot_stems(
        self, frequencies: Array, amplitudes: Array, names: list[str], stem_kwargs: Style
    ) -> None:
        for j, (place, height, name) in enumerate(zip(frequencies, amplitudes, names, strict=True)):
            style = {"color": COLORS[j % len(COLORS)], "linewidth": 2.5, "label": name} | stem_kwargs
            self.stems_.append(self.ax_.vlines(place, 0, height, **style))
            self.ax_.plot(place, height, "o", color=style["color"], markersize=5)

    def _plot_bands(self, frequencies: Array, distances: Array, band_kwargs: Style) -> None:
        ends = frequencies + np.array([-1, 1])[:, None, None] * distances
        for (j, _), lower, upper in zip(
            np.ndindex(frequencies.shape), ends[0].flat, ends[1].flat, strict=True
        ):
            style = BAND | {"color": COLORS[j % len(COLORS)]} | band_kwargs
            self.bands_.append(self.ax_.axvspan(lower, upper, **style))


def _periodogram(X: Array, record: Any) -> tuple[Array, Array]:
    """Return frequencies, and the rms over signals of the amplitude of the sinusoid that fits each best."""
    centred = X - np.nanmean(X, axis=0)
    centred = np.where(np.isfinite(centred), centred, 0.0)
    fine, power = explained_at_each(record.waves, centred, _FINER)
    return fine[1:-1] / record.length, np.sqrt(2.0 * power[1:-1] / X.shape[1])
