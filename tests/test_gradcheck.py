"""Test that `check_gradients` detects wrong signs, wrong factors and missing terms."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import anynet
from anynet import (
    Dense,
    Dropout,
    GradientError,
    HalfSquaredError,
    Layer,
    Model,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
    tree,
)
from anynet.arrays.namespace import namespace
from tests.tools import fetch

X = np.random.default_rng(0).normal(size=(5, 4))


@dataclass(frozen=True)
class Wrong(Dense):
    """Dense layer with one gradient multiplied by a factor."""

    what: str = "weight"
    factor: float = -1.0

    def backward(self, params, cache, dy, *, need_dx=True):
        dx, grads = super().backward(params, cache, dy, need_dx=need_dx)
        if self.what == "x":
            return (dx * self.factor if need_dx else None), grads
        return dx, {**grads, self.what: grads[self.what] * self.factor}


@pytest.mark.parametrize("what", ["weight", "bias", "x"])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.0 + 1e-6])
def test_sees_a_wrong_gradient(what, factor, backend):
    with pytest.raises(GradientError, match=rf"^Wrong: {what}: expected a relative error of at most 1e-07") as raised:
        check_gradients(Wrong(3, what=what, factor=factor), X, backend=backend)
    assert "got" in str(raised.value)
    check_gradients(Wrong(3, what=what, factor=1.0), X, backend=backend)


@pytest.mark.parametrize("what", ["weight", "bias"])
def test_names_the_path_in_nested_containers(what, backend):
    nested = Sequential([Dense(3), Sequential([Tanh(), Sequential([Wrong(3, what=what), Tanh()])])])
    with pytest.raises(GradientError, match=rf"^layer 1\.1\.0 \(Wrong\): {what}: expected"):
        check_gradients(nested, X, backend=backend)


def test_a_wrong_dx_inside_shows_in_the_layer_before(backend):
    nested = Sequential([Dense(3), Tanh(), Wrong(3, what="x")])
    with pytest.raises(GradientError, match=r"^layer 0 \(Dense\): weight: expected"):
        check_gradients(nested, X, backend=backend)


@pytest.mark.parametrize("what", ["weight", "bias"])
def test_sees_a_wrong_gradient_in_a_model(what, backend):
    layers = [Dense(6), ReLU(), Dropout(0.3), Wrong(3, what=what)]
    y = np.array([0, 1, 2, 0, 1])
    model = Model(layers, input_shape=4, loss=SoftmaxCrossEntropy(), backend=backend, dtype="float64")
    with pytest.raises(GradientError, match=rf"^layer 3 \(Wrong\): {what}: expected"):
        check_gradients(model, X, y)
    layers[3] = dataclasses.replace(layers[3], factor=1.0)
    right = Model(layers, input_shape=4, loss=SoftmaxCrossEntropy(), backend=backend, dtype="float32")
    before = fetch(backend, right.params)
    report = check_gradients(right, X, y)
    assert report.worst <= 1e-7 and str(report).splitlines()[0].startswith("layer 0 (Dense): weight  ")
    for (_, a), (_, b) in zip(
        tree.leaves_with_paths(before), tree.leaves_with_paths(fetch(backend, right.params)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@dataclass(frozen=True)
class WrongLoss(HalfSquaredError):
    """Loss whose derivative has the wrong sign."""

    def derivative(self, cache):
        return -cache


def test_sees_a_wrong_loss(backend):
    model = Model([Dense(2)], input_shape=4, loss=WrongLoss(), backend=backend)
    with pytest.raises(GradientError, match=r"^layer 0 \(Dense\): weight: expected"):
        check_gradients(model, X, X[:, :2])


@dataclass(frozen=True)
class Scale(Layer):
    """Layer with a parameter and a buffer of initial value 1, whose dx may omit either."""

    forget: str = ""
    buffers = ("spread",)

    def init(self, rng, input_shape):
        return {"scale": np.ones(input_shape), "spread": np.ones(input_shape)}, input_shape

    def forward(self, params, x, *, key=None):
        spread = 1.0 + namespace(x).mean(x * x, axis=0) if key is not None else params["spread"]
        return x * params["scale"] / params["spread"], (x, spread)

    def backward(self, params, cache, dy, *, need_dx=True):
        x, _ = cache
        grads = {"scale": namespace(dy).sum(dy * x / params["spread"], axis=0)}
        factor = 1.0 if self.forget == "scale" else params["scale"]
        return dy * factor / (1.0 if self.forget == "spread" else params["spread"]), grads

    def update_buffers(self, params, cache):
        return {**params, "spread": cache[1]}


@pytest.mark.parametrize("forget", ["scale", "spread"])
def test_initial_values_hide_nothing(forget, backend):
    """Parameters or buffers of ones must not hide a missing factor in backward."""
    check_gradients(Scale(), X, backend=backend)
    with pytest.raises(GradientError, match=r"^Scale: x: expected"):
        check_gradients(Scale(forget), X, backend=backend)


@dataclass(frozen=True)
class Silent(Dense):
    """Dense layer that omits the gradient of its bias, or returns an extra one."""

    extra: bool = False

    def backward(self, params, cache, dy, *, need_dx=True):
        dx, grads = super().backward(params, cache, dy, need_dx=need_dx)
        if self.extra:
            return dx, {**grads, "other": grads["bias"]}
        del grads["bias"]
        return dx, grads


def test_sees_missing_and_extra_gradients(backend):
    with pytest.raises(GradientError, match=r"^layer 1 \(Silent\): bias: expected a gradient .* got none"):
        check_gradients(Sequential([Tanh(), Silent(3)]), X, backend=backend)
    with pytest.raises(GradientError, match=r"^Silent: other: expected a gradient .* got an extra one"):
        check_gradients(Silent(3, extra=True), X, backend=backend)


@dataclass(frozen=True)
class Broadcast(Dense):
    """Dense layer whose bias gradient is not summed over the batch."""

    def backward(self, params, cache, dy, *, need_dx=True):
        dx, grads = super().backward(params, cache, dy, need_dx=need_dx)
        return dx, {**grads, "bias": dy}


def test_sees_a_wrong_shape(backend):
    with pytest.raises(GradientError, match=r"^Broadcast: bias: expected a gradient of shape \(3,\), got \(5, 3\)"):
        check_gradients(Broadcast(3), X, backend=backend)


def test_passes_over_kinks(backend):
    """Random inputs are on both sides of the kink of ReLU; a direction that crosses it is redrawn."""
    x = np.random.default_rng(3).normal(size=(200, 50))
    assert check_gradients(Sequential([Dense(20), ReLU(), Dense(5)]), x, backend=backend).worst <= 1e-7


def test_a_nan_fails(backend):
    with pytest.raises(GradientError):
        check_gradients(Wrong(3, what="weight", factor=float("nan")), X, backend=backend)


def test_dropout_uses_the_same_mask_in_every_pass(backend):
    assert check_gradients(Dropout(0.5), X, backend=backend).worst <= 1e-7
    assert check_gradients(Dropout(0.5), X, backend=backend, training=False).worst <= 1e-7


def test_takes_any_kind_of_array(backend):
    assert check_gradients(Dense(3), backend.asarray(X)).worst <= 1e-7
    assert check_gradients(Dense(3), X.tolist(), backend=backend).worst <= 1e-7


def test_a_model_needs_y():
    with pytest.raises(ValueError, match="expected y for a model or a loss, got None"):
        check_gradients(Model([Dense(2)], input_shape=4, loss=HalfSquaredError()), X)


@dataclass(frozen=True)
class Center(Layer):
    """Layer that subtracts the mean of each column, and so removes the effect of a preceding bias."""

    def forward(self, params, x, *, key=None):
        return x - namespace(x).mean(x, axis=0), None

    def backward(self, params, cache, dy, *, need_dx=True):
        return (dy - namespace(dy).mean(dy, axis=0) if need_dx else None), {}


def test_a_gradient_of_zero_does_not_fail(backend):
    """The bias has no effect, so its differences are rounding errors; a wrong sign elsewhere is still detected."""
    layers = [Dense(6), Center(), Tanh(), Dense(3)]
    assert check_gradients(Sequential(layers), 10 * X, backend=backend).worst <= 1e-7
    model = Model(layers, input_shape=4, loss=SoftmaxCrossEntropy(), backend=backend, dtype="float64")
    assert check_gradients(model, X, np.array([0, 1, 2, 0, 1])).worst <= 1e-7
    with pytest.raises(GradientError, match=r"^layer 0 \(Wrong\): weight"):
        check_gradients(Sequential([Wrong(6), *layers[1:]]), X, backend=backend)


def test_a_wrong_sign_in_a_tiny_gradient_is_seen(backend):
    """The gradient is 10⁻⁶ times the size of the others."""
    small = Wrong(3, what="bias", weight=1e-6 * np.ones((4, 3)))
    with pytest.raises(GradientError, match="bias"):
        check_gradients(Sequential([small, Dense(2, weight=1e-6 * np.ones((3, 2)))]), X, backend=backend)


@dataclass(frozen=True)
class NoDx(Dense):
    """Dense layer without ∂L/∂x."""

    def backward(self, params, cache, dy, *, need_dx=True):
        return None, super().backward(params, cache, dy, need_dx=need_dx)[1]


def test_sees_a_missing_gradient_of_the_input(backend):
    with pytest.raises(GradientError, match=r"^NoDx: x: expected a gradient for the input, .*, got none"):
        check_gradients(NoDx(3), X, backend=backend)


def test_a_missing_gradient_inside_is_named_in_training():
    model = Model([Dense(3), NoDx(3)], input_shape=4, loss=HalfSquaredError())
    with pytest.raises(ValueError, match=r"layer 1: expected backward to return the gradient of its input, got None"):
        model.gradients(X, np.ones((5, 3)))


@dataclass(frozen=True)
class Single(Dense):
    """Dense layer with gradients in float32."""

    what: str = "x"

    def backward(self, params, cache, dy, *, need_dx=True):
        dx, grads = super().backward(params, cache, dy, need_dx=need_dx)
        if self.what == "x":
            return namespace(dx).astype(dx, namespace(dx).float32), grads
        return dx, {**grads, "weight": namespace(dx).astype(grads["weight"], namespace(dx).float32)}


@pytest.mark.parametrize("what", ["x", "weight"])
def test_sees_a_gradient_of_another_precision(what, backend):
    with pytest.raises(
        GradientError, match=rf"^Single: {what}: expected a gradient of dtype .*float64, .* got .*float32"
    ):
        check_gradients(Single(3, what=what), X, backend=backend)


@dataclass(frozen=True)
class Cubed(HalfSquaredError):
    factor: float = 3.0

    def per_example(self, y_true, y_pred):
        error = y_pred - y_true
        return namespace(error).sum(error**3, axis=1), error

    def derivative(self, cache):
        return self.factor * cache**2


def test_checks_losses(backend):
    y = np.random.default_rng(1).normal(size=(5, 4))
    report = check_gradients(Cubed(), X, y, backend=backend)
    assert list(report.errors) == ["Cubed: y_pred"] and report.worst < 1e-7
    with pytest.raises(GradientError, match=r"^Cubed: y_pred: expected a relative error of at most"):
        check_gradients(Cubed(2.9), X, y, backend=backend)
    with pytest.raises(ValueError, match="expected y for a model or a loss, got None"):
        check_gradients(Cubed(), X)


def test_checks_a_loss_of_several_outputs():
    loss = anynet.Losses([anynet.GaussianNLL(), SoftmaxCrossEntropy()])
    targets = (np.ones((5, 2)), np.arange(5) % 4)
    assert list(check_gradients(loss, (X, X), targets).errors) == ["Losses: y_pred.0", "Losses: y_pred.1"]
