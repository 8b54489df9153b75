"""Errors of several methods on several kinds of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from sparse_fourier.plotting.base import Array, Display, Style
from sparse_fourier.plotting.style import COLORS, GREY, LEGEND, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

_BESIDE: Style = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}
_WHISKER: Style = {"linewidth": 1.5, "alpha": 0.5}
_SPREAD = 0.4


@dataclass(kw_only=True, eq=False, repr=False)
class ComparisonDisplay(Display):
    """Errors of several methods on several kinds of data: points on a logarithmic axis, a line for each kind.

    The first method is drawn in front, in a colour of its own. All parameters are stored as attributes.

    Parameters
    ----------
    errors : array-like of shape (n_methods, n_regimes)
        Positive; NaN where a method failed or was not run, which leaves a gap.
    methods : sequence of n_methods str
        Names of the methods.
    regimes : sequence of n_regimes str
        Names of the kinds of data, drawn from top to bottom.
    bands : array-like of shape (n_methods, n_regimes) or (2, n_methods, n_regimes), default=None
        How far whiskers reach from each error: to either side, or below and above. With whiskers the methods
        stand one below the other.
    xlabel : str, default="relative error"
        What the errors are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    lines_ : list of n_methods matplotlib Line2D
        The points of each method.
    bands_ : list of n_methods matplotlib LineCollection
        The whiskers of each method.

    See Also
    --------
    ComponentsDisplay : The components that a method found.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier.plotting import ComparisonDisplay
    >>> display = ComparisonDisplay(
    ...     errors=[[0.01, 0.02], [0.5, 0.3]], methods=["ours", "PCA"], regimes=["uniform", "Laplace"]
    ... ).plot(Figure().subplots())
    >>> len(display.lines_), display.ax_.get_xscale()
    (2, 'log')
    """

    errors: ArrayLike
    methods: Sequence[str]
    regimes: Sequence[str]
    bands: ArrayLike | None = None
    xlabel: str = "relative error"

    lines_: list[Line2D] = field(init=False, default_factory=list)
    bands_: list[LineCollection] = field(init=False, default_factory=list)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        legend: bool = True,
        line_kwargs: Style | None = None,
        band_kwargs: Style | None = None,
    ) -> Self:
        """Draw the errors.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        legend : bool, default=True
            Whether to name the methods, to the right of the axes.
        line_kwargs : dict, default=None
            Keywords for ``Axes.plot``, which draws the points.
        band_kwargs : dict, default=None
            Keywords for ``Axes.hlines``, which draws the whiskers.

        Returns
        -------
        ComparisonDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together.
        """
        errors = np.asarray(self.errors, dtype=float)
        shape = len(self.methods), len(self.regimes)
        if errors.shape != shape:
            raise self._invalid("errors", f"an array of shape (n_methods, n_regimes) = {shape}", errors.shape)
        distances = self._distances(self.bands, shape)
        self._begin(ax)
        self.ax_.set_xscale("log")
        places = np.arange(shape[1]) + (np.zeros(shape) if distances is None else _offsets(shape[0]))
        self.lines_ = [
            self._points(i, row, where, line_kwargs or {})
            for i, (row, where) in enumerate(zip(errors, places, strict=True))
        ]
        if distances is not None:
            self._plot_bands(errors, places, distances, band_kwargs or {})
        self.ax_.set_yticks(range(shape[1]), self.regimes)
        self.ax_.set_ylim(shape[1] - 0.5, -0.5)
        self.ax_.grid(axis="y", color=GREY, alpha=0.3)
        self.ax_.set_xlabel(self.xlabel)
        if legend:
            self.ax_.legend(**(LEGEND | _BESIDE))
        return self

    def _points(self, slot: int, errors: Array, places: Array, line_kwargs: Style) -> Line2D:
        style: Style = {
            "linestyle": "none",
            "marker": MARKERS[slot % len(MARKERS)],
            "label": self.methods[slot],
        }
        if slot:
            style |= {"color": COLORS[1 + (slot - 1) % (len(COLORS) - 1)], "markersize": 5, "alpha": 0.75}
        else:
            style |= {"color": COLORS[0], "markersize": 8, "zorder": 3}
        return self.ax_.plot(errors, places, **(style | line_kwargs))[0]

    def _plot_bands(self, errors: Array, places: Array, distances: Array, band_kwargs: Style) -> None:
        lowest = np.nanmin(errors) / 10  # zero and below have no place on a logarithmic axis
        lower, upper = np.maximum(errors - distances[0], np.minimum(errors, lowest)), errors + distances[1]
        for line, where, left, right in zip(self.lines_, places, lower, upper, strict=True):
            style: Style = _WHISKER | {"color": line.get_color()} | band_kwargs
            self.bands_.append(self.ax_.hlines(where, left, right, **style))


def _offsets(count: int) -> Array:
    """Return how far from the middle of its line each method stands, shape (count, 1)."""
    return _SPREAD * (np.arange(count)[:, None] - (count - 1) / 2) / count
