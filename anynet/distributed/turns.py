"""The protocol of training steps on several processes.

In each turn, every process contributes to the same sums. Each sum ends in three flags: an error, the end of training, and
Ctrl-C. A process that has an error or stops contributes zeros and its flag instead of its part; the others discard their
step. So all processes raise or stop at the same batch, and none waits for one that has left.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from anynet.arrays.namespace import Array
from anynet.backends.base import Backend
from anynet.distributed.base import Communicator, RankError, end_all, on_host, same_everywhere

FLAGS = 3
"""Number of flags at the end of each sum."""


class Stopped(Exception):
    """The end of training on another process, before the current step."""

    def __init__(self, interrupted: bool) -> None:
        super().__init__(interrupted)
        self.interrupted = interrupted


def raise_together(communicator: Communicator, error: Exception | None) -> None:
    """Raise on every process if any has an error: its own, or else `RankError`."""
    texts = communicator.gather(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    for rank, text in enumerate(texts):
        if text is not None:
            raise RankError(f"fit: expected every process to continue, got an error on rank {rank}: {text}")


@contextmanager
def together(communicator: Communicator) -> Iterator[None]:
    """Raise on every process if the body raises on any."""
    try:
        yield
    except Exception as error:
        raise_together(communicator, error)
    else:
        raise_together(communicator, None)


class Turns:
    """The sums of the steps of one function.

    Parameters
    ----------
    communicator : Communicator
    backend : Backend
        Backend of the arrays.
    dtype : str
        Their dtype.
    nested : bool
        Whether layers compute sums too. An error inside them ends all processes, since the others wait in a layer.
    """

    def __init__(self, communicator: Communicator, backend: Backend, dtype: str, *, nested: bool = False) -> None:
        self.communicator = communicator
        self._backend, self._dtype, self._nested = backend, dtype, nested
        self._length: int | None = None

    def numbers(self, make: Callable[[], np.ndarray], length: int) -> np.ndarray:
        """Return the sum of `length` numbers that `make` returns on each process."""
        values, error = np.zeros(length + FLAGS), None
        try:
            values[:length] = make()
        except Exception as raised:
            error = raised
        return self._summed(values, error)[:length]

    def arrays(self, make: Callable[[], Array]) -> Array:
        """Return the sum of the vectors of `make`, which end in `FLAGS` zeros."""
        vector, error = None, None
        try:
            vector = make()
        except Exception as raised:
            error = raised
            if self._nested:
                self._end_all(raised)
        return self._turn(vector, error)

    def leave(self, error: Exception | None = None) -> None:
        """Take part in `arrays` of the other processes, with nothing but an error."""
        self._turn(None, error)

    def stop(self, interrupted: bool, length: int | None = None) -> bool:
        """End training on all processes; return whether any was interrupted.

        The others are in `numbers` of a length, or for None in `arrays`.
        """
        flags = np.array([0.0, 1.0, interrupted])
        try:
            if length is None:
                self._turn(None, None, flags)
            else:
                self._summed(np.concatenate([np.zeros(length), flags]), None)
        except Stopped as stopped:
            return stopped.interrupted
        raise AssertionError("a flag of this process is in the sum")

    def _agree(self, vector: Array | None, error: Exception | None, flags: np.ndarray) -> None:
        """Agree on the length of the vectors, before the first sum."""
        flags[0] = error is not None
        self._obey(np.sum(self.communicator.gather(flags), axis=0), error)
        length = None if vector is None else int(vector.shape[0])
        same_everywhere(self.communicator, "fit", {"number of parameters and metrics": length})
        self._length = length

    def _turn(self, vector: Array | None, error: Exception | None, flags: np.ndarray | None = None) -> Any:
        flags = np.zeros(FLAGS) if flags is None else flags
        if self._length is None:
            self._agree(vector, error, flags)
        if self._length is None:  # no process has a vector
            return None
        if self.communicator.on_device:  # the flags pass through the host, which does not wait for the device
            self._summed(flags, error)
            return vector if vector is None else self.communicator.sum(vector)
        host = np.zeros(self._length, self._dtype) if vector is None else on_host(self._backend.to_numpy(vector))
        host[-FLAGS:] = flags
        return self._backend.asarray(self._summed(host, error))

    def _summed(self, values: np.ndarray, error: Exception | None) -> np.ndarray:
        """Return the sum of host vectors; raise what their flags demand."""
        if error is not None:
            values[:] = 0.0
            values[-FLAGS] = 1.0
        total: np.ndarray = self.communicator.sum(values)
        self._obey(total[-FLAGS:], error)
        return total

    def _obey(self, flags: np.ndarray, error: Exception | None) -> None:
        """Raise what the flags of all processes demand."""
        errors, stops, interrupts = flags
        if errors:
            raise_together(self.communicator, error)
        if stops:
            raise Stopped(bool(interrupts))

    def _end_all(self, error: Exception) -> None:
        print(f"rank {self.communicator.rank} of {self.communicator.size}:", flush=True)
        traceback.print_exception(error)
        end_all(self.communicator)


def total_of(communicator: Communicator, backend: Backend) -> Callable[[Array], Array]:
    """Return a function that sums an array of a backend over the processes."""

    def total(array: Array) -> Array:
        if communicator.on_device:
            return communicator.sum(array)
        return backend.asarray(communicator.sum(on_host(backend.to_numpy(array))))

    return total
