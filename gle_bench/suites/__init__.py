"""Suites: the runs behind a table or a figure, which of them there are already, and how the others are made."""
