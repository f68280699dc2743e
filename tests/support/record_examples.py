"""Examples of records."""

from datetime import UTC, datetime
from typing import Any

from gle_bench.tracking.environment import Environment
from gle_bench.tracking.provenance import Git
from gle_bench.tracking.record import Cost, DataUsed, Part, Record, run_id

ENVIRONMENT = Environment(
    python="3.11.7",
    platform="Linux",
    host="here",
    packages={"torch": "2.9.0"},
    cpu="a processor",
    device="cpu",
    gpu=None,
    engine="torch",
    engine_reason="no compiler",
    threads=2,
    git=Git(),
    determinism={},
)


def example(seed: int = 0, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "run_id": run_id("mnist1d", "gle", None, "0123456789ab", seed),
        "status": "done",
        "task": "mnist1d",
        "model": "gle",
        "rule": "gle",
        "protocol": "paper",
        "budget": "smoke",
        "seed": seed,
        "config": {"options": {}, "network": {}, "training": {"rate": 1e-3}},
        "config_hash": "0123456789ab",
        "data": DataUsed(fingerprint="f" * 64, official=True, digests={"test": "d" * 64}),
        "metrics": {"last": {"test": {"accuracy": {"value": 93.5, "n": 1000}}}},
        "parameters": 42,
        "cost": Cost(wall_s=1.5, steps=100),
        "footing": {"online": True},
        "environment": ENVIRONMENT,
        "lineage": (Part(started=datetime(2026, 1, 1, tzinfo=UTC), host="here", pid=1),),
    }
    return Record(**{**fields, **changes})
