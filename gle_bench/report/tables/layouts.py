"""The formats that a table is printed in, and what lays its cells out in each."""

from collections.abc import Callable, Mapping
from typing import Final

from gle_bench.report.tables.cells import Sheet
from gle_bench.report.tables.formats import markdown
from gle_bench.report.tables.html import html
from gle_bench.report.tables.latex import latex
from gle_bench.words import TableFormat

LAYOUTS: Final[Mapping[TableFormat, Callable[[Sheet], str]]] = {"md": markdown, "tex": latex, "html": html}
