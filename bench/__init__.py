"""Measures what docs/benchmarks.md shows; runs on Linux only, whose /proc it reads."""
