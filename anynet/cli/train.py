"""The command ``anynet train``."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from anynet import backends
from anynet._version import __version__
from anynet.callbacks import Callback, Checkpoint, Run
from anynet.cli import models, reading, tables
from anynet.cli.errors import INTERRUPTED, WrongArgument
from anynet.cli.tables import Rows, Task

METHODS = {"realmlp": "RealMLP", "tabm": "TabM", "mlp": "MLP"}
SECONDS = 60.0
"""Time between checkpoints."""


class Watch(Callback):
    """Record the number of complete epochs, and whether Ctrl-C ended training."""

    interrupted, epochs = False, 0

    def on_fit_end(self, run: Run) -> None:
        self.interrupted, self.epochs = run.interrupted, run.history.epochs


def train(options: argparse.Namespace) -> int:
    """Train a network on a table, write a file, and return the exit status."""
    try:
        backends.get(options.backend)
    except (ImportError, RuntimeError, ValueError) as error:
        raise WrongArgument(error) from None
    out, checkpoint = _paths(options)
    if options.quiet:
        warnings.simplefilter("ignore")

    def say(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr)

    task, training, held = _data(options)
    say(tables.summary(task, training, held))
    is_mlp, watch = options.method == "mlp", Watch()
    callbacks: list[Callback] = [watch]
    if not is_mlp:
        callbacks.append(Checkpoint(checkpoint, every_n_epochs=None, every_n_seconds=SECONDS))
    estimator = _estimator(options, task, callbacks)
    with _only_progress():
        if is_mlp:
            _fit_mlp(estimator, training, held, task.classes is not None)
        else:
            _fit(estimator, training, held, {"resume": checkpoint} if options.resume else {})
    if watch.interrupted and not watch.epochs:
        say(f"interrupted in the first epoch; {out} is not written")
        return INTERRUPTED
    guess = models.guess(task, training)
    found, guessed = models.scores(task, held, models.outputs(estimator, held.x)), models.scores(task, held, guess)
    say(f"held out: {models.words(found, guessed)}")
    about = {
        "version": __version__,
        "command": shlex.join(["anynet", *options.arguments]),
        "columns": list(training.x.columns),
        "rows": [len(training.y), len(held.y)],
        "guess": guess,
        "scores": found,
        "guess scores": guessed,
    }
    models.save(estimator, out, task, about)
    say(f"wrote {out}")
    if watch.interrupted:
        advice = "" if is_mlp else "; the same command with --resume continues"
        say(f"interrupted after {watch.epochs} epochs{advice}")
        return INTERRUPTED
    checkpoint.unlink(missing_ok=True)
    return 0


@contextmanager
def _only_progress() -> Iterator[None]:
    """Print the progress of `fit` to standard error, but not the place of an interruption, which is not the best epoch."""
    logger = logging.getLogger("anynet")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)


def _paths(options: argparse.Namespace) -> tuple[Path, Path]:
    """Return the file to write, and the checkpoint next to it."""
    name = "model" if options.data == "-" else Path(options.data.removesuffix(".gz")).stem
    out = Path(options.out or f"{name}.safetensors")
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise WrongArgument(f"expected --out to be a file in a writable folder, got {out}")
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    if options.resume and options.method == "mlp":
        raise WrongArgument("expected --method realmlp or tabm for --resume, got mlp")
    if options.resume and not checkpoint.is_file():
        raise WrongArgument(f"expected {checkpoint}, which an interrupted run writes, for --resume, got no such file")
    return out, checkpoint


def _data(options: argparse.Namespace) -> tuple[Task, Rows, Rows]:
    """Return the task, the rows to train on and those held out, and warn of columns that are probably mistakes."""
    fraction = _fraction(options)
    target, weight, group = options.target, options.weight, options.group
    table = tables.read_with_target(options.data, target)
    given = {"--weight": [weight], "--group": [group], "--ignore": options.ignore}
    given = {option: [name for name in names if name is not None] for option, names in given.items()}
    for option, names in given.items():
        tables.check_columns(table, options.data, option, names)
    classes, left_out = tables.find_classes(table[target], options.task), [target, *chain(*given.values())]
    task = Task(target, classes, weight, left_out, reading.text_columns(table))
    rows = task.rows(table)
    if not len(rows.x.columns):
        raise WrongArgument(f"expected columns to predict {target!r} from in {options.data}, got none")
    for notice in tables.notices(rows.x, table[target], task.classes is not None):
        warnings.warn(notice, stacklevel=2)
    if fraction is None:
        return task, rows, task.rows(tables.read_with_target(options.validation, target, text=task.text))
    groups = None if group is None else tables.groups(table[group])
    kept, held = tables.split(rows.y, task.classes is not None, groups, fraction, options.seed)
    return task, rows.take(kept), rows.take(held)


def _fraction(options: argparse.Namespace) -> float | None:
    """Return the fraction of the rows to hold out, or None for a table of its own."""
    try:
        fraction = float(options.validation)
    except ValueError:
        if options.group is not None:
            raise WrongArgument("expected --group or a table for --validation, got both") from None
        return None
    if not 0.0 < fraction < 1.0:
        raise WrongArgument(f"expected --validation to be a table or in (0, 1), got {options.validation}")
    return fraction


def _estimator(options: argparse.Namespace, task: Task, callbacks: list[Callback]) -> Any:
    """Return an estimator with the given settings and its own defaults."""
    name = METHODS[options.method] + ("Regressor" if task.classes is None else "Classifier")
    given = {"hidden": options.hidden, "epochs": options.epochs}
    if options.method == "mlp":
        given = {"hidden_layer_sizes": options.hidden, "max_iter": options.epochs, "early_stopping": True}
    return getattr(import_module("anynet.sklearn"), name)(
        **{name: value for name, value in given.items() if value is not None},
        random_state=options.seed,
        backend=options.backend,
        callbacks=callbacks,
        progress=sys.stderr.isatty() and not options.quiet,
    )


def _fit(estimator: Any, training: Rows, held: Rows, more: dict[str, Any]) -> None:
    """Train an estimator for tables, with the held-out rows to choose the best epoch."""
    estimator.fit(*training, validation_data=held if held.weight is not None else held[:2], **more)


def _fit_mlp(estimator: Any, training: Rows, held: Rows, classes: bool) -> None:
    """Train an estimator for matrices, on a preprocessed table and standardized numbers."""
    warnings.filterwarnings("ignore", ".*expected to converge")
    preprocessor = import_module("anynet.sklearn").TablePreprocessor().fit(training.x)
    mean, scale = (0, 1) if classes else (training.y.mean(), training.y.std() or 1.0)
    training, held = (
        rows._replace(x=preprocessor.transform(rows.x), y=rows.y if classes else (rows.y - mean) / scale)
        for rows in (training, held)
    )
    _fit(estimator, training, held, {})
    if not classes:
        estimator.coefs_ = [*estimator.coefs_[:-1], estimator.coefs_[-1] * scale]
        estimator.intercepts_ = [*estimator.intercepts_[:-1], estimator.intercepts_[-1] * scale + mean]
    estimator.preprocessor_ = preprocessor
