"""Bases: identities that hold for every one of them, and what the free basis is."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Basis, Fourier, Free, Nonnegative
from sparse_fourier.metrics import match_components, worst_relative_error

BASES = [Free(), Nonnegative(), Fourier(), Fourier(n_terms=2), Fourier(damped=True)]
every_basis = pytest.mark.parametrize("basis", BASES, ids=str)


def orthonormal_rows(rng, r, d):
    return np.linalg.qr(rng.normal(size=(d, r)))[0].T


@every_basis
@pytest.mark.parametrize("k", [1, 2, 4])
def test_start_evaluates_to_k_independent_waveforms(basis, k):
    span = orthonormal_rows(np.random.default_rng(k), 4, 9)
    components = basis.evaluate(basis.initialize(span, k))
    assert components.shape == (k, 9)
    assert np.linalg.matrix_rank(components) == k


@every_basis
def test_input_is_left_alone(basis):
    span = orthonormal_rows(np.random.default_rng(0), 4, 9)
    span.flags.writeable = False
    basis.evaluate(basis.initialize(span, 3))


@every_basis
def test_is_built_without_arguments_and_comparable(basis):
    assert type(basis)() == type(basis)()


def test_free_components_are_the_parameters():
    components = np.random.default_rng(1).normal(size=(3, 7))
    np.testing.assert_array_equal(Free().evaluate(components), components)


def test_free_start_is_the_strongest_directions():
    """So that nothing of the span's first k dimensions is lost: the projections agree."""
    span = orthonormal_rows(np.random.default_rng(2), 5, 8)
    start = Free().evaluate(Free().initialize(span, 3))
    projection = np.linalg.pinv(start) @ start
    np.testing.assert_allclose(projection, span[:3].T @ span[:3], atol=1e-14)


def test_abstract_basis_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Basis()


def test_half_a_basis_cannot_be_built():
    class OnlyEvaluates(Basis):
        def evaluate(self, parameters):
            return parameters

    with pytest.raises(TypeError, match="initialize"):
        OnlyEvaluates()


HALF, FULL = np.linspace(0, np.pi / 2, 30), np.linspace(0, np.pi, 30)
PRIORS_OF_FOURIER = ["uniform", "gaussian", "laplace", "exponential", "learned"]


def seed_signals(x, n=300, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, 2)) @ np.sin(np.outer([1, 2], x))


def matched_error(x, model):
    return worst_relative_error(np.sin(np.outer([1, 2], x)), model.components_, matched=True)


@pytest.mark.parametrize("prior", PRIORS_OF_FOURIER)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 1e-6)])
@pytest.mark.parametrize("x", [HALF, FULL], ids=["half", "full"])
def test_seed_is_exact_under_every_prior(x, dtype, tolerance, prior):
    X = seed_signals(x).astype(dtype)
    model = AutoencoderDecomposer(2, prior=prior, basis=Fourier(positions=x), random_state=0).fit(X)
    assert model.components_.dtype == dtype
    assert matched_error(x, model) < tolerance
    frequencies = np.sort(model.frequencies_.ravel()) * 2 * np.pi
    np.testing.assert_allclose(frequencies, [1, 2], rtol=tolerance)
    again = model.basis_.waveforms(x)
    np.testing.assert_allclose(again, model.components_, atol=1e-14 if dtype == np.float64 else 1e-6)
    assert np.isclose(model.score(X), -model.loss_, rtol=1e-4)


def test_box_in_the_fourier_basis_is_that_of_the_codes():
    errors = []
    for seed in range(10):
        X = seed_signals(HALF, seed=seed)
        model = AutoencoderDecomposer(basis=Fourier(positions=HALF)).fit(X)
        errors.append(worst_relative_error(np.sin(np.outer([1, 2], HALF)), model.components_, matched=False))
    assert np.median(errors) < 0.008  # the box of free directions errs by 0.011
    np.testing.assert_allclose(model.intercept_, 0, atol=0.02)


def test_attributes_are_sinusoids_in_the_units_of_the_data():
    positions = np.sort(np.random.default_rng(0).uniform(0, 5, 40))
    X = 1e6 * seed_signals(positions)
    model = AutoencoderDecomposer(2, prior="laplace", basis=Fourier(positions=positions)).fit(X)
    terms = model.frequencies_, model.amplitudes_, model.phases_, model.dampings_
    assert {part.shape for part in terms} == {(2, 1)}
    assert (model.amplitudes_ >= 0).all()
    assert ((model.phases_ > -np.pi) & (model.phases_ <= np.pi)).all()
    np.testing.assert_allclose(np.linalg.norm(model.components_, axis=1), 1)
    angles = 2 * np.pi * model.frequencies_ * positions + model.phases_
    np.testing.assert_allclose(model.amplitudes_ * np.sin(angles), model.components_, atol=1e-12)
    uniform = AutoencoderDecomposer(2, basis=Fourier(positions=positions)).fit(X)
    np.testing.assert_allclose(uniform.amplitudes_, 1e6, rtol=0.02)
    np.testing.assert_allclose(
        uniform.basis_.waveforms(positions), uniform.components_, rtol=1e-12, atol=1e-6
    )


def test_evaluation_goes_beyond_the_record():
    model = AutoencoderDecomposer(2, basis=Fourier(positions=HALF)).fit(seed_signals(HALF))
    beyond = np.linspace(-1, 4, 50)
    matched, _, _ = match_components(np.sin(np.outer([1, 2], beyond)), model.basis_.waveforms(beyond))
    np.testing.assert_allclose(matched, np.sin(np.outer([1, 2], beyond)), atol=1e-10)


@pytest.mark.parametrize("prior", ["uniform", "learned"])
def test_sums_of_sinusoids_start_from_the_basis_of_the_prior(prior):
    t = np.arange(64.0)
    truth = np.stack([np.sin(0.3 * t) + 0.5 * np.sin(0.9 * t + 1), np.sin(0.5 * t + 2) - np.sin(1.7 * t)])
    X = np.random.default_rng(1).uniform(size=(500, 2)) @ truth
    model = AutoencoderDecomposer(2, prior=prior, basis=Fourier(n_terms=2), random_state=0).fit(X)
    assert worst_relative_error(truth, model.components_, matched=True) < 1e-11
    assert (np.diff(model.frequencies_, axis=1) > 0).all()
    found = np.sort(model.frequencies_.ravel()) * 2 * np.pi
    np.testing.assert_allclose(found, [0.3, 0.5, 0.9, 1.7], rtol=1e-11)


def test_damped_components():
    t = np.arange(50.0)
    truth = np.exp(-np.outer([0.02, 0.06], t)) * np.sin(np.outer([0.4, 0.7], t))
    X = np.random.default_rng(2).uniform(size=(200, 2)) @ truth
    model = AutoencoderDecomposer(2, basis=Fourier(damped=True)).fit(X)
    assert worst_relative_error(truth, model.components_, matched=True) < 1e-11
    np.testing.assert_allclose(np.sort(model.dampings_.ravel()), [0.02, 0.06], rtol=1e-9)


def test_proportions_of_sinusoids():
    t = np.arange(40.0)
    truth = np.sin(np.outer([0.3, 0.5, 0.9], t))
    X = np.random.default_rng(3).dirichlet(np.ones(3), size=200) @ truth
    model = AutoencoderDecomposer(3, prior="simplex", basis="fourier").fit(X)
    assert worst_relative_error(truth, model.components_, matched=False) < 1e-11


@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_proportions_end_on_the_plane_of_the_signals(missing):
    """What signals are off that plane is noise, in the loss and in its variance."""
    t, noise, n = np.arange(40.0), 0.2, 500
    truth = np.sin(np.outer([0.3, 0.5, 0.9], t))
    rng = np.random.default_rng(3)
    X = rng.dirichlet(np.ones(3), size=n) @ truth + noise * rng.normal(size=(n, 40))
    X[rng.uniform(size=X.shape) < missing] = np.nan
    model = AutoencoderDecomposer(3, prior="simplex", basis="fourier", random_state=0).fit(X)
    assert model.loss_ == pytest.approx(-model.score(X), rel=1e-9)
    # Of 500 times 38 entries of noise one standard error is 1 in 100.
    assert model.noise_variance_ == pytest.approx(noise**2, rel=0.03)
    assert worst_relative_error(truth, model.components_, matched=False) < 0.03
    # Mean codes are proportions, without the shrinking of least squares towards zero.
    if not missing:
        codes = (X - model.intercept_) @ np.linalg.pinv(model.components_)
        assert codes.sum(axis=1).mean() == pytest.approx(1.0, rel=1e-12)


def test_proportions_of_signals_around_zero_are_refused():
    t = np.arange(40.0)
    tones = np.sin(np.outer([0.3, 0.5], t))
    proportions = np.random.default_rng(3).dirichlet(np.ones(2), size=200)
    for X in (
        np.tile(np.concatenate([tones, -tones]), (10, 1)),
        (proportions - proportions.mean(axis=0)) @ tones,
    ):
        with pytest.raises(ValueError, match="not centred, or use another prior"):
            AutoencoderDecomposer(2, prior="simplex", basis="fourier", random_state=0).fit(X)


def test_tones_of_random_phase_have_amplitude_and_phase():
    rng = np.random.default_rng(4)
    sizes, turns = rng.uniform(1, 2, 300), rng.uniform(-np.pi, np.pi, 300)
    X = sizes[:, None] * np.sin(0.7 * np.arange(48) + turns[:, None])
    model = AutoencoderDecomposer(2, prior="gaussian", basis="fourier", fit_intercept=False).fit(X)
    amplitudes, phases = model.basis_.tones(model.transform(X))
    np.testing.assert_allclose(amplitudes, sizes, rtol=1e-11)
    np.testing.assert_allclose(np.exp(1j * phases), np.exp(1j * turns), atol=1e-11)


def test_two_frequencies_are_not_one_tone():
    model = AutoencoderDecomposer(2, basis=Fourier(positions=HALF)).fit(seed_signals(HALF))
    with pytest.raises(ValueError, match="not the sine and cosine of one tone"):
        model.basis_.tones(np.ones((3, 2)))


@pytest.mark.parametrize("prior", ["uniform", "laplace"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_tenth_of_the_entries_missing(prior, fit_intercept):
    rng = np.random.default_rng(8)
    positions = np.sort(rng.uniform(0, 63, 64))
    frequencies = np.array([0.061, 0.083, 0.21, 0.4])
    truth = np.sin(2 * np.pi * np.outer(frequencies, positions) + np.arange(4)[:, None])
    X = rng.uniform(size=(300, 4)) @ truth
    complete = X.copy()
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    basis = Fourier(positions=positions)
    model = AutoencoderDecomposer(4, prior=prior, basis=basis, fit_intercept=fit_intercept).fit(X)
    np.testing.assert_allclose(np.sort(model.frequencies_.ravel()), frequencies, rtol=1e-9)
    assert worst_relative_error(truth, model.components_, matched=True) < 1e-9
    if prior == "laplace":
        np.testing.assert_allclose(model.inverse_transform(model.transform(X)), complete, atol=1e-6)
    assert np.isclose(model.score(X), -model.loss_, rtol=1e-3)


def test_weights_are_rows():
    rng = np.random.default_rng(5)
    X = seed_signals(HALF, 60) + 0.1 * rng.normal(size=(60, 30))
    weights = rng.integers(0, 4, 60)
    make = lambda: AutoencoderDecomposer(2, prior="laplace", basis=Fourier(positions=HALF))  # noqa: E731
    weighted, repeated = make().fit(X, sample_weight=weights), make().fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.frequencies_, repeated.frequencies_, rtol=1e-9)
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-9)


def test_search_over_terms_and_pickles():
    t = np.arange(40.0)
    truth = np.stack([np.sin(0.3 * t) + np.sin(0.9 * t + 1), np.sin(0.5 * t + 2) - np.sin(1.7 * t)])
    rng = np.random.default_rng(6)
    X = rng.uniform(size=(150, 2)) @ truth + 0.05 * rng.normal(size=(150, 40))
    model = AutoencoderDecomposer(2, basis=Fourier(), random_state=0)
    search = GridSearchCV(model, {"basis__n_terms": [1, 2]}, cv=2, refit=True).fit(X)
    assert search.best_params_ == {"basis__n_terms": 2}
    assert clone(search.best_estimator_).basis == Fourier(n_terms=2)
    loaded = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(loaded.frequencies_, search.best_estimator_.frequencies_)
    np.testing.assert_array_equal(loaded.basis_.waveforms(t), search.best_estimator_.basis_.waveforms(t))
    draws = loaded.sample(2000, random_state=0)
    np.testing.assert_allclose(np.cov(draws.T), loaded.get_covariance(), atol=0.1)


def test_another_basis_leaves_nothing_of_the_old_one():
    X = seed_signals(HALF)
    model = AutoencoderDecomposer(2, basis="fourier").fit(X)
    assert hasattr(model, "frequencies_")
    model.set_params(basis="free").fit(X)
    assert not hasattr(model, "frequencies_")
    assert model.basis_ == Free()


def test_components_beyond_the_rank_have_no_amplitude():
    with pytest.warns(UserWarning, match="numerical rank 2"):
        model = AutoencoderDecomposer(3, basis=Fourier(positions=HALF)).fit(seed_signals(HALF))
    assert not model.components_[2].any()
    assert model.amplitudes_[2, 0] == 0
    with pytest.warns(UserWarning, match="no variance"):
        constant = AutoencoderDecomposer(1, basis="fourier").fit(np.ones((5, 4)))
    assert constant.frequencies_.shape == (1, 1)


def test_components_to_start_from():
    X = seed_signals(HALF)
    near = np.sin(np.outer([1.2, 1.9], HALF))
    model = AutoencoderDecomposer(2, basis=Fourier(positions=HALF), init=near).fit(X)
    assert matched_error(HALF, model) < 1e-11


def test_callback_is_called_and_may_stop():
    seen = []
    model = AutoencoderDecomposer(2, basis="fourier", callback=lambda info: bool(seen.append(info)))
    model.fit(seed_signals(HALF))
    assert len(seen) > 0
    stopped = AutoencoderDecomposer(2, basis="fourier", callback=lambda info: True).fit(seed_signals(HALF))
    assert stopped.components_.shape == (2, 30)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_terms": 0}, "'n_terms' parameter of Fourier must be an int in the range"),
        ({"n_terms": True}, "Got True instead"),
        ({"n_terms": 16}, "have 32 coefficients, which n_features = 30 cannot determine"),
        ({"damped": 1}, "'damped' parameter of Fourier must be an instance of 'bool'"),
        ({"max_frequency": -1.0}, "'max_frequency' parameter of Fourier must be a float in the range"),
        ({"positions": np.arange(29)}, r"must be finite numbers of shape \(30,\), not all equal. Got .shape"),
        ({"positions": np.ones(30)}, "not all equal"),
        ({"positions": np.full(30, np.nan)}, "finite numbers"),
    ],
)
def test_senseless_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        AutoencoderDecomposer(2, basis=Fourier(**parameters)).fit(seed_signals(HALF))


def test_unknown_parameters_of_a_basis_are_refused():
    with pytest.raises(ValueError, match="Invalid parameter 'width' for basis"):
        Fourier().set_params(width=1)


def test_nothing_is_evaluated_before_a_fit():
    with pytest.raises(ValueError, match="learned nothing yet"):
        Fourier().waveforms([0.0])


def test_what_scans_need_is_kept_for_short_records_alone():
    assert Fourier().record(30) is Fourier(max_frequency=0.5).record(30)
    assert Fourier().record(30) is not Fourier(damped=True).record(30)
    assert Fourier().record(2000) is not Fourier().record(2000)
