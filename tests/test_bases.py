"""Bases: identities that hold for every one of them, and what the free basis is."""

import numpy as np
import pytest

from sparse_fourier.bases import Basis, Free

BASES = [Free()]
every_basis = pytest.mark.parametrize("basis", BASES, ids=lambda basis: type(basis).__name__)


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
