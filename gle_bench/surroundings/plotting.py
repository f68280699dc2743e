"""matplotlib with its default configuration, whoever imports it.

During its import it reads MPLBACKEND, MATPLOTLIBRC, the user's files and, before all others, a `matplotlibrc` in the
current folder, and fails if one of them is broken. Lightning imports it (through torchmetrics), so that runs would fail
as well as figures.
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
    """Makes later imports of matplotlib ignore the user's configuration."""
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """An import finder for matplotlib alone, which gives it `_Loader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname) if fullname == NAME else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(NAME, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """The loader of matplotlib, which sets its environment variables and its current folder first."""

    def exec_module(self, module: ModuleType) -> None:
        import logging

        from gle_bench.surroundings.home import cache_folder

        logging.getLogger(NAME).setLevel(logging.ERROR)  # it would print where it keeps its list of fonts
        os.environ.pop("MATPLOTLIBRC", None)
        os.environ["MPLBACKEND"] = "agg"  # draws into files, without a window
        os.environ["MPLCONFIGDIR"] = str(cache_folder() / NAME)  # a folder with its list of fonts, and no settings
        with _current_folder(Path(self.path).parent):
            super().exec_module(module)


@contextmanager
def _current_folder(folder: Path) -> Iterator[None]:
    """Makes a folder the current one inside the block."""
    before = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))  # O_PATH needs no permission to list the folder
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)
