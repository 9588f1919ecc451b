"""Every setting in its quick form, the results, the page, and the papers' own code."""

import json
import math
import time

import numpy as np
import pytest

from anynet import L2, Dense, Model, ReLU, SoftmaxCrossEntropy, load_digits
from tests.reproductions import base, batchnorm, initialization, lecun, nielsen, page, simard, srivastava, weight_decay
from tests.reproductions.__main__ import SETTINGS, main, matches
from tests.reproductions.base import Choice, Part, Run, Setting, measure, one_hot
from tests.reproductions.results import FILE, Results

FULL_SIZE = 10_300  # of the training images; the last 10 000 are for validation


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch):
    """Replace MNIST by the bundled digits, in the middle of images of 28×28 pixels."""
    (x, y), (x_test, y_test) = load_digits()

    def enlarged(images):
        pixels = np.kron(images.reshape(-1, 8, 8), np.ones((3, 3)))
        return np.pad(pixels, ((0, 0), (2, 2), (2, 2))).reshape(-1, 784).astype("uint8") * 15

    rows = np.arange(FULL_SIZE) % len(x)
    loaded = (enlarged(x)[rows], y[rows]), (enlarged(x_test), y_test)
    monkeypatch.setattr(base, "load_mnist", lambda: loaded)
    base.mnist.cache_clear()
    yield
    base.mnist.cache_clear()


# The command and the results ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS])
def test_each_setting_runs(name, capsys):
    for part, library in (("sklearn", "sklearn"), ("simard", "scipy")):
        if name.startswith(part):
            pytest.importorskip(library)
    assert main([name, "--quick"]) == 0
    assert capsys.readouterr().out.startswith(f"{name}, seed 0: ")


def test_the_parts_of_mnist_are_separate():
    training, validation, test = base.mnist()
    assert (len(training.x), len(validation.x), len(test.x)) == (FULL_SIZE - 10_000, 10_000, 382)
    assert training.x.dtype == np.float32 and 0.9 < training.x.max() <= 1.0
    np.testing.assert_array_equal(base.mnist().all_training.y, np.concatenate([training.y, validation.y]))


def test_a_run_that_exists_is_not_repeated(tmp_path, monkeypatch, capsys):
    file, calls = tmp_path / "results.jsonl", []
    setting = Setting(
        "a/b", "paper", "short", "text", "theirs", lambda run: calls.append(run.seed) or {"value": float(run.seed)}
    )
    monkeypatch.setattr("tests.reproductions.__main__.SETTINGS", (setting,))
    main(["a/b", "--seeds", "2", "--results", str(file)])
    main(["a", "--seeds", "3", "--results", str(file)])
    assert calls == [0, 1, 2]
    assert [row["value"] for row in Results.read(file).of("a/b")] == [0.0, 1.0, 2.0]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_quick_run_stores_nothing(tmp_path):
    file = tmp_path / "results.jsonl"
    main(["nielsen/784-30-10", "--quick", "--results", str(file)])
    assert not file.exists()


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    file = tmp_path / "results.jsonl"
    Results(path=file).append({"setting": "a", "seed": 0})
    with file.open("a") as open_file:
        open_file.write('{"setting": "a", "se')
    Results.read(file).append({"setting": "a", "seed": 1})
    assert [row["seed"] for row in Results.read(file).rows] == [0, 1]


def test_slow_settings_need_the_flag(tmp_path, monkeypatch, capsys):
    slow = Setting("a/slow", "paper", "short", "text", "theirs", lambda run: {"value": 1.0}, full=True)
    monkeypatch.setattr("tests.reproductions.__main__.SETTINGS", (slow,))
    file = str(tmp_path / "results.jsonl")
    assert main(["a/slow", "--results", file]) == 2
    assert main(["a/slow", "--full", "--seeds", "1", "--results", file]) == 0
    assert "a/slow, seed 0: 1 %" in capsys.readouterr().out


def test_a_value_that_is_not_finite_is_reported(tmp_path, monkeypatch):
    setting = Setting("a/b", "paper", "short", "text", "theirs", lambda run: {"value": math.nan}, seeds=1)
    monkeypatch.setattr("tests.reproductions.__main__.SETTINGS", (setting,))
    assert main(["a/b", "--results", str(tmp_path / "results.jsonl")]) == 1


def test_names_select_settings():
    assert matches("a/b", ["a"]) and matches("a/b", ["a/b"]) and matches("a/b", ["all"])
    assert not matches("a/b", ["a/c", "b"])


def test_a_choice_is_made_once_and_takes_the_lowest_finite_score():
    calls = []

    def score(run, candidate):
        calls.append((run.seed, candidate))
        return {1.0: math.nan, 2.0: 0.5, 3.0: 0.7}[candidate]

    run = Run(seed=4)
    choice = Choice("a/rate", (1.0, 2.0, 3.0), score, "a score")
    assert [run.chosen(choice), run.chosen(choice)] == [2.0, 2.0]
    assert calls == [(0, 1.0), (0, 2.0), (0, 3.0)]
    assert run.results.find("a/rate", 0)["scores"] == {"1.0": 1e9, "2.0": 0.5, "3.0": 0.7}


def test_a_row_is_json_with_time_and_machine():
    row = measure("a/b", Run(seed=2), lambda run: {"value": 1.5})
    assert json.loads(json.dumps(row)) == row
    assert row["seed"] == 2 and row["seconds"] >= 0 and "numpy" in row["machine"]


def test_the_time_of_a_choice_is_not_that_of_the_run():
    choice = Choice("a/rate", (1.0,), lambda run, candidate: time.sleep(0.3) or 1.0, "a score")
    run = Run()
    row = measure("a/b", run, lambda run: {"value": run.chosen(choice)})
    assert run.results.find("a/rate", 0)["seconds"] >= 0.3 > row["seconds"]


# The page -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not page.PAGE.exists(), reason="the documentation is not available")
def test_the_page_has_the_tables_of_the_results():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.with_tables(text, Results.read()) == text


def test_results_have_a_setting_or_are_choices():
    names = {setting.name for setting in SETTINGS}
    for row in Results.read(FILE).rows:
        assert row["setting"] in names or "scores" in row


ERROR = " (standard error of theirs 0.13)"


def table_row(values, **changes):
    setting = Setting("a/b", "paper", "short", "text", "theirs", lambda run: {}, **changes)
    rows = [{"setting": "a/b", "seed": seed, "value": value, "other": 1.0} for seed, value in enumerate(values)]
    return page.ours(setting, rows) + page.others(setting, rows), page.compared(setting, rows)


@pytest.mark.parametrize(
    ("values", "changes", "expected"),
    [
        ([], {}, ("not run yet", "not run yet")),
        ([], {"full": True}, ("not run yet", "needs `--full`")),
        ([98.0], {"target": 97.5}, ("**98.00 %** (1 seed)", "better by 0.50")),
        ([97.0, 98.0], {"target": 97.5}, ("**97.50 ± 0.71 %** (2 seeds)", "equal")),
        (
            [1.7, 1.7],
            {"target": 1.6, "better": "lower"},
            ("**1.70 ± 0.00 %** (2 seeds)", "misses by 0.10 (standard error of theirs 0.13)"),
        ),
        ([1.5], {"target": 1.6, "better": "lower"}, ("**1.50 %** (1 seed)", "better by 0.10")),
        ([1.25], {"target": 1.0, "better": "near", "unit": ""}, ("**1.25** (1 seed)", "differs by 0.25")),
        ([0.5, -0.5], {"unit": ""}, ("**0.00 ± 0.71** (2 seeds)", "confirmed by 1 of 2")),
        (
            [3e-5],
            {"unit": "", "also": {"other": "another"}},
            ("**3.0e-05** (1 seed) *Ours: another 1.00.*", "confirmed by 1 of 1"),
        ),
    ],
)
def test_rows_of_the_table(values, changes, expected):
    assert table_row(values, **changes) == expected


def test_figures_are_drawn_from_results(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    for library in ("PIL", "scipy", "sklearn"):
        pytest.importorskip(library)
    monkeypatch.setenv("MPLBACKEND", "agg")
    results = Results()
    for setting in SETTINGS:
        if setting.name.startswith(("initialization", "batchnorm", "weight_decay", "muon", "adam/10")):
            measure(setting.name, Run(quick=True, results=results), setting.train)
    files = page.draw_figures(results, tmp_path)
    assert {file.stem for file in files} == {"initialization", "batchnorm", "weight_decay", "muon", "adam", "simard"}
    assert all(2_000 < file.stat().st_size < 150_000 for file in files)


# Single papers -------------------------------------------------------------------------------------------------------


def test_nielsens_step_is_that_of_the_book():
    """w ← (1 − ηλ/n) w − η/m Σ ∂C/∂w, with the cross-entropy summed over the outputs, here written out with NumPy."""
    run, eta, n = Run(quick=True), 0.5, 240
    x, y = run.data.training.x[:10], one_hot(run.data.training.y[:10])
    model = nielsen.with_cross_entropy(run)
    before = [{k: np.array(v, dtype=float) for k, v in part.items()} for part in model.params]
    model.train_step(x, y)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    hidden = sigmoid(x @ before[0]["weight"] + before[0]["bias"])
    delta = sigmoid(hidden @ before[2]["weight"] + before[2]["bias"]) - y
    back = (delta @ before[2]["weight"].T) * hidden * (1 - hidden)
    for layer, inputs, error in ((2, hidden, delta), (0, x, back)):
        w, b = before[layer]["weight"], before[layer]["bias"]
        expected = (1 - eta * 5.0 / n) * w - eta / 10 * inputs.T @ error
        np.testing.assert_allclose(model.params[layer]["weight"], expected, atol=2e-6)
        np.testing.assert_allclose(model.params[layer]["bias"], b - eta / 10 * error.sum(axis=0), atol=2e-6)


def test_lecuns_squashing_function_passes_through_one():
    x = np.array([[-1.0, 0.0, 1.0, 100.0]])
    for layer in lecun.squash():
        x, _ = layer.forward({}, x)
    np.testing.assert_allclose(x, [[-1.0, 0.0, 1.0, 1.7159]], atol=1e-4)


def test_simards_learning_rate_falls_at_each_quarter(monkeypatch):
    built = []

    def fit(self, *data, **settings):
        built.append(self.config.optimizer)

    monkeypatch.setattr(Model, "fit", fit)
    simard.trained(Run(quick=True), 0.1, 400, base.mnist(True).training, distorted=False)
    schedule = built[0].in_steps(7).learning_rate
    rates = [float(schedule(np.asarray(float(epoch * 7)))) for epoch in (0, 99, 100, 200, 399)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.03, 0.009, 0.0027])


def test_srivastavas_schedules():
    wrapped = srivastava.optimizer(0.1, 1000, max_norm=True)
    sgd, steps = wrapped.optimizer, (0, 50, 100, 300, 1000)
    rates = [float(sgd.learning_rate(np.asarray(float(step)))) for step in steps]
    momenta = [float(sgd.momentum(np.asarray(float(step)))) for step in steps]
    np.testing.assert_allclose(rates, [0.1, 0.1 / 1.5, 0.05, 0.025, 0.1 / 11])
    np.testing.assert_allclose(momenta, [0.5, 0.725, 0.95, 0.95, 0.95])
    assert wrapped.norm == 2.0 and srivastava.optimizer(0.1, 1000, max_norm=False) == sgd


def test_srivastavas_weights_stay_within_the_norm():
    run = Run(quick=True)
    data = run.data.training
    free, limited = (srivastava.trained(run, 2, 16, 0.3, 60, data, max_norm=max_norm) for max_norm in (False, True))
    norms = {
        name: max(float(np.linalg.norm(part["weight"], axis=0).max()) for part in model.params if part)
        for name, model in (("free", free), ("limited", limited))
    }
    assert norms["limited"] <= 2.0 + 1e-5 < norms["free"]


def test_srivastavas_steps_are_replayed():
    from anynet.backends.replay.replayable import is_replayable

    assert is_replayable(srivastava.optimizer(0.1, 1000, max_norm=True))


def test_the_standard_initialization_has_a_third_of_the_variance():
    weights = initialization.Standard()(np.random.default_rng(0), (400, 500))
    assert np.var(weights) == pytest.approx(1 / (3 * 400), rel=0.01)


def test_gradients_per_layer_are_those_of_the_activations():
    """Compare with products of matrices, written out."""
    run, weight = Run(quick=True), initialization.GlorotUniform()
    found = initialization.spread(run, ReLU(), 2, weight)
    x, y = (array[: initialization.EXAMPLES] for array in run.data.training)
    model = Model(
        initialization.deep(ReLU(), 2, 20, weight),
        input_shape=784,
        loss=SoftmaxCrossEntropy(),
        **(run.model | {"dtype": "float64"}),
    )
    first, second, last = (part for part in model.params if part)
    hidden = np.maximum(x @ first["weight"] + first["bias"], 0)
    above = np.maximum(hidden @ second["weight"] + second["bias"], 0)
    logits = above @ last["weight"] + last["bias"]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = (p / p.sum(axis=1, keepdims=True) - one_hot(y)) / len(x)
    gradients = [error @ last["weight"].T]
    gradients.insert(0, (gradients[0] * (above > 0)) @ second["weight"].T)
    np.testing.assert_allclose(found["gradient"], [np.std(g) for g in gradients], rtol=0.01)
    np.testing.assert_allclose(found["signal"], [np.std(hidden), np.std(above)], rtol=0.01)


def test_percentiles_are_those_of_the_last_hidden_layer():
    run = Run(quick=True)
    model = Model(batchnorm.layers_of(False), input_shape=784, loss=SoftmaxCrossEntropy(), **run.model)
    x = run.data.test.x
    for part in [part for part in model.params if part][:2]:
        x = 1 / (1 + np.exp(-(x @ part["weight"] + part["bias"])))
    last = [part for part in model.params if part][2]
    z = (x @ last["weight"] + last["bias"])[:, 0]
    np.testing.assert_allclose(batchnorm.percentiles(model, run.data.test.x), np.percentile(z, (15, 50, 85)), atol=2e-3)


@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_decoupled_decay_does_not_depend_on_the_learning_rate(rate):
    """The first step shrinks the weights by the fraction λ."""
    optimizer = weight_decay.optimizer_of("decoupled", rate, 0.003, epochs=4).in_steps(100)
    p = {"weight": np.ones((2, 2))}
    moved, _ = optimizer.update(p, {"weight": np.zeros((2, 2))}, optimizer.init(p))
    np.testing.assert_allclose(moved["weight"], 1 - 0.003, rtol=1e-6)


def test_the_penalty_is_in_the_loss():
    assert weight_decay.regularizer_of("L2", 0.003) == L2(0.003)
    assert weight_decay.regularizer_of("decoupled", 0.003) is None


def test_one_hot_and_error_rate():
    np.testing.assert_array_equal(one_hot(np.array([1, 0]), low=-1.0)[:, :3], [[-1, 1, -1], [1, -1, -1]])
    weight = np.zeros((784, 10))
    model = Model([Dense(10, weight=weight, bias=np.arange(10.0))], input_shape=784)
    part = Part(np.zeros((4, 784), dtype="float32"), np.array([9, 9, 9, 0]))
    assert base.error_rate(model, part) == 25.0
