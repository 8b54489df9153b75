"""How far to trust the components of a fit: what `AutoencoderDecomposer.diagnose` returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Diagnosis"]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """How far to trust the components of a fit; made by `AutoencoderDecomposer.diagnose`.

    Parameters
    ----------
    components : ndarray of shape (k, d)
        As the estimator has them.
    standard_errors : ndarray of shape (k, d)
        Of every point of the components, in their unit.
    lower, upper : ndarrays of shape (k, d)
        Bands that cover each point of the true component with a probability of 90 %.
    stability : ndarray of shape (k,)
        Mean over refits of the absolute cosine between the component and its match.
    stability_quantiles : ndarray of shape (k, 3)
        Its quantiles at 5, 50 and 95 %.
    refits : ndarray of shape (n_bootstraps, k, k)
        Components of each refit, matched and turned alike, as combinations of the components:
        ``refits[b] @ components``.
    explained_variance, explained_variance_errors : ndarrays of shape (k,)
        Variance that each component contributes, and its standard error.
    margins : ndarray of shape (k, k)
        By how many nats, over all signals, each pair of codes is likelier than the two rotated; infinite on
        the diagonal.
    verdicts : tuple of k str
        "identified", "weakly identified" or "not identified".
    reasons : tuple of k str
        Why, where a component is not simply identified.
    prior_scores : dict
        Name of each prior that was compared -> penalised log-likelihood, in nats per sample.
    rank : int
        Number of components that stand above white noise, by the rule of `n_components="auto"`.
    rank_probabilities : dict
        Number of components -> probability that as many would stand out of another such sample.
    warnings : tuple of str
        What makes all this less certain than it looks.
    is_regular : bool
        Whether errors are normal and go with one over the root of the number of signals.
    n_samples : float
        Sum of the weights.
    parameter_errors : dict, default={}
        Under a basis of waveforms of few parameters, name of a parameter -> its standard errors, of shape
        (k, n_terms), in the unit of the estimator's attribute of this name.
    prior : str, default=""
        Name of the prior.

    Notes
    -----
    ``print(diagnosis)`` shows a table. See the page "Error bars" of the documentation for what the figures
    mean and how well they are calibrated.

    Examples
    --------
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> X, codes, components = make_sinusoid_mixtures(n_samples=3000, noise=0.1, random_state=0)
    >>> diagnosis = AutoencoderDecomposer().fit(X).diagnose(X, random_state=0)
    >>> diagnosis.stability.round(2), diagnosis.rank
    (array([1., 1.]), 2)
    """

    components: np.ndarray
    standard_errors: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    stability: np.ndarray
    stability_quantiles: np.ndarray
    refits: np.ndarray
    explained_variance: np.ndarray
    explained_variance_errors: np.ndarray
    margins: np.ndarray
    verdicts: tuple[str, ...]
    reasons: tuple[str, ...]
    prior_scores: dict[str, float]
    rank: int
    rank_probabilities: dict[int, float]
    warnings: tuple[str, ...]
    is_regular: bool
    n_samples: float
    parameter_errors: dict[str, np.ndarray] = field(default_factory=dict)
    prior: str = field(default="")

    @property
    def frequency_errors(self) -> np.ndarray | None:
        """Standard errors of frequencies under the Fourier basis, of shape (k, n_terms); else None."""
        return self.parameter_errors.get("frequencies")

    @property
    def phase_errors(self) -> np.ndarray | None:
        """Standard errors of phases under the Fourier basis, of shape (k, n_terms); else None."""
        return self.parameter_errors.get("phases")

    @property
    def damping_errors(self) -> np.ndarray | None:
        """Standard errors of dampings under the Fourier basis, of shape (k, n_terms); else None."""
        return self.parameter_errors.get("dampings")

    def similarities(self) -> np.ndarray:
        """Return the absolute cosines between the components of all refits.

        Returns
        -------
        ndarray of shape (k * n_bootstraps, k * n_bootstraps)
            Those that were matched with the first component first, and so on.
        """
        gram = self.components.astype(float) @ self.components.T
        rows = self.refits.swapaxes(0, 1).reshape(-1, len(gram))
        products = rows @ gram @ rows.T
        norms = np.sqrt(np.maximum(np.diagonal(products), np.finfo(float).tiny))
        return np.minimum(np.abs(products) / np.outer(norms, norms), 1.0)

    def __str__(self) -> str:
        """Return a table."""
        return "\n".join([self._headline(), *self._table(), *self._remarks()])

    __repr__ = __str__

    def _headline(self) -> str:
        k, d = self.components.shape
        return f"{k} components of {d} features under the prior {self.prior}, {self.n_samples:.6g} signals"

    def _table(self) -> list[str]:
        sizes = np.linalg.norm(self.components, axis=1)
        errors = np.linalg.norm(self.standard_errors, axis=1) / np.where(sizes > 0, sizes, 1.0)
        lines = ["    error  refits alike  variance (s.e.)        margin  verdict"]
        for j, (word, reason) in enumerate(zip(self.verdicts, self.reasons, strict=True)):
            margin = float(self.margins[j].min(initial=np.inf))
            shown = f"{margin:.3g} nats" if np.isfinite(margin) else "-"
            variance = f"{self.explained_variance[j]:.4g} ({self.explained_variance_errors[j]:.2g})"
            verdict = f"{word}: {reason}" if reason else word
            alike = f"{self.stability[j]:.4f}"
            lines.append(f"{j:3d} {errors[j]:5.2%}  {alike:>12}  {variance:<20} {shown:>9}  {verdict}")
        return lines

    def _remarks(self) -> list[str]:
        likely = ", ".join(f"{rank}: {share:.2g}" for rank, share in self.rank_probabilities.items())
        scores = ", ".join(f"{name} {score:.4g}" for name, score in self.prior_scores.items())
        lines = [f"rank {self.rank} (probabilities {likely})", f"scores in nats per sample: {scores}"]
        return [*lines, *(f"warning: {warning}" for warning in self.warnings)]
