"""More components than features: atoms and codes against the truth, and what the estimator promises."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.utils import estimator_checks as checks

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.activations import BatchTopK, TopK
from sparse_fourier.exceptions import IdentifiabilityWarning
from sparse_fourier.metrics import active_codes, atom_hit_rate, explained_variance

VARIANTS = [AutoencoderDecomposer(40, prior=name, random_state=0) for name in ("laplace", "exponential")]


def sparse_signals(seed, k=20, d=10, n=800, noise=0.0, nonnegative=False):
    """Return signals of two atoms each, their codes and the atoms."""
    rng = np.random.RandomState(seed)
    atoms = rng.standard_normal((k, d))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((n, k))
    chosen = np.argsort(rng.uniform(size=(n, k)), axis=1)[:, :2]
    values = rng.standard_normal((n, 2))
    np.put_along_axis(codes, chosen, np.abs(values) if nonnegative else values, axis=1)
    return codes @ atoms + noise * rng.standard_normal((n, d)), codes, atoms


@pytest.fixture(scope="module")
def fitted():
    X, codes, atoms = sparse_signals(0, noise=0.01)
    return AutoencoderDecomposer(20, prior="laplace", random_state=0).fit(X), X, codes, atoms


@pytest.mark.parametrize(("prior", "noise"), [("laplace", 0.02), ("exponential", 0.02), ("auto", 0.0)])
def test_atoms_are_found(prior, noise):
    X, _, atoms = sparse_signals(1, noise=noise, nonnegative=prior == "exponential")
    found = AutoencoderDecomposer(20, prior=prior, random_state=0).fit(X)
    assert str(found.prior_) == ("laplace" if prior == "auto" else prior)
    assert atom_hit_rate(atoms, found.components_) >= 0.95
    np.testing.assert_allclose(np.linalg.norm(found.components_, axis=1), 1.0)


def test_codes_are_sparse_and_those_of_the_truth(fitted):
    model, X, codes, atoms = fitted
    found = model.transform(X)
    cosines = atoms @ model.components_.T
    aligned = found[:, np.abs(cosines).argmax(axis=1)] * np.sign(
        cosines[np.arange(20), np.abs(cosines).argmax(axis=1)]
    )
    assert abs(np.count_nonzero(found, axis=1).mean() - 2) < 0.1
    assert np.median(np.abs(aligned - codes).max(axis=1)) < 0.05


def test_noise_and_covariance(fitted):
    model, X, *_ = fitted
    assert model.noise_variance_ == pytest.approx(1e-4, rel=0.8)
    np.testing.assert_allclose(model.get_covariance(), np.cov(X.T), atol=0.03)
    drawn = model.sample(20000, random_state=0)
    np.testing.assert_allclose(np.cov(drawn.T), model.get_covariance(), atol=0.03)


def test_score_is_the_joint_density(fitted):
    model, X, *_ = fitted
    codes, noise = model.transform(X), model.noise_variance_
    squares = ((X - model.inverse_transform(codes)) ** 2).sum(axis=1)
    gaussian = -0.5 * (squares / noise + X.shape[1] * np.log(2 * np.pi * noise))
    np.testing.assert_allclose(model.score_samples(X), gaussian + model.prior_.log_density(codes), rtol=1e-6)
    assert model.loss_ == pytest.approx(-model.score(X))


def test_a_scale_a_copy_and_a_pickle_change_nothing(fitted):
    model, X, *_ = fitted
    again = clone(model).fit(X * 2.0**40)
    np.testing.assert_array_equal(again.components_, model.components_)
    np.testing.assert_array_equal(again.transform(X[:5] * 2.0**40), model.transform(X[:5]) * 2.0**40)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), model.transform(X))


def test_missing_entries():
    X, _, atoms = sparse_signals(2, noise=0.01)
    holes = np.where(np.random.RandomState(0).uniform(size=X.shape) < 0.05, np.nan, X)
    model = AutoencoderDecomposer(20, prior="laplace", random_state=0).fit(holes)
    assert atom_hit_rate(atoms, model.components_) >= 0.9
    filled = model.inverse_transform(model.transform(holes))[np.isnan(holes)]
    assert np.median(np.abs(filled - X[np.isnan(holes)])) < 0.05


def test_more_atoms_than_signals_need():
    X = np.repeat(np.eye(3), 4, axis=0)
    with pytest.warns(IdentifiabilityWarning, match="used by no signal"):
        model = AutoencoderDecomposer(6, prior="laplace", random_state=0).fit(X)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X, atol=1e-6)


def test_a_callback_stops():
    X, *_ = sparse_signals(3)
    model = AutoencoderDecomposer(
        20, prior="laplace", callback=lambda info: info.iteration == 5, random_state=0
    )
    assert model.fit(X).n_iter_ == 5


def test_a_basis_of_its_own_is_refused():
    X, *_ = sparse_signals(3)
    with pytest.raises(ValueError, match="n_components=20 .* n_features = 10 with basis='fourier'"):
        AutoencoderDecomposer(20, prior="laplace", basis="fourier").fit(X)


def test_networks_are_refused():
    X, *_ = sparse_signals(3)
    with pytest.raises(ValueError, match="n_components=20 .* n_features = 10 with activation='relu'"):
        AutoencoderDecomposer(20, prior="exponential", activation="relu").fit(X)


@pytest.mark.slow
def test_partial_fit_keeps_order_and_signs():
    X, _, atoms = sparse_signals(4, noise=0.01)
    model = AutoencoderDecomposer(20, prior="laplace", random_state=0).partial_fit(X[:500])
    before = model.components_
    model.partial_fit(X[500:])
    cosines = np.einsum("ij,ij->i", before, model.components_)
    assert np.median(cosines) > 0.99
    assert cosines.min() > 0
    at_once = clone(model).fit(X)
    assert atom_hit_rate(atoms, model.components_) >= atom_hit_rate(atoms, at_once.components_)


@pytest.mark.parametrize("prior", ["laplace", "exponential"])
@pytest.mark.parametrize("encoder", ["auto", "unrolled"])
def test_a_number_of_active_codes_is_kept(prior, encoder):
    X, _, atoms = sparse_signals(5, noise=0.01, nonnegative=prior == "exponential")
    model = AutoencoderDecomposer(20, prior=prior, activation=TopK(2), encoder=encoder, random_state=0).fit(X)
    codes = model.transform(X)
    assert np.count_nonzero(codes, axis=1).max() == 2
    assert prior == "laplace" or (codes >= 0).all()
    assert atom_hit_rate(atoms, model.components_) >= 0.9
    assert 0 <= model.coding_gap_ < 0.01
    np.testing.assert_allclose(model.transform(X[:7]), codes[:7], rtol=1e-12, atol=1e-14)


def test_an_average_of_active_codes_is_kept():
    X, *_ = sparse_signals(6, noise=0.05)
    model = AutoencoderDecomposer(20, prior="laplace", activation=BatchTopK(2), random_state=0).fit(X)
    codes = model.transform(X)
    assert active_codes(codes) == pytest.approx(2, abs=0.2)
    np.testing.assert_allclose(model.transform(X[:7]), codes[:7], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["file", "sparse"])
def test_what_is_read_in_blocks_gives_what_an_array_gives(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("sparse_fourier.dictionaries._MOST_CODES_TO_SWEEP", 10_000)
    X, *_ = sparse_signals(8, noise=0.01)
    X += 3.0
    np.save(tmp_path / "X.npy", X)
    read = csr_array(X) if kind == "sparse" else np.load(tmp_path / "X.npy", mmap_mode="r")
    plain, streamed = (
        AutoencoderDecomposer(20, prior="laplace", random_state=0).fit(signals) for signals in (X, read)
    )
    np.testing.assert_allclose(streamed.components_, plain.components_, atol=1e-6)
    np.testing.assert_allclose(streamed.intercept_, plain.intercept_, atol=1e-6)
    assert streamed.loss_ == pytest.approx(plain.loss_, rel=1e-6)
    assert streamed.reconstruction_err_ == pytest.approx(plain.reconstruction_err_, rel=1e-6)


def test_a_path_over_numbers_compiles_nothing(compiled):
    X, *_ = sparse_signals(7, n=300)
    explained = []
    for count in (1, 2, 3):
        model = AutoencoderDecomposer(20, prior="laplace", activation=TopK(count), random_state=0).fit(X)
        explained.append(explained_variance(X, model.inverse_transform(model.transform(X))))
    np.testing.assert_allclose(explained[1:], 1.0, atol=1e-3)
    assert 0.5 < explained[0] < 0.95
    assert not compiled


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"activation": TopK(0)}, r"'n_active' parameter of TopK must be an int .* Got 0 instead"),
        ({"activation": BatchTopK(1.5)}, r"'n_active' parameter of BatchTopK .* Got 1.5 instead"),
        (
            {"n_components": 5, "encoder": "unrolled"},
            "encoder='unrolled' is for more components than features",
        ),
        (
            {"n_components": 5, "activation": "batch_top_k"},
            "'batch_top_k' is for more components than features",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    X, *_ = sparse_signals(3)
    with pytest.raises(ValueError, match=message):
        AutoencoderDecomposer(**({"n_components": 20, "prior": "laplace"} | parameters)).fit(X)


@pytest.mark.slow
@pytest.mark.parametrize(("decibels", "least"), [(None, 46), (30, 46), (20, 46), (10, 40)])
def test_the_experiment_of_aharon_elad_and_bruckstein(decibels, least):
    rng = np.random.RandomState(0)
    atoms = rng.standard_normal((50, 20))
    codes = np.zeros((1500, 50))
    chosen = np.argsort(rng.uniform(size=codes.shape), axis=1)[:, :3]
    np.put_along_axis(codes, chosen, rng.standard_normal((1500, 3)), axis=1)
    X = codes @ (atoms / np.linalg.norm(atoms, axis=1, keepdims=True))
    if decibels is not None:
        noise = rng.standard_normal(X.shape)
        X = X + noise * np.linalg.norm(X) / np.linalg.norm(noise) * 10 ** (-decibels / 20)
    found = AutoencoderDecomposer(50, prior="laplace", random_state=0).fit(X)
    assert 50 * atom_hit_rate(atoms, found.components_) >= least


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@checks.parametrize_with_checks(VARIANTS)
def test_scikit_learn_check(estimator, check):
    check(estimator)
