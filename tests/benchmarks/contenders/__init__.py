"""The table of contenders. Each module holds the `Trainer` of one library, written in its usual style.

A ``Trainer(network, variant, device, weights=None, seed=0)`` has

* ``hold(x, y)``: take one batch in, as the library's own arrays;
* ``step()``: one training step on it; ``loss()``: the loss of the last step, before its update, as a float;
* ``fit(x, y, epochs)``: shuffled epochs over NumPy arrays; ``predict(x)``: scores of NumPy rows, as a NumPy array;
* ``wait()``: wait until the device has finished.

`weights` are the initial weights as in `data.weights`; None leaves them to the library and its `seed`.
"""

import importlib
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

ALL = ("step", "fit", "predict", "mnist")
NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


@dataclass(frozen=True)
class Contender:
    """A library, one way to use it, and a device.

    Parameters
    ----------
    name : str
        ``library/variant``, with ``:cuda`` where it runs on a GPU.
    module : str
        The module here with its `Trainer`.
    needs : tuple of str
        Packages without which it is skipped.
    kinds : tuple of str
        The kinds of case it takes part in.
    blocked : tuple of str
        Packages made impossible to import, to measure what their absence costs.
    environment : dict
        Environment variables of its process.
    """

    name: str
    module: str
    needs: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ALL
    blocked: tuple[str, ...] = ()
    environment: dict = field(default_factory=dict, hash=False)

    @property
    def device(self):
        """``"cpu"`` or ``"cuda"``."""
        return "cuda" if self.name.endswith(":cuda") else "cpu"

    @property
    def variant(self):
        """The part of the name between slash and colon."""
        return self.name.partition("/")[2].partition(":")[0]

    def missing(self):
        """Return the reason why it cannot run, or an empty string."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if absent:
            return f"{', '.join(absent)} not installed"
        return self._missing_gpu() if self.device == "cuda" else ""

    def _missing_gpu(self):
        if "cupy" in self.needs:
            return "" if importlib.import_module("cupy").cuda.is_available() else "no NVIDIA GPU"
        if not has_gpu():
            return "no NVIDIA GPU"
        if "torch" in self.needs and "+cpu" in importlib.metadata.version("torch"):
            return "PyTorch is installed without CUDA"
        if "jax" in self.needs and not any(map(importlib.util.find_spec, ("jax_cuda12_plugin", "jax_cuda13_plugin"))):
            return "JAX is installed without its CUDA plugin"
        return ""

    def load(self):
        """Import the module in this process and return its `Trainer` class."""
        for name in self.blocked:
            sys.modules[name] = None
        return importlib.import_module(f"{__name__}.{self.module}").Trainer


def has_gpu():
    """Return whether the NVIDIA driver lists a GPU."""
    if not shutil.which("nvidia-smi"):
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).stdout.startswith(b"GPU")


def _keras(backend):
    environment = {**NO_GPU, "KERAS_BACKEND": backend}
    return Contender(f"keras/{backend}", "keras3", ("keras", backend), environment=environment)


_TABLE = (
    Contender("products/numpy", "products", kinds=("step",)),
    Contender("numpy/by-hand", "numpy_by_hand"),
    Contender("anynet/numpy", "ours", ("anynet",), blocked=("llvmlite",)),
    Contender("anynet/numpy+fast", "ours", ("anynet", "llvmlite")),
    Contender("anynet/torch", "ours", ("anynet", "torch"), environment=NO_GPU),
    Contender("anynet/jax", "ours", ("anynet", "jax"), environment=NO_GPU),
    Contender("torch/eager", "pytorch", ("torch",), environment=NO_GPU),
    Contender("torch/fused", "pytorch", ("torch",), environment=NO_GPU),
    Contender("torch/compile", "pytorch", ("torch",), ("step", "fit", "predict"), environment=NO_GPU),
    Contender("jax/jit", "jax_by_hand", ("jax",), environment=NO_GPU),
    Contender("jax/jit-resident", "jax_by_hand", ("jax",), ("fit",), environment=NO_GPU),
    _keras("jax"),
    _keras("torch"),
    Contender("sklearn/mlp", "scikit", ("sklearn",)),
    Contender("thinc/numpy", "thinc_", ("thinc",)),
    Contender("products/cupy:cuda", "products", ("cupy",), ("step",)),
    Contender("products/torch:cuda", "products", ("torch",), ("step",)),
    Contender("anynet/cupy:cuda", "ours", ("anynet", "cupy")),
    Contender("anynet/torch:cuda", "ours", ("anynet", "torch")),
    Contender("anynet/torch+compile:cuda", "ours", ("anynet", "torch")),
    Contender("anynet/jax:cuda", "ours", ("anynet", "jax")),
    Contender("torch/eager:cuda", "pytorch", ("torch",)),
    Contender("torch/fused:cuda", "pytorch", ("torch",)),
    Contender("torch/compile:cuda", "pytorch", ("torch",)),
    Contender("torch/graph:cuda", "pytorch", ("torch",)),
    Contender("jax/jit:cuda", "jax_by_hand", ("jax",)),
)
CONTENDERS = {contender.name: contender for contender in _TABLE}

# Skipped in a quick run: slow to start, and without additional coverage.
SLOW_TO_START = {
    "torch/fused",
    "torch/compile",
    "jax/jit-resident",
    "keras/jax",
    "keras/torch",
    "torch/compile:cuda",
    "anynet/torch+compile:cuda",
}
