"""The command line: tables, pictures and files that it leaves, and one line for what goes wrong."""

import contextlib
import io
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from sparse_fourier.__main__ import main
from sparse_fourier.comparison import methods
from sparse_fourier.comparison.problems import load
from sparse_fourier.datasets import make_sinusoid_mixtures

SIGNALS = make_sinusoid_mixtures(n_samples=60, n_features=12, noise=0.01, random_state=1)[0]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name, signals=SIGNALS):
    np.save(name, signals)
    return name


def table(output):
    """Return the cells of every row of the printed table, by its first cell."""
    lines = [re.split(r" {3,}", line.strip()) for line in output.splitlines()]
    start = next(i for i, cells in enumerate(lines) if cells[0] == "method")
    rows = lines[start : lines.index([""], start)]
    return {cells[0]: dict(zip([*rows[0], "remark"], cells, strict=False)) for cells in rows[1:]}


def percent(cell):
    return float(cell.removesuffix(" %"))


def fails(arguments, capsys):
    """Return the one line that a failing call writes."""
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    return streams.err


# ------------------------------------------------------------------------------------------------------- seed


@pytest.fixture(scope="module")
def seed_run(tmp_path_factory):
    """Run the command without arguments once; return what it prints and the folder it leaves."""
    folder, output = tmp_path_factory.mktemp("seed"), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output):
        assert main([]) == 0
    return output.getvalue(), folder


def test_seed_is_solved_and_compared(seed_run):
    output, _ = seed_run
    rows = table(output)
    ours = rows["AutoencoderDecomposer"]
    assert "300 signals of 30 points, 2 components" in output
    assert percent(ours["error, direct"]) < 4
    assert percent(ours["error, matched"]) <= percent(ours["error, direct"])
    assert percent(rows["PCA"]["error, matched"]) > 4 * percent(ours["error, matched"])
    assert percent(rows["NMF, data clipped"]["unexplained"]) > 10


class Unwhitened(FastICA):
    """What FastICA does, on some machines, to signals whose rank is not full: it divides by zero."""

    def fit_transform(self, X, y=None):
        if np.linalg.matrix_rank(X - X.mean(axis=0)) < X.shape[1]:
            raise ValueError("A has a NaN entry")
        return super().fit_transform(X)

    def fit(self, X, y=None):
        self.fit_transform(X)
        return self


def test_rival_that_fails_is_shown_with_its_reason(monkeypatch, capsys):
    monkeypatch.setattr(methods, "FastICA", Unwhitened)
    assert main([]) == 0
    rows = table(capsys.readouterr().out)
    assert rows["FastICA"]["remark"].startswith("failed: ValueError: A has a NaN entry")
    assert percent(rows["FastICA after PCA"]["error, matched"]) < 15


def test_picture_is_saved_in_the_working_folder(seed_run):
    pytest.importorskip("matplotlib")
    output, folder = seed_run
    assert output.splitlines()[-1] == "Saved the picture in sparse_fourier.png"
    assert (folder / "sparse_fourier.png").read_bytes().startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------------------ files


def test_file_is_compared_without_a_truth(capsys, folder):
    assert main([save("signals.npy"), "--components", "3", "--output", "three.png"]) == 0
    output = capsys.readouterr().out
    rows = table(output)
    assert "signals.npy: 60 signals of 12 points, 3 components" in output
    assert "error, direct" not in rows["PCA"]
    assert float(rows["PCA"]["log-likelihood"]) > 0
    assert percent(rows["PCA"]["unexplained"]) <= percent(rows["AutoencoderDecomposer"]["unexplained"]) < 5
    assert [path.name for path in folder.glob("*.png")] == ["three.png"]


def test_nonnegative_signals_are_not_clipped(capsys):
    assert main([save("signals.npy", np.abs(SIGNALS)), "--components", "2"]) == 0
    assert "NMF" in table(capsys.readouterr().out)


def test_kinds_of_files_give_the_same(capsys):
    np.savez("all.npz", signals=SIGNALS, other=np.zeros(3))
    lines = [",".join(map(repr, row)) for row in SIGNALS.tolist()]
    names = ",".join(f"t{j}" for j in range(12))
    counted = ",".join(map(str, range(12)))
    numbered = [f"{i},{line}" for i, line in enumerate(lines)]
    texts = {
        "bare.csv": lines,
        "named.csv": [names, *lines, ""],
        "counted.csv": [counted, *lines],
        "quoted.csv": ["\ufeff" + names.replace("t", '"').replace(",", '",') + '"', *lines],
        "numbered.csv": ["," + names, *numbered],
        "numbered_twice.csv": ["," + counted, *numbered],
    }
    for name, text in texts.items():
        with open(name, "w", encoding="utf-8") as file:
            file.write("\n".join(text))
    for name in ["all.npz", *texts]:
        np.testing.assert_array_equal(load(Path(name)).X, SIGNALS, err_msg=name)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.float16, ">f8"])
def test_numbers_of_any_type(dtype):
    signals = (10 * SIGNALS).astype(np.int64).clip(0).astype(dtype)
    loaded = load(Path(save("signals.npy", signals))).X
    assert loaded.dtype == np.float64
    np.testing.assert_array_equal(loaded, signals.astype(np.float64))


def test_single_precision_is_kept():
    assert load(Path(save("signals.npy", SIGNALS.astype(np.float32)))).X.dtype == np.float32


def test_parts_are_saved(capsys):
    assert main([save("signals.npy"), "--components", "2", "--save", "parts"]) == 0
    with np.load("parts") as parts:
        assert sorted(parts) == ["codes", "components", "explained_variance", "intercept"]
        shapes = {name: parts[name].shape for name in parts}
        reconstruction = parts["codes"] @ parts["components"] + parts["intercept"]
    assert shapes == {"components": (2, 12), "intercept": (12,), "codes": (60, 2), "explained_variance": (2,)}
    assert np.abs(reconstruction - SIGNALS).max() < 0.1
    assert "in parts" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("signals", "words"),
    [
        (np.zeros(30), r"two dimensions.*shape is \(30,\).*datasets\.frames"),
        (np.zeros((3, 4, 5)), r"two dimensions.*shape is \(3, 4, 5\)"),
        (np.zeros((0, 30)), r"at least 2 signals of 2 points.*\(0, 30\)"),
        (np.zeros((30, 1)), r"at least 2 signals of 2 points.*\(30, 1\)"),
        (np.array([["a", "b"], ["c", "d"]]), "no real numbers but <U1"),
        (np.ones((3, 4), dtype=complex), "no real numbers but complex128"),
        (np.array([[1, None], [2, 3]], dtype=object), "not a NumPy file of numbers"),
        (np.where(np.eye(4) > 0, np.nan, 1.0), "has nan in row 0, column 0"),
        (np.where(np.eye(4)[::-1] > 0, -np.inf, 1.0), "has -inf in row 0, column 3"),
    ],
)
def test_arrays_that_are_no_signals(capsys, signals, words):
    assert re.search(
        r"^sparse_fourier: error: signals\.npy: .*" + words, fails([save("signals.npy", signals)], capsys)
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.npy", None, "No such file or directory"),
        ("signals.txt", "1,2\n3,4\n", r"unknown file type; known are \.npy, \.npz, \.csv"),
        ("signals.npy", "", "signals.npy: "),
        ("signals.npy", "1,2\n3,4\n", "not a NumPy file of numbers"),
        ("signals.npz", "PK\x03\x04", "signals.npz: "),
        ("signals.csv", "", "holds no signals"),
        ("signals.csv", "a,b\n", "holds no signals"),
        ("signals.csv", "a,b\n1,x\n2,3\n", "could not convert string 'x'"),
        ("signals.csv", "1,2\n3,\n", "could not convert string ''"),
        ("signals.csv", "1,2\n3,4,5\n", "number of columns changed from 2 to 3"),
        ("signals.csv", "1\n2\n3\n", r"at least 2 signals of 2 points.*\(3, 1\)"),
        ("signals.csv", "1,2\nnan,4\n", "has nan in row 1, column 0"),
    ],
)
def test_files_that_hold_no_signals(capsys, folder, name, content, words):
    if content is not None:
        (folder / name).write_text(content, encoding="utf-8")
    assert re.search(words, fails([name], capsys))


def test_archive_without_arrays(capsys):
    np.savez("empty.npz")
    assert "empty.npz: holds no array" in fails(["empty.npz"], capsys)


def test_folder_instead_of_a_file(capsys, folder):
    (folder / "folder.npy").mkdir()
    assert "folder.npy: " in fails(["folder.npy"], capsys)


# ------------------------------------------------------------------------------------------------ bad options


def test_unknown_prior_gets_the_estimators_words(capsys):
    words = fails([save("signals.npy"), "--prior", "unheard-of"], capsys)
    assert "The 'prior' parameter of AutoencoderDecomposer must be" in words
    assert "unheard-of" in words


@pytest.mark.parametrize("n_components", ["0", "many"])
def test_impossible_number_of_components(capsys, n_components):
    words = fails([save("signals.npy"), "--components", n_components], capsys)
    assert "The 'n_components' parameter of AutoencoderDecomposer must be" in words


@pytest.mark.parametrize("option", ["--output", "--save"])
def test_missing_folder_is_noticed_before_the_work(capsys, option):
    assert "there is no folder gone" in fails([save("signals.npy"), option, "gone/file.png"], capsys)


def test_picture_of_unknown_kind(capsys):
    pytest.importorskip("matplotlib")
    assert main([save("signals.npy"), "--components", "2", "--output", "picture.xyz"]) == 2
    assert "picture.xyz: " in capsys.readouterr().err


def test_picture_without_a_suffix(folder):
    pytest.importorskip("matplotlib")
    assert main([save("signals.npy"), "--components", "2", "--output", "picture"]) == 0
    assert (folder / "picture").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_table_is_printed(capsys, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main([save("signals.npy"), "--components", "2"]) == 0
    output = capsys.readouterr().out
    assert "PCA" in table(output)
    assert 'pip install "sparse_fourier[plot]"' in output.splitlines()[-1]
    assert list(folder.glob("*.png")) == []


@pytest.mark.parametrize("flag", ["--help", "--unheard-of"])
def test_parser_ends_the_process(capsys, flag):
    with pytest.raises(SystemExit) as end:
        main([flag])
    assert end.value.code == (0 if flag == "--help" else 2)
    assert "--components" in "".join(capsys.readouterr())


# --------------------------------------------------------------------------------------------------- failures


class Rival:
    """Stands in for a method: it warns or raises, and its components are what they are told to be."""

    def __init__(self, components, raises=None, warns=None):
        self.components_ = np.asarray(components, dtype=float)
        self.raises, self.warns = raises, warns

    def fit(self, X):
        if self.raises is not None:
            raise self.raises
        if self.warns is not None:
            warnings.warn(self.warns, stacklevel=2)
        return self

    def transform(self, X):
        return np.ones((len(X), len(self.components_)))


GOOD = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("rival", "words"),
    [
        (Rival(GOOD), ""),
        (Rival(GOOD, raises=ValueError("x" * 99)), "ValueError: " + "x" * 57 + "..."),
        (
            Rival(GOOD, raises=np.linalg.LinAlgError("SVD did\nnot converge")),
            "LinAlgError: SVD did not converge",
        ),
        (Rival(GOOD, warns=ConvergenceWarning("slow")), "did not converge"),
        (Rival(GOOD, warns=UserWarning("odd")), ""),
        (Rival([[1.0, np.nan, 0.0], [0.0, 1.0, 0.0]]), "components are not finite"),
        (Rival([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), "1 of 2 components are zero"),
        (Rival([[1.0, 2.0, 0.0], [-2.0, -4.0, 0.0]]), "components are not independent of each other"),
        (Rival([[1.0, 2.0, 0.0]]), "only 1 of 2 components"),
    ],
)
def test_failures_are_told_in_few_words(rival, words):
    method = methods.Method("rival", lambda _: rival, lambda model: model.components_, lambda _: 0.0)
    assert methods._attempt(method, np.eye(3), 2).failure == words


def test_warnings_about_our_fit_are_printed(capsys):
    flat = np.ones((10, 3)) * np.arange(3)
    assert main([save("signals.npy", flat + 1e-3 * np.arange(10)[:, None]), "--components", "2"]) == 0
    assert re.search("^AutoencoderDecomposer warns: .*rank", capsys.readouterr().out, re.MULTILINE)


def test_slow_fits_are_not_repeated(monkeypatch):
    monkeypatch.setattr(methods, "SLOW", 0.0)
    method = methods.Method("rival", lambda _: Rival(GOOD), lambda model: model.components_, lambda _: 0.0)
    result = methods._fit(method, np.eye(3), 2)
    assert result.warm == result.first


@pytest.mark.slow
def test_as_a_process(folder):
    arguments = [sys.executable, "-W", "error", "-m", "sparse_fourier", save("signals.npy")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PCA" in table(done.stdout)
