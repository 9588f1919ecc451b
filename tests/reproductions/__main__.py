"""The command line: ``python -m tests.reproductions NAME --seeds K``."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np

from .base import Run, Setting, measure
from .results import FILE, Results

MODULES = (
    "nielsen",
    "lecun",
    "simard",
    "srivastava",
    "initialization",
    "batchnorm",
    "adam",
    "weight_decay",
    "muon",
    "sklearn_examples",
)
"""Modules of the papers, in the order of the page."""

SETTINGS: tuple[Setting, ...] = tuple(
    setting for name in MODULES for setting in import_module(f"tests.reproductions.{name}").SETTINGS
)


def main(argv: list[str] | None = None) -> int:
    """Run what the results lack; return 1 if a value is not finite."""
    options = parser().parse_args(argv)
    if options.list:
        print(*(s.name + (" (with --full)" if s.full else "") for s in SETTINGS), sep="\n")
        return 0
    settings = [s for s in SETTINGS if matches(s.name, options.names) and (options.full or options.quick or not s.full)]
    if not settings:
        print(f"no setting of the name {', '.join(options.names)}: see --list", file=sys.stderr)
        return 2
    results = Results.in_memory() if options.quick else Results.read(options.results)
    finite = True
    for setting in settings:
        for seed in range(1 if options.quick else options.seeds or setting.seeds):
            row = results.find(setting.name, seed)
            if row is None:
                row = run_setting(setting, Run(seed, options.quick, options.backend, results))
            finite = finite and bool(np.isfinite(row["value"]))
    return 0 if finite else 1


def run_setting(setting: Setting, run: Run) -> dict:
    """Run a setting with one seed, and print its value."""
    start = time.perf_counter()
    row = measure(setting.name, run, setting.train)
    seconds = time.perf_counter() - start
    print(f"{setting.name}, seed {run.seed}: {row['value']:.4g} {setting.unit}, {seconds:.1f} s", flush=True)
    return row


def matches(name: str, wanted: list[str]) -> bool:
    """Return whether a setting is wanted, by its name, its module or ``all``."""
    return any(text in ("all", name, name.partition("/")[0]) for text in wanted)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.reproductions", description="Reproduce published results.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="modules, settings, or all")
    parser.add_argument("--seeds", type=int, help="number of seeds, from 0 (default: 5, or 3 for slow settings)")
    parser.add_argument(
        "--quick", action="store_true", help="a few images and one epoch, to verify the code; not stored"
    )
    parser.add_argument("--full", action="store_true", help="also the settings that need a GPU or many hours")
    parser.add_argument("--backend", default="numpy", help="backend of the models, such as torch:cuda (default: numpy)")
    parser.add_argument("--results", type=Path, default=FILE, help="file to which runs are appended")
    parser.add_argument("--list", action="store_true", help="print the names of the settings")
    return parser


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "fit: expected a finite loss")  # a choice rejects that candidate
    sys.exit(main())
