"""Benchmarks of anynet and its peers: ``python -m tests.benchmarks`` (options in README.md)."""
