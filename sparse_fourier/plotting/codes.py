"""Codes as scatter plots of their pairs, or as histograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from sparse_fourier.metrics import match_components
from sparse_fourier.plotting.base import Array, EstimatorDisplay, Style
from sparse_fourier.plotting.panels import divided, triangle
from sparse_fourier.plotting.style import ABOVE, COLORS, DARK, GREY, LEGEND, marker_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.lines import Line2D

_SUPPORT: Style = {"color": GREY, "linewidth": 1, "zorder": 0}
_POINTS: Style = {"linewidths": 0, "label": "codes"}
_TRUE_POINTS: Style = {"facecolors": "none", "edgecolors": DARK, "linewidths": 0.7, "label": "truth"}
_BARS: Style = {"color": COLORS[0], "alpha": 0.75, "label": "codes"}
_TRUE_BARS: Style = {"histtype": "step", "color": DARK, "linestyle": "--", "label": "truth"}
_CORNER: Style = {"loc": "upper right"}

_MOST_CODES_IN_PAIRS = 5

# What is drawn of a support: outlines in the plane of two codes, edges on the line of one.
_OUTLINES: dict[str | None, tuple[Any, ...]] = {
    "unit": (([0, 1, 1, 0, 0], [0, 0, 1, 1, 0]),),
    "simplex": (([0, 1, 0, 0], [0, 0, 1, 0]),),
}
_EDGES: dict[str | None, tuple[int, ...]] = {"unit": (0, 1), "simplex": (0, 1), "nonnegative": (0,)}


def _fitted(truth: Array, codes: Array) -> Array:
    """Return true codes moved and scaled to the codes beside them, by least squares."""
    centred = truth - truth.mean(axis=0)
    squares = np.square(centred).sum(axis=0)
    slopes = np.divide((centred * codes).sum(axis=0), squares, out=np.zeros(len(squares)), where=squares > 0)
    return codes.mean(axis=0) + slopes * centred


_ALIGNED: dict[str | None, Callable[[Array, Array], Array]] = {
    None: lambda truth, codes: truth,
    "scale": _fitted,
}


@dataclass(kw_only=True, eq=False, repr=False)
class CodesDisplay(EstimatorDisplay):
    """Codes drawn as scatter plots of their pairs, or as histograms.

    One code is drawn as a histogram, two as one scatter plot, three to five as a triangle of scatter plots,
    more as one histogram each. It is recommended to use ``from_estimator``. All parameters are stored as
    attributes.

    Parameters
    ----------
    codes : array-like of shape (n, k)
        Codes, one sample per row. ``from_estimator`` takes what ``transform`` makes of the samples X.
    truth : array-like of shape (n, m), default=None
        True codes of the same samples, in any order of the columns.
    support : {'unit', 'simplex', 'nonnegative', 'real'}, default=None
        Where codes may lie, as a prior's ``support`` says; the edge of a bounded support is drawn.
        ``from_estimator`` takes that of ``prior_``, where there is one.
    names : sequence of k str, default=None
        Names of the codes; None is "code 0" and so on.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made. If they were divided into panels they are invisible.
    axes_ : list of matplotlib Axes
        The panels; for a triangle row by row.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    scatters_, truth_scatters_ : list of matplotlib PathCollection
        Points of every panel; empty for histograms.
    histograms_, truth_histograms_ : list of lists of matplotlib Patch
        Patches of every histogram; empty for scatter plots.
    support_lines_ : list of matplotlib Line2D
        Edges of the support.

    See Also
    --------
    ComponentsDisplay : The components that go with the codes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.decomposition import PCA
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> from sparse_fourier.plotting import CodesDisplay
    >>> X, codes, components = make_sinusoid_mixtures(random_state=0)
    >>> display = CodesDisplay.from_estimator(PCA(2).fit(X), X, truth=codes, ax=Figure().subplots())
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('code 0', 'code 1')
    """

    codes: ArrayLike
    truth: ArrayLike | None = None
    support: str | None = None
    names: Sequence[str] | None = None

    axes_: list[Axes] = field(init=False, default_factory=list)
    scatters_: list[PathCollection] = field(init=False, default_factory=list)
    truth_scatters_: list[PathCollection] = field(init=False, default_factory=list)
    histograms_: list[Any] = field(init=False, default_factory=list)
    truth_histograms_: list[Any] = field(init=False, default_factory=list)
    support_lines_: list[Line2D] = field(init=False, default_factory=list)

    @classmethod
    def _learned(cls, estimator: Any, X: ArrayLike | None) -> dict[str, Any]:
        prior = getattr(estimator, "prior_", None)
        return {"codes": np.asarray(estimator.transform(X)), "support": getattr(prior, "support", None)}

    def plot(
        self,
        ax: Axes | None = None,
        *,
        align: Literal["scale"] | None = None,
        legend: bool = True,
        scatter_kwargs: Style | None = None,
        truth_kwargs: Style | None = None,
    ) -> Self:
        """Draw the codes, the true ones under them, and the edge of the support.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Where several panels are needed they divide its area.
        align : 'scale' or None, default=None
            What is done to the true codes before they are drawn: 'scale' fits their sign, size and place to
            the codes learned by least squares, since these are a matter of convention under most priors; None
            draws both as they are.
        legend : bool, default=True
            Whether to name codes and truth if there is a truth.
        scatter_kwargs : dict, default=None
            Keywords for ``Axes.scatter``, as ``c`` to colour samples by a label, or for ``Axes.hist``.
        truth_kwargs : dict, default=None
            The same for the truth.

        Returns
        -------
        CodesDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together, or `align` is unknown.
        """
        if align not in _ALIGNED:
            raise self._invalid("align", f"one of {list(_ALIGNED)}", align)
        codes, truth = self._matched(_ALIGNED[align])
        labels = self._labels(self.names, codes.shape[1], "code")
        self._begin(ax)
        in_pairs = 2 <= codes.shape[1] <= _MOST_CODES_IN_PAIRS
        draw = self._plot_pairs if in_pairs else self._plot_histograms
        draw(codes, truth, labels, scatter_kwargs or {}, truth_kwargs or {})
        if legend and truth is not None:
            self._add_legend(in_pairs)
        return self

    def _add_legend(self, in_pairs: bool) -> None:
        """Put the legend where it hides nothing: in a triangle's empty corner, else above."""
        handles, labels = self.axes_[0].get_legend_handles_labels()
        place = _CORNER if in_pairs and len(self.axes_) > 1 else ABOVE
        self.ax_.legend(handles, labels, **(LEGEND | place))

    def _matched(self, aligned: Callable[[Array, Array], Array]) -> tuple[Array, Array | None]:
        """Return codes and, column by column, the true codes they stand for; NaN where there is none."""
        codes = np.asarray(self.codes)
        if self.truth is None:
            return codes, None
        truth = np.asarray(self.truth)
        if truth.ndim != 2 or len(truth) != len(codes):
            raise self._invalid("truth", f"of shape ({len(codes)}, m)", truth.shape)
        _, permutation, _ = match_components((truth - truth.mean(0)).T, (codes - codes.mean(0)).T)
        found = permutation >= 0
        matched = np.full(codes.shape, np.nan)
        places = permutation[found]
        matched[:, places] = aligned(truth[:, found], codes[:, places])
        return codes, matched

    def _plot_pairs(
        self, codes: Array, truth: Array | None, labels: list[str], scatter_kwargs: Style, truth_kwargs: Style
    ) -> None:
        k = codes.shape[1]
        pairs = [(row, column) for row in range(1, k) for column in range(row)]
        self.axes_ = [self.ax_] if k == 2 else triangle(self.ax_, k - 1)
        for panel, (row, column) in zip(self.axes_, pairs, strict=True):
            self._scatter(panel, codes[:, [column, row]], truth, [column, row], scatter_kwargs, truth_kwargs)
            panel.set_xlabel(labels[column] if row == k - 1 else "")
            panel.set_ylabel(labels[row] if column == 0 else "")
            panel.tick_params(labelbottom=row == k - 1, labelleft=column == 0)

    def _scatter(
        self,
        panel: Axes,
        pair: Array,
        truth: Array | None,
        columns: list[int],
        scatter_kwargs: Style,
        truth_kwargs: Style,
    ) -> None:
        size = marker_size(*np.shape(self.codes))
        if truth is not None:
            style = dict(_TRUE_POINTS, s=4 * size) | truth_kwargs
            self.truth_scatters_.append(panel.scatter(*truth[:, columns].T, **style))
        color = {} if "c" in scatter_kwargs else {"color": COLORS[0]}
        style = _POINTS | color | {"s": size} | scatter_kwargs
        self.scatters_.append(panel.scatter(*pair.T, **style))
        for x, y in _OUTLINES.get(self.support, ()):
            self.support_lines_ += panel.plot(x, y, **_SUPPORT)

    def _plot_histograms(
        self, codes: Array, truth: Array | None, labels: list[str], scatter_kwargs: Style, truth_kwargs: Style
    ) -> None:
        k = codes.shape[1]
        self.axes_ = [self.ax_] if k == 1 else divided(self.ax_, k, share=False)
        for j, panel in enumerate(self.axes_):
            bins = np.histogram_bin_edges(codes[:, j], bins=min(30, 5 + len(codes) // 10))
            style = dict(_BARS, bins=bins) | scatter_kwargs
            self.histograms_.append(panel.hist(codes[:, j], **style)[2])
            if truth is not None and np.isfinite(truth[:, j]).all():
                style = dict(_TRUE_BARS, bins=bins) | truth_kwargs
                self.truth_histograms_.append(panel.hist(truth[:, j], **style)[2])
            self.support_lines_ += [panel.axvline(edge, **_SUPPORT) for edge in _EDGES.get(self.support, ())]
            panel.set_xlabel(labels[j])
            panel.set_yticks([])
