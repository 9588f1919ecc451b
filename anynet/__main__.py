"""The command line: ``python -m anynet``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from anynet import backends


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; without a command, print the help."""
    parser = argparse.ArgumentParser(prog="python -m anynet", description="Inspect and check what anynet runs on.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    info = commands.add_parser("info", help="print backends, versions, devices, threads and advice")
    info.set_defaults(run=_info)
    check = commands.add_parser("check", help="verify that this machine computes correctly")
    check.add_argument(
        "--backend", metavar="NAME", help="such as cupy or torch:cuda; by default all that this machine can run"
    )
    check.add_argument("--json", action="store_true", help="print a JSON list of reports instead of tables")
    check.set_defaults(run=_check)
    options = parser.parse_args(argv)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    status: int = options.run(options)
    return status


def _info(options: argparse.Namespace) -> int:
    print(backends.info())
    return 0


def _check(options: argparse.Namespace) -> int:
    """Print a report per backend; return 1 if any comparison failed, 2 if the backend cannot run here."""
    reports = []
    for name in [options.backend] if options.backend else backends.available():
        try:
            reports.append(backends.check(name))
        except (ImportError, RuntimeError, ValueError) as error:
            print(f"check: {error}", file=sys.stderr)
            return 2
        if not options.json:
            print(reports[-1], end="\n\n", flush=True)
    if options.json:
        print(json.dumps([report.as_dict() for report in reports], indent=1, ensure_ascii=False))
    return int(not all(report.passed for report in reports))


if __name__ == "__main__":
    sys.exit(main())
