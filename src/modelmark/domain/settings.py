"""Everything the environment may say, in one frozen object. An unknown MODELMARK_* variable is an error."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from modelmark.domain.endpoint.worker_bounds import ONE, WorkerBounds
from modelmark.domain.errors import Rejected
from modelmark.domain.printable import one_line
from modelmark.domain.workspace import Workspace

PREFIX: Final = "MODELMARK_"
MAX_LENGTH: Final = 4_096
#: Settings of several words, which may stand on lines of their own.
_LISTS: Final = frozenset({f"{PREFIX}NOTIFY", f"{PREFIX}WEBHOOKS", f"{PREFIX}WEBHOOK_ALLOW"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Built once, in `app`. docs/settings.md has a heading for each field."""

    workspace: Path = Path(".modelmark")
    database: str | None = None  # None: SQLite in the workspace
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None  # None: no gRPC
    mlflow_model: str | None = None  # which one answers at MLflow's /invocations; None: the only one
    kserve_v1: bool = False  # /v1/models is KServe's, not TensorFlow Serving's
    tls_cert: Path | None = None  # of the endpoint, PEM, the chain
    tls_key: Path | None = None
    tls_client_ca: Path | None = None  # only callers with a certificate of these authorities
    behind_proxy: bool = False  # a proxy in front has TLS and knows its callers
    require_keys: bool = False  # nobody is answered at the endpoint without a key
    dashboard_port: int = 8081
    workers: WorkerBounds = ONE
    cache_mb: int = 0  # of answers that may be given again, in each worker; 0: none is
    cache_redis: str | None = None  # where workers share those answers; a secret where it holds one, never printed
    trace: str | None = None  # where traces of requests go: otlp://HOST; None: nowhere
    trace_percent: int = 100  # of requests whose caller says nothing of a trace
    notify: tuple[str, ...] = ()  # Apprise addresses; they hold secrets, so they are never printed
    webhooks: tuple[str, ...] = ()  # where other systems hear of alerts and releases; they hold secrets, never printed
    webhook_allow: tuple[str, ...] = ()  # networks inside the house where a webhook may be
    public_url: str | None = None  # where people reach the dashboard; links in messages begin with it
    actor: str = "unknown"
    environment: str = "production"  # approvals hold in this one alone
    key: str | None = None  # an API key: who acts at the command line; a secret, never printed
    checkpoint_to: str | None = None  # where checkpoints go: a folder, git+FOLDER, or an http(s) address to PUT them to
    checkpoint_minutes: int = 10  # how often, beside every release
    table_mb: int = 2048  # memory that one table may take once it is read
    journal_sync_ms: int = 50  # how long an answer may wait for the disk to be sure; 0: every flush is synced

    @property
    def place(self) -> Workspace:
        return Workspace(self.workspace.resolve())

    @classmethod
    def read(cls, environ: Mapping[str, str], **given: Any) -> Settings:
        """Environment variables, then what the command line gave. Raises Rejected, naming variable and limit."""
        names = {PREFIX + name.upper(): name for name in (f.name for f in fields(cls))}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or variable in _INTERNAL:
                continue
            _require_short(variable, text)
            if variable not in names:
                near = difflib.get_close_matches(variable, names, n=1)
                raise Rejected(
                    f"there is no setting {variable}",
                    code="UNKNOWN_SETTING",
                    field=variable,
                    limit="known: " + ", ".join(sorted(names)),
                    hint=f"did you mean {near[0]}?" if near else "unset it",
                )
            values[names[variable]] = _FORMS.get(names[variable], str)(text) if text else None
        values = {name: value for name, value in values.items() if value is not None}
        values |= {name: value for name, value in given.items() if value is not None}
        return cls(**values)


def _require_short(variable: str, text: str) -> None:
    """Raises Rejected for what no setting needs, before anything is made of it. Nothing is repeated: it may be a secret."""
    named = variable if len(variable) <= 64 and variable.isprintable() else f"{PREFIX}…"
    words = " ".join(text.split()) if variable in _LISTS else text  # addresses may stand on lines of their own
    if named != variable or len(text) > MAX_LENGTH or one_line(words, MAX_LENGTH) != words:
        raise Rejected(
            f"{named} is no setting that can be read", code="BAD_SETTING", field=named,
            limit=f"printable text, at most {MAX_LENGTH} characters",
        )  # fmt: skip


def _whole(name: str, low: int, high: int) -> Callable[[str], int]:
    def form(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise Rejected(
                f"{PREFIX}{name} is not a whole number in its range",
                code="BAD_SETTING",
                field=PREFIX + name,
                limit=f"{low} to {high}",
            )
        return int(text)

    return form


def _yes_or_no(name: str) -> Callable[[str], bool]:
    def form(text: str) -> bool:
        if text not in ("0", "1"):
            raise Rejected(f"{PREFIX}{name} is neither 0 nor 1", code="BAD_SETTING", field=PREFIX + name, limit="0, 1")
        return text == "1"

    return form


def _address(name: str, text: str) -> str:
    """Without a slash at its end."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        known = False
    if not known or "@" in text or " " in text:
        raise Rejected(
            f"{PREFIX}{name} is no address", code="BAD_SETTING", field=PREFIX + name,
            limit="http(s)://HOST, with a path where the dashboard has one, and nothing after it",
        )  # fmt: skip
    return text.rstrip("/")


def _workers(text: str) -> WorkerBounds:
    try:
        return WorkerBounds.read(text)
    except Rejected as error:
        raise Rejected(error.message, code="BAD_SETTING", field=f"{PREFIX}WORKERS", limit=error.limit) from None


_FORMS: Final[Mapping[str, Callable[[str], Any]]] = {
    "workspace": Path,
    "port": _whole("PORT", 0, 65535),
    "grpc_port": _whole("GRPC_PORT", 0, 65535),
    "kserve_v1": _yes_or_no("KSERVE_V1"),
    "tls_cert": Path,
    "tls_key": Path,
    "tls_client_ca": Path,
    "behind_proxy": _yes_or_no("BEHIND_PROXY"),
    "require_keys": _yes_or_no("REQUIRE_KEYS"),
    "dashboard_port": _whole("DASHBOARD_PORT", 0, 65535),
    "workers": _workers,
    "trace_percent": _whole("TRACE_PERCENT", 1, 100),
    "cache_mb": _whole("CACHE_MB", 0, 65_536),
    "table_mb": _whole("TABLE_MB", 1, 1_048_576),
    "notify": lambda text: tuple(text.split()),
    "webhooks": lambda text: tuple(text.split()),
    "webhook_allow": lambda text: tuple(text.split()),
    "public_url": lambda text: _address("PUBLIC_URL", text),
    "checkpoint_minutes": _whole("CHECKPOINT_MINUTES", 1, 1440),
    "journal_sync_ms": _whole("JOURNAL_SYNC_MS", 0, 10_000),
}


def table_bytes(environ: Mapping[str, str]) -> int:
    """How much one table may take, for whoever reads tables and holds no settings: files are read in many places."""
    name = f"{PREFIX}TABLE_MB"
    return Settings.read({name: environ[name]} if name in environ else {}).table_mb * 1_048_576


#: Set by our own scripts and processes for each other, not by people.
_INTERNAL: Final = frozenset({"MODELMARK_TEST_PROCESSES", "MODELMARK_SUPERVISED"})
