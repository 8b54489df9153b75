"""One answer, in whichever form signals come: kinds of arrays, precision, calls, solvers, threads."""

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures

CODES = {"uniform": "uniform", "laplace": "laplace", "exponential": "exponential", "gaussian": "unequal"}
PRIORS = [*CODES, "learned", "simplex", "auto", None]


def signals(prior, n=400):
    rng = np.random.RandomState(0)
    if prior == "simplex":
        return rng.dirichlet(np.ones(3), size=n) @ rng.uniform(size=(3, 12)) + 0.01 * rng.standard_normal(
            (n, 12)
        )
    kind = CODES.get(prior, "laplace" if prior == "learned" else "uniform")
    return make_sinusoid_mixtures(n, 12, noise=0.05, codes=kind, random_state=0)[0]


def fitted(X, prior, **parameters):
    k = 3 if prior == "simplex" else 2
    return AutoencoderDecomposer(k, prior=prior, random_state=0, **parameters).fit(X)


def apart(one, other):
    """Return by how much components and intercept differ, relative to the components."""
    size = np.abs(one.components_).max()
    components = np.abs(one.components_ - other.components_).max() / size
    intercept = np.abs(one.intercept_ - other.intercept_).max() / size
    return max(components, intercept)


@pytest.mark.parametrize("prior", PRIORS)
def test_forms_of_arrays(prior, tmp_path):
    X = signals(prior)
    model = fitted(X, prior)
    path = tmp_path / "X.npy"
    np.save(path, X)
    forms = {
        "CSR": sparse.csr_array(X),
        "file": np.load(path, mmap_mode="r"),
    }
    for name, form in forms.items():
        other = fitted(form, prior)
        assert apart(model, other) < 1e-6, name
        np.testing.assert_allclose(other.score(form), model.score(X), rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("prior", PRIORS)
def test_precision(prior):
    X = signals(prior).astype(np.float32)
    one, other = fitted(X, prior), fitted(X.astype(float), prior)
    assert one.components_.dtype == np.float32
    assert apart(one, other) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["uniform", "laplace", "learned", None])
def test_arrays_of_jax(prior):
    import jax

    X = signals(prior).astype(np.float32)
    assert apart(fitted(X, prior), fitted(jax.numpy.asarray(X), prior)) == 0
    with jax.enable_x64(True):
        double = jax.numpy.asarray(signals(prior))
    assert apart(fitted(signals(prior), prior), fitted(double, prior)) == 0


@pytest.mark.parametrize("prior", ["uniform", "learned", "simplex", "auto"])
def test_one_call_or_many(prior):
    """The last refit sees all rows: as many more as make it due."""
    X = signals(prior)
    stream = AutoencoderDecomposer(3 if prior == "simplex" else 2, prior=prior, random_state=0)
    for rows in (X[:200], X[200:]):
        stream.partial_fit(rows)
    model = fitted(X, prior)
    turned = [
        np.abs(np.corrcoef(one, other)[0, 1]) for one in model.components_ for other in stream.components_
    ]
    closest = np.sort(np.reshape(turned, (len(model.components_), -1)).max(axis=1))
    assert closest[0] > 1 - 1e-9
    np.testing.assert_allclose(stream.score(X), model.score(X), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["lbfgs", "adam", "rmsprop", "sgd"])
@pytest.mark.parametrize("prior", ["uniform", "laplace", "gaussian"])
def test_solvers_end_at_one_optimum(prior, solver):
    X = signals(prior)
    one, other = fitted(X, prior), fitted(X, prior, solver=solver)
    assert other.score(X) > one.score(X) - 1e-6
    assert apart(one, other) < 1e-4


@pytest.mark.slow
def test_a_network_of_identities_ends_at_principal_axes_of_least_error():
    X = signals("gaussian")
    one, other = (fitted(X, None, **more) for more in ({}, {"activation": "identity", "solver": "lbfgs"}))
    np.testing.assert_allclose(other.loss_, one.loss_, rtol=1e-6)


@pytest.mark.parametrize("prior", ["uniform", "learned", "simplex", "auto"])
def test_threads_of_blas(prior):
    X = signals(prior)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(fitted(X, prior))
    assert apart(*found) < 1e-6
