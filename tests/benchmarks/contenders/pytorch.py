"""PyTorch as its tutorials use it: eager with autograd, with the fused optimizer, or with `torch.compile`."""

import torch
from torch import nn


class Trainer:
    """Train an `nn.Sequential`.

    `variant` is ``"eager"`` (the optimizer as it is by default), ``"fused"`` (``fused=True``) or ``"compile"`` (model
    and loss compiled, fused optimizer).
    """

    def __init__(self, network, variant, device, weights=None, seed=0):
        torch.manual_seed(seed)
        self.network = network
        self.device = torch.device(device)
        layers = []
        for inputs, outputs in zip(network.sizes, network.sizes[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1]).to(self.device)
        if weights:
            _set(self.model[::2], weights)
        self.criterion = nn.MSELoss() if network.loss == "mse" else nn.CrossEntropyLoss()
        options = {"lr": network.learning_rate, "fused": True if variant != "eager" else None}
        kind = torch.optim.SGD if network.optimizer == "sgd" else torch.optim.Adam
        self.optimizer = kind(self.model.parameters(), **options)
        self.objective = torch.compile(self._objective) if variant == "compile" else self._objective
        self.scores = torch.compile(self.model) if variant == "compile" else self.model

    def hold(self, x, y):
        self.x, self.y = torch.asarray(x, device=self.device), torch.asarray(y, device=self.device)

    def step(self):
        self.last = self._train(self.x, self.y)

    def loss(self):
        return float(self.last)

    def fit(self, x, y, epochs):
        self.hold(x, y)
        size = self.network.batch
        for _ in range(epochs):
            order = torch.randperm(len(x), device=self.device)
            total = torch.zeros((), device=self.device)
            for start in range(0, len(x), size):
                rows = order[start : start + size]
                total += self._train(self.x[rows], self.y[rows]).detach() * len(rows)
            self.last = total.item() / len(x)

    def predict(self, x):
        with torch.inference_mode():
            return self.scores(torch.asarray(x, device=self.device)).cpu().numpy()

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _objective(self, x, y):
        return self.criterion(self.model(x), y)

    def _train(self, x, y):
        self.optimizer.zero_grad()
        loss = self.objective(x, y)
        loss.backward()
        self.optimizer.step()
        return loss


def _set(linears, weights):
    with torch.no_grad():
        for linear, (weight, bias) in zip(linears, weights, strict=True):
            linear.weight.copy_(torch.from_numpy(weight.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
