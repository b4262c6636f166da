"""Every table of the state database. Times are microseconds since the epoch, UTC; bodies are canonical JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as an integer so that SQLite and PostgreSQL agree to the microsecond."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata: Final = MetaData()
#: SQLite numbers a rowid by itself only for INTEGER; PostgreSQL wants 64 bits.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

versions = Table(
    "versions",
    metadata,
    Column("id", String(71), primary_key=True),
    Column("model", String(63), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Index("versions_number", "model", "number", unique=True),
)
evidence = Table(
    "evidence",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("version", String(71), nullable=False, index=True),
    Column("gate", String(63), nullable=False),
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),
)
approvals = Table(
    "approvals",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("version", String(71), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("nonce", String(64)),
    Index("approvals_nonce", "nonce", unique=True),
)
comments = Table(
    "remarks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("version", String(71), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),
)
waivers = Table(
    "waivers",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("version", String(71), nullable=False, index=True),
    Column("body", Text, nullable=False),
)
snapshots = Table(
    "snapshots",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
audit = Table(
    "audit",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),
)
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("body", Text, nullable=False),
)
profiles = Table(
    "profiles",
    metadata,
    Column("model", String(63), primary_key=True),
    Column("version", String(71), primary_key=True),
    Column("bucket", Instant, primary_key=True),
    Column("column", Text, primary_key=True),
    Column("counts", LargeBinary, nullable=False),
)
findings = Table(
    "findings",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("model", String(63), nullable=False),
    Column("version", String(71), nullable=False),
    Column("monitor", String(63), nullable=False),
    Column("subject", Text, nullable=False),
    Column("start", Instant, nullable=False),
    Column("end", Instant, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Index("findings_once", "model", "version", "monitor", "subject", "start", "end", unique=True),
    Index("findings_recent", "model", "end"),
)
alerts = Table(
    "alerts",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("model", String(63), nullable=False),
    Column("version", String(71), nullable=False),
    Column("monitor", String(63), nullable=False),
    Column("subject", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Column("closed_at", Instant),
    Index(
        "alerts_one_open",
        "model",
        "version",
        "monitor",
        "subject",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)
alert_details = Table(
    "alert_details",
    metadata,
    Column("alert", _Serial, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
outbox = Table(
    "outbox",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("due_at", Instant, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("sent_at", Instant),
    Column("error", Text),
    Column("audience", String(32), nullable=False, server_default=""),
    Column("severity", String(16), nullable=False, server_default=""),
)
accounts = Table(
    "accounts",
    metadata,
    Column("login", String(63), primary_key=True),
    Column("body", Text, nullable=False),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("login", String(63), nullable=False, index=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("body", Text, nullable=False),
)
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("login", String(63), nullable=False, index=True),
    Column("body", Text, nullable=False),
)
failures = Table(
    "sign_in_failures",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("login", String(63), nullable=False),
    Column("at", Instant, nullable=False),
    Index("sign_in_failures_recent", "login", "at"),
)
heads = Table(
    "heads",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("body", Text, nullable=False),
)
#: What the audit tells of, row by row. The audit itself is a chain; what else is here is a view or a limit.
GOVERNED: Final = (versions, evidence, approvals, comments, waivers, snapshots, accounts, api_keys, sessions)
#: What a signed sum covers: rows that come and change by the steward's hand, without an act.
SUMMED: Final = (findings, alerts)
