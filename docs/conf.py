"""Configuration of Sphinx: `sphinx-build -W --keep-going docs build/docs` builds the documentation from the checkout.

The reference is generated from docstrings, so building imports the package, PyTorch included; this file imports nothing.
"""

project = "glebench"
author = "The glebench authors"
project_copyright = "The glebench authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "glebench"

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings: list[str] = []

default_role = "literal"  # docstrings are plain text, where single backticks mark code
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of named tuples and dataclasses are described once, where the class is
