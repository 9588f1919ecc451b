"""Replayed steps give the results of plain steps, bit for bit, whatever happens between them."""

import gc
import operator
import tracemalloc
import weakref

import numpy as np
import pytest

from anynet import (
    GELU,
    LSTM,
    SGD,
    Adam,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    HalfSquaredError,
    LossScale,
    Mish,
    Model,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    tree,
)
from anynet.arrays import background, compiling
from anynet.arrays.namespace import namespace
from anynet.arrays.products import matmul
from anynet.backends import replay
from anynet.backends.numpy import NumpyBackend
from anynet.backends.replay import MAX_GRAPHS, ReplayedStep
from anynet.backends.replay.executable import Executable
from anynet.backends.replay.operations import FusedCall
from anynet.backends.replay.trace import trace
from anynet.layers import Layer
from anynet.metrics import Accuracy
from anynet.random import bernoulli, make_key
from anynet.training.step import make_objective, make_step
from tests.backends import replay_differential
from tests.layers.cases import LAYERS
from tests.losses.cases import LOSSES
from tests.optimizers.cases import OPTIMIZERS
from tests.tools import away_from_zero

NETWORK = Sequential([Dense(5), ReLU(), Dense(3)])
LOSS, OPTIMIZER = HalfSquaredError(), SGD(0.01)


def make(layer, input_shape, loss=LOSS, optimizer=OPTIMIZER, metrics=(), dtype="float64"):
    """Return a step and its first carry."""
    dtype = np.dtype(dtype)
    params, _ = layer.init(np.random.default_rng(0), input_shape)
    params = tree.map(lambda a: np.array(a, dtype=dtype), params)
    objective = make_objective(layer, loss, dtype)
    step = make_step(objective, layer, loss, optimizer, metrics, NumpyBackend(compiled=False).elementwise)
    return step, (params, optimizer.init(layer.trainable(params)), make_key(0))


def assert_identical(a, b):
    ours, theirs = list(tree.leaves_with_paths(a)), list(tree.leaves_with_paths(b))
    assert [path for path, _ in ours] == [path for path, _ in theirs]
    for (path, x), (_, y) in zip(ours, theirs, strict=True):
        assert type(x) is type(y) and x.dtype == y.dtype and x.tobytes() == y.tobytes(), path


def assert_replays(step, carry, batches):
    """Take plain and replayed steps, compare all results, and return the replayed step."""
    replayed = ReplayedStep(step, warmup_steps=0)
    plain, other = (tree.map(lambda a: a.copy(), carry) for _ in range(2))
    for batch in batches:
        plain, out = step(plain, *batch)
        other, same = replayed(other, *batch)
        assert_identical((other, same), (plain, out))
    assert replayed._active is not None
    return replayed


def several(make_batch, count=6):
    rng = np.random.default_rng(1)
    return [make_batch(rng) for _ in range(count)]


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "")[:60])
def test_every_layer(row):
    layer, shape, inputs = (*row, away_from_zero)[:3]
    _, output_shape = layer.init(np.random.default_rng(0), shape)
    if any(isinstance(part, tuple) for part in output_shape):
        pytest.skip("several outputs need a loss for several")
    batches = several(lambda rng: (inputs(rng, (4, *shape)), rng.normal(size=(4, *output_shape)), None))
    assert_replays(*make(layer, shape), batches)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("row", LOSSES, ids=lambda row: f"{row[0]}-{row[2].dtype}{row[2].shape}".replace(" ", ""))
def test_every_loss(row, weighted):
    class Outputs(Layer):
        """Trainable predictions times the input."""

        def init(self, rng, input_shape):
            return {"weight": row[1]}, row[1].shape[1:]

        def forward(self, params, x, *, key=None):
            return params["weight"] * x, x

        def backward(self, params, cache, dy, *, need_dx=True):
            return None, {"weight": dy * cache}

    x = np.ones((len(row[1]),) + (1,) * (row[1].ndim - 1))
    weight = np.linspace(0.5, 1.0, len(x)) if weighted else None
    assert_replays(*make(Outputs(), (1,), row[0], SGD(1e-4)), [(x, row[2], weight)] * 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [row[0] for row in OPTIMIZERS], ids=lambda o: str(o).replace(" ", "")[:60])
def test_every_optimizer(optimizer, dtype):
    loss = SoftmaxCrossEntropy()
    batches = several(lambda rng: (rng.normal(size=(7, 4)).astype(dtype), rng.integers(0, 3, 7)), 8)
    assert_replays(*make(NETWORK, (4,), loss, optimizer, [Accuracy()], dtype), batches)


class Twice(SGD):
    """Two updates of the same parameters, in another order: they can be packed for one of them only."""

    def update(self, params, grads, state, elementwise):
        params, state = super().update(params, grads, state, elementwise)
        rows = [(p, 0.5 * g, *slots) for p, g, *slots in tree.zip_leaves(grads, params, grads)]
        elementwise(self.rule)(rows[::-1], self.coefficients(state["step"]))
        return params, state


def test_parameters_of_two_updates():
    batches = several(lambda rng: (rng.normal(size=(7, 4)), rng.normal(size=(7, 3))))
    assert_replays(*make(NETWORK, (4,), optimizer=Twice(0.01)), batches)


def test_shapes_take_turns_and_the_parameters_stay_packed():
    rng = np.random.default_rng(2)
    sizes = [8, 8, 3, 3, 8, 3, 8, 8, 3]
    replayed = assert_replays(
        *make(NETWORK, (4,), optimizer=Adam()), [(rng.normal(size=(n, 4)), rng.normal(size=(n, 3))) for n in sizes]
    )
    assert len(replayed._executables) == 2
    weights = [a for path, a in tree.leaves_with_paths(replayed._carry[0])]
    assert len({id(a.base) for a in weights}) == 1 and all(
        p.is_bound(replayed._leaves) for p in replayed._executables.values()
    )


def test_the_number_of_graphs_is_limited():
    rng = np.random.default_rng(2)
    step, carry = make(NETWORK, (4,))
    replayed = ReplayedStep(step, warmup_steps=0)
    for n in range(1, MAX_GRAPHS + 3):
        for _ in range(3):
            carry, _ = replayed(carry, rng.normal(size=(n, 4)), rng.normal(size=(n, 3)))
    assert len(replayed._executables) == MAX_GRAPHS


def test_noise_differs_between_steps():
    step, carry = make(Sequential([Dropout(0.5), Dense(3)]), (4,), optimizer=SGD(1e-9))
    replayed = ReplayedStep(step, warmup_steps=0)
    batch, losses = (np.ones((8, 4)), np.ones((8, 3))), set()
    for _ in range(10):
        carry, (loss, *_) = replayed(carry, *batch)
        losses.add(float(loss))
    assert replayed._active is not None and len(losses) == 10


def test_conditions_are_joined_whatever_they_were_while_tracing():
    """`finite & all(...)` is NumPy's one and only True as long as all gradients are finite."""
    step, carry = make(NETWORK, (4,), optimizer=LossScale(SGD(0.01)))
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
    overflow = 0.0 * x, np.full((8, 3), 1e304)  # only the gradient of the last bias overflows
    with np.errstate(all="ignore"):
        replayed = assert_replays(step, carry, [(x, y)] * 4 + [overflow] + [(x, y)] * 2)
    assert all(np.isfinite(a).all() for a in tree.leaves(replayed._carry[0]))


def test_a_number_that_changes_outside_of_the_carry_is_noticed():
    """The trace of the first step takes it for a constant; the second step refutes it."""
    outside = {"number": 0.0}

    def step(carry, x):
        return carry, carry + x * outside["number"]

    replayed, carry = ReplayedStep(step, warmup_steps=0), np.ones(3)
    for number in range(4):
        outside["number"] = number + 1.0
        carry, out = replayed(carry, np.ones(3))
        assert out.tolist() == [number + 2.0] * 3
    assert not replayed._executables and not replayed._candidates


def test_a_step_is_traced_once(monkeypatch):
    calls, original = [], replay.trace
    monkeypatch.setattr(replay, "trace", lambda *args: calls.append(1) or original(*args))
    step, carry = make(NETWORK, (4,))
    replayed = ReplayedStep(step, warmup_steps=1)
    for batch in several(lambda rng: (rng.normal(size=(5, 4)), rng.normal(size=(5, 3)))):
        carry, _ = replayed(carry, *batch)
    assert replayed._active is not None and len(calls) == 1 and not replayed._candidates


def model(patience):
    backend = NumpyBackend(compiled=False)
    backend.warmup_steps = patience
    layers = [Dense(5), BatchNorm(), ReLU(), Dense(3)]
    return Model(layers, input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=Adam(0.01), backend=backend)


@pytest.mark.parametrize("reads", [8, 9, 10, 11])
def test_reading_parameters_while_steps_are_verified_only_delays_replay(reads):
    trained = model(8)
    batch = np.ones((5, 4), "float32"), np.arange(5) % 3
    for i in range(40):
        trained.train_step(*batch)
        if i in (reads, reads + 1):
            assert trained.params
    assert trained._compiled.step._active is not None


def test_the_model_may_be_used_between_steps():
    """Read and assign parameters, change the rate, predict, evaluate, fit: the model equals one without replay."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 4)).astype("float32"), rng.integers(0, 3, 30)
    quick, plain = model(0), model(10**9)
    seen = []
    for number in range(40):
        for each in (quick, plain):
            each.train_step(x, y)
            if number == 12:
                seen.append((each.params, tree.map(lambda a: a.copy(), each.params)))
            if number == 17:
                each.params = tree.map(lambda a: 0.5 * a, each.params)
            if number == 22:
                each.learning_rate_factor = 0.5
            if number == 27:
                each.predict(x), each.evaluate(x, y)
            if number == 32:
                each.fit(x, y, epochs=3, batch_size=8)
        assert_identical(quick._owner._state, plain._owner._state)
    assert quick._compiled.step._active is not None
    for handed_out, before in seen:
        assert_identical(handed_out, before)


def test_data_of_other_strides():
    rng = np.random.default_rng(4)
    step, carry = make(NETWORK, (4,), dtype="float32")
    wide, rows = rng.normal(size=(20, 8)).astype("float32"), rng.normal(size=(3, 10)).astype("float32")
    batches = [(wide[i : i + 10, 0:4], rows.T) for i in (0, 1)] + [
        (wide[i : i + 10, ::2], rows.T.copy()) for i in range(4)
    ]
    assert_replays(step, carry, batches)


def test_layouts_of_one_shape_take_turns():
    """NumPy sums in the order of memory, so the last digits depend on the layout."""
    rng = np.random.default_rng(4)
    step, carry = make(Sequential([BatchNorm(), Dense(3)]), (4,), dtype="float32")
    batches = []
    for number in range(30):
        x, y = (rng.normal(size=(33, n)).astype("float32") for n in (4, 3))
        batches.append((np.asfortranarray(x) if number % 3 == 1 else x, y[::-1] if number % 5 == 2 else y))
    assert_replays(step, carry, batches)


def test_the_structure_of_the_optimizer_state_may_change():
    """Setting the learning-rate factor for the first time adds an array to the state."""
    rng = np.random.default_rng(4)
    quick, plain = model(0), model(10**9)
    for size, factor in [(30, None), (20, 0.5), (30, None), (20, None), (30, 0.25), (20, None), (30, None)]:
        x, y = rng.normal(size=(size, 4)).astype("float32"), rng.integers(0, 3, size)
        for each in (quick, plain):
            if factor is not None:
                each.learning_rate_factor = factor
            each.fit(x, y, epochs=5, batch_size=None)
        assert_identical(quick._owner._state, plain._owner._state)


class Odd(Layer):
    """The identity, with an operation that cannot be traced."""

    def forward(self, params, x, *, key=None):
        return self.odd(x), None

    def backward(self, params, cache, dy, *, need_dx=True):
        return dy, {}


class Random(Odd):
    def odd(self, x):
        return x + np.random.normal(size=x.shape)


class Branching(Odd):
    def odd(self, x):
        return x if float(x[0, 0]) > 0 else -x


class Writing(Odd):
    def odd(self, x):
        x = x + 0.0
        x[0, 0] = 1.0
        return x


class Numpy(Odd):
    def odd(self, x):
        return np.cumsum(x, axis=1)


class Masked(Odd):
    def odd(self, x):
        return x + namespace(x).sum(x[x > 0])


class MaskedByArray(Odd):
    def odd(self, x):
        return x + namespace(x).sum(x[np.arange(5) > 2, :])


class Unique(Odd):
    def odd(self, x):
        return x + namespace(x).sum(namespace(x).unique_values(namespace(x).floor(x)))


class Nonzero(Odd):
    def odd(self, x):
        return x + namespace(x).sum(namespace(x).nonzero(x > 0)[0])


class Repeating(Odd):
    def odd(self, x):
        xp = namespace(x)
        return x + xp.sum(xp.repeat(x, xp.astype(x[:, 0] > 0, xp.int64), axis=0))


class Items(Odd):
    def odd(self, x):
        return x * x[0, 0].item()


class Unlisted(Odd):
    def odd(self, x):
        return x + namespace(x).median(x)


class Swallowing(Odd):
    """An exception that only tracers raise may not select another path."""

    def odd(self, x):
        try:
            return x * float(x[0, 0])
        except Exception:
            return x


class ChangingTheBatch(Odd):
    def odd(self, x):
        x *= 1.0
        return x


ODD = [
    Random,
    Branching,
    Writing,
    Numpy,
    Masked,
    MaskedByArray,
    Unique,
    Nonzero,
    Repeating,
    Items,
    Unlisted,
    Swallowing,
]


@pytest.mark.parametrize("odd", [*ODD, ChangingTheBatch])
def test_an_untraceable_step_runs_as_it_is_written(odd):
    step, carry = make(Sequential([odd(), Dense(3)]), (4,))
    replayed, rng, firsts = ReplayedStep(step, warmup_steps=0), np.random.default_rng(0), []
    plain = tree.map(lambda a: a.copy(), carry)
    for _ in range(6):
        batch = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
        carry, (loss, *_) = replayed(carry, *batch)
        plain, _ = step(plain, *batch)
        firsts.append(float(loss))
    assert not replayed._executables and len(set(firsts)) == 6
    if odd is not Random:
        assert_identical(carry, plain)


def test_a_step_beyond_the_memory_limit_runs_as_it_is_written(monkeypatch):
    monkeypatch.setattr("anynet.backends.replay.MAX_REPLAY_BYTES", 1000)
    step, carry = make(NETWORK, (4,))
    replayed = ReplayedStep(step, warmup_steps=0)
    for _ in range(4):
        carry, _ = replayed(carry, np.ones((50, 4)), np.ones((50, 3)))
    assert not replayed._executables


def test_a_step_that_was_interrupted_can_be_repeated():
    """Ctrl-C in the middle of a replayed step."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    step, carry = make(NETWORK, (4,))
    replayed = assert_replays(step, carry, [(x, y)] * 4)
    executable, carry = replayed._active, replayed._carry
    resolvers = executable._resolvers

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    def interrupted(resolve):
        return lambda registers: interrupt if (value := resolve(registers)) is np.maximum else value

    executable._resolvers = [*map(interrupted, resolvers)]
    executable.unbind()
    assert executable.bind(carry, replayed._leaves)
    before = tree.map(lambda a: a.copy(), carry)
    with pytest.raises(KeyboardInterrupt):
        replayed(carry, x, y)
    assert_identical(carry, before)
    executable._resolvers = resolvers
    assert_identical(replayed(carry, x, y), step(before, x, y))
    assert replayed._active is executable


def held_by(make_model, take_steps):
    """Return the bytes that a model holds after training, and its peak in a step, both without its carry; and the model."""
    tracemalloc.start()
    try:
        trained = make_model()
        take_steps(trained)
        gc.collect()
        own = sum(a.nbytes for a in tree.leaves(trained._owner._state))
        held = tracemalloc.get_traced_memory()[0] - own
        tracemalloc.reset_peak()
        take_steps(trained)
        return held, tracemalloc.get_traced_memory()[1] - own, trained
    finally:
        tracemalloc.stop()


def test_results_without_a_buffer_are_released_after_their_last_use():
    """The patches of a convolution take 25 times the memory of its input; a plain step has few of them at a time."""
    x, y = np.zeros((16, 32, 32, 16), "float32"), np.zeros((16, 32, 32, 2), "float32")

    def convolution(patience):
        backend = NumpyBackend(compiled=False)
        backend.warmup_steps = patience
        layers = [Conv2D(2, 5, padding="same")]
        return Model(layers, input_shape=x.shape[1:], loss=HalfSquaredError(), optimizer=SGD(1e-3), backend=backend)

    def steps(trained):
        for _ in range(6):
            trained.train_step(x, y)

    _, plain_peak, _ = held_by(lambda: convolution(10**9), steps)
    held, peak, trained = held_by(lambda: convolution(0), steps)
    assert trained._compiled.step._active is not None
    assert held < 2**23 and peak < plain_peak + 2**23


def test_all_executables_of_a_model_have_one_memory_limit():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(180_000, 8)).astype("float32"), rng.integers(0, 2, 180_000)

    def wide():
        backend = NumpyBackend(compiled=False)
        backend.warmup_steps = 0
        layers = [ReLU(), BatchNorm(), Tanh(), Dense(2)]
        return Model(layers, input_shape=8, loss=SoftmaxCrossEntropy(), optimizer=SGD(1e-3), backend=backend)

    def steps(trained):
        for size in (180_000, 100_000, 90_000, 80_000, 7_000):
            for _ in range(4):
                trained.train_step(x[:size], y[:size])
            trained.fit(x[:size], y[:size], batch_size=None, epochs=4)

    held, _, trained = held_by(wide, steps)
    assert len(trained._compiled.step._executables) > 1
    assert held < 2**26


def test_a_batch_is_released():
    rng = np.random.default_rng(0)
    step, carry = make(NETWORK, (4,))
    replayed = assert_replays(step, carry, several(lambda rng: (rng.normal(size=(5, 4)), rng.normal(size=(5, 3)))))
    x, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    seen = weakref.ref(x), weakref.ref(y)
    replayed(replayed._carry, x, y)
    del x, y
    assert seen[0]() is None and seen[1]() is None


def test_the_arrays_of_an_old_carry_are_released():
    """No executable stays bound to a carry that was replaced from outside."""
    rng = np.random.default_rng(0)
    step, carry = make(NETWORK, (4,), optimizer=Adam())
    batches = [(rng.normal(size=(n, 4)), rng.normal(size=(n, 3))) for n in (5, 6)]
    replayed = assert_replays(step, carry, [batch for batch in batches for _ in range(4)])
    old = [weakref.ref(leaf) for leaf in tree.leaves(replayed._carry) if isinstance(leaf, np.ndarray)]
    carry = tree.map(lambda a: a.copy(), replayed._carry)
    for _ in range(2):
        carry, _ = replayed(carry, *batches[0])
    gc.collect()
    assert len(replayed._executables) == 2 and not any(seen() is not None for seen in old)


def test_random_networks_with_random_events_in_between():
    """A small part of `python -m tests.backends.replay_differential`."""
    lines = []
    assert replay_differential.run(networks=12, steps=25, seed=1, report=lines.append) == 0, "\n".join(lines)
    assert " 300 steps" in lines[-1] and " 0 of them replayed" not in lines[-1], lines[-1]


def test_the_differential_test_sees_a_difference(monkeypatch):
    bind = Executable.bind

    def bind_wrongly(self, carry, leaves):
        is_bound = bind(self, carry, leaves)
        step = self.run

        def wrong(leaves, batch):
            carry, out = step(leaves, batch)
            if self.unsound:
                next(a for a in tree.leaves(carry[0]) if a.ndim)[...] *= 1.0001
            self.unsound = True  # but equal in the step that is verified
            return carry, out

        self.run = wrong
        return is_bound

    monkeypatch.setattr(Executable, "unsound", False, raising=False)
    monkeypatch.setattr(Executable, "bind", bind_wrongly)
    assert replay_differential.run(networks=3, steps=25, seed=1, report=lambda line: None) > 0


@pytest.mark.parametrize("threads", [1, 3])
def test_products_in_blocks_are_replayed_in_buffers(threads):
    step, carry = make(Sequential([Dense(512), ReLU(), Dense(300)]), (300,), dtype="float32")

    def batch(rng):
        return rng.normal(size=(96, 300)).astype("float32"), rng.normal(size=(96, 300)).astype("float32"), None

    with NumpyBackend(threads=threads).activate():
        replayed = assert_replays(step, carry, several(batch))
    written = list(replayed._active._plan.out_functions.values())
    assert written.count(matmul) == 5 and np.matmul not in written


@pytest.mark.skipif(not compiling.is_available(), reason="llvmlite, the extra 'fast', is not installed")
def test_large_activations_are_one_node_before_and_after_they_are_compiled(monkeypatch):
    """Steps as written, compiled, and replayed from before the compiler has finished are the same, bit for bit."""
    layers, rng = [Dense(200), GELU(), Dense(200), Mish(), Dropout(0.3), Dense(3)], np.random.default_rng(0)
    batches = [(rng.normal(size=(100, 4)).astype("float32"), np.arange(100) % 3) for _ in range(20)]

    def train(warmup_steps, wait_after=None):
        backend = NumpyBackend()
        backend.warmup_steps = warmup_steps
        model = Model(layers, input_shape=4, loss=SoftmaxCrossEntropy(), optimizer=Adam(), backend=backend)
        for i, (x, y) in enumerate(batches):
            model.train_step(x, y)
            if i == wait_after:
                background.wait()
        return model.params

    with monkeypatch.context() as patch:
        patch.setattr(compiling.Elementwise, "results", lambda self, *args: None)
        patch.setattr(compiling, "LARGE", 10**9)
        expected = train(10**9)
        assert_identical(train(2), expected)
    monkeypatch.setattr(compiling, "WORTHWHILE", 0.0)
    calls = []
    write = compiling.Elementwise.write
    monkeypatch.setattr(compiling.Elementwise, "write", lambda *args: calls.append(1) or write(*args))
    assert_identical(train(2, wait_after=10), expected)
    assert_identical(train(10**9), expected)
    assert len(calls) > len(batches)  # several per replayed step


@pytest.mark.skipif(not compiling.is_available(), reason="llvmlite, the extra 'fast', is not installed")
def test_a_large_dropout_mask_takes_two_formulas():
    key = make_key(0)
    graph = trace(lambda carry, x: (carry, bernoulli(carry, 0.5, (400, 200))), key, (np.ones(1),))
    formulas = [node.function for node in graph.nodes if isinstance(node.function, FusedCall)]
    assert [formula.function.function.__name__ for formula in formulas] == ["_encrypt", "_halves"]
    assert not [node for node in graph.nodes if node.function in (operator.xor, operator.lshift)]


@pytest.mark.skipif(not compiling.is_available(), reason="llvmlite, the extra 'fast', is not installed")
def test_formulas_of_one_loop_are_compiled_for_smaller_arrays(monkeypatch):
    """Those with enough operations and without a function such as tanh, which only NumPy computes."""
    monkeypatch.setattr(compiling, "WORTHWHILE", 0.0)
    rng = np.random.default_rng(0)

    def parts(units):
        """Return a step, its first carry, a batch, and the formulas that are nodes of its graph."""
        step, carry = make(LSTM(units, sequences=False), (3, 2), dtype="float32")
        batch = [rng.normal(size=(32, *shape)).astype("float32") for shape in ((3, 2), (units,))]
        graph = trace(step, tree.map(lambda a: a.copy(), carry), batch)
        return step, carry, batch, {n.function.function for n in graph.nodes if isinstance(n.function, FusedCall)}

    assert not parts(4)[3]
    step, carry, batch, (formula,) = parts(16)
    assert formula.function.__name__ == "lstm_gradients"
    replayed, plain = ReplayedStep(step, warmup_steps=0), tree.map(lambda a: a.copy(), carry)
    for number in range(12):
        plain, _ = step(plain, *batch)
        carry, _ = replayed(carry, *batch)
        if number == 6:
            background.wait()
        assert_identical(carry, plain)
    assert any(pending.program is not None for pending in formula.pending.values())
