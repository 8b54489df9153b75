"""What the estimator says while it trains and afterwards: progress and warnings."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from sparse_fourier.autoencoding import FittedNetwork
from sparse_fourier.exceptions import IdentifiabilityWarning
from sparse_fourier.fitting import Fitted, Settings
from sparse_fourier.training import Progress


class Reporter:
    """A callback that prints progress, then asks the user's own."""

    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def __call__(self, progress: Progress) -> Any:
        """Print a line, then ask the user's own callback whether to stop."""
        print(  # noqa: T201 - asked for by verbose
            f"iteration {progress.iteration}: loss {progress.loss:.6g} nats per sample, "
            f"{progress.elapsed:.2f} s"
        )
        return self._callback(progress) if self._callback else None


def warn_of(fitted: Fitted, settings: Settings) -> None:
    """Warn of what the user should know of a fit."""
    rank, k, trained = fitted.rank, len(fitted.model.components), fitted.trained
    if rank == 0:
        warnings.warn("X has no variance: all components are zero.", UserWarning, stacklevel=3)
    elif rank < k:
        warnings.warn(
            f"n_components={k} is larger than the numerical rank {rank} of X; the last {k - rank} "
            "components are zero.",
            UserWarning,
            stacklevel=3,
        )
    if not fitted.trusted:
        warnings.warn(
            f"n_components='auto' took {k} components, a guess: X shows no white noise to set them "
            "apart from, or has too few samples. Give n_components as a number or a share of variance.",
            UserWarning,
            stacklevel=3,
        )
    if fitted.doubts:
        warnings.warn(
            f"The data do not determine all components under the prior {settings.prior}: "
            f"{'; '.join(fitted.doubts)}. Use another prior, more samples or fewer components.",
            IdentifiabilityWarning,
            stacklevel=3,
        )
    if isinstance(fitted, FittedNetwork):
        _warn_of_network(fitted)
    if not (trained.converged or trained.stopped):
        last = "iteration gained" if isinstance(fitted, FittedNetwork) else "step promised"
        warnings.warn(
            f"Training stopped after {len(trained.curve)} iterations at loss {fitted.curve[-1]:.6g}; "
            f"the last {last} {trained.decrement:.2g} nats where tol={settings.tol:g} was "
            "asked. Increase max_iter.",
            ConvergenceWarning,
            stacklevel=3,
        )


def _warn_of_network(fitted: FittedNetwork) -> None:
    for remark in fitted.remarks:
        warnings.warn(remark, ConvergenceWarning, stacklevel=4)
    if fitted.idle:
        warnings.warn(
            f"The codes of components {fitted.idle} are the same for all signals: their activation is "
            "saturated. Lower learning_rate, or use another activation.",
            UserWarning,
            stacklevel=4,
        )
