"""Fields of an acceptance table: data, methods that run on them, what is measured, what is least acceptable.

`run_field` runs one, `report` makes a table of them, and `parser` and `run_rows` are the command line of the
modules that hold the fields. A value that our estimator refuses is "not supported yet": shown, but no bar
missed.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks import methods
from benchmarks.bars import OURS, Bar
from benchmarks.report import figure, machine, publish, table

UNSUPPORTED = "not supported yet"
REFUSAL = "InvalidParameterError"


@dataclass(frozen=True)
class Criterion:
    """What is measured: its name, a function of sample and outcome, and a bar."""

    name: str
    measure: Callable
    bar: Bar


@dataclass(frozen=True)
class Field:
    """Data and what happens to them.

    Attributes
    ----------
    name : str
        What ``--rows`` selects.
    cases : tuple of callables
        Each draws a sample from a data seed; all count towards the same bar.
    ours : callable
        Our method.
    rivals : dict
        Name -> method.
    criteria : tuple of `Criterion`
        All are measured on the same fits.
    seeds : int or None
        Number of data seeds; None is what the command line says.
    n_components : int or None
        How many the methods are asked for; None: as many as there are.
    """

    name: str
    cases: tuple[Callable, ...]
    ours: Callable
    rivals: dict[str, Callable]
    criteria: tuple[Criterion, ...]
    seeds: int | None = None
    n_components: int | None = None


@dataclass(frozen=True)
class Line:
    """One line of the table: a bar, what every method reached, and whether that is enough.

    `met` is None where nothing was judged; `verdict` says why, or more than yes and no.
    """

    name: str
    measured: str
    bar: str
    figures: dict[str, str]
    met: bool | None
    verdict: str = ""
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Trial:
    """One method on one data set: a value for each criterion, NaN after a failure."""

    values: tuple[float, ...]
    seconds: float
    failure: str
    unconverged: bool


def run_trial(criteria, sample, method, seed, k=None):
    """Run one method on one data set, with k components or as many as there are, and judge what comes out."""
    k = k or len(sample.components)
    outcome = methods.attempt(method, sample.X, k, seed)
    failure = outcome.failure
    if not failure and len(outcome.components) != k:
        failure = f"{len(outcome.components)} components instead of {k}"
    if failure:
        values = (np.nan,) * len(criteria)
    else:
        values = tuple(float(criterion.measure(sample, outcome)) for criterion in criteria)
    return Trial(values, outcome.seconds, failure, outcome.unconverged)


def refused(trials):
    """Whether our estimator does not know a value of one of its parameters."""
    return any(trial.failure.startswith(REFUSAL) for trial in trials)


def run_trials(row, seeds):
    """All trials of a field: name of the method -> list over cases and, within a case, seeds.

    Where our estimator refuses a parameter, it does so once and only rivals go on.
    """
    entrants = {OURS: row.ours} | row.rivals
    trials = {name: [] for name in entrants}
    first = run_trial(row.criteria, row.cases[0](max(seeds) + 1), row.ours, 0, row.n_components)
    if refused([first]):
        trials[OURS].append(first)
        del entrants[OURS]
    for draw in row.cases:
        for seed in seeds:
            sample = draw(seed)
            for name, method in entrants.items():
                trials[name].append(run_trial(row.criteria, sample, method, seed, row.n_components))
    return trials


def values(trials, index):
    """Values of one criterion over the trials that did not fail: name -> array."""
    found = {name: np.array([trial.values[index] for trial in listed]) for name, listed in trials.items()}
    return {name: array[np.isfinite(array)] for name, array in found.items()}


def run_field(row, seeds, rivals=True):
    """The lines of a field, one for each criterion."""
    if not rivals:
        row = replace(row, rivals={})
    trials = run_trials(row, range(seeds[0], seeds[0] + (row.seeds or len(seeds))))
    notes = tuple(remarks(row.name, trials))
    lines = [
        judge(row, criterion, trials, values(trials, i), notes if i == 0 else ())
        for i, criterion in enumerate(row.criteria)
    ]
    return lines, trials


def judge(row, criterion, trials, errors, notes):
    """One line: none of our fits may fail."""
    bar = criterion.bar
    figures = {
        name: f"{figure(bar.value(found))} ({figure(bar.extreme(found))})" if len(found) else "–"
        for name, found in errors.items()
    }
    met, verdict = None, "–"
    if refused(trials[OURS]):
        verdict = figures[OURS] = UNSUPPORTED
    elif any(trial.failure for trial in trials[OURS]):
        met, verdict = False, "NO: failed fits"
    elif row.rivals or not bar.needs_rival:
        met = bar.met(errors)
        verdict = "NO" if not met else "yes, aim too" if bar.reached(errors) else "yes"
    return Line(row.name, criterion.name, bar.text, figures, met, verdict, notes)


def remarks(name, trials):
    """Failures with their reasons, and how often a method warned that it had not converged."""
    for method, listed in trials.items():
        reasons = [trial.failure.splitlines()[0] for trial in listed if trial.failure]
        for reason in sorted(set(reasons)):
            yield f"- {name}: {method}: {reasons.count(reason)} of {len(listed)} failed: {reason}"
        unconverged = sum(trial.unconverged for trial in listed)
        if unconverged:
            yield f"- {name}: {method}: {unconverged} of {len(listed)} unconverged"


def timed_line(name, draw, ours, rivals, limits, rounds):
    """Lines that compare warm times: the median over rounds of our seconds over each rival's, in turns.

    `limits` maps names of rivals to the largest acceptable ratio; None is for information.
    """
    entrants = {OURS: ours} | rivals
    first = {name: run_trial((), draw(0), method, 0) for name, method in entrants.items()}
    if refused([first[OURS]]):
        return [Line(name, "seconds", "–", {OURS: UNSUPPORTED}, None, UNSUPPORTED)]
    trials = {name: [] for name in entrants}
    for round_ in range(1, rounds + 1):
        sample = draw(round_)
        for entrant, method in entrants.items():
            trials[entrant].append(run_trial((), sample, method, 0))
    seconds = {entrant: np.array([trial.seconds for trial in listed]) for entrant, listed in trials.items()}
    failed = any(trial.failure for trial in trials[OURS])
    notes = tuple(remarks(name, trials))
    return [
        ratio_line(name, seconds, rival, limit, failed, notes if i == 0 else ())
        for i, (rival, limit) in enumerate(limits.items())
    ]


def ratio_line(name, seconds, rival, limit, failed, notes):
    """One line of `timed_line`."""
    ratio = float(np.median(seconds[OURS] / seconds[rival]))
    met = None if limit is None else bool(ratio <= limit and not failed)
    figures = {who: f"{1e3 * np.median(seconds[who]):.3g} ms" for who in (OURS, rival)}
    verdict = f"{'–' if met is None else 'yes' if met else 'NO'} (ratio {figure(ratio)})"
    bar = "for information" if limit is None else f"≤ {limit:g} × {rival}"
    return Line(name, "warm time", bar, figures, met, verdict, notes)


def report(lines, introduction, extra=()):
    """The whole report as Markdown."""
    names = list(dict.fromkeys(name for line in lines for name in line.figures if name != OURS))
    header = ["data", "measured", "least acceptable", OURS, *names, "met"]
    cells = [
        [line.name, line.measured, line.bar, *(line.figures.get(n, "") for n in (OURS, *names)), line.verdict]
        for line in lines
    ]
    notes = "\n".join(note for line in lines for note in line.notes) or "None."
    missed = sum(line.met is False for line in lines)
    waiting = sum(line.verdict == UNSUPPORTED for line in lines)
    return "\n\n".join(
        [
            introduction,
            table(header, cells),
            f"Bars missed: {missed}; {UNSUPPORTED}: {waiting}.",
            "Failures, and warnings of non-convergence:",
            notes,
            *extra,
            f"Measured on: {machine()}.",
        ]
    )


def parser(module, description, seeds, first_seed, quick):
    """The options that all these benches have."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=description)
    options.add_argument("--seeds", type=int, default=seeds, help=f"number of data seeds (default: {seeds})")
    options.add_argument(
        "--first-seed", type=int, default=first_seed, help=f"the first of them (default: {first_seed})"
    )
    options.add_argument("--rows", default="", help="only rows whose name contains this text; several: a|b")
    options.add_argument("--quick", action="store_true", help=f"{quick} data seeds at most")
    options.add_argument(
        "--no-rivals", action="store_true", help="only ours; bars that need a rival are open"
    )
    options.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    options.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    return options


def selected(names, options):
    """The names of rows that the command line asks for."""
    return [name for name in names if any(text in name for text in options.rows.split("|"))]


def run_rows(rows, options, render):
    """Run the rows chosen, name -> function without arguments that returns lines; return the exit status."""
    chosen = selected(rows, options)
    if options.list or not chosen:
        print("\n".join(chosen) or f"No row matches {options.rows!r}.")
        return 0 if chosen else 2
    lines = []
    for name in chosen:
        print(f"running: {name}", file=sys.stderr, flush=True)
        lines += rows[name]()
    publish(render(lines), options.markdown)
    return int(any(line.met is False for line in lines))
