"""From records to a table, as a newcomer follows it: few modules of `report` have a say."""

import sys
from pathlib import Path
from types import FrameType

import pytest

from gle_bench.cli import main

MOST_MODULES = 8


def print_table(monkeypatch: pytest.MonkeyPatch, name: str, runs: Path) -> None:
    """The real command, in this process."""
    monkeypatch.setattr(sys, "argv", ["glebench", "table", name, "--runs", str(runs)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


@pytest.mark.parametrize("name", ["2", "3"])
def test_few_modules_make_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    print_table(monkeypatch, name, tmp_path)  # which imports all modules: what is called from here on are functions
    called: dict[str, set[str]] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.setdefault(frame.f_globals.get("__name__", ""), set()).add(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        print_table(monkeypatch, name, tmp_path)
    finally:
        sys.setprofile(None)
    modules = {module for module in called if module.startswith("gle_bench.report")}
    assert {"gle_bench.report.results", "gle_bench.report.tables.table", "gle_bench.report.tables.cells"} <= modules
    assert len(modules) <= MOST_MODULES, sorted(modules)
