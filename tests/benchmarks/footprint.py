"""Import time and install size of anynet and its peers."""

import importlib.metadata
import importlib.util
import os
import random
import subprocess
import sys
import time
import tomllib

from .processes import ROOT
from .summary import Result

# Name: the imported module (none: only the size is measured), and the distributions that pip installs.
LIBRARIES = {
    "numpy": ("numpy", ("numpy",)),
    "anynet": ("anynet", ()),
    "anynet.Model": ("anynet.model", ()),  # the names of `anynet` are loaded on first use
    "anynet + fast": (None, ("llvmlite",)),
    "sklearn": ("sklearn.neural_network", ("scikit-learn",)),
    "torch": ("torch", ("torch",)),
    "jax": ("jax", ("jax",)),
    "keras on jax": ("keras", ("keras", "jax")),
    "thinc": ("thinc.api", ("thinc",)),
}
PROGRAM = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def imports(settings):
    """Return the milliseconds of importing each library in a new interpreter, in alternating processes."""
    result = Result("import", "footprint", "ms")
    modules = {name: module for name, (module, _) in LIBRARIES.items() if module}
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    for number in settings.with_first(settings.rounds):
        names = list(modules)
        random.Random(number).shuffle(names)
        for name in names:
            time.sleep(settings.pause)
            command = [sys.executable, "-c", PROGRAM.format(modules[name])]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False, text=True)
            if done.returncode:
                installed = importlib.util.find_spec(modules.pop(name).partition(".")[0])
                error = done.stderr.strip().splitlines()[-1]
                result.drop(name, f"failed: {error}" if installed else "not installed")
            elif number:
                result.add(name, 1e3 * float(done.stdout))
    return result


def sizes():
    """Return the installed megabytes of each library with its requirements, without extras."""
    result = Result("size", "footprint", "MB")
    own_requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    own_size = sum(path.stat().st_size for path in (ROOT / "anynet").rglob("*.py"))
    for name, (_, distributions) in LIBRARIES.items():
        ours = name.startswith("anynet")
        try:
            size = _size([*distributions, *(own_requirements if ours else ())]) + ours * own_size
            result.add(name, size / 1e6)
        except importlib.metadata.PackageNotFoundError as error:
            result.drop(name, f"{error.name} not installed")
        except ImportError:
            result.drop(name, "not known, packaging not installed")
    return result


def _size(requirements):
    """Return the bytes of the distributions in `requirements` and of their requirements, recursively."""
    from packaging.requirements import Requirement

    waiting, total, seen = [Requirement(text) for text in requirements], 0, set()
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        waiting += [Requirement(text) for text in distribution.requires or ()]
        paths = (file.locate() for file in distribution.files or ())
        total += sum(path.stat().st_size for path in paths if path.is_file())
    return total
