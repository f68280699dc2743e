"""Figures 5 and 14 show what the histories of the chain hold, and replay its neurons with recorded parameters."""

from pathlib import Path

import numpy as np
import pytest
import torch
from figure_runs import run

from gle_bench import registry
from gle_bench.errors import GleBenchError
from gle_bench.report.figures import chain
from gle_bench.report.figures import figures as catalogue
from gle_bench.report.figures.curves import Request

ROUNDS = 4
LAST = (1.0, 2.0, 1.0, 2.0)  # the teacher's weights and time constants


def learned(runs: Path, rule: str, **changes: str) -> None:
    """A run whose parameters go from 0.5 to the teacher's."""
    folder = run(runs, 0, [0.0] * (ROUNDS + 1), "gle", "chain", rule=rule, marks=(), **changes)
    rows = folder.read_history()
    for row in rows:
        share = int(row["round"]) / ROUNDS
        row |= {name: 0.5 + share * (end - 0.5) for name, end in zip(chain.PARAMETERS, LAST, strict=True)}
        row["online_mse"] = 10.0 ** -int(row["round"])
    folder.write_history(rows)


def test_figures_5_and_14_draw_histories_and_replays(runs: Path) -> None:
    learned(runs, "gle")
    figure = catalogue.make("5", Request(runs), draw=False).shown
    panels = {panel["letter"]: panel for panel in figure["panels"]}
    assert list(panels) == ["w", "t", "l"]  # replays need GLE and BP
    first, second = panels["w"]["lines"]
    assert first["x"] == tuple(4.0 * k for k in range(1, ROUNDS + 1))
    assert (first["y"][-1], second["y"][-1]) == LAST[:2]
    assert [level["y"] for level in panels["t"]["levels"]] == [1, 2]
    assert panels["l"]["lines"][0]["y"][-1] == pytest.approx(1e-4)
    assert "BP was not run; say `glebench run chain --model gle --rule instantaneous" in "\n".join(figure["notes"])
    learned(runs, "instantaneous", config_hash="0123456789ab")
    figure = catalogue.make("14", Request(runs), draw=False).shown
    panels = {panel["letter"]: panel for panel in figure["panels"]}
    assert panels["A"]["title"] == "correct τ, wrong w"
    rates, bp = (each["y"] for each in panels["A"]["lines"])
    assert rates == bp  # r0 is the input
    assert [each["look"] for each in panels["C"]["lines"]] == ["exact", "inverse", "target"]


def test_a_student_with_the_teachers_parameters_answers_as_the_teacher_and_has_no_errors() -> None:
    task = registry.task("chain")
    moment = catalogue.FIGURES["5"].moments[0]
    time, inputs, targets = chain._stream(task, moment)
    late = time >= moment.begin
    for prospective in (True, False):
        same = chain.replay(inputs, targets, torch.tensor(LAST, dtype=torch.float64), prospective)
        np.testing.assert_allclose(same["r2"][late], targets[late], atol=1e-3)
        assert same["e1"][late].abs().max() < 1e-3


def test_without_runs_the_command_is_told(runs: Path) -> None:
    with pytest.raises(GleBenchError, match="glebench run chain --model gle"):
        catalogue.make("5", Request(runs), draw=False)
