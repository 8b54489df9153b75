"""Networks that give sparse codes: by the formula of their layers, and atoms against the truth."""

import pickle

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.activations import BatchTopK, Identity, TopK
from sparse_fourier.amortised import Amortised, Falling, SparseAutoencoder
from sparse_fourier.atoms import Course, Learned, Signals
from sparse_fourier.datasets import make_sparse_combinations
from sparse_fourier.metrics import active_codes, atom_hit_rate, explained_variance, mean_max_cosine
from sparse_fourier.networks import Encoder, Layer
from sparse_fourier.optimizers import Adam
from sparse_fourier.pursuit import Search
from sparse_fourier.signals import MovedSignals

N, D, K, S = 800, 24, 40, 2


@pytest.fixture(scope="module")
def sparse():
    X, codes, atoms = make_sparse_combinations(N, D, K, n_active=S, snr_db=25, random_state=0)
    return X + 2.0, codes, atoms


@pytest.fixture(scope="module")
def affine(sparse):
    model = AutoencoderDecomposer(K, prior="laplace", encoder="affine", activation=TopK(S), random_state=0)
    return model.fit(sparse[0])


def test_an_affine_encoder_finds_atoms_and_gives_their_codes(sparse, affine):
    X, codes, atoms = sparse
    found = affine.transform(X)
    assert np.count_nonzero(found, axis=1).max() == S
    assert atom_hit_rate(atoms, affine.components_) >= 0.95
    explained = explained_variance(X, affine.inverse_transform(found))
    assert explained > 0.85  # of 0.9968 that codes by search explain
    np.testing.assert_allclose(np.linalg.norm(affine.components_, axis=1), 1.0)
    assert 0.0 < affine.coding_gap_ < 0.15
    assert affine.converged_


def test_codes_are_the_largest_of_an_affine_map(sparse, affine):
    """Two inactive codes tell nothing, so the map is that which the active ones follow."""
    X, *_ = sparse
    found = affine.transform(X)
    design = np.hstack([X, np.ones((N, 1))])
    maps = np.zeros((D + 1, K))
    for j in range(K):
        used = found[:, j] != 0
        maps[:, j], *_ = np.linalg.lstsq(design[used], found[used, j], rcond=None)
        np.testing.assert_allclose(design[used] @ maps[:, j], found[used, j], atol=1e-7)
    inputs = design @ maps
    order = np.argsort(-np.abs(inputs), axis=1)[:, :S]
    determined = np.array([(found[:, j] != 0).sum() > D + 5 for j in range(K)])
    assert determined.mean() > 0.8
    active = np.take_along_axis(found, order, axis=1) != 0
    assert active[determined[order].all(axis=1)].mean() > 0.999


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*used by no signal")  # by codes that have both signs
@pytest.mark.parametrize("prior", ["laplace", "exponential"])
def test_an_average_is_kept_and_codes_do_not_depend_on_other_signals(sparse, prior):
    X, *_ = sparse
    model = AutoencoderDecomposer(K, prior=prior, encoder="affine", activation="batch_top_k", random_state=0)
    codes = model.fit(X).transform(X)
    assert active_codes(codes) == pytest.approx(5, abs=0.3)
    np.testing.assert_allclose(model.transform(X[7:9]), codes[7:9], atol=1e-12)
    assert prior == "laplace" or (codes >= 0).all()


@pytest.mark.slow
def test_hidden_layers_explain_more(sparse, affine):
    X, _, atoms = sparse
    model = AutoencoderDecomposer(
        K, prior="laplace", hidden_layer_sizes=(60,), activation=TopK(S), random_state=0
    ).fit(X)
    explained = [explained_variance(X, m.inverse_transform(m.transform(X))) for m in (affine, model)]
    assert explained[1] > explained[0] + 0.002
    assert atom_hit_rate(atoms, model.components_) >= 0.95
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X[:5]), model.transform(X[:5]))


@pytest.mark.slow
def test_a_file_is_trained_on_as_an_array(sparse, tmp_path, monkeypatch, few_steps):
    monkeypatch.setattr("sparse_fourier.dictionaries._MOST_CODES_TO_SWEEP", 0)
    monkeypatch.setattr("sparse_fourier.stochastic._USES_TO_GROW", 20)
    monkeypatch.setattr("sparse_fourier.stochastic._TRIALS", 0)
    X = sparse[0].astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    model = AutoencoderDecomposer(
        K, prior="laplace", encoder="affine", activation=TopK(S), random_state=0, solver="sgd", batch_size=100
    )
    plain = model.fit(X).components_
    assert plain.dtype == np.float32
    again = model.fit(np.load(tmp_path / "X.npy", mmap_mode="r")).components_
    np.testing.assert_allclose(again, plain, atol=1e-5)


def signals_of(X, **changes):
    given = {"missing": None, "share": np.full(len(X), 1 / len(X)), "resolution": 1e-12, "init": None}
    given |= {"fit_intercept": True, "nonnegative": False, "rng": np.random.RandomState(0)} | changes
    return Signals(X=X, **given)


def network(**changes):
    given = {"activation": lambda count: TopK(S), "hidden_layer_sizes": (), "hidden_activation": Identity()}
    return Amortised(**(given | {"optimizer": Adam(), "rate": None, "batch_size": None} | changes))


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr("sparse_fourier.amortised._FEWEST_STEPS", 200)
    monkeypatch.setattr("sparse_fourier.amortised._USES", 200)


def error_of(learned, X):
    codes = learned.coder.codes(X - learned.intercept, learned.atoms)
    return ((X - learned.intercept - codes @ learned.atoms) ** 2).mean()


@pytest.mark.parametrize("support", [pytest.param("real", marks=pytest.mark.slow), "nonnegative"])
def test_an_average_of_a_batch_is_kept_for_single_signals(sparse, few_steps, support):
    X, _, atoms = sparse
    begun = Learned(atoms, np.full(D, 2.0), Search(3 * S, nonnegative=support == "nonnegative"), None)
    shared = network(activation=lambda count: BatchTopK(S).within(support))
    learned = shared(begun, signals_of(X), Course(1000, None))
    codes = learned.coder.codes(X - learned.intercept, learned.atoms).toarray()
    assert active_codes(codes) == pytest.approx(S, abs=0.1)
    counts = np.count_nonzero(codes, axis=1)
    assert counts.min() < S < counts.max()
    alone = learned.coder.codes(X[3:4] - learned.intercept, learned.atoms).toarray()
    np.testing.assert_allclose(alone, codes[3:4], atol=1e-12)
    assert support == "real" or (codes >= 0).all()


def test_components_that_no_signal_uses_are_revived(sparse, few_steps):
    X, _, atoms = sparse
    idle = np.zeros((5, D))
    start = np.vstack([atoms[:-5], idle])
    begun = Learned(start, np.full(D, 2.0), Search(S), None)
    learned = network()(begun, signals_of(X), Course(1000, None))
    codes = learned.coder.codes(X - learned.intercept, learned.atoms)
    assert (abs(codes).sum(axis=0) > 0).all()
    assert mean_max_cosine(atoms[-5:], learned.atoms) > 0.95


def test_training_that_makes_things_worse_is_undone(sparse, few_steps):
    X, _, atoms = sparse
    begun = Learned(atoms, np.full(D, 2.0), Search(S), None)
    tied = network()(begun, signals_of(X), Course(0, None))
    np.testing.assert_allclose(tied.coder.encoder.skip.weights, atoms.T, atol=1e-12)
    spoilt = network(rate=1e3)(begun, signals_of(X), Course(1000, None))
    assert error_of(spoilt, X) <= error_of(tied, X)
    trained = network()(begun, signals_of(X), Course(1000, None))
    assert error_of(trained, X) < 0.8 * error_of(tied, X)


def test_a_callback_stops(sparse, few_steps):
    X, _, atoms = sparse
    course = Course(1000, lambda progress: True)
    network()(Learned(atoms, np.full(D, 2.0), Search(S), None), signals_of(X), course)
    assert course.stopped
    assert len(course.curve) <= 40


def test_the_length_of_a_row_does_not_matter(sparse):
    _, _, atoms = sparse
    encoder = Encoder(Layer(atoms.T, np.zeros(K)), (), Identity(), TopK(S))
    lengths = np.random.RandomState(0).uniform(0.1, 10, (K, 1))
    model = SparseAutoencoder(encoder, lengths * atoms, np.zeros(D))
    np.testing.assert_allclose(model.components, atoms)


def test_the_rate_falls_to_zero():
    rate = Falling(0.5, 4)
    assert [float(rate(count)) for count in (0, 2, 4, 9)] == [0.5, 0.25, 0.0, 0.0]


def test_signals_are_moved_when_they_are_read():
    X = np.random.RandomState(0).standard_normal((6, 3)).astype(np.float32)
    moved = MovedSignals(X, 2, np.array([1.0, 2.0, 3.0]))
    expected = 4 * (X - np.array([1, 2, 3], np.float32))
    np.testing.assert_array_equal(moved[[4, 1]], expected[[4, 1]])
    np.testing.assert_array_equal(moved.taken(np.arange(6) > 2).whole("this"), expected[3:])
    assert moved.dtype == np.float32


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "lbfgs"}, r"n_components=40 .* with solver='lbfgs'.*use solver='auto'"),
        ({"activation": "relu"}, r"with activation='relu'.*use activation=None"),
        ({"early_stopping": True, "solver": "adam"}, r"with early_stopping=True.*use early_stopping=False"),
        ({"hidden_layer_sizes": (5,)}, "encoder='affine' needs hidden_layer_sizes to be the empty tuple"),
        ({"encoder": "mlp"}, "encoder='mlp' needs hidden_layer_sizes to be at least one layer"),
        ({"encoder": "variational"}, "encoder='variational'"),
        ({"encoder": "auto", "solver": "adam"}, r"with solver='adam'.*use solver='auto'"),
    ],
)
def test_what_makes_no_sense_is_refused(sparse, parameters, message):
    given = {"prior": "laplace", "encoder": "affine"} | parameters
    with pytest.raises(ValueError, match=message):
        AutoencoderDecomposer(K, **given).fit(sparse[0][:200])
