"""Components that have few parameters each: a base for bases of one's own."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
from scipy.optimize import least_squares

from sparse_fourier.bases.base import Basis, LearnedWaveforms
from sparse_fourier.harmonics.errors import Moments, WaveformErrors, covariance_of, of_waveforms

_PRECISION = 1e-14
_SWEEPS = 3
_STEP = float(np.cbrt(np.finfo(float).eps))


class ParametricBasis(Basis):
    r"""Base of waveforms of one shape that differ in a few parameters: peaks, decays, steps.

    A subclass says which waveforms parameters make (`evaluate`), and gives a grid of parameters from which
    to start (`candidates`). The components are then those whose span leaves least of the signals,

    .. math:: \min_\theta \; \sum_i \| (x_i - \bar x) \, P^\perp_{W(\theta)} \|^2,

    by variable projection [1]_: codes are eliminated, and what is left is minimised over the parameters
    in a trust region, from the candidates that fit best together. The prior is left with the
    scale, place and sign of the codes.

    Attributes
    ----------
    names : tuple of str
        Class attribute: a name for each of the p parameters. The fitted estimator has an attribute of this
        name, with an underscore at the end, of shape (k, 1).
    parameters : ndarray of shape (k, p) or None
        What was learned.
    sizes : ndarray of shape (k,) or None
        Factors of the learned waveforms, relative to unit norm: `sizes[:, None] * W / norm(W)` are the
        estimator's `components_`.

    Notes
    -----
    Signals with missing entries are refused. What a subclass returns is examined before a fit.

    References
    ----------
    .. [1] G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
       problems whose variables separate", SIAM Journal on Numerical Analysis 10(2), 413-432, 1973.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.bases import ParametricBasis
    >>> class Decays(ParametricBasis):
    ...     names = ("rates",)
    ...
    ...     def evaluate(self, parameters):
    ...         return np.exp(-parameters * np.arange(40))
    ...
    ...     def candidates(self, n_features):
    ...         return np.geomspace(0.01, 1, 20)[:, None]
    >>> codes = np.random.default_rng(0).uniform(size=(200, 2))
    >>> signals = codes @ Decays().evaluate(np.array([[0.05], [0.21]]))
    >>> model = AutoencoderDecomposer(2, prior="uniform", basis=Decays()).fit(signals)
    >>> np.sort(model.rates_.ravel()).round(6)
    array([0.05, 0.21])
    """

    has_own_fit: ClassVar[bool] = True
    names: ClassVar[tuple[str, ...]] = ()

    parameters: np.ndarray | None = None
    sizes: np.ndarray | None = None

    @property
    def needs_prior(self) -> bool:
        """Whether the prior has to pick the basis of the span: the shape of the waveforms does."""
        return False

    @abstractmethod
    def candidates(self, n_features: int) -> np.ndarray:
        """Return parameters among which to look for a start.

        Parameters
        ----------
        n_features : int
            Length d of the signals.

        Returns
        -------
        array of shape (m, p)
            A grid, fine enough that for every component one of them is on the right slope.
        """

    def initialize(self, span: np.ndarray, k: int) -> np.ndarray:
        """Return the candidates that lie best in a span together: one by one, then exchanged."""
        grid = np.asarray(self.candidates(span.shape[1]), dtype=float)
        waves = _unit(np.asarray(self.evaluate(grid), dtype=float))
        chosen: list[int] = []
        for _ in range(k):
            chosen.append(_best(waves, span, chosen))
        for j in list(range(k)) * _SWEEPS:
            chosen[j] = _best(waves, span, chosen[:j] + chosen[j + 1 :])
        return grid[chosen]

    def check(self, n_features: int) -> None:
        """Examine what the subclass returns for signals of some length."""
        grid = np.asarray(self.candidates(n_features), dtype=float)
        p = len(self.names) or (grid.shape[1] if grid.ndim == 2 else 0)
        if grid.ndim != 2 or grid.shape[1] != p or not len(grid) or not np.isfinite(grid).all():
            raise self._wrong("candidates", f"finite parameters of shape (m, {p or 'p'})", grid.shape)
        waves = np.asarray(self.evaluate(grid), dtype=float)
        if waves.shape != (len(grid), n_features) or not np.isfinite(waves).all():
            wanted = f"finite waveforms of shape ({len(grid)}, {n_features}) for {len(grid)} candidates"
            raise self._wrong("evaluate", wanted, waves.shape)

    def fit(
        self, root: np.ndarray, k: int, n_samples: float, start: np.ndarray | None, max_iter: int
    ) -> LearnedWaveforms:
        """Return the waveforms whose span leaves least of the signals."""
        _, _, axes = np.linalg.svd(root if start is None else start, full_matrices=False)
        begun = self.initialize(axes[:k], k)
        size = np.linalg.norm(root) or 1.0

        def residual(flat: np.ndarray) -> np.ndarray:
            directions, _ = np.linalg.qr(self.evaluate(flat.reshape(begun.shape)).T)
            return ((root - (root @ directions) @ directions.T) / size).ravel()

        tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), _PRECISION)
        outcome = least_squares(
            residual, begun.ravel(), jac="3-point", x_scale="jac", max_nfev=max_iter, **tolerances
        )
        basis = self._with(outcome.x.reshape(begun.shape), np.ones(k))
        components = _unit(np.asarray(self.evaluate(basis.parameters), dtype=float))
        ended = int(outcome.nfev), bool(outcome.status > 0), _promise(outcome.jac, outcome.fun)
        return LearnedWaveforms(basis, components, *ended, basis.parameters)

    def fit_entries(
        self,
        X: np.ndarray,
        weights: np.ndarray,
        start: LearnedWaveforms,
        intercept: np.ndarray | None,
        max_iter: int,
    ) -> tuple[LearnedWaveforms, np.ndarray]:
        """Refuse signals with missing entries."""
        raise ValueError(
            f"The basis {type(self).__name__} cannot be fitted to X with missing entries (NaN). "
            "Fill them first."
        )

    def mapped(self, factors: np.ndarray, chosen: np.ndarray) -> Self:
        """Return the basis of components times factors, in another order."""
        parameters, sizes = self._learned
        return self._with(parameters[chosen], (sizes * factors)[chosen])

    def padded(self, n_more: int) -> Self:
        """Return the basis with components at the end whose sizes are zero."""
        parameters, sizes = self._learned
        return self._with(np.pad(parameters, ((0, n_more), (0, 0))), np.pad(sizes, (0, n_more)))

    def errors(self, n_features: int, moments: Moments) -> WaveformErrors:
        """Return the standard errors of the parameters, and of the waveforms.

        Parameters
        ----------
        n_features : int
            Length d of the signals.
        moments : Moments
            Codes and noise.

        Returns
        -------
        WaveformErrors
            Of least squares over codes of each signal's own, with the price of noisy codes.
        """
        parameters, sizes = self._learned
        (k, p), d = parameters.shape, n_features
        waves = np.asarray(self.evaluate(parameters), dtype=float)
        scales = (sizes / np.linalg.norm(waves, axis=1))[:, None]
        slopes = scales * self._slopes(parameters, np.ptp(self.candidates(d), axis=0))
        owners = np.tile(np.arange(k), p)
        covariance = covariance_of(slopes, owners, waves, np.eye(k * p), moments)
        found = np.sqrt(np.maximum(np.diagonal(covariance), 0.0)).reshape(p, k, 1)
        names = self.names or tuple(f"parameter_{i}" for i in range(p))
        variances = of_waveforms(slopes[:, :, None], waves, covariance)
        return WaveformErrors(dict(zip(names, found, strict=True)), variances)

    def _slopes(self, parameters: np.ndarray, ranges: np.ndarray) -> np.ndarray:
        """Return derivatives of the waveforms by their parameters, of shape (p, k, d), by differences."""
        found = []
        for i, own in enumerate(ranges):
            step = np.zeros_like(parameters)
            step[:, i] = _STEP * (np.abs(parameters[:, i]) + own)
            ends = [np.asarray(self.evaluate(parameters + side * step), dtype=float) for side in (1, -1)]
            found.append((ends[0] - ends[1]) / (2 * step[:, [i]]))
        return np.array(found)

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        """The learned parameters by name, each of shape (k, 1)."""
        parameters, _ = self._learned
        return {f"{name}_": parameters[:, [i]] for i, name in enumerate(self.names)}

    @property
    def _learned(self) -> tuple[np.ndarray, np.ndarray]:
        if self.parameters is None or self.sizes is None:
            return np.zeros((0, max(len(self.names), 1))), np.zeros(0)
        return self.parameters, self.sizes

    def _with(self, parameters: np.ndarray, sizes: np.ndarray) -> Self:
        basis = copy(self)
        basis.parameters, basis.sizes = parameters, sizes
        return basis

    def _wrong(self, method: str, wanted: str, shape: Any) -> ValueError:
        return ValueError(
            f"The method {method!r} of the basis {type(self).__name__} must return {wanted}. "
            f"Got an array of shape {shape} instead."
        )


def _unit(rows: np.ndarray) -> np.ndarray:
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(sizes > 0, sizes, 1.0)


def _best(waves: np.ndarray, span: np.ndarray, chosen: list[int]) -> int:
    """Return the candidate of which, beside those chosen, the largest share lies in the span."""
    taken, _ = np.linalg.qr(waves[chosen].T)
    left = waves - (waves @ taken) @ taken.T
    energies = (left**2).sum(axis=1)
    shares = ((left @ span.T) ** 2).sum(axis=1) / np.maximum(energies, _PRECISION)
    return int(np.argmax(np.where(energies > _PRECISION, shares, -1.0)))


def _promise(jacobian: np.ndarray, residual: np.ndarray) -> float:
    """Return by which share a further Gauss-Newton step promises to lower the sum of squares."""
    step, *_ = np.linalg.lstsq(jacobian, residual, rcond=None)
    total = float(residual @ residual)
    return float(np.sum((jacobian @ step) ** 2) / total) if total > _PRECISION**2 else 0.0
