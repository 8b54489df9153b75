"""Checks of the independence and non-negative benches: ``pytest benchmarks --benchmark-skip``."""

import numpy as np
import pytest

from benchmarks import fields, independence, methods, nonnegative, problems, regimes, rivals
from benchmarks.bars import AtLeast, AtMost, TimesBestRival
from benchmarks.fields import Criterion, Field
from sparse_fourier.metrics import matched_cosine


def sample_error(sample, outcome):
    """One minus the first entry of what was estimated."""
    return 1 - outcome.components[0, 0]


def constant(value):
    """A method whose components are given."""
    return lambda X, k, seed: (value * np.eye(k, X.shape[1]), None)


def toy_field(ours, bar, theirs=0.5, measure=sample_error):
    draw = lambda seed: problems.seed_signals(seed, n=5)  # noqa: E731
    return Field("toy", (draw, draw), ours, {"rival": constant(theirs)}, (Criterion("gap", measure, bar),))


@pytest.mark.parametrize(
    ("bar", "met", "verdict"),
    [
        (AtMost("mean", 0.125), True, "yes"),
        (AtMost("mean", 0.125, aim=0.125), True, "yes, aim too"),
        (AtMost("median", 0.2, aim=0.1), True, "yes"),
        (AtMost("median", 0.2, aim="rival"), True, "yes, aim too"),
        (AtMost("median", 0.1), False, "NO"),
        (AtMost("median", 0.2, worst=0.1), False, "NO"),
        (AtLeast(0.125), True, "yes"),
        (AtLeast(0.125, aim=0.2), True, "yes"),
        (AtLeast(0.2), False, "NO"),
        (AtLeast("rival"), False, "NO"),
        (TimesBestRival("mean", 0.25), True, "yes"),
        (TimesBestRival("mean", 0.2), False, "NO"),
        (TimesBestRival("mean", 0.2, floor=0.125), True, "yes"),
    ],
)
def test_bars_judge(bar, met, verdict):
    lines, trials = fields.run_field(toy_field(constant(0.875), bar), range(3))
    assert [len(listed) for listed in trials.values()] == [6, 6]
    assert (lines[0].met, lines[0].verdict) == (met, verdict)
    assert lines[0].figures == {"ours": "0.125 (0.125)", "rival": "0.5 (0.5)"}
    assert bar.text in fields.report(lines, "")


def refusing(X, k, seed):
    return methods.ours_with(prior="nonsense")(X, k, seed)


def test_what_is_refused_is_not_supported_yet():
    lines, trials = fields.run_field(toy_field(refusing, AtMost("mean", 1)), range(3))
    assert len(trials["ours"]) == 1
    assert len(trials["rival"]) == 6
    assert (lines[0].met, lines[0].verdict, lines[0].figures["ours"]) == (None, *["not supported yet"] * 2)
    assert "InvalidParameterError: The 'prior' parameter" in lines[0].notes[0]
    timed = fields.timed_line("t", lambda seed: problems.seed_signals(seed, 9), refusing, {}, {}, 2)
    assert (timed[0].met, timed[0].verdict) == (None, "not supported yet")


def test_a_failed_fit_of_ours_misses_the_bar():
    lines, _ = fields.run_field(toy_field(lambda X, k, seed: 1 / 0, AtMost("mean", 1)), range(2))
    assert (lines[0].met, lines[0].verdict) == (False, "NO: failed fits")
    assert "4 of 4 failed: ZeroDivisionError" in lines[0].notes[0]


def test_without_rivals_bars_that_need_one_are_open():
    lines, _ = fields.run_field(toy_field(constant(1), TimesBestRival("mean", 0.5)), range(2), rivals=False)
    assert (lines[0].met, lines[0].verdict) == (None, "–")


def test_times_are_ratios():
    draw = lambda seed: problems.seed_signals(seed, n=5)  # noqa: E731
    theirs = {"r": constant(2), "s": constant(3)}
    lines = fields.timed_line("t", draw, constant(1), theirs, {"r": 1e9, "s": None}, 3)
    assert [line.met for line in lines] == [True, None]
    assert not fields.timed_line("t", draw, constant(1), theirs, {"r": 0.0}, 3)[0].met


@pytest.mark.parametrize("bench", [independence, nonnegative, regimes])
def test_benches_list_their_rows(bench, capsys):
    assert bench.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 8
    assert bench.main(["--rows", "nothing like it"]) == 2


def test_independence_reports(tmp_path, capsys):
    path = tmp_path / "report.md"
    status = independence.main(["--quick", "--seeds", "1", "--rows", "PCA", "--markdown", str(path)])
    text = path.read_text(encoding="utf-8")
    assert text.strip() == capsys.readouterr().out.strip()
    assert text.count("gap to PCA") == 12
    assert status == int("| NO" in text)


def test_nonnegative_reports(capsys):
    status = nonnegative.main(["--quick", "--seeds", "1", "--rows", "k=3", "--no-rivals"])
    text = capsys.readouterr().out
    assert "| proportions, k=3, n=500, 30 dB |" in text
    assert status == int("| NO" in text)


def test_density_table_has_a_line_for_each():
    found = {n: {"ours": [fields.Trial((float(i),), 0.0, "", False) for i in range(36)]} for n in (250, 1000)}
    lines = independence.density_table(found).splitlines()
    assert lines[2].split() == ["|", "a", "|", "0.50", "|", "0.50", "|"]
    assert len(lines) == 20


def test_eight_densities_are_of_the_eighteen():
    assert len(set(independence.EIGHT)) == 8
    assert set(independence.EIGHT) < set(independence.DENSITIES)


def test_interference_by_hand():
    """The estimate of the first code holds a tenth of the second's amplitude; order, sign, scale are free."""
    true = np.array([[1.0, 2.0], [0.5, -1.0]])
    gain = np.array([[0.0, -3.0], [2.0, -0.3]])
    estimated = np.linalg.inv(gain) @ true
    assert independence.interference(true, estimated) == pytest.approx(0.01 / 2)


def test_interference_of_the_best_linear_estimate_is_nearly_none():
    sample = problems.independent(0, 500, "laplace", k=4)
    assert independence.interference(sample.components, sample.components) < 1e-20
    outcome = methods.Outcome(sample.components, sample.codes, 0.0)
    assert independence.over_bound(sample, outcome) < 1e-16
    assert independence.amari(sample, outcome) == 0


@pytest.mark.parametrize("name", independence.ICA)
def test_rivals_separate(name):
    sample = problems.independent(0, 4000, "laplace", k=3)
    outcome = methods.attempt(independence.ICA[name], sample.X, 3, 0)
    assert not outcome.failure
    assert independence.amari(sample, outcome) < 5
    assert outcome.codes.shape == (4000, 3)


def test_successive_projection_finds_pure_signals():
    sample = problems.proportions(0, 200, 4, snr_db=None)
    pure = np.vstack([sample.X, sample.components])
    components, _ = rivals.successive_projection(pure, 4, 0)
    assert matched_cosine(sample.components, components).min() > 1 - 1e-12


@pytest.mark.parametrize("method", [rivals.nmf_as_it_comes, rivals.nmf_converged])
def test_nmf_reconstructs(method):
    sample = problems.spectra(0, n=100, k=2)
    outcome = methods.attempt(method, sample.X, 2, 0)
    assert not outcome.failure
    assert nonnegative.reconstruction_error(sample, outcome) < 0.01


def test_measures_are_perfect_on_the_truth():
    sample = problems.hidden_bars(0)
    outcome = methods.Outcome(sample.components, sample.codes, 0.0)
    assert nonnegative.bars_found(sample, outcome) == 16
    mixture = problems.spectra(0)
    outcome = methods.Outcome(mixture.components, mixture.codes, 0.0)
    assert nonnegative.spectral_angle(mixture, outcome) < 1e-5
    assert nonnegative.reconstruction_error(mixture, outcome) == 0
    turned = methods.Outcome(mixture.components * np.linspace(1, 2, 100), None, 0.0)
    by_cosine = np.degrees(np.arccos(matched_cosine(mixture.components, turned.components))).mean()
    assert nonnegative.spectral_angle(mixture, turned) == pytest.approx(by_cosine)
