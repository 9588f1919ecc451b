"""Compare schedules with PyTorch's schedulers, inside compiled steps, and test their argument checks."""

import json
from pathlib import Path

import numpy as np
import pytest

import anynet
from anynet import (
    SGD,
    Adam,
    ConstantSchedule,
    CosineDecay,
    CosineRestarts,
    Dense,
    ExponentialDecay,
    MeanSquaredError,
    Model,
    OneCycle,
    PolynomialDecay,
    StepDecay,
    Warmup,
    load,
)

CASES = json.loads((Path(__file__).parents[1] / "reference" / "schedules.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['schedule']}-{len(case['values'])}")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equals_pytorch(case, dtype, backend):
    schedule = backend.compile(getattr(anynet, case["schedule"])(**case["fields"]).__call__)
    steps = [backend.asarray(np.asarray(float(t)), backend.dtype(dtype)) for t in range(len(case["values"]))]
    given = [schedule(step) for step in steps]
    assert all(value.shape == () and value.dtype == backend.dtype(dtype) for value in given)
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    values = [float(backend.to_numpy(value)) for value in given]
    np.testing.assert_allclose(values, case["values"], rtol=tolerance, atol=tolerance * max(case["values"]))


def test_restarts_happen_at_the_right_step_in_float32():
    schedule, begin, length = CosineRestarts(1.0, steps=3, factor=3), 0, 3
    for _ in range(9):
        first, last = (float(schedule(np.asarray(t, dtype=np.float32))) for t in (begin, begin + length - 1))
        assert first > 0.999 and last < 0.26
        begin, length = begin + length, 3 * length


def test_a_scheduled_rate_is_that_of_the_step(backend):
    """Plain gradient descent on a linear function moves by the learning rate."""
    optimizer = SGD(Warmup(PolynomialDecay(0.4, steps=4), steps=2))
    update = backend.compile(lambda p, g, s: optimizer.update(p, g, s, backend.elementwise))
    params, grads = [backend.asarray(np.zeros(1), copy=True)], [backend.asarray(np.ones(1))]
    state, moves = optimizer.init(params), []
    for _ in range(7):
        before = float(backend.to_numpy(params[0])[0])
        params, state = update(params, grads, state)
        moves.append(before - float(backend.to_numpy(params[0])[0]))
    np.testing.assert_allclose(moves, [0.0, 0.2, 0.4, 0.3, 0.2, 0.1, 0.0], atol=1e-12)


def test_any_hyper_parameter_may_be_a_schedule(backend):
    """A constant schedule changes nothing."""
    same = ConstantSchedule
    pairs = [
        (SGD(0.1, momentum=0.9, weight_decay=0.1), SGD(same(0.1), momentum=same(0.9), weight_decay=same(0.1))),
        (
            anynet.AdamW(0.1, beta1=0.8, beta2=0.9, epsilon=1e-3, weight_decay=0.2),
            anynet.AdamW(same(0.1), beta1=same(0.8), beta2=same(0.9), epsilon=same(1e-3), weight_decay=same(0.2)),
        ),
        (anynet.RMSprop(rho=0.9, epsilon=0.1), anynet.RMSprop(rho=same(0.9), epsilon=same(0.1))),
        (anynet.Adadelta(rho=0.8), anynet.Adadelta(rho=same(0.8), epsilon=same(1e-6))),
        (anynet.Lion(beta1=0.5, weight_decay=0.1), anynet.Lion(beta1=same(0.5), weight_decay=same(0.1))),
        (
            anynet.Nadam(beta1=0.8, beta2=0.9),
            anynet.Nadam(beta1=same(0.8), beta2=same(0.9), momentum_decay=same(4e-3)),
        ),
        (anynet.RAdam(beta1=0.8, beta2=0.9), anynet.RAdam(beta1=same(0.8), beta2=same(0.9))),
        (anynet.Adagrad(0.1), anynet.Adagrad(same(0.1), epsilon=same(1e-10))),
    ]
    for plain, scheduled in pairs:
        ends = []
        for optimizer in (plain, scheduled):
            params = [backend.asarray(np.array([1.0, -2.0]), copy=True)]
            state = optimizer.init(params)
            for _ in range(5):
                params, state = optimizer.update(params, [params[0] * 0.5], state)
            ends.append(backend.to_numpy(params[0]))
        np.testing.assert_allclose(ends[0], ends[1], rtol=1e-12, err_msg=repr(plain))


def test_a_scheduled_model_is_saved(tmp_path):
    optimizer = Adam(Warmup(CosineDecay(0.01, steps=50), steps=5))
    model = Model([Dense(1)], input_shape=2, loss=MeanSquaredError(), optimizer=optimizer)
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").optimizer == optimizer


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConstantSchedule(-1.0),
        lambda: StepDecay(-1.0, 5),
        lambda: StepDecay(1.0, 5, factor=-0.5),
        lambda: StepDecay(1.0, 0),
        lambda: ExponentialDecay(1.0, factor=-0.5),
        lambda: PolynomialDecay(1.0, steps=5, final=-0.1),
        lambda: PolynomialDecay(1.0, steps=5, power=0.0),
        lambda: CosineDecay(1.0, steps=5, final=-0.1),
        lambda: CosineDecay(1.0, steps=0),
        lambda: CosineRestarts(1.0, steps=5, factor=0),
        lambda: OneCycle(-1.0, steps=10),
        lambda: OneCycle(1.0, steps=3),
        lambda: OneCycle(1.0, steps=10, start=-1.0),
        lambda: Warmup(-1.0, steps=5),
        lambda: Warmup(1.0, steps=5, start=-0.5),
        lambda: Warmup(1.0, steps=0),
    ],
)
def test_invalid_arguments_raise(make):
    with pytest.raises(ValueError, match="expected"):
        make()
