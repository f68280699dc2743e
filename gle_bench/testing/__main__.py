"""`python -m gle_bench.testing`: the contract tests, by this Python's own pytest. Arguments go to pytest."""

import sys
from importlib.util import find_spec

if __name__ == "__main__":
    if find_spec("pytest") is None:
        sys.exit("The contract tests need pytest, which is missing: pip install pytest.")

    import pytest

    sys.exit(pytest.main(["--pyargs", "gle_bench.testing", *sys.argv[1:]]))
