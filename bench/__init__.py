"""Benchmarks: fastce against the memory limit and against other libraries (see README.md)."""
