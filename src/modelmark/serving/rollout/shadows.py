"""The shadows of all routes: each is asked a copy of every request that a model answered, after the answer has left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from modelmark.domain.errors import NotYet
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.journal.wal.records import Shadowed
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.writer import Writer
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.models import LiveRoute
from modelmark.serving.observers import Observers
from modelmark.serving.rollout.mirror import Mirror

REQUESTS: Final = "modelmark_shadow_requests_total"


class Shadows:
    """One mirror a shadow, so that one that hangs keeps no other from being asked. Their answers go to the journal, on the loop."""

    def __init__(self, writer: Writer | RenewedWriter, metrics: Metrics, observers: Observers) -> None:
        """Made on the loop."""
        self._writer, self._metrics, self._observers = writer, metrics, observers
        self._loop = asyncio.get_running_loop()
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self._said: list[Shadowed] = []
        self._lock = threading.Lock()

    def follow(self, routes: Mapping[str, LiveRoute]) -> None:
        """From now on these shadows are asked, and no others."""
        wanted = {(name, arm.version.id.hex): arm for name, route in routes.items() for arm in route.shadows}
        before = self._mirrors
        for gone in before.keys() - wanted.keys():
            before[gone].end()
        self._mirrors = {at: before[at] if at in before else Mirror(arm, self._heard) for at, arm in wanted.items()}
        self._observers.unregister(self._ask)
        if wanted:
            self._observers.register(self._ask)

    def _ask(self, request: PredictRequest, answer: Answer) -> None:
        """In the observers' thread. A live answer that no model gave has nothing to be compared with."""
        if answer.served_by is not ServedBy.MODEL:
            return
        mirrors = self._mirrors
        for arm in request.route.shadows:
            mirror = mirrors.get((request.route.model, arm.version.id.hex))
            if mirror is not None and not mirror.ask(request, answer):
                self._on_loop(self._count, mirror, "dropped", 1)

    def _heard(self, said: Shadowed) -> None:
        """In a mirror's thread. What is said until the loop turns goes into the journal together."""
        with self._lock:
            first = not self._said
            self._said.append(said)
        if first:
            self._on_loop(self._keep)

    def _keep(self) -> None:
        with self._lock:
            said, self._said = self._said, []
        unrecorded = False
        try:
            self._writer.append_many(said)
        except NotYet:  # the journal has no room; live answers are refused for the same reason
            unrecorded = True
        for record in said:
            mirror = self._mirrors.get((record.model, record.version.removeprefix("sha256:")))
            if mirror is not None:
                self._count(mirror, "unrecorded" if unrecorded else "failed" if record.error else "answered", 1)

    def _count(self, mirror: Mirror, outcome: str, n: int) -> None:
        version = mirror.arm.version
        self._metrics.add(key(REQUESTS, model=version.model, version=version.label, outcome=outcome), n)

    def _on_loop(self, work: object, *what: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(work, *what)  # type: ignore[arg-type]
