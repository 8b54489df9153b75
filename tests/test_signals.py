"""Signals that are not arrays in memory: files mapped into it, sparse matrices."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from scipy import sparse

from sparse_fourier import AutoencoderDecomposer, signals, validation

FORMATS = ["csr_matrix", "csc_array", "coo_array", "lil_matrix", "bsr_array", "dok_array"]


def sparse_mixtures(n=500, d=24, k=3, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.uniform(size=(n, k)) * (rng.uniform(size=(n, k)) < 0.5)
    components = rng.standard_normal((k, d)) * (rng.uniform(size=(k, d)) < 0.5)
    X = codes @ components
    return X + (X != 0) * 0.01 * rng.standard_normal((n, d)), components


def in_file(X, path):
    mapped = np.memmap(path, dtype=X.dtype, mode="w+", shape=X.shape)
    mapped[:] = X
    mapped.flush()
    return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)


def alike(model, other, X, Y):
    """Assert that two models are equal, fitted to X and to another form Y of it."""
    tolerance = 1e-4 if X.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(other.components_, model.components_, rtol=1e-12)
    assert other.components_.dtype == model.components_.dtype
    codes = other.transform(Y)
    assert codes.dtype == model.transform(X).dtype
    np.testing.assert_allclose(codes, model.transform(X), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(other.score_samples(Y), model.score_samples(X), rtol=1e-6, atol=1e-4)
    assert other.score(Y) == pytest.approx(model.score(X))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_sparse_matrix_is_fitted_as_its_dense_form_is(kind):
    X, _ = sparse_mixtures()
    model = AutoencoderDecomposer(3, prior="exponential", random_state=0)
    other = AutoencoderDecomposer(3, prior="exponential", random_state=0)
    Y = getattr(sparse, kind)(X)
    alike(model.fit(X), other.fit(Y), X, Y)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "parameters",
    [
        {"n_components": 3, "prior": "gaussian"},
        {"n_components": 3, "basis": "nonnegative"},
        {"n_components": 0.9, "prior": None},
    ],
)
def test_a_mapped_file_and_a_sparse_matrix_are_fitted_as_an_array_is(tmp_path, parameters, dtype):
    X, _ = sparse_mixtures()
    X = np.abs(X).astype(dtype)
    model = AutoencoderDecomposer(**parameters, random_state=0).fit(X)
    for Y in (in_file(X, tmp_path / "X"), sparse.csr_array(X)):
        alike(model, AutoencoderDecomposer(**parameters, random_state=0).fit(Y), X, Y)


@pytest.mark.parametrize("dtype", ["<i2", ">i2", ">f4", "<f2", "u1"])
def test_numbers_of_any_type_are_read_from_a_file(tmp_path, dtype):
    X = np.clip(np.round(100 * np.abs(sparse_mixtures()[0])), 0, 255).astype(dtype)
    kept = np.float32 if np.dtype(dtype) == np.dtype(">f4") else np.float64
    model = AutoencoderDecomposer(3, prior="gaussian").fit(X.astype(kept))
    other = AutoencoderDecomposer(3, prior="gaussian").fit(in_file(X, tmp_path / "X"))
    assert other.components_.dtype == kept
    np.testing.assert_array_equal(other.components_, model.components_)


def test_indices_of_64_bits_and_weights():
    X, _ = sparse_mixtures()
    weights = np.arange(len(X)) % 3
    Y = sparse.csr_matrix(X)
    Y.indices, Y.indptr = Y.indices.astype(np.int64), Y.indptr.astype(np.int64)
    model, other = AutoencoderDecomposer(3, prior="gaussian"), AutoencoderDecomposer(3, prior="gaussian")
    model.fit(X, sample_weight=weights)
    alike(model, other.fit(Y, sample_weight=weights), X, Y)
    fresh = AutoencoderDecomposer(3, prior="gaussian").fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(other.components_, fresh.components_, atol=1e-9)


def test_weights_of_zero_leave_rows_of_a_file_out(tmp_path):
    X, _ = sparse_mixtures()
    weights = np.arange(len(X)) % 2
    model = AutoencoderDecomposer(3, prior="gaussian").fit(X[weights > 0])
    other = AutoencoderDecomposer(3, prior="gaussian").fit(in_file(X, tmp_path / "X"), sample_weight=weights)
    np.testing.assert_array_equal(other.components_, model.components_)


def test_batches_may_be_sparse():
    X, _ = sparse_mixtures()
    model, other = AutoencoderDecomposer(3, prior="gaussian"), AutoencoderDecomposer(3, prior="gaussian")
    for rows in (slice(0, 200), slice(200, 500)):
        model.partial_fit(X[rows])
        other.partial_fit(sparse.csc_matrix(X[rows]))
    np.testing.assert_array_equal(other.components_, model.components_)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_entries_are_refused(tmp_path, bad):
    X, _ = sparse_mixtures()
    X[3, 4] = bad
    for Y in (in_file(X, tmp_path / "X"), sparse.csr_matrix(X)):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            AutoencoderDecomposer(3).fit(Y)


def test_what_needs_dense_signals_says_so(monkeypatch):
    monkeypatch.setattr("sparse_fourier.signals._FEW_ENTRIES", 0)
    X = sparse.csr_matrix(sparse_mixtures()[0])
    for parameters, purpose in (
        ({"hidden_layer_sizes": (4,)}, "a network"),
        ({"n_components": 30, "prior": "laplace"}, "more components than features"),
    ):
        model = AutoencoderDecomposer(**{"n_components": 3, **parameters})
        with pytest.raises(TypeError, match=f"cannot be used with {purpose}.*toarray"):
            model.fit(X)
    X.data[0] = np.nan
    with pytest.raises(TypeError, match="cannot be used with missing entries"):
        AutoencoderDecomposer(3).fit(X)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_large_array_is_fitted_as_a_small_one_is(monkeypatch, weighted):
    """It is looked at once for its extent; strays and rows without weight are left out all the same."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(400, 3)) @ rng.normal(size=(3, 12)) + 0.01 * rng.normal(size=(400, 12))
    X[7] += 50.0
    weights = rng.integers(0, 3, size=400) if weighted else None
    with pytest.warns(UserWarning, match="outliers_"):
        small = AutoencoderDecomposer(3, prior="uniform", random_state=0).fit(X, sample_weight=weights)
    monkeypatch.setattr(validation, "_LARGE", 1)
    with pytest.warns(UserWarning, match="outliers_"):
        large = AutoencoderDecomposer(3, prior="uniform", random_state=0).fit(X, sample_weight=weights)
    np.testing.assert_allclose(large.components_, small.components_, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(large.outliers_, small.outliers_)
    X[:, 3] = np.nan
    with pytest.raises(ValueError, match=r"no observed entry in the columns \[3\]"):
        large.fit(X)


def test_missing_entries_of_a_file_are_those_of_an_array(tmp_path):
    X, _ = sparse_mixtures(200)
    X[::7, 3] = np.nan
    model = AutoencoderDecomposer(3, prior="gaussian").fit(X)
    Y = in_file(X, tmp_path / "X")
    alike(model, AutoencoderDecomposer(3, prior="gaussian").fit(Y), X, Y)


def test_wide_data_have_the_components_of_all_their_axes(monkeypatch):
    rng = np.random.default_rng(0)
    codes = rng.exponential(size=(300, 4)) * [8, 4, 2, 1]
    X = codes @ rng.standard_normal((4, 400)) + 0.1 * rng.standard_normal((300, 400))
    X *= rng.uniform(size=400) < 0.7
    fits = {n: AutoencoderDecomposer(n, prior="gaussian").fit(X) for n in (4, "auto", 0.9)}
    monkeypatch.setattr("sparse_fourier.initialization._MOST_ENTRIES", 0)
    for Y in (X, sparse.csr_matrix(X)):
        for n, model in fits.items():
            other = AutoencoderDecomposer(n, prior="gaussian").fit(Y)
            assert other.n_components_ == model.n_components_
            np.testing.assert_allclose(other.components_, model.components_, atol=1e-7)
            assert other.score(Y) == pytest.approx(model.score(X), abs=1e-6)
            assert other.noise_variance_ == pytest.approx(model.noise_variance_)


def test_triangles_of_blocks_resolve_what_moments_do_not(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 12)) * np.geomspace(1, 1e-7, 12)
    X = (X - X.mean(axis=0)) @ np.linalg.qr(rng.standard_normal((12, 12)))[0]
    monkeypatch.setattr("sparse_fourier.initialization.FEW_ENTRIES", 0)
    model = AutoencoderDecomposer(12, prior="gaussian").fit(X)
    truth = np.linalg.svd(X, compute_uv=False) ** 2 / 399
    np.testing.assert_allclose(model.explained_variance_, truth, rtol=1e-4)


def test_products_are_those_of_arrays():
    X, _ = sparse_mixtures()
    forms = signals.signals_of(X), signals.signals_of(sparse.csc_array(X))
    rng = np.random.default_rng(1)
    right, left = rng.standard_normal((24, 5)), rng.standard_normal((500, 5))
    for each in forms:
        np.testing.assert_allclose(each.times(right), X @ right)
        np.testing.assert_allclose(each.transposed_times(left), X.T @ left)
        assert each.extent == (X.min(), X.max(), True)
        assert (len(each), each.size, each.shape) == (500, 12000, (500, 24))


MEMORY = """
    import sys, threading, time
    import numpy as np
    from scipy import sparse
    from sparse_fourier import AutoencoderDecomposer
    import sparse_fourier.fitting

    def anonymous():
        with open("/proc/self/status") as status:
            return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

    peak = [0.0]
    def watch():
        while True:
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.002)

    {data}
    before = anonymous()
    threading.Thread(target=watch, daemon=True).start()
    {work}
    print("grown by", max(peak[0], anonymous()) - before)
"""


def growth(data, work):
    """Return by how many MiB of anonymous memory a process grows that works on data."""
    code = textwrap.dedent(MEMORY).format(data=textwrap.dedent(data), work=work)
    outcome = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    return float(outcome.stdout.rsplit("grown by", 1)[1])


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.slow
@linux_only
def test_a_file_is_never_loaded_whole(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.uniform(size=(120_000, 3)).astype(np.float32)
    X = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=(120_000, 400))
    X[:] = codes @ rng.standard_normal((3, 400), dtype=np.float32)
    X += 0.1 * np.resize(rng.standard_normal(99_991, dtype=np.float32), X.shape)
    X.flush()
    size = X.nbytes / 2**20
    data = f"X = np.memmap({str(tmp_path / 'X')!r}, dtype=np.float32, mode='r', shape=(120_000, 400))"
    work = "model = AutoencoderDecomposer(3, prior='gaussian').fit(X); model.transform(X); model.score(X)"
    assert growth(data, work) < 0.5 * size < 100


@pytest.mark.slow
@linux_only
def test_a_sparse_matrix_is_never_dense():
    data = """
    rng = np.random.default_rng(0)
    random = {"density": 0.002, "random_state": rng, "format": "csr"}
    parts = [sparse.random_array((3000, m), **random) for m in (500, 5500)]
    X = sparse.hstack([parts[0] @ sparse.diags_array(np.linspace(9, 50, 500)), parts[1]], format="csr")
    """
    work = "model = AutoencoderDecomposer(1, prior='gaussian').fit(X); model.transform(X); model.score(X)"
    assert growth(data, work) < 0.5 * 3000 * 6000 * 8 / 2**20


@pytest.mark.slow
@linux_only
def test_a_thousand_million_entries_take_less_than_two_gigabytes():
    data = """
    rng, n, d, k = np.random.default_rng(0), 20_000, 50_000, 5
    def scattered(n, count):
        places = np.sort(rng.integers(0, d, size=(n, count)), axis=1).ravel()
        values = rng.standard_normal(len(places), dtype=np.float32)
        return sparse.csr_array((values, places, np.arange(n + 1) * count), shape=(n, d))
    codes = rng.uniform(size=(n, k)).astype(np.float32) * (rng.uniform(size=(n, k)) < 0.3)
    components = scattered(k, 250)
    X = sparse.csr_array(sparse.csr_array(codes.astype(np.float32)) @ components + 0.05 * scattered(n, 100))
    """
    work = """
from sparse_fourier.metrics import worst_relative_error
model = AutoencoderDecomposer(k, prior="exponential", random_state=0).fit(X)
assert worst_relative_error(components.toarray(), model.components_) < 0.1
"""
    assert growth(data, work) < 2000
