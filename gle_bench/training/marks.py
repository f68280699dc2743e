"""What a reader must know before comparing a result with a published one."""

from typing import Any

from gle_bench.config import RunConfig


def marks(config: RunConfig, own: RunConfig, official: bool) -> tuple[str, ...]:
    """Reduced budget, other data, changed settings: empty for a full run of the pair's own configuration."""
    found = [] if config.budget == "paper" else [f"budget {config.budget}"]
    if not official:
        found.append("other data than the official")
    return (*found, *changes(config, own))


def changes(config: RunConfig, own: RunConfig) -> list[str]:
    """'field=value' for each field that differs from `own`, the pair's own configuration of that budget."""
    before, now = _leaves(own.model_dump(mode="json")), _leaves(config.model_dump(mode="json"))
    return [f"{key}={value}" for key, value in now.items() if key != "protocol" and before.get(key) != value]


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
