"""What waits for one person: signatures, change requests of theirs, releases that nothing holds up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelmark.domain.people import Permission, Principal
from modelmark.domain.release import State
from modelmark.domain.version import Version
from modelmark.governance.release_status import ReleaseStatus

_BEFORE_TRAFFIC = frozenset({State.REGISTERED, State.CHECKED, State.APPROVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to do. place: the part of the version's page where it is done."""

    version: Version
    sentence: str
    place: str
    mine: bool


def tasks(statuses: Sequence[ReleaseStatus], by: Principal | None) -> list[Task]:
    """One's own first; then what others have to do before a version may go."""
    found = [task for status in waiting(statuses) for task in _of(status, by)]
    return sorted(found, key=lambda task: not task.mine)


def decisions(asked: Sequence[tuple[Version, str]], by: Principal | None) -> list[Task]:
    """Rollouts that wait for somebody who may release. asked: each with what its owner has to decide."""
    may = by is not None and by.may(Permission.RELEASE)
    return [Task(version=version, sentence=sentence, place="main", mine=may) for version, sentence in asked]


def waiting(statuses: Sequence[ReleaseStatus]) -> list[ReleaseStatus]:
    """Of each model the newest version, where it has no traffic yet: older ones wait for nobody."""
    newest: dict[str, ReleaseStatus] = {}
    for status in statuses:
        known = newest.get(status.version.model)
        if known is None or status.version.number > known.version.number:
            newest[status.version.model] = status
    return [status for status in newest.values() if status.state in _BEFORE_TRAFFIC]


def _of(status: ReleaseStatus, by: Principal | None) -> Iterator[Task]:
    version = status.version
    who = by.name if by else ""
    for gate in status.open_gates:
        name = gate.replace("_", " ")
        said = f"The gate {name} says: {status.said(gate)}. Mend the model, or let a signer waive it."
        if gate in status.not_run:
            said = f"The gate {name} has not been run yet: modelmark check {version.argument}."
        yield Task(version=version, sentence=said, place=gate, mine=False)
    for request in status.requests:
        yield Task(version=version, sentence=f"{request.name} asked for a change: {request.text}", place="comments",
                   mine=request.name == who)  # fmt: skip
    if status.open_gates:
        return
    for person in status.missing:
        name = person.name or "somebody"
        said = f"{name} has not approved it as {person.role.replace('_', ' ')}."
        yield Task(version=version, sentence=said, place=f"part-{person.role}", mine=bool(who) and person.name == who)
    if not status.obstacles:
        may = by is not None and by.may(Permission.RELEASE)
        yield Task(version=version, sentence="Everybody agreed: it may be released.", place="main", mine=may)
