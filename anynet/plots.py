"""Plots of training and of trained models, with matplotlib (the extra ``plots``).

=========================  =====================================================
`plot_history`             loss and metrics per epoch
`plot_decision_boundary`   decision regions of a model of two inputs
`plot_weights`             weights of each neuron of a first layer, as images
`plot_predictions`         images with their true and predicted classes
`save_or_show`             save a figure, or show it
`check_output`             check that a figure can be saved
=========================  =====================================================

Each plot function returns the matplotlib Axes, so that titles, limits and colors can be changed as in any other plot.
matplotlib is imported by the first plot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anynet import tree
from anynet.arrays.convert import to_numpy

if TYPE_CHECKING:
    from anynet.model import Model


def plot_history(
    history: Mapping[str, Sequence[float]], names: Sequence[str] | None = None, *, log: bool = False, ax: Any = None
) -> Any:
    """Plot the history of training.

    Parameters
    ----------
    history : History, or mapping from names to values
        Values per epoch, as returned by `Model.fit`.
    names : sequence of str, optional
        Quantities to plot; by default ``"loss"`` and, if present, ``"val_loss"``. Validation curves are dashed.
    log : bool
        Whether the vertical axis is logarithmic.
    ax : matplotlib Axes, optional
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    KeyError
        If a name was not recorded.

    Examples
    --------
    >>> ax = plot_history({"loss": [0.5, 0.3, 0.2], "val_loss": [0.6, 0.4, 0.35]})
    >>> [line.get_label() for line in ax.lines]
    ['loss', 'val_loss']
    """
    if not isinstance(history, Mapping):
        raise TypeError(f"plot_history: expected a History, such as model.history, got {type(history).__name__}")
    if names is None:
        names = [name for name in ("loss", "val_loss") if name in history]
    for name in names:
        if name not in history:
            raise KeyError(f"plot_history: expected one of {', '.join(history)}, got {name!r}")
    ax = _axes(ax)
    colors: dict[str, Any] = {}
    for name in names:
        values = history[name]
        base = name.removeprefix("val_")
        (line,) = ax.plot(
            range(1, len(values) + 1),
            values,
            label=name,
            color=colors.get(base),
            linestyle="--" if name.startswith("val_") else "-",
            marker="." if len(values) <= 30 else "",
        )
        colors[base] = line.get_color()
    ax.set_xlabel("epoch")
    if log:
        ax.set_yscale("log")
    if len(names) == 1:
        ax.set_ylabel(names[0])
    else:
        ax.legend()
    if all(len(history[name]) <= 30 for name in names):
        ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def plot_decision_boundary(
    model: Model, x: Any, y: Any = None, *, margin: float = 0.5, steps: int = 200, ax: Any = None
) -> Any:
    """Plot the decision regions of a model of two inputs, with the decision boundary.

    Parameters
    ----------
    model : Model
        Model with input shape (2,). A single output is compared with the threshold of the loss, or 0.5; otherwise the
        largest output is the class.
    x : array (N, 2)
        Points that the plot includes.
    y : array (N,), optional
        Classes of the points; the points are drawn, in the colors of their classes, only if given.
    margin : float
        Distance between the outermost points and the edges.
    steps : int
        Number of grid points along each side.
    ax : matplotlib Axes, optional
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    ValueError
        If the model does not take two inputs.

    Examples
    --------
    >>> from anynet import Dense, Model, Sigmoid
    >>> model = Model([Dense(1, weight=[[1.0], [1.0]]), Sigmoid()], input_shape=2)
    >>> plot_decision_boundary(model, [[0.0, 0.0], [1.0, 1.0]], [0, 1]).get_xlabel()
    '$x_1$'
    """
    if model.input_shape != (2,):
        raise ValueError(
            f"plot_decision_boundary: expected a model of input shape (2,), got {model.input_shape}; a plane has two axes"
        )
    ax = _axes(ax)
    points = to_numpy(x)
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    first, second = (np.linspace(low[i], high[i], steps) for i in (0, 1))
    grid = np.stack([a.ravel() for a in np.meshgrid(first, second)], axis=1)
    predicted = to_numpy(model.predict(grid.astype(np.float32)))
    if predicted.shape[1] == 1:
        field = predicted[:, 0].reshape(steps, steps)
        threshold = 0.5 if model.loss is None or model.loss.threshold is None else model.loss.threshold
        reach = max(float(np.abs(field - threshold).max()), 1e-6)
        colors = {"cmap": "coolwarm", "vmin": threshold - reach, "vmax": threshold + reach}
        dots = {"cmap": "coolwarm", "vmin": 0, "vmax": 1}
        if field.min() < threshold < field.max():
            ax.contour(first, second, field, levels=[threshold], colors="black")
    else:
        field = predicted.argmax(axis=1).reshape(steps, steps)
        colors = dots = {"cmap": _class_colors(predicted.shape[1]), "vmin": -0.5, "vmax": predicted.shape[1] - 0.5}
    ax.imshow(field, extent=(low[0], high[0], low[1], high[1]), origin="lower", aspect="auto", alpha=0.5, **colors)
    if y is not None:
        labels = to_numpy(y).reshape(len(points), -1)
        labels = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0]
        ax.scatter(points[:, 0], points[:, 1], c=labels, edgecolors="black", zorder=3, **dots)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="$x_1$", ylabel="$x_2$")
    return ax


def plot_weights(
    weight: Any, *, shape: tuple[int, int], columns: int | None = None, count: int = 100, ax: Any = None
) -> Any:
    """Show each neuron's weights as an image, positive in red and negative in blue.

    Parameters
    ----------
    weight : array (I, O), or Model
        Weights, or a model, whose first layer is shown.
    shape : (int, int)
        Height and width of the input images, with I pixels in total.
    columns : int, optional
        Number of images per row; by default the board is roughly square.
    count : int
        Maximum number of neurons to show; the title states it if there are more.
    ax : matplotlib Axes, optional
        Axes to draw on; by default those of a new figure.

    Raises
    ------
    ValueError
        If the weights do not match images of that shape.

    Examples
    --------
    >>> plot_weights(np.zeros((12, 5)), shape=(3, 4), columns=3).images[0].get_array().shape
    (9, 16)
    """
    if hasattr(weight, "params"):
        weight = _first_weight(weight.params)
    weight = to_numpy(weight)
    if weight.ndim != 2 or weight.shape[0] != math.prod(shape):
        raise ValueError(
            f"plot_weights: expected weights of shape ({math.prod(shape)}, neurons) for images of {shape}, got {weight.shape}"
        )
    ax = _axes(ax)
    shown = weight[:, :count].T.reshape(-1, *shape)
    board, _ = _tile(shown, columns, fill=np.nan)
    reach = float(np.abs(shown).max()) or 1.0
    ax.imshow(board, cmap="RdBu_r", vmin=-reach, vmax=reach)
    ax.set_axis_off()
    if weight.shape[1] > count:
        ax.set_title(f"{count} of {weight.shape[1]} neurons")
    return ax


def plot_predictions(
    images: Any, y_true: Any, y_pred: Any, *, columns: int | None = None, count: int = 25, ax: Any = None
) -> Any:
    """Show images with their classes, and wrong predictions in red.

    Parameters
    ----------
    images : array (N, H, W)
        Grayscale images.
    y_true, y_pred : array (N,), or (N, C)
        Classes, or rows whose largest element is the class.
    columns : int, optional
        Number of images per row; by default the board is roughly square.
    count : int
        Maximum number of images to show.
    ax : matplotlib Axes, optional
        Axes to draw on; by default those of a new figure.

    Examples
    --------
    >>> ax = plot_predictions(np.zeros((2, 8, 8)), [3, 5], [3, 6])
    >>> [text.get_text() for text in ax.texts]
    ['3', '5, not 6']
    """
    images = to_numpy(images)[:count]
    truth, predicted = (
        a.argmax(axis=1) if a.ndim == 2 else a for a in (to_numpy(y_true)[:count], to_numpy(y_pred)[:count])
    )
    if images.ndim != 3 or not len(images) == len(truth) == len(predicted):
        raise ValueError(
            f"plot_predictions: expected images of shape (N, H, W) with N true and predicted classes, got {images.shape}, "
            f"{truth.shape} and {predicted.shape}"
        )
    ax = _axes(ax)
    height, width = images.shape[1:]
    label = max(height // 3, 3)  # room above each image
    board, corners = _tile(np.pad(images.astype(float), ((0, 0), (label, 0), (0, 0)), constant_values=np.nan), columns)
    ax.imshow(board, cmap="gray_r")
    for (top, left), true, guess in zip(corners, truth.tolist(), predicted.tolist(), strict=True):
        ax.text(
            left + width / 2,
            top + label * 0.8,
            str(true) if true == guess else f"{true}, not {guess}",
            color="black" if true == guess else "firebrick",
            ha="center",
            fontsize="small",
        )
    ax.set_axis_off()
    return ax


def save_or_show(figure: Any, path: str | Path | None = None) -> None:
    """Save a figure to a file, or show it if there is a display."""
    import matplotlib.pyplot as plt

    if path is not None:
        figure.savefig(path, dpi=120)
        print(f"wrote {path}")
    elif plt.get_backend().lower() == "agg":
        print("no display: pass --output figure.png to save the figure")
    else:
        plt.show()
    plt.close(figure)


def check_output(path: str | Path | None) -> None:
    """Raise OSError or ValueError, before a long computation, if this file cannot be written."""
    from matplotlib.backend_bases import FigureCanvasBase

    if path is None:
        return
    path, formats = Path(path), sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix[1:].lower() not in ("", *formats):
        raise ValueError(f"{path}: expected the suffix of a figure, one of {', '.join(formats)}, got {path.suffix}")
    new = not path.exists()
    path.open("ab").close()
    if new:
        path.unlink()


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            'plots: expected matplotlib to be installed, got none; run: pip install "anynet-nn[plots]"'
        ) from None
    return plt.subplots(layout="constrained")[1]


def _class_colors(classes: int) -> Any:
    import matplotlib

    base = matplotlib.colormaps["tab10" if classes <= 10 else "tab20"]
    return matplotlib.colors.ListedColormap([base(i % base.N) for i in range(classes)])


def _first_weight(params: Any) -> Any:
    """Return the first matrix named weight."""
    for path, array in tree.leaves_with_paths(params):
        if path and path[-1] == "weight" and len(array.shape) == 2:
            return array
    raise ValueError("plot_weights: expected a model with a Dense layer, got none; pass the weights themselves")


def _tile(images: np.ndarray, columns: int | None, fill: float = np.nan) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the images on one board with gaps, and the top left corner of each."""
    count, height, width = images.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows, gap = -(-count // columns), 1
    board = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap), fill)
    corners = []
    for i, image in enumerate(images):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        board[top : top + height, left : left + width] = image
        corners.append((top, left))
    return board, corners
