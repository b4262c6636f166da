"""The states of a version on its way to traffic, and the acts that move it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import NotPermitted
from modelmark.domain.later import later
from modelmark.domain.people import Role, credential_told


class State(StrEnum):
    REGISTERED = "registered"
    CHECKED = "checked"
    APPROVED = "approved"
    STAGED = "staged"
    SHADOW = "shadow"
    CANARY = "canary"
    EXPERIMENT = "experiment"
    CHAMPION = "champion"
    RETIRED = "retired"
    ROLLED_BACK = "rolled back"


#: How a version with its mark may begin.
_BEGINS: Final = frozenset({State.STAGED, State.SHADOW, State.CANARY, State.EXPERIMENT, State.CHAMPION})
#: Where each state may lead. A canary may become one of another share; an arm of an experiment waits, staged, once that has
#: ended; what is retired or rolled back may come back: its
#: mark still holds.
MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.REGISTERED: frozenset({State.CHECKED}),
    State.CHECKED: frozenset({State.APPROVED}),
    State.APPROVED: _BEGINS,
    State.STAGED: frozenset({*_BEGINS, State.ROLLED_BACK}),
    State.SHADOW: frozenset({State.CANARY, State.CHAMPION, State.ROLLED_BACK}),
    State.CANARY: frozenset({State.CANARY, State.CHAMPION, State.ROLLED_BACK}),
    State.EXPERIMENT: frozenset({State.STAGED, State.ROLLED_BACK}),
    State.CHAMPION: frozenset({State.RETIRED, State.ROLLED_BACK}),
    State.RETIRED: _BEGINS,
    State.ROLLED_BACK: _BEGINS,
}

SERVING: Final = frozenset({State.CANARY, State.EXPERIMENT, State.CHAMPION})


def move(now: State, then: State) -> State:
    """The new state, or NotPermitted when the machine has no such move."""
    if then not in MOVES[now]:
        allowed = ", ".join(sorted(MOVES[now])) or "nothing"
        raise NotPermitted(
            f"a version that is {now} cannot become {then}", code="BAD_MOVE", limit=f"allowed: {allowed}"
        )
    return then


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What one person is shown and may approve once: this evidence, here, in place of what serves now.

    predecessor: the champion it would follow, None before the first. login: the account it was made out to, empty for
    the workspace's owner.
    """

    version: Digest
    evidence: Digest
    environment: str
    predecessor: Digest | None
    role: Role
    name: str
    login: str
    nonce: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes to one version and the evidence they saw, in one environment, after one predecessor.

    New evidence or another champion voids it. nonce: of its ticket, so that a ticket works once. signature: of this
    workspace's key over all the other fields, so that a row written past the act is not an approval. via: session, password
    or `key ID`. issued_by, confirmed_by: whose link or key that was, and who said that only its person holds it.
    """

    version: Digest
    evidence: Digest
    role: Role
    name: str
    at: datetime
    comment: str = ""
    environment: str = later(default="")
    predecessor: Digest | None = later(default=None)
    login: str = later(default="")
    nonce: str = later(default="")
    via: str = later(default="")
    issued_by: str = later(default="")
    confirmed_by: str = later(default="")
    signature: str = later(default="")

    @property
    def credential(self) -> str:
        return credential_told(self.via, self.issued_by, self.confirmed_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRequest:
    """What somebody who waives a gate must say. owner: who sees to it by then, empty for whoever waives. evidence: the
    digest of what they had read; empty where it is read only now."""

    gate: str
    reason: str
    expires_at: datetime
    owner: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A failed gate let through by a named person, for a reason, until a day. owner: who sees to it by then.

    evidence: what the gate had said, one digest; other evidence of it voids the waiver. via, issued_by, confirmed_by,
    signature: as an approval's.
    """

    version: Digest
    gate: str
    name: str
    reason: str
    expires_at: datetime
    at: datetime
    owner: str = later(default="")
    login: str = later(default="")
    evidence: Digest | None = later(default=None)
    environment: str = later(default="")
    via: str = later(default="")
    issued_by: str = later(default="")
    confirmed_by: str = later(default="")
    signature: str = later(default="")

    @property
    def credential(self) -> str:
        return credential_told(self.via, self.issued_by, self.confirmed_by)

    def holds(self, now: datetime) -> bool:
        return now < self.expires_at


class CommentKind(StrEnum):
    """A change request stands in the way of the release until its author says that it is settled."""

    COMMENT = "comment"
    CHANGE_REQUEST = "change_request"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """What somebody said beside the evidence. about: the id of the change request that a `settled` ends."""

    id: str
    version: Digest
    evidence: Digest
    kind: CommentKind
    name: str
    login: str
    text: str
    at: datetime
    about: str = ""


def open_requests(comments: Iterable[Comment]) -> tuple[Comment, ...]:
    """The change requests that nobody has settled, oldest first."""
    known = sorted(comments, key=lambda comment: comment.at)
    settled = {comment.about for comment in known if comment.kind is CommentKind.SETTLED}
    return tuple(r for r in known if r.kind is CommentKind.CHANGE_REQUEST and r.id not in settled)
