"""The contract tests, which check the promises of every task, model and rule, those of plugins included.

`pytest --pyargs gle_bench.testing` tests all that is registered in the environment; `-k NAME` selects the tests of one
task, model or rule. Tasks that need a download are tested with the data under GLEBENCH_DATA, and skipped if
`glebench prepare` has not downloaded them.
"""
