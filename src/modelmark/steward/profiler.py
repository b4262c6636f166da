"""Profiles of what compaction appended, each row counted exactly once.

Every append has a receipt that names its files. The rows of those files are counted, added to the profiles that stand
in the monitoring store, and the receipt's line is noted, all in one transaction of the database: a kill before it commits
leaves nothing, after it everything. Adding costs as much as the new rows do; counting a touched bucket again would
cost the bucket.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.finding import Window
from modelmark.domain.metrics import Task
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.receipts import Receipts
from modelmark.journal.tables.schema import input_columns
from modelmark.monitors.monitor import REQUESTS
from modelmark.stats.bootstrap import Interval
from modelmark.stats.profile import SCORE, Counts, Reference, merge, pack, tally, unpack
from modelmark.steward.expiries import Expiry

CHECKPOINT: Final = "profile"
LAG: Final = "lag"
COMMITS_PER_STEP: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredVersion:
    """A version that serves, or has. reference: what `stats.profile.reference` made. baseline: the objective on its holdout.

    terms: what was agreed until a day. label: v3. arm: of its route. left: it serves no more, and only the labels of what it
    answered are judged.
    """

    model: str
    version: Digest
    contract: Contract
    reference: bytes
    baseline: Interval | None
    terms: tuple[Expiry, ...] = ()
    label: str = ""
    arm: str = ""
    left: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """rows: counted. skipped: rows of versions nobody watches. lost: files that were gone. behind: more is waiting."""

    rows: int
    skipped: int
    lost: int
    behind: bool


def bucket_seconds(settings: Monitors) -> int:
    """How fine profiles are kept: a thirtieth of the window, between a second and a minute."""
    return int(min(60, max(1, settings.window_minutes * 2)))


class Profiler:
    """Keeps parsed references and its place in the receipts between steps."""

    def __init__(self, workspace: Workspace, book: MonitoringStore, *, bucket: timedelta | None = None) -> None:
        """bucket: how fine profiles are kept; None: as the monitors' settings ask."""
        self._bucket = bucket
        self._workspace = workspace
        self._book = book
        self._receipts = Receipts(workspace.receipts)
        self._waiting: list[tuple[int, str, list[str]]] = []  # line, table, files
        self._watched: dict[str, tuple[MonitoredVersion, Reference]] = {}
        self._first: dict[str, datetime] = {}
        self.behind = True  # until a step has found nothing more

    def watch(self, watched: MonitoredVersion) -> Reference:
        """Know a version's bins. Versions once watched stay known: their last rows may come after they left."""
        known = self._watched.get(watched.version.hex)
        if known is None or known[0].reference != watched.reference:
            known = (watched, Reference.from_bytes(watched.reference))
        self._watched[watched.version.hex] = (watched, known[1])
        return known[1]

    def bucket(self, settings: Monitors) -> timedelta:
        return self._bucket or timedelta(seconds=bucket_seconds(settings))

    def step(self) -> Profiled:
        """Count what was appended, a bounded number of commits at a time. `behind` stays True when it fails."""
        self.behind = True
        for entry in self._receipts.read():
            if entry["kind"] == "append" and entry["table"].startswith("predictions/"):
                self._waiting.append((self._receipts.lines, entry["table"], [f["path"] for f in entry["added"]]))
        batch, rest = self._waiting[:COMMITS_PER_STEP], self._waiting[COMMITS_PER_STEP:]
        rows = skipped = lost = 0
        with self._book.transaction():
            done = int(self._book.checkpoint(CHECKPOINT).get("line", 0))
            added: dict[tuple[str, datetime], dict[str, Counts]] = {}
            late: dict[str, list[Any]] = defaultdict(list)  # microseconds, by model
            for line, table, files in batch:
                for path in files if line > done else ():
                    try:
                        data = self._read(table, path)
                    except FileNotFoundError:
                        lost += 1
                        continue
                    counted = self._count(data, added, late)
                    rows += counted
                    skipped += data.num_rows - counted
            for (version, bucket), counts in added.items():
                self._add(self._watched[version][0], bucket, counts)
            for model, lags in late.items():
                self._keep_lag(model, timedelta(microseconds=float(np.median(np.concatenate(lags)))))
            if batch and batch[-1][0] > done:
                self._book.set_checkpoint(CHECKPOINT, {"line": batch[-1][0]})
        self._waiting, self.behind = rest, bool(rest)
        return Profiled(rows=rows, skipped=skipped, lost=lost, behind=bool(rest))

    def window(self, watched: MonitoredVersion, start: datetime, end: datetime) -> dict[str, Counts]:
        """The profile of a span of time: the sum of its buckets."""
        found: dict[str, Counts] = {}
        for _, column, counts in self._book.profiles(watched.model, watched.version.hex, start, end):
            found = merge(found, {column: unpack(counts)})
        return found

    def active(self, model: str, start: datetime, end: datetime) -> Sequence[datetime]:
        """The beginnings of the buckets in which any version of a model was asked, oldest first."""
        return self._book.active_buckets(model, REQUESTS, start, end)

    def lag(self, model: str) -> timedelta:
        """How long after what they are about predictions are asked for, by half of what came last; nothing where callers say
        no moment of their own."""
        return timedelta(seconds=self._book.checkpoint(f"{LAG}/{model}").get("seconds", 0.0))

    def _keep_lag(self, model: str, lag: timedelta) -> None:
        found = lag.total_seconds() if lag >= timedelta(seconds=1) else 0.0
        if found != self.lag(model).total_seconds():
            self._book.set_checkpoint(f"{LAG}/{model}", {"seconds": found})

    def requests(self, model: str, window: Window) -> int:
        """How many any version of a model answered."""
        return sum(int(unpack(data)[0]) for data in self._book.counts(model, REQUESTS, window.start, window.end))

    def first(self, model: str) -> datetime | None:
        """When a model was first asked, of what is still kept; looked up once, for what is dropped later is known still."""
        if model not in self._first:
            oldest = [at for name, _, at in self._book.profiled() if name == model]
            if not oldest:
                return None
            self._first[model] = min(oldest)
        return self._first[model]

    def _read(self, table: str, path: str) -> Any:
        from pyarrow.parquet import ParquetFile

        with ParquetFile(self._workspace.tables / table / path) as file:
            names = file.schema_arrow.names
            inputs = [name for name in names if name.startswith(("num_", "cat_")) or name == "received_at"]
            return file.read(columns=["at", "row", "micros", "version", "score", "value", *inputs])

    def _count(
        self, data: Any, added: dict[tuple[str, datetime], dict[str, Counts]], late: dict[str, list[Any]]
    ) -> int:
        """Rows by when they happened, requests by when they came."""
        import pyarrow.compute as pc

        data = _with_arrival(data)

        rows = 0
        for version in pc.unique(data["version"]).to_pylist():
            known = self._watched.get(version)
            if known is None:
                continue
            watched, reference = known
            size = int(self.bucket(watched.contract.monitors).total_seconds())
            mine = data.filter(pc.equal(data["version"], version))
            for bucket, part in _by_bucket(mine, size, "at"):
                counts = tally(reference, part, _columns(watched.contract))
                added[version, bucket] = merge(added.get((version, bucket), {}), counts)
                rows += part.num_rows
            for bucket, part in _by_bucket(mine, size, "received_at"):
                asked = np.array([pc.sum(_requests(part)).as_py() or 0], dtype=np.int64)
                added[version, bucket] = merge(added.get((version, bucket), {}), {REQUESTS: asked})
            late[watched.model].append(_microseconds(mine["received_at"]) - _microseconds(mine["at"]))
        return rows

    def _add(self, watched: MonitoredVersion, bucket: datetime, counts: Mapping[str, Counts]) -> None:
        end = bucket + timedelta(microseconds=1)
        before = {
            c: unpack(data) for _, c, data in self._book.profiles(watched.model, watched.version.hex, bucket, end)
        }
        for column in counts:
            both = counts[column] + before[column] if column in before else counts[column]
            self._book.add_profile(watched.model, watched.version.hex, bucket, column, pack(both))


def _requests(part: Any) -> Any:
    """Which rows count as a request: the first of each, and every row of a table that was answered whole."""
    import pyarrow.compute as pc

    return pc.or_(pc.equal(part["row"], 0), pc.equal(part["micros"], 0))


def _with_arrival(data: Any) -> Any:
    """With `received_at` in every row: nobody said another moment where there is none."""
    import pyarrow.compute as pc

    if "received_at" not in data.column_names:
        return data.append_column("received_at", data["at"])
    place = data.column_names.index("received_at")
    return data.set_column(place, "received_at", pc.coalesce(data["received_at"], data["at"]))


def _microseconds(times: Any) -> Any:
    import pyarrow as pa

    return times.cast(pa.int64()).to_numpy()


def _by_bucket(data: Any, seconds: int, column: str) -> Iterator[tuple[datetime, Any]]:
    import pyarrow as pa

    buckets = _microseconds(data[column]) // (seconds * 1_000_000)
    for bucket in np.unique(buckets):
        at = datetime.fromtimestamp(int(bucket) * seconds, UTC)
        yield at, data.filter(pa.array(buckets == bucket))


def _columns(contract: Contract) -> dict[str, str]:
    named = input_columns([i.name for i in contract.numeric()], [i.name for i in contract.textual()])
    return {**named, SCORE: "value" if contract.model.task is Task.REGRESSION else "score"}
