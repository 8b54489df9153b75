"""How alike the components of refits are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from sparse_fourier.diagnosis import Diagnosis
from sparse_fourier.plotting.base import Display, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

_MAP: Style = {"cmap": "Blues", "vmin": 0.0, "vmax": 1.0, "interpolation": "nearest"}
_BORDER: Style = {"color": "white", "linewidth": 1.2}


@dataclass(kw_only=True, eq=False, repr=False)
class StabilityDisplay(Display):
    """Absolute cosines between the components of all refits: a dark block for each stable component.

    It is recommended to use :meth:`from_diagnosis`. All parameters are stored as attributes.

    Parameters
    ----------
    similarities : array-like of shape (m, m)
        Absolute cosines, those of one component's refits next to each other.
    n_components : int
        Number of components, which divides m.
    names : sequence of n_components str, default=None
        Names of the components; None counts them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were given or made.
    figure_ : matplotlib Figure or SubFigure
        What holds them.
    image_ : matplotlib AxesImage
        The map.
    borders_ : list of matplotlib Line2D
        Lines between components, those across first.
    colorbar_ : matplotlib Colorbar
        The scale; None without.

    See Also
    --------
    sparse_fourier.AutoencoderDecomposer.diagnose : Where refits come from.

    References
    ----------
    J. Himberg, A. Hyvärinen and F. Esposito. Validating the independent components of neuroimaging time
    series via clustering and visualization. NeuroImage 22(3), 1214-1222, 2004.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sparse_fourier.plotting import StabilityDisplay
    >>> display = StabilityDisplay(similarities=[[1.0, 0.1], [0.1, 1.0]], n_components=2)
    >>> display = display.plot(Figure().subplots())
    >>> len(display.borders_), display.image_.get_array().shape
    (2, (2, 2))
    """

    similarities: ArrayLike
    n_components: int
    names: Sequence[str] | None = None

    image_: AxesImage = field(init=False)
    borders_: list[Line2D] = field(init=False, default_factory=list)
    colorbar_: Colorbar | None = field(init=False)

    @classmethod
    def from_diagnosis(
        cls,
        diagnosis: Diagnosis,
        *,
        names: Sequence[str] | None = None,
        ax: Axes | None = None,
        **plot_kwargs: Any,
    ) -> Self:
        """Draw how alike the components of the refits of a diagnosis are.

        Parameters
        ----------
        diagnosis : Diagnosis
            What ``diagnose`` of an estimator returned.
        names : sequence of str, default=None
            Names of the components.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        **plot_kwargs : dict
            Further parameters of :meth:`plot`.

        Returns
        -------
        StabilityDisplay
            The display, drawn.
        """
        k = len(diagnosis.components)
        return cls(similarities=diagnosis.similarities(), n_components=k, names=names).plot(ax, **plot_kwargs)

    def plot(
        self, ax: Axes | None = None, *, colorbar: bool = True, image_kwargs: Style | None = None
    ) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        colorbar : bool, default=True
            Whether to draw the scale.
        image_kwargs : dict, default=None
            Keywords for ``Axes.imshow``.

        Returns
        -------
        StabilityDisplay
            The display itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError
            If shapes do not fit together.
        """
        matrix, k = np.asarray(self.similarities, dtype=float), self.n_components
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] % k:
            raise self._invalid("similarities", f"square, with a multiple of {k} rows", matrix.shape)
        labels = self._labels(self.names, k, "component")
        self._begin(ax)
        self.image_ = self.ax_.imshow(matrix, **(_MAP | (image_kwargs or {})))
        size = len(matrix) // k
        places = size * np.arange(1, k) - 0.5
        self.borders_ = [self.ax_.axhline(place, **_BORDER) for place in places]
        self.borders_ += [self.ax_.axvline(place, **_BORDER) for place in places]
        middles = size * (np.arange(k) + 0.5) - 0.5
        self.ax_.set_yticks(middles, labels)
        self.ax_.set_xticks(middles, [str(j) for j in range(k)] if self.names is None else labels)
        self.ax_.set_xlabel("refits of each component")
        self.colorbar_ = None
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_, label="absolute cosine")
        return self
