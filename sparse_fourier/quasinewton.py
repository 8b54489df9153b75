"""Full-batch training of networks by a quasi-Newton method, on compiled values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.descent import Descent, descend
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.sources import Source, source_of
from sparse_fourier.training import Progress

_MEMORY = 20


def minimise(
    loss: Loss,
    model: Any,
    data: Batch | Source,
    *,
    max_iter: int,
    tol: float,
    callback: Callable[[Progress], Any] | None = None,
) -> tuple[Any, Descent]:
    """Minimise a loss from one start, at the noise variance that fits best; return the model, and how.

    Parameters
    ----------
    loss : Loss
    model : Autoencoder
    data : Batch or Source
        In double precision.
    max_iter, tol, callback
        As for `sparse_fourier.descent.descend`.
    """
    expand = source_of(data).expansion(loss, model)
    vector, parted = _as_vector(model)

    def value_and_gradient(vector: np.ndarray) -> tuple[Any, np.ndarray]:
        value, gradient = expand(parted(vector))
        return value, _as_vector(gradient)[0]

    descent = descend(
        value_and_gradient, vector, tol=tol, max_iter=max_iter, memory=_MEMORY, callback=callback
    )
    return parted(descent.place), descent


def _as_vector(tree: Any) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """Return the arrays of a tree in a row, and what makes a tree of such a row."""
    import jax

    runtime.register(tree)
    leaves, structure = jax.tree_util.tree_flatten(tree)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def parted(vector: np.ndarray) -> Any:
        parts = zip(np.split(vector, ends), leaves, strict=True)
        return jax.tree_util.tree_unflatten(structure, [part.reshape(leaf.shape) for part, leaf in parts])

    return np.concatenate([np.ravel(leaf) for leaf in leaves]), parted
