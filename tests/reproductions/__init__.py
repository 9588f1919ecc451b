"""Published results, reproduced: ``python -m tests.reproductions NAME --seeds K``.

Each module reproduces one paper and lists its `SETTINGS`. Runs are appended to ``results.jsonl``, from which
``python -m tests.reproductions.page`` writes the tables and draws the figures of ``docs/reproductions.md``.
"""
