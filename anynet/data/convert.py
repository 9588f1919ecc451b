"""Data as people have it, made ready once: arrays of the model's backend, checked, on its device.

Legend: N examples.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, namespace
from anynet.backends import to_numpy
from anynet.backends.base import Backend
from anynet.checks import check_finite, check_int, check_number, several


class Data(NamedTuple):
    """Inputs, targets and weights of N examples on a backend; what a training step takes.

    Several inputs, or several targets, are a tuple of arrays.
    """

    x: Any
    y: Any
    weight: Array | None = None

    def __len__(self) -> int:
        return int(tree.leaves(self.x)[0].shape[0])

    def rows(self, start: int, stop: int) -> Data:
        """Return the examples from `start` to before `stop`, or the last, as views."""
        stop = min(stop, len(self))
        return Data(*(tree.map_arrays(lambda a: a[start:stop, ...], a) for a in self))

    def take(self, index: Array) -> Data:
        """Return the examples at the given indices."""
        xp = namespace(index)
        return Data(*(tree.map_arrays(lambda a: xp.take(a, index, axis=0), a) for a in self))


def as_array(backend: Backend, where: str, name: str, value: Any) -> Array:
    """Return an array of the backend, or raise TypeError or ValueError that names the argument."""
    try:
        array = backend.asarray(_numeric(value))
    except (TypeError, ValueError) as error:
        hint = "; number the classes from 0, as np.unique(y, return_inverse=True)[1] does" if name == "y" else ""
        raise type(error)(
            f"{where}: expected {name} to be an array of numbers, got {_describe(value)} ({error}){hint}"
        ) from None
    if array.ndim == 0:
        raise ValueError(f"{where}: expected {name} with a batch axis, got a single number")
    return array


def _numeric(value: Any) -> Any:
    """Return a list or frame as a NumPy array of numbers; arrays of other libraries as they are."""
    if isinstance(value, np.ndarray) or (not hasattr(value, "__array__") and hasattr(value, "__array_namespace__")):
        array = value
    else:
        array = value if hasattr(value, "__dlpack__") else np.asarray(value)
    if isinstance(array, np.ndarray) and array.dtype.kind not in "biuf":
        raise TypeError(f"its dtype is {array.dtype}")
    return array


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"


def as_parts(where: str, name: str, value: Any, count: int) -> tuple[Any, ...]:
    """Return several inputs or targets as a tuple; raise TypeError or ValueError unless there are `count`."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{where}: expected {name} to be a tuple of {count} arrays, got {_describe(value)}")
    if len(value) != count:
        raise ValueError(f"{where}: expected {name} to be a tuple of {count} arrays, got {len(value)}")
    return tuple(value)


def as_inputs(backend: Backend, where: str, x: Any, input_shape: Any, dtype: Any, *, integers: Any) -> Any:
    """Return inputs of the right shape; bytes stay bytes until their batch is cast, all else becomes the model's dtype.

    `integers` is for layers that take indices, which stay integers. Where `input_shape` is a tuple of shapes, x is a tuple.
    """
    if several(input_shape):
        parts = as_parts(where, "x", x, len(input_shape))
        flags = integers if isinstance(integers, tuple) else (integers,) * len(parts)
        inputs = tuple(
            as_inputs(backend, f"{where}: input {i}", *each[:2], dtype, integers=each[2])
            for i, each in enumerate(zip(parts, input_shape, flags, strict=True))
        )
        same_length(where, inputs[0], inputs=inputs)
        return inputs
    x = as_array(backend, where, "x", x)
    xp = backend.xp
    if tuple(x.shape[1:]) != input_shape:
        raise ValueError(
            f"{where}: expected x of shape (N, {', '.join(map(str, input_shape))}), got {tuple(x.shape)}"
            + _shape_hint(tuple(x.shape), input_shape)
        )
    if x.shape[0] == 0:
        raise ValueError(f"{where}: expected at least one example in x, got shape {tuple(x.shape)}")
    if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{where}: expected x of real numbers, got dtype {x.dtype}")
    if integers:
        if not xp.isdtype(x.dtype, "integral"):
            raise TypeError(
                f"{where}: expected x of integers, which the first layer takes as indices, got dtype {x.dtype}"
            )
        return xp.astype(x, xp.__array_namespace_info__().default_dtypes()["indexing"])
    return x if x.dtype in (dtype, xp.uint8) else xp.astype(x, dtype)


def as_targets(backend: Backend, where: str, y: Any, output_shape: Any) -> Any:
    """Return targets as an array of the backend; a tuple of arrays where the network has several outputs."""
    if not several(output_shape):
        return as_array(backend, where, "y", y)
    parts = zip(as_parts(where, "y", y, len(output_shape)), output_shape, strict=True)
    return tuple(as_targets(backend, f"{where}: output {i}", *each) for i, each in enumerate(parts))


def _shape_hint(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    if len(got) == 1 and expected == (1,):
        return "; give it an axis for the one feature: x[:, None]"
    if len(got) == 2 and got[:1] == expected:
        return "; an example is a row: x.T"
    if got == expected:
        return "; a single example needs a batch axis too: x[None]"
    if len(expected) == 3 and (*got[2:], *got[1:2]) == expected:
        return "; channels come last: np.moveaxis(x, 1, -1)"
    if sorted(got[1:]) != sorted(expected) and len(got) > 1 and math.prod(got[1:]) == math.prod(expected):
        flatten = f", or give the model input_shape={got[1:]} and a Flatten() layer" if len(expected) == 1 else ""
        return f"; reshape it to (N, {', '.join(map(str, expected))}){flatten}"
    return ""


def same_length(where: str, x: Any, **others: Any) -> None:
    """Raise unless all arrays have as many rows as x."""
    count = tree.leaves(x)[0].shape[0]
    for name, other in others.items():
        for array in tree.leaves(other):
            if array.shape[0] != count:
                raise ValueError(f"{where}: expected {name} with {count} rows, as x, got {array.shape[0]}")


def check_rows(where: str, x: Any) -> None:
    """Raise unless x, an array or several, has a batch axis and at least one row."""
    for array in tree.leaves(x):
        if not array.shape or array.shape[0] == 0:
            raise ValueError(f"{where}: expected at least one example in x, got shape {tuple(array.shape)}")


def as_weights(backend: Backend, where: str, weight: Any, dtype: Any, *, some: bool = True) -> Array | None:
    """Return weights of shape (N,), finite, not negative and, if `some`, not all zero."""
    if weight is None:
        return None
    xp = backend.xp
    weight = xp.astype(as_array(backend, where, "sample_weight", weight), dtype)
    if weight.ndim != 1:
        raise ValueError(f"{where}: expected sample_weight of shape (N,), got {tuple(weight.shape)}")
    check_finite(where, "sample_weight", weight)
    if bool(xp.any(weight < 0)):
        raise ValueError(f"{where}: expected sample_weight >= 0, got {float(xp.min(weight)):g}")
    if some and not bool(xp.any(weight > 0)):
        raise ValueError(f"{where}: expected a sample_weight > 0, got only zeros")
    return weight


def class_labels(where: str, name: str, y: Any) -> np.ndarray:
    """Return the class of each example on the host, from integers, one-hot rows or yes-or-no answers."""
    if isinstance(y, tuple):
        raise ValueError(f"{where}: expected one array of targets with {name}, got several; pass sample_weight instead")
    labels = to_numpy(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return labels.argmax(axis=1)
    labels = labels.reshape(-1)
    if not np.array_equal(labels, np.round(labels)):
        raise ValueError(f"{where}: expected classes in y for {name}, got other numbers")
    return labels.astype(np.int64)


def class_weights(where: str, class_weight: Any, labels: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """Return the weight of each example from the weight of its class, a dict or ``"balanced"``.

    Balanced is N / (classes · count of the class), as in scikit-learn. A class without an entry has weight 1. The classes
    are those among the labels, if not given.
    """
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"{where}: expected class_weight to be 'balanced' or a dict, got {class_weight!r}")
        found, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        return (len(labels) / (len(found) * counts))[index]
    if not isinstance(class_weight, dict):
        raise TypeError(f"{where}: expected class_weight to be 'balanced' or a dict, got {class_weight!r}")
    classes = np.unique(labels) if classes is None else classes
    for label, weight in class_weight.items():
        if label not in classes:
            raise ValueError(
                f"{where}: expected class_weight for classes in y, got one for {label!r}; classes are {classes.tolist()}"
            )
        check_number(where, f"class_weight[{label!r}]", weight, "[0, inf)")
    each = np.array([float(class_weight.get(int(c), 1.0)) for c in classes])
    if not each.any():
        raise ValueError(f"{where}: expected a class_weight > 0 for a class in y, got only zeros")
    return each[np.searchsorted(classes, labels)]


def split(
    where: str, fraction: float, count: int, labels: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return shuffled indices of a training and a validation part; with labels, each class is split alike.

    Raises
    ------
    ValueError
        If a side would be empty.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"{where}: expected validation_split in [0, 1), got {fraction!r}")
    order = rng.permutation(count)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
        # Every class is spread evenly over the order, so that a cut at any place takes its share of each.
        place = np.empty(count)
        for label in np.unique(labels):
            members = np.flatnonzero(labels[order] == label)
            place[members] = (np.arange(len(members)) + rng.random()) / len(members)
        order = order[np.argsort(place, kind="stable")]
    held = round(fraction * count)
    if held == 0 or held == count:
        raise ValueError(
            f"{where}: expected validation_split to leave examples on both sides, got {fraction!r} of {count}"
        )
    return rng.permutation(order[held:]), order[:held]


def check_sizes(where: str, epochs: Any, batch_size: Any) -> None:
    """Raise unless there is at least one epoch and batches have at least one example."""
    check_int(where, "epochs", epochs, at_least=1)
    if batch_size is not None:
        check_int(where, "batch_size", batch_size, at_least=1)
