"""How far a version is on its way, as the audit tells it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from modelmark.domain.audit import Act, Event
from modelmark.domain.digest import Digest

#: The stage of a version that has its mark and waits for its turn.
STAGED: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutProgress:
    """One version in a rollout. stage: counted from 0 in its contract's stages; STAGED before the first. since: it is in it.

    planned: by its contract's stages; else people moved it there by hand, and nobody moves it by itself. held: why it stands
    still, empty while it does not. event: the last act about it, so that whoever acts can say what they saw.
    """

    model: str
    version: Digest
    stage: int
    began: datetime
    since: datetime
    planned: bool = True
    held: str = ""
    event: int = 0


def rollouts_of(events: Iterable[Event], known: Iterable[RolloutProgress] = ()) -> tuple[RolloutProgress, ...]:
    """Every rollout that goes on after these events, oldest first. known: those that went on before them."""
    found = {(progress.model, progress.version): progress for progress in known}
    for event in events:
        model = str(event.details.get("model", ""))
        if event.act in _MOVES:
            key = (model, Digest(event.subject))
            found[key] = _moved(found.get(key), event, model)
        elif event.act == Act.RELEASED:
            found = {key: progress for key, progress in found.items() if key[0] != model}
        elif event.act in (Act.ROLLED_BACK, Act.WITHDRAWN):
            found = _ended(found, model, Digest(event.subject), of_champion=event.act == Act.ROLLED_BACK)
        elif event.act in (Act.HELD_ROLLOUT, Act.RESUMED_ROLLOUT):
            key = (model, Digest(event.subject))
            if key in found:
                reason = str(event.details.get("reason", "")) or "no reason was given"
                held = reason if event.act == Act.HELD_ROLLOUT else ""
                found[key] = replace(found[key], held=held, event=event.sequence)
    return tuple(sorted(found.values(), key=lambda progress: progress.began))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRollout:
    """How one rollout ended. shipped: the version became champion. reason: empty where none was given."""

    model: str
    version: Digest
    at: datetime
    actor: str
    shipped: bool
    reason: str


def ended_rollouts(events: Sequence[Event]) -> tuple[EndedRollout, ...]:
    """Every rollout that ended by an act about its own version, the newest first."""
    going: tuple[RolloutProgress, ...] = ()
    found: list[EndedRollout] = []
    for event in events:
        ends = event.act in (Act.RELEASED, Act.ROLLED_BACK, Act.WITHDRAWN)
        if ends and any(one.version == event.subject for one in going):
            found.append(
                EndedRollout(
                    model=str(event.details.get("model", "")), version=Digest(event.subject), at=event.at, actor=event.actor,
                    shipped=event.act == Act.RELEASED, reason=str(event.details.get("reason", "")),
                )
            )  # fmt: skip
        going = rollouts_of((event,), going)
    return tuple(reversed(found))


_MOVES: Final = (Act.STAGED, Act.SHADOWED, Act.RELEASED_AS_CANARY)


def _moved(before: RolloutProgress | None, event: Event, model: str) -> RolloutProgress:
    stage = event.details.get("stage")
    return RolloutProgress(
        model=model, version=Digest(event.subject), stage=STAGED if stage is None else int(stage),
        began=before.began if before else event.at, since=event.at, planned=stage is not None, event=event.sequence,
    )  # fmt: skip


_Found = dict[tuple[str, Digest], RolloutProgress]


def _ended(found: _Found, model: str, version: Digest, *, of_champion: bool) -> _Found:
    """What ends is that version's; where the champion itself was rolled back, all of the model: they were compared with it."""
    if (model, version) in found:
        return {key: progress for key, progress in found.items() if key != (model, version)}
    if of_champion:
        return {key: progress for key, progress in found.items() if key[0] != model}
    return found
