"""Test the package from outside: imports, public names, and JAX without float64."""

import dataclasses
import importlib
import inspect
import os
import subprocess
import sys

import pytest

import anynet
from anynet import Initializer, Layer, Loss, Metric, Optimizer
from tests.layers.cases import LAYERS
from tests.losses.cases import LOSSES
from tests.optimizers.cases import OPTIMIZERS


def python(code, **environment):
    """Run code in a process of its own and return what it printed."""
    env = {**os.environ, **environment}
    for name in ("JAX_ENABLE_X64", "KMP_DUPLICATE_LIB_OK"):  # set by conftest.py and by threadpoolctl
        env.pop(name, None)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [os.path.dirname(anynet.__path__[0]), env.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = "torch jax jaxlib cupy matplotlib sklearn scipy pandas llvmlite array_api_strict tqdm IPython safetensors urllib.request"
HEAVY += " onnx h5py"


def test_importing_everything_imports_no_heavy_library():
    """NumPy is the only array library; other libraries are imported where they are used."""
    loaded = python(
        f"from anynet import *; import sys; print(*[name for name in {HEAVY.split()!r} if name in sys.modules])"
    )
    assert loaded.split() == []


def test_importing_anynet_alone_imports_not_even_numpy():
    assert python("import anynet, sys; print('numpy' in sys.modules)").split() == ["False"]


def test_training_on_numpy_is_light():
    code = """
import numpy as np, sys
from anynet import *
from anynet import Adam, Dense, Model, SoftmaxCrossEntropy
x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
Model([Dense(2)], input_shape=3, loss=SoftmaxCrossEntropy(), optimizer=Adam()).fit(x, y)
print(*[name for name in ("torch", "jax", "cupy", "matplotlib") if name in sys.modules])
"""
    assert python(code).split() == []


def test_nothing_is_global():
    """Importing and training change no setting of NumPy and no variable of the environment."""
    code = """
import os, numpy as np
before = dict(os.environ), np.geterr(), np.get_printoptions(), np.random.get_state()[1].tolist()
from anynet import Adam, Dense, Model, SoftmaxCrossEntropy
x, y = np.ones((20, 3)), np.arange(20) % 2
Model([Dense(2)], input_shape=3, loss=SoftmaxCrossEntropy(), optimizer=Adam()).fit(x, y)
assert before == (dict(os.environ), np.geterr(), np.get_printoptions(), np.random.get_state()[1].tolist())
"""
    python(code)


PACKAGES = ["callbacks", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers", "schedules"]
NOT_FOR_EVERYBODY = {"Both", "Custom", "Given", "LossMetric", "Mean", "PartsMetric", "Penalty", "Run"}
PUBLIC = {
    name: value
    for name, value in ((name, getattr(anynet, name)) for name in anynet.__all__)
    if inspect.isclass(value) or inspect.isfunction(value)
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented_and_found_in_its_module(name):
    value = PUBLIC[name]
    assert inspect.getdoc(value) and value.__doc__
    assert value.__doc__.strip().split("\n")[0].rstrip().endswith((".", ":", ";")) or "\n" in value.__doc__.strip()
    assert getattr(importlib.import_module(value.__module__), name) is value


@pytest.mark.parametrize(
    ("kind", "rows"), [(Layer, LAYERS), (Loss, LOSSES), (Optimizer, OPTIMIZERS)], ids=["layers", "losses", "optimizers"]
)
def test_every_public_one_has_a_row_in_its_table(kind, rows):
    """What is public is tested: by a row of its own, or inside a container's."""

    def classes(value):
        yield type(value)
        for field in dataclasses.fields(value):
            inside = getattr(value, field.name)
            for part in inside if isinstance(inside, tuple) else (inside,):
                if isinstance(part, kind):
                    yield from classes(part)

    tested = {cls for row in rows for cls in classes(row[0])}
    public = {
        value for value in PUBLIC.values() if isinstance(value, type) and issubclass(value, kind) and value is not kind
    }
    alone = {"LBFGS", "Losses", "Lengths"}  # a minimizer, and two that take tuples of arrays: each has tests of its own
    assert {cls.__name__ for cls in public - tested} - alone == set()


def test_public_things_are_immutable():
    for name, value in PUBLIC.items():
        if isinstance(value, type) and issubclass(value, (Layer, Loss, Optimizer, Initializer, Metric)):
            assert dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen, name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_is_a_name_of_anynet(package):
    """`X as X` in an ``__init__``, or a name in ``__all__``, is public."""
    module = importlib.import_module(f"anynet.{package}")
    is_package = hasattr(module, "__path__")
    names = {
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and name[0] != "_"
        and (value.__module__.startswith("anynet.") if is_package else value.__module__ == module.__name__)
    }
    assert len(names) > 2
    hidden = names - set(anynet.__all__)
    assert hidden <= NOT_FOR_EVERYBODY
    for name in names - hidden:
        assert getattr(anynet, name) is getattr(module, name)


def test_a_star_import_gives_them_all():
    names: dict[str, object] = {}
    exec("from anynet import *", names)
    assert set(anynet.__all__) <= names.keys()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="got 'Dens'; did you mean Dense"):
        _ = anynet.Dens
    with pytest.raises(ImportError, match="Dens"):
        exec("from anynet import Dens")


def test_explain_is_the_function_even_after_its_module_was_imported():
    python("import anynet.explain; from anynet import explain; assert callable(explain) and callable(anynet.explain)")


def test_version():
    assert anynet.__version__.count(".") == 2 or "dev" in anynet.__version__


# JAX as it is without a setting: no float64 -----------------------------------------------------------------------------


@pytest.fixture
def jax():
    pytest.importorskip("jax", reason="needs jax")


def test_jax_says_how_to_enable_float64(jax):
    code = """
import anynet
try:
    anynet.Model([anynet.Dense(1)], input_shape=1, backend="jax", dtype="float64")
except ValueError as error:
    print(error)
"""
    text = python(code)
    assert "dtype: expected 'float32' while jax_enable_x64 is off, got 'float64'" in text
    assert 'jax.config.update("jax_enable_x64", True)' in text and "JAX_ENABLE_X64=1" in text


def test_jax_without_float64_gives_the_same_numbers(jax):
    """The same weights, masks and losses as NumPy in float32, from data in float64 and int64, without a warning."""
    code = """
import numpy as np
from anynet import Adam, Dense, Dropout, Model, ReLU, SoftmaxCrossEntropy
x, y = np.random.default_rng(0).normal(size=(70, 5)), np.arange(70) % 3
def make(backend):
    return Model([Dense(8), ReLU(), Dropout(0.3), Dense(3)], input_shape=5, loss=SoftmaxCrossEntropy(),
                 optimizer=Adam(0.01), metrics=["accuracy"], backend=backend)
models = [make("jax"), make("numpy")]
first = [np.asarray(m.params[0]["weight"]) for m in models]
assert (first[0] == first[1]).all()
losses = [m.fit(x, y, epochs=2, batch_size=16, validation_split=0.2)["loss"] for m in models]
assert np.allclose(*losses, rtol=1e-5), losses
assert np.abs(models[0].predict(x) - models[1].predict(x)).max() < 1e-4
import jax
assert not jax.config.jax_enable_x64
for bad in (y + 2**32, y - 2**32, (y + 2**33).astype(np.uint64)):
    try:
        models[0].fit(x, bad)
    except ValueError as error:
        assert "fit: expected y" in str(error) and "on JAX without 64 bits" in str(error), error
    else:
        raise SystemExit("a label beyond 32 bits was taken for another")
print("same")
"""
    assert python(code).split() == ["same"]


def test_jax_needs_float64_to_check_gradients(jax):
    code = """
import anynet, numpy as np
try:
    anynet.check_gradients(anynet.Dense(2), np.ones((3, 2)), backend="jax")
except ValueError as error:
    print(error)
"""
    assert "jax_enable_x64" in python(code)


def test_arrays_are_read_at_once(jax):
    """A buffer that is overwritten after a call, while JAX still computes, was copied before."""
    code = """
import numpy as np
from anynet import Dense, HalfSquaredError, Model, SGD
def run(again):
    model = Model([Dense(256), Dense(1)], input_shape=512, loss=HalfSquaredError(), optimizer=SGD(1e-6), backend="jax")
    x, y = np.ones((2048, 512), np.float32), np.ones((2048, 1), np.float32)
    for i in range(5):
        x[...] = i
        loss = model.train_step(x, y)
        if again:
            x[...] = 1e3  # the next batch comes into the same buffer
    return np.asarray(model.params[0]["weight"])
assert (run(False) == run(True)).all()
print("same")
"""
    assert python(code).split() == ["same"]
