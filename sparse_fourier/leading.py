"""The leading singular vectors of matrices that are known by their products alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_GUARDS = 8
_BLOCKS_KEPT = 8
_MOST_PRODUCTS = 40
_INDEPENDENT = 1e-8

Product = Callable[[np.ndarray], np.ndarray]


def leading_axes(
    forth: Product, back: Product, d: int, k: int, tolerance: float = 1e-12
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest singular values of a matrix and their right singular vectors.

    The space that the matrix and its transpose span from random vectors is searched, block by block, each of
    which is what the best vectors so far leave to be desired; when there are too many, the best are kept
    (block Lanczos with thick restarts [1]_). Every run draws the same vectors. Vectors whose values lie in a
    crowd of others take longest; after so many products they are what has been found.

    Parameters
    ----------
    forth, back : callable
        Products of the matrix, of shape (n, d), and of its transpose with some columns.
    d, k : int
        Number of columns, and of singular values.
    tolerance : float
        Error of the square of the matrix, relative to its largest eigenvalue.

    Returns
    -------
    values : array of shape (k,)
        Descending.
    axes : array of shape (k, d)
        Orthonormal rows.

    References
    ----------
    .. [1] K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM
       Journal on Matrix Analysis and Applications 22(2), 602-616, 2000.
    """
    width = min(k + _GUARDS, d)
    most = min(_BLOCKS_KEPT * width, d)
    block = np.random.RandomState(0).standard_normal((d, width))
    basis, images, turn = np.zeros((d, 0)), np.zeros((d, 0)), np.zeros((0, 0))
    for _ in range(_MOST_PRODUCTS):
        block = _orthonormal(block, basis)
        if not block.size:
            break
        basis = np.concatenate([basis, block], axis=1)
        images = np.concatenate([images, back(forth(block))], axis=1)
        squares, turn = np.linalg.eigh(basis.T @ images)
        squares, turn = squares[::-1], turn[:, ::-1]
        left = images @ turn[:, :width] - (basis @ turn[:, :width]) * squares[:width]
        errors = np.linalg.norm(left, axis=0)
        poor = errors > tolerance * max(squares[0], np.finfo(float).tiny)
        if not poor[:k].any() or basis.shape[1] >= d:
            break
        if basis.shape[1] + width > most:
            basis, images = basis @ turn[:, : 2 * width], images @ turn[:, : 2 * width]
        block = left[:, poor]
    return _refined(forth, (basis @ turn[:, :k]).T)


def _orthonormal(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of what columns span outside the span of others."""
    block = block / np.maximum(np.linalg.norm(block, axis=0), np.finfo(float).tiny)
    for _ in range(2):
        block = block - basis @ (basis.T @ block)
        left, sizes, _ = np.linalg.svd(block, full_matrices=False)
        block = left[:, sizes > _INDEPENDENT]
    return block


def _refined(forth: Product, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values, to the precision of the matrix and not of its square, and their vectors."""
    _, values, turn = np.linalg.svd(np.linalg.qr(forth(axes.T), mode="r"), full_matrices=False)
    return values, turn @ axes
