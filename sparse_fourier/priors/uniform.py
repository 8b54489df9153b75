"""Codes that fill a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtr

from sparse_fourier.canonical import box_signs
from sparse_fourier.dependence import is_even, turning_pairs
from sparse_fourier.namespace import LOG_SQRT_2PI, Array, array_namespace, log_ndtr
from sparse_fourier.polytopes import smallest_parallelograms
from sparse_fourier.priors.base import SHORTFALL_OF_SOFT_FACES, CodesAsTrained
from sparse_fourier.priors.independent import IndependentPrior, Jet, jet_of_heat

_STANDARD_ERRORS = 3.0
_NATS_OF_A_RIVAL = 10.0
_ALMOST_AS_SMALL = 1.1
_FARTHEST = 1e100  # its square over any variance is still a number
_ONE_FACE = 17.0  # a face half as many standard deviations away has a share of 1e-17
_SEEN = 6.5  # standard deviations, beyond which all codes together add less than 1e-11 to the mean
_FELT = 9.0  # standard deviations, at which the distribution function is one
_UNDERFLOW = -37.0  # of the normal distribution function


@dataclass
class Uniform(IndependentPrior):
    r"""Codes anywhere between zero and one, all places alike: the smallest box.

    Inside the box the density is one, so that the volume of the components is all that the
    likelihood can gain: its maximum is the smallest box that holds the codes. Independence is not
    needed, only codes scattered enough that no other box is as small. A code seen with noise of
    variance :math:`s^2` has the density

    .. math:: p(h) = \Phi\{(1 - h)/s\} - \Phi\{-h/s\}.

    References
    ----------
    .. [1] S. Cruces, "Bounded component analysis of linear mixtures: a criterion of minimum convex
       perimeter", IEEE Transactions on Signal Processing 58(4), 2141-2154, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.priors import Uniform
    >>> Uniform().log_density(np.array([[0.2, 0.9], [0.2, 1.1]]))
    array([  0., -inf])
    """

    support: ClassVar[str] = "unit"
    needs_jax: ClassVar[bool] = False
    reflection: ClassVar[float | None] = 1.0
    is_log_concave: ClassVar[bool] = True

    def log_density(self, codes: Array) -> Array:
        """Return 0 for rows inside the unit box and minus infinity for others."""
        xp = array_namespace(codes)
        inside = xp.all((codes >= 0) & (codes <= 1), axis=1)
        return xp.where(inside, 0.0, -xp.inf)

    def log_marginals(self, codes: Array, variances: Array) -> Array:
        """Return log of the normal probability between the two faces as seen from the code."""
        xp = array_namespace(codes, variances)
        sharpness = 1.0 / xp.sqrt(variances)
        distance = _depth(codes) * sharpness
        return _log_between_where_felt(distance, sharpness) if xp is np else _log_between(distance, sharpness)

    def mean_log_likelihood(self, codes: np.ndarray, share: np.ndarray, variances: np.ndarray) -> float:
        """Return the weighted sum of `log_likelihoods`, to which codes far from faces add nothing.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        share : array of shape (n,)
            Share of each row in the weights of all signals.
        variances : array broadcastable to (n, k)
            Variance of the noise of each code, positive.

        Returns
        -------
        float
            In nats.
        """
        n, k = codes.shape
        deviations = np.sqrt(np.broadcast_to(variances, k))
        beside = codes.T - codes.dtype.type(0.5)
        beside = np.abs(beside, out=beside)
        inside = (0.5 - _SEEN * deviations).astype(beside.dtype)
        places, starts = np.flatnonzero(~(beside <= inside[:, None])), n * np.arange(k)
        counts = np.diff(np.searchsorted(places, starts), append=len(places))
        distance = np.maximum(0.5 - np.take(beside, places).astype(float), -_FARTHEST)
        sharpness = np.repeat(1.0 / deviations, counts)
        rows = places - np.repeat(starts, counts)
        return float(np.take(share, rows) @ _log_between(distance * sharpness, sharpness))

    def jet(self, codes: Array, variances: Array) -> Jet:
        """Return `log_marginals` and derivatives in closed form.

        The marginal solves the heat equation in the variance, dp/dv = p''/2, so that all follow
        from its first four derivatives by the code, which are Hermite polynomials of the distances
        to the faces times the normal densities there.
        """
        xp = array_namespace(codes, variances)
        sharpness = 1.0 / xp.sqrt(variances)
        distance = _depth(codes) * sharpness
        value = _log_between(distance, sharpness)
        terms = _face(distance, value)
        if _both_are_felt(sharpness):
            beyond = _face(distance - sharpness, value)
            terms = tuple(near - far for near, far in zip(terms, beyond, strict=True))
        jet = jet_of_heat(value, *terms)
        upwards, squared = xp.copysign(sharpness, 0.5 - codes), sharpness * sharpness
        return Jet(
            value,
            upwards * jet.by_code,
            squared * jet.by_variance,
            squared * jet.by_codes,
            (upwards * squared) * jet.by_code_and_variance,
            (squared * squared) * jet.by_variances,
        )

    def matters(self, codes: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return which codes lie within `depth` of a face, or outside."""
        return np.abs(codes - 0.5) > 0.5 - depth

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the probabilities themselves."""
        return probabilities

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of one code."""
        return 0.5, 1.0 / 12.0

    def shortfall(self, n_components: int, n_samples: float) -> float:
        """Return the expected share by which a box fitted to n samples is too narrow.

        A new sample sticks out of a slab of the smallest box with probability (k + 1)/(n + 1), the
        number of samples that hold the slab in place when they are left out in turn, and under a
        uniform density that probability is the missing width. Faces blurred by 1/n give way to the
        outermost samples, which leaves 5/8 of it (simulated for k = 1 to 10 and n = 100 to 2000).
        """
        return SHORTFALL_OF_SOFT_FACES * (n_components + 1) / n_samples

    def tilt(self, n_samples: float) -> float:
        """Return the same for faces at a known corner: each is turned by one sample for each other code.

        Of these about half are at the opposite face.
        """
        return SHORTFALL_OF_SOFT_FACES / n_samples

    def start(self, whitened: np.ndarray, n_samples: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the smallest interval or parallelogram of one or two codes, and another as likely one."""
        if whitened.shape[1] > 2:
            return None
        whitened = whitened.astype(float, copy=False)
        if whitened.shape[1] == 1:
            low, width = whitened.min(), np.ptp(whitened)
            return np.full((1, 1, 1), 1.0 / width), np.full((1, 1), -low / width)
        return smallest_parallelograms(whitened, ratio=float(np.exp(_NATS_OF_A_RIVAL / n_samples)))

    def excludes_rivals(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> bool:
        """Return whether codes fill their box evenly: any other that holds them then holds the box."""
        return is_even(codes, weights, n_samples)

    def doubts(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[str]:
        """Return which two codes look the same from every side, and have a second box almost as small.

        Under a uniform density even a slightly larger box is less likely by many nats, but which of these
        boxes is the smallest is then an accident of the samples.
        """
        pairs = turning_pairs(codes, weights, n_samples)
        return [
            f"the codes of components {i} and {j} look the same from every side; turned, they fit a box of "
            f"almost the same size"
            for i, j in pairs
            if len(smallest_parallelograms(codes[:, [i, j]], _ALMOST_AS_SMALL)[0]) > 1
        ]

    def normal_form(self, codes: CodesAsTrained) -> tuple[np.ndarray, np.ndarray]:
        """Return the reflections that make the intercept small, or codes positive where it is zero."""
        if codes.anchored:
            coefficients = np.linalg.lstsq(codes.components.T, codes.mean, rcond=None)[0]
            return np.where(coefficients < 0, -1.0, 1.0), np.zeros(len(coefficients))
        middle = codes.mean + (0.5 - codes.mean_codes) @ codes.components
        uncertainty = _STANDARD_ERRORS * (codes.noise / np.sqrt(codes.n_samples) + 1 / codes.n_samples)
        signs = box_signs(codes.components, middle, 2 * uncertainty)
        return signs, 0.5 * (1 - signs)


def _depth(codes: Array) -> Array:
    """Return the distance to the nearer face, negative outside."""
    xp = array_namespace(codes)
    return xp.maximum(0.5 - xp.abs(codes - 0.5), -_FARTHEST)


def _both_are_felt(sharpness: Array) -> bool:
    """Return whether the farther face can matter; compiled code cannot choose and takes it for granted."""
    return array_namespace(sharpness) is not np or bool(sharpness.min(initial=np.inf) < _ONE_FACE)


def _log_between(near: Array, sharpness: Array) -> Array:
    """Return log of the normal probability from one face to the other, `sharpness` beyond the nearer.

    The difference of the probabilities themselves costs half as much, where none of them underflows and
    they differ by a factor.
    """
    xp = array_namespace(near, sharpness)
    if xp is np and near.min(initial=0.0) > _UNDERFLOW and sharpness.min(initial=np.inf) > 1.0:
        inside = ndtr(near)
        return np.log(inside - ndtr(near - sharpness) if _both_are_felt(sharpness) else inside)
    log_near, log_far = log_ndtr(near), log_ndtr(near - sharpness)
    return log_near + xp.log1p(-xp.exp(xp.minimum(log_far - log_near, -1e-12)))


def _log_between_where_felt(near: np.ndarray, sharpness: np.ndarray) -> np.ndarray:
    """Return the same, which is zero far from both faces."""
    felt = ~(near >= _FELT)
    values = np.zeros(near.shape)
    values[felt] = _log_between(near[felt], np.broadcast_to(sharpness, near.shape)[felt])
    return values


def _face(x: Array, value: Array) -> tuple[Array, ...]:
    """Return four derivatives, over the density, of what is above a face x standard deviations away."""
    squares = x * x
    density = array_namespace(x, value).exp(-0.5 * squares - (LOG_SQRT_2PI + value))
    slope = -x * density
    return density, slope, (squares - 1) * density, (squares - 3) * slope
