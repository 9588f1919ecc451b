"""Note 002: one sigmoid neuron learns the OR gate; every number that the note prints.

The note writes the four examples as columns and W as a row; here an example is a row, so X is the note's design matrix and W is
transposed. The note rounds to three digits after every operation. Where that changes the last digit, the tests compute both the
rounded and the exact variant:

* ∂Cost/∂w₂ is −0.0387, printed −0.038 as −0.020 − 0.018; so w₂ is 0.6387, printed 0.638, and z⁽²⁾ 0.6757 and z⁽⁴⁾ 0.8237,
  printed 0.675 and 0.823.
* the loss after the first step is 0.10988; ½·0.469² is 0.1099805, which is printed as 0.10998005.

Slips: 0.5·(1 − .05) = 0.25 for 0.5·(1 − 0.5); 0.5·(0.5 − (1 − 0.5)) = 0.125 for 0.5·0.5·(1 − 0.5); e⁰ where the exponent is
0.125; X_train with columns (0,0), (1,0), (1,0), (1,1) in two figures, while Z is computed with the right ones; the square
missing in the second line of the two-example cost; ŷ − (1 − ŷ) for ŷ(1 − ŷ); −0.031 for 0.031 in two sums; b = −0.099 for 0.037;
∂Cost/Ŷ for ∂Cost/∂Ŷ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from anynet import SGD, Dense, HalfSquaredError, Layer, Sequential, Sigmoid, backends

X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
Y = [0.0, 1.0, 1.0, 1.0]
W = [[0.1], [0.6]]


@pytest.fixture
def neuron(make: Any) -> Any:
    return make([Dense(1, weight=W), Sigmoid()], input_shape=2, optimizer=SGD(1.0))


# -- before the neuron: slopes ----------------------------------------------------------------------------------------


def test_slope_of_a_line(make: Any, close: Any) -> None:
    """Through (−2, −1) and (4, 3): rise 4 over run 6 is 2/3."""
    line = make([Dense(1, weight=[[2 / 3]], bias=[1 / 3])], input_shape=1)
    close(line.predict([[-2.0], [4.0]]), [[-1.0], [3.0]])


def test_chain_rule(array: Any, close: Any) -> None:
    """y = (x² + 1)³ has the derivative 6x(x² + 1)²."""

    @dataclass(frozen=True)
    class SquarePlusOne(Layer):
        def forward(self, params: Any, x: Any, *, key: Any = None) -> Any:
            return x * x + 1.0, x

        def backward(self, params: Any, cache: Any, dy: Any, *, need_dx: bool = True) -> Any:
            return dy * 2.0 * cache, {}

    @dataclass(frozen=True)
    class Cube(Layer):
        def forward(self, params: Any, x: Any, *, key: Any = None) -> Any:
            return x * x * x, x

        def backward(self, params: Any, cache: Any, dy: Any, *, need_dx: bool = True) -> Any:
            return dy * 3.0 * cache * cache, {}

    x = np.array([[-1.5], [0.0], [0.3], [2.0]])
    network = Sequential([SquarePlusOne(), Cube()])
    y, cache = network.forward([{}, {}], array(x))
    dx, _ = network.backward([{}, {}], cache, array(np.ones_like(x)))
    close(y, (x**2 + 1) ** 3)
    close(dx, 6 * x * (x**2 + 1) ** 2)


def test_slope_of_the_error_at_minus_one(make: Any, close: Any) -> None:
    """error = weight²: at weight −1 the slope is −2."""
    from anynet import MeanSquaredError

    model = make([Dense(1, use_bias=False, weight=[[-1.0]])], input_shape=1, loss=MeanSquaredError())
    loss, grads = model.gradients([[1.0]], [0.0])
    close(loss, 1.0)
    close(grads[0]["weight"], [[-2.0]])


# -- one example ------------------------------------------------------------------------------------------------------


def test_first_example(neuron: Any, array: Any, close: Any) -> None:
    """ŷ = 0.5, loss 0.125, ∂L/∂ŷ = 0.5, ∂ŷ/∂z = 0.25, ∂L/∂z = 0.125, ∂L/∂w = 0, ∂L/∂b = 0.125."""
    z = array([[0.0]])
    y_pred, cache = Sigmoid().forward({}, z)
    loss, loss_cache = HalfSquaredError().forward(array([[0.0]]), y_pred)
    dy = HalfSquaredError().backward(loss_cache)
    close(y_pred, [[0.5]])
    close(loss, 0.125)
    close(dy, [[0.5]])
    close(Sigmoid().backward({}, cache, array([[1.0]]))[0], [[0.25]])
    close(Sigmoid().backward({}, cache, dy)[0], [[0.125]])

    loss, grads = neuron.gradients([X[0]], [Y[0]])
    close(loss, 0.125)
    close(grads[0]["weight"], [[0.0], [0.0]])
    close(grads[0]["bias"], [0.125])


def test_step_on_the_first_example(neuron: Any, array: Any, close: Any, digits: Any) -> None:
    """b = 0 − 0.125; ŷ = 0.4687906 ≈ 0.469; loss 0.10998 from the rounded ŷ."""
    close(neuron.train_step([X[0]], [Y[0]]), 0.125)
    close(neuron.params[0]["bias"], [-0.125])
    close(neuron.params[0]["weight"], W)
    y_pred = neuron.predict([X[0]])
    assert abs(float(y_pred[0, 0]) - 0.46879063) < 5e-9
    digits(y_pred, [[0.469]])
    close(HalfSquaredError().forward(array([[0.0]]), array([[0.469]]))[0], 0.1099805)
    digits(neuron.evaluate([X[0]], [Y[0]])["loss"], 0.10988, places=5)


# -- cost and Jacobian ------------------------------------------------------------------------------------------------


def test_cost_and_jacobian_of_two_examples(array: Any, close: Any) -> None:
    """Cost = 1/2m Σ (y − ŷ)², ∂Cost/∂ŷ⁽ⁱ⁾ = −1/m (y⁽ⁱ⁾ − ŷ⁽ⁱ⁾); for a single loss the 1/m is missing."""
    y, y_pred = np.array([[1.0], [0.0]]), np.array([[0.3], [0.8]])
    cost, cache = HalfSquaredError().forward(array(y), array(y_pred))
    close(cost, ((1.0 - 0.3) ** 2 + (0.0 - 0.8) ** 2) / 4)
    close(HalfSquaredError().backward(cache), -(y - y_pred) / 2)
    _, cache = HalfSquaredError().forward(array(y[:1]), array(y_pred[:1]))
    close(HalfSquaredError().backward(cache), -(y - y_pred)[:1])


# -- the vectorized step ----------------------------------------------------------------------------------------------


def test_forward(neuron: Any, array: Any, close: Any, digits: Any) -> None:
    close(Dense(1).forward({"weight": array(W), "bias": array([0.0])}, array(X))[0], [[0.0], [0.6], [0.1], [0.7]])
    y_pred = backends.to_numpy(neuron.predict(X))[:, 0]
    digits(y_pred, [0.5, 0.646, 0.525, 0.668])
    digits(np.array(Y) - y_pred, [-0.5, 0.354, 0.475, 0.332])
    loss = neuron.evaluate(X, Y)["loss"]
    digits(8 * loss, 0.711)
    digits(loss, 0.089)


def test_backward(array: Any, digits: Any) -> None:
    """∂Cost/∂Ŷ, ∂Ŷ/∂Z, ∂Cost/∂Z, ∂Cost/∂W and ∂Cost/∂b."""
    params, x = {"weight": array(W), "bias": array([0.0])}, array(X)
    z, dense_cache = Dense(1).forward(params, x)
    y_pred, cache = Sigmoid().forward({}, z)
    _, loss_cache = HalfSquaredError().forward(array(np.array(Y)[:, None]), y_pred)
    dy = HalfSquaredError().backward(loss_cache)
    digits(dy[:, 0], [0.125, -0.089, -0.119, -0.083])
    digits(Sigmoid().backward({}, cache, array(np.ones((4, 1))))[0][:, 0], [0.25, 0.229, 0.249, 0.222])
    dz, _ = Sigmoid().backward({}, cache, dy)
    digits(dz[:, 0], [0.031, -0.020, -0.030, -0.018])
    dx, grads = Dense(1).backward(params, dense_cache, dz)
    digits(grads["weight"][:, 0], [-0.048, -0.039])
    digits(grads["bias"], [-0.037])
    np.testing.assert_allclose(backends.to_numpy(dx), backends.to_numpy(dz) @ np.array([[0.1, 0.6]]), rtol=1e-6)

    rounded = array([[0.031], [-0.020], [-0.030], [-0.018]])  # the note continues from these
    _, grads = Dense(1).backward(params, dense_cache, rounded)
    digits(grads["weight"][:, 0], [-0.048, -0.038])
    digits(grads["bias"], [-0.037])


def test_update_and_second_cost(neuron: Any, digits: Any) -> None:
    neuron.train_step(X, Y)
    digits(neuron.params[0]["weight"][:, 0], [0.148, 0.639])
    digits(neuron.params[0]["bias"], [0.037])
    y_pred = backends.to_numpy(neuron.predict(X))[:, 0]
    digits(y_pred, [0.509, 0.663, 0.546, 0.695])
    digits(np.array(Y) - y_pred, [-0.509, 0.337, 0.454, 0.305])
    loss = neuron.evaluate(X, Y)["loss"]
    digits(8 * loss, 0.672)
    digits(loss, 0.084)


def test_update_and_second_cost_from_the_rounded_gradients(make: Any, array: Any, digits: Any) -> None:
    """The note's own W = [0.148, 0.638], b = 0.037, Z and Ŷ."""
    params = {"weight": array(W), "bias": array([0.0])}
    grads = {"weight": array([[-0.048], [-0.038]]), "bias": array([-0.037])}
    params, _ = SGD(1.0).update(params, grads, SGD(1.0).init(params))
    digits(params["weight"][:, 0], [0.148, 0.638])
    digits(params["bias"], [0.037])
    z, _ = Dense(1).forward(params, array(X))
    digits(z[:, 0], [0.037, 0.675, 0.185, 0.823])
    model = make([Dense(1, weight=[[0.148], [0.638]], bias=[0.037]), Sigmoid()], input_shape=2)
    digits(model.predict(X)[:, 0], [0.509, 0.663, 0.546, 0.695])
    loss = model.evaluate(X, Y)["loss"]
    digits(8 * loss, 0.672)
    digits(loss, 0.084)


def test_accumulating_over_examples_equals_the_vectorized_step(neuron: Any, close: Any) -> None:
    """ΔC, Δw₁, Δw₂, Δb summed example by example, then α/m of them: the same step."""
    cost, delta_w, delta_b = 0.0, np.zeros((2, 1)), np.zeros(1)
    for x, y in zip(X, Y, strict=True):
        loss, grads = neuron.gradients([x], [y])
        cost += float(loss)
        delta_w += backends.to_numpy(grads[0]["weight"])
        delta_b += backends.to_numpy(grads[0]["bias"])
    vectorized = neuron.train_step(X, Y)
    close(vectorized, cost / 4)
    close(neuron.params[0]["weight"], np.array(W) - 1.0 / 4 * delta_w)
    close(neuron.params[0]["bias"], 0.0 - 1.0 / 4 * delta_b)


def test_500_iterations_with_accumulators(neuron: Any, close: Any, digits: Any) -> None:
    """The note's loop in plain Python numbers, and `fit` on all examples."""
    (w1, w2), b, costs = (0.1, 0.6), 0.0, []
    for _ in range(500):
        delta_c = delta_w1 = delta_w2 = delta_b = 0.0
        for (x1, x2), y in zip(X, Y, strict=True):
            y_pred = 1 / (1 + math.exp(-(w1 * x1 + w2 * x2 + b)))
            dz = -(y - y_pred) * y_pred * (1 - y_pred)
            delta_c += (y - y_pred) ** 2 / 2
            delta_w1, delta_w2, delta_b = delta_w1 + dz * x1, delta_w2 + dz * x2, delta_b + dz
        costs.append(delta_c / 4)
        w1, w2, b = w1 - delta_w1 / 4, w2 - delta_w2 / 4, b - delta_b / 4
    history = neuron.fit(X, Y, epochs=500, batch_size=None, progress=False)
    np.testing.assert_allclose(history["loss"], costs, rtol=1e-10)
    digits(costs[-1], 0.0069, places=4)
    digits(neuron.params[0]["weight"][:, 0], [3.641, 3.648])
    digits(neuron.params[0]["bias"], [-1.527])


# -- learning ---------------------------------------------------------------------------------------------------------


def test_500_and_5000_epochs(neuron: Any, digits: Any) -> None:
    """The cost falls in every epoch, and the decision boundary separates (0, 0) from the other three."""
    history = neuron.fit(X, Y, epochs=500, batch_size=None, progress=False)
    losses = np.array(history["loss"])
    digits(losses[:2], [0.089, 0.084])
    assert (np.diff(losses) < 0).all()
    neuron.fit(X, Y, epochs=4500, batch_size=None, progress=False)
    assert float(neuron.evaluate(X, Y)["loss"]) < 0.002
    assert (backends.to_numpy(neuron.predict(X))[:, 0] > 0.5).tolist() == [False, True, True, True]


@pytest.mark.parametrize("batch_size", [None, 2, 1], ids=["batch", "mini-batch", "stochastic"])
def test_three_kinds_of_descent(batch_size: int | None, neuron: Any) -> None:
    history = neuron.fit(X, Y, epochs=200, batch_size=batch_size, progress=False)
    assert history["loss"][-1] < 0.25 * history["loss"][0]
