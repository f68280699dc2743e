"""Tests of checkpoints that can be loaded but differ from what their run saved: a sentence must name them."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sparing import first
from toy_runs import configured, run, seed_folder

from gle_bench.errors import GleBenchError
from gle_bench.training import checkpoints

AVERAGE = ("average=epoch",)
SENTENCE = r"\A(Cannot read|Checkpoint) [^\n]*last\.ckpt[^\n]*--rerun always\.\Z"


def interrupted(tmp_path: Path, model: str, *assignments: str) -> tuple[Any, dict[str, Any]]:
    """An interrupted run that a second command resumes, and the content of its last checkpoint."""
    config = configured("toy-classes", model, *assignments, budget="smoke")
    run(config, [1], tmp_path)
    folder = seed_folder(tmp_path, 1)
    record = folder.read()
    assert record is not None
    folder.write(record.model_copy(update={"status": "interrupted", "metrics": {}}))
    content = checkpoints.load(folder.checkpoint("last"))
    assert content is not None
    return config, content


def nested(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all parts of nested lists and dicts."""
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else []
    return [path, *(inner for key, part in parts for inner in nested(part, (*path, key)))]


def changed(content: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """A copy with another part at the path, or without the part if it is Ellipsis."""
    if not path:
        return change(content)
    key, *rest = path
    part = changed(content[key], tuple(rest), change)
    if isinstance(content, dict):
        return {k: part if k == key else v for k, v in content.items() if k != key or part is not ...}
    return [part if i == key else v for i, v in enumerate(content) if i != key or part is not ...]


def wrong(value: Any) -> list[Any]:
    """Wrong values in the place of a part of a checkpoint."""
    others: list[Any] = [..., "text", {"a": 1}, [[1]]]
    if isinstance(value, torch.Tensor):
        others += [value.double(), torch.zeros(7, 3), value.flatten()[:1]]
    return others


@pytest.mark.parametrize(
    ("model", "more"),
    first(
        [("toy-gle", ()), ("toy-mlp", ()), ("toy-readout", ()), ("toy-gle", AVERAGE), ("toy-mlp", AVERAGE)],
        3,
    ),
)
def test_a_checkpoint_of_another_form_is_a_sentence(tmp_path: Path, model: str, more: tuple[str, ...]) -> None:
    config, content = interrupted(tmp_path, model, *more)
    folder = seed_folder(tmp_path, 1)
    before = (folder.path / "record.json").read_bytes()
    fields = [path for path in nested(content) if path and path[0] != "under" and "param_groups" not in path]
    trials = [(path, new) for path in fields[:400] for new in wrong(value_at(content, path))]
    refused = 0
    for path, new in random.Random(0).sample(trials, 120):
        checkpoints.save({folder.checkpoint("last"): changed(content, path, lambda _, new=new: new)})
        (folder.path / "record.json").write_bytes(before)
        try:
            (record,) = run(config, [1], tmp_path)
        except GleBenchError as error:
            assert re.search(SENTENCE, str(error)), str(error)  # noqa: PT017
            assert (folder.path / "record.json").read_bytes() == before
            refused += 1
        else:  # a part of the history that says no more than a number of ours, say
            whole = record.status == "done" or (
                record.status == "failed" and "planned evaluations" in str(record.error)
            )
            assert whole, (path, new, record.error)
    assert refused > 80


def value_at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("round",), 99),
        (("round",), -1),
        (("batches",), 1),
        (("wall_s",), float("nan")),
        (("best_round",), 50),
        (("history",), []),
        (("member",), {}),
        (("rate", "rate"), None),
    ],
)
def test_a_checkpoint_that_contradicts_its_run_is_a_sentence(tmp_path: Path, path: Any, value: Any) -> None:
    config, content = interrupted(tmp_path, "toy-gle")
    checkpoints.save({seed_folder(tmp_path, 1).checkpoint("last"): changed(content, path, lambda _: value)})
    with pytest.raises(GleBenchError, match=SENTENCE):
        run(config, [1], tmp_path)


def test_no_mutated_checkpoint_gives_another_error(tmp_path: Path) -> None:
    path = tmp_path / "some.ckpt"
    saved = {"weights": torch.arange(50.0), "history": [{"round": 0, "loss": 0.5}]}
    checkpoints.save({path: saved})
    whole, draw = path.read_bytes(), random.Random(0)
    for _ in range(600):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(content))
            content[place : place + draw.choice([1, 1, 4, 16])] = draw.randbytes(draw.choice([0, 1, 1, 4]))
        path.write_bytes(content)
        try:
            found = checkpoints.load(path)
        except GleBenchError as error:
            assert re.fullmatch(r"Checkpoint [^\n]+ --rerun always\.", str(error))  # noqa: PT017
        else:
            assert found is not None
            assert torch.equal(found["weights"], saved["weights"])


def test_what_would_make_objects_of_any_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.ckpt"
    for trap in (bytearray(8), {"set": {1, 2}}):
        torch.save({"format": 1, "trap": trap}, path)
        with pytest.raises(GleBenchError, match="which is no part of a checkpoint"):
            checkpoints.load(path)
