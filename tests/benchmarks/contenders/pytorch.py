"""PyTorch as its tutorials use it: eager, with the fused optimizer, with `torch.compile`, or with a CUDA graph."""

import torch
from torch import nn


class Trainer:
    """Train an `nn.Sequential`.

    `variant` is ``"eager"`` (the optimizer as it is by default), ``"fused"`` (``fused=True``), ``"compile"`` (model
    and loss compiled, fused optimizer) or ``"graph"`` (the whole step with the fused optimizer, captured in a CUDA graph).
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
        self.is_graph, self.graph = variant == "graph", None
        if self.is_graph and kind is torch.optim.Adam:
            options["capturable"] = True
        self.optimizer = kind(self.model.parameters(), **options)
        self.objective = torch.compile(self._objective) if variant == "compile" else self._objective
        self.scores = torch.compile(self.model) if variant == "compile" else self.model

    def hold(self, x, y):
        self.x, self.y = torch.asarray(x, device=self.device), torch.asarray(y, device=self.device)
        if self.is_graph:
            self._capture(self.x, self.y)

    def step(self):
        if self.is_graph:
            self.graph.replay()
        else:
            self.last = self._train(self.x, self.y)

    def loss(self):
        return float(self.last)

    def fit(self, x, y, epochs):
        x, y = torch.asarray(x, device=self.device), torch.asarray(y, device=self.device)
        size = self.network.batch
        if self.is_graph and self.graph is None:
            self._capture(x[:size].clone(), y[:size].clone())
        train = self._replay if self.is_graph else self._train
        for _ in range(epochs):
            order = torch.randperm(len(x), device=self.device)
            total = torch.zeros((), device=self.device)
            for start in range(0, len(x), size):
                rows = order[start : start + size]
                total += train(x[rows], y[rows]).detach() * len(rows)
            self.last = total.item() / len(x)

    def predict(self, x):
        with torch.inference_mode():
            return self.scores(torch.asarray(x, device=self.device)).cpu().numpy()

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _objective(self, x, y):
        return self.criterion(self.model(x), y)

    def _capture(self, x, y):
        """Capture the step on the arrays x and y; the steps that warm it up leave no trace in weights and moments."""
        weights = [p.detach().clone() for p in self.model.parameters()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._train(x, y)
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad():
            for parameter, weight in zip(self.model.parameters(), weights, strict=True):
                parameter.copy_(weight)
            for state in self.optimizer.state.values():
                for value in state.values():
                    if isinstance(value, torch.Tensor):
                        value.zero_()
        self.optimizer.zero_grad()
        self.captured_on, self.graph = (x, y), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.last = self._train(x, y)

    def _replay(self, x, y):
        """Train on a batch with the graph; a smaller last batch takes a plain step."""
        if len(x) != len(self.captured_on[0]):
            return self._train(x, y)
        for held, new in zip(self.captured_on, (x, y), strict=True):
            held.copy_(new)
        self.graph.replay()
        return self.last

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
