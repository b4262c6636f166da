"""What a gate found out about one candidate, and what that decides."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from math import isfinite
from typing import Any, Final

from modelmark.domain.digest import Digest
from modelmark.domain.later import later


class Verdict(Enum):
    """Cannot tell is never a pass; its exit code tells it apart from a fail."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"

    @property
    def exit_code(self) -> int:
        return {"pass": 0, "fail": 1, "cannot tell": 2}[self.value]

    @property
    def sign(self) -> str:
        return {"pass": "✓", "fail": "✕", "cannot tell": "?"}[self.value]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Fail before cannot tell before pass; of nothing, cannot tell.

    >>> worst([Verdict.PASS, Verdict.CANNOT_TELL])
    <Verdict.CANNOT_TELL: 'cannot tell'>
    """
    heard = set(verdicts)
    if Verdict.FAIL in heard:
        return Verdict.FAIL
    return Verdict.PASS if heard == {Verdict.PASS} else Verdict.CANNOT_TELL


#: Versions come and go; what is asked of the champion, or of the candidate itself, is the same check.
_OF_A_VERSION: Final = ((re.compile(r"\bchampion v\d+\b"), "champion"), (re.compile(r"\bon v\d+$"), "on the candidate"))


class Bound(StrEnum):
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The line a measurement must hold."""

    bound: Bound
    value: float

    def holds(self, measured: float) -> bool:
        """False for anything that is not a finite number."""
        if not isfinite(measured):
            return False
        return measured >= self.value if self.bound is Bound.AT_LEAST else measured <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.bound is Bound.AT_LEAST else '≤'} {self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One measurement of a gate against one limit.

    measured is what the limit judges; where it is an interval's worse end, `estimate`, `low` and `high` tell the rest.
    decides: False for what is only shown beside the others: a small group that cannot be judged, a hint to a reader.
    name: as people read it; it may be worded anew. key: what the check is known by, see `id`, where its name does not
    say it or others look it up.
    """

    name: str
    measured: float | None  # None: the gate could not measure, which is a failure
    limit: Limit
    sentence: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    confidence: float | None = None
    decides: bool = later(default=True)
    key: str = later(default="")

    @property
    def id(self) -> str:
        """What the check is known by, from version to version: its key, else what its name says.

        Evidence stored before there were keys has names alone, so they are read in this one place.

        >>> limit = Limit(bound=Bound.AT_LEAST, value=0)
        >>> Check(name="every column matters", measured=1, limit=limit, sentence="").id
        'every_column_matters'
        >>> Check(name="against the champion v12", measured=1, limit=limit, sentence="").id
        'against_the_champion'
        """
        if self.key:
            return self.key
        name = self.name
        for label, role in _OF_A_VERSION:
            name = label.sub(role, name)
        return name.replace(" ", "_")

    @property
    def verdict(self) -> Verdict:
        if self.measured is None or not isfinite(self.measured):
            return Verdict.CANNOT_TELL
        return Verdict.PASS if self.limit.holds(self.measured) else Verdict.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A Vega-Lite picture, data inlined."""

    title: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows behind a sentence: failing cases, baselines, offending values."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One gate's finding about one candidate. It carries its own limits: no flag can change them later."""

    gate: str
    candidate: Digest  # never a mutable alias
    checks: tuple[Check, ...]
    at: datetime
    seconds: float
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    looked_at: Mapping[str, Digest] | None = None  # what was measured on: name -> digest

    def check(self, id: str) -> Check | None:
        """The check of that id, where the gate made it."""
        return next((check for check in self.checks if check.id == id), None)

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks that decide; where none does, nothing was measured."""
        return worst(check.verdict for check in self.checks if check.decides)


def decide(evidence: Iterable[Evidence], *, candidate: Digest, required: Collection[str]) -> Verdict:
    """Pass only when every required gate spoke about this candidate and none ever failed.

    A gate that could not measure may be asked again; a gate that failed may not: the bytes are the same.

    >>> decide([], candidate=Digest("sha256:" + "0" * 64), required={"holdout"})
    <Verdict.CANNOT_TELL: 'cannot tell'>
    """
    return worst(
        verdict
        for verdict in (
            gate_verdicts(evidence, candidate=candidate, required=required) or {"": Verdict.CANNOT_TELL}
        ).values()
    )


def gate_verdicts(evidence: Iterable[Evidence], *, candidate: Digest, required: Collection[str]) -> dict[str, Verdict]:
    """Each required gate's verdict on the candidate, by what `deciding` leaves."""
    known: dict[str, Verdict] = dict.fromkeys(sorted(required), Verdict.CANNOT_TELL)
    said = deciding(evidence, candidate=candidate)
    return known | {gate: item.verdict for gate, item in said.items() if gate in known}


def deciding(evidence: Iterable[Evidence], *, candidate: Digest) -> dict[str, Evidence]:
    """What counts of each gate's words on the candidate: the latest failure if it ever failed, else the latest word."""
    found: dict[str, Evidence] = {}
    for item in sorted(evidence, key=lambda e: e.at):
        before = found.get(item.gate)
        stays = before is not None and before.verdict is Verdict.FAIL and item.verdict is not Verdict.FAIL
        if item.candidate == candidate and not stays:
            found[item.gate] = item
    return found
