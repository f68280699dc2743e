"""The marks of a run: its differences from a full run of the pair's own configuration on official data."""

from typing import Any, Final

from gle_bench.config import RunConfig
from gle_bench.tracking.record import OTHER_DATA, Mark

# Fields that mark no result: a table has a section for each protocol, and averages leave the raw results as they are.
UNMARKED: Final = ("protocol", "training.average")


def marks(config: RunConfig, own: RunConfig, official: bool) -> tuple[Mark, ...]:
    """The marks of a reduced budget, of other data and of changed settings; none for a full run of the pair's own.

    `own` is the pair's configuration of the same budget.
    """
    reduced = [] if config.budget == "paper" else [Mark("budget", config.budget)]
    return (*reduced, *([] if official else [OTHER_DATA]), *changes(config, own))


def changes(config: RunConfig, own: RunConfig) -> list[Mark]:
    """A mark for each field that differs from the pair's own configuration of that budget."""
    if type(own.rule_options) is not type(config.rule_options):  # of another rule, or the field's own default
        own = own.model_copy(update={"rule_options": type(config.rule_options)()})
    before, now = _leaves(own.model_dump(mode="json")), _leaves(config.model_dump(mode="json"))
    changed = {key: value for key, value in now.items() if key not in UNMARKED and before.get(key) != value}
    return [
        Mark("rule", str(value)) if key == "rule" else Mark("setting", f"{key}={_words(value)}")
        for key, value in changed.items()
    ]


def _words(value: Any) -> str:
    """A setting's value as a reader meets it: 'rate-noise (std 0.1, layers [1])' for a disturbance."""
    if not (isinstance(value, list) and value and all(isinstance(part, dict) for part in value)):
        return str(value)
    parts = []
    for part in value:
        fields = [f"{name} {field}" for name, field in part.items() if name != "kind" and field not in (None, False)]
        parts.append(f"{part['kind']} ({', '.join(fields)})" if "kind" in part else ", ".join(fields))
    return " and ".join(parts)


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value of a nested configuration, by its path ('training.rate')."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves
