"""anynet's layers as a ``torch.nn.Module``, and a ``torch.nn.Module`` as a layer.

>>> import torch
>>> from anynet import Dense, ReLU
>>> from anynet.interop.torch import Module
>>> network = torch.nn.Sequential(Module([Dense(64), ReLU()], input_shape=784), torch.nn.Linear(64, 10))
>>> network(torch.zeros(32, 784)).shape
torch.Size([32, 10])
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

if importlib.util.find_spec("torch") is None:
    raise ModuleNotFoundError(
        "anynet.interop.torch: expected the package torch to be installed, got none; run: pip install torch",
        name="torch",
    )

import torch
from torch._C import _current_graph_task_id
from torch._C._functorch import is_functorch_wrapped_tensor

from anynet import backends, tree
from anynet.arrays.namespace import Arrays
from anynet.backends.base import DTYPES, Backend
from anynet.checks import is_multi
from anynet.interop.torch_layer import TorchModule as TorchModule
from anynet.interop.torch_pass import Plan, autocast_name, run
from anynet.layers import Layer
from anynet.losses.base import Loss
from anynet.model import Model
from anynet.optimizers.base import Optimizer
from anynet.regularizers import Regularizer

__all__ = ["Module", "TorchModule"]


class Module(torch.nn.Module):
    """Layers of anynet as a module of PyTorch, differentiated by their own backward passes.

    The network is one node of PyTorch's graph. It works with PyTorch's optimizers, ``state_dict``, ``torch.compile``,
    ``torch.export``, ``torch.func``, autocast and `DistributedDataParallel`, and inside other modules.

    Parameters
    ----------
    layers : list of Layer, Layer, or Model
        A list becomes a `Sequential`. A model is copied, with its weights.
    input_shape : int or tuple of int, or a tuple of such tuples
        Shape of one example, as in `Model`. Not with a model.
    seed : int, in [0, inf)
        Seed of the initial weights and of dropout, as in `Model`: 0 by default. Not with a model.
    dtype : "float32" or "float64"
        Data type of the parameters, "float32" by default. Not with a model.
    device : str or torch.device, optional
        Device of the parameters; by default that of a model on PyTorch, else the CPU.

    Attributes
    ----------
    config : ModelConfig
        The settings with which `to_model` begins.

    Raises
    ------
    TypeError
        If `layers` are not layers, one of them is a `TorchModule`, or `input_shape` is missing.
    ValueError
        If the layers do not accept the shape of their input, or two parameters have the same name.

    Notes
    -----
    `forward` takes one tensor per input and returns a tensor, or a tuple for several outputs. Inputs of integers are converted
    to the dtype of the parameters, unless the layer takes integers.

    A parameter is named by its path, such as ``0_weight``, also in ``state_dict``. Running statistics and the parameters of
    `Frozen` layers are buffers. So is ``key``, the randomness of the next training pass: a module that is resumed from its
    ``state_dict`` draws the same dropout masks.

    After ``eval()``, layers run in inference mode. Under autocast, the network computes in autocast's dtype, as with
    ``Model(compute_dtype=...)``; parameters, their gradients and running statistics keep their dtype.

    With ``torch.func``, pass buffers to ``functional_call`` like parameters: a training pass makes new ones, which
    ``functional_call`` puts into its argument. Second derivatives and forward mode are not defined, and raise.

    Examples
    --------
    >>> from anynet import BatchNorm, Dense, ReLU
    >>> net = Module([Dense(64), BatchNorm(), ReLU(), Dense(10)], input_shape=784)
    >>> optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    >>> loss = torch.nn.functional.cross_entropy(net(torch.ones(32, 784)), torch.zeros(32, dtype=torch.int64))
    >>> loss.backward()
    >>> optimizer.step()
    >>> [name for name, _ in net.named_buffers()]
    ['1_running_mean', '1_running_var', 'key']
    """

    def __init__(
        self,
        layers: Sequence[Layer] | Layer | Model,
        *,
        input_shape: int | Sequence[Any] | None = None,
        seed: int | None = None,
        dtype: str | None = None,
        device: Any = None,
    ) -> None:
        super().__init__()
        given = {"input_shape": input_shape, "seed": seed, "dtype": dtype}
        given = {name: value for name, value in given.items() if value is not None}
        if isinstance(layers, Model):
            if given:
                raise ValueError(f"Module: expected no {' and '.join(given)} with a Model, got {given}; it has its own")
            model = layers
        elif input_shape is None:
            raise TypeError("Module: expected input_shape with layers, got none; pass the shape of one example")
        else:
            model = Model(layers, **given)  # type: ignore[arg-type]
        _refuse_modules(model.layer)
        if device is None and isinstance(model.backend.device, torch.device):
            device = model.backend.device
        backend = backends.get("torch", None if device is None else str(device))
        self.config = model.config
        params, key = model.state.params, model.state.key
        self._plan = Plan(model.layer, model.input_shape, params)
        trained = set(tree.leaves(self._plan.trained))
        for number, (name, array) in enumerate(zip(self._plan.names, tree.leaves(params), strict=True)):
            tensor = backend.asarray(array, backend.dtype(model.dtype), copy=True)
            self._add(name, tensor, self._plan.count + number in trained)
        self._add("key", backend.asarray(key, copy=True), False)

    def _add(self, name: str, tensor: torch.Tensor, trained: bool) -> None:
        try:
            if trained:
                self.register_parameter(name, torch.nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)
        except KeyError:
            raise ValueError(
                f"Module: expected parameters with different names, and none like an attribute of a module, got {name!r} "
                "twice; put the layers in a list, or rename the parameter"
            ) from None

    def forward(self, *inputs: Any) -> Arrays:
        """Return the output of the network: a tensor, or a tuple of tensors."""
        if compiling := torch.compiler.is_compiling():  # the import makes plans constants, and so comes first
            from anynet.interop.torch_compiled import run_compiled
        plan, training = self._plan, self.training
        arrays = [getattr(self, name) for name in plan.names]
        xs = self._checked(inputs, arrays)
        arguments = (plan, training, autocast_name(xs[0]), self.key, *xs, *arrays)
        if compiling:
            y, moved = run_compiled(*arguments)
        else:
            repeated = training and _current_graph_task_id() != -1  # by a checkpoint, within a backward pass
            if repeated and plan.layer.uses_key:
                raise RuntimeError(
                    "Module: expected no checkpoint around a network with dropout, which would draw other masks when it repeats "
                    "the pass, got one; checkpoint a network without dropout"
                )
            y, moved = run(*arguments)
            moved = {} if repeated else self._kept(moved)
        for name, new in moved.items():
            setattr(self, name, new)
        return y

    def _kept(self, moved: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return new buffers that may outlive a transform of ``torch.func`` or inference mode, or raise RuntimeError."""
        for name, new in moved.items():
            if is_functorch_wrapped_tensor(new) and not is_functorch_wrapped_tensor(getattr(self, name)):
                raise RuntimeError(
                    f"Module: expected the buffer {name!r}, which training changes, as an argument of the function that "
                    "torch.func transforms, got another; pass buffers like parameters, batched under vmap, or call eval()"
                )
        if not torch.is_inference_mode_enabled():
            return moved
        with torch.inference_mode(False):
            return {name: new.clone() for name, new in moved.items()}

    def _checked(self, inputs: tuple, arrays: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the inputs as tensors that the network takes, in one list."""
        xs, shapes = tree.leaves(inputs), self.config.input_shape
        arguments = len(shapes) if is_multi(shapes) else 1
        if len(inputs) != arguments or len(xs) != self._plan.count:
            expected = (
                f"{arguments} arguments of shapes {shapes}" if is_multi(shapes) else f"one tensor of shape {shapes}"
            )
            raise ValueError(f"Module: expected {expected}, without the batch axis, got {len(inputs)}")
        dtypes = [array.dtype for array in arrays if array.dtype.is_floating_point]
        flags = _flags(self._plan.layer.integer_input, self._plan.inputs)
        return [_checked(x, dtypes, flag, self.config.dtype) for x, flag in zip(xs, flags, strict=True)]

    def to_model(
        self,
        *,
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        regularizer: Regularizer | None = None,
        metrics: Any = (),
        backend: str | Backend | None = None,
    ) -> Model:
        """Return a `Model` with copies of the weights, running statistics and key.

        Settings that are not given are those of the model from which the module was made. The backend is by default PyTorch,
        on the device of the module. 16-bit parameters become float32.

        Examples
        --------
        >>> from anynet import Dense
        >>> net = Module([Dense(10)], input_shape=784)
        >>> net.to_model(backend="numpy").predict(torch.zeros(1, 784)).shape
        torch.Size([1, 10])
        """
        given = {"loss": loss, "optimizer": optimizer, "regularizer": regularizer, "metrics": metrics or None}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        arrays = [getattr(self, name).detach() for name in self._plan.names]
        dtype = next((str(array.dtype).removeprefix("torch.") for array in arrays), self.config.dtype)
        changes["dtype"] = dtype if dtype in DTYPES else "float32"
        if backend is None:
            backend = backends.of(self.key)
        model = Model.from_config(replace(self.config, **changes), backend)
        params = tree.set_leaves(model.params, iter(arrays), like=model.params)
        model.state = model.state._replace(params=params, key=self.key)
        return model

    def extra_repr(self) -> str:
        """Return the layers and the shape of the input, for ``repr``."""
        return f"{self._plan.layer!r}, input_shape={self.config.input_shape}"


def _refuse_modules(layer: Layer) -> None:
    """Raise TypeError if a network contains a module of PyTorch, whose graph a node cannot hold."""
    if isinstance(layer, TorchModule):
        raise TypeError(
            f"Module: expected layers with a backward pass of their own, got {layer.name}; put the module next to Module, "
            "for example in torch.nn.Sequential"
        )
    for _, child in layer.children():
        _refuse_modules(child)


def _flags(integers: Any, inputs: Any) -> Iterator[bool]:
    """Yield for each input whether it takes integers."""
    if isinstance(inputs, tuple):
        for number, part in enumerate(inputs):
            yield from _flags(integers[number] if isinstance(integers, tuple) else integers, part)
    else:
        yield bool(integers)


def _checked(x: Any, dtypes: list[torch.dtype], integers: bool, default: str) -> torch.Tensor:
    """Return an input as a tensor that the network takes; `dtypes` are those of its parameters."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"Module: expected tensors, got {type(x).__name__}; convert it by torch.as_tensor")
    if x.dtype.is_floating_point or x.dtype.is_complex:
        if integers:
            raise ValueError(f"Module: expected integers, such as torch.int64, got {x.dtype}")
        if dtypes and x.dtype != dtypes[0] and not autocast_name(x):
            raise ValueError(
                f"Module: expected x of {dtypes[0]} as the parameters, got {x.dtype}; convert either by .to()"
            )
        return x
    return x if integers else x.to(dtypes[0] if dtypes else getattr(torch, default))
