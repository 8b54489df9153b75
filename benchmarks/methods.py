"""One way to call every method, ours and rivals, with failures reported as data.

A method is a function ``method(X, k, seed) -> (components, codes)`` with components of shape (k, d) and
codes of shape (n, k), or None where it offers none. `attempt` runs it and returns an `Outcome`; it never
raises.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

Method = Callable[[np.ndarray, int, int], tuple[np.ndarray, np.ndarray | None]]

#: Components whose unit rows have a singular value below this are counted as linearly dependent.
DEPENDENT = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What one fit gave.

    Attributes
    ----------
    components : ndarray of shape (k, d) or None
        None when the method raised.
    codes : ndarray of shape (n, k) or None
    seconds : float
        Wall time of the call.
    failure : str
        Why the result is unusable; empty when it is usable.
    unconverged : bool
        Whether the method itself warned that it had not converged.
    """

    components: np.ndarray | None
    codes: np.ndarray | None
    seconds: float
    failure: str = ""
    unconverged: bool = False


def attempt(method, X, k, seed):
    """Run one method on one data set and return its `Outcome`, whatever happens."""
    components = codes = None
    failure = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        try:
            components, codes = method(X, k, seed)
        except Exception as error:  # noqa: BLE001 - any exception of a rival is a result to report
            failure = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - start
    unconverged = any(
        issubclass(entry.category, ConvergenceWarning) or "did not converge" in str(entry.message)
        for entry in caught
    )
    return Outcome(components, codes, seconds, failure or defect(components, codes, X.shape[1]), unconverged)


def defect(components, codes, n_features):
    """Say what makes a result unusable; the empty string when nothing does."""
    if np.ndim(components) != 2 or np.shape(components)[1] != n_features:
        return f"components of shape {np.shape(components)}"
    if not np.isfinite(components).all():
        return "components that are not finite"
    if codes is not None and not np.isfinite(codes).all():
        return "codes that are not finite"
    lengths = np.linalg.norm(components, axis=1)
    if not lengths.all():
        return "a component that is zero everywhere"
    if np.linalg.matrix_rank(components / lengths[:, None], tol=DEPENDENT) < len(components):
        return "components that are linearly dependent: one is lost"
    return ""


def ours(X, k, seed):
    """`AutoencoderDecomposer` with default parameters: it finds the number of components itself."""
    return _fitted(X, random_state=seed)


def ours_given_k(X, k, seed):
    """`AutoencoderDecomposer` told the number of components, as the rivals are."""
    return _fitted(X, n_components=k, random_state=seed)


def ours_with(**parameters):
    """A method: `AutoencoderDecomposer` with these parameters, told the number of components."""

    def method(X, k, seed):
        return _fitted(X, n_components=k, random_state=seed, **parameters)

    return method


def _fitted(X, **parameters):
    from sparse_fourier import AutoencoderDecomposer

    model = AutoencoderDecomposer(**parameters).fit(X)
    return model.components_, model.transform(X)
