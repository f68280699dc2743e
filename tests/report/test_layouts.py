"""LaTeX and HTML say what Markdown says, cell by cell, and are well formed whatever stands in a cell."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command import glebench
from hypothesis import given
from hypothesis import strategies as st

from gle_bench.report.tables.brief import Choice
from gle_bench.report.tables.cells import EMPTY, Part, Table
from gle_bench.report.tables.formats import html, markdown
from gle_bench.report.tables.latex import SPECIAL, latex, latex_text
from gle_bench.report.tables.table import table

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=12)
TABLES = st.builds(
    lambda columns, rows: Table(
        columns[0],
        columns[0],
        [Part(columns[0], [dict(zip(columns, row, strict=True)) for row in rows], columns[0])],
        columns,
        columns,
    ),
    st.just(["model", "a", "b"]),
    st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=4),
)


class Reader(HTMLParser):
    """Rows of all tables; complains of a tag that closes no other."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def published(name: str) -> Table:
    """A table of the published records."""
    return table(name, Path("none"))[0]


def cells(given: Table) -> list[list[str]]:
    return [row for part in given.parts for row in [list(part.lines[0]), *(list(line.values()) for line in part.lines)]]


@given(TABLES)
def test_html_holds_every_cell_as_it_is(drawn: Table) -> None:
    reader = Reader()
    reader.feed(html(drawn))
    assert reader.open == []
    assert reader.rows == cells(drawn)


@given(TEXT)
def test_nothing_special_is_left_in_latex(text: str) -> None:
    found = latex_text(text)
    for command in sorted(set(SPECIAL.values()), key=len, reverse=True):
        found = found.replace(command, "")
    found = re.sub(r"\\textsuperscript\{[0-9, ]+\}|\\num\{[^{}]+\}|\$-\$|-\{\}-", "", found)
    assert not set("&%$#_{}\\~^<>|[]±λ⁰¹²³⁴⁵⁶⁷⁸⁹") & set(found)


def test_footnotes_are_superscripts_in_latex() -> None:
    assert latex_text("le ¹ ¹²") == r"le\textsuperscript{1, 12}"
    assert latex_text("5 % of a_b") == r"5 \% of a\_b"


def test_numbers_have_true_minus_signs_in_latex() -> None:
    assert latex_text("-0.30 [-1.19, 0.59]") == r"\num{-0.30} {[}\num{-1.19}, 0.59{]}"
    assert latex_text("93.20±0.95 (10)") == r"\num{93.20 \pm 0.95} (10)"
    assert latex_text("1.95e-05") == r"\num{1.95e-05}"
    assert latex_text("U(-√k)") == r"U($-$$\surd$k)"
    assert latex_text("seeds 0-9, gle-15k, 2026-11-28, --set") == "seeds 0-9, gle-15k, 2026-11-28, -{}-set"


PAPERS = ("1", "2", "3", "mackey-glass")


@pytest.mark.parametrize("name", PAPERS)
def test_latex_has_one_tabular_with_as_many_cells_in_each_row_as_columns(name: str) -> None:
    given = table(name, Path("none"), Choice())[0]
    (part,) = given.parts
    text = latex(given)
    assert text.count(r"\begin{tabular}") == 1
    (body,) = re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL)
    header, *rows = [line for line in body.splitlines() if line != r"\midrule"]
    assert len(rows) == len(part.lines)
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert len(re.findall(r"(?<!\\)&", header)) + 1 == len(part.lines[0])
    assert all(row.endswith(r" \\") for row in (header, *rows))
    assert text.count(r"\caption") == text.count(r"\label") == 1
    opened, closed = (re.findall(rf"\\{word}\{{(\w+)\}}", text) for word in ("begin", "end"))
    assert sorted(opened) == sorted(closed)


@pytest.mark.parametrize(
    ("section", "label"), [({}, "tab:mnist1d"), ({"protocol": "clean", "selection": "best"}, "tab:mnist1d-clean-best")]
)
def test_tables_of_one_task_have_labels_of_their_own(section: dict[str, Any], label: str) -> None:
    assert f"\\label{{{label}}}" in latex(table("2", Path("none"), Choice(**section))[0])


HAS_TEX = shutil.which("pdflatex") is not None


@pytest.mark.systems
@pytest.mark.skipif(not HAS_TEX, reason="no pdflatex here (Debian: texlive-latex-recommended, texlive-science)")
def test_latex_is_no_wider_than_an_article(tmp_path: Path) -> None:
    tables = "".join(latex(table(name, Path("none"), Choice())[0]) for name in PAPERS)
    packages = r"\documentclass[11pt]{article}\usepackage{booktabs,siunitx}"
    (tmp_path / "tables.tex").write_text(rf"{packages}\begin{{document}}{tables}\end{{document}}", encoding="utf-8")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in (tmp_path / "tables.log").read_text(errors="replace")


@pytest.mark.parametrize("layout", [markdown, latex, html])
def test_an_empty_table_says_so(layout: object) -> None:
    assert callable(layout)
    assert EMPTY in layout(Table("Nothing", "", ()))


@pytest.mark.parametrize(("format", "begin"), [("md", "## Table 2"), ("tex", "% \\usepackage"), ("html", "<section>")])
def test_the_command_prints_every_layout(tmp_path: Path, format: str, begin: str) -> None:
    printed = glebench("table", "2", "--format", format, "--runs", tmp_path)
    assert printed.code == 0, printed
    assert printed.out.startswith(begin)
