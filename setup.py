"""The build of the native engine, without which an installation works too. All else is in pyproject.toml."""

import platform
import runpy
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = Path("gle_bench/dynamics/engines/native")
BUILD = runpy.run_path(str(NATIVE / "build.py"))


class BuildNative(build_ext):
    """The command that builds several libraries from one source, in plain C++ without Python's headers."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # a source may have an older date than a library that was built from another source

    def run(self) -> None:
        if self.inplace:
            self.remove_old()
        super().run()  # which builds in another folder first, and copies

    def build_extensions(self) -> None:
        self.remove_old()
        super().build_extensions()

    def remove_old(self) -> None:
        """Removes libraries of earlier builds, whatever their suffix, so that none is left if this build fails."""
        for extension in self.extensions:
            path = Path(self.get_ext_fullpath(extension.name))
            for library in path.parent.glob(f"{path.stem}.*"):
                library.unlink()

    def build_extension(self, extension: Extension) -> None:
        shared, self.build_temp = self.build_temp, str(Path(self.build_temp, extension.name))
        try:  # in a folder of its own, because the object files of all libraries have the same name
            super().build_extension(extension)
        finally:
            self.build_temp = shared

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + BUILD["SUFFIX"]  # without the version of Python

    def get_export_symbols(self, extension: Extension) -> list[str]:
        return extension.export_symbols  # without PyInit_..., which a Python module would have


class BuildWheel(bdist_wheel):
    """The command that makes one wheel for all Pythons of a platform, since the libraries have a plain C interface.

    Where no library could be built, the wheel is one for all platforms.
    """

    def get_tag(self) -> tuple[str, str, str]:
        built = any(Path(library).exists() for library in self.get_finalized_command("build_ext").get_outputs())
        return "py3", "none", super().get_tag()[-1] if built else "any"


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
