"""Every table of docs/benchmarks.md, one bench after another, each in a process of its own.

Run `python -m benchmarks`, which takes hours; `--quick` for a few data sets of each, `--only` for some of the
benches, `--list` for the commands, `--markdown FILE` to keep what is printed. It ends with 1 if a bench
misses one of its bars or fails; some bars are medians of many data sets, which few of them miss by chance.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import machine

QUICK = "--quick"
TABLES = {
    "recovery": ("", QUICK),
    "regimes": ("", "--seeds 2 --rival-seeds 1 --without DictionaryLearning"),
    "ranks": ("", "--trials 10"),
    "biosignals": ("", "--draws 2"),
    "independence": ("", QUICK),
    "told": ("", "--draws 2"),
    "nonnegative": ("", QUICK),
    "dictionaries": ("", "--seeds 1 --only recovery --noises 20 --methods ours mini-batch"),
    "tones": ("", QUICK),
    "missing": ("", QUICK),
    "outliers": ("", QUICK),
    "streaming": ("", QUICK),
    "speed": ("", "--rounds 3"),
    "scale": ("", QUICK),
    "throughput": ("", "--rows 5120 --rounds 2"),
    "devices": ("", "--rows 20000 --rounds 1"),
    "calibration": ("", QUICK),
}
"""Options of each bench, for all of its table and for a quick look at it, in the order of the docs."""


def command(name, quick):
    """What runs a bench."""
    return [sys.executable, "-m", f"benchmarks.{name}", *shlex.split(TABLES[name][quick])]


def written(name, quick):
    """The same as a person would write it."""
    return shlex.join(["python", *command(name, quick)[1:]])


def report_of(name, quick):
    """What a bench prints, below its command, and how it ended."""
    began = time.monotonic()
    done = subprocess.run(command(name, quick), capture_output=True, text=True)
    ended = f"{written(name, quick)}: {time.monotonic() - began:.0f} s, exit status {done.returncode}"
    failure = done.stderr.rstrip()[-2000:] if done.returncode > 1 or not done.stdout else ""
    return f"## {name}\n\n{done.stdout.strip()}\n\n{failure}\n\n{ended}\n", done.returncode


def main():
    """Run them; print each report as it comes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(QUICK, action="store_true", help="a few data sets of each")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="what to run")
    parser.add_argument("--list", action="store_true", help="print the commands and stop")
    parser.add_argument("--markdown", metavar="FILE", help="write the report to a file as well")
    options = parser.parse_args()
    if options.list:
        print("\n".join(written(name, options.quick) for name in options.only))
        return
    texts, status = [f"{machine()}\n"], 0
    print(texts[0], flush=True)
    for name in options.only:
        text, code = report_of(name, options.quick)
        texts, status = [*texts, text], max(status, min(code, 1) if code >= 0 else 1)
        print(text, flush=True)
    if options.markdown:
        Path(options.markdown).write_text("\n".join(texts), encoding="utf-8")
    sys.exit(status)


if __name__ == "__main__":
    main()
