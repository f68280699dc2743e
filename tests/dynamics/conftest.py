"""Fixtures of the dynamics' tests: the native engine in each of its builds, and the number of threads."""

from native_work import native, threads

__all__ = ["native", "threads"]
