"""The command line: learn the components of a file's signals and compare them with PCA, FastICA and NMF.

``python -m sparse_fourier [FILE]`` prints a table and saves a picture. Without a file the signals are random
mixtures of two sines, whose components are known.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparse_fourier.comparison.methods import Result, fit_all
from sparse_fourier.comparison.picture import save_picture
from sparse_fourier.comparison.problems import UsageError, load, number, seed
from sparse_fourier.comparison.report import report

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 if the arguments or the file cannot be used, with one line on standard error.
    """
    arguments = _parse(argv)
    try:
        _run(arguments)
    except UsageError as error:
        print(f"sparse_fourier: error: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sparse_fourier",
        description="Learn the components of signals and compare them with PCA, FastICA and NMF.",
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help=".npy, .npz (its first array) or .csv; one signal per row. Default: mixtures of two sines",
    )
    parser.add_argument(
        "--components",
        type=number,
        default="auto",
        metavar="K",
        help="number of components, or the share of variance they explain; default: found from the data",
    )
    parser.add_argument("--prior", default="auto", metavar="P", help="what codes may be; default: auto")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("sparse_fourier.png"),
        metavar="PNG",
        help="where to save the picture",
    )
    parser.add_argument(
        "--save", type=Path, metavar="NPZ", help="save components, intercept, codes, explained_variance"
    )
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> None:
    problem = seed() if arguments.file is None else load(arguments.file)
    _check_folders(arguments.output, arguments.save)
    prior = None if arguments.prior.lower() == "none" else arguments.prior
    results = fit_all(problem, arguments.components, prior)
    print(report(problem, results))
    if arguments.save is not None:
        _save_parts(arguments.save, results[0])
    print(save_picture(arguments.output, problem, results))


def _check_folders(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} to write {path.name} into")


def _save_parts(path: Path, ours: Result) -> None:
    model = ours.model
    try:
        with path.open("wb") as file:
            np.savez(
                file,
                components=model.components_,
                intercept=model.intercept_,
                codes=ours.codes,
                explained_variance=model.explained_variance_,
            )
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    print(f"\nSaved components, intercept, codes and explained_variance in {path}")


if __name__ == "__main__":
    sys.exit(main())
