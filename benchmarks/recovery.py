"""The recovery bench: how well the true components are found, beside every rival on the same data.

``python -m benchmarks.recovery`` runs all rows over 20 data seeds with default parameters, prints the tables
and exits with 1 if a bar is missed or one of our fits fails. ``--help`` shows how to run less.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from benchmarks import methods
from benchmarks.bars import BOX, OURS
from benchmarks.report import figure, machine, publish, table
from benchmarks.rivals import RIVALS
from benchmarks.rows import Row, acceptance_rows, matched_error, rank_error
from benchmarks.smallest_box import exact_box


@dataclass(frozen=True)
class Trial:
    """One method on one data set. `error` is the row's measure; both errors are NaN after a failure."""

    error: float
    matched: float
    seconds: float
    failure: str
    unconverged: bool


@dataclass(frozen=True)
class Result:
    """All trials of one row: name of the method -> list of `Trial`, over the same data sets."""

    row: Row
    trials: dict[str, list[Trial]]

    def errors(self, name, attribute="error"):
        """Errors of the trials that did not fail."""
        values = [getattr(trial, attribute) for trial in self.trials.get(name, ())]
        return np.array([value for value in values if np.isfinite(value)])

    def judged(self):
        """Errors that bars look at: name -> array."""
        return {name: self.errors(name) for name in (OURS, BOX)}

    def failures(self, name):
        """Reasons of failure, one per failed trial."""
        return [trial.failure for trial in self.trials[name] if trial.failure]

    def met(self):
        """Whether none of our fits failed and the bar is met; None without a bar."""
        if self.failures(OURS):
            return False
        return self.row.bar and self.row.bar.met(self.judged())

    def reached(self):
        """Whether the aim beyond the bar is reached; None without one."""
        if self.row.bar is None or not len(self.errors(OURS)):
            return None
        return self.row.bar.reached(self.judged())


def run_row(row, seeds, entrants):
    """Run every method on every data set of a row, after an untimed first round on data of another seed."""
    fields = {OURS: entrants[OURS]} | {name: entrants[name] for name in row.rivals if name in entrants}
    if row.yardstick:
        fields[BOX] = exact_box
    trials = {name: [] for name in fields}
    for draw in row.cases:
        for method in fields.values():
            run_trial(row, draw(max(seeds) + 1), method, 0)
        for seed in seeds:
            sample = draw(seed)
            for name, method in fields.items():
                trials[name].append(run_trial(row, sample, method, seed))
    return Result(row, trials)


def run_trial(row, sample, method, seed):
    """Run one method on one data set and judge what comes out."""
    k = len(sample.components)
    outcome = methods.attempt(method, sample.X, k, seed)
    failure = outcome.failure
    if not failure and len(outcome.components) != k and row.measure is not rank_error:
        failure = f"{len(outcome.components)} components instead of {k}"
    errors = (np.nan, np.nan) if failure else judge(row, sample, outcome)
    return Trial(*errors, outcome.seconds, failure, outcome.unconverged)


def judge(row, sample, outcome):
    """The row's measure and, where the number of components is given, the matched error."""
    error = row.measure(sample, outcome)
    return error, np.nan if row.measure is rank_error else matched_error(sample, outcome)


def accuracy_table(results):
    """Our error beside the bar, the exact box and the matched errors of all."""
    names = rival_names(results)
    header = ["data", "measured", "least acceptable", "ours", "exact box", "ours, matched", *names, "met"]
    return table(header, [accuracy_cells(result, names) for result in results])


def accuracy_cells(result, names):
    row = result.row
    return [
        row.name,
        row.measure.__name__.replace("_", " "),
        row.bar.text if row.bar else "–",
        spread(result.errors(OURS)),
        spread(result.errors(BOX)),
        middle(result.errors(OURS, "matched")),
        *(middle(result.errors(name, "matched")) for name in names),
        verdict(result),
    ]


def verdict(result):
    """The last cell of a row."""
    if result.met() is None:
        return "–"
    if not result.met():
        return "NO"
    return "yes, aim too" if result.reached() else "yes"


def failure_table(results):
    """Failures of every method, and how often it warned that it had not converged."""
    names = [OURS, *rival_names(results)]
    rows = [[result.row.name, *(failure_cell(result, name) for name in names)] for result in results]
    return table(["data", *names], rows)


def failure_cell(result, name):
    if name not in result.trials:
        return ""
    trials = result.trials[name]
    unconverged = sum(trial.unconverged for trial in trials)
    note = f", {unconverged} unconverged" if unconverged else ""
    return f"{len(result.failures(name))} of {len(trials)}{note}"


def time_table(results):
    """Our median time per fit and transform, and the median over data sets of its ratio to each rival's."""
    names = rival_names(results)
    rows = [
        [
            result.row.name,
            figure(1e3 * np.median(times(result, OURS))),
            *(figure(np.median(times(result, OURS) / times(result, name))) for name in names),
        ]
        for result in results
    ]
    return table(["data", "ours, ms", *(f"ours / {name}" for name in names)], rows)


def times(result, name):
    """Seconds of every trial; NaN when the method did not run."""
    return np.array([trial.seconds for trial in result.trials.get(name, ())] or [np.nan])


def rival_names(results):
    """Rivals that ran in any row, in their usual order."""
    return [name for name in RIVALS if any(name in result.trials for result in results)]


def spread(errors):
    """Median and, in parentheses, the worst case."""
    return f"{figure(np.median(errors))} ({figure(np.max(errors))})" if len(errors) else "–"


def middle(errors):
    """Median."""
    return figure(np.median(errors)) if len(errors) else "–"


def reasons(results):
    """Every distinct reason of failure, with how often and where it came up."""
    lines = []
    for result in results:
        for name in result.trials:
            found = result.failures(name)
            for reason in sorted(set(found)):
                lines.append(f"- {result.row.name}: {name}: {found.count(reason)} × {reason.splitlines()[0]}")
    return "\n".join(lines) or "None."


def render(results, seeds):
    """The whole report as Markdown."""
    return "\n\n".join(
        [
            f"Medians, with the worst case in parentheses, over data seeds {min(seeds)} to {max(seeds)}. "
            "Error: relative L2 error of the worse component; rivals: order, sign and scale are free.",
            accuracy_table(results),
            "Failures of fits:",
            failure_table(results),
            "Reasons:",
            reasons(results),
            "Time of one warm fit and transform, ours over theirs:",
            time_table(results),
            f"Measured on: {machine()}.",
        ]
    )


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="number of data seeds (default: 20)")
    parser.add_argument("--first-seed", type=int, default=7000, help="the first of them (default: 7000)")
    parser.add_argument("--rows", default="", help="only rows whose name contains this text; several: a|b")
    parser.add_argument("--quick", action="store_true", help="3 data seeds, and no row with n=20000")
    parser.add_argument("--no-rivals", action="store_true", help="only ours and the exact box")
    parser.add_argument("--given-k", action="store_true", help="tell ours the number of components")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    parser.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    return parser.parse_args(arguments)


def select(rows, options):
    """The rows that the command line asks for."""
    wanted = [row for row in rows if any(text in row.name for text in options.rows.split("|"))]
    return [row for row in wanted if not (options.quick and "n=20000" in row.name)]


def entrants(options):
    """Name -> method, ours first."""
    mine = methods.ours_given_k if options.given_k else methods.ours
    return {OURS: mine} | ({} if options.no_rivals else RIVALS)


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    options = parse(arguments)
    rows = select(acceptance_rows(), options)
    if options.list or not rows:
        print("\n".join(row.name for row in rows) or f"No row matches {options.rows!r}.")
        return 0 if rows else 2
    count = 3 if options.quick else options.seeds
    seeds = range(options.first_seed, options.first_seed + count)
    results = []
    for row in rows:
        print(f"running: {row.name}", file=sys.stderr, flush=True)
        results.append(run_row(row, seeds, entrants(options)))
    publish(render(results, seeds), options.markdown)
    return int(any(result.met() is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
