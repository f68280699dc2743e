"""Tests of `glebench plot`: which runs are selected, and what is drawn of them; and of lists of runs as data."""

import csv
import json
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
from figure_runs import run as record_run
from scipy import stats

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.errors import GleBenchError, UnknownName, UsageError
from gle_bench.files.disk import sha256
from gle_bench.overrides import override
from gle_bench.report import plots
from gle_bench.report.plots import Wanted
from gle_bench.report.selection import ALL, Filter, select
from gle_bench.report.settings import changed_settings, leaves
from gle_bench.report.terminal import listing
from gle_bench.report.terminal import runs as recorded
from gle_bench.tracking.store import RunFolder
from gle_bench.training.marks import marks

CURVES = {1: [10.0, 50.0, 90.0], 2: [12.0, 70.0, 93.0], 3: [11.0, 30.0, 91.5]}


def run(
    runs: Path, seed: int, curve: list[float], *assignments: str, model: str = "gle-15k", **changes: Any
) -> RunFolder:
    """A recorded run on MNIST-1D with overrides."""
    own = registry.pair("mnist1d", model).configure(changes.get("budget", "paper"))
    if assignments:
        config: RunConfig = override(own, assignments)
        digest = sha256(" ".join(assignments).encode())[:12]
        changes |= {"config": config.model_dump(mode="json"), "config_hash": digest}
        changes["marks"] = tuple(map(str, marks(config, own, True)))
    return record_run(runs, seed, curve, model, **changes)


def made(names: str, runs: Path, *x: str, which: Filter = ALL, to: Path | None = None, **wanted: Any) -> plots.Made:
    return plots.make(names.split(), runs, Wanted(x, **wanted), to, which)


# Which runs are selected ---------------------------------------------------------------------------------------------


def test_runs_are_named_by_task_by_the_beginning_of_an_id_or_by_folder(runs: Path) -> None:
    folders = [run(runs, seed, curve) for seed, curve in CURVES.items()]
    other = run(runs, 1, [1.0, 2.0], model="gru")
    name = folders[0].read().run_id
    for names, count in (
        (["mnist1d"], 4),
        ([name], 1),
        ([name[: name.rindex("-")]], 3),
        ([str(other.path)], 1),
        ([str(other.path / "record.json")], 1),
        ([str(runs / "mnist1d" / "gle-15k"), name], 3),
    ):
        assert len(select(names, runs)[0]) == count, names


@pytest.mark.parametrize(
    ("which", "count"),
    [
        (Filter(models=("gru",)), 1),
        (Filter(seeds=(1, 3)), 3),
        (Filter(rule="gle", seeds=(2,)), 1),
        (Filter(task="gsc"), 0),
    ],
)
def test_conditions_hold_all_together(runs: Path, which: Filter, count: int) -> None:
    for seed, curve in CURVES.items():
        run(runs, seed, curve)
    run(runs, 1, [1.0, 2.0], model="gru")
    if count:
        assert len(select(["mnist1d"], runs, which)[0]) == count
        return
    with pytest.raises(GleBenchError, match="No run of mnist1d"):
        select(["mnist1d"], runs, which)


def test_a_name_of_nothing_suggests_the_nearest(runs: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mnist1d'"):
        select(["mnist1"], runs)


# Learning curves -----------------------------------------------------------------------------------------------------


def test_a_line_is_the_mean_over_seeds_and_its_band_the_95_percent_interval(runs: Path) -> None:
    for seed, curve in CURVES.items():
        run(runs, seed, curve)
    (line,) = made("mnist1d", runs).shown["panels"][0]["lines"]
    columns = list(zip(*CURVES.values(), strict=True))
    np.testing.assert_allclose(line["y"], [mean(values) for values in columns])
    intervals = [stats.t.interval(0.95, 2, mean(values), stats.sem(values)) for values in columns]
    np.testing.assert_allclose(line["spread"], [(high - low) / 2 for low, high in intervals])
    assert line["label"] == "gle-15k: 91.50±1.50 (3)"


def test_labels_say_what_differs_and_nothing_else(runs: Path) -> None:
    run(runs, 1, CURVES[1])
    run(runs, 1, CURVES[2], "rate=0.01")
    run(runs, 1, CURVES[3], budget="short")
    texts = [line["label"].partition(":")[0] for line in made("mnist1d", runs).shown["panels"][0]["lines"]]
    assert sorted(texts) == ["gle-15k, budget paper", "gle-15k, budget paper, rate=0.01", "gle-15k, budget short"]
    (alone,) = made("mnist1d", runs, which=Filter(budget="short")).shown["panels"][0]["lines"]
    assert alone["label"].startswith("gle-15k: ")


def test_a_long_setting_is_named_by_the_size_that_it_makes_up(runs: Path) -> None:
    run(runs, 1, CURVES[1], "width=9")
    run(runs, 1, CURVES[2], "width=9", "populations.0.tau_m=2.0")
    run(runs, 1, CURVES[3], 'disturbances=[{"kind": "rate-noise", "std": 0.1, "correlation": 30, "layers": [1, 2]}]')
    texts = sorted(line["label"].rpartition(":")[0] for line in made("mnist1d", runs).shown["panels"][0]["lines"])
    assert [text[:-6] for text in texts[1:]] == ["gle-15k, width=9, "] * 2  # and the beginnings of their hashes
    assert texts[0].startswith("gle-15k, disturbances=rate-noise (")
    assert texts[0].endswith(" ...")


def test_runs_that_are_not_done_are_drawn_where_none_is(runs: Path) -> None:
    run(runs, 1, CURVES[1], status="interrupted")
    plot = made("mnist1d", runs)
    assert plot.shown["panels"][0]["lines"][0]["y"] == (10.0, 50.0, 90.0)
    assert "1 interrupted; drawn up to the last evaluation" in plot.text
    run(runs, 2, CURVES[2])
    plot = made("mnist1d", runs)
    assert plot.shown["panels"][0]["lines"][0]["y"] == (12.0, 70.0, 93.0)
    assert "of 2 seeds, 1 interrupted: not drawn." in plot.text


def test_without_a_file_the_terminal_shows_the_lines(runs: Path) -> None:
    run(runs, 1, CURVES[1])
    run(runs, 1, CURVES[2], model="gru")
    text = made("mnist1d", runs).text
    assert "accuracy (%), test split, protocol paper, budget paper; below: epoch" in text
    assert "  a  gle-15k: 90.00 (1)" in text
    with pytest.raises(UnknownName, match=r"Unknown metric 'acuracy'. Did you mean 'accuracy'\?"):
        made("mnist1d", runs, metric="acuracy")


def test_a_file_is_drawn_and_only_into_a_kind_of_image(runs: Path, tmp_path: Path) -> None:
    for seed, curve in CURVES.items():
        run(runs, seed, curve)
    path = tmp_path / "mine.svg"
    assert made("mnist1d", runs, to=path).text.startswith(f"{path}\n")
    assert "gle-15k: 91.50±1.50 (3)" in path.read_text()
    with pytest.raises(UsageError, match=r"--to .*: end it in .pdf, .png, .svg"):
        made("mnist1d", runs, to=tmp_path / "mine.jpg")


def test_too_many_configurations_are_refused_with_the_ways_to_choose(runs: Path) -> None:
    for number in range(10):
        run(runs, 1, CURVES[1], f"rate=0.0{number + 1}")
    with pytest.raises(UsageError, match=r"10 configurations here, too many .* choose some by --model"):
        made("mnist1d", runs)
    run(runs, 1, CURVES[1])
    assert "Left out: 10 configurations with changed settings" in made("mnist1d", runs).text


# Against settings ----------------------------------------------------------------------------------------------------


def test_a_metric_is_shown_against_a_setting(runs: Path) -> None:
    for rate in (0.004, 0.002):
        for seed, curve in CURVES.items():
            run(runs, seed, [*curve, curve[-1] - 1000 * rate], f"rate={rate}")
    run(runs, 1, CURVES[1], model="gru")
    shown = made("mnist1d", runs, "rate").shown
    points = {(point["series"], point["at"]["rate"]): point for point in shown["points"]}
    assert points["gle-15k", 0.004]["scores"] == {"1": 86.0, "2": 89.0, "3": 87.5}
    assert points["gle-15k", 0.002]["mean"] == pytest.approx(89.5)
    assert len(points) == 3
    assert "gru" in {series for series, _ in points}


def test_a_width_is_told_from_the_populations_and_other_settings_keep_their_lines(runs: Path) -> None:
    for width in (9, 30):
        run(runs, 1, CURVES[1], f"width={width}")
        run(runs, 1, CURVES[2], f"width={width}", "beta=2.0")
    shown = made("mnist1d", runs, "width").shown
    assert sorted((point["series"], point["at"]["width"]) for point in shown["points"]) == [
        ("gle-15k", 9),
        ("gle-15k", 30),
        ("gle-15k, beta=2.0", 9),
        ("gle-15k, beta=2.0", 30),
    ]


def test_an_element_of_a_list_and_what_names_a_run_may_be_an_axis(runs: Path) -> None:
    run(runs, 1, CURVES[1], "populations.0.tau_m=2.0")
    run(runs, 1, CURVES[2])
    shown = made("mnist1d", runs, "populations.0.tau_m", "model").shown
    assert sorted(point["at"]["populations.0.tau_m"] for point in shown["points"]) == [0.6, 2.0]
    assert {point["at"]["model"] for point in shown["points"]} == {"gle-15k"}
    assert {point["series"] for point in shown["points"]} == {""}


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (("rates",), "Unknown setting 'rates'. Did you mean 'rate'?"),
        (("tau_m",), "--x tau_m: ambiguous; it could be network.populations.0.tau_m or "),
        (("rate", "model", "seed"), "--x is given 3 times"),
    ],
)
def test_settings_that_runs_do_not_have_are_refused(runs: Path, x: tuple[str, ...], reason: str) -> None:
    run(runs, 1, CURVES[1])
    with pytest.raises(UsageError) as refused:
        made("mnist1d", runs, *x)
    assert reason in str(refused.value)


def test_scores_of_different_splits_are_not_mixed(runs: Path) -> None:
    run(runs, 1, CURVES[1])
    run(runs, 1, CURVES[1], protocol="clean")
    with pytest.raises(UsageError, match="both protocols, which watch different splits"):
        made("mnist1d", runs, "rate")


# Lists of runs as data -----------------------------------------------------------------------------------------------


def test_a_row_has_what_names_the_run_its_changed_settings_and_its_metrics(runs: Path) -> None:
    folder = run(runs, 3, CURVES[1], "rate=0.01", "populations.0.neurons=4")
    ((row, record),) = recorded.listed(runs)[0]
    named = {name: row[name] for name in ("task", "model", "rule", "protocol", "budget", "seed", "status")}
    assert list(named.values()) == ["mnist1d", "gle-15k", "gle", "paper", "paper", 3, "done"]
    assert row["last"] == {"test": {"accuracy": 90.0}}
    assert row["folder"] == str(folder.path)
    assert set(row["settings"]) == {"training.rate", "network.populations"}
    assert row["settings"] == changed_settings(record)
    assert row["settings"]["training.rate"] == 0.01
    json.dumps(row)


def test_csv_has_a_column_for_each_changed_setting_with_its_value_in_every_run(runs: Path) -> None:
    run(runs, 1, CURVES[1], "rate=0.01")
    run(runs, 1, CURVES[2])
    rows, _, text = listing.rows("runs", runs, as_csv=True)
    read = list(csv.DictReader(text(rows).splitlines()))
    assert sorted(float(row["training.rate"]) for row in read) == [0.001, 0.01]
    assert {row["last.test.accuracy"] for row in read} == {"90.0", "93.0"}
    assert len(read) == 2


def test_runs_are_listed_by_conditions(runs: Path) -> None:
    run(runs, 1, CURVES[1])
    run(runs, 2, CURVES[2], status="failed")
    for status, count in (("done", 1), ("failed", 1), ("killed", 0), (None, 2)):
        assert len(listing.rows("runs", runs, "mnist1d", status=status)[0]) == count
    assert listing.rows("runs", runs, "gsc")[0] == []
    with pytest.raises(UsageError, match="for 'glebench list runs' alone"):
        listing.rows("tasks", runs, status="done")


def test_leaves_have_lists_as_a_whole_and_by_their_elements() -> None:
    assert leaves({"a": {"b": [1, {"c": 2}]}, "d": None}) == {
        "a.b": [1, {"c": 2}],
        "a.b.0": 1,
        "a.b.1.c": 2,
        "d": None,
    }
