"""The tone bench: frequencies of the Fourier basis beside FFT, ESPRIT, root-MUSIC and the Cramér-Rao bound.

``python -m benchmarks.tones`` draws 500 data sets under each of ten conditions, prints errors over the bound,
the exact cases and times, and exits with 1 if a bar is missed or one of our fits fails. ``--help`` shows how
to run less.
"""

import sys
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import methods, problems
from benchmarks.bars import AtMost
from benchmarks.fields import OURS, Criterion, Field, Line, parser, report, run_field, run_rows
from benchmarks.report import figure
from benchmarks.spectral_rivals import SPECTRAL
from benchmarks.speed import DRAW, compare, fresh_process, picard_after_pca
from benchmarks.speed import timed as timed_fit
from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Fourier
from sparse_fourier.metrics import worst_relative_error

QUICK = 20
EACH, POOLED = 1.05, 1.02
REGULAR = np.arange(64.0)
IRREGULAR = np.sort(np.random.default_rng(64).uniform(0, 63, 64))
SEED = np.arange(30.0)
FREE_COLD = DRAW + "from sparse_fourier import AutoencoderDecomposer; AutoencoderDecomposer(2).fit(X)"
FOURIER_COLD = FREE_COLD.replace("(2)", '(2, basis="fourier")')


@dataclass(frozen=True, eq=False)
class Tones:
    """Signals of a few tones with one phase in all of them and codes uniform on (0, 1), in white noise.

    `cycles` are per record; the signal-to-noise ratio is that of variances over all entries.
    """

    name: str
    positions: np.ndarray
    cycles: tuple[float, ...]
    phases: tuple[float, ...]
    snr_db: float
    n: int = 200

    @property
    def frequencies(self):
        return np.array(self.cycles) / np.ptp(self.positions)

    @property
    def regular(self):
        return bool(np.allclose(np.diff(self.positions), 1.0))

    def waveforms(self, frequencies, phases):
        return np.sin(2 * np.pi * np.outer(frequencies, self.positions) + np.asarray(phases)[:, None])

    def draw(self, seed):
        """Signals, codes and the variance of the noise."""
        rng = np.random.default_rng(seed)
        codes = rng.uniform(size=(self.n, len(self.cycles)))
        clean = codes @ self.waveforms(self.frequencies, self.phases)
        variance = np.mean((clean - clean.mean(axis=0)) ** 2) / 10 ** (self.snr_db / 10)
        return clean + np.sqrt(variance) * rng.normal(size=clean.shape), codes, variance

    def bound(self, codes, variance):
        """The Cramér-Rao bound of the frequencies: see docs/sinusoids.md."""
        truth = self.waveforms(self.frequencies, self.phases)
        turned = self.waveforms(self.frequencies, np.asarray(self.phases) + np.pi / 2)
        slopes = np.concatenate([2 * np.pi * (self.positions - self.positions.mean()) * turned, turned])
        outside = np.eye(len(self.positions)) - np.linalg.pinv(truth) @ truth
        spread = len(codes) * np.cov(codes.T, bias=True)
        information = np.tile(spread, (2, 2)) * (slopes @ outside @ slopes.T) / variance
        return np.diagonal(np.linalg.inv(information))[: len(self.cycles)]


CONDITIONS = [
    Tones("2 tones, regular, 10 dB", REGULAR, (6.4, 12.3), (0.3, 1.0), 10),
    Tones("3 tones, regular, 20 dB", REGULAR, (6.3, 8.19, 19.53), (0.3, 1.0, 2.0), 20),
    Tones("4 tones, regular, 30 dB", REGULAR, (3.3, 7.2, 15.5, 22.0), (0.3, 1.0, 2.0, -1.0), 30),
    Tones("3 tones, irregular, 10 dB", IRREGULAR, (4.4, 7.2, 15.5), (0.3, 1.0, 2.0), 10),
    Tones("4 tones, irregular, 20 dB", IRREGULAR, (3.3, 7.2, 15.5, 22.0), (0.3, 1.0, 2.0, -1.0), 20),
    Tones("2 tones, irregular, 50 dB", IRREGULAR, (6.4, 12.3), (0.3, 1.0), 50),
    Tones("half a cycle apart, regular, 20 dB", REGULAR, (10.0, 10.5), (0.3, 1.0), 20),
    Tones("half a cycle apart, irregular, 30 dB", IRREGULAR, (10.0, 10.5), (0.3, 1.0), 30),
    Tones("seed [0, π], 10 dB", SEED, (0.5, 1.0), (0.0, 0.0), 10, 300),
    Tones("seed [0, π/2], 30 dB", SEED, (0.25, 0.5), (0.0, 0.0), 30, 300),
]


def fitted(X, k, positions):
    """Our frequencies, sorted."""
    model = AutoencoderDecomposer(k, prior="gaussian", basis=Fourier(positions=positions)).fit(X)
    return np.sort(model.frequencies_.ravel())


def squared_ratios(condition, seeds, rivals):
    """Squared errors over the bound, name -> array of shape (n_runs, k)."""
    k = len(condition.cycles)
    entrants = {OURS: partial(fitted, positions=condition.positions)}
    if rivals and condition.regular:
        entrants |= SPECTRAL
    found = {name: [] for name in entrants}
    for seed in seeds:
        X, codes, variance = condition.draw(seed)
        bound = condition.bound(codes, variance)
        for name, method in entrants.items():
            found[name].append((method(X, k) - condition.frequencies) ** 2 / bound)
    return {name: np.array(ratios) for name, ratios in found.items()}


def root_mean(squares):
    """The root of the mean, and its standard error."""
    each = squares.mean(axis=1)
    root = np.sqrt(each.mean())
    return root, each.std() / np.sqrt(len(each)) / (2 * root)


def condition_line(condition, found):
    """One line: each at most 1.05 plus two standard errors, and no rival better."""
    ours, error = root_mean(found[OURS])
    others = [root_mean(ratios) for name, ratios in found.items() if name != OURS]
    beaten = all(ours <= theirs + 2 * np.hypot(error, own) for theirs, own in others)
    met = bool(ours <= EACH + 2 * error and beaten)
    figures = {name: f"{figure(root_mean(r)[0])} ± {figure(root_mean(r)[1])}" for name, r in found.items()}
    bar = f"≤ {EACH} + 2 s.e., no rival better"
    return Line(condition.name, "rms frequency error / bound", bar, figures, met, "yes" if met else "NO")


def condition_lines(seeds, rivals):
    """All conditions, and what they are together."""
    found = {condition: squared_ratios(condition, seeds, rivals) for condition in CONDITIONS}
    lines = [condition_line(condition, ratios) for condition, ratios in found.items()]
    pooled = float(np.sqrt(np.mean(np.concatenate([ratios[OURS].ravel() for ratios in found.values()]))))
    met = pooled <= POOLED
    verdict = "yes" if met else "NO"
    return [*lines, Line("pooled", lines[0].measured, f"≤ {POOLED}", {OURS: figure(pooled)}, met, verdict)]


def fourier(positions, **parameters):
    """A method: ours with the Fourier basis, told the number of components."""
    return methods.ours_with(basis=Fourier(positions=positions), **parameters)


def matched(sample, outcome):
    """Relative error of the worst component, after matching."""
    return worst_relative_error(sample.components, outcome.components)


def seed_field(interval, dtype, limit):
    """The seed's signals without noise."""

    def draw(seed):
        sample = problems.seed_signals(seed, 300, interval)
        return sample._replace(X=sample.X.astype(dtype))

    name = f"seed on [0, {interval[1]:.3g}], {np.dtype(dtype).name}"
    method = fourier(np.linspace(*interval, 30))
    return Field(name, (draw,), method, {}, (Criterion("matched error", matched, AtMost("worst", limit)),))


def irregular_sample(seed, missing):
    """Three to five tones at 64 random places, without noise."""
    rng = np.random.default_rng(seed)
    k = 3 + seed % 3
    positions = np.sort(np.random.default_rng(seed % 10).uniform(0, 63, 64))
    frequencies = 0.02 + 0.4 * (np.arange(k) + rng.uniform(0.1, 0.9, k)) / k
    waves = np.sin(2 * np.pi * np.outer(frequencies, positions) + rng.uniform(-3, 3, (k, 1)))
    codes = rng.uniform(size=(300, k))
    X = codes @ waves
    X[rng.uniform(size=X.shape) < missing] = np.nan
    return problems.Sample(X, codes, waves), positions


def irregular_lines(missing, limit, seeds):
    """Error of components at irregular positions, with a share of the entries missing."""
    errors = []
    for seed in seeds:
        sample, positions = irregular_sample(seed, missing)
        outcome = methods.attempt(fourier(positions), sample.X, len(sample.components), 0)
        errors.append(np.inf if outcome.failure else matched(sample, outcome))
    met = max(errors) <= limit
    figures = {OURS: f"{figure(np.median(errors))} ({figure(max(errors))})"}
    name = "3 to 5 tones, 64 irregular positions" + (f", {missing:.0%} missing" if missing else "")
    return [Line(name, "matched error", f"worst ≤ {limit:g}", figures, met, "yes" if met else "NO")]


def time_lines(rounds):
    """Warm against Picard after PCA, and cold against the free basis."""
    pair = (methods.ours_with(basis="fourier"), picard_after_pca)
    for method in pair:
        timed_fit(method, problems.seed_signals(0, 301))
    samples = [problems.seed_signals(seed, 300) for seed in range(1, 20 * rounds + 1)]
    warm = np.array([[timed_fit(method, sample)[0] for method in pair] for sample in samples])
    for code in (FOURIER_COLD, FREE_COLD):
        fresh_process(code)
    cold = np.array([[fresh_process(code) for code in (FOURIER_COLD, FREE_COLD)] for _ in range(rounds)])
    pairs = [
        compare("warm fit of the seed", *warm.T, limit=1.0),
        compare("cold fit of the seed", *cold.T, limit=1.3),
    ]
    return [ratio_line(line, rival) for line, rival in zip(pairs, ("Picard", "free basis"), strict=True)]


def ratio_line(line, rival):
    figures = {OURS: f"{1e3 * line.ours:.3g} ms", rival: f"{1e3 * line.theirs:.3g} ms"}
    met = bool(line.met())
    verdict = f"{'yes' if met else 'NO'} (ratio {figure(line.ratio)})"
    return Line(line.name, "time", f"≤ {line.limit:g} × {rival}", figures, met, verdict)


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    options = parser("tones", __doc__.split("\n")[0], seeds=500, first_seed=7000, quick=QUICK)
    options.add_argument("--rounds", type=int, default=7, help="rounds of the timing (default: 7)")
    options = options.parse_args(arguments)
    count = min(options.seeds, QUICK) if options.quick else options.seeds
    seeds = range(options.first_seed, options.first_seed + count)
    few = seeds[: min(count, 20)]
    exact = [
        seed_field(interval, dtype, limit)
        for interval in (problems.FULL, problems.HALF)
        for dtype, limit in ((np.float64, 1e-11), (np.float32, 1e-6))
    ]
    rows = {
        "conditions": partial(condition_lines, seeds, not options.no_rivals),
        **{row.name: (lambda row=row: run_field(row, few, False)[0]) for row in exact},
        "irregular": partial(irregular_lines, 0.0, 1e-11, few),
        "missing": partial(irregular_lines, 0.1, 1e-9, few),
        "time": partial(time_lines, 2 if options.quick else options.rounds),
    }

    def render(lines):
        introduction = (
            f"Frequencies: root mean square of error over the Cramér-Rao bound, with its standard error, "
            f"over {count} data sets. Exact cases: median and worst of {len(few)} data sets."
        )
        return report(lines, introduction)

    return run_rows(rows, options, render)


if __name__ == "__main__":
    sys.exit(main())
