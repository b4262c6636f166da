"""Which rows an address asks for: its fields read, and written again for the next page, a file, a link."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from modelmark.domain.errors import Rejected
from modelmark.domain.until import moment
from modelmark.domain.version import Version
from modelmark.journal.tables.rows import RowFilter

#: Fields of an address that choose rows, in the order of the form.
FIELDS: Final = (
    "from", "to", "version", "path", "answer", "label", "wrong", "source", "flag", "score_from", "score_below", "input", "low",
    "high", "value", "gap",
)  # fmt: skip
ANY, NONE, CONFLICTING = "any", "none", "conflicting"
#: `path` of whatever the model itself did not answer.
FALLBACK: Final = "fallback"
LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class AskedRows:
    """wanted: for the tables. asked: the fields as they were given, those that are empty left out."""

    wanted: RowFilter
    asked: Mapping[str, str] = field(default_factory=dict)

    def address(self, path: str, **more: Any) -> str:
        """With every field again. more: further ones."""
        words = urlencode({**self.asked, **{key: value for key, value in more.items() if value is not None}})
        return f"{path}?{words}" if words else path


def asked_rows(
    params: Mapping[str, str], *, versions: Sequence[Version], columns: Mapping[str, str], now: datetime
) -> AskedRows:
    """versions: of the model. columns: of its inputs, by name. Raises Rejected, naming the field and what it may be."""
    asked = {name: params[name].strip() for name in FIELDS if params.get(name, "").strip()}
    for name, given in asked.items():
        if len(given) > LONGEST:
            raise _refused(name, f"at most {LONGEST} characters")
    text = asked.get
    column = None if "input" not in asked else columns.get(asked["input"])
    if "input" in asked and column is None:
        raise _refused("input", "an input of the model: " + ", ".join([*columns][:20]))
    if column is None and {"low", "high", "value", "gap"} & set(asked):
        raise _refused("input", "named, where low, high, value or gap is given")
    label = text("label")
    return AskedRows(
        RowFilter(
            start=moment(asked["from"], now=now, field="from") if "from" in asked else None,
            end=moment(asked["to"], now=now, field="to") if "to" in asked else None,
            version=version_of(asked["version"], versions) if "version" in asked else None,
            path=None if text("path") == FALLBACK else text("path"),
            fallback=text("path") == FALLBACK,
            source=text("source"),
            score_from=_number(asked, "score_from"),
            score_below=_number(asked, "score_below"),
            answer=text("answer"),
            flag=text("flag"),
            label=None if label in (ANY, NONE, CONFLICTING) else label,
            labelled={ANY: True, NONE: False}.get(label or ""),
            conflicting=label == CONFLICTING,
            wrong=_yes(asked, "wrong"),
            column=column,
            low=_number(asked, "low"),
            high=_number(asked, "high"),
            value=text("value"),
            gap=_yes(asked, "gap"),
        ),
        asked,
    )


def version_of(said: str, versions: Sequence[Version]) -> str:
    """The digest, in hexadecimal, of a version that an address names by its label or by how its digest begins."""
    found = [v for v in versions if v.label == said or v.id.hex.startswith(said.removeprefix("sha256:").lower())]
    if not found:
        raise _refused("version", "one of " + ", ".join(v.label for v in versions[-20:]))
    return found[0].id.hex


def _number(asked: Mapping[str, str], name: str) -> float | None:
    if name not in asked:
        return None
    try:
        number = float(asked[name])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _refused(name, "a number")
    return number


def _yes(asked: Mapping[str, str], name: str) -> bool:
    if asked.get(name, "no") not in ("yes", "no"):
        raise _refused(name, "yes or no")
    return asked.get(name) == "yes"


def _refused(name: str, limit: str) -> Rejected:
    return Rejected(f"no rows can be chosen by this {name}", code="BAD_FILTER", field=name, limit=limit)
