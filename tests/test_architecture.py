"""Test the structure of the source: imports, types of models, private names and sizes.

Rooms are the top-level modules of anynet and its packages, each with all of its modules.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

import anynet

FLOORS = (
    ("_version", "arrays", "display", "durations", "files", "names", "tree"),
    ("backends", "checks", "initializers", "plots", "random"),
    ("datasets", "history", "layers", "losses", "optimizers", "regularizers", "schedules"),
    ("callbacks", "distributed", "gradcheck", "metrics", "onnx", "weights"),
    ("config",),
    ("data",),
    ("training",),
    ("checkpoint", "explain"),
    ("anynet", "cli", "network"),
    ("__main__", "model"),
    ("interop", "loading", "selfcheck", "sklearn"),
)
"""The rooms from the bottom up; a room imports only from lower floors. ``anynet`` is the package's own ``__init__``."""

MAX_FLOORS = 11
MAX_LINES = 320
MAX_METHODS = 15

OPTIONAL = {
    *(
        "IPython",
        "array_api_strict",
        "cupy",
        "cupyx",
        "h5py",
        "jax",
        "llvmlite",
        "matplotlib",
        "mpi4py",
        "onnx",
        "pandas",
    ),
    *("safetensors", "scipy", "sklearn", "threadpoolctl", "torch", "tqdm"),
    *("array_api_compat.cupy", "array_api_compat.torch", "http.client", "urllib.request"),
}
"""Libraries that a function may import: extras, and those that would make ``import anynet`` slow."""

NEED_OPTIONAL = {
    "anynet.arrays.cupy_namespace",
    "anynet.arrays.torch_namespace",
    *(
        f"anynet.backends.{name}"
        for name in ("cupy", "cupy_copies", "cupy_graph", "jax", "jax_carry", "strict", "torch")
    ),
    *(f"anynet.interop.{name}" for name in ("jax", "torch", "torch_compiled", "torch_layer", "torch_pass")),
}
"""Modules of anynet that import such a library at their top, and therefore may be imported by a function."""

NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
"""Public names of named tuples that begin with an underscore."""

DOCUMENTED = NAMED_TUPLE | {"_exit"}
"""Public names that begin with an underscore: those, and `os._exit`."""


# Reading the source -----------------------------------------------------------------------------------------------------


def modules(folder=Path(anynet.__file__).parent):
    """Return the text of each module by name, and the names of packages."""
    found, packages = {}, set()
    for path in sorted(folder.rglob("*.py")):
        parts = ("anynet", *path.relative_to(folder).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts = parts[:-1]
            packages.add(".".join(parts))
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found, packages


SOURCE, PACKAGES = modules()
parse = cache(ast.parse)


def room(module):
    """Return the top-level module or package of anynet that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "anynet"


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED


def walk(node, inside=()):
    """Yield each node with the functions and classes around it, except code for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            child = ast.Module(child.orelse, [])
        yield child, inside
        yield from walk(child, (*inside, child) if isinstance(child, DEFINITIONS) else inside)


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


def imports(module, text):
    """Yield each import as the imported module, the line, and whether a function contains it."""
    for node, inside in walk(parse(text)):
        in_function = any(isinstance(outer, FUNCTIONS) for outer in inside)
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: None if module in PACKAGES else -1]
                package = package[: len(package) + 1 - node.level]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in SOURCE or full in NEED_OPTIONAL | OPTIONAL else base, node.lineno, in_function


# Rules: each yields its findings in one module -------------------------------------------------------------------------


def upward_imports(module, text):
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    here = room(module)
    for target, line, _ in imports(module, text):
        there = room(target)
        if target.split(".")[0] == "anynet" and there != here and floor[there] >= floor[here]:
            yield f"{module}:{line} imports {target}, from floor {floor[there] + 1} to floor {floor[here] + 1}"


def untyped_models(module, text):
    for node in ast.walk(parse(text)):
        name = getattr(node, "arg", None) or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target))
        annotation = getattr(node, "annotation", None)
        if name and annotation is not None and name.rpartition(".")[2].lstrip("_") == "model":
            kind = ast.unparse(annotation).strip("'\"")
            if kind in ("Any", "Any | None", "object"):
                yield f"{module}:{node.lineno} declares {name}: {kind}"


def foreign_private_names(module, text):
    for node, inside in walk(parse(text)):
        if isinstance(node, ast.ImportFrom):
            if node.level or (node.module or "").startswith(
                "anynet"
            ):  # other libraries name their functions as they like
                yield from (
                    f"{module}:{node.lineno} imports {alias.name}" for alias in node.names if is_private(alias.name)
                )
        elif (read := attribute(node)) and is_private(read[1]) and not is_own(*read, inside):
            yield f"{module}:{node.lineno} reads {read[0]}.{read[1]}"


def attribute(node):
    """Return the object and the name of an attribute access, including `getattr`, or None."""
    if isinstance(node, ast.Attribute):
        return ast.unparse(node.value), node.attr
    if (
        isinstance(node, ast.Call)
        and len(node.args) > 1
        and ast.unparse(node.func) in ("getattr", "hasattr", "setattr")
    ):
        owner, name = node.args[:2]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return ast.unparse(owner), name.value
    return None


def is_own(owner, name, inside):
    """Return whether an attribute belongs to the class around the access."""
    classes = [outer for outer in inside if isinstance(outer, ast.ClassDef)]
    return owner in ("self", "cls", "super()") or any(name in members(cls) for cls in classes)


@cache
def members(cls):
    """Return the names that a class defines, including attributes of `self`."""
    found = set()
    for node in ast.walk(cls):
        if isinstance(node, FUNCTIONS):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def imports_in_functions(module, text):
    for target, line, in_function in imports(module, text):
        parts = target.split(".")
        starts = {".".join(parts[: n + 1]) for n in range(len(parts))}
        if in_function and not starts & OPTIONAL and target not in NEED_OPTIONAL:
            yield f"{module}:{line} imports {target} in a function"


def large_files_and_classes(module, text):
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"{module} has {lines} lines"
    for node in ast.walk(parse(text)):
        if isinstance(node, ast.ClassDef) and node.name != "Model":
            methods = {part.name for part in node.body if isinstance(part, FUNCTIONS) and part.name[0] != "_"}
            if len(methods) > MAX_METHODS:
                yield f"{module}:{node.lineno} class {node.name} has {len(methods)} public methods"


RULES = [upward_imports, untyped_models, foreign_private_names, imports_in_functions, large_files_and_classes]


def findings(rule, source):
    return [finding for module, text in source.items() for finding in rule(module, text)]


# Tests ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_follows_the_rule(rule):
    assert len(SOURCE) > 100
    assert list(findings(rule, SOURCE)) == []


def test_the_floors_name_each_room_once():
    names = [name for floor in FLOORS for name in floor]
    assert sorted(names) == sorted({room(module) for module in SOURCE})
    assert len(FLOORS) <= MAX_FLOORS


def test_each_room_is_on_the_lowest_possible_floor():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    below = dict.fromkeys(floor, -1)
    for module, text in SOURCE.items():
        for target, _, _ in imports(module, text):
            if target.split(".")[0] == "anynet" and room(target) != room(module):
                below[room(module)] = max(below[room(module)], floor[room(target)])
    assert floor == {name: number + 1 for name, number in below.items()}


CAUGHT = {
    upward_imports: [
        ("anynet.layers.dense", "from anynet.losses import Loss", "imports anynet.losses, from floor 3 to floor 3"),
        ("anynet.layers.dense", "import anynet.model", "imports anynet.model, from floor 10 to floor 3"),
        ("anynet.tree", "from anynet import layers", "imports anynet.layers, from floor 3 to floor 1"),
        ("anynet.layers.dense", "from anynet import Model", "imports anynet, from floor 9 to floor 3"),
        ("anynet.layers.dense", "from ..data.batch import Batch", "imports anynet.data.batch, from floor 6"),
        ("anynet.layers", "from ..data import batch", "imports anynet.data.batch, from floor 6"),
        ("anynet.data.batch", "def f():\n    from anynet.model import Model", "imports anynet.model, from floor 10"),
        ("anynet.data.batch", "if TYPE_CHECKING:\n    pass\nelse:\n    import anynet.model", "imports anynet.model"),
    ],
    untyped_models: [
        ("anynet.plots", "def f(model: Any): ...", "declares model: Any"),
        ("anynet.plots", "def f(*, model: 'Any | None' = None): ...", "declares model: Any | None"),
        ("anynet.plots", "model: Any = None", "declares model: Any"),
        ("anynet.plots", "class A:\n    model: object", "declares model: object"),
        ("anynet.plots", "def f(self, x):\n    self._model: Any = x", "declares self._model: Any"),
    ],
    foreign_private_names: [
        ("anynet.plots", "def f(model):\n    return model._owner", "reads model._owner"),
        ("anynet.plots", "from anynet.explain import narrate\nnarrate._part()", "reads narrate._part"),
        ("anynet.plots", "from anynet.layers.base import _find", "imports _find"),
        ("anynet.plots", "getattr(model, '_owner')", "reads model._owner"),
        ("anynet.plots", "class A:\n    def f(self, b):\n        b._x = 1", "reads b._x"),
        ("anynet.plots", "class A:\n    def f(self):\n        return self.model._x", "reads self.model._x"),
    ],
    imports_in_functions: [
        ("anynet.plots", "def f():\n    import json", "imports json in a function"),
        ("anynet.plots", "def f():\n    from anynet import tree", "imports anynet.tree in a function"),
        ("anynet.plots", "class A:\n    def f(self):\n        if self:\n            import json", "imports json"),
    ],
    large_files_and_classes: [
        ("anynet.plots", "\n" * (MAX_LINES + 1), f"has {MAX_LINES + 1} lines"),
        (
            "anynet.plots",
            "class A:\n" + "\n".join(f"    def f{n}(self): ..." for n in range(MAX_METHODS + 1)),
            f"class A has {MAX_METHODS + 1} public methods",
        ),
    ],
}


@pytest.mark.parametrize(
    ("rule", "module", "text", "message"),
    [(rule, *row) for rule, rows in CAUGHT.items() for row in rows],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_rule_catches(rule, module, text, message):
    [finding] = rule(module, text)
    assert finding.startswith(module) and message in finding


ALLOWED = {
    upward_imports: [
        ("anynet.losses.base", "from anynet.arrays.namespace import Array"),
        ("anynet.losses.base", "from anynet.losses import several"),
        ("anynet.losses.base", "if TYPE_CHECKING:\n    from anynet.model import Model"),
        ("anynet.losses.base", "import numpy"),
    ],
    untyped_models: [("anynet.plots", "def f(model: Model, models: Any): ...")],
    foreign_private_names: [
        ("anynet.plots", "class A(B):\n    def f(self):\n        return self._x, super()._x, A.__name__"),
        ("anynet.plots", "class A:\n    def _f(self, other):\n        return other._f(self)"),
        ("anynet.plots", "state._replace(params=state._fields)"),
    ],
    imports_in_functions: [
        ("anynet.plots", "import json"),
        ("anynet.plots", "try:\n    import json\nexcept ImportError:\n    pass"),
        ("anynet.plots", "def f():\n    import torch\n    import matplotlib.pyplot as plt"),
        ("anynet.plots", "def f():\n    from anynet.backends.torch import TorchBackend"),
    ],
    large_files_and_classes: [
        ("anynet.plots", "\n" * MAX_LINES),
        ("anynet.plots", "class A:\n" + "\n".join(f"    def f{n}(self): ..." for n in range(MAX_METHODS))),
    ],
}


@pytest.mark.parametrize(
    ("rule", "module", "text"),
    [(rule, *row) for rule, rows in ALLOWED.items() for row in rows],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_rule_allows(rule, module, text):
    assert list(rule(module, text)) == []
