"""Train random networks with and without replay, with random events in between, and compare each step bit for bit.

    python -m tests.backends.replay_differential --networks 1000 --steps 60 --seed 0

The last line counts networks, steps, replayed steps and differences; the exit status is 1 if there is any difference or
unexpected exception. NaNs are equal whatever their sign and payload, which no operation of NumPy defines.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass, field

import numpy as np

import anynet as nn
from anynet import tree
from anynet.backends.numpy import NumpyBackend
from anynet.callbacks import Callback

NEVER = 10**9


def pick(rng, *choices):
    """Return one of the choices."""
    return choices[rng.integers(len(choices))]


# -- networks -----------------------------------------------------------------------------------------------------------


def activation(rng):
    kinds = (
        nn.ReLU,
        nn.Sigmoid,
        nn.Tanh,
        nn.LeakyReLU,
        nn.PReLU,
        nn.ELU,
        nn.SELU,
        nn.GELU,
        nn.SiLU,
        nn.Softplus,
        nn.Mish,
    )
    return pick(rng, *kinds, nn.Identity)()


def dense_block(rng, width):
    """Return layers that take and return `width` features."""
    noise = (nn.Dropout(0.3), nn.GaussianNoise(0.1), nn.AlphaDropout(0.2))
    return pick(
        rng,
        [nn.Dense(width, use_bias=bool(rng.integers(2))), activation(rng)],
        [nn.Dense(width), nn.BatchNorm(), activation(rng)],
        [nn.LayerNorm(), nn.Dense(width)],
        [nn.RMSNorm(), pick(rng, *noise)],
        [nn.Residual([nn.Dense(width), activation(rng), pick(rng, *noise)])],
        [nn.Parallel([nn.Dense(width), [activation(rng), nn.Dense(width)]], combine="add")],
        [nn.Repeat([nn.Dense(width), nn.Tanh()], 2)],
        [nn.Frozen(nn.Dense(width)), activation(rng)],
    )


def network(rng):
    """Return layers without the last, the shape of an example, and the number of indices if it takes them."""
    width = int(rng.integers(2, 9))
    body = [layer for _ in range(rng.integers(0, 4)) for layer in dense_block(rng, width)]
    kind = rng.random()
    if kind < 0.15:
        image = (int(rng.integers(4, 8)), int(rng.integers(4, 8)), int(rng.integers(1, 3)))
        convolution = nn.Conv2D(
            int(rng.integers(1, 4)), int(rng.integers(1, 4)), padding="same", stride=int(rng.integers(1, 3))
        )
        pool = pick(rng, nn.MaxPool2D(2), nn.AvgPool2D(2), nn.Identity(), nn.BatchNorm())
        ends = pick(rng, [nn.Flatten()], [nn.GlobalAvgPool2D()])
        return [convolution, activation(rng), pool, *ends, nn.Dense(width), *body], image, None
    if kind < 0.25:
        entries = int(rng.integers(3, 20))
        return [nn.Embedding(entries, width), nn.Flatten(), nn.Dense(width), *body], (int(rng.integers(1, 4)),), entries
    return [nn.Dense(width), activation(rng), *body], (int(rng.integers(1, 9)),), None


def optimizer(rng):
    rate = pick(rng, 0.01, 0.003, nn.StepDecay(0.01, 7), nn.CosineDecay(0.01, steps=40))
    inner = pick(
        rng,
        nn.SGD(rate),
        nn.SGD(rate, momentum=0.9, nesterov=bool(rng.integers(2))),
        nn.Adam(rate, amsgrad=bool(rng.integers(2))),
        nn.AdamW(rate),
        nn.RMSprop(rate, momentum=0.5, centered=True),
        nn.Adagrad(rate),
        nn.Adadelta(rate),
        nn.Nadam(rate),
        nn.RAdam(rate),
        nn.Lion(0.001),
        nn.Muon(rate),
        nn.Groups(nn.Adam(rate), {1: {"learning_rate": 0.02}}),
    )
    for _ in range(rng.integers(0, 3)):
        inner = pick(
            rng,
            nn.Clip(inner, norm=1.0),
            nn.Clip(inner, value=0.1),
            nn.MaxNorm(inner, 1.5),
            nn.EMA(inner, decay=0.9),
            nn.SWA(inner, start=2, every=3),
            nn.Accumulate(inner, steps=int(rng.integers(1, 4))),
            nn.LossScale(inner, every=5),
        )
    return inner


def make_case(rng):
    """Return the arguments of a model, and a function that makes the batch of a size."""
    layers, shape, entries = network(rng)
    outputs = int(rng.integers(1, 5))
    classes = outputs + 1
    half = rng.random() < 0.2
    losses = (nn.HalfSquaredError(), nn.MeanSquaredError(), nn.MeanAbsoluteError(), nn.Huber(), nn.LogCosh())
    classification = rng.random() < 0.4
    if classification:
        weights = tuple(np.linspace(0.5, 1.5, classes).tolist())
        loss = pick(rng, nn.SoftmaxCrossEntropy(), nn.SoftmaxCrossEntropy(label_smoothing=0.1, class_weight=weights))
        metrics = pick(rng, [], ["accuracy"], [nn.Accuracy(), nn.Precision(), nn.F1(), nn.ConfusionMatrix(classes)])
    elif rng.random() < 0.3:
        loss = pick(rng, nn.SigmoidCrossEntropy(), nn.SigmoidCrossEntropy(pos_weight=(2.0,) * outputs))
        metrics = pick(rng, [], ["accuracy"])
    else:
        loss = pick(rng, *losses)
        metrics = pick(rng, [], [nn.MAE(), nn.RMSE(), nn.MeanSquaredError()])
    case_optimizer = optimizer(rng)
    arguments = {
        "layers": [*layers, nn.Dense(classes if classification else outputs)],
        "input_shape": shape,
        "loss": loss,
        "optimizer": nn.LossScale(case_optimizer, every=5) if half else case_optimizer,
        "metrics": metrics,
        "regularizer": pick(rng, None, None, nn.L2(1e-3), nn.L1(1e-3) + nn.L2(1e-3)),
        "dtype": pick(rng, "float32", "float64"),
        "compute_dtype": "float16" if half else None,
        "seed": int(rng.integers(100)),
    }

    def make_batch(size):
        x = rng.integers(0, entries, (size, *shape)) if entries else rng.normal(size=(size, *shape)).astype("float32")
        if classification:
            return x, rng.integers(0, classes, size)
        y = rng.normal(size=(size, outputs))
        return x, (y > 0).astype("float32") if isinstance(loss, nn.SigmoidCrossEntropy) else y

    return arguments, make_batch


# -- events -------------------------------------------------------------------------------------------------------------


def layout(rng, a):
    """Return an equal array that may lie in memory in another way."""
    wide = np.concatenate([a, a], axis=-1)[..., : a.shape[-1]]
    return pick(rng, a, a, np.asfortranarray(a), a[::-1].copy()[::-1], np.repeat(a, 2, axis=0)[::2], wide)


class Break(Callback):
    def on_epoch_end(self, *_):
        raise KeyboardInterrupt


@dataclass
class Pair:
    """A model that is replayed as soon as possible, and an equal one that never is."""

    quick: nn.Model
    plain: nn.Model
    lent: list = field(default_factory=list)

    def both(self, action):
        """Do something with both; return the results, or the exceptions, if they agree in kind."""
        results = []
        for model in (self.quick, self.plain):
            try:
                results.append(action(model))
            except (IndexError, ValueError, FloatingPointError, KeyboardInterrupt) as error:
                results.append(type(error))
        return results

    def event(self, rng, make_batch):
        """Do something between two steps."""
        kind = rng.integers(11)
        if kind == 0:
            self.lent = [(model.params, tree.map(np.array, model.params)) for model in (self.quick, self.plain)]
        elif kind == 1:
            self.both(lambda model: setattr(model, "params", tree.map(lambda a: 0.9 * a, model.params)))
        elif kind == 2:
            factor = float(rng.uniform(0.2, 1.5))
            self.both(lambda model: setattr(model, "learning_rate_factor", factor))
        elif kind in (3, 4):
            number = int(rng.integers(len(self.quick.layer.layers)))
            self.both(lambda model: (model.freeze if kind == 3 else model.unfreeze)(number))
        elif kind == 5:
            x, y = make_batch(int(rng.integers(1, 30)))
            self.both(lambda model: model.fit(x, y, batch_size=7, epochs=int(len(x) % 3) + 1, progress=False))
        elif kind == 6:
            x, y = make_batch(5)
            self.both(lambda model: (model.predict(x), model.evaluate(x, y), model.gradients(x, y)))
        elif kind == 7:  # breaks off in the middle of a step: an index or a label out of range, or a wrong shape
            x, y = make_batch(7)
            bad = (x + 1000 if x.dtype.kind == "i" else x), (y + 1000 if y.dtype.kind == "i" else y[:3])
            self.both(lambda model: model.train_step(*bad))
        elif kind == 8:
            x, y = make_batch(7)
            self.both(lambda model: model.fit(x, y, epochs=2, callbacks=[Break()], progress=False))
        elif kind == 9:
            x, y = make_batch(7)
            with np.errstate(over="raise"):
                self.both(lambda model: model.predict(x * 10 ** int(rng.integers(30)) if x.dtype.kind == "f" else x))
        else:
            self.both(lambda model: model.averaged())

    def difference(self):
        """Return where the two differ, or None."""
        ours, theirs = (list(tree.leaves_with_paths(model._owner._state)) for model in (self.quick, self.plain))
        if [path for path, _ in ours] != [path for path, _ in theirs]:
            return "structure"
        for (path, a), (_, b) in zip(ours, theirs, strict=True):
            if not same_bits(a, b):
                return tree.name(path)
        for handed_out, before in self.lent:
            if not all(map(same_bits, tree.leaves(handed_out), tree.leaves(before))):
                return "parameters that were handed out"
        return None


def same_bits(a, b):
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.tobytes() == b.tobytes():
        return True
    if a.dtype.kind != "f":
        return False
    both = np.isnan(a) & np.isnan(b)
    return np.where(both, 0, a).tobytes() == np.where(both, 0, b).tobytes()


def make_model(arguments, patience):
    backend = NumpyBackend(compiled=False)
    backend.warmup_steps = patience
    return nn.Model(backend=backend, **arguments)


def compare(seed, number, steps):
    """Train one pair; return the numbers of steps and of replayed ones, and what differed, or None."""
    rng = np.random.default_rng((seed, number))
    arguments, make_batch = make_case(rng)
    pair = Pair(make_model(arguments, int(rng.integers(0, 3))), make_model(arguments, NEVER))
    sizes, replayed = [int(n) for n in rng.integers(1, 12, 2)], 0
    weighted = rng.random() < 0.3
    arranged = rng.random() < 0.5
    for step in range(steps):
        if rng.random() < 0.15:
            pair.event(rng, make_batch)
        if rng.random() < 0.05:
            sizes[rng.integers(2)] = int(rng.integers(1, 12))
        size = sizes[int(rng.random() < 0.3)]
        x, y = make_batch(size)
        if arranged and rng.random() < 0.3:
            x, y = layout(rng, x), layout(rng, y)
        weight = rng.uniform(0.0, 1.0, size) if weighted and rng.random() < 0.8 else None
        before = pair.quick._owner._state
        ours, theirs = pair.both(lambda model: model.train_step(x, y, weight))  # noqa: B023 - used at once
        replayed += (
            getattr(pair.quick._compiled.step, "_active", None) is not None and before is not pair.quick._owner._state
        )
        if isinstance(ours, type) or isinstance(theirs, type):
            if ours is not theirs:
                return step, replayed, f"step {step}: {ours} and {theirs}"
        elif not same_bits(ours, theirs):
            return step, replayed, f"step {step}: the loss, {ours} and {theirs}"
        if (where := pair.difference()) is not None:
            return step, replayed, f"step {step}: {where}"
    return steps, replayed, None


def run(networks, steps, seed, first=0, report=print):
    """Compare some networks; return the number of differences."""
    taken = replayed = 0
    differing = []
    for number in range(first, first + networks):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                done, quick, difference = compare(seed, number, steps)
            except Exception as error:
                done, quick, difference = 0, 0, f"{type(error).__name__}: {error}"
        taken, replayed = taken + done, replayed + quick
        if difference is not None:
            differing.append(number)
            report(f"network {number} of seed {seed}: {difference}")
    report(
        f"{networks} networks, {taken} steps, {replayed} of them replayed, {len(differing)} differences"
        + (f", in networks {differing}" if differing else "")
    )
    return len(differing)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first network")
    arguments = parser.parse_args()
    sys.exit(run(**vars(arguments)) > 0)


if __name__ == "__main__":
    main()
