"""RealMLP: perceptrons for tables, with defaults tuned on many data sets."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from anynet.backends.base import Backend
from anynet.initializers import Normal, Zeros
from anynet.layers import SELU, Dense, Layer, Mish, Scale
from anynet.model import Model
from anynet.optimizers import Adam, Groups, Optimizer
from anynet.schedules import CosLog
from anynet.sklearn.best_epoch import BestEpoch
from anynet.sklearn.table_parameters import ATTRIBUTES, CONSTRAINTS, MORE, NUMBER_ATTRIBUTES
from anynet.sklearn.tabular import Rows, TableEstimator
from anynet.sklearn.targets import TableClassifier, TableRegressor

PARAMETERS = """hidden : sequence of int, in [1, inf)
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
        features = rows.x.shape[1]
        layers: list[Layer] = [Scale()]
        for inputs, units in pairwise([features, *self._hidden_sizes()]):
            layers += [Dense(units, weight=Normal(inputs**-0.5), bias=Normal(1.0)), self.activation]
        layers.append(Dense(self._count_outputs(), weight=Zeros(), bias=Zeros()))
        return Model(
            layers,
            input_shape=features,
            loss=self._make_loss(),
            optimizer=self._make_optimizer(layers, features),
            metrics=[self.monitor.removeprefix("val_")],
            backend=backend,
            dtype=self.dtype,
            seed=seed,
        )

    def _make_optimizer(self, layers: list[Layer], features: int) -> Optimizer:
        """Return Adam with a learning rate per kind of parameter.

        The authors write a layer as y = xW/√I + b with W ~ N(0, 1). Here W is √I times smaller, and so are its learning rate
        and the inverse of ε, which leads to the same steps.
        """
        default = self.rates[0 if self.regularized else 1]
        rate = default if self.learning_rate == "auto" else float(self.learning_rate)

        def adam(factor: float, inputs: int = 1) -> Adam:
            scale = math.sqrt(inputs)
            return Adam(CosLog(factor * rate / scale, epochs=int(self.epochs)), beta2=0.95, epsilon=1e-8 * scale)

        inputs = dict(zip(_dense_indices(layers), [features, *self._hidden_sizes()], strict=True))
        last = [*inputs.values()][-1]
        groups: dict[str, Optimizer] = {"0.*": adam(6.0), "*bias": adam(0.1)}
        groups |= {f"{index}.weight": adam(1.0, count) for index, count in inputs.items() if count != last}
        return Groups(adam(1.0, last), groups)


def _dense_indices(layers: list[Layer]) -> list[int]:
    return [index for index, layer in enumerate(layers) if isinstance(layer, Dense)]


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
