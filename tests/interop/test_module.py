"""`anynet.interop.torch.Module` against PyTorch: its own layers, its differentiation of our forward pass, and its tools."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

from anynet import (
    L2,
    LSTM,
    MAE,
    SGD,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Frozen,
    GaussianNoise,
    HalfSquaredError,
    Identity,
    Layer,
    LayerNorm,
    Model,
    Parallel,
    ReLU,
    Rescale,
    Residual,
    Sequential,
    Softmax,
    Tanh,
    tree,
)
from anynet.interop.torch import Module, TorchModule
from anynet.random import next_key
from tests.layers import autograd_differential
from tests.layers.cases import LAYERS
from tests.layers.test_contract import Case, both
from tests.tools import assert_close, assert_same

ROWS = [row for row in LAYERS if row[0] != Sequential([])]  # a network has layers
LAYERS_OF_NETWORK = [Dense(5), BatchNorm(), Tanh(), Dropout(0.3), Dense(2)]


def network(layers=LAYERS_OF_NETWORK, shape=4, **settings):
    return Module(layers, input_shape=shape, **{"dtype": "float64", **settings})


def batch(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def state(net):
    return dict(net.named_parameters()) | dict(net.named_buffers())


def gradients(net):
    return {name: None if p.grad is None else p.grad.numpy().copy() for name, p in net.named_parameters()}


def of_case(case):
    """Return a module with the parameters of a case."""
    net = network(case.layer, case.shape)
    arrays = dict(zip(net._plan.names, map(torch.as_tensor, tree.leaves(case.params)), strict=True))
    net.load_state_dict(arrays | {"key": net.key})
    return net


# Gradients --------------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
def test_gradcheck(row, training):
    case = Case(*row)
    net = of_case(case).train(training)
    names, arrays = zip(*net.named_parameters(), strict=True) if list(net.parameters()) else ((), ())
    x = torch.as_tensor(case.x)
    if case.layer.integer_input:

        def f(*arrays):
            return functional_call(net, dict(net.named_buffers()) | dict(zip(names, arrays, strict=True)), (x,))
    else:
        arrays = (x.requires_grad_(), *arrays)

        def f(x, *arrays):
            return functional_call(net, dict(net.named_buffers()) | dict(zip(names, arrays, strict=True)), (x,))

    if arrays:
        assert torch.autograd.gradcheck(f, arrays, atol=1e-6)
    else:
        assert not f().requires_grad


@pytest.mark.filterwarnings("ignore:torch.asarray. unspecified requires_grad:UserWarning")
@pytest.mark.parametrize("number", range(30))
def test_random_network_equals_autograd_of_forward(number):
    layer, host = autograd_differential.problem(7, number)
    shape = host["x"].shape[1:]
    net = network(layer, shape)
    net.load_state_dict(
        dict(zip(net._plan.names, map(torch.as_tensor, tree.leaves(host["params"])), strict=True)) | {"key": net.key}
    )
    at = tree.map(torch.as_tensor, host)
    expected = autograd_differential.autograd(layer, at, net.key)
    x = at["x"].requires_grad_(not layer.integer_input)
    y = net(x)
    trained = list(net.parameters())
    if y.requires_grad:
        y.backward(at["dy"])
    found = [torch.zeros_like(a) if a.grad is None else a.grad for a in [*([x] if x.requires_grad else []), *trained]]
    assert_close([a.numpy() for a in found], [a.detach().numpy() for a in expected], rtol=1e-8, atol=1e-12)


def all_torch(net):
    """Return the layers of `network` in PyTorch, with the same weights."""
    other = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).double()
    p = state(net)
    with torch.no_grad():
        for name, index in (("0", 0), ("3", 3)):
            other[index].weight.copy_(p[f"{name}_weight"].T)
            other[index].bias.copy_(p[f"{name}_bias"])
    return other


def test_twenty_steps_of_adamw_equal_those_of_pytorch():
    torch.manual_seed(0)
    first, last = nn.Linear(3, 4).double(), nn.Linear(2, 3).double()
    ours = network([Dense(5), BatchNorm(), Tanh(), Dense(2)])
    nets = [nn.Sequential(first, ours, last), nn.Sequential(copy.deepcopy(first), all_torch(ours), copy.deepcopy(last))]
    x, y = batch(16, 3), torch.arange(16) % 3
    losses = []
    for net in nets:
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
        losses.append([])
        for _ in range(20):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-12)
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(ours.get_buffer("1_running_var"), nets[1][1][1].running_var, rtol=1e-9)


def test_only_needed_gradients():
    net, x = network(), batch(6, 4)
    expected = {}
    for frozen in (None, *dict(net.named_parameters())):
        for name, parameter in net.named_parameters():
            parameter.grad = None
            parameter.requires_grad_(name != frozen)
        net.key = torch.zeros(2, dtype=torch.int32)
        net(x).sin().sum().backward()
        expected = expected or gradients(net)
        assert_same(gradients(net), {**expected, **({frozen: None} if frozen else {})})
        assert x.grad is None
    net.requires_grad_(False).zero_grad()
    assert not net(x).requires_grad
    net.key = torch.zeros(2, dtype=torch.int32)
    net(x.requires_grad_()).sum().backward()
    assert x.grad is not None and all(p.grad is None for p in net.parameters())


def test_dx_is_computed_only_if_needed():
    calls = []

    class Watched(Identity):
        def backward(self, params, cache, dy, *, need_dx=True):
            calls.append(need_dx)
            return super().backward(params, cache, dy, need_dx=need_dx)

    net = network([Watched(), Dense(1)])
    net(batch(2, 4)).sum().backward()
    net(batch(2, 4).requires_grad_()).sum().backward()
    assert calls == [False, True]


def test_several_inputs_and_outputs():
    layer = Sequential(
        [Parallel([Embedding(5, 3), [Dense(3)]], combine=None), Parallel([Tanh(), Identity()], combine=None)]
    )
    net = network(layer, ((), (2,)))
    indices, x = torch.tensor([1, 4, 1]), batch(3, 2).requires_grad_()
    a, b = net(indices, x)
    (a * b).sum().backward()
    names = ("0_0_weight", "0_1_0_weight", "0_1_0_bias")
    embedding, weight, bias = (net.get_parameter(name).detach().requires_grad_() for name in names)
    x2 = x.detach().requires_grad_()
    (embedding[indices].tanh() * (x2 @ weight + bias)).sum().backward()
    found = [x.grad, *[net.get_parameter(name).grad for name in names]]
    assert_close([g.numpy() for g in found], [a.grad.numpy() for a in (x2, embedding, weight, bias)], rtol=1e-12)
    for part in (0, 1):  # a loss of one output
        net.zero_grad()
        net(indices, x)[part].sum().backward()
        assert bool(net.get_parameter("0_0_weight").grad.any()) == (part == 0)


def test_nested_tuples_of_inputs():
    layer = Parallel([Parallel([Identity(), Dense(3)], combine="add"), Identity()])
    net = network(layer, (((3,), (2,)), (1,)))
    a, b, c = (batch(4, n).requires_grad_() for n in (3, 2, 1))
    y = net((a, b), c)
    y.sum().backward()
    assert y.shape == (4, 4) and torch.equal(a.grad, torch.ones(4, 3)) and b.grad is not None


def test_gradients_share_no_memory():
    """An addition gives the same gradient to both of its inputs."""
    net = network(Parallel([Identity(), Identity()], combine="add"), ((3,), (3,)))
    a, b = batch(2, 3).requires_grad_(), batch(2, 3).requires_grad_()
    net(a, b).sum().backward()
    a.grad += 1.0
    assert torch.equal(b.grad, torch.ones(2, 3))


@pytest.mark.parametrize("layers", [[Dropout(0.5)], [Identity()], [Flatten()]])
def test_an_output_that_is_an_input_is_a_view(layers):
    net, x = network(layers, 3).eval(), batch(2, 3).requires_grad_()
    y = net(x)
    assert y is not x and y.data_ptr() == x.data_ptr() and y.grad_fn is not None
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones(2, 3))


def test_one_output_twice():
    net = network([Dense(3), Parallel([Identity(), Identity()], combine=None)], 2)
    x = batch(4, 2).requires_grad_()
    a, b = net(x)
    (a + 2 * b).sum().backward()
    assert torch.allclose(x.grad, 3 * net.get_parameter("0_weight").sum(1).expand(4, 2))


def test_a_change_in_place_is_noticed():
    net = network([Dense(3), Softmax()], 2)
    y = net(batch(4, 2))
    y *= 2.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    x = batch(4, 2)
    y = net(x)
    x += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_backward_twice_needs_retain_graph():
    net = network()
    loss = net(batch(6, 4)).sin().sum()
    loss.backward(retain_graph=True)
    once = gradients(net)
    loss.backward()
    assert_same(gradients(net), {name: 2 * g for name, g in once.items()})
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("linear", [True, False])
def test_second_derivatives_raise(linear):
    """Otherwise they would be zero where the loss is linear in y."""
    net, x = network([Dense(3), Tanh()]), batch(6, 4).requires_grad_()
    y = net(x)
    (dx,) = torch.autograd.grad(y.sum() if linear else (y**2).sum(), x, create_graph=True)
    assert torch.autograd.grad(net(x).sum() if linear else (net(x) ** 2).sum(), x)[0].allclose(dx)
    with pytest.raises(RuntimeError, match="got a second derivative"):
        (dx**2).sum().backward()

    def f(x):
        y = net(x)
        return y.sum() if linear else (y**2).sum()

    with pytest.raises(RuntimeError, match="got a second derivative"):
        grad(lambda x: (grad(f)(x) ** 2).sum())(x.detach())


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # PyTorch's own
def test_forward_mode_raises():
    with pytest.raises(RuntimeError, match="jvp"):
        jvp(network().eval(), (batch(6, 4),), (batch(6, 4),))


# State ------------------------------------------------------------------------------------------------------------------


def test_a_seed_gives_the_weights_of_a_model():
    for dtype in ("float32", "float64"):
        net = Module(LAYERS_OF_NETWORK, input_shape=4, seed=3, dtype=dtype)
        model = Model(LAYERS_OF_NETWORK, input_shape=4, seed=3, dtype=dtype)
        arrays = [state(net)[name].detach().numpy() for name in net._plan.names]
        assert_same(arrays, tree.leaves(model.params))
        assert_same(net.key.numpy(), model.state.key)


def test_parameters_and_buffers():
    net = network([Dense(2), BatchNorm(), Frozen([Dense(3)])])
    assert [name for name, _ in net.named_parameters()] == ["0_weight", "0_bias", "1_weight", "1_bias"]
    assert [name for name, _ in net.named_buffers()] == [
        *("1_running_mean", "1_running_var", "2_layer_0_weight", "2_layer_0_bias", "key"),
    ]
    assert set(net.state_dict()) == set(state(net))
    assert "Dense(units=2" in repr(net) and "input_shape=(4,)" in repr(net)


def test_steps_equal_those_of_a_model():
    """Masks and running statistics included."""
    settings = {"loss": HalfSquaredError(), "optimizer": SGD(0.1)}
    model = Model(LAYERS_OF_NETWORK, input_shape=4, dtype="float64", seed=2, **settings)
    net = Module(model)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(5):
        x, y = batch(8, 4, seed=step), batch(8, 2, seed=step + 10)
        optimizer.zero_grad()
        loss = 0.5 * ((net(x) - y) ** 2).sum() / 8
        loss.backward()
        optimizer.step()
        assert abs(loss.item() - float(model.train_step(x.numpy(), y.numpy()))) <= 1e-12
    back = net.to_model(backend="numpy")
    assert_close(back.params, model.params, rtol=1e-12, atol=1e-14)
    assert_same(back.state.key, model.state.key)
    assert back.config == model.config
    x, y = batch(8, 4).numpy(), batch(8, 2).numpy()
    assert abs(float(back.train_step(x, y)) - float(model.train_step(x, y))) <= 1e-12


def test_only_training_moves_the_key_and_the_statistics():
    net, x = network(), batch(6, 4)
    before = {name: array.clone() for name, array in net.named_buffers()}
    net.eval()(x)
    assert_same({n: b.numpy() for n, b in net.named_buffers()}, {n: b.numpy() for n, b in before.items()})
    net.train()(x)
    assert torch.equal(net.key, next_key(before["key"]))
    mean = batch(6, 4) @ net.get_parameter("0_weight") + net.get_parameter("0_bias")
    assert torch.allclose(net.get_buffer("1_running_mean"), 0.1 * mean.mean(0))
    quiet = network([Dense(2), BatchNorm()])
    key = quiet.key
    quiet(x)
    assert quiet.key is key and quiet.get_buffer("1_running_mean").any()


def test_a_state_dict_resumes_with_the_same_masks():
    net, x = network(), batch(6, 4)
    net(x)
    saved = copy.deepcopy(net.state_dict())
    expected = [net(x).detach().numpy() for _ in range(3)]
    other = network(seed=5)
    assert other.load_state_dict(saved).missing_keys == []
    assert_same([other(x).detach().numpy() for _ in range(3)], expected)
    with pytest.raises(RuntimeError, match=r"Missing key.*0_bias"):
        other.load_state_dict({name: a for name, a in saved.items() if name != "0_bias"})
    with pytest.raises(RuntimeError, match="size mismatch for 0_weight"):
        other.load_state_dict({**saved, "0_weight": torch.zeros(1, 1)})


@pytest.mark.parametrize(
    "through", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["deepcopy", "pickle"]
)
def test_copies(through):
    net, x = network(), batch(6, 4)
    net(x)
    other = through(net)
    assert_same(other(x).detach().numpy(), net(x).detach().numpy())
    other(x).sum().backward()
    assert all(p.grad is None for p in net.parameters())
    assert all(p.grad is not None for p in other.parameters())


def test_a_file_of_torch_save(tmp_path):
    net, x = network().eval(), batch(6, 4)
    torch.save(net, tmp_path / "net.pt")
    assert torch.equal(torch.load(tmp_path / "net.pt", weights_only=False)(x), net(x))
    torch.save(net.state_dict(), tmp_path / "state.pt")
    other = network(seed=1).eval()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(other(x), net(x))


def test_dtypes():
    net = network(dtype="float32")
    for dtype in (torch.float64, torch.bfloat16, torch.float16, torch.float32):
        net.to(dtype)
        y = net(batch(6, 4, dtype=dtype))
        y.sum().backward()
        assert {y.dtype, *(p.grad.dtype for p in net.parameters()), net.get_buffer("1_running_mean").dtype} == {dtype}
        assert net.key.dtype == torch.int32
        assert net.to_model().dtype == ("float64" if dtype == torch.float64 else "float32")
        net.zero_grad()
    assert net.to("meta")(torch.empty(6, 4, device="meta")).shape == (6, 2)


def test_integers_become_the_dtype_of_the_parameters():
    net = Module([Rescale(1 / 255), Flatten(), Dense(2)], input_shape=(2, 2))
    x = torch.arange(8, dtype=torch.uint8).reshape(2, 2, 2)
    assert torch.equal(net(x), net(x.float()))
    assert torch.equal(net.double()(x), net(x.double()))


def test_a_parameter_shared_with_another_module():
    net, x = network([Dense(4)]), batch(6, 4)
    twice = network([Dense(4)])
    twice.register_parameter("0_weight", net.get_parameter("0_weight"))
    both = nn.Sequential(net, twice)
    assert len(list(both.parameters())) == 3
    both(x).sum().backward()
    weight = net.get_parameter("0_weight").detach().requires_grad_()
    (x @ weight @ weight).sum().backward()
    assert torch.allclose(net.get_parameter("0_weight").grad, weight.grad)


def test_a_parametrization():
    net = network([Dense(3)])
    nn.utils.parametrizations.weight_norm(net, "0_weight")
    net(batch(2, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    pruned = network([Dense(3)])
    prune.random_unstructured(pruned, "0_weight", 0.5)
    pruned(batch(2, 4)).sum().backward()
    assert (pruned.get_parameter("0_weight_orig").grad == 0).sum() == 6


# From and to a model ----------------------------------------------------------------------------------------------------


def test_from_a_model_and_back():
    model = Model(LAYERS_OF_NETWORK, input_shape=4, loss=HalfSquaredError(), optimizer=SGD(0.1), seed=4)
    model.train_step(batch(8, 4).numpy(), batch(8, 2).numpy())
    before = tree.map(np.array, model.params)
    net, x = Module(model), batch(6, 4, dtype=torch.float32)
    np.testing.assert_allclose(net.eval()(x).detach(), model.predict(x.numpy()), rtol=1e-6)
    with torch.no_grad():
        net.get_parameter("0_weight").zero_()
    assert_same(tree.map(np.array, model.params), before)
    back = net.to_model()
    assert back.backend.name == "torch:cpu" and back.optimizer == SGD(0.1)
    assert not back.params[0]["weight"].any()
    back.train_step(batch(8, 4), batch(8, 2))
    assert not net.get_parameter("0_weight").any()
    assert net.to_model(optimizer=SGD(0.5)).optimizer == SGD(0.5)


def test_to_model_takes_settings():
    settings = {"loss": HalfSquaredError(), "optimizer": SGD(0.3), "regularizer": L2(0.1), "metrics": [MAE()]}
    model = network([Dense(3)], seed=7).to_model(**settings, backend="numpy")
    assert model.config == Model([Dense(3)], input_shape=4, seed=7, dtype="float64", **settings).config
    model.fit(batch(8, 4).numpy(), batch(8, 3).numpy())


def test_from_a_model_of_jax():
    pytest.importorskip("jax")
    model = Model([Dense(3)], input_shape=4, backend="jax", seed=1)
    assert_same(Module(model).get_parameter("0_weight").detach().numpy(), np.asarray(model.params[0]["weight"]))


# Bad input --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named(Layer):
    """A layer whose parameter has the name of something else in a module."""

    name: str

    def init(self, rng, input_shape):
        return {self.name: np.zeros(2)}, input_shape


BAD = {
    "a class": (TypeError, r"write it with parentheses", lambda: network([Dense])),
    "a module": (TypeError, r"expected layer 0 to be Dense", lambda: network([nn.Linear(2, 3)])),
    "no shape": (TypeError, r"expected input_shape with layers, got none", lambda: Module([Dense(2)])),
    "wrong shape": (ValueError, r"layer 0: LSTM\(2\): expected input of shape", lambda: network([LSTM(2)], 3)),
    "shape of a model": (
        ValueError,
        r"expected no input_shape and seed with a Model",
        lambda: Module(Model([Dense(2)], input_shape=3), input_shape=3, seed=1),
    ),
    "dtype": (ValueError, r"dtype: expected one of 'float32', 'float64'", lambda: network(dtype="float16")),
    "device": (RuntimeError, r"expected an available device, got 'cuda:77'", lambda: network(device="cuda:77")),
    "names": (ValueError, r"got 'key' twice", lambda: network(Named("key"), 2)),
    "attribute": (ValueError, r"got 'forward' twice", lambda: network(Named("forward"), 2)),
    "TorchModule": (
        TypeError,
        r"got TorchModule\(Linear\); put the module next to Module",
        lambda: network([Residual([TorchModule(nn.Linear(4, 4))])]),
    ),
    "an array": (TypeError, r"expected tensors, got ndarray", lambda: network()(np.zeros((2, 4)))),
    "two inputs": (
        ValueError,
        r"expected one tensor of shape \(4,\), without the batch axis, got 2",
        lambda: network()(batch(2, 4), batch(2, 4)),
    ),
    "one of two inputs": (
        ValueError,
        r"expected 2 arguments of shapes \(\(3,\), \(3,\)\), without the batch axis, got 1",
        lambda: network(Parallel([Identity(), Identity()]), ((3,), (3,)))(batch(2, 3)),
    ),
    "float32": (ValueError, r"expected x of torch.float64 as the parameters", lambda: network()(batch(2, 4).float())),
    "floats": (ValueError, r"expected integers, such as torch.int64", lambda: network(Embedding(3, 2), ())(batch(3))),
    "columns": (
        ValueError,
        r"layer 0: Dense: expected x of shape \(N, ..., 4\), got \(2, 3\)",
        lambda: network()(batch(2, 3)),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    error, message, call = BAD[case]
    with pytest.raises(error, match=message):
        call()


def test_an_error_changes_nothing():
    net = network()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError):
        net(batch(2, 3))
    assert_same({n: a.numpy() for n, a in net.state_dict().items()}, {n: a.numpy() for n, a in before.items()})


# PyTorch's tools --------------------------------------------------------------------------------------------------------


def test_torch_func():
    net, x = network(), batch(6, 4)
    params, buffers = dict(net.named_parameters()), dict(net.named_buffers())

    def loss(params, buffers):
        both = {**params, **buffers}  # functional_call puts the new buffers into its argument
        y = functional_call(net, both, (x,))
        return y.sin().sum(), {name: both[name] for name in buffers}

    found, new = grad(loss, has_aux=True)(params, buffers)
    assert net.key is buffers["key"]
    net(x).sin().sum().backward()
    assert_same({n: g.detach().numpy() for n, g in found.items()}, gradients(net))
    assert_same({n: b.numpy() for n, b in new.items()}, {n: b.numpy() for n, b in net.named_buffers()})


def test_torch_func_without_buffers():
    net, x = network(), batch(6, 4)
    before = copy.deepcopy(net.state_dict())

    def loss(params):
        return functional_call(net, params, (x,)).sum()

    with pytest.raises(
        RuntimeError, match=r"expected the buffer 'key', .* as an argument of the function that torch.func transforms"
    ):
        grad(loss)(dict(net.named_parameters()))
    assert_same({n: a.numpy() for n, a in net.state_dict().items()}, {n: a.numpy() for n, a in before.items()})
    found = grad(loss)({n: p.detach() for n, p in net.eval().named_parameters()})
    net(x).sum().backward()
    assert_same({n: g.numpy() for n, g in found.items()}, gradients(net))


def test_vmap_gives_the_gradient_of_each_example():
    net = network([Conv2D(3, 3), LayerNorm(), ReLU(), Flatten(), Dropout(0.5), Dense(2)], (5, 4, 2)).eval()
    x, params = batch(6, 5, 4, 2), {n: p.detach() for n, p in net.named_parameters()}

    def loss(params, x):
        return functional_call(net, params, (x[None],)).sin().sum()

    found = vmap(grad(loss), (None, 0))(params, x)
    for i in range(len(x)):
        expected = grad(loss)(params, x[i])
        assert_close(
            {n: g[i].numpy() for n, g in found.items()}, {n: g.numpy() for n, g in expected.items()}, rtol=1e-12
        )


def test_vmap_over_modules_is_an_ensemble():
    nets, x = [network(seed=seed) for seed in range(3)], batch(6, 4)
    params, buffers = stack_module_state(nets)
    y = vmap(lambda p, b: functional_call(nets[0], (p, b), (x,)))(params, buffers)
    for one, net in zip(y, nets, strict=True):
        assert torch.allclose(one, net(x), rtol=1e-12)


@pytest.fixture
def dynamo():
    import torch._dynamo

    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


COMPILED = {
    "dense": (LAYERS_OF_NETWORK, 4),
    "images": ([Conv2D(3, 3), BatchNorm(), ReLU(), Flatten(), GaussianNoise(0.1), Dense(2)], (5, 4, 2)),
    "residual": ([Residual([Dense(4), Tanh()]), Parallel([Dense(3), Identity()]), Softmax()], 4),
    "identity": ([Dropout(0.2)], 4),
}


@both
@pytest.mark.parametrize("name", COMPILED)
def test_compile(dynamo, name, training):
    """The whole module is one graph, and its results are the same."""
    layers, shape = COMPILED[name]
    net = network(layers, shape).train(training)
    other = copy.deepcopy(net)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    for seed in range(3):
        xs = [batch(6, *net.config.input_shape, seed=seed).requires_grad_() for _ in range(2)]
        ys = [f(x) for f, x in zip((compiled, other), xs, strict=True)]
        for y in ys:
            y.sin().sum().backward()
        assert_close(*(a.detach().numpy() for a in ys), rtol=1e-12)
        assert_close(*(x.grad.numpy() for x in xs), rtol=1e-12, atol=1e-14)
        assert_close(*map(gradients, (net, other)), rtol=1e-12, atol=1e-14)
        assert_close(*({n: b.numpy() for n, b in m.named_buffers()} for m in (net, other)), rtol=1e-12)


def test_compile_of_a_step_with_other_modules(dynamo):
    net = nn.Sequential(nn.Linear(4, 4), network(dtype="float32"), nn.Linear(2, 3))
    other = copy.deepcopy(net)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def loss(x, y):
        return nn.functional.cross_entropy(net(x), y)

    x, y = batch(6, 4, dtype=torch.float32), torch.arange(6) % 3
    loss(x, y).backward()
    nn.functional.cross_entropy(other(x), y).backward()
    assert_close(*map(gradients, (net, other)), rtol=1e-5, atol=1e-7)


def test_export():
    net, x = network(COMPILED["images"][0], (5, 4, 2)).eval(), batch(6, 5, 4, 2)
    exported = torch.export.export(net, (x,)).module()
    assert torch.allclose(exported(x), net(x))


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_autocast(dtype, rtol):
    net, x = network(dtype="float32"), batch(64, 4, dtype=torch.float32)
    other = copy.deepcopy(net)
    with torch.autocast("cpu", dtype=dtype):
        y = net(x)
    y.float().sin().sum().backward()
    other(x).sin().sum().backward()
    assert y.dtype == dtype
    assert {array.dtype for name, array in state(net).items() if name != "key"} == {torch.float32}
    assert {p.grad.dtype for p in net.parameters()} == {torch.float32}
    assert_close(*map(gradients, (net, other)), rtol=rtol, atol=0.05)
    assert_close(*(m.get_buffer("1_running_mean").numpy() for m in (net, other)), rtol=rtol, atol=1e-3)
    before = gradients(net)
    with torch.autocast("cpu", dtype=dtype):  # PyTorch advises against a backward pass within autocast
        net(x).sum().backward()
    assert all(
        p.grad.dtype == torch.float32 and not np.array_equal(p.grad, before[n]) for n, p in net.named_parameters()
    )


def test_autocast_takes_inputs_of_either_dtype_and_leaves_float64():
    net = network(dtype="float32")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (
            net(batch(6, 4, dtype=torch.bfloat16)).dtype
            == net(batch(6, 4, dtype=torch.float32)).dtype
            == torch.bfloat16
        )
        assert network()(batch(6, 4)).dtype == torch.float64


def test_a_loop_with_a_gradient_scaler():
    net = nn.Sequential(network(dtype="float32", shape=4), nn.Linear(2, 2))
    scaler, optimizer = torch.amp.GradScaler("cpu", init_scale=2.0**8), torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = batch(32, 4, dtype=torch.float32), torch.arange(32) % 2
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = nn.functional.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_saved_tensor_hooks():
    net, x = network(), batch(6, 4)
    saved = []

    def pack(tensor):
        saved.append(tensor)
        return len(saved) - 1

    with torch.autograd.graph.saved_tensors_hooks(pack, saved.__getitem__):
        y = net(x)
    count = len(saved)
    y.sin().sum().backward()
    expected = copy.deepcopy(net)
    expected.load_state_dict(network().state_dict())
    expected.zero_grad()
    expected(x).sin().sum().backward()
    assert count > 10
    assert_same(gradients(net), gradients(expected))
    with torch.autograd.graph.save_on_cpu():
        net(x).sum().backward()


def test_jacobians():
    net = network([Dense(5), LayerNorm(), Tanh(), Dense(3), Softmax()]).eval()
    x = batch(2, 4)
    expected = torch.autograd.functional.jacobian(net, x)
    assert torch.allclose(torch.func.jacrev(net)(x), expected, rtol=1e-12)
    assert torch.allclose(torch.autograd.functional.jacobian(net, x, vectorize=True), expected, rtol=1e-12)


def test_two_passes_before_a_backward_pass():
    """The graph of the first pass holds the buffers of its time."""
    net, x = network(), batch(6, 4)
    other = copy.deepcopy(net)
    (net(x).sin().sum() + net(x).cos().sum()).backward()
    other(x).sin().sum().backward()
    other(x).cos().sum().backward()
    assert_close(*map(gradients, (net, other)), rtol=1e-12, atol=1e-14)


def test_no_examples():
    net = network()
    net(batch(0, 4)).sum().backward()
    assert_same(gradients(net), {name: np.zeros(p.shape) for name, p in net.named_parameters()})


def test_compile_with_batches_of_several_sizes(dynamo):
    net = network(COMPILED["images"][0], (5, 4, 2))
    other = copy.deepcopy(net)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    for size in (6, 7, 9):
        x = batch(size, 5, 4, 2)
        assert torch.allclose(compiled(x), other(x), rtol=1e-12)


def test_backward_frees_the_saved_tensors():
    y = network([Dense(50), Tanh(), Dense(2)])(batch(6, 4))
    assert len(y.grad_fn.saved_tensors) == 6  # four parameters, x and the output of Tanh
    y.sum().backward()
    with pytest.raises(RuntimeError, match="freed"):
        y.grad_fn.saved_tensors  # noqa: B018


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpoint(use_reentrant):
    x = batch(6, 4).requires_grad_()
    net = network([Dense(5), BatchNorm(), Tanh(), Dense(2)])
    other = copy.deepcopy(net)
    checkpoint(net, x, use_reentrant=use_reentrant).sum().backward()
    other(x).sum().backward()
    assert_same(gradients(net), gradients(other))
    assert torch.equal(net.get_buffer("1_running_mean"), other.get_buffer("1_running_mean"))
    with pytest.raises(RuntimeError, match="expected no checkpoint around a network with dropout"):
        checkpoint(network(), x, use_reentrant=use_reentrant).sum().backward()


def test_without_gradients():
    net, x = network(), batch(6, 4)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            y = net(x)
        assert not y.requires_grad
    net.load_state_dict(network().state_dict())
    net.eval()
    with torch.inference_mode():
        expected = net(x)
    y = net(x)
    assert torch.equal(y, expected)
    y.sum().backward()


def test_training_passes_in_inference_mode_leave_ordinary_buffers():
    net, x = network(), batch(6, 4)
    with torch.inference_mode():
        net(x)
    net(x).sum().backward()


def test_two_threads():
    net = network([Dense(50), LayerNorm(), Tanh(), Dense(2)])
    xs = [batch(6, 4, seed=seed) for seed in range(2)]

    def gradient(x):
        return torch.autograd.grad(net(x).sin().sum(), list(net.parameters()))

    expected = [gradient(x) for x in xs]
    wrong = []

    def work(x, wanted):
        try:
            for _ in range(50):
                assert all(torch.equal(a, b) for a, b in zip(gradient(x), wanted, strict=True))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=arguments) for arguments in zip(xs, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


WORKER = """
import sys, torch
from torch.nn.parallel import DistributedDataParallel
from anynet import BatchNorm, Dense, Dropout, Tanh
from anynet.interop.torch import Module
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
x = torch.linspace(-1, 1, 32, dtype=torch.float64).reshape(8, 4).sin()
for name, layers in {
    "plain": [Dense(5), Tanh(), Dense(2)],
    "buffers": [Dense(5), BatchNorm(), Tanh(), Dropout(0.3), Dense(2)],
}.items():
    net = Module(layers, input_shape=4, dtype="float64", seed=rank)  # DDP sends the weights of rank 0
    ddp = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        y = ddp(x[4 * rank : 4 * rank + 4])
        (0.5 * (y - 1.0) ** 2).sum(1).mean().backward()
        optimizer.step()
    torch.save(net.state_dict(), f"{folder}/{name}{rank}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch was built without torch.distributed")
def test_distributed_data_parallel(tmp_path):
    """Two processes with half of the batch each train as one with the whole batch."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WORKER, str(rank), str(tmp_path)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=250)
        assert process.returncode == 0, errors
    model = Model(
        [Dense(5), Tanh(), Dense(2)], input_shape=4, dtype="float64", loss=HalfSquaredError(), optimizer=SGD(0.1)
    )
    x = np.sin(np.linspace(-1, 1, 32).reshape(8, 4))
    for _ in range(5):
        model.train_step(x, np.ones((8, 2)))
    expected = {name: array.detach().numpy() for name, array in Module(model).named_parameters()}
    for rank in range(2):
        found = torch.load(tmp_path / f"plain{rank}.pt")
        assert_close({name: found[name].numpy() for name in expected}, expected, rtol=1e-12)

    first, second = (torch.load(tmp_path / f"buffers{rank}.pt") for rank in range(2))
    same = [name for name in first if "running" not in name]  # rank 0 sends its statistics before each pass
    assert_same({n: first[n].numpy() for n in same}, {n: second[n].numpy() for n in same})
    assert not torch.equal(first["key"], network().key)
