"""The documentation builds without a warning, and its reference leaves no module out."""

import subprocess
import sys
from pathlib import Path

import pytest
from code_blocks import SPHINX
from shared import ROOT

DESCRIBED = ("gle_bench/contracts", "gle_bench/dynamics", "gle_bench/rules")


@pytest.mark.systems
def test_the_documentation_builds_with_warnings_as_errors(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", *SPHINX, "-q", "-d", str(tmp_path / "doctrees")]
    done = subprocess.run([*command, str(ROOT / "docs"), str(tmp_path / "html")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "index.html").exists()


def test_the_reference_describes_every_module_of_its_rooms() -> None:
    files = [path.relative_to(ROOT) for room in DESCRIBED for path in sorted((ROOT / room).rglob("*.py"))]
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    described = {line.split("::")[1].strip() for line in pages.splitlines() if line.startswith(".. automodule::")}
    assert described == modules


def test_a_rule_can_be_added_after_reading_few_lines() -> None:
    assert len((ROOT / "docs" / "add-a-rule.md").read_text().splitlines()) <= 150
