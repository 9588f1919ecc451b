"""Test the conversion of users' data for one model: batches, sources, and the forms of validation data."""

import numpy as np

from anynet import SGD, Dense, Model, SoftmaxCrossEntropy
from anynet.data.adapter import DataAdapter

x = np.random.default_rng(0).integers(0, 256, (90, 6), dtype=np.uint8)


def test_one_hot_targets_are_split_class_by_class():
    rare = np.array([0] * 80 + [1] * 10)
    model = Model([Dense(2)], input_shape=6, loss=SoftmaxCrossEntropy(), optimizer=SGD(0.0001))
    held = []
    adapter = DataAdapter(model.config, model.backend, model.output_shape)
    settings = {"sample_weight": None, "class_weight": None, "validation_data": None, "validation_split": 0.3}
    _, validation = adapter.sources(x, np.eye(2)[rare], **settings)
    held = model.backend.to_numpy(validation.targets)
    assert held.sum(axis=0).tolist() == [24, 3]
