"""Weights of PyTorch's modules: the same outputs here, and the same state_dict back."""

import numpy as np
import pytest

from anynet import (
    GRU,
    LSTM,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Frozen,
    GlobalAvgPool2D,
    Identity,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    Model,
    Normal,
    Parallel,
    PReLU,
    ReLU,
    Repeat,
    Reshape,
    Residual,
    RMSNorm,
    Shared,
    Tanh,
    tree,
)

torch = pytest.importorskip("torch", reason="PyTorch is the reference")
from torch import nn  # noqa: E402

N = 6


class Skip(nn.Module):
    """y = body(x) + shortcut(x)"""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Branches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Again(nn.Module):
    def __init__(self, layer, times):
        super().__init__()
        self.layer, self.times = layer, times

    def forward(self, x):
        for _ in range(self.times):
            x = self.layer(x)
        return x


CASES = {
    "mlp with norms": (
        (7,),
        lambda: [nn.Linear(7, 12), nn.BatchNorm1d(12), nn.PReLU(), nn.Linear(12, 9), nn.LayerNorm(9), nn.Linear(9, 4)],
        [Dense(12), BatchNorm(), PReLU(), Dense(9), LayerNorm(), Dense(4)],
    ),
    "cnn with stride, groups and flatten": (
        (9, 8, 3),
        lambda: [
            *(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.Conv2d(6, 4, (3, 2), groups=2, dilation=(1, 2), bias=False), nn.MaxPool2d(2, 1)),
            *(nn.Flatten(), nn.Linear(8, 5)),
        ],
        [
            *(Conv2D(6, 3, stride=2, padding=1), BatchNorm(), ReLU()),
            *(Conv2D(4, (3, 2), groups=2, dilation=(1, 2), use_bias=False), MaxPool2D(2, stride=1)),
            *(Flatten(), Dense(5)),
        ],
    ),
    "norms and activations between Flatten and Dense": (
        (4, 3, 5),
        lambda: [
            *(nn.Conv2d(5, 6, 2), nn.Flatten(), nn.BatchNorm1d(36), nn.PReLU(36), nn.Dropout(0.1), nn.Tanh()),
            *(nn.LayerNorm(36), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)),
        ],
        [
            *(Conv2D(6, 2), Flatten(), BatchNorm(), PReLU(per_channel=True), Dropout(0.1), Tanh()),
            *(LayerNorm(), Dense(8), BatchNorm(), Dense(3)),
        ],
    ),
    "an image flattened at once": (
        (4, 3, 2),
        lambda: [nn.Flatten(), nn.Linear(24, 5), nn.RMSNorm(5, eps=1e-5)],
        [Flatten(), Dense(5), RMSNorm()],
    ),
    "residual on features of an image": (
        (3, 4, 2),
        lambda: [nn.Flatten(), Skip(nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.BatchNorm1d(24))), nn.Linear(24, 3)],
        [Flatten(), Residual([Dense(24), ReLU(), BatchNorm()]), Dense(3)],
    ),
    "residual convolutions": (
        (5, 4, 2),
        lambda: [
            Skip(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)), nn.Conv2d(2, 4, 1)),
            *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)),
        ],
        [Residual([Conv2D(4, 3, padding=1), BatchNorm()], Conv2D(4, 1)), AvgPool2D(2), Flatten(), Dense(3)],
    ),
    "branches of channels and of features": (
        (4, 4, 2),
        lambda: [
            Branches(nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 2, 1)),
            Branches(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(80)), nn.Sequential(nn.Conv2d(5, 3, 2), nn.Flatten())),
            nn.Linear(107, 3),
        ],
        [
            Parallel([Conv2D(3, 3, padding=1), Conv2D(2, 1)]),
            Parallel([[Flatten(), BatchNorm()], [Conv2D(3, 2), Flatten()]]),
            Dense(3),
        ],
    ),
    "a decoder": (
        (6,),
        lambda: [
            *(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Unflatten(1, (3, 2, 4)), nn.Conv2d(3, 4, 2)),
            *(nn.Flatten(), nn.Linear(12, 5)),
        ],
        [Dense(24), BatchNorm(), ReLU(), Reshape((2, 4, 3)), Conv2D(4, 2), Flatten(), Dense(5)],
    ),
    "a layer repeated on features of an image": (
        (2, 3, 2),
        lambda: [nn.Flatten(), Again(nn.Linear(12, 12), 3), nn.Linear(12, 2)],
        [Flatten(), Repeat(Dense(12), 3), Dense(2)],
    ),
    "channels averaged": (
        (4, 4, 2),
        lambda: [nn.Conv2d(2, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)],
        [Conv2D(5, 3), GlobalAvgPool2D(), Dense(3)],
    ),
    "a sequence": (
        (9, 3),
        lambda: [
            *(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(2, 1)),
            *(nn.Flatten(), nn.Linear(12, 5)),
        ],
        [Conv1D(6, 3), BatchNorm(), ReLU(), MaxPool1D(2), AvgPool1D(2, stride=1), Flatten(), Dense(5)],
    ),
    "frozen layers": (
        (4, 4, 2),
        lambda: [nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten()), nn.Linear(20, 3)],
        [Frozen([Conv2D(5, 3), BatchNorm(), Flatten()]), Dense(3)],
    ),
}


def channels_first(x):
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


@pytest.fixture(params=CASES)
def pair(request):
    """Return a trained module, a model with the same layers, and a batch."""
    shape, module, layers = CASES[request.param]
    torch.manual_seed(0)
    module = nn.Sequential(*module())
    x = np.random.default_rng(0).normal(size=(N, *shape)).astype(np.float32)
    for _ in range(3):  # moves the running averages
        module(torch.from_numpy(channels_first(x)))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return module.eval(), Model(layers, input_shape=shape), x


def error(model, module, x):
    with torch.no_grad():
        expected = module(torch.from_numpy(channels_first(x))).numpy()
    return np.max(np.abs(model.predict(x) - expected) / (1.0 + np.abs(expected)))


def test_load(pair):
    module, model, x = pair
    model.load_weights(module.state_dict())
    assert error(model, module, x) <= 1e-6


def test_and_back(pair):
    module, model, _ = pair
    state = module.state_dict()
    kept = {name: array.numpy() for name, array in state.items() if not name.endswith("num_batches_tracked")}
    model.load_weights(state)
    found = model.weights("torch")
    for (name, array), expected in zip(found.items(), kept.values(), strict=True):
        np.testing.assert_array_equal(array, expected, err_msg=name)
        assert array.flags.c_contiguous and array.flags.writeable


def test_there(pair):
    """A model's weights in a new module with the same layers."""
    module, model, x = pair
    rng = np.random.default_rng(1)
    model.params = tree.map(lambda a: a + rng.uniform(0.0, 0.2, a.shape), model.params)
    arrays = iter(model.weights().values())
    state = {
        name: array if name.endswith("num_batches_tracked") else torch.from_numpy(next(arrays))
        for name, array in module.state_dict().items()
    }
    module.load_state_dict(state)
    assert error(model, module, x) <= 1e-6


def test_strict_loading_by_name():
    """The names are those of a Sequential, and PyTorch adds the counters of batches."""
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()
    model = Model([Conv2D(4, 3), BatchNorm(), ReLU(), Flatten(), Dense(3)], input_shape=(4, 4, 1))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in model.weights().items()}, strict=True)
    assert error(model, module, np.random.default_rng(0).normal(size=(N, 4, 4, 1)).astype(np.float32)) <= 1e-6


class Named(nn.Module):
    """A CNN as it is written in PyTorch's tutorials."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.fc1, self.fc2 = nn.Linear(4 * 36, 144), nn.Linear(144, 144)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv1(x))).flatten(1)
        return self.fc2(torch.relu(self.fc1(x)))


LAYERS = [Conv2D(4, 3), BatchNorm(), ReLU(), Flatten(), Dense(144), ReLU(), Dense(144)]
NUMBERS = {"conv1": "0", "bn": "1", "fc1": "4", "fc2": "6"}


def renamed(name):
    layer, _, array = name.partition(".")
    return f"{NUMBERS[layer]}.{array}"


@pytest.mark.parametrize(
    ("names", "shuffled"),
    [("in order", False), ("function", False), ("function", True), ("dict", False), ("dict", True)],
)
def test_other_names(names, shuffled):
    torch.manual_seed(1)
    module = Named().eval()
    model = Model(LAYERS, input_shape=(8, 8, 1))
    state = module.state_dict()
    if shuffled:
        state = dict(reversed(state.items()))
    table = {name: renamed(name) for name in state}
    model.load_weights(state, names={"in order": None, "function": renamed, "dict": table}[names])
    assert error(model, module, np.random.default_rng(0).normal(size=(N, 8, 8, 1)).astype(np.float32)) <= 1e-6


def test_arrays_to_ignore():
    state = {"body.weight": torch.ones(2, 3), "body.bias": torch.zeros(2), "head.weight": torch.ones(9, 2)}
    model = Model([Dense(2)], input_shape=3)
    model.load_weights(state, names={"body.weight": "0.weight", "body.bias": "0.bias", "head.weight": None})
    assert model.predict([[1.0, 2.0, 3.0]]).tolist() == [[6.0, 6.0]]
    model.load_weights(state, names=lambda name: None if name.startswith("head") else name.replace("body", "0"))


def test_a_part_of_a_network():
    """The body is PyTorch's, the head remains."""
    body = nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten())
    model = Model([Conv2D(3, 2), ReLU(), Flatten(), Dense(4)], input_shape=(3, 3, 2))
    head = model.params[3]["weight"]
    model.load_weights(model.weights() | body.state_dict())
    np.testing.assert_array_equal(model.params[3]["weight"], head)
    np.testing.assert_array_equal(model.weights()["0.weight"], body.state_dict()["0.weight"].numpy())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_dtypes(dtype, tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(getattr(torch, dtype))
    state = module.state_dict()
    save_file(state, tmp_path / "model.safetensors")
    for source in (state, tmp_path / "model.safetensors", str(tmp_path / "model.safetensors")):
        model = Model([Dense(4), ReLU(), Dense(2)], input_shape=3)
        model.load_weights(source)
        np.testing.assert_array_equal(model.params[2]["weight"].T, state["2.weight"].float().numpy())
        assert model.params[2]["weight"].dtype == np.float32


def test_embedding_is_not_permuted():
    """Vectors of a table are the last axis in PyTorch too."""
    module = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2))
    model = Model([Embedding(7, 4), Flatten(), Dense(2)], input_shape=3)
    model.load_weights(module.state_dict())
    x = np.random.default_rng(0).integers(0, 7, (5, 3))
    np.testing.assert_allclose(model.predict(x), module(torch.from_numpy(x)).detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("theirs", "ours"), [(nn.LSTM, LSTM), (nn.GRU, GRU)])
def test_recurrent_layers_there_and_back(theirs, ours):
    module = theirs(4, 3, batch_first=True)
    model = Model([ours(3)], input_shape=(5, 4))
    x = np.random.default_rng(0).normal(size=(N, 5, 4)).astype(np.float32)
    model.load_weights(module.state_dict())
    np.testing.assert_allclose(model.predict(x), module(torch.from_numpy(x))[0].detach().numpy(), rtol=0, atol=1e-6)
    model = Model([ours(3, bias=Normal(1.0))], input_shape=(5, 4))
    module.load_state_dict({name.partition(".")[2]: torch.from_numpy(a) for name, a in model.weights().items()})
    np.testing.assert_allclose(model.predict(x), module(torch.from_numpy(x))[0].detach().numpy(), rtol=0, atol=1e-6)


def test_shared_layers():
    """A siamese network: one set of weights, two images."""
    body = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(12, 4))
    model = Model(
        [Shared([Conv2D(3, 2), Flatten(), Dense(4)]), Parallel([Identity(), Identity()], combine="add")],
        input_shape=((3, 3, 2), (3, 3, 2)),
    )
    model.load_weights(body.state_dict())
    rng = np.random.default_rng(0)
    x = tuple(rng.normal(size=(N, 3, 3, 2)).astype(np.float32) for _ in range(2))
    expected = sum(body(torch.from_numpy(channels_first(one))).detach().numpy() for one in x)
    np.testing.assert_allclose(model.predict(x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("theirs", [nn.Conv1d, nn.LSTM])
def test_models_of_any_length(theirs):
    if theirs is nn.LSTM:
        module, layer = nn.LSTM(4, 3, batch_first=True), LSTM(3)
    else:
        module, layer = nn.Conv1d(4, 3, 2), Conv1D(3, 2)
    model = Model([layer], input_shape=(None, 4))
    model.load_weights(module.state_dict())
    assert {name.partition(".")[2]: a.shape for name, a in model.weights().items()} == {
        name: tuple(a.shape) for name, a in module.state_dict().items()
    }
    for positions in (2, 5):
        x = np.random.default_rng(0).normal(size=(N, positions, 4)).astype(np.float32)
        tensor = torch.from_numpy(x)
        expected = module(tensor)[0] if theirs is nn.LSTM else module(tensor.mT).mT
        np.testing.assert_allclose(model.predict(x), expected.detach().numpy(), rtol=0, atol=1e-6)
