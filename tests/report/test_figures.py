"""Figures draw what was run and what was published, nothing else, and say what a reader must know of it."""

import csv
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from command import glebench
from figure_runs import EPOCHS, FORCED, POINTS, chaos, fall, run, signal
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path

from gle_bench import registry
from gle_bench.errors import GleBenchError, UnknownName, UsageError
from gle_bench.recipes.mackey_glass import MEAN, SCALE
from gle_bench.report.figures import figures as catalogue
from gle_bench.report.figures import panels as drawing
from gle_bench.report.figures.curves import Request
from gle_bench.report.figures.figure8 import reference
from gle_bench.report.figures.plot import Bar, Level, Line, Panel, Plot, line
from gle_bench.report.tables.table import table


def raw(standardised: np.ndarray) -> np.ndarray:
    """The predicted stretch of the signal itself."""
    return MEAN + SCALE * standardised[0, FORCED:, 0].astype(np.float64)


def shown(name: str, runs: Path, **asked: Any) -> dict[str, Any]:
    return catalogue.make(name, Request(runs, **asked), draw=False).shown


def panel(figure: dict[str, Any], letter: str) -> dict[str, Any]:
    (found,) = (each for each in figure["panels"] if each["letter"] == letter)
    return found


def lines(figure: dict[str, Any], letter: str, look: str) -> list[dict[str, Any]]:
    return [each for each in panel(figure, letter)["lines"] if each["look"] == look]


# What is drawn -------------------------------------------------------------------------------------------------------


def test_means_and_spreads_are_those_of_the_histories(runs: Path) -> None:
    curves = [[10.0, 50.0, 90.0], [12.0, 70.0, 93.0], [11.0, 30.0, 91.5]]
    for seed, curve in enumerate(curves):
        run(runs, seed, curve)
    run(runs, 7, [10.0, 20.0, 30.0], "gru")
    figure = shown("8d", runs)
    ours, gru = lines(figure, "d", "mean")
    assert ours["x"] == (0, 1, 2)
    np.testing.assert_allclose(ours["y"], [mean(values) for values in zip(*curves, strict=True)], rtol=1e-12)
    np.testing.assert_allclose(ours["spread"], [stdev(values) for values in zip(*curves, strict=True)], rtol=1e-12)
    assert ours["label"] == "gle-15k: 91.50±1.50 (3)"
    assert (gru["y"], gru["spread"], gru["label"]) == ((10, 20, 30), (), "gru: 30.00 (1)")
    assert panel(figure, "d")["y_limits"] == (0, 100)


def test_averages_are_a_line_of_their_own_beside_the_raw_mean(runs: Path) -> None:
    for seed in (0, 1):
        run(runs, seed, [10.0, 50.0, 60.0], averages=[10.0, 60.0 + seed, 92.0 + seed])
    run(runs, 7, [10.0, 20.0, 30.0], "gru")
    figure = shown("8d", runs)
    (average,) = lines(figure, "d", "averaged")
    assert (average["x"], average["y"], average["spread"]) == ((0, 1, 2), (10.0, 60.5, 92.5), ())
    assert average["label"] == "gle-15k, averaged: 92.50±0.71 (2)"
    raw, gru = lines(figure, "d", "mean")
    assert (raw["label"], raw["color"]) == ("gle-15k: 60.00±0.00 (2)", average["color"])
    assert gru["label"] == "gru: 30.00 (1)"
    assert "Dash-dotted: our mean with averaged weights." in figure["notes"][0]
    chaos(runs, 0, 30.0, (), averages=[90.0] * EPOCHS + [12.0])
    (forecast,) = lines(shown("10", runs), "d", "averaged")
    assert (forecast["y"][-1], forecast["label"]) == (12.0, "averaged weights, at last: 12.00 (1)")


@pytest.mark.parametrize("name", ["8d", "8e", "8f"])
def test_levels_are_what_the_task_says_was_published(runs: Path, name: str) -> None:
    task, model = {"8d": ("mnist1d", "tcn"), "8e": ("gsc", "gru"), "8f": ("mnist1d", "gru-0")}[name]
    run(runs, 1, [10.0, 90.0], model, task)
    figure = shown(name, runs)
    drawn = {(level["y"], level["label"]) for level in panel(figure, name[-1])["levels"]}
    cells = [cell for cell in registry.task(task).published if cell.selection == "last"]
    watched = registry.task(task).evaluation_split("paper")
    known = {(c.value, c.model + ("" if c.split == watched else f" ({c.split})")) for c in cells}
    assert {(y, label.partition(" ")[2]) for y, label in drawn} <= known
    assert any(label.partition(" ")[2].startswith(model) for _, label in drawn)
    alone = shown(name, runs, model=model)
    assert all(model in level["label"] for level in panel(alone, name[-1])["levels"])


def test_bars_are_what_was_published_and_what_was_measured_on_the_test_split(runs: Path) -> None:
    tests = {1: 60.0, 2: 64.0}
    for seed, value in tests.items():
        final = {"validation": {"error": {"value": 50.0, "n": 1}}, "test": {"error": {"value": value, "n": 1}}}
        run(runs, seed, [90.0, 50.0], "le", "cifar10", metrics={"last": final, "best": final})
    run(runs, 1, [90.0, 70.0], "bp-matched", "cifar10", "short")  # of which the test split was never looked at
    figure = shown("8g", runs)
    published = {cell.model: cell for cell in registry.task("cifar10").published}
    first, second, third = panel(figure, "g")["bars"]
    assert (first["y"], first["spread"], first["published"]) == (published["le"].value, published["le"].spread, True)
    assert (second["y"], second["spread"]) == (mean(tests.values()), pytest.approx(stdev(tests.values())))
    assert (second["label"], second["text"], second["color"]) == ("le\nours (2)", "62.00±2.83", first["color"])
    assert (third["y"], third["published"]) == (published["bp"].value, True)
    assert [each["label"] for each in lines(figure, "h", "mean")] == [
        "le: 50.00±0.00 (2)",
        "bp-matched [budget short]: 70.00 (1)",
    ]
    assert [each["y"] for each in panel(figure, "h")["levels"]] == [published["le"].value, published["bp"].value]


@pytest.mark.parametrize("lost", [float("inf"), float("nan"), 1e308])
def test_bars_leave_out_what_no_mean_can_be_made_of(runs: Path, lost: float) -> None:
    for seed, value in {1: 60.0, 2: lost}.items():
        final = {"test": {"error": {"value": value, "n": 1}}}
        run(runs, seed, [90.0, 70.0], "le", "cifar10", metrics={"last": final, "best": final})
    (ours,) = (bar for bar in panel(shown("8g", runs, model="le"), "g")["bars"] if not bar["published"])
    assert (ours["label"], ours["y"]) == ("le\nours (1)", 60.0)


def test_the_bars_of_marked_runs_say_so(runs: Path) -> None:
    run(runs, 1, [90.0, 70.0], "le", "cifar10", "short", metrics={"last": {"test": {"error": {"value": 71.0, "n": 1}}}})
    (ours,) = (bar for bar in panel(shown("8g", runs, model="le"), "g")["bars"] if not bar["published"])
    assert (ours["label"], ours["spread"]) == ("le\nours (1)\nbudget short", None)


def test_the_published_runs_end_where_their_table_says(tmp_path: Path) -> None:
    """Figure and table are made from the same records."""
    rows = table("mnist1d", tmp_path)[0].content["rows"]
    full = [row for row in rows if (row["protocol"], row["selection"], row["marks"]) == ("paper", "last", [])]
    ours = {row["model"]: row for row in full if row["ours"]}
    drawn = lines(shown("8d", tmp_path), "d", "mean")
    assert len(drawn) >= 2
    for each in drawn:
        model = each["label"].partition(":")[0]
        assert each["y"][-1] == pytest.approx(ours[model]["ours"], abs=1e-9)
        assert f"({ours[model]['ours_n']})" in each["label"]


def test_the_overlaid_curves_are_the_means_of_the_released_ones() -> None:
    singles: dict[tuple[str, str, float], list[float]] = {}
    for file, model, at, scale in (
        ("mnist1d_gle_curves.csv", "gle_15k", "epoch", 1),
        ("mnist1d_baseline_curves.csv", "gru_super", "update", 40),
        ("gsc_gle_curves.csv", None, "epoch", 1),
    ):
        for row in csv.DictReader(shared_path(f"reference/{file}").read_text().splitlines()):
            if row.get("model") == model:
                value = float(row.get("accuracy") or row["validation_accuracy"])
                singles.setdefault((file, model or "gle", float(row[at]) / scale), []).append(value)
    for file, theirs, task, ours in (
        ("mnist1d_gle_curves.csv", "gle_15k", "mnist1d", "gle-15k"),
        ("mnist1d_baseline_curves.csv", "gru_super", "mnist1d", "gru"),
        ("gsc_gle_curves.csv", "gle", "gsc", "gle"),
    ):
        found = reference(task, ours)
        expected = {epoch: mean(v) for (f, m, epoch), v in singles.items() if (f, m) == (file, theirs) and len(v) == 10}
        assert found.seeds == 10
        assert found.epochs == tuple(sorted(expected))
        np.testing.assert_allclose(found.means, [expected[epoch] for epoch in found.epochs], atol=1e-4)


def test_overlays_end_at_the_published_numbers() -> None:
    """Those of MNIST-1D are what Table 2 was made from."""
    cells = {c.model: c.value for c in registry.task("mnist1d").published if c.selection == "last" and c.margin}
    for model, value in cells.items():
        assert reference("mnist1d", model).means[-1] == pytest.approx(value, abs=0.06)
    assert reference("mnist1d", "mlp") is None


# What is never mixed -------------------------------------------------------------------------------------------------


def test_a_full_run_is_drawn_rather_than_a_short_one_and_a_short_one_is_marked(runs: Path) -> None:
    for seed in (1, 2, 3):
        run(runs, seed, [10.0, 40.0], budget="short")
    (short,) = lines(shown("8d", runs), "d", "mean")
    assert short["label"] == "gle-15k [budget short]: 40.00±0.00 (3)"
    run(runs, 1, [10.0, 90.0])
    (full,) = lines(shown("8d", runs), "d", "mean")
    assert full["label"] == "gle-15k: 90.00 (1)"
    run(runs, 2, [10.0, 95.0], config_hash="0123456789ab")  # of another version
    (still,) = lines(shown("8d", runs), "d", "mean")
    assert still == full


def test_protocols_stay_apart(runs: Path) -> None:
    run(runs, 1, [10.0, 80.0])
    run(runs, 1, [10.0, 70.0], protocol="clean")
    (ours,) = lines(shown("8d", runs, protocol="clean"), "d", "mean")
    assert ours["y"][-1] == 70
    clean = panel(shown("8d", runs, protocol="clean"), "d")
    assert "clean" in clean["title"]
    assert "validation" in clean["y_label"]
    assert all(level["label"].endswith("(test)") for level in clean["levels"])


def test_what_is_not_drawn_is_told(runs: Path) -> None:
    run(runs, 1, [10.0, 80.0])
    run(runs, 2, [10.0, 70.0], status="diverged", metrics={})
    broken = run(runs, 3, [10.0, 60.0])
    (broken.path / "history.csv").write_text("update,epoch\n1\n")
    run(runs, 4, [10.0, 60.0]).write_history([])
    figure = shown("8d", runs)
    (ours,) = lines(figure, "d", "mean")
    assert ours["y"][-1] == 80
    told = "\n".join(figure["notes"])
    assert "gle-15k: of 4 seeds, 1 diverged: not drawn." in told
    assert "gle-15k: seed 3 is not drawn. Cannot read" in told
    assert "gle-15k: seed 4 is not drawn" in told
    assert "Not run: gle-42k, mlp-published, tcn, gru; say `glebench run mnist1d --model gle-42k" in told


def test_a_truncated_record_is_passed_over(runs: Path) -> None:
    run(runs, 1, [10.0, 80.0])
    path = run(runs, 2, [10.0, 70.0]).path / "record.json"
    path.write_bytes(path.read_bytes()[:-9])
    made = catalogue.make("8d", Request(runs), draw=False)
    assert [passed.path for passed in made.skipped] == [path]


# Figure 10 -----------------------------------------------------------------------------------------------------------


def test_forecasts_are_the_traces_of_the_best_sequence_in_raw_values(runs: Path) -> None:
    for seed, end in enumerate([14.0, 6.0, 20.0]):
        chaos(runs, seed, end)
    figure = shown("10", runs)
    count = FORCED + 10 * POINTS
    for letter, number in (("b", 40), ("c", 138)):
        (output,), (target,) = lines(figure, letter, "output"), lines(figure, letter, "target")
        for drawn, standardised in ((output, signal(count, 1000 * number + 1)), (target, signal(count, 1))):
            np.testing.assert_allclose(drawn["y"], raw(standardised), rtol=1e-12)
            assert (drawn["x"][0], drawn["x"][-1]) == (1 / POINTS, 10)
        expected = fall(6.0)[number]
        assert panel(figure, letter)["title"] == f"after {number} epochs: sMAPE {expected:.1f} %"
    assert "b, c: sequence 1, the one of 3 that ends best on the test split." in figure["notes"]
    other = shown("10", runs, seed=2)
    np.testing.assert_allclose(lines(other, "b", "target")[0]["y"], raw(signal(count, 2)))
    assert "b, c: sequence 2." in other["notes"]


@pytest.mark.parametrize(
    ("rounds", "letters", "titles"),
    [
        ((38, 100), "bcde", ["after 38 epochs (paper: 40)", "after 150 epochs (paper: 138)"]),
        ((40,), "bcde", ["after 40 epochs:", "after 150 epochs (paper: 138)"]),
        ((), "bde", ["after 150 epochs (paper: 40 and 138)"]),
    ],
)
def test_of_the_stages_that_were_kept_the_nearest_are_shown_and_named(
    runs: Path, rounds: Sequence[int], letters: str, titles: list[str]
) -> None:
    """Final predictions are a stage as well: published records have no traces."""
    chaos(runs, 0, 10.0, rounds)
    figure = shown("10", runs)
    assert [each["letter"] for each in figure["panels"]] == list(letters)
    for letter, title in zip("bc", titles, strict=False):
        assert panel(figure, letter)["title"].startswith(title)


def test_without_any_outputs_there_is_training_alone(runs: Path) -> None:
    folder = chaos(runs, 0, 10.0)
    for name in ("traces.npz", "predictions.npz"):
        (folder.path / name).unlink()
    figure = shown("10", runs)
    assert [each["letter"] for each in figure["panels"]] == ["d"]
    told = "\n".join(figure["notes"])
    assert "No panels b and c" in told
    assert "gle: 1 of 1 sequences have no horizon, for their predictions were not kept." in told


def test_training_has_all_sequences_their_mean_their_best_and_the_published_levels(runs: Path) -> None:
    ends = [14.0, 6.0, 20.0]
    for seed, end in enumerate(ends):
        chaos(runs, seed, end, ())
    figure = shown("10", runs)
    seeds, (average,), (dots,) = (lines(figure, "d", look) for look in ("seed", "mean", "dots"))
    assert [each["y"][-1] for each in seeds] == ends
    assert average["y"][-1] == pytest.approx(mean(ends))
    assert dots["y"] == tuple(ends)  # they fall to the end
    assert dots["x"] == (EPOCHS,) * 3
    assert f"{mean(ends):.2f}" in average["label"]
    drawn = sorted(level["y"] for level in panel(figure, "d")["levels"])
    assert drawn == sorted(cell.value for cell in registry.task("mackey-glass").published)
    low, high = panel(figure, "d")["y_limits"]
    assert low == 0
    assert max(*drawn, *ends) < high < 90  # what is untrained may lie above
    beyond = sum(value > high for each in seeds for value in each["y"])
    assert f"{beyond} of {3 * (EPOCHS + 1)} evaluations lie above the axis." in figure["notes"]


def test_the_horizon_is_the_tasks_own_curve_of_the_final_predictions(runs: Path) -> None:
    folders = [chaos(runs, seed, 10.0, ()) for seed in range(3)]
    figure = shown("10", runs)
    for drawn, folder in zip(lines(figure, "e", "seed"), folders, strict=True):
        final = folder.read_predictions()
        p, y = (raw(final[f"test_{name}"]) for name in ("decisions", "targets"))
        each = (200 * np.abs(p - y) / (np.abs(p) + np.abs(y))).reshape(10, POINTS).mean(1)
        np.testing.assert_allclose(drawn["y"], each, rtol=1e-9)
    (average,) = lines(figure, "e", "mean")
    np.testing.assert_allclose(average["y"], np.mean([d["y"] for d in lines(figure, "e", "seed")], 0))


def test_under_protocol_clean_the_held_out_stretch_is_shown_and_the_horizon_is_the_tests(runs: Path) -> None:
    chaos(runs, 0, 10.0, protocol="clean")
    figure = shown("10", runs, protocol="clean")
    assert "protocol clean" in figure["title"]
    assert len(lines(figure, "b", "target")[0]["y"]) == POINTS
    assert len(lines(figure, "e", "mean")[0]["y"]) == 10
    assert "validation" in panel(figure, "d")["y_label"]
    assert all("test" in level["label"] for level in panel(figure, "d")["levels"])


def test_a_short_run_says_so_in_the_title(runs: Path) -> None:
    chaos(runs, 0, 30.0, (), budget="short", epochs=15)
    figure = shown("10", runs)
    assert "gle [budget short]" in figure["title"]


def test_a_loop_that_ran_away_is_drawn_and_stays_json(runs: Path) -> None:
    folder = chaos(runs, 0, 10.0)
    kept = folder.read_traces()
    kept["test_decisions_40"][0, -500:] = np.inf
    kept["test_decisions_40"][0, -900:-500] = -1e30
    folder.add_traces(**kept)
    made = catalogue.make("10", Request(runs), runs.parent / "figure.png")
    assert json.loads(json.dumps(made.shown, allow_nan=False))["title"] == made.shown["title"]
    assert lines(made.shown, "b", "output")[0]["y"][-1] is None
    low, high = panel(made.shown, "b")["y_limits"]
    assert high - low < 10


# How it is drawn -----------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-2, 2), max_size=8), st.floats(0.01, 0.5))
def test_labels_are_moved_apart_and_no_further(heights: list[float], gap: float) -> None:
    rising = sorted(heights)
    moved = drawing.apart(rising, gap)
    assert all(b - a >= gap * (1 - 1e-9) for a, b in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(rising), abs=1e-9)
    assert drawing.apart(moved, gap * (1 - 1e-6)) == pytest.approx(moved)
    if all(b - a >= gap for a, b in pairwise(rising)):
        assert moved == pytest.approx(rising)


def example_plot() -> Plot:
    ours = line([0, 1, 2], [1.0, float("nan"), 3.0], "mean", "ours", 1, [0.5, 0.5, 0.5])
    panels = (
        Panel("a", "left", "x", "y", (ours,), (Level(2.5, "published"),), y_limits=(0, 4)),
        Panel("b", "right", "x", "y", (line([0, 1], [5, 6], "dots"),)),
    )
    return Plot("Two", panels, ("aab",), (6.0, 2.0), ("A note.",))


def test_bars_stand_side_by_side_with_whiskers_names_and_numbers() -> None:
    bars = (Bar(38.0, "le\npublished", "38.0±1.3", 0, 1.3, published=True), Bar(40.0, "le\nours", "40.00", 0))
    axes = drawing.draw(Plot("Bars", (Panel("g", "", "", "error", (), bars=bars),), ("g",), (3.0, 2.0))).get_axes()[0]
    assert [bar.get_height() for bar in axes.patches] == [38.0, 40.0]
    assert [bar.get_hatch() for bar in axes.patches] == ["////", None]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["le\npublished", "le\nours"]
    assert [text.get_text() for text in axes.texts] == ["38.0±1.3", "40.00"]
    (whisker,) = (segment for collection in axes.collections for segment in collection.get_segments())
    np.testing.assert_allclose(whisker[:, 1], [36.7, 39.3])


def test_axes_hold_the_lines_bands_levels_and_labels_of_their_panels() -> None:
    figure = drawing.draw(example_plot())
    left, right = figure.get_axes()
    curve, level = left.get_lines()
    np.testing.assert_array_equal(curve.get_xydata(), [[0, 1], [1, np.nan], [2, 3]])
    assert set(level.get_ydata()) == {2.5}
    assert len(left.collections) == 1
    assert [text.get_text() for text in left.texts] == ["published"]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["ours"]
    assert left.get_ylim() == (0, 4)
    assert right.get_legend() is None
    figure.draw_without_rendering()
    assert left.get_position().width > 1.5 * right.get_position().width
    assert [text.get_text() for sub in figure.subfigs for text in sub.texts] == ["Two", "A note."]


@pytest.mark.parametrize(("suffix", "begin"), [("PNG", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_file_is_of_the_kind_that_its_name_says_and_undated(tmp_path: Path, suffix: str, begin: bytes) -> None:
    path = tmp_path / f"figure.{suffix}"
    path.write_text("an older one")
    drawing.save(example_plot(), path)
    assert path.read_bytes().startswith(begin)
    assert b"date" not in path.read_bytes().lower()
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="2 x, 1 y"):
        Line((0, 1), (1.0,), "mean")
    with pytest.raises(ValueError, match="1 of spread"):
        Line((0, 1), (1.0, 2.0), "mean", spread=(1.0,))


# What cannot be drawn ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "asked", "kind", "sentence"),
    [
        ("8b", {}, UnknownName, "Unknown figure '8b'. Did you mean '8"),
        ("8d", {"model": "lagnet-le"}, UsageError, "--model lagnet-le: figure 8d has gle-42k, gle-15k,"),
        ("8d", {"seed": 3}, UsageError, "--seed 3: figure 8d shows all seeds; leave it out."),
        ("8f", {}, GleBenchError, "`glebench run mnist1d --model lagnet-le --seeds paper --budget paper`"),
        ("10", {"model": "gel"}, UnknownName, "Unknown model 'gel'. Did you mean 'gle'?"),
        ("10", {"seed": 9}, UsageError, "--seed 9: no such run is done; there are 0."),
        ("10", {"protocol": "clean"}, GleBenchError, "--model gle --seeds paper --budget paper --protocol clean`"),
    ],
)
def test_what_cannot_be_drawn_is_told_with_the_cure(
    runs: Path, name: str, asked: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    chaos(runs, 0, 10.0, ())
    run(runs, 1, [10.0, 90.0])
    with pytest.raises(kind) as refused:
        shown(name, runs, **asked)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("name", ["figure.gif", "figure", "png"])
def test_a_file_of_another_kind_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"end it in \.pdf, \.png, \.svg\."):
        catalogue.make("8d", Request(tmp_path), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_told(runs: Path) -> None:
    run(runs, 1, [10.0, 90.0])
    with pytest.raises(GleBenchError, match="Cannot write"):
        catalogue.make("8d", Request(runs), Path("/proc/figure.png"))


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_draws_and_prints(tmp_path: Path) -> None:
    """From the published records."""
    out = tmp_path / "out.svg"
    drawn = glebench("figure", "8d", "--runs", tmp_path / "none", "--out", out)
    assert drawn.code == 0, drawn
    assert drawn.err == ""
    assert drawn.out.splitlines()[0] == str(out)
    assert "gle-15k" in out.read_text()
    printed = glebench("figure", "8d", "--runs", tmp_path / "none", "--json")
    assert json.loads(printed.out)["title"] == "Figure 8d - MNIST-1D"
    refused = glebench("figure", "8z", "--runs", tmp_path / "none")
    assert refused.code == 2
    assert refused.told.startswith("Error: Unknown figure '8z'.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.svg"]
