"""glebench: a benchmark suite and experiment tracker for learning in space and time."""

__version__ = "0.1.0"
