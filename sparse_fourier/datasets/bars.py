"""Images of crossing bars."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.random import RandomState
from sklearn.utils import check_random_state

from sparse_fourier.datasets.checks import check_counts
from sparse_fourier.datasets.draws import Array
from sparse_fourier.exceptions import invalid


def make_bars(
    n_samples: int = 400,
    size: int = 8,
    *,
    p: float | None = None,
    combine: str = "max",
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw images of crossing bars, Földiák's test of learning parts.

    Each of the rows and columns of a square image is lit as a whole with probability `p`, independently of
    the others [1]_.

    Parameters
    ----------
    n_samples : int, default=400
        Number of images.
    size : int, default=8
        Height and width of an image in pixels; there are twice as many bars.
    p : float, default=None
        Probability, in (0, 1], that a bar is lit; None is 1 / `size`, two bars per image on average.
    combine : {"max", "sum"}, default="max"
        What a pixel is where two bars cross: "max", as bright as one of them, so that one bar hides the
        other; "sum", twice as bright, so that images are linear in the bars.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, size ** 2)
        The images, one per row, each read row by row.
    codes : ndarray of shape (n_samples, 2 * size)
        1 where a bar is lit, else 0.
    components : ndarray of shape (2 * size, size ** 2)
        The bars, of brightness 1, horizontal ones first; their rank is ``2 * size - 1``. With "sum",
        ``X == codes @ components``; with "max", X is the smaller of that and 1.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] P. Földiák. Forming sparse representations by local anti-Hebbian learning. Biological Cybernetics
       64, 165-170, 1990.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_bars
    >>> X, codes, components = make_bars(1, size=3, p=0.3, random_state=1)
    >>> codes
    array([[0., 0., 1., 0., 1., 1.]])
    >>> X.reshape(3, 3)
    array([[0., 1., 1.],
           [0., 1., 1.],
           [1., 1., 1.]])
    """
    check_counts("make_bars", n_samples=n_samples, size=size)
    if p is not None and not (isinstance(p, Real) and 0 < p <= 1):
        raise invalid("make_bars", "p", "a float in the range (0.0, 1.0] or None", repr(p))
    if combine not in ("max", "sum"):
        raise invalid("make_bars", "combine", "a str among ['max', 'sum']", repr(combine))
    rng = check_random_state(random_state)
    line = np.eye(size)
    components = np.vstack([np.repeat(line, size, axis=1), np.tile(line, (1, size))])
    lit = 1 / size if p is None else p
    codes = (rng.uniform(size=(int(n_samples), len(components))) < lit).astype(np.float64)
    X = codes @ components
    return np.minimum(X, 1.0) if combine == "max" else X, codes, components
