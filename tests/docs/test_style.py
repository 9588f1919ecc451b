r"""The project's prose is plain technical English, and its identifiers use American spelling.

``python -m tests.docs.test_style PATH...`` prints what the checker finds in files and folders (default: everything that it
tests) as ``path:line: found → what to do``.

Docstrings, comments and strings of Python files are searched, and paragraphs of Markdown files; code, inline code and formulas
are not, except that identifiers are searched for British spelling. A phrase is found even where it spans two lines.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCHED = ("anynet", "examples", "docs", "README.md")
LONGEST_SUMMARY = 15

ISE = (
    "author|binar|categor|central|custom|discret|equal|factor|final|general|global|initial|linear|local|material|max(?:im)?|memor|"
    "min(?:im)?|normal|optim|organ|parallel|parametr|penal|quant|random|real|recogn|regular|serial|special|stabil|standard|summar|"
    "synchron|token|util|vector|visual"
)
SPELLING = {
    rf"(?:{ISE})is(?:e[drs]?|ers|ing|able|ations?)(?![a-z])": "-ize, -ization",
    r"analys(?:e[ds]?|ing)(?![a-z])": "analyze",
    r"(?:behavi|col|fav|hon|neighb)our": "behavior, color, favor, honor, neighbor",
    r"centr(?:e[ds]?|ing)(?![a-z])": "center, centered, centering",
    r"(?:cancel|label|model|signal|travel)l(?:ed|ing)": "one l: canceled, labeled, modeling",
    r"artefact|catalogue|judgement|licence": "artifact, catalog, judgment, license",
    r"\bgrey": "gray",
    r"\b(?:learnt|spelt|whilst)\b": "learned, spelled, while",
}
OPENING = r"(?:(?<=[.!?:;\0\n] )|(?<=[\0\n])|(?<=\A )|(?<=\A))"
WORDS = {
    # rule 3: no people in the machine
    r"\b(?:no|some|any|every)body\b": "name the object, or use the passive",
    r"\b(?:everyone|someone|anyone|whoever|whomever)\b": "name the object, or use the passive",
    r"\bthose who\b": "name the readers, or use 'you'",
    r"\basks\b|\b(?:is|are|was|were|be) asked\b": "calls, queries, requires; on demand",
    r"\bknows\b": "has, holds, depends on",
    r"(?<!you )(?<!who )(?<!users )(?<!readers )\bwants?\b": "needs, expects, requires",
    r"\bcontent(?= with\b|[,.;]| until\b)": "converged, satisfied",
    r"(?<!note )(?<!paper )\bsays\b|\b(?:is|are|was|were|be) said\b": "reports, declares, states, defines",
    # rule 4: no sentence opens with a relative pronoun
    rf"{OPENING}(?-i:(?:What|Who|Whatever|Whoever)\b)(?![^.]*\?)": "open with a noun or a verb",
    rf"{OPENING}(?-i:(?:Of|From|To) what\b)": "open with a noun or a verb",
    rf"{OPENING}(?-i:How (?:many|much|often|long)\b)(?![^.]*\?)": "open with a noun: number of, fraction of",
    # rule 5: words that read as translated
    r"\b(?:tells?|telling|told)\b": "report, show, call, notify, distinguish",
    r"\banew\b": "again; create a new",
    r"\bbesides?\b": "in addition, apart from; next to",
    r"\bshall\b": "must, is to, will",
    r"\b(?:go|goes|going|went|gone) on\b": "continue",
    r"\b(?:lies?|lay)\b(?! (?:between|within|above|below|on (?:a|the)|in \[|in \(|in the (?:interval|range)))": "is, is stored",
    r"\b(?:stands?|stood)\b(?! for\b|-in|-alone)": "is, is placed",
    r"\bas (?:it is|they are|it stands)(?=[.,;:)]| (?:and|or|but|until|when|where|before|after)\b)": "unchanged",
    r"\bso (?:many|much)\b": "this many, that much; the number",
    r"\bin kind\b": "with the same type of array",
    r"[,(] ?say\b|\bsay(?=[,;)])": "for example",
    r"\bat hand\b": "available, present",
    r"(?<!memory )(?<!already )\bin use\b": "at inference",
    r"\bharms\b": "slows, breaks, has no effect",
    r"\baffair\b": "undefined; depends on",
    r"\bas though\b": "with the same results as",
    r"\bboth \w+ are one\b": "name what is one",
    r"\b(?:epochs|batches|steps|times|calls) in a row\b": "consecutive",
    r"\bcan pass for\b": "be taken for, go undetected as",
    r"\bwritten down\b": "traced, recorded",
    r"\bno several\b": "no multi-",
    r"\b(?:is|are) to become\b": "will be, must be",
    r"\bof that of\b": "name the noun again",
    r"\bby heart\b": "overfit, memorize",
    r"\bheld back\b": "held out",
    r"\b(?:break|breaks|broke|breaking) off\b": "abort",
    r"\bpresent (?:batch|epoch|step)\b": "current",
    # rules 6 and 9: the usual words for numbers
    r"\bfor each epoch\b": "per epoch",
    r"\bhow many\b(?![^.]*\?)": "the number of",
    r"\ba lot\b|\bnext to nothing\b": "a number",
}


def squeezed(text: str) -> tuple[str, list[int]]:
    """Return text with one space per run of whitespace, a newline per blank line, and each character's line number."""
    short, lines, line = "", [], 1
    for run in re.finditer(r"\s+|\0+|[^\s\0]+", text):
        piece = run[0]
        if piece[0] == "\0":
            piece = "\0"
        elif piece.isspace():
            piece = "\n" if piece.count("\n") > 1 else " "
        short += piece
        lines += [line] * len(piece)
        line += run[0].count("\n")
    return short, lines


def hidden(text: str) -> str:
    """Return text of the same length and lines in which nothing can be found."""
    return re.sub(r"[^\n]", "\0", text)


def hide(pattern: str, text: str, flags: int = 0) -> str:
    """Hide every match of a pattern."""
    return re.sub(pattern, lambda match: hidden(match[0]), text, flags=flags)


def split_python(source: str) -> tuple[str, str]:
    """Return the source's prose and its identifiers, each at its own place in text that is otherwise hidden."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    prose, names = list(re.sub(r"[^\s]", "\0", source)), list(hidden(source))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start = starts[token.start[0] - 1] + token.start[1]
        stop = starts[token.end[0] - 1] + token.end[1]
        if token.type == tokenize.NAME:
            names[start:stop] = token.string
        elif token.type == tokenize.COMMENT:
            prose[start:stop] = re.sub(r"^#+", lambda match: " " * len(match[0]), token.string)
        elif token.type == tokenize.STRING:
            prose[start:stop] = prose_of_string(token.string)
        elif token.type == FSTRING_MIDDLE:
            prose[start:stop] = source[start:stop]
    return hide(r"``.+?``|`[^`\n]+`", "".join(prose)), "".join(names)


FSTRING_MIDDLE = getattr(tokenize, "FSTRING_MIDDLE", None)
"""Type of the text between the fields of an f-string, which is one token of type STRING before Python 3.12."""


def prose_of_string(literal: str) -> str:
    """Return a literal without quotes, doctests and replacement fields, at unchanged length."""
    text = re.sub(r"^\w*(?:\"\"\"|'''|\"|')|(?:\"\"\"|'''|\"|')$", lambda match: " " * len(match[0]), literal)
    if "f" in literal[: literal.find(literal[-1])].lower():
        text = hide(r"\{[^{}]*\}", text)
    return hide(r"^ *(?:>>>|\.\.\.).*$", text, re.M)


def split_markdown(source: str) -> tuple[str, str]:
    """Return the page's paragraphs with the prose of its Python blocks, and the identifiers of these blocks."""
    prose, names = source, hidden(source)
    for fence in re.finditer(r"^ *(```+)(\S*)[^\n]*\n(.*?)^ *\1", source, flags=re.M | re.S):
        parts = split_python(fence[3]) if fence[2] == "python" else (hidden(fence[3]),) * 2
        prose = (
            prose[: fence.start()]
            + hidden(fence[0][: fence.start(3) - fence.start()])
            + parts[0]
            + prose[fence.end(3) :]
        )
        names = names[: fence.start(3)] + parts[1] + names[fence.end(3) :]
    prose = hide(r"\$\$.+?\$\$", prose, re.S)
    prose = hide(r"``.+?``|`[^`\n]+`|\$[^$\n]+(?:\n[^$\n]+)?\$|\]\([^)]*\)|<!--.*?-->", prose)
    return re.sub(r"\*\*|^#+ .*$", lambda match: " " * len(match[0]), prose, flags=re.M), names


def summaries(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each first sentence of a public docstring."""

    def visit(node: ast.Module | ast.ClassDef) -> Iterator[tuple[int, str]]:
        for child in (node, *node.body):
            if not isinstance(child, ast.Module | ast.ClassDef | ast.FunctionDef) or getattr(
                child, "name", ""
            ).startswith("_"):
                continue
            if child is not node and isinstance(child, ast.ClassDef):
                yield from visit(child)
            elif text := ast.get_docstring(child):
                yield child.body[0].lineno, re.split(r"(?<=\.)\s|\n\n", text)[0]

    return visit(ast.parse(source))


def count_words(text: str) -> int:
    """Return the number of words; inline code counts as one, symbols of formulas and shapes as none."""
    text = re.sub(r"``.+?``|`.+?`", "code", text)
    return len(re.findall(r"(?<![\w^])(?:[Aa]|[A-Za-z][A-Za-z'’-]+)(?![\w(])", text))


def findings(source: str, kind: str) -> list[tuple[int, str, str]]:
    """Return line, found text and advice for all that violates the style in a ``.py`` or ``.md`` source."""
    prose, names = split_python(source) if kind == ".py" else split_markdown(source)
    found = []
    for text, table in ((prose, SPELLING | WORDS), (names, SPELLING)):
        short, lines = squeezed(text)
        for pattern, advice in table.items():
            for match in re.finditer(pattern, short, flags=re.I):
                found.append((lines[match.start()], match[0], advice))
    if kind == ".py":
        for line, summary in summaries(source):
            if (words := count_words(summary)) > LONGEST_SUMMARY:
                found.append((line, summary, f"at most {LONGEST_SUMMARY} words, not {words}"))
            if re.match(r"(?:Where|How)\b", summary):
                found.append((line, summary, "open with a verb or a noun"))
    return sorted(found)


def files(paths: list[Path]) -> list[Path]:
    """Return the Python and Markdown files among and below the paths."""
    found = {file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))}
    return sorted(
        file for file in found if file.suffix in {".py", ".md"} and not {"_build", "__pycache__"} & set(file.parts)
    )


# -- the tests --------------------------------------------------------------------------------------------------------

PAIRS = [
    ("what is told how training goes, and may end it", "Hooks that observe training and can stop it."),
    (
        "callbacks are told in the order in which they were given, but for `Checkpoint`",
        "Hooks run in the given order, except `Checkpoint`.",
    ),
    ("callbacks: Who is told.", "Callbacks to run during training."),
    (
        "become what they were then, and training goes on as though nothing had happened",
        "training continues from that batch with results identical to an uninterrupted run.",
    ),
    ("by default if both outputs are one", "by default, only if stdout and stderr are terminals"),
    ("The optimiser goes on with what it knows of the others.", "The optimizer state of the other layers is kept."),
    (
        "Epochs in a row that may pass without anything better than the best, the last of them ends training",
        "Number of epochs without improvement after which training stops.",
    ),
    ("What the learning rate as a whole is not multiplied by less than", "Lower bound of the total factor."),
    (
        "Write when so much time has passed, in the middle of an epoch too",
        "Also write every this many seconds, even mid-epoch.",
    ),
    (
        "How much of the averages of the gradient and of its square survives a step",
        "Decay rates of the running means of the gradient and of its square.",
    ),
    ("Of what was called a class, the part that is it", "Fraction of the predictions of a class that are correct."),
    (
        "Want each output on its target's side of zero",
        "Penalize outputs that are not on the target's side of zero by a margin.",
    ),
    ("everyone is told, whoever raises", "run every on_fit_end, even if one raises"),
    (
        "Ctrl-C as a request that is honoured when the work is at a place where it may stop.",
        "Defer Ctrl-C to the end of the current batch.",
    ),
    ("that no crash can lose and no damage can pass for whole", "Crash-safe, checksummed safetensors files."),
    (
        "The sum tells in one pass … is each element asked.",
        "Check the sum first; check each element only if the sum is not finite.",
    ),
    (
        "its value before, what else it told, …",
        "Return the loss before the step, auxiliary output, new parameters and new state.",
    ),
    ("something hashable that tells where an array lies", "Return a hashable key of the array's device."),
    (
        "whoever has spent as much time as the compiler takes is likely to go on",
        "Compile once updates have taken as long as compilation would; at worst, one compilation is wasted.",
    ),
    (
        "Run a training step that was written down, in memory that is kept for it.",
        "Trace a NumPy training step once, then replay it in preallocated buffers.",
    ),
    (
        "the parameters are of no use any more: make the model anew",
        "the parameters have diverged: create a new model",
    ),
    (
        "For those who want a network trained without installing a framework; a GPU without one",
        "Use anynet to train a network without installing a framework, on a GPU if you like.",
    ),
    ("`check_gradients` tells whether they belong together", "`check_gradients` verifies that the two agree"),
    ("No several GPUs", "No multi-GPU training"),
    ("`loss` says what is to become small", "`loss` is what training minimizes"),
    ("takes −log of that of the right digit", "takes the negative log of the correct digit's probability"),
    ("`metrics` are told besides; they change nothing", "`metrics` are reported and do not affect training"),
    (
        "when the one of the images that were held back turns up again, it has begun to learn the others by heart",
        "once the validation loss starts to rise, the network is overfitting",
    ),
    (
        "Ctrl-C ends `fit` after the present batch, and it returns; a second one breaks off at once",
        "Ctrl-C finishes the current batch and returns; pressing it again aborts immediately",
    ),
    ("Divergence is said once", "Divergence is reported once"),
    (
        "Tell where the time goes, and all that was measured on a CPU",
        "Document the CPU benchmarks and the time profile",
    ),
]


@pytest.mark.parametrize("before, after", PAIRS, ids=range(len(PAIRS)))
@pytest.mark.parametrize(
    "form",
    ["{}\n", '"""Summary.\n\n{}"""\n', "x = 1  # {}\n", "f(\n    '{}'\n)\n"],
    ids=["md", "doc", "comment", "string"],
)
def test_checker_on_examples(form: str, before: str, after: str) -> None:
    kind = ".md" if form == "{}\n" else ".py"
    before, after = (text.replace("'s", "’s").replace("s' ", "s ") for text in (before, after))
    assert findings(form.format(before), kind)
    assert not findings(form.format(after), kind)


@pytest.mark.parametrize(
    "source, kind",
    [
        ("optimiser = 1\n", ".py"),
        ("x.normalise_rows()\n", ".py"),
        ("# training goes\n# on here\n", ".py"),
        ("print('training goes ' 'on')\n", ".py"),
        ("print(f'{x} goes on')\n", ".py"),
        ("def f():\n    '''Whoever calls.'''\n", ".py"),
        (f"def f():\n    '''Return{' a' * 15}.'''\n", ".py"),
        (f"def f():\n    '''Return{' a' * 10}\n    {' a' * 10}.'''\n", ".py"),
        (f"class A:\n    def f():\n        '''Return{' a' * 15}.'''\n", ".py"),
        ("training goes\non\n", ".md"),
        ("**What** is told\n", ".md"),
        ("```python\ncolour = 1\n```\n", ".md"),
        ("```python\nx = 1  # the centre\n```\n", ".md"),
    ],
)
def test_checker_finds(source: str, kind: str) -> None:
    assert findings(source, kind)


@pytest.mark.parametrize(
    "source, kind",
    [
        ("told = wants(besides)\n", ".py"),
        ("# The points lie on a line; `told` is a variable.\n", ".py"),
        ("raise Noise.precise(otherwise, exercise, promise, characteristic, realistic, organism)\n", ".py"),
        ("'''Example.\n\n>>> told = 1\n'''\n", ".py"),
        ("f'{told} updates'\n", ".py"),
        ("# it goes\nf(1)\n# on Linux\n", ".py"),
        (f"def _f():\n    '''Return{' a' * 15}.'''\n", ".py"),
        (
            "def f():\n    '''Return y (N, C) = x · W + b − 1 / (1 + c) of all the N rows of `some array` at (H, W).'''\n",
            ".py",
        ),
        ("What is a tensor? The learned values lie in [0, 1).\n", ".md"),
        ("```text\nit goes on\n```\n", ".md"),
        ("$$\ntold\n$$\n", ".md"),
        ("See `told` and [this](told.md) and α stands for $told$.\n", ".md"),
    ],
)
def test_checker_passes(source: str, kind: str) -> None:
    assert not findings(source, kind)


TESTED = files([ROOT / name for name in SEARCHED if (ROOT / name).exists()])


@pytest.mark.parametrize("file", TESTED, ids=lambda file: str(file.relative_to(ROOT)))
def test_style(file: Path) -> None:
    found = findings(file.read_text(encoding="utf-8"), file.suffix)
    assert not found, "\n" + "\n".join(
        f"{file.relative_to(ROOT)}:{line}: {text} → {advice}" for line, text, advice in found
    )


if __name__ == "__main__":
    total = 0
    for name in files([Path(path) for path in sys.argv[1:]] or [ROOT / name for name in SEARCHED]):
        for line, text, advice in findings(name.read_text(encoding="utf-8"), name.suffix):
            print(f"{name}:{line}: {text} → {advice}")
            total += 1
    sys.exit(f"{total} findings" if total else 0)
