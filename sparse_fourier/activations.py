"""Activations: what an encoder does to its affine map, to give codes or hidden units.

Written once for NumPy, where a fitted encoder serves, and for JAX, where it is trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sparse_fourier import runtime
from sparse_fourier.namespace import Array, array_namespace, nth_largest, nth_largest_of_all

__all__ = [
    "Activation",
    "BatchTopK",
    "HardSigmoid",
    "Identity",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "TopK",
]

_PROBES = 64
_REACH = 6.0
_WITHIN = {
    "simplex": ("simplex", "unit", "nonnegative", "real"),
    "unit": ("unit", "nonnegative", "real"),
    "nonnegative": ("nonnegative", "real"),
    "real": ("real",),
}


class Tangent(NamedTuple):
    """A point where an activation is at home, its value there, and its slope."""

    point: float
    value: float
    slope: float


class Activation(ABC):
    """Base of all activations.

    Attributes
    ----------
    values : {"real", "nonnegative", "unit", "simplex"}
        Where the outputs lie: anywhere, at zero and above, between zero and one, or at zero and above with
        sum one.
    elementwise : bool
        Whether each output depends on one input alone; else on its row.
    is_affine : bool
        Whether nothing is done: codes may then be shifted.
    mirror : float or None
        What the outputs of x and -x add up to, if that is one number: zero for odd functions.
    homogeneous : bool
        Whether the output of c x is c times that of x, for any c above zero in each column: then codes have
        the unit of the signals, and components unit norm.
    tangent : Tangent
        Where the activation is close to affine: encoders start there.
    spread : float
        Standard deviation of the inputs with which an encoder starts there.
    """

    values: ClassVar[str] = "real"
    elementwise: ClassVar[bool] = True
    is_affine: ClassVar[bool] = False
    mirror: ClassVar[float | None] = None
    homogeneous: ClassVar[bool] = False
    tangent: ClassVar[Tangent] = Tangent(0.0, 0.0, 1.0)
    spread: ClassVar[float] = 1.0

    @abstractmethod
    def __call__(self, x: Array) -> Array:
        """Return the outputs.

        Parameters
        ----------
        x : array of shape (n, k)
            Inputs, of NumPy or JAX.

        Returns
        -------
        array of shape (n, k)
            Of the same kind.
        """

    def __str__(self) -> str:
        """Return the name by which the estimator knows the activation."""
        return type(self).__name__.lower()

    def within(self, support: str) -> Activation:
        """Return the form of the activation that suits codes of a support: itself, where there is but one.

        Parameters
        ----------
        support : {"real", "nonnegative", "unit", "simplex"}
            Where codes may lie.

        Returns
        -------
        Activation
            Of the same name.
        """
        return self

    def settled(self, inputs: np.ndarray) -> Activation:
        """Return the activation with which codes of a signal do not depend on other signals.

        Parameters
        ----------
        inputs : array of shape (n, k)
            Those of the training signals.

        Returns
        -------
        Activation
            Itself, but for one that looks at several rows at once.
        """
        return self

    def stays_within(self, support: str) -> bool:
        """Return whether outputs lie in the support of a prior.

        Parameters
        ----------
        support : {"real", "nonnegative", "unit", "simplex"}
            Where codes may lie.

        Returns
        -------
        bool
            True if all of them do.
        """
        return support in _WITHIN[self.values]


@dataclass(frozen=True)
class Identity(Activation):
    """Nothing is done.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import Identity
    >>> Identity()(np.array([[-2.0, 0.5]]))
    array([[-2. ,  0.5]])
    """

    is_affine: ClassVar[bool] = True
    mirror: ClassVar[float | None] = 0.0
    homogeneous: ClassVar[bool] = True

    def __call__(self, x: Array) -> Array:
        """Return the inputs."""
        return x


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """Affine between -3 and 3, where it goes from zero to one; constant outside.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import HardSigmoid
    >>> HardSigmoid()(np.array([[-9.0, 0.0, 1.5, 9.0]]))
    array([[0.  , 0.5 , 0.75, 1.  ]])
    """

    values: ClassVar[str] = "unit"
    mirror: ClassVar[float | None] = 1.0
    tangent: ClassVar[Tangent] = Tangent(0.0, 0.5, 1 / 6)

    def __call__(self, x: Array) -> Array:
        """Return x / 6 + 1/2, clipped to the unit interval."""
        return array_namespace(x).clip(x / 6.0 + 0.5, 0.0, 1.0)

    def __str__(self) -> str:
        """Return the name by which the estimator knows the activation."""
        return "hard_sigmoid"


@dataclass(frozen=True)
class Sigmoid(Activation):
    """The logistic function: between zero and one.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import Sigmoid
    >>> Sigmoid()(np.array([[0.0, 2.0]])).round(3)
    array([[0.5  , 0.881]])
    """

    values: ClassVar[str] = "unit"
    mirror: ClassVar[float | None] = 1.0
    tangent: ClassVar[Tangent] = Tangent(0.0, 0.5, 0.25)

    def __call__(self, x: Array) -> Array:
        """Return 1 / (1 + exp(-x)), as a hyperbolic tangent that cannot overflow."""
        return 0.5 + 0.5 * array_namespace(x).tanh(0.5 * x)


@dataclass(frozen=True)
class Tanh(Activation):
    """The hyperbolic tangent: between minus one and one.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import Tanh
    >>> Tanh()(np.array([[0.0, 0.5]])).round(3)
    array([[0.   , 0.462]])
    """

    mirror: ClassVar[float | None] = 0.0
    spread: ClassVar[float] = 0.3

    def __call__(self, x: Array) -> Array:
        """Return tanh(x)."""
        return array_namespace(x).tanh(x)


@dataclass(frozen=True)
class ReLU(Activation):
    """The positive part.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import ReLU
    >>> ReLU()(np.array([[-2.0, 0.5]]))
    array([[0. , 0.5]])
    """

    values: ClassVar[str] = "nonnegative"
    homogeneous: ClassVar[bool] = True
    tangent: ClassVar[Tangent] = Tangent(2.0, 2.0, 1.0)

    def __call__(self, x: Array) -> Array:
        """Return max(x, 0)."""
        return array_namespace(x).maximum(x, 0.0)


@dataclass(frozen=True)
class Softplus(Activation):
    """A smooth positive part: log(1 + exp(x)).

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import Softplus
    >>> Softplus()(np.array([[-2.0, 0.0, 2.0]])).round(3)
    array([[0.127, 0.693, 2.127]])
    """

    values: ClassVar[str] = "nonnegative"
    tangent: ClassVar[Tangent] = Tangent(2.0, 2.1269280110429727, 0.8807970779778823)

    def __call__(self, x: Array) -> Array:
        """Return log(1 + exp(x))."""
        return array_namespace(x).logaddexp(x, 0.0 * x)


@dataclass(frozen=True)
class Softmax(Activation):
    """Proportions: exponentials over their sum, row by row.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import Softmax
    >>> Softmax()(np.array([[0.0, 0.0, 1.0]])).round(3)
    array([[0.212, 0.212, 0.576]])
    """

    values: ClassVar[str] = "simplex"
    elementwise: ClassVar[bool] = False
    tangent: ClassVar[Tangent] = Tangent(0.0, 0.0, 0.25)

    def __call__(self, x: Array) -> Array:
        """Return exp(x) over the sum of the row."""
        xp = array_namespace(x)
        shares = xp.exp(x - x.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)


class _Sparse(Activation):
    """Base of those that keep a number of codes: the largest, by magnitude or by value.

    Attributes
    ----------
    n_active : int
    """

    elementwise: ClassVar[bool] = False
    untraced: ClassVar[tuple[str, ...]] = ("n_active",)
    n_active: int


@dataclass(frozen=True)
class TopK(_Sparse):
    """The largest inputs of a row, by magnitude; zeros for all others: sparse codes [1]_.

    Under a prior of codes that are not negative they are the largest by value, and zero where that is
    negative. With more components than features it says how many codes of a signal may be active; these are
    then found by matching pursuit, or as `encoder` says, which may be a network.

    Parameters
    ----------
    n_active : int, default=5
        How many codes of a row may differ from zero; all of them where there are fewer.

    References
    ----------
    .. [1] A. Makhzani and B. Frey, "k-sparse autoencoders", International Conference on Learning
       Representations, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import TopK
    >>> TopK(n_active=2)(np.array([[3.0, -1.0, 0.5, -4.0]]))
    array([[ 3.,  0.,  0., -4.]])
    """

    n_active: int = 5

    mirror: ClassVar[float | None] = 0.0

    def __call__(self, x: Array) -> Array:
        """Return the inputs, all but the largest of each row set to zero."""
        sizes = array_namespace(x).abs(x)
        return _where_large(x, sizes, nth_largest(sizes, self.n_active))

    def __str__(self) -> str:
        """Return the name by which the estimator knows the activation."""
        return "top_k"

    def within(self, support: str) -> Activation:
        """Return the activation itself for codes of either sign, else that which keeps the largest values."""
        return self if super().stays_within(support) else _PositiveTopK(self.n_active)


@dataclass(frozen=True)
class _PositiveTopK(_Sparse):
    """The largest inputs of a row by value, where these are positive; zeros for all others."""

    n_active: int = 5

    values: ClassVar[str] = "nonnegative"
    homogeneous: ClassVar[bool] = False
    tangent: ClassVar[Tangent] = Tangent(2.0, 2.0, 1.0)

    def __call__(self, x: Array) -> Array:
        above = array_namespace(x).maximum(x, 0.0)
        return _where_large(above, above, nth_largest(above, self.n_active))

    def __str__(self) -> str:
        return "top_k"


@dataclass(frozen=True)
class BatchTopK(_Sparse):
    """The largest inputs of all rows together, so many for each row on average [1]_.

    For more components than features alone: signals then have as many active codes as they need, `n_active`
    on average over the training signals. What a code has to gain for that is settled by training, so that
    codes of a signal do not depend on the others that are transformed with it.

    Parameters
    ----------
    n_active : int, default=5
        How many codes of a row differ from zero on average.

    References
    ----------
    .. [1] B. Bussmann, P. Leask and N. Nanda, "BatchTopK sparse autoencoders", NeurIPS Workshop on
       Scientific Methods for Understanding Deep Learning, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sparse_fourier.activations import BatchTopK
    >>> BatchTopK(n_active=1)(np.array([[3.0, -1.0], [0.5, -4.0]]))
    array([[ 3.,  0.],
           [ 0., -4.]])
    """

    n_active: int = 5

    mirror: ClassVar[float | None] = 0.0

    def __call__(self, x: Array) -> Array:
        """Return the inputs, all but the largest of all rows set to zero."""
        sizes = array_namespace(x).abs(x)
        return _where_large(x, sizes, nth_largest_of_all(sizes, self.n_active * len(x)))

    def __str__(self) -> str:
        """Return the name by which the estimator knows the activation."""
        return "batch_top_k"

    def within(self, support: str) -> Activation:
        """Return the activation itself for codes of either sign, else that which keeps the largest values."""
        return self if super().stays_within(support) else _PositiveBatchTopK(self.n_active)

    def settled(self, inputs: np.ndarray) -> Activation:
        """Return what keeps inputs above the level that so many of these reach, row by row."""
        return _Above(_level(np.abs(inputs), self.n_active))


@dataclass(frozen=True)
class _PositiveBatchTopK(_Sparse):
    """The largest inputs of all rows together by value, where these are positive; zeros for all others."""

    n_active: int = 5

    values: ClassVar[str] = "nonnegative"

    def __call__(self, x: Array) -> Array:
        above = array_namespace(x).maximum(x, 0.0)
        return _where_large(above, above, nth_largest_of_all(above, self.n_active * len(x)))

    def __str__(self) -> str:
        return "batch_top_k"

    def settled(self, inputs: np.ndarray) -> Activation:
        return _PositiveAbove(_level(np.maximum(inputs, 0.0), self.n_active))


@dataclass(frozen=True)
class _Above(Activation):
    """Inputs that are as large as a level, by magnitude; zeros for all others."""

    level: float

    elementwise: ClassVar[bool] = True

    def __call__(self, x: Array) -> Array:
        return _where_large(x, array_namespace(x).abs(x), self.level)

    def __str__(self) -> str:
        return "batch_top_k"


@dataclass(frozen=True)
class _PositiveAbove(Activation):
    """Inputs that are as large as a level; zeros for all others."""

    level: float

    values: ClassVar[str] = "nonnegative"

    def __call__(self, x: Array) -> Array:
        return _where_large(x, x, self.level)

    def __str__(self) -> str:
        return "batch_top_k"


def _where_large(x: Array, sizes: Array, least: Array) -> Array:
    """Return inputs whose size is no smaller than a bound, zeros for all others."""
    return array_namespace(x).where(sizes >= least, x, 0.0 * x)


def _level(sizes: np.ndarray, n_active: int) -> float:
    """Return the size that so many inputs of a row reach on average; above zero."""
    return max(float(nth_largest_of_all(sizes, n_active * len(sizes))), float(np.finfo(float).tiny))


@dataclass(frozen=True)
class Custom(Activation):
    """A function of the user's own, written with `jax.numpy`: elementwise."""

    function: Callable[[Array], Array]

    untraced: ClassVar[tuple[str, ...]] = ("function",)

    def __call__(self, x: Array) -> Array:
        """Return what the function gives."""
        if array_namespace(x) is not np:
            return self.function(x)
        size = runtime.bucket(len(x))
        padded = np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), dtype=x.dtype)])
        return _apply((self, padded.shape, x.dtype), self, padded)[: len(x)]

    def __str__(self) -> str:
        """Return the function's own name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def within(self, support: str) -> Activation:
        """Return the form of the activation that suits codes of a support: itself, where there is but one.

        Parameters
        ----------
        support : {"real", "nonnegative", "unit", "simplex"}
            Where codes may lie.

        Returns
        -------
        Activation
            Of the same name.
        """
        return self

    def stays_within(self, support: str) -> bool:
        """Return whether outputs lie in a support, as far as probes can tell."""
        return support in _WITHIN[self._range()]

    def _range(self) -> str:
        outputs = self(_probes(np.float64))
        if outputs.min() < 0:
            return "real"
        return "unit" if outputs.max() <= 1 else "nonnegative"


_apply = runtime.Program(lambda activation, x: activation.function(x))
_slopes = runtime.Program(lambda activation, x: _gradient_of_sum(activation, x))


def _gradient_of_sum(activation: Custom, x: Array) -> Array:
    import jax

    return jax.grad(lambda inputs: activation.function(inputs).sum())(x)


def _probes(dtype: Any) -> np.ndarray:
    return np.linspace(-_REACH, _REACH, _PROBES + 1, dtype=dtype)[:, None] * np.array([[1, 0.5, -1]], dtype)


def examined(function: Callable[[Array], Array]) -> Custom:
    """Return a user's function as an activation, after a numerical examination.

    Parameters
    ----------
    function : callable
        Of one array.

    Returns
    -------
    Custom
        The activation.

    Raises
    ------
    ValueError
        If it fails on arrays, changes their shape or type, is not elementwise, gives values or gradients
        that are not finite.
    """
    activation = Custom(function)
    for dtype in (np.float32, np.float64):
        x = _probes(dtype)
        values = _tried(activation, lambda x=x: activation(x), "failed on an array; write it with jax.numpy")
        if values.shape != x.shape:
            raise _failure(activation, f"it must keep the shape {x.shape}, but returned {values.shape}")
        if values.dtype != x.dtype:
            raise _failure(activation, f"it must keep the dtype {x.dtype}, but returned {values.dtype}")
        if not np.isfinite(values).all():
            raise _failure(activation, "its values must be finite")
        if not np.array_equal(activation(x[::-1, ::-1]), values[::-1, ::-1]):
            raise _failure(activation, "it must be elementwise")
    slopes = _tried(
        activation, lambda: _slopes((activation, x.shape), activation, x), "cannot be differentiated by JAX"
    )
    if not np.isfinite(slopes).all():
        raise _failure(activation, "its gradient must be finite")
    return activation


def _tried(activation: Custom, call: Callable[[], np.ndarray], problem: str) -> np.ndarray:
    try:
        return np.asarray(call())
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise _failure(activation, f"it {problem} ({error})") from error


def _failure(activation: Custom, problem: str) -> ValueError:
    return ValueError(f"The activation {activation} cannot be used: {problem}.")
