"""Compare scheduled hyperparameters with numbers, NumPy recursions and PyTorch's optimizers."""

import numpy as np
import pytest

import anynet
from anynet import (
    SGD,
    Adam,
    ConstantSchedule,
    CosineDecay,
    Dense,
    MeanSquaredError,
    Model,
    Nadam,
    PolynomialDecay,
    RAdam,
    Warmup,
    load,
)
from tests.reference.problem import FIRST, gradient
from tests.tools import fetch, place

STEPS = 40
FALL = PolynomialDecay(0.95, steps=30, final=0.6)
RISE = PolynomialDecay(0.5, steps=25, final=0.995)  # starts where RAdam has nothing to rectify
SLOW = CosineDecay(0.5, steps=30, final=0.001)


def ours(backend, optimizer, steps=STEPS, dtype="float64", first=FIRST):
    """Return the parameters and state after some steps, on the host."""
    params = {name: backend.asarray(value, backend.dtype(dtype), copy=True) for name, value in first.items()}
    state = optimizer.init(params)
    update = backend.compile(lambda p, g, s: optimizer.update(p, g, s, backend.elementwise))
    for step in range(steps):
        grads = {name: gradient(name, value, step) for name, value in fetch(backend, params).items()}
        params, state = update(params, place(backend, grads, dtype), state)
    return fetch(backend, params), fetch(backend, state)


def by_formula(rule, steps=STEPS):
    """Return the weights after applying ``rule(t, p, g, memory) -> p`` for t = 1, 2, …; `memory` is a mutable dict."""
    weights, memories = dict(FIRST), {name: {"m": 0.0, "v": 0.0, "product": 1.0} for name in FIRST}
    for step in range(steps):
        weights = {name: rule(step + 1, p, gradient(name, p, step), memories[name]) for name, p in weights.items()}
    return weights


def value(schedule, t):
    return float(schedule(np.asarray(t - 1.0)))


def nadam(beta1, decay):
    """Return Dozat (2016), algorithm 2, with the product of past momenta."""

    def rule(t, p, g, memory):
        b1, psi = value(beta1, t), value(decay, t)
        now, following = (b1 * (1 - 0.5 * 0.96 ** (when * psi)) for when in (t, t + 1))
        memory["product"] *= now
        memory["m"] = b1 * memory["m"] + (1 - b1) * g
        memory["v"] = 0.999 * memory["v"] + 0.001 * g**2
        m = following * memory["m"] / (1 - memory["product"] * following) + (1 - now) * g / (1 - memory["product"])
        return p - 0.1 * m / (np.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-8)

    return rule


def radam(beta2):
    """Return Liu et al. (2020), algorithm 2, with PyTorch's threshold and position of ε."""

    def rule(t, p, g, memory):
        b2 = value(beta2, t)
        memory["m"] = 0.9 * memory["m"] + 0.1 * g
        memory["v"] = b2 * memory["v"] + (1 - b2) * g**2
        m, top = memory["m"] / (1 - 0.9**t), 2 / (1 - b2) - 1
        rho = top - 2 * t * b2**t / (1 - b2**t)
        if rho <= 5:
            return p - 0.1 * m
        r = np.sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))
        return p - 0.1 * m * r * np.sqrt(1 - b2**t) / (np.sqrt(memory["v"]) + 1e-8)

    return rule


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


def test_any_hyperparameter_may_be_a_schedule(backend):
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


CASES = {
    "Nadam-beta1": (Nadam(0.1, beta1=FALL), nadam(FALL, lambda t: 4e-3)),
    "Nadam-momentum_decay": (Nadam(0.1, momentum_decay=SLOW), nadam(lambda t: 0.9, SLOW)),
    "Nadam-both": (Nadam(0.1, beta1=RISE, momentum_decay=SLOW), nadam(RISE, SLOW)),
    "RAdam-beta2-up": (RAdam(0.1, beta2=RISE), radam(RISE)),
    "RAdam-beta2-down": (RAdam(0.1, beta2=FALL), radam(FALL)),
}


@pytest.mark.parametrize("name", CASES)
def test_forty_steps_equal_the_formula(name, backend):
    optimizer, rule = CASES[name]
    found, expected = ours(backend, optimizer)[0], by_formula(rule)
    for key in FIRST:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-9, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_pytorch_agrees_with_the_formula(name):
    """PyTorch has no such schedules, so the test sets the fields of its parameter groups before each step."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch")
    optimizer, rule = CASES[name]
    weights = {key: torch.tensor(first, requires_grad=True) for key, first in FIRST.items()}
    kind = {"Nadam": torch.optim.NAdam, "RAdam": torch.optim.RAdam}[type(optimizer).__name__]
    theirs = kind(list(weights.values()), lr=0.1)

    def at(hyper, step):
        return value(hyper, step + 1) if callable(hyper) else hyper

    for step in range(STEPS):
        theirs.param_groups[0]["betas"] = (at(optimizer.beta1, step), at(optimizer.beta2, step))
        if hasattr(optimizer, "momentum_decay"):
            theirs.param_groups[0]["momentum_decay"] = at(optimizer.momentum_decay, step)
        for key, p in weights.items():
            p.grad = torch.tensor(gradient(key, p.detach().numpy(), step))
        theirs.step()
    for key, expected in by_formula(rule).items():
        np.testing.assert_allclose(weights[key].detach().numpy(), expected, rtol=1e-9, atol=1e-9, err_msg=key)


def test_nadam_keeps_a_product_only_with_schedules(backend):
    params = {"p": place(backend, np.ones(3), "float32")}
    assert Nadam().init(params).keys() == {"step", "m", "v"}
    state = Nadam(beta1=FALL).init(params)
    product = state["product"]
    assert tuple(product.shape) == () and product.dtype == backend.dtype("float32")
    assert Nadam(beta1=FALL).init({}) == {}


def test_a_beta_of_zero_is_finite(backend):
    """A schedule may reach values that are rejected as numbers."""
    for optimizer in (Nadam(0.1, beta1=PolynomialDecay(0.9, steps=5)), RAdam(0.1, beta2=PolynomialDecay(0.9, steps=5))):
        for dtype in ("float32", "float64"):
            found = ours(backend, optimizer, 10, dtype)[0]
            assert all(np.isfinite(value).all() for value in found.values())


@pytest.mark.parametrize(
    "make", [lambda: Nadam(beta1=1.0), lambda: Nadam(momentum_decay=0.0), lambda: RAdam(beta2=0.6)]
)
def test_numbers_are_checked_as_before(make):
    with pytest.raises(ValueError, match="expected"):
        make()
