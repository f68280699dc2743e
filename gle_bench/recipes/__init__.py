"""The recipes of each task: its options for models, and its GLE pairs."""
