"""Numbers as tables print them."""

from typing import Final

from gle_bench.contracts import Published
from gle_bench.report.statistics.welch import Sample

MOST_DECIMALS: Final = 8


def places(value: float) -> int:
    """Digits after the point of the shortest decimal that is this number; 1 for 94.0, as the paper prints it."""
    _, _, fraction = f"{value:.{MOST_DECIMALS}f}".rstrip("0").partition(".")
    return max(1, len(fraction))


def published_text(cell: Published) -> str:
    """'94.0±1.1', without the spread where it is unknown."""
    digits = max(places(value) for value in (cell.value, cell.spread or 0.0))
    return f"{cell.value:.{digits}f}{'' if cell.spread is None else f'±{cell.spread:.{digits}f}'}"


def sample_text(ours: Sample, decimals: int) -> str:
    """'93.52±0.53', without the spread of a single value."""
    return f"{ours.mean:.{decimals}f}{'' if ours.sd is None else f'±{ours.sd:.{decimals}f}'}"
