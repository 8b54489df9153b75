"""The span of signals with missing entries, against the truth and against complete data."""

import numpy as np
import pytest

from sparse_fourier.incomplete import Observed, low_rank

N, D = 400, 20
EPS = float(np.finfo(float).eps)


def signals(rank=2, noise=0.0, seed=0, n=N):
    rng = np.random.default_rng(seed)
    return (
        rng.uniform(size=(n, rank)) @ rng.standard_normal((rank, D)) + noise * rng.standard_normal((n, D)) + 3
    )


def observed(X, missing, weights=None, centred=True):
    weights = np.ones(len(X)) if weights is None else weights
    return Observed(np.where(missing, 0.0, X), 1.0 - missing, weights, centred, EPS)


def pattern(kind, seed=1):
    rng = np.random.default_rng(seed)
    missing = rng.random((N, D)) < 0.3
    if kind == "two blocks":
        missing[:] = False
        missing[:160, :9], missing[240:, 11:] = True, True
    elif kind == "one feature":
        missing[:] = False
        missing[80:, 4] = True
    elif kind == "few complete":
        missing[:] = (np.arange(D) - rng.integers(D, size=(N, 1))) % D < 12
        missing[:3] = False
    elif kind == "large values":
        missing[:] = signals() > np.quantile(signals(), 0.7)
    return missing


def distance(axes, true):
    basis = np.linalg.qr(true.T)[0].T
    return np.linalg.norm(basis - basis @ axes.T @ axes)


PATTERNS = ["at random", "two blocks", "one feature", "few complete", "large values"]


@pytest.mark.parametrize("kind", PATTERNS)
@pytest.mark.parametrize("n_components", [2, None, 0.9999, 4])
def test_span_without_noise_is_exact(kind, n_components):
    X, missing = signals(), pattern(kind)
    found, k, trusted = low_rank(observed(X, missing), n_components, 0)
    assert trusted
    assert found.rank == 2
    assert k == (n_components if isinstance(n_components, int) else 2)
    filled = found.mean + found.coordinates @ found.axes
    enough = (~missing).sum(axis=1) > 3
    np.testing.assert_allclose(filled[enough], X[enough], rtol=1e-9, atol=1e-9)
    assert distance(found.axes, np.linalg.svd(X - X.mean(axis=0))[2][:2]) < 1e-9


def test_complete_data_give_the_principal_subspace():
    X = signals(noise=0.3)
    found, _, _ = low_rank(observed(X, np.zeros(X.shape, dtype=bool)), 2, 0)
    _, _, axes = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    assert distance(found.axes, axes[:2]) < 1e-8
    middle = found.mean + found.coordinates.mean(axis=0) @ found.axes
    np.testing.assert_allclose(middle, X.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.inflation, 1.0)


@pytest.mark.parametrize("centred", [True, False])
def test_no_other_span_has_smaller_squares(centred):
    X, missing = signals(noise=0.3), pattern("at random")
    found, _, _ = low_rank(observed(X, missing, centred=centred), 2, 0)
    rng = np.random.default_rng(2)

    def squares(axes, mean):
        total = 0.0
        for row, hidden in zip(X, missing, strict=True):
            design, target = axes[:, ~hidden].T, (row - mean)[~hidden]
            total += ((target - design @ np.linalg.lstsq(design, target, rcond=None)[0]) ** 2).sum()
        return total

    least = squares(found.axes, found.mean)
    assert found.value == pytest.approx(least, rel=1e-10)
    for size in (1e-3, 1e-2):
        axes = found.axes + size * rng.standard_normal(found.axes.shape)
        assert squares(axes, found.mean) > least
        if centred:
            assert squares(found.axes, found.mean + size * rng.standard_normal(D)) > least
    nearly = squares(found.axes + 1e-6 * rng.standard_normal(found.axes.shape), found.mean)
    assert nearly - least < 1e-6 * least, "stationary: a small step changes nothing to first order"


def test_number_of_components_with_noise():
    for seed in range(3):
        X, missing = signals(rank=3, noise=0.2, seed=seed), pattern("at random", seed)
        assert low_rank(observed(X, missing), None, 0)[0].rank == 3
        assert (
            low_rank(observed(np.random.default_rng(seed).standard_normal((N, D)), missing), None, 0)[1] == 1
        )


def test_noise_that_is_not_white_is_not_believed():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)) * np.geomspace(1, 1e-3, D)
    found, k, trusted = low_rank(observed(X, pattern("one feature")), None, 0)
    assert not trusted
    assert k == found.rank < D // 2


def test_weights_are_repetitions():
    X, missing = signals(noise=0.2), pattern("at random")
    weights = np.random.default_rng(3).integers(1, 4, N)
    one = low_rank(observed(X, missing, weights.astype(float)), 2, 0)[0]
    rows = np.repeat(np.arange(N), weights)
    other = low_rank(observed(X[rows], missing[rows]), 2, 0)[0]
    assert distance(one.axes, other.axes) < 1e-7
    assert one.value == pytest.approx(other.value, rel=1e-9)


def test_inflation_is_that_of_least_squares():
    X, missing = signals(noise=0.2), pattern("at random")
    found = low_rank(observed(X, missing), 2, 0)[0]
    seen = found.axes[:, ~missing[5]]
    assert found.inflation[5] == pytest.approx(np.trace(np.linalg.inv(seen @ seen.T)) / 2)
