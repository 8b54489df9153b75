"""Rows that stray: found where they are, and not found where there are none."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.contamination import beyond_gap, strays, without_strays
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.exceptions import IdentifiabilityWarning
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.priors import Uniform
from sparse_fourier.reduction import reduce_signals

LEFT_OUT = "rows that stray too far from all others.*Use contamination=0 to keep them"


def reduce(X, weights):
    return reduce_signals(X, weights, Uniform(), None, centred=True)


def found(X, contamination=0.03):
    return without_strays(X, np.ones(len(X)), contamination, reduce).strays


STRAYS = {
    "times 100": lambda X, rng: 100 * X,
    "times -10": lambda X, rng: -10 * X,
    "noise": lambda X, rng: rng.standard_normal(X.shape),
    "strong noise": lambda X, rng: 1e6 * rng.standard_normal(X.shape),
    "of all sizes": lambda X, rng: X * np.logspace(1, 25, len(X))[:, None],
    "one pulse": lambda X, rng: X + 50 * np.eye(30)[rng.randint(30, size=len(X))],
    "near one place": lambda X, rng: 20 * rng.standard_normal(30) + 0.1 * rng.standard_normal(X.shape),
    "Cauchy": lambda X, rng: X + 3 * rng.standard_cauchy(X.shape),
}


@pytest.mark.parametrize(("n", "noise"), [(300, 0.0), (300, 0.05), (3000, 0.05)])
@pytest.mark.parametrize("kind", STRAYS)
def test_the_seed_is_learned_beside_strays(kind, n, noise):
    n_components = 2 if kind == "near one place" else "auto"  # which many rows would make a component
    X, _, sines = make_sinusoid_mixtures(n, 30, noise=noise, random_state=3)
    rng = np.random.RandomState(1)
    rows = np.sort(rng.choice(n, n // 100, replace=False))
    X[rows] = STRAYS[kind](X[rows], rng)
    with pytest.warns(UserWarning, match=LEFT_OUT):
        model = AutoencoderDecomposer(n_components, random_state=0).fit(X)
    assert str(model.prior_) == "uniform"
    assert worst_relative_error(sines, model.components_) < 0.05
    assert set(model.outliers_) <= set(rows)
    assert len(model.outliers_) >= 0.9 * len(rows)
    # All that is left out is as if it had never been there.
    without = AutoencoderDecomposer(n_components, random_state=0).fit(np.delete(X, model.outliers_, axis=0))
    assert len(without.outliers_) == 0
    for name in ("components_", "intercept_", "loss_curve_", "explained_variance_"):
        np.testing.assert_array_equal(getattr(model, name), getattr(without, name))


@pytest.mark.parametrize("prior", ["laplace", "learned", "exponential"])
def test_unbounded_codes_are_learned_beside_strays(prior):
    rng = np.random.RandomState(0)
    draw = rng.exponential if prior == "exponential" else rng.laplace
    components = np.linalg.qr(rng.standard_normal((12, 3)))[0].T
    X = draw(size=(1000, 3)) @ components + 0.05 * rng.standard_normal((1000, 12))
    plain = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(X)
    assert len(plain.outliers_) == 0
    X[::100] *= 100
    with pytest.warns(UserWarning, match=LEFT_OUT):
        model = AutoencoderDecomposer(3, prior=prior, random_state=0).fit(X)
    error = worst_relative_error(components, model.components_)
    assert error < worst_relative_error(components, plain.components_) + 0.02


DENSITIES = {
    "uniform": lambda rng, shape: rng.uniform(size=shape),
    "Gaussian": lambda rng, shape: rng.standard_normal(shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "Student t, 5": lambda rng, shape: rng.standard_t(5, shape),
    "Student t, 3": lambda rng, shape: rng.standard_t(3, shape),
    "lognormal": lambda rng, shape: np.exp(rng.standard_normal(shape)),
    "binary": lambda rng, shape: 1.0 * (rng.uniform(size=shape) < 0.2),
    "sparse": lambda rng, shape: rng.laplace(size=shape) * (rng.uniform(size=shape) < 0.2),
    "rare pulses": lambda rng, shape: 1.0 * (rng.uniform(size=shape) < 0.03),
}


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("density", DENSITIES)
def test_clean_signals_have_no_strays(density, k, noise):
    for seed in range(4):
        rng = np.random.RandomState(seed)
        for n in (60, 300, 3000):
            X = DENSITIES[density](rng, (n, k)) @ rng.standard_normal((k, 15))
            assert len(found(X + noise * rng.standard_normal(X.shape))) == 0


@pytest.mark.parametrize("load", [load_digits, load_iris])
def test_real_data_have_no_strays(load):
    assert len(found(load().data)) == 0


def test_a_gap_is_judged_by_the_tail_of_the_others():
    """By closed form: the tail is that of a power, and so is the gap after one value."""
    tail = (np.arange(1, 101) / 100.0) ** -0.5
    spread = np.mean(np.log(tail[:30])) - np.log(tail[30])
    surprise = 30 * (1e-4 ** (-1 / 30) - 1)  # where (1 + surprise / 30) ** -30 is 1e-4
    for factor, beyond in ((0.99, False), (1.01, True)):
        distances = np.append(tail, tail[0] * np.exp(factor * surprise * spread))
        assert beyond_gap(distances, np.ones(101), 1.0).tolist() == 100 * [False] + [beyond]


def test_rows_that_each_have_a_direction_to_themselves_are_not_one_row():
    """Whitened, they are equally far, as repeated rows are; beside codes of wide tails one would be kept."""
    tail = (np.arange(1, 101) / 100.0) ** -0.5
    spread = np.mean(np.log(tail[:30])) - np.log(tail[30])
    surprise = 30 * (3e4 ** (1 / 30) - 1)  # of three values, where 3 (1 + surprise / 30) ** -30 is 1e-4
    for factor, beyond in ((0.99, False), (1.01, True)):
        distances = np.append(tail, np.full(3, tail[0] * np.exp(factor * surprise * spread / 3)))
        alone = distances > tail[0]
        assert beyond_gap(distances, np.ones(103), 3.0, alone).tolist() == 100 * [False] + 3 * [beyond]
        assert not beyond_gap(distances, np.ones(103), 3.0).any()


@pytest.mark.parametrize("centred", [True, False])
def test_three_rows_off_the_span_are_found_whatever_the_tail_of_the_others(centred):
    def reduced(X, weights):
        return reduce_signals(X, weights, Uniform(), None, centred=centred)

    for seed in (4, 108, 142, 190):
        X, _, _ = make_sinusoid_mixtures(300, 30, random_state=seed)
        rng = np.random.RandomState(seed)
        rows = np.sort(rng.choice(300, 3, replace=False))
        X[rows] = rng.standard_normal((3, 30))
        assert without_strays(X, np.ones(300), 0.03, reduced).strays.tolist() == rows.tolist()


def test_more_than_may_be_left_out_are_kept():
    X, _, _ = make_sinusoid_mixtures(300, 30, random_state=0)
    X[:15] *= 100
    assert len(found(X, 0.03)) == 0
    assert 12 <= len(found(X, 0.1)) <= 15
    assert len(found(X, 0.0)) == 0


def test_what_many_rows_share_is_a_component():
    rng = np.random.RandomState(0)
    X, _, _ = make_sinusoid_mixtures(2000, 30, noise=0.02, random_state=0)
    pulse = np.exp(-0.5 * ((np.arange(30) - 20) / 2.0) ** 2)
    X[rng.choice(2000, 40, replace=False)] += 30 * pulse
    assert len(found(X)) == 0


def test_repeated_rows_are_weights():
    X, _, _ = make_sinusoid_mixtures(100, 10, noise=0.05, random_state=0)
    X[[3, 50]] *= 30
    counts = np.random.RandomState(0).randint(0, 4, size=100)
    counts[[3, 50]] = 2, 1
    options = {"n_components": 2, "prior": "uniform", "random_state": 0}
    with pytest.warns(UserWarning, match=LEFT_OUT):
        weighted = AutoencoderDecomposer(**options).fit(X, sample_weight=counts)
    with pytest.warns(UserWarning, match=LEFT_OUT):
        repeated = AutoencoderDecomposer(**options).fit(np.repeat(X, counts, axis=0))
    assert weighted.outliers_.tolist() == [3, 50]
    assert len(repeated.outliers_) == 3
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-7, atol=1e-9)


def test_order_and_unit_of_signals_do_not_matter():
    X, _, _ = make_sinusoid_mixtures(300, 30, noise=0.05, random_state=0)
    X[[7, 70, 170]] *= 100
    order = np.random.RandomState(0).permutation(300)
    assert set(order[found(X[order])]) == {7, 70, 170}
    for factor in (1e-200, 1e150):
        assert found(factor * X).tolist() == [7, 70, 170]
    assert found(X.astype(np.float32)).tolist() == [7, 70, 170]


def test_what_is_left_out_is_the_users_choice():
    X, _, _ = make_sinusoid_mixtures(300, 30, noise=0.05, random_state=0)
    X[[7, 70]] *= 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdentifiabilityWarning)  # two rows span a box in more than one way
        kept = AutoencoderDecomposer(2, prior="uniform", contamination=0, random_state=0).fit(X)
    assert kept.outliers_.tolist() == []


def test_principal_component_analysis_keeps_all_rows_unless_asked():
    X = np.random.RandomState(0).standard_normal((300, 6)) * 2.0 ** -np.arange(6)
    X[[7, 70]] *= 100
    model = AutoencoderDecomposer(2, prior="gaussian").fit(X)
    assert model.outliers_.tolist() == []
    np.testing.assert_allclose(model.explained_variance_, PCA(2).fit(X).explained_variance_, rtol=1e-9)
    with pytest.warns(UserWarning, match=LEFT_OUT):
        robust = AutoencoderDecomposer(2, prior="gaussian", contamination=0.05).fit(X)
    clean = PCA(2).fit(np.delete(X, [7, 70], axis=0))
    np.testing.assert_allclose(robust.explained_variance_, clean.explained_variance_, rtol=1e-9)


def test_streams_leave_strays_out():
    X, _, sines = make_sinusoid_mixtures(600, 30, noise=0.05, random_state=0)
    X[::150] *= 100
    model = AutoencoderDecomposer(2, prior="uniform", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for start in range(0, 600, 100):
            model.partial_fit(X[start : start + 100])
    assert worst_relative_error(sines, model.components_) < 0.05


def test_clean_signals_are_reduced_once():
    calls = []

    def counted(X, weights):
        calls.append(len(X))
        return reduce(X, weights)

    X, _, _ = make_sinusoid_mixtures(300, 30, noise=0.05, random_state=0)
    settled = without_strays(X, np.ones(300), 0.03, counted)
    assert calls == [300]
    assert settled.X is X
    assert not strays(settled.data, 9.0).any()
