"""Figures 3, 11 and 12 show the closed forms of the paper, and simulated neurons within 1e-3 of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import glebench

from gle_bench.paper import SKETCHES


def drawn(name: str, folder: Path) -> dict[str, list[list[dict[str, Any]]]]:
    """What the command draws: {letter of a panel: its lines}; the dots of each curve follow its line."""
    out = folder / f"{name}.svg"
    done = glebench("figure", name, "--json", "--out", out)
    assert done.code == 0, done
    assert out.read_text().startswith("<?xml")
    figure = json.loads(done.out)
    assert figure["title"].startswith(f"Figure {name} - ")
    assert "measured after 20 time constants over whole periods" in figure["notes"][0]
    return {panel["letter"]: panel["lines"] for panel in figure["panels"]}


def at(curve: dict[str, Any], x: float) -> float:
    """The value of a line at one of its points."""
    place = int(np.abs(np.array(curve["x"]) - x).argmin())
    assert curve["x"][place] == pytest.approx(x, rel=1e-9, abs=1e-9)
    return float(curve["y"][place])


def named(lines: list[dict[str, Any]], label: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The closed form of a curve and its dots, which have the same colour and follow it."""
    (place,) = (k for k, each in enumerate(lines) if each["label"] == label)
    dots = next(each for each in lines[place:] if each["look"] == "dots")
    assert dots["color"] == lines[place]["color"]
    return lines[place], dots


def check(lines: list[dict[str, Any]], label: str, expected: Any) -> np.ndarray:
    """Compares the line with its closed form, and the dots with it up to 1e-3; returns the line."""
    curve, dots = named(lines, label)
    np.testing.assert_allclose(curve["y"], expected(np.array(curve["x"])), rtol=1e-12, atol=1e-12)
    exact = expected(np.array(dots["x"]))
    assert (np.abs(np.array(dots["y"]) - exact) < 1e-3 * np.maximum(1, np.abs(exact))).all(), label
    return np.array(curve["y"])


def test_figure_3_has_the_shifts_and_gains_of_all_operators(tmp_path: Path) -> None:
    panels = drawn("3", tmp_path)
    forms = {"I-": lambda w: 1 / (1 + 1j * w), "D+": lambda w: 1 + 1j * w}
    forms |= {"I+": lambda w: 1 / (1 - 1j * w), "D-": lambda w: 1 - 1j * w}
    for name, form in forms.items():
        check(panels["b"], name, lambda w, form=form: np.angle(form(w)))
        check(panels["c"], name, lambda w, form=form: np.abs(form(w)))
    combined = {
        "neuron r": lambda w: (1 + 0.1j * w) / (1 + 1j * w),
        "GLE error e": lambda w: (1 + 1j * w) / (1 + 0.1j * w),
        "adjoint λ": lambda w: (1 - 0.1j * w) / (1 - 1j * w),
    }
    phases = {name: check(panels["d"], name, lambda w, f=f: np.angle(f(w))) for name, f in combined.items()}
    gains = {name: check(panels["e"], name, lambda w, f=f: np.abs(f(w))) for name, f in combined.items()}
    neuron, errors, adjoint = combined
    np.testing.assert_allclose(phases[errors], phases[adjoint], atol=1e-12)
    np.testing.assert_allclose(phases[errors], -phases[neuron], atol=1e-12)
    np.testing.assert_allclose(gains[errors] * gains[adjoint], 1)
    assert at(named(panels["d"], errors)[0], 1) == pytest.approx(0.68573, abs=1e-5)
    assert at(named(panels["d"], neuron)[0], 1) == pytest.approx(-0.68573, abs=1e-5)
    assert at(named(panels["e"], errors)[0], 1) == pytest.approx(1.40720, abs=1e-5)
    assert at(named(panels["e"], adjoint)[0], 1) == pytest.approx(0.71063, abs=1e-5)
    assert phases[errors].max() == pytest.approx(0.95824, abs=1e-5)  # at omega = 1/sqrt(tau_m tau_r)
    assert gains[errors][-1] == pytest.approx(10, abs=0.06)
    component = {each["label"]: each for each in panels["a"] if each["label"]}
    assert max(component["I-{input}"]["y"]) == pytest.approx(2**-0.5, rel=5e-3)
    assert max(component["D+{input}"]["y"]) == pytest.approx(2**0.5, rel=5e-3)
    same = component["D+{I-{input}}"]
    expected = np.interp(same["x"], component["input"]["x"], component["input"]["y"])
    np.testing.assert_allclose(same["y"], expected, atol=1e-3)


# tau_r/tau_m: phase, gain of GLE
RATIOS = {-1: (np.pi / 2, 1), 0: (0.78540, 1.41421), 0.5: (0.32175, 1.26491), 1: (0, 1), 2: (-0.32175, 0.63246)}


def test_figure_11_has_the_published_values_against_the_ratio(tmp_path: Path) -> None:
    panels = drawn("11", tmp_path)
    for name, gain in (
        ("GLE", lambda x: np.sqrt(2 / (1 + x**2))),
        ("AM", lambda x: np.sqrt((1 + x**2) / 2)),
    ):
        check(panels["a"], name, lambda x: np.pi / 4 - np.arctan(x))
        check(panels["b"], name, gain)
        for x, (phase, of_gle) in RATIOS.items():
            for curve in named(panels["a"], name):
                assert at(curve, x) == pytest.approx(phase, abs=1e-3)
            for curve in named(panels["b"], name):
                assert at(curve, x) == pytest.approx(of_gle if name == "GLE" else 1 / of_gle, abs=1e-3)


# omega: phase and gain of the voltage-driven neuron, then of the input-driven one
ADAPTATION = {
    0.1: (0.0741, 0.08295, 0.8969, 0.10079),
    0.5: (0.3431, 0.09196, 0.5794, 0.36907),
    1.0: (0.5649, 0.11832, 0.0, 0.47368),
    2.0: (0.6438, 0.22092, -0.6264, 0.39107),
    5.0: (-1.0487, 0.32745, -1.1653, 0.19146),
    10.0: (-1.4422, 0.11295, -1.3657, 0.09890),
}


def test_figure_12_has_both_neurons_exact_simulated_and_to_first_order(tmp_path: Path) -> None:
    panels = drawn("12", tmp_path)
    strong, weak = 10 / 0.9, 1.81 / 1.9
    neurons = {
        "voltage-driven": (lambda w: (1 + 0.9j * w) / ((1 + 0.9j * w) * (1 + 1j * w) + strong), 0.743119, 10 / 3),
        "input-driven": (lambda w: ((1 + 0.9j * w) - weak) / ((1 + 0.9j * w) * (1 + 1j * w)), 17.1, 1.0),
    }
    for number, (name, (form, slope, crossing)) in enumerate(neurons.items()):
        check(panels["a"], name, lambda w, form=form: np.angle(form(w)))
        check(panels["b"], name, lambda w, form=form: np.abs(form(w)))
        (dashed,) = (each for each in panels["a"] if each["label"] == f"{name}, first order")
        assert dashed["look"] == "approximate"
        np.testing.assert_allclose(dashed["y"], np.arctan(slope * np.array(dashed["x"])), atol=1e-6)
        phases, gains = (named(panels[letter], name)[1] for letter in "ab")
        for omega, values in ADAPTATION.items():
            phase, gain = values[2 * number : 2 * number + 2]
            assert at(phases, omega) == pytest.approx(phase, abs=1e-3)
            assert at(gains, omega) == pytest.approx(gain, abs=1e-3)
        assert at(phases, crossing) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("name", ["1", "13"])
def test_a_figure_without_data_is_told_in_one_sentence(name: str, tmp_path: Path) -> None:
    told = glebench("figure", name)
    assert (told.code, told.err) == (0, "")
    assert told.out == f"Figure {name} is a sketch without data, and is not drawn here; it shows {SKETCHES[name]}.\n"
    assert json.loads(glebench("figure", name, "--json").out)["sketch"] == told.out.strip()
    refused = glebench("figure", name, "--out", tmp_path / "out.png")
    assert refused.code == 2
    assert "is a sketch" in refused.told


@pytest.mark.parametrize("option", [("--model", "gle"), ("--seed", "1"), ("--protocol", "clean")])
def test_options_that_choose_runs_are_refused_where_there_are_none(option: tuple[str, str]) -> None:
    refused = glebench("figure", "11", *option)
    assert refused.code == 2
    assert refused.told == f"Error: {' '.join(option)}: figure 11 is computed without runs; leave it out."
