"""One pass of a network, forward and backward, as one node of PyTorch's graph.

PyTorch's transforms (``torch.func``, saved-tensor hooks, ``torch.compile``) see the inputs and outputs of a node and nothing
else. Each array of a cache that is neither an input nor an output of the network therefore becomes a further output, without a
derivative. The node itself keeps numbers: the cache as a tree of positions in the list of saved tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch

from anynet import random, tree
from anynet.arrays.namespace import Arrays
from anynet.checks import is_multi
from anynet.layers.base import Cache, Layer, Shape

Tensors = Sequence[torch.Tensor]


class Plan:
    """The structure of the inputs and parameters of a network.

    Attributes
    ----------
    layer : Layer
        The network.
    inputs, params : tree of int
        Inputs and parameters, each array as its number. Inputs come first.
    count : int
        Number of inputs.
    trained : tree of int
        The trained part of `params`.
    names : tuple of str
        Names of the parameters and buffers, in the order of their numbers.
    """

    def __init__(self, layer: Layer, input_shape: Shape, params: tree.Tree) -> None:
        self.layer, self._input_shape = layer, input_shape
        self.inputs, self.count = _numbered(input_shape, 0)
        paths = [path for path, _ in tree.leaves_with_paths(params)]
        self.params = tree.set_leaves(params, iter(range(self.count, self.count + len(paths))), like=params)
        self.trained = layer.trainable(self.params)
        self.names = tuple([tree.name(path).replace(".", "_") for path in paths])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and (self.layer, self._input_shape) == (other.layer, other._input_shape)

    def __hash__(self) -> int:
        return hash((self.layer, self._input_shape))


def _numbered(shape: Any, start: int) -> tuple[Any, int]:
    """Return the inputs of a shape as a tree of numbers, and the number after the last."""
    if not is_multi(shape):
        return start, start + 1
    parts = []
    for one in shape:
        part, start = _numbered(one, start)
        parts.append(part)
    return tuple(parts), start


class Form(NamedTuple):
    """The structure of the outputs of a pass.

    First come the outputs of the network, then new values of buffers, then the rest of the cache.

    Attributes
    ----------
    y : tree of int
        The output of the network, each array as its number.
    width : int
        Number of these arrays.
    moved : tuple of str
        Names of the buffers that have new values.
    saved : tuple of int
        The tensors to save, as positions in the list of all inputs and outputs of the node; first the parameters.
    cache : tree of int
        The cache, each array as its position in `saved`.
    """

    y: Any
    width: int
    moved: tuple[str, ...]
    saved: tuple[int, ...]
    cache: Any


def run(
    plan: Plan, training: bool, dtype: str, key: torch.Tensor, *arrays: torch.Tensor
) -> tuple[Arrays, dict[str, torch.Tensor]]:
    """Return the output of a network, and new values of its buffers by name.

    Parameters
    ----------
    plan : Plan
    training : bool
        Whether this is a training pass.
    dtype : str
        Data type to compute in, such as ``"float16"``, or an empty text for that of the arrays.
    key : tensor of shape (2,)
        Randomness of a training pass. Its new value is returned if the network draws random numbers.
    *arrays : tensor
        Inputs and parameters, in the order of their numbers.
    """
    *outputs, form = _Pass.apply(plan, training, dtype, key, *arrays)
    return fill(form.y, outputs), dict(zip(form.moved, outputs[form.width :], strict=False))


def fill(numbers: Any, arrays: Sequence[Any]) -> Any:
    """Return a tree of numbers with the arrays of these numbers."""
    if isinstance(numbers, int):
        return arrays[numbers]
    if isinstance(numbers, dict):
        return {name: fill(part, arrays) for name, part in numbers.items()}
    return None if numbers is None else tree.sequence_like(numbers, [fill(part, arrays) for part in numbers])


class _Pass(torch.autograd.Function):
    """A pass of a network; takes the arguments of `run`, and returns arrays and a `Form`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(plan: Plan, training: bool, dtype: str, key: torch.Tensor, *arrays: torch.Tensor) -> tuple:
        # Layers choose their dtypes themselves.
        with torch.autocast(arrays[0].device.type, enabled=False) if dtype else nullcontext():
            used = _cast(arrays, dtype)
            params, x = fill(plan.params, used), fill(plan.inputs, used)
            # a view, because a cache may hold the key, and an input must not be returned itself
            y, cache = plan.layer.forward(params, x, key=key.view_as(key) if training else None)
            moved = _moved(plan, key, arrays, cache) if training else {}
        known = {id(array): number for number, array in enumerate(arrays)}
        outputs: list[torch.Tensor] = []
        ys = tree.leaves(y)
        for array in (*ys, *moved.values()):
            # An output that is an input, or is returned twice, is returned as a view: the same object would mean that the
            # node has changed it in place.
            outputs.append(array.view_as(array) if id(array) in known else array)
            known.setdefault(id(array), len(arrays) + len(outputs) - 1)
        numbers = tree.set_leaves(y, iter(range(len(ys))), like=y)
        saved = list(range(plan.count, len(arrays)))
        cache = _number(
            cache, known, saved, {number: place for place, number in enumerate(saved)}, outputs, len(arrays)
        )
        return *outputs, Form(numbers, len(ys), tuple(moved), tuple(saved), cache)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        ctx.plan, _, ctx.dtype, _, *arrays = inputs
        *outputs, ctx.form = output
        everything = [*arrays, *outputs]
        ctx.save_for_backward(*[everything[number] for number in ctx.form.saved])
        ctx.mark_non_differentiable(*outputs[ctx.form.width :])
        ctx.set_materialize_grads(ctx.form.width > 1)  # zeros for the outputs that only carry the cache cost memory

    @staticmethod
    def backward(ctx: Any, *dys: torch.Tensor | None) -> tuple:
        plan, form, saved = ctx.plan, ctx.form, ctx.saved_tensors
        needed = ctx.needs_input_grad[4:]
        if dys[0] is None:
            return (None,) * (4 + len(needed))
        with torch.no_grad(), _no_autocast(dys[0]):
            parts = len(needed) - plan.count
            params = fill(plan.params, [None] * plan.count + _cast(saved[:parts], ctx.dtype))
            need_dx = any(needed[: plan.count])
            dx, grads = plan.layer.backward(params, fill(form.cache, saved), fill(form.y, dys), need_dx=need_dx)
        found: list[Any] = [None] * len(needed)
        pairs = tree.zip_leaves([plan.trained], [plan.trained], [grads])
        if dx is not None:
            pairs += tree.zip_leaves([plan.inputs], [plan.inputs], [dx])
        for number, gradient in pairs:
            if needed[number]:
                found[number] = gradient
        if torch.is_grad_enabled():  # with create_graph=True
            found = _refuse_second(found, [*dys, *saved])
        return None, None, None, None, *found


# PyTorch reads the signature at each call, which would take as long as a small layer.
_Pass.forward.__signature__ = inspect.signature(_Pass.forward)  # type: ignore[attr-defined]


class _First(torch.autograd.Function):
    """Return the first tensors unchanged; raise if they are differentiated with respect to any argument."""

    generate_vmap_rule = True

    @staticmethod
    def forward(count: int, *arrays: torch.Tensor) -> tuple:
        return tuple([array.view_as(array) for array in arrays[:count]])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *dys: torch.Tensor) -> tuple:
        raise RuntimeError(
            "Module: expected to be differentiated once, got a second derivative, which anynet's layers do not define"
        )


def _refuse_second(found: list[Any], sources: list[Any]) -> list[Any]:
    """Return gradients whose own derivative raises, where it would otherwise be zero."""
    gradients = [gradient for gradient in found if gradient is not None]
    once = iter(_First.apply(len(gradients), *gradients, *[array for array in sources if array is not None]))
    return [None if gradient is None else next(once) for gradient in found]


def _cast(arrays: Tensors, dtype: str) -> list[torch.Tensor]:
    """Return arrays of float32 and 16-bit numbers in a dtype, and others unchanged, as autocast does."""
    return [a.to(getattr(torch, dtype)) if _is_cast(a) else a for a in arrays] if dtype else list(arrays)


def _is_cast(array: torch.Tensor) -> bool:
    return array.dtype.is_floating_point and array.dtype != torch.float64


def autocast_name(array: torch.Tensor) -> str:
    """Return the name of autocast's dtype on a device, empty if autocast is off."""
    kind = array.device.type
    if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        return ""
    return str(torch.get_autocast_dtype(kind)).removeprefix("torch.")


def _no_autocast(array: torch.Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast."""
    return torch.autocast(array.device.type, enabled=False) if autocast_name(array) else nullcontext()


def _moved(plan: Plan, key: torch.Tensor, arrays: Tensors, cache: Cache) -> dict[str, torch.Tensor]:
    """Return the new values of the key and the buffers after a training pass, by name."""
    moved = {"key": random.next_key(key)} if plan.layer.uses_key else {}
    if plan.layer.has_buffers:
        new = plan.layer.update_buffers(fill(plan.params, arrays), cache)
        for number, array in tree.zip_leaves([plan.params], [plan.params], [new]):
            if array is not arrays[number]:
                moved[plan.names[number - plan.count]] = array
    return moved


def _number(
    cache: Cache,
    known: dict[int, int],
    saved: list[int],
    places: dict[int, int],
    outputs: list[torch.Tensor],
    start: int,
) -> Any:
    """Return a cache as positions in `saved`, to which the tensors of the cache are added.

    `known` has the number of a tensor by its identity and `places` its position in `saved` by its number. A tensor without a
    number becomes an output; the numbers of outputs begin at `start`.
    """

    def number(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            found = known.get(id(value))
            if found is None:
                found = known[id(value)] = start + len(outputs)
                outputs.append(value)
            if found not in places:
                places[found] = len(saved)
                saved.append(found)
            return places[found]
        if isinstance(value, dict):
            return {name: number(part) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            return tree.sequence_like(value, [number(part) for part in value])
        if value is not None:
            raise TypeError(f"Module: expected a cache that holds tensors only, got {type(value).__name__}")
        return None

    return number(cache)
