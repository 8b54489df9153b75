"""Named solvers under every prior, where codes are those of least squares."""

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.penalties import L1

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sparse_fourier.exceptions.IdentifiabilityWarning",
)
PRIORS = ["uniform", "laplace", "exponential", "simplex", "learned", "gaussian"]


def mixtures(prior, n=300, noise=0.05):
    rng = np.random.default_rng(0)
    draw = {
        "uniform": lambda: rng.uniform(size=(n, 3)),
        "laplace": lambda: rng.laplace(size=(n, 3)),
        "simplex": lambda: rng.dirichlet(np.ones(3), n),
        "gaussian": lambda: rng.standard_normal((n, 3)) * [4, 2, 1],
    }
    codes = draw.get(prior, lambda: rng.exponential(size=(n, 3)))()
    return codes @ rng.uniform(0.1, 1.0, size=(3, 15)) + noise * rng.standard_normal((n, 15))


def fitted(prior, X, solver="auto", **parameters):
    return AutoencoderDecomposer(3, prior=prior, solver=solver, random_state=0, **parameters).fit(X)


def optax_adam():
    return pytest.importorskip("optax").adam(1e-3)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("solver", [pytest.param("adam", marks=pytest.mark.slow), "lbfgs"])
def test_every_solver_works_with_every_prior(prior, solver):
    X = mixtures(prior)
    plain, model = fitted(prior, X), fitted(prior, X, solver, max_iter=3)
    assert model.loss_ <= plain.loss_ + 1e-6 * abs(plain.loss_)
    assert worst_relative_error(plain.components_, model.components_) < 0.05
    assert model.loss_ == pytest.approx(-model.score(X), rel=1e-9)
    assert model.n_iter_ <= 3
    residuals = [np.linalg.norm(X - each.inverse_transform(each.transform(X))) for each in (plain, model)]
    assert residuals[1] < 1.05 * residuals[0]


@pytest.mark.parametrize("solver", ["rmsprop", "sgd", optax_adam])
def test_other_solvers_and_missing_entries(solver):
    X = mixtures("uniform")
    holed = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
    model = fitted("uniform", holed, solver() if callable(solver) else solver, max_iter=2)
    assert model.loss_ <= fitted("uniform", holed).loss_ + 1e-6
    assert model.loss_ == pytest.approx(-model.score(holed), rel=1e-9)


def test_codes_stay_within_the_support():
    X = mixtures("uniform", n=120, noise=0.2)
    codes = fitted("uniform", X, "lbfgs", max_iter=50).transform(X)
    assert codes.min() == 0
    assert codes.max() == 1


def test_penalties_are_refused_with_least_squares_codes():
    with pytest.raises(ValueError, match="solver='adam' cannot train penalised components"):
        fitted("laplace", mixtures("laplace"), "adam", penalty=L1(0.1))
    with pytest.raises(ValueError, match="basis must be 'free' where the encoder is a network or a solver"):
        fitted("exponential", mixtures("exponential"), "adam", basis="nonnegative")


@pytest.mark.slow
def test_streams_go_on_with_the_same_solver():
    X = mixtures("uniform", n=400)
    model = AutoencoderDecomposer(3, prior="uniform", solver="adam", max_iter=2, random_state=0)
    for first in range(0, 400, 200):
        model.partial_fit(X[first : first + 200])
    assert worst_relative_error(fitted("uniform", X).components_, model.components_) < 0.05
