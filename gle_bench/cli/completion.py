"""Completion of words on the command line: the names that complete an argument, and the scripts for three shells.

Typer completes commands, options and closed choices by itself, and asks the functions below for names. None of them
imports PyTorch. A name that cannot be told, say because a plugin is broken, is left out: a shell shows no errors.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import typer

from gle_bench.errors import look_up

Names = Callable[[typer.Context], Iterable[str]]

# Each script asks this installation, by Typer's protocol, for what completes the words before the cursor. After a
# setting's `=` no blank is written. Where nothing is known, file names are offered.
SCRIPTS: Final = {
    "bash": """\
_glebench() {
    local IFS=$'\\n'
    COMPREPLY=($(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _GLEBENCH_COMPLETE=complete_bash PROGRAM 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _glebench glebench
""",
    "zsh": """\
#compdef glebench
_glebench() {
    local -a lines values
    lines=("${(@f)$(_TYPER_COMPLETE_ARGS="${(j: :)words[1,CURRENT]}" _TYPER_COMPLETE_FISH_ACTION=get-args \\
        _GLEBENCH_COMPLETE=complete_fish PROGRAM 2>/dev/null)}")
    values=(${lines%%$'\\t'*})
    if (( ! $#values )); then _files; return; fi
    compadd -S '' -- ${(M)values:#*=}
    compadd -- ${values:#*=}
}
if [[ $funcstack[1] == _glebench ]]; then _glebench "$@"; else compdef _glebench glebench; fi
""",
    "fish": """\
function __glebench
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    set -lx _TYPER_COMPLETE_FISH_ACTION get-args
    set -lx _GLEBENCH_COMPLETE complete_fish
    set -l lines (PROGRAM 2>/dev/null)
    if test -n "$lines"; string join \\n $lines; else; __fish_complete_path (commandline -ct); end
end
complete --command glebench --no-files --arguments '(__glebench)'
""",
}


def provide() -> None:
    """Lets Typer answer a script, if one asks: without its own options for completion it knows none of its shells."""
    if "_GLEBENCH_COMPLETE" in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # not declared as exported

        completion_init()


def script(shell: str) -> str:
    """The script that makes a shell complete `glebench`, by its path as well, such as scripts/glebench.

    Raises:
        UnknownName: another shell.
    """
    program = f"{shlex.quote(sys.executable)} -P -m gle_bench"  # -P: nothing is imported from the current folder
    return look_up("shell", shell, SCRIPTS).replace("PROGRAM", program)


def completer(names: Names) -> Callable[[typer.Context, str], list[str]]:
    """The function that Typer calls for the names that complete an argument; it returns none where `names` fails."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [name for name in names(ctx) if name.startswith(incomplete)]
        except Exception:
            return []

    return complete


def _task(ctx: typer.Context) -> str | None:
    """The task among the words before the cursor; None if it is not there yet.

    After an option that waits for its value, arguments are not assigned to their names yet.
    """
    task: str | None = ctx.params.get("task") or next(iter(ctx.args), None)
    return task


@completer
def tasks(ctx: typer.Context) -> Iterable[str]:
    """The names of all tasks."""
    from gle_bench import registry

    return registry.places("tasks")


@completer
def models(ctx: typer.Context) -> Iterable[str]:
    """The names of the models of the chosen task; those of all tasks before one is chosen."""
    from gle_bench import registry

    task = _task(ctx)
    return dict.fromkeys(pair.model for pair in registry.pairs() if task in (None, pair.task))


@completer
def rules(ctx: typer.Context) -> Iterable[str]:
    """The names of all rules."""
    from gle_bench import registry

    return registry.places("rules")


@completer
def settings(ctx: typer.Context) -> Iterable[str]:
    """The settings of the chosen pair, as `--set` takes them, each with the `=` that follows."""
    from gle_bench.chosen import resolve
    from gle_bench.overrides import spellings

    model, rule = ctx.params.get("model") or "gle", ctx.params.get("rule")
    config = resolve(_task(ctx) or "", model, rule, "paper", "short", ()).config
    return [f"{name}=" for name in spellings(config)]


@completer
def shown(ctx: typer.Context) -> Iterable[str]:
    """What `glebench show` takes: tasks, models, rules and runs."""
    from gle_bench import registry

    kinds = (registry.places("tasks"), [pair.model for pair in registry.pairs()], registry.places("rules"))
    return dict.fromkeys(name for kind in (*kinds, _run_ids(ctx.params.get("runs"))) for name in kind)


def _run_ids(runs: str | Path | None) -> list[str]:
    """The ids of all runs in a folder, spelled from the names of their folders, without reading the records."""
    folders = Path(runs or "runs").glob("*/*/*/seed-*/")
    return sorted("{}-{}-{}-s{}".format(*path.parts[-4:-1], path.name.removeprefix("seed-")) for path in folders)


@completer
def tables(ctx: typer.Context) -> Iterable[str]:
    """The numbers and names of all tables."""
    from gle_bench import registry
    from gle_bench.paper import RESULTS, SETTINGS_TABLE

    return [SETTINGS_TABLE, *RESULTS, *registry.places("tasks")]


@completer
def figures(ctx: typer.Context) -> Iterable[str]:
    """The numbers of all figures."""
    from gle_bench.paper import FIGURES

    return FIGURES


@completer
def suites(ctx: typer.Context) -> Iterable[str]:
    """The names of all suites."""
    from gle_bench.paper import SUITES

    return SUITES


def words(*choices: str) -> Callable[[typer.Context, str], list[str]]:
    """The function that completes one of these words."""
    return completer(lambda _: choices)
