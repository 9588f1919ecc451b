"""Conversion of arrays, lists and data frames to arrays of a backend, with checks.

Legend: N examples.
"""

from __future__ import annotations

import math
from os import PathLike
from typing import Any

import numpy as np

from anynet import tree
from anynet.arrays.namespace import Array, ArrayLike, DType
from anynet.backends.base import Backend
from anynet.checks import ANY_SIZE, check_finite, has_shape, is_multi, plural
from anynet.data.frames import check_finite_columns, frame_to_numpy, is_frame


def as_array(backend: Backend, where: str, name: str, value: ArrayLike, dtype: DType = None) -> Array:
    """Return `value` as an array of the backend; errors name the argument.

    Numbers on the host, except bytes, are cast to `dtype` there, before they are copied to the device.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{where}: expected {name} without masked values, got {np.ma.count_masked(value)} of them; fill them in, for "
            f"example by {name}.filled(0.0), or leave their examples out"
        )
    try:
        array = _numeric(value)
        if is_frame(value):
            check_finite_columns(where, name, value, array)
        is_wide = isinstance(array, np.ndarray) and array.dtype != np.uint8
        array = backend.asarray(array, dtype if is_wide else None)
    except (TypeError, ValueError) as error:
        if str(error).startswith(where):
            raise
        reason, hint = _explained(name, value, error)
        raise type(error)(
            f"{where}: expected {name} to be an array of numbers, got {_describe(value)}{reason}{hint}"
        ) from None
    if array.ndim == 0:
        raise ValueError(f"{where}: expected {name} with a batch axis, got a single number")
    return array


def _numeric(value: Any) -> Any:
    """Return a list or a data frame as a NumPy array of numbers, and an array of any library unchanged."""
    if isinstance(value, np.ndarray) or (not hasattr(value, "__array__") and hasattr(value, "__array_namespace__")):
        array = value
    else:
        array = value if hasattr(value, "__dlpack__") else np.asarray(value)
        if is_frame(value) and array.dtype.kind not in "biuf":
            return frame_to_numpy(value)
    if isinstance(array, np.ndarray) and array.dtype.kind not in "biuf":
        raise TypeError(f"its dtype is {getattr(value, 'dtype', array.dtype)}")
    return array


def _explained(name: str, value: Any, error: Exception) -> tuple[str, str]:
    """Return the reason for which a value is not an array of numbers, and the remedy."""
    reason = f" ({error})"
    if name == "sample_weight" and isinstance(value, str):
        return f" {value!r}", f"; write class_weight={value!r}" if value == "balanced" else ""
    if isinstance(value, (str, PathLike)):
        return f" {str(value)!r}", "; read the file first, for example by np.load or pandas.read_csv"
    if hasattr(value, "toarray"):
        return ", which is sparse", f"; write {name}.toarray()"
    if isinstance(value, dict):
        return "", f"; write {name}=... with one of its arrays, or several as a tuple"
    if "inhomogeneous" in str(error):
        return " whose rows differ in length", "; pad them to one length"
    if name == "y":
        numbered = "number classes from 0, as np.unique(y, return_inverse=True)[1] does"
        return reason, f"; {numbered}, or convert numbers in text by y.astype(float)"
    if value is not None and not is_frame(value):
        return reason, "; encode text and categories as numbers" if np.asarray(value).dtype.kind in "UST" else ""
    return "" if value is None else reason, ""


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"


def as_parts(where: str, name: str, value: Any, count: int) -> tuple[Any, ...]:
    """Return several inputs or targets as a tuple of `count` arrays, or raise."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{where}: expected {name} to be a tuple of {count} arrays, got {_describe(value)}")
    if len(value) != count:
        raise ValueError(f"{where}: expected {name} to be a tuple of {count} arrays, got {len(value)}")
    return tuple(value)


def as_inputs(backend: Backend, where: str, x: ArrayLike, input_shape: Any, dtype: DType, *, integers: Any) -> Any:
    """Return inputs of the expected shape in `dtype`; the step casts uint8.

    `integers` is true for layers of indices, which remain integers. For several inputs, `input_shape` is a tuple of shapes
    and x a tuple of arrays.
    """
    if is_multi(input_shape):
        parts = as_parts(where, "x", x, len(input_shape))
        flags = integers if isinstance(integers, tuple) else (integers,) * len(parts)
        inputs = tuple(
            as_inputs(backend, f"{where}: input {i}", *each[:2], dtype, integers=each[2])
            for i, each in enumerate(zip(parts, input_shape, flags, strict=True))
        )
        same_length(where, inputs[0], inputs=inputs)
        return inputs
    x = as_array(backend, where, "x", x, None if integers else dtype)
    xp = backend.xp
    if not has_shape(x, input_shape):
        raise ValueError(
            f"{where}: expected x of shape (N, {', '.join(map(str, input_shape))}), got {tuple(x.shape)}"
            + _shape_hint(tuple(x.shape), input_shape)
        )
    if 0 in x.shape:
        what = "one example" if x.shape[0] == 0 else "one number per example"
        raise ValueError(f"{where}: expected at least {what} in x, got shape {tuple(x.shape)}")
    if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{where}: expected x of real numbers, got dtype {x.dtype}")
    if integers:
        if not xp.isdtype(x.dtype, "integral"):
            raise TypeError(
                f"{where}: expected x of integers, which the first layer takes as indices, got dtype {x.dtype}; cast it, for "
                "example by x.astype(int)"
            )
        return xp.astype(x, backend.index_dtype)
    return x if x.dtype in (dtype, xp.uint8) else xp.astype(x, dtype)


def as_targets(backend: Backend, where: str, y: ArrayLike, target_shape: Any) -> Any:
    """Return targets as an array of the backend, or a tuple for several shapes."""
    if not is_multi(target_shape):
        return as_array(backend, where, "y", y)
    parts = zip(as_parts(where, "y", y, len(target_shape)), target_shape, strict=True)
    return tuple(as_targets(backend, f"{where}: output {i}", *each) for i, each in enumerate(parts))


def _shape_hint(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    if ANY_SIZE in expected:
        return "; leave the batch axis out of input_shape" if len(got) == len(expected) else ""
    if len(got) == 1 and expected == (1,):
        return "; give it an axis for the one feature: x[:, None]"
    if len(got) == 2 and got[:1] == expected:
        return "; an example is a row: x.T"
    if got == expected:
        whole = "" if len(got) == 1 else "; if the first axis is that of the examples, leave it out of input_shape"
        return f"; a single example needs a batch axis too: x[None]{whole}"
    if len(expected) == 3 and (*got[2:], *got[1:2]) == expected:
        return "; channels come last: np.moveaxis(x, 1, -1)"
    if sorted(got[1:]) != sorted(expected) and len(got) > 1 and math.prod(got[1:]) == math.prod(expected):
        flatten = f", or give the model input_shape={got[1:]} and a Flatten() layer" if len(expected) == 1 else ""
        return f"; reshape it to (N, {', '.join(map(str, expected))}){flatten}"
    return ""


def same_length(where: str, x: Any, **others: Any) -> None:
    """Raise unless all arrays have the batch size of x."""
    count = tree.leaves(x)[0].shape[0]
    for name, other in others.items():
        for array in tree.leaves(other):
            if array.shape[0] != count:
                raise ValueError(f"{where}: expected {name} with {plural(count, 'row')}, as x, got {array.shape[0]}")


def check_batch_size(where: str, x: Any) -> None:
    """Raise unless x, one or several arrays, has a batch axis and at least one example."""
    for array in tree.leaves(x):
        if not array.shape or array.shape[0] == 0:
            raise ValueError(f"{where}: expected at least one example in x, got shape {tuple(array.shape)}")


def as_weights(backend: Backend, where: str, weight: Any, dtype: Any, *, some_positive: bool = True) -> Array | None:
    """Return weights of shape (N,), finite, not negative and, if `some_positive`, not all zero."""
    if weight is None:
        return None
    xp = backend.xp
    weight = xp.astype(as_array(backend, where, "sample_weight", weight, dtype), dtype)
    if weight.ndim != 1:
        raise ValueError(f"{where}: expected sample_weight of shape (N,), got {tuple(weight.shape)}")
    check_finite(where, "sample_weight", weight)
    if bool(xp.any(weight < 0)):
        raise ValueError(f"{where}: expected sample_weight >= 0, got {float(xp.min(weight)):g}")
    if some_positive and not bool(xp.any(weight > 0)):
        raise ValueError(f"{where}: expected a sample_weight > 0, got only zeros")
    return weight


def copy_if_shared(backend: Backend, y: Any, x: Any) -> Any:
    """Return a tree of arrays, copied if they may share the memory of x."""

    def separate(a: Array) -> Array:
        return backend.asarray(a, copy=True) if any(backend.shares_memory(a, b) for b in tree.leaves(x)) else a

    return tree.map(separate, y)


def fits(backend: Backend, x: Any) -> bool:
    """Return whether a host array takes at most half the free memory; others always fit."""
    if not isinstance(x, np.ndarray):
        return True
    free = backend.free_memory()
    return free is None or 2 * x.nbytes <= free
