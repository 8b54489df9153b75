"""Parameters of the estimator: what each may be, and names turned into objects in this one place."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np

# The only private names of another library that are used here: scikit-learn's own conformance check
# (`check_param_validation`) demands this exception class, this form of declaration and these sentences.
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)

from sparse_fourier import activations
from sparse_fourier.activations import Activation
from sparse_fourier.amortised import Amortised
from sparse_fourier.bases import Basis, Fourier, Free, Nonnegative, ParametricBasis
from sparse_fourier.blueprints import Network
from sparse_fourier.optimizers import SGD, Adam, Optimizer, RMSProp, Transformed
from sparse_fourier.penalties import Penalty
from sparse_fourier.penalties.base import FunctionPenalty
from sparse_fourier.priors import Exponential, Gaussian, Laplace, Learned, Prior, Simplex, Uniform
from sparse_fourier.priors.checks import check_prior
from sparse_fourier.pursuit import pursued
from sparse_fourier.robust import GaussianNoise, Noise, StudentNoise
from sparse_fourier.sparsity import Described, OfEach, OnAverage, Sparsity
from sparse_fourier.unrolled import Unrolled

PRIORS: dict[str, type[Prior]] = {
    "uniform": Uniform,
    "laplace": Laplace,
    "gaussian": Gaussian,
    "exponential": Exponential,
    "simplex": Simplex,
    "learned": Learned,
}
BASES: dict[str, type[Basis]] = {"free": Free, "nonnegative": Nonnegative, "fourier": Fourier}
AUTOMATIC_PRIORS = ("uniform", "laplace", "exponential", "simplex", "gaussian", "learned")
ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": activations.Identity,
    "hard_sigmoid": activations.HardSigmoid,
    "sigmoid": activations.Sigmoid,
    "tanh": activations.Tanh,
    "relu": activations.ReLU,
    "softplus": activations.Softplus,
    "softmax": activations.Softmax,
    "top_k": activations.TopK,
    "batch_top_k": activations.BatchTopK,
}
NOISES: dict[str, type[Noise]] = {"gaussian": GaussianNoise, "student_t": StudentNoise}
OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD}
FULL_BATCH = "lbfgs"
OWN_ACTIVATIONS: dict[str, type[Activation]] = {
    "real": activations.Identity,
    "unit": activations.HardSigmoid,
    "nonnegative": activations.ReLU,
    "simplex": activations.Softmax,
}
AUTOMATIC_BATCH = 200
MOST_ROWS_OF_FULL_BATCHES = 10_000
VARIATIONAL = "variational"
UNROLLED = "unrolled"
SPARSE_PRIOR = "laplace"
AUTOMATIC_CONTAMINATION = 0.03


def _names(*names: str) -> StrOptions:
    return StrOptions(set(names))


CONSTRAINTS: dict[str, list[Any]] = {
    "n_components": [
        Interval(Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0, 1, closed="neither"),
        _names("auto"),
    ],
    "prior": [_names("auto", *PRIORS), Prior, None],
    "basis": [_names(*BASES), *BASES.values(), ParametricBasis],
    "noise": [_names(*NOISES)],
    "encoder": [_names("auto", "affine", "mlp", VARIATIONAL, UNROLLED)],
    "activation": [_names(*ACTIVATIONS), Activation, callable, None],
    "hidden_layer_sizes": ["array-like"],
    "hidden_activation": [_names(*ACTIVATIONS), Activation, callable],
    "fit_intercept": ["boolean"],
    "contamination": [Interval(Real, 0, 0.5, closed="left"), _names("auto")],
    "penalty": [None, callable, list, tuple],
    "init": ["array-like", None],
    "solver": [_names("auto", FULL_BATCH, *OPTIMIZERS), HasMethods(["init", "update"])],
    "learning_rate": [Interval(Real, 0, None, closed="neither"), callable, _names("auto")],
    "batch_size": [Interval(Integral, 1, None, closed="left"), _names("auto")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="neither")],
    "n_init": [Interval(Integral, 1, None, closed="left"), _names("auto")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "checkpoint": [None, str, os.PathLike],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "callback": [callable, None],
}


@functools.cache
def defaults(estimator: type) -> dict[str, Any]:
    """Return the parameters of a class of estimators, in alphabetical order, with their defaults."""
    own = list(inspect.signature(estimator.__init__).parameters.values())[1:]
    return {parameter.name: parameter.default for parameter in sorted(own, key=lambda each: each.name)}


def validate(owner: str, given: dict[str, Any], standard: dict[str, Any]) -> None:
    """Refuse parameters that are not what they may be; those that were left at their defaults are.

    Raises
    ------
    InvalidParameterError
    """
    chosen = {name: value for name, value in given.items() if value is not standard[name]}
    validate_parameter_constraints(CONSTRAINTS, chosen, owner)
    _reject_booleans(owner, given)


def _reject_booleans(owner: str, given: dict[str, Any]) -> None:
    """Refuse True and False where a number is meant, which Python would take for 1 and 0."""
    for name in ("n_components", "max_iter", "n_init", "batch_size", "learning_rate", "n_iter_no_change"):
        if isinstance(given[name], bool):
            raise InvalidParameterError(
                f"The {name!r} parameter of {owner} must be an int in the range [1, inf). "
                f"Got {given[name]!r} instead."
            )


def resolve_prior(prior: str | Prior | None, encoder: str = "auto", *, overcomplete: bool = False) -> Prior:
    """Return the prior that a name or an object stands for; the default where it is to be chosen.

    Where there is none, a Gaussian gives the start.

    Parameters
    ----------
    prior : str or Prior
    overcomplete : bool
        Whether there are more components than features.

    Raises
    ------
    ValueError
        If an object fails its examination, or is not what the encoder needs.
    """
    if encoder == VARIATIONAL:
        return _gaussian(prior)
    if prior is None:
        return Gaussian()
    if not isinstance(prior, Prior):
        return PRIORS.get(prior, PRIORS[SPARSE_PRIOR if overcomplete else AUTOMATIC_PRIORS[0]])()
    if prior.needs_jax:
        check_prior(prior)
    return prior


def _gaussian(prior: Any) -> Prior:
    if prior != "auto" and not isinstance(resolve_prior(prior), Gaussian) or prior is None:
        raise ValueError(
            f"encoder={VARIATIONAL!r} needs the Gaussian prior. Got prior={prior!r} instead; use "
            "prior='gaussian'."
        )
    return Gaussian()


def resolve_rivals(prior: str | Prior | None, basis: Basis, fit_intercept: bool) -> tuple[Prior, ...]:
    """Return the priors that the default is compared with: none where one was named, or the basis decides.

    Densities that are learned need an intercept.
    """
    if prior is None or isinstance(prior, Prior) or prior in PRIORS or basis.has_own_fit:
        return ()
    rivals = [PRIORS[name]() for name in AUTOMATIC_PRIORS[1:]]
    return tuple(
        rival
        for rival in rivals
        if (not basis.needs_support or rival.support in basis.needs_support)
        and (fit_intercept or not rival.learns)
    )


def refuse_overcomplete(prior: Prior, parameters: dict[str, Any], n_features: int) -> None:
    """Refuse more components than features where that makes no sense or is not supported.

    Raises
    ------
    ValueError
        If the prior needs the volume of the components, the basis is not free, or a network is asked for.
    """
    excess = f"n_components={parameters['n_components']} must not be larger than n_features = {n_features}"
    if not prior.allows_overcomplete:
        names = sorted(name for name, kind in PRIORS.items() if kind.allows_overcomplete)
        raise ValueError(
            f"{excess} under the prior {prior}, which measures the volume of the components. Lower "
            f"n_components, or use one of the priors {names}."
        )
    for name, values in _allowed_overcomplete(parameters).items():
        given = parameters[name]
        if isinstance(given, Free | activations.TopK | activations.BatchTopK):
            continue
        if not any(given is value or given == value for value in values):
            raise ValueError(
                f"{excess} with {name}={given!r}. Lower n_components, or use {name}={values[0]!r}."
            )


def _allowed_overcomplete(parameters: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return what some parameters may be with more components than features."""
    sparse = (None, "top_k", "batch_top_k")
    allowed = {"basis": ("free",), "activation": sparse, "penalty": (None,), "noise": ("gaussian",)}
    if not _has_network(parameters):
        return allowed | {"encoder": ("auto", UNROLLED), "solver": ("auto",)}
    solver = parameters["solver"]
    allowed |= {"encoder": ("auto", "affine", "mlp"), "early_stopping": (False,)}
    return allowed | ({"solver": ("auto", *OPTIMIZERS)} if isinstance(solver, str) else {})


def _has_network(parameters: dict[str, Any]) -> bool:
    """Return whether a network gives the codes of more components than features."""
    return bool(_hidden_sizes(parameters)) or parameters["encoder"] == "affine"


def resolve_sparsity(activation: Any) -> Sparsity:
    """Return who decides how many codes are active, with more components than features.

    Raises
    ------
    InvalidParameterError
        If their number is none.
    """
    if activation is None:
        return Described()
    sparse: Any = resolve_activation(activation)
    if not isinstance(sparse.n_active, Integral) or isinstance(sparse.n_active, bool) or sparse.n_active < 1:
        raise InvalidParameterError(
            f"The 'n_active' parameter of {type(sparse).__name__} must be an int in the range [1, inf). Got "
            f"{sparse.n_active!r} instead."
        )
    kind = OnAverage if isinstance(sparse, activations.BatchTopK) else OfEach
    return kind(int(sparse.n_active))


def resolve_coder(parameters: dict[str, Any], prior: Prior) -> Callable[[Any, Any, Any], Any]:
    """Return what gives a dictionary its way to find codes: pursuit, proximal steps, or a network."""
    if not _has_network(parameters):
        return Unrolled.following if parameters["encoder"] == UNROLLED else pursued
    solver, rate = parameters["solver"], parameters["learning_rate"]
    optimizer = Transformed(solver) if not isinstance(solver, str) else OPTIMIZERS.get(solver, Adam)()
    given = parameters["activation"]

    def activation(n_active: float) -> Activation:
        sparse = activations.BatchTopK(round(n_active)) if given is None else resolve_activation(given)
        return sparse.within(prior.support)

    return Amortised(
        activation=activation,
        hidden_layer_sizes=_hidden_sizes(parameters),
        hidden_activation=_elementwise(parameters["hidden_activation"]),
        optimizer=optimizer,
        rate=None if isinstance(rate, str) else _rate(rate, optimizer),
        batch_size=None if isinstance(parameters["batch_size"], str) else int(parameters["batch_size"]),
    )


def resolve_basis(basis: str | Basis, prior: Prior, n_features: int) -> Basis:
    """Return the basis that a name or an object stands for.

    Raises
    ------
    ValueError
        If it makes no sense under the prior, or for signals of that length.
    """
    found = basis if isinstance(basis, Basis) else BASES[basis]()
    found.check(n_features)
    if found.needs_support and prior.support not in found.needs_support:
        fitting = sorted(name for name, kind in PRIORS.items() if kind.support in found.needs_support)
        raise ValueError(
            f"basis={basis!r} cannot be used under the prior {prior}, whose codes may be negative. Use "
            f"one of the priors {fitting}."
        )
    return found


def resolve_noise(noise: str) -> Noise:
    """Return the noise that a name stands for."""
    return NOISES[noise]()


def resolve_contamination(
    contamination: str | float, prior: Prior, rivals: tuple[Prior, ...], network: Network | None
) -> float:
    """Return the largest share of rows that may be left out.

    None by default where the answer is that of principal component analysis, and none for networks.
    """
    if network is not None:
        return 0.0
    if isinstance(contamination, Real):
        return float(contamination)
    return AUTOMATIC_CONTAMINATION if rivals or prior.identifies_basis else 0.0


def resolve_starts(n_init: str | int, *, network: bool = False) -> int | None:
    """Return the number of starts; None where that is left to the prior."""
    if isinstance(n_init, Integral):
        return int(n_init)
    return 1 if network else None


def resolve_activation(activation: Any) -> Activation:
    """Return the activation that a name, an object or a function stands for.

    Raises
    ------
    ValueError
        If a function fails its examination.
    """
    if isinstance(activation, str):
        return ACTIVATIONS[activation]()
    return activation if isinstance(activation, Activation) else activations.examined(activation)


def resolve_network(
    parameters: dict[str, Any], prior: Prior, n_samples: int, penalties: tuple[Penalty, ...]
) -> Network | None:
    """Return the network that the parameters ask for; None where codes are those of least squares.

    Raises
    ------
    ValueError
        If parameters contradict each other.
    """
    sizes, has_prior = _hidden_sizes(parameters), parameters["prior"] is not None
    solver, given = parameters["solver"], parameters["activation"]
    activation = _activation_of_codes(given, prior, has_prior=has_prior)
    variational = _is_variational(parameters, activation)
    plain = not (sizes or variational) and (given is None if has_prior else activation.is_affine)
    if plain and solver == "auto" and (has_prior or not penalties):
        return None
    optimizer, least_squares = _optimizer(solver, n_samples, has_hidden=bool(sizes)), plain and has_prior
    _refuse_contradictions(parameters, optimizer, penalties if least_squares else ())
    return Network(
        activation=activation,
        hidden_layer_sizes=sizes,
        hidden_activation=_elementwise(parameters["hidden_activation"]),
        optimizer=optimizer,
        rate=_rate(parameters["learning_rate"], optimizer),
        batch_size=_batch_size(parameters["batch_size"]),
        patience=int(parameters["n_iter_no_change"]),
        validation_fraction=float(parameters["early_stopping"] and parameters["validation_fraction"]),
        has_prior=has_prior,
        literal=not (has_prior or sizes or optimizer is None),
        penalties=penalties,
        variational=variational,
        least_squares=least_squares,
    )


def _is_variational(parameters: dict[str, Any], activation: Activation) -> bool:
    """Return whether codes have posterior variances, which they cannot have wherever an activation leads."""
    encoder = parameters["encoder"]
    if encoder == UNROLLED:
        raise ValueError(
            f"encoder={UNROLLED!r} is for more components than features, whose codes are sparse. Raise "
            "n_components, or use encoder='auto'."
        )
    if encoder == VARIATIONAL and not activation.is_affine:
        raise ValueError(
            f"encoder={VARIATIONAL!r} needs codes on all of the real line. Got "
            f"activation={parameters['activation']!r} instead; use activation=None."
        )
    return encoder == VARIATIONAL


def _refuse_contradictions(
    parameters: dict[str, Any], optimizer: Optimizer | None, of_least_squares: tuple[Penalty, ...]
) -> None:
    """Refuse what a network cannot have; among it penalties where codes are those of least squares."""
    if of_least_squares:
        raise ValueError(
            f"solver={parameters['solver']!r} cannot train penalised components with least-squares codes. "
            "Use solver='auto', or give an activation or hidden_layer_sizes."
        )
    if parameters["basis"] not in ("free", None) and type(parameters["basis"]) is not Free:
        raise ValueError("basis must be 'free' where the encoder is a network or a solver is named.")
    if parameters["early_stopping"] and optimizer is None:
        raise ValueError(
            "early_stopping=True needs a solver that goes through the signals in batches. Use "
            f"solver={next(iter(OPTIMIZERS))!r}, or early_stopping=False."
        )


def _hidden_sizes(parameters: dict[str, Any]) -> tuple[int, ...]:
    given, encoder = parameters["hidden_layer_sizes"], parameters["encoder"]
    sizes = np.asarray(given)
    if sizes.size and (sizes.ndim != 1 or sizes.dtype.kind not in "iu" or (sizes < 1).any()):
        raise InvalidParameterError(
            "The 'hidden_layer_sizes' parameter of AutoencoderDecomposer must be a tuple of ints in the "
            f"range [1, inf). Got {given!r} instead."
        )
    if bool(sizes.size) != (encoder == "mlp") and encoder not in ("auto", VARIATIONAL):
        needed = "at least one layer" if encoder == "mlp" else "the empty tuple"
        raise ValueError(
            f"encoder={encoder!r} needs hidden_layer_sizes to be {needed}. Got {given!r} instead; use "
            "encoder='auto'."
        )
    return tuple(int(size) for size in sizes)


def _activation_of_codes(given: Any, prior: Prior, *, has_prior: bool) -> Activation:
    if given is None:
        return OWN_ACTIVATIONS[prior.support]()
    activation = resolve_activation(given)
    if isinstance(activation, activations.BatchTopK):
        raise ValueError(
            f"activation={given!r} is for more components than features: a network's codes of one signal "
            "must not depend on the others. Raise n_components, or use 'top_k'."
        )
    activation = activation.within(prior.support) if has_prior else activation
    if has_prior and not activation.stays_within(prior.support):
        fitting = _activations_within(prior.support)
        raise ValueError(
            f"activation={given!r} cannot be used under the prior {prior}, outside whose support it may "
            f"lead. Use one of {fitting}, or None."
        )
    return activation


def _activations_within(support: str) -> list[str]:
    kinds = {name: kind() for name, kind in ACTIVATIONS.items() if kind is not activations.BatchTopK}
    return sorted(name for name, each in kinds.items() if each.within(support).stays_within(support))


def _elementwise(given: Any) -> Activation:
    activation = resolve_activation(given)
    if not activation.elementwise:
        raise ValueError(
            f"hidden_activation={given!r} cannot be used: hidden layers need an elementwise activation."
        )
    return activation


def _optimizer(solver: Any, n_samples: int, *, has_hidden: bool) -> Optimizer | None:
    if not isinstance(solver, str):
        return Transformed(solver)
    large = has_hidden and n_samples > MOST_ROWS_OF_FULL_BATCHES
    automatic = "adam" if large else FULL_BATCH
    kind = OPTIMIZERS.get(automatic if solver == "auto" else solver)
    return kind() if kind else None


def _rate(given: Any, optimizer: Optimizer | None) -> Any:
    if isinstance(given, str):
        return optimizer.rate if optimizer else 1.0
    if isinstance(optimizer, Transformed):
        raise ValueError(
            "learning_rate cannot be given together with a gradient transformation as the solver, which has "
            "its own. Use learning_rate='auto'."
        )
    return given if callable(given) else float(given)


def _batch_size(given: Any) -> int:
    return AUTOMATIC_BATCH if isinstance(given, str) else int(given)


def resolve_penalties(penalty: Any) -> tuple[Penalty, ...]:
    """Return the penalties that None, one of them, or a list stands for.

    Raises
    ------
    InvalidParameterError
        If something else is among them, or a number among their parameters is not what it must be.
    """
    parts = penalty if isinstance(penalty, list | tuple) else [] if penalty is None else [penalty]
    for part in parts:
        _validate_penalty(part)
    return tuple(part if isinstance(part, Penalty) else FunctionPenalty(part) for part in parts)


def reject_penalties(penalties: tuple[Penalty, ...], basis: Basis) -> None:
    """Refuse penalties, with codes of least squares, for which the basis leaves no place.

    Raises
    ------
    ValueError
    """
    if penalties and basis.has_own_fit:
        raise ValueError(
            f"The penalties {[str(penalty) for penalty in penalties]} cannot be used with {basis!r}, whose "
            "waveforms have few parameters and are fitted by these. Use basis='free' or 'nonnegative'."
        )


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


def check_draws(n_bootstraps: Any) -> None:
    """Refuse a number of refits from which no spread follows.

    Raises
    ------
    ValueError
    """
    if isinstance(n_bootstraps, bool) or not isinstance(n_bootstraps, Integral) or n_bootstraps < 2:
        raise ValueError(
            "The 'n_bootstraps' parameter of AutoencoderDecomposer.diagnose must be an int in the range "
            f"[2, inf). Got {n_bootstraps!r} instead."
        )


def refuse_to_diagnose(components: np.ndarray) -> None:
    """Refuse models without components.

    Raises
    ------
    ValueError
        If all of them are zero.
    """
    if not components.any():
        raise ValueError("diagnose needs components: X had no variance, and all of them are zero.")
