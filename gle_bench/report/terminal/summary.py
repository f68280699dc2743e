"""The texts that `glebench run` prints: what it would do (--dry-run), and at its end the results of each seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from gle_bench.contracts import Task
from gle_bench.contracts.results import averaged
from gle_bench.report.results import ConfigurationRuns
from gle_bench.report.statistics.welch import sample
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.record import Record


def preview_text(preview: Mapping[str, Any]) -> str:
    """What a run would do, and for how long, as text; `gle_bench.training.preview` makes the data."""
    head = (
        "{task} {model} ({config_hash})\n"
        "  rule {rule}, protocol {protocol}, budget {budget}, engine {engine} on {device}"
    )
    lines = [head.format(**preview)]
    lines += [f"  seed {seed:<4} cached: {status}" for seed, status in preview["cached"].items()]
    lines += [f"  seed {seed:<4} would run, in {folder}" for seed, folder in preview["to_run"].items()]
    if preview["to_run"]:
        lines.append(
            f"  {preview['rounds']} rounds from the start: about {duration(preview['seconds'])}, "
            "estimated from a few steps on this machine"
        )
    if preview["full_seconds"] is not None and preview["budget"] != "paper":
        lines.append(f"  the full run would take about {duration(preview['full_seconds'])}, estimated likewise:")
        lines.append(f"    {preview['full_command']}")
    return "\n".join(lines)


def lines(records: Sequence[Record], task: Task) -> list[str]:
    """The results of one configuration: a line for each seed, and their mean."""
    first, metric = records[0], task.metric
    out = [f"{first.task} {first.model}  protocol {first.protocol}, budget {first.budget}, rule {first.rule}"]
    out += [f"  seed {record.seed:<4} {_result(record, metric.name, metric.unit)}" for record in records]
    runs = ConfigurationRuns(tuple(records), first.marks)
    for split in runs.done[0].metrics["last"] if runs.done else ():
        for what, name in (("mean", metric.name), ("mean, averaged weights,", averaged(metric.name))):
            values = [*runs.values("last", split, name).values()]
            if len(values) > 1:
                ours = sample(values)
                spread = f"± {ours.sd:.2f} {metric.unit} (sample sd, n = {ours.n})"
                out.append(f"  {split} {what} {ours.mean:.2f} {spread}")
    marks = [str(mark) for mark in first.marks if mark.kind != "budget"]
    if marks:
        out.append(f"  Marked: {'; '.join(marks)}.")
    return out


def _result(record: Record, metric: str, unit: str) -> str:
    if record.status != "done":
        return f"{record.status}: {record.error or 'no result'}"
    parts = []
    for split, values in record.metrics["last"].items():
        for name, words in ((metric, f"{split} {metric}"), (averaged(metric), "averaged")):
            if name in values:
                parts.append(f"{words} {values[name].value:.2f} {unit}")
    return f"{', '.join(parts)}  ({record.cost.wall_s:.0f} s)"
