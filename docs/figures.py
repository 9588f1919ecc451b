"""Draw the figures of README and pages into docs/figures, with the scripts of examples/.

    python docs/figures.py            # all figures
    python docs/figures.py digits    # one figure

``mnist`` needs the MNIST data; see `anynet.load_mnist`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "figures"
EXAMPLES = Path(__file__).parents[1] / "examples"
COLORS = 128  # enough for lines, text and gray images, in a third of the size


def draw(name: str) -> None:
    """Run an example and store its figure with few colors."""
    from PIL import Image

    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = FOLDER / f"{name}.png"
    module.main(output=str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "agg"
    for figure in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.png")):
        draw(figure)
