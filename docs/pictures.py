"""Make the pictures of the README again: ``python docs/pictures.py [NAME ...]``.

A name is that of a script in ``docs/examples``, whose last figure becomes ``docs/images/NAME.png``, or
"seed", the picture that ``python -m sparse_fourier`` makes. Without names all that are there are made again,
but for `regimes`, which ``python -m benchmarks.regimes --picture FILE`` draws.
"""

import runpy
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from sparse_fourier.__main__ import main

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"


def make(name: str) -> None:
    """Make one picture."""
    target = IMAGES / f"{name}.png"
    if name == "seed":
        main(["--output", str(target)])
        return
    runpy.run_path(str(DOCS / "examples" / f"{name}.py"))
    plt.gcf().savefig(target, dpi=130)
    plt.close("all")


if __name__ == "__main__":
    scripts = {path.stem for path in (DOCS / "examples").glob("*.py")}
    shown = {path.stem for path in IMAGES.glob("*.png")}
    for chosen in sys.argv[1:] or sorted(shown & (scripts | {"seed"})):
        make(chosen)
