"""The pairs of `glebench list pairs`: every task with every model, as a grid of sizes or one line a pair."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import ValidationError

from gle_bench import plugins, registry
from gle_bench.config import RunConfig
from gle_bench.contracts import Pair, Task
from gle_bench.contracts.parameters import parameter_count
from gle_bench.errors import GleBenchError, look_up
from gle_bench.report.results import gather
from gle_bench.report.terminal.listing import aligned
from gle_bench.surroundings import streams
from gle_bench.tracking.estimates import duration, run_seconds
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import Skipped
from gle_bench.words import BUDGETS, Budget

WIDTH: Final = 100  # columns at most
PROMISED: Final = ("gle", "mlp", "tcn", "gru", "lstm", "esn")  # the models that each of our tasks shall have
Status = Literal["pair", "refused", "no recipe"]
SIGNS: Final[dict[Status, str]] = {"refused": "x", "no recipe": "-"}
LEGEND: Final = (
    "Numbers: learned parameters. x: does not suit the task. -: no recipe yet.\n"
    "`glebench list pairs TASK`, or --all, says why, with steps, rules and times."
)
TIMES: Final = "Times: estimates for one seed, from recorded runs on the machines that made them. ?: no run tells."


class PairRow(NamedTuple):
    """A task and a model together, a pair or not.

    Attributes:
        status: 'pair'; 'refused', for a reason that holds; or 'no recipe', where nobody has written one.
        reason: why there is no pair, or why the pair cannot be trained; None for a pair.
        parameters, steps, inputs, rule: learned parameters, time steps and channels of a sample, the pair's own rule;
            None where there is no pair.
        seconds: the estimated seconds of one seed by budget; None where no recorded run tells.
    """

    task: str
    model: str
    status: Status
    reason: str | None = None
    parameters: int | None = None
    steps: int | None = None
    inputs: int | None = None
    rule: str | None = None
    seconds: dict[Budget, float | None] = {}  # noqa: RUF012 - never changed


def rows(task: str | None, runs: Path) -> tuple[list[dict[str, Any]], list[Skipped]]:
    """A row for every model with that task, or with every task; and the records that could not be read.

    Sizes and times are read from the records in `runs` and from the published ones. Only the size of a network without
    a record is counted, for which PyTorch is imported.

    Raises:
        UnknownName: there is no such task.
    """
    tasks = registry.places("tasks")
    if task is not None:
        look_up("task", task, tasks)
    found, skipped = gather(runs)
    records: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for _, record in found:
        records[record.task, record.model].append(record)
    pairs = {(pair.task, pair.model): pair for pair in registry.pairs()}
    models = dict.fromkeys([*PROMISED, *(model for _, model in pairs)])
    made = []
    for name in tasks if task is None else [task]:
        try:
            its_task = registry.task(name)
        except GleBenchError as error:  # a plugin's
            plugins.complain(str(error))
            continue
        made += [_row(its_task, model, pairs.get((name, model)), records)._asdict() for model in models]
    return made, skipped


def _row(task: Task, model: str, pair: Pair | None, records: dict[tuple[str, str], list[Record]]) -> PairRow:
    if pair is None:
        reason = registry.absence(task.name, model)
        return PairRow(task.name, model, "no recipe" if reason == registry.NO_RECIPE else "refused", reason)
    config = pair.configure("paper")
    own = records[task.name, config.model]  # a pair under a second name has the records of the first
    try:
        with plugins.guarded(f"Model {model}"):
            refusal = registry.rule(config.rule).refusal(config.network)
            steps, inputs, _ = task.shape(config.options)
            parameters = _parameters(task, config, own)
            times = {budget: run_seconds(task, pair.configure(budget), own) for budget in BUDGETS}
    except GleBenchError as error:
        return PairRow(task.name, model, "refused", str(error).rstrip("."))
    refused = None if refusal is None else f"rule {config.rule} cannot train it: {refusal}"
    status: Status = "pair" if refused is None else "refused"
    return PairRow(task.name, model, status, refused, parameters, steps, inputs, config.rule, times)


def _parameters(task: Task, config: RunConfig, records: Sequence[Record]) -> int:
    """The number of learned parameters, from a record of the same network if there is one."""
    of_networks = {record.config_hash: record for record in records}
    recorded = (record.parameters for record in of_networks.values() if _same_network(task, config, record))
    count = next(recorded, None)
    return parameter_count(task, config) if count is None else count


def _same_network(task: Task, config: RunConfig, record: Record) -> bool:
    try:
        network = type(config.network).model_validate(record.config["network"])
        options = type(config.options).model_validate(record.config["options"])
    except (ValidationError, KeyError):
        return False
    return network == config.network and task.shape(options) == task.shape(config.options)


def grid(listed: Sequence[dict[str, Any]]) -> str:
    """The rows as a grid of sizes: a line for each model, those that every task shall have first; a column a task."""
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for row in listed:
        cells[row["model"]][row["task"]] = _size(row)
    tasks = list(dict.fromkeys(row["task"] for row in listed))
    lines = [[model, *(of_model[task] for task in tasks)] for model, of_model in cells.items()]
    table = aligned([["MODEL", *(task.upper() for task in tasks)], *lines], right=range(1, len(tasks) + 1))
    return f"{table}\n\n{LEGEND}"


def as_text(listed: Sequence[dict[str, Any]]) -> str:
    """The rows as a line for each pair, and then the models without a pair with the reason, task by task."""
    tasks = dict.fromkeys(row["task"] for row in listed)
    header = ["TASK", "MODEL", "PARAMETERS", "STEPS", "INPUTS", "RULE", *(budget.upper() for budget in BUDGETS)]
    lines = [header, *(_line(row) for row in listed if row["status"] == "pair")]
    left_out = 1 if len(tasks) == 1 else 0  # one task needs no column, and without it 80 columns are enough
    table = aligned([line[left_out:] for line in lines], right=[column - left_out for column in (2, 3, 4, 6, 7, 8)])
    blocks = [table, textwrap.fill(TIMES, _width())]
    for task in tasks:
        by_reason: dict[str, list[str]] = defaultdict(list)
        for row in listed:
            if row["task"] == task and row["status"] != "pair":
                by_reason[row["reason"]].append(row["model"])
        if by_reason:
            blocks.append("\n".join([f"Not with {task}:", *(absent_line(*each) for each in by_reason.items())]))
    return "\n\n".join(blocks)


def absent_line(reason: str, models: Iterable[str]) -> str:
    """Models without a pair, and the reason, on lines of at most 100 columns, or of a narrower terminal's."""
    return textwrap.fill(f"{', '.join(models)}: {reason}.", _width(), initial_indent="  ", subsequent_indent="    ")


def _width() -> int:
    return min(WIDTH, streams.columns(WIDTH))


def _line(row: dict[str, Any]) -> list[str]:
    times = [row["seconds"].get(budget) for budget in BUDGETS]
    size = [f"{row['parameters']:,}", str(row["steps"]), str(row["inputs"])]
    return [row["task"], row["model"], *size, row["rule"], *("?" if t is None else f"~{duration(t)}" for t in times)]


def _size(row: dict[str, Any]) -> str:
    return f"{row['parameters']:,}" if row["status"] == "pair" else SIGNS[row["status"]]
