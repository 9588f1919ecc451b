"""Train a GPT that writes like Shakespeare, character by character, on any array library.

    python examples/shakespeare.py
    python examples/shakespeare.py --model cpu --backend jax
    python examples/shakespeare.py --model gpu --backend cupy
    python examples/shakespeare.py --text book.txt --prompt "Once upon a time"

=====  ===============================================  ==========  ====================
model  network                                          iterations  nanoGPT's validation
                                                                    loss
=====  ===============================================  ==========  ====================
small  2 blocks, 4 heads, 64 features, 32 characters    1000
cpu    4 blocks, 4 heads, 128 features, 64 characters   2000        1.88
gpu    6 blocks, 6 heads, 384 features, 256 characters  5000        1.4697
=====  ===============================================  ==========  ====================

`cpu` and `gpu` are the two recipes of nanoGPT, with its optimizer, initial weights and learning rates. nanoGPT estimates its
validation losses from random batches; this script computes them on the whole validation text. The first run downloads 1.1 MB
into your cache unless ANYNET_DATA names a folder with the text; with --excerpt, the network learns the first 16 thousand
characters, which the package includes.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anynet import (
    AdamW,
    Clip,
    CosineDecay,
    Dropout,
    EachPosition,
    Groups,
    LayerNorm,
    Model,
    Normal,
    Position,
    SoftmaxCrossEntropy,
    Tied,
    Warmup,
    load_shakespeare,
    transformer_block,
)


@dataclass(frozen=True)
class Recipe:
    """Sizes of network and batches, and the validation loss that nanoGPT reports."""

    blocks: int
    heads: int
    features: int
    positions: int
    batch: int
    epochs: int  # the validation loss is computed after each, and by default an epoch is 250 iterations
    dropout: float = 0.0
    published: float | None = None


RECIPES = {
    "small": Recipe(2, 4, 64, 32, 16, 4),
    "cpu": Recipe(4, 4, 128, 64, 12, 8, published=1.88),
    "gpu": Recipe(6, 6, 384, 256, 64, 20, dropout=0.2, published=1.4697),
}


def build(recipe: Recipe, characters: int, steps: int, **options: object) -> Model:
    """Return the model; its learning rate schedule lasts `steps` steps."""
    weight, last = Normal(0.02), Normal(0.02 / (2 * recipe.blocks) ** 0.5)
    block = transformer_block(
        recipe.features,
        recipe.heads,
        dropout=recipe.dropout,
        use_bias=False,
        weight=weight,
        residual_weight=last,
    )
    drop = [Dropout(recipe.dropout)] if recipe.dropout else []
    body = [Position(weight=weight), *drop, *[block] * recipe.blocks, LayerNorm()]
    warmup = min(100, max(1, steps // 10))
    rate = Warmup(CosineDecay(1e-3, steps=max(1, steps - warmup), final=1e-4), steps=warmup)
    decay_of_matrices = Groups(AdamW(rate, beta2=0.99, weight_decay=0.1), {1: {"weight_decay": 0.0}})
    return Model(
        Tied(characters, recipe.features, body, weight=weight),
        input_shape=recipe.positions,
        loss=EachPosition(SoftmaxCrossEntropy()),
        optimizer=Clip(decay_of_matrices, norm=1.0),
        **options,
    )


class Crops:
    """Batches of stretches at random places of a text, with the next characters as targets."""

    def __init__(self, ids: np.ndarray, recipe: Recipe, count: int, seed: int) -> None:
        self.windows = np.lib.stride_tricks.sliding_window_view(ids, recipe.positions + 1)
        self.batch, self.count, self.rng = recipe.batch, count, np.random.default_rng(seed)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(self.count):
            windows = self.windows[self.rng.integers(len(self.windows), size=self.batch)]
            yield windows[:, :-1], windows[:, 1:]


def stretches(ids: np.ndarray, positions: int) -> tuple[np.ndarray, np.ndarray]:
    """Split a text into consecutive examples, in which each character is a target once."""
    count = (len(ids) - 1) // positions
    x, y = ids[: count * positions], ids[1 : count * positions + 1]
    return x.reshape(count, positions), y.reshape(count, positions)


def generate(
    model: Model, ids: list[int], count: int, temperature: float = 1.0, top_k: int | None = None, seed: int = 0
) -> list[int]:
    """Continue a text by `count` characters drawn from the predicted probabilities.

    Logits are divided by `temperature`, and with `top_k` only the most probable characters are drawn. The model reads as many of
    the last characters as it has positions. A shorter text is followed by padding, which causal attention does not read.
    """
    if not ids or count < 0 or temperature <= 0 or (top_k is not None and top_k < 1):
        raise ValueError(
            "generate: expected ids, count >= 0, temperature > 0 and top_k >= 1, got "
            f"{len(ids)} ids, {count}, {temperature} and {top_k}"
        )
    ids, rng = list(ids), np.random.default_rng(seed)
    x = np.zeros((1, *model.input_shape), dtype="int32")
    for _ in range(count):
        recent = ids[-x.shape[1] :]
        x[0, : len(recent)] = recent
        logits = model.predict(x)[0, len(recent) - 1].astype("float64") / temperature
        if top_k is not None and top_k < len(logits):
            logits[np.argsort(logits)[:-top_k]] = -np.inf
        p = np.exp(logits - logits.max())
        ids.append(int(rng.choice(len(p), p=p / p.sum())))
    return ids


def main(
    model: str = "small",
    backend: str = "numpy",
    device: str | None = None,
    epochs: int | None = None,
    iterations: int = 250,
    seed: int = 0,
    text: str | None = None,
    excerpt: bool = False,
    prompt: str = "\n",
    count: int = 300,
    temperature: float = 0.8,
    top_k: int | None = None,
) -> float:
    """Train the network, print a text that it writes, and return the validation loss."""
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs: expected at least 1, got {epochs}")
    if iterations < 1:
        raise ValueError(f"iterations: expected at least 1, got {iterations}")
    recipe = RECIPES[model]
    if text is None:
        parts = load_shakespeare(excerpt=excerpt)
    else:
        whole = Path(text).read_text(encoding="utf-8")
        parts = whole[: len(whole) * 9 // 10], whole[len(whole) * 9 // 10 :]
    if len(parts[1]) <= recipe.positions:
        raise ValueError(
            f"text: expected at least {10 * recipe.positions + 10} characters, got {len(parts[0] + parts[1])}"
        )
    characters = sorted(set(parts[0] + parts[1]))
    if not prompt or not set(prompt) <= set(characters):
        raise ValueError(f"prompt: expected one or more characters of the text, got {prompt!r}")
    number = {character: i for i, character in enumerate(characters)}
    training, validation = (np.array([number[c] for c in part], dtype="int32") for part in parts)

    epochs = recipe.epochs if epochs is None else epochs
    network = build(recipe, len(characters), epochs * iterations, backend=backend, device=device, seed=seed)
    print(network.summary(), end="\n\n")
    crops, start = Crops(training, recipe, iterations, seed), time.perf_counter()
    held_out = stretches(validation, recipe.positions)
    history = network.fit(crops, validation_data=held_out, epochs=epochs, progress=True)
    loss = history["val_loss"][-1]
    published = "" if recipe.published is None else f" (nanoGPT: {recipe.published})"
    print(f"\nvalidation loss {loss:.4f}{published} after {time.perf_counter() - start:.0f} s\n")
    ids = generate(network, [number[c] for c in prompt], count, temperature, top_k, seed)
    print("".join(characters[i] for i in ids))
    return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a GPT that writes like Shakespeare, character by character.")
    parser.add_argument("--model", default="small", choices=RECIPES, help="network and its training (default small)")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy, torch or jax")
    parser.add_argument("--device", help="for example cuda for torch, 1 for cupy, cpu for jax")
    parser.add_argument("--epochs", type=int, help="validation losses to compute (default 4, 8 or 20, by model)")
    parser.add_argument("--iterations", type=int, default=250, help="training steps per epoch (default 250)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, batches and the printed text (default 0)")
    parser.add_argument("--text", help="file to learn instead of the plays")
    parser.add_argument("--excerpt", action="store_true", help="learn only the part of the plays in the package")
    parser.add_argument("--prompt", default="\n", help="beginning of the printed text (default a line break)")
    parser.add_argument("--count", type=int, default=300, help="length of the printed text (default 300)")
    parser.add_argument("--temperature", type=float, default=0.8, help="divisor of the logits (default 0.8)")
    parser.add_argument("--top-k", type=int, help="number of characters to draw from (default all)")
    try:
        main(**vars(parser.parse_args()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
