"""The reference contains every public name, and no name of another package."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import anynet

API = Path(__file__).parents[2] / "docs" / "api"

pytestmark = pytest.mark.skipif(not API.exists(), reason="the documentation is not available")


LIBRARIES = {"anynet.interop.jax": "jax", "anynet.interop.torch": "torch", "anynet.sklearn": "sklearn"}
"""Libraries without which a module cannot be imported."""


def is_missing(module):
    return module in LIBRARIES and importlib.util.find_spec(LIBRARIES[module]) is None


def documented():
    """Return the names that autodoc includes in the pages."""
    names = set()
    for page in API.glob("*.md"):
        blocks = re.findall(r"automodule:: (\S+)\n((?:   :\S+:\n)*)", page.read_text(encoding="utf-8"))
        for module_name, options in blocks:
            if is_missing(module_name):
                continue
            module = importlib.import_module(module_name)
            for name, value in vars(module).items():
                own = getattr(value, "__module__", module_name) == module_name
                if name[0] != "_" and (own or "imported-members" in options):
                    names.add(name)
    return names


def test_every_public_name_is_documented():
    assert len(anynet.__all__) > 50
    assert not set(anynet.__all__) - documented()


def test_every_public_name_has_a_docstring():
    for name in anynet.__all__:
        value = getattr(anynet, name)
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), f"{name}: the docstring that dataclass makes"


def test_no_foreign_name_is_documented():
    """Autodoc documents whatever a module without ``__all__`` imports, unless it is excluded."""
    found = []
    for page in API.glob("*.md"):
        for name, options in re.findall(r"automodule:: (\S+)\n((?:   :.*\n)*)", page.read_text(encoding="utf-8")):
            if "imported-members" not in options or is_missing(name):
                continue
            module = importlib.import_module(name)
            excluded = set(re.findall(r"\w+", "".join(re.findall(r":exclude-members:(.*)", options))))
            for member in getattr(module, "__all__", set(vars(module)) - excluded):
                home = getattr(getattr(module, member), "__module__", None)
                if member[0] != "_" and home is not None and home.partition(".")[0] not in {"anynet", "__future__"}:
                    found.append(f"{page.name}: {name}.{member} of {home}")
    assert not found
