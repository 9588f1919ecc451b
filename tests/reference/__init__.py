"""Values that other libraries computed, kept beside the scripts that made them."""

import json
from pathlib import Path

HERE = Path(__file__).parent


def reference(name):
    """Return the content of ``<name>.json``, which ``python -m tests.reference.make_<name>`` writes."""
    return json.loads((HERE / f"{name}.json").read_text())


def write(name, entries):
    """Write a list of entries, one to a line."""
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n")
