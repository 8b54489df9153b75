"""Signals to learn from: mixtures with known truth, and frames of one long recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from sklearn.utils import check_random_state

__all__ = [
    "frames",
    "make_bars",
    "make_feature_mixtures",
    "make_independent_mixtures",
    "make_nonnegative_mixtures",
    "make_proportions",
    "make_sinusoid_mixtures",
    "make_sparse_combinations",
]

Array = NDArray[np.float64]
CodeSampler = Callable[[RandomState, tuple[int, int]], ArrayLike]


def _dependent(rng: RandomState, shape: tuple[int, int]) -> Array:
    """Draw codes uniform on (0, 1), every two of correlation 1/2, by a Gaussian copula."""
    latent = 2 * np.sin(np.pi / 12)
    shared, own = rng.standard_normal((shape[0], 1)), rng.standard_normal(shape)
    return ndtr(np.sqrt(latent) * shared + np.sqrt(1 - latent) * own)


def _bimodal(rng: RandomState, shape: tuple[int, int]) -> Array:
    """Draw from two Gaussians of equal weight whose peaks overlap."""
    return rng.choice([-0.5, 0.5], shape) + 0.3 * rng.standard_normal(shape)


_CODES: dict[str, CodeSampler] = {
    "uniform": lambda rng, shape: rng.uniform(size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "gaussian": lambda rng, shape: rng.standard_normal(size=shape),
    "beta": lambda rng, shape: rng.beta(0.5, 0.5, size=shape),
    "simplex": lambda rng, shape: rng.dirichlet(np.ones(shape[1]), size=shape[0]),
    "unequal": lambda rng, shape: rng.standard_normal(size=shape) * np.linspace(1.0, 0.4, shape[1]),
    "skewed": lambda rng, shape: rng.gamma(2.0, size=shape),
    "bimodal": _bimodal,
    "heavy-tailed": lambda rng, shape: rng.standard_t(3.0, size=shape),
    "dependent": _dependent,
}


class _Mixture(NamedTuple):
    """Weights, which need not add up to one, means and standard deviations of a mixture of Gaussians."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    widths: tuple[float, ...]


_MIXTURES = {
    "g": _Mixture((1, 1), (-0.5, 0.5), (0.15, 0.15)),
    "h": _Mixture((1, 1), (-0.5, 0.5), (0.4, 0.4)),
    "i": _Mixture((1, 1), (-0.5, 0.5), (0.5, 0.5)),
    "j": _Mixture((1, 3), (-0.5, 0.5), (0.15, 0.15)),
    "k": _Mixture((1, 2), (-0.7, 0.5), (0.4, 0.4)),
    "l": _Mixture((1, 2), (-0.7, 0.5), (0.5, 0.5)),
    "m": _Mixture((1, 2, 2, 1), (-1, -0.33, 0.33, 1), (0.16, 0.16, 0.16, 0.16)),
    "n": _Mixture((1, 2, 2, 1), (-1, -0.2, 0.2, 1), (0.2, 0.3, 0.3, 0.2)),
    "o": _Mixture((1, 2, 2, 1), (-0.7, -0.2, 0.2, 0.7), (0.2, 0.3, 0.3, 0.2)),
    "p": _Mixture((1, 1, 2, 1), (-1, 0.3, -0.3, 1.1), (0.2, 0.2, 0.2, 0.2)),
    "q": _Mixture((1, 3, 2, 0.5), (-1, -0.2, 0.3, 1), (0.2, 0.3, 0.2, 0.2)),
    "r": _Mixture((1, 2, 2, 1), (-0.8, -0.2, 0.2, 0.5), (0.22, 0.3, 0.3, 0.2)),
}

#: Draws of mean 0 and variance 1; those of ``_MIXTURES`` besides.
_STANDARD: dict[str, Callable[[RandomState, int], Array]] = {
    "a": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "b": lambda rng, n: rng.laplace(size=n) / np.sqrt(2),
    "c": lambda rng, n: rng.uniform(-1, 1, n) * np.sqrt(3),
    "d": lambda rng, n: rng.standard_t(5, n) / np.sqrt(5 / 3),
    "e": lambda rng, n: rng.exponential(size=n) - 1,
    "f": lambda rng, n: (rng.choice([-1, 1], n) + rng.laplace(size=n) / np.sqrt(8)) / np.sqrt(1.25),
    "gaussian": lambda rng, n: rng.standard_normal(n),
    "sech": lambda rng, n: np.arcsinh(np.tan(np.pi * (rng.uniform(size=n) - 0.5))) * 2 / np.pi,
}
_SYNONYMS = {"laplace": "b", "uniform": "c", "exponential": "e"}
_DENSITIES = sorted({*_MIXTURES, *_STANDARD, *_SYNONYMS})

#: Rejection draws of proportions are not begun where fewer than this share of them would be kept.
_LEAST_KEPT = 1e-3
_BANDS = 3


def make_sinusoid_mixtures(
    n_samples: int = 300,
    n_features: int = 30,
    *,
    interval: tuple[float, float] = (0.0, np.pi),
    frequencies: Sequence[float] = (1.0, 2.0),
    codes: str | CodeSampler = "uniform",
    noise: float = 0.0,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw signals that are random mixtures of a few sinusoids, and return the truth with them.

    Every signal is

    .. math:: x_i = \sum_j h_{ij} \sin(\omega_j t) + \sigma \varepsilon_i ,

    sampled at `n_features` equally spaced points t of the interval, both ends included. With the default
    parameters these are the signals a sin(t) + b sin(2t) with a and b uniform on (0, 1).

    Parameters
    ----------
    n_samples : int, default=300
        Number of signals.
    n_features : int, default=30
        Number of points per signal.
    interval : tuple of two floats, default=(0, pi)
        First and last point t.
    frequencies : sequence of k floats, default=(1, 2)
        Angular frequencies, in radians per unit of t.
    codes : str or callable, default='uniform'
        Distribution of the weights h, independent of each other but for two. 'uniform': on (0, 1). 'laplace':
        with mean 0 and scale 1. 'exponential': with mean 1. 'gaussian': standard normal. 'unequal': Gaussian,
        of standard deviations from 1 down to 0.4. 'beta': Beta(1/2, 1/2), on [0, 1] with most mass at the
        ends. 'skewed': gamma of shape 2. 'bimodal': two Gaussians of standard deviation 0.3 at -0.5 and 0.5.
        'heavy-tailed': Student's t with 3 degrees of freedom. 'simplex': uniform on the shares that sum to
        one. 'dependent': uniform on (0, 1), every two of correlation 1/2, by a Gaussian copula. A callable is
        called once,
        as ``codes(rng, (n_samples, k))`` with `rng` a :class:`numpy.random.RandomState`, and returns an array
        of that shape.
    noise : float, default=0
        Standard deviation of the white Gaussian noise added to every entry.
    random_state : int, RandomState instance or None, default=None
        Seed of codes and noise; codes are drawn first, so that the noise level leaves them unchanged.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row.
    codes : ndarray of shape (n_samples, k)
        The weights h.
    components : ndarray of shape (k, n_features)
        The sinusoids, of amplitude 1, in the order of `frequencies`. Without noise,
        ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range, or the callable's result is not a finite array of the right shape.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> X, codes, components = make_sinusoid_mixtures(n_samples=5, random_state=0)
    >>> X.shape, codes.shape, components.shape
    ((5, 30), (5, 2), (2, 30))
    >>> bool((X == codes @ components).all())
    True
    """
    _check_counts("make_sinusoid_mixtures", n_samples=n_samples, n_features=n_features)
    _check_noise("make_sinusoid_mixtures", noise)
    points = np.linspace(*_interval(interval), int(n_features))
    components = np.sin(np.outer(_frequencies(frequencies), points))
    rng = check_random_state(random_state)
    drawn = _draw_codes(codes, rng, (int(n_samples), len(components)))
    X = drawn @ components
    if noise > 0:
        X += noise * rng.standard_normal(X.shape)
    return X, drawn, components


def make_independent_mixtures(
    n_samples: int = 1000,
    n_components: int = 2,
    density: str | Sequence[str] = "laplace",
    *,
    n_features: int | None = None,
    noise: float = 0.0,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw random mixtures of independent codes, the data of independent component analysis.

    Every signal is

    .. math:: x_i = \sum_j h_{ij} w_j + \sigma \varepsilon_i ,

    the codes independent, each of mean 0 and variance 1.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of signals.
    n_components : int, default=2
        Number of codes k.
    density : str or sequence of k str, default="laplace"
        Density of the codes: one for all, or one for each. "a" to "r" are the eighteen of [1]_: Student's t
        with 3 degrees of freedom (a), Laplace (b), uniform (c), Student's t with 5 degrees of freedom (d),
        exponential less its mean (e), two Laplace (f), two Gaussians of equal weight with two peaks, on the
        verge, and one peak (g, h, i), the same of unequal weights (j, k, l), four Gaussians, symmetric (m, n,
        o) and not (p, q, r). "laplace", "uniform" and "exponential" are other names of b, c and e; "sech" is
        the hyperbolic secant, and "gaussian" what no such analysis can separate.
    n_features : int, default=None
        Number of features d; None is k.
    noise : float, default=0
        Standard deviation of the white Gaussian noise added to every entry.
    random_state : int, RandomState instance or None, default=None
        Seed of codes, components and noise, drawn in this order.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row.
    codes : ndarray of shape (n_samples, n_components)
        The weights h.
    components : ndarray of shape (n_components, n_features)
        The rows w: with d = k a random matrix of condition number between 1 and 2, as in [1]_; else standard
        normal entries. Without noise, ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] F. R. Bach and M. I. Jordan. Kernel independent component analysis. Journal of Machine Learning
       Research 3, 1-48, 2002.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_independent_mixtures
    >>> X, codes, components = make_independent_mixtures(
    ...     5000, 3, density=["laplace", "uniform", "m"], random_state=0
    ... )
    >>> X.shape, codes.shape, components.shape
    ((5000, 3), (5000, 3), (3, 3))
    >>> [float(variance) for variance in codes.var(axis=0).round(1)]
    [1.0, 1.0, 1.0]
    """
    _check_counts("make_independent_mixtures", n_samples=n_samples, n_components=n_components)
    n_features = n_components if n_features is None else n_features
    _check_counts("make_independent_mixtures", n_features=n_features)
    _check_noise("make_independent_mixtures", noise)
    names = _densities(density, n_components)
    rng = check_random_state(random_state)
    codes = np.stack([_standard_draws(name, rng, int(n_samples)) for name in names], axis=1)
    components = _mixing(rng, int(n_components), int(n_features))
    X = codes @ components
    if noise > 0:
        X += noise * rng.standard_normal(X.shape)
    return X, codes, components


def make_nonnegative_mixtures(
    n_samples: int = 1000,
    n_components: int = 4,
    n_features: int = 100,
    *,
    sparsity: float = 0.5,
    snr_db: float | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw non-negative mixtures of smooth non-negative spectra, the data of non-negative factorisation.

    Every signal is :math:`x_i = \sum_j h_{ij} w_j` and noise, with spectra w of three Gaussian bands each and
    codes h that are zero with probability `sparsity` and exponential with mean 1 otherwise.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of signals.
    n_components : int, default=4
        Number of spectra k.
    n_features : int, default=100
        Number of points per spectrum.
    sparsity : float, default=0.5
        Probability, in [0, 1), that a code is zero. With 0 codes are plain exponential.
    snr_db : float, default=None
        Signal-to-noise ratio in decibels: that of the mean square of all entries of ``codes @ components`` to
        the variance of the white Gaussian noise, whatever the sign of what comes out. None: no noise.
    random_state : int, RandomState instance or None, default=None
        Seed of spectra, codes and noise, drawn in this order, so that the noise leaves the others unchanged.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row; non-negative without noise.
    codes : ndarray of shape (n_samples, n_components)
        The weights h.
    components : ndarray of shape (n_components, n_features)
        The spectra. Without noise, ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_nonnegative_mixtures
    >>> X, codes, components = make_nonnegative_mixtures(1000, 4, sparsity=0.5, random_state=0)
    >>> X.shape, codes.shape, components.shape
    ((1000, 100), (1000, 4), (4, 100))
    >>> round(float((codes == 0).mean()), 1)
    0.5
    """
    function = "make_nonnegative_mixtures"
    _check_counts(function, n_samples=n_samples, n_components=n_components, n_features=n_features)
    if not (isinstance(sparsity, Real) and 0 <= sparsity < 1):
        raise _invalid(function, "sparsity", "a float in the range [0.0, 1.0)", repr(sparsity))
    _check_decibels(function, snr_db)
    rng = check_random_state(random_state)
    components = _spectra(rng, int(n_components), int(n_features), widths=(0.02, 0.08))
    codes = rng.exponential(size=(int(n_samples), int(n_components)))
    if sparsity > 0:
        codes[rng.uniform(size=codes.shape) < sparsity] = 0.0
    return _with_decibels(codes @ components, snr_db, rng), codes, components


def make_proportions(
    n_samples: int = 1000,
    n_components: int = 3,
    n_features: int = 100,
    *,
    max_share: float = 1.0,
    snr_db: float | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw mixtures whose codes are proportions of smooth positive spectra, the data of spectral unmixing.

    Every signal is :math:`x_i = \sum_j h_{ij} w_j` and noise, with shares h that are not negative and sum to
    one, uniform on that simplex as far as no share exceeds `max_share`: with less than 1, no signal is pure.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of signals.
    n_components : int, default=3
        Number of spectra k.
    n_features : int, default=100
        Number of bands.
    max_share : float, default=1
        Largest share, in (1/k, 1]. Draws with a larger one are rejected, so that it must leave at least one
        in a thousand.
    snr_db : float, default=None
        Signal-to-noise ratio in decibels: that of the mean square of all entries of ``codes @ components`` to
        the variance of the white Gaussian noise. None: no noise.
    random_state : int, RandomState instance or None, default=None
        Seed of spectra, shares and noise, drawn in this order, so that the noise leaves the others unchanged.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The signals, one per row.
    codes : ndarray of shape (n_samples, n_components)
        The shares h.
    components : ndarray of shape (n_components, n_features)
        The spectra: three broad Gaussian bands each, on a constant of 0.2. Without noise,
        ``X == codes @ components``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sparse_fourier.datasets import make_proportions
    >>> X, codes, components = make_proportions(500, 3, max_share=0.8, random_state=0)
    >>> X.shape, codes.shape, components.shape
    ((500, 100), (500, 3), (3, 100))
    >>> bool(codes.max() <= 0.8), bool((abs(codes.sum(axis=1) - 1) < 1e-12).all())
    (True, True)
    """
    function = "make_proportions"
    _check_counts(function, n_samples=n_samples, n_components=n_components, n_features=n_features)
    _check_share(max_share, int(n_components))
    _check_decibels(function, snr_db)
    rng = check_random_state(random_state)
    components = 0.2 + _spectra(rng, int(n_components), int(n_features), widths=(0.05, 0.2))
    codes = _shares(rng, int(n_samples), int(n_components), float(max_share))
    return _with_decibels(codes @ components, snr_db, rng), codes, components


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
    _check_counts("make_bars", n_samples=n_samples, size=size)
    if p is not None and not (isinstance(p, Real) and 0 < p <= 1):
        raise _invalid("make_bars", "p", "a float in the range (0.0, 1.0] or None", repr(p))
    if combine not in ("max", "sum"):
        raise _invalid("make_bars", "combine", "a str among ['max', 'sum']", repr(combine))
    rng = check_random_state(random_state)
    line = np.eye(size)
    components = np.vstack([np.repeat(line, size, axis=1), np.tile(line, (1, size))])
    lit = 1 / size if p is None else p
    codes = (rng.uniform(size=(int(n_samples), len(components))) < lit).astype(np.float64)
    X = codes @ components
    return np.minimum(X, 1.0) if combine == "max" else X, codes, components


def make_sparse_combinations(
    n_samples: int = 1500,
    n_features: int = 20,
    n_components: int = 50,
    *,
    n_active: int = 3,
    snr_db: float | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw sparse combinations of random atoms, the experiment of Aharon, Elad and Bruckstein.

    Atoms are Gaussian vectors of unit norm; every signal combines `n_active` of them, chosen uniformly, with
    independent standard normal codes [1]_.

    Parameters
    ----------
    n_samples : int, default=1500
        Number of signals.
    n_features : int, default=20
        Length of a signal.
    n_components : int, default=50
        Number of atoms.
    n_active : int, default=3
        Number of atoms of each signal, at most `n_components`.
    snr_db : float, default=None
        Mean square of the signals over that of white Gaussian noise, in decibels; None for no noise.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        ``codes @ components`` plus noise.
    codes : ndarray of shape (n_samples, n_components)
        All but `n_active` of each row are zero.
    components : ndarray of shape (n_components, n_features)
        The atoms, of unit norm.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] M. Aharon, M. Elad and A. Bruckstein. K-SVD: an algorithm for designing overcomplete dictionaries
       for sparse representation. IEEE Transactions on Signal Processing 54, 4311-4322, 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.datasets import make_sparse_combinations
    >>> X, codes, components = make_sparse_combinations(random_state=0)
    >>> X.shape, components.shape
    ((1500, 20), (50, 20))
    >>> np.unique(np.count_nonzero(codes, axis=1)).tolist()
    [3]
    """
    function = "make_sparse_combinations"
    _check_counts(function, n_samples=n_samples, n_features=n_features, n_components=n_components)
    _check_active(function, n_active, int(n_components))
    _check_decibels(function, snr_db)
    rng = check_random_state(random_state)
    components = _unit_rows(rng.standard_normal((int(n_components), int(n_features))))
    codes = np.zeros((int(n_samples), len(components)))
    chosen = np.argsort(rng.uniform(size=codes.shape), axis=1)[:, : int(n_active)]
    np.put_along_axis(codes, chosen, rng.standard_normal(chosen.shape), axis=1)
    return _with_decibels(codes @ components, snr_db, rng), codes, components


def make_feature_mixtures(
    n_samples: int = 20_000,
    n_features: int = 64,
    n_components: int = 128,
    *,
    n_active: float = 5.0,
    decay: float = 0.99,
    correlation: float = 0.0,
    group_size: int = 8,
    snr_db: float | None = None,
    components: ArrayLike | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array]:
    r"""Draw features in superposition: more non-negative features than dimensions, not equally frequent.

    Feature j is active with a probability proportional to :math:`\text{decay}^j`, and its code is then
    uniform on (0, 1] [1]_. Features of the same group tend to be active together: whether a feature is
    active is decided by a standard normal number, of which every two of a group have the given correlation.

    Parameters
    ----------
    n_samples : int, default=20000
        Number of signals.
    n_features : int, default=64
        Length of a signal.
    n_components : int, default=128
        Number of features.
    n_active : float, default=5.0
        Mean number of active features of a signal, at most half of all: no probability exceeds 1/2.
    decay : float, default=0.99
        Probability of a feature over that of the one before, in (0, 1].
    correlation : float, default=0.0
        In [0, 1); of the numbers that decide within a group.
    group_size : int, default=8
        Number of features of a group; features that follow each other in frequency are in different groups.
    snr_db : float, default=None
        Mean square of the signals over that of white Gaussian noise, in decibels; None for no noise.
    components : array-like of shape (n_components, n_features), default=None
        Features to draw signals of, as one batch of a stream; the two counts are then not used. None draws
        Gaussian vectors of unit norm.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        ``codes @ components`` plus noise.
    codes : ndarray of shape (n_samples, n_components)
        Zero where a feature is not active, else in (0, 1].
    components : ndarray of shape (n_components, n_features)
        The features, most frequent first.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] L. Sharkey, D. Braun and B. Millidge. Taking features out of superposition with sparse
       autoencoders. AI Alignment Forum, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.datasets import make_feature_mixtures
    >>> X, codes, components = make_feature_mixtures(random_state=0)
    >>> bool(abs(np.count_nonzero(codes, axis=1).mean() - 5) < 0.1)
    True
    >>> more = make_feature_mixtures(1000, components=components, random_state=1)[0]
    >>> more.shape
    (1000, 64)
    """
    function = "make_feature_mixtures"
    _check_counts(function, n_samples=n_samples, n_features=n_features, n_components=n_components)
    _check_counts(function, group_size=group_size)
    _check_decibels(function, snr_db)
    _check_number(function, "decay", decay, lambda value: 0 < value <= 1, "(0.0, 1.0]")
    _check_number(function, "correlation", correlation, lambda value: 0 <= value < 1, "[0.0, 1.0)")
    rng = check_random_state(random_state)
    if components is None:
        rows = _unit_rows(rng.standard_normal((int(n_components), int(n_features))))
    else:
        rows = _given_rows(function, components)
    k = len(rows)
    _check_number(function, "n_active", n_active, lambda value: 0 < value <= k / 2, f"(0.0, {k / 2:g}]")
    chances = _chances(np.power(float(decay), np.arange(k), dtype=np.float64), float(n_active))
    active = _active(rng, int(n_samples), chances, float(correlation), int(group_size))
    codes = np.where(active, 1.0 - rng.uniform(size=active.shape), 0.0)
    return _with_decibels(codes @ rows, snr_db, rng), codes, rows


def frames(signal: ArrayLike, length: int, hop: int | None = None) -> NDArray[np.floating[Any]]:
    """Cut one long recording into rows of equal length.

    Row i holds the samples from ``i * hop`` to ``i * hop + length``, the last one excluded. Samples at the
    end that do not fill a frame are left out.

    Parameters
    ----------
    signal : array-like of shape (n_times,)
        The recording. A :class:`numpy.memmap` is read frame by frame.
    length : int
        Samples per frame, at most n_times.
    hop : int, default=None
        Samples from the start of one frame to the start of the next: smaller than `length` for frames that
        overlap, larger to leave samples out. None is `length`: frames side by side.

    Returns
    -------
    ndarray of shape (1 + (n_times - length) // hop, length)
        The frames: a copy, C-contiguous and writable, in the signal's floating dtype; integers become
        float64.

    Raises
    ------
    ValueError
        If the signal is not a one-dimensional array of real numbers, is shorter than one frame, or a
        parameter is out of range.

    Examples
    --------
    >>> from sparse_fourier.datasets import frames
    >>> frames([0.0, 1.0, 2.0, 3.0, 4.0], length=3, hop=2)
    array([[0., 1., 2.],
           [2., 3., 4.]])
    """
    step = length if hop is None else hop
    _check_counts("frames", length=length, hop=step)
    samples = _recording(signal)
    if len(samples) < length:
        constraint = f"an int in the range [1, {len(samples)}], the number of samples of 'signal'"
        raise _invalid("frames", "length", constraint, repr(length))
    windows = np.lib.stride_tricks.sliding_window_view(samples, length)[::step]
    dtype = samples.dtype if samples.dtype.kind == "f" else np.float64
    return np.array(windows, dtype=dtype, order="C")


def _draw_codes(codes: str | CodeSampler, rng: RandomState, shape: tuple[int, int]) -> Array:
    sampler = codes if callable(codes) else _named_codes(codes)
    drawn = np.array(sampler(rng, shape), dtype=np.float64)
    if drawn.shape != shape or not np.isfinite(drawn).all():
        constraint = f"a callable that returns an array of finite numbers of shape {shape}"
        got = (
            f"an array of shape {drawn.shape} with {np.count_nonzero(~np.isfinite(drawn))} non-finite entries"
        )
        raise _invalid("make_sinusoid_mixtures", "codes", constraint, got)
    return drawn


def _named_codes(name: str) -> CodeSampler:
    if not isinstance(name, str) or name not in _CODES:
        constraint = f"a str among {sorted(_CODES)} or a callable"
        raise _invalid("make_sinusoid_mixtures", "codes", constraint, repr(name))
    return _CODES[name]


def _interval(interval: tuple[float, float]) -> tuple[float, float]:
    ends = _finite_numbers(interval)
    if len(ends) != 2 or not ends[0] < ends[1]:
        constraint = "two finite numbers (start, stop) with start < stop"
        raise _invalid("make_sinusoid_mixtures", "interval", constraint, repr(interval))
    return float(ends[0]), float(ends[1])


def _frequencies(frequencies: Sequence[float]) -> Array:
    numbers = _finite_numbers(frequencies)
    if len(numbers) == 0:
        constraint = "a non-empty sequence of finite numbers"
        raise _invalid("make_sinusoid_mixtures", "frequencies", constraint, repr(frequencies))
    return numbers


def _finite_numbers(values: ArrayLike) -> Array:
    """Return the values as a vector of float64; an empty one if they are anything but finite real numbers."""
    try:
        array = np.asarray(values)
    except ValueError:
        return np.empty(0)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        return np.empty(0)
    return array.astype(np.float64)


def _densities(density: str | Sequence[str], k: int) -> list[str]:
    """Return one name of a density for each of k codes."""
    names = [density] * k if isinstance(density, str) else density
    if not isinstance(names, Sequence) or any(name not in _DENSITIES for name in names):
        constraint = f"a str among {_DENSITIES} or a sequence of them"
        raise _invalid("make_independent_mixtures", "density", constraint, repr(density))
    if len(names) != k:
        constraint = f"a str or as many of them as 'n_components', {k}"
        raise _invalid("make_independent_mixtures", "density", constraint, f"{len(names)} names")
    return [_SYNONYMS.get(name, name) for name in names]


def _standard_draws(name: str, rng: RandomState, n: int) -> Array:
    """Draw from a density of mean 0 and variance 1."""
    if name in _STANDARD:
        return _STANDARD[name](rng, n)
    weights, means, widths = map(np.array, _MIXTURES[name])
    weights = weights / weights.sum()
    mean = weights @ means
    chosen = rng.choice(len(weights), n, p=weights)
    draws = means[chosen] + widths[chosen] * rng.standard_normal(n)
    return (draws - mean) / np.sqrt(weights @ (means**2 + widths**2) - mean**2)


def _mixing(rng: RandomState, k: int, n_features: int) -> Array:
    """Draw mixing rows: a square matrix of condition number between 1 and 2, else a Gaussian one."""
    if n_features != k:
        return rng.standard_normal((k, n_features))
    left, right = (np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(2))
    return left * np.append(1.0, rng.uniform(1, 2, k - 1)) @ right


def _spectra(rng: RandomState, k: int, n_features: int, widths: tuple[float, float]) -> Array:
    """Draw sums of Gaussian bands on [0, 1]; the widths are standard deviations."""
    shape = (k, _BANDS, 1)
    heights, centres = rng.uniform(0.3, 1, shape), rng.uniform(size=shape)
    offsets = (np.linspace(0, 1, n_features) - centres) / rng.uniform(*widths, shape)
    return (heights * np.exp(-(offsets**2) / 2)).sum(axis=1)


def _shares(rng: RandomState, n: int, k: int, max_share: float) -> Array:
    """Draw points of the simplex, uniform where no share exceeds the largest one."""
    kept = np.empty((0, k))
    while len(kept) < n:
        drawn = rng.dirichlet(np.ones(k), size=n)
        kept = np.vstack([kept, drawn[drawn.max(axis=1) <= max_share]])
    return kept[:n]


def _kept_share(max_share: float, k: int) -> float:
    """Return the probability that no share of a uniform point of the simplex exceeds the largest one."""
    terms = (
        (-1) ** j * comb(k, j) * (1 - j * max_share) ** (k - 1) for j in range(k + 1) if j * max_share < 1
    )
    return sum(terms)


def _unit_rows(rows: Array) -> Array:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _given_rows(function: str, components: ArrayLike) -> Array:
    rows = np.array(components, dtype=np.float64)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        constraint = "a finite array of shape (n_components, n_features) or None"
        raise _invalid(function, "components", constraint, f"an array of shape {rows.shape}")
    return rows


def _chances(frequencies: Array, total: float) -> Array:
    """Return probabilities in proportion to frequencies, as far as they stay below 1/2, of a given sum."""
    kept = np.zeros(len(frequencies), dtype=bool)
    chances = frequencies * total / frequencies.sum()
    while (chances > 0.5 + 1e-12).any():
        kept |= chances >= 0.5
        rest = (total - 0.5 * kept.sum()) / max(frequencies[~kept].sum(), np.finfo(float).tiny)
        chances = np.where(kept, 0.5, frequencies * rest)
    return chances


def _active(rng: RandomState, n: int, chances: Array, correlation: float, group_size: int) -> Array:
    """Draw which features are active, by a Gaussian copula that is shared within groups."""
    k = len(chances)
    n_groups = -(-k // group_size)
    shared = rng.standard_normal((n, n_groups))[:, np.arange(k) % n_groups]
    levels = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.standard_normal((n, k))
    return ndtr(levels) < chances


def _with_decibels(X: Array, snr_db: float | None, rng: RandomState) -> Array:
    """Add white noise of the given signal-to-noise ratio over all entries."""
    if snr_db is None:
        return X
    return X + np.sqrt(np.mean(X**2)) * 10 ** (-snr_db / 20) * rng.standard_normal(X.shape)


def _check_share(max_share: float, k: int) -> None:
    if not (isinstance(max_share, Real) and 1 / k <= max_share <= 1):
        constraint = f"a float in the range (1/n_components, 1.0], here ({1 / k:.4g}, 1.0]"
        raise _invalid("make_proportions", "max_share", constraint, repr(max_share))
    if _kept_share(float(max_share), k) < _LEAST_KEPT:
        constraint = f"larger: fewer than one in {1 / _LEAST_KEPT:.0f} of the points have shares so small"
        raise _invalid("make_proportions", "max_share", constraint, repr(max_share))


def _check_active(function: str, n_active: int, k: int) -> None:
    if not (isinstance(n_active, Integral) and 1 <= n_active <= k):
        raise _invalid(function, "n_active", f"an int in the range [1, {k}]", repr(n_active))


def _check_number(function: str, name: str, value: float, holds: Callable[[float], bool], where: str) -> None:
    if not (isinstance(value, Real) and holds(float(value))):
        raise _invalid(function, name, f"a float in the range {where}", repr(value))


def _check_decibels(function: str, snr_db: float | None) -> None:
    if snr_db is not None and not (isinstance(snr_db, Real) and np.isfinite(snr_db)):
        raise _invalid(function, "snr_db", "a finite float or None", repr(snr_db))


def _check_noise(function: str, noise: float) -> None:
    if not (isinstance(noise, Real) and 0 <= noise < np.inf):
        raise _invalid(function, "noise", "a float in the range [0.0, inf)", repr(noise))


def _check_counts(function: str, **counts: int) -> None:
    for name, count in counts.items():
        if not (isinstance(count, Integral) and count >= 1):
            raise _invalid(function, name, "an int in the range [1, inf)", repr(count))


def _recording(signal: ArrayLike) -> NDArray[Any]:
    """Return the signal as an array of one dimension; neither copied nor read."""
    samples = np.asarray(signal)
    if samples.ndim != 1 or samples.size == 0 or samples.dtype.kind not in "biuf":
        constraint = "a non-empty 1-D array of real numbers (cut channels one by one and stack the frames)"
        got = f"an array of shape {samples.shape} and dtype {samples.dtype}"
        raise _invalid("frames", "signal", constraint, got)
    return samples


def _invalid(function: str, name: str, constraint: str, got: str) -> ValueError:
    return ValueError(f"The {name!r} parameter of {function} must be {constraint}. Got {got} instead.")
