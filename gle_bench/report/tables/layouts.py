"""The formats that a table is printed in, and what lays its cells out in each."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from gle_bench.report.html import html
from gle_bench.report.latex import latex
from gle_bench.report.markdown import markdown
from gle_bench.report.sheet import Sheet

Format = Literal["md", "tex", "html", "csv"]
LAYOUTS: Final[Mapping[Format, Callable[[Sheet], str]]] = {"md": markdown, "tex": latex, "html": html}
