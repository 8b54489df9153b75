"""Components as curves over a physical axis, or as images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from sparse_fourier.metrics import match_components
from sparse_fourier.plotting.base import Array, FeaturesDisplay, Style
from sparse_fourier.plotting.panels import (
    divided,
    draw_band,
    draw_curve,
    draw_image,
    image_columns,
)
from sparse_fourier.plotting.style import BAND, LEGEND, ZERO, line_style, true_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

_MOST_LINES_PER_PANEL = 4
_FACTORS: dict[str | None, Callable[[Array], Array]] = {None: np.ones_like, "sign": np.sign, "scale": np.copy}


@dataclass(kw_only=True, eq=False, repr=False)
class ComponentsDisplay(FeaturesDisplay):
    """Components drawn as curves over a physical axis, or as images.

    It is recommended to use ``from_estimator``. All parameters are stored as attributes.

    Parameters
    ----------
    components : array-like of shape (k, d)
        Components, one per row. ``from_estimator`` takes ``components_``, as this library, PCA, NMF and
        dictionary learning have them; FastICA keeps filters there, and its components are ``mixing_.T``.
    positions : array-like of shape (d,), default=None
        Where each feature was measured: times, wavelengths, dates, in any order. None counts the features.
    truth : array-like of shape (m, d), default=None
        True components, or those of another method, to compare with; in any order, of any sign and scale.
    bands : array-like of shape (k, d) or (2, k, d), default=None
        How far error bands reach from each component, in its unit: to either side, or below and above.
    names : sequence of k str, default=None
        Names of the components; None is "component 0" and so on.
    image_shape : tuple of two ints, default=None
        Height and width, with height times width equal to d, if each component is an image.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made. If they were divided into panels they are invisible.
    axes_ : list of matplotlib Axes
        The panels: `ax_` alone if all curves share it.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    lines_ : list of k matplotlib Line2D
        The components, in their own order; empty for images.
    truth_lines_ : list of m matplotlib Line2D
        The truth; empty for images or where none was given.
    bands_ : list of k matplotlib PolyCollection
        The error bands, in the order of the components; empty for images or where none were given.
    images_ : list of k matplotlib AxesImage
        The components as images, in their own order; empty for curves.
    truth_images_ : list of m matplotlib AxesImage
        The truth as images.
    band_images_ : list of k matplotlib AxesImage
        Half of the width of the bands, as images.

    See Also
    --------
    CodesDisplay : The codes that go with the components.
    sparse_fourier.metrics.match_components : How components are matched with the truth.

    Notes
    -----
    With a truth, components are matched with it one to one, and a component has the colour, and the panel, of
    the true one it stands for, so that colours agree between methods. Every image has its own colour scale:
    from zero in grey if it has no negative value, symmetric about zero otherwise. Images come in blocks, one
    below the other: components, truth, bands.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from sklearn.decomposition import PCA
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> from sparse_fourier.plotting import ComponentsDisplay
    >>> X, codes, components = make_sinusoid_mixtures(random_state=0)
    >>> pca = PCA(2).fit(X)
    >>> display = ComponentsDisplay.from_estimator(
    ...     pca, truth=components, positions=np.linspace(0, 1, X.shape[1]), ax=Figure().subplots(), xlabel="s"
    ... )
    >>> len(display.lines_), len(display.truth_lines_), display.ax_.get_xlabel()
    (2, 2, 's')
    """

    components: ArrayLike
    positions: ArrayLike | None = None
    truth: ArrayLike | None = None
    bands: ArrayLike | None = None
    names: Sequence[str] | None = None
    image_shape: tuple[int, int] | None = None

    axes_: list[Axes] = field(init=False, default_factory=list)
    lines_: list[Line2D] = field(init=False, default_factory=list)
    truth_lines_: list[Line2D] = field(init=False, default_factory=list)
    bands_: list[PolyCollection] = field(init=False, default_factory=list)
    images_: list[AxesImage] = field(init=False, default_factory=list)
    truth_images_: list[AxesImage] = field(init=False, default_factory=list)
    band_images_: list[AxesImage] = field(init=False, default_factory=list)

    @classmethod
    def _learned(cls, estimator: Any, X: ArrayLike | None) -> dict[str, Any]:  # noqa: ARG003
        check_is_fitted(estimator)
        return {"components": estimator.components_}

    def plot(
        self,
        ax: Axes | None = None,
        *,
        align: Literal["sign", "scale"] | None = "sign",
        separate: bool | Literal["auto"] = "auto",
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: bool = True,
        line_kwargs: Style | None = None,
        truth_kwargs: Style | None = None,
        band_kwargs: Style | None = None,
    ) -> Self:
        """Draw the components, their bands, and the truth over them.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Where several panels are needed they divide its area.
        align : {'sign', 'scale'} or None, default='sign'
            What is done to the components before they are drawn if there is a truth: 'sign' turns them to the
            truth's sign and leaves their size; 'scale' fits sign and size to it by least squares; None draws
            exactly what was learned.
        separate : bool or 'auto', default='auto'
            Whether every component has a panel of its own; 'auto' does so for more than four.
        xlabel : str, default=None
            What `positions` are, with unit; None is "position", or "feature" without positions.
        ylabel : str, default=None
            What is measured, with unit; not used for images.
        legend : bool, default=True
            Whether to name the curves.
        line_kwargs : dict, default=None
            Keywords for ``Axes.plot``, or ``Axes.imshow`` for images.
        truth_kwargs : dict, default=None
            The same for the truth.
        band_kwargs : dict, default=None
            Keywords for ``Axes.fill_between``, or ``Axes.imshow`` for images.

        Returns
        -------
        ComponentsDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together, or `align` is unknown.
        """
        self._check(align)
        slots, factors = self._matched(align)
        styles = line_kwargs or {}, truth_kwargs or {}, band_kwargs or {}
        self._begin(ax)
        if self.image_shape is None:
            self._plot_lines(slots, factors, separate, *styles)
            self._label_lines(xlabel, ylabel, legend)
        else:
            self._plot_images(slots, factors, self.image_shape, *styles)
        return self

    def _check(self, align: str | None) -> None:
        self._check_rows(np.shape(self.components), "component")
        if align not in _FACTORS:
            raise self._invalid("align", f"one of {list(_FACTORS)}", align)

    def _matched(self, align: str | None) -> tuple[NDArray[np.intp], Array]:
        """Return the slot of each component, that of its true one, and its factor, shape (k, 1)."""
        components = np.asarray(self.components)
        slots, factors = np.arange(len(components)), np.ones(len(components))
        if self.truth is not None:
            _, permutation, scales = match_components(self.truth, components)
            found = permutation >= 0
            rest = np.setdiff1d(slots, permutation)
            slots[rest] = len(permutation) + np.arange(len(rest))
            slots[permutation[found]] = np.flatnonzero(found)
            factors[permutation[found]] = _FACTORS[align](scales[found])
        return slots, factors[:, None]

    def _rows(self) -> tuple[Array, Array, list[str], Array | None]:
        """Return components, truth, names, and how far bands reach."""
        components = np.asarray(self.components)
        truth = np.empty((0, components.shape[1])) if self.truth is None else np.asarray(self.truth)
        labels = self._labels(self.names, len(components), "component")
        return components, truth, labels, self._distances(self.bands, components.shape)

    def _plot_lines(
        self,
        slots: NDArray[np.intp],
        factors: Array,
        separate: bool | str,
        line_kwargs: Style,
        truth_kwargs: Style,
        band_kwargs: Style,
    ) -> None:
        components, truth, labels, distances = self._rows()
        x = self._places(components.shape[1])
        count = max([*(slots + 1), len(truth)])
        alone = count > _MOST_LINES_PER_PANEL if separate == "auto" else bool(separate)
        self.axes_ = divided(self.ax_, count, share=True) if alone else [self.ax_]
        panels = [self.axes_[slot if alone else 0] for slot in range(count)]
        for slot, row, label in zip(slots, factors * components, labels, strict=True):
            style = dict(line_style(slot, alone, count), label=label) | line_kwargs
            self.lines_.append(draw_curve(panels[slot], x, row, style))
            if alone:
                panels[slot].set_title(label, fontsize="small")
        if distances is not None:
            ends = factors * (components + np.array([-1, 1])[:, None, None] * distances)
            for slot, line, lower, upper in zip(slots, self.lines_, *ends, strict=True):
                style = BAND | {"facecolor": line.get_color()} | band_kwargs
                self.bands_.append(draw_band(panels[slot], x, lower, upper, style))
        for slot, row in enumerate(truth):
            self.truth_lines_.append(draw_curve(panels[slot], x, row, true_line(slot) | truth_kwargs))

    def _label_lines(self, xlabel: str | None, ylabel: str | None, legend: bool) -> None:
        for panel in self.axes_:
            panel.axhline(0, **ZERO)
        alone = len(self.axes_) > 1
        named = self.truth_lines_[:1] if alone else self.lines_ + self.truth_lines_[:1]
        if legend and named:
            self.axes_[0].legend(handles=named, **LEGEND)
        self._label_axes(self.axes_, xlabel, ylabel)

    def _plot_images(
        self,
        slots: NDArray[np.intp],
        factors: Array,
        shape: tuple[int, int],
        line_kwargs: Style,
        truth_kwargs: Style,
        band_kwargs: Style,
    ) -> None:
        components, truth, labels, distances = self._rows()
        count = max([*(slots + 1), len(truth)])
        learned = [
            (slot, row, label) for slot, row, label in zip(slots, factors * components, labels, strict=True)
        ]
        blocks: list[tuple[list[AxesImage], list[tuple[int, Array, str]], Style]] = [
            (self.images_, learned, line_kwargs)
        ]
        if len(truth):
            true = [(slot, row, f"truth {slot}") for slot, row in enumerate(truth)]
            blocks.append((self.truth_images_, true, truth_kwargs))
        if distances is not None:
            widths = np.abs(factors) * distances.mean(axis=0)
            half = [(slot, row, f"± {label}") for (slot, _, label), row in zip(learned, widths, strict=True)]
            blocks.append((self.band_images_, half, band_kwargs))
        columns = image_columns(self.ax_, count, len(blocks), shape)
        self.axes_ = divided(self.ax_, count, share=False, blocks=len(blocks), columns=columns)
        for panel in self.axes_:
            panel.set_axis_off()
        for block, (drawn, pictures, style) in enumerate(blocks):
            for slot, row, title in pictures:
                panel = self.axes_[block * count + slot]
                drawn.append(draw_image(panel, row.reshape(shape), title, style))
