"""Tests of completion on the command line: what completes which words, and the scripts in their shells."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.cli import app
from gle_bench.cli.completion import SCRIPTS, provide, script
from gle_bench.cli.options import ENGINES
from gle_bench.dynamics.engines import choice
from gle_bench.errors import UnknownName
from gle_bench.overrides import override, spellings
from gle_bench.paper import FIGURES, SUITES
from gle_bench.tracking.record import run_id

RUN = run_id("mnist1d", "gle", "eprop", "0123456789ab", 5)


def models(task: str) -> set[str]:
    return {pair.model for pair in registry.pairs() if pair.task == task}


def test_names_complete_the_words_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mnist1d/gle+eprop/0123456789ab/seed-5").mkdir(parents=True)
    known = {
        "run ": set(registry.places("tasks")),
        "run mn": {"mnist1d"},
        "run gsc --model ": models("gsc"),
        "run --model gle-1": {"gle-15k"},
        "run mnist1d --rule ": set(registry.places("rules")),
        "run mnist1d --model gle --set epo": {"epochs="},
        "run mnist1d --model gle --rule eprop --set feed": {"feedback="},
        "run nowhere --set epo": set(),
        "run mnist1d --budget ": {"smoke", "short", "paper"},
        "list models g": {"gsc"},
        f"show --runs {tmp_path} {RUN[:11]}": {RUN},
        "compare gsc gr": {"gru"},
        "figure ": set(FIGURES),
        "suite ": set(SUITES),
        "completion ": set(SCRIPTS),
    }
    for words, expected in known.items():
        asked = {"_GLEBENCH_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        for name, value in {**asked, "_TYPER_COMPLETE_ARGS": f"glebench {words}"}.items():
            monkeypatch.setenv(name, value)
        provide()
        with pytest.raises(SystemExit, match="0"):
            app([], prog_name="glebench")
        lines = capsys.readouterr().out.splitlines()
        assert {line.partition("\t")[0] for line in lines} - {""} == expected, words


@pytest.mark.parametrize(("task", "model"), [("mnist1d", "gle"), ("gsc", "tcn"), ("mackey-glass", "esn")])
def test_every_spelling_is_one_that_set_takes(task: str, model: str) -> None:
    config = resolve(task, model, None, "paper", "short", ()).config
    for name in spellings(config):
        value = config
        for part in name.split("."):
            value = getattr(value, part, None)
        if isinstance(value, int | float):
            assert override(config, [f"{name}={value}"]) == config


def test_a_script_calls_this_installation_and_no_other() -> None:
    with pytest.raises(UnknownName, match="Unknown shell 'ksh'"):
        script("ksh")
    for shell in SCRIPTS:
        assert "PROGRAM" not in script(shell)


TRIALS = {
    "bash": "COMP_WORDS=(scripts/glebench run mn); COMP_CWORD=2; _glebench scripts/glebench; echo ${COMPREPLY[@]}",
    "fish": "complete -C 'scripts/glebench run mn'",
    "zsh": "compadd() { [[ $@[-1] == -- ]] || print $@[-1]; }\nwords=(scripts/glebench run mn) CURRENT=3; _glebench",
}


@pytest.mark.systems
@pytest.mark.parametrize("shell", TRIALS)
def test_a_script_completes_in_its_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    source = script(shell).replace("compdef", "true")  # zsh without its completion system
    done = subprocess.run([shell, "-c", f"{source}\n{TRIALS[shell]}"], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["mnist1d"], "")


def test_all_engines_complete_without_being_imported() -> None:
    assert ("auto", *sorted(choice.ENGINES)) == ENGINES
