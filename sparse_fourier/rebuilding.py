"""Whole fits to resampled signals: how sure components are that have no likelihood in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from sparse_fourier.diagnosis import Diagnosis
from sparse_fourier.identification import verdicts
from sparse_fourier.matching import match_rows

_LEVEL = 0.9
_QUANTILES = (0.05, 0.5, 0.95)
_REMARK = "errors are those of whole fits to resampled signals, which go on from this one"


class Found(NamedTuple):
    """What one fit found, in the user's unit: components (k, d), and the variance that each explains (k,)."""

    components: np.ndarray
    explained: np.ndarray


Learn = Callable[[np.ndarray], Found]
"""Fits signals of other weights, of which some are zero, from the solution there is."""


def rebuilt(
    found: Found,
    weights: np.ndarray,
    learn: Learn,
    n_draws: int,
    rng: np.random.RandomState,
    prior: str,
    rank: tuple[int, dict[int, float]],
) -> Diagnosis:
    """Return how far to trust components, from fits to signals that are resampled with replacement.

    Parameters
    ----------
    found : Found
        The fit.
    weights : array of shape (n,)
        Positive.
    learn : callable
    n_draws : int
    rng : RandomState
        Draws the resamples.
    prior : str
        Its name.
    rank : tuple
        Number of components that stand above white noise, and its probabilities.
    """
    size = max(round(float(weights.sum())), 1)
    counts = rng.multinomial(size, weights / weights.sum(), size=n_draws)
    fits = [_like(found, learn(own.astype(float))) for own in counts]
    return _summary(found, fits, float(weights.sum()), prior, rank)


def _like(found: Found, other: Found) -> Found:
    """Return a fit with components in the order and with the signs of another."""
    match = match_rows(found.components, other.components)
    signs = np.where(match.cosines < 0, -1.0, 1.0)
    return Found(signs[:, None] * other.components[match.permutation], other.explained[match.permutation])


def _summary(
    found: Found, fits: list[Found], n_samples: float, prior: str, rank: tuple[int, dict[int, float]]
) -> Diagnosis:
    components = found.components.astype(float)
    drawn = np.array([each.components for each in fits], dtype=float)
    errors = np.sqrt(((drawn - components) ** 2).mean(axis=0))
    sizes, lengths = np.linalg.norm(components, axis=1), np.linalg.norm(drawn, axis=2)
    live = sizes > 0
    products = np.abs(np.einsum("bkd,kd->bk", drawn, components))
    cosines = products / np.maximum(lengths * sizes, np.finfo(float).tiny)
    stability, relative = cosines.mean(axis=0), np.linalg.norm(errors, axis=1) / np.where(live, sizes, 1.0)
    k = len(components)
    endless = np.full((k, k), np.inf)
    said = verdicts(endless, np.full(k, np.inf), relative, stability, by_prior=False)
    quantile = float(stdtrit(max(len(fits) - 1, 1), 0.5 + _LEVEL / 2))
    return Diagnosis(
        components=found.components,
        standard_errors=errors,
        lower=components - quantile * errors,
        upper=components + quantile * errors,
        stability=stability,
        stability_quantiles=np.quantile(cosines, _QUANTILES, axis=0).T,
        refits=drawn @ np.linalg.pinv(components),
        explained_variance=np.asarray(found.explained, dtype=float),
        explained_variance_errors=np.std([each.explained for each in fits], axis=0, ddof=1),
        margins=endless,
        verdicts=tuple(
            each.word if alive else "not identified" for each, alive in zip(said, live, strict=True)
        ),
        reasons=tuple(each.reason if alive else "it is zero" for each, alive in zip(said, live, strict=True)),
        prior_scores={},
        rank=rank[0],
        rank_probabilities=rank[1],
        warnings=(_REMARK,),
        is_regular=False,
        n_samples=n_samples,
        prior=prior,
    )
