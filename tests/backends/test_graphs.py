"""CUDA graphs leave the bits of plain steps, or are refused with a reason."""

import numpy as np
import pytest

from anynet import (
    EMA,
    L1,
    L2,
    LBFGS,
    R2,
    ROCAUC,
    SGD,
    Accumulate,
    Adam,
    BatchNorm,
    Callback,
    Checkpoint,
    Clip,
    ConfusionMatrix,
    Conv2D,
    CosineDecay,
    Dense,
    Dropout,
    Flatten,
    Losses,
    LossScale,
    MaxPool2D,
    MeanSquaredError,
    Model,
    Parallel,
    ReduceLROnPlateau,
    ReLU,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    TopK,
    random,
    tree,
)
from anynet.backends import info
from anynet.backends.base import Backend
from tests.conftest import KINDS
from tests.layers.cases import LAYERS
from tests.losses.cases import LOSSES
from tests.optimizers.cases import OPTIMIZERS
from tests.tools import assert_same, away_from_zero, fetch, place

pytestmark = pytest.mark.without(*(kind for kind in KINDS if kind not in ("cupy", "cupy:1")))

RNG = np.random.default_rng(0)
X = RNG.normal(size=(26, 2, 3)).astype(np.float32)
LABELS = np.arange(26) % 3
STEPS = 4
"""Steps of a chunk; 26 examples in batches of 3 are two chunks and the last two examples."""


@pytest.fixture
def loops(backend, monkeypatch):
    """Return backends with graphs of few steps and without graphs, and the graphs launched."""
    from anynet.backends import cupy_recording
    from anynet.backends.cupy import CupyBackend

    class WithGraphs(CupyBackend):
        replayable = True
        steps_per_call = STEPS

    class Plain(WithGraphs):
        replayable = True
        loop = Backend.loop

    launched, run = [], cupy_recording.Recording.run
    monkeypatch.setattr(
        cupy_recording.Recording, "run", lambda self, *args: launched.append(id(self)) or run(self, *args)
    )
    device = backend.name.partition(":")[2] or None
    return WithGraphs(device), Plain(device), launched


def train(backend, layers=None, data=(X, LABELS), epochs=3, **settings):
    """Return what a training run leaves: the state and the history."""
    layers = layers or [Flatten(), Dense(8), BatchNorm(), ReLU(), Dropout(0.5), Dense(3)]
    fit = {
        name: settings.pop(name)
        for name in ("sample_weight", "callbacks", "shuffle", "batch_size", "resume")
        if name in settings
    }
    settings = {"loss": SoftmaxCrossEntropy(), "optimizer": Adam(0.05), **settings}
    model = Model(layers, input_shape=data[0].shape[1:], backend=backend, **settings)
    history = model.fit(*data, epochs=epochs, **{"batch_size": 3, **fit})
    return [fetch(backend, list(model.state)), {name: np.array(values) for name, values in history.items()}]


def assert_graphs_agree(loops, **settings):
    graphs, plain, launched = loops
    actual = train(graphs, **settings)
    assert graphs.graph.startswith("yes")
    assert len(launched) >= 2 + 3, "two chunks are verified, the others run as graphs alone"
    assert_same(actual, train(plain, **settings))
    assert len(launched) >= 5


# -- the contract tables -------------------------------------------------------------------------------------------------


def assert_chunks_agree(backend, step, carry, data):
    """Run five chunks with and without graphs; the last two run as graphs alone."""
    from anynet.backends.cupy_graph import GraphLoop

    plain, reasons = Backend.loop(backend, step), []
    results = []
    for loop in (plain, GraphLoop(step, plain, lambda reason, *_: reasons.append(reason))):
        with backend.activate():
            now, outs = tree.map(lambda a: a.copy(), carry), []
            order = backend.asarray(np.random.default_rng(1).permutation(60))
            for start in range(0, 60, 3 * STEPS):
                now, some = loop(now, data, order, start, start + 3 * STEPS, 3)
                outs += some
            results.append(fetch(backend, [now, outs]))
    assert reasons == [""]
    assert_same(*results)


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
def test_layers(row, backend):
    layer, shape, *inputs = row
    rng = np.random.default_rng(0)
    params, output_shape = layer.init(rng, shape)
    x = place(backend, (inputs[0] if inputs else away_from_zero)(rng, (60, *shape)), "float32")
    dy = place(backend, rng.normal(size=(60, *output_shape)), "float32")

    def step(carry, x, dy):
        params, key = carry
        y, cache = layer.forward(params, x, key=key)
        dx, grads = layer.backward(params, cache, dy, need_dx=not layer.integer_input)
        new = [p - 0.1 * g for p, g in zip(tree.leaves(params, like=grads), tree.leaves(grads), strict=True)]
        params = layer.update_buffers(tree.set_leaves(params, iter(new), like=grads), cache)
        return (params, random.next_key(key)), (y, dx)

    assert_chunks_agree(backend, step, place(backend, (params, random.make_key(0)), "float32"), (x, dy))


@pytest.mark.parametrize("row", LOSSES, ids=lambda row: f"{row[0]}-{row[2].shape}".replace(" ", ""))
@pytest.mark.parametrize("weighted", [False, True])
def test_losses(row, weighted, backend):
    loss, y_pred, y_true = row
    rows = np.random.default_rng(0).integers(0, len(y_pred), 60)
    data = place(backend, (y_pred[rows], y_true[rows], np.linspace(0.1, 2, 60)), "float32")

    def step(carry, y_pred, y_true, weight=None):
        targets = loss.targets(y_true, y_pred.shape[1:], backend.dtype("float32"))
        value, cache = loss.forward(targets, y_pred, weight)
        return carry + value, (value, loss.backward(cache), loss.effective_weights(value, targets, weight))

    carry = place(backend, np.zeros(()), "float32")
    assert_chunks_agree(backend, step, carry, data if weighted else (*data[:2], None))


@pytest.mark.parametrize("optimizer", [row[0] for row in OPTIMIZERS], ids=lambda o: repr(o)[:60])
def test_optimizers(optimizer, loops):
    assert_graphs_agree(loops, optimizer=optimizer)


# -- everything else that enters a step ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"shuffle": False},
        {"batch_size": 13},
        {"dtype": "float64"},
        {"sample_weight": np.linspace(0.0, 2.0, 26)},
        {"metrics": ["accuracy", ConfusionMatrix(), TopK(2)]},
        {"regularizer": L2(0.1) + L1(0.1, per_example=True)},
        {"optimizer": Clip(Adam(CosineDecay(0.1, steps=20)), norm=0.1)},
        {"optimizer": EMA(Accumulate(SGD(0.1, momentum=0.9), steps=3), decay=0.9)},
        {"compute_dtype": "float16", "optimizer": LossScale(Adam(0.05), initial=2.0**20, every=5)},
        {"callbacks": [ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=1e9)]},
    ],
    ids=lambda settings: repr(settings)[:60],
)
def test_training(settings, loops):
    assert_graphs_agree(loops, epochs=8, **settings)


def test_metrics_that_keep_their_examples(loops):
    data = X, (LABELS[:, None] == 1).astype(np.float32)
    layers = [Flatten(), Dense(4), Dense(1)]
    assert_graphs_agree(loops, layers=layers, data=data, loss=SigmoidCrossEntropy(), metrics=[ROCAUC(), R2()])


def test_a_convolutional_network(loops):
    data = RNG.normal(size=(26, 6, 6, 2)).astype(np.float32), LABELS
    layers = [Conv2D(4, 3), ReLU(), Conv2D(4, 2, groups=2), MaxPool2D(2), Flatten(), Dense(3)]
    assert_graphs_agree(loops, layers=layers, data=data)


def test_several_inputs_and_outputs(loops):
    graphs, plain, launched = loops
    results = []
    for backend in (graphs, plain):
        layer = Parallel([[Flatten(), Dense(3)], Dense(2)], combine=None)
        model = Model(
            layer,
            input_shape=((2, 3), (4,)),
            loss=Losses([SoftmaxCrossEntropy(), MeanSquaredError()]),
            optimizer=Adam(0.05),
            backend=backend,
        )
        rng = np.random.default_rng(1)
        x, y = (X, rng.normal(size=(26, 4))), (LABELS, rng.normal(size=(26, 2)))
        model.fit(x, y, epochs=3, batch_size=3)
        results.append(fetch(backend, list(model.state)))
    assert graphs.graph.startswith("yes") and len(launched) >= 5
    assert_same(*results)


def test_data_in_a_file(loops, tmp_path):
    np.save(tmp_path / "x.npy", X)
    assert_graphs_agree(loops, data=(np.load(tmp_path / "x.npy", mmap_mode="r"), LABELS))


def test_new_data_needs_no_new_graph(loops):
    graphs, plain, launched = loops
    results = []
    for backend in (graphs, plain):
        model = Model(
            [Flatten(), Dense(3)], input_shape=(2, 3), loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend
        )
        for count in (26, 26, 15):
            model.fit(2 * X[:count], LABELS[:count], epochs=2, batch_size=3)
        results.append(fetch(backend, list(model.state)))
    assert_same(*results)
    assert len(set(launched)) == 1


def test_arrays_that_the_user_holds_never_change(loops):
    graphs, _, launched = loops
    model = Model(
        [Flatten(), Dense(3)], input_shape=(2, 3), loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=graphs
    )
    held = []

    class Holder(Callback):
        def on_batch_end(self, run):
            held.append((run.model.params, fetch(graphs, run.model.params), run.loss, float(run.loss)))

    model.fit(X, LABELS, epochs=4, batch_size=3, callbacks=[Holder()])
    assert len(held) == 4 * 3 and len(launched) >= 6
    for params, before, loss, value in held:
        assert_same(fetch(graphs, params), before)
        assert float(loss) == value


def test_a_resumed_run_leaves_the_bits_of_one_that_was_not_interrupted(loops, tmp_path):
    graphs, plain, _ = loops
    path = tmp_path / "run.safetensors"
    expected = train(graphs, epochs=6)
    train(graphs, epochs=4, callbacks=[Checkpoint(path)])
    assert_same(train(graphs, epochs=6, resume=path), expected)
    assert_same(train(plain, epochs=6), expected)


def test_many_parameters(backend):
    """More addresses than one launch writes."""
    params = place(backend, [np.full(2, i) for i in range(500)], "float32")

    def step(carry, x):
        return [p + x[0, 0] for p in carry], carry[0][0]

    assert_chunks_agree(backend, step, params, (place(backend, RNG.normal(size=(60, 1)), "float32"),))


# -- reasons to run plainly ---------------------------------------------------------------------------------------------


def reports(backend, step, data=None):
    """Return the reports of a loop, without repetitions, after a comparison with plain steps."""
    from anynet.backends.cupy_graph import GraphLoop

    plain, reasons, results = Backend.loop(backend, step), [], []
    for run in (plain, GraphLoop(step, plain, lambda reason, *_: reasons.append(reason))):
        with backend.activate():
            now, outs = place(backend, np.zeros(()), "float32"), []
            rows = place(backend, np.arange(12.0).reshape(6, 2), "float32") if data is None else data
            for _ in range(5):
                now, some = run(now, (rows,), None, 0, 6, 2)
                outs += some
            results.append(fetch(backend, [now, outs]))
    assert_same(*results)
    return list(dict.fromkeys(reasons))


def test_a_step_without_a_reason(backend):
    assert reports(backend, lambda carry, x: (carry + x[0, 0], carry)) == [""]


def test_a_step_that_waits_for_the_device(backend):
    (reason,) = reports(backend, lambda carry, x: (carry + float(x[0, 0]), carry))
    assert "D2H" in reason


def test_a_step_that_uploads_an_array(backend):
    (reason,) = reports(backend, lambda carry, x: (carry + backend.asarray(np.ones(3, np.float32))[0], carry))
    assert "H2D" in reason


def test_a_product_by_the_operator(backend):
    (reason,) = reports(backend, lambda carry, x: (carry + (x @ x.T)[0, 0], carry))
    assert "cuBLAS" in reason


def test_a_step_that_raises_only_while_it_is_recorded(backend):
    from anynet.arrays import cupy_products

    def step(carry, x):
        if getattr(cupy_products._thread, "matmul", None) is not None:
            raise KeyError("recorded")
        return carry + x[0, 0], carry

    assert reports(backend, step) == ["KeyError: 'recorded'"]


def test_a_carry_whose_dtype_changes(backend):
    def step(carry, x):
        return carry.astype("float64" if carry.dtype == np.float32 else "float32"), x[0, 0]

    assert reports(backend, step) == ["a shape or dtype of the carry or the output of a step changes"]


def test_a_step_with_hidden_state_that_the_declaration_denies(backend):
    """The verification finds what a wrong `replayable = True` lets through."""
    calls = {}

    def step(carry, x):
        calls[len(calls)] = None
        return carry + float(len(calls) // 1000) + len(calls) % 7, carry

    from anynet.backends.cupy_graph import GraphLoop

    plain, reasons = Backend.loop(backend, step), []
    run = GraphLoop(step, plain, lambda reason, *_: reasons.append(reason))
    with backend.activate():
        now, rows = place(backend, np.zeros(()), "float32"), place(backend, np.ones((6, 2)), "float32")
        for _ in range(4):
            now, _ = run(now, (rows,), None, 0, 6, 2)
    assert reasons == ["its results differ from those of plain steps in some bit"]


def test_too_little_memory(backend, monkeypatch):
    from anynet.backends import cupy_graph

    monkeypatch.setattr(cupy_graph, "MAX_GRAPH_BYTES", 2**20)
    (reason,) = reports(backend, lambda carry, x: (carry + x[0, 0], carry))
    assert reason.startswith("OutOfMemoryError")


def test_cublas_that_is_not_found(backend, monkeypatch):
    from anynet.backends import cupy_recording

    def missing(device):
        raise OSError("libcublas.so: cannot open shared object file")

    monkeypatch.setattr(cupy_recording, "_cublas", missing)
    reason = "OSError: libcublas.so: cannot open shared object file"
    assert reports(backend, lambda carry, x: (carry + x[0, 0], carry)) == [reason]


def test_a_launch_that_fails(backend, monkeypatch):
    from anynet.backends import cupy_graph

    run, calls = cupy_graph.Recording.run, []

    def fails_later(self, *args):
        calls.append(None)
        if len(calls) > cupy_graph.VERIFY_CHUNKS:
            raise RuntimeError("cudaErrorLaunchFailure")
        return run(self, *args)

    monkeypatch.setattr(cupy_graph.Recording, "run", fails_later)
    reason = "RuntimeError: cudaErrorLaunchFailure"
    assert reports(backend, lambda carry, x: (carry + x[0, 0], carry)) == ["", reason]


def test_data_that_is_not_contiguous(backend, monkeypatch):
    from anynet.backends import cupy_graph

    monkeypatch.setattr(cupy_graph, "Recording", None)
    data = place(backend, np.arange(12.0).reshape(2, 6), "float32").T
    (reason,) = reports(backend, lambda carry, x: (carry + x[0, 0], carry), data)
    assert "contiguous" in reason


def test_another_stream_gets_another_graph(loops):
    import cupy

    graphs, plain, _ = loops
    with graphs.activate(), cupy.cuda.Stream(non_blocking=True) as stream:
        one = train(graphs)
        stream.synchronize()
    assert_same(one, train(plain))
    assert graphs.graph.startswith("yes")


def test_an_optimizer_that_decides_on_the_host(loops):
    graphs, _, launched = loops
    train(graphs, optimizer=LBFGS(iterations=2), batch_size=None, layers=[Flatten(), Dense(3)])
    assert graphs.graph == "no: the optimizer decides on the host" and not launched
    assert "the optimizer decides on the host" in info().backends["cupy"]["slower in this process"]


def test_parts_that_may_have_hidden_state(loops):
    class Custom(ReLU):
        pass

    graphs, _, launched = loops
    train(graphs, layers=[Flatten(), Custom(), Dense(3)])
    assert graphs.graph.startswith("no: ") and "Custom may have hidden state" in graphs.graph and not launched
    Custom.replayable = True
    train(graphs, layers=[Flatten(), Custom(), Dense(3)])
    assert graphs.graph.startswith("yes") and launched
