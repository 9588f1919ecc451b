"""What is measured, and against whom: ``python -m tests.benchmarks`` (README.md has the options)."""
