"""The local store of run records, and its mirror in W&B."""
