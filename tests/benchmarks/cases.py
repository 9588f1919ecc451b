"""The networks, and the cases that train or run them.

Every contender trains the same mathematics: ReLU hidden layers, a bias in every layer, softmax cross-entropy on logits
with integer classes (squared error for one output), plain SGD or Adam with its usual constants.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A fully connected network and its training settings.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, hidden units, outputs.
    batch : int
        Rows in a batch, a multiple of 4 (see `data.rows`).
    optimizer : str
        ``"sgd"`` or ``"adam"``.
    learning_rate : float
        The step size, which does not affect the time of a step.
    """

    sizes: tuple[int, ...]
    batch: int
    optimizer: str
    learning_rate: float

    @property
    def loss(self):
        """``"mse"`` for one output, else ``"cross-entropy"``."""
        return "mse" if self.sizes[-1] == 1 else "cross-entropy"

    def __str__(self):
        shape = f"{self.sizes[0]}×{len(self.sizes) - 1}" if len({*self.sizes}) == 1 else "-".join(map(str, self.sizes))
        return f"{shape} batch {self.batch} {self.optimizer.upper() if self.optimizer == 'sgd' else 'Adam'}"


@dataclass(frozen=True)
class Case:
    """One benchmark case.

    Parameters
    ----------
    name : str
        Name in ``--only`` and in the tables.
    kind : str
        ``"step"``: one training step on a fixed batch; ``"fit"``: the same step inside a loop over
        shuffled batches; ``"predict"``: scores of all rows; ``"mnist"``: a whole process, from the imports to the
        test accuracy; ``"import"``; ``"size"``.
    network : Network, optional
        None for ``"import"`` and ``"size"``.
    rows : int
        Rows of data; for ``"step"`` one batch.
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    name: str
    kind: str
    network: Network | None = None
    rows: int = 0
    device: str = "cpu"


# Adam's 1e-4 avoids dead units in hundreds of thousands of steps on one batch; their decaying moments would
# become denormal numbers, slow on some libraries and flushed to zero by others.
TINY = Network((2, 3, 1), 4, "sgd", 0.01)
SMALL = Network((64, 32, 10), 32, "adam", 1e-4)
MEDIUM = Network((784, 128, 10), 64, "adam", 1e-4)
LARGE = Network((784, 512, 512, 10), 128, "adam", 1e-4)
HUGE = Network((1024,) * 5, 1024, "sgd", 0.01)
MNIST = Network((784, 128, 10), 128, "adam", 1e-3)

# Network, and the rows of one epoch in its "fit" case.
STEPS = ((TINY, 200), (SMALL, 3_200), (MEDIUM, 6_400), (LARGE, 6_400), (HUGE, 8_192))

CPU = (
    *(Case(f"step {network}", "step", network, network.batch) for network, _ in STEPS),
    *(Case(f"fit {network}", "fit", network, rows) for network, rows in STEPS),
    Case(
        "fit 2-3-1, four rows", "fit", TINY, 4
    ),  # a textbook XOR, which measures the cost of an epoch rather than a step
    Case("predict 60 000 rows", "predict", MNIST, 60_000),
    Case("mnist", "mnist", MNIST, 60_000),
    Case("import", "import"),
    Case("size", "size"),
)

GPU = tuple(
    Case(f"step {network}", "step", network, batch, "cuda")
    for sizes, optimizer, rate in (((784, 128, 10), "adam", 1e-4), ((4096,) * 5, "sgd", 0.01))
    for batch in (128, 512, 2048, 8192)
    for network in [Network(sizes, batch, optimizer, rate)]
)

# One command of less than eight minutes, for docs/benchmarks.md.
GPU_TABLE = (
    *(
        Case(f"step {network}", "step", network, network.batch, "cuda")
        for network in (MEDIUM, Network((784, 128, 10), 1024, "adam", 1e-4), Network((4096,) * 5, 1024, "sgd", 0.01))
    ),
    Case(f"fit {MEDIUM}", "fit", MEDIUM, 6_400, "cuda"),
    Case("mnist", "mnist", MNIST, 60_000, "cuda"),
)

# The same kinds of cases with tiny data, on the CPU too: a dry run where there is no GPU.
GPU_QUICK = tuple(
    case
    for device in ("cpu", "cuda")
    for case in (
        Case(f"step {SMALL}", "step", SMALL, SMALL.batch, device),
        Case(f"fit {SMALL}", "fit", SMALL, 10 * SMALL.batch, device),
        Case("mnist", "mnist", MNIST, 1_000, device),
    )
)

QUICK = (
    Case(f"step {SMALL}", "step", SMALL, SMALL.batch),
    Case("fit 2-3-1, four rows", "fit", TINY, 4),
    Case("mnist", "mnist", MNIST, 2_000),
    Case("import", "import"),
    Case("size", "size"),
)
CASES = {case.device + " " + case.name: case for case in (*CPU, *GPU, *QUICK, *GPU_QUICK, *GPU_TABLE)}
