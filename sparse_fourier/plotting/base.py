"""What all displays share: the axes that they draw on, the words of their errors, how they are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_fourier.exceptions import invalid
from sparse_fourier.plotting.panels import label_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Array = NDArray[Any]
Style = dict[str, Any]


@dataclass(kw_only=True, eq=False, repr=False)
class Display(ABC):
    """Arrays that can be drawn; a subclass has them as fields, and what it drew with a trailing underscore.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    """

    ax_: Axes = field(init=False)
    figure_: Figure | SubFigure = field(init=False)

    @abstractmethod
    def plot(self, ax: Axes | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        Display
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        """

    def _begin(self, ax: Axes | None) -> None:
        """Settle the axes and empty the lists of what was drawn before."""
        self.ax_ = new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        for drawn in fields(self):
            if drawn.default_factory is list:
                setattr(self, drawn.name, [])

    def _invalid(self, name: str, constraint: str, value: Any) -> ValueError:
        return invalid(type(self).__name__, name, constraint, repr(value))

    def _labels(self, names: Sequence[str] | None, count: int, kind: str) -> list[str]:
        """Return names that were given, one for each, or count them."""
        if names is None:
            return [f"{kind} {j}" for j in range(count)]
        if len(names) != count:
            raise self._invalid("names", f"a sequence of {count} names", names)
        return list(names)

    def _distances(self, bands: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
        """Return how far bands reach below and above values of this shape, shape (2, ...)."""
        if bands is None:
            return None
        widths = np.asarray(bands, dtype=float)
        if widths.shape not in (shape, (2, *shape)):
            raise self._invalid("bands", f"of shape {shape} or {(2, *shape)}", widths.shape)
        return np.broadcast_to(widths, (2, *shape))


class EstimatorDisplay(Display):
    """A display of what a fitted estimator learned."""

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike | None = None, *, ax: Axes | None = None, **parameters: Any
    ) -> Self:
        """Draw what a fitted estimator learned, or makes of signals.

        Parameters
        ----------
        estimator : fitted estimator
            :class:`sparse_fourier.AutoencoderDecomposer`, or any of scikit-learn that has what is drawn.
        X : array-like of shape (n, d), default=None
            Signals, where the display is of signals.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **parameters : dict
            Further parameters of the display and of its ``plot``, by their names.

        Returns
        -------
        Display
            The display, drawn.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together, or the estimator has nothing to draw.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        own = {f.name for f in fields(cls) if f.init}
        given = {name: value for name, value in parameters.items() if name in own}
        how = {name: value for name, value in parameters.items() if name not in own}
        return cls(**(cls._learned(estimator, X) | given)).plot(ax, **how)

    @classmethod
    @abstractmethod
    def _learned(cls, estimator: Any, X: ArrayLike | None) -> dict[str, Any]:
        """Return the fields of the display that come from an estimator."""


class FeaturesDisplay(EstimatorDisplay):
    """A display of rows of features: curves over positions, or images."""

    positions: ArrayLike | None
    bands: ArrayLike | None
    names: Sequence[str] | None
    image_shape: tuple[int, int] | None

    def _check_rows(self, shape: tuple[int, ...], kind: str) -> None:
        """Check what goes with rows of this shape."""
        count, d = shape
        if self.positions is not None and np.shape(self.positions) != (d,):
            raise self._invalid("positions", f"of shape ({d},), one per feature", np.shape(self.positions))
        if self.image_shape is not None and np.prod(self.image_shape) != d:
            constraint = f"two ints whose product is the {d} features"
            raise self._invalid("image_shape", constraint, self.image_shape)
        self._labels(self.names, count, kind)
        self._distances(self.bands, shape)

    def _places(self, d: int) -> Array:
        """Return where features were measured, or their numbers."""
        return np.arange(d) if self.positions is None else np.asarray(self.positions)

    def _label_axes(
        self, panels: list[Axes], xlabel: str | None, ylabel: str | None, columns: int | None = None
    ) -> None:
        default = "feature" if self.positions is None else "position"
        label_edges(panels, default if xlabel is None else xlabel, ylabel or "", columns)


def new_axes() -> Axes:
    """Return the axes of a new figure."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        message = 'Plotting needs Matplotlib; install it with: pip install "sparse_fourier[plot]"'
        raise ImportError(message) from error
    return plt.figure(layout="constrained").add_subplot()
