"""Full-batch training of networks by a quasi-Newton method, on compiled values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparse_fourier.descent import Descent, descend
from sparse_fourier.losses import Batch, Loss
from sparse_fourier.sources import Source, source_of
from sparse_fourier.stacks import stack, taken
from sparse_fourier.steps import Packing
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
    models = stack([model], float)
    packing = Packing.in_rows(models)
    (rows,) = packing.packed(models)
    expand = source_of(data).expansion(loss, packing)
    descent = descend(expand, rows[0], tol=tol, max_iter=max_iter, memory=_MEMORY, callback=callback)
    return taken(packing.unpacked((descent.place[None],)), 0), descent
