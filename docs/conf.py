"""Sphinx configuration: ``sphinx-build -W docs site``.

The reference is generated from the names listed in docs/api; a public name that is not listed fails the build. MathJax typesets
the formulas; it is copied from a Python package into the site, so the pages work offline.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.nodes import make_refnode

import anynet
import anynet.sklearn  # here, because SciPy does not import while libraries are mocked

GENERATED = Path(__file__).parent / "api" / "generated"
shutil.rmtree(GENERATED, ignore_errors=True)  # a page of a name that was removed would remain

project = "anynet"
author = "the anynet contributors"
release = version = anynet.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
default_role = "py:obj"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "none"

html_theme = "furo"
html_title = f"anynet {release}"
html_logo = html_favicon = "logo.svg"
html_use_index = html_domain_indices = False  # the search page and the tables of the reference list every name
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
html_search_scorer = str(Path(__file__).parent / "search.js")
mathjax_path = "tex-svg.js"
copybutton_selector = "div.highlight-python pre, div.highlight-sh pre, div.highlight-default pre, div.doctest pre"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

autosummary_ignore_module_all = False
autosummary_context = {
    "hidden": [
        "from_snapshot",
        "get_metadata_routing",
        "set_fit_request",
        "set_partial_fit_request",
        "set_score_request",
    ]
}
autodoc_mock_imports = [name for name in ("jax", "torch", "onnx") if importlib.util.find_spec(name) is None]
autodoc_typehints = "none"
autodoc_inherit_docstrings = False  # forward and backward are documented once, in Layer
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False


def adapt_formulas(app, doctree) -> None:
    """Replace letters that MathJax's font lacks, and let rows of formulas wrap."""
    spelling = {"ŷ": r"\hat{y}", "Ŷ": r"\hat{Y}", "½": r"\tfrac12 "}
    for kind in (nodes.math, nodes.math_block):
        for node in list(doctree.findall(kind)):
            text = node.astext()
            for letter, command in spelling.items():
                text = text.replace(letter, command)
            node.children = [nodes.Text(text)]
            parts = formulas(text)
            if kind is nodes.math_block and len(parts) > 1 and not node.get("nowrap"):
                row = nodes.paragraph(classes=["formulas"])
                for part in parts:
                    row += [nodes.math("", rf"\displaystyle {part}"), nodes.Text(" ")]
                node.replace_self(row)


def keep_together(app, doctree) -> None:
    """Prevent line breaks inside numbers such as 60 000, and after formulas before punctuation."""
    for node in list(doctree.findall(nodes.Text)):
        code = any(isinstance(parent, nodes.literal | nodes.literal_block | nodes.math) for parent in ancestors(node))
        text = re.sub(r"(?<=\d) (?=\d{3}\b|×)|(?<=×) (?=\d)", "\N{NO-BREAK SPACE}", node.astext())
        if not code and text != node.astext():
            node.parent.replace(node, nodes.Text(text))
    for node in list(doctree.findall(nodes.math)):
        after = node.next_node(descend=False, siblings=True)
        mark = re.match(r"[.,;:)]+", after.astext()) if isinstance(after, nodes.Text) else None
        if mark:
            node.parent.replace(after, nodes.Text(after.astext()[mark.end() :]))
            group = nodes.inline(classes=["together"])
            node.replace_self(group)
            group += [node, nodes.Text(mark[0])]


def formulas(text: str) -> list[str]:
    r"""Split a row of formulas, unless it is aligned, at wide spaces and blank lines."""
    parts, depth = [""], 0
    for token in re.findall(r"\\(?:begin|end)\{\w+\}|\\[a-zA-Z]+|\\.|\n\s*\n|.", text, flags=re.S):
        if depth == 0 and token in ("&", r"\\"):
            return [text]
        if depth == 0 and (token in (r"\quad", r"\qquad") or (len(token) > 1 and token.isspace())):
            parts.append("")
            continue
        depth += token in ("{", r"\left") or token.startswith(r"\begin{")
        depth -= token in ("}", r"\right") or token.startswith(r"\end{")
        parts[-1] += token
    return [part for part in parts if part.strip()]


def link_names(app, doctree, docname) -> None:
    """Link code that consists of a public name, such as ``Model.fit``, to its reference."""
    objects = app.env.get_domain("py").objects
    for node in list(doctree.findall(nodes.literal)):
        entry = objects.get(f"anynet.{node.astext().removesuffix('()')}") or objects.get(node.astext())
        inside = any(isinstance(parent, nodes.reference | nodes.title) for parent in ancestors(node))
        if entry is not None and entry.docname != docname and not inside:
            node.replace_self(make_refnode(app.builder, docname, entry.docname, entry.node_id, node.deepcopy()))


def keep_one_signature(app, doctree) -> None:
    """Show the signature of a function with one implementation per class once."""
    for node in doctree.findall(addnodes.desc):
        first, *others = [child for child in node.children if isinstance(child, addnodes.desc_signature)] or [None]
        for other in others:
            if first.astext().startswith(other.astext()):
                node.remove(other)


def unlink_words(app, doctree, docname) -> None:
    """Remove links of plain words in types, such as path, to attributes of that name."""
    for node in list(doctree.findall(nodes.reference)):
        inside = any(isinstance(parent, nodes.field_body) for parent in ancestors(node))
        if inside and node.astext().isalpha() and node.astext().islower() and not list(node.findall(nodes.literal)):
            node.replace_self(nodes.Text(node.astext()))


def ancestors(node: nodes.Node):
    """Yield the nodes that contain a node."""
    while (node := node.parent) is not None:
        yield node


def protect_attribute(app, kind, name, attribute, options, lines) -> None:
    """Keep napoleon from reading a first line such as ``a: b`` as type and description."""
    if kind in ("attribute", "data", "property"):
        lines.insert(0, "")


def skip_fields(app, kind, name, member, skip, options) -> bool | None:
    """Skip fields of named tuples, and a method that scikit-learn documents."""
    return True if type(member).__name__ == "_tuplegetter" or name == "set_output" else None


def drop_dead_links(app, pagename, templatename, context, doctree) -> None:
    """Remove links from source code to a name that the reference documents under another module."""
    if pagename.startswith("_modules/"):
        objects = app.env.get_domain("py").objects
        link = r'<a class="viewcode-back" href="[^"]*#([^"]*)">[^<]*</a>'
        context["body"] = re.sub(link, lambda match: match[0] if match[1] in objects else "", context["body"])


def check_public_names(app, exception) -> None:
    """Fail if a public name of the package is missing from the reference."""
    if exception is not None or app.builder.name != "html":
        return
    documented = {name.rpartition(".")[2] for name in app.env.get_domain("py").objects}
    missing = sorted(name for name in anynet.__all__ if getattr(anynet, name).__name__ not in documented)  # or an alias
    if missing:
        raise RuntimeError(f"docs/api: expected every public name of anynet in the reference, got none of {missing}")


def setup(app) -> None:
    app.connect("autodoc-process-docstring", protect_attribute, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-read", adapt_formulas)
    app.connect("doctree-read", keep_together)
    app.connect("doctree-read", keep_one_signature)
    app.connect("doctree-resolved", link_names)
    app.connect("doctree-resolved", unlink_words)
    app.connect("html-page-context", drop_dead_links)
    app.connect("build-finished", check_public_names)
