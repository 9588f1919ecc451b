"""Weights of PyTorch and Keras: into a model, and out of it.

`Model.load_weights` and `Model.weights` convert between the layouts. `torch_layout` and `keras_layout` have one `Rule` per class
of layers, and ``register`` adds one for a layer of your own.

>>> import numpy as np
>>> from anynet import Dense, Model
>>> model = Model([Dense(2)], input_shape=3)
>>> model.load_weights({"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2)})  # a state_dict
>>> model.predict(np.ones((1, 3))).tolist()
[[3.0, 3.0]]
>>> {name: array.shape for name, array in model.weights("torch").items()}
{'0.weight': (2, 3), '0.bias': (2,)}
"""

from anynet.weights.convert import Names as Names, from_layout as from_layout, to_layout as to_layout
from anynet.weights.orders import follow as follow
from anynet.weights.rules import (
    Rule as Rule,
    keras_layout as keras_layout,
    torch_layout as torch_layout,
    transposed as transposed,
)
