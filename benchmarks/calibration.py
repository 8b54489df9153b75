"""The calibration bench: how often bands of `diagnose` cover the truth, and its verdicts are right.

``python -m benchmarks.calibration`` simulates 200 data sets of each kind, counts which points of the true
components lie within the 90 % bands, and how often components are said not to be identified, for Gaussian
codes and for others. It exits with 1 if a bar is missed. ``--rows`` runs it in pieces.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from benchmarks.fields import OURS, Line, parser, report, run_rows
from benchmarks.report import figure
from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Fourier
from sparse_fourier.metrics import match_components
from sparse_fourier.priors import Prior

QUICK = 20
REGULAR, IRREGULAR = (0.85, 0.95), (0.85, 1.0)
D = 30
TIMES = np.linspace(0, 1, D)
NOT = "not identified"
NO_INTERCEPT = {"fit_intercept": False}


def laplace(rng, n, k):
    return rng.laplace(size=(n, k))


def gaussian(rng, n, k):
    return rng.standard_normal((n, k))


def unequal(rng, n, k):
    return rng.standard_normal((n, k)) * 1.5 * 0.75 ** np.arange(k)


def uniform(rng, n, k):
    return rng.uniform(size=(n, k))


def dependent(rng, n, k):
    """Codes in the box that are pulled towards a common one."""
    shared = rng.uniform(size=(n, 1))
    return np.where(rng.uniform(size=(n, k)) < 0.25, shared, rng.uniform(size=(n, k)))


def exponential(rng, n, k):
    return rng.exponential(size=(n, k))


def logistic(rng, n, k):
    return rng.logistic(size=(n, k))


def proportions(rng, n, k):
    return rng.dirichlet(np.ones(k), size=n)


def skewed(rng, n, k):
    return np.stack([rng.gumbel(size=n), rng.laplace(size=n), rng.logistic(size=n) ** 3][:k], axis=1)


def waves(rng, k):
    """Smooth components, not orthogonal."""
    return np.sin(np.pi * np.outer(np.arange(1, k + 1), TIMES) + rng.uniform(-0.5, 0.5, size=(k, 1)))


def orthogonal(rng, k):
    return np.linalg.qr(rng.standard_normal((D, k)))[0].T


def spectra(rng, k):
    return 1.5 + waves(rng, k)


def positive(rng, k):
    return np.abs(rng.standard_normal((k, D)))


def tones(rng, k):
    cycles = np.arange(1, k + 1) * 1.7 + rng.uniform(0, 0.5, k)
    return np.sin(2 * np.pi * np.outer(cycles, TIMES) + rng.uniform(-3, 3, (k, 1)))


@dataclass
class Logistic(Prior):
    """A density of one's own, given for all codes together."""

    support = "real"

    def log_density(self, codes):
        """Return that of independent codes, which the library is not told."""
        import jax.numpy as jnp

        return (-codes - 2 * jnp.log1p(jnp.exp(-codes))).sum(axis=1)


@dataclass(frozen=True)
class Simulation:
    """Data of which the truth is known, and the coverage that is asked for."""

    name: str
    prior: str | Prior
    codes: Callable
    k: int
    n: int
    noise: float
    bar: tuple[float, float] = REGULAR
    components: Callable = waves
    missing: float = 0.0
    weighted: bool = False
    parameters: dict = field(default_factory=dict)
    refits: int = 5

    @property
    def draws(self):
        """Number of refits: few where bands come from a closed form."""
        return 50 if self.bar is IRREGULAR else self.refits

    def draw(self, seed):
        """Signals, true components and weights."""
        rng = np.random.default_rng(seed)
        truth = self.components(rng, self.k)
        X = self.codes(rng, self.n, self.k) @ truth + self.noise * rng.standard_normal((self.n, D))
        X[rng.uniform(size=X.shape) < self.missing] = np.nan
        weights = rng.integers(1, 3, size=self.n).astype(float) if self.weighted else np.ones(self.n)
        return X, truth, weights

    def run(self, seed):
        """Coverage of each component's points, and of frequencies, and the verdicts."""
        X, truth, weights = self.draw(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoencoderDecomposer(self.k, prior=self.prior, random_state=0, **self.parameters)
            model.fit(X, sample_weight=weights)
            diagnosis = model.diagnose(X, self.draws, random_state=seed, sample_weight=weights)
        truth = truth / np.linalg.norm(truth, axis=1, keepdims=True) if model.prior_.has_free_scale else truth
        _, places, scales = match_components(truth, model.components_)
        signs = np.sign(scales)[:, None]
        errors = truth - signs * model.components_[places]
        half = 0.5 * (diagnosis.upper - diagnosis.lower)[places]
        return errors, half, model, diagnosis, places


POSITIVE = ("exponential", exponential, 2, 300, 0.1)
NONNEGATIVE = {"basis": "nonnegative", **NO_INTERCEPT}
SIMULATIONS = [
    Simulation("gaussian", "gaussian", unequal, 3, 1000, 0.3, components=orthogonal),
    Simulation("laplace", "laplace", laplace, 3, 1000, 0.3),
    Simulation("laplace, no noise", "laplace", laplace, 3, 1000, 0.0),
    Simulation("laplace, 20 % missing", "laplace", laplace, 3, 1000, 0.3, missing=0.2),
    Simulation("learned", "learned", skewed, 3, 1000, 0.3),
    Simulation("uniform, noise", "uniform", uniform, 3, 1000, 0.3),
    Simulation("exponential, noise", "exponential", exponential, 3, 1000, 0.3),
    Simulation("simplex, noise", "simplex", proportions, 3, 3000, 0.1, components=spectra),
    Simulation("uniform, no noise, k=2", "uniform", uniform, 2, 1000, 0.0, IRREGULAR),
    Simulation("uniform, no noise, k=5", "uniform", uniform, 5, 1000, 0.0, IRREGULAR),
    Simulation("uniform, little noise", "uniform", uniform, 3, 1000, 0.02, IRREGULAR),
    Simulation("uniform, dependent codes", "uniform", dependent, 3, 1000, 0.0, IRREGULAR),
    Simulation("exponential, no noise", "exponential", exponential, 3, 1000, 0.0, IRREGULAR),
    Simulation("simplex, no noise", "simplex", proportions, 3, 1000, 0.0, IRREGULAR, components=spectra),
    Simulation("uniform, noise, no intercept", "uniform", uniform, 3, 1000, 0.3, parameters=NO_INTERCEPT),
    Simulation(
        "exponential, no noise or intercept",
        "exponential",
        exponential,
        3,
        1000,
        0.0,
        IRREGULAR,
        parameters=NO_INTERCEPT,
    ),
    Simulation("uniform, 20 % missing", "uniform", uniform, 3, 1000, 0.3, missing=0.2),
    Simulation("learned, 20 % missing", "learned", skewed, 3, 1000, 0.3, missing=0.2),
    Simulation(
        "simplex, 20 % missing", "simplex", proportions, 3, 3000, 0.1, components=spectra, missing=0.2
    ),
    Simulation("joint density", Logistic(), logistic, 2, 1000, 0.3),
    Simulation("nonnegative basis", *POSITIVE, components=positive, parameters=NONNEGATIVE, refits=20),
    Simulation(
        "nonnegative basis, 20 % missing",
        *POSITIVE,
        components=positive,
        missing=0.2,
        parameters=NONNEGATIVE,
        refits=20,
    ),
]
SINUSOIDS = Simulation(
    "fourier",
    "uniform",
    uniform,
    2,
    300,
    0.5,
    components=tones,
    parameters={"basis": Fourier(positions=TIMES)},
)
GAUSSIAN = [
    Simulation(f"{prior}, k={k}", prior, gaussian, k, 1000, 0.1)
    for prior in ("laplace", "learned", "uniform", "exponential", "auto")
    for k in (2, 3)
]


def coverage_lines(simulation, seeds):
    """Coverage of the bands, and how often a component that is well posed is not taken for it."""
    inside, ratios, words = [], [], []
    for seed in seeds:
        errors, half, _, diagnosis, _ = simulation.run(seed)
        inside.append((np.abs(errors) <= half).mean())
        ratios.append(np.mean(errors**2) / np.mean((half / 1.645) ** 2))
        words.append(NOT in diagnosis.verdicts)
    by_prior = simulation.prior != "gaussian"
    covered = float(np.mean(inside))
    low, high = simulation.bar
    figures = {OURS: f"{covered:.3f} ± {figure(np.std(inside) / np.sqrt(len(inside)))}"}
    met = bool(low <= covered <= high)
    bar = f"{low:g} to {high:g}"
    lines = [Line(simulation.name, "coverage of 90 % bands", bar, figures, met, "yes" if met else "NO")]
    if by_prior:
        wrong = float(np.mean(words))
        met = wrong <= 0.05
        lines.append(Line(simulation.name, NOT, "≤ 0.05", {OURS: figure(wrong)}, met, "yes" if met else "NO"))
    return lines


def sinusoid_lines(simulation, seeds):
    """Coverage of frequencies, and their standard errors over the Cramér-Rao bound."""
    inside, waveforms, ratios = [], [], []
    for seed in seeds:
        errors, half, model, diagnosis, places = simulation.run(seed)
        waveforms.append((np.abs(errors) <= half).mean())
        cycles = np.sort(_cycles(seed, simulation.k))
        found = model.frequencies_[places, 0]
        order = np.argsort(found)
        misses = np.abs(found[order] - cycles)
        bounds = diagnosis.frequency_errors[places, 0][order]
        inside.append((misses <= 1.645 * bounds).mean())
        ratios.append(np.mean((misses / bounds) ** 2))
    low, high = simulation.bar
    lines = []
    for measured, values in (("coverage of frequencies", inside), ("coverage of 90 % bands", waveforms)):
        covered = float(np.mean(values))
        met = bool(low <= covered <= high)
        shown = {OURS: f"{covered:.3f} ± {figure(np.std(values) / np.sqrt(len(values)))}"}
        lines.append(
            Line(simulation.name, measured, f"{low:g} to {high:g}", shown, met, "yes" if met else "NO")
        )
    root = {OURS: figure(float(np.sqrt(np.mean(ratios))))}
    return [
        *lines,
        Line(simulation.name, "rms error of a frequency / its standard error", "", root, None, ""),
    ]


def _cycles(seed, k):
    """The frequencies that `tones` draws first."""
    rng = np.random.default_rng(seed)
    return np.arange(1, k + 1) * 1.7 + rng.uniform(0, 0.5, k)


def verdict_lines(simulation, seeds):
    """How often Gaussian codes are said not to identify their components."""
    words = [all(word == NOT for word in simulation.run(seed)[3].verdicts) for seed in seeds]
    right = float(np.mean(words))
    met = right >= 0.95
    name = f"Gaussian codes under {simulation.name}"
    return [Line(name, NOT, "≥ 0.95", {OURS: figure(right)}, met, "yes" if met else "NO")]


def main(arguments=None):
    """Run, report, and return 1 if a bar is missed."""
    options = parser("calibration", __doc__.split("\n")[0], seeds=200, first_seed=21000, quick=QUICK)
    options = options.parse_args(arguments)
    count = min(options.seeds, QUICK) if options.quick else options.seeds
    seeds = range(options.first_seed, options.first_seed + count)
    rows = {each.name: partial(coverage_lines, each, seeds) for each in SIMULATIONS}
    rows["fourier"] = partial(sinusoid_lines, SINUSOIDS, seeds)
    rows |= {f"Gaussian codes: {each.name}": partial(verdict_lines, each, seeds) for each in GAUSSIAN}

    def render(lines):
        return report(lines, f"{count} data sets of each kind; means with their standard errors.")

    return run_rows(rows, options, render)


if __name__ == "__main__":
    sys.exit(main())
