"""Four recorded biosignals, mixed and found again by default parameters, beside Picard and FastICA.

``python -m benchmarks.biosignals`` needs PyWavelets (a heartbeat), heartpy (pulses seen by light) and
matplotlib (brain waves), which bring the recordings; it exits with 1 if the default does worse than Picard on
average.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np

from benchmarks import methods, rivals
from benchmarks.report import figure, machine, publish, table
from sparse_fourier.metrics import amari_distance

LENGTH = 800
#: Recording -> column of its values.
PULSES = {"data.csv": 0, "data2.csv": 1, "data3.csv": 1}
METHODS = {
    "ours, default": methods.ours_given_k,
    "FastICA": rivals.fastica_with("logcosh"),
    "Picard": rivals.picard_raw,
}


def recordings():
    """Name -> a long enough recording, for each of three kinds."""
    import pywt
    from matplotlib import cbook

    folder = Path(importlib.util.find_spec("heartpy").submodule_search_locations[0]) / "data"
    with cbook.get_sample_data("eeg.dat") as file:
        waves = np.frombuffer(file.read(), float).reshape(-1, 4)
    return (
        {"heartbeat": pywt.data.ecg().astype(float)},
        {name: numbers(folder / name, column) for name, column in PULSES.items()},
        {f"brain waves {j}": waves[:, j] for j in range(4)},
    )


def numbers(path, column):
    """One column of a file, without lines that are no numbers."""
    lines = (line.split(",") for line in path.read_text().splitlines())
    return np.array([float(parts[column]) for parts in lines if parts[-1].replace(".", "").isdigit()])


def drawn(rng):
    """Four sources of unit variance: a heartbeat, two pulses and a brain wave, cut at random places."""
    hearts, pulses, waves = recordings()
    chosen = [*hearts.values(), *(pulses[name] for name in rng.choice(list(pulses), 2, replace=False))]
    chosen.append(waves[f"brain waves {rng.randint(4)}"])
    starts = [rng.randint(len(source) - LENGTH + 1) for source in chosen]
    parts = np.stack([source[s : s + LENGTH] for source, s in zip(chosen, starts, strict=True)], axis=1)
    return (parts - parts.mean(axis=0)) / parts.std(axis=0)


def error(method, seed):
    """Amari distance times 100 of one draw; the largest possible where a method fails."""
    rng = np.random.RandomState(seed)
    sources, components = drawn(rng), rng.standard_normal((4, 4))
    outcome = methods.attempt(method, sources @ components, 4, seed)
    return 100.0 if outcome.failure else 100 * amari_distance(components, outcome.components)


def main(arguments=None):
    """Run, report, and return 1 if the bar is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.biosignals", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--draws", type=int, default=50, help="number of draws (default: 50)")
    parser.add_argument("--first-seed", type=int, default=7000)
    parser.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    options = parser.parse_args(arguments)
    seeds = range(options.first_seed, options.first_seed + options.draws)
    errors = {name: np.array([error(method, seed) for seed in seeds]) for name, method in METHODS.items()}
    rows = [[name, figure(e.mean()), figure(np.median(e)), figure(e.max())] for name, e in errors.items()]
    header = [f"Amari × 100 over {options.draws} draws", "mean", "median", "worst"]
    publish(f"{table(header, rows)}\n\nMeasured on: {machine()}.", options.markdown)
    return int(errors["ours, default"].mean() > errors["Picard"].mean())


if __name__ == "__main__":
    sys.exit(main())
