"""The command line: ``anynet``, or ``python -m anynet``.

This module parses arguments and reports errors. The module of a command is imported when the command runs, so that
``anynet --help`` imports no array library.

===========  ======================================================================================================
`machine`    ``anynet info`` and ``check``
`errors`     the exception for wrong arguments
===========  ======================================================================================================
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module

from anynet._version import __version__
from anynet.cli.errors import WrongArgument

INTERRUPTED, CLOSED_PIPE = 130, 141
"""Exit statuses after Ctrl-C and after a closed pipe: 128 plus the number of the signal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Returns
    -------
    int
        0; 1 for a failure, 2 for wrong arguments, 130 after Ctrl-C, 141 if the reader of the output has closed the pipe.
    """
    try:
        try:
            parser = _parser()
            options = parser.parse_args(argv)
            if options.command is None:
                parser.print_help()
                return 0
            return _run(options)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits
        return CLOSED_PIPE


def _run(options: argparse.Namespace) -> int:
    """Run the command of parsed arguments, and report warnings and errors in one line each."""
    where = f"anynet {options.command}"
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"{where}: {message}", file=sys.stderr)
        try:
            module, _, function = options.run.partition(":")
            return getattr(import_module(f"anynet.cli.{module}"), function)(options) or 0
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            raise
        except Exception as error:
            if options.traceback:
                traceback.print_exc()
            explained = "expected" in str(error) or isinstance(error, (ImportError, OSError))
            text = error if explained else f"{type(error).__name__}: {error}; --traceback shows its origin"
            print(f"{where}: {text}", file=sys.stderr)
            return 2 if isinstance(error, WrongArgument) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anynet", description="Inspect and check the machine that anynet runs on.")
    parser.add_argument("--version", action="version", version=f"anynet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--traceback", action="store_true", help="show where an error occurred")

    def command(name: str, run: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common])
        added.set_defaults(run=run)
        return added

    info = command("info", "machine:info", "describe this machine and its array libraries")
    info.add_argument("--markdown", action="store_true", help="print Markdown for a bug report")

    check = command("check", "machine:check", "verify that this machine computes correctly")
    check.add_argument(
        "--backend",
        metavar="NAME",
        nargs="+",
        help="backends to check completely, such as cupy or torch:cuda (default: a short check of all that can run here)",
    )
    check.add_argument("--json", action="store_true", help="print a JSON list of reports")

    return parser
