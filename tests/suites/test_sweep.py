"""Tests of sweeps: values between commas, the grid of their combinations, and what its records give."""

import csv
import json
import shlex
from math import prod
from pathlib import Path
from typing import Any

import pytest
from command import glebench
from hypothesis import given, settings
from hypothesis import strategies as st
from record_examples import example

from gle_bench.errors import UsageError
from gle_bench.overrides import value_of
from gle_bench.report.figures import response
from gle_bench.report.figures.panels import save
from gle_bench.report.terminal import grid as terminal
from gle_bench.suites import command, sweep_command
from gle_bench.suites.file import from_file
from gle_bench.suites.matrix import Entry, Suite, resolve
from gle_bench.suites.states import Standing
from gle_bench.suites.sweep import MOST, combinations, grid, grids, suite
from gle_bench.suites.values import Swept, described, spelled, split, swept

MLP = Entry(task="mnist1d", model="mlp-0", budget="smoke", seeds="1-3")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.text("abcxyz-_.", min_size=1).filter(lambda word: word.strip() == word)


# Values between commas -----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(JSON, min_size=1, max_size=5))
def test_commas_within_a_value_do_not_part_it(values: list[Any]) -> None:
    texts = [json.dumps(value) for value in values]
    assert split(",".join(texts)) == texts


@settings(max_examples=20)
@given(st.lists(WORDS, min_size=1, max_size=5, unique=True))
def test_plain_words_need_no_quotes(words: list[str]) -> None:
    assert swept("phi=" + ", ".join(words)) == Swept("phi", tuple(words))


@settings(max_examples=40)
@given(st.text())
def test_every_text_is_parted_or_refused_in_a_sentence(text: str) -> None:
    try:
        parts = split(text)
    except UsageError:
        return
    assert ",".join(parts) == text


@settings(max_examples=40)
@given(JSON)
def test_a_value_of_a_file_is_spelled_so_that_it_is_read_again(value: Any) -> None:
    assert value_of(spelled(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rate", "write it as key=value, or key=value,value for several."),
        ("=1,2", "write it as key=value"),
        ("rate=", "one of the values is empty"),
        ("rate=1,,2", "one of the values is empty; leave out a comma"),
        ("rate=1,2,1", "1 is named twice; name each value once."),
        ("later=[1,2", "a ] is missing; commas separate values"),
        ("later=1]", "a ] closes nothing"),
        ("later=[1}", "a } closes nothing"),
        ('loss="ce,mse', 'a " is missing'),
    ],
)
def test_values_that_are_not_clear_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        swept(text)
    assert reason in str(refused.value)
    assert f"--set {text[:5]}" in str(refused.value)


# The grid ------------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=3, unique=True), min_size=1, max_size=4))
def test_every_combination_is_there_once_and_the_last_setting_changes_fastest(values: list[list[str]]) -> None:
    chosen = [Swept(f"key{place}", tuple(its)) for place, its in enumerate(values)]
    made = combinations(chosen)
    assert len(made) == len(set(made)) == prod(map(len, values))
    places = [[its.index(text.partition("=")[2]) for its, text in zip(values, each, strict=True)] for each in made]
    assert places == sorted(places)


def test_an_entry_of_the_grid_knows_which_of_its_settings_vary() -> None:
    entries = grid(MLP, [swept("batches=3"), swept("rate=1e-3,2e-3")])
    assert [entry.set for entry in entries] == [("batches=3", "rate=1e-3"), ("batches=3", "rate=2e-3")]
    assert [entry.axes for entry in entries] == [("rate",)] * 2


def test_what_the_entry_sets_is_set_everywhere() -> None:
    entries = grid(MLP.model_copy(update={"set": ("evaluate_every=2",)}), [swept("rate=1e-3,2e-3")])
    planned = resolve(Suite("", "", tuple(entries)))
    assert [(p.chosen.config.training.rate, p.chosen.config.training.evaluate_every) for p in planned] == [
        (1e-3, 2),
        (2e-3, 2),
    ]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["rate=fast,1e-3"], "rate: Input should be a valid number"),
        (["rates=1,2"], "Unknown setting 'rates'. Did you mean 'rate'?"),
        (["rate=1e-3,0.001"], "rate=1e-3 and rate=0.001 are the same configuration; name each once."),
        (["rate=1,2", "training.rate=3"], "--set rate: it is set twice; give all its values at once"),
        (["hidden=1,2"], "Input should be a list, in JSON: [...] (got 1). Commas separate values; a list stands in"),
        (["rate=1e-3"], "A sweep needs a setting with several values"),
        ([], "A sweep needs a setting with several values"),
        (["batches=" + ",".join(map(str, range(2, MOST + 3)))], "1,001 configurations is too large"),
    ],
)
def test_a_grid_is_checked_before_anything_runs(texts: list[str], reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        suite(MLP, [swept(text) for text in texts])
    assert reason in str(refused.value)


def test_a_file_describes_the_grid_that_options_describe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[run]]\ntask = "mnist1d"\nmodel = "mlp-0"\nbudget = "smoke"\nseeds = "1-3"\n'
        'sweep.training.rate = [1e-3, 2e-3]\nsweep.optimizer = ["adam", "sgd"]\n'
    )
    by_options = grid(MLP, [swept("training.rate=0.001,0.002"), swept("optimizer=adam,sgd")])
    assert from_file(path).entries == tuple(by_options)
    assert described({"hidden": [[3, 4], [5]]}) == [Swept("hidden", ("[3, 4]", "[5]"))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sweep.rate = 3", "sweep.rate = 3: give a list of values"),
        ("sweep.rate = []", "give a list of values"),
        ("sweep.rate = [2026-01-01]", "is no value of a setting"),
        ('sweep.rate = ["fast"]', "rate: Input should be a valid number"),
        ("axes = ['rate']", "axes: Extra inputs are not permitted"),
    ],
)
def test_a_file_with_a_faulty_sweep_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'[[run]]\ntask = "mnist1d"\nmodel = "mlp-0"\n{line}\n')
    with pytest.raises(UsageError) as refused:
        from_file(path)
    assert reason in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("option", ["model", "rule", "seeds", "budget", "protocol", "settings"])
def test_a_file_alone_says_what_is_run(option: str) -> None:
    nothing = sweep_command.Asked(None, None, None, None, None, ())
    with pytest.raises(UsageError, match="the file says what is run"):
        sweep_command.suite_of("mine.toml", nothing._replace(**{option: ("x",)}), "short")


# What was measured ---------------------------------------------------------------------------------------------------


def standings(*texts: str, split: str = "test", protocol: Any = "paper", offset: float = 0.0) -> list[Standing]:
    """Each configuration with three seeds, whose scores are 10 times its place plus the seed; the last one failed."""
    entry = MLP.model_copy(update={"protocol": protocol})
    made = []
    planned = resolve(suite(entry, [swept(text) for text in texts]))
    for place, each in enumerate(planned):
        failed = place == len(planned) - 1
        records = [
            example(seed, metrics={"last": {split: {"accuracy": {"value": 10.0 * place + seed, "n": 5}}}})
            for seed in (each.seeds if not failed else ())
        ]
        made.append(Standing(each, dict.fromkeys(each.seeds, "failed" if failed else "done"), None, tuple(records)))
    return made


def test_the_scores_of_every_configuration_stand_at_its_place() -> None:
    (made,) = grids(standings("rate=4e-3,1e-3,2e-3", "optimizer=adam,sgd"), "last")
    assert (made.axes, made.split, made.series) == (("rate", "optimizer"), "test", ["mlp-0"])
    assert made.values(0) == [1e-3, 2e-3, 4e-3]
    assert made.values(1) == ["adam", "sgd"]
    assert [point.at for point in made.points][:2] == [(4e-3, "adam"), (4e-3, "sgd")]
    assert made.points[1].scores == {1: 11.0, 2: 12.0, 3: 13.0}
    assert made.points[-1].unfinished == ("3 failed",)
    assert made.best == made.points[-2]


def test_under_protocol_clean_a_setting_is_chosen_by_the_validation_split() -> None:
    (clean,) = grids(standings("rate=1e-3,2e-3", protocol="clean", split="validation"), "last")
    assert clean.split == "validation"
    assert not [note for note in clean.notes if "hindsight" in note]
    (paper,) = grids(standings("rate=1e-3,2e-3"), "last")
    assert [note for note in paper.notes if "hindsight" in note and "protocol clean has a validation split" in note]


def test_one_setting_is_a_curve_and_two_are_a_map(tmp_path: Path) -> None:
    (one,) = grids(standings("rate=1e-3,1e-2,1e-1,1"), "last")
    (panel,) = response.build(one).panels
    (line,) = panel.lines
    assert (line.x, line.y, panel.x_scale) == ((1e-3, 1e-2, 1e-1), (2.0, 12.0, 22.0), "log")
    assert line.spread == pytest.approx([2.484] * 3, abs=1e-3)  # t(0.975, 2) / sqrt(3), for a sample sd of 1
    assert "Without a score: 1 (3 failed)." in response.build(one).notes
    (two,) = grids(standings("rate=1e-3,1e-2", "optimizer=adam,sgd"), "last")
    (panel,) = response.build(two).panels
    assert panel.heat is not None
    assert panel.heat.values == ((2.0, 22.0), (12.0, None))
    assert panel.heat.texts[0][0] == "2.0±2.5\n(3)"
    assert panel.heat.texts[1][1] == "3 failed"
    assert panel.heat.ends == (2.0, 22.0)
    save(response.build(two), tmp_path / "figure.svg")
    assert "3 failed" in (tmp_path / "figure.svg").read_text()
    (three,) = grids(standings("rate=1e-3,1e-2", "optimizer=adam,sgd", "batches=3,5"), "last")
    with pytest.raises(UsageError, match="A figure shows one setting or two, not 3"):
        response.build(three)


def test_settings_without_numbers_have_their_names_on_the_axis() -> None:
    (made,) = grids(standings("optimizer=sgd,adam"), "last")
    (panel,) = response.build(made).panels
    assert panel.x_ticks == ((0.0, "sgd"), (1.0, "adam"))


def test_the_table_has_a_line_for_each_configuration_in_the_order_of_its_values() -> None:
    (made,) = grids(standings("rate=4e-3,1e-3,2e-3"), "last")
    header, *lines = terminal.as_text(made).splitlines()
    assert header.split()[:2] == ["RATE", "SEEDS"]
    assert [line.split()[:3] for line in lines[:3]] == [["0.001", "3", "12"], ["0.002", "0", "-"], ["0.004", "3", "2"]]
    assert "3 failed" in lines[1]
    assert lines[3].startswith("Best mean: 12 % at rate=0.001 (last evaluation, test split)")


# Commands ------------------------------------------------------------------------------------------------------------


def test_the_commands_of_a_suite_are_lines_for_a_shell(tmp_path: Path) -> None:
    chosen = suite(MLP, [swept("rate=1e-3,2e-3")])
    options = command.Options(tmp_path / "my runs", "always", ("--runs", str(tmp_path / "my runs")))
    progress = [Standing(each, dict.fromkeys(each.seeds, "done"), None) for each in resolve(chosen)]
    lines = command.commands(chosen.name, progress, options)
    first = ["glebench", "run", "mnist1d", "--model", "mlp-0", "--seeds", "1,2,3", "--budget", "smoke"]
    last = ["--rerun", "always", "--runs", str(tmp_path / "my runs")]
    assert [shlex.split(line) for line in lines] == [
        [*first, "--set", f"rate={rate}", *last] for rate in ("1e-3", "2e-3")
    ]


def test_a_long_label_has_a_log_of_a_bearable_name() -> None:
    sizes = ",".join(map(str, range(100, 300)))
    planned = resolve(suite(MLP, [swept('options={"steps":40},{"steps":72}'), swept("rate=1e-3")]))
    assert sizes
    jobs = command.jobs("mine", [Standing(each, {1: "missing"}, None) for each in planned], command.Options(Path("r")))
    assert len({job.log for job in jobs}) == 2
    assert all(len(job.log.name) < 200 for job in jobs)


@pytest.mark.systems
def test_a_sweep_runs_what_is_missing_and_shows_a_table_and_a_figure(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    words = ("sweep", "toy-classes", "--model", "toy-gle", "--set", "rate=1e-3,1e-2", "--budget", "smoke")
    words = (*words, "--seeds", "1,2", "--jobs", "2", "--runs", runs, "--data", runs / "data", "--wandb", "off")
    listed = glebench(*words, "--commands")
    assert (listed.code, len(listed.out.splitlines())) == (0, 2)
    assert not runs.exists()
    first = glebench(*words, "--json")
    assert first.code == 0, first
    made = json.loads(first.out)
    (figure,) = made["figures"]
    assert Path(figure).is_relative_to(runs)
    assert Path(figure).read_bytes().startswith(b"\x89PNG")
    assert [point["at"] for point in made["grids"][0]["points"]] == [{"rate": 0.001}, {"rate": 0.01}]
    assert [point["n"] for point in made["grids"][0]["points"]] == [2, 2]
    written = {file: file.stat().st_mtime_ns for file in runs.rglob("record.json")}
    again = glebench(*words, "--to", tmp_path / "mine.svg")
    assert (again.code, again.err) == (0, "")
    assert f"Figure: {tmp_path / 'mine.svg'}" in again.out
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("record.json")} == written
    assert len(written) == 4
    table = glebench("list", "runs", "--csv", "--runs", runs)
    rows = list(csv.DictReader(table.out.splitlines()))
    assert sorted(row["training.rate"] for row in rows) == ["0.001", "0.001", "0.01", "0.01"]
    always = glebench(*words, "--rerun", "always", "--commands")
    assert len(always.out.splitlines()) == 2
