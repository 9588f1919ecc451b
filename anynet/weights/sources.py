"""Arrays of other libraries and their files, as NumPy arrays by name."""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anynet.arrays.convert import library_of, to_numpy

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
"""Endings of files that PyTorch writes with pickle, which runs code when it is opened."""

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "uint16",
    "BOOL": "bool",
    **{f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
}
"""NumPy's data types for those of safetensors; the bits of a bfloat16 are the upper half of a float32."""


class Source(NamedTuple):
    """Arrays of another library.

    Attributes
    ----------
    arrays : dict
        NumPy arrays by name.
    in_order : bool
        Whether they have the order of the layers, which a safetensors file does not keep.
    """

    arrays: dict[str, np.ndarray]
    in_order: bool


def read(source: Any, layout: str, groups: Sequence[str]) -> Source:
    """Return the arrays of a source.

    Parameters
    ----------
    source : path, mapping, or list of arrays
        See `Model.load_weights`.
    layout : "torch" or "keras"
        Only Keras has lists and files of its own.
    groups : sequence of str
        For each layer with parameters, in order, the name of its class in Keras's files.
    """
    if isinstance(source, (str, Path)):
        return _read_file(Path(source), layout, groups)
    if isinstance(source, Mapping):
        return Source({str(name): as_numpy(str(name), array) for name, array in source.items()}, True)
    if layout == "keras" and isinstance(source, (list, tuple)):
        return _numbered(source)
    for method, advice in (("get_weights", " and layout='keras'"), ("state_dict", "")):
        if hasattr(source, method):
            raise TypeError(
                f"load_weights: expected arrays, got a {type(source).__name__}; pass the result of its {method}(){advice}"
            )
    raise TypeError(
        f"load_weights: expected a path, a dict of arrays, or a list of arrays with layout='keras', got {type(source).__name__}"
    )


def _numbered(arrays: Sequence[Any]) -> Source:
    names = [f"array {number}" for number in range(len(arrays))]
    return Source({name: as_numpy(name, array) for name, array in zip(names, arrays, strict=True)}, True)


def as_numpy(name: str, array: Any) -> np.ndarray:
    """Return an array of any library as a NumPy array, with bfloat16 as float32.

    Raises
    ------
    TypeError
        If it does not hold numbers.
    """
    if library_of(array) == "torch" and str(array.dtype) == "torch.bfloat16":
        array = array.float()
    try:
        host = to_numpy(array)
    except (TypeError, ValueError):
        host = np.asarray(None)
    if host.dtype.kind not in "biuf" and host.dtype.name != "bfloat16":
        hint = "; pass the dict of arrays inside" if isinstance(array, Mapping) else ""
        raise TypeError(f"load_weights: expected {name} to be an array of numbers, got {type(array).__name__}{hint}")
    return host.astype(np.float32) if host.dtype.name == "bfloat16" else host


def _read_file(path: Path, layout: str, groups: Sequence[str]) -> Source:
    kind = path.suffix.lower()
    if kind in PICKLES:
        raise TypeError(
            f"load_weights: expected a file without pickle, got {path}; load it with torch.load(path, weights_only=True) and "
            "pass the dict"
        )
    if kind not in (".safetensors", ".h5", ".keras"):
        raise TypeError(
            f"load_weights: expected a .safetensors, .h5 or .keras file, got {path}; pass a dict of arrays instead"
        )
    if not path.is_file():
        raise FileNotFoundError(f"load_weights: expected an existing file, got {path}")
    if kind == ".safetensors":
        return Source(_read_safetensors(path), False)
    if layout != "keras":
        raise ValueError(f"load_weights: expected layout='keras' for a file of Keras, got {layout!r} with {path}")
    return _numbered(_read_keras(path, groups))


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(f"load_weights: expected a whole safetensors file, got {path} ({error})") from None
    arrays = {}
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):  # their order is arbitrary
        if tensor["dtype"] not in DTYPES:
            raise ValueError(
                f"load_weights: expected numbers of at least 16 bits, got {name} of dtype {tensor['dtype']}"
            )
        array = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        if tensor["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = array
    if "key" in arrays and all(name == "key" or name.startswith(("params.", "state.", "fit")) for name in arrays):
        raise ValueError(
            f"load_weights: expected arrays of another library, got a model of anynet in {path}; use anynet.load"
        )
    return arrays


# Keras ------------------------------------------------------------------------------------------------------------------


KERAS_NAMES = {"BatchNorm": "BatchNormalization", "LayerNorm": "LayerNormalization", "RMSNorm": "RMSNormalization"}
"""Names of classes that differ in Keras."""


def keras_group(kind: type) -> str:
    """Return the name of a class of layers in files of Keras.

    Examples
    --------
    >>> from anynet import BatchNorm, Conv2D, PReLU
    >>> [keras_group(kind) for kind in (BatchNorm, Conv2D, PReLU)]
    ['batch_normalization', 'conv2d', 'p_re_lu']
    """
    spaced = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", KERAS_NAMES.get(kind.__name__, kind.__name__))
    return re.sub("([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _read_keras(path: Path, groups: Sequence[str]) -> list[np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise ImportError(
            f'load_weights: expected the package h5py to read {path}, got none; pip install "anynet-nn[keras]"'
        ) from None
    try:
        content: Any = path
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content) as file:
            found = list(_layers(file))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"load_weights: expected a file that Keras 3 wrote with save or save_weights, got {path} ({error})"
        ) from None
    queues: dict[str, list[list[np.ndarray]]] = defaultdict(list)
    for name, arrays in found:
        queues[re.sub(r"_\d+$", "", name)].append(arrays)
    for name, given in queues.items():
        if len(given) != groups.count(name):
            raise ValueError(
                f"load_weights: expected {groups.count(name)} layers {name!r} in {path}, got {len(given)}; for layers in another "
                "order or of other classes, pass keras_model.get_weights()"
            )
    missing = sorted(set(groups) - set(queues))
    if missing:
        raise ValueError(f"load_weights: expected {groups.count(missing[0])} layers {missing[0]!r} in {path}, got none")
    numbers = {name: iter(given) for name, given in queues.items()}
    return [array for group in groups for array in next(numbers[group])]


def _layers(file: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield the name and the arrays of each layer with parameters, in the order of the numbers in names."""
    for name in sorted(file["layers"], key=_natural):
        found: list[str] = []
        group = file["layers"][name]
        group.visit(found.append)
        if "layers" in group:
            raise ValueError(
                f"load_weights: expected a file of Keras without inner networks, got {name!r}, whose place is not "
                "in the file; pass keras_model.get_weights()"
            )
        places = [place for place in found if re.search(r"vars/\d+$", place) and "seed_generator" not in place]
        if places:
            yield (
                name,
                [np.asarray(group[place]) for place in sorted(places, key=lambda place: int(place.rpartition("/")[2]))],
            )


def _natural(name: str) -> tuple[str, int]:
    """Return a key that sorts dense, dense_1, ..., dense_10 by number."""
    text, _, number = name.rpartition("_")
    return (text, int(number)) if number.isdigit() else (name, 0)
