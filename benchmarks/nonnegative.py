"""The non-negative bench: non-negative codes and components, and proportions, beside NMF.

``python -m benchmarks.nonnegative`` runs all rows over 20 data seeds, prints the table and exits with 1 if a
bar is missed or one of our fits fails. ``--help`` shows how to run less.
"""

import sys
from functools import partial

import numpy as np

from benchmarks import methods, problems, rivals
from benchmarks.bars import AtLeast, AtMost, TimesBestRival
from benchmarks.fields import (
    Criterion,
    Field,
    parser,
    report,
    run_field,
    run_rows,
    timed_line,
)
from benchmarks.rows import matched_error
from sparse_fourier.metrics import atom_hit_rate, component_errors

QUICK = 3
#: Relative residuals up to this are rounding errors.
EXACT = 1e-9
#: A fit whose angle is this many times the limit of the median ended in a wrong place.
LOST = 3
NMF = {"NMF": rivals.nmf_converged}
QUICK_NMF = {"NMF, tol=1e-4": rivals.nmf_as_it_comes}
UNMIXING = {"successive projection": rivals.successive_projection} | QUICK_NMF


def reconstruction_error(sample, outcome):
    """Relative residual of the signals, without an intercept."""
    rest = sample.X - outcome.codes @ outcome.components
    return np.linalg.norm(rest) / np.linalg.norm(sample.X)


def spectral_angle(sample, outcome):
    """Mean angle between a spectrum and its estimate, in degrees."""
    return float(np.degrees(np.arcsin(component_errors(sample.components, outcome.components))).mean())


def bars_found(sample, outcome):
    """How many bars have an estimate of absolute cosine above 0.9."""
    return atom_hit_rate(sample.components, outcome.components, 0.9) * len(sample.components)


def level(snr_db):
    return "no noise" if snr_db is None else f"{snr_db} dB"


def gated_fields():
    """Codes that are zero half of the time."""
    return [
        Field(
            f"gated codes, k=4, n=1000, {level(snr_db)}",
            (partial(problems.spectra, snr_db=snr_db),),
            methods.ours_with(prior="exponential", fit_intercept=False),
            NMF,
            (
                Criterion("matched error", matched_error, AtMost("median", limit)),
                Criterion(
                    "relative residual", reconstruction_error, TimesBestRival("median", 1.01, floor=EXACT)
                ),
            ),
        )
        for snr_db, limit in ((None, 1e-6), (40, 0.02), (25, 0.045))
    ]


def plain_fields():
    """Exponential codes."""
    return [
        Field(
            f"exponential codes, k=4, n=1000, {level(snr_db)}",
            (partial(problems.spectra, sparsity=0.0, snr_db=snr_db),),
            methods.ours_with(prior="exponential", fit_intercept=False),
            NMF,
            (Criterion("matched error", matched_error, AtMost("median", limit)),),
        )
        for snr_db, limit in ((None, 0.008), (30, 0.02))
    ]


def seed_fields():
    """The seed's signals where all is non-negative, with an intercept and, as NMF has it, without."""
    nonnegative = {"basis": "nonnegative"}
    settings = {
        "basis 'nonnegative'": nonnegative,
        "basis 'nonnegative', no intercept": nonnegative | {"fit_intercept": False},
    }
    return [
        Field(
            f"seed [0, π/2], n=300, {name}",
            (partial(problems.seed_signals, n=300, interval=problems.HALF),),
            methods.ours_with(prior="uniform", **parameters),
            NMF,
            (Criterion("matched error", matched_error, AtMost("median", 0.0085, aim="NMF")),),
        )
        for name, parameters in settings.items()
    ]


def proportion_field(n, k, snr_db, limit, max_share=1.0, lost=True):
    """Proportions of k spectra."""
    share = "" if max_share == 1 else f", shares ≤ {max_share:g}"
    return Field(
        f"proportions, k={k}, n={n}{share}, {snr_db} dB",
        (partial(problems.proportions, n=n, k=k, snr_db=snr_db, max_share=max_share),),
        methods.ours_with(prior="simplex"),
        UNMIXING,
        (
            Criterion(
                "mean spectral angle, deg",
                spectral_angle,
                AtMost("median", limit, worst=LOST * limit if lost else None),
            ),
        ),
    )


def proportion_fields():
    return [
        proportion_field(2000, 5, 30, 0.5, max_share=0.8, lost=False),
        proportion_field(2000, 5, 20, 2.0, max_share=0.8, lost=False),
        proportion_field(5000, 8, 35, 1.0),
        proportion_field(500, 3, 30, 0.8),
    ]


def bars_field(k, bar):
    """Sixteen bars that hide each other, looked for with k components."""
    return Field(
        f"16 bars that hide each other, 400 images, {k} components",
        (problems.hidden_bars,),
        methods.ours_with(prior="exponential", basis="nonnegative", fit_intercept=False),
        NMF,
        (Criterion("bars found", bars_found, bar),),
        n_components=k,
    )


def acceptance_fields():
    """All fields, in the order of the table."""
    return [
        *gated_fields(),
        *plain_fields(),
        *seed_fields(),
        *proportion_fields(),
        bars_field(16, AtLeast(15.9)),
        bars_field(32, AtLeast("NMF", aim=15.9)),
    ]


def time_lines(snr_db, rounds):
    """Warm fits, against NMF to its default tolerance and, for information, to a hundredth of it."""
    return timed_line(
        f"gated codes, k=4, n=1000, {level(snr_db)}",
        partial(problems.spectra, snr_db=snr_db),
        methods.ours_with(prior="exponential", fit_intercept=False),
        QUICK_NMF | NMF,
        {"NMF, tol=1e-4": 1.0, "NMF": None},
        rounds,
    )


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    options = parser("nonnegative", __doc__.split("\n")[0], seeds=20, first_seed=7000, quick=QUICK)
    options.add_argument("--rounds", type=int, default=7, help="rounds of the timing (default: 7)")
    options = options.parse_args(arguments)
    count = min(options.seeds, QUICK) if options.quick else options.seeds
    seeds = range(options.first_seed, options.first_seed + count)
    rounds = 2 if options.quick else options.rounds

    def field_lines(row):
        return run_field(row, seeds, not options.no_rivals)[0]

    rows = {row.name: partial(field_lines, row) for row in acceptance_fields()}
    rows |= {f"time, {level(snr_db)}": partial(time_lines, snr_db, rounds) for snr_db in (None, 40)}

    def render(lines):
        introduction = (
            "Medians (of bars found: means), with the worst case in parentheses, over data seeds "
            f"{seeds[0]} to {seeds[-1]}. Matched error: relative L2 error of the worst component: order, "
            "sign and scale are free."
        )
        return report(lines, introduction)

    return run_rows(rows, options, render)


if __name__ == "__main__":
    sys.exit(main())
