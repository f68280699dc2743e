"""What was measured: records (source) and tables (generated). Installed as gle_bench.leaderboards."""
