"""What every prior can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.configurable import Configurable
from sparse_fourier.namespace import Array
from sparse_fourier.supports import SUPPORTS, Support

SHORTFALL_OF_SOFT_FACES = 0.625
"""How many samples are beyond a face for each that holds it: blurred by 1/n it gives way to the outermost."""

_SWEEPS = 10
_BLOCK_ROWS = 4096
_NODES_OF_TWO = 200
_CELLS = 128
_EXTREMES = 1e-5, 1 - 1e-5


class CodesAsTrained(NamedTuple):
    """What a prior looks at to choose one of many equivalent forms of a solution.

    Attributes
    ----------
    components : array of shape (k, d)
    mean : array of shape (d,)
        Mean of the signals.
    mean_codes : array of shape (k,)
    deviations : array of shape (k,)
        Standard deviations of the codes.
    noise : array of shape (k,)
        Standard deviations of the noise of the codes.
    n_samples : float
    anchored : bool
        Whether the intercept has to remain zero.
    """

    components: np.ndarray
    mean: np.ndarray
    mean_codes: np.ndarray
    deviations: np.ndarray
    noise: np.ndarray
    n_samples: float
    anchored: bool


class Prior(Configurable, ABC):
    """Base of all priors: best a dataclass, whose fields are its parameters.

    A subclass says what its `support` is and gives `log_density`; all else follows. The density must not
    depend on the order of the codes, since components are sorted after training. Numbers and arrays
    among the attributes may change from fit to fit without compiling anew.

    Attributes
    ----------
    support : {"real", "nonnegative", "unit", "simplex"}
        Where codes may lie: anywhere, at zero and above, between zero and one, or at zero and above
        with sum one. The last is for the built-in prior.
    needs_jax : bool
        Whether the density is written in JAX, and has to be differentiated by it.
    factorises : bool
        Whether codes are independent.
    includes_noise : bool
        Whether the density is that of codes as they are seen, noise included.
    identifies_basis : bool
        Whether the likelihood tells one basis of the span from another. If not, the prior's own start
        is the answer.
    has_free_scale : bool
        Whether codes have the unit of the signals, and components are of unit norm.
    reflection : float or None
        The sum of a code and its mirror image, where a code may be mirrored at no cost; else None.
    learns : bool
        Whether the densities of the codes are learned together with the components.
    allows_overcomplete : bool
        Whether codes are sparse enough to be told where there are more components than features.
    n_starts : int
        From how many places training starts unless the user says it.
    piles_up_at_faces : bool
        Whether codes are likely near the ends of their support, more than elsewhere.
    is_log_concave : bool
        Whether codes are independent, and the logarithm of the density of each is concave.
    """

    kind: ClassVar[str] = "prior"
    support: ClassVar[str]
    needs_jax: ClassVar[bool] = True
    factorises: ClassVar[bool] = False
    includes_noise: ClassVar[bool] = False
    identifies_basis: ClassVar[bool] = True
    has_free_scale: ClassVar[bool] = False
    reflection: ClassVar[float | None] = None
    learns: ClassVar[bool] = False
    allows_overcomplete: ClassVar[bool] = False
    n_starts: ClassVar[int] = 2
    piles_up_at_faces: ClassVar[bool] = False
    is_log_concave: ClassVar[bool] = False

    @abstractmethod
    def log_density(self, codes: Array) -> Array:
        """Return the joint log-density of each row of codes.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.

        Returns
        -------
        array of shape (n,)
            In nats; minus infinity outside the support.
        """

    @property
    def domain(self) -> Support:
        """The support as an object that can project codes."""
        return SUPPORTS[self.support]

    def __str__(self) -> str:
        """Return the name by which the estimator knows the prior."""
        return type(self).__name__.lower()

    def log_observed(self, codes: Array, variances: Array) -> Array:
        """Return the joint log-density of each row of codes that carry noise.

        Faces of the support are blurred, and inside them the density is taken as it is.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        variances : array broadcastable to (n, k)
            Variance of the noise of each code, positive.

        Returns
        -------
        array of shape (n,)
            In nats, finite.
        """
        inside, faces = self.domain.soften(codes, variances)
        return self.log_density(inside) + faces.sum(axis=1)

    @property
    def moments(self) -> tuple[Any, Any]:
        """Mean and variance of a code, by quadrature of the density of a single one."""
        nodes, masses = self._single_code()
        mean = masses @ nodes
        return float(mean), float(masses @ (nodes - mean) ** 2)

    def code_mean(self, n_components: int) -> np.ndarray:
        """Return the mean of the codes.

        Parameters
        ----------
        n_components : int
            Number of codes.

        Returns
        -------
        array of shape (n_components,)
            As `moments` gives it for each.
        """
        return np.array(np.broadcast_to(self.moments[0], n_components), dtype=float)

    def code_covariance(self, n_components: int) -> np.ndarray:
        """Return the covariance of the codes.

        Parameters
        ----------
        n_components : int
            Number of codes.

        Returns
        -------
        array of shape (n_components, n_components)
            Diagonal, with the variances of `moments`, for independent codes; else that of any two.
        """
        if self.factorises:
            return np.diag(np.broadcast_to(self.moments[1], n_components))
        variance, shared = self._moments_of_two()
        return (variance - shared) * np.eye(n_components) + shared

    def _moments_of_two(self) -> tuple[float, float]:
        """Return variance and covariance of two codes, by quadrature of their joint density."""
        nodes, widths = self.domain.quadrature(_NODES_OF_TWO)
        pairs = np.stack([axis.ravel() for axis in np.meshgrid(nodes, nodes)], axis=1)
        masses = np.exp(self.evaluated(pairs)) * np.outer(widths, widths).ravel()
        masses /= masses.sum()
        centred = pairs - masses @ pairs
        return float(masses @ centred[:, 0] ** 2), float(masses @ centred.prod(axis=1))

    def draw(self, n_samples: int, n_components: int, rng: np.random.RandomState) -> np.ndarray:
        """Return codes drawn from the prior, by Gibbs sampling on a grid.

        Parameters
        ----------
        n_samples : int
            Number of draws.
        n_components : int
            Number of codes.
        rng : RandomState
            Source of randomness.

        Returns
        -------
        array of shape (n_samples, n_components)
            Codes, one row for each draw.
        """
        nodes, masses = self._single_code()
        edges = np.interp(np.linspace(*_EXTREMES, _CELLS + 1), np.cumsum(masses), nodes)
        codes = rng.choice(nodes, size=(n_samples, n_components), p=masses)
        for j in [*range(n_components)] * _SWEEPS:
            codes[:, j] = self._conditional_draw(codes, j, edges, rng)
        return codes

    def _conditional_draw(
        self, codes: np.ndarray, j: int, edges: np.ndarray, rng: np.random.RandomState
    ) -> np.ndarray:
        nodes = 0.5 * (edges[1:] + edges[:-1])
        tried = np.repeat(codes, len(nodes), axis=0)
        tried[:, j] = np.tile(nodes, len(codes))
        densities = self.evaluated(tried).reshape(len(codes), -1) + np.log(np.diff(edges))
        cumulative = np.cumsum(np.exp(densities - densities.max(axis=1, keepdims=True)), axis=1)
        reached = cumulative / cumulative[:, -1:] < rng.uniform(size=(len(codes), 1))
        cell = np.minimum(reached.sum(axis=1), len(nodes) - 1)
        return edges[cell] + rng.uniform(size=len(codes)) * np.diff(edges)[cell]

    def _single_code(self) -> tuple[np.ndarray, np.ndarray]:
        """Return nodes and the probabilities of their neighbourhoods, of one code."""
        nodes, widths = self.domain.quadrature()
        masses = np.exp(self.evaluated(nodes[:, None])) * widths
        return nodes, masses / masses.sum()

    def evaluated(self, codes: np.ndarray) -> np.ndarray:
        """Return `log_density` as a NumPy array, whichever library it is written in.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.

        Returns
        -------
        array of shape (n,)
            In double precision.
        """
        return _compiled(_density, self, codes) if self.needs_jax else self.log_density(codes)

    def log_likelihoods(self, codes: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """Return `log_observed` as a NumPy array, whichever library it is written in.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        variances : array broadcastable to (n, k)
            Variance of the noise of each code, positive.

        Returns
        -------
        array of shape (n,)
            In double precision.
        """
        if self.needs_jax:
            return _compiled(_observed, self, codes, variances)
        if len(codes) <= _BLOCK_ROWS:
            return self.log_observed(codes, variances)
        alike = np.ndim(variances) < 2 or len(variances) == 1
        blocks = (slice(first, first + _BLOCK_ROWS) for first in range(0, len(codes), _BLOCK_ROWS))
        parts = [(codes[rows], variances if alike else variances[rows]) for rows in blocks]
        return np.concatenate([self.log_observed(*part) for part in parts])

    def mean_log_likelihood(self, codes: np.ndarray, share: np.ndarray, variances: np.ndarray) -> float:
        """Return the sum of `log_likelihoods` of a block of rows, weighted by their share of all.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal, in single or double precision.
        share : array of shape (n,)
            Share of each row in the weights of all signals.
        variances : array broadcastable to (n, k)
            Variance of the noise of each code, positive.

        Returns
        -------
        float
            In nats.
        """
        return float(share @ self.log_likelihoods(codes.astype(float, copy=False), variances))

    def refitted(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> Self:
        """Return the prior with what it has learned learned once more, from codes that have moved a little.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        weights : array of shape (n,)
            Of the signals.
        n_samples : float
            Sum of the weights.

        Returns
        -------
        Prior
            Itself, where nothing is learned.
        """
        return self

    def shortfall(self, n_components: int, n_samples: float) -> float:
        """Return by which share of its width the fitted support falls short of the true one.

        Parameters
        ----------
        n_components : int
            Number of codes.
        n_samples : float
            Sum of the weights of the samples.

        Returns
        -------
        float
            Zero unless the support has faces.
        """
        return 0.0

    def tilt(self, n_samples: float) -> float:
        """Return by what share of each other code a code falls short, where a corner of the support is known.

        Parameters
        ----------
        n_samples : float
            Sum of the weights of the samples.

        Returns
        -------
        float
            Zero unless the density ends abruptly there.
        """
        return 0.0

    def resolution(self, n_samples: float) -> float:
        """Return the smallest standard deviation of a code's noise that n samples can tell from none.

        Parameters
        ----------
        n_samples : float
            Sum of the weights of the samples.

        Returns
        -------
        float
            In units of the code, as it is in training. Zero on the real line; else 1/n, by which
            held-out codes stick out of what was fitted.
        """
        return self.domain.resolution(n_samples)

    def matters(self, codes: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return which codes can change the likelihood when their noise stays within `depth`.

        Everywhere, unless the density is flat in places.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        depth : array of shape (k,)
            How far each code may be from where it seems to be.

        Returns
        -------
        bool array of shape (n, k)
            True where in doubt.
        """
        return np.ones(codes.shape, dtype=bool)

    def start(self, whitened: np.ndarray, n_samples: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Return starts that are better than any rotation, or None.

        Parameters
        ----------
        whitened : array of shape (n, k)
            Coordinates z of the signals, with zero mean and unit covariance.
        n_samples : float
            Sum of the weights of the samples.

        Returns
        -------
        tuple of arrays of shape (r, k, k) and (r, k), or None
            Unmixing and offset of each: codes are z @ unmixing.T + offset. None where nothing is known.
        """
        return None

    def excludes_rivals(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> bool:
        """Return whether codes show by themselves that no other basis can be likelier.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal, as they are in training.
        weights : array of shape (n,)
            Of sum one.
        n_samples : float
            How many rows the weights stand for.

        Returns
        -------
        bool
            False where nothing is known.
        """
        return False

    def doubts(self, codes: np.ndarray, weights: np.ndarray, n_samples: float) -> list[str]:
        """Return in words what the codes leave undetermined of the basis, one sentence for each thing.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal, as they are after `mapped`.
        weights : array of shape (n,)
            Of sum one.
        n_samples : float
            How many rows the weights stand for.

        Returns
        -------
        list of str
            Empty where nothing is to be said.
        """
        return []

    @property
    def n_learned_edges(self) -> int:
        """Number of hard ends of densities that were learned."""
        return 0

    def learned(self, densities: Sequence[Any]) -> Self:
        """Return the prior with learned densities.

        Parameters
        ----------
        densities : sequence of Density
            One for each code.

        Returns
        -------
        Prior
            This one, where nothing is learned.
        """
        return self

    def joined(self, parts: Sequence[Any]) -> Self:
        """Return the prior of several codes from those that were learned for each alone.

        Parameters
        ----------
        parts : sequence of Prior
            One for each code.

        Returns
        -------
        Prior
            This one, where nothing is learned.
        """
        return self

    def degrees_of_freedom(self, n_samples: float) -> float:
        """Return by what the squared residuals of each dimension are divided to give the noise variance.

        Parameters
        ----------
        n_samples : float
            Sum of the weights of the samples.

        Returns
        -------
        float
            The number of samples, as maximum likelihood says.
        """
        return n_samples

    def normal_form(self, codes: CodesAsTrained) -> tuple[np.ndarray, np.ndarray]:
        """Return factors and shifts that bring codes into the form that two fits share.

        Parameters
        ----------
        codes : CodesAsTrained
            A solution, in the form that training left it in.

        Returns
        -------
        tuple of two arrays of shape (k,)
            The code h becomes factor * h + shift.
        """
        return np.ones(len(codes.components)), np.zeros(len(codes.components))

    def mapped(self, factors: np.ndarray, shifts: np.ndarray) -> Self:
        """Return the prior of codes after `normal_form`.

        Parameters
        ----------
        factors, shifts : arrays of shape (k,)
            As `normal_form` returns them.

        Returns
        -------
        Prior
            This one, where the form changes nothing.
        """
        return self

    def standard_form(self, n_components: int) -> tuple[Self, np.ndarray, np.ndarray]:
        """Return the prior as it is in training, and what brings codes after `normal_form` back to it.

        Parameters
        ----------
        n_components : int
            Number of codes.

        Returns
        -------
        prior : Prior
            This one, where the form changes nothing.
        factors, shifts : arrays of shape (n_components,)
            The code h becomes factor * h + shift.
        """
        return self, np.ones(n_components), np.zeros(n_components)

    def free_steps(self, n_components: int) -> np.ndarray:
        """Return the projection onto those changes of the codes that training may make.

        Parameters
        ----------
        n_components : int
            Number of codes.

        Returns
        -------
        array of shape (k * (k + 1), k * (k + 1))
            Of changes step @ [h - mean, 1], row by row: the identity unless the prior holds something.
        """
        return np.eye(n_components * (n_components + 1))

    def smoothed(self, codes: np.ndarray, share: np.ndarray, n_samples: float) -> Self:
        """Return the prior without edges that were learned, for codes whose noise is wider than these.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        share : array of shape (n,)
            Weights of sum one.
        n_samples : float
            How many rows the weights stand for.

        Returns
        -------
        Prior
            This one, where nothing is learned.
        """
        return self

    def gains_by_following(self, codes: np.ndarray, share: np.ndarray, design: np.ndarray) -> np.ndarray:
        """Return what what was learned gains, in second order, by being learned anew from codes that move.

        Parameters
        ----------
        codes : array of shape (n, k)
            Codes, one row for each signal.
        share : array of shape (n,)
            Weights of sum one.
        design : array of shape (n, m)
            Each code may move by any combination of its columns.

        Returns
        -------
        array of shape (k, m, m)
            To be taken from the curvature of the negative log-likelihood; zero where nothing is learned.
        """
        return np.zeros((codes.shape[1], design.shape[1], design.shape[1]))

    def ends(self, n_components: int) -> list[list[tuple[float, float]]]:
        """Return where the density of each code ends abruptly, and the direction in which it goes on.

        Parameters
        ----------
        n_components : int
            Number of codes.

        Returns
        -------
        list of lists of pairs
            For each code, of place and sign: plus where codes are larger than the place.
        """
        signs = (1.0, -1.0)
        return [list(zip(self.domain.faces, signs, strict=False))] * n_components

    def prices(self, mean_codes: np.ndarray) -> np.ndarray:
        """Return by how much the log-density falls with each code inside the support.

        Parameters
        ----------
        mean_codes : array of shape (k,)
            Means of the codes, from which their scales follow.

        Returns
        -------
        array of shape (k,)
            In nats per unit of the code. Zero unless the density is exponential.
        """
        return np.zeros(len(mean_codes))

    def adapted(self, mean_codes: np.ndarray) -> Self:
        """Return the prior with the scales of codes that have these means.

        Parameters
        ----------
        mean_codes : array of shape (k,)
            Means of the codes; where one is not positive the scale stays.

        Returns
        -------
        Prior
            This one, where scales are not free.
        """
        if not self.has_free_scale:
            return self
        expected = self.moments[0] * np.ones(len(mean_codes))
        factors = np.where(mean_codes > 0, mean_codes, expected) / expected
        return self.mapped(factors, np.zeros(len(factors)))

    def taken(self, chosen: Sequence[int] | np.ndarray) -> Self:
        """Return the prior of some of the codes, in another order.

        Parameters
        ----------
        chosen : int array
            Indices of the codes.

        Returns
        -------
        Prior
            This one, where all codes have the same density.
        """
        return self

    def traced(self, n_components: int) -> Any:
        """Return the prior as programs of JAX evaluate it.

        Parameters
        ----------
        n_components : int
            Number of codes.

        Returns
        -------
        object
            With `log_observed`; this one, where it is written for JAX.
        """
        return self

    def padded(self, n_more: int) -> Self:
        """Return the prior with more codes at the end, of components that are zero.

        Parameters
        ----------
        n_more : int
            Their number.

        Returns
        -------
        Prior
            This one, where all codes have the same density.
        """
        return self


_density = runtime.Program(lambda prior, codes: prior.log_density(codes))
_observed = runtime.Program(lambda prior, codes, variances: prior.log_observed(codes, variances))


def _compiled(program: runtime.Program, prior: Prior, codes: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """Return what a program gives for rows of codes, padded to one of few numbers of them."""
    n, k = codes.shape
    parts = (codes, *rest)
    padded = [runtime.filled_bucket(part) if np.shape(part)[:-1] == (n,) else part for part in parts]
    result = program((type(prior), len(padded[0]), k, *map(np.shape, padded[1:])), prior, *padded)
    return result[:n] if result.ndim else result
