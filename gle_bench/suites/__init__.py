"""Suites: the runs behind a table or a figure, which of them exist, and how the missing ones are run."""
