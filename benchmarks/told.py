"""What is within reach: maximum likelihood told the densities of the codes, and started at the truth.

``python -m benchmarks.told`` prints mean Amari distances times 100 over the 18 densities, or with ``--eight``
over draws of eight different ones, beside ours. No method that has to learn the densities can be expected to
do better.
"""

import argparse
import sys

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, log_ndtr

from benchmarks import methods, problems
from benchmarks.independence import DENSITIES, EIGHT
from benchmarks.report import figure, machine, publish, table
from sparse_fourier.datasets.independent import _MIXTURES
from sparse_fourier.metrics import amari_distance

#: Width of hard edges and cusps, so that the likelihood has slopes.
SOFT = 0.01


def student(degrees):
    """Log-density and its slope, of variance one."""
    scale = np.sqrt((degrees - 2) / degrees)
    constant = (
        gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - 0.5 * np.log(degrees * np.pi) - np.log(scale)
    )

    def density(h):
        t = h / scale
        tail = 1 + t * t / degrees
        return constant - (degrees + 1) / 2 * np.log(tail), -(degrees + 1) / degrees * t / tail / scale

    return density


def mixture(name):
    """Log-density and its slope of a mixture of Gaussians, brought to mean zero and variance one."""
    weights, means, widths = map(np.array, _MIXTURES[name])
    weights = weights / weights.sum()
    mean = weights @ means
    deviation = np.sqrt(weights @ (means**2 + widths**2) - mean**2)

    def density(h):
        z = (h[:, None] * deviation + mean - means) / widths
        return mixed(np.log(weights / widths) - 0.5 * z * z - 0.5 * np.log(2 * np.pi), -z / widths, deviation)

    return density


def mixed(logs, slopes, deviation):
    """Log-density and slope of a sum of densities, given by logarithms and slopes of shape (n, parts)."""
    largest = logs.max(axis=1)
    shares = np.exp(logs - largest[:, None])
    total = shares.sum(axis=1)
    return largest + np.log(total * deviation), deviation * (shares * slopes).sum(axis=1) / total


def distance(x):
    """The absolute value and its slope, rounded at zero."""
    far = np.sqrt(x * x + 0.01 * SOFT**2)
    return far, x / far


def laplace(h):
    far, slope = distance(h)
    return -np.sqrt(2) * far - 0.5 * np.log(2), -np.sqrt(2) * slope


def two_laplaces(h):
    width, deviation = 1 / np.sqrt(8), np.sqrt(1.25)
    far, slope = distance(h[:, None] * deviation - np.array([-1.0, 1.0]))
    return mixed(-far / width - np.log(4 * width), -slope / width, deviation)


def wall(x):
    """Logarithm and slope of a soft step upwards at zero."""
    log = log_ndtr(x / SOFT)
    return log, np.exp(-0.5 * (x / SOFT) ** 2 - 0.5 * np.log(2 * np.pi) - log) / SOFT


def uniform(h):
    (low, rise), (high, fall) = wall(np.sqrt(3) + h), wall(np.sqrt(3) - h)
    return low + high - np.log(2 * np.sqrt(3)), rise - fall


def exponential(h):
    low, rise = wall(h + 1)
    return low - h - 1, rise - 1


TRUE = {
    "a": student(3),
    "b": laplace,
    "c": uniform,
    "d": student(5),
    "e": exponential,
    "f": two_laplaces,
} | {name: mixture(name) for name in _MIXTURES}


def told(sample, names):
    """Components of largest likelihood under the true densities, from a start at the truth."""
    k, codes = len(names), sample.X @ np.linalg.inv(sample.components)

    def loss(flat):
        matrix, offset = flat[: k * k].reshape(k, k), flat[k * k :]
        parts = [TRUE[name](h) for name, h in zip(names, matrix @ codes.T + offset[:, None], strict=True)]
        slopes = -np.stack([slope for _, slope in parts]) / len(codes)
        value = -np.linalg.slogdet(matrix)[1] - sum(log.mean() for log, _ in parts)
        return value, np.append((slopes @ codes - np.linalg.inv(matrix).T).ravel(), slopes.sum(axis=1))

    start = np.append(np.eye(k).ravel(), np.zeros(k))
    options = {"maxiter": 500, "maxcor": 40, "ftol": 1e-13, "gtol": 1e-8}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return np.linalg.inv(found[: k * k].reshape(k, k)).T @ sample.components


def errors(names, n, seed):
    """Amari distances times 100: told the densities, `"learned"`, the default."""
    sample = problems.independent(seed, n, list(names), len(names))
    fits = [
        methods.ours_with(**{"prior": prior})(sample.X, len(names), seed)[0] for prior in ("learned", "auto")
    ]
    return [100 * amari_distance(sample.components, each) for each in (told(sample, names), *fits)]


def main(arguments=None):
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.told", description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 250])
    parser.add_argument("--draws", type=int, default=15, help="of each (default: 15)")
    parser.add_argument("--first-seed", type=int, default=7100)
    parser.add_argument(
        "--eight", nargs="?", const=EIGHT, help=f"these densities together (default: {EIGHT})"
    )
    parser.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    options = parser.parse_args(arguments)
    kinds = [options.eight] if options.eight else [2 * name for name in DENSITIES]
    seeds = range(options.first_seed, options.first_seed + options.draws)
    rows = []
    for n in options.samples:
        found = [errors(names, n, seed) for names in kinds for seed in seeds]
        rows.append([f"{n} samples", *map(figure, np.mean(found, axis=0))])
    header = ["mean Amari × 100", "told the densities", "learned", "default"]
    publish(f"{table(header, rows)}\n\nMeasured on: {machine()}.", options.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
