"""The configuration of a recorded run, read from its record."""

from typing import Any

from pydantic import ValidationError

from gle_bench import registry
from gle_bench.chosen import run_hash
from gle_bench.config import RunConfig
from gle_bench.errors import GleBenchError
from gle_bench.tracking.record import Record


def configuration_of(record: Record) -> RunConfig:
    """The configuration of a run, as this version of glebench reads it.

    Raises:
        GleBenchError: it has another meaning here than its record says.
    """
    like = registry.pair(record.task, record.model).configure(record.budget)
    try:
        fields: dict[str, Any] = dict(record.config)
        for part in ("options", "network"):
            fields[part] = type(getattr(like, part)).model_validate(fields[part])
        options = registry.rule(record.rule).options
        fields["rule_options"] = options.model_validate(fields.get("rule_options", {}))
        config = RunConfig.model_validate(fields)
        same = run_hash(config, record.data.fingerprint) == record.config_hash
    except (ValidationError, KeyError):
        same = False
    if not same:
        raise GleBenchError("The run was made by another version of the model or the task than this glebench has.")
    return config
