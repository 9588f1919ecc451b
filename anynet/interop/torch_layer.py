"""A module of PyTorch as a layer of anynet."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from threading import RLock
from typing import Any, ClassVar

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.parameter import is_lazy
from torch.utils.checkpoint import CheckpointError

from anynet import backends, tree
from anynet.arrays.convert import library_of
from anynet.arrays.namespace import Arrays
from anynet.arrays.placeholder import Placeholder, PlaceholderGenerator
from anynet.arrays.reduce import is_half
from anynet.backends.base import Backend
from anynet.checks import is_multi
from anynet.layers.base import Cache, Grads, Key, Layer, Params, Shape

_LOCK = RLock()
"""Held during a forward pass, which exchanges the parameters of the skeleton and sets PyTorch's global seed."""

MAX_INTEGER = 2**24
"""Largest integer up to which float32 has all."""


@dataclass(frozen=True)
class TorchModule(Layer):
    """Apply a module of PyTorch, differentiated by PyTorch.

    .. math:: y = f_θ(x), \\qquad \\frac{∂L}{∂x}, \\frac{∂L}{∂θ} \\text{ by torch.autograd}

    The module gives the structure and the initial values. Its parameters are copied into those of the model; the module itself
    never changes.

    Parameters
    ----------
    module : torch.nn.Module
        f, which takes a batch and returns a tensor or a tuple of tensors. For several inputs, it takes one argument each.
    integer_input : bool, or a tuple with one entry per input
        Whether the module takes integers, such as the indices of ``torch.nn.Embedding``.

    Notes
    -----
    Runs on the backends "torch", "numpy" and "cupy", which share memory with PyTorch. The layout is that of the module:
    convolutions of PyTorch expect (N, C, H, W), while anynet's layers have the channels last.

    `params` has the module's parameters and buffers by name, such as ``"0.weight"``. Parameters with ``requires_grad=False`` are
    not trained. With a key, all of the module is in training mode: its random numbers are seeded by the key, and buffers such as
    running means move. Without a key, it is in evaluation mode; `Frozen` keeps it there. Cache: y with PyTorch's graph, which one
    backward pass frees, and the arrays that it starts from.

    A file names only the class. Load it with a function that returns such a module, one per `TorchModule` of the model:
    ``anynet.load(path, custom=[lambda: make_module()])``.

    Raises
    ------
    TypeError
        If `module` is not a module, or does not return tensors.
    ValueError
        If it is lazy or does not accept the shape of its input, or the backend is another one.

    Examples
    --------
    >>> from anynet import Dense, Model
    >>> body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> model = Model([TorchModule(body), Dense(10)], input_shape=(3, 8, 8))
    >>> model.params[0]["0.weight"].shape, model.predict(np.zeros((2, 3, 8, 8))).shape
    ((8, 3, 3, 3), (2, 10))
    """

    module: Any = field(metadata={"saved": False})
    _: KW_ONLY
    integer_input: Any = False  # type: ignore[misc]
    _skeleton: ClassVar[Any]
    _dtypes: ClassVar[dict[str, torch.dtype]]
    _moving: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        module = self.module
        if not isinstance(module, torch.nn.Module):
            a_class = isinstance(module, type) and issubclass(module, torch.nn.Module)
            got = f"the class {module.__name__}; write it with parentheses" if a_class else repr(module)
            raise TypeError(f"TorchModule: expected a torch.nn.Module, got {got}")
        tensors = dict(module.named_parameters()) | dict(module.named_buffers())
        for name, tensor in tensors.items():
            if is_lazy(tensor):
                raise ValueError(f"{self.name}: expected known shapes, got a lazy {name}; call the module once")
            if tensor.is_meta:
                raise ValueError(f"{self.name}: expected tensors with values, got {name} on the device meta")
            if tensor.dtype.is_complex:
                raise ValueError(f"{self.name}: expected real parameters and buffers, got {name} of {tensor.dtype}")
            if _is_large(tensor):
                raise ValueError(
                    f"{self.name}: expected integers up to {MAX_INTEGER} in buffers, which a model keeps as float32, got larger "
                    f"ones in {name}; keep them in an attribute that is not a buffer"
                )
        # A copy without memory for parameters, in which each pass puts its own; deepcopy takes tensors from the memo.
        memo = {id(tensor): _without_memory(tensor) for tensor in tensors.values()}
        object.__setattr__(self, "_skeleton", copy.deepcopy(module, memo).train())
        object.__setattr__(self, "_dtypes", {name: tensor.dtype for name, tensor in tensors.items()})
        moving = tuple(name for name, _ in module.named_buffers())
        fixed = tuple(name for name, parameter in module.named_parameters() if not parameter.requires_grad)
        object.__setattr__(self, "_moving", moving)
        object.__setattr__(self, "buffers", fixed + moving)

    @property
    def name(self) -> str:
        """The name for messages, such as ``"TorchModule(ResNet)"``."""
        return f"TorchModule({type(self.module).__name__})"

    @property
    def has_buffers(self) -> bool:
        return bool(self._moving)

    def init(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        tensors = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        like = next((tensor for tensor in tensors.values() if tensor.dtype.is_floating_point), torch.zeros(()))
        try:
            with torch.no_grad():
                copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
                y = self._call(copies, _example(input_shape, self.integer_input, like), None)
        except Exception as error:  # a module may raise anything
            got = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{self.name}: expected a module that takes examples of {input_shape}, got {got}"
            ) from error
        shape = self._output_shape(y)
        if isinstance(rng, PlaceholderGenerator):
            return {name: Placeholder(tuple(tensor.shape)) for name, tensor in tensors.items()}, shape
        return {name: _host(tensor) for name, tensor in tensors.items()}, shape

    def _output_shape(self, y: Any) -> Shape:
        if isinstance(y, tuple) and y:
            return tuple(self._output_shape(part) for part in y)
        if not isinstance(y, torch.Tensor):
            raise TypeError(
                f"{self.name}: expected a module that returns a tensor or a tuple of tensors, got {type(y).__name__}; wrap it "
                "in a module that does"
            )
        if y.ndim == 0 or y.shape[0] != 1:
            raise ValueError(f"{self.name}: expected one output for one example, got one of shape {tuple(y.shape)}")
        return tuple(y.shape[1:])

    def forward(self, params: Params, x: Arrays, *, key: Key | None = None) -> tuple[Arrays, Cache]:
        home = self._home(tree.leaves(x)[0])
        inputs = tree.map_arrays(lambda a: _leaf(_tensor(a)), x)
        trained, tensors = {}, {}
        for name, dtype in self._dtypes.items():
            tensor = _tensor(params[name])
            if name not in self.buffers:
                trained[name] = tensor = _leaf(tensor)
            elif name in self._moving:
                if is_half(tensor.dtype):
                    raise ValueError(
                        f"{self.name}: expected buffers of float32 or float64, got {tensor.dtype}, too coarse for running "
                        "statistics; leave compute_dtype out, and use torch.autocast inside the module"
                    )
                # A model keeps all arrays in its dtype, but a module may need integers.
                tensor = tensor.to(dtype if not dtype.is_floating_point else tensor.dtype, copy=True)
            tensors[name] = tensor
        with torch.enable_grad():
            y = self._call(tensors, inputs, key)
        y = tuple(y) if isinstance(y, list) else y
        moved = {
            name: home.asarray(tensors[name].detach(), params[name].dtype) for name in self._moving if key is not None
        }
        cache = {"x": inputs, "y": y, "trained": trained, "moved": moved}
        return tree.map_arrays(lambda a: home.asarray(a.detach()), y), cache

    def backward(self, params: Params, cache: Cache, dy: Arrays, *, need_dx: bool = True) -> tuple[Arrays, Grads]:
        home = self._home(tree.leaves(dy)[0])
        xs = [x for x in tree.leaves(cache["x"]) if need_dx and x.requires_grad]
        sources = [*cache["trained"].values(), *xs]
        pairs = [
            (y, _tensor(d)) for y, d in zip(tree.leaves(cache["y"]), tree.leaves(dy), strict=True) if y.requires_grad
        ]
        if pairs and sources:
            ys, dys = zip(*pairs, strict=True)
            try:
                found = torch.autograd.grad(ys, sources, dys, allow_unused=True, materialize_grads=True)
            except CheckpointError:
                raise RuntimeError(
                    f"{self.name}: expected a module without activation checkpoints, which repeat a pass without the model's "
                    "parameters, got one; turn them off"
                ) from None
        else:
            found = tuple(torch.zeros_like(source) for source in sources)
        gradients = iter([home.asarray(gradient) for gradient in found])
        grads = {name: next(gradients) for name in cache["trained"]}
        dx = tree.map_arrays(lambda x: next(gradients) if x.requires_grad else None, cache["x"]) if need_dx else None
        return dx, grads

    def update_buffers(self, params: Params, cache: Cache) -> Params:
        return {**params, **cache["moved"]}

    def _call(self, tensors: dict[str, torch.Tensor], inputs: Arrays, key: Key | None) -> Any:
        """Return the output of the module with other parameters and buffers; those that it changes are put into `tensors`."""
        device = tree.leaves(inputs)[0].device
        with _LOCK, nullcontext() if key is None else _seeded(key, device):
            if self._skeleton.training != (key is not None):
                self._skeleton.train(key is not None)
            return functional_call(self._skeleton, tensors, inputs if isinstance(inputs, tuple) else (inputs,))

    def _home(self, x: Any) -> Backend:
        """Return the backend of an array, for the results."""
        library = library_of(x)
        if library in ("numpy", "cupy", "torch"):
            return _backend(library, x.device if library == "torch" else x.device.id if library == "cupy" else None)
        why = ", whose compiled steps cannot call PyTorch" if library == "jax" else ""
        raise ValueError(f"{self.name}: expected backend numpy, cupy or torch, got {library}{why}")


@cache
def _backend(library: str, device: Any = None) -> Backend:
    return backends.get(library, None if device is None else str(device))


def _tensor(x: Any) -> torch.Tensor:
    """Return an array as a tensor on its device, of the same memory."""
    if isinstance(x, torch.Tensor):
        return x
    return _backend("torch", f"cuda:{x.device.id}" if library_of(x) == "cupy" else "cpu").asarray(x)


def _leaf(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same memory where a graph begins; integers have no derivative."""
    return tensor.detach().requires_grad_(tensor.dtype.is_floating_point)


def _is_large(tensor: torch.Tensor) -> bool:
    """Return whether a tensor has integers that float32 may lack."""
    if tensor.dtype.is_floating_point or tensor.dtype == torch.bool or tensor.numel() == 0:
        return False
    return max(-int(tensor.min()), int(tensor.max())) > MAX_INTEGER


def _without_memory(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty


def _host(tensor: torch.Tensor) -> np.ndarray:
    """Return the initial value of a parameter; a model casts it to its dtype."""
    dtype = torch.float64 if tensor.dtype == torch.float64 or not tensor.dtype.is_floating_point else torch.float32
    return np.array(backends.to_numpy(tensor.to(dtype)))


def _example(shape: Shape, integers: Any, like: torch.Tensor) -> Any:
    """Return a batch of one example of zeros."""
    if is_multi(shape):
        flags = integers if isinstance(integers, tuple) else (integers,) * len(shape)
        return tuple(_example(one, flag, like) for one, flag in zip(shape, flags, strict=True))  # type: ignore[arg-type]
    return torch.zeros((1, *shape), dtype=torch.int64 if integers else like.dtype, device=like.device)


@contextmanager
def _seeded(key: Key, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's random numbers by a key, and restore their state at the end."""
    low, high = (int(word) & 0xFFFFFFFF for word in backends.to_numpy(key))
    seed = high << 32 | low  # the CPU's generator uses the lower word only
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
    else:
        count = getattr(torch, device.type).device_count()
        with torch.random.fork_rng(devices=range(count), device_type=device.type):
            torch.manual_seed(seed)
            yield
