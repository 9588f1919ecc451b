"""Sphinx configuration: ``sphinx-build -W docs site``.

The examples draw the figures into docs/_build during the build. MathJax typesets the formulas; it is copied from a Python package
into the site, so the pages work offline.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import os
from pathlib import Path

from docutils import nodes

import anynet

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
FIGURES = HERE / "_build" / "figures"

project = "anynet"
author = "the anynet contributors"
release = version = anynet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
default_role = "py:obj"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "none"

html_theme = "furo"
html_title = f"anynet {release}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_static_path = [
    str(
        importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(
            "sphinx-mathjax-offline/static/mathjax/tex-svg.js"
        )
    ),
    "style.css",
]
html_css_files = ["style.css"]
mathjax_path = "tex-svg.js"

autodoc_typehints = "none"
autodoc_inherit_docstrings = False  # forward and backward are documented once, in Layer
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False


def draw_figures(app) -> None:
    """Draw each figure that is older than its example; MNIST's only with its data."""
    os.environ["MPLBACKEND"] = "agg"
    FIGURES.mkdir(parents=True, exist_ok=True)
    names = ["or_gate", "slopes", "learning_rates", "gradient_descent", "why_backprop", "vanishing_gradients"]
    data = HERE.parents[1] / "shared" / "data"
    if not os.environ.get("ANYNET_DATA") and data.is_dir():
        os.environ["ANYNET_DATA"] = str(data)
    if os.environ.get("ANYNET_DATA"):
        names.append("mnist")
        app.tags.add("mnist")
    for name in names:
        example, picture = EXAMPLES / f"{name}.py", FIGURES / f"{name}.png"
        if not picture.exists() or picture.stat().st_mtime < example.stat().st_mtime:
            spec = importlib.util.spec_from_file_location(name, example)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            with contextlib.redirect_stdout(io.StringIO()):
                module.main(output=str(picture))


def spell_out(app, doctree) -> None:
    """Replace letters that MathJax's font lacks by commands; sources stay readable."""
    spelling = {"ŷ": r"\hat{y}", "Ŷ": r"\hat{Y}", "½": r"\tfrac12 "}
    for kind in (nodes.math, nodes.math_block):
        for node in doctree.findall(kind):
            text = node.astext()
            for letter, command in spelling.items():
                text = text.replace(letter, command)
            node.children = [nodes.Text(text)]


def check_public_names(app, exception) -> None:
    """Fail if a public name of the package is missing from the reference."""
    if exception is not None or app.builder.name != "html":
        return
    documented = {name.rpartition(".")[2] for name in app.env.get_domain("py").objects}
    missing = sorted(name for name in public_names() if name not in documented)
    if missing:
        raise RuntimeError(f"docs/api: expected every public name of anynet in the reference, got none of {missing}")


def public_names() -> list[str]:
    """Return the public names of ``anynet`` except modules."""
    return anynet.__all__


def setup(app) -> None:
    app.connect("builder-inited", draw_figures)
    app.connect("doctree-read", spell_out)
    app.connect("build-finished", check_public_names)
