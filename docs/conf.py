"""Configuration of Sphinx: `sphinx-build -W --keep-going docs build/docs` builds the documentation from the checkout.

The reference is generated from docstrings, so that building imports the package, PyTorch included; this file does not.
"""

import re
from typing import Any

import sphinx.pycode.parser
from sphinx.application import Sphinx

project = "glebench"
author = "The glebench authors"
project_copyright = "The glebench authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "glebench"

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

default_role = "literal"  # docstrings are plain text, where single backticks mark code
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "model_config", "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of named tuples and dataclasses are described once, where the class is

# A comment beside an attribute describes it, as `#:` does by default.
sphinx.pycode.parser.comment_re = re.compile(r"^\s*#:? ?(.*)\r?\n?$")

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")


def plain_text(app: Sphinx, what: str, name: str, described: Any, options: Any, lines: list[str]) -> None:
    """Makes indented paragraphs of a docstring literal: they hold shapes and equations in columns."""
    if lines and lines[0].startswith("Alias for field number"):  # a named tuple's own words for its fields
        lines.clear()
    section, previous = False, ""
    text: list[str] = []
    for line in lines:
        if line and not line.startswith(" "):
            section = bool(_SECTION.match(line))
        elif line and not section and text and not previous and not _literal(text):
            text += ["::", ""]
        text.append(line)
        previous = line
    lines[:] = text


def _literal(text: list[str]) -> bool:
    """Whether the paragraph before the last empty line is indented, that is, literal already."""
    before = [line for line in text if line]
    return bool(before) and before[-1].startswith(" ")


def whole_comment(app: Sphinx, what: str, name: str, described: Any, options: Any, lines: list[str]) -> None:
    """Joins the comment of an attribute again, of which napoleon takes all before a colon for a type."""
    types = [line for line in lines if line.startswith(":type: ")]
    if what in ("attribute", "data") and types:
        lines[:] = [f"{types[0].removeprefix(':type: ')}: {lines[0]}", *lines[1 : lines.index(types[0])]]


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", plain_text, priority=1)  # before napoleon
    app.connect("autodoc-process-docstring", whole_comment, priority=900)  # after it
