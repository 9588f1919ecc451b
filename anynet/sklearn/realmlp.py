"""RealMLP: perceptrons for tables, with defaults tuned on many data sets."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from anynet import tree
from anynet.arrays.convert import to_numpy
from anynet.backends.base import Backend
from anynet.initializers import Normal, Zeros
from anynet.layers import SELU, Blend, Dense, Dropout, Layer, Mish, PeriodicEmbedding, Scale
from anynet.model import Model
from anynet.optimizers import Adam, AdamW, Groups, Optimizer
from anynet.schedules import CosLog, FlatCosine
from anynet.sklearn.best_epoch import BestEpoch
from anynet.sklearn.table_parameters import ATTRIBUTES, CONSTRAINTS, MORE, NUMBER_ATTRIBUTES
from anynet.sklearn.tabular import Rows, TableEstimator, each_number
from anynet.sklearn.targets import TableClassifier, TableRegressor

DROPOUT, DECAY = 0.15, 0.02
"""Initial dropout rate and weight decay of the full recipe; both decrease to 0 in the second half of the training."""

INITIAL_STREAM = 4
"""Index of the random stream of initial weights that fit the data."""

INITIAL_ROWS = 10_000
"""Maximum number of rows for the initial weights."""

PARAMETERS = """hidden : int or sequence of int, in [1, inf)
        Numbers of units of the hidden layers.
    epochs : int, in [1, inf)
        Number of epochs. The network is that of the best epoch, judged by the held-out rows.
    batch_size : int, in [1, inf)
        Rows per step.
    """

REFERENCES = """References
    ----------
    Holzmüller, Grinsztajn, Steinwart (2024), "Better by default: strong pre-tuned MLPs and boosted trees on tabular data",
    section 3 and appendix A.
    """


class RealMLP(TableEstimator):
    """Network and training of RealMLP; subclasses define the targets."""

    scaling = "robust"
    activation: ClassVar[Layer]
    rates: ClassVar[tuple[float, float]]
    """Default learning rates of the full and of the simplified recipe."""

    def _train(
        self, rows: Rows, held: Rows | None, random: np.random.RandomState, backend: Backend, resume: Any
    ) -> list[Model]:
        if resume is not None and self.members > 1:
            raise ValueError(f"fit: expected members=1 with resume, got {self.members}; a checkpoint holds one network")
        models: list[Model] = []
        for seed in random.randint(np.iinfo(np.int32).max, size=int(self.members)).tolist():
            training, out = self._split(rows, held, seed)
            models.append(self._make_model(training, seed, backend))
            best = BestEpoch(self.monitor, ties=True)
            if self._fit_model(models[-1], training, out, best, int(self.batch_size), resume):
                break
        return models

    def _make_model(self, rows: Rows, seed: int, backend: Backend) -> Model:
        layers, optimizer = self._make_network(rows.x.shape[1])
        model = Model(
            layers,
            input_shape=rows.x.shape[1],
            loss=self._make_loss(),
            optimizer=optimizer,
            metrics=[self.monitor.removeprefix("val_")],
            backend=backend,
            dtype=self.dtype,
            seed=seed,
        )
        if self.regularized:
            model.params = initial_params(layers, model.params, rows.x, np.random.default_rng((seed, INITIAL_STREAM)))
        return model

    def _make_network(self, features: int) -> tuple[list[Layer], Optimizer]:
        """Return layers, and Adam with a learning rate per kind of parameter.

        The authors write a layer as y = xW/√I + b with W ~ N(0, 1). Here W is √I times smaller, and so are its learning rate
        and the inverses of ε and of the decay, which leads to the same steps. In their code, a factor of the learning rate also
        multiplies the decay.
        """
        full, epochs, sizes = self.regularized, int(self.epochs), self._hidden_sizes()
        default = self.rates[0 if full else 1]
        rate = default if self.learning_rate == "auto" else float(self.learning_rate)

        def adam(factor: float, inputs: int = 1, decay: float = DECAY if full else 0.0) -> Optimizer:
            scale = math.sqrt(inputs)
            settings: dict[str, Any] = {"beta2": 0.95, "epsilon": 1e-8 * scale}
            peak = CosLog(factor * rate / scale, epochs=epochs)
            if not decay:
                return Adam(peak, **settings)
            return AdamW(peak, **settings, weight_decay=FlatCosine(decay * factor * scale, epochs=epochs))

        layers: list[Layer] = []
        groups: dict[str, Optimizer] = {}
        numbers = self.preprocessor_.n_numbers_ if full else 0
        if numbers:
            layers.append(each_number(PeriodicEmbedding(), numbers, features))
            groups["0.*"] = adam(0.1)
            features += numbers * (PeriodicEmbedding().features - 1)
        groups |= {f"{len(layers)}.*": adam(6.0), "*bias": adam(0.1, decay=0.0)}
        layers.append(Scale())
        for inputs, units in pairwise([features, *sizes]):
            if inputs != sizes[-1]:
                groups[f"{len(layers)}.weight"] = adam(1.0, inputs)
            layers.append(Dense(units, weight=Normal(inputs**-0.5), bias=Normal(1.0)))
            layers += (
                [Blend(self.activation), Dropout(FlatCosine(DROPOUT, epochs=epochs))] if full else [self.activation]
            )
        if full:
            groups["*.alpha"] = adam(0.1)
        layers.append(Dense(self._count_outputs(), weight=Zeros(), bias=Zeros()))
        return layers, Groups(adam(1.0, sizes[-1]), groups)


def initial_params(layers: list[Layer], params: list[Any], x: np.ndarray, rng: np.random.Generator) -> list[Any]:
    """Return initial parameters that depend on the data.

    Each W ~ N(0, 1) is divided by the standard deviation of xW, and −b is a random convex combination of five values of xW.
    """
    found: list[Any] = []
    h: Any = x[rng.choice(len(x), INITIAL_ROWS)] if len(x) > INITIAL_ROWS else x
    for layer, part in zip(layers, params, strict=True):
        host = tree.map(lambda a: np.asarray(to_numpy(a), np.float64), part)
        if isinstance(layer, Dense):
            weight = rng.normal(size=host["weight"].shape)
            z = h @ weight
            deviation = np.maximum(z.std(axis=0), 1e-30)
            rows = rng.integers(len(z), size=(5, layer.units))
            shares = rng.exponential(size=(5, layer.units))
            values = np.take_along_axis(z / deviation, rows, axis=0)
            host = {"weight": weight / deviation, "bias": -(values * shares).sum(axis=0) / shares.sum(axis=0)}
        found.append(host)
        h = layer.forward(host, h)[0]
    return found


class RealMLPClassifier(RealMLP, TableClassifier):
    __doc__ = f"""RealMLP for classes: a perceptron for tables, with defaults tuned on many data sets.

    Parameters
    ----------
    {PARAMETERS}learning_rate : float, in (0, inf)
        Peak of the learning rate of a weight matrix with one input.
    label_smoothing : float, in [0, 1]
        Fraction of each target that is spread evenly over all classes. The default favors accuracy; 0 favors the
        probabilities.
    regularized : bool
        Whether to use the full recipe, RealMLP-TD, or its simplified form, RealMLP-TD-S, which takes about half the time per
        step and overfits noisy tables.
    members : int, in [1, inf)
        Number of networks, trained one after the other on different parts of the rows, whose predictions are averaged.
    {MORE}
    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Sorted classes, as a NumPy array.
    {ATTRIBUTES.format(score="accuracy")}
    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True, as_frame=True)
    >>> classifier = RealMLPClassifier(epochs=32, random_state=0).fit(x, y)
    >>> round(classifier.score(x, y), 1)
    1.0

    {REFERENCES}"""

    activation = SELU()
    rates = (0.04, 0.04)
    _parameter_constraints: ClassVar[dict[str, Any]] = {**CONSTRAINTS, "regularized": ["boolean"]}

    def __init__(
        self,
        *,
        hidden: Any = (256, 256, 256),
        epochs: int = 256,
        batch_size: int = 256,
        learning_rate: float = 0.04,
        label_smoothing: float = 0.1,
        regularized: bool = True,
        validation_fraction: float = 0.2,
        members: int = 1,
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        backend: Any = None,
        device: str | None = None,
        dtype: str = "float32",
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.label_smoothing = label_smoothing
        self.regularized = regularized
        self.validation_fraction = validation_fraction
        self.members = members
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.progress = progress


class RealMLPRegressor(RealMLP, TableRegressor):
    __doc__ = f"""RealMLP for numbers: a perceptron for tables, with defaults tuned on many data sets.

    Parameters
    ----------
    {PARAMETERS}learning_rate : float, in (0, inf), or "auto"
        Peak of the learning rate of a weight matrix with one input; "auto" is 0.2, or 0.07 with ``regularized=False``.
    regularized : bool
        Whether to use the full recipe, RealMLP-TD, or its simplified form, RealMLP-TD-S, which takes about half the time per
        step and overfits noisy tables.
    members : int, in [1, inf)
        Number of networks, trained one after the other on different parts of the rows, whose predictions are averaged.
    {MORE}
    Attributes
    ----------
    {ATTRIBUTES.format(score="root mean squared error of the standardized targets")}{NUMBER_ATTRIBUTES}
    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> x, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> regressor = RealMLPRegressor(epochs=32, random_state=0).fit(x[:400], y[:400])
    >>> round(regressor.score(x[400:], y[400:]), 1)
    0.6

    {REFERENCES}"""

    activation = Mish()
    rates = (0.2, 0.07)
    clamps = True
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "learning_rate": [*CONSTRAINTS["learning_rate"], StrOptions({"auto"})],
        "regularized": ["boolean"],
    }

    def __init__(
        self,
        *,
        hidden: Any = (256, 256, 256),
        epochs: int = 256,
        batch_size: int = 256,
        learning_rate: float | str = "auto",
        regularized: bool = True,
        validation_fraction: float = 0.2,
        members: int = 1,
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        backend: Any = None,
        device: str | None = None,
        dtype: str = "float32",
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.regularized = regularized
        self.validation_fraction = validation_fraction
        self.members = members
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.progress = progress
