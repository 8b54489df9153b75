"""What the estimator says while it trains and afterwards: progress and warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier.blueprints import FittedNetwork
from sparse_fourier.exceptions import IdentifiabilityWarning
from sparse_fourier.fitting import Fitted, Settings
from sparse_fourier.signals import Rows, mapped
from sparse_fourier.training import Progress


class Reporter:
    """A callback that shows progress, then asks the user's own.

    Parameters
    ----------
    callback : callable or None
        The user's own.
    max_iter : int
        Where the bar ends.
    verbose : int
        1: a bar, where tqdm is installed; else, and above 1, lines.
    """

    def __init__(self, callback: Any, max_iter: int, verbose: int) -> None:
        self._callback = callback
        self._bar = _bar(max_iter) if verbose == 1 else None

    def __call__(self, progress: Progress) -> Any:
        """Show progress, then ask the user's own callback whether to stop."""
        if self._bar is None:
            print(  # noqa: T201 - asked for by verbose
                f"iteration {progress.iteration}: loss {progress.loss:.6g}, {progress.elapsed:.2f} s"
            )
        else:
            self._bar.set_postfix_str(f"loss {progress.loss:.6g}", refresh=False)
            self._bar.update(progress.iteration - self._bar.n)
        return self._callback(progress) if self._callback else None

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _bar(max_iter: int) -> Any:
    """Return a bar of tqdm; None where that is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=max_iter, desc="fit", unit="iteration", mininterval=0.0)


def _are_empty(X: np.ndarray) -> np.ndarray:
    """Return which rows are NaN in all columns, by a look at the first of these."""
    empty = np.isnan(X[:, 0])
    if empty.any():
        empty[empty] = np.isnan(X[empty]).all(axis=1)
    return empty


def warn_of_empty_rows(X: Rows) -> None:
    """Warn of signals of which nothing was observed."""
    empty = np.flatnonzero(mapped(_are_empty, X))
    if len(empty):
        some = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        warnings.warn(
            f"X has no observed entry in {len(empty)} of {len(X)} rows ({some}): their codes are the "
            "prior's mean.",
            UserWarning,
            stacklevel=3,
        )


def warn_of_unseen(unseen: np.ndarray, names: np.ndarray | None) -> None:
    """Warn of features of which nothing has been observed yet."""
    if len(unseen):
        columns = unseen.tolist() if names is None else names[unseen].tolist()
        warnings.warn(
            f"Nothing has been observed yet of the columns {columns}: their components are zero, and they "
            "say nothing of the codes.",
            UserWarning,
            stacklevel=3,
        )


def warn_of(fitted: Fitted, settings: Settings) -> tuple[str, ...]:
    """Warn of what the user should know of a fit, and return the words."""
    remarks = tuple(_remarks(fitted, settings))
    for words, category in remarks:
        warnings.warn(words, category, stacklevel=3)
    return tuple(words for words, _ in remarks)


def _remarks(fitted: Fitted, settings: Settings) -> Iterator[tuple[str, type[Warning]]]:
    rank, k, trained = fitted.rank, len(fitted.model.components), fitted.trained
    if rank == 0:
        yield "X has no variance: all components are zero.", UserWarning
    elif rank < k:
        yield (
            f"n_components={k} is larger than the numerical rank {rank} of X; the last {k - rank} "
            "components are zero.",
            UserWarning,
        )
    if len(fitted.strays):
        some = ", ".join(map(str, fitted.strays[:5])) + (", ..." if len(fitted.strays) > 5 else "")
        yield (
            f"X has {len(fitted.strays)} rows that stray too far from all others to have come from the same "
            f"codes ({some}; see outliers_): they were left out. Use contamination=0 to keep them.",
            UserWarning,
        )
    if not fitted.trusted:
        yield (
            f"n_components='auto' took {k} components, a guess: X shows no white noise to set them "
            "apart from, or has too few samples. Give n_components as a number or a share of variance.",
            UserWarning,
        )
    if fitted.doubts:
        yield (
            f"The data do not determine all components under the prior {fitted.model.prior}: "
            f"{'; '.join(fitted.doubts)}. Use another prior, more samples or fewer components.",
            IdentifiabilityWarning,
        )
    if isinstance(fitted, FittedNetwork):
        yield from _remarks_on_network(fitted)
    if not (trained.converged or trained.stopped):
        last = "iteration gained" if isinstance(fitted, FittedNetwork) else "step promised"
        known = np.isfinite(trained.decrement)
        gained = (
            f"the last {last} {trained.decrement:.2g} nats" if known else "what is left to gain is not known"
        )
        yield (
            f"Training stopped after {len(trained.curve)} iterations at loss {fitted.curve[-1]:.6g}; "
            f"{gained} where tol={settings.tol:g} was asked. Increase max_iter.",
            ConvergenceWarning,
        )


def _remarks_on_network(fitted: FittedNetwork) -> Iterator[tuple[str, type[Warning]]]:
    yield from ((remark, ConvergenceWarning) for remark in fitted.remarks)
    if fitted.idle:
        yield (
            f"The codes of components {fitted.idle} are the same for all signals: their activation is "
            "saturated. Lower learning_rate, or use another activation.",
            UserWarning,
        )
