"""What `import anynet` offers, and what it costs."""

import importlib
import subprocess
import sys

import pytest

import anynet

PACKAGES = ["callbacks", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers", "schedules"]

NOT_FOR_EVERYBODY = {"LossMetric", "Mean", "Penalty", "Both"}


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


def test_explain_is_the_function_whoever_asked_for_the_module_first():
    code = "import anynet.explain; from anynet import explain; assert callable(explain) and callable(anynet.explain)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Dens'"):
        _ = anynet.Dens
    with pytest.raises(ImportError, match="Dens"):
        exec("from anynet import Dens")


def test_importing_everything_imports_no_heavy_library():
    code = "from anynet import *; import sys; print([m for m in HEAVY if m in sys.modules])"
    heavy = [
        "torch",
        "jax",
        "cupy",
        "matplotlib",
        "numba",
        "sklearn",
        "pandas",
        "scipy",
        "tqdm",
        "safetensors",
        "urllib.request",
    ]
    out = subprocess.run(
        [sys.executable, "-c", code.replace("HEAVY", repr(heavy))], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"
