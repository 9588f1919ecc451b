"""Record chunks of training steps in CUDA graphs, and launch each chunk as one.

The host takes longer to launch the operations of a step of a small network than the GPU takes to compute them. The steps of a
chunk are therefore recorded once, on a stream and in memory of their own. A graph repeats the same operations at the same
addresses, so all that changes between chunks enters and leaves it through a table of addresses on the device:

* `order`, the position of the first batch in it, and the arrays of the data, from which the graph gathers its batches,
* the arrays of the carry, which it copies first, and overwrites with the new carry at the end,
* new arrays for the output of each step.

The first chunk of a kind runs plainly, which compiles its kernels. The next `VERIFY_CHUNKS` run both ways, on copies, and must
agree in every bit. A chunk that cannot be recorded, because a step waits for the device or uploads an array, or that differs,
needs too much memory or fails, runs plainly from then on, and the reason is reported. Only steps without hidden state, as
`anynet.backends.replay.replayable` decides, are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cupy
import numpy as np

from anynet import tree
from anynet.arrays import fallbacks
from anynet.backends.cupy_recording import Recording, RefusedError, copy_arrays

VERIFY_CHUNKS = 2
"""Number of chunks in which a graph must give the results of plain steps."""
MAX_GRAPHS = 4
"""Number of kinds of chunks that are recorded."""
MAX_GRAPH_BYTES = 2**30
"""Upper bound of the memory of all graphs of a loop. Steps that need more keep a GPU busy for longer than their launches take."""
Loop = Callable[..., tuple[Any, list[Any]]]


class GraphLoop:
    """A loop as `Backend.loop` returns it, which runs chunks of several equal batches as graphs.

    Parameters
    ----------
    step : callable
        ``step(carry, *batch) -> carry, out``.
    plain : callable
        The loop that takes its steps one by one.
    report : callable
        ``report(reason)`` if a kind of chunks runs plainly, and ``report("", launches, steps)`` if it runs as graphs.
    """

    def __init__(self, step: Callable[..., tuple[Any, Any]], plain: Loop, report: Callable[..., None]) -> None:
        self._step, self._plain, self._report = step, plain, report
        self._chunks: dict[Any, int] = {}
        """Number of chunks that have run, by kind."""
        self._graphs: dict[Any, Recording | None] = {}
        """Graphs by kind; None for kinds that run plainly."""

    def __call__(
        self, carry: Any, data: Sequence[Any], order: Any, start: int, stop: int, size: int
    ) -> tuple[Any, list[Any]]:
        steps = (stop - start) // size
        end = start + steps * size
        if steps < 2:
            return self._plain(carry, data, order, start, stop, size)
        carry, outs = self._run(carry, data, order, start, end, size)
        if end < stop:
            carry, last = self._plain(carry, data, order, end, stop, size)
            outs += last
        return carry, outs

    def _run(
        self, carry: Any, data: Sequence[Any], order: Any, start: int, stop: int, size: int
    ) -> tuple[Any, list[Any]]:
        kind = _kind(carry, data, order, (stop - start) // size, size)
        done = self._chunks[kind] = self._chunks.get(kind, 0) + 1
        graph, chunk = self._graphs.get(kind), (data, order, start)
        if done == 1 or (done > 2 and graph is None):
            return self._plain(carry, data, order, start, stop, size)
        if graph is not None and done > 1 + VERIFY_CHUNKS:
            try:
                return graph.run(carry, *chunk)
            except Exception as error:  # the launch failed, so nothing has changed
                self._refuse(kind, error)
                return self._plain(carry, data, order, start, stop, size)
        copied = copy_arrays(carry)
        expected = self._plain(carry, data, order, start, stop, size)
        try:
            if graph is None:
                _check_addresses(copied, data, order)
                graph = self._graphs[kind] = self._record(copied, *chunk, size, expected[1])
            if not _identical(graph.run(copied, *chunk), expected):
                raise RefusedError("its results differ from those of plain steps in some bit")
        except Exception as error:  # CuPy, CUDA and cuBLAS have their own errors, and a step may raise anything
            self._refuse(kind, error)
        else:
            if done == 1 + VERIFY_CHUNKS:
                self._report("", graph.launches, graph.steps)
        return expected

    def _record(
        self, carry: Any, data: Sequence[Any], order: Any, start: int, size: int, outs: Sequence[Any]
    ) -> Recording:
        graphs = [graph for graph in self._graphs.values() if graph is not None]
        room = MAX_GRAPH_BYTES - sum(graph.nbytes for graph in graphs)
        if len(graphs) == MAX_GRAPHS:
            raise RefusedError(f"there are already {MAX_GRAPHS} graphs, for other batch sizes or numbers of steps")
        return Recording(self._step, carry, data, order, start, size, outs, room)

    def _refuse(self, kind: Any, error: Exception) -> None:
        self._graphs[kind] = None
        text = fallbacks.first_line(error)
        self._report(text if isinstance(error, RefusedError) else f"{type(error).__name__}: {text}")


def _kind(carry: Any, data: Sequence[Any], order: Any, steps: int, size: int) -> tuple[Any, ...]:
    """Return what chunks that run as one graph have in common."""
    carried = tuple([(path, *_layout(leaf)[:2]) for path, leaf in tree.leaves_with_paths(carry)])
    batch = tree.map_arrays(lambda a: (*_layout(a)[1:], a.shape[1:]), tuple(data))
    # A graph has memory of its own, which launches on two streams could use at the same time.
    stream = cupy.cuda.get_current_stream().ptr
    return steps, size, stream, None if order is None else _layout(order)[1:], batch, carried


def _layout(array: Any) -> tuple[Any, ...]:
    """Return shape, dtype and contiguity of an array on the device; for other values, their type."""
    if not isinstance(array, cupy.ndarray):
        return type(array), None, None
    return array.shape, array.dtype, array.flags.c_contiguous


def _check_addresses(carry: Any, data: Sequence[Any], order: Any) -> None:
    """Raise `RefusedError` unless a kernel can find each element of the arrays from an address."""
    arrays = [*tree.leaves(tuple(data)), *([] if order is None else [order])]
    if not all(isinstance(a, cupy.ndarray) for a in (*arrays, *tree.leaves(carry))):
        raise RefusedError("the carry or the data contain something else than arrays on the device")
    if not all(a.flags.c_contiguous for a in arrays) or (order is not None and order.dtype != np.int64):
        raise RefusedError("the data or their order are not stored contiguously, or the order not as int64")


def _identical(a: Any, b: Any) -> bool:
    """Return whether two trees of arrays are equal bit for bit."""
    first, second = (list(_contents(values)) for values in (a, b))
    return [each[:-1] for each in first] == [each[:-1] for each in second] and all(
        bool((x[-1] == y[-1]).all()) for x, y in zip(first, second, strict=True)
    )


def _contents(values: tree.Tree) -> Iterator[tuple[Any, ...]]:
    for path, leaf in tree.leaves_with_paths(values):
        array = cupy.asarray(leaf)
        yield path, type(leaf), array.shape, array.dtype, cupy.ascontiguousarray(array).reshape(-1).view("uint8")
