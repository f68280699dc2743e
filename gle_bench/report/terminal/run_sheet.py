"""The description of a recorded run: its record, its history, and what running its network costs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gle_bench.errors import UnknownName, UsageError, did_you_mean
from gle_bench.registry import rule_title
from gle_bench.report.output import plain
from gle_bench.report.results import gather
from gle_bench.report.terminal.layout import Blocks, bullets, fields, heading, indented, number, table
from gle_bench.surroundings.home import expanded
from gle_bench.tracking.costs import Complexity, kept
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RECORD, RunFolder

TAIL: Final = 8  # the last rows of a history, which are shown
MOST_NAMES: Final = 3  # of runs in a message, of thousands that there may be

# Returns the costs of running a run's network, or a sentence on why they are not known
CostsOf = Callable[[RunFolder, Record], Complexity | str]


def describe_run(runs: Path, which: str, costs_of: CostsOf = kept) -> dict[str, Any]:
    """The description of a run, which is named by its id, the beginning of its id, its folder or its record.json.

    Raises:
        UnknownName: no such run; with the nearest id. UsageError: several ids begin so. GleBenchError: a file
            cannot be read.
    """
    folder, record = _find(runs, which)
    history, costs = folder.read_history(), costs_of(folder, record)
    counted = None if isinstance(costs, str) else costs.model_dump(mode="json") | {"differences": differences(costs)}
    return {
        "kind": "run",
        "folder": str(folder.path),
        "record": record.model_dump(mode="json"),
        "history": {"rows": len(history), "tail": plain(history[-TAIL:])},
        "complexity": counted or {"missing": costs},
    }


def _find(runs: Path, which: str) -> tuple[RunFolder, Record]:
    path = expanded(which)
    folder = RunFolder(path.parent if path.name == RECORD else path)
    record = folder.read()
    if record is not None:
        return folder, record
    gathered, _ = gather(runs)
    by_id = {record.run_id: (folder, record) for folder, record in gathered}
    matching = [which] if which in by_id else [run_id for run_id in by_id if which and run_id.startswith(which)]
    if len(matching) > 1:
        raise UsageError(f"Run '{which}' could be any of {len(matching)}: {_few(matching)}. Write more of it.")
    if not matching:
        raise UnknownName(_unknown(which, sorted(by_id), runs))
    return by_id[matching[0]]


def _unknown(which: str, run_ids: Sequence[str], runs: Path) -> str:
    """The message about an unknown run, with the nearest id."""
    if not run_ids:
        return f"Unknown run '{which}'. There are no runs in {runs.absolute()}."
    sentence = did_you_mean("run", which, run_ids).partition(" Runs: ")[0]
    return f"{sentence} {runs.absolute()} has {len(run_ids)}: {_few(run_ids)}; `glebench list runs` names them all."


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def blocks(run: Mapping[str, Any]) -> Blocks:
    """A run's description in blocks for a terminal."""
    record, data = run["record"], run["record"]["data"]
    error = f" ({record['error']})" if record["error"] else ""
    official = "official" if data["official"] else "NOT official"
    yield f"{record['run_id']}: {record['status']}{error}"
    yield fields(
        {
            "run": f"{record['task']}, {record['model']}, rule {rule_title(record['rule'])}, seed {record['seed']}",
            "protocol": f"{record['protocol']}, budget {record['budget']}",
            "marks": "; ".join(record["marks"]) or "none",
            "data": "; ".join([f"{official}, {data['fingerprint'][:12]}", *data.get("notes", ())]),
            "parameters": f"{record['parameters']:,}",
            "cost": _cost(record["cost"]),
            "environment": _environment(record["environment"]),
            "sittings": str(len(record["lineage"])),
            "folder": run["folder"],
        }
    )
    if record["metrics"]:
        lines = [
            [selection, split, name, number(measured["value"]), str(measured["n"])]
            for selection, splits in record["metrics"].items()
            for split, metrics in splits.items()
            for name, measured in metrics.items()
        ]
        yield heading("Results")
        yield table(("selection", "split", "metric", "value", "samples"), lines)
    yield from _complexity(run["complexity"])
    if tail := run["history"]["tail"]:
        yield heading(f"History, the last {len(tail)} of {run['history']['rows']} rows")
        names = [name for name in tail[0] if name != "round"]  # which `epoch` or `update` tells as well
        header = [name.replace("_", " ") for name in names]  # a name breaks at its spaces
        yield table(header, [[number(row[name]) for name in names] for row in tail])


def _cost(cost: Mapping[str, Any]) -> str:
    parts = [f"{number(cost['wall_s'])} s for {cost['steps']:,} steps"]
    if cost["networks"] > 1:
        parts.append(f"{cost['networks']} seeds side by side")
    if cost["ms_per_step"] is not None:
        parts.append(f"{number(cost['ms_per_step'])} ms a step")
    if cost["peak_memory"] is not None:
        parts.append(f"{cost['peak_memory'] / 2**20:,.0f} MiB at most")
    return ", ".join(parts)


def _environment(on: Mapping[str, Any]) -> str:
    commit = on["git"]["commit"]
    at = f", commit {commit[:12]}{' with changes' if on['git']['dirty'] else ''}" if commit else ""
    machine = f"{on['gpu'] or on['cpu']}, {on['threads']} thread{'' if on['threads'] == 1 else 's'}"
    return f"engine {on['engine']} ({on['engine_reason']}), {machine}, Python {on['python']} on {on['host']}{at}"


def _complexity(costs: Mapping[str, Any]) -> Blocks:
    if "missing" in costs:
        yield heading("What running it costs")
        yield indented(costs["missing"])
        return
    samples = f"{costs['samples']} sample{'' if costs['samples'] == 1 else 's'} of split {costs['split']}"
    shown = f"{samples}, {costs['steps']:,} time steps each"
    yield heading(f"What running it costs, by NeuroBench {costs['harness']} and by our own count ({shown})")
    yield fields(
        {
            "footprint": f"{costs['footprint']:,} bytes",
            "connection sparsity": number(costs["connection_sparsity"]),
            "activation sparsity": number(costs["activation_sparsity"]) or "no activations to look at",
        }
    )
    names = {
        "dense operations, NeuroBench": "dense",
        "effective MACs, NeuroBench": "effective_macs",
        "effective ACs, NeuroBench": "effective_acs",
        "MACs, ours": "macs",
        "state updates, ours": "state_updates",
    }
    lines = [[label, *_operations(costs[name], costs["steps"])] for label, name in names.items()]
    yield table(("operations", "a sample", "a time step"), lines)
    yield from bullets(costs["differences"])


def _operations(count: float | None, steps: int) -> tuple[str, str]:
    """A number of operations as texts: those of a sample, and those of a time step."""
    return ("not known", "") if count is None else (f"{count:,.0f}", f"{count / steps:,.1f}")


def differences(costs: Complexity) -> list[str]:
    """Sentences on how two counts of a network's operations differ: NeuroBench's and our own."""
    more, left = costs.dense - costs.macs, costs.dense - costs.effective_macs - costs.effective_acs
    sentences = [
        f"Dense operations are {abs(more):,.0f} {'more' if more > 0 else 'fewer'} than our MACs: NeuroBench adds the "
        "products of a cell's gates with its state, and leaves out those with the zero state of its first step and "
        "with a convolution's padding; we count matrices and convolutions, whole."
        if more
        else "Dense operations are our MACs: every weight in every step, without biases.",
        f"Effective operations leave out the {left:,.0f} with a zero in the weight or in what comes in"
        f"{'; they are ACs where all that comes in is 0, 1 or -1' if costs.effective_acs else ''}.",
    ]
    if costs.stages > 1:
        sentences.append(
            f"The integrator traverses the network {costs.stages} times a step; all counts have every one."
        )
    updates = "an unknown number of" if costs.state_updates is None else f"{costs.state_updates:,}"
    sentences += [
        f"Neither counts what neurons do: their {updates} state updates a sample stand apart; NeuroBench knows "
        "those of snnTorch's spiking neurons only.",
        "The footprint is the bytes of parameters and buffers in the run's precision: weights, biases, time constants; "
        "not the state of GLE's neurons, nor what learning needs.",
    ]
    if costs.traced:
        sentences.append(
            "NeuroBench cannot watch this module's own layers, so it was shown the products with weights that PyTorch "
            "did."
        )
    return sentences
