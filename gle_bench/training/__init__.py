"""Training with Lightning: the plan of a run, its modules, data and callbacks, and `execute`, the one way to run it."""
