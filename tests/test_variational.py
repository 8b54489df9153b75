"""The variational encoder: against probabilistic PCA, its closed form with weight decay, and draws."""

import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.activations import Identity
from sparse_fourier.losses import Batch
from sparse_fourier.networks import Encoder, Layer
from sparse_fourier.penalties import L2, Contractive
from sparse_fourier.quasinewton import minimise
from sparse_fourier.variational import EvidenceBound, VariationalAutoencoder

K, D = 3, 12


@pytest.fixture(scope="module", name="X")
def signals():
    rng = np.random.default_rng(0)
    mixing = np.array([[3.0], [2.0], [1.0]]) * rng.standard_normal((K, D))
    return rng.standard_normal((400, K)) @ mixing + 0.7 * rng.standard_normal((400, D)) + 5.0


def decomposer(k=K, **parameters):
    return AutoencoderDecomposer(k, encoder="variational", random_state=0, **parameters)


def ppca(X, k=K):
    """Return evidence per sample, noise variance and eigenvalues of the maximum-likelihood solution."""
    eigenvalues = np.linalg.eigvalsh(np.cov(X.T, ddof=0))[::-1]
    d, noise = X.shape[1], eigenvalues[k:].mean()
    evidence = d * np.log(2 * np.pi) + np.log(eigenvalues[:k]).sum() + (d - k) * np.log(noise) + d
    return -0.5 * evidence, noise, eigenvalues[:k]


NETWORKS = [
    {},
    {"hidden_layer_sizes": (8,)},
    {"solver": "adam", "max_iter": 5, "tol": 1e-2},
    {"hidden_layer_sizes": (8,), "solver": "adam", "max_iter": 5, "tol": 1e-2},
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("parameters", NETWORKS, ids=str)
def test_is_probabilistic_pca(X, parameters):
    evidence, noise, eigenvalues = ppca(X)
    model, pca = decomposer(**parameters).fit(X), PCA(K).fit(X)
    assert -model.loss_ == pytest.approx(evidence, abs=1e-6)
    assert model.score(X) == pytest.approx(evidence, abs=1e-6)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-4)
    np.testing.assert_allclose(np.abs(model.components_ @ pca.components_.T), np.eye(K), atol=1e-5)
    np.testing.assert_allclose(model.intercept_, X.mean(axis=0), atol=1e-6)
    shrinkage = model.transform(X).std(axis=0) / pca.transform(X).std(axis=0)
    np.testing.assert_allclose(shrinkage, 1 - noise / eigenvalues, rtol=1e-4)


def test_score_is_that_of_pca_up_to_the_divisor_of_variances(X):
    n, pca = len(X), PCA(K).fit(X)
    pca.explained_variance_ *= (n - 1) / n
    pca.noise_variance_ *= (n - 1) / n
    np.testing.assert_allclose(decomposer().fit(X).score_samples(X), pca.score_samples(X), rtol=1e-9)
    np.testing.assert_allclose(decomposer().fit(X).get_covariance(), pca.get_covariance(), atol=1e-9)


@pytest.mark.slow
def test_training_from_anywhere_ends_there(X):
    evidence, noise, _ = ppca(X)
    rng = np.random.default_rng(1)
    encoder = Encoder(Layer(rng.standard_normal((D, K)), np.zeros(K)), (), Identity(), Identity())
    start = VariationalAutoencoder(encoder, rng.standard_normal((K, D)), np.zeros(D), np.zeros(K))
    data = Batch(X - X.mean(axis=0), np.ones(len(X)), np.float64(len(X)))
    model, found = minimise(EvidenceBound((), 1.0, np.float64(1e-9)), start, data, max_iter=2000, tol=1e-15)
    W = model.components
    assert -found.value == pytest.approx(evidence, abs=1e-6)
    pca = PCA(K).fit(X)
    np.testing.assert_allclose(W @ pca.components_.T @ pca.components_, W, atol=1e-2)
    gram = W @ W.T
    assert np.abs(gram - np.diag(np.diagonal(gram))).max() < 0.02 * gram.max()
    posterior = noise / (np.sort(np.diagonal(gram))[::-1] + noise)
    np.testing.assert_allclose(np.sort(np.exp(model.log_variances)), posterior, rtol=1e-2)


def test_bound_is_the_mean_of_draws_of_the_codes(X):
    rng = np.random.default_rng(2)
    encoder = Encoder(Layer(0.1 * rng.standard_normal((D, K)), np.ones(K)), (), Identity(), Identity())
    logs = rng.uniform(-2, 0, K)
    model = VariationalAutoencoder(encoder, rng.standard_normal((K, D)), np.ones(D), logs)
    noise, rows = 0.5, X[:5]
    batch = Batch(rows, np.ones(5), 5.0)
    bound, _ = EvidenceBound((), 1.0, 0.0)(model, batch, noise, 0.0)
    means = model.encode(rows)
    draws = rng.standard_normal((200_000, K)) * np.exp(0.5 * logs)
    total = 0.0
    for x, mean in zip(rows, means, strict=True):
        codes = mean + draws
        errors = ((x - model.decode(codes)) ** 2).sum(axis=1)
        log_joint = -0.5 * (errors / noise + D * np.log(2 * np.pi * noise) + (codes**2).sum(axis=1))
        log_q = -0.5 * ((draws**2 / np.exp(logs)).sum(axis=1) + logs.sum())
        total -= (log_joint - log_q).mean() / 5
    assert bound == pytest.approx(total, rel=2e-3)


def test_weight_decay_shrinks_as_its_closed_form_says(X):
    """Variances c of the signals along the axes solve 1 / c - l / c² + 2 strength = 0."""
    strength = 0.05
    eigenvalues = np.linalg.eigvalsh(np.cov(X.T, ddof=0))[::-1]
    model = decomposer(penalty=L2(strength)).fit(X)
    shrunk = (np.sqrt(1 + 8 * strength * eigenvalues[:K]) - 1) / (4 * strength)
    left = (D - K) / 2
    rest = eigenvalues[K:].sum() / 2
    noise = (left - np.sqrt(left**2 - 4 * K * strength * rest)) / (2 * K * strength)
    assert model.noise_variance_ == pytest.approx(noise, rel=1e-3)
    found = np.linalg.eigvalsh(model.get_covariance())[::-1][:K]
    np.testing.assert_allclose(found, shrunk, rtol=1e-3)


@pytest.mark.slow
def test_penalised_network_stays_below_the_evidence(X):
    evidence, _, _ = ppca(X)
    model = decomposer(hidden_layer_sizes=(8,), penalty=Contractive(0.1), max_iter=200, tol=1e-6).fit(X)
    assert -model.loss_ < evidence
    assert model.score(X) < evidence + 1e-9
    assert model.transform(X).std() < decomposer().fit(X).transform(X).std()


def test_weights_are_repetitions(X):
    counts = np.arange(len(X)) % 3
    weighted = decomposer().fit(X, sample_weight=counts)
    repeated = decomposer().fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-10)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-12)


def test_batches_lead_to_the_fit_of_all_of_them(X):
    whole, streamed = decomposer().fit(X), decomposer()
    for rows in np.array_split(X, 4):
        streamed.partial_fit(rows)
    assert streamed.score(X) == pytest.approx(whole.score(X), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1e150])
def test_unit_of_the_signals_does_not_matter(X, scale):
    plain, scaled = decomposer().fit(X), decomposer().fit(scale * X)
    np.testing.assert_allclose(scaled.components_, plain.components_, atol=1e-10)
    np.testing.assert_allclose(scaled.transform(scale * X), scale * plain.transform(X), rtol=1e-9)


def test_signals_without_noise_are_coded_as_they_are(X):
    pca = PCA(K).fit(X)
    exact = pca.inverse_transform(pca.transform(X))
    model = decomposer().fit(exact)
    np.testing.assert_allclose(model.inverse_transform(model.transform(exact)), exact, atol=1e-9)
    assert np.isfinite(model.score(exact))


def test_ranks_that_are_not_there_get_zeros(X):
    with pytest.warns(UserWarning, match="larger than the numerical rank"):
        model = decomposer(3).fit(np.outer(np.arange(20.0), np.ones(4)))
    assert not model.components_[1:].any()
    assert np.isfinite(model.loss_)


def test_survives_pickling(X):
    model = decomposer(hidden_layer_sizes=(8,), max_iter=3).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert str(again.prior_) == "gaussian"
    assert again.sample(5, random_state=0).shape == (5, D)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"prior": "uniform"}, "encoder='variational' needs the Gaussian prior. Got prior='uniform'"),
        ({"prior": None}, "encoder='variational' needs the Gaussian prior. Got prior=None"),
        ({"activation": "sigmoid"}, "encoder='variational' needs codes on all of the real line"),
    ],
)
def test_what_it_cannot_be_used_with(X, parameters, words):
    with pytest.raises(ValueError, match=words):
        decomposer(**parameters).fit(X)
