"""Plain data as JSON text, which every command prints with the option --json."""

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(content: Any) -> str:
    """Plain data as JSON text; numbers that are not finite, which JSON does not have, become texts."""
    return json.dumps(plain(content), indent=2, allow_nan=False)


def plain(content: Any) -> Any:
    """The same data with the texts "NaN", "Infinity" and "-Infinity" for numbers that are not finite."""
    if isinstance(content, Mapping):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    return content
