"""Figures of the paper from recorded runs: each is made as plain data (`plot`), and then drawn (`panels`)."""
