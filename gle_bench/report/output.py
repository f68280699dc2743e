"""Plain data as JSON, for the option --json of every command."""

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(content: Any) -> str:
    """Plain data as JSON text. JSON has no numbers that are not finite: they are texts, as in records."""
    return json.dumps(plain(content), indent=2, allow_nan=False)


def plain(content: Any) -> Any:
    """The same data, with "NaN", "Infinity" and "-Infinity" in the place of numbers that are not finite."""
    if isinstance(content, Mapping):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    return content
