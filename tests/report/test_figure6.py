"""Figure 6 shows the courses of the small nets, and errors of GLE beside those of the adjoint method."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_runs import run

from gle_bench.recipes.small_nets import FREQUENCIES
from gle_bench.report.figures import figure6
from gle_bench.report.figures import figures as catalogue
from gle_bench.report.figures.curves import Request

FIRST, LAST = (0.6605, -0.7478), (-0.5, 1.0)  # weights before and after learning
ROUNDS = 5


def learned(runs: Path, model: str, **changes: Any) -> None:
    """A run whose weights go from the paper's first ones to the teacher's."""
    folder = run(runs, 5, [0.0] * (ROUNDS + 1), model, "small-nets", **{"marks": (), **changes})
    rows = folder.read_history()
    for row in rows:
        share = int(row["round"]) / ROUNDS
        weights = [first + share * (last - first) for first, last in zip(FIRST, LAST, strict=True)]
        row |= {**dict(zip(figure6.WEIGHTS, weights, strict=True)), "online_mse": 10.0 ** -int(row["round"])}
    folder.write_history(rows)


def drawn(runs: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figure, and its panels by letter."""
    figure = catalogue.make("6", Request(runs), draw=False).shown
    return figure, {panel["letter"]: panel for panel in figure["panels"]}


def test_courses_are_those_of_the_histories_and_errors_need_gle(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, steps in {"REPLAYED": 600, "SHOWN": 300, "BEFORE_END": 100, "AVERAGED": 50}.items():
        monkeypatch.setattr(figure6, name, steps)
    learned(runs, "adjoint-method")
    figure, panels = drawn(runs)
    assert list(panels) == ["e", "f"]
    w_i, w_r = panels["e"]["lines"]
    assert w_i["x"] == tuple(3.0 * k for k in range(1, ROUNDS + 1))
    assert (w_i["y"][-1], w_r["y"][-1]) == pytest.approx(LAST)
    assert {level["label"]: level["y"] for level in panels["e"]["levels"]} == dict(
        zip(("w_i", "w_r"), LAST, strict=True)
    )
    assert "GLE was not run; say `glebench run small-nets --model gle --seeds" in "\n".join(figure["notes"])
    learned(runs, "gle")
    learned(runs, "gle", rule="instantaneous", config_hash="0123456789ab")
    figure, panels = drawn(runs)
    assert set("".join(figure["layout"])) == panels.keys()
    assert {"A", "G", "g"} <= panels.keys()
    assert "was not run" not in "\n".join(figure["notes"])
    # An instantaneous neuron has the same errors by both methods, but for the delay of two steps.
    for letter in "BI":
        e, *_, adjoint = (np.array(each["y"]) for each in panels[letter]["lines"][:3] if len(each["x"]) > 2)
        np.testing.assert_allclose(e, adjoint, atol=0.1 * np.abs(adjoint).max())


@pytest.mark.systems
def test_errors_have_the_phases_of_the_adjoint_and_peaks_at_the_frequencies_of_the_input(runs: Path) -> None:
    """With weights early in learning; the facts tolerate 0.15 rad, and a fifth of the gain (section 4)."""
    learned(runs, "gle")
    _, panels = drawn(runs)
    omegas = np.array(panels["L"]["lines"][0]["x"])
    at = [int(np.abs(omegas - omega).argmin()) for omega in FREQUENCIES]
    values = {letter: [np.array(each["y"]) for each in panels[letter]["lines"][:2]] for letter in "GHIJKLMN"}
    for instantaneous, retrospective in ("HL", "GK"):
        e, adjoint = values[instantaneous]
        assert np.abs(e - adjoint)[at].max() < 0.05
        assert (values[retrospective][0][at] > 0.3).all()  # ahead of the output's error
    e, adjoint = values["L"]
    assert np.abs(e - adjoint)[at].max() < 0.15
    ratio = (values["N"][0] / values["N"][1])[at]
    omega = np.array(FREQUENCIES)
    assert np.abs(ratio / ((1 + omega**2) / (1 + (0.1 * omega) ** 2)) ** 2 - 1).max() < 0.2
    for heights in (*values["J"], *values["N"]):
        assert all(heights[k] >= heights[max(k - 2, 0) : k + 3].max() for k in at)
