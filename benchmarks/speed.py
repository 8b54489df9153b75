"""The speed bench: ratios to rivals, measured in turns in the same run.

``python -m benchmarks.speed`` measures

- cold: fresh processes that import and fit the seed's signals, ours against scikit-learn's FastICA;
- warm: fits of new data of another size against Picard, with JAX's compilations counted;
- large: 100000 signals of 200 points, 10 components, float32, against FastICA and PCA;

and exits with 1 if a bar is missed. A ratio is the median over rounds of our time over theirs; within a round
the methods take turns on the same data.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from benchmarks import methods, problems, rivals
from benchmarks.compilations import compilations
from benchmarks.report import figure, machine, publish, table
from sparse_fourier.metrics import worst_relative_error

ROOT = Path(__file__).resolve().parent.parent
SMALL = (250, 275, 300, 325, 350)
MEDIUM = (2500, 2750, 3000, 3250, 3500)

DRAW = """
import numpy as np
x = np.linspace(0, np.pi, 30)
X = np.random.default_rng(0).uniform(size=(300, 2)) @ np.sin(np.outer([1, 2], x))
"""
OURS_COLD = DRAW + "from sparse_fourier import AutoencoderDecomposer; AutoencoderDecomposer().fit(X)"
# The first feature is zero, which breaks FastICA's whitening: it gets the others.
FASTICA_COLD = DRAW + "from sklearn.decomposition import FastICA; FastICA(n_components=2).fit(X[:, 1:])"


@dataclass(frozen=True)
class Line:
    """One measured ratio beside its bar.

    Attributes
    ----------
    name : str
    ours, theirs : float
        Median seconds.
    ratio : float
        Median of the ratios of each round.
    limit : float
        Largest acceptable ratio.
    quality : str
        What the time bought.
    compiled : int
        Programs compiled within our timed fits; None where it is not counted. It must be 0.
    """

    name: str
    ours: float
    theirs: float
    ratio: float
    limit: float
    quality: str = ""
    compiled: int | None = None

    def met(self):
        """Whether the bar is met."""
        return self.ratio <= self.limit and not self.compiled


def compare(name, ours, theirs, limit, **rest):
    """A `Line` from paired seconds."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return Line(name, np.median(ours), np.median(theirs), np.median(ours / theirs), limit, **rest)


def fresh_process(code):
    """Seconds that a new interpreter takes to run some code, from start to exit."""
    environment = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    return time.perf_counter() - start


def cold(rounds):
    """Import and fit in fresh processes, in turns, after an untimed start of each."""
    codes = (OURS_COLD, FASTICA_COLD)
    for code in codes:
        fresh_process(code)
    seconds = np.array([[fresh_process(code) for code in codes] for _ in range(rounds)])
    return [compare("cold: import and fit of the seed / FastICA", *seconds.T, limit=1.8)]


def picard_after_pca(X, k, seed):
    """Picard as one uses it: PCA whitens, Picard rotates."""
    from picard import picard

    whitener = PCA(n_components=k, whiten=True, random_state=seed)
    white = whitener.fit_transform(X)
    _, unmixing, sources = picard(white.T, ortho=True, extended=True, whiten=False, random_state=seed)
    scale = np.sqrt(whitener.explained_variance_)[:, None]
    return np.linalg.inv(unmixing).T @ (scale * whitener.components_), sources.T


def warm(rounds):
    """Fits of new data of other sizes, after one untimed fit of another data set of about that size."""
    if "Picard whitened outside" not in rivals.RIVALS:
        return []
    return [warm_sizes(sizes, rounds) for sizes in (SMALL, MEDIUM)]


def warm_sizes(sizes, rounds):
    """One `Line` over several sizes."""
    pair = (methods.ours_with(prior="uniform"), picard_after_pca)
    warm_up = problems.seed_signals(0, n=sizes[len(sizes) // 2] + 1)
    for method in pair:
        timed(method, warm_up)
    samples = [problems.seed_signals(seed, n=n) for seed in range(1, rounds + 1) for n in sizes]
    with compilations() as compiled:
        fits = [[timed(method, sample) for method in pair] for sample in samples]
    return versus(f"warm: n={sizes[0]} to {sizes[-1]} / Picard", np.array(fits), 1.0, len(compiled))


def large(rounds):
    """100000 signals in float32, after an untimed fit of each method."""
    entrants = (methods.ours_with(prior="uniform"), rivals.fastica, rivals.pca)
    warm_up = large_sample(0)
    for method in entrants:
        timed(method, warm_up)
    samples = map(large_sample, range(1, rounds + 1))
    fits = np.array([[timed(method, sample) for method in entrants] for sample in samples])
    title = "large: n=100000, d=200, k=10, float32"
    return [
        versus(f"{title} / FastICA", fits[:, [0, 1]], 1.0),
        versus(f"{title} / PCA", fits[:, [0, 2]], 4.0),
    ]


def large_sample(seed):
    """Ten harmonics, 200 points, noise 0.05, float32."""
    sample = problems.harmonics(seed, n=100_000, k=10, n_features=200, noise=0.05)
    return sample._replace(X=sample.X.astype(np.float32))


def timed(method, sample):
    """Seconds of one call, and the matched error of its worst component; infinite after a failure."""
    outcome = methods.attempt(method, sample.X, len(sample.components), 0)
    if outcome.failure:
        return outcome.seconds, np.inf
    return outcome.seconds, worst_relative_error(sample.components, outcome.components)


def versus(name, fits, limit, compiled=None):
    """A `Line` from an array of shape (rounds, 2, 2): ours and theirs, each seconds and error."""
    quality = " / ".join(figure(error) for error in np.median(fits[:, :, 1], axis=0))
    return compare(name, *fits[:, :, 0].T, limit, quality=quality, compiled=compiled)


SECTIONS = {"cold": cold, "warm": warm, "large": large}


def render(lines):
    """The whole report as Markdown."""
    header = [
        "ours / rival",
        "ours, s",
        "rival, s",
        "ratio",
        "at most",
        "compiled",
        "errors",
        "met",
    ]
    rows = [
        [
            line.name,
            figure(line.ours),
            figure(line.theirs),
            figure(line.ratio),
            figure(line.limit),
            "" if line.compiled is None else line.compiled,
            line.quality,
            "yes" if line.met() else "NO",
        ]
        for line in lines
    ]
    return f"{table(header, rows)}\n\nMeasured on: {machine()}."


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.split("\n")[0])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="what to run")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison (default: 7)")
    parser.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    options = parse(arguments)
    lines = []
    for section in options.sections:
        print(f"running: {section}", file=sys.stderr, flush=True)
        lines += SECTIONS[section](options.rounds)
    publish(render(lines), options.markdown)
    return int(not all(line.met() for line in lines))


if __name__ == "__main__":
    sys.exit(main())
