"""What all parts of a record have in common."""

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """A part of a record: immutable; fields that a newer glebench added are passed over when read.

    Non-finite numbers are written as the texts "NaN", "Infinity" and "-Infinity": JSON has no numbers for them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")
