"""What a finished command says: a line a seed, and what a reduced budget is not."""

from collections.abc import Sequence
from statistics import mean, stdev

from gle_bench import registry
from gle_bench.tracking.record import Record


def lines(records: Sequence[Record], seconds: float | None) -> list[str]:
    """The results of one configuration; `seconds` is the estimated time of the full run, if this was not it."""
    first = records[0]
    metric = registry.task(first.task).metric
    out = [f"{first.task} {first.model}  protocol {first.protocol}, budget {first.budget}, rule {first.rule}"]
    out += [f"  seed {record.seed:<4} {_result(record, metric.name, metric.unit)}" for record in records]
    values = [m[metric.name].value for r in records if r.status == "done" for m in r.metrics["last"].values()]
    if len(records) > 1 and len(values) == len(records):
        out.append(f"  mean {mean(values):.2f} ± {stdev(values):.2f} {metric.unit} (sample sd, n = {len(values)})")
    marks = [mark for mark in first.marks if not mark.startswith("budget ")]
    if marks:
        out.append(f"  Marked: {'; '.join(marks)}.")
    if first.budget != "paper":
        out.append(_not_a_reproduction(first, seconds))
    return out


def _result(record: Record, metric: str, unit: str) -> str:
    if record.status != "done":
        return f"{record.status}: {record.error or 'no result'}"
    parts = [f"{split} {metric} {values[metric].value:.2f} {unit}" for split, values in record.metrics["last"].items()]
    return f"{', '.join(parts)}  ({record.cost.wall_s:.0f} s)"


def _not_a_reproduction(record: Record, seconds: float | None) -> str:
    command = f"glebench run {record.task} --model {record.model} --budget paper --seeds paper"
    time = "" if seconds is None else f" (about {duration(seconds)} on this machine, estimated from this run)"
    return f"  Budget {record.budget} is not a reproduction; the full run is:\n    {command}{time}"


def duration(seconds: float) -> str:
    """'45 s', '12 min' or '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
