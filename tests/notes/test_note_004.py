"""Note 004: one object per layer; softmax with its full Jacobian, the mean squared error with 2/n.

The note's Y = WX + b has an example in a column and W as (outputs, inputs). Slips: ∂y₁/∂w₁₂ is marked x₁ and is x₂; the first
term of ∂L/∂x₁ is marked "= 0" and is the one that remains; "k ≠ j" should be k ≠ i; and the matrix that multiplies ∂C/∂y has
∂yᵢ/∂xₖ in row i instead of row k, with the same result because softmax's Jacobian is symmetric.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anynet import Dense, MeanSquaredError, ReLU, Sequential, Softmax, backends

RNG = np.random.default_rng(4)


def test_dense(array: Any, close: Any) -> None:
    """Y = WX + b, ∂C/∂W = ∂C/∂Y·Xᵀ, ∂C/∂b = ∂C/∂Y, ∂C/∂X = Wᵀ·∂C/∂Y for one example."""
    w, b, x, dy = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 1)), RNG.normal(size=(3, 1)), RNG.normal(size=(2, 1))
    params = {"weight": array(w.T), "bias": array(b[:, 0])}
    y, cache = Dense(2).forward(params, array(x.T))
    dx, grads = Dense(2).backward(params, cache, array(dy.T))
    close(y, (w @ x + b).T)
    close(grads["weight"], (dy @ x.T).T)
    close(grads["bias"], dy[:, 0])
    close(dx, (w.T @ dy).T)


def test_derivatives_written_out(array: Any, close: Any) -> None:
    """∂C/∂w₁₂ = ∂C/∂y₁·x₂, ∂C/∂b₁ = ∂C/∂y₁ and ∂C/∂x₁ = ∂C/∂y₁·w₁₁ + ∂C/∂y₂·w₂₁."""
    ((w11, w12), (w21, w22)), (x1, x2), (dy1, dy2) = [[0.3, -0.5], [0.7, 0.2]], (1.5, -2.0), (0.4, 0.9)
    params = {"weight": array([[w11, w21], [w12, w22]]), "bias": array([0.0, 0.0])}
    _, cache = Dense(2).forward(params, array([[x1, x2]]))
    dx, grads = Dense(2).backward(params, cache, array([[dy1, dy2]]))
    close(grads["weight"][1, 0], dy1 * x2)
    close(grads["bias"][0], dy1)
    close(dx[0, 0], dy1 * w11 + dy2 * w21)


def test_relu(array: Any) -> None:
    """g′ is 0 for x ≤ 0, including 0, and 1 otherwise."""
    y, cache = ReLU().forward({}, array([-2.0, 0.0, 3.0]))
    dx, _ = ReLU().backward({}, cache, array([5.0, 5.0, 5.0]))
    assert backends.to_numpy(y).tolist() == [0.0, 0.0, 3.0]
    assert backends.to_numpy(dx).tolist() == [0.0, 0.0, 5.0]


@pytest.mark.parametrize("n", [2, 3, 10])
def test_softmax_jacobian_is_the_fast_form(n: int, array: Any, close: Any) -> None:
    """(A ⊙ (I − Aᵀ))·∂C/∂y, where row i of A is yᵢ repeated, equals what the layer computes without the matrix."""
    x, dy = RNG.normal(size=n), RNG.normal(size=n)
    y, cache = Softmax().forward({}, array(x[None, :]))
    dx, _ = Softmax().backward({}, cache, array(dy[None, :]))
    expected_y = np.exp(x) / np.exp(x).sum()
    a = np.repeat(expected_y[:, None], n, axis=1)
    jacobian = a * (np.eye(n) - a.T)
    for i in range(n):
        for k in range(n):
            entry = expected_y[i] * (1 - expected_y[i]) if i == k else -expected_y[k] * expected_y[i]
            assert jacobian[i, k] == pytest.approx(entry, rel=1e-12)
    close(y[0, :], expected_y)
    close(dx[0, :], jacobian @ dy)


def test_mean_squared_error(array: Any, close: Any) -> None:
    """C = 1/n Σ (yᵢ* − yᵢ)², ∂C/∂Y = 2/n (Y − Y*), for one example of n outputs."""
    y, target, n = RNG.normal(size=5), RNG.normal(size=5), 5
    loss, cache = MeanSquaredError().forward(array(target[None, :]), array(y[None, :]))
    close(loss, ((target - y) ** 2).sum() / n)
    close(MeanSquaredError().backward(cache)[0, :], 2 / n * (y - target))


def test_sequential(make: Any, array: Any, close: Any) -> None:
    """The output of each layer is the input of the next; gradients pass in the opposite direction."""
    layers = [Dense(4), ReLU(), Dense(3), Softmax()]
    model = make(layers, input_shape=2, loss=MeanSquaredError())
    x, target = RNG.normal(size=(1, 2)), np.array([[0.0, 1.0, 0.0]])
    a, caches = array(x), []
    for layer, params in zip(layers, model.params, strict=True):
        a, cache = layer.forward(params, a)
        caches.append(cache)
    _, loss_cache = MeanSquaredError().forward(array(target), a)
    da, grads = MeanSquaredError().backward(loss_cache), []
    for layer, params, cache in zip(reversed(layers), reversed(model.params), reversed(caches), strict=True):
        da, g = layer.backward(params, cache, da)
        grads.insert(0, g)
    assert isinstance(model.layer, Sequential)
    close(model.predict(x), a)
    for ours, theirs in zip(model.gradients(x, target)[1], grads, strict=True):
        for name in theirs:
            close(ours[name], theirs[name])
