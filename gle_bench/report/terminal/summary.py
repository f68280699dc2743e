"""What a finished command says: a line a seed, and what a reduced budget is not."""

from collections.abc import Sequence
from statistics import mean, stdev

from gle_bench.contracts import Task
from gle_bench.contracts.command import RunCommand
from gle_bench.contracts.results import averaged
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.record import Record


def lines(records: Sequence[Record], seconds: float | None, task: Task, own_rule: str) -> list[str]:
    """The results of one configuration, for a reader.

    Args:
        seconds: the estimated time of the full run, if this was not it.
        own_rule: the rule by which the model learns unless another one is chosen.
    """
    first, metric = records[0], task.metric
    out = [f"{first.task} {first.model}  protocol {first.protocol}, budget {first.budget}, rule {first.rule}"]
    out += [f"  seed {record.seed:<4} {_result(record, metric.name, metric.unit)}" for record in records]
    done = [record.metrics["last"] for record in records if record.status == "done"]
    for split in done[0] if len(done) > 1 else ():
        for what, name in (("mean", metric.name), ("mean, averaged weights,", averaged(metric.name))):
            measured = [splits[split][name] for splits in done if name in splits.get(split, {})]
            values = [each.value for each in measured if each.usable]
            if len(values) > 1:
                spread = f"± {stdev(values):.2f} {metric.unit} (sample sd, n = {len(values)})"
                out.append(f"  {split} {what} {mean(values):.2f} {spread}")
    marks = [str(mark) for mark in first.marks if mark.kind != "budget"]
    if marks:
        out.append(f"  Marked: {'; '.join(marks)}.")
    if first.budget != "paper":
        out.append(_not_a_reproduction(first, seconds, own_rule))
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


def _not_a_reproduction(record: Record, seconds: float | None, own_rule: str) -> str:
    rule = record.rule if record.rule != own_rule else None
    command = RunCommand(record.task, record.model, rule, protocol=record.protocol)
    time = "" if seconds is None else f" (about {duration(seconds)} on this machine, estimated from this run)"
    return f"  Budget {record.budget} is not a reproduction; the full run is:\n    {command}{time}"
