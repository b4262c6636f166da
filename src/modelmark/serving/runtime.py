"""What serves now: follows the signed snapshot, keeps verified versions in memory, and hands requests to the batcher.

A snapshot or version that cannot be believed or loaded changes nothing: what served before serves on, and readiness,
metrics and the log say so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from modelmark.domain.alerts.unserved import tell_unserved
from modelmark.domain.alerts.watching import unwatched, unwatched_for
from modelmark.domain.digest import Digest
from modelmark.domain.endpoint.cache_now import tell_cache_off
from modelmark.domain.errors import Missing, ModelmarkError, NoMark, NotYet, Tampered
from modelmark.domain.routes import Route
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.records import Labelled, Observed
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.writer import Writer, refusal
from modelmark.seal.keys import PUBLIC, Verifier
from modelmark.seal.mark import open_marked
from modelmark.serving import routing
from modelmark.serving.answers import PredictRequest, Responder
from modelmark.serving.batching import Batcher
from modelmark.serving.believed import Believed
from modelmark.serving.caching.cache import Cache
from modelmark.serving.caching.shared_cache import SharedCache
from modelmark.serving.entry.access import Access
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.models import LiveRoute, LoadedModel, live_route
from modelmark.serving.observers import Observers
from modelmark.serving.refusals import Refusals
from modelmark.serving.rollout.shadows import Shadows
from modelmark.serving.telling import tell
from modelmark.serving.timing.timing import Timing, Traces

POLL: Final = 0.2
RETRY: Final = 5.0
TICK: Final = 0.5
#: How old metrics may be when somebody asks, in seconds: reading what other workers left is work with files.
METRICS_AGE: Final = 1.0

#: A larger body is read off the loop, in bytes.
LARGE_BODY: Final = 256 * 1024

Routes = Mapping[str, LiveRoute]
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """A snapshot made ready to serve, off the loop."""

    sequence: int
    routes: Routes | None  # None: what serves stays
    failures: tuple[str, ...]
    unserved: tuple[str, ...] = ()  # models of the snapshot of which no version could be loaded
    unfit: tuple[str, ...] = ()  # versions that are as signed, and cannot be served here


@dataclass(slots=True)
class Health:
    """Why a worker is ready or not: drained, no snapshot yet, or what it could not load. unwatched: the steward is missed,
    which keeps nobody from answering. also: what a transport has to say that keeps nobody from answering either."""

    draining: bool = False
    failures: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    sequence: int = -1
    unwatched: str | None = None
    also: Callable[[], str | None] = lambda: None


class Runtime:
    """One per worker. `routes` is replaced whole, never changed."""

    def __init__(
        self,
        workspace: Workspace,
        writer: Writer | RenewedWriter,
        metrics: Metrics,
        *,
        verifier: Callable[[], Verifier],
        key_problem: Callable[[], str | None] = lambda: None,
        max_requests: int = 1024,
        max_queue_bytes: int = 64 * 1024 * 1024,
        require_keys: bool = False,
        cache_bytes: int = 0,
        shared_cache: SharedCache | None = None,
        traces: Traces | None = None,
    ) -> None:
        """require_keys: nobody is answered without one. cache_bytes: of answers that may be given again; 0: none is."""
        self._traces = traces
        self.cache = Cache(cache_bytes, metrics, shared_cache) if cache_bytes else None
        self.access = Access(workspace.runtime / "rates", required=require_keys)
        self._loop = asyncio.get_running_loop()
        self.workspace, self.writer, self.metrics = workspace, writer, metrics
        self.routes: Routes = {}
        self.health = Health()
        self.refusals = Refusals()
        self.observers = Observers(metrics)
        self.shadows = Shadows(writer, metrics, self.observers)
        self._verifier, self._key_problem = verifier, key_problem
        self._believed = Believed(workspace)
        self._well: dict[Digest, object] = {}
        self._seen: tuple[Stamp | None, ...] = ()
        self._look_at = 0.0
        self._metrics_text, self._metrics_at = b"", float("-inf")
        self.batcher = Batcher(
            self._loop,
            writer,
            metrics,
            self.refusals,
            self.observers,
            max_requests=max_requests,
            max_bytes=max_queue_bytes,
            cache=self.cache,
        )

    @cached_property
    def reader(self) -> ThreadPoolExecutor:
        """Where large bodies are read: one thread, for reading holds the interpreter anyway. Started when first needed."""
        return ThreadPoolExecutor(1, thread_name_prefix="reader")

    def serve_only(self, version: LoadedModel) -> None:
        """Staging: one candidate, outside all traffic; no snapshot is followed."""
        self._adopt(Plan(0, {version.model: LiveRoute.alone(version)}, ()))

    async def follow(self) -> None:
        """Adopt the snapshot now, then whenever it changes. Runs until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(POLL)

    async def refresh(self) -> None:
        """One look at the snapshot and the key. Loading happens in a thread; the swap is one assignment on the loop."""
        seen = (_stamp(self.workspace.snapshot), _stamp(self.workspace.keys / PUBLIC))
        looks_again = time.monotonic() >= self._look_at  # at the folders of what serves, and at what was wrong
        if seen == self._seen and not looks_again:
            return
        try:
            plan = await asyncio.to_thread(
                self._prepare, self.health.sequence, dict(self.routes), bool(self.health.failures)
            )
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a file changes nothing for what serves
            self._report((str(error),))
        else:
            self._adopt(plan) if plan.routes is not None else self._report(plan.failures)
        self._seen = seen
        self._look_at = time.monotonic() + RETRY

    def ready(self) -> tuple[bool, list[str]]:
        """Whether calls should come here, and what is wrong."""
        problems = list(self.health.failures)
        if self.health.draining:
            problems.append("draining")
        if self.writer.failure is not None:
            problems.append(f"the journal cannot take records: {self.writer.failure}")
        if self.health.sequence < 0:
            problems.append("no release snapshot has been read yet")
        if said := self.health.also():
            problems.append(said)
        if self.health.unwatched:
            problems.append(self.health.unwatched)
        dumb = bool(self.health.unserved) and not self.routes
        if dumb:
            problems.append(f"nothing answers for {', '.join(self.health.unserved)}")
        fine = not self.health.draining and self.writer.failure is None and self.health.sequence >= 0 and not dumb
        return fine, problems

    def answers(self, model: str) -> bool:
        """Whether calls for a model that is served should come here: not while its champion waits for its own server."""
        return self.ready()[0] and self.routes[model].champion.proven

    @property
    def released(self) -> bool:
        """There has been a release, whether it can be read or not."""
        return self._believed.released

    def require_release(self) -> None:
        """Raises NotYet while no release has been read, or keys alone: until then nobody can say which models there are."""
        if self.health.sequence < 0 or not (self.routes or self.health.unserved):
            raise NotYet(
                "no release has been read yet, so nothing is answered",
                code="NO_RELEASE",
                hint="GET /v2/health/ready says why",
            )

    def route(self, model: str) -> LiveRoute:
        found = self.routes.get(model)
        if found is None:
            raise self.missing(model)
        return found

    def label(self, labels: Sequence[Labelled], observed: Sequence[Observed] = ()) -> None:
        """Journal labels, and what is said of entities. Raises NotYet when the journal cannot take them."""
        self.writer.append_many([*labels, *observed])
        self.metrics.add("modelmark_labels_total", len(labels) + len(observed))

    def timing(self, received: float, headers: Mapping[bytes, bytes]) -> Timing | None:
        """For a request whose caller asks where its time goes, or that is traced. headers: `server-timing: 1`, `traceparent`."""
        asked = headers.get(b"server-timing") == b"1"
        if self._traces is not None:
            found = self._traces.begin(received, headers.get(b"traceparent"), asked=asked)
            if found is not None:
                return found
        return Timing(received, asked=True) if asked else None

    def require_room(self, version: LoadedModel, caller: bytes, due: float) -> None:
        """Before a request is read: raises Overloaded when it could not be answered in time anyway."""
        self.batcher.require_room(version, caller, due)

    def submit(self, request: PredictRequest) -> None:
        """Answer it, now or later, through its responder. Raises NotYet and Overloaded, having taken nothing."""
        if self.writer.failure is not None:
            raise refusal(self.writer.failure)
        self.batcher.submit(request)

    def refuse(
        self, responder: Responder, error: ModelmarkError, route: LiveRoute | None = None, arm: int | None = None
    ) -> None:
        """What a transport refuses before there is a request; counted for the journal when it is about a model. arm: who was
        to answer; None where it could not be read who asked: then the request itself chooses, as it does for one that
        names nobody."""
        if route is not None:
            chosen = arm if arm is not None else routing.by_request(route, responder.request_id)
            self.refusals.note(route.arms[chosen], error)
        responder.refuse(error)

    def missing(self, model: str) -> ModelmarkError:
        """Why nothing answers at what looks like an address of this model. Raises NotYet while no release has been read."""
        self.require_release()
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
        self.access.count(self.metrics)
        gauges = self.metrics.gauges
        gauges["modelmark_queue_requests"] = self.batcher.outcomes.requests
        gauges["modelmark_snapshot_sequence"] = self.health.sequence
        gauges["modelmark_unbelieved"] = len(self.health.failures)
        if (seconds := unwatched_for(self.workspace)) is not None:
            gauges["modelmark_steward_seconds"] = seconds
        self._miss(unwatched(self.workspace))
        gauges["modelmark_ready"] = float(self.ready()[0])
        self._tell_loaded()
        if self.cache is not None:
            tell_cache_off(self.workspace, self.writer.id, self.cache.count())
        self.metrics.share()
        self.batcher.outcomes.arms.tell(self.workspace, self.writer.id)
        tell_unserved(self.workspace, self.writer.id, (*self.health.unfit, *self._astray()))

    def _tell_loaded(self) -> None:
        gauges, name = self.metrics.gauges, "modelmark_version_loaded"
        for series in [series for series in gauges if series.startswith(name)]:
            del gauges[series]
        for version in {v.id: v for route in self.routes.values() for v in route.versions}.values():
            gauges[key(name, model=version.model, version=version.label)] = float(version.proven)

    def _astray(self) -> Iterator[str]:
        """Versions that serve, and have since become another model where they are."""
        for version in {v.id: v for route in self.routes.values() for v in route.versions}.values():
            if said := version.astray:
                yield f"version {version.id.short} of {version.model}: {said}"

    def _miss(self, said: str | None) -> None:
        """The steward cannot tell of its own end: the log does, once, and readiness names it among the problems."""
        if said and not self.health.unwatched:
            tell(f"serving: {said}")
        self.health.unwatched = said

    def metrics_text(self) -> bytes:
        """What all workers counted, in Prometheus' text format, as it was at most a second ago."""
        now = time.monotonic()
        if now - self._metrics_at >= METRICS_AGE:
            self.tidy()
            self._metrics_text, self._metrics_at = self.metrics.exposition(), now
        return self._metrics_text

    def _prepare(self, sequence: int, routes: dict[str, LiveRoute], again: bool) -> Plan:
        """In a thread. Its routes are None when there is nothing newer to follow. Raises what leaves nothing to follow."""
        verifier = self._verifier()
        found = self._believed.snapshots(verifier)
        key_problem = self._key_problem()
        problems = [*found.problems, *([key_problem] if key_problem else [])]
        snapshot = found.snapshots[0]
        if snapshot.sequence < sequence:
            problems.append(f"snapshot {snapshot.sequence} is older than {sequence}, which is served: not followed")
        if snapshot.sequence < sequence or (snapshot.sequence == sequence and not again):
            return Plan(sequence, None, (*problems, *self._damaged(routes, verifier)))
        self._loop.call_soon_threadsafe(self.access.follow, snapshot.keys)  # whatever it takes to load its versions
        loaded: dict[Digest, LoadedModel] = {
            version.id: version for route in routes.values() for version in route.versions
        }
        live: dict[str, LiveRoute] = {}
        unfit: list[str] = []
        for route in snapshot.routes:
            kept = [s.route(route.model) for s in found.snapshots[1:]]
            failures = list(self._load(route, verifier, loaded, unfit))
            chosen = self._chosen(route, [r for r in kept if r is not None], verifier, loaded, routes)
            if chosen is not None:
                live[route.model] = chosen
            problems += failures
        unserved = tuple(route.model for route in snapshot.routes if route.model not in live)
        problems += self._believed.keep(found.data, verifier, whole=all(_is_whole(r, loaded) for r in snapshot.routes))
        problems += self._damaged(live, verifier)
        problems += self._believed.copy({v.id for route in live.values() for v in route.versions}, self._well)
        return Plan(snapshot.sequence, live, tuple(problems), unserved, tuple(unfit))

    def _chosen(
        self,
        route: Route,
        kept: Sequence[Route],
        verifier: Verifier,
        loaded: dict[Digest, LoadedModel],
        routes: Mapping[str, LiveRoute],
    ) -> LiveRoute | None:
        """The route as it is wanted; else, for half a change is no change, as it serves, or as it served before a
        restart; else over what could be loaded, the champion before it included."""
        if _is_whole(route, loaded):
            return live_route(route, loaded)
        if route.model in routes:
            return routes[route.model]
        for before in kept:
            list(self._load(before, verifier, loaded, []))  # what is wrong with those is no news
            if _is_whole(before, loaded):
                return live_route(before, loaded)
        proven = {id: version for id, version in loaded.items() if version.proven}
        return live_route(route, proven) or live_route(route, loaded)

    def _load(
        self, route: Route, verifier: Verifier, loaded: dict[Digest, LoadedModel], unfit: list[str]
    ) -> Iterator[str]:
        """What a route needs into `loaded`. Yields what is wrong; what is whole and cannot be served here goes into `unfit`."""
        for id in [arm.version for arm in route.arms] + ([route.previous] if route.previous else []):
            if id in loaded and loaded[id].proven:
                continue
            looks, from_folder = _look(self.workspace.version(id)), False
            try:
                if id not in loaded:
                    loaded[id], from_folder = self._believed.load(id, verifier, may_wait=True)
                if loaded[id].waiting:
                    raise NotYet(loaded[id].waiting)
                if not loaded[id].proven:
                    loaded[id].prove()
            except Exception as error:  # noqa: BLE001  # a model's runtime raises what it likes
                waits = isinstance(error, NotYet) and id in loaded  # its server is gone: what stands in for it answers
                if not waits:
                    loaded.pop(id, None)
                said = f"version {id.short} of {route.model} {'waits' if waits else 'does not load'}: {error}"
                if not isinstance(error, (Tampered, NoMark, OSError)):
                    unfit.append(said)
                yield said
            if from_folder:
                self._well[id] = looks

    def _damaged(self, routes: Mapping[str, LiveRoute], verifier: Verifier) -> Iterator[str]:
        """What has become of the files of what serves from memory. Files that look as they did when they were well are
        not read again."""
        for version in {v.id: v for route in routes.values() for v in route.versions}.values():
            folder = self.workspace.version(version.id)
            looks = _look(folder)
            if self._well.get(version.id) == looks:
                continue
            self._well.pop(version.id, None)
            try:
                open_marked(folder, verifier, expected=version.id)
                self._well[version.id] = looks
            except Exception as error:  # noqa: BLE001  # it is told, and changes nothing
                yield f"version {version.id.short} of {version.model} is damaged on disk; it serves on: {error}"

    def _adopt(self, plan: Plan) -> None:
        assert plan.routes is not None
        for route in plan.routes.values():
            for version in route.versions:
                self.writer.declare(version.schema)
        self.routes = plan.routes
        self.shadows.follow(plan.routes)
        self.batcher.outcomes.arms.follow(plan.routes)
        self.batcher.outcomes.arms.tell(self.workspace, self.writer.id)
        if self.cache is not None:
            self.cache.purge({version.id for route in plan.routes.values() for version in route.versions})
        self.health.unserved, self.health.unfit = plan.unserved, plan.unfit
        self.health.sequence = plan.sequence
        self._report(plan.failures)

    def _report(self, failures: tuple[str, ...]) -> None:
        if failures and failures != self.health.failures:
            self.metrics.add(key("modelmark_snapshot_failures_total"), len(failures))
            for failure in failures:
                tell(f"serving: {failure}")
        self.health.failures = failures


def _is_whole(route: Route, loaded: Mapping[Digest, LoadedModel]) -> bool:
    """A shadow that does not load holds nothing up."""
    return all(arm.version in loaded and loaded[arm.version].proven for arm in route.answering)


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _look(folder: Path) -> tuple[tuple[str, Stamp | None], ...]:
    """How the files look from outside."""
    return tuple((str(path), _stamp(path)) for path in sorted(folder.rglob("*")))
