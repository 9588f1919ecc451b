"""The processes that train a model: this one alone, or several together.

`Model.fit` goes through the same stages in both cases. `Alone` does nothing between them; `Team` makes the processes agree.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import zip_longest
from typing import Any, TypeVar

import numpy as np

from anynet import backends, tree
from anynet.arrays.convert import to_numpy
from anynet.backends.base import Backend
from anynet.callbacks.base import Run
from anynet.config import ModelConfig
from anynet.data.batch import Batch, Portion
from anynet.data.plan import Plan
from anynet.data.sources import IterableSource, Portions, Source
from anynet.distributed import Communicator, device_of, get
from anynet.distributed.base import same_everywhere
from anynet.distributed.turns import Stopped as Stopped, together
from anynet.training.compiled import Compiled
from anynet.training.parallel import Parallel, Part, PartChunk, make_part
from anynet.training.state import StateOwner, TrainState

T = TypeVar("T")


def place_of(
    backend: str | Backend, device: str | None, distributed: str | Communicator | None
) -> tuple[Backend, Communicator | None]:
    """Return the backend and the communicator of these names."""
    if distributed is None:
        return backends.get(backend, device), None
    communicator = get(distributed)
    own = device_of(communicator, backend, device) if isinstance(backend, str) else device
    found = backends.get(backend, device) if own == device else backends.get(str(backend).partition(":")[0], own)
    communicator.attach(found)
    return found, communicator


class Alone:
    """One process."""

    rank = 0

    def compiled(self, config: ModelConfig, backend: Backend) -> Compiled:
        """Return the functions of training."""
        return Compiled(config, backend)

    def together(self) -> AbstractContextManager[None]:
        """Return a context that raises on every process if its body raises on any."""
        return nullcontext()

    def of_first(self, function: Callable[[], T]) -> T:
        """Return what a function returns on the process of rank 0, which alone calls it."""
        return function()

    def source(self, source: Source, compiled: Callable[[], Compiled], run: Run) -> Source:
        """Return the source of this process's batches; `compiled` returns the next step's functions.

        Raise ValueError on all processes if their settings differ.
        """
        return source

    def evaluated(self, source: Source, size: int, evaluate: Callable[[Batch], T]) -> Iterator[T]:
        """Yield the results of evaluating the pieces of a source, in order."""
        with closing(source.eval_batches(size)) as batches:
            for batch in batches:
                yield evaluate(batch)

    def end_epoch(self, run: Run, owner: StateOwner) -> None:
        """Agree on whether to stop, and check that all processes have the same state."""


class Team(Alone):
    """Several processes, all of which call the same methods in the same order."""

    def __init__(self, communicator: Communicator) -> None:
        self.rank, self._communicator = communicator.rank, communicator

    def compiled(self, config: ModelConfig, backend: Backend) -> Compiled:
        return Parallel(config, backend, self._communicator)

    def together(self) -> AbstractContextManager[None]:
        return together(self._communicator)

    def of_first(self, function: Callable[[], T]) -> T:
        value: Any = None
        with self.together():
            value = function() if self.rank == 0 else None
        found: T = self._communicator.gather(value)[0]
        return found

    def source(self, source: Source, compiled: Callable[[], Compiled], run: Run) -> Source:
        loss = run.model.config.required_loss
        counted = isinstance(source, IterableSource) or source.is_weighted or loss.weights_targets
        same_everywhere(self._communicator, "fit", settings(run) | {"sample_weight": counted})
        return SharedSource(source, self._communicator, compiled, run.model.config, counted=counted)

    def evaluated(self, source: Source, size: int, evaluate: Callable[[Batch], T]) -> Iterator[T]:
        communicator, own = self._communicator, []
        with self.together(), closing(source.eval_batches(size, self.rank, communicator.size)) as batches:
            own = [tree.map(to_numpy, evaluate(batch)) for batch in batches]
        for row in zip_longest(*communicator.gather(own)):
            yield from (result for result in row if result is not None)

    def end_epoch(self, run: Run, owner: StateOwner) -> None:
        run.stop = any(self._communicator.gather(run.stop))
        with owner.read() as state:
            same_everywhere(self._communicator, "fit", {"parameters": checksum(state)}, RuntimeError)


class SharedSource(Source):
    """A source of which each process takes a portion of every batch.

    Parameters
    ----------
    source : Source
    communicator : Communicator
    compiled : callable
        Function that returns the functions of the next step, since a callback may freeze layers.
    config : ModelConfig
    counted : bool
        Whether the number of examples of each process, and their weights, must be summed in each step. Otherwise they follow
        from the position in the epoch.
    """

    def __init__(
        self,
        source: Source,
        communicator: Communicator,
        compiled: Callable[[], Compiled],
        config: ModelConfig,
        *,
        counted: bool,
    ) -> None:
        self._source, self._compiled, self._dtype, self._is_counted = source, compiled, config.dtype, counted
        self._rank, self._ranks = communicator.rank, communicator.size
        self._terms = len(config.required_loss.term_weights)
        self._length = self._ranks + 1 + self._terms

    def batches(self, size: int | None) -> int | None:
        return self._source.batches(size)

    def chunks(self, plan: Plan, epoch: int, skip: int) -> Any:
        with closing(self._source.portions(plan, epoch, skip, self._rank, self._ranks)) as portions:
            while (part := self._counted(portions) if self._begins else self._known(portions)) is not None:
                yield PartChunk(part)

    def stop(self, interrupted: bool) -> bool:
        return self._functions.turns.stop(interrupted, self._length if self._begins else None)

    @property
    def _functions(self) -> Parallel:
        found = self._compiled()
        assert isinstance(found, Parallel)
        return found

    @property
    def _begins(self) -> bool:
        """Whether each step begins with a sum of numbers."""
        return self._is_counted or self._functions.nested

    def _known(self, portions: Portions) -> Part | None:
        """Return the next part of a source whose examples count 1 each, or None after the last batch."""
        try:
            portion = next(portions, None)
        except Exception as error:
            self._functions.turns.leave(error)
            raise
        if portion is None:
            self._functions.turns.leave()  # a process may have stopped at the last batch
            return None
        assert portion.whole is not None
        return make_part(portion, [float(portion.whole)] * (1 + self._terms), self._dtype)

    def _counted(self, portions: Portions) -> Part | None:
        """Return the next part of any source, or None when no process has examples."""
        found: list[Portion] = []

        def count() -> np.ndarray:
            numbers = np.zeros(self._length)
            portion = next(portions, None)
            if portion is not None:
                found.append(portion)
                numbers[self._rank] = len(portion.batch)
                numbers[self._ranks :] = self._functions.counts(portion.batch)
            return numbers

        numbers = self._functions.turns.numbers(count, self._length)
        rows = [int(number) for number in numbers[: self._ranks]]
        if not any(rows):
            return None
        portion = Portion(found[0].batch, sum(rows[: self._rank]), sum(rows))
        return make_part(portion, numbers[self._ranks :].tolist(), self._dtype)


def checksum(state: TrainState) -> str:
    """Return a CRC of the arrays of a state."""
    found = 0
    for _, array in sorted(tree.leaves_with_paths(state), key=lambda item: tree.name(item[0])):
        found = zlib.crc32(np.ascontiguousarray(to_numpy(array)).data, found)
    return f"CRC {found:08x}"


def settings(run: Run) -> dict[str, Any]:
    """Return the values that must be the same on all processes, by name."""
    config = run.model.config
    names = [field.name for field in dataclasses.fields(config)]
    return {
        **{name: re.sub(" at 0x[0-9a-f]+", "", repr(getattr(config, name))) for name in reversed(names)},
        "epochs": run.epochs,
        **run.settings,
        "validation": run.validated,
        "parameters": checksum(run.model.state),
    }
