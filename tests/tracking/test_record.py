"""Tests that a record is the same after a round trip through JSON, and of the description of the environment."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from record_examples import example

from gle_bench.tracking.environment import environment
from gle_bench.tracking.record import (
    SCHEMA_VERSION,
    Cost,
    Mark,
    Measured,
    Part,
    Record,
    UnreadableRecord,
    parse,
    read_mark,
    run_id,
)

words = st.text(max_size=8)
moments = st.datetimes(datetime(1980, 1, 1), datetime(8999, 1, 1), timezones=st.just(UTC))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
measured = st.builds(Measured, value=st.floats(), n=st.integers(1, 2**62))
counts = st.none() | st.integers(0, 2**62)
seconds = st.floats(0, 1e11)
records = st.builds(
    example,
    seed=st.integers(0, 2**32 - 1),
    status=st.sampled_from(["running", "done", "diverged", "failed", "interrupted"]),
    config=st.dictionaries(words, json_values, max_size=3).map(lambda config: config | example().config),
    metrics=st.fixed_dictionaries(
        {
            "last": st.dictionaries(
                words, st.dictionaries(words, measured, min_size=1, max_size=2), min_size=1, max_size=2
            )
        }
    ),
    best_round=counts,
    cost=st.builds(Cost, wall_s=seconds, steps=st.integers(0, 2**62), ms_per_step=st.none() | seconds, macs=counts),
    footing=st.dictionaries(words, st.booleans(), max_size=3),
    lineage=st.lists(
        st.builds(Part, started=moments, ended=st.none() | moments, host=words, pid=st.integers(0, 2**62)), max_size=2
    ),
    marks=st.lists(words, max_size=2),
    error=st.none() | words,
)


@settings(deadline=None)
@given(records)
def test_a_record_survives_json(record: Record) -> None:
    text = record.model_dump_json(indent=2)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert parse(text.encode()).model_dump_json(indent=2) == text


@settings(deadline=None, max_examples=50)
@given(records, st.data())
def test_a_truncated_record_is_told(record: Record, data: st.DataObject) -> None:
    content = record.model_dump_json(indent=2).encode()
    with pytest.raises(UnreadableRecord):
        parse(content[: data.draw(st.integers(0, len(content) - 1))])


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_other_content_is_told(content: bytes) -> None:
    with pytest.raises(UnreadableRecord, match=r"\A[^\n]+\Z"):
        parse(content)


@pytest.mark.parametrize(("version", "said"), [(SCHEMA_VERSION - 1, "an older"), (SCHEMA_VERSION + 1, "a newer")])
def test_another_schema_is_named(version: int, said: str) -> None:
    fields = json.loads(example().model_dump_json()) | {"schema_version": version, "data": "otherwise"}
    with pytest.raises(UnreadableRecord, match=rf"{said} glebench wrote it \(schema_version {version}"):
        parse(json.dumps(fields).encode())


def test_fields_of_newer_versions_are_passed_over() -> None:
    fields = json.loads(example().model_dump_json())
    fields["novelty"] = fields["cost"]["joules"] = 1
    assert parse(json.dumps(fields).encode()) == example()


def test_records_are_immutable() -> None:
    with pytest.raises(ValidationError):
        example().status = "failed"  # type: ignore[misc]


def test_an_error_may_quote_stray_bytes() -> None:
    record = example(status="failed", error="no file b'\udcff'")
    assert parse(record.model_dump_json().encode()).error == "no file b'?'"


def test_run_ids_tell_rules_and_seeds_apart() -> None:
    assert run_id("gsc", "gle", None, "abc", 3) == "gsc-gle-abc-s3"
    assert run_id("gsc", "gle", "bptt", "abc", 3) == "gsc-gle+bptt-abc-s3"


def test_the_environment_is_described() -> None:
    described = environment("torch", "no compiler", "cpu", 2)
    assert described.packages.keys() >= {"glebench", "torch", "numpy"}
    assert "ruff" not in described.packages
    assert described.cpu
    assert described.gpu is None
    assert type(described).model_validate_json(described.model_dump_json()) == described


def test_reading_records_loads_nothing_heavy() -> None:
    script = (
        "import sys, gle_bench.tracking.store, gle_bench.tracking.lock, gle_bench.tracking.wandb_mirror;"
        "print({'torch', 'wandb', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        ("budget short", "budget", "budget short"),
        ("other data than the official", "data", "other data"),
        ("rule=backprop", "rule", "changed"),
        ("training.rate=0.01", "setting", "changed"),
        ("other version", "version", "other version"),
        ("other code", "code", "other code"),
        ("by hand", "other", "by hand"),
    ],
)
def test_a_mark_is_written_in_the_words_that_it_was_read_from(text: str, kind: str, word: str) -> None:
    mark = read_mark(text)
    assert (mark.kind, mark.word, str(mark)) == (kind, word, text)


@given(st.text())
def test_whatever_a_record_says_as_a_mark_is_kept(text: str) -> None:
    assert str(read_mark(text)) == text
    assert read_mark(str(Mark("setting", f"a={text}"))) == Mark("setting", f"a={text}")
