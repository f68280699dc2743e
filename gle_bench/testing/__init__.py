"""The contract tests: what every task, every model and every rule promises, for whoever adds one.

`pytest --pyargs gle_bench.testing` tests all that is registered in the environment, ours and that of every installed
plugin; `-k NAME` picks the tests of one task, model or rule. Tasks that have to be downloaded are tested on the data
under GLEBENCH_DATA, and skipped where `glebench prepare` has not been there.
"""
