"""Parameters of the estimator: what each may be, and names turned into objects in this one place."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

# The only private names of another library that are used here: scikit-learn's own conformance check
# (`check_param_validation`) demands this exception class and this form of declaration.
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    RealNotInt,
    StrOptions,
)

from sparse_fourier.bases import Basis, Free, Nonnegative
from sparse_fourier.penalties import Penalty
from sparse_fourier.penalties.base import FunctionPenalty
from sparse_fourier.priors import Exponential, Gaussian, Laplace, Learned, Prior, Simplex, Uniform
from sparse_fourier.priors.checks import check_prior

PRIORS: dict[str, type[Prior]] = {
    "uniform": Uniform,
    "laplace": Laplace,
    "gaussian": Gaussian,
    "exponential": Exponential,
    "simplex": Simplex,
    "learned": Learned,
}
BASES: dict[str, type[Basis]] = {"free": Free, "nonnegative": Nonnegative}
AUTOMATIC_PRIOR = "uniform"
AUTOMATIC_STARTS = 2


def _names(*names: str) -> StrOptions:
    return StrOptions(set(names))


_NOTHING = Options(tuple, {()})
_OFF = Options(bool, {False})

CONSTRAINTS: dict[str, list[Any]] = {
    "n_components": [
        Interval(Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0, 1, closed="neither"),
        _names("auto"),
    ],
    "prior": [_names("auto", *PRIORS), Prior],
    "basis": [_names(*BASES), *BASES.values()],
    "noise": [_names("gaussian")],
    "encoder": [_names("auto", "affine")],
    "activation": [None],
    "hidden_layer_sizes": [_NOTHING],
    "hidden_activation": [_names("relu")],
    "fit_intercept": ["boolean"],
    "penalty": [None, callable, list, tuple],
    "init": ["array-like", None],
    "solver": [_names("auto")],
    "learning_rate": [_names("auto")],
    "batch_size": [_names("auto")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="neither")],
    "n_init": [Interval(Integral, 1, None, closed="left"), _names("auto")],
    "early_stopping": [_OFF],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": [_OFF],
    "checkpoint": [None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "callback": [callable, None],
}


def reject_booleans(owner: str, parameters: dict[str, Any]) -> None:
    """Refuse True and False where a number is meant, which Python would take for 1 and 0.

    Raises
    ------
    InvalidParameterError
    """
    for name in ("n_components", "max_iter", "n_init"):
        if isinstance(parameters[name], bool):
            raise InvalidParameterError(
                f"The {name!r} parameter of {owner} must be an int in the range [1, inf). "
                f"Got {parameters[name]!r} instead."
            )


def resolve_prior(prior: str | Prior) -> Prior:
    """Return the prior that a name or an object stands for.

    Raises
    ------
    ValueError
        If an object fails its examination.
    """
    if not isinstance(prior, Prior):
        return PRIORS.get(prior, PRIORS[AUTOMATIC_PRIOR])()
    if prior.needs_jax:
        check_prior(prior)
    return prior


def resolve_basis(basis: str | Basis, prior: Prior) -> Basis:
    """Return the basis that a name or an object stands for.

    Raises
    ------
    ValueError
        If it makes no sense under the prior.
    """
    found = basis if isinstance(basis, Basis) else BASES[basis]()
    if found.needs_support and prior.support not in found.needs_support:
        fitting = sorted(name for name, kind in PRIORS.items() if kind.support in found.needs_support)
        raise ValueError(
            f"basis={basis!r} cannot be used under the prior {prior}, whose codes may be negative. Use "
            f"one of the priors {fitting}."
        )
    return found


def resolve_starts(n_init: str | int) -> int:
    """Return the number of starts."""
    return int(n_init) if isinstance(n_init, Integral) else AUTOMATIC_STARTS


def resolve_penalties(penalty: Any, prior: Prior, basis: Basis) -> tuple[Penalty, ...]:
    """Return the penalties that None, one of them, or a list stands for.

    Raises
    ------
    InvalidParameterError
        If something else is among them, or a number among their parameters is not what it must be.
    ValueError
        If the prior or the basis leaves no place for penalties.
    """
    parts = penalty if isinstance(penalty, list | tuple) else [] if penalty is None else [penalty]
    for part in parts:
        _validate_penalty(part)
    if parts and prior.learns:
        raise ValueError(
            f"penalty={penalty!r} cannot be used under the prior {prior}, whose densities are learned in "
            "turn with the basis. Use another prior."
        )
    if parts and (basis.leaves_span or not isinstance(basis, Free)):
        raise ValueError(f"penalty={penalty!r} can only be used with basis='free'. Got {basis!r} instead.")
    return tuple(part if isinstance(part, Penalty) else FunctionPenalty(part) for part in parts)


def _validate_penalty(penalty: Any) -> None:
    if not callable(penalty):
        raise InvalidParameterError(
            "The 'penalty' parameter of AutoencoderDecomposer must be None, a Penalty, a callable or a list "
            f"of these. Got {penalty!r} instead."
        )
    ranges = penalty.ranges if isinstance(penalty, Penalty) else {}
    for name, (low, high) in ranges.items():
        value: Any = getattr(penalty, name)
        if not (isinstance(value, Real) and low <= float(value) < high):
            raise InvalidParameterError(
                f"The {name!r} parameter of {penalty} must be a float in the range [{low:g}, {high:g}). "
                f"Got {value!r} instead."
            )
