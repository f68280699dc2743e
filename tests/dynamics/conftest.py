"""Fixtures of the dynamics' tests: the native engine in each of its builds, and the number of threads."""

from native_work import each_build, native, threads

__all__ = ["each_build", "native", "threads"]
