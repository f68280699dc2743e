"""What `run --dry-run` prints."""

from typing import Any

from gle_bench.tracking.estimates import duration


def as_text(preview: dict[str, Any]) -> str:
    """What a run would do, for a reader; `training.preview` makes it."""
    head = (
        "{task} {model}: rule {rule}, protocol {protocol}, budget {budget}, engine {engine} on {device} ({config_hash})"
    )
    lines = [head.format(**preview)]
    lines += [f"  seed {seed:<4} cached: {status}" for seed, status in preview["cached"].items()]
    lines += [f"  seed {seed:<4} would run, in {folder}" for seed, folder in preview["to_run"].items()]
    if preview["to_run"]:
        lines.append(
            f"  {preview['rounds']} rounds, about {duration(preview['seconds'])}: "
            "estimated from a few steps on this machine, for a start from the beginning"
        )
    if preview["full_seconds"] is not None and preview["budget"] != "paper":
        lines.append(
            f"  the full run, --budget paper --seeds paper: about {duration(preview['full_seconds'])}, likewise"
        )
    return "\n".join(lines)
