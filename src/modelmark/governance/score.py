"""Scorecards computed from receipts: the twelve mistakes, and Google's ML Test Score (Breck et al. 2017).

A tile is worth 1 when a machine's receipt proves it and is fresh, 0.5 when it is only claimed (a statement in a contract
that everybody who signs has signed) or was proven and is no longer fresh, and 0 otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Evidence, Verdict
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.release import Event
from modelmark.domain.version import Version
from modelmark.seal.digests import digest_value

MEASURED_FOR: Final = timedelta(days=90)
WATCHED_FOR: Final = timedelta(days=1)
DRILLED_FOR: Final = timedelta(days=180)
#: Bands of the ML Test Score's final value, from the paper.
BANDS: Final = (
    (0.0, "more of a research project than a productionised system"),
    (1.0, "not totally untested, but serious holes in reliability are likely"),
    (2.0, "there has been a first pass at basic productionisation"),
    (3.0, "reasonably tested, but more of it could be automated"),
    (5.0, "strong automated testing and monitoring"),
    (float("inf"), "exceptional"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a score is computed from. findings: the latest of each monitor; events: of this model. signed: all signed."""

    version: Version
    contract: Contract
    evidence: Mapping[str, Evidence]
    events: Sequence[Event]
    findings: Mapping[str, Finding]
    signed: bool
    told: bool
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a machine recorded, when, for how long that is fresh, and where it is seen."""

    sentence: str
    at: datetime
    fresh: timedelta
    place: str  # an address on the dashboard, below the version or model
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One line of a scorecard, scored."""

    id: str
    title: str
    points: float
    sentence: str
    place: str = ""
    receipt: str = ""
    at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Tiles under one title; its score is their sum."""

    title: str
    tiles: tuple[Tile, ...]

    @property
    def points(self) -> float:
        return sum(tile.points for tile in self.tiles)

    @property
    def share(self) -> float:
        """Of what could be reached, 0 to 1."""
        return self.points / len(self.tiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """Sections, and the least of them: a chain is as strong as its weakest link."""

    title: str
    sections: tuple[Section, ...]

    @property
    def minimum(self) -> float:
        return min(section.points for section in self.sections)

    @property
    def weakest(self) -> Section:
        return min(self.sections, key=lambda section: (section.share, section.title))


#: What proves a tile, or the sentence that says why nothing does.
Rule = Callable[[Facts], Proof | str]


def band(score: float) -> str:
    """What the paper says of a final ML Test Score.

    >>> band(0), band(6)[:11], band(4.5)
    ('more of a research project than a productionised system', 'exceptional', 'strong automated testing and monitoring')
    """
    return next(words for most, words in BANDS if score <= most)


def score(facts: Facts, title: str, board: Mapping[str, Sequence[tuple[str, str, Rule]]]) -> Scorecard:
    """board: section -> (id, title, rule)."""
    sections = tuple(
        Section(title=name, tiles=tuple(_tile(facts, *row) for row in rows)) for name, rows in board.items()
    )
    return Scorecard(title=title, sections=sections)


def _tile(facts: Facts, id: str, title: str, rule: Rule) -> Tile:
    found = rule(facts)
    if isinstance(found, Proof):
        ends = found.at + found.fresh
        fresh = facts.now < ends
        late = "" if fresh else f" It was fresh until {ends:%Y-%m-%d}: measure again."
        return Tile(
            id=id, title=title, points=1.0 if fresh else 0.5, sentence=found.sentence + late, place=found.place,
            receipt=found.receipt, at=found.at, expires_at=ends,
        )  # fmt: skip
    claim = facts.contract.claims.get(id, "").strip()
    if claim and facts.signed:
        said = f"Claimed, and signed with the contract: {claim}"
        return Tile(
            id=id, title=title, points=0.5, sentence=said, place="version", receipt=facts.version.components.contract
        )
    pending = " The contract claims it, but not everybody has signed." if claim else ""
    return Tile(id=id, title=title, points=0.0, sentence=found + pending)


def gate(name: str) -> Rule:
    """The gate passed on exactly this version."""

    def rule(facts: Facts) -> Proof | str:
        item = facts.evidence.get(name)
        shown = name.replace("_", " ")
        if item is None:
            asked = name in facts.contract.asked()
            return (
                f"The gate {shown} has not been asked." if asked else f"The contract does not ask for the gate {shown}."
            )
        if item.verdict is not Verdict.PASS:
            return f"The gate {shown} says: {item.verdict.value}."
        return Proof(
            sentence=_first(item), at=item.at, fresh=MEASURED_FOR, place=f"version#{name}", receipt=digest_value(item)
        )

    return rule


def _first(item: Evidence) -> str:
    return next(check.sentence for check in item.checks if check.decides)


def monitor(name: str) -> Rule:
    """The monitor looked lately and could tell; that it alerts is its work, not its failure."""

    def rule(facts: Facts) -> Proof | str:
        found = facts.findings.get(name)
        if found is None:
            return f"The monitor {name} has not looked at this model."
        if found.outcome is Outcome.CANNOT_TELL:
            return f"The monitor {name} could not tell: {found.sentence}"
        return Proof(sentence=found.sentence, at=found.window.end, fresh=WATCHED_FOR, place="model")

    return rule


def act(name: str, fresh: timedelta = DRILLED_FOR) -> Rule:
    """It was done with this model, as the audit chain tells."""

    def rule(facts: Facts) -> Proof | str:
        done = [event for event in facts.events if event.act == name]
        if not done:
            return f"The audit tells of no time that this model was {name}."
        last = done[-1]
        sentence = f"It was {name} on {last.at:%Y-%m-%d} by {last.actor}."
        return Proof(sentence=sentence, at=last.at, fresh=fresh, place="audit", receipt=last.hash)

    return rule


def agreed(sentence: Callable[[Contract], str], otherwise: str) -> Rule:
    """The contract says so, and everybody who signs has signed it. An empty sentence: it does not say so."""

    def rule(facts: Facts) -> Proof | str:
        said = sentence(facts.contract)
        if not said:
            return otherwise
        if not facts.signed:
            return f"{said} Not everybody has signed it."
        digest = facts.version.components.contract
        return Proof(
            sentence=said, at=facts.version.created_at, fresh=timedelta(days=365), place="version", receipt=digest
        )

    return rule


def registered(sentence: Callable[[Version], str], otherwise: str) -> Rule:
    """The registration recorded it. An empty sentence: it did not."""

    def rule(facts: Facts) -> Proof | str:
        said = sentence(facts.version)
        if not said:
            return otherwise
        at = facts.version.created_at
        return Proof(sentence=said, at=at, fresh=timedelta(days=365), place="version", receipt=facts.version.id)

    return rule


def both(*rules: Rule) -> Rule:
    """Every one of them; the oldest proof says how fresh it is, the first gap why it is not proven."""

    def rule(facts: Facts) -> Proof | str:
        found = [one(facts) for one in rules]
        gaps = [item for item in found if isinstance(item, str)]
        if gaps:
            return gaps[0]
        return min((item for item in found if isinstance(item, Proof)), key=lambda item: item.at + item.fresh)

    return rule


def nothing(why: str) -> Rule:
    """No machine can prove it here; people may claim it."""
    return lambda facts: why
