"""The comparison as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sparse_fourier.comparison.methods import SLOW, Result
from sparse_fourier.comparison.problems import Problem
from sparse_fourier.metrics import worst_relative_error


def report(problem: Problem, results: Sequence[Result]) -> str:
    """Return the table, with notes on its columns and what our fit warned of."""
    n, d = problem.X.shape
    ours = results[0]
    columns = _COMMON | (_UNKNOWN if problem.components is None else _KNOWN)
    rows = [list(columns)]
    rows += [[read(problem, result) for read in columns.values()] for result in results]
    lines = [f"{problem.name}: {n} signals of {d} points, {ours.model.n_components_} components", ""]
    lines += _table(rows, [""] + [_verdict(result) for result in results])
    lines += ["", *(_NOTES[title] for title in columns if title in _NOTES)]
    lines += [f"{ours.name} warns: {remark}" for remark in ours.remarks]
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]], remarks: Sequence[str]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, remark in zip(rows, remarks, strict=True):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("   ".join([*cells, remark]).rstrip())
    return lines


def _verdict(result: Result) -> str:
    return f"failed: {result.failure}" if result.failure else ""


def error_of(problem: Problem, result: Result, *, matched: bool) -> float:
    """Return the relative error of the worst component, NaN where there is nothing to compare with."""
    if problem.components is None or not result.has_components:
        return np.nan
    return worst_relative_error(problem.components, result.components, matched=matched)


def _seconds(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}" if value < 1 else f"{value:.2f}"


def percent(share: float) -> str:
    """Write a share in per cent, to three digits."""
    if np.isnan(share):
        return "-"
    value = 0.0 if share < 1e-12 else 100 * share
    return f"{value:.0f} %" if value >= 1000 else f"{value:.3g} %"


def _nats(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


_Column = Callable[[Problem, Result], str]
_COMMON: dict[str, _Column] = {
    "method": lambda _, result: result.name,
    "first fit (s)": lambda _, result: _seconds(result.first),
    "fit (s)": lambda _, result: _seconds(result.warm),
    "unexplained": lambda _, result: percent(result.unexplained),
}
_KNOWN: dict[str, _Column] = {
    "error, matched": lambda problem, result: percent(error_of(problem, result, matched=True)),
    "error, direct": lambda problem, result: percent(error_of(problem, result, matched=False)),
}
_UNKNOWN: dict[str, _Column] = {"log-likelihood": lambda _, result: _nats(result.likelihood)}
_NOTES = {
    "fit (s)": f"fit: once more, all imported and compiled; a fit of over {SLOW:.0f} s is not repeated.",
    "unexplained": "unexplained: share of the variance that the reconstruction leaves.",
    "error, matched": "error: relative L2 error of the worst component; matched: up to order, sign and size,",
    "error, direct": "  which most methods cannot know; direct: up to order alone.",
    "log-likelihood": "log-likelihood: nats per signal, on the signals fitted; higher is better.",
}
