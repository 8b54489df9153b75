"""Tables as text, and a description of the machine that they were measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("numpy", "scipy", "scikit-learn", "jax", "python-picard", "torch")


def table(header, rows):
    """A Markdown table, aligned so that it reads well in a terminal too."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(cells, widths) for cells in [header, rule, *rows])


def _line(cells, widths):
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def figure(value):
    """A number in three significant digits; a dash for none."""
    if value is None or value != value:
        return "–"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def machine():
    """One line: processor count, architecture, system, versions."""
    system = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return f"{system}, Python {platform.python_version()}, {versions}"


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def publish(text, path=None):
    """Print a report, and write it to a file when one is named."""
    print(text)
    if path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
