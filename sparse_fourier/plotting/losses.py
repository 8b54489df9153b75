"""Loss curves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sparse_fourier.plotting.base import EstimatorDisplay, Style
from sparse_fourier.plotting.style import COLORS, LEGEND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


@dataclass(kw_only=True, eq=False, repr=False)
class LossCurveDisplay(EstimatorDisplay):
    """The loss of training, iteration by iteration.

    It is recommended to use ``from_estimator``; several curves may share axes. All parameters are stored as
    attributes.

    Parameters
    ----------
    losses : array-like of shape (n_iter + 1,)
        The loss after every iteration or epoch. ``from_estimator`` takes ``loss_curve_``, as this library and
        scikit-learn's perceptrons have it.
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
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> from sparse_fourier.plotting import LossCurveDisplay
    >>> X, codes, components = make_sinusoid_mixtures(noise=0.05, random_state=0)
    >>> model = AutoencoderDecomposer(2, random_state=0).fit(X)
    >>> display = LossCurveDisplay.from_estimator(model, ax=Figure().subplots())
    >>> len(display.line_.get_xdata()) == len(model.loss_curve_)
    True
    """

    losses: ArrayLike
    name: str | None = None

    line_: Line2D = field(init=False)

    @classmethod
    def _learned(cls, estimator: Any, X: ArrayLike | None) -> dict[str, Any]:  # noqa: ARG003
        check_is_fitted(estimator)
        return {"losses": estimator.loss_curve_}

    def plot(
        self,
        ax: Axes | None = None,
        *,
        xlabel: str = "iteration",
        ylabel: str = "loss",
        legend: bool = True,
        line_kwargs: Style | None = None,
    ) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        xlabel : str, default="iteration"
            What is counted.
        ylabel : str, default="loss"
            What is minimised, with unit.
        legend : bool, default=True
            Whether to name the curve, if it has a name.
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
        Losses that are all positive and fall by more than a factor of ten have a logarithmic axis. Curves
        that share axes have different colours.
        """
        losses = np.asarray(self.losses)
        self._begin(ax)
        color = COLORS[len(self.ax_.get_lines()) % len(COLORS)]
        style = {"color": color, "label": self.name} | (line_kwargs or {})
        (self.line_,) = self.ax_.plot(np.arange(1, len(losses) + 1), losses, **style)
        if losses.min() > 0 and losses.max() > 10 * losses.min():
            self.ax_.set_yscale("log")
        self.ax_.set(xlabel=xlabel, ylabel=ylabel)
        if legend and self.name is not None:
            self.ax_.legend(**LEGEND)
        return self
