"""Tables, figures, statistics and verdicts."""
