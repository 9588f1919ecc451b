"""scikit-learn's multilayer perceptrons."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor


class Trainer:
    """Train `MLPClassifier`, or `MLPRegressor` for one output; `step` is ``partial_fit``.

    No L2 penalty and no early end, so that the work is that of the others. Its squared loss is halved, so its learning
    rate is doubled.
    """

    def __init__(self, network, variant, device, weights=None, seed=0):
        self.network, self.weights, self.seed = network, weights, seed

    def hold(self, x, y):
        self.model = self._model(max_iter=1, shuffle=False)
        if self.network.loss == "mse":
            self.batch = (x, y[:, 0])
            self.model.partial_fit(*self.batch)
        else:
            self.batch = (x, y)
            self.model.partial_fit(x, y, classes=np.arange(self.network.sizes[-1]))
        # The first call made weights and optimizer state; now the given weights, and a state of their own.
        for (weight, bias), coef, intercept in zip(
            self.weights, self.model.coefs_, self.model.intercepts_, strict=True
        ):
            coef[...] = weight
            intercept[...] = bias
        del self.model._optimizer

    def step(self):
        self.model.partial_fit(*self.batch)

    def loss(self):
        return self.model.loss_ * (2.0 if self.network.loss == "mse" else 1.0)

    def fit(self, x, y, epochs):
        self.model = self._model(max_iter=epochs, shuffle=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(x, y[:, 0] if y.ndim == 2 else y)

    def predict(self, x):
        if not hasattr(self, "model"):
            self.fit(x[:100], np.arange(100) % self.network.sizes[-1], 1)
        return self.model.predict_proba(x)

    def wait(self):
        pass

    def _model(self, max_iter, shuffle):
        network = self.network
        squared = network.loss == "mse"
        options = {"momentum": 0.0, "nesterovs_momentum": False} if network.optimizer == "sgd" else {}
        return (MLPRegressor if squared else MLPClassifier)(
            hidden_layer_sizes=network.sizes[1:-1],
            solver=network.optimizer,
            learning_rate_init=network.learning_rate * (2.0 if squared else 1.0),
            batch_size=network.batch,
            alpha=0.0,
            max_iter=max_iter,
            n_iter_no_change=max_iter + 1,
            shuffle=shuffle,
            random_state=self.seed,
            **options,
        )
