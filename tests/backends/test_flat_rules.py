"""Update rules over all small parameters at once, on PyTorch.

They give the numbers of one parameter at a time, in fewer operations.
"""

from collections import Counter

import numpy as np
import pytest

from anynet import SGD, Adam, Dense, Model, ReLU, SoftmaxCrossEntropy
from anynet.backends import flat_rules
from anynet.backends.base import run_whole
from anynet.backends.torch import TorchBackend
from tests.optimizers.cases import ELEMENTWISE, OPTIMIZERS
from tests.tools import assert_same, fetch

torch = pytest.importorskip("torch", reason="needs torch")
RULES = {optimizer.rule: (optimizer, len(optimizer.slots)) for optimizer, _ in ELEMENTWISE}
SHAPES = [(3, 4), (4,), (), (4, 2), (0,), (2,)]


def groups(slots, dtype, shapes=SHAPES):
    rng = np.random.default_rng(0)
    return [
        tuple(torch.asarray(np.abs(rng.normal(size=shape)).astype(dtype)) for _ in range(2 + slots)) for shape in shapes
    ]


def bits(rows):
    return [[array.numpy().tobytes() for array in row] for row in rows]


@pytest.mark.parametrize("limit", [2**20, 7, 0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_numbers_of_one_parameter_at_a_time(rule, dtype, limit, monkeypatch):
    monkeypatch.setattr(flat_rules, "MAX_NUMBERS", limit)
    optimizer, slots = RULES[rule]
    coefficients = optimizer.coefficients(torch.tensor(3.0, dtype=getattr(torch, dtype)))
    flat, whole = flat_rules.run_flat(torch, rule), run_whole(rule)
    one, other = groups(slots, dtype), groups(slots, dtype)
    for _ in range(3):
        gradients = [group[1] for group in groups(slots, dtype)]
        one = [(p, g, *rest) for (p, *rest), g in zip(flat(one, coefficients), gradients, strict=True)]
        other = [(p, g, *rest) for (p, *rest), g in zip(whole(other, coefficients), gradients, strict=True)]
        assert bits(one) == bits(other)
        assert [p.shape for p, *_ in one] == [p.shape for p, *_ in other]


def test_gradients_are_not_changed():
    rows = groups(2, "float32")
    before = bits([(g,) for _, g, *_ in rows])
    flat_rules.run_flat(torch, Adam().rule)(rows, Adam().coefficients(torch.tensor(3.0)))
    assert bits([(g,) for _, g, *_ in rows]) == before


def test_parameters_of_several_dtypes_and_layouts():
    rows = groups(0, "float32", [(3,), (2, 3)])
    mixed = [*rows, *groups(0, "float64", [(2,)]), tuple(array.T for array in rows[1])]
    new = flat_rules.run_flat(torch, lambda p, g, rate: (p - rate * g,))(mixed, (0.5,))
    for (p,), (old, g) in zip(new, mixed, strict=True):
        assert p.dtype == old.dtype and torch.equal(p, old - 0.5 * g)


def test_parts_in_another_order_are_not_taken_for_the_array():
    base = torch.arange(6.0)
    first, second = base[:3], base[3:]
    assert flat_rules._flat(torch, [first, second]) is base
    for parts in ([second, first], [first], [first, first], [first, second[:2]], [base[:4:2], base[2:]]):
        flat = flat_rules._flat(torch, parts)
        assert flat is not base and torch.equal(flat, torch.cat(parts))


class FlatOnCpu(TorchBackend):
    """Runs rules on the CPU as on a GPU."""

    replayable = True

    def elementwise(self, rule):
        return flat_rules.run_flat(torch, rule)


class WholeOnCpu(TorchBackend):
    def elementwise(self, rule):
        return run_whole(rule)


@pytest.mark.parametrize("optimizer", [row[0] for row in OPTIMIZERS], ids=lambda o: repr(o)[:60])
def test_training(optimizer):
    """With parameters that are read, frozen and scaled in between."""
    x, y = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32), np.arange(12) % 3
    results = []
    for backend in (FlatOnCpu(), WholeOnCpu()):
        layers = [Dense(4), ReLU(), Dense(4), Dense(3)]
        model = Model(layers, input_shape=5, loss=SoftmaxCrossEntropy(), optimizer=optimizer, backend=backend)
        for step in range(6):
            if step == 2:
                held = model.params
                before = fetch(backend, held)
            if step == 4 and type(optimizer) is Adam:
                model.learning_rate_factor = 0.5
            model.train_step(x, y)
        assert_same(fetch(backend, held), before)
        results.append(fetch(backend, list(model.state)))
    assert_same(*results)


def test_freezing_a_layer():
    x, y = np.ones((3, 5), np.float32), np.arange(3)
    results = []
    for backend in (FlatOnCpu(), WholeOnCpu()):
        model = Model(
            [Dense(4), ReLU(), Dense(3)], input_shape=5, loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend
        )
        model.train_step(x, y)
        model.freeze(0)
        model.train_step(x, y)
        model.unfreeze(0)
        model.train_step(x, y)
        results.append(fetch(backend, list(model.state)))
    assert_same(*results)


def operations(optimizer):
    """Return the number of operations of a step on a device, without views and allocations."""
    from torch.utils._python_dispatch import TorchDispatchMode

    views = {
        "t",
        "permute",
        "as_strided",
        "lift_fresh",
        "transpose",
        "view",
        "_unsafe_view",
        "alias",
        "detach",
        "unsqueeze",
        "squeeze",
        "expand",
        "select",
        "slice",
        "split",
    }

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function.name().partition("::")[2].partition(".")[0]
            counts[name] += name not in views and not name.startswith("empty")
            return function(*args, **(kwargs or {}))

    counts = Counter()
    layers = [Dense(128), ReLU(), Dense(10)]
    model = Model(layers, input_shape=784, loss=SoftmaxCrossEntropy(), optimizer=optimizer, backend="torch:meta")
    x, y = torch.zeros((64, 784), device="meta"), torch.zeros(64, dtype=torch.int64, device="meta")
    for _ in range(2):
        model.train_step(x, y)
    with Count():
        model.train_step(x, y)
    return counts.total()


def test_a_step_has_few_operations():
    """With one parameter at a time, Adam's step has 94."""
    found = operations(Adam())
    assert found <= 59, found
    assert operations(SGD(0.1, momentum=0.9)) <= 39
