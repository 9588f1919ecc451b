"""Note 000: a 2-3-1 sigmoid network with ½(y − ŷ)², weight by weight and then as matrices.

The note writes an example as a column, and W₁ as (2, 3) and W₂ as (3, 1) like `Dense`, so only the data are transposed. Slips:
H₂(1 − H₂) instead of H₄(1 − H₄) in ∂L/∂ω₁₂ to ∂L/∂b₁₁, and o₂₁(1 − o₂₁) in ∂L/∂b₁₂ and ∂L/∂b₁₃; ŷ = O₂₁ instead of σ(O₂₁); a
minus sign before ω₂₁ in ∂o₂₁/∂H₁; b₁ for b₁₁; ω₂ₓ₃ for W₂ in the closing formula. The tests use the chain rule as derived.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anynet import SGD, Dense, Sigmoid, backends

W1 = np.array([[0.15, -0.4, 0.7], [0.2, 0.55, -0.35]])  # (2, 3): column j belongs to hidden neuron j
B1 = np.array([0.05, -0.1, 0.3])
W2 = np.array([[0.45], [-0.6], [0.25]])  # (3, 1)
B2 = np.array([0.2])
X = np.array([0.9, -1.3])
Y = 1.0
RATE = 0.5


def sigma(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


@pytest.fixture
def model(make: Any) -> Any:
    layers = [Dense(3, weight=W1, bias=B1), Sigmoid(), Dense(1, weight=W2, bias=B2), Sigmoid()]
    return make(layers, input_shape=2, optimizer=SGD(RATE))


def forward() -> tuple[list[float], float]:
    """Compute the note's O₁₁ … h₄ in plain Python numbers."""
    h = [sigma(X[0] * W1[0, j] + X[1] * W1[1, j] + B1[j]) for j in range(3)]
    return h, sigma(sum(h[j] * W2[j, 0] for j in range(3)) + B2[0])


def test_forward(model: Any, close: Any) -> None:
    close(model.predict([X.tolist()]), [[forward()[1]]])


def test_scalar_formulas_for_all_13_parameters(model: Any, close: Any) -> None:
    (h1, h2, h3), h4 = forward()
    (w21,), (w22,), (w23,) = W2
    x1, x2 = X
    common = -(Y - h4) * h4 * (1 - h4)
    expected = {
        "w11": common * w21 * h1 * (1 - h1) * x1,
        "w12": common * w21 * h1 * (1 - h1) * x2,
        "w13": common * w22 * h2 * (1 - h2) * x1,
        "w14": common * w22 * h2 * (1 - h2) * x2,
        "w15": common * w23 * h3 * (1 - h3) * x1,
        "w16": common * w23 * h3 * (1 - h3) * x2,
        "b11": common * w21 * h1 * (1 - h1),
        "b12": common * w22 * h2 * (1 - h2),
        "b13": common * w23 * h3 * (1 - h3),
        "w21": common * h1,
        "w22": common * h2,
        "w23": common * h3,
        "b2": common,
    }
    loss, (hidden, _, output, _) = model.gradients([X.tolist()], [Y])
    actual = {}
    for j in range(3):
        actual[f"w1{2 * j + 1}"], actual[f"w1{2 * j + 2}"] = hidden["weight"][0, j], hidden["weight"][1, j]
        actual[f"b1{j + 1}"] = hidden["bias"][j]
        actual[f"w2{j + 1}"] = output["weight"][j, 0]
    actual["b2"] = output["bias"][0]
    close(loss, 0.5 * (Y - h4) ** 2)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        close(actual[name], value)


def test_matrix_form(model: Any, close: Any) -> None:
    """λ, μ = λ·W₂ᵀ, Z = μᵀ ⊙ P ⊙ (1 − P), ∇W₁ = Z·Xᵀ, in the note's columns; anynet's gradients are the transposes."""
    h, h4 = forward()
    p, x = np.array(h)[:, None], X[:, None]  # (3, 1), (2, 1)
    lam = np.array([[-(Y - h4) * h4 * (1 - h4)]])  # (1, 1)
    mu = lam @ W2.T  # (1, 3)
    z = mu.T * p * (1 - p)  # (3, 1)
    assert mu.shape == (1, 3)
    assert z.shape == (3, 1)
    _, (hidden, _, output, _) = model.gradients([X.tolist()], [Y])
    close(output["weight"], (lam @ p.T).T)
    close(output["bias"], lam[0])
    close(hidden["weight"], (z @ x.T).T)
    close(hidden["bias"], z[:, 0])
    close(((lam @ W2.T).T * p * (1 - p)) @ x.T, z @ x.T)  # the note's one-line form


def test_update(model: Any, close: Any) -> None:
    """W ← W − α ∇W, B ← B − α ∇B for all four."""
    _, grads = model.gradients([X.tolist()], [Y])
    old = [(W1, B1), None, (W2, B2), None]
    model.train_step([X.tolist()], [Y])
    for before, gradient, after in zip(old, grads, model.params, strict=True):
        if before is not None:
            close(after["weight"], before[0] - RATE * backends.to_numpy(gradient["weight"]))
            close(after["bias"], before[1] - RATE * backends.to_numpy(gradient["bias"]))


def test_the_formulas_as_printed_are_slips() -> None:
    """∂L/∂ω₁₂ is the slope of the loss with H₄(1 − H₄), not with H₂(1 − H₂) as printed."""
    (h1, h2, _), h4 = forward()
    derived = -(Y - h4) * h4 * (1 - h4) * W2[0, 0] * h1 * (1 - h1) * X[1]
    printed = -(Y - h4) * h2 * (1 - h2) * W2[0, 0] * h1 * (1 - h1) * X[1]

    def loss(step: float) -> float:
        h = sigma(X[0] * W1[0, 0] + X[1] * (W1[1, 0] + step) + B1[0])
        rest, _ = forward()
        return 0.5 * (Y - sigma(h * W2[0, 0] + rest[1] * W2[1, 0] + rest[2] * W2[2, 0] + B2[0])) ** 2

    slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
    assert derived == pytest.approx(slope, rel=1e-7)
    assert printed != pytest.approx(slope, rel=0.01)
