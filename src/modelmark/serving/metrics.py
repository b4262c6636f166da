"""Counters that any worker can report for all workers.

Each worker counts in plain dictionaries, writes them to its own file twice a second, and whoever is asked adds up all
files. A dead worker's file stays until the supervisor starts anew, so counters never go backwards.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from modelmark.serving.telling import tell

BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

#: Seconds for which what other workers counted will do.
AGE: Final = 1.0
#: How many different failures are remembered as told.
TOLD: Final = 64

#: name -> (type, help). Spelled out, so `grep` finds every metric.
NAMES: Final = {
    "modelmark_requests_total": ("counter", "Answered prediction requests, by what answered."),
    "modelmark_rows_total": ("counter", "Rows in answered prediction requests."),
    "modelmark_errors_total": ("counter", "Requests that got an error, by HTTP status and code."),
    "modelmark_labels_total": ("counter", "Labels taken in."),
    "modelmark_key_requests_total": ("counter", "Requests with a key that may ask, by the key's id."),
    "modelmark_handshakes_failed_total": ("counter", "Connections that ended before TLS was agreed on."),
    "modelmark_cache_lookups_total": ("counter", "Requests looked up among earlier ones, by outcome: found or new."),
    "modelmark_cache_bytes": ("gauge", "Bytes of answers that may be given again."),
    "modelmark_cache_off": ("gauge", "Versions that do without the cache now, since it cost more than it saved."),
    "modelmark_spans_dropped_total": ("counter", "Spans of traces that could not be sent."),
    "modelmark_model_runs_total": ("counter", "Runs of a model; one run answers all requests that wait for it."),
    "modelmark_model_rows_total": ("counter", "Rows that a model was run on."),
    "modelmark_abandoned_total": ("counter", "Requests dropped before the model: the caller had gone."),
    "modelmark_fallback_total": ("counter", "Requests that the model could not answer, by reason."),
    "modelmark_observers_dropped_total": ("counter", "Answers that observers were not told of: too many were waiting."),
    "modelmark_observer_failures_total": ("counter", "Observers of answers that failed; no answer suffers from it."),
    "modelmark_shadow_requests_total": (
        "counter",
        "Copies of answered requests that a shadow was asked, by version and outcome.",
    ),
    "modelmark_background_failures_total": (
        "counter",
        "Failures of what goes on beside serving, by task; it goes on, and no answer suffers from it.",
    ),
    "modelmark_snapshot_failures_total": ("counter", "Snapshots or versions that were refused; the old ones serve on."),
    "modelmark_unbelieved": (
        "gauge",
        "Files (key, snapshot, versions) that cannot be believed now; what served, serves on.",
    ),
    "modelmark_version_loaded": ("gauge", "Workers that can answer with this version."),
    "modelmark_queue_requests": ("gauge", "Requests waiting for the next run."),
    "modelmark_connections": ("gauge", "Open connections."),
    "modelmark_snapshot_sequence": ("gauge", "The release snapshot that is followed; the lowest among workers."),
    "modelmark_steward_seconds": ("gauge", "Seconds since the steward's last step, as the worker heard; the largest."),
    "modelmark_ready": ("gauge", "Workers that are ready."),
    "modelmark_request_seconds": ("histogram", "Time from the last byte of a request to its answer."),
}

#: Gauges that do not add up over workers.
_ONE_OF: Final[dict[str, Callable[[float, float], float]]] = {
    "modelmark_snapshot_sequence": min,
    "modelmark_steward_seconds": max,
}

Labels = tuple[tuple[str, str], ...]


class Sample(msgspec.Struct, array_like=True):
    """What one worker counted. Keys: name and labels."""

    counters: dict[str, float]
    gauges: dict[str, float]
    histograms: dict[str, list[float]]  # counts per bucket, then the rest, then the sum


class Histogram:
    """Held by whoever observes; one bisection per observation."""

    __slots__ = ("cells",)

    def __init__(self) -> None:
        self.cells = [0.0] * (len(BUCKETS) + 2)

    def observe(self, seconds: float) -> None:
        self.cells[bisect_left(BUCKETS, seconds)] += 1
        self.cells[-1] += seconds


class Metrics:
    """What this worker counted. Nothing here raises or waits; `share` writes a file."""

    def __init__(self, folder: Path | None) -> None:
        """folder: where workers leave their counts for each other; None when there is one process."""
        self.folder = folder
        self.counters: dict[str, float] = {}
        self.gauges: dict[str, float] = {}
        self._histograms: dict[str, Histogram] = {}
        self._heard: dict[str, Sample] = {}
        self._heard_at = float("-inf")
        self._told: set[str] = set()
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self.failed("metrics", error)

    def add(self, key: str, amount: float = 1.0) -> None:
        """key: from `key()`; build it once and keep it."""
        self.counters[key] = self.counters.get(key, 0.0) + amount

    def failed(self, task: str, error: Exception) -> None:
        """Count a failure of something beside serving, and tell of it unless that was told before."""
        self.add(key("modelmark_background_failures_total", task=task))
        said = f"{task} failed: {type(error).__name__}: {error}; serving goes on"
        if said not in self._told:
            if len(self._told) >= TOLD:
                self._told.clear()
            self._told.add(said)
            tell(said)

    def histogram(self, key: str) -> Histogram:
        return self._histograms.setdefault(key, Histogram())

    def sample(self) -> Sample:
        return Sample(dict(self.counters), dict(self.gauges), {k: list(h.cells) for k, h in self._histograms.items()})

    def share(self) -> None:
        """Leave the counts where other workers find them. When that fails, they are told of at the next time."""
        if self.folder is None:
            return
        path = self.folder / f"{os.getpid()}.json"
        scratch = path.with_suffix(".tmp")
        try:
            if not self.folder.exists():
                self.folder.mkdir()  # but nothing above it: the workspace may have been moved
            scratch.write_bytes(msgspec.json.encode(self.sample()))
            scratch.replace(path)
        except OSError as error:
            self.failed("metrics", error)

    def exposition(self) -> bytes:
        """Everything all workers counted, in Prometheus' text format."""
        return render(self._samples(0.0))

    def together(self) -> Sample:
        """Everything all workers counted, the others as of a moment ago."""
        return added(self._samples(AGE))

    def _samples(self, age: float) -> list[Sample]:
        """age: seconds for which what the others said before will do, since hearing them is work with files."""
        samples = [self.sample()]
        if self.folder is not None:
            if time.monotonic() - self._heard_at >= age:
                self._heard_at = time.monotonic()
                self._hear(self.folder)
            for pid, sample in self._heard.items():
                samples.append(sample if _runs(pid) else Sample(sample.counters, {}, sample.histograms))
        return samples

    def _hear(self, folder: Path) -> None:
        """What other workers counted; what one said before counts on where its file cannot be read."""
        try:
            paths = sorted(folder.glob("*.json"))
        except OSError as error:
            self.failed("metrics", error)
            return
        for path in paths:
            if path.stem != str(os.getpid()):
                try:
                    self._heard[path.stem] = read_sample(path)
                except (OSError, msgspec.MsgspecError) as error:
                    self.failed("metrics", error)


def read_sample(path: Path) -> Sample:
    """Raises OSError, or MsgspecError for a file that is no sample of ours."""
    sample = msgspec.json.decode(path.read_bytes(), type=Sample)
    if any(len(row) != len(BUCKETS) + 2 for row in sample.histograms.values()):
        raise msgspec.ValidationError(f"{path.name} has histograms of another shape")
    return sample


@lru_cache(maxsize=1024)
def key(name: str, **labels: str) -> str:
    """The series as the text format spells it.

    >>> key("modelmark_rows_total", model="churn")
    'modelmark_rows_total{model="churn"}'
    """
    if not labels:
        return name
    inside = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{inside}}}"


def added(samples: Iterable[Sample]) -> Sample:
    """Everything adds up, except the snapshot's sequence and the steward's age: there the worker furthest behind counts."""
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    cells: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.counters.items():
            counters[name] = counters.get(name, 0.0) + value
        for name, value in sample.gauges.items():
            one_of = _ONE_OF.get(name)
            gauges[name] = one_of(gauges.get(name, value), value) if one_of else gauges.get(name, 0.0) + value
        for name, row in sample.histograms.items():
            cells[name] = [a + b for a, b in zip(cells.get(name, [0.0] * len(row)), row, strict=True)]
    return Sample(counters, gauges, cells)


def render(samples: Iterable[Sample]) -> bytes:
    """In Prometheus' text format, what they are together."""
    together = added(samples)
    lines: list[str] = []
    for name, (kind, text) in NAMES.items():
        found = list(_lines(name, kind, together.counters, together.gauges, together.histograms))
        if found:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *found]
    return ("\n".join(lines) + "\n").encode()


def _lines(
    name: str, kind: str, counters: dict[str, float], gauges: dict[str, float], cells: dict[str, list[float]]
) -> Iterable[str]:
    if kind != "histogram":
        source = counters if kind == "counter" else gauges
        for series in sorted(source):
            if series.partition("{")[0] == name:
                yield f"{series} {source[series]:.17g}"
        return
    for series in sorted(cells):
        if series.partition("{")[0] != name:
            continue
        labels = series[len(name) + 1 : -1]
        comma = "," if labels else ""
        running = 0.0
        for edge, count in zip((*map(str, BUCKETS), "+Inf"), cells[series], strict=False):
            running += count
            yield f'{name}_bucket{{{labels}{comma}le="{edge}"}} {running:.17g}'
        yield f"{name}_sum{{{labels}}} {cells[series][-1]:.17g}"
        yield f"{name}_count{{{labels}}} {running:.17g}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _runs(pid: str) -> bool:
    return pid.isdigit() and Path(f"/proc/{pid}").exists()
