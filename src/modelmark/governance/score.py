"""Scorecards computed from receipts: the twelve mistakes, and Google's ML Test Score (Breck et al. 2017).

A tile is worth 1 when a machine's receipt proves it and is fresh, 0.5 when a statement in a contract that everybody who
signs has signed claims it, and 0 otherwise: a receipt that is no longer fresh proves nothing, and is shown as stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from modelmark.domain.audit import Event
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Evidence
from modelmark.domain.finding import Finding
from modelmark.domain.ports import Delivery
from modelmark.domain.version import Version

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
    """What a score is computed from. evidence: what counts of each gate. findings: the latest of each monitor on this version.

    events: of this model. signed: everybody who signs has. told: messages about this version's last release;
    alerted: messages about alerts of this model.
    """

    version: Version
    contract: Contract
    evidence: Mapping[str, Evidence]
    events: Sequence[Event]
    findings: Mapping[str, Finding]
    signed: bool
    told: Sequence[Delivery]
    alerted: Sequence[Delivery]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a machine recorded, when, for how long that is fresh, and where it is seen. again: the command that renews it."""

    sentence: str
    at: datetime
    fresh: timedelta
    place: str  # an address on the dashboard, below the version or model
    receipt: str  # a digest of what was recorded
    again: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the contract says and people sign, and no machine can prove."""

    sentence: str


class Worth(StrEnum):
    """Why a tile has its points."""

    PROVEN = "proven"
    CLAIMED = "claimed"
    STALE = "stale"
    OPEN = "open"

    @property
    def points(self) -> float:
        return {"proven": 1.0, "claimed": 0.5}.get(self.value, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One line of a scorecard, scored."""

    id: str
    title: str
    worth: Worth
    sentence: str
    place: str = ""
    receipt: str = ""
    at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def points(self) -> float:
        return self.worth.points


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

    @property
    def told(self) -> str:
        """How many tiles are proven, claimed, stale and open, as words."""
        each = Counter(tile.worth for tile in self.tiles)
        return ", ".join(f"{each[worth]} {worth}" for worth in Worth if each[worth])


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


#: What proves a tile, what only people say of it, or the sentence that says why there is neither.
Rule = Callable[[Facts], Proof | Claim | str]


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
    if isinstance(found, Proof) and facts.now < found.at + found.fresh:
        return _of(found, id, title, Worth.PROVEN, found.sentence)
    claim = found.sentence if isinstance(found, Claim) else facts.contract.claims.get(id, "").strip()
    if claim and facts.signed:
        said = f"Claimed, and signed with the contract: {claim}"
        receipt = facts.version.components.contract
        return Tile(id=id, title=title, worth=Worth.CLAIMED, sentence=said, place="version", receipt=receipt)
    pending = " The contract claims it, but not everybody has signed." if claim else ""
    if isinstance(found, Proof):
        late = f"{found.sentence} It was fresh until {found.at + found.fresh:%Y-%m-%d}; again: {found.again}."
        return _of(found, id, title, Worth.STALE, late + pending)
    sentence = found.sentence if isinstance(found, Claim) else found
    return Tile(id=id, title=title, worth=Worth.OPEN, sentence=sentence + pending)


def _of(proof: Proof, id: str, title: str, worth: Worth, sentence: str) -> Tile:
    return Tile(
        id=id, title=title, worth=worth, sentence=sentence, place=proof.place, receipt=proof.receipt, at=proof.at,
        expires_at=proof.at + proof.fresh,
    )  # fmt: skip
