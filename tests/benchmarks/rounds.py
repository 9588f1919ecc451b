"""Take the samples: one process per contender, one running at a time, in an order that changes every round."""

import random
import time
from dataclasses import dataclass

from . import footprint
from .processes import Failed, Worker, run_whole
from .summary import Result, same_losses

REFERENCES = ("numpy/by-hand", "torch/eager:cuda")  # the losses of which are correct
OVER = "not started: the time of the run was spent"
UNITS = {"step": "µs", "fit": "µs", "predict": "ms"}
MNIST_QUANTITIES = {"whole": "s", "fit": "s", "memory": "MB", "accuracy": "%"}


@dataclass(frozen=True)
class Settings:
    """Length of the measurement.

    Parameters
    ----------
    rounds : int
        Samples per contender.
    seconds, warm : float
        Length of a round, and of the training before the first: a contender may compile after its first half second.
    pause : float
        Seconds between two contenders: the threads of a matrix product keep spinning for some 30 ms after it.
    processes : int
        Whole processes per contender, after one that is discarded.
    epochs : int
        Number of epochs of the MNIST run.
    budget : float, optional
        Seconds after which no further contender starts.
    """

    rounds: int = 15
    seconds: float = 0.5
    warm: float = 5.0
    pause: float = 0.1
    processes: int = 5
    epochs: int = 10
    budget: float | None = None

    @staticmethod
    def with_first(count):
        """Return the numbers of `count` processes, after a number 0 that is discarded: it fills the disk cache.

        A single process is a smoke test and has no number 0.
        """
        return range(0 if count > 1 else 1, count + 1)


def measure(case, contenders, settings, say, is_over=lambda: False):
    """Measure a case.

    Parameters
    ----------
    case : Case
    contenders : list of Contender
        Contenders that can run here.
    settings : Settings
    say : callable
        Called with progress messages.
    is_over : callable
        Return whether the time for the whole run is spent, so that no further contender starts.

    Returns
    -------
    list of Result
    """
    if case.kind == "size":
        return [footprint.sizes()]
    if case.kind == "import":
        return [footprint.imports(settings)]
    able = [c for c in contenders if case.kind in c.kinds and c.device == case.device]
    return (
        _whole_processes(case, able, settings, say, is_over)
        if case.kind == "mnist"
        else [_alternating(case, able, settings, say, is_over)]
    )


def _alternating(case, contenders, settings, say, is_over):
    result = Result(case.name, case.kind, UNITS[case.kind])
    workers, losses = {}, {}
    try:
        for contender in contenders:
            if is_over():
                result.drop(contender.name, OVER)
                continue
            worker = workers[contender.name] = Worker(contender, case, settings.seconds, settings.warm)
            try:
                losses[contender.name] = worker.start()
            except Failed as error:
                _fail(result, workers, contender.name, error, say)
        for number in range(settings.rounds):
            for name in _shuffled(workers, number):
                time.sleep(settings.pause)
                try:
                    result.add(name, workers[name].round())
                except Failed as error:
                    _fail(result, workers, name, error, say)
    finally:
        for worker in workers.values():
            worker.end()
    expected = next((losses[name] for name in REFERENCES if name in losses), None)
    for name in result.samples:
        if expected and not same_losses(losses[name], expected):
            result.notes[name] = f"computes something else: losses {losses[name]}, expected {expected}"
            say(f"  {name}: {result.notes[name]}")
    return result


def _whole_processes(case, contenders, settings, say, is_over):
    results = {
        quantity: Result(f"{case.name} {quantity}", case.kind, unit) for quantity, unit in MNIST_QUANTITIES.items()
    }
    running = {contender.name: contender for contender in contenders}
    for number in settings.with_first(settings.processes):
        for name in _shuffled(running, number):
            if is_over():
                for result in results.values():
                    if name not in result.samples:
                        result.drop(name, OVER)
                continue
            time.sleep(settings.pause)
            try:
                values, seconds = run_whole(running[name], "mnist", name, number, case.rows, settings.epochs)
            except Failed as error:
                for result in results.values():
                    result.drop(name, f"failed: {error}")
                say(f"  {name}: failed: {error}")
                del running[name]
                continue
            if number:
                values["accuracy"] *= 100.0
                for quantity, result in results.items():
                    result.add(name, seconds if quantity == "whole" else values[quantity])
    return list(results.values())


def _fail(result, workers, name, error, say):
    result.drop(name, f"failed: {error}")
    say(f"  {name}: failed: {error}")
    workers.pop(name).end()


def _shuffled(names, number):
    names = list(names)
    random.Random(number).shuffle(names)
    return names
