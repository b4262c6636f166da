"""What pydantic finds wrong, in our words: where, what was found, what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from modelmark.contract.rule_violation import RuleViolation


def schema_faults(error: ValidationError) -> Iterator[RuleViolation]:
    """One fault a field, in pydantic's order."""
    seen = set()
    for item in error.errors(include_url=False):
        path = tuple(part for part in item["loc"] if isinstance(part, int) or not _is_union_branch(part))
        found = "nothing" if item["type"] == "missing" else _show(item["input"])
        allowed = item.get("ctx", {}).get("expected") or item["msg"].replace("Input should be ", "")
        if item["type"] == "missing":
            allowed = "a value; this field is required"
        elif item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            found, allowed = f"the unknown field {str(path[-1])!r}", "the fields of the schema (modelmark schema)"
        if path not in seen:  # a union reports each of its branches; one is enough
            seen.add(path)
            yield RuleViolation(path, found, allowed)


def _is_union_branch(part: str) -> bool:
    return part in ("bool", "int", "str", "float")


def _show(value: Any) -> str:
    """The beginning of it: a value may be as large as the file, and is written only as far as it is shown."""
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        text += piece
        if len(text) > 60:
            return text[:57] + "..."
    return text
