"""The communicator, its errors, and the hook that ends a job after an unhandled exception."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anynet.backends.base import Backend


class RankError(RuntimeError):
    """An error on another process, which ended the work of all."""


class Communicator:
    """A group of processes that train one model.

    To use another engine, subclass it, set the attributes and define `sum`, `gather` and `abort`. All processes must call `sum`
    and `gather` in the same order.

    Attributes
    ----------
    rank : int, in [0, size)
        Number of this process.
    size : int, in [1, inf)
        Number of processes.
    local_rank : int
        Number of this process among those on the same host, which selects its GPU.
    on_device : bool
        Whether `sum` takes arrays of the model's device; otherwise they are copied to the host.
    """

    rank = 0
    size = 1
    local_rank = 0
    on_device = False

    def attach(self, backend: Backend) -> None:
        """Prepare for arrays of a backend; raise ValueError if `sum` cannot take them."""

    def sum(self, array: Any) -> Any:
        """Return the sum of the arrays of all processes, with the same bits everywhere.

        The array is contiguous, of the same dtype and size everywhere, and may be overwritten: a NumPy array or, with
        `on_device`, also an array of the attached backend.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected sum(array) to be implemented, got none")

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, which can be pickled, in the order of ranks."""
        raise NotImplementedError(f"{type(self).__name__}: expected gather(value) to be implemented, got none")

    def abort(self) -> None:
        """End all processes at once, with an exit status other than 0."""
        raise NotImplementedError(f"{type(self).__name__}: expected abort() to be implemented, got none")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} rank {self.rank} of {self.size}>"


def same_everywhere(
    communicator: Communicator, where: str, values: dict[str, Any], error: type[Exception] = ValueError
) -> None:
    """Raise an error on every process unless these values are the same on all."""
    given = communicator.gather(values)
    for name in given[0]:
        found: dict[str, list[int]] = {}
        for rank, each in enumerate(given):
            found.setdefault(str(each.get(name)), []).append(rank)
        if len(found) > 1:
            texts = [f"{_short(value)} on {ranks_text(ranks)}" for value, ranks in found.items()]
            raise error(f"{where}: expected the same {name} on every process, got {' and '.join(texts)}")


def ranks_text(ranks: list[int]) -> str:
    """Return ranks as text, such as ``"rank 1"`` or ``"ranks 0, 2"``."""
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def end_all_after_exceptions(communicator: Communicator) -> None:
    """Make an unhandled exception of this process end all processes, after its traceback."""
    if communicator.size == 1:
        return
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        print(f"rank {communicator.rank} of {communicator.size}:", file=sys.stderr)
        before(kind, error, traceback)
        end_all(communicator, 1.0 if isinstance(error, RankError) else 0.1)  # the cause of a RankError comes first

    sys.excepthook = hook


def end_all(communicator: Communicator, seconds: float = 0.1) -> None:
    """End all processes, after a wait in which `mpiexec` reads what they have printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(seconds)
    communicator.abort()


def on_host(array: Any) -> np.ndarray:
    """Return a host array as a NumPy array that may be overwritten."""
    return array if array.flags.writeable else array.copy()
