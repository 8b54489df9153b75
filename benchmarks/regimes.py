"""The automatic choice over regimes of codes, beside the right prior by hand and every rival.

``python -m benchmarks.regimes`` runs all regimes, prints one table (error, time, failures) and exits with
1 if a bar is missed. ``--help`` shows how to run less; ``--results FILE`` keeps every fit, so that a run can
be made in pieces; ``--picture FILE`` draws the errors.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import methods, problems, rivals
from benchmarks.report import figure, machine, publish, table
from sparse_fourier.metrics import worst_relative_error

DEFAULT, BY_HAND = "ours, default", "ours, right prior"
#: Codes -> the right prior, how many times its error is acceptable, and in what share of data sets.
REGIMES = {
    "uniform": ("uniform", 1.1, 0.95),
    "laplace": ("laplace", 1.1, 0.95),
    "exponential": ("exponential", 1.1, 0.95),
    "simplex": ("simplex", 1.1, 0.95),
    "unequal": ("gaussian", 1.1, 0.95),
    "skewed": ("learned", 1.1, 0.95),
    "bimodal": ("learned", 1.1, 0.95),
    "heavy-tailed": ("learned", 1.1, 0.95),
    "dependent": ("uniform", 1.2, 0.9),
    "beta": ("uniform", 1.2, 0.9),
}
SIZES = (2, 4, 6)
NOISES = (None, 20)
RIVALS = {
    "PCA": rivals.pca,
    "FastICA logcosh": rivals.fastica_with("logcosh"),
    "FastICA cube": rivals.fastica_with("cube"),
    "FastICA whitened outside": rivals.fastica_whitened,
    "NMF": rivals.nmf_as_it_comes,
    "DictionaryLearning": rivals.dictionary_learning,
    "FactorAnalysis varimax": rivals.factor_analysis,
} | ({"Picard": rivals.picard_whitened} if rivals.installed("picard") else {})


@dataclass(frozen=True)
class Row:
    """One kind of data and all fits of them.

    Attributes
    ----------
    codes : str
    k : int
    snr_db : float or None
    errors, seconds : dict
        Name of the method -> list, NaN where it failed.
    choices : Counter
        Priors that the default chose.
    """

    codes: str
    k: int
    snr_db: float | None
    errors: dict
    seconds: dict
    choices: Counter

    @property
    def name(self):
        """What ``--rows`` selects."""
        return f"{self.codes} k={self.k} {level(self.snr_db)}"

    @property
    def within(self):
        """Share of the data sets in which the default is as good as it has to be."""
        factor = REGIMES[self.codes][1]
        ours, right = np.array(self.errors[DEFAULT]), np.array(self.errors[BY_HAND])
        return float(np.mean(ours <= factor * right + 1e-12))

    @property
    def met(self):
        """Whether that is often enough."""
        return self.within >= REGIMES[self.codes][2]


def level(snr_db):
    return "no noise" if snr_db is None else f"{snr_db:g} dB"


def fitted(X, k, seed):
    """Components and codes by default parameters, and the name of the prior that was chosen."""
    from sparse_fourier import AutoencoderDecomposer

    model = AutoencoderDecomposer(k, random_state=seed).fit(X)
    return model.components_, model.transform(X), str(model.prior_)


class Results:
    """Every fit that was made, kept in a file of one JSON object a line where one is named."""

    def __init__(self, path=None):
        self.path = Path(path) if path else None
        kept = self.path.read_text().splitlines() if self.path and self.path.exists() else []
        self.found = {tuple(entry["key"]): entry for entry in map(json.loads, kept)}

    def get(self, key, make):
        """What was found for a key before, else what `make` finds now."""
        if key not in self.found:
            self.found[key] = {"key": key, **make()}
            if self.path:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(self.found[key]) + "\n")
        return self.found[key]


def attempted(method, sample, k, seed):
    """Error, time and, for the default, the choice, of one fit."""
    choice = []

    def noted(X, k, seed):
        components, codes, *rest = method(X, k, seed)
        choice.extend(rest)
        return components, codes

    outcome = methods.attempt(noted, sample.X, k, seed)
    failed = bool(outcome.failure) or len(outcome.components) != k
    error = None if failed else float(worst_relative_error(sample.components, outcome.components))
    return {"error": error, "seconds": outcome.seconds, "choice": choice}


def run(codes, k, snr_db, seeds, n, compared, n_rivals, results):
    """All fits of one kind of data; rivals see the first data sets alone."""
    ours = {DEFAULT: fitted, BY_HAND: methods.ours_with(prior=REGIMES[codes][0])}
    row = Row(codes, k, snr_db, {}, {}, Counter())
    for place, seed in enumerate(seeds):
        sample = problems.regime(seed, n, k, codes, snr_db)
        for name, method in (ours | (compared if place < n_rivals else {})).items():
            make = partial(attempted, method, sample, k, seed)
            found = results.get((codes, k, snr_db, n, seed, name), make)
            error = np.nan if found["error"] is None else found["error"]
            row.errors.setdefault(name, []).append(error)
            row.seconds.setdefault(name, []).append(found["seconds"])
            row.choices.update(found["choice"])
    return row


def cells(row, names):
    """One line of the table."""
    factor, share = REGIMES[row.codes][1:]
    chosen = ", ".join(f"{prior} {count}" for prior, count in row.choices.most_common())
    verdict = "yes" if row.met else "NO"
    bar = f"{row.within:.0%} within {factor:g} (≥ {share:.0%})"
    return [row.name, chosen, bar, verdict, *(cell(row, name) for name in names)]


def cell(row, name):
    """Median error, median milliseconds and, if any, failures of one method."""
    errors = np.array(row.errors.get(name, []))
    if not errors.size:
        return ""
    failed = int(np.isnan(errors).sum())
    middle = figure(np.nanmedian(errors)) if failed < len(errors) else "–"
    note = f", {failed} of {len(errors)} failed" if failed else ""
    return f"{middle} ({1e3 * np.median(row.seconds[name]):.0f} ms{note})"


def render(rows, seeds, n, n_rivals):
    """The whole report as Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row.errors))
    header = ["codes", "chosen", "default against the right prior", "met", *names]
    introduction = (
        f"{n} signals, data seeds {seeds[0]} to {seeds[-1]}, rivals on the first {n_rivals}; all are told "
        "the number of components. Relative L2 error of the worse component up to order, sign and scale: "
        "medians, with median time of a warm fit and transform."
    )
    missed = [row.name for row in rows if not row.met]
    return "\n\n".join(
        [
            introduction,
            table(header, [cells(row, names) for row in rows]),
            f"Bars missed: {', '.join(missed) or 'none'}.",
            f"Measured on: {machine()}.",
        ]
    )


def draw(rows, path):
    """Draw the median errors of all methods in every regime."""
    from matplotlib.figure import Figure

    from sparse_fourier.plotting import ComparisonDisplay

    names = list(dict.fromkeys(name for row in rows for name in row.errors))
    errors = [[np.nanmedian(row.errors.get(name, [np.nan])) for row in rows] for name in names]
    canvas = Figure(figsize=(9, 0.45 * len(rows) + 1.6), layout="constrained")
    ComparisonDisplay(
        errors=errors, methods=names, regimes=[row.name for row in rows], xlabel="relative error, median"
    ).plot(canvas.subplots())
    canvas.savefig(path, dpi=110)


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regimes", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=50, help="number of data seeds (default: 50)")
    parser.add_argument("--first-seed", type=int, default=7000, help="the first of them (default: 7000)")
    parser.add_argument("--rival-seeds", type=int, default=5, help="data seeds for rivals (default: 5)")
    parser.add_argument("--without", nargs="+", default=[], choices=RIVALS, help="rivals to leave out")
    parser.add_argument("--samples", type=int, default=1000, help="number of signals (default: 1000)")
    parser.add_argument("--rows", default="", help="only rows whose name contains this text; several: a|b")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    parser.add_argument("--results", metavar="FILE", help="keep every fit here, and make none that is kept")
    parser.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    parser.add_argument("--picture", metavar="FILE", help="draw the errors")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    options = parse(arguments)
    kinds = itertools.product(REGIMES, SIZES, NOISES)
    runs = {Row(*kind, {}, {}, Counter()).name: partial(run, *kind) for kind in kinds}
    chosen = [name for name in runs if any(text in name for text in options.rows.split("|"))]
    if options.list or not chosen:
        print("\n".join(chosen) or f"No row matches {options.rows!r}.")
        return 0 if chosen else 2
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    compared = {name: method for name, method in RIVALS.items() if name not in options.without}
    rows, results = [], Results(options.results)
    for name in chosen:
        print(f"running: {name}", file=sys.stderr, flush=True)
        rows.append(runs[name](seeds, options.samples, compared, options.rival_seeds, results))
    publish(render(rows, seeds, options.samples, options.rival_seeds), options.markdown)
    if options.picture:
        draw(rows, options.picture)
    return int(not all(row.met for row in rows))


if __name__ == "__main__":
    sys.exit(main())
