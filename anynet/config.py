"""The settings of a model: an immutable value without arrays."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anynet import losses, optimizers
from anynet.checks import check_int, check_kind, check_shapes
from anynet.layers import Dense, EachDense, Layer, ReLU, Sequential, Sigmoid, Softmax
from anynet.layers.summary import array_shapes
from anynet.losses.base import Loss
from anynet.metrics import LossMetric, Metric, resolve
from anynet.names.text import classes_of, from_text
from anynet.optimizers.base import Optimizer
from anynet.regularizers import Regularizer

if TYPE_CHECKING:
    from anynet.network import Network

T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """The settings of a `Model` that do not depend on the machine.

    Two models with equal configurations start with the same parameters and take the same steps on the same data.
    The parameters are those of `Model`, except that `layer` is one layer; a list of layers becomes a `Sequential`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> from anynet import SGD, Dense, MeanSquaredError
    >>> config = ModelConfig([Dense(1)], input_shape=3, loss=MeanSquaredError(), optimizer=SGD(0.1))
    >>> config.input_shape, config.required_optimizer.learning_rate
    ((3,), 0.1)
    """

    layer: Layer
    input_shape: Any
    loss: Loss | None = None
    optimizer: Optimizer | None = None
    regularizer: Regularizer | None = None
    metrics: Any = ()
    dtype: str = "float32"
    compute_dtype: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        layer = self.layer if isinstance(self.layer, Layer) else Sequential(self.layer)
        if isinstance(layer, Sequential) and not layer.layers:
            raise ValueError("Model: expected one or more layers, got an empty list")
        normal: dict[str, Any] = {"layer": layer, "input_shape": check_shapes("Model", "input_shape", self.input_shape)}
        for name, kind, module, example in (
            ("loss", Loss, losses, "SoftmaxCrossEntropy()"),
            ("optimizer", Optimizer, optimizers, "Adam()"),
        ):
            if (value := getattr(self, name)) is not None:
                normal[name] = from_text("Model", name, value, classes_of(kind, module), example)
                check_kind("Model", name, normal[name], kind, example)
        if self.regularizer is not None:
            check_kind("Model", "regularizer", self.regularizer, Regularizer, "L2(1e-4)")
        normal |= {
            "metrics": resolve(self.metrics, normal.get("loss")),
            "dtype": dtype_name(self.dtype),
            "seed": check_int("Model", "seed", self.seed, at_least=0),
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)

    def in_steps(self, batches: int | None) -> ModelConfig:
        """Return the configuration with all schedules in steps.

        It is the same object if no schedule is in epochs. `batches` is the number per epoch, None if unknown.
        """
        optimizer, layer = self.required_optimizer.in_steps(batches or 1), self.layer.in_steps(batches or 1)
        if optimizer is self.optimizer and layer is self.layer:
            return self
        if batches is None:
            raise ValueError(
                "fit: expected batches of a known number with a schedule in epochs, got an iterable without a length; "
                "define its __len__, or give the schedule steps=..."
            )
        return replace(self, optimizer=optimizer, layer=layer)

    @property
    def required_loss(self) -> Loss:
        """The loss; ValueError if there is none."""
        if self.loss is None:
            raise ValueError("Model: expected a loss, got none; pass loss=..., for example SoftmaxCrossEntropy()")
        return self.loss

    @property
    def required_optimizer(self) -> Optimizer:
        """The optimizer; ValueError if there is none."""
        if self.optimizer is None:
            raise ValueError("Model: expected an optimizer, got none; pass optimizer=..., for example Adam()")
        return self.optimizer

    @cached_property
    def array_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of an example's inputs and of all outputs of layers."""
        return array_shapes(self.layer, self.input_shape)

    @property
    def reported(self) -> dict[str, Metric]:
        """The metrics of `Model.evaluate` by name, starting with the loss."""
        loss: dict[str, Metric] = {} if self.loss is None else {"loss": LossMetric(self.loss)}
        return loss | {metric.name: metric for metric in self.metrics}


def dtype_name(dtype: Any) -> str:
    """Return the name of a data type of any library, such as "float32" for ``torch.float32``."""
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    return name.rpartition(".")[2]


class Setting(Generic[T]):
    """A read-only attribute of a model: the field of that name of its `config`."""

    def __init__(self, meaning: str) -> None:
        self.__doc__ = f"{meaning}, read-only."

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: Network | None, owner: type | None = None) -> T:
        return self if model is None else getattr(model.config, self._name)  # type: ignore[return-value]

    def __set__(self, model: Network, value: Any) -> None:
        name = self._name
        raise AttributeError(
            f"Model.{name}: expected no assignment, since it was compiled into the training step, got {value!r}; create "
            f"Model.from_config(dataclasses.replace(model.config, {name}=...), model.backend) and set its params"
        )


def warn_if_output_mismatches_loss(layer: Layer, loss: Loss | None) -> None:
    """Warn if a loss and the last layer disagree about logits and probabilities.

    The warning points at the caller's caller. Only layers whose output is certain count; any other layer may return either.
    """
    if loss is None:
        return
    last = layer
    while isinstance(last, Sequential) and last.layers:
        last = last.layers[-1]
    ends, name = type(last).__name__, type(loss).__name__
    if loss.expects == "logits" and isinstance(last, (Sigmoid, Softmax)):
        advice = f"leave {ends}() out, since {name} brings its own"
    elif loss.expects == "logits" and isinstance(last, ReLU):
        advice = f"leave {ends}() out, since it removes the negative logits"
    elif loss.expects == "probabilities" and isinstance(last, (Dense, EachDense)):
        advice = f"end it in Sigmoid() or Softmax(), or use {_OF_LOGITS.get(name, 'a loss of logits')}"
    else:
        return
    warnings.warn(
        f"Model: expected {loss.expects} for {name}, got a network that ends in {ends}; {advice}", stacklevel=4
    )


_OF_LOGITS = {"BinaryCrossEntropy": "SigmoidCrossEntropy()", "CategoricalCrossEntropy": "SoftmaxCrossEntropy()"}
