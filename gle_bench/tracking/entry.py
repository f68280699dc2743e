"""The base class of all parts of a record."""

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """A part of a record. It is immutable, and reading it ignores fields that a newer glebench added.

    Non-finite numbers are written as the texts "NaN", "Infinity" and "-Infinity": JSON has no numbers for them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")
