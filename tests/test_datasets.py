"""Data sets: the truth returned is the truth of the signals, and frames are slices of the recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sparse_fourier.datasets import frames, make_sinusoid_mixtures

LAWS = {
    "uniform": stats.uniform(),
    "laplace": stats.laplace(),
    "exponential": stats.expon(),
    "gaussian": stats.norm(),
    "beta": stats.beta(0.5, 0.5),
    "simplex": stats.beta(1, 2),
}


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
