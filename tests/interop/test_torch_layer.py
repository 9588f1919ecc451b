"""`anynet.interop.torch.TorchModule` against the same layers of anynet, and PyTorch's own training."""

import copy
import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import anynet
from anynet import (
    SGD,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Frozen,
    HalfSquaredError,
    LayerNorm,
    Model,
    Parallel,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
    tree,
)
from anynet.interop.torch import TorchModule
from anynet.random import make_key
from tests.tools import assert_close, assert_same, fetch, place

ELSEWHERE = pytest.mark.without("jax", "jax-jit", "strict", "strict:device1")
"""Runs on the backends that a module runs on."""


@pytest.fixture(autouse=True)
def cuda(request):
    """Skip on CuPy if PyTorch has no CUDA."""
    if "backend" in request.fixturenames and not torch.cuda.is_available():
        backend = request.getfixturevalue("backend")
        if backend.name.startswith("cupy"):
            pytest.skip("PyTorch has no CUDA")


class Split(nn.Module):
    """A module with two inputs and two outputs."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, a, b):
        return self.linear(a) * b, a.sum(1, keepdim=True)


class Tied(nn.Module):
    """A module that uses one parameter under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


class LastState(nn.Module):
    """A recurrent module, whose parameters are also in a list."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


class Positions(nn.Module):
    """A module with a buffer of integers, used as indices."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 3)
        self.register_buffer("positions", torch.tensor([3, 0, 1]))

    def forward(self, x):
        return x * self.table(self.positions).sum(1)


def convolutions():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(18, 2)
    )


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))


def half_frozen():
    module = mlp()
    module[0].requires_grad_(False)
    return module


MODULES = {
    "linear": (lambda: nn.Linear(4, 3), (4,)),
    "convolutions": (convolutions, (2, 5, 4)),
    "mlp": (mlp, (4,)),
    "half frozen": (half_frozen, (4,)),
    "tied": (Tied, (4,)),
    "recurrent": (LastState, (5, 3)),
    "no parameters": (nn.Tanh, (4,)),
    "input returned": (nn.Identity, (4,)),
    "attention": (lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (3, 4)),
    "integer buffer": (Positions, (3,)),
    "two": (Split, ((3,), (2,))),
}


def inputs(shape, count=3):
    rng = np.random.default_rng(1)
    if isinstance(shape[0], tuple):
        return tuple(rng.normal(size=(count, *one)) for one in shape)
    return rng.normal(size=(count, *shape))


@pytest.fixture(params=MODULES)
def case(request):
    make, shape = MODULES[request.param]
    torch.manual_seed(0)
    return make(), shape


@ELSEWHERE
@pytest.mark.parametrize("training", [True, False], ids=["training", "using"])
def test_gradients(case, backend, training):
    module, shape = case
    layer = TorchModule(module)
    report = check_gradients(
        layer, tree.map_arrays(lambda a: place(backend, a), inputs(shape)), backend=backend, training=training
    )
    assert report.worst <= 1e-7
    params = layer.init(np.random.default_rng(0), shape)[0]
    assert set(params) == {n for n, _ in module.named_parameters()} | {n for n, _ in module.named_buffers()}
    assert len(report.errors) == len([p for p in module.parameters() if p.requires_grad]) + (
        2 if isinstance(shape[0], tuple) else 1
    )


def test_integers_as_input():
    layer = TorchModule(nn.Sequential(nn.Embedding(5, 2), nn.Flatten()), integer_input=True)
    x = np.array([[1, 4], [0, 1]])
    assert check_gradients(layer, x).worst <= 1e-7
    model = Model([Flatten(), layer, Dense(1)], input_shape=(1, 2), loss=HalfSquaredError(), optimizer=SGD(0.1))
    assert model.train_step(x[:, None], np.zeros((2, 1))).shape == ()


@ELSEWHERE
def test_forward_and_backward_are_those_of_the_module(case, backend):
    module, shape = case
    layer = TorchModule(module)
    params, output_shape = layer.init(np.random.default_rng(0), shape)
    x = inputs(shape)
    dy = tree.map_arrays(lambda a: np.cos(np.arange(float(a.size)).reshape(a.shape)), _zeros(output_shape))
    y, cache = layer.forward(place(backend, params), tree.map_arrays(lambda a: place(backend, a), x))
    dx, grads = layer.backward(place(backend, params), cache, tree.map_arrays(lambda a: place(backend, a), dy))
    _, cache = layer.forward(place(backend, params), tree.map_arrays(lambda a: place(backend, a), x))
    dys = tree.map_arrays(lambda a: place(backend, a), dy)
    assert layer.backward(place(backend, params), cache, dys, need_dx=False)[0] is None
    assert all(type(a) is type(place(backend, np.zeros(1))) for a in tree.leaves((y, dx, grads)))
    own = copy.deepcopy(module).double().eval()
    xs = [torch.tensor(a, requires_grad=True) for a in tree.leaves(x)]
    expected = own(*xs)
    torch.autograd.backward(tree.leaves(expected), [torch.tensor(d) for d in tree.leaves(dy)])
    assert_close(fetch(backend, tree.leaves(y)), [a.detach().numpy() for a in tree.leaves(expected)], rtol=1e-12)
    assert_close(fetch(backend, tree.leaves(dx)), [a.grad.numpy() for a in xs], rtol=1e-12)
    assert_close(
        fetch(backend, grads), {n: p.grad.numpy() for n, p in own.named_parameters() if p.requires_grad}, rtol=1e-12
    )


def _zeros(shape):
    return tuple(_zeros(one) for one in shape) if isinstance(shape[0], tuple) else np.zeros((3, *shape))


PAIRS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh()), [Dense(6), BatchNorm(), Tanh()]),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh()), [Dense(6), LayerNorm(), Tanh()]),
}


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("name", ["numpy", "torch"])
@pytest.mark.parametrize("pair", PAIRS)
def test_five_epochs_equal_those_of_the_same_layers(pair, name, dtype, rtol):
    make, layers = PAIRS[pair]
    torch.manual_seed(1)
    module = make()
    settings = {
        "input_shape": 4,
        "loss": SoftmaxCrossEntropy(),
        "optimizer": SGD(0.1),
        "backend": name,
        "dtype": dtype,
    }
    theirs, ours = Model([TorchModule(module), Dense(3)], **settings), Model([*layers, Dense(3)], **settings)
    p = theirs.params[0]
    copies = [
        {"weight": p["0.weight"].T, "bias": p["0.bias"]},
        {**ours.params[1], "weight": p["1.weight"], "bias": p["1.bias"]},
        {},
    ]
    ours.params = [*copies, theirs.params[1]]
    x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 3
    histories = [model.fit(x, y, epochs=5, batch_size=16) for model in (theirs, ours)]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=rtol)
    np.testing.assert_allclose(theirs.predict(x), ours.predict(x), rtol=rtol, atol=rtol)
    if pair == "mlp":
        found, expected = (np.asarray(a) for a in (theirs.params[0]["1.running_var"], ours.params[1]["running_var"]))
        np.testing.assert_allclose(found, expected, rtol=rtol)
        assert float(theirs.params[0]["1.num_batches_tracked"]) == 20


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_the_module_never_changes(name):
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 3))
    module[1].eval()
    before, modes = copy.deepcopy(module.state_dict()), [m.training for m in module.modules()]
    torch.manual_seed(3)
    random_state = torch.get_rng_state()
    model = Model([TorchModule(module)], input_shape=4, loss=HalfSquaredError(), optimizer=SGD(0.1), backend=name)
    x, y = np.random.default_rng(0).normal(size=(64, 4)), np.zeros((64, 3))
    model.fit(x, y, epochs=2)
    model.predict(x)
    assert_same({n: a.numpy() for n, a in module.state_dict().items()}, {n: a.numpy() for n, a in before.items()})
    assert [m.training for m in module.modules()] == modes
    assert all(p.grad is None for p in module.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not np.array_equal(np.asarray(model.params[0]["0.weight"]), before["0.weight"])


def test_a_key_gives_the_same_mask_on_each_backend():
    layer = TorchModule(nn.Dropout(0.5))
    x = np.ones((4, 50))
    masks = [
        layer.forward({}, backend.asarray(x), key=backend.asarray(make_key(0)))[0]
        for backend in map(anynet.backends.get, ("numpy", "torch"))
    ]
    assert_same(masks[1].numpy(), masks[0])
    other = layer.forward({}, x, key=make_key(1))[0]
    assert 0.3 < np.mean(masks[0] == 0) < 0.7 and not np.array_equal(other, masks[0])
    assert_same(layer.forward({}, x)[0], x)


def test_frozen_and_unfrozen():
    model = Model([TorchModule(mlp()), Dense(2)], input_shape=4, loss=HalfSquaredError(), optimizer=SGD(0.1))
    x, y = inputs((4,), 16), np.ones((16, 2))
    model.freeze(0)
    before = tree.map(np.array, model.params[0])
    model.fit(x, y)
    assert isinstance(model.layer.layers[0], Frozen)
    assert_same(tree.map(np.array, model.params[0]), before)
    model.unfreeze(0)
    model.fit(x, y)
    after = tree.map(np.array, model.params[0])
    assert all(not np.array_equal(after[name], before["layer"][name]) for name in after)


def test_parameters_without_gradient_in_the_module_are_not_trained():
    model = Model([TorchModule(half_frozen())], input_shape=4, loss=HalfSquaredError(), optimizer=SGD(0.1))
    before = tree.map(np.array, model.params[0])
    model.fit(inputs((4,), 16), np.ones((16, 3)))
    same = {name for name, array in model.params[0].items() if np.array_equal(array, before[name])}
    assert same == {"0.weight", "0.bias"}


def test_in_containers():
    layers = [Parallel([TorchModule(nn.Linear(4, 3)), [Dense(2), TorchModule(nn.Tanh())]]), Dropout(0.2), Dense(2)]
    model = Model(layers, input_shape=4, loss=HalfSquaredError(), optimizer=SGD(0.1), dtype="float64")
    x, y = inputs((4,), 16), np.ones((16, 2))
    assert check_gradients(model, x, y).worst <= 1e-7
    losses = model.fit(x, y, epochs=20)["loss"]
    assert losses[-1] < losses[0]
    assert "TorchModule" in model.summary()


def test_to_another_backend_and_copies():
    settings = {"input_shape": (2, 5, 4), "loss": HalfSquaredError(), "optimizer": SGD(0.1), "dtype": "float64"}
    model = Model([TorchModule(convolutions()), Dense(2)], **settings)
    x, y = inputs((2, 5, 4), 16), np.ones((16, 2))
    model.train_step(x, y)
    copies = [model.to("torch"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    expected = float(model.train_step(x, y)), float(model.train_step(x, y)), model.predict(x)
    for other in copies:
        found = float(other.train_step(x, y)), float(other.train_step(x, y)), other.predict(x)
        assert_close(found, expected, rtol=1e-12)
    if pytest.importorskip("jax"):
        with pytest.raises(
            ValueError, match="expected backend numpy, cupy or torch, got jax, whose compiled steps cannot call PyTorch"
        ):
            model.to("jax").predict(x)


def test_files(tmp_path):
    path = tmp_path / "model.safetensors"
    settings = {"input_shape": (2, 5, 4), "loss": HalfSquaredError(), "optimizer": Adam(0.01)}
    model = Model([TorchModule(convolutions()), Dense(3), TorchModule(nn.Linear(3, 2))], **settings)
    x, y = inputs((2, 5, 4), 16), np.ones((16, 2))
    model.fit(x, y)
    model.save(path)
    other = anynet.load(path, custom=[lambda: convolutions(), lambda: nn.Linear(3, 2)])
    assert_same(other.predict(x), model.predict(x))
    assert float(other.train_step(x, y)) == float(model.train_step(x, y))
    with pytest.raises(
        ValueError, match=r"load: expected a function .* that returns the module of TorchModule, one per TorchModule"
    ):
        anynet.load(path, custom=[convolutions])
    with pytest.raises(ValueError, match=r"expected a torch.nn.Module, got 3"):
        anynet.load(path, custom=[lambda: 3, lambda: nn.Linear(3, 2)])
    with pytest.raises(ValueError, match=r"expected the arrays of the architecture .*, got others: params.2.bias"):
        anynet.load(path, custom=[convolutions, lambda: nn.Linear(3, 2, bias=False)])


def test_resuming(tmp_path):
    def make():
        torch.manual_seed(0)
        return Model(
            [TorchModule(mlp())], input_shape=4, loss=HalfSquaredError(), optimizer=Adam(0.01), dtype="float64"
        )

    x, y = inputs((4,), 64), np.ones((64, 3))
    whole = make()
    whole.fit(x, y, epochs=4)
    make().fit(x, y, epochs=2, callbacks=[anynet.Checkpoint(tmp_path / "run.safetensors")])
    resumed = make()
    resumed.fit(x, y, epochs=4, resume=tmp_path / "run.safetensors")
    assert_same(tree.map(np.array, resumed.params), tree.map(np.array, whole.params))


def test_steps_on_numpy_are_not_replayed():
    """A replay would repeat neither the random numbers nor the operations of PyTorch."""
    settings = {"input_shape": 4, "loss": HalfSquaredError(), "optimizer": SGD(0.1)}
    model = Model([TorchModule(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)))], **settings)
    x, y = inputs((4,), 16).astype(np.float32), np.ones((16, 3), np.float32)
    losses = {float(model.train_step(x, y)) for _ in range(30)}
    assert len(losses) == 30
    assert type(model._compiled.step).__name__ == "function"


def test_two_threads():
    layer = TorchModule(convolutions())
    params = place(anynet.backends.get("numpy"), layer.init(np.random.default_rng(0), (2, 5, 4))[0])
    others = tree.map(lambda a: a + 0.1, params)
    x, dy, wrong = inputs((2, 5, 4), 8), np.ones((8, 2)), []

    def passes(params, key):
        y, cache = layer.forward(params, x, key=key)
        return y, layer.backward(params, cache, dy)

    arguments = [(params, make_key(0)), (others, make_key(1)), (params, None)]
    expected = [passes(*one) for one in arguments]

    def work(one, wanted):
        try:
            for _ in range(20):
                assert_same(passes(*one), wanted)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(arguments, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


def test_mixed_precision():
    settings = {
        "input_shape": 4,
        "loss": HalfSquaredError(),
        "optimizer": SGD(0.1),
        "compute_dtype": "bfloat16",
        "backend": "torch",
    }
    x, y = inputs((4,), 8), np.ones((8, 3))
    model = Model([TorchModule(nn.Linear(4, 3))], **settings)
    first = float(model.train_step(x, y))
    assert float(model.train_step(x, y)) < first
    with pytest.raises(ValueError, match=r"expected buffers of float32 or float64, got torch.bfloat16"):
        Model([TorchModule(mlp())], **settings).train_step(x, y)


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return checkpoint(self.linear, x, use_reentrant=False)


def test_activation_checkpoints_raise():
    model = Model([TorchModule(Checkpointed())], input_shape=4, loss=HalfSquaredError(), optimizer=SGD(0.1))
    with pytest.raises(
        RuntimeError, match=r"TorchModule\(Checkpointed\): expected a module without activation checkpoints"
    ):
        model.fit(inputs((4,), 8), np.ones((8, 3)))


def test_a_compiled_module():
    module = mlp()
    settings = {"input_shape": 4, "loss": HalfSquaredError(), "optimizer": SGD(0.1), "dtype": "float64"}
    models = [Model([TorchModule(m)], **settings) for m in (module, torch.compile(module, backend="aot_eager"))]
    losses = [model.fit(inputs((4,), 16), np.ones((16, 3)), epochs=3)["loss"] for model in models]
    np.testing.assert_allclose(*losses, rtol=1e-12)


def test_a_parametrized_module():
    layer = TorchModule(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))
    assert check_gradients(layer, inputs((4,))).worst <= 1e-7


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value(x)


BAD = {
    "a function": (TypeError, r"TorchModule: expected a torch.nn.Module, got <function", lambda: TorchModule(_f)),
    "a class": (TypeError, r"got the class Tanh; write it with parentheses", lambda: TorchModule(nn.Tanh)),
    "a layer": (TypeError, r"expected a torch.nn.Module, got Dense", lambda: TorchModule(Dense(3))),
    "lazy": (
        ValueError,
        r"TorchModule\(LazyLinear\): .* got a lazy weight; call the module once",
        lambda: TorchModule(_lazy()),
    ),
    "shape": (
        ValueError,
        r"layer 0: TorchModule\(Linear\): expected a module that takes examples of \(5,\), got RuntimeError: mat1",
        lambda: Model([TorchModule(nn.Linear(4, 3))], input_shape=5),
    ),
    "a dict": (
        TypeError,
        r"TorchModule\(Returns\): expected a module that returns a tensor or a tuple of tensors, got dict",
        lambda: Model([TorchModule(Returns(lambda x: {"y": x}))], input_shape=5),
    ),
    "no batch axis": (
        ValueError,
        r"expected one output for one example, got one of shape \(3, 1\)",
        lambda: Model([TorchModule(Returns(lambda x: x.T))], input_shape=3),
    ),
    "large integers": (
        ValueError,
        r"expected integers up to 16777216 in buffers, .* got larger ones in table",
        lambda: TorchModule(_large()),
    ),
    "meta": (ValueError, r"got weight on the device meta", lambda: TorchModule(nn.Linear(4, 3, device="meta"))),
    "complex": (
        ValueError,
        r"expected real parameters and buffers, got table of torch.complex64",
        lambda: TorchModule(_complex()),
    ),
}


def _f():
    return None


def _large():
    module = nn.Linear(4, 3)
    module.register_buffer("table", torch.tensor([3, -(2**24) - 1]))
    return module


def _lazy():
    return nn.LazyLinear(3)


def _complex():
    module = nn.Module()
    module.register_buffer("table", torch.zeros(3, dtype=torch.complex64))
    return module


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    error, message, call = BAD[name]
    with pytest.raises(error, match=message):
        call()


def test_strict_arrays_raise():
    model = Model([TorchModule(nn.Linear(4, 3))], input_shape=4, backend="strict")
    with pytest.raises(ValueError, match="expected backend numpy, cupy or torch, got strict"):
        model.predict(np.zeros((1, 4)))
