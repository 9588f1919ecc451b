"""A run that a test kills: dropout, momentum, shuffling, a schedule, and checkpoints as fast as the disk takes them.

python run.py BACKEND FOLDER: trains to the end, from the checkpoint in FOLDER if there is one, and writes end.npz. The file
graph.txt is about CUDA graphs.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anynet import SGD, Dense, Dropout, Model, ReLU, SoftmaxCrossEntropy, load_digits
from anynet.callbacks import Checkpoint


@dataclass(frozen=True)
class Slower:
    """A learning rate that falls as 1/(1 + t/100)."""

    replayable = True  # so that the steps are replayed, or run as CUDA graphs
    start: float

    def __call__(self, step):
        return self.start / (1.0 + step / 100.0)


def train(backend, folder, epochs=6, callbacks=(), seconds=0.002):
    path = Path(folder) / "run.safetensors"
    (x, y), _ = load_digits()
    model = Model(
        [Dense(32), ReLU(), Dropout(0.3), Dense(10)],
        input_shape=64,
        loss=SoftmaxCrossEntropy(),
        optimizer=SGD(Slower(0.1), momentum=0.9),
        metrics=["accuracy"],
        backend=backend,
        seed=5,
    )
    history = model.fit(
        x / 16,
        y,
        epochs=epochs,
        batch_size=20,
        validation_split=0.2,
        callbacks=[*callbacks, Checkpoint(path, every_n_seconds=seconds)],
        resume=path if path.exists() else None,
    )
    return model, history


def result(model, history):
    """Return all that a run leaves, as host arrays."""
    from anynet import tree

    arrays = {tree.name(p): model.backend.to_numpy(a) for p, a in tree.leaves_with_paths(list(model.state))}
    return arrays | {f"history.{name}": np.array(column) for name, column in history.items()}


if __name__ == "__main__":
    trained = train(sys.argv[1], sys.argv[2])
    np.savez(Path(sys.argv[2]) / "end.npz", **result(*trained))
    (Path(sys.argv[2]) / "graph.txt").write_text(trained[0].backend.graph)
