"""Builds the native engine, which no installation needs: where it cannot be built there is none. All else is TOML."""

import platform
import runpy
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = Path("gle_bench/dynamics/engines/native")
BUILD = runpy.run_path(str(NATIVE / "build.py"))


class BuildNative(build_ext):
    """Several libraries from one source, plain C++: there is nothing of Python in them."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # by its times a file may look older than a library that was built from another one

    def run(self) -> None:
        if self.inplace:
            self.remove_old()
        super().run()  # which first builds elsewhere, and copies

    def build_extensions(self) -> None:
        self.remove_old()
        super().build_extensions()

    def remove_old(self) -> None:
        """A build that fails must not leave the last one behind, whatever its suffix was."""
        for extension in self.extensions:
            path = Path(self.get_ext_fullpath(extension.name))
            for library in path.parent.glob(f"{path.stem}.*"):
                library.unlink()

    def build_extension(self, extension: Extension) -> None:
        shared, self.build_temp = self.build_temp, str(Path(self.build_temp, extension.name))
        try:  # in a folder of its own: the object files have one name
            super().build_extension(extension)
        finally:
            self.build_temp = shared

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + BUILD["SUFFIX"]  # without the version of Python

    def get_export_symbols(self, extension: Extension) -> list[str]:
        return extension.export_symbols  # no PyInit_...


class BuildWheel(bdist_wheel):
    """One wheel a platform, for every Python: the libraries are plain C to it."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[-1]


def library(variant: str) -> Extension:
    return Extension(
        f"gle_bench.dynamics.engines.native._{variant}",
        [str(NATIVE / BUILD["SOURCE"])],
        define_macros=[("GLEBENCH_STAMP", f'"{BUILD["stamp"](NATIVE)}"')],
        extra_compile_args=[*BUILD["FLAGS"], *BUILD["VARIANTS"][variant]],
        extra_link_args=["-pthread"],
        depends=[str(path) for path in BUILD["sources"](NATIVE)],
        language="c++",
        optional=True,
    )


setup(
    ext_modules=[library(variant) for variant in BUILD["variants"](platform.machine())],
    cmdclass={"bdist_wheel": BuildWheel, "build_ext": BuildNative},
)
