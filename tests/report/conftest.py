"""Fixtures that tests of reports share."""

from figure_runs import runs as runs
