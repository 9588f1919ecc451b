"""The loop over epochs and chunks of batches, with its hooks.

The position of a fit between two calls of the backend is the epochs in its history, the batches done in the current epoch and
the running metrics over them. Together with the model's state and its count of epochs this is everything that a checkpoint
needs for training to continue with identical results.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Sequence, Sized
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet.callbacks.base import Callback, Run
from anynet.checks import check_kind
from anynet.data.batch import Chunk
from anynet.data.plan import Plan
from anynet.data.sources import Source
from anynet.distributed.turns import Stopped
from anynet.history import History
from anynet.training.compiled import Compiled
from anynet.training.interrupt import Interrupt
from anynet.training.running_metrics import RunningMetrics, StepLoss

if TYPE_CHECKING:
    from anynet.model import Model

Advance = Callable[[Chunk], list[Any]]
Evaluate = Callable[[Source], dict[str, Any]]


def train(
    run: Run,
    source: Source,
    validation: Source | None,
    plan: Plan,
    advance: Advance,
    evaluate: Evaluate,
    after_epoch: Callable[[Run], None],
) -> None:
    """Run the epochs of a fit: `advance` trains on a chunk, `evaluate` scores a source."""
    begun: list[Callback] = []
    try:
        with Interrupt() as interrupt:
            for callback in run.callbacks:
                callback.on_fit_begin(run)
                begun.append(callback)
            while run.history.epochs < run.epochs and not run.stop:
                run.epoch, run.batch, run.logs = run.history.epochs + 1, run.metrics.batches, {}
                _run_hooks(run.callbacks, "on_epoch_begin", run)
                _train_epoch(run, source, plan, advance, interrupt)
                if not run.interrupted:
                    _end_epoch(run, validation, evaluate)
                    after_epoch(run)
    finally:
        with ExitStack() as stack:  # run every on_fit_end, even if one raises
            for callback in reversed(begun):
                stack.callback(callback.on_fit_end, run)
    if run.interrupted:
        _keep_interrupted(run)


def _run_hooks(callbacks: Sequence[Callback], hook: str, run: Run) -> None:
    for callback in callbacks:
        getattr(callback, hook)(run)


def _train_epoch(run: Run, source: Source, plan: Plan, advance: Advance, interrupt: Interrupt) -> None:
    try:
        with closing(source.chunks(plan, run.model.epoch, run.metrics.batches)) as chunks:
            for chunk in chunks:
                _train_chunk(run, chunk, advance)
                if interrupt.requested:
                    run.interrupted = run.stop = True
                if run.stop:
                    run.interrupted = source.stop(run.interrupted)
                    break
    except Stopped as stopped:  # by another process, after the last batch
        run.stop, run.interrupted = True, stopped.interrupted


def _train_chunk(run: Run, chunk: Chunk, advance: Advance) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # `_warn_if_diverged` reports it once
        outs = advance(chunk)
    for i, (loss, weight, sums) in enumerate(outs):
        examples = float(chunk.examples(i)) if weight is None else weight
        run.metrics.add([(loss, examples), *sums])
    run.batch, run.loss, run.chunk = run.metrics.batches, outs[-1][0], chunk
    _run_hooks(run.callbacks, "on_batch_end", run)


def _end_epoch(run: Run, validation: Source | None, evaluate: Evaluate) -> None:
    run.logs = run.metrics.values()
    if validation is not None:
        run.logs |= {f"val_{name}": value for name, value in evaluate(validation).items()}
    run.history.append(run.logs)
    run.model.epoch += 1
    run.batches = run.batch
    run.metrics = RunningMetrics(run.model.backend, run.metrics.metrics)
    _run_hooks(run.callbacks, "on_epoch_end", run)
    _warn_if_diverged(run)


def _keep_interrupted(run: Run) -> None:
    """Record the values of an epoch that Ctrl-C cut short."""
    if run.metrics.batches:
        run.history.append(run.metrics.values())
        run.model.epoch += 1
    if not run.writes:
        return
    logging.getLogger("anynet").warning(
        "fit: interrupted in epoch %d after %d batches; the model and its history correspond to that batch",
        run.epoch,
        run.batch,
    )


def _warn_if_diverged(run: Run) -> None:
    """Warn in the first epoch whose loss is not finite."""
    losses = run.history["loss"]
    if run.writes and not math.isfinite(losses[-1]) and all(map(math.isfinite, losses[:-1])):
        warnings.warn(
            f"fit: expected a finite loss, got {losses[-1]} in epoch {run.epoch}; the parameters have diverged: "
            "create a new model with a lower learning rate, or scale x to a size of about 1",
            RuntimeWarning,
            stacklevel=6,
        )


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list, or raise TypeError if they are something else."""
    if not isinstance(callbacks, Sequence):
        one = isinstance(callbacks, Callback)
        got = f"a {type(callbacks).__name__}; write [...] around it" if one else repr(callbacks)
        raise TypeError(f"fit: expected callbacks to be a list, got {got}")
    for callback in callbacks:
        check_kind("fit", "every callback", callback, Callback, "ProgressBar()")
    return list(callbacks)


def make_run(
    model: Model,
    source: Source,
    validation: Source | None,
    plan: Plan,
    callbacks: Sequence[Callback],
    compiled: Compiled,
    *,
    writes: bool,
) -> Run:
    """Return the run of a fit before its first epoch; `compiled` are its functions."""
    settings = {"batch_size": plan.batch_size, "validation_split": plan.validation_split, "shuffle": bool(plan.shuffle)}
    if isinstance(source, Sized):
        settings["examples"] = len(source)
    return Run(
        model=model,
        epochs=plan.epochs,
        batches=source.batches(plan.batch_size),
        history=History(),
        metrics=RunningMetrics(model.backend, {"loss": StepLoss(), **{m.name: m for m in model.metrics}}),
        repeat_steps=compiled.repeat_steps,
        writes=writes,
        validated=validation is not None,
        callbacks=tuple(sorted(callbacks, key=lambda callback: callback.last)),
        settings=settings,
    )
