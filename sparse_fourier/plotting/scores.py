"""Scores against the number of components and the prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from sparse_fourier.plotting.base import Array, Display, Style
from sparse_fourier.plotting.style import BAND, COLORS, LEGEND, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D


@dataclass(kw_only=True, eq=False, repr=False)
class ScoresDisplay(Display):
    """Scores of priors against the number of components, with their errors.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    scores : array-like of shape (n_priors, n_numbers)
        Higher is better; NaN where there is none.
    numbers : sequence of n_numbers int
        Numbers of components.
    priors : sequence of n_priors str
        Names of the priors.
    bands : array-like of shape (n_priors, n_numbers) or (2, n_priors, n_numbers), default=None
        How far bands reach from each score: to either side, or below and above.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    lines_ : list of n_priors matplotlib Line2D
        A curve for each prior.
    bands_ : list of n_priors matplotlib PolyCollection
        Their bands; empty where none were given.
    best_ : matplotlib Line2D
        A ring around the best score.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier.plotting import ScoresDisplay
    >>> display = ScoresDisplay(
    ...     scores=[[1.0, 3.0, 2.5], [0.5, 2.0, 2.0]], numbers=[1, 2, 3], priors=["uniform", "gaussian"]
    ... )
    >>> display = display.plot(Figure().subplots())
    >>> len(display.lines_), display.best_.get_xdata().tolist()
    (2, [2])
    """

    scores: ArrayLike
    numbers: Sequence[int]
    priors: Sequence[str]
    bands: ArrayLike | None = None

    lines_: list[Line2D] = field(init=False, default_factory=list)
    bands_: list[PolyCollection] = field(init=False, default_factory=list)
    best_: Line2D = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        numbers: Sequence[int],
        priors: Sequence[Any],
        cv: Any = 3,
        ax: Axes | None = None,
        **plot_kwargs: Any,
    ) -> Self:
        """Draw the scores of held-out signals, of fits with every number of components and every prior.

        Parameters
        ----------
        estimator : AutoencoderDecomposer
            Its other parameters are those of all fits; it need not be fitted and is left as it is.
        X : array-like of shape (n, d)
            Signals.
        numbers : sequence of int
            Numbers of components.
        priors : sequence of str or Prior
            Priors.
        cv : int, cross-validation generator or iterable, default=3
            How signals are held out; see :func:`sklearn.model_selection.cross_val_score`.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **plot_kwargs : dict
            Further parameters of :meth:`plot`.

        Returns
        -------
        ScoresDisplay
            The display, drawn: the mean score of a signal, and as band its standard error over the folds.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from sparse_fourier import AutoencoderDecomposer
        >>> from sparse_fourier.datasets import make_sinusoid_mixtures
        >>> from sparse_fourier.plotting import ScoresDisplay
        >>> X, codes, components = make_sinusoid_mixtures(noise=0.1, random_state=0)
        >>> display = ScoresDisplay.from_estimator(
        ...     AutoencoderDecomposer(random_state=0),
        ...     X,
        ...     numbers=[1, 2, 3],
        ...     priors=["uniform"],
        ...     ax=Figure().subplots(),
        ... )
        >>> display.best_.get_xdata().tolist(), display.best_.get_label()
        ([2], 'best: uniform, 2')
        """
        folds = np.array(
            [
                [
                    cross_val_score(clone(estimator).set_params(n_components=k, prior=prior), X, cv=cv)
                    for k in numbers
                ]
                for prior in priors
            ]
        )
        errors = folds.std(axis=2, ddof=1) / np.sqrt(folds.shape[2])
        names = [str(prior) for prior in priors]
        return cls(scores=folds.mean(axis=2), numbers=numbers, priors=names, bands=errors).plot(
            ax, **plot_kwargs
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        xlabel: str = "number of components",
        ylabel: str = "log-likelihood (nats per signal)",
        legend: bool = True,
        line_kwargs: Style | None = None,
        band_kwargs: Style | None = None,
    ) -> Self:
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        xlabel : str, default="number of components"
            What is counted.
        ylabel : str, default="log-likelihood (nats per signal)"
            What scores are, with unit.
        legend : bool, default=True
            Whether to name the priors and the best score.
        line_kwargs : dict, default=None
            Keywords for ``Axes.plot``.
        band_kwargs : dict, default=None
            Keywords for ``Axes.fill_between``.

        Returns
        -------
        ScoresDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together.
        """
        scores, shape = np.asarray(self.scores, dtype=float), (len(self.priors), len(self.numbers))
        if scores.shape != shape:
            raise self._invalid("scores", f"of shape (n_priors, n_numbers) = {shape}", scores.shape)
        distances = self._distances(self.bands, shape)
        self._begin(ax)
        self.lines_ = [self._line(i, row, line_kwargs or {}) for i, row in enumerate(scores)]
        if distances is not None:
            self._plot_bands(scores, distances, band_kwargs or {})
        self._mark_best(scores)
        self.ax_.set(xlabel=xlabel, ylabel=ylabel, xticks=list(self.numbers))
        if legend:
            self.ax_.legend(**LEGEND)
        return self

    def _line(self, slot: int, scores: Array, line_kwargs: Style) -> Line2D:
        style: Style = {
            "color": COLORS[slot % len(COLORS)],
            "marker": MARKERS[slot % len(MARKERS)],
            "markersize": 5,
            "label": self.priors[slot],
        }
        return self.ax_.plot(self.numbers, scores, **(style | line_kwargs))[0]

    def _plot_bands(self, scores: Array, distances: Array, band_kwargs: Style) -> None:
        for line, row, below, above in zip(self.lines_, scores, *distances, strict=True):
            style: Style = BAND | {"facecolor": line.get_color()} | band_kwargs
            self.bands_.append(self.ax_.fill_between(self.numbers, row - below, row + above, **style))

    def _mark_best(self, scores: Array) -> None:
        i, j = (int(place) for place in np.unravel_index(np.nanargmax(scores), scores.shape))
        style: Style = {
            "linestyle": "none",
            "marker": "o",
            "markersize": 12,
            "markerfacecolor": "none",
            "markeredgecolor": "black",
            "label": f"best: {self.priors[i]}, {self.numbers[j]}",
        }
        (self.best_,) = self.ax_.plot([self.numbers[j]], [scores[i, j]], **style)
