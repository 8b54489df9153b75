"""Data sets: the truth returned is the truth of the signals, and frames are slices of the recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sparse_fourier.datasets import (
    frames,
    make_bars,
    make_feature_mixtures,
    make_independent_mixtures,
    make_nonnegative_mixtures,
    make_proportions,
    make_sinusoid_mixtures,
    make_sparse_combinations,
    spectra,
)

LAWS = {
    "uniform": stats.uniform(),
    "laplace": stats.laplace(),
    "exponential": stats.expon(),
    "gaussian": stats.norm(),
    "beta": stats.beta(0.5, 0.5),
    "simplex": stats.beta(1, 2),
}
BACH_AND_JORDAN = "abcdefghijklmnopqr"
STANDARD_LAWS = {
    "a": stats.t(3, scale=3**-0.5),
    "b": stats.laplace(scale=0.5**0.5),
    "c": stats.uniform(-(3**0.5), 2 * 3**0.5),
    "d": stats.t(5, scale=0.6**0.5),
    "e": stats.expon(-1),
    "laplace": stats.laplace(scale=0.5**0.5),
    "uniform": stats.uniform(-(3**0.5), 2 * 3**0.5),
    "exponential": stats.expon(-1),
    "gaussian": stats.norm(),
    "sech": stats.hypsecant(scale=2 / np.pi),
}
MAKERS = (
    make_independent_mixtures,
    make_nonnegative_mixtures,
    make_proportions,
    make_bars,
    make_sparse_combinations,
    make_feature_mixtures,
)


def test_the_seed_by_default():
    X, codes, components = make_sinusoid_mixtures(random_state=0)
    x = np.linspace(0, np.pi, 30)
    assert X.shape == (300, 30)
    np.testing.assert_allclose(components, [np.sin(x), np.sin(2 * x)], rtol=1e-15)
    np.testing.assert_allclose(X, codes[:, :1] * np.sin(x) + codes[:, 1:] * np.sin(2 * x), atol=1e-15)
    assert not X[:, 0].any()
    assert X.dtype == codes.dtype == components.dtype == np.float64


def test_interval_and_frequencies():
    X, codes, components = make_sinusoid_mixtures(
        7, 5, interval=(-1.0, 2.0), frequencies=[0.5, 3.0, 4.0], random_state=0
    )
    assert X.shape == (7, 5)
    assert codes.shape == (7, 3)
    assert components[1] == pytest.approx([np.sin(3 * t) for t in (-1.0, -0.25, 0.5, 1.25, 2.0)])


@pytest.mark.parametrize("name", LAWS)
def test_codes_follow_their_law(name):
    """With three codes, each share of a uniform point of the simplex is Beta(1, 2)."""
    _, codes, _ = make_sinusoid_mixtures(3000, codes=name, frequencies=(1, 2, 3), random_state=1)
    for column in codes.T:
        assert stats.kstest(column, LAWS[name].cdf).pvalue > 1e-3
    wanted = -0.5 if name == "simplex" else 0.0
    np.testing.assert_allclose(np.corrcoef(codes.T)[np.triu_indices(3, 1)], wanted, atol=0.07)


def test_shares_sum_to_one():
    _, codes, _ = make_sinusoid_mixtures(codes="simplex", random_state=0)
    np.testing.assert_allclose(codes.sum(axis=1), 1.0, rtol=1e-14)


def test_noise_is_white_with_the_given_standard_deviation_and_leaves_the_codes():
    _, quiet, _ = make_sinusoid_mixtures(2000, 20, random_state=3)
    X, codes, components = make_sinusoid_mixtures(2000, 20, noise=0.3, random_state=3)
    np.testing.assert_array_equal(codes, quiet)
    residual = X - codes @ components
    np.testing.assert_allclose(np.cov(residual.T), 0.09 * np.eye(20), atol=0.012)
    assert stats.kstest(residual.ravel() / 0.3, "norm").pvalue > 1e-3


def test_the_seed_of_the_generator_decides():
    first, again, other = (make_sinusoid_mixtures(noise=0.1, random_state=s)[0] for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    rng = np.random.RandomState(5)
    np.testing.assert_array_equal(make_sinusoid_mixtures(noise=0.1, random_state=rng)[0], first)
    assert np.abs(make_sinusoid_mixtures(noise=0.1, random_state=rng)[0] - first).max() > 0.1


def test_codes_from_a_callable():
    calls = []

    def ramp(rng, shape):
        calls.append((type(rng), shape))
        return np.arange(6).reshape(shape)

    X, codes, components = make_sinusoid_mixtures(3, codes=ramp, random_state=0)
    assert calls == [(np.random.RandomState, (3, 2))]
    assert codes.tolist() == [[0, 1], [2, 3], [4, 5]]
    np.testing.assert_array_equal(X, codes @ components)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, r"'n_samples' .* must be an int in the range \[1, inf\)\. Got 0 instead"),
        ({"n_features": 3.0}, r"'n_features' .* must be an int in the range \[1, inf\)\. Got 3.0 instead"),
        ({"noise": -1.0}, r"'noise' .* must be a float in the range \[0.0, inf\)\. Got -1.0 instead"),
        ({"noise": np.nan}, r"'noise' .* Got nan instead"),
        ({"noise": "loud"}, r"'noise' .* Got 'loud' instead"),
        ({"interval": (1.0, 0.0)}, r"'interval' .* start < stop\. Got \(1.0, 0.0\) instead"),
        ({"interval": (0.0, 1.0, 2.0)}, r"'interval' .* must be two finite numbers"),
        ({"interval": (0.0, np.inf)}, r"'interval' .* must be two finite numbers"),
        ({"interval": 3.0}, r"'interval' .* Got 3.0 instead"),
        (
            {"frequencies": ()},
            r"'frequencies' .* must be a non-empty sequence of finite numbers\. Got \(\) instead",
        ),
        ({"frequencies": [1.0, np.nan]}, r"'frequencies' .* must be a non-empty sequence of finite numbers"),
        (
            {"frequencies": [[1.0], [1.0, 2.0]]},
            r"'frequencies' .* must be a non-empty sequence of finite numbers",
        ),
        (
            {"codes": "unifrom"},
            r"'codes' .* must be a str among \['beta', .*\] or a callable\. Got 'unifrom' instead",
        ),
        ({"codes": None}, r"'codes' .* Got None instead"),
        (
            {"codes": lambda rng, shape: rng.uniform(size=4)},
            r"'codes' .* of shape \(300, 2\)\. Got .* \(4,\)",
        ),
        (
            {"codes": lambda rng, shape: np.full(shape, np.nan)},
            r"'codes' .* with 600 non-finite entries instead",
        ),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=f"^The {message}"):
        make_sinusoid_mixtures(**parameters)


@pytest.mark.parametrize("maker", MAKERS)
def test_the_seed_decides_about_everything(maker):
    first, again, other = (maker(50, random_state=seed) for seed in (3, 3, 4))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert np.abs(first[0] - other[0]).max() > 0.1
    from_generator = maker(50, random_state=np.random.RandomState(3))
    np.testing.assert_array_equal(from_generator[0], first[0])


@pytest.mark.parametrize(
    ("maker", "parameters"),
    [
        (make_independent_mixtures, {"n_components": 3}),
        (make_independent_mixtures, {"n_components": 3, "n_features": 7}),
        (make_independent_mixtures, {"n_components": 4, "n_features": 2}),
        (make_nonnegative_mixtures, {"n_components": 3, "n_features": 7}),
        (make_nonnegative_mixtures, {"n_components": 3, "sparsity": 0}),
        (make_proportions, {"n_components": 3, "n_features": 7, "max_share": 0.5}),
        (make_proportions, {"n_components": 1}),
        (make_bars, {"combine": "sum"}),
        (make_sparse_combinations, {"n_components": 30, "n_features": 7}),
        (make_feature_mixtures, {"n_components": 30, "n_features": 7}),
    ],
)
def test_without_noise_signals_are_codes_times_components(maker, parameters):
    X, codes, components = maker(40, random_state=0, **parameters)
    assert len(X) == len(codes) == 40
    assert len(components) == codes.shape[1] == parameters.get("n_components", 16)
    assert X.shape[1] == components.shape[1]
    np.testing.assert_array_equal(X, codes @ components)
    assert X.dtype == codes.dtype == components.dtype == np.float64


@pytest.mark.parametrize("name", [*BACH_AND_JORDAN, "laplace", "uniform", "exponential", "gaussian", "sech"])
def test_independent_codes_are_standard(name):
    """Student's t with three degrees of freedom has no fourth moment: its sample variance is not tested."""
    _, codes, _ = make_independent_mixtures(40_000, 2, name, random_state=0)
    if name in STANDARD_LAWS:
        assert all(stats.kstest(column, STANDARD_LAWS[name].cdf).pvalue > 1e-3 for column in codes.T)
    if name != "a":
        np.testing.assert_allclose(np.cov(codes.T), np.eye(2), atol=0.06)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=0.025)


def excess_kurtosis(second, fourth, variance, excess=0.0):
    """Of a sum of centres, of these moments, and an independent law around them."""
    moment = fourth + 6 * second * variance + (3 + excess) * variance**2
    return moment / (second + variance) ** 2 - 3


@pytest.mark.parametrize(
    ("name", "peaks", "kurtosis"),
    [
        ("f", 2, excess_kurtosis(1, 1, 0.25, 3)),
        ("g", 2, excess_kurtosis(0.25, 0.0625, 0.15**2)),
        ("h", 2, excess_kurtosis(0.25, 0.0625, 0.4**2)),
        ("m", 4, excess_kurtosis((1 + 2 * 0.33**2) / 3, (1 + 2 * 0.33**4) / 3, 0.16**2)),
    ],
)
def test_symmetric_mixtures_have_their_shape(name, peaks, kurtosis):
    _, codes, _ = make_independent_mixtures(400_000, 1, name, random_state=1)
    heights = np.histogram(codes, bins=np.linspace(-2.5, 2.5, 24))[0]
    inner = heights[1:-1]
    assert np.sum((inner > heights[:-2]) & (inner > heights[2:])) == peaks
    assert stats.kurtosis(codes)[0] == pytest.approx(kurtosis, abs=0.03)
    assert stats.skew(codes)[0] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("name", "jklpqr")
def test_other_mixtures_are_skewed(name):
    _, codes, _ = make_independent_mixtures(40_000, 1, name, random_state=1)
    assert abs(stats.skew(codes)[0]) > 0.08


def test_a_density_for_each_code():
    _, codes, _ = make_independent_mixtures(4000, 3, ["uniform", "g", "e"], random_state=0)
    assert np.abs(codes[:, 0]).max() < 3**0.5
    assert codes[:, 2].min() > -1
    assert np.mean(np.abs(codes[:, 1]) < 0.2) < 0.01


@pytest.mark.parametrize("k", [1, 2, 8])
def test_square_mixing_is_well_conditioned(k):
    for seed in range(5):
        _, _, components = make_independent_mixtures(2, k, random_state=seed)
        assert 1 <= np.linalg.cond(components) <= 2 + 1e-12


def test_noise_of_independent_mixtures():
    _, quiet, rows = make_independent_mixtures(5000, 2, n_features=6, random_state=3)
    X, codes, components = make_independent_mixtures(5000, 2, n_features=6, noise=0.3, random_state=3)
    np.testing.assert_array_equal(codes, quiet)
    np.testing.assert_array_equal(components, rows)
    np.testing.assert_allclose(np.cov((X - codes @ components).T), 0.09 * np.eye(6), atol=0.01)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_nonnegative_codes_are_gated_exponential(sparsity):
    X, codes, components = make_nonnegative_mixtures(5000, 3, sparsity=sparsity, random_state=0)
    assert min(X.min(), codes.min(), components.min()) >= 0
    np.testing.assert_allclose((codes == 0).mean(axis=0), sparsity, atol=0.03)
    assert all(stats.kstest(column[column > 0], "expon").pvalue > 1e-3 for column in codes.T)


@pytest.mark.parametrize("maker", [make_nonnegative_mixtures, make_proportions])
def test_spectra_are_smooth_and_bounded(maker):
    _, _, components = maker(2, 30, 400, random_state=0)
    assert components.min() >= 0.2 * (maker is make_proportions)
    assert components.max(axis=1).min() > 0.3
    assert components.max() < 3.2
    steepest = np.abs(np.diff(components, axis=1)).max() * 399
    assert steepest < 3 / 0.02 * np.exp(-0.5)


@pytest.mark.parametrize("maker", [make_nonnegative_mixtures, make_proportions])
@pytest.mark.parametrize("snr_db", [0, 25.0])
def test_decibels_are_those_of_the_whole_matrix(maker, snr_db):
    _, quiet, spectra = maker(2000, 3, random_state=0)
    X, codes, components = maker(2000, 3, snr_db=snr_db, random_state=0)
    np.testing.assert_array_equal(codes, quiet)
    np.testing.assert_array_equal(components, spectra)
    clean = codes @ components
    noise = X - clean
    assert 10 * np.log10(np.sum(clean**2) / np.sum(noise**2)) == pytest.approx(snr_db, abs=0.1)
    assert stats.kstest(noise.ravel()[:5000] / noise.std(), "norm").pvalue > 1e-3


def test_proportions_are_uniform_on_the_simplex():
    _, codes, _ = make_proportions(4000, 3, random_state=0)
    np.testing.assert_allclose(codes.sum(axis=1), 1, rtol=1e-14)
    assert all(stats.kstest(column, stats.beta(1, 2).cdf).pvalue > 1e-3 for column in codes.T)


@pytest.mark.parametrize(("k", "largest"), [(2, 0.6), (3, 0.5), (5, 0.8), (6, 0.3)])
def test_shares_are_cut_off(k, largest):
    _, codes, _ = make_proportions(3000, k, max_share=largest, random_state=0)
    assert codes.min() >= 0
    assert 0.95 * largest < codes.max() <= largest
    np.testing.assert_allclose(codes.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(codes.mean(axis=0), 1 / k, atol=0.02)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_probability_that_shares_are_kept(k):
    draws = np.random.RandomState(0).dirichlet(np.ones(k), 200_000).max(axis=1)
    for largest in (1.5 / k, 0.7, 1.0):
        assert spectra._kept_share(largest, k) == pytest.approx((draws <= largest).mean(), abs=0.005)


def test_bars_are_rows_and_columns():
    _, _, components = make_bars(1, size=4, random_state=0)
    images = components.reshape(8, 4, 4)
    for i in range(4):
        assert images[i, i].all()
        assert images[4 + i, :, i].all()
    assert (images.sum(axis=(1, 2)) == 4).all()


@pytest.mark.parametrize(("p", "share"), [(None, 1 / 8), (0.3, 0.3), (1, 1.0)])
def test_bars_are_lit_as_often_as_asked(p, share):
    X, codes, _ = make_bars(5000, p=p, random_state=0)
    assert set(np.unique(codes)) <= {0.0, 1.0}
    np.testing.assert_allclose(codes.mean(axis=0), share, atol=0.03)
    assert X.mean() == pytest.approx(1 - (1 - share) ** 2, abs=0.01)


def test_bars_hide_each_other_or_add_up():
    X, codes, components = make_bars(100, p=0.5, combine="sum", random_state=0)
    hidden, same, _ = make_bars(100, p=0.5, random_state=0)
    np.testing.assert_array_equal(codes, same)
    np.testing.assert_array_equal(hidden, np.minimum(X, 1))
    assert X.max() == 2


@pytest.mark.parametrize(
    ("maker", "parameters", "message"),
    [
        (make_independent_mixtures, {"n_samples": 0}, r"'n_samples' .* \[1, inf\)\. Got 0 instead"),
        (make_independent_mixtures, {"n_features": 0}, r"'n_features' .* Got 0 instead"),
        (make_independent_mixtures, {"n_components": 1.5}, r"'n_components' .* Got 1.5 instead"),
        (make_independent_mixtures, {"density": "z"}, r"'density' .* among \['a', .* Got 'z' instead"),
        (make_independent_mixtures, {"density": ["a", 3]}, r"'density' .* Got \['a', 3\] instead"),
        (make_independent_mixtures, {"density": None}, r"'density' .* Got None instead"),
        (make_independent_mixtures, {"density": ["a", "b"] * 2}, r"'density' .* 2\. Got 4 names instead"),
        (make_independent_mixtures, {"noise": -1}, r"'noise' parameter of make_independent_mixtures .* -1"),
        (make_nonnegative_mixtures, {"n_features": 0}, r"'n_features' .* Got 0 instead"),
        (make_nonnegative_mixtures, {"sparsity": 1}, r"'sparsity' .* \[0.0, 1.0\)\. Got 1 instead"),
        (make_nonnegative_mixtures, {"sparsity": "much"}, r"'sparsity' .* Got 'much' instead"),
        (
            make_nonnegative_mixtures,
            {"snr_db": np.inf},
            r"'snr_db' .* finite float or None\. Got inf instead",
        ),
        (make_proportions, {"n_components": 0}, r"'n_components' .* Got 0 instead"),
        (make_proportions, {"max_share": 1.1}, r"'max_share' .* \(0.3333, 1.0\]\. Got 1.1 instead"),
        (make_proportions, {"max_share": 0.2}, r"'max_share' .* Got 0.2 instead"),
        (make_proportions, {"max_share": 0.335}, r"'max_share' .* fewer than one in 1000 .* Got 0.335"),
        (make_proportions, {"snr_db": "loud"}, r"'snr_db' .* Got 'loud' instead"),
        (make_bars, {"size": 0}, r"'size' .* Got 0 instead"),
        (make_bars, {"p": 0}, r"'p' .* \(0.0, 1.0\] or None\. Got 0 instead"),
        (make_bars, {"combine": "or"}, r"'combine' .* among \['max', 'sum'\]\. Got 'or' instead"),
        (make_sparse_combinations, {"n_active": 51}, r"'n_active' .* \[1, 50\]\. Got 51 instead"),
        (make_sparse_combinations, {"snr_db": "loud"}, r"'snr_db' .* Got 'loud' instead"),
        (make_feature_mixtures, {"n_active": 65}, r"'n_active' .* \(0.0, 64\]\. Got 65 instead"),
        (make_feature_mixtures, {"decay": "slow"}, r"'decay' .* \(0.0, 1.0\]\. Got 'slow' instead"),
        (make_feature_mixtures, {"correlation": 1}, r"'correlation' .* \[0.0, 1.0\)\. Got 1 instead"),
        (make_feature_mixtures, {"group_size": 0}, r"'group_size' .* Got 0 instead"),
        (make_feature_mixtures, {"components": [1.0]}, r"'components' .* Got an array of shape \(1,\)"),
    ],
)
def test_bad_parameters_of_the_others_are_named(maker, parameters, message):
    with pytest.raises(ValueError, match=f"^The {message}"):
        maker(**parameters)


def test_sparse_combinations_are_those_of_the_paper():
    X, codes, components = make_sparse_combinations(20_000, snr_db=20, random_state=0)
    np.testing.assert_allclose(np.linalg.norm(components, axis=1), 1.0)
    assert set(np.count_nonzero(codes, axis=1)) == {3}
    np.testing.assert_allclose((codes != 0).mean(axis=0), 3 / 50, rtol=0.15)
    assert stats.kstest(codes[codes != 0], "norm").pvalue > 0.01
    noise = X - codes @ components
    assert np.mean((codes @ components) ** 2) / np.mean(noise**2) == pytest.approx(100, rel=0.02)


def test_features_are_as_frequent_as_asked():
    codes = make_feature_mixtures(50_000, n_active=6, decay=0.97, random_state=0)[1]
    shares = (codes > 0).mean(axis=0)
    expected = 0.97 ** np.arange(128)
    np.testing.assert_allclose(shares, 6 * expected / expected.sum(), atol=0.006)
    assert stats.kstest(codes[codes > 0], "uniform").pvalue > 0.01


def test_no_feature_is_active_in_more_than_half_of_the_signals():
    codes = make_feature_mixtures(20_000, n_components=8, n_active=2, decay=0.3, random_state=0)[1]
    shares = (codes > 0).mean(axis=0)
    assert shares.sum() == pytest.approx(2, abs=0.02)
    assert shares.max() < 0.51


def test_features_of_a_group_come_together():
    codes = make_feature_mixtures(
        50_000, n_components=16, n_active=4, decay=1, correlation=0.5, group_size=4, random_state=0
    )[1]
    together = np.corrcoef(codes.T > 0)
    group = np.arange(16) % 4
    same = (group[:, None] == group) & ~np.eye(16, dtype=bool)
    level = stats.norm.ppf(0.25)
    joint = stats.multivariate_normal(cov=[[1, 0.5], [0.5, 1]]).cdf([level, level])
    np.testing.assert_allclose(together[same], (joint - 0.25**2) / (0.25 * 0.75), atol=0.03)
    np.testing.assert_allclose(together[group[:, None] != group], 0.0, atol=0.03)


def test_a_stream_of_mixtures_has_the_features_given():
    components = make_feature_mixtures(1, random_state=0)[2]
    X, codes, same = make_feature_mixtures(30, components=components, random_state=1)
    np.testing.assert_array_equal(same, components)
    np.testing.assert_array_equal(X, codes @ components)


@given(st.integers(1, 40), st.integers(1, 12), st.one_of(st.none(), st.integers(1, 15)))
@settings(max_examples=60)
def test_frames_are_slices(n_times, length, hop):
    signal = np.arange(n_times, dtype=float)
    if length > n_times:
        with pytest.raises(ValueError, match="'length' parameter of frames"):
            frames(signal, length, hop)
        return
    step = hop or length
    expected = [signal[start : start + length] for start in range(0, n_times - length + 1, step)]
    np.testing.assert_array_equal(frames(signal, length, hop), expected)


@pytest.mark.parametrize("hop", [None, 1, 2, 9])
def test_frames_are_a_writable_copy(hop):
    signal = np.arange(20.0)
    rows = frames(signal, 4, hop)
    assert rows.flags.c_contiguous
    assert rows.flags.writeable
    assert rows.flags.owndata
    rows[:] = -1.0
    np.testing.assert_array_equal(signal, np.arange(20.0))


@pytest.mark.parametrize(
    ("given_dtype", "dtype"), [("f4", "f4"), ("f8", "f8"), ("i2", "f8"), ("u1", "f8"), ("?", "f8")]
)
def test_frames_keep_floats(given_dtype, dtype):
    assert frames(np.ones(6, dtype=given_dtype), 3).dtype == np.dtype(dtype)


def test_frames_of_a_file_and_of_a_gap(tmp_path):
    signal = np.memmap(tmp_path / "signal.f4", dtype=np.float32, mode="w+", shape=(10,))
    signal[:] = np.arange(10)
    signal[3] = np.nan
    rows = frames(signal, 2)
    assert type(rows) is np.ndarray
    np.testing.assert_array_equal(rows, [[0, 1], [2, np.nan], [4, 5], [6, 7], [8, 9]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (np.arange(5), 0),
            r"'length' parameter of frames must be an int in the range \[1, inf\)\. Got 0 instead\.",
        ),
        ((np.arange(5), 2.5), r"'length' .* Got 2.5 instead\."),
        (
            (np.arange(5), 2, 0),
            r"'hop' parameter of frames must be an int in the range \[1, inf\)\. Got 0 instead\.",
        ),
        ((np.arange(5), 6), r"'length' .* \[1, 5\], the number of samples of 'signal'\. Got 6 instead\."),
        (
            (np.ones((9, 2)), 3),
            r"'signal' .* 1-D .*channels one by one.* shape \(9, 2\) and dtype float64 instead\.",
        ),
        ((np.ones(9) * 1j, 3), r"'signal' .* real numbers .* dtype complex128 instead\."),
        ((["a", "b"], 1), r"'signal' .* dtype <U1 instead\."),
    ],
)
def test_bad_frames_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        frames(*arguments)


def test_an_empty_signal_is_shorter_than_any_frame():
    with pytest.raises(ValueError, match="must be a non-empty 1-D array"):
        frames(np.array([]), 1)
