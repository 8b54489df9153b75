"""Networks through the estimator: the seed's own network, starts that are never lost, going on, serving."""

import pickle
import subprocess
import sys

import numpy as np
import optax
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.activations import TopK
from sparse_fourier.bases import Nonnegative
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error

X, _, SINES = make_sinusoid_mixtures(200, 12, noise=0.05, random_state=0)
SEED = {
    "prior": None,
    "activation": "sigmoid",
    "solver": "rmsprop",
    "learning_rate": 0.05,
    "batch_size": 1,
    "max_iter": 100,
}
NONE = {"prior": None, "random_state": 0}
MLP = {"hidden_layer_sizes": (8,), "random_state": 0}
unfinished = pytest.mark.filterwarnings("ignore:Training stopped:sklearn.exceptions.ConvergenceWarning")


def fitted(data=X, **parameters):
    return AutoencoderDecomposer(2, **parameters).fit(data)


def error_of(model, data=X):
    return ((data - model.inverse_transform(model.transform(data))) ** 2).mean()


# The seed's network


@unfinished
@pytest.mark.parametrize(
    ("interval", "epochs", "band"),
    [
        ((0, np.pi), 1, (0.3, 0.7)),
        ((0, np.pi), 100, (0.05, 0.2)),
        ((0, np.pi / 2), 1, (0.3, 0.8)),
        ((0, np.pi / 2), 100, (0.07, 0.34)),
    ],
)
def test_the_seeds_network_is_as_imprecise_as_it_was(interval, epochs, band):
    errors = []
    for seed in range(6):
        signals, _, true = make_sinusoid_mixtures(300, interval=interval, random_state=seed)
        model = fitted(signals, **{**SEED, "max_iter": epochs}, random_state=seed)
        errors.append(worst_relative_error(true, model.components_))
    assert band[0] < np.median(errors) < band[1]


# Squared error


def test_without_a_prior_an_affine_network_is_principal_component_analysis():
    model, pca = fitted(**NONE), PCA(2).fit(X)
    np.testing.assert_allclose(np.abs(model.components_ @ pca.components_.T), np.eye(2), atol=1e-10)
    np.testing.assert_allclose(model.explained_variance_, pca.explained_variance_)
    assert model.loss_ == pytest.approx(error_of(model), rel=1e-12)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.score(X) == pytest.approx(pca.score(X), rel=1e-9)
    assert model.prior_ is None


@unfinished
def test_score_without_a_prior_is_that_of_a_gaussian_with_full_covariance():
    model = fitted(**NONE, activation="tanh", max_iter=50)
    W, n = model.components_, len(X)
    codes = np.linalg.lstsq(W.T, (X - model.intercept_).T, rcond=None)[0].T
    residual = X - model.intercept_ - codes @ W
    noise = (residual**2).sum() / (n - 1) / 10
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-6)
    axes = np.linalg.qr(W.T)[0]
    outside = np.eye(12) - axes @ axes.T
    covariance = W.T @ np.cov(codes.T) @ W + noise * outside
    mean = model.intercept_ + codes.mean(axis=0) @ W
    expected = multivariate_normal(mean, covariance).logpdf(X)
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-6)
    np.testing.assert_allclose(model.get_covariance(), covariance, rtol=1e-6, atol=1e-12)
    draws = model.sample(40_000, random_state=0)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.03)


@unfinished
@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_layer_sizes": (8,)},
        {"hidden_layer_sizes": (8, 5), "solver": "adam", "learning_rate": 0.5},
        pytest.param(
            {"hidden_layer_sizes": (8,), "solver": "sgd", "learning_rate": 1.0, "hidden_activation": "tanh"},
            marks=pytest.mark.slow,
        ),
        {"activation": "top_k"},
    ],
)
def test_no_network_ends_above_principal_component_analysis(changes):
    model, pca = fitted(**NONE, **changes, max_iter=5), PCA(2).fit(X)
    best = ((X - pca.inverse_transform(pca.transform(X))) ** 2).mean()
    assert error_of(model) <= best * (1 + 1e-9)
    if "activation" not in changes:
        np.testing.assert_allclose(np.linalg.norm(model.components_, axis=1), 1.0)


@unfinished
@pytest.mark.parametrize("activation", ["hard_sigmoid", "tanh", "relu", "softplus", "softmax", TopK(1)])
def test_activations_keep_their_range_and_explain_signals(activation):
    model = fitted(**NONE, activation=activation, max_iter=100)
    codes = model.transform(X)
    if activation in ("hard_sigmoid", "softmax"):
        assert codes.min() >= 0
        assert codes.max() <= 1
    if isinstance(activation, TopK):
        assert ((codes != 0).sum(axis=1) <= 1).all()
    assert error_of(model) < X.var(axis=0).mean()
    assert model.loss_ == pytest.approx(error_of(model), rel=1e-9)
    order = model.explained_variance_
    assert (np.diff(order) <= 0).all()
    expected = codes.var(axis=0, ddof=1) * (model.components_**2).sum(axis=1)
    np.testing.assert_allclose(order, expected, rtol=1e-9)


@unfinished
def test_a_users_activation_is_trained_and_served():
    import jax.numpy as jnp

    model = fitted(**NONE, activation=jnp.arctan, max_iter=60)
    assert error_of(model) < 0.1 * X.var(axis=0).mean()
    codes = model.transform(X)
    np.testing.assert_allclose(model.transform(X[:3]), codes[:3], rtol=1e-12)


# Likelihood


@unfinished
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@pytest.mark.parametrize(
    "prior",
    [
        "uniform",
        "learned",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("laplace", "gaussian", "exponential", "simplex")
        ),
    ],
)
def test_networks_train_under_every_prior_and_are_no_worse_than_their_start(prior):
    model = fitted(prior=prior, **MLP, max_iter=20)
    begun = fitted(prior=prior, **MLP, max_iter=1)
    assert model.loss_ <= begun.loss_ + 1e-12
    codes = model.transform(X)
    assert model.prior_.domain.project(codes, np.eye(2)) == pytest.approx(codes)
    assert str(model.prior_) == prior
    assert np.isfinite(model.score(X))
    assert model.loss_ == model.loss_curve_[-1]
    plain = AutoencoderDecomposer(2, prior=prior, random_state=0)
    assert model.score(X) > plain.fit(X).score(X) - 0.5


@unfinished
def test_loss_is_the_designs_formula():
    model = fitted(prior="laplace", **MLP, max_iter=10)
    codes = model.transform(X)
    squares = ((X - model.inverse_transform(codes)) ** 2).sum(axis=1)
    noise = squares.mean() / 10
    gram = model.components_ @ model.components_.T
    bounded = gram + noise * np.linalg.inv(model.prior_.code_covariance(2))
    expected = 5 * (1 + np.log(2 * np.pi * noise)) + 0.5 * np.linalg.slogdet(bounded)[1]
    expected -= model.prior_.log_density(codes).mean()
    assert model.loss_ == pytest.approx(expected, rel=1e-6)


@unfinished
@pytest.mark.slow
def test_a_network_learns_to_project_onto_the_box():
    """Clipped codes reconstruct worse than the box allows; hidden layers make up for some of that."""
    signals, _, _ = make_sinusoid_mixtures(500, 12, interval=(0, np.pi / 2), noise=0.2, random_state=0)
    clipped = fitted(signals, prior="uniform", activation="hard_sigmoid", max_iter=100, random_state=0)
    network = fitted(signals, prior="uniform", **{**MLP, "hidden_layer_sizes": (32,)}, max_iter=300)
    assert network.loss_ < clipped.loss_ - 0.02


# Weights, types, restarts


@unfinished
@pytest.mark.parametrize(
    "changes",
    [{"activation": "sigmoid"}, {"hidden_layer_sizes": (4,), "solver": "adam", "activation": "tanh"}],
)
def test_weights_count_rows(changes):
    """As long as all signals are one batch; the order of rows is a matter of rounding then."""
    weights = np.random.default_rng(0).integers(1, 3, size=60)
    parameters = {**NONE, **changes, "max_iter": 3}
    weighted = AutoencoderDecomposer(2, **parameters).fit(X[:60], sample_weight=weights)
    repeated = fitted(np.repeat(X[:60], weights, axis=0), **parameters)
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-6)


@unfinished
@pytest.mark.parametrize("changes", [{"activation": "sigmoid"}, {**SEED, "max_iter": 3}])
def test_single_precision_in_single_precision_out(changes):
    parameters = {**NONE, **changes, "max_iter": 3}
    one, other = fitted(X.astype(np.float32), **parameters), fitted(**parameters)
    assert one.components_.dtype == one.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(one.components_, other.components_, atol=2e-3)


@unfinished
def test_the_best_of_several_starts_is_kept():
    losses = [fitted(**{**SEED, "max_iter": 2}, random_state=0, n_init=n).loss_curve_[-2] for n in (1, 4)]
    assert losses[1] < losses[0]


@unfinished
@pytest.mark.filterwarnings("ignore:Training did not improve:sklearn.exceptions.ConvergenceWarning")
def test_init_is_where_the_network_begins():
    begun = fitted(**{**SEED, "learning_rate": 1e-9, "max_iter": 1}, init=SINES, random_state=0)
    assert worst_relative_error(SINES, begun.components_) < 1e-6
    with pytest.raises(ValueError, match="'init' parameter must be finite real components of shape"):
        fitted(**SEED, init=SINES[:, :5], random_state=0)


# Going on


@unfinished
@pytest.mark.filterwarnings("ignore:Training did not improve:sklearn.exceptions.ConvergenceWarning")
def test_warm_start_goes_on_where_training_was():
    parameters = {**NONE, "activation": "sigmoid", "solver": "sgd", "batch_size": 500, "learning_rate": 0.1}
    whole = fitted(**parameters, max_iter=6)
    halves = AutoencoderDecomposer(2, **parameters, max_iter=3, warm_start=True).fit(X)
    halves = pickle.loads(pickle.dumps(halves)).fit(X)
    np.testing.assert_allclose(halves.components_, whole.components_, rtol=1e-8)
    with pytest.raises(ValueError, match="warm_start=True cannot go on from the last fit"):
        clone(halves).set_params(activation="tanh", warm_start=True).fit(X).set_params(activation="relu").fit(
            X
        )


@unfinished
@pytest.mark.slow
def test_early_stopping_holds_out_rows():
    model = fitted(
        **NONE,
        hidden_layer_sizes=(8,),
        activation="tanh",
        solver="adam",
        learning_rate=0.05,
        early_stopping=True,
        n_iter_no_change=3,
        max_iter=200,
    )
    assert model.n_iter_ < 200
    assert model.converged_
    with pytest.raises(
        ValueError, match="early_stopping=True needs a solver that goes through the signals in"
    ):
        fitted(**NONE, activation="tanh", early_stopping=True)


@unfinished
@pytest.mark.slow
def test_solvers_and_schedules_of_optax():
    decaying = optax.cosine_decay_schedule(0.05, 100)
    one = fitted(**{**SEED, "learning_rate": decaying, "batch_size": 50, "max_iter": 20}, random_state=0)
    other = fitted(
        **{**SEED, "solver": optax.adamw(0.01), "learning_rate": "auto", "max_iter": 2}, random_state=0
    )
    assert one.loss_ < one.loss_curve_[0]
    assert other.loss_ < other.loss_curve_[0]
    with pytest.raises(
        ValueError, match="learning_rate cannot be given together with a gradient transformation"
    ):
        fitted(**{**SEED, "solver": optax.adamw(0.01)})


# Faults


def test_divergence_is_an_error_that_names_the_learning_rate_and_loses_nothing():
    model = fitted(**NONE)
    before = model.transform(X)
    model.set_params(**{**SEED, "activation": "identity", "solver": "sgd", "learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"became non-finite at iteration 1 of 100 \(learning_rate=1e\+30\)"):
        model.fit(X)
    np.testing.assert_array_equal(model.transform(X), before)


@unfinished
def test_a_network_worse_than_the_mean_is_a_warning():
    with pytest.warns(
        ConvergenceWarning, match="did not improve on predicting the mean; lower learning_rate"
    ):
        fitted(**{**SEED, "learning_rate": 1e-9, "max_iter": 1}, random_state=0)


def test_a_callback_may_end_training_or_fail():
    seen = []
    model = fitted(**SEED, callback=lambda info: seen.append(info) or True, random_state=0)
    assert len(seen) == 1
    assert seen[0].iteration == model.n_iter_ < 100

    def interrupt(info):
        raise KeyboardInterrupt

    before = model.transform(X)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callback=interrupt).fit(X)
    np.testing.assert_array_equal(model.transform(X), before)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"encoder": "mlp"}, "encoder='mlp' needs hidden_layer_sizes to be at least one layer"),
        (
            {"encoder": "affine", "hidden_layer_sizes": (3,)},
            "encoder='affine' needs hidden_layer_sizes to be",
        ),
        (
            {"prior": "uniform", "activation": "tanh"},
            "'tanh' cannot be used under the prior uniform.*hard_sig",
        ),
        ({"hidden_activation": "softmax", "hidden_layer_sizes": (3,)}, "need an elementwise activation"),
        (
            {"basis": "nonnegative", "prior": "exponential", "hidden_layer_sizes": (3,)},
            "basis must be 'free'",
        ),
        (
            {"basis": Nonnegative(), "prior": "exponential", "hidden_layer_sizes": (3,)},
            "basis must be 'free'",
        ),
    ],
)
def test_contradictions_are_named(parameters, match):
    with pytest.raises(ValueError, match=match):
        fitted(**parameters)


@unfinished
def test_missing_entries_are_filled_before_the_network_sees_them():
    holed = X.copy()
    holed[np.random.default_rng(0).uniform(size=X.shape) < 0.1] = np.nan
    model = fitted(holed, prior="uniform", **MLP, max_iter=20)
    rebuilt = model.inverse_transform(model.transform(holed))
    assert ((rebuilt - X) ** 2).mean() < 2 * 0.05**2
    assert np.isfinite(model.score(holed))


def test_signals_without_variance_have_nothing_to_train():
    for parameters in ({"hidden_layer_sizes": (3,)}, {**NONE, "activation": "relu"}):
        with pytest.warns(UserWarning, match="X has no variance"):
            model = fitted(np.ones((20, 4)), **parameters)
        np.testing.assert_array_equal(model.components_, 0.0)
        np.testing.assert_array_equal(model.transform(np.ones((3, 4))), 0.0)


@pytest.mark.slow
@unfinished
def test_a_saved_network_holds_numpy_alone_and_serves_without_jax(tmp_path):
    model = fitted(prior="uniform", **MLP, solver="adam", max_iter=2)
    file = tmp_path / "model.pickle"
    file.write_bytes(pickle.dumps(model))
    assert not {name for name in ("jax", "optax") if name.encode() in file.read_bytes()}
    code = f"""
import sys, pickle, numpy as np
sys.modules.update(jax=None, optax=None)
model = pickle.load(open({str(file)!r}, "rb"))
data = np.linspace(-1, 1, 36).reshape(3, 12)
print(model.transform(data).tobytes().hex(), np.isfinite(model.score(data)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    data = np.linspace(-1, 1, 36).reshape(3, 12)
    assert done.stdout.split() == [model.transform(data).tobytes().hex(), "True"]


# Streams


@unfinished
@pytest.mark.parametrize(
    "changes", [{"activation": "tanh"}, {"hidden_layer_sizes": (4,), "prior": "uniform"}]
)
def test_partial_fit_goes_on_with_a_network(changes):
    signals, _, _ = make_sinusoid_mixtures(400, 12, noise=0.05, random_state=1)
    parameters = {**NONE, **changes, "max_iter": 30}
    model = AutoencoderDecomposer(2, **parameters)
    for first in range(0, 400, 80):
        before = model.components_ if first >= 160 else None
        model.partial_fit(signals[first : first + 80])
        if before is not None:
            assert ((model.components_ * before).sum(axis=1) > 0).all()
    whole = fitted(signals, **parameters)
    assert error_of(model, signals) < 1.2 * error_of(whole, signals)
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.partial_fit(X)
    np.testing.assert_array_equal(model.components_, copy.components_)
    assert np.isfinite(model.score(X))
    with pytest.raises(
        ValueError, match="partial_fit cannot go on: layers, activations or solver have changed"
    ):
        model.set_params(hidden_layer_sizes=(7,)).partial_fit(X)


@pytest.mark.slow
@unfinished
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
def test_a_stream_of_a_network_ends_where_its_fit_does():
    """Its first rows suggest another basis, from which training alone does not come back."""
    rng = np.random.default_rng(3)
    signals = rng.laplace(size=(500, 2)) @ rng.standard_normal((2, 12))
    signals += 0.05 * rng.standard_normal(signals.shape)
    parameters = {"prior": "laplace", **MLP, "max_iter": 20}
    whole, model = fitted(signals, **parameters), AutoencoderDecomposer(2, **parameters)
    for first in range(0, 500, 7):
        model.partial_fit(signals[first : first + 7])
    assert worst_relative_error(whole.components_, model.components_) < 0.1
    assert model.score(signals) > whole.score(signals) - 0.02


@unfinished
def test_a_stream_goes_on_from_a_network_that_has_learned_more():
    signals, _, _ = make_sinusoid_mixtures(200, 12, random_state=0)
    parameters = {**NONE, "activation": "sigmoid"}
    begun, model = (fitted(signals, **parameters, max_iter=n) for n in (1, 100))
    learned = error_of(model, signals)
    model.set_params(max_iter=1).partial_fit(signals)
    assert error_of(model, signals) < 2 * learned < 0.5 * error_of(begun, signals)
