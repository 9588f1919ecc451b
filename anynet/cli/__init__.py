"""The command line: ``anynet``, or ``python -m anynet``.

This module parses arguments and reports errors. The module of a command is imported when the command runs, so that
``anynet --help`` imports no array library.

===========  ======================================================================================================
`reading`    read tables from files
`tables`     find targets, classes and columns that need attention
`train`      ``anynet train``
`models`     ``anynet predict``, ``evaluate``, ``export`` and ``info MODEL``, for files that ``train`` wrote
`machine`    ``anynet info`` and ``check``
`errors`     exit statuses, and the exception for wrong arguments
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
from anynet.cli.errors import CLOSED_PIPE, FAILED, INTERRUPTED, WRONG, WrongArgument

DATA = "table: .csv, .tsv or .parquet, also with .gz, or - for CSV from standard input"
MODEL = "file that 'anynet train' wrote"
BACKEND = "array library, such as cupy, jax or torch:cuda (default: numpy)"


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
            options.arguments = sys.argv[1:] if argv is None else argv
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
            explained = "expected" in str(error) or isinstance(error, (ImportError, OSError))
            text = error if explained else f"{type(error).__name__}: {error}; --traceback shows its origin"
            print(traceback.format_exc() if options.traceback else f"{where}: {text}", file=sys.stderr)
            return WRONG if isinstance(error, WrongArgument) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anynet", description="Train networks on tables, and check this machine.")
    parser.add_argument("--version", action="version", version=f"anynet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--traceback", action="store_true", help="show where an error occurred")

    def command(name: str, run: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common])
        added.set_defaults(run=run)
        return added

    train = command("train", "train:train", "train a network on a table and write it to one file")
    train.usage = (
        "anynet train DATA --target NAME [options]"  # --ignore takes all that follows, so DATA must come first
    )
    train.add_argument("data", metavar="DATA", help=DATA)
    train.add_argument("--target", metavar="NAME", required=True, help="column to predict")
    train.add_argument("--out", metavar="FILE", help="file to write (default: the name of DATA with .safetensors)")
    train.add_argument("--method", choices=("realmlp", "tabm", "mlp"), default="realmlp", help="default: realmlp")
    train.add_argument("--task", choices=("classification", "regression"), help="default: depends on the target")
    train.add_argument("--validation", metavar="DATA|FRACTION", default="0.2", help="rows held out (default: 0.2)")
    train.add_argument("--hidden", metavar="SIZES", type=_sizes, help="units per hidden layer, such as 256,256")
    train.add_argument("--epochs", metavar="N", type=_positive, help="passes over the rows")
    train.add_argument("--backend", metavar="NAME", default="numpy", help=BACKEND)
    train.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of the split and of training (default: 0)"
    )
    train.add_argument("--ignore", metavar="COL", nargs="+", default=[], action="extend", help="columns to leave out")
    train.add_argument("--weight", metavar="COL", help="column with the weights of the rows")
    train.add_argument("--group", metavar="COL", help="column whose equal values are held out together")
    train.add_argument("--resume", action="store_true", help="continue an interrupted run with the same arguments")
    train.add_argument("--quiet", action="store_true", help="print errors only")

    predict = command("predict", "models:predict", "predict the target of each row, as CSV")
    predict.add_argument("model", metavar="MODEL", help=MODEL)
    predict.add_argument("data", metavar="DATA", help=DATA)
    predict.add_argument("--out", metavar="FILE", help="CSV file to write (default: standard output)")
    predict.add_argument("--proba", action="store_true", help="one column of probabilities per class")
    predict.add_argument("--backend", metavar="NAME", default="numpy", help=BACKEND)

    evaluate = command("evaluate", "models:evaluate", "score a model on a table that has the target")
    evaluate.add_argument("model", metavar="MODEL", help=MODEL)
    evaluate.add_argument("data", metavar="DATA", help=DATA)
    evaluate.add_argument("--json", action="store_true", help="print one line of JSON")

    info = command("info", "machine:info", "describe a model, or this machine and its array libraries")
    info.add_argument("model", metavar="MODEL", nargs="?", help=MODEL)
    info.add_argument("--markdown", action="store_true", help="print Markdown for a bug report")
    info.add_argument(
        "--products",
        metavar="MxKxN",
        nargs="+",
        default=[],
        help="measure matrix products of these sizes by each library, such as 64x784x128 for batch, inputs and units",
    )

    check = command("check", "machine:check", "verify that this machine computes correctly")
    check.add_argument(
        "--backend",
        metavar="NAME",
        nargs="+",
        help="backends to check completely, such as cupy or torch:cuda (default: a short check of all that can run here)",
    )
    check.add_argument("--json", action="store_true", help="print a JSON list of reports")

    export = command("export", "models:export", "write a model as ONNX")
    export.add_argument("model", metavar="MODEL", help=MODEL)
    export.add_argument("out", metavar="OUT.onnx", help="file to write")
    return parser


def _positive(text: str) -> int:
    if not text.strip().isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected an integer in [1, inf), got {text!r}")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(_positive, text.split(",")))
