"""Check a built documentation site in a headless browser.

    python -m tests.docs.browser SITE

Every page is opened at every width of `WIDTHS`. The report names pages that are nearly empty or scroll sideways; code blocks,
tables, formulas and figures that are cut; formulas that were not typeset; Markdown that was not converted; errors on the
console; links and images that lead nowhere; and queries for which the search page does not list a page of `QUERIES` first.

Needs playwright (``pip install playwright``) and Chromium (on Debian ``apt install chromium``).
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urldefrag, urljoin

WIDTHS = (1280, 1366, 1400, 1920, 400)
FEWEST_LETTERS = 50
QUERIES = {
    "early stopping": ("howto/early_stopping.html", "api/generated/anynet.EarlyStopping.html"),
    "pandas": ("howto/tabular.html",),
    "probabilities": ("tutorial.html",),
    "GPU": ("tutorial.html", "backends.html"),
}

SCROLLS = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
# Elements whose content is wider than they are, or that end right of the page; a clipped MathML copy is for screen readers.
CUT = """() => {
    const article = document.querySelector("article") ?? document.body;
    const right = document.documentElement.clientWidth + 1;
    const name = e => `${e.localName}.${e.className}: ${e.textContent.trim().slice(0, 60)}`;
    return [...article.querySelectorAll("*")].filter(e => {
        if (e.closest("svg, mjx-assistive-mml, [hidden]")) return false;
        const clips = getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1;
        return clips || (e.matches("pre, table, img, mjx-container") && e.getBoundingClientRect().right > right);
    }).map(name);
}"""
CONTENT = """() => {
    const article = document.querySelector("article") ?? document.body;
    const prose = [...article.querySelectorAll("p, li, td, th, dt, dd, h1, h2, h3, h4")].flatMap(e => [...e.childNodes])
        .filter(node => node.nodeType === Node.TEXT_NODE).map(node => node.data).join("\\n");
    return {
        letters: article.textContent.replace(/\\s/g, "").length,
        math: [...article.querySelectorAll(".math")].filter(
            e => !e.querySelector("mjx-container svg") || e.querySelector("mjx-merror, [data-mjx-error], [data-mml-node=merror]")
                || e.textContent.includes("`")
        ).map(e => e.textContent.trim().slice(0, 80)),
        markup: prose.match(/\\{[a-z]+:[a-z]+\\}|:{3,}|\\$\\$|\\\\\\(|`[^`\\n]+`/g) ?? [],
        images: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
        links: [...document.querySelectorAll("a[href]")].map(a => a.href),
        anchors: [...document.querySelectorAll("[id]")].map(e => e.id),
    };
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serve files without a line per request."""

    def log_message(self, *_: Any) -> None:
        pass


def served(site: Path) -> ThreadingHTTPServer:
    """Serve a folder on a free local port, in the background."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def browser_path() -> str | None:
    """Return the path of Chromium, or None if it is not installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def open_page(tab: Any, address: str) -> None:
    """Open a page and wait until its formulas are typeset."""
    tab.goto(address)
    tab.evaluate("() => window.MathJax?.startup?.promise")


def check_pages(tab: Any, root: str, pages: Iterable[str]) -> Iterator[str]:
    """Yield one line per fault of a page."""
    errors: list[str] = []
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.append(f"{request.url} was not loaded"))
    links: dict[str, set[str]] = {}
    anchors: dict[str, set[str]] = {}
    for page in pages:
        tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
        open_page(tab, root + page)
        found = tab.evaluate(CONTENT)
        links[page], anchors[root + page] = set(found["links"]), set(found["anchors"])
        if found["letters"] < FEWEST_LETTERS:
            yield f"{page}: empty, {found['letters']} letters"
        for kind in ("math", "markup", "images"):
            yield from (f"{page}: {kind}: {text}" for text in found[kind])
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            if tab.evaluate(SCROLLS):
                yield f"{page}: scrolls sideways at {width} px"
            yield from (f"{page}: cut at {width} px: {text}" for text in tab.evaluate(CUT))
        yield from (f"{page}: console: {text}" for text in errors)
        errors.clear()
    for page, targets in links.items():
        for target in sorted(targets):
            address, anchor = urldefrag(urljoin(root + page, target))
            if not address.startswith(root) or not address.endswith(".html"):
                continue
            if address not in anchors or (anchor and anchor not in anchors[address]):
                yield f"{page}: leads nowhere: {target.removeprefix(root)}"


def check_search(tab: Any, root: str, queries: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield one line per query that finds another page first."""
    for query, expected in queries.items():
        tab.goto(f"{root}search.html?q={quote(query)}")
        tab.wait_for_function("document.querySelector('#search-results .search-summary')?.innerText", timeout=20_000)
        first = tab.evaluate("() => document.querySelector('#search-results ul.search a')?.href ?? 'nothing'")
        if urldefrag(first).url.removeprefix(root) not in expected:
            yield f"search: {query!r}: expected {' or '.join(expected)} first, got {first.removeprefix(root)}"


def check(site: Path, queries: dict[str, tuple[str, ...]] = QUERIES) -> list[str]:
    """Return one line per fault of a site."""
    from playwright.sync_api import sync_playwright

    pages = sorted(str(page.relative_to(site)) for page in site.rglob("*.html"))
    server = served(site)
    root = f"http://127.0.0.1:{server.server_port}/"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
            tab = browser.new_page()
            return [*check_pages(tab, root, pages), *check_search(tab, root, queries)]
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "index.html").is_file():
        sys.exit("python -m tests.docs.browser SITE: expected the folder of a built site, with index.html")
    if browser_path() is None:
        sys.exit("python -m tests.docs.browser: expected Chromium on the path, found none; apt install chromium")
    began, site = time.perf_counter(), Path(sys.argv[1])
    faults = check(site)
    print(*faults, sep="\n")
    print(
        f"{len(list(site.rglob('*.html')))} pages at {len(WIDTHS)} widths, {len(QUERIES)} queries: "
        f"{len(faults)} faults, {time.perf_counter() - began:.0f} s"
    )
    sys.exit(bool(faults))
