"""The endpoint's workers as others on their machine can see them: what each wrote of itself a moment ago, and what the system knows
of its process. A dead worker's counts stay until its supervisor starts anew."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelmark.domain.workspace import Workspace

#: Seconds after which a worker that writes nothing any more is taken to stand still; it writes twice a second.
FRESH: Final = 5.0
_LOADED: Final = re.compile(r'modelmark_version_loaded\{model="([^"]*)",version="([^"]*)"\}')
_KEY: Final = re.compile(r'modelmark_key_requests_total\{key="([0-9a-f]+)"\}')


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeen:
    """silent: seconds since it said anything. busy: the part of a core it used since it began; None where the system does not
    say. memory: bytes. versions: label by model, of those it can answer with; waiting: of those that wait for their own server."""

    pid: int
    ready: bool
    silent: float
    busy: float | None
    memory: int | None
    up: float | None
    connections: int
    queue: int
    requests: int
    errors: int
    snapshot: int
    versions: tuple[str, ...]
    waiting: tuple[str, ...]

    @property
    def hangs(self) -> bool:
        return self.silent > FRESH


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSeen:
    """ended: workers that came to an end since their supervisor began, which replaced them where they had died. asked: requests
    by key, by its id, of those and of these."""

    workers: tuple[WorkerSeen, ...]
    ended: int
    asked: Mapping[str, int]


def endpoint_seen(workspace: Workspace) -> EndpointSeen:
    """Of every supervisor whose workers live."""
    workers: list[WorkerSeen] = []
    ended, asked = 0, dict[str, int]()
    for folder in _folders(workspace.runtime / "metrics"):
        living = [path for path in folder if _process(path.stem) is not None]
        for path in folder if living else ():
            said = _said(path)
            for series, count in said[0].items():
                if found := _KEY.fullmatch(series):
                    asked[found[1]] = asked.get(found[1], 0) + int(count)
            if path in living and (seen := _seen(path, said)) is not None:
                workers.append(seen)
            elif path not in living:
                ended += 1
    return EndpointSeen(workers=tuple(sorted(workers, key=lambda one: one.pid)), ended=ended, asked=asked)


def _folders(root: Path) -> Iterator[list[Path]]:
    with suppress(OSError):  # no worker has ever begun
        for folder in sorted(root.iterdir()):
            yield sorted(path for path in folder.glob("*.json") if path.stem.isdigit())


def _said(path: Path) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """(counters, gauges); nothing of a file that cannot be read."""
    try:
        counters, gauges, *_ = json.loads(path.read_bytes())
        return {str(k): float(v) for k, v in counters.items()}, {str(k): float(v) for k, v in gauges.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}, {}


def _seen(path: Path, said: tuple[Mapping[str, float], Mapping[str, float]]) -> WorkerSeen | None:
    """None for one that ended meanwhile."""
    process, (counters, gauges) = _process(path.stem), said
    try:
        silent = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None
    if process is None:
        return None
    loaded = [(found[1], found[2], value) for series, value in gauges.items() if (found := _LOADED.fullmatch(series))]

    def total(name: str) -> int:
        return int(sum(value for series, value in counters.items() if series.partition("{")[0] == name))

    return WorkerSeen(
        pid=int(path.stem),
        ready=gauges.get("modelmark_ready") == 1.0,
        silent=silent,
        busy=process.get("busy"),
        memory=process.get("memory"),
        up=process.get("up"),
        connections=int(gauges.get("modelmark_connections", 0)),
        queue=int(gauges.get("modelmark_queue_requests", 0)),
        requests=total("modelmark_requests_total"),
        errors=total("modelmark_errors_total"),
        snapshot=int(gauges.get("modelmark_snapshot_sequence", -1)),
        versions=tuple(sorted(f"{model} {label}" for model, label, able in loaded if able)),
        waiting=tuple(sorted(f"{model} {label}" for model, label, able in loaded if not able)),
    )


def _process(pid: str) -> dict[str, Any] | None:
    """What the system knows of a process: None for one that has ended."""
    place = Path("/proc") / pid
    try:
        fields = place.joinpath("stat").read_text("ascii", "replace").rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):
            return None
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        up = float(Path("/proc/uptime").read_text("ascii").split()[0]) - int(fields[19]) / ticks
        used = (int(fields[11]) + int(fields[12])) / ticks
        return {"up": up, "busy": used / max(up, 1.0), "memory": int(fields[21]) * page}
    except (OSError, ValueError, IndexError):
        return {} if place.exists() else None
