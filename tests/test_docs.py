"""What is written down is checked: docstrings by numpydoc, code blocks by running them."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path
from types import FunctionType

import pytest
from numpydoc.validate import ERROR_MSGS, validate

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

REFERENCE = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
PUBLIC_MODULES = re.findall(r"^   (sparse_fourier\S*)$", REFERENCE, flags=re.M)

# Checks of numpydoc that are left out, each with its reason; all others hold for every public object.
LEFT_OUT = {
    "GL01": "the summary stands on the line of the opening quotes",
    "SS05": "takes a plural noun at the start ('Codes of ...') for a verb in the third person",
    "ES01": "a summary line can say it all",
    "SA01": "not everything has a relative",
    "EX01": "an example of the estimator shows its methods; classes and functions are held to it below",
    "RT02": "results are named, as in scikit-learn",
}
CHECKS = set(ERROR_MSGS) - set(LEFT_OUT)


def public_objects(module_name):
    """Yield the full names of a public module's classes, functions, methods and properties."""
    module = importlib.import_module(module_name)
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value):
            yield f"{module_name}.{name}"
        if inspect.isclass(value):
            yield from (f"{module_name}.{name}.{member}" for member in own_members(value))


def own_members(cls):
    """Return the names of the public methods and properties that a class adds to those of its bases here."""
    kinds = (FunctionType, classmethod, staticmethod, property)
    own = {name for name, value in vars(cls).items() if name[0] != "_" and isinstance(value, kinds)}
    bases = [base for base in cls.__mro__[1:] if base.__module__.startswith("sparse_fourier")]
    return sorted(own - {name for base in bases for name in vars(base)})


def faults(name):
    """Return what numpydoc finds wrong with the docstring of one object."""
    report = validate(name)
    errors = [f"{code} {message}" for code, message in report["errors"] if code in CHECKS]
    return [f"{name}, line {report['file_line']}: {error}" for error in errors]


def python_blocks(page):
    """Return the Python code blocks of a Markdown page, as one program with the page's line numbers."""
    lines = page.read_text(encoding="utf-8").splitlines()
    inside, program = False, []
    for line in lines:
        fence = re.match(r"\s*```+\s*(\S*)", line)
        program.append(line if inside and not fence else "")
        if fence:
            inside = not inside and fence[1] == "python"
    return "\n".join(program)


DOCS = ROOT / "docs"
PAGES = sorted({ROOT / "README.md", *DOCS.glob("*.md"), *(DOCS / "guide").glob("*.md")})


@pytest.mark.parametrize("module_name", PUBLIC_MODULES)
def test_docstrings_are_valid(module_name):
    found = [fault for name in public_objects(module_name) for fault in faults(name)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("module_name", PUBLIC_MODULES)
def test_what_can_be_called_has_an_example(module_name):
    module = importlib.import_module(module_name)
    exported = [getattr(module, name) for name in module.__all__]
    usable = [value for value in exported if callable(value) and not inspect.isabstract(value)]
    assert not [value.__name__ for value in usable if ">>> " not in (value.__doc__ or "")]


@pytest.mark.parametrize(
    "name", ["activations", "bases", "datasets", "exceptions", "metrics", "penalties", "plotting", "priors"]
)
def test_reference_lists_a_public_module_if_there_is_one(name):
    folder = ROOT / "sparse_fourier"
    exists = (folder / f"{name}.py").exists() or (folder / name).is_dir()
    assert exists == (f"sparse_fourier.{name}" in PUBLIC_MODULES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(python_blocks(page), str(page), "exec"), {"__name__": "__page__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_to_files_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text) + re.findall(r"""(?:src|href)=["']([^"'#]+)""", text)
    broken = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not [target for target in broken if target != "gallery/index"]  # made when the site is built


def table_rows(text):
    """Return the rows of all tables of a page, their spaces as they are."""
    return [line for line in text.splitlines() if line.startswith("|")]


def test_figures_of_the_readme_are_those_of_the_benchmarks():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    figures = table_rows(readme[readme.index("## How well it does") : readme.index("## Real signals")])
    assert len(figures) > 4
    assert set(figures) <= set(table_rows((DOCS / "benchmarks.md").read_text(encoding="utf-8")))


EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_scripts_of_the_gallery_have_a_title_cells_and_a_figure(script):
    source = script.read_text(encoding="utf-8")
    compile(source, script, "exec")
    assert re.match(r'r?"""\n(.+)\n=+\n\n', source)
    assert "\n# %%\n" in source
    assert "\nimport matplotlib.pyplot as plt\n" in source  # figures that the gallery can find


def test_pictures_of_the_readme_come_from_scripts():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"docs/images/(\w+)\.png", readme)
    assert names
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {path.stem for path in (DOCS / "images").glob("*.png")} == set(
        re.findall(r"images/(\w+)\.png", pages)
    )
    elsewhere = {"seed", "regimes"}  # by the command line, and by a bench that takes an hour
    assert set(names) - elsewhere <= {path.stem for path in EXAMPLES}


def test_changelog_has_the_current_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(PROJECT['version'])}\b", changelog, flags=re.M)


def test_package_says_the_version_of_the_project():
    assert importlib.import_module("sparse_fourier").__version__ == PROJECT["version"]


COMMANDS = ['pip install ".[plot]"', "python -m sparse_fourier", 'pip install -e ".[test]" && pytest']


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_gives_the_commands(command):
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
