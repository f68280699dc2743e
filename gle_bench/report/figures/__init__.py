"""Figures of the paper from recorded runs: what is drawn, as plain data (`plot`), and how (`drawing`)."""
