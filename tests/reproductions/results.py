"""The file of results: one JSON object per line, appended as each run ends."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.jsonl")

Row = dict[str, Any]


@dataclass
class Results:
    """Rows with ``setting`` and ``seed``, and the file that keeps them, if any."""

    rows: list[Row] = field(default_factory=list)
    path: Path | None = None

    @classmethod
    def in_memory(cls) -> Results:
        return cls()

    @classmethod
    def read(cls, path: Path = FILE) -> Results:
        """Return the rows of a file, without a last line that was cut off."""
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        if lines and not lines[-1].endswith("\n"):
            path.write_text("".join(lines[:-1]), encoding="utf-8")
            lines.pop()
        return cls([json.loads(line) for line in lines], path)

    def append(self, row: Row) -> None:
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def of(self, setting: str) -> list[Row]:
        """Return the rows of a setting, ordered by seed."""
        return sorted((row for row in self.rows if row["setting"] == setting), key=lambda row: row["seed"])

    def find(self, setting: str, seed: int) -> Row | None:
        return next((row for row in self.of(setting) if row["seed"] == seed), None)


@cache
def machine(backend: str) -> str:
    """Return processor, backend and version of NumPy in words."""
    device = backend
    if backend.startswith("torch:cuda"):
        import torch

        device = f"{backend}, {torch.cuda.get_device_name()}"
    return f"{processor()}, one thread, {device}, NumPy {version('numpy')}"


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
