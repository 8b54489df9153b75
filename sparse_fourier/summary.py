"""What a fit came to, to be read: in a terminal, in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

_MOST_ROWS = 12


@dataclass(frozen=True)
class Summary:
    """What a fit came to; ``print`` shows it as text, a notebook as tables.

    Parameters
    ----------
    title : str
        What was fitted, to how many signals.
    facts : dict
        Name of each fact to what there is to say of it.
    columns : dict
        Name of each column of the table of components to its values, shape (k,).
    remarks : sequence of str
        The warnings of the fit.
    """

    title: str
    facts: dict[str, str]
    columns: dict[str, np.ndarray]
    remarks: Sequence[str] = field(default=())

    def __str__(self) -> str:
        """Return the summary as text."""
        width = max(map(len, self.facts))
        lines = [self.title, *(f"  {name:{width}}  {fact}" for name, fact in self.facts.items()), ""]
        lines += _aligned(list(self._rows()))
        lines += [""] * bool(self.remarks) + [f"warning: {remark}" for remark in self.remarks]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Return the summary as text, as an interactive session shows it."""
        return str(self)

    def _repr_html_(self) -> str:
        """Return the summary as a notebook shows it."""
        facts = [
            f"<tr><th>{escape(n)}</th><td style='text-align:left'>{escape(fact)}</td></tr>"
            for n, fact in self.facts.items()
        ]
        head, *rows = self._rows()
        table = [_html_row("th", head), *(_html_row("td", row) for row in rows)]
        remarks = [f"<li>{escape(remark)}</li>" for remark in self.remarks]
        warned = f"<p>Warnings of the fit:</p><ul>{''.join(remarks)}</ul>" if remarks else ""
        return (
            f"<div><p><b>{escape(self.title)}</b></p><table>{''.join(facts)}</table>"
            f"<table>{''.join(table)}</table>{warned}</div>"
        )

    def _rows(self) -> Iterator[list[str]]:
        """Yield the rows of the table of components as text, its head first."""
        yield ["component", *self.columns]
        k = len(next(iter(self.columns.values())))
        for j in range(min(k, _MOST_ROWS)):
            yield [str(j), *(_number(column[j]) for column in self.columns.values())]
        if k > _MOST_ROWS:
            yield [f"{k - _MOST_ROWS} more", *("" for _ in self.columns)]


def of_prior(name: str, scores: dict[str, float]) -> str:
    """Return how a prior was chosen, from the penalised log-likelihoods of all that were compared."""
    rivals = sorted((score, rival) for rival, score in scores.items() if rival != name)
    if not scores:
        return name
    if not rivals:
        return f"{name}, whose box the codes fill evenly: no other was compared"
    score, rival = rivals[-1]
    lead = scores[name] - score
    if lead < 0:
        return f"{name}, whose faces the codes show, although {rival} is {-lead:.2g} nats per signal likelier"
    return f"{name}, chosen of {len(scores)}: {lead:.2g} nats per signal before {rival}"


def of_noise(variance: float, tails: Any) -> str:
    """Return the size of the noise, and how heavy its tails are if these were fitted."""
    size = f"variance {variance:.3g}, standard deviation {variance**0.5:.3g}"
    if tails is None:
        return size
    return (
        f"{size}; Student's t of {tails.degrees_of_freedom:.3g} degrees of freedom, scale {tails.scale:.3g}"
    )


def _number(value: float) -> str:
    return f"{value:.4g}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    padded = [[f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)] for row in rows]
    return ["  " + "  ".join(row).rstrip() for row in padded]


def _html_row(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
