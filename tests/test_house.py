"""The house stands as docs/architecture.md draws it: layers, imports, small functions, the wheel."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sparse_fourier"
SHELL = {
    "__init__",
    "__main__",
    "comparison",
    "plotting",
    "decomposer",
    "metrics",
    "datasets",
    "parameters",
    "reporting",
    "saving",
    "validation",
}
SHELL_ONLY = {"sklearn", "matplotlib", "tqdm", "pandas", "warnings", "logging"}
REFERENCE = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(PACKAGE.rglob("*.py"))
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in FILES
}
CORE = sorted(name for name in SOURCES if name.partition(".")[0] not in SHELL)


def run_python(code):
    """Run code in a fresh interpreter, warnings as errors, and return what it prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def imported_roots(tree):
    """Return the top-level packages that a module imports, at any depth of its code."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    plain = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    absolute = {node.module for node in imports if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in plain | absolute}


def body_length(function):
    """Return the number of lines of a function's body, its docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_modules_import_only_from_their_right():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_architecture_shows_every_module():
    assert set(re.findall(r"^\| `(\w+)` \|", ARCHITECTURE, flags=re.M)) == {
        name.partition(".")[0] for name in SOURCES
    } - {"__init__"}


@pytest.mark.parametrize("name", CORE)
def test_core_knows_arrays_only(name):
    assert not imported_roots(SOURCES[name]) & SHELL_ONLY


def test_median_function_body_is_below_ten_lines():
    functions = [n for tree in SOURCES.values() for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    assert statistics.median(map(body_length, functions)) < 10


def test_import_does_not_import_jax():
    code = "import sys, sparse_fourier; print({'jax', 'optax', 'matplotlib', 'tqdm'} & set(sys.modules))"
    assert run_python(code) == "set()"


def test_public_modules_import_where_jax_and_matplotlib_are_missing():
    absent = "import sys; sys.modules.update(jax=None, jaxlib=None, optax=None, matplotlib=None); "
    modules = ", ".join(re.findall(r"^   (sparse_fourier\S*)$", REFERENCE, flags=re.M))
    assert run_python(f"{absent}import {modules}; print('served')") == "served"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True)
    with zipfile.ZipFile(*folder.glob("*.whl")) as archive:
        yield archive


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {path.relative_to(ROOT).as_posix() for path in FILES} | {"sparse_fourier/py.typed"}
    assert names == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def test_wheel_requires_five_packages_unless_extras_are_asked_for(wheel):
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    lines = wheel.read(metadata).decode().splitlines()
    required = {
        line.removeprefix("Requires-Dist: ").split(">=")[0]
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert required == {"jax", "numpy", "optax", "scikit-learn", "scipy"}


def test_extras_are_those_of_the_readme():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) == {
        "plot",
        "progress",
        "dask",
        "test",
        "bench",
        "docs",
    }
