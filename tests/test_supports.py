"""Supports: projections against SciPy's bounded least squares, and against the optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, nnls
from scipy.stats import norm

from sparse_fourier.supports import SUPPORTS, Interval, Real, Support, bounded_least_squares

BOUNDS = [(0.0, 1.0), (0.0, np.inf), (-0.3, 0.2)]
every_bound = pytest.mark.parametrize(("lower", "upper"), BOUNDS)


def correlated(k, correlation):
    """Gram matrix of components of unequal length, all at the same cosine."""
    lengths = np.linspace(0.5, 2.0, k)
    return (np.full((k, k), correlation) + (1 - correlation) * np.eye(k)) * np.outer(lengths, lengths)


def scattered_codes(k, n, seed=0):
    """Codes inside and outside of [0, 1], with every face and corner exceeded."""
    return np.random.default_rng(seed).uniform(-1.0, 2.0, size=(n, k))


def reference(codes, gram, lower, upper):
    """Row by row with SciPy: minimise |R u - R h| where gram = R'R."""
    root = np.linalg.cholesky(gram).T
    solve = dict(bounds=(lower, upper), method="bvls", tol=1e-15)
    return np.array([lsq_linear(root, root @ row, **solve).x for row in codes])


@every_bound
@pytest.mark.parametrize(("k", "correlation"), [(1, 0.0), (2, 0.95), (3, -0.4), (5, 0.95), (5, 0.0)])
def test_against_scipy(k, correlation, lower, upper):
    codes, gram = scattered_codes(k, 60), correlated(k, correlation)
    expected = reference(codes, gram, lower, upper)
    solution = bounded_least_squares(codes, gram, lower, upper)
    np.testing.assert_allclose(solution, expected, atol=1e-9)


@pytest.mark.parametrize(("n", "k"), [(300, 10), (100, 40)])
def test_against_nonnegative_least_squares_of_scipy(n, k):
    rng = np.random.default_rng(k)
    components = rng.exponential(size=(k, 60)) ** 3
    signals = rng.normal(size=(n, 60)) + rng.exponential(size=(n, k)) @ components * (
        rng.random((n, 1)) < 0.5
    )
    codes = np.linalg.lstsq(components.T, signals.T, rcond=None)[0].T
    found = bounded_least_squares(codes, components @ components.T, 0.0, np.inf)
    expected = np.array([nnls(components.T, signal)[0] for signal in signals])
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def test_components_that_are_nearly_alike_are_told_apart():
    """Coordinate descent alone would need some million sweeps."""
    gram = correlated(3, 1 - 1e-7)
    codes = scattered_codes(3, 40)
    found, expected = bounded_least_squares(codes, gram, 0.0, 1.0), reference(codes, gram, 0.0, 1.0)
    error = lambda u: np.einsum("ij,jk,ik->i", u - codes, gram, u - codes)  # noqa: E731
    assert (error(found) <= error(expected) + 1e-12).all()


def test_dependent_components_share_what_is_left():
    gram = np.ones((2, 2))
    codes = np.array([[2.0, -0.5], [0.3, 0.2], [-3.0, 1.0]])
    found = bounded_least_squares(codes, gram, 0.0, np.inf)
    np.testing.assert_allclose(found.sum(axis=1), [1.5, 0.5, 0.0], atol=1e-12)
    assert found.min() >= 0


@pytest.mark.parametrize("name", SUPPORTS)
@pytest.mark.parametrize("price", [0.0, 0.3])
def test_sweeps_end_in_the_projection(name, price):
    """Prices lower the pull of the signals on each code."""
    domain, gram = SUPPORTS[name], correlated(4, 0.6)
    codes = scattered_codes(4, 50)
    codes += (1 - codes.sum(axis=1, keepdims=True)) / 4 if domain.surplus else 0.0
    prices = price * np.arange(4)
    target = codes - np.linalg.solve(gram, prices)
    target += (1 - target.sum(axis=1, keepdims=True)) * shares_of_excess(gram) if domain.surplus else 0.0
    relaxed = np.full(codes.shape, 0.25)
    for _ in range(500):
        domain.relax(relaxed, codes @ gram, gram, prices)
    np.testing.assert_allclose(relaxed, domain.project(target, gram), atol=1e-9)


def shares_of_excess(gram):
    """How the nearest codes of sum one share what the sum exceeds one by."""
    shares = np.linalg.solve(gram, np.ones(len(gram)))
    return shares / shares.sum()


def test_projection_is_not_clipping():
    """With correlated components what one code may not give, another must."""
    gram = correlated(2, 0.95)
    codes = np.array([[1.5, 0.2]])
    solution = bounded_least_squares(codes, gram, 0.0, 1.0)
    # By hand: u0 = 1, and u1 minimises over the line: u1 = h1 + g01/g11 (h0 - 1).
    np.testing.assert_allclose(solution, [[1.0, 0.2 + 0.5 * gram[0, 1] / gram[1, 1]]], rtol=1e-14)


@given(
    st.integers(1, 5),
    st.floats(0.0, 0.97),
    st.sampled_from(BOUNDS),
    st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_optimality_conditions(k, correlation, bounds, seed):
    """Inside, the gradient is zero; at a bound, it points out of the set."""
    lower, upper = bounds
    codes, gram = scattered_codes(k, 20, seed), correlated(k, correlation)
    solution = bounded_least_squares(codes, gram, lower, upper)
    assert (solution >= lower).all()
    assert (solution <= upper).all()
    gradient = (solution - codes) @ gram
    slack = 1e-9 * np.diagonal(gram).max()
    assert (gradient[solution < upper] >= -slack).all()
    assert (gradient[solution > lower] <= slack).all()


@every_bound
def test_rows_do_not_depend_on_their_neighbours(lower, upper):
    codes, gram = scattered_codes(4, 50), correlated(4, 0.95)
    together = bounded_least_squares(codes, gram, lower, upper)
    alone = np.concatenate([bounded_least_squares(row[None], gram, lower, upper) for row in codes])
    np.testing.assert_array_equal(together, alone)
    reversed_rows = bounded_least_squares(codes[::-1], gram, lower, upper)
    np.testing.assert_array_equal(together, reversed_rows[::-1])


@every_bound
def test_projecting_twice_is_projecting_once(lower, upper):
    codes, gram = scattered_codes(4, 50), correlated(4, 0.9)
    domain = Interval(lower, upper)
    once = domain.project(codes, gram)
    np.testing.assert_allclose(domain.project(once, gram), once, rtol=0, atol=1e-12)


def test_components_of_length_zero_do_not_disturb_the_others():
    gram = np.zeros((3, 3))
    gram[np.ix_([0, 2], [0, 2])] = correlated(2, 0.9)
    codes = scattered_codes(3, 40)
    solution = bounded_least_squares(codes, gram, 0.0, 1.0)
    rest = bounded_least_squares(codes[:, [0, 2]], gram[np.ix_([0, 2], [0, 2])], 0.0, 1.0)
    np.testing.assert_array_equal(solution[:, [0, 2]], rest)
    np.testing.assert_array_equal(solution[:, 1], np.clip(codes[:, 1], 0, 1))


def test_rows_inside_are_returned_bit_for_bit():
    codes, gram = scattered_codes(3, 80), correlated(3, 0.95)
    inside = ((codes >= 0) & (codes <= 1)).all(axis=1)
    assert 0 < inside.sum() < len(codes)
    projected = Interval(0.0, 1.0).project(codes, gram)
    np.testing.assert_array_equal(projected[inside], codes[inside])
    expected = reference(codes[~inside], gram, 0.0, 1.0)
    np.testing.assert_allclose(projected[~inside], expected, atol=1e-9)


@every_bound
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_rows_are_confined_in_place(lower, upper, dtype):
    """Rows outside lie in all of the blocks in which they are looked for, and in few rows of each."""
    gram, n = correlated(2, 0.9), 100_000
    codes = np.full((n, 2), (lower + min(upper, 1.0)) / 2, dtype=dtype)
    outside = np.r_[0:n:997, n - 1]
    codes[outside] = scattered_codes(2, len(outside)).astype(dtype)
    expected = codes.astype(float)
    expected[outside] = reference(expected[outside], gram, lower, upper)
    Interval(lower, upper).confine(codes, gram)
    assert codes.dtype == dtype
    assert codes.min() >= dtype(lower)
    assert codes.max() <= dtype(upper)
    np.testing.assert_allclose(codes, expected, atol=1e-9 if dtype is np.float64 else 1e-7)


def test_proportions_in_single_precision_are_confined_in_place():
    codes = np.random.default_rng(0).dirichlet([0.3] * 4, size=200) * 1.3 - 0.075
    single, gram = codes.astype(np.float32), correlated(4, 0.6)
    SUPPORTS["simplex"].confine(single, gram)
    np.testing.assert_allclose(single, SUPPORTS["simplex"].project(codes, gram), atol=1e-6)
    assert single.min() == 0.0


def test_input_is_left_alone():
    codes, gram = scattered_codes(3, 30), correlated(3, 0.5)
    before = codes.copy(), gram.copy()
    codes.flags.writeable = gram.flags.writeable = False
    SUPPORTS["unit"].project(codes, gram)
    np.testing.assert_array_equal(codes, before[0])
    np.testing.assert_array_equal(gram, before[1])


def test_named_supports_are_the_sets_they_name():
    codes, gram = scattered_codes(3, 60), correlated(3, 0.9)
    np.testing.assert_array_equal(SUPPORTS["real"].project(codes, gram), codes)
    unit, nonnegative = SUPPORTS["unit"].project(codes, gram), SUPPORTS["nonnegative"].project(codes, gram)
    assert unit.min() == 0.0
    assert unit.max() == 1.0
    assert nonnegative.min() == 0.0
    assert nonnegative.max() > 1.0
    np.testing.assert_allclose(nonnegative, reference(codes, gram, 0.0, np.inf), atol=1e-9)


def test_no_point_of_the_set_reconstructs_better():
    rng = np.random.default_rng(0)
    components = rng.normal(size=(3, 8))
    codes, gram = scattered_codes(3, 40), components @ components.T
    signals = codes @ components
    best = SUPPORTS["unit"].project(codes, gram)
    errors = np.linalg.norm(signals - best @ components, axis=1)
    for _ in range(200):
        rivals = np.clip(best + rng.normal(scale=0.1, size=best.shape), 0, 1)
        assert (np.linalg.norm(signals - rivals @ components, axis=1) >= errors - 1e-12).all()


def test_support_is_abstract():
    with pytest.raises(TypeError, match="confine"):
        Support()
    assert isinstance(SUPPORTS["real"], Real)


@pytest.mark.parametrize("deviation", [1e-6, 0.1, 0.5])
@every_bound
def test_soft_faces_are_the_probability_of_noise_that_leads_back(lower, upper, deviation):
    """Each face by itself; codes are moved inside, half a deviation from a face if that fits."""
    codes = np.linspace(-2.0, 3.0, 101)[:, None] * np.ones((1, 2))
    inside, faces = Interval(lower, upper).soften(codes, np.full(2, deviation**2))
    expected = norm.logsf(lower, codes, deviation) + norm.logcdf(upper, codes, deviation)
    np.testing.assert_allclose(faces, expected, rtol=1e-9, atol=1e-13)
    margin = min(0.5 * deviation, 0.5 * (upper - lower))
    np.testing.assert_allclose(inside, np.clip(codes, lower + margin, upper - margin), rtol=1e-12)
    far = (codes > lower + 9 * deviation) & (codes < upper - 9 * deviation)
    np.testing.assert_array_equal(inside[far], codes[far])
    np.testing.assert_allclose(faces[far], 0.0, atol=1e-15)


def test_softening_broadcasts_and_is_nothing_on_the_real_line():
    codes = scattered_codes(3, 20)
    variances = np.array([0.01, 0.25, 4.0])
    together = SUPPORTS["unit"].soften(codes, variances)
    for j in range(3):
        alone = SUPPORTS["unit"].soften(codes[:, [j]], np.full((20, 1), variances[j]))
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one[:, [j]], other)
    inside, faces = SUPPORTS["real"].soften(codes, variances)
    np.testing.assert_array_equal(inside, codes)
    np.testing.assert_array_equal(faces, np.zeros_like(codes))


def test_noise_wider_than_the_interval_leaves_its_middle():
    inside, faces = SUPPORTS["unit"].soften(np.array([[-3.0, 0.5, 7.0]]), np.array(100.0))
    np.testing.assert_allclose(inside, 0.5)
    assert (faces < np.log(0.5)).sum() == 3


@pytest.mark.parametrize("name", ["unit", "nonnegative"])
def test_softening_in_jax_is_softening_in_numpy(name):
    import jax

    from sparse_fourier import runtime

    codes, variances = scattered_codes(2, 30), np.array([0.02, 0.3])
    with runtime.settings():
        traced = jax.jit(SUPPORTS[name].soften)(codes, variances)
    for one, other in zip(traced, SUPPORTS[name].soften(codes, variances), strict=True):
        np.testing.assert_allclose(np.asarray(one), other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("domain", "density", "moments"),
    [
        (SUPPORTS["real"], lambda h: norm.pdf(h, 1.0, 2.0), (1.0, 1.0, 5.0)),
        (SUPPORTS["real"], lambda h: 0.5 * np.exp(-np.abs(h)), (1.0, 0.0, 2.0)),
        (SUPPORTS["unit"], lambda h: 6 * h * (1 - h), (1.0, 0.5, 0.3)),
        (SUPPORTS["nonnegative"], lambda h: np.exp(-h), (1.0, 1.0, 2.0)),
        (Interval(-1.0, 3.0), lambda h: 0.25 + 0 * h, (1.0, 1.0, 7 / 3)),
        (Interval(2.0, np.inf), lambda h: np.exp(2 - h), (1.0, 3.0, 10.0)),
    ],
)
@pytest.mark.parametrize(("n_nodes", "tolerance"), [(2000, 1e-5), (150, 2e-3)])
def test_quadrature_integrates_densities_and_moments(domain, density, moments, n_nodes, tolerance):
    nodes, weights = domain.quadrature(n_nodes)
    assert nodes.shape == weights.shape == (n_nodes,)
    assert (weights > 0).all()
    assert (np.diff(nodes) > 0).all()
    np.testing.assert_array_equal(domain.project(nodes[:, None], np.eye(1))[:, 0], nodes)
    for power, moment in enumerate(moments):
        assert (density(nodes) * nodes**power) @ weights == pytest.approx(moment, abs=tolerance * 10)
    default = domain.quadrature()[0]
    assert len(default) == 2000


def test_resolution_is_one_over_n_but_never_coarse_and_zero_without_faces():
    for name in ("unit", "nonnegative"):
        assert SUPPORTS[name].resolution(1000.0) == 1e-3
        assert SUPPORTS[name].resolution(2.5e6) == pytest.approx(4e-7)
        assert SUPPORTS[name].resolution(2.0) == 0.1
    assert SUPPORTS["real"].resolution(2.0) == 0.0
