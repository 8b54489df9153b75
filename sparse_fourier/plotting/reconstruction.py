"""Signals beside what the model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_fourier.plotting.base import Array, FeaturesDisplay, Style
from sparse_fourier.plotting.panels import (
    columns_of,
    divided,
    draw_band,
    draw_curve,
    draw_image,
    entitle,
    image_columns,
    width_of,
)
from sparse_fourier.plotting.style import BAND, COLORS, GREY, LEGEND, ZERO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

_SHOWN = 4
_SIGNAL: Style = {"color": GREY, "linewidth": 4, "alpha": 0.55, "solid_capstyle": "round", "label": "signal"}
_MODEL: Style = {"color": COLORS[0], "linewidth": 1.6, "label": "reconstruction"}
_RESIDUAL: Style = {"color": COLORS[1], "linewidth": 1.0, "label": "residual"}
_HEADROOM = 0.2  # for one row of names, as a share of the range of the curves
_WIDE = 1.7  # inches; narrower panels have names below each other
_SMALL: Style = {
    "loc": "upper center",
    "fontsize": "x-small",
    "handlelength": 1.4,
    "borderpad": 0.2,
    "columnspacing": 1.0,
    "frameon": False,
}
_GAP: Style = {"color": GREY, "alpha": 0.15, "linewidth": 0, "zorder": 0}


@dataclass(kw_only=True, eq=False, repr=False)
class ReconstructionDisplay(FeaturesDisplay):
    """Signals beside their reconstructions: from the one that is explained best to the one explained worst.

    It is recommended to use ``from_estimator``. All parameters are stored as attributes.

    Parameters
    ----------
    signals : array-like of shape (n, d)
        Signals, one per row; NaN where an entry was not observed. ``from_estimator`` takes X.
    reconstructions : array-like of shape (n, d)
        What the model makes of them. ``from_estimator`` takes ``inverse_transform(transform(X))``, so that
        PCA, NMF and pipelines of transformers can be drawn, too.
    positions : array-like of shape (d,), default=None
        Where each feature was measured: times, wavelengths, dates, in any order. None counts the features.
    bands : array-like of shape (n, d) or (2, n, d), default=None
        How far error bands reach from each reconstruction: to either side, or below and above.
    names : sequence of n str, default=None
        Names of the signals; None is "signal 0" and so on.
    image_shape : tuple of two ints, default=None
        Height and width, with height times width equal to d, if each signal is an image.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made. If they were divided into panels they are invisible.
    axes_ : list of matplotlib Axes
        The panels, one for each signal that is shown; then those of the residuals. For images first all
        signals, then all reconstructions, then all residuals.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    indices_ : ndarray of ints
        Which signals are shown.
    errors_ : ndarray of shape (n,)
        Root mean square of the residual of every signal, over the entries that were observed.
    signal_lines_, lines_, residual_lines_ : list of matplotlib Line2D
        Signals, reconstructions and residuals that are shown; empty for images.
    bands_ : list of matplotlib PolyCollection
        Their error bands.
    signal_images_, images_, residual_images_ : list of matplotlib AxesImage
        The same as images; empty for curves.

    See Also
    --------
    ComponentsDisplay : The components that signals are made of.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> from sparse_fourier.plotting import ReconstructionDisplay
    >>> X, codes, components = make_sinusoid_mixtures(noise=0.05, random_state=0)
    >>> model = AutoencoderDecomposer(2, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(model, X, indices=[0, 5], ax=Figure().subplots())
    >>> len(display.axes_), display.indices_.tolist()
    (2, [0, 5])
    """

    signals: ArrayLike
    reconstructions: ArrayLike
    positions: ArrayLike | None = None
    bands: ArrayLike | None = None
    names: Sequence[str] | None = None
    image_shape: tuple[int, int] | None = None

    axes_: list[Axes] = field(init=False, default_factory=list)
    indices_: NDArray[np.intp] = field(init=False)
    errors_: Array = field(init=False)
    signal_lines_: list[Line2D] = field(init=False, default_factory=list)
    lines_: list[Line2D] = field(init=False, default_factory=list)
    residual_lines_: list[Line2D] = field(init=False, default_factory=list)
    bands_: list[PolyCollection] = field(init=False, default_factory=list)
    signal_images_: list[AxesImage] = field(init=False, default_factory=list)
    images_: list[AxesImage] = field(init=False, default_factory=list)
    residual_images_: list[AxesImage] = field(init=False, default_factory=list)

    @classmethod
    def _learned(cls, estimator: Any, X: ArrayLike | None) -> dict[str, Any]:
        rebuilt = estimator.inverse_transform(estimator.transform(X))
        return {"signals": X, "reconstructions": rebuilt}

    def plot(
        self,
        ax: Axes | None = None,
        *,
        indices: ArrayLike | None = None,
        residuals: bool = False,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: bool = True,
        line_kwargs: Style | None = None,
        signal_kwargs: Style | None = None,
        band_kwargs: Style | None = None,
    ) -> Self:
        """Draw signals and reconstructions, a panel for each signal.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. The panels divide its area.
        indices : array-like of ints, default=None
            Which signals to show. None takes four, at evenly spaced ranks of their errors, the best explained
            first and the worst last.
        residuals : bool, default=False
            Whether to draw what is left, too: below, on a scale of its own that all residuals share.
        xlabel : str, default=None
            What `positions` are, with unit; None is "position", or "feature" without positions.
        ylabel : str, default=None
            What is measured, with unit; not used for images.
        legend : bool, default=True
            Whether to name the curves.
        line_kwargs : dict, default=None
            Keywords for ``Axes.plot``, which draws the reconstructions, or for ``Axes.imshow``.
        signal_kwargs : dict, default=None
            The same for the signals.
        band_kwargs : dict, default=None
            Keywords for ``Axes.fill_between``, which draws the bands.

        Returns
        -------
        ReconstructionDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together.

        Notes
        -----
        Entries that were not observed are shaded; the curve of the signal breaks there. A signal and its
        reconstruction share the colour scale if they are images; residuals share one, symmetric about zero.
        """
        signals, rebuilt = self._checked()
        with np.errstate(invalid="ignore"):
            counts = np.isfinite(signals).sum(axis=1)
            self.errors_ = np.sqrt(np.nansum((signals - rebuilt) ** 2, axis=1) / counts)
        self.indices_ = self._chosen() if indices is None else np.ravel(np.asarray(indices, dtype=np.intp))
        self._begin(ax)
        styles = signal_kwargs or {}, line_kwargs or {}
        if self.image_shape is None:
            self._plot_lines(signals, rebuilt, residuals, *styles, band_kwargs or {})
            self._label_lines(residuals, xlabel, ylabel, legend)
        else:
            self._plot_images(signals, rebuilt, residuals, self.image_shape, *styles)
        return self

    def _checked(self) -> tuple[Array, Array]:
        signals = np.asarray(self.signals, dtype=float)
        rebuilt = np.asarray(self.reconstructions, dtype=float)
        if rebuilt.shape != signals.shape:
            raise self._invalid("reconstructions", f"of shape {signals.shape}", rebuilt.shape)
        self._check_rows(signals.shape, "signal")
        return signals, rebuilt

    def _chosen(self) -> NDArray[np.intp]:
        order = np.argsort(self.errors_, kind="stable")
        order = order[np.isfinite(self.errors_[order])]
        ranks = np.linspace(0, len(order) - 1, min(_SHOWN, len(order)))
        return order[np.rint(ranks).astype(int)]

    def _titles(self) -> list[str]:
        labels = self._labels(self.names, len(self.errors_), "signal")
        return [f"{labels[i]}\nrms residual {self.errors_[i]:.2g}" for i in self.indices_]

    def _plot_lines(
        self,
        signals: Array,
        rebuilt: Array,
        residuals: bool,
        signal_kwargs: Style,
        line_kwargs: Style,
        band_kwargs: Style,
    ) -> None:
        count = len(self.indices_)
        x = self._places(signals.shape[1])
        distances = self._distances(self.bands, signals.shape)
        columns = count if residuals else columns_of(count)
        self.axes_ = divided(self.ax_, count, share=True, blocks=1 + residuals, columns=columns)
        for panel, i, title in zip(self.axes_, self.indices_, self._titles(), strict=False):
            self.signal_lines_.append(draw_curve(panel, x, signals[i], _SIGNAL | signal_kwargs))
            self.lines_.append(draw_curve(panel, x, rebuilt[i], _MODEL | line_kwargs))
            if distances is not None:
                ends = rebuilt[i] - distances[0, i], rebuilt[i] + distances[1, i]
                style = BAND | {"facecolor": self.lines_[-1].get_color()} | band_kwargs
                self.bands_.append(draw_band(panel, x, *ends, style))
            _shade_gaps(panel, x, np.isnan(signals[i]))
            entitle(panel, title)
        for panel, i in zip(self.axes_[count:], self.indices_, strict=False):
            self.residual_lines_.append(draw_curve(panel, x, signals[i] - rebuilt[i], _RESIDUAL))
            panel.axhline(0, **ZERO)

    def _label_lines(self, residuals: bool, xlabel: str | None, ylabel: str | None, legend: bool) -> None:
        count = len(self.indices_)
        self._label_axes(self.axes_, xlabel, ylabel, count if residuals else columns_of(count))
        if legend and self.lines_:
            _name_on_top(self.axes_[0], [self.signal_lines_[0], self.lines_[0]])
            if residuals:
                _name_on_top(self.axes_[count], self.residual_lines_[:1])

    def _plot_images(
        self,
        signals: Array,
        rebuilt: Array,
        residuals: bool,
        shape: tuple[int, int],
        signal_kwargs: Style,
        line_kwargs: Style,
    ) -> None:
        count = len(self.indices_)
        columns = image_columns(self.ax_, count, 2 + residuals, shape)
        self.axes_ = divided(self.ax_, count, share=False, blocks=2 + residuals, columns=columns)
        left = signals[self.indices_] - rebuilt[self.indices_]
        limit = float(np.nanmax(np.abs(left)))
        scale: Style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        for j, (i, title) in enumerate(zip(self.indices_, self._titles(), strict=True)):
            pictures = signals[i].reshape(shape), rebuilt[i].reshape(shape), left[j].reshape(shape)
            original = draw_image(self.axes_[j], pictures[0], title.partition("\n")[0], signal_kwargs)
            low, high = original.get_clim()
            same: Style = {"cmap": original.get_cmap(), "vmin": low, "vmax": high}
            error = f"rms residual {self.errors_[i]:.2g}"
            self.signal_images_.append(original)
            self.images_.append(draw_image(self.axes_[count + j], pictures[1], error, same | line_kwargs))
            if residuals:
                panel = self.axes_[2 * count + j]
                self.residual_images_.append(draw_image(panel, pictures[2], "residual", scale))


def _name_on_top(panel: Axes, lines: list[Line2D]) -> None:
    """Name curves above them, for which panels that share the axis make room."""
    columns = len(lines) if width_of(panel) > _WIDE else 1
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + _HEADROOM * len(lines) / columns * (high - low))
    panel.legend(handles=lines, **(LEGEND | _SMALL | {"ncols": columns}))


def _shade_gaps(panel: Axes, x: Array, missing: Array) -> None:
    """Shade positions where nothing was observed, half way to the next ones."""
    order = np.argsort(x, kind="stable")
    x, missing = x[order], missing[order]
    if x.dtype.kind == "M":
        x = x.astype("datetime64[ns]")  # of days there are no halves
    edges = np.concatenate([x[:1], x[:-1] + np.diff(x) / 2, x[-1:]])
    turns = np.diff(np.concatenate([[0], missing.astype(int), [0]]))
    for start, stop in zip(np.flatnonzero(turns == 1), np.flatnonzero(turns == -1), strict=True):
        panel.axvspan(edges[start], edges[stop], **_GAP)
