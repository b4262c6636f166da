"""What has not arrived, and which webhooks there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.alerts.outbox import Undelivered
from modelmark.domain.alerts.webhooks import Webhook
from modelmark.domain.ports import MonitoringStore


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMessage:
    """to: whom it is for, in words. dead: nobody tries any more."""

    key: str
    title: str
    to: str
    tries: int
    due_at: datetime
    dead: bool
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookState:
    """place: which of the list, and its host. waiting, dead: messages that it has not taken."""

    id: str
    place: str
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """Dead letters first."""

    webhooks: tuple[HookState, ...]
    messages: tuple[WaitingMessage, ...]

    @property
    def dead(self) -> int:
        return sum(message.dead for message in self.messages)

    @property
    def sentence(self) -> str:
        waiting = len(self.messages) - self.dead
        if not self.messages:
            return "Everything that was to be told has arrived."
        said = (
            [f"{self.dead:,} dead letter{'s' if self.dead != 1 else ''}, which nobody tries any more"]
            if self.dead
            else []
        )
        said += [f"{waiting:,} message{'s wait' if waiting != 1 else ' waits'}"] if waiting else []
        return "; ".join(said) + "."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDeliveries:
    monitoring_store: MonitoringStore
    hooks: Callable[[], Sequence[Webhook]]

    def __call__(self) -> Deliveries:
        """Raises Rejected (BAD_WEBHOOK) where the setting cannot be read."""
        hooks = self.hooks()
        places = {hook.id: hook.place for hook in hooks}
        found = self.monitoring_store.undelivered()
        messages = [
            _message(one, places) for one in sorted(found, key=lambda one: (not one.is_dead, one.due_at, one.key))
        ]
        states = [
            HookState(
                id=hook.id, place=hook.place, waiting=sum(one.hook == hook.id and not one.is_dead for one in found),
                dead=sum(one.hook == hook.id and one.is_dead for one in found),
            )
            for hook in hooks
        ]  # fmt: skip
        return Deliveries(webhooks=tuple(states), messages=tuple(messages))


def _message(one: Undelivered, places: dict[str, str]) -> WaitingMessage:
    if one.hook:
        to = f"webhook {places.get(one.hook, f'{one.hook}, which is not named any more')}"
    else:
        to = one.audience.replace("_", " ") or "everybody"
    return WaitingMessage(
        key=one.key, title=one.title, to=to, tries=one.tries, due_at=one.due_at, dead=one.is_dead, error=one.error
    )
