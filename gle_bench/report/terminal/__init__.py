"""Texts for a terminal: lists, descriptions of tasks, models, rules and runs, comparisons, and what `run` prints."""
