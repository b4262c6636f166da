"""What serves now: follows the signed snapshot, keeps verified versions in memory, and hands requests to the batcher.

A snapshot or version that cannot be believed or loaded changes nothing: what served before serves on, and readiness,
metrics and the log say so.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, ModelmarkError, NotYet
from modelmark.domain.printable import one_line
from modelmark.domain.routes import Snapshot
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.records import Labelled
from modelmark.journal.wal.writer import Writer
from modelmark.seal.keys import Verifier
from modelmark.seal.snapshot import read_snapshot
from modelmark.serving.answers import PredictRequest, Responder
from modelmark.serving.batching import Batcher
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.models import LiveRoute, LoadedModel, live_route, load_marked
from modelmark.serving.observers import Observers
from modelmark.serving.refusals import Refusals

POLL: Final = 0.2
RETRY: Final = 5.0
TICK: Final = 0.5

Routes = Mapping[str, LiveRoute]


@dataclass(frozen=True, slots=True)
class Plan:
    """A snapshot made ready to serve, off the loop."""

    sequence: int
    routes: Routes
    failures: tuple[str, ...]
    unserved: tuple[str, ...] = ()  # models of the snapshot of which no version could be loaded


@dataclass(slots=True)
class Health:
    """Why a worker is ready or not: drained, no snapshot yet, or what it could not load."""

    draining: bool = False
    failures: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    sequence: int = -1


class Runtime:
    """One per worker. `routes` is replaced whole, never changed."""

    def __init__(
        self,
        workspace: Workspace,
        writer: Writer,
        metrics: Metrics,
        *,
        verifier: Callable[[], Verifier],
        max_requests: int = 1024,
        max_queue_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.workspace, self.writer, self.metrics = workspace, writer, metrics
        self.routes: Routes = {}
        self.health = Health()
        self.refusals = Refusals()
        self.observers = Observers(metrics)
        self._verifier = verifier
        self._seen: tuple[int, int, int] | None = None
        self._retry_at = 0.0
        self.batcher = Batcher(
            asyncio.get_running_loop(),
            writer,
            metrics,
            self.refusals,
            self.observers,
            max_requests=max_requests,
            max_bytes=max_queue_bytes,
        )

    def serve_only(self, version: LoadedModel) -> None:
        """Staging: one candidate, outside all traffic; no snapshot is followed."""
        self._adopt(Plan(0, {version.model: LiveRoute.alone(version)}, ()))

    async def follow(self) -> None:
        """Adopt the snapshot now, then whenever it changes. Runs until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(POLL)

    async def refresh(self) -> None:
        """One look at the snapshot. Loading happens in a thread; the swap is one assignment on the loop."""
        seen = _stamp(self.workspace.snapshot)
        retry = bool(self.health.failures) and time.monotonic() >= self._retry_at
        if seen == self._seen and not retry:
            return
        try:
            plan = await asyncio.to_thread(
                self._prepare, self.health.sequence, dict(self.routes), bool(self.health.failures)
            )
        except (ModelmarkError, OSError) as error:
            self._report((str(error),))
        else:
            if plan is not None:
                self._adopt(plan)
        self._seen = seen
        self._retry_at = time.monotonic() + RETRY

    def ready(self) -> tuple[bool, list[str]]:
        """Whether calls should come here, and what is wrong."""
        problems = list(self.health.failures)
        if self.health.draining:
            problems.append("draining")
        if self.writer.failure is not None:
            problems.append(f"the journal cannot take records: {self.writer.failure}")
        if self.health.sequence < 0:
            problems.append("no release snapshot has been read yet")
        dumb = bool(self.health.unserved) and not self.routes
        if dumb:
            problems.append(f"nothing answers for {', '.join(self.health.unserved)}")
        fine = not self.health.draining and self.writer.failure is None and self.health.sequence >= 0 and not dumb
        return fine, problems

    def route(self, model: str) -> LiveRoute:
        found = self.routes.get(model)
        if found is None:
            raise Missing(f"no model of that name is served ({len(self.routes)} are)", code="UNKNOWN_MODEL")
        return found

    def label(self, labels: list[Labelled]) -> None:
        """Journal labels. Raises NotYet when the journal cannot take them."""
        self.writer.append_many(labels)
        self.metrics.add("modelmark_labels_total", len(labels))

    def submit(self, request: PredictRequest) -> None:
        """Answer it, now or later, through its responder. Raises NotYet and Overloaded, having taken nothing."""
        if self.writer.failure is not None:
            raise NotYet("the journal cannot take records, so nothing is answered", code="JOURNAL_FAILED")
        self.batcher.submit(request)

    def refuse(self, responder: Responder, error: ModelmarkError, model: str = "") -> None:
        """What a transport refuses before there is a request; counted for the journal when it is about a model."""
        route = self.routes.get(model)
        if route is not None:
            self.refusals.note(route, error)
        responder.refuse(error)

    def missing(self, model: str) -> ModelmarkError:
        """Why nothing answers at what looks like an address of this model."""
        if model in self.routes:
            return Missing("the model serves no such version or action", code="NOT_FOUND", field=model)
        if model in self.health.unserved:
            return NotYet(
                "no released version of this model could be loaded",
                code="MODEL_UNAVAILABLE",
                hint="GET /v2/health/ready says why",
            )
        return Missing("no model of that name is served", code="UNKNOWN_MODEL")

    async def tick(self) -> None:
        """Now and then: seal segments, journal refusal counts, share metrics. Runs until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self.tidy()

    def tidy(self) -> None:
        try:
            self.writer.append_many(self.refusals.take(time.time_ns()))
            self.writer.tick()
        except NotYet as error:
            self._report((error.message,))
        gauges = self.metrics.gauges
        gauges["modelmark_queue_requests"] = self.batcher.waiting
        gauges["modelmark_snapshot_sequence"] = self.health.sequence
        gauges["modelmark_ready"] = float(self.ready()[0])
        self.metrics.share()

    def _prepare(self, sequence: int, routes: dict[str, LiveRoute], again: bool) -> Plan | None:
        """In a thread. None when the snapshot is not newer. Raises what makes it unbelievable."""
        verifier = self._verifier()
        snapshot = read_snapshot(self.workspace.snapshot, verifier)
        if snapshot.sequence < sequence:
            raise NotYet(f"snapshot {snapshot.sequence} is older than {sequence}, which is served: not followed")
        if snapshot.sequence == sequence and not again:
            return None
        loaded, failures = self._load(snapshot, verifier, routes)
        found: dict[str, LiveRoute] = {}
        for route in snapshot.routes:
            wanted = {arm.version for arm in route.answering}  # a shadow that does not load holds nothing up
            before = routes.get(route.model)
            live = live_route(route, loaded)
            if before is not None and not wanted <= loaded.keys():
                live = before  # half a change is no change
            if live is not None:
                found[route.model] = live
        unserved = tuple(route.model for route in snapshot.routes if route.model not in found)
        return Plan(snapshot.sequence, found, tuple(failures), unserved)

    def _load(
        self, snapshot: Snapshot, verifier: Verifier, routes: Mapping[str, LiveRoute]
    ) -> tuple[dict[Digest, LoadedModel], list[str]]:
        at_hand = {version.id: version for route in routes.values() for version in route.versions}
        loaded: dict[Digest, LoadedModel] = {}
        failures: list[str] = []
        for route in snapshot.routes:
            wanted = [arm.version for arm in route.arms] + ([route.previous] if route.previous else [])
            for id in wanted:
                if id in loaded:
                    continue
                if id in at_hand:
                    loaded[id] = at_hand[id]
                    continue
                try:
                    loaded[id] = load_marked(self.workspace.version(id), verifier, id)
                except Exception as error:  # noqa: BLE001  # a model's runtime raises what it likes
                    failures.append(f"version {id.short} of {route.model} does not load: {error}")
        return loaded, failures

    def _adopt(self, plan: Plan) -> None:
        for route in plan.routes.values():
            for version in route.versions:
                self.writer.declare(version.schema)
        self.routes = plan.routes
        self.health.unserved = plan.unserved
        self.health.sequence = plan.sequence
        self._report(plan.failures)

    def _report(self, failures: tuple[str, ...]) -> None:
        if failures and failures != self.health.failures:
            self.metrics.add(key("modelmark_snapshot_failures_total"), len(failures))
            for failure in failures:
                print(one_line(f"serving: {failure}"), file=sys.stderr, flush=True)  # noqa: T201
        self.health.failures = failures


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
