"""Texts for a terminal: lists, descriptions of tasks, models and runs, comparisons, and what `run` prints."""
