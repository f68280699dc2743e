"""Figures 5, 14 and 15 show what the histories of the chain hold, and replay its neurons with recorded parameters."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figure_runs import run

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.config import RateNoiseConfig
from gle_bench.dynamics.seams import NO_SEAMS
from gle_bench.errors import GleBenchError
from gle_bench.paper import NOISE
from gle_bench.recipes.chain import DT
from gle_bench.report.figures import chain
from gle_bench.report.figures import figures as catalogue
from gle_bench.report.figures.courses import stream
from gle_bench.report.figures.curves import Request

ROUNDS = 4
LAST = (1.0, 2.0, 1.0, 2.0)  # the teacher's weights and time constants


def learned(runs: Path, rule: str, noise: Sequence[RateNoiseConfig] = (), **changes: Any) -> None:
    """A run whose parameters go from 0.5 to the teacher's."""
    config = registry.pair("chain", "gle").configure("paper").model_copy(update={"disturbances": tuple(noise)})
    changes = {"config": config.model_dump(mode="json"), "marks": (), "rule": rule, **changes}
    folder = run(runs, 0, [0.0] * (ROUNDS + 1), "gle", "chain", **changes)
    rows = folder.read_history()
    for row in rows:
        share = int(row["round"]) / ROUNDS
        row |= {name: 0.5 + share * (end - 0.5) for name, end in zip(chain.PARAMETERS, LAST, strict=True)}
        row |= {"online_mse": 0.01 * len(noise) + 10.0 ** -int(row["round"]), "mse": 10.0 ** -int(row["round"])}
    folder.write_history(rows)


def shown(name: str, runs: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figure, and its panels by letter."""
    figure = catalogue.make(name, Request(runs), draw=False).shown
    return figure, {panel["letter"]: panel for panel in figure["panels"]}


def test_figures_5_and_14_draw_histories_and_replays(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "WARM", 4.0)
    learned(runs, "gle")
    figure, panels = shown("5", runs)
    assert list(panels) == ["w", "t", "l"]  # replays need GLE and BP
    first, second = panels["w"]["lines"]
    assert first["x"] == tuple(4.0 * k for k in range(1, ROUNDS + 1))
    assert (first["y"][-1], second["y"][-1]) == LAST[:2]
    assert [level["y"] for level in panels["t"]["levels"]] == [1, 2]
    assert panels["l"]["lines"][0]["y"][-1] == pytest.approx(1e-4)
    assert "BP was not run; say `glebench run chain --model gle --rule instantaneous" in "\n".join(figure["notes"])
    learned(runs, "instantaneous", config_hash="0123456789ab")
    _, panels = shown("14", runs)
    assert panels["A"]["title"] == "correct τ, wrong w"
    rates, bp = (each["y"] for each in panels["A"]["lines"])
    assert rates == bp  # r0 is the input
    assert [each["look"] for each in panels["C"]["lines"]] == ["exact", "inverse", "target"]


def test_figure_15_shows_runs_with_its_noise_alone_and_takes_the_noise_out_of_the_loss(runs: Path) -> None:
    learned(runs, "gle")
    with pytest.raises(GleBenchError, match="rate-noise") as refused:
        shown("15", runs)
    command = shlex.split(re.findall(r"`glebench (.*?)`", str(refused.value))[1])
    assert command[command.index("--rule") + 1] == "instantaneous"
    setting = command[command.index("--set") + 1]
    assert resolve("chain", "gle", "instantaneous", "paper", "paper", [setting]).config.disturbances == NOISE
    learned(runs, "gle", NOISE, config_hash="0123456789ab")
    learned(runs, "instantaneous", (RateNoiseConfig(kind="rate-noise", std=0.2),), config_hash="0123456789ac")
    figure, panels = shown("15", runs)
    assert list(panels) == ["w", "t", "l"]
    learning, copy = panels["l"]["lines"]
    np.testing.assert_allclose(learning["y"], copy["y"], rtol=1e-9)
    assert len(panels["w"]["lines"]) == 2
    assert "BP was not run" in "\n".join(figure["notes"])


def test_a_replay_with_noise_has_it_on_every_rate_and_without_it_is_the_same_as_ever() -> None:
    subject = catalogue.FIGURES["15"]
    inputs, targets = (signal[:400] for signal in stream(registry.task("chain"), DT, 0.0, 4.0)[1:])
    parameters = torch.tensor(LAST, dtype=torch.float64)
    seams = chain._noise(subject, 0)
    noisy, again, quiet = (chain.replay(inputs, targets, parameters, True, own) for own in (seams, seams, NO_SEAMS))
    for name in ("r0", "r1", "r2"):
        assert torch.equal(noisy[name], again[name])
        assert not torch.equal(noisy[name], quiet[name])
    added = noisy["r0"] - inputs
    assert float(added.std()) == pytest.approx(0.1, rel=0.4)
    assert float((added[1:] - added[:-1]).abs().max()) < 0.05  # it changes smoothly from step to step
    assert torch.equal(quiet["r0"], inputs)


def test_a_student_with_the_teachers_parameters_answers_as_the_teacher_and_has_no_errors() -> None:
    moment = catalogue.FIGURES["5"].moments[0]
    time, inputs, targets = stream(registry.task("chain"), DT, moment.begin - chain.WARM, moment.end)
    late = time >= moment.begin
    for prospective in (True, False):
        same = chain.replay(inputs, targets, torch.tensor(LAST, dtype=torch.float64), prospective)
        np.testing.assert_allclose(same["r2"][late], targets[late], atol=1e-3)
        assert same["e1"][late].abs().max() < 1e-3


def test_without_runs_the_command_is_told(runs: Path) -> None:
    with pytest.raises(GleBenchError, match="glebench run chain --model gle"):
        catalogue.make("5", Request(runs), draw=False)


@pytest.mark.systems
def test_published_runs_with_noise_learn_by_gle_what_instantaneous_errors_do_not(tmp_path: Path) -> None:
    """Of the frozen networks without noise, GLE's loss is less than half of BP's at the end."""
    try:
        _, panels = shown("15", tmp_path / "none")
    except GleBenchError as missing:
        pytest.skip(str(missing))
    copies = {each["label"].partition(",")[0]: each["y"] for each in panels["l"]["lines"] if "copy" in each["label"]}
    assert np.mean(copies["GLE"][-50:]) < np.mean(copies["BP"][-50:]) / 2
