"""Tables of learned densities: against the densities themselves."""

import numpy as np
import pytest
from scipy import stats

from sparse_fourier import runtime
from sparse_fourier.densities import Density, choose
from sparse_fourier.densities.splines import splines_of
from sparse_fourier.priors import Learned
from sparse_fourier.priors.frozen import Frozen

RNG = np.random.default_rng(0)
SKEWED, EVEN = 3 + RNG.exponential(size=500), -RNG.uniform(size=500)
DRAWS = np.stack([RNG.laplace(size=500), SKEWED, EVEN, RNG.normal(size=500)], axis=1)
SHARE = np.full(500, 1 / 500)
CODES = np.concatenate([DRAWS, RNG.uniform(-3, 3, size=(100, 4))])


@pytest.fixture(name="prior", scope="module")
def learned():
    prior = Learned().learned([choose(draws, SHARE, 500.0, 2e-3) for draws in DRAWS.T])
    assert [density.edges for density in prior.densities] == [0, 1, 2, 0]
    return prior


def test_tables_are_the_densities_and_noise_widens_edges_alone(prior):
    with runtime.settings():
        tables = prior.traced(4)
        sharp, soft = (np.array(tables.log_marginals(CODES, np.full((1, 4), v))) for v in (0.0, 1e-2))
        total = np.array(tables.log_observed(CODES, np.full((1, 4), 1e-2)))
    expected = prior.log_marginals(CODES, np.zeros((1, 4)))
    np.testing.assert_allclose(sharp, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(total, expected.sum(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(soft[:, [0, 3]], sharp[:, [0, 3]], atol=1e-9)
    near = np.argmin(np.abs(EVEN + 0.95))
    assert sharp[near, 2] - soft[near, 2] > 0.3  # a third of the noise leads beyond the edge


def test_edges_are_as_wide_as_their_blur_and_the_noise_in_any_unit(prior):
    """A wall is a normal distribution function; what it has of noise is in units of the codes."""
    large = prior.mapped(np.array([8.0, 8.0, -8.0, 8.0]), np.zeros(4))
    codes, noise = 8 * CODES * [1, 1, -1, 1], 0.5
    with runtime.settings():
        tables = large.traced(4)
        sharp, soft = (np.array(tables.log_marginals(codes, np.full((1, 4), v))) for v in (0.0, noise**2))
        total = np.array(tables.log_observed(codes, np.zeros((1, 4))))
    np.testing.assert_allclose(total, sharp.sum(axis=1), rtol=1e-9)
    for j in (1, 2):
        density, expected = large.densities[j], sharp[:, j].copy()
        for wall in density.template.walls(density.blur):
            distances = wall.sign * (codes[:, j] - density.centre - density.scale * wall.place)
            distances *= np.sign(density.scale)
            width = wall.width * abs(density.scale)
            expected += stats.norm.logcdf(distances / np.hypot(width, noise))
            expected -= stats.norm.logcdf(distances / width)
        assert np.abs(soft[:, j] - sharp[:, j]).max() > 0.3
        np.testing.assert_allclose(soft[:, j], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_densities_of_very_different_lengths_share_tables():
    long, short = Density.normal(), choose(DRAWS[:, 3], SHARE, 500.0, 2e-3)
    many, few = (splines_of(density.template).n_cells for density in (long, short))
    assert few < 128 < many
    tables = Frozen.of((long, short))
    assert tables.table.last.tolist() == [many - 1, few - 1]
    codes = np.stack([np.linspace(-40, 40, 81), np.linspace(-5, 5, 81)], axis=1)
    with runtime.settings():
        found = np.array(tables.log_marginals(codes, np.zeros((1, 2))))
    np.testing.assert_allclose(found[:, 0], stats.norm.logpdf(codes[:, 0]), rtol=1e-9)
    np.testing.assert_allclose(found[:, 1], short.log_density(codes[:, 1]), rtol=1e-9)


@pytest.mark.slow
def test_derivatives_are_those_of_the_densities(prior):
    with runtime.settings():
        found = prior.traced(4).jet(np.asarray(DRAWS), np.zeros((1, 4)))
    expected = prior.jet(DRAWS, np.zeros((1, 4)))
    np.testing.assert_allclose(found.by_code, expected.by_code, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found.by_codes, expected.by_codes, rtol=1e-3, atol=1e-5)  # of edges
