"""matplotlib as it is without anybody's configuration, by whomever it is imported.

While it is imported it reads MPLBACKEND, MATPLOTLIBRC, files of the user's and, before all others, a `matplotlibrc` in
the current folder, and fails where one of them is broken. Lightning imports it (by way of torchmetrics), so a run would
fail as well as a figure.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

NAME = "matplotlib"


def leave_unconfigured() -> None:
    """From now on, matplotlib is imported as if nobody had configured it."""
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds matplotlib, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname) if fullname == NAME else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(NAME, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Loads matplotlib."""

    def exec_module(self, module: ModuleType) -> None:
        import logging

        from gle_bench.surroundings.home import cache_folder

        logging.getLogger(NAME).setLevel(logging.ERROR)  # it says where it keeps its list of fonts
        os.environ.pop("MATPLOTLIBRC", None)
        os.environ["MPLBACKEND"] = "agg"  # which draws into files, without a window
        os.environ["MPLCONFIGDIR"] = str(cache_folder() / NAME)  # its list of fonts, and no settings
        with _standing_in(Path(self.path).parent):
            super().exec_module(module)


@contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    """Makes a folder the current one, and comes back."""
    before = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))  # which needs no permission to list it
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)
