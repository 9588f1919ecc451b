"""A setting of a paper, its runs, and the data of MNIST.

A hyperparameter that the paper does not give is a `Choice` among candidates, made once by a score on the validation images and
stored like any other result.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from anynet import load_mnist

from .results import Results, machine

Values = dict[str, Any]


class Part(NamedTuple):
    """Images (N, 784) of float32 in [0, 1] and their classes (N,)."""

    x: np.ndarray
    y: np.ndarray


class Mnist(NamedTuple):
    """MNIST in three parts: the first 50 000 training images, the other 10 000, and the test images."""

    training: Part
    validation: Part
    test: Part

    @property
    def all_training(self) -> Part:
        """All training images, to train with settled hyperparameters."""
        return Part(*map(np.concatenate, zip(self.training, self.validation, strict=True)))


@cache
def mnist(quick: bool = False) -> Mnist:
    """Return MNIST, for a quick run only its first images."""
    (x, y), (x_test, y_test) = load_mnist()
    end = len(x) - 10_000
    parts = (x[:end], y[:end]), (x[end:], y[end:]), (x_test, y_test)
    if quick:
        parts = tuple((x[:count], y[:count]) for (x, y), count in zip(parts, (240, 120, 120), strict=True))
    return Mnist(*(Part(x.astype("float32") / 255, y) for x, y in parts))


@dataclass(frozen=True)
class Choice:
    """A hyperparameter chosen on validation data, by the lowest score.

    Parameters
    ----------
    name : str
        Name in the results.
    candidates : sequence of float
        Values to try.
    score : callable
        ``score(run, candidate)``, for example the error on the validation images; not finite if training diverged.
    criterion : str
        Description of the score, for the page.
    """

    name: str
    candidates: Sequence[float]
    score: Callable[[Run, float], float]
    criterion: str


@dataclass(frozen=True)
class Run:
    """One run of a setting.

    A quick run takes a few images and one epoch, to verify that the code works, and stores nothing.
    """

    seed: int = 0
    quick: bool = False
    backend: str = "numpy"
    results: Results = field(default_factory=Results.in_memory)

    @property
    def data(self) -> Mnist:
        return mnist(self.quick)

    @property
    def model(self) -> dict[str, Any]:
        """Arguments of `Model` that depend on the run."""
        return {"seed": self.seed, "backend": self.backend, "dtype": "float32"}

    def count(self, number: int, quick: int = 1) -> int:
        """Return a number of epochs, steps or runs, or that of a quick run."""
        return quick if self.quick else number

    def chosen(self, choice: Choice) -> float:
        """Return the candidate with the lowest score, found with seed 0 the first time."""
        row = self.results.find(choice.name, 0)
        if row is None:
            first = dataclasses.replace(self, seed=0)
            row = measure(choice.name, first, lambda run: {"scores": scores(choice, run), "by": choice.criterion})
        found: Mapping[str, float] = row["scores"]
        return float(min(found, key=lambda candidate: found[candidate]))


def scores(choice: Choice, run: Run) -> dict[str, float]:
    """Return the score of each candidate, 1e9 if it is not finite."""
    found = {repr(candidate): float(choice.score(run, candidate)) for candidate in choice.candidates}
    return {name: score if np.isfinite(score) else 1e9 for name, score in found.items()}


def measure(name: str, run: Run, train: Callable[[Run], Values]) -> Values:
    """Run, store and return the values of one seed.

    The time of choices that the run makes is in their own rows.
    """
    start, cpu, before = time.perf_counter(), time.process_time(), len(run.results.rows)
    values = train(run)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    choices = run.results.rows[before:]
    row = {
        "setting": name,
        "seed": run.seed,
        **values,
        "seconds": round(seconds - sum(row["seconds"] for row in choices), 1),
        "cpu_seconds": round(cpu_seconds - sum(row["cpu_seconds"] for row in choices), 1),
        "machine": machine(run.backend),
        "date": date.today().isoformat(),
    }
    run.results.append(row)
    return row


@dataclass(frozen=True)
class Setting:
    """One row of the page.

    Parameters
    ----------
    name : str
        ``"module/setting"``, as on the command line and in the results.
    paper : str
        Authors and year.
    short : str
        The setting in a few words.
    text : str
        The setting, and everything in it that is not the paper's.
    theirs : str
        Their result.
    train : callable
        ``train(run)`` returns values; ``"value"`` is compared with `target`, the others are stored for tables and figures.
    target : float, optional
        Their result as a number in the unit of the value; None for a claim of direction, where a positive value confirms it.
    unit : str
        Unit of the value.
    better : "higher", "lower" or "near"
        Which values are better than the target.
    digits : int
        Number of decimals on the page.
    also : dict
        Descriptions of other values, by name.
    seeds : int
        Default number of seeds.
    full : bool
        Whether the setting is too slow for a CPU; it runs with ``--full`` only.
    """

    name: str
    paper: str
    short: str
    text: str
    theirs: str
    train: Callable[[Run], Values]
    target: float | None = None
    unit: str = "%"
    better: str = "higher"
    digits: int = 2
    also: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 5
    full: bool = False


def error_rate(model: Any, part: Part) -> float:
    """Return the percentage of misclassified images."""
    return 100.0 * float(np.mean(np.argmax(model.predict(part.x), axis=1) != part.y))


def one_hot(classes: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Return rows with `high` in the column of the class, `low` elsewhere."""
    return np.where(np.arange(10) == classes[:, None], high, low).astype("float32")
