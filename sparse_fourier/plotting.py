"""Pictures of what was learned: displays in the manner of scikit-learn.

A display is built from arrays, or from a fitted estimator by its ``from_estimator``, and draws them with its
``plot``, which keeps what it drew in attributes. Matplotlib is imported when something is drawn, not
before; its backend and settings are left as they are, and nothing is shown or saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from sparse_fourier.metrics import match_components

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

__all__ = ["CodesDisplay", "ComparisonDisplay", "ComponentsDisplay", "LossCurveDisplay", "SpectrumDisplay"]

Array = NDArray[Any]
Style = dict[str, Any]

# Okabe and Ito's colours, safe for colour-blind readers; black is kept for the truth, yellow is too pale.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DARK = "#1a1a1a"
_GREY = "#8c8c8c"
_STYLES = ("-", "-.", ":")
_MARKERS = "osD^v<>PX"

_TRUE_LINE: Style = {"color": _DARK, "linestyle": (0, (4, 3)), "linewidth": 1.2}
_SPECTRUM: Style = {"color": _GREY, "linewidth": 1.2, "label": "periodogram"}
_SUPPORT: Style = {"color": _GREY, "linewidth": 1, "zorder": 0}
_POINTS: Style = {"linewidths": 0, "label": "codes"}
_TRUE_POINTS: Style = {
    "facecolors": "none",
    "edgecolors": _DARK,
    "linewidths": 0.7,
    "label": "truth",
}
_BARS: Style = {"color": _COLORS[0], "alpha": 0.75, "label": "codes"}
_TRUE_BARS: Style = {"histtype": "step", "color": _DARK, "linestyle": "--", "label": "truth"}
_LEGEND: Style = {"fontsize": "small", "framealpha": 0.7, "handlelength": 2.2}
_CORNER: Style = {"loc": "upper right"}
_BOTTOM: Style = {"loc": "lower center"}
_ABOVE: Style = {
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0.1,
    "ncols": 2,
    "frameon": False,
}

_MOST_LINES_PER_PANEL = 4
_MOST_CODES_IN_PAIRS = 5
_MOST_COLUMNS = 8

_FACTORS: dict[str | None, Callable[[Array], Array]] = {None: np.ones_like, "sign": np.sign, "scale": np.copy}
# What is drawn of a support: outlines in the plane of two codes, edges on the line of one.
_OUTLINES: dict[str | None, tuple[Any, ...]] = {
    "unit": (([0, 1, 1, 0, 0], [0, 0, 1, 1, 0]),),
    "simplex": (([0, 1, 0, 0], [0, 0, 1, 0]),),
}
_EDGES: dict[str | None, tuple[int, ...]] = {"unit": (0, 1), "simplex": (0, 1), "nonnegative": (0,)}


class ComponentsDisplay:
    """Components drawn as curves over a physical axis, or as images.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    components : array-like of shape (k, d)
        Components, one per row.
    positions : array-like of shape (d,), default=None
        Where each feature was measured: times, wavelengths, dates, in any order. None counts the features.
    truth : array-like of shape (m, d), default=None
        True components, or those of another method, to compare with; in any order, of any sign and scale.
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
    images_ : list of k matplotlib AxesImage
        The components as images, in their own order; empty for curves.
    truth_images_ : list of m matplotlib AxesImage
        The truth as images.

    See Also
    --------
    CodesDisplay : The codes that go with the components.
    sparse_fourier.metrics.match_components : How components are matched with the truth.

    Notes
    -----
    With a truth, components are matched with it one to one, and a component has the colour, and the panel, of
    the true one it stands for, so that colours agree between methods. Every image has its own colour scale:
    from zero in grey if it has no negative value, symmetric about zero otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier.plotting import ComponentsDisplay
    >>> times = np.linspace(0, 1, 5)
    >>> display = ComponentsDisplay(components=np.sin(np.outer([1.0, 2.0], times)), positions=times)
    >>> display = display.plot(Figure().subplots(), xlabel="time (s)")
    >>> len(display.lines_), display.ax_.get_xlabel()
    (2, 'time (s)')
    """

    ax_: Axes
    axes_: list[Axes]
    figure_: Figure | SubFigure
    lines_: list[Line2D]
    truth_lines_: list[Line2D]
    images_: list[AxesImage]
    truth_images_: list[AxesImage]

    def __init__(
        self,
        *,
        components: ArrayLike,
        positions: ArrayLike | None = None,
        truth: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        self.components = components
        self.positions = positions
        self.truth = truth
        self.names = names
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,  # noqa: ARG003
        *,
        positions: ArrayLike | None = None,
        truth: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        image_shape: tuple[int, int] | None = None,
        ax: Axes | None = None,
        **plot_kwargs: Any,
    ) -> Self:
        """Draw the components of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            Its ``components_`` of shape (k, d) are drawn: those of
            :class:`sparse_fourier.AutoencoderDecomposer`, of PCA, NMF or dictionary learning. FastICA keeps
            filters there; its components are ``mixing_.T``.
        X : array-like, default=None
            Not used, present for consistency with :class:`CodesDisplay`.
        positions : array-like of shape (d,), default=None
            Where each feature was measured. None counts the features.
        truth : array-like of shape (m, d), default=None
            True components to compare with.
        names : sequence of k str, default=None
            Names of the components.
        image_shape : tuple of two ints, default=None
            Height and width, if each component is an image.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **plot_kwargs : dict
            Further parameters of :meth:`plot`.

        Returns
        -------
        ComponentsDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from sklearn.decomposition import PCA
        >>> from sparse_fourier.datasets import make_sinusoid_mixtures
        >>> from sparse_fourier.plotting import ComponentsDisplay
        >>> X, codes, components = make_sinusoid_mixtures(random_state=0)
        >>> pca = PCA(2).fit(X)
        >>> display = ComponentsDisplay.from_estimator(pca, truth=components, ax=Figure().subplots())
        >>> len(display.lines_), len(display.truth_lines_)
        (2, 2)
        """
        check_is_fitted(estimator)
        display = cls(
            components=estimator.components_,
            positions=positions,
            truth=truth,
            names=names,
            image_shape=image_shape,
        )
        return display.plot(ax, **plot_kwargs)

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
    ) -> Self:
        """Draw the components, and the truth over them.

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
        slots, components = self._matched(align)
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        self.lines_, self.truth_lines_, self.images_, self.truth_images_ = [], [], [], []
        if self.image_shape is None:
            self._plot_lines(slots, components, separate, line_kwargs or {}, truth_kwargs or {})
            self._label_lines(xlabel, ylabel or "", legend)
        else:
            self._plot_images(slots, components, line_kwargs or {}, truth_kwargs or {})
        return self

    def _check(self, align: str | None) -> None:
        d = np.shape(self.components)[1]
        if self.positions is not None and np.shape(self.positions) != (d,):
            raise _invalid("positions", f"of shape ({d},), one per feature", np.shape(self.positions))
        if self.image_shape is not None and np.prod(self.image_shape) != d:
            raise _invalid("image_shape", f"two ints whose product is the {d} features", self.image_shape)
        if self.names is not None and len(self.names) != len(np.asarray(self.components)):
            raise _invalid("names", f"a sequence of {len(np.asarray(self.components))} names", self.names)
        if align not in _FACTORS:
            raise _invalid("align", f"one of {list(_FACTORS)}", align)

    def _matched(self, align: str | None) -> tuple[NDArray[np.intp], Array]:
        """Return the slot of each component, that of the true one it stands for, and the rows to draw."""
        components = np.asarray(self.components)
        slots = np.arange(len(components))
        if self.truth is None:
            return slots, components
        _, permutation, scales = match_components(self.truth, components)
        found = permutation >= 0
        rest = np.setdiff1d(slots, permutation)
        slots[rest] = len(permutation) + np.arange(len(rest))
        slots[permutation[found]] = np.flatnonzero(found)
        factors = np.ones(len(components))
        factors[permutation[found]] = _FACTORS[align](scales[found])
        return slots, factors[:, None] * components

    def _labels(self) -> list[str]:
        if self.names is not None:
            return list(self.names)
        return [f"component {j}" for j in range(len(np.asarray(self.components)))]

    def _true_rows(self) -> Array:
        d = np.shape(self.components)[1]
        return np.empty((0, d)) if self.truth is None else np.asarray(self.truth)

    def _abscissa(self) -> Array:
        d = np.shape(self.components)[1]
        return np.arange(d) if self.positions is None else np.asarray(self.positions)

    def _plot_lines(
        self,
        slots: NDArray[np.intp],
        components: Array,
        separate: bool | str,
        line_kwargs: Style,
        truth_kwargs: Style,
    ) -> None:
        truth, x = self._true_rows(), self._abscissa()
        count = max([*(slots + 1), len(truth)])
        alone = count > _MOST_LINES_PER_PANEL if separate == "auto" else bool(separate)
        self.axes_ = _panels(self.ax_, count, share=True) if alone else [self.ax_]
        for slot, row, label in zip(slots, components, self._labels(), strict=True):
            panel = self.axes_[slot if alone else 0]
            style = dict(_line_style(slot, alone, count), label=label) | line_kwargs
            self.lines_.append(_draw_curve(panel, x, row, style))
            panel.set_title(label if alone else panel.get_title(), fontsize="small" if alone else None)
        for slot, row in enumerate(truth):
            style = dict(_TRUE_LINE, label="_truth" if slot else "truth") | truth_kwargs
            self.truth_lines_.append(_draw_curve(self.axes_[slot if alone else 0], x, row, style))

    def _label_lines(self, xlabel: str | None, ylabel: str, legend: bool) -> None:
        for panel in self.axes_:
            panel.axhline(0, color=_GREY, linewidth=0.6, zorder=0)
        alone = len(self.axes_) > 1
        named = self.truth_lines_[:1] if alone else self.lines_ + self.truth_lines_[:1]
        if legend and named:
            self.axes_[0].legend(handles=named, **_LEGEND)
        default = "feature" if self.positions is None else "position"
        _label_edges(self.axes_, default if xlabel is None else xlabel, ylabel)

    def _plot_images(
        self,
        slots: NDArray[np.intp],
        components: Array,
        line_kwargs: Style,
        truth_kwargs: Style,
    ) -> None:
        truth = self._true_rows()
        count = max([*(slots + 1), len(truth)])
        self.axes_ = _panels(self.ax_, count, share=False, blocks=2 if len(truth) else 1)
        for panel in self.axes_:
            panel.set_axis_off()
        for slot, row, label in zip(slots, components, self._labels(), strict=True):
            self.images_.append(self._draw_image(self.axes_[slot], row, label, line_kwargs))
        for j, row in enumerate(truth):
            panel = self.axes_[count + j]
            self.truth_images_.append(self._draw_image(panel, row, f"truth {j}", truth_kwargs))

    def _draw_image(self, panel: Axes, row: Array, label: str, style: Style) -> AxesImage:
        panel.set_title(label, fontsize="small")
        return panel.imshow(row.reshape(self.image_shape), **(_color_scale(row) | style))


class CodesDisplay:
    """Codes drawn as scatter plots of their pairs, or as histograms.

    One code is drawn as a histogram, two as one scatter plot, three to five as a triangle of scatter plots,
    more as one histogram each. It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    codes : array-like of shape (n, k)
        Codes, one sample per row.
    truth : array-like of shape (n, m), default=None
        True codes of the same samples, in any order of the columns.
    support : {'unit', 'simplex', 'nonnegative', 'real'}, default=None
        Where codes may lie, as a prior's ``support`` says; the edge of a bounded support is drawn.
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
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier.plotting import CodesDisplay
    >>> codes = np.random.default_rng(0).uniform(size=(100, 3))
    >>> display = CodesDisplay(codes=codes, support="unit").plot(Figure().subplots())
    >>> len(display.scatters_), len(display.support_lines_)
    (3, 3)
    """

    ax_: Axes
    axes_: list[Axes]
    figure_: Figure | SubFigure
    scatters_: list[PathCollection]
    truth_scatters_: list[PathCollection]
    histograms_: list[Any]
    truth_histograms_: list[Any]
    support_lines_: list[Line2D]

    def __init__(
        self,
        *,
        codes: ArrayLike,
        truth: ArrayLike | None = None,
        support: str | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.codes = codes
        self.truth = truth
        self.support = support
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        truth: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        ax: Axes | None = None,
        **plot_kwargs: Any,
    ) -> Self:
        """Draw the codes that a fitted estimator gives to samples.

        Parameters
        ----------
        estimator : fitted estimator
            Its ``transform`` gives the codes; the ``support`` of its ``prior_``, where it has one, is drawn.
        X : array-like of shape (n, d)
            Samples.
        truth : array-like of shape (n, m), default=None
            True codes of the same samples.
        names : sequence of k str, default=None
            Names of the codes.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **plot_kwargs : dict
            Further parameters of :meth:`plot`.

        Returns
        -------
        CodesDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from sklearn.decomposition import PCA
        >>> from sparse_fourier.datasets import make_sinusoid_mixtures
        >>> from sparse_fourier.plotting import CodesDisplay
        >>> X, codes, components = make_sinusoid_mixtures(random_state=0)
        >>> display = CodesDisplay.from_estimator(PCA(2).fit(X), X, ax=Figure().subplots())
        >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
        ('code 0', 'code 1')
        """
        prior = getattr(estimator, "prior_", None)
        display = cls(
            codes=np.asarray(estimator.transform(X)),
            truth=truth,
            support=getattr(prior, "support", None),
            names=names,
        )
        return display.plot(ax, **plot_kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        legend: bool = True,
        scatter_kwargs: Style | None = None,
        truth_kwargs: Style | None = None,
    ) -> Self:
        """Draw the codes, the true ones under them, and the edge of the support.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Where several panels are needed they divide its area.
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
            If shapes do not fit together.
        """
        codes, truth = self._matched()
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        self.scatters_, self.truth_scatters_, self.support_lines_ = [], [], []
        self.histograms_, self.truth_histograms_ = [], []
        in_pairs = 2 <= codes.shape[1] <= _MOST_CODES_IN_PAIRS
        draw = self._plot_pairs if in_pairs else self._plot_histograms
        draw(codes, truth, scatter_kwargs or {}, truth_kwargs or {})
        if legend and truth is not None:
            self._add_legend(in_pairs)
        return self

    def _add_legend(self, in_pairs: bool) -> None:
        """Put the legend where it hides little: above one plot, in a triangle's empty corner, on bars."""
        handles, labels = self.axes_[0].get_legend_handles_labels()
        panel = self.ax_ if in_pairs else self.axes_[0]
        place = _ABOVE if len(self.axes_) == 1 else _CORNER if in_pairs else _BOTTOM
        panel.legend(handles, labels, **(_LEGEND | place))

    def _matched(self) -> tuple[Array, Array | None]:
        """Return codes and, column by column, the true codes they stand for; NaN where there is none."""
        codes = np.asarray(self.codes)
        if self.names is not None and len(self.names) != codes.shape[1]:
            raise _invalid("names", f"a sequence of {codes.shape[1]} names", self.names, "CodesDisplay")
        if self.truth is None:
            return codes, None
        truth = np.asarray(self.truth)
        if truth.ndim != 2 or len(truth) != len(codes):
            raise _invalid("truth", f"of shape ({len(codes)}, m)", truth.shape, "CodesDisplay")
        _, permutation, _ = match_components((truth - truth.mean(0)).T, (codes - codes.mean(0)).T)
        found = permutation >= 0
        matched = np.full(codes.shape, np.nan)
        matched[:, permutation[found]] = truth[:, found]
        return codes, matched

    def _label(self, j: int) -> str:
        return f"code {j}" if self.names is None else self.names[j]

    def _plot_pairs(
        self, codes: Array, truth: Array | None, scatter_kwargs: Style, truth_kwargs: Style
    ) -> None:
        k = codes.shape[1]
        pairs = [(row, column) for row in range(1, k) for column in range(row)]
        self.axes_ = [self.ax_] if k == 2 else _triangle(self.ax_, k - 1)
        for panel, (row, column) in zip(self.axes_, pairs, strict=True):
            self._scatter(panel, codes[:, [column, row]], truth, [column, row], scatter_kwargs, truth_kwargs)
            panel.set_xlabel(self._label(column) if row == k - 1 else "")
            panel.set_ylabel(self._label(row) if column == 0 else "")
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
        size = _marker_size(*np.shape(self.codes))
        if truth is not None:
            style = dict(_TRUE_POINTS, s=4 * size) | truth_kwargs
            self.truth_scatters_.append(panel.scatter(*truth[:, columns].T, **style))
        color = {} if "c" in scatter_kwargs else {"color": _COLORS[0]}
        style = _POINTS | color | {"s": size} | scatter_kwargs
        self.scatters_.append(panel.scatter(*pair.T, **style))
        for x, y in _OUTLINES.get(self.support, ()):
            self.support_lines_ += panel.plot(x, y, **_SUPPORT)

    def _plot_histograms(
        self, codes: Array, truth: Array | None, scatter_kwargs: Style, truth_kwargs: Style
    ) -> None:
        k = codes.shape[1]
        self.axes_ = [self.ax_] if k == 1 else _panels(self.ax_, k, share=False)
        for j, panel in enumerate(self.axes_):
            bins = np.histogram_bin_edges(codes[:, j], bins=min(30, 5 + len(codes) // 10))
            style = dict(_BARS, bins=bins) | scatter_kwargs
            self.histograms_.append(panel.hist(codes[:, j], **style)[2])
            if truth is not None and np.isfinite(truth[:, j]).all():
                style = dict(_TRUE_BARS, bins=bins) | truth_kwargs
                self.truth_histograms_.append(panel.hist(truth[:, j], **style)[2])
            self.support_lines_ += [panel.axvline(edge, **_SUPPORT) for edge in _EDGES.get(self.support, ())]
            panel.set_xlabel(self._label(j))
            panel.set_yticks([])


class LossCurveDisplay:
    """The loss of training, iteration by iteration.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    losses : array-like of shape (n_iter + 1,)
        The loss after every iteration or epoch.
    name : str, default=None
        What the curve is called in a legend; None for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    line_ : matplotlib Line2D
        The curve.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier.plotting import LossCurveDisplay
    >>> display = LossCurveDisplay(losses=[3.0, 1.0, 0.5]).plot(Figure().subplots())
    >>> display.ax_.get_xlabel()
    'iteration'
    """

    ax_: Axes
    figure_: Figure | SubFigure
    line_: Line2D

    def __init__(self, *, losses: ArrayLike, name: str | None = None) -> None:
        self.losses = losses
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Axes | None = None, **line_kwargs: Any
    ) -> Self:
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            Its ``loss_curve_`` is drawn: that of :class:`sparse_fourier.AutoencoderDecomposer` or of
            scikit-learn's perceptrons.
        name : str, default=None
            What the curve is called in a legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure. Several estimators may share them.
        **line_kwargs : dict
            Keywords for ``Axes.plot``.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from sparse_fourier import AutoencoderDecomposer
        >>> from sparse_fourier.datasets import make_sinusoid_mixtures
        >>> from sparse_fourier.plotting import LossCurveDisplay
        >>> X, codes, components = make_sinusoid_mixtures(noise=0.05, random_state=0)
        >>> model = AutoencoderDecomposer(2, random_state=0).fit(X)
        >>> display = LossCurveDisplay.from_estimator(model, ax=Figure().subplots())
        >>> len(display.line_.get_xdata()) == len(model.loss_curve_)
        True
        """
        check_is_fitted(estimator)
        return cls(losses=estimator.loss_curve_, name=name).plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax: Axes | None = None, *, ylabel: str = "loss", line_kwargs: Style | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        ylabel : str, default="loss"
            What is minimised, with unit.
        line_kwargs : dict, default=None
            Keywords for ``Axes.plot``.

        Returns
        -------
        LossCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.

        Notes
        -----
        Losses that are all positive and fall by more than a factor of ten have a logarithmic axis.
        """
        losses = np.asarray(self.losses)
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        style = {"color": None, "label": self.name, **(line_kwargs or {})}
        (self.line_,) = self.ax_.plot(np.arange(1, len(losses) + 1), losses, **style)
        if losses.min() > 0 and losses.max() > 10 * losses.min():
            self.ax_.set_yscale("log")
        self.ax_.set(xlabel="iteration", ylabel=ylabel)
        if self.name is not None:
            self.ax_.legend(**_LEGEND)
        return self


class SpectrumDisplay:
    """Learned frequencies as stems over the periodogram of the data.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    frequencies : array-like of shape (k, n_terms)
        Frequencies of each component.
    amplitudes : array-like of shape (k, n_terms)
        Root mean squares over signals of the amplitudes that go with them.
    grid : array-like of shape (n_grid,)
        Frequencies of the periodogram.
    spectrum : array-like of shape (n_grid,)
        Root mean squares over signals of the amplitude of the one sinusoid that fits them best.
    truth : array-like of floats, default=None
        True frequencies to compare with.
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
    truth_lines_ : list of matplotlib Line2D
        The true frequencies.

    See Also
    --------
    ComponentsDisplay : The components as curves.
    sparse_fourier.bases.Fourier : The basis that learns frequencies.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier.plotting import SpectrumDisplay
    >>> grid = np.linspace(0, 0.5, 100)
    >>> display = SpectrumDisplay(
    ...     frequencies=[[0.1], [0.2]],
    ...     amplitudes=[[1.0], [0.5]],
    ...     grid=grid,
    ...     spectrum=np.sinc(20 * grid - 2) ** 2,
    ... )
    >>> len(display.plot(Figure().subplots()).stems_)
    2
    """

    ax_: Axes
    figure_: Figure | SubFigure
    line_: Line2D
    stems_: list[Any]
    truth_lines_: list[Line2D]

    def __init__(
        self,
        *,
        frequencies: ArrayLike,
        amplitudes: ArrayLike,
        grid: ArrayLike,
        spectrum: ArrayLike,
        truth: ArrayLike | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.frequencies = frequencies
        self.amplitudes = amplitudes
        self.grid = grid
        self.spectrum = spectrum
        self.truth = truth
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        truth: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        ax: Axes | None = None,
        **plot_kwargs: Any,
    ) -> Self:
        """Draw the learned frequencies of a fitted estimator over the periodogram of signals.

        Parameters
        ----------
        estimator : fitted estimator
            An :class:`sparse_fourier.AutoencoderDecomposer` with the Fourier basis.
        X : array-like of shape (n, d)
            Signals; the mean of the features is subtracted, and what is missing counts as that.
        truth : array-like of floats, default=None
            True frequencies.
        names : sequence of k str, default=None
            Names of the components.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **plot_kwargs : dict
            Further parameters of :meth:`plot`.

        Returns
        -------
        SpectrumDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If the estimator has no frequencies.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from sparse_fourier import AutoencoderDecomposer
        >>> from sparse_fourier.datasets import make_sinusoid_mixtures
        >>> from sparse_fourier.plotting import SpectrumDisplay
        >>> X, codes, components = make_sinusoid_mixtures(random_state=0)
        >>> model = AutoencoderDecomposer(2, basis="fourier").fit(X)
        >>> display = SpectrumDisplay.from_estimator(model, X, ax=Figure().subplots())
        >>> display.ax_.get_xlabel()
        'frequency'
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "frequencies_"):
            raise ValueError("The estimator has no frequencies_; fit it with basis='fourier'.")
        X = np.asarray(X, dtype=float)
        grid, spectrum = _periodogram(X, estimator.basis_.record(X.shape[1]))
        deviations = np.std(estimator.transform(X), axis=0)
        display = cls(
            frequencies=estimator.frequencies_,
            amplitudes=estimator.amplitudes_ * deviations[:, None],
            grid=grid,
            spectrum=spectrum,
            truth=truth,
            names=names,
        )
        return display.plot(ax, **plot_kwargs)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        xlabel: str = "frequency",
        ylabel: str = "amplitude (rms over signals)",
        legend: bool = True,
        line_kwargs: Style | None = None,
        stem_kwargs: Style | None = None,
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
            raise _invalid("amplitudes", f"of shape {frequencies.shape}", amplitudes.shape, "SpectrumDisplay")
        if self.names is not None and len(self.names) != len(frequencies):
            raise _invalid("names", f"a sequence of {len(frequencies)} names", self.names, "SpectrumDisplay")
        names = self.names or [f"component {j}" for j in range(len(frequencies))]
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        style = _SPECTRUM | (line_kwargs or {})
        self.line_ = self.ax_.plot(np.asarray(self.grid), np.asarray(self.spectrum), **style)[0]
        places = [] if self.truth is None else np.ravel(np.asarray(self.truth))
        self.truth_lines_ = [self.ax_.axvline(place, **_TRUE_LINE) for place in places]
        self.stems_ = []
        for j, (place, height, name) in enumerate(zip(frequencies, amplitudes, names, strict=True)):
            color = _COLORS[j % len(_COLORS)]
            style = {"color": color, "linewidth": 2.5, "label": name} | (stem_kwargs or {})
            self.stems_.append(self.ax_.vlines(place, 0, height, **style))
            self.ax_.plot(place, height, "o", color=style["color"], markersize=5)
        self.ax_.set(xlabel=xlabel, ylabel=ylabel)
        self.ax_.set_ylim(bottom=0)
        if legend:
            for line in self.truth_lines_[:1]:
                line.set_label("truth")
            self.ax_.legend(**_LEGEND)
        return self


def _periodogram(X: Array, record: Any) -> tuple[Array, Array]:
    """Return frequencies, and the rms over signals of the amplitude of the sinusoid that fits each best."""
    centred = X - np.nanmean(X, axis=0)
    centred = np.where(np.isfinite(centred), centred, 0.0)
    grid, _ = record.grid
    fine = np.linspace(0, grid.max(), 4 * len(np.unique(grid)))[1:-1]
    angles = 2 * np.pi * np.multiply.outer(fine, record.times)
    bases, _ = np.linalg.qr(np.stack([np.sin(angles), np.cos(angles)], axis=2))
    power = (np.einsum("nd,fdk->fnk", centred, bases) ** 2).sum(axis=2).mean(axis=1)
    return fine / record.length, np.sqrt(2.0 * power / X.shape[1])


class ComparisonDisplay:
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

    ax_: Axes
    figure_: Figure | SubFigure
    lines_: list[Line2D]

    def __init__(
        self,
        *,
        errors: ArrayLike,
        methods: Sequence[str],
        regimes: Sequence[str],
        xlabel: str = "relative error",
    ) -> None:
        self.errors = errors
        self.methods = methods
        self.regimes = regimes
        self.xlabel = xlabel

    def plot(self, ax: Axes | None = None, *, legend: bool = True) -> Self:
        """Draw the errors.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        legend : bool, default=True
            Whether to name the methods, to the right of the axes.

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
            constraint = f"an array of shape (n_methods, n_regimes) = {shape}"
            raise _invalid("errors", constraint, errors.shape, "ComparisonDisplay")
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        self.ax_.set_xscale("log")
        self.lines_ = [self._draw(i, row) for i, row in enumerate(errors)]
        self.ax_.set_yticks(range(shape[1]), self.regimes)
        self.ax_.set_ylim(shape[1] - 0.5, -0.5)
        self.ax_.grid(axis="y", color=_GREY, alpha=0.3)
        self.ax_.set_xlabel(self.xlabel)
        if legend:
            place: Style = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}
            self.ax_.legend(**(_LEGEND | place))
        return self

    def _draw(self, slot: int, errors: Array) -> Line2D:
        style: Style = {
            "linestyle": "none",
            "marker": _MARKERS[slot % len(_MARKERS)],
            "label": self.methods[slot],
        }
        if slot:
            style |= {"color": _COLORS[1 + (slot - 1) % (len(_COLORS) - 1)], "markersize": 5, "alpha": 0.75}
        else:
            style |= {"color": _COLORS[0], "markersize": 8, "zorder": 3}
        (line,) = self.ax_.plot(errors, np.arange(len(errors)), **style)
        return line


def _invalid(name: str, constraint: str, value: Any, owner: str = "ComponentsDisplay") -> ValueError:
    return ValueError(f"The {name!r} parameter of {owner} must be {constraint}. Got {value!r} instead.")


def _new_axes() -> Axes:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        message = 'Plotting needs Matplotlib; install it with: pip install "sparse_fourier[plot]"'
        raise ImportError(message) from error
    return plt.figure(layout="constrained").add_subplot()


def _divide(ax: Axes, rows: int, columns: int) -> Any:
    """Hide axes and return a grid in their place."""
    ax.set_axis_off()
    spec = ax.get_subplotspec()
    if spec is not None:
        return spec.subgridspec(rows, columns)
    x0, y0, x1, y1 = ax.get_position().extents
    return ax.figure.add_gridspec(rows, columns, left=x0, bottom=y0, right=x1, top=y1)


def _columns(count: int, blocks: int = 1) -> int:
    """Return how many columns make a grid of blocks about as wide as high, its rows of equal length."""
    widest = min(int(np.ceil(np.sqrt(blocks * count))), count, _MOST_COLUMNS)
    rows = -(-count // widest)
    return -(-count // rows)


def _panels(ax: Axes, count: int, *, share: bool, blocks: int = 1) -> list[Axes]:
    """Divide axes into blocks, one below the other, of `count` panels each, row by row."""
    columns = _columns(count, blocks)
    rows = -(-count // columns)
    grid = _divide(ax, blocks * rows, columns)
    panels: list[Axes] = []
    for block, j in np.ndindex(blocks, count):
        first = panels[0] if share and panels else None
        cell = grid[block * rows + j // columns, j % columns]
        panels.append(ax.figure.add_subplot(cell, sharex=first, sharey=first))
    return panels


def _triangle(ax: Axes, size: int) -> list[Axes]:
    """Divide axes into the lower triangle of a grid, row by row; columns share x, rows share y."""
    grid = _divide(ax, size, size)
    panels: dict[tuple[int, int], Axes] = {}
    for row in range(size):
        for column in range(row + 1):
            shared = {"sharex": panels.get((column, column)), "sharey": panels.get((row, 0))}
            panels[row, column] = ax.figure.add_subplot(grid[row, column], **shared)
    return list(panels.values())


def _label_edges(panels: list[Axes], xlabel: str, ylabel: str) -> None:
    """Label x on the lowest panel of each column and y on the first of each row."""
    columns = _columns(len(panels))
    for j, panel in enumerate(panels):
        lowest, first = j + columns >= len(panels), j % columns == 0
        panel.set_xlabel(xlabel if lowest else "")
        panel.set_ylabel(ylabel if first else "")
        if len(panels) > 1:
            panel.tick_params(labelbottom=lowest, labelleft=first)


def _line_style(slot: int, alone: bool, count: int) -> Style:
    """Return colour, dashes and width of a curve, which are told apart where many share a panel."""
    cycle, j = divmod(int(slot), len(_COLORS))
    dashes = _STYLES[0] if alone else _STYLES[cycle % len(_STYLES)]
    return {"color": _COLORS[j], "linestyle": dashes, "linewidth": 2.5 if alone or count < 4 else 1.8}


def _draw_curve(panel: Axes, x: Array, y: Array, style: Style) -> Line2D:
    order = np.argsort(x, kind="stable")
    return panel.plot(x[order], y[order], **style)[0]


def _color_scale(row: Array) -> Style:
    low, high = float(row.min()), float(row.max())
    if low >= 0:
        return {"cmap": "Greys", "vmin": 0.0, "vmax": high}
    limit = max(-low, high)
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def _marker_size(n_samples: int, n_codes: int) -> float:
    """Return an area in square points that keeps large clouds and small panels readable."""
    return float(np.clip(20 * np.sqrt(300 / max(n_samples, 1)) / n_codes, 1, 16))
