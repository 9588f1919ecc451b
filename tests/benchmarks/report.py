"""JSON and Markdown of a run; ``python -m tests.benchmarks.report RUN.json ...`` prints a page from saved runs."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from .contenders import CONTENDERS
from .summary import Result, best, spread
from .targets import judged

TITLES = {
    "step": "One training step, µs",
    "fit": "One step inside `fit`, over shuffled batches, µs",
    "predict": "`predict`, ms",
    "mnist": "MNIST, 784-128-10, batch 128, Adam: a whole process from import to test accuracy",
    "footprint": "Import time, and size on the disk with all dependencies",
}


def as_run(date, machine, settings, results, missing, doubts):
    """Return a run as JSON values: samples, medians with quartiles, targets and doubts.

    `doubts` has the findings of `fitness.check` before and after each case, by name.
    """
    return {
        "date": date,
        "machine": machine,
        "settings": settings,
        "results": [asdict(result) for result in results],
        "spread": {r.name: {name: spread(values) for name, values in r.samples.items()} for r in results},
        "targets": judged(results) if settings["rounds"] > 1 else [],  # one round decides nothing
        "missing": missing,
        "doubts": doubts,
    }


def as_markdown(run):
    """Return a run as a page of tables."""
    results = [Result(**result) for result in run["results"]]
    parts = [_machine(run)]
    for kind, title in TITLES.items():
        of_kind = [result for result in results if result.kind == kind and result.samples]
        if of_kind:
            parts += [f"### {title}", _table(of_kind, run.get("doubts", {}))]
    return "\n\n".join(parts + _targets(run["targets"]) + _notes(results, run["missing"], run.get("doubts", {}))) + "\n"


def _machine(run):
    machine, settings = run["machine"], run["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    blas = machine["blas"] or {}
    variables = ", ".join(f"`{name}={value}`" for name, value in machine["variables"].items())
    return (
        f"Measured {run['date']} on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"
        f"{', ' + machine['gpu'] if machine['gpu'] else ''}; {machine['system']}, Python {machine['python']}, "
        f"{versions}. NumPy's BLAS: {blas.get('internal_api', 'unknown')} {blas.get('version', '')}, kernels for "
        f"{blas.get('architecture', 'unknown')}, {blas.get('num_threads', '?')} threads. Load before the run: "
        f"{machine['load']}. Environment: {variables or 'nothing set'}.\n\n"
        f"Medians of {settings['rounds']} alternating rounds of {settings['seconds']} s, and of "
        f"{settings['processes']} whole processes, with the quartiles in brackets; the best of a column is bold."
    )


def _table(results, doubts):
    names = {name for result in results for name in result.samples}
    order = [name for name in CONTENDERS if name in names] or list(results[-1].samples)
    heads = [_head(result) + (" ⚠" if result.name in doubts else "") for result in results]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    lines += [f"| {name} | " + " | ".join(_cell(result, name) for result in results) + " |" for name in order]
    return "\n".join(lines)


def _head(result):
    """Return the column's header without the words of the table's title."""
    if result.kind in ("mnist", "footprint"):
        return f"{result.name.removeprefix('mnist ')}, {result.unit}"
    return result.name.removeprefix(result.kind).strip()


def _cell(result, name):
    if name not in result.samples:
        return "–"
    low, middle, high = (_number(value, result.unit) for value in spread(result.samples[name]))
    rivals = [other for other in result.samples if not other.startswith("products/")]
    text = f"**{middle}**" if result.unit != "%" and best(result.samples, rivals) == name else middle
    if len(result.samples[name]) > 1:
        text += f" ({low}–{high})"
    return text + (" ⚠" if name in result.notes else "")


def _number(value, unit):
    """Format with three significant digits and no exponent; percentages with two decimals."""
    if unit == "%":
        return f"{value:.2f}"
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:#.3g}"


def _targets(rows):
    if not rows:
        return []
    lines = ["| case | anynet | against | ratio (quartiles) | at most | |", "|---" * 6 + "|"]
    for row in rows:
        low, high = row["quartiles"]
        lines.append(
            f"| {row['case']} | {row['ours']} | {row['rival']} | {row['ratio']:.2f} ({low:.2f}–{high:.2f}) "
            f"| {row['at_most']} | {'reached' if row['reached'] else '**missed**'} |"
        )
    return ["### Ratios, round by round", "\n".join(lines)]


def _notes(results, missing, doubts):
    cases = {}
    for result in results:
        for name, note in result.notes.items():
            cases.setdefault((name, note), []).append(result.name)
    lines = [f"* {name}: {note}" for name, note in missing.items()]
    lines += [f"* {name}: the machine was unfit to measure: {'; '.join(found)}" for name, found in doubts.items()]
    lines += [f"* {name}: {note} ({'; '.join(where)})" for (name, note), where in cases.items()]
    return ["### Left out, or to be doubted", "\n".join(lines)] if lines else []


def main(*paths):
    """Print the pages of the runs at `paths`."""
    print("\n\n".join(as_markdown(json.loads(Path(path).read_text())) for path in paths), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
