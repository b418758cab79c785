"""The benchmark suite: ``python -m benchmarks``; docs/benchmarks.md has its results."""
