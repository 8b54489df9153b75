"""Rows outside of a box that the others fill: found in many dimensions, and not where there are none."""

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.metrics import worst_relative_error
from sparse_fourier.outside import outside

LEFT_OUT = "rows that stray too far from all others"

# Codes of strays that lie in the span, where neither noise nor their size tells them.
STRAYS = {
    "times 3": lambda codes, rng: 3 * codes,
    "times -1": lambda codes, rng: -codes,
    "anywhere": lambda codes, rng: 0.5 + 2 * rng.standard_normal(codes.shape),
}


def learned(X, k="auto", **parameters):
    return AutoencoderDecomposer(k, random_state=0, **parameters).fit(X)


@pytest.mark.filterwarnings(f"ignore:.*{LEFT_OUT}")
@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("kind", STRAYS)
def test_three_strays_in_the_span_cost_the_seed_no_more_than_their_absence(kind, noise):
    for seed in range(3):
        _, codes, sines = make_sinusoid_mixtures(300, 30, random_state=seed)
        rng = np.random.RandomState(seed + 1)
        rows = rng.choice(300, 3, replace=False)
        codes[rows] = STRAYS[kind](codes[rows], rng)
        X = codes @ sines + noise * rng.standard_normal((300, 30))
        model, without = learned(X), learned(np.delete(X, rows, axis=0))
        error = worst_relative_error(sines, without.components_)
        assert str(model.prior_) == "uniform"
        assert worst_relative_error(sines, model.components_) < max(0.06, error + 0.02)
        assert set(model.outliers_) <= set(rows)


MORE = {
    "times 3": lambda codes, rng: 3 * codes,
    "times -1": lambda codes, rng: -codes,
    "moved": lambda codes, rng: codes + 0.5,
    "anywhere": lambda codes, rng: 0.5 + 2 * rng.standard_normal(codes.shape),
    "near": lambda codes, rng: 0.5 + rng.standard_normal(codes.shape),
}


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("times 3", 14),  # the rest are less even than by chance, not less frequent near faces
        ("moved", 46),
        ("times -1", 124),
        ("moved", 47),  # one of three holds the face that the search begins with
        ("moved", 332),
        ("times 3", 517),  # one of three is less far out than the two that are found before
        ("anywhere", 31),
        ("near", 366),
    ],
)
def test_the_last_of_several_strays_is_found_too(kind, seed):
    _, codes, sines = make_sinusoid_mixtures(300, 30, random_state=seed)
    rng = np.random.RandomState(seed + 1)
    rng.standard_normal((300, 30))
    rows = np.sort(rng.choice(300, 3, replace=False))
    codes[rows] = MORE[kind](codes[rows], np.random.RandomState(seed + 7))
    with pytest.warns(UserWarning, match=LEFT_OUT):
        model = learned(codes @ sines)
    inside = ((codes >= 0) & (codes <= 1)).all(axis=1)
    assert model.outliers_.tolist() == rows[~inside[rows]].tolist()
    assert worst_relative_error(sines, model.components_) < 0.04


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_row_beside_a_face_is_found_though_no_farther_out_than_a_corner(noise):
    """All that is left out is as if it had never been there, to the bit."""
    for seed in range(6):
        _, codes, sines = make_sinusoid_mixtures(300, 30, random_state=seed)
        codes[7] = [1.15, 0.5]
        X = codes @ sines + noise * np.random.RandomState(seed).standard_normal((300, 30))
        with pytest.warns(UserWarning, match=LEFT_OUT):
            model = learned(X)
        assert model.outliers_.tolist() == [7]
        without = learned(np.delete(X, 7, axis=0))
        np.testing.assert_array_equal(model.components_, without.components_)
        np.testing.assert_array_equal(model.loss_curve_, without.loss_curve_)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_boxes_of_any_dimension_are_as_without_their_strays(k):
    rng = np.random.RandomState(k)
    codes, components = rng.uniform(size=(500, k)), rng.standard_normal((k, 40))
    codes[[5, 50, 250]] += [[1.0], [-0.7], [1.5]]
    X = codes @ components + 0.1 * rng.standard_normal((500, 40))
    with pytest.warns(UserWarning, match=LEFT_OUT):
        model = learned(X, k, prior="uniform")
    assert model.outliers_.tolist() == [5, 50, 250]
    without = learned(np.delete(X, [5, 50, 250], axis=0), k, prior="uniform")
    np.testing.assert_array_equal(model.components_, without.components_)


CLEAN = {
    "uniform": lambda rng, shape: rng.uniform(size=shape),
    "dependent": lambda rng, shape: np.maximum(rng.uniform(size=shape), rng.uniform(size=(shape[0], 1))),
    "Gaussian": lambda rng, shape: rng.standard_normal(shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "lognormal": lambda rng, shape: np.exp(rng.standard_normal(shape)),
    "sparse": lambda rng, shape: rng.laplace(size=shape) * (rng.uniform(size=shape) < 0.2),
}


@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@pytest.mark.parametrize("density", CLEAN)
def test_clean_signals_keep_all_rows_in_a_box(density):
    rng = np.random.RandomState(0)
    for k in (1, 4):
        X = CLEAN[density](rng, (300, k)) @ rng.standard_normal((k, 15))
        X += 0.1 * rng.standard_normal(X.shape)
        assert len(learned(X, k, prior="uniform").outliers_) == 0


def test_a_gap_is_judged_by_the_spacings_of_the_next_codes():
    """By closed form: thirty equal spacings of one, and (1 + gap / 30) ** -30 is the level over two ends."""
    tail = -np.arange(200.0)
    gap = 30 * ((0.5e-4) ** (-1 / 30) - 1)
    for factor, beyond in ((0.99, False), (1.01, True)):
        codes = np.append(tail, factor * gap)[:, None]
        assert outside(codes, np.ones(201), 1.0).tolist() == 200 * [False] + [beyond]
    many = np.append(tail, factor * gap + np.arange(3.0))[:, None]
    assert not outside(many, np.ones(203), 1.0).any()


def test_weights_are_repeated_rows():
    _, codes, sines = make_sinusoid_mixtures(200, 12, random_state=0)
    codes[[3, 50]] *= -1
    X = codes @ sines + 0.02 * np.random.RandomState(0).standard_normal((200, 12))
    counts = np.random.RandomState(1).randint(1, 3, size=200)
    with pytest.warns(UserWarning, match=LEFT_OUT):
        weighted = AutoencoderDecomposer(2, prior="uniform").fit(X, sample_weight=counts)
    with pytest.warns(UserWarning, match=LEFT_OUT):
        repeated = AutoencoderDecomposer(2, prior="uniform").fit(np.repeat(X, counts, axis=0))
    assert weighted.outliers_.tolist() == [3, 50]
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-7, atol=1e-9)


def test_contamination_zero_keeps_them():
    _, codes, sines = make_sinusoid_mixtures(300, 30, random_state=0)
    codes[:3] *= 3
    assert len(learned(codes @ sines, 2, prior="uniform", contamination=0).outliers_) == 0
