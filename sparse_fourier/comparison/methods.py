"""Methods that are compared, and what became of each."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.decomposition import NMF, PCA, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from sparse_fourier.comparison.problems import Array, Problem, UsageError, one_line
from sparse_fourier.decomposer import AutoencoderDecomposer

OURS = "AutoencoderDecomposer"
SLOW = 20.0  # seconds; a first fit that takes longer is not repeated
_FAILURES = (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError)


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


def fit_all(problem: Problem, n_components: Any, prior: Any) -> list[Result]:
    """Fit ours first, as it finds the number of components, then every rival with that number."""
    try:
        results = [_fit(_ours(prior), problem.X, n_components)]
    except ValueError as error:
        raise UsageError(one_line(error)) from error
    k = results[0].model.n_components_
    for method in _rivals(problem.X):
        results.append(_attempt(method, problem.X, k))
        if method is _FASTICA and results[-1].failure:
            results.append(_attempt(_PCA_FASTICA, problem.X, k))
    return results


def _ours(prior: Any) -> Method:
    return Method(
        OURS,
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
        return Result(method.name, failure=f"{type(error).__name__}: {one_line(error, 60)}")


def _fit(method: Method, X: Array, n_components: Any) -> Result:
    data = method.prepare(X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, first = _timed(method, data, n_components)
        warm = _timed(method, data, n_components)[1] if first < SLOW else first
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
        tuple(sorted({one_line(entry.message) for entry in caught})),
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
