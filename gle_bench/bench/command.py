"""The command `glebench bench`: measures with a progress bar, and makes a table of the rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.progress import Progress

from gle_bench.bench.cases import PAPER_RULE, Case, Missing, cases
from gle_bench.bench.measure import measure, ticks
from gle_bench.errors import UsageError, clipped
from gle_bench.surroundings import streams
from gle_bench.surroundings.machine import usable_cores

HEADER = ("network", "engine", "threads", "networks", "ms/step", "GFLOP/s", "sgemm", "ratio", "peak MiB")
RULE_HEADER = ("rule", "x gle")  # of the columns after the engine, where rules are compared
MOST = 10_000  # largest value of --threads, --repeats and --steps
LEGEND = """\
ms/step   wall milliseconds of a learning step, a network
GFLOP/s   of all networks: 6 x parameters x batch a step and network
sgemm     GFLOP/s of a 1000 x 1000 x 1000 float32 product on one thread, between the repeats; ratio: GFLOP/s over it
peak MiB  rise of memory while the networks were set up and took their first 10 steps"""
RULE_LEGEND = "x gle     ms/step over that of rule gle by the same engine"


def bench(
    networks: Iterable[str],
    engines: Iterable[str],
    threads: int | None,
    repeats: int,
    steps: int | None,
    rules: Iterable[str] = (),
) -> dict[str, Any]:
    """Measures the cases of these networks and engines (empty: all); returns the rows and what was not measured.

    Rules are compared with `gle`, by one network on one thread.

    Raises:
        UsageError: a name is unknown, a number is out of range, or nothing can be measured here.
    """
    for option, value in (("--threads", threads), ("--repeats", repeats), ("--steps", steps)):
        if value is not None and not 1 <= value <= MOST:
            raise UsageError(f"{option} {clipped(str(value))}: must be from 1 to {MOST:,}.")
    measurable, missing = cases(networks, engines, threads or usable_cores(), rules)
    if not measurable:
        raise UsageError(f"Nothing to measure here: {'; '.join(_reasons(missing))}; name another --engine.")
    with _progress(measurable, repeats) as tick:
        rows, refused = measure(measurable, repeats, steps, tick)
    return {
        "rows": [asdict(row) for row in rows],
        "not_measured": [one._asdict() for one in [*missing, *refused]],
        "repeats": repeats,
        "cores": usable_cores(),
        "device": "cuda" if any(case.device == "cuda" for case in measurable) else "cpu",
    }


def as_text(measured: dict[str, Any]) -> str:
    """The rows as a table, with a legend and with the cases that were not measured."""
    machine = measured["machine"]
    where = f"{machine['cpu']}, {measured['cores']} cores" + (f", {machine['gpu']}" if machine["gpu"] else "")
    title = f"Measured on this machine now ({where}): medians, --repeats {measured['repeats']}, in turns."
    rows, legend, names = [HEADER, *map(_cells, measured["rows"])], [LEGEND], 2
    if any(row["rule"] != PAPER_RULE for row in measured["rows"]):
        beside = [RULE_HEADER, *map(_rule_cells, measured["rows"])]
        rows = [(*row[:2], *more, *row[2:]) for row, more in zip(rows, beside, strict=True)]
        legend.append(RULE_LEGEND)
        names = 3
    lines = [*_table(rows, names), "", *legend]
    missing = [Missing(**one) for one in measured["not_measured"]]
    return "\n".join([title, "", *lines, *(f"Not measured: {reason}." for reason in _reasons(missing))])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["network"],
        row["engine"],
        str(row["threads"]),
        str(row["networks"]),
        f"{row['ms_per_step']:#.3g}",
        f"{row['gflops']:.1f}",
        f"{row['sgemm_gflops']:.1f}",
        f"{row['flops_over_sgemm']:.2f}",
        "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.1f}",
    )


def _rule_cells(row: dict[str, Any]) -> tuple[str, str]:
    return row["rule"], "" if row["over_gle"] is None else f"{row['over_gle']:.2f}"


def _table(rows: Sequence[tuple[str, ...]], names: int = 2) -> list[str]:
    """The rows as lines of text, with aligned columns: so many names to the left, and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < names else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _reasons(missing: Iterable[Missing]) -> list[str]:
    """The reasons why cases could not be measured, one clause each, with the networks that it applies to."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for one in missing:
        where = "" if one.threads is None else f" with {one.networks} on {one.threads} threads"
        grouped.setdefault((one.engine, one.reason), []).append(one.network + where)
    return [f"{engine} ({', '.join(names)}): {reason}" for (engine, reason), names in grouped.items()]


@contextmanager
def _progress(measurable: Sequence[Case], repeats: int) -> Iterator[Callable[[], None]]:
    """Shows a progress bar on standard error, removed at the end; one line if that is no terminal."""
    console = streams.console()
    title = f"{len(measurable)} rows, --repeats {repeats}"
    if not console.is_terminal:
        console.print(f"Measuring {title}, in turns.", highlight=False, soft_wrap=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=ticks(len(measurable), repeats))
        yield lambda: progress.advance(task)
