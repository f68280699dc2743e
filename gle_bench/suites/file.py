"""The TOML file that can describe a suite."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from gle_bench.config import Frozen
from gle_bench.data import foreign
from gle_bench.data.foreign import Malformed, reason, toml_table
from gle_bench.errors import UsageError
from gle_bench.suites.matrix import Entry, Suite


class _Described(Entry):
    """An entry as a suite's file describes it, which may name several models."""

    model: Annotated[  # type: ignore[assignment]
        tuple[str, ...], Field(min_length=1), BeforeValidator(lambda one: [one] if isinstance(one, str) else one)
    ]


class _File(Frozen):
    """The content of a suite's TOML file."""

    run: Annotated[tuple[_Described, ...], Field(min_length=1)]


def from_file(path: Path) -> Suite:
    """The suite that a TOML file describes: tables `[[run]]` with the fields of `Entry`, `model` a name or several.

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
            f"{path}: {where}: {first['msg']}; a suite has tables [[run]] with {', '.join(Entry.model_fields)}."
        ) from error
    entries = [
        Entry(**{**one.model_dump(exclude={"model"}), "model": model}) for one in described.run for model in one.model
    ]
    return Suite(path.stem, f"described in {path}", tuple(entries))
