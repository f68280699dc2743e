"""A user's ordinary surroundings neither break nor change what commands do, and code of the current folder never runs.

Most of it happens while Python starts or libraries are imported, so these are commands of their own, by a shell.
"""

import fcntl
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from command import ENVIRONMENT, SCRIPT, glebench
from PIL import Image
from shared import ROOT, SUPPORT
from sparing import first
from toy_runs import seed_folder

from gle_bench.cli import app, options

TOY = "run toy-classes --model toy-mlp --budget smoke --seeds 1"
MODULE = f"{sys.executable} -m gle_bench"
PNG = b"\x89PNG\r\n"


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell line in a folder, where `glebench` is the installed script; a traceback or a signal is a failure."""
    clean = {name: os.environ[name] for name in ("PATH", "TMPDIR", "XDG_CACHE_HOME") if name in os.environ}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env={
            **clean,
            "HOME": os.fspath(folder),
            **ENVIRONMENT,
            "PATH": f"{SCRIPT.parent}:{clean['PATH']}",
            **variables,
        },
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2), done
    return done


def works(line: str, folder: Path, **variables: str) -> str:
    """The output of a shell line, which must succeed."""
    done = shell(line, folder, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Settings of matplotlib ----------------------------------------------------------------------------------------------

SETTINGS = "text.usetex: True\nfont.size: 30\naxes.grid: True\nsavefig.dpi: 30\nsavefig.transparent: True\n"


def set_in_the_current_folder(folder: Path) -> dict[str, str]:
    (folder / "matplotlibrc").write_text(SETTINGS)
    return {}


def set_at_home(folder: Path) -> dict[str, str]:
    (folder / ".config/matplotlib").mkdir(parents=True)
    (folder / ".config/matplotlib/matplotlibrc").write_text(SETTINGS)
    return {}


def set_by_a_variable(folder: Path) -> dict[str, str]:
    (folder / "mine").write_text(SETTINGS)
    return {"MATPLOTLIBRC": "mine"}


def set_in_no_text(folder: Path) -> dict[str, str]:
    (folder / "matplotlibrc").write_bytes(b"\xff\xfe\x00: 1\n")
    return {}


def a_notebook(folder: Path) -> dict[str, str]:
    return {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def no_backend(folder: Path) -> dict[str, str]:
    return {"MPLBACKEND": "nonsense", "MPLCONFIGDIR": "/proc/nowhere"}


CONFIGURED = [set_in_the_current_folder, set_at_home, set_by_a_variable, set_in_no_text, a_notebook, no_backend]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Figure 8d, drawn without any user's configuration."""
    folder = tmp_path_factory.mktemp("plain")
    works("glebench figure 8d", folder)
    return (folder / "figure-8d.png").read_bytes()


@pytest.mark.parametrize("configure", first(CONFIGURED, 2))
def test_figures_are_the_same_whatever_matplotlib_is_told(
    tmp_path: Path, drawn: bytes, configure: Callable[[Path], dict[str, str]]
) -> None:
    variables = configure(tmp_path)
    assert shell("glebench figure 8d", tmp_path, **variables).stderr == ""
    assert alike((tmp_path / "figure-8d.png").read_bytes(), drawn)
    assert drawn.startswith(PNG)


def alike(one: bytes, other: bytes) -> bool:
    """Whether two pictures are equal up to shades at edges, since the last bits of means differ from draw to draw."""
    first, second = (np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=int) for content in (one, other))
    return first.shape == second.shape and np.abs(first - second).max() <= 8


@pytest.mark.parametrize("configure", first([set_in_no_text, a_notebook]))
def test_runs_do_not_mind_what_matplotlib_is_told(tmp_path: Path, configure: Callable[[Path], dict[str, str]]) -> None:
    done = shell(f"glebench {TOY} --wandb off", tmp_path, **configure(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "matplotlib" not in done.stderr


# Paths ---------------------------------------------------------------------------------------------------------------


def test_all_options_that_are_paths_expand_alike() -> None:
    """No option has typer's own type of paths, which takes `~` for the name of a folder."""
    hints = [get_type_hints(command.callback, include_extras=True) for command in app.registered_commands]
    annotated = {name: get_args(hint) for each in hints for name, hint in each.items() if get_origin(hint) is Annotated}
    paths = {name: infos for name, (kind, *infos) in annotated.items() if Path in (kind, *get_args(kind))}
    assert paths.keys() == {"runs", "data", "out", "to"}
    assert [infos[0].parser for infos in paths.values()] == [options.path] * 4


def test_a_home_folder_is_meant_by_its_sign(tmp_path: Path) -> None:
    for number, (words, variables) in enumerate([(["--runs=~/r0"], {}), ([], {"GLEBENCH_RUNS": "~/r1"})]):
        done = glebench(*TOY.split(), "--wandb", "off", *words, HOME=str(tmp_path), **variables)
        assert done.code == 0, done
        assert seed_folder(tmp_path / f"r{number}", 1).read().status == "done"
    assert glebench("figure", "8d", "--out", "~/figure.png", HOME=str(tmp_path)).code == 0
    checks = json.loads(glebench("doctor", "--json", HOME=str(tmp_path), GLEBENCH_DATA="~/d").out)
    assert f"{tmp_path}/d (will be made)" in [check["text"] for check in checks]
    assert {"figure.png", "r0", "r1"} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    "words",
    [
        *("list runs --runs ~nobodyhere/x", "prepare mnist1d --data ~nobodyhere", "figure 8d --out ~nobodyhere/x.png"),
        *("suite ~nobodyhere/x.toml", "show ~nobodyhere/x", "doctor"),
    ],
)
def test_a_user_that_there_is_not_is_told(words: str) -> None:
    refused = glebench(*words.split(), GLEBENCH_DATA="~nobodyhere/x")
    assert refused.code == 2, refused
    assert refused.err.endswith("there is no home folder ~nobodyhere; write the path in full.\n")


def test_runs_behind_a_link_are_seen_by_all_who_read(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs/toy-classes").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/circle").symlink_to(tmp_path / "runs")
    (tmp_path / "mine.toml").write_text(
        '[[run]]\ntask = "toy-classes"\nmodel = "toy-mlp"\nbudget = "smoke"\nseeds = "1"\n'
    )
    told = ("--runs", tmp_path / "runs", "--json")
    (record,) = json.loads(glebench(*TOY.split(), "--wandb", "off", *told).out)
    (row,) = json.loads(glebench("list", "runs", *told).out)
    (entry,) = json.loads(glebench("suite", tmp_path / "mine.toml", "--dry-run", *told).out)
    assert row["run"] == record["run_id"]
    assert record["run_id"] in glebench("show", record["run_id"], *told).out
    assert entry["states"] == {"1": "done"}


# No home -------------------------------------------------------------------------------------------------------------

CAN_BE_ANOTHER = os.getuid() == 0 and shutil.which("setpriv") is not None
# Another user, of whom nobody has heard, who may read all (where Python lies, say) and write little.
STRANGER = "setpriv --reuid 12345 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search"
HOMES = ["env -u HOME -u USER -u LOGNAME", "env HOME=/nonexistent", "env HOME=/", "env HOME=$PWD/closed", "env HOME=."]


@pytest.fixture
def everyones() -> Iterator[Path]:
    """A folder that all users may read and write, unlike pytest's own."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "closed").mkdir(0o755)
        yield folder


@pytest.mark.skipif(not CAN_BE_ANOTHER, reason="only root can be another user, by setpriv")
@pytest.mark.parametrize("home", first(HOMES))
def test_a_stranger_without_a_home_of_his_own_can_work(everyones: Path, home: str) -> None:
    for words in (TOY, "prepare mackey-glass", "doctor", "list runs"):
        done = shell(f"exec {STRANGER} {home} glebench {words}", everyones, TMPDIR=str(everyones))
        assert done.returncode == 0, done.stderr
        assert "FAIL" not in done.stdout
        assert not {"W&B", "INFO", "Matplotlib"} & set(done.stderr.split())
    assert "toy-classes-toy-mlp" in done.stdout
    names = {path.name for path in everyones.iterdir()}
    assert names <= {"closed", "runs", "glebench-12345", "torchinductor_12345"}
    refused = shell(f"exec {STRANGER} {HOMES[0]} glebench list runs --runs '~/r'", everyones, TMPDIR=str(everyones))
    assert refused.returncode == 2
    assert "there is no home folder ~; write the path in full." in refused.stderr


# Streams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", first(["cp1252", "ascii:strict"]))
def test_what_a_stream_cannot_hold_is_escaped(tmp_path: Path, encoding: str) -> None:
    for words in ("table 2", "table 1 --format csv", "show mnist1d"):
        plain = works(f"glebench {words}", tmp_path)
        assert not plain.isascii()
        told = works(f"glebench {words}", tmp_path, PYTHONIOENCODING=encoding)
        assert told.count("\n") == plain.count("\n")
        assert [line for line in plain.split("\n") if line.isascii() and line not in told.split("\n")] == []


def test_folders_of_any_name_are_written_to_and_told(tmp_path: Path) -> None:
    runs = os.fsdecode(b"r\xff\xc3 \n[red]")
    done = shell(f'glebench {TOY} --runs "$RUNS"', tmp_path, RUNS=runs)
    assert done.returncode == 0, done.stderr
    assert seed_folder(tmp_path / runs, 1).read().status == "done"
    for words in ("list runs", "doctor", 'show "$RUNS"/toy-classes/toy-mlp/*/seed-1'):
        works(f'glebench {words} --runs "$RUNS"', tmp_path, RUNS=runs, LC_ALL="C")
    assert r"\udcff" in works('glebench figure 8d --out "$RUNS/x.png"', tmp_path, RUNS=runs)


@pytest.mark.parametrize("closed", ["<&- 2>&-", "2>/dev/full"])
def test_an_output_is_whole_whatever_the_other_streams_are(tmp_path: Path, closed: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/record.json").write_text("of which there is something to say")
    assert json.loads(works(f"glebench list runs --json {closed}", tmp_path)) == []
    assert shell(f"glebench table nothing {closed}", tmp_path).returncode == 2
    assert shell(f"glebench table --nothing {closed}", tmp_path).returncode == 2


def test_a_run_needs_no_stream_at_all(tmp_path: Path) -> None:
    works(f"glebench {TOY} --wandb off <&- >&- 2>&-", tmp_path)
    works(f"glebench {TOY} --wandb off --runs full 2>/dev/full", tmp_path)
    for runs in ("runs", "full"):
        folder = seed_folder(tmp_path / runs, 1)
        assert folder.read().status == "done"
        assert b"ms/step" not in b"".join(path.read_bytes() for path in folder.path.iterdir())


@pytest.mark.parametrize("words", ["--help", "list tasks", "figure 8d --json"])  # at once, at the end, in between
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_full_disk_behind_the_output_is_told(tmp_path: Path, words: str, encoding: str) -> None:
    done = shell(f"glebench {words} >/dev/full", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert done.stderr == "Error: Cannot write to standard output: No space left on device.\n"


def test_who_reads_no_further_hears_no_complaint(tmp_path: Path) -> None:
    done = shell("(glebench figure 8d --json; echo $? >code) | head -n 1", tmp_path)
    assert (done.stdout, done.stderr) == ("{\n", "")
    assert (tmp_path / "code").read_text() in ("1\n", "0\n")  # it may have written all before the reader ended


def test_a_pipe_that_does_not_block_gets_everything(tmp_path: Path) -> None:
    """Parents such as Node or ssh leave such pipes; output beyond their capacity must wait for the reader."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    command = [SCRIPT, "table", "2", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for a reader
            process.wait(5)
        with os.fdopen(reader) as file:
            text = file.read()
        assert process.communicate()[1] == ""
    json.loads(text)


COLOURFUL = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "CLICOLOR_FORCE": "1"}


def test_no_cursor_codes_go_into_a_log(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text('[[run]]\ntask = "toy-classes"\nmodel = "toy-gle"\nseeds = "1"\n')
    for words in ("run toy-classes --model toy-gle", f"suite {suite}", "bench --network gle-15k --steps 1 --repeats 1"):
        more = ("--runs", tmp_path, "--wandb", "off") if "bench" not in words else ()
        done = glebench(*words.split(), *more, **COLOURFUL)
        assert done.code == 0, done
        assert done.err
        assert "\x1b" not in done.out + done.err
    logs = [path.read_text() for path in (tmp_path / "suites").rglob("*.log")]
    assert logs
    assert not any("\x1b" in log for log in logs)


@pytest.mark.parametrize(("kind", "live"), [("xterm", True), ("dumb", False)])
def test_a_terminal_gets_a_live_display_if_it_can_show_one(tmp_path: Path, kind: str, live: bool) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, **ENVIRONMENT, "TERM": kind, "HOME": str(tmp_path)}
    command = [SCRIPT, *TOY.split(), "--wandb", "off"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as process:
        os.close(theirs)
        told = b""
        while chunk := read(ours):
            told += chunk
    assert process.returncode == 0
    assert (b"\x1b[" in told) == live
    assert b"ms/step" in told


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # on Linux, how a terminal says that nobody is left at its other end
        return b""


# The current folder --------------------------------------------------------------------------------------------------

# What Python has imported before it comes to us, from its own folders unless PYTHONPATH names the current one.
BARE = "import runpy, re, site, sys; "
EARLY = BARE + "from gle_bench.surroundings import isolation; print(*sys.modules)"
DECOY = "open('RAN', 'a').write(__name__ + '\\n')\nraise SystemExit('a decoy ran')\n"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all modules that the commands import."""
    loaded = "import sys, gle_bench.cli, gle_bench.training.preview, wandb; print(*sys.modules)"
    folder = tmp_path_factory.mktemp("empty")
    early, late = (works(f"{sys.executable} -P -c '{code}'", folder).split() for code in (EARLY, loaded))
    names = {name.split(".")[0] for name in late} - {name.split(".")[0] for name in early}
    assert {"statistics", "typer", "torch", "json", "rich", "wandb", "logging"} <= names
    return names - set(sys.builtin_module_names)


def test_nothing_is_imported_before_the_current_folder_is_left(tmp_path: Path) -> None:
    codes = (BARE + "print(*sys.modules)", EARLY)
    bare, early = ({*works(f"{sys.executable} -P -c '{code}'", tmp_path).split()} for code in codes)
    assert early - bare == {"gle_bench", "gle_bench.surroundings", "gle_bench.surroundings.isolation"}


@pytest.fixture
def decoys(tmp_path: Path, imported: set[str]) -> Path:
    """A folder with a module of each of these names, which reports if it is imported."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in imported:
        (folder / f"{name}.py").write_text(DECOY)
    return folder


@pytest.mark.parametrize(
    ("program", "path"),
    [
        *(("glebench", f":{SUPPORT}"), (MODULE, f"{SUPPORT}::")),
        *(pytest.param(*way, marks=pytest.mark.systems) for way in (("glebench", f"{SUPPORT}:.:"), (MODULE, SUPPORT))),
    ],
)
def test_code_of_the_current_folder_never_runs(decoys: Path, program: str, path: object) -> None:
    for words in ("table 2", TOY):
        works(f"{program} {words}", decoys, PYTHONPATH=str(path))
    assert not (decoys / "RAN").exists()


@pytest.mark.parametrize("path", first([f":{SUPPORT}", f"{SUPPORT}:.::.", ":", "."]))
def test_a_checkouts_script_starts_no_python_that_looks_into_the_current_folder(decoys: Path, path: str) -> None:
    for name in {*sys.stdlib_module_names, "sitecustomize", "usercustomize"}:
        (decoys / f"{name}.py").write_text(DECOY)
    works(f"{ROOT}/scripts/glebench list tasks", decoys, PYTHONPATH=path)
    assert not (decoys / "RAN").exists()


def test_a_suites_commands_do_not_run_code_of_the_current_folder(decoys: Path) -> None:
    (decoys / "mine.toml").write_text('[[run]]\ntask = "toy-classes"\nmodel = "toy-mlp"\nseeds = "1"\n')
    (decoys / "git").write_text("#!/bin/sh\necho git >> RAN\n")
    (decoys / "git").chmod(0o755)
    works("PATH=.:$PATH glebench suite mine.toml", decoys, PYTHONPATH=f":{SUPPORT}")
    assert not (decoys / "RAN").exists()
    assert seed_folder(decoys / "runs", 1).read().status == "done"


def test_a_folder_that_pythonpath_names_in_full_stays_even_if_it_is_the_current_one(tmp_path: Path) -> None:
    shutil.copytree(SUPPORT / "glebench_toys.dist-info", tmp_path / "glebench_toys.dist-info")
    for path in SUPPORT.glob("*.py"):
        shutil.copy(path, tmp_path)
    assert "toy-classes" in works("glebench list tasks", tmp_path, PYTHONPATH=f":{tmp_path}")


def test_a_current_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    for words in ("list tasks", "run mnist1d", "doctor"):
        done = shell(f"mkdir gone; cd gone; rmdir ../gone; glebench {words}", tmp_path)
        assert done.returncode == 1
        assert (
            "Error: The current folder cannot be found (No such file or directory): change to another." in done.stderr
        )
