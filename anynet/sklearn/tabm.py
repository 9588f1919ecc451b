"""TabM: an ensemble of perceptrons for tables in one network."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from anynet.backends.base import Backend
from anynet.initializers import Blocks, Initializer, Normal, RandomSigns
from anynet.layers import BatchEnsemble, Dropout, EachDense, Layer, Members, PiecewiseLinear, ReLU
from anynet.losses import EachMember
from anynet.model import Model
from anynet.optimizers import AdamW, Clip
from anynet.sklearn.best_epoch import BestEpoch
from anynet.sklearn.table_parameters import ATTRIBUTES, CONSTRAINTS, MORE, NUMBER_ATTRIBUTES, POSITIVE
from anynet.sklearn.tabular import Rows, TableEstimator, each_number
from anynet.sklearn.targets import TableClassifier, TableRegressor

BATCH_SIZES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256), (108_000, 512))
"""Upper bounds of the number of rows, and the batch size below each; above all it is 1024."""

PARAMETERS = """members : int, in [1, inf)
        Number of members, which share most of their weights.
    hidden : int or sequence of int, in [1, inf), or "auto"
        Numbers of units of the hidden layers of each member; "auto" is three layers of 512, or two with `bins`.
    dropout : float, in [0, 1)
        Dropout rate of the hidden layers.
    learning_rate : float, in (0, inf)
        Learning rate of AdamW.
    weight_decay : float, in [0, inf)
        Weight decay of AdamW.
    bins : int, in [1, inf), optional
        Number of bins of an embedding of the numbers, a learned piecewise linear function; the authors use 48.
    patience : int, in [1, inf)
        Number of epochs without improvement on the held-out rows after which training stops.
    epochs : int, in [1, inf)
        Maximum number of epochs. The network is that of the best epoch, judged by the held-out rows.
    batch_size : int, in [1, inf), or "auto"
        Rows per step; "auto" depends on the number of rows, from 32 for fewer than 2800 to 1024 for 108 000 and more.
    """

NOTES = """Notes
    -----
    A step does the work of `members` networks, 32 by default: for three layers of 512 units about 100 MFLOP per row. On a CPU,
    begin with fewer members and units, such as ``members=8, hidden=(256, 256)``.

    References
    ----------
    Gorishniy, Kotelnikov, Babenko (2025), "TabM: advancing tabular deep learning with parameter-efficient ensembling",
    section 3.
    """


class TabM(TableEstimator):
    """Network and training of TabM; subclasses define the targets."""

    scaling = "quantile"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS,
        "hidden": [*CONSTRAINTS["hidden"], StrOptions({"auto"})],
        "bins": [POSITIVE, None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "patience": [POSITIVE],
        "batch_size": [POSITIVE, StrOptions({"auto"})],
    }

    def _train(
        self, rows: Rows, held: Rows | None, random: np.random.RandomState, backend: Backend, resume: Any
    ) -> list[Model]:
        seed = int(random.randint(np.iinfo(np.int32).max))
        rows, held = self._split(rows, held, seed)
        model, best = self._make_model(rows, seed, backend), BestEpoch(self.monitor, ties=False, patience=self.patience)
        size = self.batch_size
        if size == "auto":
            size = next((size for bound, size in BATCH_SIZES if len(rows.y) < bound), 1024)
        self._fit_model(model, rows, held, best, int(size), resume)
        return [model]

    def _hidden_sizes(self) -> list[int]:
        return [512] * (3 if self.bins is None else 2) if self.hidden == "auto" else super()._hidden_sizes()

    def _make_model(self, rows: Rows, seed: int, backend: Backend) -> Model:
        layers: list[Layer] = []
        widths, numbers = self.preprocessor_.widths, self.preprocessor_.n_numbers_
        factors: Initializer = RandomSigns()
        if self.bins is not None and numbers:
            embedding = PiecewiseLinear([quantile_edges(column, int(self.bins)) for column in rows.x.T[:numbers]])
            layers.append(each_number(embedding, numbers, rows.x.shape[1]))
            widths, factors = [embedding.features] * numbers + widths[numbers:], Normal(1.0)
        layers.append(Members(int(self.members), weight=Blocks(factors, widths)))
        for index, units in enumerate(self._hidden_sizes()):
            layers += [BatchEnsemble(units, use_r=index > 0), ReLU()]
            if self.dropout:
                layers.append(Dropout(float(self.dropout)))
        return Model(
            [*layers, EachDense(self._count_outputs())],
            input_shape=rows.x.shape[1],
            loss=EachMember(self._make_loss()),
            optimizer=Clip(AdamW(float(self.learning_rate), weight_decay=float(self.weight_decay)), norm=1.0),
            metrics=[self.monitor.removeprefix("val_")],
            backend=backend,
            dtype=self.dtype,
            seed=seed,
        )


def quantile_edges(x: np.ndarray, bins: int) -> list[float]:
    """Return the edges of at most `bins` bins with equally many rows.

    A value that occurs more often than a bin has rows is an edge of its own, and the others are divided into the bins that
    remain: quantiles of the whole column would be that value many times. All values are edges if there are few.
    """
    values, counts = np.unique(x, return_counts=True)
    alone = np.zeros(len(values), dtype=bool)
    while True:
        free = bins + 1 - alone.sum()
        often = ~alone & (counts * free >= counts[~alone].sum())
        if not often.any():
            break
        alone |= often
    others = np.repeat(values[~alone], counts[~alone])
    quantiles = np.quantile(others, np.linspace(0.0, 1.0, free)) if others.size else others
    edges = np.union1d(values[alone], quantiles)
    edges = edges[np.diff(edges, prepend=-np.inf) > 1e-6 * np.ptp(edges)]  # equal quantiles differ by rounding
    return edges.tolist() if len(edges) > 1 else [x[0] - 1.0, x[0] + 1.0]


class TabMClassifier(TabM, TableClassifier):
    __doc__ = f"""TabM for classes: an ensemble of perceptrons for tables that share most of their weights.

    Parameters
    ----------
    {PARAMETERS}{MORE}
    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Sorted classes, as a NumPy array.
    {ATTRIBUTES.format(score="accuracy")}
    {NOTES}
    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> x, y = load_wine(return_X_y=True, as_frame=True)
    >>> classifier = TabMClassifier(members=8, hidden=(64, 64), random_state=0).fit(x, y)
    >>> round(classifier.score(x, y), 1)
    1.0
    """

    def __init__(
        self,
        *,
        members: int = 32,
        hidden: Any = "auto",
        dropout: float = 0.1,
        learning_rate: float = 2e-3,
        weight_decay: float = 3e-4,
        bins: int | None = None,
        patience: int = 16,
        epochs: int = 1000,
        batch_size: int | str = "auto",
        validation_fraction: float = 0.2,
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        backend: Any = None,
        device: str | None = None,
        dtype: str = "float32",
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        self.members = members
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.bins = bins
        self.patience = patience
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.progress = progress


class TabMRegressor(TabM, TableRegressor):
    __doc__ = f"""TabM for numbers: an ensemble of perceptrons for tables that share most of their weights.

    Parameters
    ----------
    {PARAMETERS}{MORE}
    Attributes
    ----------
    {ATTRIBUTES.format(score="root mean squared error of the standardized targets")}{NUMBER_ATTRIBUTES}
    {NOTES}
    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> x, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> regressor = TabMRegressor(members=8, hidden=(64, 64), random_state=0).fit(x[:400], y[:400])
    >>> round(regressor.score(x[400:], y[400:]), 1)
    0.7
    """

    def __init__(
        self,
        *,
        members: int = 32,
        hidden: Any = "auto",
        dropout: float = 0.1,
        learning_rate: float = 2e-3,
        weight_decay: float = 3e-4,
        bins: int | None = None,
        patience: int = 16,
        epochs: int = 1000,
        batch_size: int | str = "auto",
        validation_fraction: float = 0.2,
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        backend: Any = None,
        device: str | None = None,
        dtype: str = "float32",
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        self.members = members
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.bins = bins
        self.patience = patience
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.progress = progress
