"""The baselines, one file a family. Installed as gle_bench.baselines."""
