"""The independence bench: Gaussian, Laplace and learned priors beside FastICA and Picard on the same data.

``python -m benchmarks.independence`` runs all rows, prints the table and exits with 1 if a bar is missed or
one of our fits fails. ``--help`` shows how to run less.
"""

import sys
import warnings
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.preprocessing import scale

from benchmarks import methods, problems, rivals
from benchmarks.bars import AtMost, TimesBestRival
from benchmarks.fields import (
    OURS,
    REFUSAL,
    UNSUPPORTED,
    Criterion,
    Field,
    Line,
    parser,
    report,
    run_field,
    run_rows,
    timed_line,
)
from benchmarks.report import figure, table
from benchmarks.speed import picard_after_pca
from sparse_fourier.exceptions import IdentifiabilityWarning
from sparse_fourier.metrics import amari_distance, subspace_angles

DENSITIES = "abcdefghijklmnopqr"
#: One of each family: heavy tails (a), bounded (c), one-sided (e), two Laplace (f); two Gaussians, equal with
#: two peaks (g) and unequal on the verge of it (k); four Gaussians, symmetric with one peak (o) and not (q).
EIGHT = "acefgkoq"
#: E[score²] of a Laplace code of unit variance.
KAPPA = 2.0
QUICK = 3

ICA = {"FastICA cube": rivals.fastica_with("cube"), "FastICA logcosh": rivals.fastica_with("logcosh")}
if rivals.installed("picard"):
    ICA["Picard"] = rivals.picard_raw


def amari(sample, outcome):
    """Amari distance times 100."""
    return 100 * amari_distance(sample.components, outcome.components)


def interference(true, estimated):
    """Mean over pairs of the power that one code leaves in the estimate of another, both of unit power."""
    gain = true @ np.linalg.pinv(estimated)
    rows, columns = linear_sum_assignment(-np.abs(gain) / np.abs(gain).max(axis=0))
    ratios = (gain[rows][:, columns] / gain[rows, columns]) ** 2
    k = len(ratios)
    return float((ratios.sum() - k) / (k * (k - 1)))


def over_bound(sample, outcome):
    """Interference-to-signal ratio over its Cramér-Rao bound for Laplace codes."""
    bound = KAPPA / (KAPPA**2 - 1) / len(sample.X)
    return interference(sample.components, outcome.components) / bound


def density_field(n, limit, aim):
    """Two codes of each of the eighteen densities."""
    return Field(
        f"18 densities, m=2, N={n}",
        tuple(partial(problems.independent, n=n, density=name) for name in DENSITIES),
        methods.ours_with(prior="learned"),
        ICA,
        (Criterion("Amari × 100", amari, AtMost("mean", limit, aim)),),
    )


def eight_field(n, names, seeds):
    """One code of each of eight densities."""
    return Field(
        f"densities {names}, m=8, N={n}",
        (partial(problems.independent, n=n, density=list(names), k=8),),
        methods.ours_with(prior="learned"),
        ICA,
        (Criterion("Amari × 100", amari, TimesBestRival("mean", 0.45)),),
        seeds,
    )


def laplace_field(prior):
    """Four Laplace codes, told so or not."""
    return Field(
        f"four Laplace, N=10000, {prior!r}",
        (partial(problems.independent, n=10_000, density="laplace", k=4),),
        methods.ours_with(prior=prior),
        ICA,
        (Criterion("ISR / bound", over_bound, AtMost("mean", 1.15)),),
    )


def pca_data():
    """Name -> signals and number of components."""
    rng = np.random.RandomState(0)
    ordered = (
        rng.standard_normal((1000, 5)) * [5, 4, 3, 2, 1] @ np.linalg.qr(rng.standard_normal((20, 5)))[0].T
    )
    return {
        "ordered Gaussian": (ordered + 0.1 * rng.standard_normal(ordered.shape), 5),
        "digits": (load_digits().data, 10),
        "scaled breast cancer": (scale(load_breast_cancer().data), 10),
        "n < d": (rng.standard_normal((30, 100)), 5),
    }


def pca_lines(name, X, k):
    """The Gaussian prior against PCA: angles of axes and of spans, explained variance ratios."""
    from sparse_fourier import AutoencoderDecomposer

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IdentifiabilityWarning)  # of two axes of about the same variance
            model = AutoencoderDecomposer(k, prior="gaussian", random_state=0).fit(X)
    except Exception as error:  # noqa: BLE001 - a failure of ours is a result to report
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        refused = reason.startswith(REFUSAL)
        met, verdict = (None, UNSUPPORTED) if refused else (False, "NO: failed fit")
        return [
            Line(f"{name}, 'gaussian'", "against PCA", "–", {OURS: verdict}, met, verdict, (f"- {reason}",))
        ]
    pca = PCA(k, svd_solver="full").fit(X)
    pairs = zip(pca.components_, model.components_, strict=True)
    gaps = {
        "axes, rad": (max(subspace_angles(t[None], e[None])[0] for t, e in pairs), 1e-5),
        "span, rad": (subspace_angles(pca.components_, model.components_)[0], 1e-5),
        "variance ratio": (
            np.abs(pca.explained_variance_ratio_ - model.explained_variance_ratio_).max(),
            1e-6,
        ),
    }
    return [
        Line(
            f"{name}, 'gaussian'",
            f"gap to PCA: {what}",
            f"worst ≤ {limit:g}",
            {OURS: figure(gap)},
            bool(gap <= limit),
            "yes" if gap <= limit else "NO",
        )
        for what, (gap, limit) in gaps.items()
    ]


def all_pca_lines():
    """`pca_lines` of all data."""
    return [line for name, (X, k) in pca_data().items() for line in pca_lines(name, X, k)]


def time_lines(names, rounds):
    """Warm fits of eight codes, against Picard as it comes and, for information, after PCA.

    Picard may need many iterations on mixed densities, where its guess of a density flips back and forth, and
    needs few on Laplace codes: both are measured.
    """
    if "Picard" not in ICA:
        return []
    return timed(f"densities {names}", names, rounds) + timed("eight Laplace", "b" * 8, rounds)


def timed(title, names, rounds):
    return timed_line(
        f"{title}, m=8, N=10000",
        partial(problems.independent, n=10_000, density=list(names), k=8),
        methods.ours_with(prior="learned"),
        {"Picard": rivals.picard_raw, "Picard after PCA": picard_after_pca},
        {"Picard": 4.0, "Picard after PCA": None},
        rounds,
    )


def density_table(found):
    """Mean Amari distance of every density, ours and the rivals'."""
    header = ["density", *(f"{name}, N={n}" for n, trials in found.items() for name in trials)]
    columns = [
        np.nanmean(np.array([trial.values[0] for trial in listed]).reshape(len(DENSITIES), -1), axis=1)
        for trials in found.values()
        for listed in trials.values()
        if len(listed) % len(DENSITIES) == 0
    ]
    if len(columns) < len(header) - 1:
        return ""
    return table(header, [[d, *(f"{c[i]:.2f}" for c in columns)] for i, d in enumerate(DENSITIES)])


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    options = parser("independence", __doc__.split("\n")[0], seeds=100, first_seed=7000, quick=QUICK)
    options.add_argument("--densities", default=EIGHT, help=f"the eight densities (default: {EIGHT})")
    options.add_argument("--rounds", type=int, default=7, help="rounds of the timing (default: 7)")
    options = options.parse_args(arguments)
    count = min(options.seeds, QUICK) if options.quick else options.seeds
    seeds = range(options.first_seed, options.first_seed + count)
    found = {}

    def densities(n, limit, aim):
        lines, found[n] = run_field(density_field(n, limit, aim), seeds, not options.no_rivals)
        return lines

    def field_lines(row):
        return run_field(row, seeds, not options.no_rivals)[0]

    eight = [eight_field(n, options.densities, min(count, 20)) for n in (2000, 4000)]
    simple = [*eight, *map(laplace_field, ("laplace", "learned"))]
    rows = {
        "18 densities, m=2, N=1000": partial(densities, 1000, 2.8, 2.0),
        "18 densities, m=2, N=250": partial(densities, 250, 8.5, 5.0),
        **{row.name: partial(field_lines, row) for row in simple},
        "PCA": all_pca_lines,
        "time": partial(time_lines, options.densities, 2 if options.quick else options.rounds),
    }

    def render(lines):
        introduction = (
            f"Means, with the worst case in parentheses, over data seeds {seeds[0]} to {seeds[-1]} "
            f"of each density (20 of them at most where m=8). Amari distances are in [0, 100]."
        )
        extra = ["Mean Amari × 100 of every density:", density_table(found)] if found else []
        return report(lines, introduction, extra)

    return run_rows(rows, options, render)


if __name__ == "__main__":
    sys.exit(main())
