"""Memory plans: which values share a block, and when the others are released."""

import weakref

import numpy as np
import pytest

from anynet.arrays.namespace import namespace
from anynet.backends.replay.executable import Executable
from anynet.backends.replay.memory import NODE_BYTES, SMALL_RESULT_BYTES, MemoryPlan
from anynet.backends.replay.trace import trace


def planned(function, *batch):
    """Return the graph and the plan of a function of a batch."""
    graph = trace(lambda carry, *arrays: (carry, function(*arrays)), np.zeros(1), batch)
    return graph, MemoryPlan(graph)


def test_a_chain_needs_one_block():
    _, plan = planned(lambda x: abs(-abs(-x)) + 1.0, np.ones(5))
    assert plan.blocks == [40] and len(plan.buffers) == 4  # the last result leaves the step


def test_values_needed_at_the_same_time_have_blocks_of_their_own():
    def function(x):
        a, b = x + 1.0, x + 2.0
        return namespace(x).sum(a * b)

    _, plan = planned(function, np.ones((5, 2)))
    blocks = [buffer.block for buffer in plan.buffers.values()]
    assert len(set(blocks[:2])) == 2 and plan.blocks == [80, 80]


@pytest.mark.parametrize("view", [lambda a: a[1:], lambda a: a.T, lambda a: a[::-1, :].T[1:, :]])
def test_a_block_is_not_free_as_long_as_a_view_of_its_value_is_needed(view):
    def function(x):
        part = view(x + 1.0)
        other = x + 2.0
        return namespace(x).sum(part) + namespace(x).sum(other)

    graph, plan = planned(function, np.ones((3, 3)))
    first, second = (value for value in plan.buffers if graph.root(value) == value)
    assert plan.buffers[first].block != plan.buffers[second].block


def test_products_do_not_share_blocks_with_other_operations():
    def function(x):
        return namespace(x).sum(-((-(x + 1.0)) @ x))

    _, plan = planned(function, np.ones((4, 4)))
    products = {2, 3, 4, 5}
    assert set(plan.buffers) == products
    blocks = [plan.buffers[value].block for value in (2, 3, 4, 5)]
    assert blocks[0] not in blocks[1:3] and blocks[3] not in blocks[1:3]


def test_large_results_without_a_buffer_are_released_after_their_last_use():
    def function(x):
        xp = namespace(x)
        wide = xp.tile(x, (2,))  # has no buffer
        return xp.sum(wide) + xp.sum(wide * wide)

    graph, plan = planned(function, np.ones(SMALL_RESULT_BYTES))
    wide = graph.nodes[0].output
    (product,) = (time for time, node in enumerate(plan.nodes) if node.inputs == (wide, wide))
    assert wide in plan.released[product]
    assert plan.nbytes >= 2 * 8 * SMALL_RESULT_BYTES + NODE_BYTES * len(plan.nodes)


def test_nothing_of_a_batch_outlives_a_step():
    x, unused = np.ones((4, 4)), np.ones(3)
    carry = [np.zeros(4)]
    graph = trace(lambda carry, x, _: (carry, namespace(x).sum(x[1:].T @ x[:3])), carry, (x, unused))
    executable = Executable(MemoryPlan(graph))
    leaves = list(carry)
    assert executable.bind(carry, leaves)
    executable.run(leaves, (x, unused))
    references = weakref.ref(x), weakref.ref(unused)
    del x, unused
    assert [reference() for reference in references] == [None, None]
