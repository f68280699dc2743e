r"""A table as LaTeX: one `tabular` in a `table`, no wider than a column of an article in 11 pt."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gle_bench.errors import on_one_line
from gle_bench.report.tables.cells import DIGITS, SUPERSCRIPTS, Part, Table, narrowed

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
    **{character: f"${command}$" for character, command in {"±": r"\pm", "λ": r"\lambda", "√": r"\surd"}.items()},
}
VALUE: Final = r"\d+(?:,\d{3})*(?:\.\d+)?"
# Numbers that siunitx sets: with a sign, a spread or an exponent; all others are digits like any text.
NUMBER: Final = rf"(?<![\w.])[+-]{VALUE}(?![\w.,]*\d)|{VALUE}±{VALUE}|(?<![\w.])\d+(?:\.\d+)?e[+-]?\d+\b"
MINUS: Final = "(?<![\\w)])-(?=√)"
FOOTNOTES: Final = f"[{SUPERSCRIPTS}]+(?: [{SUPERSCRIPTS}]+)*"
PIECES: Final = re.compile(f"({NUMBER}|{MINUS}| ?{FOOTNOTES})")
ALIGNED: Final = re.compile(rf"([+-]?)({VALUE})(?: (.*))?")  # a number, to be aligned at its point, and what follows it
WIDTH: Final = 78  # characters of \footnotesize that stand beside each other, with the gaps between columns
SETUP: Final = "separate-uncertainty, retain-explicit-plus, group-separator={,}, group-minimum-digits=4"


def latex(table: Table) -> str:
    """A table as LaTeX, each of its parts as one `table`; it needs booktabs, siunitx and UTF-8."""
    name = re.sub("[^a-z0-9-]", "", _name(table).lower())
    parts = [
        _latex_part(table, part, f"tab:{name}{f'-{number}' if number > 1 else ''}")
        for number, part in enumerate(table.parts, 1)
    ]
    return "\n".join(
        [
            r"% \usepackage{booktabs, siunitx}",
            *(parts or [latex_text(table.empty)]),
            *(f"% Not run: {on_one_line(command)}" for command in table.commands),
            "",
        ]
    )


def _name(table: Table) -> str:
    """The name of a table in its label: its task, with protocol and evaluation where they are not the paper's."""
    first: Mapping[str, str] = next(iter(table.content.get("rows", ())), {})
    section = [first.get("protocol", "paper"), first.get("selection", "last")]
    others = [word for word in section if word not in ("paper", "last")]
    return "-".join([table.content.get("task", "table-1"), *others])


def latex_text(text: str) -> str:
    """Text as LaTeX prints it; the numbers of footnotes become superscripts."""
    pieces = PIECES.split(on_one_line(text))  # texts, and between them what is more than text
    plain = ("".join(SPECIAL.get(character, character) for character in piece) for piece in pieces[::2])
    pieces[::2] = (piece.replace("--", "-{}-") for piece in plain)  # two hyphens, such as an option's, are no dash
    pieces[1::2] = map(_symbol, pieces[1::2])
    return "".join(pieces)


def _symbol(piece: str) -> str:
    """A number with a true minus sign, or the numbers of footnotes."""
    if piece == "-":
        return "$-$"
    if piece.strip()[0] in SUPERSCRIPTS:
        numbers = piece.strip().translate(str.maketrans(SUPERSCRIPTS, DIGITS)).replace(" ", ", ")
        return rf"\textsuperscript{{{numbers}}}"
    number = piece.replace(",", "").replace("±", r" \pm ")
    return rf"\num{{{number}}}"


def _latex_part(table: Table, part: Part, label: str) -> str:
    columns = {name: [line[name] for line in part.lines] for name in part.lines[0]}
    kinds = _kinds(columns, part)
    below = [part.remark, *(f"{_superscript(n)} {note}" for n, note in enumerate(table.footnotes, 1))]
    title = re.sub("^Table [0-9]+ - ", "", table.title)  # LaTeX numbers its tables by itself
    caption = ". ".join(text.rstrip(".") for text in (title, part.heading, *table.caption.splitlines()) if text)
    return "\n".join(
        [
            r"\begin{table}[tbp]",
            r"\centering\footnotesize\setlength{\tabcolsep}{2.5pt}\setlength{\belowcaptionskip}{5pt}",
            rf"\sisetup{{{SETUP}}}",
            rf"\caption{{{latex_text(caption)}.}}\label{{{label}}}",
            rf"\begin{{tabular}}{{@{{}}{''.join(kinds.values())}@{{}}}}",
            r"\toprule",
            _row(_header(name, kinds[name]) for name in columns),
            r"\midrule",
            *(_row(_cell(text, kinds[name]) for name, text in line.items()) for line in part.lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\medskip\raggedright",
            *(rf"{latex_text(text)}\par" for text in below if text),
            r"\end{table}",
        ]
    )


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans(DIGITS, SUPERSCRIPTS))


def _kinds(columns: Mapping[str, Sequence[str]], part: Part) -> dict[str, str]:
    """The kind of each column, as `tabular` has it.

    Numbers are aligned at their points; what stands behind all of them gets a column of its own. Columns of texts are
    made so narrow that all columns fit.
    """
    kinds = {name: _kind(texts) if name not in part.left else "l" for name, texts in columns.items()}
    widths = {name: max(map(len, (name, *texts))) for name, texts in columns.items()}
    if sum(widths.values()) > WIDTH:
        texts = {name: (name, *columns[name]) for name in part.left if name in columns}
        room = WIDTH - sum(width for name, width in widths.items() if name not in texts)
        for name, width in narrowed(texts, room).items():
            kinds[name] = rf">{{\raggedright\arraybackslash}}p{{{width * 0.94 / WIDTH:.3f}\textwidth}}"
    return kinds


def _kind(texts: Iterable[str]) -> str:
    """The kind of a column of numbers or of other texts, which is aligned to the right."""
    matches = [ALIGNED.fullmatch(text) for text in texts if text]
    found = [match for match in matches if match]
    if len(found) < len(matches) or not found:
        return "r"
    halves = [match[2].replace(",", "").partition(".") for match in found]
    sign = "+" if any(match[1] for match in found) else ""
    whole, fraction = (max(len(half[k]) for half in halves) for k in (0, 2))
    rest = r"@{\ }r" if any(match[3] for match in found) else ""
    return f"S[table-format={sign}{whole}.{fraction}]{rest}"


def _header(name: str, kind: str) -> str:
    text = latex_text(name)
    return rf"\multicolumn{{2}}{{c}}{{{text}}}" if _splits(kind) else f"{{{text}}}" if kind.startswith("S") else text


def _cell(text: str, kind: str) -> str:
    if not kind.startswith("S"):
        return (r"\quad " if text.startswith(" ") else "") + latex_text(text.lstrip())
    number, _, rest = text.partition(" ")
    return number.replace(",", "") + (f" & {latex_text(rest)}" if _splits(kind) else "")


def _splits(kind: str) -> bool:
    """Whether a column of numbers is followed by a column of what stands behind them."""
    return kind.startswith("S") and kind.endswith("r")


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
