"""Whether each webhook takes a message, and would know that it is from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.alerts.events import trial_event
from modelmark.domain.alerts.webhooks import Webhook
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """error: empty where it was taken."""

    place: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TryWebhooks:
    """send: as `notify.webhooks.WebhookSender` does."""

    hooks: Sequence[Webhook]
    send: Callable[[Webhook, str, datetime, bytes], None]
    clock: Clock
    environment: str

    def __call__(self) -> tuple[Trial, ...]:
        """One signed message of type `trial` to each, now, in their order."""
        return tuple(self._try(hook) for hook in self.hooks)

    def _try(self, hook: Webhook) -> Trial:
        now = self.clock()
        event = trial_event(now, environment=self.environment)
        try:
            self.send(hook, event.id, now, event.body.encode())
        except ModelmarkError as error:
            return Trial(place=hook.place, error=error.message)
        return Trial(place=hook.place, error="")
