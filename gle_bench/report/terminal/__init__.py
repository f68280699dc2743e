"""Texts for a terminal: lists, descriptions of runs, comparisons, and the end of a run."""
