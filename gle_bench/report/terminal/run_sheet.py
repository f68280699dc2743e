"""Descriptions of tasks, models and runs as text for a terminal."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from gle_bench.report.tables.numbers import places

WIDTH: Final = 120  # columns
RIGHT: Final = ("parameters", "steps", "samples", "n", "update", "epoch", "a sample", "a time step")  # whole numbers


def as_text(description: Mapping[str, Any]) -> str:
    """Text of at most 120 columns for what `gle_bench.report.terminal.show` describes."""
    pages = {"task": _task, "model": _model, "run": _run}
    file = io.StringIO()
    # Fixed width and no colours: the same in a terminal, a pipe and a test. Brackets and colons are no markup.
    console = Console(
        file=file, width=WIDTH, color_system=None, highlight=False, markup=False, emoji=False, force_terminal=False
    )
    console.print(Group(*pages[description["kind"]](description)))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")


def _task(task: Mapping[str, Any]) -> Iterable[RenderableType]:
    shape, metric = task["shape"], task["metric"]
    yield task["summary"]
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    evaluated = [f"{name} (watches {protocol['evaluated_on']})" for name, protocol in task["protocols"].items()]
    yield _fields(
        {
            "task": f"{task['name']} (version {task['version']})",
            "shape": f"{shape['steps']} time steps, {shape['inputs']} -> {shape['outputs']} channels",
            "metric": f"{metric['name']}{unit}, {metric['better']} is better; loss {task['loss']}",
            "protocols": ", ".join(evaluated),
        }
    )
    yield _heading("Models")
    yield _models(task["models"])
    if task["published"]:
        yield _heading("Published")
        yield _published(task["published"])
    yield from _notes(task["notes"])


def _models(models: Sequence[Mapping[str, Any]]) -> Table:
    lines = [
        [m["name"], f"{m['parameters']:,}", m["rule"], str(m["steps"]), _seeds(m["seeds"]), m["summary"]]
        for m in models
    ]
    return _table(("model", "parameters", "rule", "steps", "seeds", ""), lines)


def _published(cells: Sequence[Mapping[str, Any]]) -> Table:
    lines = []
    for cell in cells:
        digits = max(places(value) for value in (cell["value"], cell["spread"] or 0.0))
        spread = "" if cell["spread"] is None else f" ± {cell['spread']:.{digits}f}"
        lines.append(
            [
                cell["model"],
                f"{cell['value']:.{digits}f}{spread}",
                cell["spread_kind"],
                _number(cell["n"]),
                cell["selection"],
                cell["split"],
                "no verdict" if cell["margin"] is None else f"{cell['margin']:g}",
                cell["source"],
            ]
        )
    return _table(("model", "value", "spread", "n", "selection", "split", "margin ±", "source"), lines)


def _model(model: Mapping[str, Any]) -> Iterable[RenderableType]:
    for on in model["tasks"]:
        granted = ", ".join(name.replace("_", " ") for name, yes in on["footing"].items() if yes)
        yield f"{model['name']} on {on['task']}: {on['summary']}"
        yield _fields(
            {
                "parameters": f"{on['parameters']:,}",
                "rule": f"{on['rule']}{f' ({granted})' if granted else ''}",
                "time steps": str(on["steps"]),
                "seeds": f"{_seeds(on['seeds'])} (the paper's)",
            }
            | {part: _settings(values) for part, values in on["config"].items()}
        )
        yield from _notes(on["notes"])


def _official(data: Mapping[str, Any]) -> str:
    return "official" if data["official"] else "NOT official"


def _run(run: Mapping[str, Any]) -> Iterable[RenderableType]:
    record, data = run["record"], run["record"]["data"]
    error = f" ({record['error']})" if record["error"] else ""
    yield f"{record['run_id']}: {record['status']}{error}"
    yield _fields(
        {
            "run": f"{record['task']}, {record['model']}, rule {record['rule']}, seed {record['seed']}",
            "protocol": f"{record['protocol']}, budget {record['budget']}",
            "marks": "; ".join(record["marks"]) or "none",
            "data": "; ".join([f"{_official(data)}, {data['fingerprint'][:12]}", *data.get("notes", ())]),
            "parameters": f"{record['parameters']:,}",
            "cost": _cost(record["cost"]),
            "environment": _environment(record["environment"]),
            "sittings": str(len(record["lineage"])),
            "folder": run["folder"],
        }
    )
    if record["metrics"]:
        yield _heading("Results")
        lines = [
            [selection, split, name, _number(measured["value"]), str(measured["n"])]
            for selection, splits in record["metrics"].items()
            for split, metrics in splits.items()
            for name, measured in metrics.items()
        ]
        yield _table(("selection", "split", "metric", "value", "samples"), lines)
    yield from _complexity(run["complexity"])
    tail = run["history"]["tail"]
    if tail:
        yield _heading(f"History, the last {len(tail)} of {run['history']['rows']} rows")
        yield _table(tuple(tail[0]), [[_number(value) for value in row.values()] for row in tail])


def _complexity(found: Mapping[str, Any]) -> Iterable[RenderableType]:
    if "missing" in found:
        yield _heading("What running it costs")
        yield Padding(found["missing"], (0, 0, 0, 2))
        return
    samples = f"{found['samples']} sample{'' if found['samples'] == 1 else 's'} of split {found['split']}"
    shown = f"{samples}, {found['steps']:,} time steps each"
    yield _heading(f"What running it costs, by NeuroBench {found['harness']} and by our own count ({shown})")
    yield _fields(
        {
            "footprint": f"{found['footprint']:,} bytes",
            "connection sparsity": _number(found["connection_sparsity"]),
            "activation sparsity": _number(found["activation_sparsity"]) or "no activations to look at",
        }
    )
    counted = {
        "dense operations, NeuroBench": "dense",
        "effective MACs, NeuroBench": "effective_macs",
        "effective ACs, NeuroBench": "effective_acs",
        "MACs, ours": "macs",
        "state updates, ours": "state_updates",
    }
    lines = [[label, *_counts(found[name], found["steps"])] for label, name in counted.items()]
    yield _table(("operations", "a sample", "a time step"), lines)
    yield from (Padding(f"- {sentence}", (0, 0, 0, 2)) for sentence in found["differences"])


def _counts(count: float | None, steps: int) -> tuple[str, str]:
    return ("not known", "") if count is None else (f"{count:,.0f}", f"{count / steps:,.1f}")


def _cost(cost: Mapping[str, Any]) -> str:
    parts = [f"{_number(cost['wall_s'])} s for {cost['steps']:,} steps"]
    if cost["networks"] > 1:
        parts.append(f"{cost['networks']} seeds side by side")
    if cost["ms_per_step"] is not None:
        parts.append(f"{_number(cost['ms_per_step'])} ms a step")
    if cost["peak_memory"] is not None:
        parts.append(f"{cost['peak_memory'] / 2**20:,.0f} MiB at most")
    return ", ".join(parts)


def _environment(on: Mapping[str, Any]) -> str:
    commit = on["git"]["commit"]
    at = f", commit {commit[:12]}{' with changes' if on['git']['dirty'] else ''}" if commit else ""
    machine = f"{on['gpu'] or on['cpu']}, {on['threads']} thread{'' if on['threads'] == 1 else 's'}"
    return f"engine {on['engine']} ({on['engine_reason']}), {machine}, Python {on['python']} on {on['host']}{at}"


def _fields(fields: Mapping[str, str]) -> Padding:
    grid = Table.grid(padding=(0, 2))
    for name, text in fields.items():
        grid.add_row(name, text)
    return Padding(grid, (0, 0, 0, 2))


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=True, show_edge=False)
    for name in header:
        table.add_column(name, justify="right" if name in RIGHT else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def _notes(notes: Sequence[str]) -> Iterable[RenderableType]:
    if notes:
        yield _heading("Notes")
        yield from (Padding(f"- {note}", (0, 0, 0, 2)) for note in notes)


def _heading(text: str) -> str:
    return f"\n{text}"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _few(seeds: Sequence[int]) -> str:
    text = _seeds(seeds)
    return text if len(text) <= 12 else f"{seeds[0]}, {seeds[1]}, ... ({len(seeds)})"


def _settings(values: Any) -> str:
    if not isinstance(values, dict):
        return str(values)
    return ", ".join(f"{name} = {value}" for name, value in values.items() if value is not None)


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
