"""Compare schedules with PyTorch's schedulers, and test their argument checks."""

import json
from pathlib import Path

import numpy as np
import pytest

import anynet
from anynet import (
    ConstantSchedule,
    CosineDecay,
    CosineRestarts,
    CosLog,
    ExponentialDecay,
    FlatCosine,
    OneCycle,
    PolynomialDecay,
    StepDecay,
    Warmup,
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
        lambda: CosLog(-1.0, steps=5),
        lambda: CosLog(1.0),
        lambda: CosLog(1.0, steps=5, cycles=0),
        lambda: FlatCosine(-1.0, steps=5),
        lambda: FlatCosine(1.0, steps=5, flat=1.0),
        lambda: FlatCosine(1.0, steps=5, epochs=1),
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
