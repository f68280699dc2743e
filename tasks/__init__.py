"""The tasks, one file or folder each: data, protocol, metric, published results. Installed as gle_bench.tasks."""
