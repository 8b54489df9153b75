"""Fits that go on: `partial_fit` against `fit` on all rows."""

import pickle

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier import AutoencoderDecomposer, runtime, streaming
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.priors import Prior

X, _, COMPONENTS = make_sinusoid_mixtures(3000, random_state=11)
FITTED = ("components_", "intercept_", "explained_variance_", "loss_", "noise_variance_", "n_iter_")
pytestmark = pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")


def streamed(rows, size, **options):
    model = AutoencoderDecomposer(random_state=0, **options)
    for first in range(0, len(rows), size):
        model.partial_fit(rows[first : first + size])
    return model


def mixtures(prior, n=1000, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    draw = {
        "uniform": lambda: rng.uniform(size=(n, 3)),
        "laplace": lambda: rng.laplace(size=(n, 3)),
        "exponential": lambda: rng.exponential(size=(n, 3)),
        "simplex": lambda: rng.dirichlet(np.ones(3), n),
        "learned": lambda: rng.exponential(size=(n, 3)),
        "gaussian": lambda: rng.standard_normal((n, 3)) * [4, 2, 1],
    }
    return draw[prior]() @ rng.uniform(size=(3, 12)) + noise * rng.standard_normal((n, 12))


def cosines(one, other):
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("ij,ij->i", one, other) / norms


def assert_same_fit(one, other):
    for name in FITTED:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_one_call_is_a_fit():
    assert_same_fit(streamed(X, len(X)), AutoencoderDecomposer(random_state=0).fit(X))


def test_one_pass_over_the_seed_in_batches():
    model = streamed(X, 100)
    assert worst_relative_error(COMPONENTS, model.components_) < 0.005


@pytest.mark.parametrize("size", [7, 1000])
def test_batches_converge_to_the_fit_of_all_rows(size):
    whole = AutoencoderDecomposer(random_state=0).fit(X)
    model = streamed(X, size)
    assert np.abs(cosines(model.components_, whole.components_)).min() > 0.99
    assert model.n_components_ == 2


def test_single_rows_converge_to_the_fit_of_all_rows():
    whole = AutoencoderDecomposer(random_state=0).fit(X[:600])
    model = streamed(X[:600], 1)
    assert np.abs(cosines(model.components_, whole.components_)).min() > 0.95


@pytest.mark.parametrize(
    "prior",
    [
        "uniform",
        "laplace",
        "exponential",
        "simplex",
        pytest.param("learned", marks=pytest.mark.slow),
        "gaussian",
    ],
)
def test_every_prior_converges_to_its_fit(prior):
    rows = mixtures(prior)
    whole = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(rows)
    model = streamed(rows, 120, n_components=3, prior=prior)
    assert worst_relative_error(whole.components_, model.components_) < 0.06
    seen = rows[:720]
    assert model.score(seen) == pytest.approx(whole.score(seen), abs=0.2)


class Triangular(Prior):
    """Codes that sit low, as a user would write them."""

    support = "unit"

    def log_density(self, codes):
        import jax.numpy as jnp

        return jnp.log(2.0 * jnp.maximum(1.0 - codes, 1e-9)).sum(axis=1)


@pytest.mark.slow
def test_a_prior_of_ones_own():
    rng = np.random.default_rng(0)
    rows = (1 - np.sqrt(rng.uniform(size=(400, 2)))) @ rng.standard_normal((2, 6))
    whole = AutoencoderDecomposer(2, prior=Triangular(), random_state=0).fit(rows)
    model = streamed(rows, 200, n_components=2, prior=Triangular())
    assert_same_fit(model, whole)


def test_order_and_signs_stay():
    rng = np.random.default_rng(0)
    model = AutoencoderDecomposer(2, prior="laplace", random_state=0)
    first = rng.laplace(size=(400, 2)) * [1.2, 1.0]
    later = rng.laplace(size=(4000, 2)) * [1.0, 3.0] - 4
    components = np.linalg.qr(rng.standard_normal((8, 2)))[0].T
    before = model.partial_fit(first @ components).components_
    for part in np.split(later, 8):
        now = model.partial_fit(part @ components).components_
        assert cosines(before, now).min() > 0.8
    assert model.explained_variance_[0] < model.explained_variance_[1], "as settled, not as sorted"
    whole = AutoencoderDecomposer(2, prior="laplace", random_state=0).fit(np.r_[first, later] @ components)
    assert whole.explained_variance_[0] > whole.explained_variance_[1]


def test_mirrored_codes_keep_the_model():
    rows = mixtures("uniform")
    model = streamed(rows[:500], 500, n_components=3)
    model.components_[1] *= -1  # has no effect: what is compared with is private
    model.partial_fit(rows[500:])
    whole = AutoencoderDecomposer(3, random_state=0).fit(rows)
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(rows)),
        whole.inverse_transform(whole.transform(rows)),
        atol=1e-6,
    )
    assert model.score(rows) == pytest.approx(whole.score(rows), rel=1e-9)


def test_it_goes_on_exactly_after_pickling():
    model = streamed(X[:700], 100)
    loaded = pickle.loads(pickle.dumps(model))
    for each in (model, loaded):
        for first in range(700, 1500, 90):
            each.partial_fit(X[first : first + 90])
    assert_same_fit(model, loaded)


def test_a_single_row_starts():
    for prior in ("uniform", "laplace", "exponential", "simplex", "gaussian", "learned"):
        model = AutoencoderDecomposer(1, prior=prior).partial_fit(X[:1])
        assert model.components_.shape == (1, 30)
        np.testing.assert_allclose(model.inverse_transform(model.transform(X[:1])), X[:1], atol=1e-12)
        assert np.isfinite(model.score(X[:5]))


def test_the_number_of_components_is_settled_once():
    model = AutoencoderDecomposer(random_state=0).partial_fit(X[:5])
    assert model.partial_fit(X[5:200]).n_components_ == 2
    rng = np.random.default_rng(0)
    other = rng.uniform(size=(2000, 4)) @ rng.standard_normal((4, 30))
    assert model.partial_fit(other).components_.shape == (2, 30)


def test_weights_count_rows():
    weights = np.random.default_rng(0).integers(0, 3, 300)
    model = AutoencoderDecomposer(random_state=0)
    repeated = AutoencoderDecomposer(random_state=0)
    for rows in np.split(np.arange(300), 3):
        model.partial_fit(X[rows], sample_weight=weights[rows])
        repeated.partial_fit(np.repeat(X[rows], weights[rows], axis=0))
    np.testing.assert_allclose(model.components_, repeated.components_, rtol=1e-7, atol=1e-9)


def test_missing_entries_and_features_not_seen_yet():
    rng = np.random.default_rng(0)
    holed = np.where(rng.random(X[:600].shape) < 0.2, np.nan, X[:600])
    first = holed[:300].copy()
    first[:, 4] = np.nan
    model = AutoencoderDecomposer(random_state=0).partial_fit(first)
    assert not model.components_[:, 4].any()
    with pytest.warns(UserWarning, match=r"observed yet of the columns \[4\]"):
        model.transform(X[:2])
    model.partial_fit(holed[300:])
    model.transform(X[:2])
    assert worst_relative_error(COMPONENTS, model.components_) < 0.02


def test_it_goes_on_from_a_fit():
    rows = mixtures("uniform", n=2000)
    model = AutoencoderDecomposer(3, random_state=0).fit(rows[:1000])
    before = model.components_
    for part in np.split(rows[1000:], 4):
        model.partial_fit(part)
    assert cosines(before, model.components_).min() > 0.99
    whole = AutoencoderDecomposer(3, random_state=0).fit(rows)
    assert worst_relative_error(whole.components_, model.components_) < 0.03
    assert model.noise_variance_ == pytest.approx(whole.noise_variance_, rel=0.05)


def test_fit_after_partial_fit_starts_from_nothing():
    model = streamed(X[:500], 50)
    assert_same_fit(model.fit(X[500:900]), AutoencoderDecomposer(random_state=0).fit(X[500:900]))


def test_rows_are_copied():
    rows = X[:200].copy()
    model = AutoencoderDecomposer(random_state=0).partial_fit(rows)
    rows[:] = 7.0
    model.partial_fit(X[200:600])
    assert_same_fit(model, streamed(X[:600], 600))


@pytest.mark.parametrize(
    ("change", "rows", "match"),
    [
        ({"n_components": 4}, X[:50], "n_components changed from 2 to 4 since the first partial_fit"),
        ({}, X[:50, :5], "X has 5 features, but AutoencoderDecomposer is expecting 30 features"),
        ({}, np.where(X[:50] > 1, np.inf, X[:50]), "contains infinity"),
    ],
)
def test_what_is_refused_changes_nothing(change, rows, match):
    model = streamed(X[:150], 50, n_components=2)
    twin = pickle.loads(pickle.dumps(model))
    asked = model.get_params()
    with pytest.raises(ValueError, match=match):
        model.set_params(**change).partial_fit(rows)
    model.set_params(**asked)
    for each in (model, twin):
        each.partial_fit(X[150:400])
    assert_same_fit(model, twin)


def test_a_failing_fit_loses_nothing():
    model = streamed(X[:150], 50)
    twin = pickle.loads(pickle.dumps(model))

    def fail(progress):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        model.set_params(callback=fail).partial_fit(X[150:400])
    model.set_params(callback=None)
    for each in (model, twin):
        each.partial_fit(X[150:400])
    assert_same_fit(model, twin)


def test_warnings_begin_when_rows_suffice():
    with pytest.warns(ConvergenceWarning, match="Increase max_iter"):
        AutoencoderDecomposer(3, prior="laplace", max_iter=1).partial_fit(mixtures("laplace"))
    AutoencoderDecomposer(3, max_iter=1).partial_fit(X[:2])


# What is kept


def test_any_sequence_of_batch_sizes_compiles_nothing(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("nothing is to be compiled")

    monkeypatch.setattr(runtime.Program, "__call__", refuse)
    sizes = np.random.default_rng(0).integers(1, 40, 100)
    model = AutoencoderDecomposer(random_state=0)
    for last, size in zip(np.cumsum(sizes), sizes, strict=True):
        model.partial_fit(X[last - size : last])
    assert worst_relative_error(COMPONENTS, model.components_) < 0.01


@pytest.mark.slow
def test_faces_survive_when_rows_are_thinned_out(monkeypatch):
    monkeypatch.setattr(streaming, "_MOST_ROWS", 600)
    monkeypatch.setattr(streaming, "_FEWEST_ROWS", 1)
    model = streamed(X, 150)
    assert len(model._stream.rows) <= 600
    assert model._stream.n_samples == len(X)
    total = model._stream.weights.sum() + sum(weights.sum() for _, weights in model._stream.waiting)
    assert total == pytest.approx(len(X))
    whole = AutoencoderDecomposer(random_state=0).fit(X)
    few = AutoencoderDecomposer(random_state=0).fit(X[:600])
    error, best, worst = (worst_relative_error(COMPONENTS, each.components_) for each in (model, whole, few))
    assert error < max(3 * best, 0.5 * worst)


def test_a_sample_stands_for_its_rows():
    rng = np.random.default_rng(0)
    stream = streaming.Stream.empty(3, np.dtype(float), 0)
    rows, weights = rng.standard_normal((300, 3)), rng.uniform(1, 5, 300)
    stream = stream.extended(rows, weights)
    means = []
    for seed in range(200):
        whole = streaming.replace(stream, seed=seed, rows=rows, weights=weights, waiting=())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streaming, "capacity", lambda d: 100)
            thin = streaming._thinned(whole)
        assert 48 <= len(thin.rows) <= 52
        means.append(thin.weights @ thin.rows / thin.weights.sum())
    expected = weights @ rows / weights.sum()
    np.testing.assert_allclose(np.mean(means, axis=0), expected, atol=4 * 0.15 / np.sqrt(200))


def test_chances_sum_to_what_is_kept():
    sizes = np.array([100.0, 5.0, 1.0, 1.0, 1.0, 0.5])
    chances = streaming._chances(sizes, 3)
    assert chances.sum() == pytest.approx(3)
    assert chances.max() == 1
    assert chances[2] / chances[5] == pytest.approx(2)
