"""The number of components that ``n_components="auto"`` finds, against the detection threshold.

``python -m benchmarks.ranks`` runs all rows, prints the table and exits with 1 if a bar is missed. ``--help``
shows how to run less.
"""

import argparse
import itertools
import sys
import warnings
from dataclasses import dataclass, field

import numpy as np

from benchmarks.report import machine, publish, table

LEVELS = (None, 30, 15, 5)
SHAPES = ((300, 64), (1000, 64), (60, 200), (150, 400))
MOST = 20
LEAST = 0.98
#: Quantile of the Tracy-Widom law of order one that noise exceeds three times in 100000.
QUANTILE = 4.5
DEVIATIONS = 3.0
COLOURED = "coloured noise"


@dataclass
class Row:
    """Trials of one shape and level of noise."""

    name: str
    clear: list = field(default_factory=list)
    near: list = field(default_factory=list)
    below: list = field(default_factory=list)

    @property
    def met(self):
        """Whether the number was right often enough wherever it can be told."""
        return not self.clear or np.mean(self.clear) >= LEAST


def signals(rng, n, d, k, snr_db):
    """Mixtures of random components of strengths 1 to 1/2; the strength of the weakest, over the noise."""
    codes = rng.uniform(-1, 1, (n, k)) * np.sqrt(3)
    components = rng.standard_normal((k, d)) * np.linspace(1, 0.5, k)[:, None]
    X = codes @ components
    if snr_db is None:
        return X, np.inf
    variance = (components**2).sum() / d * 10 ** (-snr_db / 10)
    weakest = np.linalg.eigvalsh(components @ components.T)[0] / variance
    return X + np.sqrt(variance) * rng.standard_normal(X.shape), weakest


def detectable(strength, n, p):
    """1: the sample eigenvalue stands above noise by several of its deviations; 0: less; -1: not at all.

    n counts the samples beyond the mean and the stronger components, which use up one each.

    Below the threshold, a strength of the root of p/n, it does not leave the bulk of the noise [1]_. Above,
    it is about normal around (1 + l)(1 + p/n/l), with the variance 2 (1 + l)² (1 - p/n/l²) / n for Gaussian
    codes [2]_. The largest eigenvalue of noise follows the Tracy-Widom law [3]_.

    .. [1] J. Baik, G. Ben Arous and S. Péché, "Phase transition of the largest eigenvalue for nonnull complex
       sample covariance matrices", Annals of Probability 33(5), 2005.
    .. [2] D. Paul, "Asymptotics of sample eigenstructure for a large dimensional spiked covariance model",
       Statistica Sinica 17(4), 2007.
    .. [3] I. M. Johnstone, "On the distribution of the largest eigenvalue in principal components analysis",
       Annals of Statistics 29(2), 2001.
    """
    if np.isinf(strength):
        return 1
    ratio = p / n
    if strength <= np.sqrt(ratio):
        return -1
    expected = (1 + strength) * (1 + ratio / strength)
    deviation = (1 + strength) * np.sqrt(2 / n * (1 - ratio / strength**2))
    edge = (1 + np.sqrt(ratio)) ** 2
    scale = (np.sqrt(n) + np.sqrt(p)) / n * (1 / np.sqrt(n) + 1 / np.sqrt(p)) ** (1 / 3)
    return int(expected - DEVIATIONS * deviation > edge + QUANTILE * scale)


def found(X, **parameters):
    """The number of components, and whether a warning called it a guess."""
    from sparse_fourier import AutoencoderDecomposer

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = AutoencoderDecomposer(**parameters).fit(X)
    return model.n_components_, any("a guess" in str(entry.message) for entry in caught)


def run(shape, snr_db, n_trials, seed, prior):
    """Trials with a number of components drawn from one to twenty."""
    n, d = shape
    level = "no noise" if snr_db is None else f"{snr_db} dB"
    row = Row(f"n={n}, d={d}, {level}")
    for trial in range(n_trials):
        rng = np.random.RandomState([seed, trial, n, d, snr_db or 0])
        k = rng.randint(1, min(MOST, n // 3) + 1)
        X, weakest = signals(rng, n, d, k, snr_db)
        right = found(X, prior=prior)[0] == k
        {1: row.clear, 0: row.near, -1: row.below}[detectable(weakest, n - k, d)].append(right)
    return row


def coloured(shape, n_trials, seed, prior):
    """Trials with noise whose neighbours correlate by 0.9: capped, with a warning."""
    n, d = shape
    row = Row(f"n={n}, d={d}, {COLOURED}")
    root = np.linalg.cholesky(0.9 ** np.abs(np.subtract.outer(np.arange(d), np.arange(d))))
    for trial in range(n_trials):
        rng = np.random.RandomState([seed, trial, n, d])
        X = signals(rng, n, d, 3, None)[0]
        k, guessed = found(X + 0.3 * X.std() * rng.standard_normal(X.shape) @ root.T, prior=prior)
        row.clear.append(guessed and k <= np.sqrt(n / 2))
    return row


def share(right):
    """How many of how many."""
    return f"{int(sum(right))} of {len(right)}" if right else ""


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=200, help="of each row (default: 200)")
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--prior", default="gaussian", help="the quickest; the number does not depend on it")
    parser.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    options = parser.parse_args(arguments)
    kinds = itertools.product(SHAPES, LEVELS)
    rows = [run(*kind, options.trials, options.seed, options.prior) for kind in kinds]
    rows += [coloured(shape, options.trials, options.seed, options.prior) for shape in SHAPES]
    header = ["signals", "right, well above the threshold", "just above", "below", f"met (≥ {LEAST:.0%})"]
    cells = [
        [row.name, share(row.clear), share(row.near), share(row.below), "yes" if row.met else "NO"]
        for row in rows
    ]
    introduction = (
        f"{options.trials} trials a row, 1 to {MOST} components of strengths 1 to 1/2. Well above: the "
        f"weakest sample eigenvalue is expected {DEVIATIONS:g} of its standard deviations beyond what white "
        "noise exceeds three times in 100000. Coloured noise: capped, with a warning."
    )
    publish(f"{introduction}\n\n{table(header, cells)}\n\nMeasured on: {machine()}.", options.markdown)
    return int(not all(row.met for row in rows))


if __name__ == "__main__":
    sys.exit(main())
