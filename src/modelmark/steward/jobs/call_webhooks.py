"""Calling webhooks, each in a thread of its own: one that is dead or slow holds up neither the others nor the steward."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final, Protocol

from modelmark.domain.alerts.outbox import wait_after
from modelmark.domain.alerts.webhooks import Webhook
from modelmark.domain.errors import ModelmarkError, NotYet
from modelmark.domain.ports import Message, MonitoringStore
from modelmark.steward.job import FaultOwner, JobContext, JobFault

#: Messages that one webhook is sent before the steward notes what became of them.
PER_CALL: Final = 20
#: The receiver would not have this message, and may well take the next.
_OF_THE_MESSAGE: Final = "NOT_TAKEN"


class Sender(Protocol):
    def send(self, hook: Webhook, id: str, at: datetime, body: bytes) -> None:
        """Raises NotYet and NotPermitted; NOT_TAKEN is about this message, all else about the webhook."""
        ...


@dataclass(slots=True, kw_only=True)
class _Call:
    """What one thread does. failed: why, by key; None: it was taken. What is missing was not tried."""

    messages: Sequence[Message]
    failed: dict[str, ModelmarkError | None] = field(default_factory=dict)
    thread: threading.Thread | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWebhooks:
    """A message that was sent when the steward was killed is sent again, by the same id. clock: of each try, for its signature."""

    name: ClassVar = "webhooks"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    monitoring_store: MonitoringStore
    hooks: Sequence[Webhook]
    sender: Sender
    clock: Callable[[], datetime]
    jitter: random.Random = field(default_factory=random.Random)
    _calls: dict[str, _Call] = field(default_factory=dict)
    _rests: dict[str, datetime] = field(default_factory=dict)
    _buried: list[datetime] = field(default_factory=list)

    def run(self, context: JobContext) -> bool:
        for hook in self.hooks:
            call = self._calls.get(hook.id)
            if call is not None and call.thread is not None and call.thread.is_alive():
                continue
            if call is not None:
                self._note(hook, call, context)
            if self._rests.get(hook.id, context.now) <= context.now:
                self._start(hook, context.now)
        if not self._buried:
            self._bury()
            self._buried.append(context.now)
        return True

    def _start(self, hook: Webhook, now: datetime) -> None:
        due = self.monitoring_store.due_messages(now, hook=hook.id)[:PER_CALL]
        if not due:
            return
        call = _Call(messages=due)
        call.thread = threading.Thread(target=self._send, args=(hook, call), name=f"webhook {hook.id}", daemon=True)
        self._calls[hook.id] = call
        call.thread.start()

    def _send(self, hook: Webhook, call: _Call) -> None:
        for message in call.messages:
            try:
                self.sender.send(hook, message.key.rpartition("-")[2], self.clock(), message.body.encode())
                call.failed[message.key] = None
            except ModelmarkError as error:
                call.failed[message.key] = error
                if error.code != _OF_THE_MESSAGE:
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, it waits like any other failure
                failed = f"webhook {hook.place} could not be called: {type(error).__name__}"
                call.failed[message.key] = NotYet(failed, code="NOT_DELIVERED")
                return

    def _note(self, hook: Webhook, call: _Call, context: JobContext) -> None:
        """Where the webhook as a whole is unwell, all that was to be sent has failed, and the webhook rests."""
        del self._calls[hook.id]
        store, now, waits = self.monitoring_store, context.now, list[datetime]()
        broken = next((e for e in call.failed.values() if e is not None and e.code != _OF_THE_MESSAGE), None)
        with store.transaction():
            for message in call.messages:
                error = call.failed.get(message.key, broken)
                if message.key in call.failed and error is None:
                    store.message_sent(message.key, now)
                elif error is not None:
                    wait = wait_after(message.tries, self.jitter.uniform(0.5, 1.5))
                    store.message_failed(message.key, now, now + wait, error.message)
                    waits += [now + wait] if error is broken else []
        self._rests[hook.id] = min(waits, default=now)
        for error in {e.message: e for e in call.failed.values() if e is not None}.values():
            context.report(
                JobFault(subject=self.name, sentence=f"a message waits: {error.message}", owner=FaultOwner.LOG)
            )

    def _bury(self) -> None:
        """What waits for a webhook that nobody names any more is a dead letter. Which are named is known once a process."""
        known, store = {hook.id for hook in self.hooks}, self.monitoring_store
        gone = [one.key for one in store.undelivered() if one.hook and one.hook not in known and not one.is_dead]
        if gone:
            store.give_up(gone, "MODELMARK_WEBHOOKS names this webhook no more")
