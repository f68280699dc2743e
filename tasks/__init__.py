"""The tasks, one file each: data, protocol, metric, published results. Installed as gle_bench.tasks."""
