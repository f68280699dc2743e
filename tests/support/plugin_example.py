"""An installed plugin, as files on the disk."""

import textwrap
from pathlib import Path

from shared import SUPPORT

OURS = """
import toys
from gle_bench.config import RunConfig
from gle_bench.contracts import LearningRule, Pair, Task

def pair(**changes):
    own = toys.PAIRS[0]
    fields = {"task": "toy-classes", "model": "other", "seeds": (1,), "summary": "a stranger's", "notes": ()}
    fields |= {"configure": lambda budget: own.configure(budget).model_copy(update={"model": "other"})} | changes
    return Pair(**fields)
"""


POINTS = """
[glebench.models]
strange = strange
[glebench.tasks]
strange-task = strange:Strange
[glebench.rules]
strange-rule = strange:Rule
"""


def plugin(folder: Path, code: str, points: str = POINTS) -> str:
    """Writes the files of an installed plugin; returns the PYTHONPATH under which it is found."""
    described = folder / "strange.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(points)
    (described / "top_level.txt").write_text("strange\n")
    (folder / "strange.py").write_text(OURS + textwrap.dedent(code))
    return f"{folder}:{SUPPORT}"
