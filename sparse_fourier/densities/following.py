"""What a density gains by following codes that move: what its own freedom takes from the curvature."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from sparse_fourier.densities.density import Density
from sparse_fourier.densities.fitting import Frame, Sample, objective_of
from sparse_fourier.densities.splines import Splines


def gain_by_following(
    density: Density, codes: np.ndarray, weights: np.ndarray, design: np.ndarray
) -> np.ndarray:
    r"""Return the curvature that moving codes lose where their density is fitted anew.

    Codes that become :math:`h + D \epsilon` change the slope of the penalised log-likelihood by
    :math:`G \epsilon`, and coefficients follow by :math:`A^{-1} G \epsilon`, with A its curvature. What this
    gains is

    .. math:: \tfrac12 \epsilon^\top G^\top A^{-1} G \, \epsilon,

    the complement of Schur: a density that was fitted to few samples has bends of its own under them,
    which hold these samples in place only as long as it is held itself.

    Parameters
    ----------
    density : Density
        Fitted to the codes.
    codes : array of shape (n,)
    weights : array of shape (n,)
        Of sum one.
    design : array of shape (n, m)
        The directions D.

    Returns
    -------
    array of shape (m, m)
        In nats per sample.
    """
    sample = Sample(codes, weights, density.n_samples)
    frame = Frame(density.template, density.centre, density.scale, density.blur)
    objective = objective_of(sample, frame, density.stiffness)
    splines = objective.splines
    cell, u, _ = splines.locate((codes - density.centre) / density.scale)
    slopes = np.stack([0.0 * u, 0.0 * u + 1.0, 2 * u, 3 * u * u]) / (splines.widths[cell] * density.scale)
    moved = np.stack([_pull(splines, cell, slopes, weights * column) for column in design.T], axis=1)
    information = objective.information(objective.point(density.coefficients))
    factor = objective.factor(information, density.strength)
    return moved.T @ lapack.dpbtrs(factor, moved, lower=1)[0]


def _pull(splines: Splines, cell: np.ndarray, slopes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted sum of the slopes of each spline at the codes."""
    sums = np.stack([np.bincount(cell, weights * slope, splines.n_cells) for slope in slopes])
    return splines.spread(np.einsum("apc,pc->ac", splines.basis, sums))
