"""Tests of lines in plain characters."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from gle_bench.report.terminal.curve import FINE, chart, curve, span

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


@settings(max_examples=50)
@given(st.lists(st.floats(), max_size=100), st.integers(20, 100), st.integers(1, 12))
def test_a_curve_keeps_to_its_field(values: list[float], width: int, height: int) -> None:
    lines = curve(values, width, height)
    assert len(lines) == (height if any(map(math.isfinite, values)) else 0)
    assert all(len(line) <= width and line.isascii() and line.isprintable() for line in lines)


def heights(lines: list[str]) -> dict[int, int]:
    """The height of a lone curve in each column, in thirds of a row."""
    start = lines[0].index("|") + 1
    return {
        column: 3 * (len(lines) - row) + FINE.index(character)
        for row, line in enumerate(lines)
        for column, character in enumerate(line[start:])
        if character in FINE
    }


@settings(max_examples=50)
@given(VALUES)
def test_a_curve_that_rises_is_drawn_rising_in_every_column(values: list[float]) -> None:
    drawn = heights(curve(sorted(values), 60, 8))
    ordered = [drawn[column] for column in sorted(drawn)]
    assert ordered == sorted(ordered)
    assert set(drawn) == set(range(max(drawn) + 1))  # no gap


@settings(max_examples=50)
@given(VALUES)
def test_the_ends_of_the_axis_are_the_extremes(values: list[float]) -> None:
    first, *_, last = curve(values, 60, 5)
    assert math.isclose(float(first.partition("|")[0]), max(values), rel_tol=1e-3, abs_tol=1e-3)
    assert math.isclose(float(last.partition("|")[0]), min(values), rel_tol=1e-3, abs_tol=1e-3)


def test_gaps_stay_empty_and_what_lies_beyond_the_axis_is_marked() -> None:
    assert curve([1.0, math.nan, 1.0], 8, 1) == ["1 |-   -"]
    drawn = chart([[(0, 0.0), (1, 5.0), (2, 1.0)]], 9, 2, limits=(0.0, 1.0))
    assert any("^" in line for line in drawn)


def test_several_lines_are_told_apart_by_letters() -> None:
    lines = chart([[(0, 0.0), (1, 0.0)], [(0, 1.0), (1, 1.0)]], 20, 3, x_axis=True)
    assert set(lines[0].partition("|")[2]) == {"b"}
    assert set(lines[2].partition("|")[2]) == {"a"}
    assert lines[-1].split() == ["0", "1"]


@settings(max_examples=50)
@given(st.tuples(*[st.floats(-10, 10)] * 3), st.integers(5, 40))
def test_an_interval_has_its_mean_between_its_ends(values: tuple[float, float, float], width: int) -> None:
    low, middle, high = sorted(values)
    text = span(low, middle, high, (-10, 10), width)
    assert len(text) == width
    assert text.count("*") == 1
    assert text.strip().strip("|").replace("-", "").replace("|", "") in ("*", "")
