"""Colours, dashes and sizes, readable for colour-blind readers and in print."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Style = dict[str, Any]

# Okabe and Ito's colours, safe for colour-blind readers, those first that these tell apart best; black is
# kept for the truth, yellow is too pale.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7")
DARK = "#1a1a1a"
GREY = "#8c8c8c"
MARKERS = "osD^v<>PX"
_DASHES = ("-", "-.", ":")

_TRUE_LINE: Style = {"color": DARK, "linestyle": (0, (4, 3)), "linewidth": 1.2}
ZERO: Style = {"color": GREY, "linewidth": 0.6, "zorder": 0}
BAND: Style = {"alpha": 0.25, "linewidth": 0, "zorder": 1}
LEGEND: Style = {"fontsize": "small", "framealpha": 0.7, "handlelength": 2.2}
ABOVE: Style = {
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0.1,
    "ncols": 2,
    "frameon": False,
}


def line_style(slot: int, alone: bool, count: int) -> Style:
    """Return colour, dashes and width of a curve, which are told apart where many share a panel."""
    cycle, j = divmod(int(slot), len(COLORS))
    dashes = _DASHES[0] if alone else _DASHES[cycle % len(_DASHES)]
    return {"color": COLORS[j], "linestyle": dashes, "linewidth": 2.5 if alone or count < 4 else 1.8}


def true_line(slot: int) -> Style:
    """Return the style of a line of the truth, of which a legend names the first."""
    return dict(_TRUE_LINE, label="_truth" if slot else "truth")


def color_scale(row: Array) -> Style:
    """Return the colour scale of an image: greys from zero, or symmetric where it has negative values."""
    low, high = float(np.nanmin(row)), float(np.nanmax(row))
    if low >= 0:
        return {"cmap": "Greys", "vmin": 0.0, "vmax": high}
    limit = max(-low, high)
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def marker_size(n_samples: int, n_codes: int) -> float:
    """Return an area in square points that keeps large clouds and small panels readable."""
    return float(np.clip(20 * np.sqrt(300 / max(n_samples, 1)) / n_codes, 1, 16))
