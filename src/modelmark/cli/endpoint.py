"""The endpoint: as `modelmark serve` runs it, and as `up` starts it: `python -m modelmark.cli.endpoint SETTINGS`.

What reads command lines for people takes as long to load as a worker needs to answer; an endpoint that was killed is back sooner
without it. SETTINGS: a JSON object of what the command line of `up` gave.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from modelmark.cli import reported
from modelmark.cli.opening import settings_of
from modelmark.cli.output import OK, say
from modelmark.cli.still_there import still_there
from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.settings import Settings
from modelmark.serving.caching.shared_cache import SharedCache
from modelmark.serving.entry.exposure import Exposure
from modelmark.serving.entry.tls import TlsFiles
from modelmark.serving.heartbeat import follow_parent
from modelmark.serving.supervisor import Supervisor, serve


def run(settings: Settings, on_ready: Callable[[Supervisor], None]) -> int:
    """Until SIGTERM or SIGINT, or until whoever started us is gone."""
    if settings.cache_redis is not None:
        SharedCache(settings.cache_redis)  # what is no address ends the start, not each worker's
    follow_parent()
    with still_there(settings.place.root):
        serve(
            settings.place,
            host=settings.host,
            port=settings.port,
            grpc_port=settings.grpc_port,
            workers=settings.workers,
            worker_options=_worker_options(settings),
            exposure=exposure_of(settings),
            on_ready=on_ready,
        )
    return OK


def exposure_of(settings: Settings) -> Exposure:
    """Raises Rejected (BAD_TLS) for half of what TLS takes."""
    tls = TlsFiles.of(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return Exposure(tls=tls, behind_proxy=settings.behind_proxy)


def _worker_options(settings: Settings) -> tuple[str, ...]:
    """How `serving.worker` is told of the settings."""
    wait = settings.journal_sync_ms
    sync = ("--sync", "always") if wait == 0 else ("--sync", "interval", "--sync-ms", str(wait))
    model = (f"--mlflow-model={settings.mlflow_model}",) if settings.mlflow_model else ()
    chosen = {"--kserve-v1": settings.kserve_v1, "--require-keys": settings.require_keys}
    cache = (f"--cache-mb={settings.cache_mb}",) if settings.cache_mb else ()
    traces = (f"--trace={settings.trace}", f"--trace-percent={settings.trace_percent}") if settings.trace else ()
    return (*sync, *traces, *cache, *model, *(name for name, wanted in chosen.items() if wanted))


def started() -> int:
    given = json.loads(sys.argv[1])
    paths = {name: Path(given.pop(name)) for name in ("tls_cert", "tls_key", "tls_client_ca") if given.get(name)}
    workers = WorkerBounds.read(given.pop("workers"))
    return run(settings_of(Path(given.pop("workspace")), workers=workers, **given, **paths), _tell)


def _tell(supervisor: Supervisor) -> None:
    say(f"ready: predictions on {supervisor.address}")
    if supervisor.grpc_address is not None:
        say(f"ready: gRPC on {supervisor.grpc_address}")


if __name__ == "__main__":
    raise SystemExit(reported(started, as_json=False))
