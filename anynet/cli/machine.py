"""The commands ``anynet info`` and ``anynet check``."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from typing import Any

from anynet import backends
from anynet.cli.errors import WrongArgument


def info(options: argparse.Namespace) -> None:
    """Print the facts about a model, or about this machine and its array libraries."""
    if options.model is not None:
        if options.products:
            raise WrongArgument("expected a model or --products, got both")
        facts = import_module("anynet.cli.models").describe(options.model)
    else:
        sizes: Any = [tuple([int(n) if n.isdigit() else n for n in text.split("x")]) for text in options.products]
        try:
            found = backends.info(products=sizes)
        except ValueError as error:
            raise WrongArgument(error) from None
        if not options.markdown:
            print(found)
            return
        facts = {name: str(value) for name, value in found.machine.items()}
        facts |= {name: "; ".join(f"{k} {v}" for k, v in about.items()) for name, about in found.backends.items()}
        facts |= {f"products by {name}, GFLOP/s": str(rates) for name, rates in found.products.items()}
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"- **{name}**: {value}" if options.markdown else f"{name:{width}}  {value}")


def check(options: argparse.Namespace) -> int:
    """Check every backend quickly, or the named ones completely; return 1 if a comparison failed."""
    quick, missing = options.backend is None, {}
    if quick:
        missing = {name: facts["missing"] for name, facts in backends.info().backends.items() if "missing" in facts}
    try:
        found = [backends.get(name) for name in options.backend or backends.NAMES if name not in missing]
    except (ImportError, RuntimeError, ValueError) as error:
        raise WrongArgument(error) from None
    reports = []
    for backend in found:
        reports.append(backends.check(backend, quick=quick))
        if not options.json:
            print(reports[-1].outcome if quick else f"{reports[-1]}\n", flush=True)
    if options.json:
        print(json.dumps([report.as_dict() for report in reports], indent=1, ensure_ascii=False))
    else:
        print(*(f"{name}: not checked: {reason}\n" for name, reason in missing.items()), sep="", end="")
    return int(not all(report.passed for report in reports))
