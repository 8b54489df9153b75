"""Checks of the benches themselves, without timings: ``pytest benchmarks --benchmark-skip``."""

import jax
import numpy as np
import pytest

from benchmarks import methods, problems, ranks, regimes, rivals, rows, smallest_box
from benchmarks.compilations import compilations
from sparse_fourier.metrics import worst_relative_error


def brute_force_area(points, steps=720):
    """Least area over a grid of pairs of side directions."""
    angles = np.arange(steps) * np.pi / steps
    widths = np.ptp(points @ np.stack([-np.sin(angles), np.cos(angles)]), axis=0)
    sines = np.abs(np.sin(angles[:, None] - angles))
    with np.errstate(divide="ignore"):
        return (np.outer(widths, widths) / sines).min()


@pytest.mark.parametrize("seed", range(10))
def test_smallest_parallelogram_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((8, 2)) @ rng.standard_normal((2, 2))
    faces, offset = smallest_box.smallest_parallelogram(points)
    codes = points @ faces - offset
    np.testing.assert_allclose(codes.min(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(codes.max(axis=0), 1, atol=1e-12)
    area = 1 / abs(np.linalg.det(faces))
    brute = brute_force_area(points)
    assert area <= brute * (1 + 1e-12)
    assert brute <= 1.05 * area


@pytest.mark.parametrize("interval", [problems.FULL, problems.HALF])
def test_exact_box_is_exact_when_the_corners_are_visited(interval):
    sample = problems.seed_signals(0, n=50, interval=interval)
    codes = np.vstack([sample.codes, [[0, 0], [0, 1], [1, 0], [1, 1]]])
    components, estimated = smallest_box.exact_box(codes @ sample.components, 2)
    assert worst_relative_error(sample.components, components, matched=False) < 1e-12
    truth = sample._replace(codes=codes)
    assert rows.code_error(truth, methods.Outcome(components, estimated, 0)) < 1e-12


@pytest.mark.parametrize("name", rivals.RIVALS)
def test_rivals_find_the_span(name):
    sample = problems.harmonics(0, n=500, k=3, n_features=40, codes="exponential", noise=1e-3)
    sample = sample._replace(X=sample.X[:, 1:], components=sample.components[:, 1:])
    outcome = methods.attempt(rivals.RIVALS[name], sample.X, 3, 0)
    assert not outcome.failure
    assert outcome.codes.shape == (500, 3)
    if name != "NMF":
        centred = sample.X - sample.X.mean(axis=0)
        rebuilt = (outcome.codes - outcome.codes.mean(axis=0)) @ outcome.components
        assert np.linalg.norm(rebuilt - centred) < 0.01 * np.linalg.norm(centred)


@pytest.mark.parametrize(
    ("components", "reason"),
    [
        (None, "shape ()"),
        (np.ones((2, 3)), "shape (2, 3)"),
        (np.full((2, 4), np.nan), "not finite"),
        (np.eye(2, 4) * [[1], [0]], "zero everywhere"),
        (np.ones((2, 4)), "linearly dependent"),
    ],
)
def test_useless_components_are_failures(components, reason):
    outcome = methods.attempt(lambda X, k, seed: (components, None), np.ones((5, 4)), 2, 0)
    assert reason in outcome.failure


def test_exceptions_are_failures():
    outcome = methods.attempt(lambda X, k, seed: 1 / 0, np.ones((5, 4)), 2, 0)
    assert outcome.failure == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("sampler", [problems.copula_codes, problems.comonotone_codes])
def test_dependent_codes_are_uniform_and_correlate(sampler):
    codes = sampler(np.random.RandomState(0), (100_000, 3))
    np.testing.assert_allclose(np.corrcoef(codes.T)[np.triu_indices(3, 1)], 0.5, atol=0.01)
    np.testing.assert_allclose(
        np.quantile(codes, [0, 0.25, 0.5, 0.75, 1], axis=0)[:, 0], np.arange(5) / 4, atol=0.01
    )


def test_compilations_are_counted():
    program = jax.jit(lambda x: x * 3 + 1)
    x = np.ones(3)
    with compilations() as first:
        program(x)
    with compilations() as second:
        program(x)
    assert (len(first), len(second)) == (1, 0)


def test_results_are_kept_and_not_made_again(tmp_path):
    path = tmp_path / "fits.jsonl"
    first = regimes.Results(path).get(("a", 2, None), lambda: {"error": 0.5})
    again = regimes.Results(path).get(("a", 2, None), lambda: pytest.fail("made again"))
    assert again["error"] == first["error"] == 0.5


def test_a_component_is_detectable_from_the_threshold_on():
    below, above = 0.9 * np.sqrt(50 / 400), 3.0
    assert [ranks.detectable(strength, 400, 50) for strength in (below, above, np.inf)] == [-1, 1, 1]
