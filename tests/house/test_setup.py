"""Tests of scripts/setup with a fake Python, which makes an empty .venv and records the arguments of pip."""

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from shared import ROOT

NATIVE = "gle_bench/dynamics/engines/native"
SOURCES = ["pyproject.toml", "setup.py", f"{NATIVE}/src/engine.cpp", f"{NATIVE}/src/step.hpp", f"{NATIVE}/build.py"]
TOOLS = [
    "bash",
    "cp",
    "df",
    "env",
    "find",
    "flock",
    "grep",
    "mkdir",
    "readlink",
    "rm",
    "sha256sum",
    "sleep",
    "sort",
    "touch",
]

STUB = """\
#!/usr/bin/env bash
case "$*" in
    -c*) exit 0 ;;
    *"pip config"*) ;;
    *"pip install"*)
        sleep 0.2; echo "$*" >> pip-calls; echo noise
        [[ ! -e pip-breaks ]] || { echo "No torch"; exit 1; }
        rm -f gle_bench/dynamics/engines/native/*.so
        [[ -e compiler-breaks ]] || touch "gle_bench/dynamics/engines/native/_portable.$RANDOM.so" ;;
    *venv*) mkdir -p "${@: -1}/bin"; cp "$0" "${@: -1}/bin/python"; echo "#!${@: -1}/bin/python" > "${@: -1}/bin/pip" ;;
esac
"""


UV = """\
#!/usr/bin/env bash
if [[ $* == *--help ]]; then echo --torch-backend; exit; fi
echo "$*" >> uv-calls
touch "gle_bench/dynamics/engines/native/_portable.so"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / NATIVE / "src").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/setup", tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "setup.py").touch()
    (tmp_path / "python").write_text(STUB)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def start(checkout: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [checkout / "scripts/setup", *arguments],
        env=os.environ | {"GLEBENCH_PYTHON": str(checkout / "python"), "PIP_FIND_LINKS": "/wheels"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def setup(checkout: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and the messages of scripts/setup, which may not write to stdout, where glebench prints."""
    process = start(checkout, *arguments, **environment)
    out, said = process.communicate()
    assert out == ""
    return process.returncode, said


def begun(checkout: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code of scripts/setup, and the words before the installer's name in its first line."""
    code, said = setup(checkout, *arguments, **environment)
    return code, said.partition(" with ")[0]


def only_tools(checkout: Path, *compilers: str) -> None:
    """Makes `bin`, a folder for PATH with the programs that the script and the fake Python call, and compilers."""
    (checkout / "bin").mkdir()
    for tool in TOOLS:
        (checkout / "bin" / tool).symlink_to(str(shutil.which(tool)))
    for name in compilers:
        (checkout / "bin" / name).symlink_to("/bin/true")


def pip_calls(checkout: Path) -> list[str]:
    return (checkout / "pip-calls").read_text().splitlines()


def test_installs_once_then_is_silent(checkout: Path) -> None:
    code, said = setup(checkout)
    assert code == 0
    size, time, *steps = said.splitlines()
    assert size.startswith("Setting up .venv with pip, once.")
    assert "downloads about" in size
    assert size.endswith("GB are free.")
    assert "minutes" in time
    assert [re.sub(r"\d+ s$", "N s", line.strip()) for line in steps] == [
        *("an empty environment ...", "an empty environment: N s"),
        *(f"packages, glebench and its native engine{end}" for end in (" ...", ": N s")),
    ]
    assert setup(checkout) == (0, "")
    assert pip_calls(checkout) == ["-m pip install -v -e ."]


def test_the_tools_of_developers_are_added_and_serve_users_too(checkout: Path) -> None:
    setup(checkout)
    assert begun(checkout, "dev") == (0, "Updating .venv")
    assert setup(checkout, "dev") == setup(checkout) == (0, "")
    assert pip_calls(checkout) == ["-m pip install -v -e .", "-m pip install -v -e .[dev]"]


@pytest.mark.parametrize("source", SOURCES)
def test_updates_when_a_source_changes(checkout: Path, source: str) -> None:
    setup(checkout)
    (checkout / source).write_text("changed")
    assert begun(checkout) == (0, "Updating .venv")
    assert setup(checkout) == (0, "")


def test_what_a_build_leaves_behind_is_no_source(checkout: Path) -> None:
    setup(checkout)
    (checkout / NATIVE / "step.cpython-311-x86_64-linux-gnu.so").touch()
    assert setup(checkout) == (0, "")


def test_a_library_that_was_deleted_is_built_again(checkout: Path) -> None:
    setup(checkout)
    for library in (checkout / NATIVE).glob("*.so"):
        library.unlink()
    assert begun(checkout) == (0, "Updating .venv")


def test_a_native_engine_that_cannot_be_built_is_told_once(checkout: Path) -> None:
    (checkout / "compiler-breaks").touch()
    only_tools(checkout, "g++")
    code, said = setup(checkout, PATH=str(checkout / "bin"))
    assert code == 0
    assert "the native engine could not be built" in said.splitlines()[-1]
    assert str(checkout / ".venv-setup.log") in said
    assert setup(checkout, PATH=str(checkout / "bin")) == (0, "")


def test_without_a_compiler_nothing_is_said_until_there_is_one(checkout: Path) -> None:
    (checkout / "compiler-breaks").touch()
    only_tools(checkout)
    assert begun(checkout, PATH=str(checkout / "bin")) == (0, "Setting up .venv")
    assert setup(checkout, PATH=str(checkout / "bin")) == (0, "")
    (checkout / "compiler-breaks").unlink()
    (checkout / "bin/g++").symlink_to("/bin/true")
    assert begun(checkout, PATH=str(checkout / "bin")) == (0, "Updating .venv")
    assert setup(checkout, PATH=str(checkout / "bin")) == (0, "")


def test_a_moved_checkout_gets_a_new_venv(checkout: Path) -> None:
    setup(checkout)
    moved = checkout.rename(checkout.with_name("moved"))
    assert begun(moved) == (0, "Setting up .venv")


def test_a_failed_installation_is_told_and_tried_again(checkout: Path) -> None:
    (checkout / "pip-breaks").touch()
    code, said = setup(checkout)
    assert code == 1
    assert "No torch\nglebench: set-up failed" in said
    (checkout / "pip-breaks").unlink()
    assert begun(checkout) == (0, "Updating .venv")


def test_without_a_python_it_says_so(checkout: Path) -> None:
    code, said = setup(checkout, GLEBENCH_PYTHON="no-such-python")
    assert code == 1
    assert said.startswith("glebench: no Python 3.11 or newer with venv found (tried no-such-python);")
    assert said.count("\n") == 1


def test_a_terminal_sees_the_progress_of_pip_and_the_log_is_kept(checkout: Path) -> None:
    terminal, side = pty.openpty()
    environment = os.environ | {"GLEBENCH_PYTHON": str(checkout / "python"), "PIP_FIND_LINKS": "/wheels"}
    done = subprocess.run([checkout / "scripts/setup"], env=environment, stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert (done.returncode, done.stdout) == (0, b"")
    assert "noise" in shown
    assert pip_calls(checkout) == [f"-m pip install --log {checkout}/.venv-setup.log -e ."]


def test_two_at_once_install_once(checkout: Path) -> None:
    processes = [start(checkout), start(checkout)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    assert len(pip_calls(checkout)) == 1


def with_uv(checkout: Path) -> dict[str, str]:
    """The environment of a machine with uv, whose pip looks on PyPI."""
    only_tools(checkout)
    (checkout / "bin/uv").write_text(UV)
    (checkout / "bin/uv").chmod(0o755)
    return {"PATH": str(checkout / "bin"), "PIP_FIND_LINKS": ""}


def test_uv_is_used_where_it_is_installed_and_takes_the_build_that_suits_the_gpu(checkout: Path) -> None:
    environment = with_uv(checkout)
    assert setup(checkout, "dev", **environment)[1].startswith("Setting up .venv with uv, once.")
    packages, own = (checkout / "uv-calls").read_text().splitlines()
    python = checkout / ".venv/bin/python"
    assert packages == f"pip install --python {python} --torch-backend auto -r pyproject.toml --extra dev"
    assert own == f"pip install -v --python {python} --no-deps -e ."
    assert not (checkout / "pip-calls").exists()
    assert setup(checkout, "dev", **environment) == (0, "")


def test_uv_is_not_used_where_pip_is_told_to_look_elsewhere_or_by_choice(checkout: Path) -> None:
    environment = with_uv(checkout)
    for more in ({"PIP_FIND_LINKS": "/wheels"}, {"GLEBENCH_INSTALLER": "pip"}):
        shutil.rmtree(checkout / ".venv", ignore_errors=True)
        assert " with pip, once." in setup(checkout, **environment | more)[1]
    assert not (checkout / "uv-calls").exists()


def test_pip_takes_the_cpu_build_where_linux_has_no_gpu(checkout: Path) -> None:
    only_tools(checkout, "g++")
    environment = {"PATH": str(checkout / "bin"), "PIP_FIND_LINKS": "", "OSTYPE": "linux-gnu"}
    setup(checkout, **environment)
    (checkout / "bin/nvidia-smi").symlink_to("/bin/true")
    (checkout / "setup.py").write_text("changed")
    setup(checkout, **environment)
    index = "--extra-index-url https://download.pytorch.org/whl/cpu "
    assert pip_calls(checkout) == [f"-m pip install -v {index}-e .", "-m pip install -v -e ."]
