"""The command line of glebench. Each command imports what it needs when it is called, which keeps `--help` fast."""

from gle_bench.surroundings import isolation

isolation.leave_current_folder(started_there=False)  # before imports, which could find modules there

from gle_bench.cli import machine, many, reading, running  # noqa: F401 - each adds its commands to the program
from gle_bench.cli.app import app, main

__all__ = ["app", "main"]
