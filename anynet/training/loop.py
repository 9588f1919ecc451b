"""The loop over epochs and batches: whom it tells, how it stops, and where it goes on.

Where a fit is, is known at each call of the backend: the epochs in its history, the batches of the present one, and the
sums over them. With the model's parameters, optimiser state, key and count of epochs, that is all there is to know, so a
checkpoint of it goes on as though nothing had happened.
"""

from __future__ import annotations

import logging
import math
import warnings
import weakref
from collections.abc import Callable, Sequence, Sized
from contextlib import ExitStack
from typing import Any

import numpy as np

from anynet.callbacks.base import Callback, Run
from anynet.checks import check_kind
from anynet.data.sources import Call, Plan, Source
from anynet.history import History
from anynet.training.interrupt import Interrupt
from anynet.training.running_metrics import StepLoss, Totals

Advance = Callable[[Call], list[Any]]
Score = Callable[[Source], dict[str, Any]]


def train(run: Run, source: Source, validation: Source | None, plan: Plan, advance: Advance, score: Score) -> None:
    """Take a model through its epochs with `advance`, its step over a few batches, and `score`, its evaluation."""
    model, begun = run.model, []
    model.backend.steps_ahead = (run.epochs - run.history.epochs) * (run.batches or 0)
    model._run = weakref.ref(run)
    try:
        with Interrupt() as interrupt:
            for callback in run.callbacks:
                callback.on_fit_begin(run)
                begun.append(callback)
            while run.history.epochs < run.epochs and not run.stop:
                run.epoch, run.batch, run.logs = run.history.epochs + 1, run.totals.batches, {}
                _tell(run.callbacks, "on_epoch_begin", run)
                _train_epoch(run, source, plan, advance, interrupt)
                if not run.interrupted:
                    _end_epoch(run, validation, score)
    finally:
        with ExitStack() as stack:  # everyone is told, whoever raises
            for callback in reversed(begun):
                stack.callback(callback.on_fit_end, run)
        model._run = None
    if run.interrupted:
        _keep_interrupted(run)


def _tell(callbacks: Sequence[Callback], hook: str, run: Run) -> None:
    for callback in callbacks:
        getattr(callback, hook)(run)


def _train_epoch(run: Run, source: Source, plan: Plan, advance: Advance, interrupt: Interrupt) -> None:
    for call in source.calls(plan, run.model.epoch, run.totals.batches):
        with np.errstate(over="ignore", invalid="ignore"):  # said once, and clearly, by `_warn_if_diverged`
            outs = advance(call)
        for i, (loss, weight, sums) in enumerate(outs):
            examples = min(call.size, call.stop - call.start - i * call.size)
            run.totals.add([(loss, float(examples) if weight is None else weight), *sums])
        run.batch, run.loss, run.call = run.totals.batches, outs[-1][0], call
        _tell(run.callbacks, "on_batch_end", run)
        if interrupt.requested:
            run.interrupted = run.stop = True
        if run.stop:
            break


def _end_epoch(run: Run, validation: Source | None, score: Score) -> None:
    run.logs = run.totals.values()
    if validation is not None:
        run.logs |= {f"val_{name}": value for name, value in score(validation).items()}
    run.history.append(run.logs)
    run.model.epoch += 1
    run.batches = run.batch
    run.totals = Totals(run.model.backend, run.totals.metrics)
    _tell(run.callbacks, "on_epoch_end", run)
    _warn_if_diverged(run)


def _keep_interrupted(run: Run) -> None:
    """Record the values of an epoch that Ctrl-C cut short."""
    if run.totals.batches:
        run.history.append(run.totals.values())
        run.model.epoch += 1
    logging.getLogger("anynet").warning(
        "fit: interrupted in epoch %d after %d batches; the model and its history are as of there", run.epoch, run.batch
    )


def _warn_if_diverged(run: Run) -> None:
    """Say once what to do about a loss that is not finite any more."""
    losses = run.history["loss"]
    if not math.isfinite(losses[-1]) and all(map(math.isfinite, losses[:-1])):
        warnings.warn(
            f"fit: expected a finite loss, got {losses[-1]} in epoch {run.epoch}; the parameters are of no use any more: "
            "make the model anew with a lower learning rate, or bring x to a size of about 1",
            RuntimeWarning,
            stacklevel=5,
        )


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list, or raise TypeError if they are something else."""
    if not isinstance(callbacks, Sequence):
        raise TypeError(f"fit: expected callbacks to be a list, got {callbacks!r}; write [...] around it")
    for callback in callbacks:
        check_kind("fit", "every callback", callback, Callback, "ProgressBar()")
    return list(callbacks)


def make_run(model: Any, source: Source, validation: Source | None, plan: Plan, callbacks: Sequence[Callback]) -> Run:
    """Return a run that has not begun."""
    settings = {"batch_size": plan.batch_size, "validation_split": plan.validation_split, "shuffle": bool(plan.shuffle)}
    if isinstance(source, Sized):
        settings["examples"] = len(source)
    return Run(
        model=model,
        epochs=plan.epochs,
        batches=source.batches(plan.batch_size),
        history=History(),
        totals=make_totals(model),
        validated=validation is not None,
        callbacks=tuple(sorted(callbacks, key=lambda callback: callback.last)),
        settings=settings,
    )


def make_totals(model: Any) -> Totals:
    """Return the empty sums of a training epoch."""
    return Totals(model.backend, {"loss": StepLoss(), **{metric.name: metric for metric in model.metrics}})
