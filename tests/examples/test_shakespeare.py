"""The language model of examples/shakespeare.py."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from anynet import tree

PATH = Path(__file__).parents[2] / "examples" / "shakespeare.py"

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="there is no folder with the examples")


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_shakespeare", PATH)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def recipe(example):
    return example.Recipe(blocks=2, heads=2, features=32, positions=16, batch=8, epochs=1)


@pytest.fixture(scope="module")
def model(example, recipe):
    """Return a model that has learned a text of two repeated words."""
    network = example.build(recipe, 6, 150, dtype="float64")
    network.fit(example.Crops(np.array([0, 1, 2, 3, 4, 5] * 20), recipe, 150, seed=0))
    return network


def test_generate_continues_the_text(example, model):
    for top_k in (None, 1, 6, 100):
        ids = example.generate(model, [3], 40, temperature=0.1, top_k=top_k)
        assert ids == [i % 6 for i in range(3, 44)]  # also beyond the 16 positions


def test_generate_does_not_read_the_padding(example, model):
    """The character after a short text has the probabilities that follow that text alone."""
    ids, logits = [5, 0, 1], model.predict(np.array([[5, 0, 1] + [4] * 13]))[0, 2]
    p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    drawn = [example.generate(model, ids, 1, temperature=1.0, seed=seed)[-1] for seed in range(20)]
    expected = [int(np.random.default_rng(seed).choice(6, p=p)) for seed in range(20)]
    assert drawn == expected and example.generate(model, ids, 0) == ids


def test_temperature_and_top_k_select_characters(example, model):
    hot = {example.generate(model, [0], 1, temperature=100.0, seed=seed)[-1] for seed in range(60)}
    two = {example.generate(model, [0], 1, temperature=100.0, top_k=2, seed=seed)[-1] for seed in range(60)}
    best = np.argsort(model.predict(np.zeros((1, 16), "int32"))[0, 0])[-2:]
    assert hot == set(range(6)) and two == set(best.tolist())


@pytest.mark.parametrize("arguments", [([], 1), ([0], -1), ([0], 1, 0.0), ([0], 1, 1.0, 0)])
def test_generate_refuses(example, model, arguments):
    with pytest.raises(ValueError, match="generate: expected ids, count >= 0, temperature > 0 and top_k >= 1, got"):
        example.generate(model, *arguments)


def test_crops_and_stretches(example, recipe):
    ids = np.arange(100)
    crops = example.Crops(ids, recipe, 3, seed=0)
    first, second = list(crops), list(crops)
    assert len(crops) == len(first) == 3 and not np.array_equal(first[0][0], second[0][0])
    for x, y in first:
        assert x.shape == (8, 16) and np.array_equal(y, x + 1) and np.array_equal(x, x[:, :1] + np.arange(16))
    x, y = example.stretches(ids, 16)
    assert x.shape == (6, 16) and y.ravel().tolist() == list(range(1, 97)) and np.array_equal(y, x + 1)


def test_the_recipe_has_the_size_and_settings_of_nanogpt(example):
    """nanoGPT has no biases in its normalization layers; without them, ours has its 804 096 parameters."""
    model = example.build(example.RECIPES["cpu"], 65, 2000)
    assert sum(int(np.prod(a.shape)) for a in tree.leaves(model.params)) == 804_096 + 9 * 128
    schedule = model.optimizer.optimizer.optimizer.learning_rate
    rates = [float(schedule(np.asarray(step))) for step in (0.0, 50.0, 100.0, 2000.0)]
    assert rates == pytest.approx([0.0, 5e-4, 1e-3, 1e-4])
    decays = [group.weight_decay for group in model.optimizer.optimizer.optimizers]
    assert decays == [0.0, 0.1] and model.optimizer.norm == 1.0


def test_the_excerpt_needs_no_download(example, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ANYNET_DATA", raising=False)
    loss = example.main(excerpt=True, epochs=1, iterations=30, count=30, prompt="First ")
    out = capsys.readouterr().out
    assert loss < 3.5 and f"validation loss {loss:.4f}" in out and not any(tmp_path.iterdir())
    assert len(out.partition("\n\nFirst ")[2]) == 31


def test_a_text_of_ones_own(example, tmp_path, capsys):
    path = tmp_path / "own.txt"
    path.write_text("abcdé " * 100, encoding="utf-8")
    example.main(text=str(path), epochs=1, iterations=2, count=5, prompt="é")
    assert set(capsys.readouterr().out.rpartition("\n\n")[2]) <= set("abcdé \n")
    with pytest.raises(ValueError, match="prompt: expected one or more characters of the text, got 'x'"):
        example.main(text=str(path), prompt="x")
    path.write_text("abc")
    with pytest.raises(ValueError, match="text: expected at least 330 characters, got 3"):
        example.main(text=str(path))
