"""The TOML file that can describe a suite."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from gle_bench.config import Frozen
from gle_bench.errors import UsageError
from gle_bench.files import foreign
from gle_bench.files.foreign import Malformed, reason, toml_table
from gle_bench.suites.matrix import Entry, Suite
from gle_bench.suites.sweep import grid
from gle_bench.suites.values import described as described_values


class _Described(Entry):
    """An entry as a suite's file describes it, which may name several models, and settings with several values."""

    model: Annotated[  # type: ignore[assignment]
        tuple[str, ...], Field(min_length=1), BeforeValidator(lambda one: [one] if isinstance(one, str) else one)
    ]
    sweep: dict[str, Any] = Field(default_factory=dict)


class _File(Frozen):
    """The content of a suite's TOML file."""

    run: Annotated[tuple[_Described, ...], Field(min_length=1)]


def from_file(path: Path) -> Suite:
    """The suite that a TOML file describes: tables `[[run]]` with the fields of `Entry`, `model` a name or several.

    A table `sweep` in it, {setting: list of values}, stands for an entry for each combination of the values.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has a field or value that no entry takes; names the place.
    """
    try:
        content = toml_table(foreign.content(path))
    except (OSError, Malformed) as error:
        raise UsageError(
            f"Cannot read the suite {path}: {reason(error)}; give a TOML file with tables [[run]]."
        ) from error
    try:
        described = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{path}: {where}: {first['msg']}; a suite has tables [[run]] with {', '.join(Entry.model_fields)}, sweep."
        ) from error
    entries: list[Entry] = []
    try:
        for one in described.run:
            settings, fields = described_values(one.sweep), one.model_dump(exclude={"model", "sweep"})
            for model in one.model:
                entry = Entry(**fields, model=model)
                entries += grid(entry, settings) if settings else [entry]
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return Suite(path.stem, f"described in {path}", tuple(entries))
