"""Note 001: the L-layer network, the delta rule, the recursions for δ and e, and backprop against finite differences.

The note defines e = y − ŷ, the negative of ∂J/∂ŷ, and adds αΔw; anynet uses ∂J/∂ŷ and subtracts. e and δ therefore have the
opposite sign here, and the updates are equal. Slips: "e = ∂J/∂a", where J = ½e² gives −∂J/∂a; "e^(k+1) = (W^(k))ᵀ δ^(k)",
which should be e^(k−1); "a^(k+1) = g(z^(k))", which should be g(z^(k+1)); "e₂ = ∂J/∂a₂" for the last of three layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anynet import SGD, Dense, HalfSquaredError, ReLU, Sequential, Sigmoid, Tanh, backends

RNG = np.random.default_rng(1)


def test_forward_is_x_times_w(make: Any, close: Any) -> None:
    """X (m×n) · W (n×n₁) = Z (m×n₁), A = g(Z) elementwise; one row per example."""
    x = RNG.normal(size=(5, 3))
    model = make([Dense(4, use_bias=False), Sigmoid(), Dense(2, use_bias=False)], input_shape=3)
    w1, w2 = (backends.to_numpy(model.params[i]["weight"]) for i in (0, 2))
    assert w1.shape == (3, 4)
    z = x @ w1
    assert z.shape == (5, 4)
    close(model.predict(x), 1 / (1 + np.exp(-z)) @ w2)


def test_linear_layers_are_one_linear_regression(make: Any, close: Any) -> None:
    """X W⁽¹⁾ W⁽²⁾ = X (W⁽¹⁾ W⁽²⁾)."""
    x = RNG.normal(size=(5, 3))
    model = make([Dense(4, use_bias=False), Dense(2, use_bias=False)], input_shape=3)
    w1, w2 = (backends.to_numpy(params["weight"]) for params in model.params)
    close(model.predict(x), x @ (w1 @ w2))


def test_delta_rule_of_a_linear_neuron(make: Any, close: Any) -> None:
    """Δwⱼ = aⱼ e, w ← w + αΔw with e = y − ŷ, which is SGD on ½e²."""
    a, w, y, rate = np.array([0.5, -1.0, 2.0]), np.array([0.3, 0.1, -0.2]), 1.0, 0.1
    model = make([Dense(1, use_bias=False, weight=w[:, None])], input_shape=3, optimizer=SGD(rate))
    e = y - a @ w
    close(model.gradients([a.tolist()], [y])[1][0]["weight"][:, 0], -a * e)
    model.train_step([a.tolist()], [y])
    close(model.params[0]["weight"][:, 0], w + rate * a * e)


@pytest.mark.parametrize(
    ("layer", "g", "derivative"),
    [
        (Sigmoid(), lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
        (Tanh(), np.tanh, lambda z: 1 / np.cosh(z) ** 2),
        (ReLU(), lambda z: max(z, 0.0), lambda z: float(z > 0)),
    ],
    ids=["sigmoid", "tanh", "relu"],
)
def test_delta_rule_with_a_nonlinearity(layer: Any, g: Any, derivative: Any, make: Any, close: Any) -> None:
    """Δwⱼ = g′(z) aⱼ e."""
    a, w, y, rate = np.array([0.5, -1.0, 2.0]), np.array([0.3, 0.1, 0.4]), 1.0, 0.1
    model = make([Dense(1, use_bias=False, weight=w[:, None]), layer], input_shape=3, optimizer=SGD(rate))
    z = a @ w
    delta_w = derivative(z) * a * (y - g(z))
    model.train_step([a.tolist()], [y])
    close(model.params[0]["weight"][:, 0], w + rate * delta_w)


def test_sigmoid_is_bad(array: Any, close: Any) -> None:
    """g′(0) = ¼ is the maximum of σ′, so each sigmoid layer divides e by at least four."""
    z = array(np.linspace(-8, 8, 161))
    _, cache = Sigmoid().forward({}, z)
    slope, _ = Sigmoid().backward({}, cache, array(np.ones(161)))
    slope = backends.to_numpy(slope)
    assert int(np.argmax(slope)) == 80  # z = 0
    close(slope[80], 0.25)


def test_chain_of_three_single_neurons(make: Any, close: Any) -> None:
    """z_k = w_k a_{k−1}, a_k = g(z_k); e₃, δ_k = g′(z_k) e_k, e_{k−1} = w_k δ_k, ∂J/∂w_k = a_{k−1} δ_k."""
    w, x, y = [0.8, -1.1, 0.6], 0.7, 1.0
    a = [x]
    for weight in w:
        a.append(1 / (1 + np.exp(-weight * a[-1])))
    model = make(
        [layer for weight in w for layer in (Dense(1, use_bias=False, weight=[[weight]]), Sigmoid())], input_shape=1
    )
    _, grads = model.gradients([[x]], [y])
    e = a[3] - y  # ∂J/∂ŷ: the negative of the note's e₃
    for k in (3, 2, 1):
        delta = a[k] * (1 - a[k]) * e
        close(grads[2 * (k - 1)]["weight"][0, 0], a[k - 1] * delta)
        e = w[k - 1] * delta


@pytest.mark.parametrize("widths", [(2, 2, 2), (4, 7, 1), (3, 5, 6, 4, 2), (1, 1, 1, 1, 1, 1, 1)], ids=str)
def test_recursions_for_any_depth_and_width(widths: tuple[int, ...], make: Any, close: Any) -> None:
    """δ^(k) = g′(z^(k)) ⊙ e^(k), e^(k−1) = (W^(k))ᵀ δ^(k), ∂J/∂W^(k) = δ a ᵀ, in the note's columns with W = (to, from)."""
    depth = len(widths) - 1
    layers = [layer for units in widths[1:] for layer in (Dense(units, use_bias=False), Tanh())]
    model = make(layers, input_shape=widths[0])
    x, y = RNG.normal(size=widths[0]), RNG.normal(size=widths[-1])
    matrices = [backends.to_numpy(model.params[2 * k]["weight"]).T for k in range(depth)]  # (to, from)
    a = [x[:, None]]
    for matrix in matrices:
        a.append(np.tanh(matrix @ a[-1]))
    _, grads = model.gradients([x.tolist()], [y.tolist()])
    e = a[-1] - y[:, None]
    for k in range(depth, 0, -1):
        delta = (1 - a[k] ** 2) * e  # (n_k, 1)
        close(grads[2 * (k - 1)]["weight"], (delta @ a[k - 1].T).T)
        e = matrices[k - 1].T @ delta  # (n_{k−1}, 1)


def test_two_neurons_per_layer(make: Any, close: Any) -> None:
    """e₁⁽¹⁾ = δ₁⁽²⁾ w₁₁⁽²⁾ + δ₂⁽²⁾ w₂₁⁽²⁾, e₂⁽¹⁾ = δ₁⁽²⁾ w₁₂⁽²⁾ + δ₂⁽²⁾ w₂₂⁽²⁾, written out with w = (to, from)."""
    (w11, w12), (w21, w22) = first = [[0.4, -0.7], [0.2, 0.9]]
    (v11, v12), (v21, v22) = second = [[-0.3, 0.6], [0.8, 0.1]]
    x1, x2, y1, y2 = 0.5, -1.2, 0.3, -0.4
    layers = [layer for w in (first, second) for layer in (Dense(2, weight=np.transpose(w), use_bias=False), Tanh())]
    _, (hidden, _, output, _) = make(layers, input_shape=2).gradients([[x1, x2]], [[y1, y2]])
    a1, a2 = np.tanh(w11 * x1 + w12 * x2), np.tanh(w21 * x1 + w22 * x2)
    b1, b2 = np.tanh(v11 * a1 + v12 * a2), np.tanh(v21 * a1 + v22 * a2)
    d1, d2 = (1 - b1**2) * (b1 - y1), (1 - b2**2) * (b2 - y2)
    e1, e2 = d1 * v11 + d2 * v21, d1 * v12 + d2 * v22
    c1, c2 = (1 - a1**2) * e1, (1 - a2**2) * e2
    close(output["weight"], np.transpose([[d1 * a1, d1 * a2], [d2 * a1, d2 * a2]]))
    close(hidden["weight"], np.transpose([[c1 * x1, c1 * x2], [c2 * x1, c2 * x2]]))


def test_loss_over_two_outputs(make: Any, close: Any) -> None:
    """J sums over the output neurons, so its derivative for each is the error of that neuron."""
    model = make([Dense(2, weight=np.eye(2))], input_shape=2)
    loss, grads = model.gradients([[1.0, 3.0]], [[0.5, 1.0]])
    close(loss, 0.5 * (0.5**2 + 2.0**2))
    close(grads[0]["bias"], [0.5, 2.0])


def test_one_forward_pass_per_weight(array: Any) -> None:
    """Finite differences take one forward pass per weight and one more; backprop takes one forward and one backward."""
    from anynet import tree
    from anynet.layers.hooks import with_hook

    calls: list[str] = []
    network = Sequential([Dense(4), Sigmoid(), Dense(1)])
    watched = with_hook(network, lambda event: calls.append(event.method) if event.path == (0,) else None)
    params = tree.map(array, network.init(np.random.default_rng(0), (3,))[0])
    x, y, loss = array([[0.2, -0.4, 0.9]]), array([[1.0]]), HalfSquaredError()

    def cost(params: Any) -> float:
        return float(loss.forward(y, watched.forward(params, x)[0])[0])

    h, slopes, at = 1e-3, [], [np.array(backends.to_numpy(p)) for p in tree.leaves(params)]
    base = cost(params)
    for p in at:
        for place in np.ndindex(p.shape):
            p[place] += h
            slopes.append((cost(tree.set_leaves(params, iter([array(v) for v in at]), like=params)) - base) / h)
            p[place] -= h
    weights = sum(p.size for p in at)
    assert calls == ["forward"] * (weights + 1)

    calls.clear()
    y_pred, cache = watched.forward(params, x)
    _, grads = watched.backward(params, cache, loss.backward(loss.forward(y, y_pred)[1]), need_dx=False)
    assert calls == ["forward", "backward"]
    exact = np.concatenate([backends.to_numpy(g).ravel() for g in tree.leaves(grads, like=params)])
    np.testing.assert_allclose(slopes, exact, atol=2e-3)
