"""Training on several processes equals that on one; here, the processes are threads."""

import numpy as np
import pytest

from anynet.backends.base import Backend
from tests.distributed.cases import CASES, TRACED, difference, outcome, train
from tests.distributed.tools import together

TOLERANCE = {"L-BFGS": 1e-9}


@pytest.fixture(scope="module")
def alone():
    """Return a function that trains a case on one process, once."""
    found = {}

    def get(name):
        if name not in found:
            found[name] = outcome(*train(name))
        return found[name]

    return get


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_equals_one_process(name, size, alone):
    group, results = together(size, lambda communicator: outcome(*train(name, distributed=communicator)))
    for result in results:
        assert isinstance(result, dict), result
        assert difference(result, alone(name)) <= TOLERANCE.get(name, 1e-12)
        assert all(np.array_equal(result[key], results[0][key]) for key in result)  # equal bits
    assert all(calls == group.calls[0] for calls in group.calls)


@pytest.mark.without("numpy", "jax", "cupy:1", "strict:device1")
@pytest.mark.parametrize("name", TRACED)
def test_equals_one_process_on_other_backends(name, backend: Backend, alone):
    if name == "several losses" and backend.name.startswith("strict"):
        pytest.skip("covered by the others")
    _, results = together(2, lambda communicator: outcome(*train(name, backend=backend, distributed=communicator)))
    for result in results:
        assert isinstance(result, dict), result
        assert difference(result, alone(name)) <= 1e-6


@pytest.mark.parametrize("name", ["dense", "dropout", "batch normalization"])
def test_equals_one_process_in_float32(name):
    expected = outcome(*train(name, dtype="float32"))
    _, results = together(2, lambda c: outcome(*train(name, dtype="float32", distributed=c)))
    for result in results:
        assert difference(result, expected) <= 2e-5
