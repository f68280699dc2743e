"""A table of the paper as LaTeX: booktabs, to be put into any document."""

import re
from collections.abc import Sequence
from typing import Final

from gle_bench.report.output import on_one_line
from gle_bench.report.tables.cells import EMPTY, WORDS, Cells, Part, Sheet

SPECIAL: Final = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # or a row that begins with one would be an option of the row break before it
    "]": "{]}",
    "±": r"$\pm$",
    "λ": r"$\lambda$",
}
DIGITS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
SUPERSCRIPT: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?: [⁰¹²³⁴⁵⁶⁷⁸⁹]+)*")


def latex(sheet: Sheet) -> str:
    r"""A `table` of `tabular`s, footnotes below; needs \usepackage{booktabs}, and UTF-8, LaTeX's own default."""
    parts = [line for part in sheet.parts for line in _part(part)] or [escaped(EMPTY), ""]
    notes = [rf"\textsuperscript{{{n}}} {escaped(note)}\\" for n, note in enumerate(sheet.footnotes, 1)]
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\footnotesize",
            rf"\caption{{{escaped(sheet.title)}. {escaped(sheet.caption)}}}",
            *parts,
            *([r"\raggedright", *notes] if notes else []),
            *(rf"Not run: \texttt{{{escaped(command)}}}\\" for command in sheet.commands),
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text as LaTeX prints it, superscript digits as superscripts."""
    seen = on_one_line(text)
    marked = SUPERSCRIPT.split(seen)
    found = [match.group().translate(DIGITS).replace(" ", ", ") for match in SUPERSCRIPT.finditer(seen)]
    plain = ["".join(SPECIAL.get(character, character) for character in piece) for piece in marked]
    ends = [rf"\textsuperscript{{{numbers}}}" for numbers in found]
    return "".join(piece + end for piece, end in zip(plain, [*ends, ""], strict=True))


def _part(part: Part) -> Sequence[str]:
    columns = list(part.lines[0])
    places = "".join("l" if name in WORDS else "r" for name in columns)
    return [
        rf"\par\medskip\textbf{{{escaped(part.heading)}}}\par\smallskip",
        rf"\begin{{tabular}}{{{places}}}",
        r"\toprule",
        _row({name: name for name in columns}),
        r"\midrule",
        *(_row(line) for line in part.lines),
        r"\bottomrule",
        r"\end{tabular}",
        *([rf"\par\smallskip {escaped(part.remark)}"] if part.remark else []),
        "",
    ]


def _row(cells: Cells) -> str:
    return " & ".join(map(escaped, cells.values())) + r" \\"
