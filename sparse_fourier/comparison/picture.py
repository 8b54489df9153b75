"""The comparison as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparse_fourier.comparison.methods import OURS, Result
from sparse_fourier.comparison.problems import Array, Problem, UsageError, one_line
from sparse_fourier.comparison.report import error_of, percent
from sparse_fourier.metrics import match_components
from sparse_fourier.plotting import CodesDisplay, ComponentsDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MOST_LINES = 5
_MOST_CODES = 4
_MOST_POINTS = 3000


def save_picture(path: Path, problem: Problem, results: Sequence[Result]) -> str:
    """Save the picture, where Matplotlib is installed, and return what became of it."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return '\nNo picture: Matplotlib is not installed; pip install "sparse_fourier[plot]"'
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    _draw(figure, problem, results)
    try:
        figure.savefig(path, dpi=150, format=path.suffix.lstrip(".") or "png")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {one_line(error)}") from error
    return f"\nSaved the picture in {path}"


def _draw(figure: Figure, problem: Problem, results: Sequence[Result]) -> None:
    """Draw our components and codes above, the rivals' components below."""
    ours, rivals = results[0], results[1:]
    above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1), squeeze=False)[:, 0]
    left, right = above.subfigures(1, 2, width_ratios=(1.3, 1), squeeze=False)[0]
    _draw_components(left.subplots(), problem, ours, ours)
    _draw_codes(right, problem, ours)
    panels = below.subplots(1, len(rivals), sharey=problem.components is not None, squeeze=False)[0]
    for ax, result in zip(panels, rivals, strict=True):
        _draw_components(ax, problem, result, ours)


def _draw_components(ax: Axes, problem: Problem, result: Result, ours: Result) -> None:
    ax.set_title(f"{result.name}\n{_caption(problem, result)}", fontsize="medium")
    if not result.has_components:
        reason = textwrap.fill(result.failure, 20)
        ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", color="0.35")
        ax.set_xticks([])
    elif problem.components is not None:
        _draw_known(ax, problem, result, result is ours)
    else:
        _draw_unknown(ax, problem, result, ours)


def _draw_known(ax: Axes, problem: Problem, result: Result, is_ours: bool) -> None:
    """Draw components over the truth: ours as learned, a rival's scaled to fit as none knows the size."""
    display = ComponentsDisplay(
        components=result.components, positions=problem.positions, truth=problem.components
    )
    align = None if is_ours else "scale"
    display.plot(ax, align=align, separate=False, xlabel=problem.xlabel, legend=is_ours)


def _draw_unknown(ax: Axes, problem: Problem, result: Result, ours: Result) -> None:
    """Draw what one standard deviation of each code does to a signal, in our order, sign and colours."""
    shown = _effects(ours)[:_MOST_LINES]
    if result is not ours:
        effects = _effects(result)
        _, permutation, scales = match_components(shown, effects)
        signs = np.ones(len(scales)) if effects.min() >= 0 else np.sign(scales)
        shown = signs[:, None] * effects[permutation]
    display = ComponentsDisplay(components=shown, positions=problem.positions)
    ylabel = "effect of 1 s.d. of the code" if result is ours else ""
    display.plot(ax, separate=False, xlabel=problem.xlabel, ylabel=ylabel, legend=result is ours)


def _effects(result: Result) -> Array:
    return result.codes.std(axis=0)[:, None] * result.components


def _draw_codes(part: SubFigure, problem: Problem, ours: Result) -> None:
    rows = slice(None, None, -(-len(ours.codes) // _MOST_POINTS))
    truth = None if problem.codes is None else problem.codes[rows]
    support = getattr(ours.model.prior_, "support", None)
    ax = part.subplots()
    CodesDisplay(codes=ours.codes[rows, :_MOST_CODES], truth=truth, support=support).plot(ax)
    part.suptitle("codes", fontsize="medium")


def _caption(problem: Problem, result: Result) -> str:
    if result.failure:
        return textwrap.fill(f"failed: {result.failure}", 26) if result.has_components else "failed"
    if problem.components is None:
        k = len(result.components)
        rest = f", {_MOST_LINES} of {k} components" if k > _MOST_LINES and result.name == OURS else ""
        return f"{percent(result.unexplained)} unexplained{rest}"
    is_ours = result.name == OURS
    text = f"error {percent(error_of(problem, result, matched=not is_ours))}"
    return f"{text}, {'as learned' if is_ours else 'scaled to fit'}"
