"""The command line: learn the components of a file's signals and compare them with PCA, FastICA and NMF.

``python -m sparse_fourier [FILE]`` prints a table and saves a picture. Without a file the signals are random
mixtures of two sines, whose components are known.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import NMF, PCA, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.decomposer import AutoencoderDecomposer
from sparse_fourier.metrics import match_components, worst_relative_error
from sparse_fourier.plotting import CodesDisplay, ComponentsDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["main"]

Array = NDArray[Any]

_OURS = "AutoencoderDecomposer"
_SLOW = 20.0  # seconds; a first fit that takes longer is not repeated
_MOST_LINES = 5
_MOST_CODES = 4
_MOST_POINTS = 3000
_FAILURES = (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError)


class _UsageError(Exception):
    """What the caller asked for cannot be done; the text says why in one line."""


@dataclass(frozen=True)
class Problem:
    """Signals, and what is known of them."""

    name: str
    X: Array
    positions: Array
    xlabel: str
    codes: Array | None = None
    components: Array | None = None


@dataclass(frozen=True)
class Method:
    """How to fit one method and where its model keeps components (k, d) and intercept (d,)."""

    name: str
    make: Callable[[Any], Any]
    components: Callable[[Any], Array]
    intercept: Callable[[Any], Any]
    prepare: Callable[[Array], Array] = np.asarray
    has_likelihood: bool = False


@dataclass(frozen=True)
class Result:
    """What became of one method: its parts and times in seconds, or why it failed."""

    name: str
    model: Any = None
    components: Array = field(default_factory=lambda: np.empty((0, 0)))
    codes: Array = field(default_factory=lambda: np.empty((0, 0)))
    first: float = np.nan
    warm: float = np.nan
    unexplained: float = np.nan
    likelihood: float = np.nan
    failure: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def has_components(self) -> bool:
        """Whether there is anything to measure and to draw."""
        return self.components.size > 0 and bool(np.isfinite(self.components).all())


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
    except _UsageError as error:
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
        type=_number,
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


def _number(text: str) -> int | float | str:
    """Read a number if it is one; what may be asked for is the estimator's to say."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _run(arguments: argparse.Namespace) -> None:
    problem = _seed() if arguments.file is None else _load(arguments.file)
    _check_folders(arguments.output, arguments.save)
    prior = None if arguments.prior.lower() == "none" else arguments.prior
    results = _fit_all(problem, arguments.components, prior)
    print(_report(problem, results))
    if arguments.save is not None:
        _save_parts(arguments.save, results[0])
    _save_picture(arguments.output, problem, results)


def _check_folders(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise _UsageError(f"there is no folder {path.parent} to write {path.name} into")


# ---------------------------------------------------------------------------------------------------- signals


def _seed() -> Problem:
    X, codes, components = make_sinusoid_mixtures(random_state=0)
    positions = np.linspace(0, np.pi, X.shape[1])
    return Problem(
        "a sin(x) + b sin(2x), a and b uniform on (0, 1)", X, positions, "x (rad)", codes, components
    )


def _load(path: Path) -> Problem:
    if path.suffix.lower() not in _READERS:
        raise _UsageError(f"{path}: unknown file type; known are {', '.join(_READERS)}")
    try:
        X = _READERS[path.suffix.lower()](path)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else _one_line(error)
        raise _UsageError(f"{path}: {reason}") from error
    X = _checked(path, X)
    return Problem(path.name, X, np.arange(X.shape[1]), "feature")


def _read_numpy(path: Path) -> Array:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    except IndexError:
        raise ValueError("holds no array") from None
    except ValueError:
        raise ValueError("is not a NumPy file of numbers") from None


def _read_csv(path: Path) -> Array:
    """Read comma-separated numbers, without a line of names and without the row numbers some programs add."""
    with path.open(encoding="utf-8-sig") as lines:
        rows = [line for line in lines if line.strip()]
    first = 0
    if rows and _is_header(rows[0]):
        first = int(not rows.pop(0).split(",")[0].strip(' "\n'))
    if not rows:
        raise ValueError("holds no signals")
    return np.loadtxt(rows, delimiter=",", ndmin=2, comments=None)[:, first:]


def _is_header(line: str) -> bool:
    """Whether a line names the columns: by no number at all, or by counting them."""
    cells = [cell.strip(' "\n') for cell in line.split(",")]
    numbers = [value for value in map(_number, filter(None, cells)) if not isinstance(value, str)]
    return not numbers or numbers == list(range(max(len(numbers), 2)))


_READERS: dict[str, Callable[[Path], Array]] = {".npy": _read_numpy, ".npz": _read_numpy, ".csv": _read_csv}


def _checked(path: Path, X: Array) -> Array:
    if X.dtype.kind not in "biuf":
        raise _UsageError(f"{path}: holds no real numbers but {X.dtype}")
    if X.ndim != 2:
        advice = "; cut a recording into rows with sparse_fourier.datasets.frames" if X.ndim == 1 else ""
        raise _UsageError(
            f"{path}: must have two dimensions, one signal per row; its shape is {X.shape}{advice}"
        )
    if min(X.shape) < 2:
        raise _UsageError(f"{path}: must have at least 2 signals of 2 points; its shape is {X.shape}")
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise _UsageError(f"{path}: has {X[row, column]} in row {row}, column {column} (counted from 0)")
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


# ---------------------------------------------------------------------------------------------------- fitting


def _fit_all(problem: Problem, n_components: Any, prior: Any) -> list[Result]:
    """Fit ours first, as it finds the number of components, then every rival with that number."""
    try:
        results = [_fit(_ours(prior), problem.X, n_components)]
    except ValueError as error:
        raise _UsageError(_one_line(error)) from error
    k = results[0].model.n_components_
    for method in _rivals(problem.X):
        results.append(_attempt(method, problem.X, k))
        if method is _FASTICA and results[-1].failure:
            results.append(_attempt(_PCA_FASTICA, problem.X, k))
    return results


def _ours(prior: Any) -> Method:
    return Method(
        _OURS,
        lambda k: AutoencoderDecomposer(k, prior=prior, random_state=0),
        lambda model: model.components_,
        lambda model: model.intercept_,
        has_likelihood=True,
    )


_PCA = Method("PCA", PCA, lambda model: model.components_, lambda model: model.mean_)
_FASTICA = Method(
    "FastICA",
    lambda k: FastICA(k, max_iter=1000, random_state=0),
    lambda model: model.mixing_.T,
    lambda model: model.mean_,
)
_PCA_FASTICA = Method(
    "FastICA after PCA",
    lambda k: make_pipeline(PCA(k), FastICA(k, max_iter=1000, random_state=0)),
    lambda model: model[1].mixing_.T @ model[0].components_,
    lambda model: model[0].mean_ + model[1].mean_ @ model[0].components_,
)
_NMF = Method(
    "NMF", lambda k: NMF(k, max_iter=2000, random_state=0), lambda model: model.components_, lambda _: 0.0
)
_CLIPPED_NMF = replace(_NMF, name="NMF, data clipped", prepare=lambda X: np.maximum(X, 0))


def _rivals(X: Array) -> tuple[Method, ...]:
    """Return PCA, whose noise variance is right only for more signals than points, FastICA and NMF."""
    pca = replace(_PCA, has_likelihood=X.shape[0] > X.shape[1])
    return pca, _FASTICA, _CLIPPED_NMF if X.min() < 0 else _NMF


def _attempt(method: Method, X: Array, k: int) -> Result:
    """Fit a rival; whatever it raises is its result."""
    try:
        return _fit(method, X, k)
    except _FAILURES as error:
        return Result(method.name, failure=f"{type(error).__name__}: {_one_line(error, 60)}")


def _fit(method: Method, X: Array, n_components: Any) -> Result:
    data = method.prepare(X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, first = _timed(method, data, n_components)
        warm = _timed(method, data, n_components)[1] if first < _SLOW else first
        codes = np.asarray(model.transform(data))
    components = np.asarray(method.components(model))
    return Result(
        method.name,
        model,
        components,
        codes,
        first,
        warm,
        _unexplained(X, codes @ components + method.intercept(model)),
        _likelihood(model, data) if method.has_likelihood else np.nan,
        _defect(components, n_components, caught),
        tuple(sorted({_one_line(entry.message) for entry in caught})),
    )


def _timed(method: Method, data: Array, n_components: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    model = method.make(n_components).fit(data)
    return model, time.perf_counter() - start


def _unexplained(X: Array, reconstruction: Array) -> float:
    total = float(np.square(X - X.mean(axis=0), dtype=np.float64).sum())
    left = float(np.square(X - reconstruction, dtype=np.float64).sum())
    return left / total if total > 0 else np.nan


def _likelihood(model: Any, data: Array) -> float:
    """Return the mean log-likelihood, NaN where there is none, as where a covariance is singular."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = float(model.score(data))
        except _FAILURES:
            return np.nan
    return value if np.isfinite(value) else np.nan


def _defect(components: Array, n_components: Any, caught: Sequence[warnings.WarningMessage]) -> str:
    """Say in a few words what is wrong with fitted components; nothing if all is well."""
    norms = np.linalg.norm(components, axis=1)
    if not np.isfinite(norms).all():
        return "components are not finite"
    if (norms <= 1e-12 * norms.max()).any():
        return f"{(norms <= 1e-12 * norms.max()).sum()} of {len(norms)} components are zero"
    if np.linalg.matrix_rank(components / norms[:, None], tol=1e-6) < len(norms):
        return "components are not independent of each other"
    if isinstance(n_components, int) and len(norms) < n_components:
        return f"only {len(norms)} of {n_components} components"
    if any(issubclass(entry.category, ConvergenceWarning) for entry in caught):
        return "did not converge"
    return ""


def _one_line(error: object, limit: int = 300) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


# ----------------------------------------------------------------------------------------------------- report


def _report(problem: Problem, results: Sequence[Result]) -> str:
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


def _error(problem: Problem, result: Result, *, matched: bool) -> float:
    if problem.components is None or not result.has_components:
        return np.nan
    return worst_relative_error(problem.components, result.components, matched=matched)


def _seconds(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}" if value < 1 else f"{value:.2f}"


def _percent(share: float) -> str:
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
    "unexplained": lambda _, result: _percent(result.unexplained),
}
_KNOWN: dict[str, _Column] = {
    "error, matched": lambda problem, result: _percent(_error(problem, result, matched=True)),
    "error, direct": lambda problem, result: _percent(_error(problem, result, matched=False)),
}
_UNKNOWN: dict[str, _Column] = {"log-likelihood": lambda _, result: _nats(result.likelihood)}
_NOTES = {
    "fit (s)": f"fit: once more, all imported and compiled; a fit of over {_SLOW:.0f} s is not repeated.",
    "unexplained": "unexplained: share of the variance that the reconstruction leaves.",
    "error, matched": "error: relative L2 error of the worst component; matched: up to order, sign and size,",
    "error, direct": "  which most methods cannot know; direct: up to order alone.",
    "log-likelihood": "log-likelihood: nats per signal, on the signals fitted; higher is better.",
}


# ----------------------------------------------------------------------------------------------------- saving


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
        raise _UsageError(f"{path}: {error.strerror}") from error
    print(f"\nSaved components, intercept, codes and explained_variance in {path}")


def _save_picture(path: Path, problem: Problem, results: Sequence[Result]) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('\nNo picture: Matplotlib is not installed; pip install "sparse_fourier[plot]"')
        return
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    _draw(figure, problem, results)
    try:
        figure.savefig(path, dpi=150, format=path.suffix.lstrip(".") or "png")
    except (OSError, ValueError) as error:
        raise _UsageError(f"{path}: {_one_line(error)}") from error
    print(f"\nSaved the picture in {path}")


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
        rest = f", {_MOST_LINES} of {k} components" if k > _MOST_LINES and result.name == _OURS else ""
        return f"{_percent(result.unexplained)} unexplained{rest}"
    is_ours = result.name == _OURS
    text = f"error {_percent(_error(problem, result, matched=not is_ours))}"
    return f"{text}, {'as learned' if is_ours else 'scaled to fit'}"


if __name__ == "__main__":
    sys.exit(main())
