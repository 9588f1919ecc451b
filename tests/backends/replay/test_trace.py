"""Graphs of traced functions, and what ends a trace."""

import operator

import numpy as np
import pytest

from anynet.arrays.namespace import namespace
from anynet.arrays.scatter import scatter_add
from anynet.backends.replay.graph import spec_of
from anynet.backends.replay.operations import TRACEABLE_FUNCTIONS
from anynet.backends.replay.trace import NAMESPACE, UntraceableError, trace


def test_a_graph_has_the_operations_in_order_and_what_leaves_the_step():
    def step(carry, x, weight):
        assert weight is None
        total = namespace(x).sum(x @ carry["weight"], axis=0)
        count = carry["count"] + 1
        carry["weight"] += 0.5
        return {"weight": carry["weight"], "count": count}, [total, count]

    carry = {"weight": np.zeros((3, 2)), "count": np.int32(0)}
    graph = trace(step, carry, (np.ones((4, 3)), None))
    weight, count, x, _, product, total, new_count = range(7)
    assert [(node.inputs, node.output) for node in graph.nodes] == [
        ((x, weight), product),
        ((product,), total),
        ((count, None), new_count),
        ((weight, None, weight), None),
    ]
    assert graph.nodes[0].function is operator.matmul and graph.nodes[2].args == (None, 1)
    assert graph.new_carry == {"weight": weight, "count": new_count} and graph.out == [total, new_count]
    assert graph.in_place == [True, False] and graph.rebound == [(count, new_count)] and graph.is_steady
    assert graph.specs[product] == spec_of(np.zeros((4, 2)))


def test_views_lead_to_the_array_that_owns_the_memory():
    graph = trace(
        lambda carry, x: (carry, namespace(x).reshape(x[1:].T, (-1,)) + x[0, 0]), np.zeros(1), (np.ones((3, 2)),)
    )
    _, batch, rest, transposed, flat, number, _ = range(7)
    assert graph.root(transposed) == batch and graph.views[transposed] == rest
    assert flat not in graph.views and number not in graph.views  # a copy, and a scalar


def test_a_carry_whose_layout_changes_is_not_steady():
    def step(carry, x):
        return carry.T + x, None

    assert not trace(step, np.zeros((3, 3)), (np.zeros((3, 3), order="F"),)).is_steady
    assert trace(step, np.zeros((3, 3)), (np.zeros((3, 3)),)).is_steady


def test_the_allowed_functions_exist():
    assert all(callable(getattr(NAMESPACE, name)) for name in TRACEABLE_FUNCTIONS)


def test_scatter_add_is_one_operation():
    index, values = np.asarray([1, 1, 0]), np.arange(6.0).reshape(3, 2)
    graph = trace(lambda carry, i, v: (carry, scatter_add(i, v, 4)), np.zeros(1), (index, values))
    (node,) = graph.nodes
    np.testing.assert_array_equal(node.function(index, values, 4), scatter_add(index, values, 4))


@pytest.mark.parametrize(
    "function",
    [
        bool,
        float,
        int,
        list,
        lambda x: x.sum(),
        lambda x: np.exp(x),
        lambda x: x[x > 0],
        lambda x: x[[0, 1]],
        lambda x: x[True],
        lambda x: x[: x[0, 0]],
        lambda x: namespace(x).nonzero(x),
        lambda x: namespace(x).unique_all(x),
        lambda x: namespace(x).repeat(x, 2),
        lambda x: namespace(x).unstack(x),
        lambda x: namespace(x).where(x > 0),
        lambda x: namespace(x).maximum(x, x, out=x),
        lambda x: namespace(x).maximum(np.zeros((3, 2)), x2=x),
        lambda x: operator.setitem(x, 0, 1.0),
        lambda x: operator.iadd(x, 1.0),
        lambda x: operator.iadd(x[0], 1.0),
    ],
)
def test_a_trace_ends(function):
    x = np.arange(6.0).reshape(3, 2)
    with pytest.raises((UntraceableError, TypeError)):
        trace(lambda carry, x: (carry, function(x)), np.zeros(1), (x,))
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(3, 2))


def test_a_refusal_that_is_caught_still_ends_the_trace():
    def step(carry, x):
        try:
            return carry, float(x)
        except UntraceableError:
            return carry, x

    with pytest.raises(UntraceableError, match="a value on the host"):
        trace(step, np.zeros(1), (np.ones(()),))
