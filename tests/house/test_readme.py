"""Tests that the README is short, and that its examples run and its commands parse."""

import re
import shlex

import pytest
import typer
from shared import ROOT

from gle_bench.chosen import resolve
from gle_bench.cli import app
from gle_bench.config import parse_seeds
from gle_bench.report.tables.brief import Choice
from gle_bench.report.tables.formats import markdown
from gle_bench.report.tables.table import table

README = ROOT / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    lines = [line.partition("#")[0] for block in blocks("bash") for line in block.splitlines()]
    lines += re.findall(r"`(glebench [^`]+)`", README.read_text().replace("\n", " "))
    return [
        list(words) for words in dict.fromkeys(tuple(shlex.split(line)[1:]) for line in lines if "glebench" in line)
    ]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one_that_the_command_line_takes(words):
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    parsed = command.make_context("glebench", list(words[1:])).params
    if words[0] == "run" and parsed["rule"] is None:
        pair = resolve(parsed["task"], parsed["model"], None, "paper", "short", parsed["set_"] or ()).pair
        assert parse_seeds(parsed["seeds"], pair.seeds)


def test_the_readme_is_read_in_a_minute():
    assert len(README.read_text().splitlines()) < 120


def test_the_readme_s_table_is_the_measured_one() -> None:
    """It is Table 2 as `glebench table 2` prints it, copied by `scripts/publish`."""
    printed = markdown(table("2", README.parent / "leaderboards/none", Choice())[0])
    measured, shown = (
        [block for block in text.split("\n\n") if block.startswith("| model ")]
        for text in (printed, README.read_text())
    )
    assert shown == measured
