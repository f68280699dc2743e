"""The end of a run tells the published number with its verdict, and the commands that a user may want next."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_examples import example

from gle_bench.chosen import Chosen, resolve
from gle_bench.contracts.command import full_run
from gle_bench.report.terminal import ending
from gle_bench.tracking.record import Mark, Record
from gle_bench.tracking.store import Store

FULL = "glebench run mnist1d --set rate=0.1 --seeds paper --budget paper"


@pytest.fixture(scope="module")
def chosen() -> Chosen:
    return resolve("mnist1d", "gle", None, "paper", "short", ())


def ended(chosen: Chosen, store: Path, accuracies: Sequence[float], budget: str = "paper", **changes: object) -> str:
    records = [
        example(
            seed,
            model="gle-42k",
            budget=budget,
            metrics={"last": {"test": {"accuracy": {"value": value, "n": 1000}}}},
            **changes,
        )
        for seed, value in enumerate(accuracies)
    ]
    history(chosen, store, records[0])
    following = ending.Next("here/glebench", ("--runs", "my runs"), FULL, 120.0)
    return "\n".join(ending.lines(chosen, records, Store(store), following))


def history(chosen: Chosen, store: Path, record: Record) -> None:
    """Writes a history whose accuracy rises from 10 to 90 % in nine evaluations."""
    folder = Store(store).folder(record.task, record.model, chosen.named_rule, record.config_hash, record.seed)
    folder.write_history([{"update": k, "split": "test", "loss": 1.0, "accuracy": 10.0 * k} for k in range(1, 10)])


@pytest.mark.parametrize(
    ("accuracies", "meaning"),
    [
        ([93.4, 93.6, 93.5] * 3, "reproduced, as the difference is shown to lie within the margin of ±"),
        ([80.0, 80.2, 79.9], "deviates, as the interval leaves out 0"),
        ([89.0, 97.0, 93.0], "inconclusive, as the difference may be 0 and may exceed the margin of ±"),
        ([93.5], "no verdict: it takes 3 seeds."),
    ],
)
def test_a_full_run_stands_beside_the_published_number(
    chosen: Chosen, tmp_path: Path, accuracies: list[float], meaning: str
) -> None:
    text = " ".join(ended(chosen, tmp_path, accuracies).split())
    assert "Published: 93.5±0.9 % (last evaluation, 10 seeds)." in text
    assert meaning in text
    assert "full run" not in text


def test_a_shorter_run_has_no_verdict_and_names_the_full_one_with_all_its_options(
    chosen: Chosen, tmp_path: Path
) -> None:
    text = ended(chosen, tmp_path, [90.0], "short", marks=(Mark("budget", "short"),))
    assert "No verdict, because this run differs from the paper's: budget short." in " ".join(text.split())
    assert text.endswith(f"which budget short does not replace, about 2 min on this machine:\n    {FULL}")


def test_the_clean_protocol_has_no_verdict_however_near_it_comes(chosen: Chosen, tmp_path: Path) -> None:
    text = " ".join(ended(chosen, tmp_path, [93.4, 93.6, 93.5] * 3, protocol="clean").split())
    assert "No verdict, because this run differs from the paper's: protocol clean." in text
    assert "reproduced" not in text
    assert "here/glebench table 2 --protocol clean --runs" in text


def test_it_names_the_record_and_the_next_commands_by_the_programs_name(chosen: Chosen, tmp_path: Path) -> None:
    text = ended(chosen, tmp_path, [90.0])
    assert f"Recorded in {tmp_path}" in text
    for words in ("show mnist1d-gle-0123456789ab-s0", "plot mnist1d-gle-0123456789ab-s0", "table 2"):
        assert f"  here/glebench {words} --runs 'my runs'\n" in f"{text}\n"


def test_the_learning_curve_rises_from_the_first_evaluation_to_the_last(chosen: Chosen, tmp_path: Path) -> None:
    lines = ended(chosen, tmp_path, [90.0]).split("\n")
    start = lines.index("  test accuracy (%) over 9 evaluations, seed 0")
    top, bottom = lines[start + 1], lines[start + ending.CURVE_HEIGHT]
    assert top.split()[0] == "90"
    assert bottom.split()[0] == "10"
    assert top.rstrip().endswith("'")
    assert top.index("'") > bottom.rindex(".")


def test_what_failed_has_no_next_command(chosen: Chosen, tmp_path: Path) -> None:
    assert ended(chosen, tmp_path, [90.0], status="failed") == ""


def test_a_history_that_cannot_be_read_costs_the_curve_alone(chosen: Chosen, tmp_path: Path) -> None:
    whole = ended(chosen, tmp_path, [90.0])
    record = example(model="gle-42k")
    folder = Store(tmp_path).folder("mnist1d", "gle-42k", None, record.config_hash, 0)
    (folder.path / "history.csv").write_bytes(b"\xff")
    following = ending.Next("glebench", (), FULL, None)
    text = "\n".join(ending.lines(chosen, [record], Store(tmp_path), following))
    assert "over 9 evaluations" in whole
    assert "over" not in text
    assert "Recorded in" in text


OWN = [["--seeds", "3"], ["--budget=smoke"], ["--rerun", "always"], ["-q"], ["--json"], ["--dry-run"]]
OTHERS = [["--set", "rate=1"], ["--engine=torch"], ["--rule", "bptt"], ["--runs", "budget"], ["--accept-data"]]


@given(st.lists(st.sampled_from(OWN + OTHERS)))
def test_the_full_run_keeps_every_option_that_is_not_about_its_length(options: list[list[str]]) -> None:
    words = [word for option in options for word in option]
    kept = [word for option in options if option in OTHERS for word in option]
    assert full_run(["run", "gsc", *words]) == ["run", "gsc", *kept, "--seeds", "paper", "--budget", "paper"]
