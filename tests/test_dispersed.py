"""Networks on signals spread over devices and processes: the same batches as in one array, no row moved."""

import re

import pytest
from test_sharding import TOGETHER, ended, free_port, output, run

NETWORKS = """
import optax, warnings
warnings.simplefilter("ignore")  # few epochs
spreading._MOST_ROWS = 1 << 16  # so that training begins at the very same point

def compared(X, weights=None, k=2, **parameters):
    parameters = {"max_iter": 4, "random_state": 0, **parameters}
    one, many = (
        AutoencoderDecomposer(k, **parameters).fit(each, sample_weight=weights) for each in (X, spread(X))
    )
    arrays = ("components_", "intercept_", "loss_curve_", "explained_variance_", "noise_variance_",
              "reconstruction_err_")
    pairs = [(getattr(one, name), getattr(many, name)) for name in arrays]
    pairs.append((one.transform(X[:50]), many.transform(X[:50])))
    return max(difference(*pair) for pair in pairs), float(np.ptp(many.loss_curve_))
"""


def agreeing(found, n):
    assert len(found) == n
    assert max(apart for apart, _ in found) < 1e-9, found  # another order of sums, no other batches
    assert all(moved > 0 for _, moved in found), found  # training did something


@pytest.mark.slow
def test_batches_are_those_of_one_array():
    found = output(
        run(
            NETWORKS
            + """
X = make_sinusoid_mixtures(2000, 30, noise=0.05, random_state=0)[0]
weights = np.random.RandomState(0).choice([0.0, 1.0, 2.0], size=2000)
print(json.dumps([compared(X, weights, prior=None, solver="adam", batch_size=256)]))
"""
        )
    )
    agreeing(found, 1)


@pytest.mark.slow
def test_no_row_leaves_its_device():
    """Programs of four devices are read: what crosses them has no dimension of rows, of a batch or of all."""
    outcome = output(
        run(
            NETWORKS
            + """
from sparse_fourier import runtime
texts, run_as_it_is = [], runtime.Program._run
def run_and_read(program, *arguments):
    if program._layout:
        with runtime.settings():
            text = program._jitted.lower(*arguments).compile().as_text()
        texts.append([getattr(program._function, "__name__", "sum"), text.splitlines()])
    return run_as_it_is(program, *arguments)

X = make_sinusoid_mixtures(4096, 30, noise=0.05, random_state=0)[0]
runtime.Program._run = run_and_read
kinds = [dict(hidden_layer_sizes=(8,), solver="adam", batch_size=256, early_stopping=True),
         dict(prior=None, activation="sigmoid")]
for kind in kinds:
    AutoencoderDecomposer(2, random_state=0, max_iter=2, **kind).fit(spread(X))
crossing = [
    [name, line.strip()]
    for name, lines in texts
    for line in lines
    if any(f" {kind}" in line for kind in ("all-", "collective-", "reduce-scatter"))
]
print(json.dumps([sorted({name for name, _ in texts}), crossing]))
"""
        )
    )
    programs, crossing = outcome
    assert {"advance", "expand", "sum"} <= set(programs)
    assert {"advance", "expand", "sum"} <= {name for name, _ in crossing}
    for name, line in crossing:
        shapes = re.findall(r"\[([\d,]*)\]", line.split("metadata")[0].split("replica_groups")[0])
        sizes = [int(size) for shape in shapes for size in shape.split(",") if size]
        assert name == "_taken" or max(sizes, default=0) <= 31, (name, line)


@pytest.mark.slow
def test_every_solver_prior_and_network_is_trained_where_the_signals_lie():
    found = output(
        run(
            NETWORKS
            + """
X = make_sinusoid_mixtures(4000, noise=0.05, random_state=0)[0]
weights = np.random.RandomState(0).choice([0.0, 1.0, 2.0], size=4000)
deep = {"hidden_layer_sizes": (8,)}
cases = [
    dict(prior=None, solver="rmsprop", n_init=3),
    dict(prior=None, solver=optax.adamw(1e-3), batch_size=257),
    dict(prior=None, solver="sgd", early_stopping=True),
    dict(prior="uniform", solver="adam"),
    dict(prior="laplace", solver="rmsprop", learning_rate=1e-2),
    dict(prior="uniform", solver="adam", early_stopping=True, **deep),
    dict(prior="uniform", **deep),
    dict(prior="exponential", solver="sgd", learning_rate=1e-3, **deep),
    dict(prior="learned", solver="adam", learning_rate=1e-2, **deep),
    dict(prior="gaussian", encoder="variational", solver="adam", **deep),
    dict(prior=None, activation="sigmoid"),
    dict(k=3, prior="simplex", solver="adam", learning_rate=1e-2),
]
print(json.dumps([compared(X, weights, **case) for case in cases]))
"""
        )
    )
    agreeing(found, 12)


@pytest.mark.slow
def test_two_processes_train_what_one_does():
    """Each starts from the state of the first, where none is given."""
    code = (
        TOGETHER
        + NETWORKS
        + """
kinds = [dict(prior=None, solver="adam"), dict(prior="uniform", hidden_layer_sizes=(8,), solver="adam"),
         dict(prior="uniform", hidden_layer_sizes=(8,))]
found = []
for kind in kinds:
    model = lambda: AutoencoderDecomposer(2, random_state=0, max_iter=4, **kind)
    one, many = (model().fit(each) for each in (X, everywhere))
    found.append(max(difference(one.components_, many.components_),
                     difference(one.loss_curve_, many.loss_curve_)))
np.random.seed(jax.process_index())
drawn = AutoencoderDecomposer(2, prior=None, solver="adam", max_iter=2).fit(everywhere)
print(json.dumps([found, drawn.components_.tolist()]))
"""
    )
    port = free_port()
    found = [output(process) for process in [run(code, port, index, devices=1) for index in range(2)]]
    assert max(found[0][0] + found[1][0]) < 1e-9
    assert found[0][1] == found[1][1]


@pytest.mark.slow
def test_epochs_go_on_from_a_checkpoint_after_a_process_died(tmp_path):
    code = (
        TOGETHER
        + NETWORKS
        + """
path, dies, told = sys.argv[3], sys.argv[4] == "dies", []

def count(info):
    told.append(info.iteration)
    if dies and jax.process_index() == 1 and len(told) == 4:
        os._exit(7)

model = AutoencoderDecomposer(2, prior="uniform", hidden_layer_sizes=(8,), solver="adam", max_iter=200,
                              random_state=0, callback=count, checkpoint=path)
try:
    model.fit(everywhere)
    print(json.dumps([model.components_.tolist(), model.loss_curve_.tolist(), len(told)]), flush=True)
except RuntimeError as error:
    print(json.dumps(str(error)), flush=True)
os._exit(0)
"""
    )

    def together(path, plan):
        port = free_port()
        return [run(code, port, index, path, plan, devices=1) for index in range(2)]

    path = tmp_path / "fit"
    whole = [output(process) for process in together(path, "lives")]
    path.unlink()
    survivor, victim = together(path, "dies")
    assert ended(victim) == 7
    assert "another process" in output(survivor)
    resumed = [output(process) for process in together(path, "lives")]
    assert [each[:2] for each in resumed] == [each[:2] for each in whole]
    assert resumed[0][2] < whole[0][2]
