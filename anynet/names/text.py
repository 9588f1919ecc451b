"""Names of classes given as text, names of other libraries, and misspelled names.

`ALIASES` lists other words for classes, which are accepted as text, as in ``Model(loss="mse")``. `INSTEAD` lists names that
anynet lacks, with the code to write instead; they appear in messages only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

ALIASES = {
    "acc": "Accuracy",
    "accuracyscore": "Accuracy",
    "auc": "ROCAUC",
    "bce": "BinaryCrossEntropy",
    "bcewithlogits": "SigmoidCrossEntropy",
    "crossentropy": "SoftmaxCrossEntropy",
    "f1score": "F1",
    "kld": "KLDivergence",
    "linear": "Identity",
    "mae": "MeanAbsoluteError",
    "precisionscore": "Precision",
    "r2score": "R2",
    "recallscore": "Recall",
    "rocaucscore": "ROCAUC",
    "rootmeansquarederror": "RMSE",
    "sparsecategoricalcrossentropy": "CategoricalCrossEntropy",
}
"""Other words for classes, in lower case without separators."""

INSTEAD = {
    # names of the package
    "anynet.Activation": "ReLU() or another activation as a layer of its own",
    "anynet.Add": "Residual(layers), which adds their input",
    "anynet.AveragePooling1D": "AvgPool1D",
    "anynet.AveragePooling2D": "AvgPool2D",
    "anynet.AvgPool1d": "AvgPool1D",
    "anynet.BCELoss": "BinaryCrossEntropy",
    "anynet.BCEWithLogitsLoss": "SigmoidCrossEntropy",
    "anynet.BatchNorm1d": "BatchNorm",
    "anynet.BatchNorm2d": "BatchNorm",
    "anynet.BatchNormalization": "BatchNorm",
    "anynet.Bidirectional": "Parallel([LSTM(units), LSTM(units, reverse=True)])",
    "anynet.Concatenate": "Parallel([layer, layer]), which joins the outputs",
    "anynet.CosineAnnealingLR": "CosineDecay",
    "anynet.CosineAnnealingWarmRestarts": "CosineRestarts",
    "anynet.CrossEntropyLoss": "SoftmaxCrossEntropy",
    "anynet.Custom": "anynet.metrics.Custom, or pass the function itself in metrics=[...]",
    "anynet.DataLoader": "fit(x, y, batch_size=...), or pass any iterable of batches to fit",
    "anynet.ExponentialLR": "ExponentialDecay",
    "anynet.Given": "anynet.initializers.Given, or pass the array itself as a weight",
    "anynet.GlobalAveragePooling1D": "GlobalAvgPool1D",
    "anynet.GlobalAveragePooling2D": "GlobalAvgPool2D",
    "anynet.Input": "Model(..., input_shape=...)",
    "anynet.L1Loss": "MeanAbsoluteError",
    "anynet.Lambda": "a class with forward and backward: there is no autodiff",
    "anynet.LayerNormalization": "LayerNorm",
    "anynet.LearningRateScheduler": "a schedule as learning rate, such as Adam(CosineDecay(1e-3, epochs=20))",
    "anynet.Linear": "Dense(units); the number of inputs follows from input_shape",
    "anynet.MaxPooling1D": "MaxPool1D",
    "anynet.MaxPooling2D": "MaxPool2D",
    "anynet.Mean": "anynet.metrics.Mean",
    "anynet.ModelCheckpoint": "Checkpoint",
    "anynet.Module": "Layer",
    "anynet.MLPClassifier": "anynet.sklearn.MLPClassifier",
    "anynet.MLPRegressor": "anynet.sklearn.MLPRegressor",
    "anynet.MSELoss": "MeanSquaredError",
    "anynet.MultiHeadAttention": "Attention or SelfAttention",
    "anynet.MultiheadAttention": "Attention or SelfAttention",
    "anynet.NLLLoss": "CategoricalCrossEntropy after Softmax(), or SoftmaxCrossEntropy",
    "anynet.Normalization": "Rescale(factor), or scale x with sklearn.preprocessing.StandardScaler",
    "anynet.OneCycleLR": "OneCycle",
    "anynet.Ones": "Constant(1.0)",
    "anynet.RNN": "GRU or LSTM",
    "anynet.RealMLPClassifier": "anynet.sklearn.RealMLPClassifier",
    "anynet.RealMLPRegressor": "anynet.sklearn.RealMLPRegressor",
    "anynet.Run": "anynet.callbacks.Run",
    "anynet.SimpleRNN": "GRU or LSTM",
    "anynet.SmoothL1Loss": "Huber",
    "anynet.StandardScaler": "sklearn.preprocessing.StandardScaler",
    "anynet.StepLR": "StepDecay",
    "anynet.TabMClassifier": "anynet.sklearn.TabMClassifier",
    "anynet.TabMRegressor": "anynet.sklearn.TabMRegressor",
    "anynet.TensorBoard": "CSVLogger, or LambdaCallback(on_epoch_end=function)",
    "anynet.TerminateOnNaN": "StopOnNaN",
    "anynet.TimeDistributed": "the layer itself: Dense is applied at each position",
    "anynet.load_iris": "sklearn.datasets.load_iris(return_X_y=True)",
    "anynet.load_model": "load",
    "anynet.manual_seed": "Model(..., seed=...)",
    "anynet.nn": "anynet: layers, losses and optimizers are in one namespace",
    "anynet.no_grad": "nothing: predict computes no gradients",
    "anynet.optim": "anynet: optimizers are in the same namespace as layers",
    "anynet.save": "Model.save(path)",
    "anynet.tensor": "an array of NumPy, CuPy, PyTorch or JAX",
    "anynet.to_categorical": "nothing: SoftmaxCrossEntropy takes integer classes",
    # attributes of a model
    "Model.add": "Model([..., layer], ...): the layers are given at once",
    "Model.backward": "gradients(x, y)",
    "Model.compile": "Model(layers, input_shape=..., loss=..., optimizer=..., metrics=[...])",
    "Model.count_params": "summary()",
    "Model.cpu": "model = model.to('numpy')",
    "Model.cuda": "model = model.to('cupy')",
    "Model.device": "model.backend",
    "Model.eval": "predict(x), which never trains",
    "Model.explain": "anynet.explain(model, x, y)",
    "Model.export": "to_onnx(path)",
    "Model.fit_generator": "fit(batches), for any iterable of batches",
    "Model.forward": "predict(x)",
    "Model.get_weights": "params, or weights(layout='keras') for Keras's list",
    "Model.layers": "model.layer.layers",
    "Model.load": "anynet.load(path)",
    "Model.load_state_dict": "load_weights(state_dict)",
    "Model.parameters": "params",
    "Model.save_weights": "save(path)",
    "Model.score": "evaluate(x, y)",
    "Model.set_weights": "model.params = [...], or load_weights(arrays, layout='keras')",
    "Model.state_dict": "weights(), with PyTorch's names, or save(path)",
    "Model.train": "fit(x, y)",
    "Model.train_on_batch": "train_step(x, y)",
    "Model.zero_grad": "nothing: gradients are never accumulated",
    # attributes of other objects
    "Callback.on_batch_begin": "on_batch_end or on_epoch_begin",
    "Callback.on_test_end": "on_epoch_end, which runs after validation",
    "Callback.on_train_batch_begin": "on_batch_end or on_epoch_begin",
    "Callback.on_train_batch_end": "on_batch_end",
    "Callback.on_train_begin": "on_fit_begin",
    "Callback.on_train_end": "on_fit_end",
    "Callback.on_train_epoch_end": "on_epoch_end",
    "Callback.on_validation_end": "on_epoch_end, which runs after validation",
    "Callback.on_validation_epoch_end": "on_epoch_end, which runs after validation",
    "History.history": "history['loss']: the history itself maps names to values",
    # arguments; those without a class are of any class or function
    "Adam()": "Adam(learning_rate, beta1=..., beta2=...): Model passes it the parameters",
    "Adam.momentum": "beta1=...",
    "Adam.weight_decay": "AdamW(weight_decay=...), or Model(regularizer=L2(...))",
    "AvgPool2D()": "AvgPool2D(pool_size, stride=...)",
    "BatchNorm()": "BatchNorm(); the number of features follows from input_shape",
    "Conv1D()": "Conv1D(filters, kernel_size, stride=..., padding=...); the number of channels follows from input_shape",
    "Conv2D()": "Conv2D(filters, kernel_size, stride=..., padding=...); the number of channels follows from input_shape",
    "CosineDecay()": "CosineDecay(initial, epochs=...) or CosineDecay(initial, steps=...)",
    "Dense()": "Dense(units); the number of inputs follows from input_shape, and an activation is a layer: [Dense(8), ReLU()]",
    "Dropout.p": "rate=...",
    "EarlyStopping()": "EarlyStopping('val_loss', patience=...)",
    "EarlyStopping.restore_best_weights": "restore_best=...",
    "Checkpoint.filepath": "path",
    "Checkpoint.save_best_only": "monitor='val_loss'",
    "Embedding.embedding_dim": "features=...",
    "Embedding.input_dim": "entries=...",
    "Embedding.num_embeddings": "entries=...",
    "Embedding.output_dim": "features=...",
    "Flatten()": "Flatten(), which keeps the batch axis only",
    "LambdaCallback()": "LambdaCallback(on_epoch_end=function)",
    "LayerNorm()": "LayerNorm(); the number of features follows from input_shape",
    "LeakyReLU.alpha": "negative_slope=...",
    "MaxPool2D()": "MaxPool2D(pool_size, stride=...)",
    "Model(input_shape)": "input_shape=..., the shape of one example, x.shape[1:]",
    "Model()": "Model(layers, input_shape=..., loss=..., optimizer=...), with a list of layers",
    "Model.evaluate.batch_size": "evaluate(x, y), which chooses the size of its batches",
    "Model.evaluate.verbose": "evaluate(x, y), which prints nothing",
    "Model.fit()": "fit(x, y, epochs=...); all other arguments are given by name",
    "Model.fit.learning_rate": "Model(..., optimizer=Adam(learning_rate))",
    "Model.fit.loss": "Model(..., loss=...)",
    "Model.fit.lr": "Model(..., optimizer=Adam(learning_rate))",
    "Model.fit.metrics": "Model(..., metrics=[...])",
    "Model.fit.optimizer": "Model(..., optimizer=...)",
    "Model.fit.steps_per_epoch": "nothing: an epoch is one pass over the data",
    "Model.fit.val_split": "validation_split=...",
    "Model.fit.verbose": "progress=True or progress=False",
    "Model.predict.batch_size": "predict(x), which chooses the size of its batches",
    "Model.predict.verbose": "predict(x), which prints nothing",
    "Parallel()": "Parallel([layer, layer]), with one list",
    "ReduceLROnPlateau.min_lr": "min_factor=..., a fraction of the learning rate",
    "Reshape()": "Reshape((2, 2)), with one tuple",
    "SGD()": "SGD(learning_rate, momentum=...): Model passes it the parameters",
    "Sequential()": "Sequential([layer, layer]), with one list",
    "batch_first": "nothing: the first axis is always that of the examples",
    "activation": "the activation as a layer of its own: [Dense(16), ReLU()]",
    "betas": "beta1=..., beta2=...",
    "bias_initializer": "bias=...",
    "bidirectional": "Parallel([LSTM(units), LSTM(units, reverse=True)])",
    "clipnorm": "Clip(optimizer, norm=...)",
    "eps": "epsilon=...",
    "hidden_size": "units=...",
    "in_channels": "nothing: the number of channels follows from input_shape",
    "in_features": "nothing: the number of inputs follows from input_shape",
    "input_dim": "Model(..., input_shape=...)",
    "input_shape": "Model(..., input_shape=...)",
    "input_size": "nothing: the number of inputs follows from input_shape",
    "kernel_initializer": "weight=...",
    "kernel_regularizer": "Model(..., regularizer=L2(...))",
    "num_heads": "heads=...",
    "num_layers": "several layers: [LSTM(units), LSTM(units)]",
    "out_channels": "filters",
    "out_features": "units",
    "return_sequences": "sequences=True, the default, or sequences=False",
    "schedule": "the schedule as learning rate: Adam(CosineDecay(1e-3, epochs=20))",
    "SoftmaxCrossEntropy.weight": "class_weight=..., one number per class",
    "from_logits": "SoftmaxCrossEntropy or SigmoidCrossEntropy, which take logits",
    "strides": "stride=...",
    # names and objects where others are expected
    "Callback.function": "LambdaCallback(on_epoch_end=function)",
    "Callback.str": "the callback itself, such as EarlyStopping()",
    "Layer.function": "a class with forward and backward, or an activation such as Tanh(): there is no autodiff",
    "Layer.list": "Sequential([...]) around layers inside the list",
    "Layer.ufunc": "an activation such as Tanh()",
    "Loss.function": "a class with per_example and derivative: there is no autodiff",
    "Regularizer.float": "L2(...)",
    "Regularizer.str": "L1(...) or L2(...) with its strength",
    "backend.cpu": "backend='numpy'",
    "backend.cuda": "backend='cupy' or backend='torch:cuda'",
    "backend.gpu": "backend='cupy' or backend='torch:cuda'",
    "loss.MAE": "MeanAbsoluteError()",
    "loss.RMSE": "MeanSquaredError(), whose minimum is the same",
    "loss.l1": "MeanAbsoluteError()",
    "loss.log_loss": "SoftmaxCrossEntropy(), or SigmoidCrossEntropy() for one output",
    "loss.nll": "CategoricalCrossEntropy() after Softmax(), or SoftmaxCrossEntropy()",
    "loss.smooth_l1": "Huber()",
    "metrics.average_precision": "metrics=[sklearn.metrics.average_precision_score], a function",
    "metrics.loss": "metrics=[]: the loss is always reported",
    "metrics.pr_auc": "metrics=[sklearn.metrics.average_precision_score], a function",
    "metrics.prauc": "metrics=[sklearn.metrics.average_precision_score], a function",
    "optimizer.CosineDecay": "Adam(CosineDecay(...))",
}
"""Code to write instead of a name of another library, by ``owner.name``; ``owner()`` is for surplus arguments."""


def plain(name: str) -> str:
    """Return a name in lower case without separators."""
    return re.sub(r"[\W_]", "", name).lower()


def advice(owners: Iterable[str], name: str, known: Iterable[str] = ()) -> str:
    """Return the end of a message about an unknown name, or nothing.

    It is the code to write instead, or the nearest name."""
    for key in (*(f"{owner}.{name}" for owner in owners), name):
        if key in INSTEAD:
            return f"; write {INSTEAD[key]}"
    by_plain = {plain(one): one for one in known}
    near = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.75)
    return f"; did you mean {by_plain[near[0]]}?" if near else ""


def surplus_advice(owner: str) -> str:
    """Return the end of a message about surplus positional arguments."""
    return f"; write {INSTEAD[f'{owner}()']}" if f"{owner}()" in INSTEAD else ""


def classes_of(kind: type, *modules: ModuleType) -> dict[str, type]:
    """Return the public subclasses of a class in modules, by name."""
    found = {name: value for module in modules for name, value in vars(module).items() if isinstance(value, type)}
    return {name: cls for name, cls in found.items() if issubclass(cls, kind) and cls is not kind and name[0] != "_"}


def from_text(where: str, name: str, value: Any, classes: Mapping[str, type], example: str) -> Any:
    """Return an instance of a class named by text, and other values unchanged.

    Raises
    ------
    ValueError
        If there is no such class, or it has arguments that must be given.
    """
    if not isinstance(value, str):
        return value
    by_plain = {plain(one): one for one in classes}
    found = by_plain.get(plain(value)) or by_plain.get(plain(ALIASES.get(plain(value), "")))
    if found is None:
        raise ValueError(
            f"{where}: expected {name} to be {example} or the name of such a class, got {value!r}"
            f"{advice((name,), value, [*classes, *ALIASES])}"
        )
    try:
        return classes[found]()
    except TypeError as error:
        raise ValueError(
            f"{where}: expected {name} with its arguments, got {value!r}; write {found}(...) ({error})"
        ) from None
