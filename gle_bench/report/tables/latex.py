"""A table as LaTeX."""

import re
from collections.abc import Iterable
from typing import Final

from gle_bench.errors import on_one_line
from gle_bench.report.tables.cells import DIGITS, EMPTY, LEFT, SUPERSCRIPTS, Part, Table

SPECIAL: Final = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # a bare one at the beginning of a row would be an option of the row break before it
    "]": "{]}",
    "±": r"$\pm$",
    "λ": r"$\lambda$",
}
FOOTNOTES: Final = re.compile(f"([{SUPERSCRIPTS}]+(?: [{SUPERSCRIPTS}]+)*)")


def latex(table: Table) -> str:
    r"""A table as a LaTeX `table` of `tabular`s with the footnotes below; it needs \usepackage{booktabs} and UTF-8."""
    parts = [line for part in table.parts for line in _latex_part(part)] or [latex_text(EMPTY), ""]
    notes = [rf"\textsuperscript{{{n}}} {latex_text(note)}\\" for n, note in enumerate(table.footnotes, 1)]
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\footnotesize",
            rf"\caption{{{latex_text(table.title)}. {latex_text(table.caption)}}}",
            *parts,
            *([r"\raggedright", *notes] if notes else []),
            *(rf"Not run: \texttt{{{latex_text(command)}}}\\" for command in table.commands),
            r"\end{table}",
            "",
        ]
    )


def latex_text(text: str) -> str:
    """Text as LaTeX prints it; the numbers of footnotes become superscripts."""
    pieces = FOOTNOTES.split(on_one_line(text))  # texts, and between them the numbers of footnotes
    pieces[::2] = ["".join(SPECIAL.get(character, character) for character in piece) for piece in pieces[::2]]
    numbers = [piece.translate(str.maketrans(SUPERSCRIPTS, DIGITS)).replace(" ", ", ") for piece in pieces[1::2]]
    pieces[1::2] = [rf"\textsuperscript{{{number}}}" for number in numbers]
    return "".join(pieces)


def _latex_part(part: Part) -> list[str]:
    columns = list(part.lines[0])
    return [
        rf"\par\medskip\textbf{{{latex_text(part.heading)}}}\par\smallskip",
        rf"\begin{{tabular}}{{{''.join('l' if name in LEFT else 'r' for name in columns)}}}",
        r"\toprule",
        _latex_row(columns),
        r"\midrule",
        *(_latex_row(line.values()) for line in part.lines),
        r"\bottomrule",
        r"\end{tabular}",
        *([rf"\par\smallskip {latex_text(part.remark)}"] if part.remark else []),
        "",
    ]


def _latex_row(texts: Iterable[str]) -> str:
    return " & ".join(map(latex_text, texts)) + r" \\"
