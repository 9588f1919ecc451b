"""The command line: ``python -m tests.benchmarks``."""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

from . import data, fitness, machine, report
from .cases import CPU, GPU, GPU_QUICK, GPU_TABLE, QUICK
from .contenders import CONTENDERS, SLOW_TO_START
from .rounds import Settings, measure

QUICK_SETTINGS = Settings(rounds=1, seconds=0.02, warm=0.05, pause=0.0, processes=1, epochs=1)
GPU_SETTINGS = Settings(rounds=5, seconds=0.2, warm=1.0, pause=0.02, processes=1, epochs=10, budget=420.0)


def main(argv=None):
    """Run the benchmarks; return 1 if a contender failed or its results differ, regardless of times."""
    options = _parser().parse_args(argv)
    if options.gpu:
        options.device = "cuda"
        options.output = options.output or Path("build/benchmarks-gpu")
    settings = QUICK_SETTINGS if options.quick else GPU_SETTINGS if options.gpu else Settings()
    given = {name: value for name in asdict(settings) if (value := getattr(options, name, None)) is not None}
    settings = replace(settings, **given)
    began = time.monotonic()
    if options.gpu:
        cases = GPU_QUICK if options.quick else GPU_TABLE
    else:
        cases = GPU if options.device == "cuda" else QUICK if options.quick else CPU
    cases = [case for case in cases if _chosen(case.name, options.only)]
    contenders = [c for c in CONTENDERS.values() if _chosen(c.name, options.contenders)]
    if options.quick and not options.contenders:
        contenders = [c for c in contenders if c.name not in SLOW_TO_START]
    if not cases or not contenders:
        print("nothing to measure: see --list", file=sys.stderr)
        return 2
    if options.list:
        print(*(case.name for case in cases), "", *(c.name for c in contenders), sep="\n")
        return 0
    described, results, missing, doubts = machine.describe(), [], {}, {}
    devices = {case.device for case in cases} | {options.device}
    if options.gpu:
        contenders = [c for c in contenders if c.name.partition("/")[0] in ("anynet", "products", "torch", "jax")]
    for contender in contenders:
        if contender.device in devices and (why := contender.missing()):
            missing[contender.name] = why
            _say(f"{contender.name}: skipped, {why}")
    contenders = [c for c in contenders if c.name not in missing]
    for case in cases:
        print(case.name, file=sys.stderr, flush=True)
        if case.kind == "mnist" and data.mnist_folder() is None:
            _say("  skipped: no MNIST; set ANYNET_DATA to a folder with mnist/*.gz")
            continue
        before = [] if options.quick else fitness.check()
        measured = measure(case, contenders, settings, _say, lambda: _is_over(began, settings.budget))
        found = list(dict.fromkeys(before + ([] if options.quick else fitness.check())))
        doubts |= {result.name: found for result in measured if found}
        results += measured
        for reason in found:
            _say(f"  unfit to measure: {reason}")
    run = report.as_run(date.today().isoformat(), described, asdict(settings), results, missing, doubts)
    page = report.as_markdown(run)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "results.json").write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")
        (options.output / "results.md").write_text(page)
    print(page, end="")
    notes = [note for result in results for note in result.notes.values()]
    return int(any(note.startswith(("failed", "computes")) for note in notes))


def _is_over(began, budget):
    return budget is not None and time.monotonic() - began > budget


def _say(text):
    print(text, file=sys.stderr, flush=True)


def _chosen(name, texts):
    """Return whether one of the comma-separated `texts` occurs in `name`; None selects everything."""
    return texts is None or any(text.strip().lower() in name.lower() for text in texts.split(","))


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="anynet against its peers.")
    parser.add_argument("--quick", action="store_true", help="tiny rounds, to prove that it works: under a minute")
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="a table for docs/benchmarks.md in under eight minutes on an NVIDIA GPU; with --quick, a dry run anywhere",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="which cases (default: cpu)")
    parser.add_argument("--only", metavar="A,B", help="cases whose name contains one of these texts")
    parser.add_argument("--contenders", metavar="A,B", help="contenders whose name contains one of these texts")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write results.json and results.md there")
    parser.add_argument("--list", action="store_true", help="name the cases and contenders, and stop")
    parser.add_argument("--rounds", type=int, help="samples per contender")
    parser.add_argument("--seconds", type=float, help="length of a round")
    parser.add_argument("--warm", type=float, help="seconds of training before the first round")
    parser.add_argument("--pause", type=float, help="seconds between two contenders")
    parser.add_argument("--processes", type=int, help="whole processes per contender, after one uncounted")
    return parser


if __name__ == "__main__":
    sys.exit(main())
