"""Fits of networks for ``pytest benchmarks --benchmark-only``, beside PyTorch where it is installed.

784 - 256 - 64 - 784 with ten epochs of Adam; ours begins at the closed form of an affine encoder, the others
at random. The mean squared error stands in ``extra_info``; samples per second are those of
`python -m benchmarks.throughput`.
"""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from benchmarks import throughput
from sparse_fourier import AutoencoderDecomposer

N, D, HIDDEN, K, BATCH, EPOCHS = 5120, 784, 256, 64, 256, 10


def signals():
    rng = np.random.default_rng(0)
    return (
        rng.random((N, K), dtype=np.float32) @ rng.standard_normal((K, D), dtype=np.float32) / np.float32(8)
    )


def ours(X):
    given = {"prior": None, "solver": "adam", "batch_size": BATCH, "max_iter": EPOCHS, "learning_rate": 1e-3}
    model = AutoencoderDecomposer(K, hidden_layer_sizes=(HIDDEN,), **given, random_state=0).fit(X)
    return model.inverse_transform(model.transform(X))


def perceptron(X):
    given = {"hidden_layer_sizes": (HIDDEN, K), "alpha": 0.0, "batch_size": BATCH}
    return MLPRegressor(**given, max_iter=EPOCHS, random_state=0).fit(X, X).predict(X)


def torchs(X):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(*shape) for shape in ((D, HIDDEN), (HIDDEN, K), (K, D))]
    network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), *layers[1:])
    optimizer, x = torch.optim.Adam(network.parameters(), lr=1e-3), torch.from_numpy(X)
    for _ in range(EPOCHS):
        for rows in torch.randperm(N).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(network(x[rows]), x[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return network(x).numpy()


FITS = {"ours": ours, "PyTorch": torchs, "MLPRegressor": perceptron}


@pytest.mark.benchmark(group="network, 784 - 256 - 64, 5120 signals, 10 epochs of Adam")
@pytest.mark.parametrize("name", FITS)
def test_fit(benchmark, name):
    X, rebuilt = signals(), []

    def timed():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            rebuilt.append(FITS[name](X))

    benchmark.pedantic(timed, rounds=3, warmup_rounds=1)
    benchmark.extra_info["mean_squared_error"] = error = float(np.mean((X - rebuilt[-1]) ** 2))
    assert error < X.var(axis=0).mean()


def test_operations_are_those_of_the_products_of_a_step():
    deep, affine, _ = throughput.networks(N)
    d, m, k = deep.d, deep.hidden, deep.k
    assert affine.operations(beside=True) == 2 * 5 * d * k
    assert deep.operations(beside=False) == 2 * (2 * d * m + 3 * m * k + 3 * k * d)
    assert deep.operations(beside=True) - deep.operations(beside=False) == 2 * 2 * d * k
