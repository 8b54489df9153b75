"""Axes divided into panels, and curves and images drawn in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparse_fourier.plotting.style import color_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

Array = NDArray[Any]
Style = dict[str, Any]

_MOST_COLUMNS = 8
_WIDTH_OF_LETTER = 0.6  # of its height, about
_USUAL_TITLE = 13  # letters: titles of one figure have one size
_TITLE_SIZES = (5.5, 8.5)


def divided(ax: Axes, count: int, *, share: bool, blocks: int = 1, columns: int | None = None) -> list[Axes]:
    """Divide axes into blocks, one below the other, of `count` panels each, row by row.

    Panels that share have one horizontal axis, and one vertical axis in each block.
    """
    columns = columns or columns_of(count)
    rows = -(-count // columns)
    grid = _grid(ax, blocks * rows, columns)
    panels: list[Axes] = []
    for block, j in np.ndindex(blocks, count):
        cell = grid[block * rows + j // columns, j % columns]
        wide, high = (panels[:1] * share, panels[block * count :][:1] * share)
        shared = {"sharex": next(iter(wide), None), "sharey": next(iter(high), None)}
        panels.append(ax.figure.add_subplot(cell, **shared))
    return panels


def columns_of(count: int, aspect: float = 1.0) -> int:
    """Return how many columns fill a space that is so many panels wider than high, rows of equal length."""
    widest = min(int(np.ceil(np.sqrt(aspect * count))), count, _MOST_COLUMNS)
    rows = -(-count // widest)
    return -(-count // rows)


def image_columns(ax: Axes, count: int, blocks: int, shape: tuple[int, int]) -> int:
    """Return how many columns let blocks of images of this height and width fill axes."""
    box, figure = ax.get_position(), ax.figure.bbox
    wider = (box.width * figure.width) / (box.height * figure.height)
    return columns_of(count, blocks * wider * shape[0] / shape[1])


def triangle(ax: Axes, size: int) -> list[Axes]:
    """Divide axes into the lower triangle of a grid, row by row; columns share x, rows share y."""
    grid = _grid(ax, size, size)
    panels: dict[tuple[int, int], Axes] = {}
    for row in range(size):
        for column in range(row + 1):
            shared = {"sharex": panels.get((column, column)), "sharey": panels.get((row, 0))}
            panels[row, column] = ax.figure.add_subplot(grid[row, column], **shared)
    return list(panels.values())


def label_edges(panels: list[Axes], xlabel: str, ylabel: str, columns: int | None = None) -> None:
    """Label x on the lowest panel of each column and y on the first of each row."""
    columns = columns or columns_of(len(panels))
    for j, panel in enumerate(panels):
        lowest, first = j + columns >= len(panels), j % columns == 0
        panel.set_xlabel(xlabel if lowest else "")
        panel.set_ylabel(ylabel if first else "")
        if len(panels) > 1:
            panel.tick_params(labelbottom=lowest, labelleft=first)


def draw_curve(panel: Axes, x: Array, y: Array, style: Style) -> Line2D:
    """Draw a curve over positions in any order."""
    order = np.argsort(x, kind="stable")
    line = panel.plot(x[order], y[order], **style)[0]
    if x.dtype.kind == "M":
        _shorten_dates(panel)
    return line


def draw_band(panel: Axes, x: Array, lower: Array, upper: Array, style: Style) -> Any:
    """Fill what lies between two curves over positions in any order."""
    order = np.argsort(x, kind="stable")
    return panel.fill_between(x[order], lower[order], upper[order], **style)


def entitle(panel: Axes, title: str) -> None:
    """Write a title no wider than its panel, as far as it stays legible."""
    letters = max(_USUAL_TITLE, *map(len, title.split("\n")))
    size = 72 * width_of(panel) / (_WIDTH_OF_LETTER * letters)
    panel.set_title(title, fontsize=float(np.clip(size, *_TITLE_SIZES)))


def width_of(panel: Axes) -> float:
    """Return the width of a panel in inches."""
    return float(panel.get_position().width * panel.figure.bbox.width / panel.figure.dpi)


def draw_image(panel: Axes, picture: Array, title: str, style: Style) -> AxesImage:
    """Draw an image on a colour scale of its own, without axes."""
    panel.set_axis_off()
    entitle(panel, title)
    return panel.imshow(picture, **(color_scale(picture) | style))


def _shorten_dates(panel: Axes) -> None:
    """Label dates by what changes from one to the next, so that they fit a small panel."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=2, maxticks=5)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _grid(ax: Axes, rows: int, columns: int) -> Any:
    """Hide axes and return a grid in their place."""
    ax.set_axis_off()
    spec = ax.get_subplotspec()
    if spec is not None:
        return spec.subgridspec(rows, columns)
    x0, y0, x1, y1 = ax.get_position().extents
    return ax.figure.add_gridspec(rows, columns, left=x0, bottom=y0, right=x1, top=y1)
