"""Sinusoids that span signals best: derivatives, exact recovery, the Cramér-Rao bound, missing entries."""

import numpy as np
import pytest

from sparse_fourier.harmonics import Chart, Problem, Record, Sinusoids, decompose, refine, search, wrapped
from sparse_fourier.harmonics.incomplete import Observed, refine_incomplete
from sparse_fourier.harmonics.projection import expand, moved, orthonormal
from sparse_fourier.harmonics.record import Terms
from sparse_fourier.harmonics.waves import eigen_of_two, grams_of, turned, whitening_of_two

GRID = np.arange(64.0)


def record_of(positions, damped=False):
    return Record(positions, 0.5 * (len(positions) - 1) / np.ptp(positions), damped)


def waveforms(positions, frequencies, phases, dampings=0.0):
    angles = 2 * np.pi * np.outer(frequencies, positions) + np.asarray(phases)[:, None]
    return np.exp(-np.broadcast_to(dampings, len(angles))[:, None] * positions) * np.sin(angles)


def root_of(X):
    return np.linalg.qr(X - X.mean(axis=0), mode="r")


def found_frequencies(X, record, k, max_iter=200):
    found = search(Problem(root_of(X), record), k, len(X), max_iter)
    assert found.converged
    return np.sort(found.state.terms.cycles.ravel()) / record.length


def random_terms(rng, k, m):
    coefficients = rng.normal(size=(k, m)) + 1j * rng.normal(size=(k, m))
    coefficients /= np.linalg.norm(coefficients, axis=1, keepdims=True)
    return Terms(rng.uniform(1, 8, (k, m)), rng.uniform(0.5, 2, (k, m)), coefficients)


@pytest.mark.parametrize(("k", "m", "damped"), [(1, 1, False), (3, 1, False), (2, 1, True), (2, 2, True)])
def test_gradient_and_hessian_are_those_of_finite_differences(k, m, damped):
    rng = np.random.default_rng(k + 2 * m)
    record = record_of(np.sort(rng.uniform(0, 10, 20)), damped)
    problem, terms = Problem(rng.normal(size=(5, 20)), record), random_terms(rng, k, m)
    chart = Chart.free(record, terms)
    expansion = expand(problem.at(terms), problem, chart)

    def half_loss(change):
        return 0.5 * problem.at(moved(terms, expansion.directions, change, record)).loss

    h, unit = 1e-4, np.eye(len(expansion.gradient))
    slopes = [(half_loss(h * e) - half_loss(-h * e)) / (2 * h) for e in unit]
    np.testing.assert_allclose(expansion.gradient, slopes, atol=1e-5)
    curvatures = [
        [
            half_loss(h * (a + b)) - half_loss(h * (a - b)) - half_loss(h * (b - a)) + half_loss(-h * (a + b))
            for a in unit
        ]
        for b in unit
    ]
    np.testing.assert_allclose(expansion.hessian, np.array(curvatures) / (4 * h * h), atol=1e-3)


@pytest.mark.parametrize("end", [np.pi, np.pi / 2], ids=["half a period apart", "a quarter apart"])
def test_sines_of_one_record_are_exact(end):
    x = np.linspace(0, end, 30)
    X = np.random.default_rng(0).uniform(size=(300, 2)) @ np.sin(np.outer([1, 2], x))
    np.testing.assert_allclose(2 * np.pi * found_frequencies(X, record_of(x), 2), [1, 2], rtol=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_irregular_positions_are_exact(seed):
    rng = np.random.default_rng(100 + seed)
    k = 3 + seed % 3
    positions = rng.permutation(rng.uniform(0, 63, 64))
    frequencies = np.sort(rng.uniform(0.02, 0.45, k))
    X = rng.uniform(size=(200, k)) @ waveforms(positions, frequencies, rng.uniform(-3, 3, k))
    np.testing.assert_allclose(found_frequencies(X, record_of(positions), k), frequencies, rtol=1e-11)


def test_damped_sinusoids_are_exact():
    frequencies, dampings = [0.06, 0.1, 0.23], [0.02, 0.05, 0.0]
    truth = waveforms(GRID, frequencies, [0.3, 1.0, 2.0], dampings)
    X = np.random.default_rng(1).uniform(size=(100, 3)) @ truth
    found = search(Problem(root_of(X), record_of(GRID, damped=True)), 3, 100, 200)
    order = np.argsort(found.state.terms.cycles.ravel())
    np.testing.assert_allclose(found.state.terms.cycles.ravel()[order] / 63, frequencies, rtol=1e-11)
    np.testing.assert_allclose(found.state.terms.decays.ravel()[order] / 63, dampings, atol=1e-12)


@pytest.mark.parametrize("d", [20, 21])
def test_constant_and_alternating_components_have_one_amplitude(d):
    positions = np.arange(float(d))
    truth = np.stack([np.ones(d), np.cos(np.pi * positions), np.sin(0.8 * positions + 0.3)])
    X = np.random.default_rng(2).uniform(size=(100, 3)) @ truth
    record = record_of(positions)
    terms = search(Problem(root_of(X), record), 3, 100, 200).state.terms
    sinusoids = record.sinusoids(terms, np.ones(3))
    order = np.argsort(terms.cycles.ravel())
    np.testing.assert_allclose(sinusoids.frequencies[order, 0], [0, 0.4 / np.pi, 0.5], atol=1e-12)
    np.testing.assert_allclose(np.abs(sinusoids.phases[order[[0, 2]], 0]), np.pi / 2)
    np.testing.assert_allclose(sinusoids.amplitudes, 1.0)


def noisy(X, rng, snr_db):
    power = ((X - X.mean(axis=0)) ** 2).mean()
    return X + rng.normal(size=X.shape) * np.sqrt(power / 10 ** (snr_db / 10))


@pytest.mark.parametrize("snr_db", [np.inf, 20, 5])
def test_tones_of_random_phase_are_given_one_frequency(snr_db):
    rng = np.random.default_rng(3)
    frequencies = np.array([7.3, 15.77]) / 63
    amplitudes = rng.normal(size=(300, 2, 2)) @ [1, 1j]
    X = np.real(amplitudes @ np.exp(2j * np.pi * np.outer(frequencies, GRID)))
    found = found_frequencies(noisy(X, rng, snr_db), record_of(GRID), 4)
    assert found[0] == found[1]
    assert found[2] == found[3]
    np.testing.assert_allclose(found[[0, 2]], frequencies, rtol=1e-11 if np.isinf(snr_db) else 3e-3)


def test_sums_of_sinusoids_are_taken_apart():
    rng = np.random.default_rng(4)
    truth = np.sort(rng.uniform(0.02, 0.45, (2, 3)))
    sums = Sinusoids(truth, rng.uniform(0.3, 1, (2, 3)), rng.uniform(-3, 3, (2, 3)), np.zeros((2, 3))).at(
        GRID
    )
    record = record_of(GRID)
    rough = decompose(record, sums + 0.02 * rng.normal(size=sums.shape), 3, 100)
    np.testing.assert_allclose(np.sort(rough.cycles) / 63, truth, rtol=0.02)
    X = rng.uniform(size=(100, 2)) @ sums
    exact = refine(Problem(root_of(X), record), rough, Chart.free(record, rough), 100).state.terms
    np.testing.assert_allclose(np.sort(exact.cycles) / 63, truth, rtol=1e-11)


def bound_of_frequencies(truth, slopes, codes, variance):
    """The Cramér-Rao bound: parameters of the waveforms, codes of every signal and intercept unknown."""
    k = len(truth)
    projector = np.eye(truth.shape[1]) - np.linalg.pinv(truth) @ truth
    moments = np.cov(codes.T, bias=True) * len(codes)
    information = np.tile(moments, (2, 2)) * (slopes @ projector @ slopes.T) / variance
    return np.diagonal(np.linalg.inv(information))[:k]


@pytest.mark.parametrize(
    ("positions", "cycles"), [(GRID, [6.4, 8.2, 19.5]), (np.linspace(0, 1, 30), [0.25, 0.5])]
)
def test_frequencies_reach_the_cramer_rao_bound(positions, cycles):
    record, k = record_of(positions), len(cycles)
    frequencies, phases = np.array(cycles) / record.length, 0.4 * np.arange(k)
    truth = waveforms(positions, frequencies, phases)
    turned = waveforms(positions, frequencies, phases + np.pi / 2)
    slopes = np.concatenate([2 * np.pi * (positions - record.middle) * turned, turned])
    ratios = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        codes = rng.uniform(size=(200, k))
        deviation = 0.1 * np.std(codes @ truth)
        X = codes @ truth + deviation * rng.normal(size=(200, len(positions)))
        error = found_frequencies(X, record, k) - frequencies
        ratios.append(error**2 / bound_of_frequencies(truth, slopes, codes, deviation**2))
    mean, spread = np.mean(ratios), np.std(np.mean(ratios, axis=1)) / np.sqrt(len(ratios))
    assert np.sqrt(mean) < 1.05 + 2 * spread


def test_few_positions_and_many_components_are_no_failure():
    for seed, (d, k) in enumerate([(2, 1), (2, 2), (3, 3), (6, 6), (8, 5)]):
        X = np.random.default_rng(seed).normal(size=(40, d))
        state = search(Problem(root_of(X), record_of(np.arange(float(d)))), k, 40, 100).state
        assert np.isfinite(state.loss)
        assert np.linalg.matrix_rank(state.waveforms) == k


def test_phases_are_wrapped_to_the_half_open_circle():
    np.testing.assert_allclose(wrapped(np.array([np.pi, -np.pi, 7.0])), [np.pi, np.pi, 7 - 2 * np.pi])


def refined_incomplete(X, record, k, weights=None, centred=True):
    """The fit to what was observed, from signals completed by the mean."""
    mean = np.nanmean(X, axis=0) * centred
    root = np.linalg.qr(np.where(np.isnan(X), mean, X) - mean, mode="r")
    start = search(Problem(root, record), k, len(X), 200)
    weights = np.ones(len(X)) if weights is None else weights
    observed = Observed(X, weights, record, centred)
    return refine_incomplete(observed, start.state.terms, start.chart, mean, 200)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("centred", [True, False])
def test_a_tenth_of_the_entries_missing_is_exact(seed, centred):
    rng = np.random.default_rng(200 + seed)
    k = 3 + seed
    positions, frequencies = rng.uniform(0, 63, 64), np.sort(rng.uniform(0.02, 0.45, k))
    truth = waveforms(positions, frequencies, rng.uniform(-3, 3, k))
    intercept = centred * rng.normal(size=64)
    codes = rng.uniform(size=(200, k))
    X = codes @ truth + intercept
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    record = record_of(positions)
    found = refined_incomplete(X, record, k, rng.integers(1, 4, 200).astype(float), centred)
    assert found.converged
    np.testing.assert_allclose(np.sort(found.terms.cycles.ravel()) / record.length, frequencies, rtol=1e-11)
    own = record.sinusoids(found.terms, np.ones(k)).at(positions)
    np.testing.assert_allclose(found.codes @ own + found.intercept, codes @ truth + intercept, atol=1e-9)


def test_with_nothing_missing_the_masked_fit_is_the_other():
    rng = np.random.default_rng(5)
    X = noisy(rng.uniform(size=(100, 2)) @ waveforms(GRID, [0.1, 0.13], [0.0, 1.0]), rng, 10)
    record = record_of(GRID)
    masked = refined_incomplete(X, record, 2)
    plain = search(Problem(root_of(X), record), 2, 100, 200)
    np.testing.assert_allclose(masked.loss, plain.state.loss, rtol=1e-12)
    np.testing.assert_allclose(
        np.sort(masked.terms.cycles, 0), np.sort(plain.state.terms.cycles, 0), rtol=1e-7
    )


def test_masked_minimum_is_one():
    """Its gradient vanishes: moving any parameter either way raises the loss."""
    rng = np.random.default_rng(6)
    X = noisy(rng.uniform(size=(60, 2)) @ waveforms(GRID, [0.1, 0.13], [0.0, 1.0]), rng, 10)
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    record = record_of(GRID)
    found = refined_incomplete(X, record, 2)
    for j in range(2):
        for change in (-1e-3, 1e-3):
            cycles = found.terms.cycles.copy()
            cycles[j] += change
            assert profile(X, record, found.terms._replace(cycles=cycles), found.intercept) > found.loss


def profile(X, record, terms, intercept):
    """Sum of squared residuals with every signal's own least-squares codes."""
    own = record.sinusoids(terms, np.ones(len(terms.cycles))).at(record.positions)
    total = 0.0
    for row in X - intercept:
        seen = np.isfinite(row)
        total += np.linalg.lstsq(own[:, seen].T, row[seen], rcond=None)[1].sum()
    return total


@pytest.mark.parametrize(("k", "d", "seed"), [(3, 64, 5), (10, 64, 103), (15, 64, 1), (20, 128, 103)])
def test_tones_closer_than_the_grid_are_exact(k, d, seed):
    """One frequency for two of them is a saddle, and many others are near."""
    rng = np.random.default_rng(seed)
    frequencies, phases = np.sort(rng.uniform(0.02, 0.45, k)), rng.uniform(-3, 3, k)
    X = rng.uniform(size=(300, k)) @ waveforms(np.arange(float(d)), frequencies, phases)
    assert np.diff(frequencies).min() < 0.1 / d
    np.testing.assert_allclose(
        found_frequencies(X, record_of(np.arange(float(d))), k), frequencies, rtol=1e-9
    )


def test_a_constant_does_not_keep_others_from_moving():
    rng = np.random.default_rng(5)
    record = record_of(np.arange(32.0))
    truth = Terms(
        np.array([[0.0], [11.33], [11.33]]), np.zeros((3, 1)), np.array([[1.0], [0.6 + 0.8j], [0.8 - 0.6j]])
    )
    clean = rng.uniform(size=(200, 3)) @ np.real(truth.coefficients * np.exp(truth.exponents * record.times))
    problem = Problem(root_of(noisy(clean, rng, 10)), record)
    found = search(problem, 3, 200, 100)
    assert found.state.terms.cycles.min() == 0
    assert found.state.loss < problem.at(truth).loss


def test_decompositions_of_pairs_and_columns():
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(5, 2, 7))
    pairs[1, 0], pairs[2], pairs[3, 1] = 0.0, 0.0, 0.0
    grams = grams_of(pairs)
    values, vectors = eigen_of_two(grams)
    gram = pairs @ pairs.swapaxes(1, 2)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(gram), atol=1e-14)
    np.testing.assert_allclose(gram @ vectors, vectors * values[:, None], atol=1e-13)
    np.testing.assert_array_equal(np.abs(vectors[[1, 3]]).max(axis=1), np.ones((2, 2)))
    whiten = whitening_of_two(grams, 1e-9)
    whitened, ranks = whiten.swapaxes(1, 2) @ pairs, np.linalg.matrix_rank(pairs)
    assert ranks.tolist() == [2, 1, 0, 1, 2]
    expected = np.array([np.diag([float(r > 1), float(r > 0)]) for r in ranks])
    np.testing.assert_allclose(whitened @ whitened.swapaxes(1, 2), expected, atol=1e-13)
    np.testing.assert_allclose(turned(grams, whiten), expected.reshape(5, 4)[:, [0, 1, 3]].T, atol=1e-13)
    columns = rng.normal(size=(9, 4))
    basis, triangle = orthonormal(columns)
    np.testing.assert_allclose(basis @ triangle, columns, atol=1e-13)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-14)
    np.testing.assert_array_equal(triangle, np.triu(triangle))


@pytest.mark.parametrize("damped", [False, True])
@pytest.mark.parametrize("limit", [0.5, 0.3, 0.41])
@pytest.mark.parametrize("even", [True, False])
def test_waves_are_seen_alike_by_transforms_in_blocks_and_at_once(damped, limit, even, monkeypatch):
    rng = np.random.default_rng(1)
    positions = 2.0 + 0.1 * np.arange(41.0) if even else np.sort(rng.uniform(0, 4, 41))
    rows, record = rng.normal(size=(7, 41)), Record(positions, 10 * limit, damped)
    pairs = record.waves.at(slice(None))
    cycles, decays = record.waves.grid
    angles = 2 * np.pi * cycles[:, None] * (positions - record.middle) / record.length
    envelopes = np.exp(-decays[:, None] * record.times)
    np.testing.assert_allclose(
        pairs, np.stack([envelopes * np.sin(angles), envelopes * np.cos(angles)], 1), atol=1e-8
    )
    for changes in ({}, {"_MOST_PRODUCTS": 0}, {"_MOST_KEPT": 0, "_BLOCK_ENTRIES": 500}):
        for name, value in changes.items():
            monkeypatch.setattr(f"sparse_fourier.harmonics.waves.{name}", value)
        waves = Record(positions, 10 * limit, damped).waves
        sizes = np.sqrt(grams_of(pairs)[[0, 2]].sum(axis=0))
        for found, expected, size in (
            (waves.seen(rows.T).T, (pairs @ rows.T).T, sizes),
            (waves.energies(rows), grams_of(pairs @ rows.T), sizes**2),
            (waves.grams, grams_of(pairs), sizes**2),
        ):
            np.testing.assert_allclose(found / size, expected / size, atol=1e-11)
        monkeypatch.undo()
