"""Tests that the documentation builds without a warning, and that its reference has all modules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from code_blocks import SPHINX
from shared import ROOT

from gle_bench.paper import FIGURES, SKETCHES

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


def test_the_gallery_has_a_small_picture_of_every_figure_or_says_why_not() -> None:
    """`scripts/gallery` makes it anew."""
    page = (ROOT / "docs" / "gallery.md").read_text()
    sections = dict(re.findall(r"^## Figure (\w+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    assert set(sections) == {*FIGURES, *SKETCHES}
    for name, section in sections.items():
        pictures = re.findall(r"!\[.*\]\((.+)\)", section)
        assert len(pictures) <= (name in FIGURES)
        assert all((ROOT / "docs" / picture).stat().st_size < 350_000 for picture in pictures)
    pictures = {f"gallery/{path.name}" for path in (ROOT / "docs" / "gallery").iterdir()}
    assert pictures == set(re.findall(r"\((gallery/.+\.svg)\)", page))


def test_a_rule_can_be_added_after_reading_few_lines() -> None:
    assert len((ROOT / "docs" / "add-a-rule.md").read_text().splitlines()) <= 150


def test_the_places_that_the_changelog_names_are_where_it_says() -> None:
    """A module that moved must not exist at its old place, unless another module has its name now."""
    rows = re.findall(r"^\| `([\w/]+\.py)` \| (.+) \|$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    places = {place for _, now in rows for place in re.findall(r"`([^`]+)`", now)}
    assert len(rows) > 50
    assert not [place for place in places if not (ROOT / place).exists()]
    assert not [before for before, _ in rows if (ROOT / before).exists() and before not in places]
    folders = re.findall(r"^\| `(tests/[^`]+(?<!\.py))` \| (.+) \|$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert len(folders) > 10
    for folder, files in folders:
        for before, now in re.findall(r"`([^`]+)`(?: \(now `([^`]+)`\))?", files):
            name = (now or before).removeprefix(f"{folder.rpartition('/')[2]}/")
            assert (ROOT / folder / name).exists(), f"{folder}/{name}"
