"""Check what a wheel and a source distribution contain: all of the package, and nothing that is not of it."""

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ONLY = ("tests/", "benchmarks/", "docs/", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")


def sources() -> set[str]:
    """Return the files of the package, as paths from the root."""
    files = [path for path in (ROOT / "sparse_fourier").rglob("*") if path.is_file()]
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def main(folder: str) -> None:
    """Check the wheel and the source distribution of a folder."""
    wheel = next(Path(folder).glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
    meta = {name for name in held if ".dist-info/" in name}
    assert held - meta == sources(), sorted((held - meta) ^ sources())
    assert any(name.endswith("licenses/LICENSE") for name in meta), sorted(meta)
    assert "sparse_fourier/py.typed" in held
    with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames() if "." in name.rpartition("/")[2]}
    assert sources() <= packed, sorted(sources() - packed)
    strange = {name for name in packed - sources() if not name.startswith((*SOURCE_ONLY, "PKG-INFO", ".git"))}
    assert not strange, sorted(strange)
    assert {"README.md", "pyproject.toml", "CHANGELOG.md"} <= packed
    assert not {name for name in held | packed if "__pycache__" in name or name.endswith(".pyc")}


if __name__ == "__main__":
    main(sys.argv[1])
