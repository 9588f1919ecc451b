"""A network in files, and in the formats of other libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from anynet import files, tree
from anynet.checkpoint import snapshot
from anynet.checks import check_path
from anynet.config import ModelConfig
from anynet.names.constructors import explained
from anynet.network.base import Network
from anynet.onnx import to_onnx
from anynet.training.state import restarted
from anynet.weights import Names, from_layout, to_layout

if TYPE_CHECKING:
    from anynet.callbacks.base import Run


class Portable(Network):
    """The part of `Model` that saves, exports and exchanges weights."""

    @explained
    def save(self, path: str | Path) -> None:
        """Write architecture, parameters, optimizer state, random key and history to one safetensors file, without pickle.

        A callback that saves during `fit` also saves the position, for ``fit(..., resume=path)``. An existing file is
        replaced only by a complete one. `anynet.load` reads the file on any backend. Another thread may save during `fit`,
        without the position.
        """
        path = check_path("save", "path", path)
        run, history = None if self._run is None else self._run(), self.history
        if run is not None and run.thread != get_ident():
            run, history = None, history.complete()
        with self._owner.read() as state:
            snapshot.write(path, self.config, state, self.epoch, history, run)

    @explained
    def to_onnx(
        self, path: str | Path | None = None, *, opset: int = 18, dtype: str = "float32", softmax: bool = False
    ) -> Any:
        """Convert to ONNX, write a file if a path is given, and return the `onnx.ModelProto`.

        See `anynet.onnx.to_onnx`.
        """
        return to_onnx(self, path, opset=opset, dtype=dtype, softmax=softmax)

    @explained
    def load_weights(
        self,
        source: str | Path | Mapping[str, Any] | Sequence[Any],
        *,
        layout: str = "torch",
        names: Names = None,
    ) -> None:
        """Load the weights of a network of PyTorch or Keras with the same layers.

        Transposes, and the order of features behind `Flatten` of an image, are converted. The optimizer starts from its initial
        state, because its averages belong to the old weights; its learning-rate factor, the epoch, the history and the random key
        are kept.

        Parameters
        ----------
        source : path, dict of arrays, or list of arrays
            A safetensors file, a ``state_dict`` or another dict of arrays of any library, the list of Keras's ``get_weights``, or
            a file of Keras, ``.weights.h5`` or ``.keras``, which requires h5py (the extra ``keras``).
        layout : "torch" or "keras"
            The library whose layout the arrays have. Keras has that of anynet.
        names : dict from names there to names here, or function, optional
            Names there that differ from those of `weights`, such as ``{"fc1.weight": "0.weight"}``; None ignores an array. By
            default, arrays are matched by name or, if names differ and the number is the same, in order, except those of
            a safetensors file, which does not keep the order. ``num_batches_tracked`` is ignored.

        Raises
        ------
        TypeError
            If the source is of another kind, such as a file with pickle.
        ValueError
            If names, the number of arrays or a shape do not fit. The model is not changed.
        FileNotFoundError, ImportError
            If there is no such file, or h5py is required and not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from anynet import Dense, Model
        >>> model = Model([Dense(2)], input_shape=3)
        >>> model.load_weights({"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2)})  # a state_dict
        >>> model.params[0]["weight"].shape
        (3, 2)
        """
        params = from_layout(self.layer, self.input_shape, source, layout, names)
        with self._on_device:
            self._owner.change(lambda old: (restarted(old, self.config, self.backend, params), None))

    @explained
    def weights(self, layout: str = "torch") -> Any:
        """Return copies of the parameters as NumPy arrays in the layout of PyTorch or Keras.

        Parameters
        ----------
        layout : "torch" or "keras"
            "torch" returns a dict with the names of a ``torch.nn.Sequential`` of the same layers, for ``load_state_dict``;
            "keras" a list, for ``set_weights``.

        Examples
        --------
        >>> from anynet import Dense, Model
        >>> {name: array.shape for name, array in Model([Dense(2)], input_shape=3).weights().items()}
        {'0.weight': (2, 3), '0.bias': (2,)}
        """
        with self._owner.read() as state:
            params = tree.map(self.backend.to_numpy, state.params)
            return to_layout(self.layer, self.input_shape, params, layout)

    def _resume(self, run: Run, path: Path, config: ModelConfig) -> None:
        where = "fit: resume"
        saved = self._processes.of_first(lambda: snapshot.read(where, path))
        with self._processes.together(), saved.wrong_content_is_value_error(where):
            if run.epochs < saved.history.epochs:
                raise ValueError(
                    f"{where}: expected epochs >= {saved.history.epochs}, the number completed in {path}, got {run.epochs}; it "
                    "includes the completed epochs"
                )
            saved.check_same(where, config, run.settings)
            with self._owner.read() as present:
                state = saved.state(where, present)
            saved.restore(run)
        self.state, self.epoch = state, saved.epoch
        if run.writes:
            files.discard_leftovers(path)
