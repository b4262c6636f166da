"""How a model is watched, where that is otherwise than its contract says: changed without a new version, and told in the audit.

What is set now is what the audit's last act about it says, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final

from modelmark.domain.audit import Act, Event
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.errors import Conflict, Rejected
from modelmark.domain.people import Permission, Principal
from modelmark.domain.ports import Ledger
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.seal.digests import plain
from modelmark.seal.values import restore

#: Characters of a reason.
_MOST: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedMonitors:
    """settings: None: those of the contract again."""

    model: str
    settings: Monitors | None
    changed: tuple[str, ...]
    at: datetime
    name: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Watching:
    """Over a ledger; what it read of the audit it does not read again. owner: whose name the audit has where no account acts."""

    ledger: Ledger
    audit: Audit
    people: People
    owner: str
    _read: int = 0
    _known: dict[str, ChangedMonitors] = field(default_factory=dict)

    def changed(self, model: str) -> ChangedMonitors | None:
        """The last change, also one back to the contract's settings; None where there never was one."""
        for event in self.ledger.events(after=self._read):
            self._read = event.sequence
            if event.act in (Act.CHANGED_MONITORS, Act.RESET_MONITORS):
                self._known[event.details["model"]] = _change(event)
        return self._known.get(model)

    def settings(self, model: str) -> Monitors | None:
        """What is set instead of the contract's settings; None where those hold."""
        found = self.changed(model)
        return None if found is None else found.settings

    def change(
        self, model: str, settings: Monitors, now: Monitors, reason: str, *, by: Principal | None = None
    ) -> ChangedMonitors:
        """now: as it is watched until then. Raises NotPermitted, Rejected for no reason (BAD_TEXT), Conflict (NOTHING_CHANGED)."""
        names = [one.name for one in fields(Monitors) if getattr(settings, one.name) != getattr(now, one.name)]
        if not names:
            raise Conflict(
                f"{model} is watched like that already", code="NOTHING_CHANGED", hint="modelmark monitors show"
            )
        return self._act(Act.CHANGED_MONITORS, model, reason, by, changed=names, settings=plain(settings))

    def reset(self, model: str, reason: str, *, by: Principal | None = None) -> ChangedMonitors:
        """Back to what each version's contract says. Raises as `change`."""
        if self.settings(model) is None:
            raise Conflict(
                f"{model} is watched as its contract says", code="NOTHING_CHANGED", hint="modelmark monitors show"
            )
        return self._act(Act.RESET_MONITORS, model, reason, by)

    def _act(self, act: Act, model: str, reason: str, by: Principal | None, **details: object) -> ChangedMonitors:
        self.people.permit(by, Permission.RELEASE)
        said = " ".join(reason.split())
        if not said or len(said) > _MOST:
            raise Rejected(
                "the reason says nothing, or too much",
                code="BAD_TEXT",
                field="reason",
                limit=f"1 to {_MOST} characters",
            )
        actor, name = (by.login, by.name) if by else (self.owner, self.owner)
        event = self.audit.append(actor, act, f"monitors of {model}", model=model, name=name, reason=said, **details)
        return _change(event)


def _change(event: Event) -> ChangedMonitors:
    details, settings = event.details, None
    if event.act == Act.CHANGED_MONITORS:
        settings = restore(Monitors, details["settings"])
    return ChangedMonitors(
        model=details["model"], settings=settings, changed=tuple(details.get("changed", ())), at=event.at,
        name=details["name"], reason=details["reason"],
    )  # fmt: skip
