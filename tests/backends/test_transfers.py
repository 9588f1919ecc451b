"""No pass looks at a value: on a GPU each look waits for the device, and inside a compiler it is an error.

Tensors of `FakeTensorMode`, and on the device ``meta``, have a device, a shape and a dtype but no values. Where a value or
another device is needed, they raise; so a training step for ``cuda`` is checked without a GPU. (The other two checks of the
kind are ``strict:device1`` and ``jax-jit`` among the backends of every test.)
"""

import numpy as np
import pytest

from anynet import Dense, Dropout, Flatten, Model, ReLU, SoftmaxCrossEntropy, random, tree
from tests.layers.cases import LAYERS
from tests.losses.cases import LOSSES
from tests.optimizers.cases import OPTIMIZERS
from tests.tools import away_from_zero

torch = pytest.importorskip("torch", reason="needs torch for its FakeTensorMode")


@pytest.fixture(params=["cuda", "meta"])
def fake(request):
    """Return a function that puts a tree of host arrays on a device that is not there."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    def place(values):
        return tree.map(
            lambda a: torch.empty(np.shape(a), dtype=getattr(torch, np.asarray(a).dtype.name), device=request.param),
            values,
        )

    if request.param == "meta":
        yield place
    elif not torch.backends.cuda.is_built():
        pytest.skip("this build of torch has no CUDA, and cannot index even a fake tensor there; meta tensors stand in")
    else:
        with FakeTensorMode():
            yield place


def test_a_look_at_a_value_raises(fake):
    for look in (float, bool, lambda a: a.item(), lambda a: a.cpu().numpy()):
        with pytest.raises(Exception, match=r"(?i)item|data.?dependent|meta|numpy"):
            look(fake(np.ones(())))


def test_another_device_raises(fake):
    with pytest.raises(RuntimeError, match="device"):
        fake(np.ones(3)) + torch.ones(3)


def on_device(*values):
    return all(a.device.type in ("cuda", "meta") for a in tree.leaves(list(values)))


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
@pytest.mark.parametrize("training", [True, False])
def test_layers(row, training, fake):
    layer, shape, *inputs = row
    rng = np.random.default_rng(0)
    host, output_shape = layer.init(rng, shape)
    params = fake(host)
    x, dy = fake((inputs[0] if inputs else away_from_zero)(rng, (3, *shape))), fake(np.ones((3, *output_shape)))
    y, cache = layer.forward(params, x, key=fake(random.make_key(0)) if training else None)
    dx, grads = layer.backward(params, cache, dy)
    assert on_device(y, cache, dx, grads, layer.update_buffers(params, cache))
    assert tuple(y.shape) == (3, *output_shape)


@pytest.mark.parametrize("row", LOSSES, ids=lambda row: f"{row[0]}-{row[2].shape}".replace(" ", ""))
@pytest.mark.parametrize("weighted", [False, True])
def test_losses(row, weighted, fake):
    loss, y_pred, y_true = row
    targets = loss.targets(fake(y_true), y_pred.shape[1:], torch.float64)
    value, cache = loss.forward(targets, fake(y_pred), fake(np.ones(len(y_pred))) if weighted else None)
    assert on_device(value, cache, loss.backward(cache))


@pytest.mark.parametrize("optimizer", [row[0] for row in OPTIMIZERS], ids=lambda o: repr(o)[:60])
def test_optimisers(optimizer, fake):
    host = {"weight": np.ones((3, 2)), "bias": np.ones(2)}
    params = fake({**host, "mean": np.ones(2)})
    state = optimizer.init(fake(host))
    for _ in range(2):
        params, state = optimizer.update(params, fake(host), state)
    assert on_device(params, state)


@pytest.mark.parametrize("optimizer", [row[0] for row in OPTIMIZERS], ids=lambda o: repr(o)[:60])
def test_a_whole_training_step(optimizer, fake):
    """`Model.train_step` itself, from bytes and from floats."""
    layers = [Flatten(), Dense(8), ReLU(), Dropout(0.5), Dense(3)]
    loss, device = SoftmaxCrossEntropy(), fake(np.ones(())).device
    model = Model(layers, input_shape=(2, 3), loss=loss, optimizer=optimizer, backend="torch", device=str(device))
    for x in (np.ones((4, 2, 3), np.float32), np.ones((4, 2, 3), np.uint8)):
        value = model.train_step(fake(x), fake(np.zeros(4, np.int64)))
        assert on_device(value, model.params)
